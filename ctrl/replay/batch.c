/* SPDX-License-Identifier: BSD-3-Clause */
#include "ctrl/replay/batch.h"

#include <stdlib.h>
#include <string.h>

#define TOO_LONG 2

struct line_of_command {
	char *argv[BATCH_ARGUMENTS_MAX + 1];
	int argc;
};

static void begin(struct line_of_command *command)
{
	static char program[] = "ferry-replay";

	while (command->argc > 1)
		free(command->argv[--command->argc]);
	*command = (struct line_of_command){.argv = {program}, .argc = 1};
}

static void carry_out(struct line_of_command *command, FILE *out, batch_fn *run, void *arg)
{
	/* What parses options moves and cuts the pointers it is given. */
	char *argv[BATCH_ARGUMENTS_MAX + 1];
	int code;

	memcpy(argv, command->argv, sizeof(argv));
	code = run(arg, command->argc, argv);
	fflush(stderr);
	fprintf(out, "= %d\n", code);
	fflush(out);
	begin(command);
}

int batch_run(FILE *in, FILE *out, batch_fn *run, void *arg)
{
	struct line_of_command command = {.argc = 0};
	char *line = NULL;
	size_t room = 0;
	ssize_t len;
	int code = 0;

	begin(&command);
	while (code == 0 && (len = getline(&line, &room, in)) >= 0) {
		line[strcspn(line, "\n")] = '\0';
		if (*line && command.argc == BATCH_ARGUMENTS_MAX)
			code = TOO_LONG;
		else if (*line)
			command.argv[command.argc++] = strdup(line);
		else if (command.argc > 1)
			carry_out(&command, out, run, arg);
	}
	if (code == 0 && command.argc > 1)
		carry_out(&command, out, run, arg);
	begin(&command);
	free(line);
	return code;
}
