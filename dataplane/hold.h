/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef FERRY_HOLD_H
#define FERRY_HOLD_H
/*
 * The bounded buffer that parks packets of a vport whose VM does not run here (yet): in order,
 * drop-oldest by a byte budget, with an age limit. One per vport, one lock (only packets of a
 * pausing VM take it). Frames are copied out of the Rx pool above a watermark, so that a full hold
 * never starves the ports.
 */
#include <stdbool.h>
#include <stdint.h>

#include <rte_mbuf.h>
#include <rte_mempool.h>

#include "dataplane/addr.h"

struct hold;

struct hold_params {
	uint32_t bytes_max;
	uint32_t packets_max;
	uint64_t age_ns; /* older ones are stale when drained; 0: no limit */
	struct rte_mempool *copy_pool; /* for copies while the Rx pool runs low; NULL: never copy */
};

struct hold_stats {
	uint64_t held, drained, stale, overflow; /* packets */
	uint32_t packets, bytes; /* now */
};

struct hold *hold_create(const struct hold_params *params);
void hold_free(struct hold *hold); /* frees what is parked */

/* An inner frame. */
struct hold_frame {
	struct rte_mbuf *mbuf;
	uint32_t vni;
	struct in6_addr outer_source; /* VTEP it came from; zero: a neighbour on this host */
};

/*
 * Park a frame (its mbuf is taken over). Oldest ones give way; they are freed and counted in
 * *overflowed for the caller's drop counter. False: the hold is closed and the mbuf stays with the
 * caller.
 */
bool hold_put(
	struct hold *hold, const struct hold_frame *frame, uint64_t now_ns, uint32_t *overflowed);

/*
 * Take up to max in order; stale ones are freed and counted in *stale. Returns the count; 0 =
 * empty.
 */
uint16_t hold_take(
	struct hold *hold, uint64_t now_ns, struct hold_frame *out, uint16_t max, uint32_t *stale);

/* Empty: close it, so that later arrivals pass by (true). Else false. One lock, no gap. */
bool hold_close_if_empty(struct hold *hold);
/* Take packets (again). Open at birth. */
void hold_reopen(struct hold *hold);

void hold_stats(struct hold *hold, struct hold_stats *stats);

#endif
