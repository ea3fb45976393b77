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
 * The process that copies memory is not the one that moves sessions; it gets credit: its own
 * bandwidth is in credit mode and lets memory take only what bandwidth_credit() added, and the
 * other process draws those credits from its bucket with bandwidth_grant().
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
	uint64_t credit_bytes; /* left, in credit mode */
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

/* Takes up to want_bytes for another process's memory copy; returns what it may send. */
size_t bandwidth_grant(struct bandwidth *bw, size_t want_bytes, uint64_t now_ns);

/* Credit mode: memory may take only what was credited (on top of any cap). */
void bandwidth_use_credit(struct bandwidth *bw, bool on);
void bandwidth_credit(struct bandwidth *bw, size_t len_bytes);

/* Back-pressure: while held, memory gets nothing (sessions have fallen behind). */
void bandwidth_hold_memory(struct bandwidth *bw, bool hold);

void bandwidth_stats(struct bandwidth *bw, struct bandwidth_stats *stats);

#endif
