/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef FERRY_VHOST_GATE_H
#define FERRY_VHOST_GATE_H
/*
 * Between a front end and the vhost library: takes messages as they trickle in, lets whole and
 * allowed ones through with their descriptors, and brings the answers back. It never blocks, and
 * never lets either side's neglect block the library's events thread. The links' thread only.
 */
#include <stdbool.h>
#include <stdint.h>

#include "dataplane/vhost_guard.h"

struct vhost_gate {
	int front, back; /* front end and library; -1: gone */
	struct vhost_guard guard;
	struct vhost_message in; /* from the front end */
	uint32_t in_bytes;
	bool in_whole; /* allowed, and waits for room at the library */
	int fds[VHOST_FDS_MAX];
	int fd_count;
	struct vhost_message out; /* from the library */
	uint32_t out_bytes, out_sent;
	unsigned int owed; /* answers the library owes */
	bool more; /* run again soon, whatever poll() says: it stopped for the sake of others */
	uint64_t stuck_ms; /* since when a message is half through; 0: none is */
};

/* The guard is the caller's to initialise. */
void vhost_gate_init(struct vhost_gate *gate, int front, int back);

/*
 * Moves what can be moved. False: cut the connection (`reason` then says why; NULL: the other
 * side left).
 */
bool vhost_gate_run(struct vhost_gate *gate, uint64_t now_ms, const char **reason);

/* What to wait for, as poll() events, and until when (0: no limit). */
short vhost_gate_front_events(const struct vhost_gate *gate);
short vhost_gate_back_events(const struct vhost_gate *gate);
uint64_t vhost_gate_deadline_ms(const struct vhost_gate *gate);

/* Closes a side, and drops descriptors on their way. */
void vhost_gate_close_front(struct vhost_gate *gate);
void vhost_gate_close_back(struct vhost_gate *gate);

#endif
