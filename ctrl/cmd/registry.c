/* SPDX-License-Identifier: BSD-3-Clause */
#include "ctrl/cmd/registry.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ctrl/cmd/suggest.h"

int cmd_registry_create(const struct cmd_registry_options *options, struct cmd_registry **registryp)
{
	struct cmd_registry *registry = calloc(1, sizeof(*registry));
	int ret = -ENOMEM;

	if (!registry)
		return -ENOMEM;
	registry->loop = options->loop;
	registry->program = strdup(options->program);
	registry->version = strdup(options->version);
	if (registry->program && registry->version)
		ret = cmd_registry_add(registry, &cmd_noun_base, registry);
	if (ret < 0) {
		cmd_registry_destroy(registry);
		return ret;
	}
	*registryp = registry;
	return 0;
}

void cmd_registry_destroy(struct cmd_registry *registry)
{
	if (!registry)
		return;
	free(registry->entries);
	free(registry->program);
	free(registry->version);
	free(registry);
}

static int entry_compare(const void *a, const void *b)
{
	return strcmp(
		((const struct cmd_entry *)a)->row->name, ((const struct cmd_entry *)b)->row->name);
}

const struct cmd_entry *cmd_registry_find(const struct cmd_registry *registry, const char *name)
{
	struct cmd_row row = {.name = name};
	struct cmd_entry key = {.row = &row};

	if (registry->n_entries == 0)
		return NULL;
	return bsearch(&key, registry->entries, registry->n_entries, sizeof(key), entry_compare);
}

static int rows_check(const struct cmd_registry *registry, const struct cmd_noun *noun)
{
	for (size_t i = 0; i < noun->n_rows; i++) {
		const struct cmd_row *row = &noun->rows[i];

		if (!row->name || !row->usage || !row->help || !row->run || row->min_args < 0 ||
			(row->max_args >= 0 && row->max_args < row->min_args))
			return -EINVAL;
		if (cmd_registry_find(registry, row->name))
			return -EEXIST;
		for (size_t j = 0; j < i; j++)
			if (strcmp(noun->rows[j].name, row->name) == 0)
				return -EEXIST;
	}
	return 0;
}

int cmd_registry_add(struct cmd_registry *registry, const struct cmd_noun *noun, void *ctx)
{
	struct cmd_entry *entries;
	int ret = rows_check(registry, noun);

	if (ret < 0)
		return ret;
	entries =
		realloc(registry->entries, (registry->n_entries + noun->n_rows) * sizeof(*entries));
	if (!entries)
		return -ENOMEM;
	registry->entries = entries;
	for (size_t i = 0; i < noun->n_rows; i++)
		entries[registry->n_entries++] = (struct cmd_entry){&noun->rows[i], ctx};
	qsort(entries, registry->n_entries, sizeof(*entries), entry_compare);
	return 0;
}

static const char *name_at(void *ctx, size_t i)
{
	const struct cmd_registry *registry = ctx;

	return i < registry->n_entries ? registry->entries[i].row->name : NULL;
}

const char *cmd_registry_suggest(const struct cmd_registry *registry, const char *name)
{
	return suggest(name, name_at, (void *)registry);
}

void cmd_row_usage(const struct cmd_row *row, char *usage, size_t size)
{
	bool json = row->flags & CMD_JSON;

	snprintf(usage, size, "%s%s%s", row->usage, json && row->usage[0] ? " " : "",
		json ? "[--json]" : "");
}
