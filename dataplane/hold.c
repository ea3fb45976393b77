/* SPDX-License-Identifier: BSD-3-Clause */
#include "dataplane/hold.h"

#include <stdlib.h>
#include <string.h>

#include <rte_spinlock.h>

struct parked {
	struct hold_frame frame;
	uint64_t put_ns;
};

/* A ring of parked frames; grows up to packets_max. */
struct hold {
	rte_spinlock_t lock;
	struct hold_params params;
	bool closed;
	struct parked *ring;
	uint32_t room, first, count, bytes;
	struct hold_stats stats;
};

#define ROOM_MIN 64

struct hold *hold_create(const struct hold_params *params)
{
	struct hold *hold = calloc(1, sizeof(*hold));

	if (!hold)
		return NULL;
	rte_spinlock_init(&hold->lock);
	hold->params = *params;
	return hold;
}

static struct parked *hold_at(struct hold *hold, uint32_t i)
{
	return &hold->ring[(hold->first + i) % hold->room];
}

/* Under the lock. */
static struct parked hold_pop(struct hold *hold)
{
	struct parked oldest = *hold_at(hold, 0);

	hold->first = (hold->first + 1) % hold->room;
	hold->count--;
	hold->bytes -= rte_pktmbuf_pkt_len(oldest.frame.mbuf);
	return oldest;
}

void hold_free(struct hold *hold)
{
	if (!hold)
		return;
	while (hold->count > 0)
		rte_pktmbuf_free(hold_pop(hold).frame.mbuf);
	free(hold->ring);
	free(hold);
}

static bool hold_grow(struct hold *hold)
{
	uint32_t room = hold->room ? hold->room * 2 : ROOM_MIN;
	struct parked *ring;

	if (hold->room >= hold->params.packets_max)
		return false;
	ring = malloc(room * sizeof(*ring));
	if (!ring)
		return false;
	for (uint32_t i = 0; i < hold->count; i++)
		ring[i] = *hold_at(hold, i);
	free(hold->ring);
	hold->ring = ring;
	hold->room = room;
	hold->first = 0;
	return true;
}

/*
 * A frame parked for long must not pin the ports' packet pool: above half of the pool in use it is
 * kept as a copy in memory of its own. Returns the mbuf to keep.
 */
static struct rte_mbuf *hold_detach(struct hold *hold, struct rte_mbuf *m)
{
	struct rte_mempool *pool = hold->params.copy_pool;
	struct rte_mbuf *copy;

	if (!pool || rte_mempool_avail_count(m->pool) > m->pool->size / 2)
		return m;
	copy = rte_pktmbuf_copy(m, pool, 0, UINT32_MAX);
	if (!copy)
		return m;
	rte_pktmbuf_free(m);
	return copy;
}

bool hold_put(
	struct hold *hold, const struct hold_frame *frame, uint64_t now_ns, uint32_t *overflowed)
{
	uint32_t bytes = rte_pktmbuf_pkt_len(frame->mbuf);
	struct parked *place;

	rte_spinlock_lock(&hold->lock);
	if (hold->closed) {
		rte_spinlock_unlock(&hold->lock);
		return false;
	}
	while (hold->count > 0 && (hold->bytes + bytes > hold->params.bytes_max ||
					  hold->count >= hold->params.packets_max)) {
		rte_pktmbuf_free(hold_pop(hold).frame.mbuf);
		(*overflowed)++;
	}
	if (bytes > hold->params.bytes_max || (hold->count == hold->room && !hold_grow(hold))) {
		rte_pktmbuf_free(frame->mbuf);
		(*overflowed)++;
	} else {
		place = hold_at(hold, hold->count++);
		place->frame = *frame;
		place->frame.mbuf = hold_detach(hold, frame->mbuf);
		place->put_ns = now_ns;
		hold->bytes += bytes;
		hold->stats.held++;
	}
	hold->stats.overflow += *overflowed;
	rte_spinlock_unlock(&hold->lock);
	return true;
}

uint16_t hold_take(
	struct hold *hold, uint64_t now_ns, struct hold_frame *out, uint16_t max, uint32_t *stale)
{
	uint16_t count = 0;

	rte_spinlock_lock(&hold->lock);
	while (count < max && hold->count > 0) {
		struct parked oldest = hold_pop(hold);

		if (hold->params.age_ns && now_ns - oldest.put_ns > hold->params.age_ns) {
			rte_pktmbuf_free(oldest.frame.mbuf);
			(*stale)++;
			continue;
		}
		out[count++] = oldest.frame;
	}
	hold->stats.drained += count;
	hold->stats.stale += *stale;
	rte_spinlock_unlock(&hold->lock);
	return count;
}

bool hold_close_if_empty(struct hold *hold)
{
	bool empty;

	rte_spinlock_lock(&hold->lock);
	empty = hold->count == 0;
	if (empty) {
		hold->closed = true;
		free(hold->ring);
		hold->ring = NULL;
		hold->room = hold->first = 0;
	}
	rte_spinlock_unlock(&hold->lock);
	return empty;
}

void hold_reopen(struct hold *hold)
{
	rte_spinlock_lock(&hold->lock);
	hold->closed = false;
	rte_spinlock_unlock(&hold->lock);
}

void hold_stats(struct hold *hold, struct hold_stats *stats)
{
	rte_spinlock_lock(&hold->lock);
	*stats = hold->stats;
	stats->packets = hold->count;
	stats->bytes = hold->bytes;
	rte_spinlock_unlock(&hold->lock);
}
