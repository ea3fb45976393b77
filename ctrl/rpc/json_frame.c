/* SPDX-License-Identifier: BSD-3-Clause */
#include "ctrl/rpc/json_frame.h"

#include <errno.h>
#include <string.h>

static bool is_space(unsigned char c)
{
	return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

static int feed_string(
	struct json_frame *frame, const struct json_frame_limits *limits, unsigned char c)
{
	if (c < 0x20)
		return -EPROTO;
	if (++frame->string_bytes > limits->string_bytes + 1) /* the closing quote is free */
		return -EMSGSIZE;
	if (frame->escaped)
		frame->escaped = false;
	else if (c == '\\')
		frame->escaped = true;
	else if (c == '"')
		frame->in_string = false;
	return 0;
}

static int open_bracket(
	struct json_frame *frame, const struct json_frame_limits *limits, bool array)
{
	if (frame->depth == limits->depth || frame->depth == JSON_FRAME_DEPTH_MAX)
		return -ELOOP;
	if (array)
		frame->arrays |= UINT64_C(1) << frame->depth;
	else
		frame->arrays &= ~(UINT64_C(1) << frame->depth);
	frame->depth++;
	return ++frame->values > limits->values ? -E2BIG : 0;
}

static int close_bracket(struct json_frame *frame, bool array)
{
	frame->depth--;
	if ((frame->arrays >> frame->depth & 1) != array)
		return -EPROTO;
	return frame->depth == 0;
}

static int feed_plain(
	struct json_frame *frame, const struct json_frame_limits *limits, unsigned char c)
{
	switch (c) {
	case '"':
		frame->in_string = true;
		frame->string_bytes = 0;
		return 0;
	case '{':
	case '[':
		return open_bracket(frame, limits, c == '[');
	case '}':
	case ']':
		return close_bracket(frame, c == ']');
	case ',':
		return ++frame->values > limits->values ? -E2BIG : 0;
	}
	/* Numbers, words and colons; anything else cannot stand outside a string. */
	return is_space(c) || (c > 0x20 && c < 0x7f) ? 0 : -EPROTO;
}

int json_frame_feed(struct json_frame *frame, const struct json_frame_limits *limits,
	const char *text, size_t len_bytes, size_t *used_bytes)
{
	int ret = 0;
	size_t i;

	for (i = 0; i < len_bytes && ret == 0; i++) {
		unsigned char c = (unsigned char)text[i];

		if (frame->depth == 0) {
			if (is_space(c))
				continue;
			if (c != '{')
				return -EPROTO;
		}
		if (++frame->message_bytes > limits->message_bytes)
			return -EMSGSIZE;
		ret = frame->in_string ? feed_string(frame, limits, c)
				       : feed_plain(frame, limits, c);
	}
	if (ret < 0)
		return ret;
	*used_bytes = i;
	if (ret == 1)
		memset(frame, 0, sizeof(*frame));
	return ret;
}
