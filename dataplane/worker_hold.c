/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What a vport's hold lets go: through the stages, in order, when the vport serves here; after the
 * VM when it has been given away; back to the source when that runs the VM again.
 */
#include <rte_branch_prediction.h>

#include "dataplane/hold.h"
#include "dataplane/worker.h"

#define DRAIN_BURST PKT_BURST
#define DRAIN_PATIENCE_NS 200000000ULL /* for a guest that takes nothing out of its rings */
#define DRAIN_END_NS 1000000000ULL /* of all courtesy, after activation */
#define DRAIN_STEADY_NS 5000000ULL /* a guest that gives no more buffers for so long has no more */

/* Who received a parked frame: the uplink, or (no outer source) a neighbour. */
static struct port_stats *hold_charge(struct worker *w, const struct in6_addr *outer_source)
{
	static const struct in6_addr local;

	if (addr_equal(outer_source, &local) || !w->engine->uplink)
		return &w->local_stats;
	return &w->engine->uplink->stats[w->id];
}

void worker_return(struct worker *w, struct vport *v)
{
	struct hold *hold = atomic_load_explicit(&v->hold, memory_order_acquire);
	struct hold_frame frame[DRAIN_BURST];
	uint32_t stale = 0;
	uint16_t count;

	if (!hold || vport_role(v) != ROLE_PASSIVE)
		return;
	w->pending = true;
	count = hold_take(hold, w->now_ns, frame, DRAIN_BURST, &stale);
	w->stats = &w->engine->uplink->stats[w->id];
	port_count(&w->stats->unparked, stale);
	port_count(&w->stats->drop[DROP_STALE], stale);
	for (uint16_t i = 0; i < count; i++) {
		port_count(&w->stats->unparked, 1);
		deliver_return(w, v, frame[i].mbuf, frame[i].vni);
	}
	if (count == 0)
		atomic_store_explicit(&v->returning, false, memory_order_release);
}

/*
 * How many buffers the guest keeps in its ring, as far as is known: as many as the ring has, until
 * it is seen to leave it at fewer.
 */
static uint16_t pace_capacity(
	struct drain_pace *pace, uint16_t room, uint16_t capacity, uint64_t now_ns)
{
	if (room != pace->room) {
		pace->room = room;
		pace->room_ns = now_ns;
	} else if (room > 0 && now_ns - pace->room_ns > DRAIN_STEADY_NS) {
		pace->capacity = room;
	}
	return pace->capacity ? RTE_MIN(pace->capacity, capacity) : capacity;
}

/*
 * How much of a hold may go now. A VM that has just been set going is slow to give buffers: its
 * rings are filled by half, for what comes when the hold is empty, and the rest waits in order
 * where it is. Only as long as the VM takes something, and not for long: while anything is in the
 * hold, all that comes for the VM has to queue behind it, and a hold must not become a wall.
 */
static uint32_t drain_room(const struct worker *w, struct vport *v, enum role_duty duty)
{
	uint64_t active_ns = atomic_load_explicit(&v->activated_ns, memory_order_relaxed);
	uint16_t capacity, room, reserve;

	if (duty != ROLE_DUTY_FORWARD || !v->port || w->now_ns - active_ns > DRAIN_END_NS ||
		w->now_ns - v->pace.took_ns > DRAIN_PATIENCE_NS)
		return UINT32_MAX;
	room = port_tx_room(v->port, &capacity);
	reserve = pace_capacity(&v->pace, room, capacity, w->now_ns) / 2;
	return room > reserve ? room - reserve : 0;
}

/* Up to `max` frames go through the stages: how many did. */
static uint16_t drain_burst(struct worker *w, struct vport *v, struct hold *hold, uint16_t max)
{
	static const struct in6_addr local;
	struct hold_frame frame[DRAIN_BURST];
	uint32_t stale = 0;
	uint16_t count = hold_take(hold, w->now_ns, frame, max, &stale);

	w->stats = hold_charge(w, &local);
	port_count(&w->stats->unparked, stale);
	port_count(&w->stats->drop[DROP_STALE], stale);
	port_count(&v->stats[w->id].in_drop[DROP_STALE], stale);
	for (uint16_t i = 0; i < count; i++) {
		struct backlog_entry entry = {.mbuf = frame[i].mbuf,
			.vni = frame[i].vni,
			.charge = hold_charge(w, &frame[i].outer_source),
			.flags = PKT_HELD,
			.dir = PKT_INGRESS};

		port_count(&entry.charge->unparked, 1);
		worker_backlog(w, &entry);
	}
	worker_backlog_run(w);
	return count;
}

/*
 * As much as may go now, but no more than is there: whoever sends faster than the VM takes would
 * else keep the hold from becoming empty. It is closed when a round finds it empty, so that what
 * went out last has left before anything newer is on its way.
 */
void worker_drain(struct worker *w, struct vport *v)
{
	struct hold *hold = atomic_load_explicit(&v->hold, memory_order_acquire);
	enum role_duty duty = role_duty(vport_role(v));
	struct hold_stats parked;
	uint32_t left;

	if (!hold || (duty != ROLE_DUTY_FORWARD && duty != ROLE_DUTY_RELAY) ||
		atomic_load_explicit(&v->parking, memory_order_acquire))
		return;
	w->pending = true;
	hold_stats(hold, &parked);
	if (parked.packets == 0) {
		if (hold_close_if_empty(hold))
			atomic_store_explicit(&v->hold_draining, false, memory_order_release);
		return;
	}
	left = RTE_MIN(drain_room(w, v, duty), parked.packets);
	while (left > 0) {
		uint16_t count = drain_burst(w, v, hold, RTE_MIN(left, (uint32_t)DRAIN_BURST));

		if (count == 0)
			break;
		v->pace.took_ns = w->now_ns;
		left -= count;
	}
}
