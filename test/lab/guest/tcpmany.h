/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The parts of tcpmany: options (tcpmany.c), messages (tcpmany_message.c), the two roles
 * (tcpmany_client.c, tcpmany_server.c). One thread.
 */
#ifndef LAB_GUEST_TCPMANY_H
#define LAB_GUEST_TCPMANY_H

#include "test/lab/guest/program.h"

#define TCPMANY_PATTERN_MAX 8192
#define TCPMANY_HEADER_BYTES 16
#define TCPMANY_MESSAGE_MAX (TCPMANY_HEADER_BYTES + TCPMANY_PATTERN_MAX)

struct tcpmany {
	bool client;
	struct sockaddr_in6 peer;
	uint64_t connections, interval_ns, size, patience_ns, seconds, port;
	const char *bind_to, *json;
	int epoll;
};

/* Both roles run until stopped and report; 0 or -errno when they cannot begin. */
int tcpmany_client(struct tcpmany *t);
int tcpmany_server(struct tcpmany *t);

/* Writes message `number` of `connection` with `size` bytes of pattern; its length in bytes. */
size_t tcpmany_message_make(void *buffer, uint32_t connection, uint64_t number, uint32_t size);

/* What the bytes at the start of a stream are. */
enum tcpmany_verdict { TCPMANY_MORE, TCPMANY_WHOLE, TCPMANY_WRONG };

struct tcpmany_message {
	uint32_t connection;
	uint32_t number; /* the low 32 bits */
	size_t length_bytes; /* header and pattern */
};

/* MORE: a good beginning. WHOLE: *message is set. WRONG: no message of ours. */
enum tcpmany_verdict tcpmany_message_read(
	const void *buffer, size_t length_bytes, struct tcpmany_message *message);

/* Bytes of one stream waiting to become a message. */
struct tcpmany_input {
	size_t length_bytes;
	unsigned char bytes[TCPMANY_MESSAGE_MAX];
};

/* Reads once from fd into input: bytes read, 0 at the end of the stream, -errno (-EAGAIN: none). */
int tcpmany_input_fill(struct tcpmany_input *input, int fd);
/* Takes length_bytes off the front. */
void tcpmany_input_take(struct tcpmany_input *input, size_t length_bytes);

#endif
