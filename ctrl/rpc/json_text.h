/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The inside of a JSON string, in pieces: any bytes become valid JSON text, and back.
 *
 * Pure; the state is what a piece leaves over for the next (a cut UTF-8 sequence, a cut escape).
 * Zeroed is the start of a string. Used by the server's streamed results, by the JSON output of
 * commands and by the client.
 */
#ifndef CTRL_RPC_JSON_TEXT_H
#define CTRL_RPC_JSON_TEXT_H

#include <stddef.h>
#include <stdint.h>

struct evbuffer;

struct json_encoder {
	unsigned char held[4]; /* begin of a UTF-8 sequence */
	unsigned int n_held;
};

/* Appends the escaped form to `to`. What is not UTF-8, and NUL, which OVS refuses in strings,
 * becomes U+FFFD. 0 or -ENOMEM. */
int json_encode(
	struct json_encoder *encoder, const char *text, size_t len_bytes, struct evbuffer *to);

/* The string ends: a held piece of a sequence is closed as U+FFFD. */
int json_encode_end(struct json_encoder *encoder, struct evbuffer *to);

struct json_decoder {
	unsigned char held[12]; /* begin of an escape: at most two \uXXXX */
	unsigned int n_held;
};

/* Appends the decoded bytes to `to`, up to the closing quote. 1: the quote was taken, 0: more is
 * needed; *used_bytes says how far. -EPROTO: bad escape or control character; -ENOMEM. */
int json_decode(struct json_decoder *decoder, const char *text, size_t len_bytes,
	struct evbuffer *to, size_t *used_bytes);

#endif
