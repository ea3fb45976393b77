/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The noun in this file: show what is in force, check a file, reload.
 */
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ctrl/cmd/daemon.h"

const char *daemon_fault_joint(const char *fault)
{
	return isdigit((unsigned char)fault[0]) ? ":" : ": ";
}

static int config_show_command(struct cmd *cmd)
{
	struct daemon *d = cmd->ctx;
	char *text = NULL, *at, *line;
	size_t len;
	FILE *file = open_memstream(&text, &len);

	if (!file)
		return -ENOMEM;
	config_show(d->config, file);
	fclose(file);
	at = text;
	while ((line = strsep(&at, "\n")) != NULL)
		if (*line || at)
			out_note(cmd_out(cmd), "%s", line);
	free(text);
	return 0;
}

static int config_check(struct cmd *cmd)
{
	struct daemon *d = cmd->ctx;
	struct config_error fault;
	const char *path = cmd->n_args > 0 ? cmd->args[0] : d->config_path;
	struct config *config;
	char text[1024] = "";
	int rc;

	if (config_load(path, &config, &fault) != 0) {
		config_error_format(&fault, text, sizeof(text));
		return cmd_fail(cmd, "%s", text);
	}
	rc = setup_reload_check(d->setup, config, text, sizeof(text));
	config_free(config);
	if (rc == -EBUSY)
		out_note(cmd_out(cmd), "good; but %s", text);
	else if (rc != 0)
		return cmd_fail(cmd, "%s%s%s", path, daemon_fault_joint(text), text);
	else
		out_note(cmd_out(cmd), "good");
	return 0;
}

static int config_reload(struct cmd *cmd)
{
	struct daemon *d = cmd->ctx;

	if (daemon_reload(d, cmd->n_args > 0 ? cmd->args[0] : d->config_path) != 0)
		return cmd_fail(cmd, "%s", d->reload_error);
	out_note(cmd_out(cmd), "reloaded");
	return 0;
}

static const struct cmd_row rows[] = {
	{"config/check", "[FILE]", 0, 1, NULL, 0, config_check,
		"Read a config file (default: ours) and say what is wrong, plugins' settings too;\n"
		"nothing changes."},
	{"config/reload", "[FILE]", 0, 1, NULL, 0, config_reload,
		"Read the config file again and go over to it: all of it, or nothing."},
	{"config/show", "", 0, 0, NULL, 0, config_show_command,
		"Show the config in force, as YAML that loads to the same."},
};

CMD_NOUN(config, rows);
