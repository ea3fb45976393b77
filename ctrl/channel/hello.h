/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The first frame each way. Encoding only: whether what it says is acceptable is decided in open.c.
 * README.md has the layout.
 */
#ifndef CTRL_CHANNEL_HELLO_H
#define CTRL_CHANNEL_HELLO_H

#include "ctrl/channel/channel.h"

/* Until both hellos are read no frame may be longer. */
#define HELLO_MAX_BYTES 4096

enum { FRAME_TYPE_HELLO = 1, FRAME_TYPE_REFUSE = 2, FRAME_TYPE_BYE = 3 };

struct hello {
	struct channel_hello said;
	/* The sequence the other end must begin with after its hello. Chosen anew by each receiver,
	 * so that a recorded stream fits no later connection, TLS or not. */
	uint64_t first_sequence;
};

/* The bytes written into out, which has room for HELLO_MAX_BYTES. */
size_t hello_pack(const struct hello *hello, uint8_t *out);
/* -EPROTO if it is not a whole and sane hello; *hello is then untouched. */
int hello_unpack(const uint8_t *from, size_t len_bytes, struct hello *hello);

size_t hello_refuse_pack(const struct channel_error *why, uint8_t *out);
/* The peer's reason and words as one printable line. */
int hello_refuse_unpack(const uint8_t *from, size_t len_bytes, char *text, size_t text_bytes);

#endif
