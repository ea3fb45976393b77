/* SPDX-License-Identifier: BSD-3-Clause */
/* The options table as a page for people. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "config/value.h"

static const char introduction[] =
	"<!-- SPDX-License-Identifier: BSD-3-Clause -->\n"
	"<!-- Made by `ninja config-reference` from the options table: edit config/options_*.c. "
	"-->\n"
	"# Reference of ferry.yaml\n"
	"\n"
	"%s\n"
	"Everything has a default except what is marked *required*. An unknown key, a key given "
	"twice,\n"
	"a wrong type, a value out of range and a name that leads nowhere are errors\n"
	"(`FILE:LINE:COLUMN: KEY: expected ..., found ...`); nothing is guessed.\n"
	"\n"
	"- **Sizes** are bytes, or end in `K`, `M`, `G` (powers of 1024). **Durations** are "
	"seconds, or\n"
	"  end in `ms`, `s`, `m`, `h`, `d`. **Masks** and **file modes** are written as `0x1f` "
	"and\n"
	"  `0660`.\n"
	"- A **list** of plain values may be given as one value: `ips: 10.0.0.5`.\n"
	"- Ferry reads values as they are written: `52:54:00:12:34:56` and `22:23` need no quotes "
	"here.\n"
	"  Put them in quotes all the same when other tools touch the file; YAML 1.1 turns them "
	"into\n"
	"  numbers.\n"
	"- Limits: %u MiB per file, %u levels, %u values, keys of %u and values of %u bytes. "
	"Anchors,\n"
	"  aliases, tags and second documents are refused.\n"
	"\n"
	"The last column says what a reload does with a change: **live** applies it at once,\n"
	"**recreate** takes the object down and makes it again, **restart** needs a restart of "
	"the\n"
	"program.\n";

static const char *const effects[] = {"live", "recreate", "restart"};

static void put_type(FILE *out, const struct config_option *option)
{
	fputs(option->list ? "list of " : "", out);
	if (option->type == CONFIG_TYPE_TREE) {
		fputs("map", out);
		return;
	}
	if (option->type != CONFIG_TYPE_CHOICE) {
		fputs(config_value_type(option->type)->name, out);
		return;
	}
	for (unsigned i = 0; option->words[i] != NULL; i++)
		fprintf(out, "%s`%s`", i == 0 ? "" : ", ", option->words[i]);
}

static void put_number(FILE *out, const struct config_option *option, int64_t number)
{
	char text[CONFIG_VALUE_TEXT_MAX];
	uint64_t value = number;

	if (option->type == CONFIG_TYPE_SIZE || option->type == CONFIG_TYPE_DURATION)
		fputs(config_value_show(option, &value, text), out);
	else
		fprintf(out, "%" PRId64, number);
}

static void put_range(FILE *out, const struct config_option *option)
{
	bool number = option->type == CONFIG_TYPE_UINT || option->type == CONFIG_TYPE_INT ||
		      option->type == CONFIG_TYPE_LONG || option->type == CONFIG_TYPE_SIZE ||
		      option->type == CONFIG_TYPE_DURATION || option->type == CONFIG_TYPE_RANGE;

	if (number) {
		put_number(out, option, option->min);
		fputs(" to ", out);
		put_number(out, option, option->max);
	}
	if (number && option->unit != NULL && option->type != CONFIG_TYPE_SIZE)
		fprintf(out, " %s", option->unit);
	if (option->entries_max != 0)
		fprintf(out, "%sat most %u", number ? "; " : "", option->entries_max);
}

static void put_row(FILE *out, const struct config_option *option)
{
	fprintf(out, "| `%s` | ", option->key);
	put_type(out, option);
	fputs(" | ", out);
	put_range(out, option);
	fputs(" | ", out);
	if (option->required)
		fputs("*required*", out);
	else if (option->fallback != NULL)
		fprintf(out, "`%s`", option->fallback);
	fprintf(out, " | %s | %s |\n", option->help, effects[option->effect]);
}

static void put_section(FILE *out, const struct config_option *option, const char *path)
{
	const struct config_section *section = option->section;
	char inner[128];
	bool any = false;

	fprintf(out, "\n## %s\n\n%s", path, section->help);
	if (option->list)
		fputs(" A list of maps", out);
	if (option->list && option->entries_max != 0)
		fprintf(out, ", at most %u", option->entries_max);
	fputs(option->list ? ".\n" : "\n", out);
	for (unsigned i = 0; i < section->n_options; i++) {
		if (section->options[i].type == CONFIG_TYPE_SECTION)
			continue;
		if (!any)
			fputs("\n| key | type | range | default | meaning | reload |\n"
			      "|---|---|---|---|---|---|\n",
				out);
		any = true;
		put_row(out, &section->options[i]);
	}
	for (unsigned i = 0; i < section->n_options; i++) {
		const struct config_option *nested = &section->options[i];

		if (nested->type != CONFIG_TYPE_SECTION)
			continue;
		snprintf(inner, sizeof(inner), "%s.%s%s", path, nested->key,
			nested->list ? "[]" : "");
		put_section(out, nested, inner);
	}
}

int config_reference(FILE *out)
{
	const struct config_section *root = &config_section_root;

	fprintf(out, introduction, root->help, CONFIG_FILE_BYTES_MAX >> 20, CONFIG_DEPTH_MAX,
		CONFIG_VALUES_MAX, CONFIG_KEY_BYTES_MAX, CONFIG_SCALAR_BYTES_MAX);
	for (unsigned i = 0; i < root->n_options; i++) {
		char path[64];

		snprintf(path, sizeof(path), "%s%s", root->options[i].key,
			root->options[i].list ? "[]" : "");
		put_section(out, &root->options[i], path);
	}
	return fflush(out) == 0 && !ferror(out) ? 0 : -EIO;
}
