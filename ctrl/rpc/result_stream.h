/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Reads one JSON-RPC answer piece by piece: the string that is its result is decoded and handed on
 * as it comes, the rest, which is small, is kept and parsed at the end. So a client needs no memory
 * for a dump of millions of lines.
 */
#ifndef CTRL_RPC_RESULT_STREAM_H
#define CTRL_RPC_RESULT_STREAM_H

#include <stdbool.h>
#include <stddef.h>

#include "ctrl/rpc/json_frame.h"
#include "ctrl/rpc/json_text.h"

struct evbuffer;

struct result_stream {
	struct json_frame frame;
	struct json_decoder decoder;
	struct evbuffer *rest; /* the answer with the result's string left out */
	char key[8]; /* begin of the last key of the outermost object */
	unsigned int n_key;
	bool in_key, after_colon, in_result;
};

/* 0 or -ENOMEM. */
int result_stream_init(struct result_stream *stream);
void result_stream_clear(struct result_stream *stream);

/* Appends what came of the result to `to`. 1: the answer is complete. 0: more is needed. -EPROTO,
 * -EMSGSIZE (what is not the result is too large), -ENOMEM. */
int result_stream_feed(
	struct result_stream *stream, const char *bytes, size_t len_bytes, struct evbuffer *to);

/* After 1: *error is NULL or the error's text, to be freed. 0, -EPROTO (no answer), -ENOMEM. */
int result_stream_end(struct result_stream *stream, char **error);

#endif
