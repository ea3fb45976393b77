/* SPDX-License-Identifier: BSD-3-Clause */
#include <string.h>

#include "config/tree.h"

const struct config_tree *config_tree_get(const struct config_tree *map, const char *key)
{
	if (map == NULL || map->kind != CONFIG_MAP)
		return NULL;
	CONFIG_TREE_FOREACH(entry, map)
	if (strcmp(entry->key, key) == 0)
		return entry;
	return NULL;
}

const char *config_tree_text(const struct config_tree *map, const char *key, const char *fallback)
{
	const struct config_tree *entry = config_tree_get(map, key);

	return entry != NULL && entry->kind == CONFIG_SCALAR ? entry->text : fallback;
}

bool config_tree_is_null(const struct config_tree *tree)
{
	return tree->kind == CONFIG_SCALAR && !tree->quoted &&
	       (tree->text[0] == '\0' || strcmp(tree->text, "~") == 0 ||
		       strcmp(tree->text, "null") == 0);
}

static bool tree_is_empty(const struct config_tree *tree)
{
	if (tree == NULL)
		return true;
	return tree->kind == CONFIG_SCALAR ? config_tree_is_null(tree) : tree->first == NULL;
}

/* The depth is bounded by CONFIG_DEPTH_MAX. */
bool config_tree_equal(const struct config_tree *a, const struct config_tree *b)
{
	const struct config_tree *x, *y;

	if (tree_is_empty(a) || tree_is_empty(b))
		return tree_is_empty(a) && tree_is_empty(b);
	if (a->kind != b->kind)
		return false;
	if (a->kind == CONFIG_SCALAR)
		return strcmp(a->text, b->text) == 0;
	if (a->count != b->count)
		return false;
	for (x = a->first, y = b->first; x != NULL && y != NULL; x = x->next, y = y->next) {
		if (a->kind == CONFIG_MAP && strcmp(x->key, y->key) != 0)
			return false;
		if (!config_tree_equal(x, y))
			return false;
	}
	return x == y;
}
