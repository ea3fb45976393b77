/* SPDX-License-Identifier: BSD-3-Clause */
/* Output as one line, "key=value key=value": what is none is left out; a value with blanks stands
 * in quotes. For answers that come bit by bit, where nothing can be aligned. */
#include <assert.h>
#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <event2/buffer.h>

#include "ctrl/cmd/out_impl.h"

struct line {
	bool some;
};

static int line_create(void **state)
{
	*state = calloc(1, sizeof(struct line));
	return *state ? 0 : -ENOMEM;
}

static int line_begin(void *state, struct evbuffer *to, enum out_kind kind, const char *key)
{
	assert(!"a line has values only");
	return -EINVAL;
}

static int line_end(void *state, struct evbuffer *to, enum out_kind kind)
{
	return 0;
}

static bool is_plain(const char *text)
{
	for (; *text; text++)
		if (isspace((unsigned char)*text) || iscntrl((unsigned char)*text) || *text == '"')
			return false;
	return true;
}

static int put_quoted(struct evbuffer *to, const char *text)
{
	for (; *text; text++) {
		char c = iscntrl((unsigned char)*text) ? '?' : *text;

		if ((c == '"' || c == '\\') && evbuffer_add(to, "\\", 1) != 0)
			return -ENOMEM;
		if (evbuffer_add(to, &c, 1) != 0)
			return -ENOMEM;
	}
	return 0;
}

static int line_value(
	void *state, struct evbuffer *to, enum out_value kind, const char *key, const char *text)
{
	struct line *line = state;
	int ret;

	if (kind == OUT_WORD && strcmp(text, "-") == 0)
		return 0;
	if (evbuffer_add_printf(to, "%s%s=", line->some ? " " : "", key) < 0)
		return -ENOMEM;
	line->some = true;
	if (*text && is_plain(text))
		return evbuffer_add(to, text, strlen(text)) == 0 ? 0 : -ENOMEM;
	ret = evbuffer_add(to, "\"", 1) == 0 ? put_quoted(to, text) : -ENOMEM;
	return ret == 0 && evbuffer_add(to, "\"", 1) == 0 ? 0 : -ENOMEM;
}

static int line_note(void *state, struct evbuffer *to, const char *text)
{
	return 0;
}

static int line_finish(void *state, struct evbuffer *to)
{
	return evbuffer_add(to, "\n", 1) == 0 ? 0 : -ENOMEM;
}

const struct out_rendering out_rendering_line = {
	.create = line_create,
	.destroy = free,
	.begin = line_begin,
	.end = line_end,
	.value = line_value,
	.note = line_note,
	.finish = line_finish,
};
