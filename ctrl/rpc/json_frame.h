/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Finds the end of a JSON object in a stream that has no framing, a byte at a time, and refuses
 * what is too large or cannot be JSON before anything is built from it. It counts brackets and
 * strings; the parser (jansson) judges the rest once the object is complete.
 *
 * Pure: no memory, no clock. One frame per stream; zeroed is the start of a message.
 */
#ifndef CTRL_RPC_JSON_FRAME_H
#define CTRL_RPC_JSON_FRAME_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define JSON_FRAME_DEPTH_MAX 64

struct json_frame_limits {
	size_t message_bytes, string_bytes;
	unsigned int depth; /* <= JSON_FRAME_DEPTH_MAX */
	unsigned int values;
};

struct json_frame {
	size_t message_bytes; /* taken since the first bracket */
	size_t string_bytes;
	uint64_t arrays; /* bit d: the bracket at depth d is '[' */
	unsigned int depth, values;
	bool in_string, escaped;
};

/*
 * Takes bytes up to the end of the object or all of them, and stores how many. 1: complete, the
 * frame is at its start again. 0: more is needed. -EPROTO: not JSON; -EMSGSIZE: message or string
 * too long; -ELOOP: too deep; -E2BIG: too many values. After an error the stream is lost.
 */
int json_frame_feed(struct json_frame *frame, const struct json_frame_limits *limits,
	const char *text, size_t len_bytes, size_t *used_bytes);

/* True between the first byte of a message and its last. */
static inline bool json_frame_started(const struct json_frame *frame)
{
	return frame->message_bytes > 0;
}

#endif
