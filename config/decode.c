/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A tree becomes the structs, by the options table: keys are known, types and ranges right,
 * defaults set. What options mean to each other is looked at afterwards, in check*.c.
 */
#include <errno.h>
#include <string.h>

#include "config/value.h"

static int decode_section(struct config_loader *loader, const struct config_section *section,
	const struct config_tree *node, void *base);

static const char *section_key(const void *section, unsigned index)
{
	return ((const struct config_section *)section)->options[index].key;
}

static int refuse_key(struct config_loader *loader, const struct config_section *section,
	const struct config_tree *entry)
{
	const char *close = config_suggest(entry->key, section_key, section, section->n_options);
	char text[48];

	config_printable(entry->key, text, sizeof(text));
	if (close != NULL)
		return config_fail_at(loader, -EINVAL, entry->key_line, entry->key_column,
			"expected a known key, found \"%s\" (did you mean \"%s\"?)", text, close);
	return config_fail_at(loader, -EINVAL, entry->key_line, entry->key_column,
		"expected a known key, found \"%s\"", text);
}

static int refuse_unknown(struct config_loader *loader, const struct config_section *section,
	const struct config_tree *node)
{
	CONFIG_TREE_FOREACH(entry, node)
	{
		bool known = false;

		for (unsigned i = 0; i < section->n_options && !known; i++)
			known = strcmp(section->options[i].key, entry->key) == 0;
		if (!known)
			return refuse_key(loader, section, entry);
	}
	return 0;
}

static int decode_tree(struct config_loader *loader, const struct config_option *option,
	const struct config_tree *node, void *base)
{
	if (config_tree_is_null(node))
		return 0;
	if (node->kind != CONFIG_MAP)
		return config_expected(loader, node, "a map");
	*(const struct config_tree **)config_field(option, base) = node;
	return 0;
}

/* One entry of a list, or a scalar or nested struct. */
static int decode_value(struct config_loader *loader, const struct config_option *option,
	const struct config_tree *node, void *value)
{
	const struct config_value_type *type = config_value_type(option->type);

	if (option->type == CONFIG_TYPE_SECTION) {
		if (option->list && node->kind != CONFIG_MAP)
			return config_expected(loader, node, "a map");
		return decode_section(loader, option->section, node, value);
	}
	if (node->kind != CONFIG_SCALAR || config_tree_is_null(node))
		return config_expected(loader, node, "a value (%s)", type->name);
	return type->parse(loader, option, node, value);
}

static int decode_entries(struct config_loader *loader, const struct config_option *option,
	const struct config_tree *list, char *entries)
{
	uint32_t index = 0;
	int rc = 0;

	CONFIG_TREE_FOREACH(entry, list)
	{
		size_t before = config_path_index(loader, index);

		rc = decode_value(loader, option, entry, entries + (size_t)index * option->size);
		if (rc != 0)
			break;
		config_path_back(loader, before);
		index++;
	}
	return rc;
}

static int decode_list(struct config_loader *loader, const struct config_option *option,
	const struct config_tree *node, void *base)
{
	struct config_tree single = *node;
	struct config_tree list = {.kind = CONFIG_LIST, .first = &single, .count = 1};
	void *entries;
	int rc;

	if (config_tree_is_null(node))
		return 0;
	if (node->kind == CONFIG_LIST)
		list = *node;
	else if (node->kind == CONFIG_MAP || option->type == CONFIG_TYPE_SECTION)
		return config_expected(loader, node, "a list");
	single.next = NULL; /* a single value stands for a list of one */
	if (list.count == 0)
		return 0;
	if (option->entries_max != 0 && list.count > option->entries_max)
		return config_fail(loader, node, "expected at most %u entries, found %u",
			option->entries_max, list.count);
	entries = config_arena_alloc(loader->arena, (size_t)list.count * option->size);
	if (entries == NULL)
		return config_no_memory(loader);
	rc = decode_entries(loader, option, &list, entries);
	if (rc != 0)
		return rc;
	memcpy(config_field(option, base), &entries, sizeof(entries));
	memcpy((char *)base + option->count_offset, &list.count, sizeof(list.count));
	return 0;
}

static int decode_fallback(
	struct config_loader *loader, const struct config_option *option, void *base)
{
	struct config_tree node = {.kind = CONFIG_SCALAR, .text = option->fallback};

	if (option->type == CONFIG_TYPE_SECTION && !option->list)
		return decode_section(loader, option->section, NULL, config_field(option, base));
	if (option->fallback == NULL)
		return 0;
	return config_value_type(option->type)
		->parse(loader, option, &node, config_field(option, base));
}

static int decode_option(struct config_loader *loader, const struct config_option *option,
	const struct config_tree *node, void *base)
{
	if (option->list)
		return decode_list(loader, option, node, base);
	if (option->type == CONFIG_TYPE_TREE)
		return decode_tree(loader, option, node, base);
	if (option->given_offset != 0)
		*((bool *)((char *)base + option->given_offset)) = true;
	return decode_value(loader, option, node, config_field(option, base));
}

static int require(struct config_loader *loader, const struct config_option *option,
	const struct config_tree *map, const struct config_tree *entry)
{
	if (!option->required ||
		(entry != NULL && !config_tree_is_null(entry) &&
			!(option->list && entry->kind == CONFIG_LIST && entry->count == 0)))
		return 0;
	return config_fail(loader, entry != NULL ? entry : map,
		"expected a value for \"%s\", found none", option->key);
}

/* `node` is NULL or a null scalar when the section was not given. */
static int decode_section(struct config_loader *loader, const struct config_section *section,
	const struct config_tree *node, void *base)
{
	int rc;

	if (node != NULL && config_tree_is_null(node))
		node = NULL;
	if (node != NULL && node->kind != CONFIG_MAP)
		return config_expected(loader, node, "a map");
	if (section->has_node)
		*(const struct config_tree **)base = node;
	rc = node != NULL ? refuse_unknown(loader, section, node) : 0;
	for (unsigned i = 0; i < section->n_options && rc == 0; i++) {
		const struct config_option *option = &section->options[i];
		const struct config_tree *entry = config_tree_get(node, option->key);
		size_t before = config_path_key(loader, option->key);

		if (node != NULL)
			rc = require(loader, option, node, entry);
		if (rc == 0)
			rc = entry != NULL ? decode_option(loader, option, entry, base)
					   : decode_fallback(loader, option, base);
		if (rc == 0)
			config_path_back(loader, before);
	}
	return rc;
}

/* Without a section `plugins` there is one, so that a host without it filters. */
static int default_plugins(
	struct config_loader *loader, const struct config_tree *tree, struct config *config)
{
	static const struct config_tree none;

	if (config_tree_get(tree, "plugins") != NULL)
		return 0;
	config->plugins = config_arena_alloc(loader->arena, sizeof(*config->plugins));
	if (config->plugins == NULL)
		return config_no_memory(loader);
	config->plugins[0].node = &none;
	config->plugins[0].name = "acl";
	config->n_plugins = 1;
	return 0;
}

int config_decode(
	struct config_loader *loader, const struct config_tree *tree, struct config *config)
{
	int rc;

	if (tree->kind != CONFIG_MAP)
		return config_expected(loader, tree, "a map of sections");
	rc = decode_section(loader, &config_section_root, tree, config);
	return rc != 0 ? rc : default_plugins(loader, tree, config);
}
