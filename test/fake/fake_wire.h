/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A world for channels without sockets: a clock that moves only when nobody has anything to do, and
 * wires that break in whatever way a test asks for.
 *
 * Time: channel_world.now_ns and all waits run on the world's clock. When every counted thread
 * waits and none of the waits can be met, time jumps to the earliest deadline or delayed byte. So a
 * test of a 30 s timeout takes no time, and a thread that is computing never loses to a deadline.
 * Threads are counted by fake_world_join(): call it once for each thread that uses the world,
 * before that thread is started (the one that starts it may otherwise find itself alone, and time
 * runs away), and fake_world_leave() when it ends or stops using the world, a join of its thread
 * included.
 *
 * Wires: fake_wire_pair() gives the two ends to channel_accept() or to a host's connect; the faults
 * of each direction are set at byte offsets of what is sent, with TLS or without it.
 */
#ifndef TEST_FAKE_FAKE_WIRE_H
#define TEST_FAKE_FAKE_WIRE_H

#include "ctrl/channel/io.h"

struct fake_world;
struct fake_wire;

/* The wall clock starts at wall_s and runs with the other one. */
struct fake_world *fake_world_new(int64_t wall_s);
/* All wires must be closed and all threads gone. */
void fake_world_free(struct fake_world *world);

void fake_world_join(struct fake_world *world);
void fake_world_leave(struct fake_world *world);

uint64_t fake_world_now_ns(struct fake_world *world);
void fake_world_advance(struct fake_world *world, uint64_t by_ns);
void fake_world_set_wall(struct fake_world *world, int64_t wall_s);
/* A wait as any other, for what a test or a step does besides channels. */
void fake_world_sleep_until(struct fake_world *world, uint64_t until_ns);

/* The world as seen by the host with this address, for channel_host_config. Lives as long as the
 * world. */
const struct channel_world *fake_world_host(
	struct fake_world *world, const struct in6_addr *address);

/* That host's wall clock is this much ahead of the world's. */
void fake_world_host_set_ahead(const struct channel_world *host, int64_t ahead_s);

/*
 * Connects to (address, port) end here. accept runs in the connecting thread: it may set faults on
 * the wire, and hands io to a thread of its own (joined before). 0, or -errno for the connect
 * (-ETIMEDOUT also lets the deadline pass). Without a listener a connect gives -ECONNREFUSED.
 */
typedef int (*fake_accept)(void *ctx, struct fake_wire *wire, const struct channel_io *io);
int fake_world_listen(struct fake_world *world, const struct in6_addr *address, uint16_t port,
	fake_accept accept, void *ctx);

enum fake_fault_kind {
	FAKE_FAULT_CUT, /* the connection is reset both ways */
	FAKE_FAULT_END, /* the reader sees an orderly end of the pipe, the rest vanishes */
	FAKE_FAULT_STALL, /* the rest vanishes, without a word */
	FAKE_FAULT_DROP, /* value bytes vanish */
	FAKE_FAULT_DELAY, /* from here on bytes take value ns longer */
	FAKE_FAULT_FLIP, /* bit value (0..7) of this byte is inverted */
	FAKE_FAULT_DUPLICATE, /* the value bytes before this one arrive once more (<= 4096) */
	FAKE_FAULT_SPLIT, /* from here on a read gets 1 to value bytes, odd sizes, repeatable */
	FAKE_FAULTS
};

enum fake_side { FAKE_CLIENT, FAKE_SERVER }; /* sender of the direction meant */

struct fake_fault {
	enum fake_fault_kind kind;
	enum fake_side from;
	uint64_t at_byte; /* of what that side sends; passed already: at its next byte */
	uint64_t value;
};

struct fake_ends {
	struct in6_addr client, server; /* addresses */
	bool is_local; /* counts as loopback */
};

/* The caller holds *wire, and gives it back with fake_wire_put(), besides the two ends. */
struct fake_wire *fake_wire_pair(struct fake_world *world, const struct fake_ends *ends,
	struct channel_io *client, struct channel_io *server);
struct fake_wire *fake_wire_hold(struct fake_wire *wire);
void fake_wire_put(struct fake_wire *wire);

/* At most 16 for each direction. */
void fake_wire_fault(struct fake_wire *wire, const struct fake_fault *fault);
/* Bytes under way before a sender must wait; 256 KiB if not set. */
void fake_wire_set_window(struct fake_wire *wire, size_t window_bytes);
/* What that side has sent so far: the range of at_byte for "cut everywhere". */
uint64_t fake_wire_sent(struct fake_wire *wire, enum fake_side from);
/* Copies the first bytes that side sent (as sent, before faults), at most 64 KiB of them: for
 * replays. */
size_t fake_wire_recorded(struct fake_wire *wire, enum fake_side from, void *out, size_t out_bytes);

/* "127.0.0.1" or "2001:db8::1"; asserts that it is one. */
struct in6_addr fake_address(const char *text);

#endif
