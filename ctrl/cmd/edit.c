/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Adding and deleting one vport by command: the config in force is written out (config_show), one
 * entry of `vports:` is added or left out, and the result goes the way of any config file: every
 * check is made, and only the difference is applied (reload.c).
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ctrl/cmd/daemon.h"

#define SECTION "vports:"

/* One line of text, without its end; NULL when there is none left. */
static char *next_line(char **at)
{
	return *at && **at ? strsep(at, "\n") : NULL;
}

static size_t indent_of(const char *line)
{
	return strspn(line, " ");
}

/* Is this the first line of a list entry called `name`? */
static bool entry_is(const char *line, const char *name)
{
	char quoted[160], bare[160];
	const char *text = line + indent_of(line);

	snprintf(quoted, sizeof(quoted), "- name: \"%s\"", name);
	snprintf(bare, sizeof(bare), "- name: %s", name);
	return strcmp(text, quoted) == 0 || strcmp(text, bare) == 0;
}

static bool entry_starts(const char *line)
{
	return strncmp(line + indent_of(line), "- ", 2) == 0;
}

/* Copy the section's entries but the one called `name`; returns the first line behind the section.
 */
static char *copy_entries(FILE *out, char **at, const char *name, size_t *indent)
{
	bool skipping = false;
	char *line;

	*indent = 0;
	while ((line = next_line(at)) != NULL && *line == ' ') {
		if (*indent == 0)
			*indent = indent_of(line);
		if (indent_of(line) == *indent && entry_starts(line))
			skipping = name && entry_is(line, name);
		if (!skipping)
			fprintf(out, "%s\n", line);
	}
	return line;
}

/* The whole text with one vport more (its YAML in one line) or less (its name). */
static void edit_text(FILE *out, char *text, const char *add, const char *del)
{
	char *at = text, *line = next_line(&at);
	size_t indent;

	while (line) {
		if (strncmp(line, SECTION, strlen(SECTION)) != 0) {
			fprintf(out, "%s\n", line);
			line = next_line(&at);
			continue;
		}
		fprintf(out, SECTION "\n");
		line = copy_entries(out, &at, del, &indent);
		if (add)
			fprintf(out, "%*s- %s\n", indent ? (int)indent : 2, "", add);
	}
}

char *daemon_config_edited(const struct config *config, const char *add, const char *del)
{
	char *shown = NULL, *text = NULL;
	size_t len;
	FILE *file = open_memstream(&shown, &len);

	if (!file)
		return NULL;
	config_show(config, file);
	fclose(file);
	file = open_memstream(&text, &len);
	if (file) {
		edit_text(file, shown, add, del);
		fclose(file);
	}
	free(shown);
	return text;
}
