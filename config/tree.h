/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A YAML document as plain data: scalars, lists and maps, each with its place in the file, so that
 * whoever reads a value (the loader here, a plugin through its configure call) can point at it.
 *
 * Trees are made by config_load() only, are read-only afterwards and live as long as the config
 * that holds them. Any thread may read one. Scalars keep the text as written: nothing turns a MAC
 * address or a port list into a number.
 */
#ifndef CONFIG_TREE_H
#define CONFIG_TREE_H

#include <stdbool.h>
#include <stdint.h>

enum config_tree_kind {
	CONFIG_SCALAR,
	CONFIG_LIST,
	CONFIG_MAP,
};

struct config_tree {
	const char *key; /* in a map: this entry's key; NULL elsewhere */
	struct config_tree *next; /* the next entry of the same list or map */
	union {
		const char *text; /* CONFIG_SCALAR: never NULL, "" when nothing was written */
		struct config_tree *first; /* CONFIG_LIST, CONFIG_MAP: NULL when empty */
	};
	uint32_t line, column; /* of the value, from 1 */
	uint32_t key_line, key_column; /* of the key; of the value where there is no key */
	uint32_t count; /* entries of a list or map */
	uint8_t kind; /* enum config_tree_kind */
	bool quoted; /* a scalar in quotes (or a block scalar): text, whatever it looks like */
};

#define CONFIG_TREE_FOREACH(entry, tree) \
	for (const struct config_tree *entry = (tree)->first; entry != NULL; entry = entry->next)

/* The entry of a map by its key; NULL when there is none or `map` is NULL or no map. */
const struct config_tree *config_tree_get(const struct config_tree *map, const char *key);

/* The text of the scalar under `key`; `fallback` when there is no such scalar. */
const char *config_tree_text(const struct config_tree *map, const char *key, const char *fallback);

/* True for a plain (not quoted) scalar that says "no value": nothing, `~` or `null`. */
bool config_tree_is_null(const struct config_tree *tree);

/* Same kinds, keys, order and texts; places and quotes do not count. NULL equals an empty map,
 * an empty list and a null scalar. */
bool config_tree_equal(const struct config_tree *a, const struct config_tree *b);

#endif
