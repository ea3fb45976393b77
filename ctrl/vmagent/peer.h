/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What two agents say to each other (README.md, "Between agents").
 *
 * A move has one control channel (index 0) and one channel per stream of memory (index 1 + stream).
 * On the control channel both sides say what they stand for, whole each time, so that a word lost
 * with a connection is made good by the next connection. One thread per channel.
 */
#ifndef FERRY_VMAGENT_PEER_H
#define FERRY_VMAGENT_PEER_H

#include "ctrl/channel/channel.h"
#include "ctrl/vmagent/handover.h"

#define PEER_INDEX_CONTROL 0u
#define PEER_INDEX_MEMORY 1u /* + stream; stream 0 is QEMU's main one */

struct peer_word {
	enum handover_mark mark;
	char id[HANDOVER_ID_MAX];
	char reason[HANDOVER_REASON_MAX];
	/* from S only */
	char vm[HANDOVER_ID_MAX];
	bool was_running;
	uint8_t multifd_channels;
};

/* The 16 bytes that name a move in a channel's hello. */
void peer_move_id(const char *id, uint8_t move_id[16]);

int peer_say(struct channel *channel, const struct peer_word *word, uint64_t timeout_ms);
/* 0: a word; -ETIMEDOUT: none within timeout_ms (0: none there); else the channel is of no use. */
int peer_hear(struct channel *channel, struct peer_word *word, uint64_t timeout_ms);

#endif
