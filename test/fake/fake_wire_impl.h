/* SPDX-License-Identifier: BSD-3-Clause */
/* The inside of the fake world, shared by fake_world.c (time, waits) and fake_wire.c (bytes). */
#ifndef TEST_FAKE_FAKE_WIRE_IMPL_H
#define TEST_FAKE_FAKE_WIRE_IMPL_H

#include <pthread.h>
#include <sys/queue.h>

#include "test/fake/fake_wire.h"

#define FAKE_FAULTS_MAX 16
#define FAKE_RECENT_BYTES 4096
#define FAKE_RECORD_BYTES (64 << 10)

struct fake_segment {
	STAILQ_ENTRY(fake_segment) entry;
	uint64_t due_ns;
	size_t at, len_bytes;
	uint8_t bytes[];
};

/* What one side sends. */
struct fake_direction {
	STAILQ_HEAD(, fake_segment) segments;
	size_t queued_bytes;
	uint64_t sent_bytes;
	struct fake_fault faults[FAKE_FAULTS_MAX];
	unsigned n_faults;
	uint64_t delay_ns;
	uint64_t drop_bytes;
	size_t split_bytes;
	uint32_t split_seed;
	bool swallow; /* STALL and END */
	bool ended; /* the sender has finished, or END */
	uint8_t recent[FAKE_RECENT_BYTES];
	uint8_t *record;
};

struct fake_end {
	struct fake_wire *wire;
	enum fake_side side;
	bool closed;
};

struct fake_wire {
	struct fake_world *world;
	unsigned references;
	bool reset;
	size_t window_bytes;
	struct fake_end ends[2];
	struct fake_direction directions[2]; /* by sender */
};

/* A thread in a wait; on its stack. */
struct fake_waiter {
	LIST_ENTRY(fake_waiter) entry;
	struct fake_end *end; /* NULL: a sleep */
	unsigned want;
	uint64_t deadline_ns;
	const struct channel_cancel *cancel;
};

struct fake_listener {
	LIST_ENTRY(fake_listener) entry;
	struct in6_addr address;
	uint16_t port;
	fake_accept accept;
	void *ctx;
};

struct fake_view {
	LIST_ENTRY(fake_view) entry;
	struct fake_world *world;
	struct in6_addr address;
	int64_t ahead_s;
	struct channel_world channel_world;
};

struct fake_world {
	pthread_mutex_t lock; /* of the world and all its wires */
	pthread_cond_t changed;
	uint64_t now_ns;
	int64_t wall_offset_s;
	unsigned n_threads, n_waiters;
	LIST_HEAD(, fake_waiter) waiters;
	LIST_HEAD(, fake_listener) listeners;
	LIST_HEAD(, fake_view) views;
};

/* As channel_io_ops.wait. end NULL is a sleep. */
int fake_world_wait(struct fake_world *world, const struct fake_waiter *how);

/* What is possible now on that end; the world's lock is held. */
unsigned fake_end_ready(const struct fake_end *end);
/* When its next delayed byte arrives; UINT64_MAX if none is under way. */
uint64_t fake_end_due_ns(const struct fake_end *end);

#endif
