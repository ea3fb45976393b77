/* SPDX-License-Identifier: BSD-3-Clause */
#include "test/fake/fake_value.h"

#include <assert.h>
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

struct reader {
	const char *at, *line_start;
	uint32_t line;
};

static void skip_blanks(struct reader *r)
{
	for (; isspace((unsigned char)*r->at); r->at++)
		if (*r->at == '\n') {
			r->line++;
			r->line_start = r->at + 1;
		}
}

/* Up to a delimiter; a colon ends a key only when a blank follows. */
static char *read_word(struct reader *r, bool key)
{
	const char *start = r->at, *end;

	while (*r->at && !strchr(",[]{}\n", *r->at) &&
		!(key && r->at[0] == ':' && isspace((unsigned char)r->at[1])))
		r->at++;
	for (end = r->at; end > start && isspace((unsigned char)end[-1]); end--)
		;
	return strndup(start, (size_t)(end - start));
}

static void read_value(struct reader *r, struct plugin_value *value);

static void read_entries(struct reader *r, struct plugin_value *value, char close)
{
	struct plugin_value *items = NULL;

	r->at++;
	for (skip_blanks(r); *r->at != close; skip_blanks(r)) {
		struct plugin_value *item;
		char *key = NULL;

		if (value->kind == PLUGIN_MAP) {
			key = read_word(r, true);
			assert(*r->at == ':');
			r->at++;
			skip_blanks(r);
		}
		items = realloc(items, (value->count + 1) * sizeof(*items));
		assert(items);
		item = &items[value->count++];
		read_value(r, item);
		item->key = key;
		skip_blanks(r);
		assert(*r->at == ',' || *r->at == close);
		if (*r->at == ',')
			r->at++;
	}
	r->at++;
	value->item = items;
}

static void read_value(struct reader *r, struct plugin_value *value)
{
	memset(value, 0, sizeof(*value));
	value->line = r->line;
	value->column = (uint32_t)(r->at - r->line_start) + 1;
	value->kind = *r->at == '{' ? PLUGIN_MAP : *r->at == '[' ? PLUGIN_LIST : PLUGIN_SCALAR;
	if (value->kind == PLUGIN_SCALAR)
		value->text = read_word(r, false);
	else
		read_entries(r, value, value->kind == PLUGIN_MAP ? '}' : ']');
}

struct plugin_value *fake_value(const char *text)
{
	struct reader r = {.at = text, .line_start = text, .line = 1};
	struct plugin_value *value = malloc(sizeof(*value));

	assert(value);
	skip_blanks(&r);
	read_value(&r, value);
	skip_blanks(&r);
	assert(*r.at == '\0');
	return value;
}

static void value_clear(struct plugin_value *value)
{
	for (uint32_t i = 0; i < value->count; i++)
		value_clear((struct plugin_value *)(uintptr_t)&value->item[i]);
	free((void *)(uintptr_t)value->item);
	free((void *)(uintptr_t)value->text);
	free((void *)(uintptr_t)value->key);
}

void fake_value_free(struct plugin_value *value)
{
	if (!value)
		return;
	value_clear(value);
	free(value);
}
