/* SPDX-License-Identifier: BSD-3-Clause */
/* The rows of all nouns, sorted by name. For cmd.c and the frame's own commands. */
#ifndef CTRL_CMD_REGISTRY_H
#define CTRL_CMD_REGISTRY_H

#include "ctrl/cmd/cmd.h"

struct cmd_entry {
	const struct cmd_row *row;
	void *ctx;
};

struct cmd_registry {
	struct loop *loop;
	char *program, *version;
	struct cmd_entry *entries;
	size_t n_entries;
};

const struct cmd_entry *cmd_registry_find(const struct cmd_registry *registry, const char *name);

/* The name most like it, or NULL. */
const char *cmd_registry_suggest(const struct cmd_registry *registry, const char *name);

/* The usage with the options the frame adds; cut when size is too small. */
void cmd_row_usage(const struct cmd_row *row, char *usage, size_t size);

/* list-commands, help, version, exit; ctx: the registry. */
extern const struct cmd_noun cmd_noun_base;

#endif
