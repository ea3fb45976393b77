/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Config trees as plugin values, and the acl plugin's view of groups: the tree of `groups:` plus
 * who is in each group.
 */
#include <stdlib.h>
#include <string.h>

#include "ctrl/vswitch/setup.h"

static const enum plugin_value_kind kinds[] = {
	[CONFIG_SCALAR] = PLUGIN_SCALAR,
	[CONFIG_LIST] = PLUGIN_LIST,
	[CONFIG_MAP] = PLUGIN_MAP,
};

void setup_value_clear(struct plugin_value *value)
{
	for (uint32_t i = 0; i < value->count; i++)
		setup_value_clear((struct plugin_value *)(uintptr_t)&value->item[i]);
	free((void *)(uintptr_t)value->item);
}

static int value_fill(struct plugin_value *value, const struct config_tree *tree)
{
	struct plugin_value *items;

	*value = (struct plugin_value){.kind = kinds[tree->kind],
		.key = tree->key,
		.line = tree->line,
		.column = tree->column};
	if (tree->kind == CONFIG_SCALAR) {
		value->text = tree->text;
		return 0;
	}
	items = calloc(tree->count ? tree->count : 1, sizeof(*items));
	if (!items)
		return -1;
	value->item = items;
	CONFIG_TREE_FOREACH(entry, tree)
	if (value_fill(&items[value->count++], entry) != 0)
		return -1;
	return 0;
}

struct plugin_value *setup_value(const struct config_tree *tree)
{
	struct plugin_value *value;

	if (!tree)
		return NULL;
	value = calloc(1, sizeof(*value));
	if (value && value_fill(value, tree) != 0) {
		setup_value_free(value);
		return NULL;
	}
	return value;
}

void setup_value_free(struct plugin_value *value)
{
	if (!value)
		return;
	setup_value_clear(value);
	free(value);
}
