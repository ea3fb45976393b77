/* SPDX-License-Identifier: BSD-3-Clause */
/* The commands of the frame itself. The text of the first and third is that of an OVS daemon. */
#include <string.h>

#include "ctrl/cmd/registry.h"

static int list_commands(struct cmd *cmd)
{
	const struct cmd_registry *registry = cmd->ctx;
	struct out *out = cmd_out(cmd);
	char usage[256];

	if (cmd_is_json(cmd))
		out_table(out, "commands");
	else
		out_note(out, "The available commands are:");
	for (size_t i = 0; i < registry->n_entries; i++) {
		const struct cmd_row *row = registry->entries[i].row;

		cmd_row_usage(row, usage, sizeof(usage));
		if (!cmd_is_json(cmd)) {
			out_note(out, "  %-23s %s", row->name, usage);
			continue;
		}
		out_row(out);
		out_str(out, "name", row->name);
		out_str(out, "usage", usage);
		out_i64(out, "min_args", row->min_args);
		out_i64(out, "max_args", row->max_args);
	}
	return 0;
}

static int version(struct cmd *cmd)
{
	const struct cmd_registry *registry = cmd->ctx;
	struct out *out = cmd_out(cmd);

	if (!cmd_is_json(cmd)) {
		out_note(out, "%s (Ferry) %s", registry->program, registry->version);
		return 0;
	}
	out_str(out, "program", registry->program);
	out_str(out, "version", registry->version);
	return 0;
}

static int help_one(struct cmd *cmd, const struct cmd_row *row)
{
	struct out *out = cmd_out(cmd);
	char usage[256];

	cmd_row_usage(row, usage, sizeof(usage));
	if (cmd_is_json(cmd)) {
		out_str(out, "name", row->name);
		out_str(out, "usage", usage);
		out_str(out, "help", row->help);
		return 0;
	}
	out_note(out, "usage: %s%s%s", row->name, usage[0] ? " " : "", usage);
	out_note(out, "%s", row->help);
	return 0;
}

/* Is the command one of this noun? NULL: any. */
static bool is_of(const char *name, const char *noun)
{
	size_t len_bytes = noun ? strlen(noun) : 0;

	return !noun || (strncmp(name, noun, len_bytes) == 0 && name[len_bytes] == '/');
}

static int help(struct cmd *cmd)
{
	const struct cmd_registry *registry = cmd->ctx;
	const char *what = cmd->n_args ? cmd->args[0] : NULL;
	const struct cmd_entry *entry = what ? cmd_registry_find(registry, what) : NULL;
	struct out *out = cmd_out(cmd);
	const char *near;
	size_t n = 0;

	if (entry)
		return help_one(cmd, entry->row);
	out_table(out, "commands");
	for (size_t i = 0; i < registry->n_entries; i++) {
		const struct cmd_row *row = registry->entries[i].row;

		if (!is_of(row->name, what))
			continue;
		out_row(out);
		out_str(out, "command", row->name);
		out_fmt(out, "help", "%.*s", (int)strcspn(row->help, "\n"), row->help);
		n++;
	}
	if (n > 0)
		return 0;
	near = cmd_registry_suggest(registry, what);
	if (near)
		return cmd_fail(cmd, "no command or noun \"%s\"; did you mean \"%s\"?", what, near);
	return cmd_fail(cmd, "no command or noun \"%s\"", what);
}

static int exit_command(struct cmd *cmd)
{
	const struct cmd_registry *registry = cmd->ctx;

	loop_stop(registry->loop);
	return 0;
}

static const struct cmd_row rows[] = {
	{"exit", "", 0, 0, NULL, 0, exit_command, "End the daemon in good order."},
	{"help", "[COMMAND | NOUN]", 0, 1, NULL, CMD_JSON, help,
		"Say what commands do: all, those of a noun, or one in full."},
	{"list-commands", "", 0, 0, NULL, CMD_JSON, list_commands,
		"List the commands with their arguments."},
	{"version", "", 0, 0, NULL, CMD_JSON, version, "Print program and version."},
};

CMD_NOUN(base, rows);
