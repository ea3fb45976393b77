/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The noun in this file: show what is in force, check a file, reload.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ctrl/cmd/daemon.h"
#include "ctrl/cmd/reload.h"

#define SHOW_SLICE_BYTES 65536

/* A config in force of megabytes, line by line as the client takes it. */
struct showing {
	char *text, *at;
};

static int show_step(struct cmd *cmd)
{
	struct showing *showing = cmd->state;
	size_t room = cmd_room(cmd), said = 0;
	char *line;

	while (said < room && said < SHOW_SLICE_BYTES &&
		(line = strsep(&showing->at, "\n")) != NULL) {
		if (*line || showing->at)
			out_note(cmd_out(cmd), "%s", line);
		said += strlen(line) + 1;
	}
	return showing->at ? CMD_MORE : 0;
}

static void show_end(struct cmd *cmd)
{
	struct showing *showing = cmd->state;

	free(showing->text);
	free(showing);
}

static int config_show_command(struct cmd *cmd)
{
	struct daemon *d = cmd->ctx;
	struct showing *showing = calloc(1, sizeof(*showing));
	size_t len;
	FILE *file = showing ? open_memstream(&showing->text, &len) : NULL;

	if (!file) {
		free(showing);
		return -ENOMEM;
	}
	config_show(d->config, file);
	fclose(file);
	showing->at = showing->text;
	cmd->state = showing;
	return cmd_stream(cmd, show_step, show_end);
}

static int config_ask(struct cmd *cmd, enum reload_kind kind)
{
	struct daemon *d = cmd->ctx;

	return reloader_ask(
		d->reloader, kind, cmd->n_args > 0 ? cmd->args[0] : d->config_path, cmd);
}

static int config_check(struct cmd *cmd)
{
	return config_ask(cmd, RELOAD_CHECK);
}

static int config_reload(struct cmd *cmd)
{
	return config_ask(cmd, RELOAD_FILE);
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
