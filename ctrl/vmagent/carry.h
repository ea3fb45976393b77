/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The memory of one move on its way: all of QEMU's migration streams.
 *
 * At S QEMU connects to our unix socket, main stream first, then one connection per multifd
 * channel; each is carried by a thread and a channel of its own, which `dial` opens. At D the
 * agent hands each incoming channel to carry_take(), which connects to the receiving QEMU; others
 * wait until QEMU has accepted the main one.
 *
 * carry_open, carry_cut, carry_final, carry_rate: the move's thread. carry_take: the thread that
 * accepted the channel; it returns when the channel has ended.
 */
#ifndef FERRY_VMAGENT_CARRY_H
#define FERRY_VMAGENT_CARRY_H

#include "ctrl/channel/channel.h"

#define CARRY_STREAMS_MAX 65

struct carry;

struct carry_options {
	bool source;
	const char *path; /* S: where we listen; D: where QEMU listens */
	int zstd_level;
	/* S: opens the channel for a stream of QEMU's; blocks under a deadline of its own */
	int (*dial)(void *ctx, unsigned int stream, const struct channel_options *options,
		struct channel **channel);
	/* a stream broke; from any thread, at most once */
	void (*lost)(void *ctx, int err);
	void *ctx;
};

int carry_create(const struct carry_options *options, struct carry **out);
/* S: listens. D: lets waiting channels through to QEMU. */
int carry_open(struct carry *carry);
/* Breaks all streams: QEMU sees a broken stream. Does not wait. */
void carry_cut(struct carry *carry);
void carry_rate(struct carry *carry, uint64_t bytes_per_s, bool hold);
void carry_final(struct carry *carry, bool final_pass);
void carry_count(const struct carry *carry, uint64_t *memory_bytes, uint64_t *wire_bytes);
/* Takes the channel over. 0 when the stream ended in order, or what broke. */
int carry_take(struct carry *carry, unsigned int stream, struct channel *channel);
/* Cuts, waits for its own threads, frees. No thread may be in carry_take any more. */
void carry_destroy(struct carry *carry);

#endif
