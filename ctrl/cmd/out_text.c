/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Output as text. Nothing is aligned before it is known how wide it is: the fields of an object are
 * kept until the object ends or something nested begins, the rows of a table until there are
 * WIDTH_ROWS of them, or WIDTH_BYTES. From then on the table's widths stand and rows go straight
 * out.
 *
 * Kept text lies NUL-terminated in one piece of memory and is named by its offset.
 */
#include <assert.h>
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <event2/buffer.h>

#include "ctrl/cmd/out_impl.h"

#define WIDTH_ROWS 256
#define WIDTH_BYTES (64 * 1024)
#define COLUMNS_MAX 64
#define NONE SIZE_MAX /* a field the row left out */

struct column {
	char *key;
	unsigned int width;
	bool number;
};

struct text {
	char *bytes; /* kept text */
	size_t used_bytes, size_bytes;

	size_t *fields; /* key, value, key, value ... of an object; or the cells of kept rows */
	size_t n_fields, size_fields;

	bool some; /* something was printed */
	unsigned int depth; /* of objects around, for the indentation */

	bool in_table, in_row, named, fixed;
	struct column columns[COLUMNS_MAX];
	size_t n_columns, n_rows; /* n_rows: kept */
	size_t row[COLUMNS_MAX];
	size_t next; /* the column the next field of the row is looked for from */

	char prefix[128]; /* "object." around a field of a row */
	bool in_list;
	char *list_key;
	size_t list_at; /* kept text of the list so far, NONE: empty */
};

/* --- kept text --- */

static int reserve(struct text *text, size_t len_bytes)
{
	size_t size_bytes = text->size_bytes ? text->size_bytes : 4096;
	char *bytes;

	while (size_bytes - text->used_bytes < len_bytes)
		size_bytes *= 2;
	if (size_bytes == text->size_bytes)
		return 0;
	bytes = realloc(text->bytes, size_bytes);
	if (!bytes)
		return -ENOMEM;
	text->bytes = bytes;
	text->size_bytes = size_bytes;
	return 0;
}

/* Keeps it with control characters replaced. */
static int keep(struct text *text, const char *what, size_t *at)
{
	size_t len_bytes = strlen(what);
	char *copy;

	if (reserve(text, len_bytes + 1) < 0)
		return -ENOMEM;
	*at = text->used_bytes;
	copy = text->bytes + text->used_bytes;
	for (size_t i = 0; i < len_bytes; i++)
		copy[i] = iscntrl((unsigned char)what[i]) ? '?' : what[i];
	copy[len_bytes] = '\0';
	text->used_bytes += len_bytes + 1;
	return 0;
}

static int fields_add(struct text *text, const size_t *fields, size_t n)
{
	size_t size = text->size_fields ? text->size_fields : 64;
	size_t *grown;

	while (size - text->n_fields < n)
		size *= 2;
	if (size != text->size_fields) {
		grown = realloc(text->fields, size * sizeof(*grown));
		if (!grown)
			return -ENOMEM;
		text->fields = grown;
		text->size_fields = size;
	}
	memcpy(text->fields + text->n_fields, fields, n * sizeof(*fields));
	text->n_fields += n;
	return 0;
}

static void forget_kept(struct text *text)
{
	text->used_bytes = 0;
	text->n_fields = 0;
	text->n_rows = 0;
}

/* Characters, taking each UTF-8 sequence for one. */
static unsigned int width_of(const char *what)
{
	unsigned int width = 0;

	for (; *what; what++)
		width += ((unsigned char)*what & 0xc0) != 0x80;
	return width;
}

/* --- printing --- */

static int print_padded(struct evbuffer *to, const char *what, unsigned int width, bool right)
{
	unsigned int taken = width_of(what);
	int pad = taken < width ? (int)(width - taken) : 0;
	int ret = right ? evbuffer_add_printf(to, "%*s%s", pad, "", what)
			: evbuffer_add_printf(to, "%s%*s", what, pad, "");

	return ret < 0 ? -ENOMEM : 0;
}

static int print_indent(struct text *text, struct evbuffer *to)
{
	text->some = true;
	return evbuffer_add_printf(to, "%*s", (int)(2 * text->depth), "") < 0 ? -ENOMEM : 0;
}

static int print_fields(struct text *text, struct evbuffer *to)
{
	unsigned int width = 0, w;

	for (size_t i = 0; i < text->n_fields; i += 2) {
		w = width_of(text->bytes + text->fields[i]);
		width = w > width ? w : width;
	}
	for (size_t i = 0; i < text->n_fields; i += 2) {
		if (print_indent(text, to) < 0 ||
			print_padded(to, text->bytes + text->fields[i], width + 2, false) < 0 ||
			evbuffer_add_printf(to, "%s\n", text->bytes + text->fields[i + 1]) < 0)
			return -ENOMEM;
	}
	forget_kept(text);
	return 0;
}

/* One line of a table; the last column gets no blanks behind it. */
static int print_cells(struct text *text, struct evbuffer *to, const size_t *cells)
{
	if (print_indent(text, to) < 0)
		return -ENOMEM;
	for (size_t i = 0; i < text->n_columns; i++) {
		const struct column *column = &text->columns[i];
		const char *what = cells[i] == NONE ? "-" : text->bytes + cells[i];
		bool last = i + 1 == text->n_columns;

		if (print_padded(to, what, last && !column->number ? 0 : column->width,
			    column->number) < 0)
			return -ENOMEM;
		if (!last && evbuffer_add(to, "  ", 2) != 0)
			return -ENOMEM;
	}
	return evbuffer_add(to, "\n", 1) == 0 ? 0 : -ENOMEM;
}

static int print_heads(struct text *text, struct evbuffer *to)
{
	size_t heads[COLUMNS_MAX];
	int ret = 0;

	for (size_t i = 0; i < text->n_columns && ret == 0; i++)
		ret = keep(text, text->columns[i].key, &heads[i]);
	for (size_t i = 0; i < text->n_columns && ret == 0; i++)
		for (char *c = text->bytes + heads[i]; *c; c++)
			*c = (char)toupper((unsigned char)*c);
	return ret == 0 ? print_cells(text, to, heads) : ret;
}

/* The widths are known now, or as well as they ever will be. */
static int print_rows(struct text *text, struct evbuffer *to)
{
	int ret = 0;

	if (!text->fixed) {
		for (size_t i = 0; i < text->n_columns; i++) {
			struct column *column = &text->columns[i];
			unsigned int w = width_of(column->key);

			column->width = w > column->width ? w : column->width;
		}
		ret = print_heads(text, to);
	}
	text->fixed = true;
	for (size_t i = 0; i < text->n_rows && ret == 0; i++)
		ret = print_cells(text, to, text->fields + i * text->n_columns);
	forget_kept(text);
	return ret;
}

/* --- tables --- */

static int table_begin(struct text *text, struct evbuffer *to, const char *key)
{
	if (text->some || text->depth) {
		if (print_indent(text, to) < 0 || evbuffer_add_printf(to, "%s:\n", key) < 0)
			return -ENOMEM;
		text->depth++;
		text->named = true;
	}
	text->in_table = true;
	text->fixed = false;
	return 0;
}

static void columns_forget(struct text *text)
{
	for (size_t i = 0; i < text->n_columns; i++)
		free(text->columns[i].key);
	memset(text->columns, 0, sizeof(text->columns));
	text->n_columns = 0;
}

static int table_end(struct text *text, struct evbuffer *to)
{
	int ret = 0;

	if (text->n_columns == 0) {
		ret = print_indent(text, to);
		if (ret == 0 && evbuffer_add_printf(to, "(none)\n") < 0)
			ret = -ENOMEM;
	} else if (text->n_rows > 0) {
		ret = print_rows(text, to);
	}
	columns_forget(text);
	if (text->named)
		text->depth--;
	text->named = false;
	text->in_table = false;
	return ret;
}

static bool is_first_row(const struct text *text)
{
	return !text->fixed && text->n_rows == 0;
}

/* The column of this key: made by the first row, looked up by the others. */
static int column_find(struct text *text, const char *key, size_t *found)
{
	size_t i = text->next;

	if (is_first_row(text)) {
		assert(text->n_columns < COLUMNS_MAX);
		text->columns[i].key = strdup(key);
		if (!text->columns[i].key)
			return -ENOMEM;
		text->n_columns++;
	} else {
		while (i < text->n_columns && strcmp(text->columns[i].key, key) != 0)
			i++;
		/* A later row with a field the first had not, or in another order. */
		assert(i < text->n_columns);
	}
	text->next = i + 1;
	*found = i;
	return 0;
}

static int cell_add(struct text *text, const char *key, const char *what, bool number)
{
	char full[256];
	unsigned int width;
	size_t i;

	snprintf(full, sizeof(full), "%s%s", text->prefix, key);
	if (column_find(text, full, &i) < 0)
		return -ENOMEM;
	if (i >= text->n_columns)
		return 0;
	if (keep(text, what, &text->row[i]) < 0)
		return -ENOMEM;
	width = width_of(what);
	if (!text->fixed && width > text->columns[i].width)
		text->columns[i].width = width;
	if (!text->fixed && number)
		text->columns[i].number = true;
	return 0;
}

static int row_end(struct text *text, struct evbuffer *to)
{
	int ret;

	text->in_row = false;
	if (text->n_columns == 0)
		return 0;
	if (text->fixed) {
		ret = print_cells(text, to, text->row);
		forget_kept(text);
		return ret;
	}
	ret = fields_add(text, text->row, text->n_columns);
	if (ret < 0)
		return ret;
	text->n_rows++;
	if (text->n_rows < WIDTH_ROWS && text->used_bytes < WIDTH_BYTES)
		return 0;
	return print_rows(text, to);
}

static void row_begin(struct text *text)
{
	text->in_row = true;
	text->next = 0;
	for (size_t i = 0; i < COLUMNS_MAX; i++)
		text->row[i] = NONE;
}

/* --- fields, lists and objects --- */

static int field_add(struct text *text, const char *key, const char *what, bool number)
{
	size_t field[2];

	if (text->in_row)
		return cell_add(text, key, what, number);
	if (keep(text, key, &field[0]) < 0 || keep(text, what, &field[1]) < 0)
		return -ENOMEM;
	return fields_add(text, field, 2);
}

/* A list grows at the end of the kept text, so nothing else is kept between its items. */
static int list_item(struct text *text, const char *what)
{
	size_t at;

	if (text->list_at == NONE)
		return keep(text, what, &text->list_at);
	text->used_bytes--; /* the NUL of what is there */
	if (keep(text, text->in_row ? "," : ", ", &at) < 0)
		return -ENOMEM;
	text->used_bytes--;
	return keep(text, what, &at);
}

static int list_end(struct text *text)
{
	char *what = strdup(text->list_at == NONE ? "-" : text->bytes + text->list_at);
	int ret;

	if (!what)
		return -ENOMEM;
	if (text->list_at != NONE)
		text->used_bytes = text->list_at;
	text->in_list = false;
	ret = field_add(text, text->list_key, what, false);
	free(what);
	free(text->list_key);
	text->list_key = NULL;
	return ret;
}

static int object_begin(struct text *text, struct evbuffer *to, const char *key)
{
	size_t len_bytes = strlen(text->prefix);

	if (text->in_row) {
		assert(len_bytes + strlen(key) + 2 <= sizeof(text->prefix));
		snprintf(text->prefix + len_bytes, sizeof(text->prefix) - len_bytes, "%s.", key);
		return 0;
	}
	if (print_indent(text, to) < 0 || evbuffer_add_printf(to, "%s:\n", key) < 0)
		return -ENOMEM;
	text->depth++;
	return 0;
}

static int object_end(struct text *text, struct evbuffer *to)
{
	char *dot;
	int ret;

	if (text->in_row) {
		text->prefix[strlen(text->prefix) - 1] = '\0';
		dot = strrchr(text->prefix, '.');
		*(dot ? dot + 1 : text->prefix) = '\0';
		return 0;
	}
	ret = print_fields(text, to);
	text->depth--;
	return ret;
}

static int text_begin(void *state, struct evbuffer *to, enum out_kind kind, const char *key)
{
	struct text *text = state;

	if (kind == OUT_ROW) {
		row_begin(text);
		return 0;
	}
	if (kind == OUT_LIST) {
		text->in_list = true;
		text->list_at = NONE;
		text->list_key = strdup(key);
		return text->list_key ? 0 : -ENOMEM;
	}
	if (!text->in_row && print_fields(text, to) < 0)
		return -ENOMEM;
	return kind == OUT_TABLE ? table_begin(text, to, key) : object_begin(text, to, key);
}

static int text_end(void *state, struct evbuffer *to, enum out_kind kind)
{
	switch (kind) {
	case OUT_ROW:
		return row_end(state, to);
	case OUT_LIST:
		return list_end(state);
	case OUT_TABLE:
		return table_end(state, to);
	default:
		return object_end(state, to);
	}
}

static int text_value(
	void *state, struct evbuffer *to, enum out_value kind, const char *key, const char *what)
{
	struct text *text = state;

	if (text->in_list)
		return list_item(text, what);
	return field_add(text, key, what, kind == OUT_NUMBER);
}

static int text_note(void *state, struct evbuffer *to, const char *what)
{
	struct text *text = state;

	if (text->in_table)
		return 0;
	if (print_fields(text, to) < 0 || print_indent(text, to) < 0)
		return -ENOMEM;
	return evbuffer_add_printf(to, "%s\n", what) < 0 ? -ENOMEM : 0;
}

static int text_finish(void *state, struct evbuffer *to)
{
	return print_fields(state, to);
}

static int text_create(void **state)
{
	*state = calloc(1, sizeof(struct text));
	return *state ? 0 : -ENOMEM;
}

static void text_destroy(void *state)
{
	struct text *text = state;

	columns_forget(text);
	free(text->list_key);
	free(text->bytes);
	free(text->fields);
	free(text);
}

const struct out_rendering out_rendering_text = {
	.create = text_create,
	.destroy = text_destroy,
	.begin = text_begin,
	.end = text_end,
	.value = text_value,
	.note = text_note,
	.finish = text_finish,
};
