/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * One cap for all that leaves this host for moves, shared by any number of channels and threads, in
 * two classes: session state first, VM memory with what is left.
 *
 * A token bucket: `rate` bytes a second, at most `burst` of them saved up. Sessions may take
 * whatever the bucket holds and may overdraw it by one frame; memory takes only from the part above
 * a reserve (a quarter of the burst), and nothing while sessions wait. So a delta never queues
 * behind memory by more than the frame that is on its way.
 *
 * The process that copies memory is not the one that moves sessions; it has a bandwidth of its own,
 * whose rate the other process tells it (ctrl/migrate/credit.h).
 *
 * No call here blocks or sleeps: a refused request says when to come back, and the channel waits on
 * its own wire, where it can be cancelled. Every function may be called by any thread.
 */
#ifndef CTRL_CHANNEL_BANDWIDTH_H
#define CTRL_CHANNEL_BANDWIDTH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum bandwidth_class { BANDWIDTH_SESSIONS, BANDWIDTH_MEMORY, BANDWIDTH_CLASSES };

struct bandwidth;

struct bandwidth_stats {
	uint64_t rate_bytes_per_s; /* 0: no cap */
	uint64_t taken_bytes[BANDWIDTH_CLASSES];
	uint64_t refused[BANDWIDTH_CLASSES]; /* requests told to come back */
	bool memory_held;
};

/* rate 0 is no cap. The burst is 10 ms of the rate, at least 64 KiB. NULL without memory. */
struct bandwidth *bandwidth_new(uint64_t rate_bytes_per_s);
void bandwidth_free(struct bandwidth *bw);

/* Takes effect at the next request; what was saved up or overdrawn is kept, within the new burst.
 */
void bandwidth_set_rate(struct bandwidth *bw, uint64_t rate_bytes_per_s);

/* Asks for bytes at time now_ns. 0: taken, send them now. Otherwise nothing was taken: ask again in
 * that many ns. Until a refused sessions request is due again, memory gets nothing. */
uint64_t bandwidth_take(
	struct bandwidth *bw, enum bandwidth_class class, size_t len_bytes, uint64_t now_ns);

/* Back-pressure: while held, memory gets nothing (sessions have fallen behind). */
void bandwidth_hold_memory(struct bandwidth *bw, bool hold);

void bandwidth_stats(struct bandwidth *bw, struct bandwidth_stats *stats);

#endif
