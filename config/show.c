/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A config as YAML, with every default. Whatever is not a number, a word of ours or true/false
 * stands in quotes and is plain ASCII, so that a tool with other rules (YAML 1.1) reads the same
 * text.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "config/value.h"

static void show_indent(FILE *out, unsigned depth)
{
	fprintf(out, "%*s", (int)depth * 2, "");
}

/* One character of valid UTF-8; returns the next one. */
static const char *show_character(FILE *out, const char *text)
{
	unsigned char c = *text++;
	uint32_t code;
	unsigned more;

	if (c == '"' || c == '\\')
		fprintf(out, "\\%c", c);
	else if (c >= 0x20 && c < 0x7f)
		fputc(c, out);
	else if (c < 0x80)
		fprintf(out, "\\x%02x", c);
	if (c < 0x80)
		return text;
	more = c >= 0xf0 ? 3 : c >= 0xe0 ? 2 : 1;
	code = c & (0x3f >> more);
	for (; more > 0 && (*text & 0xc0) == 0x80; more--)
		code = code << 6 | (*text++ & 0x3f);
	fprintf(out, code > 0xffff ? "\\U%08x" : "\\u%04x", code);
	return text;
}

static void show_quoted(FILE *out, const char *text)
{
	fputc('"', out);
	while (*text != '\0')
		text = show_character(out, text);
	fputc('"', out);
}

static bool text_is_bare(const char *text)
{
	uint64_t number;

	return strcmp(text, "true") == 0 || strcmp(text, "false") == 0 ||
	       config_digits(text, INT64_MAX, &number) == 0;
}

static void show_tree_entries(FILE *out, const struct config_tree *tree, unsigned depth);

/* After "key:" or "-". */
static void show_tree(FILE *out, const struct config_tree *tree, unsigned depth)
{
	if (tree->kind != CONFIG_SCALAR && tree->count != 0) {
		fputc('\n', out);
		show_tree_entries(out, tree, depth + 1);
		return;
	}
	fputc(' ', out);
	if (tree->kind != CONFIG_SCALAR)
		fputs(tree->kind == CONFIG_MAP ? "{}" : "[]", out);
	else if (config_tree_is_null(tree))
		fputs("null", out);
	else if (!tree->quoted && text_is_bare(tree->text))
		fputs(tree->text, out);
	else
		show_quoted(out, tree->text);
	fputc('\n', out);
}

static void show_tree_entries(FILE *out, const struct config_tree *tree, unsigned depth)
{
	CONFIG_TREE_FOREACH(entry, tree)
	{
		show_indent(out, depth);
		if (entry->key != NULL) {
			show_quoted(out, entry->key);
			fputc(':', out);
		} else {
			fputc('-', out);
		}
		show_tree(out, entry, depth);
	}
}

static void show_value(FILE *out, const struct config_option *option, const void *value)
{
	char buffer[CONFIG_VALUE_TEXT_MAX];
	const char *text = config_value_show(option, value, buffer);

	if (config_value_type(option->type)->bare)
		fputs(text, out);
	else
		show_quoted(out, text);
}

/* How sections are written. */
struct show {
	FILE *out;
	bool brief; /* without what is so anyway */
};

static void show_section(const struct show *show, const struct config_section *section,
	const void *base, unsigned depth, bool dash);

static void show_sections(const struct show *show, const struct config_option *option,
	const void *base, unsigned depth)
{
	uint32_t count;
	const char *entries = config_entries(option, base, &count);

	for (uint32_t i = 0; i < count; i++) {
		const char *entry = entries + (size_t)i * option->size;

		show_section(show, option->section, entry, depth + 1, true);
	}
}

static void show_list(const struct show *show, const struct config_option *option, const void *base,
	unsigned depth)
{
	FILE *out = show->out;
	uint32_t count;
	const char *entries = config_entries(option, base, &count);

	fprintf(out, "%s:", option->key);
	if (count == 0)
		fputs(" []\n", out);
	else if (option->type == CONFIG_TYPE_SECTION) {
		fputc('\n', out);
		show_sections(show, option, base, depth + 1);
	} else {
		for (uint32_t i = 0; i < count; i++) {
			fputs(i == 0 ? " [" : ", ", out);
			show_value(out, option, entries + (size_t)i * option->size);
		}
		fputs("]\n", out);
	}
}

static bool option_is_unset(const struct config_option *option, const void *base)
{
	if (option->list || option->type == CONFIG_TYPE_SECTION || option->required)
		return false;
	if (option->given_offset != 0)
		return !*(const bool *)((const char *)base + option->given_offset);
	return option->fallback == NULL &&
	       config_value_is_unset(option, config_field(option, base));
}

static bool section_is_default(const struct config_section *section, const void *base);

/* Left out, it loads to the same. */
static bool option_is_default(const struct config_option *option, const void *base)
{
	char buffer[CONFIG_VALUE_TEXT_MAX];
	uint32_t count;

	if (option->required)
		return false;
	if (option->list) {
		config_entries(option, base, &count);
		return count == 0;
	}
	if (option->type == CONFIG_TYPE_SECTION)
		return section_is_default(option->section, config_field(option, base));
	return option->fallback && option->given_offset == 0 &&
	       strcmp(option->fallback,
		       config_value_show(option, config_field(option, base), buffer)) == 0;
}

static bool section_is_default(const struct config_section *section, const void *base)
{
	for (unsigned i = 0; i < section->n_options; i++)
		if (!option_is_unset(&section->options[i], base) &&
			!option_is_default(&section->options[i], base))
			return false;
	return true;
}

static void show_option(const struct show *show, const struct config_option *option,
	const void *base, unsigned depth)
{
	FILE *out = show->out;

	if (option->list) {
		show_list(show, option, base, depth);
		return;
	}
	fprintf(out, "%s:", option->key);
	if (option->type == CONFIG_TYPE_SECTION) {
		fputc('\n', out);
		show_section(show, option->section, config_field(option, base), depth + 1, false);
	} else if (option->type == CONFIG_TYPE_TREE) {
		show_tree(out, *(const struct config_tree **)config_field(option, base), depth);
	} else {
		fputc(' ', out);
		show_value(out, option, config_field(option, base));
		fputc('\n', out);
	}
}

/* An empty list of the file itself may mean another thing than none (`plugins`). */
static bool option_goes_unsaid(const struct show *show, const struct config_section *section,
	const struct config_option *option, const void *base)
{
	if (option_is_unset(option, base))
		return true;
	if (!show->brief || (option->list && section == &config_section_root))
		return false;
	return option_is_default(option, base);
}

/* With `dash` it is an entry of a list, whose first option stands behind the dash. */
static void show_section(const struct show *show, const struct config_section *section,
	const void *base, unsigned depth, bool dash)
{
	for (unsigned i = 0; i < section->n_options; i++) {
		if (option_goes_unsaid(show, section, &section->options[i], base))
			continue;
		show_indent(show->out, dash ? depth - 1 : depth);
		fputs(dash ? "- " : "", show->out);
		dash = false;
		show_option(show, &section->options[i], base, depth);
	}
}

static int show_all(const struct config *config, FILE *out, bool brief)
{
	const struct show show = {.out = out, .brief = brief};

	show_section(&show, &config_section_root, config, 0, false);
	return fflush(out) == 0 && !ferror(out) ? 0 : -EIO;
}

int config_show(const struct config *config, FILE *out)
{
	return show_all(config, out, false);
}

int config_show_brief(const struct config *config, FILE *out)
{
	return show_all(config, out, true);
}
