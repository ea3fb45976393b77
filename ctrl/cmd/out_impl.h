/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Between out.c, which callers see, and its two renderings. For these files only.
 */
#ifndef CTRL_CMD_OUT_IMPL_H
#define CTRL_CMD_OUT_IMPL_H

#include "ctrl/cmd/out.h"

#define OUT_DEPTH_MAX 16

struct evbuffer;

enum out_kind { OUT_OBJECT, OUT_LIST, OUT_TABLE, OUT_ROW };
enum out_value { OUT_STRING, OUT_NUMBER, OUT_WORD };

/* All return 0 or -ENOMEM and append to `to`. Nesting was checked: rows in tables only, values in
 * lists without a key. */
struct out_rendering {
	int (*create)(void **state);
	void (*destroy)(void *state);
	int (*begin)(void *state, struct evbuffer *to, enum out_kind kind, const char *key);
	int (*end)(void *state, struct evbuffer *to, enum out_kind kind);
	int (*value)(void *state, struct evbuffer *to, enum out_value kind, const char *key,
		const char *text);
	int (*note)(void *state, struct evbuffer *to, const char *text);
	int (*finish)(void *state, struct evbuffer *to);
};

extern const struct out_rendering out_rendering_text, out_rendering_json, out_rendering_line;

#endif
