/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A packet, read downward. A worker takes a burst from a port and leads it through the stages:
 *
 *   rx -> parse -> (uplink: decap) -> session -> (miss: locate, admit) -> track -> act -> deliver
 *
 * No stage calls a later one. From a vport the direction is egress, from the uplink ingress; what
 * an egress pass delivers to a local vport comes back as that vport's ingress pass (the backlog).
 * One thread per worker, or the caller of engine_poll(); between rounds the worker holds no
 * pointers (RCU quiescent).
 */
#include "dataplane/worker.h"

#include <rte_branch_prediction.h>
#include <rte_lcore.h>
#include <rte_prefetch.h>

#include "dataplane/csum.h"
#include "dataplane/parse.h"
#include "dataplane/worker_idle.h"

#define AGE_PERIOD_NS 1000000ULL
#define AGE_CHUNKS 16
#define REAP_PERIOD_NS 100000ULL
#define TICK_PERIOD_NS 100000000ULL
#define SEGMENTATION_FLAGS (RTE_MBUF_F_TX_TCP_SEG | RTE_MBUF_F_TX_UDP_SEG)

void burst_sweep(struct worker *w, struct burst *b)
{
	uint16_t kept = 0;

	for (uint16_t i = 0; i < b->count; i++) {
		struct pkt *p = b->pkt[i];

		if (likely(p->drop == DROP_NONE)) {
			b->pkt[kept++] = p;
			continue;
		}
		if (p->mbuf) {
			worker_count_drop(w, p->drop);
			if (p->dir == PKT_INGRESS && p->vport)
				port_count(&p->vport->stats[w->id].in_drop[p->drop], 1);
			rte_pktmbuf_free(p->mbuf);
		}
	}
	b->count = kept;
}

/* The stages after parse; the same for both directions. */
static void worker_stages(struct worker *w, struct burst *b)
{
	stage_session(w, b);
	stage_track(w, b);
	stage_act(w, b);
	stage_deliver(w, b);
}

static inline struct pkt *burst_add(struct burst *b, struct rte_mbuf *m, enum pkt_dir dir)
{
	struct pkt *p = &b->store[b->count];

	b->pkt[b->count++] = p;
	p->mbuf = m;
	p->vport = NULL;
	p->flags = 0;
	p->dir = dir;
	p->drop = DROP_NONE;
	p->peer = 0;
	return p;
}

/* Guests may leave checksums to us, and may not leave segmentation to us. */
static __rte_noinline void finish_offloads(struct worker *w, struct burst *b)
{
	for (uint16_t i = 0; i < b->count; i++) {
		struct pkt *p = b->pkt[i];

		if (p->mbuf->ol_flags & SEGMENTATION_FLAGS)
			p->drop = DROP_UNSUPPORTED;
		else if (csum_unfinished(p->mbuf))
			csum_finish(p);
	}
	burst_sweep(w, b);
}

static void worker_egress(
	struct worker *w, struct vport *v, struct rte_mbuf **mbufs, uint16_t count)
{
	struct burst *b = &w->burst;
	uint64_t bytes = 0, ol_flags = 0;

	b->count = 0;
	for (uint16_t i = 0; i < count; i++) {
		rte_prefetch0(rte_pktmbuf_mtod(mbufs[i], void *));
		bytes += rte_pktmbuf_pkt_len(mbufs[i]);
		ol_flags |= mbufs[i]->ol_flags;
		burst_add(b, mbufs[i], PKT_EGRESS)->vport = v;
	}
	w->stats = &v->stats[w->id];
	port_count(&w->stats->rx_packets, count);
	port_count(&w->stats->rx_bytes, bytes);
	if (unlikely(parse_egress(b->pkt, count, v->vni)))
		burst_sweep(w, b);
	if (unlikely(ol_flags & (CSUM_UNFINISHED_FLAGS | SEGMENTATION_FLAGS)))
		finish_offloads(w, b);
	worker_stages(w, b);
}

/* The peer behind an outer source; a small cache in front of the list. 0: nobody who may send here.
 */
static uint16_t outer_peer(struct worker *w, const struct vxlan_outer *outer)
{
	struct engine *engine = w->engine;
	uint32_t gen = atomic_load_explicit(&engine->peer_gen, memory_order_acquire);
	uint32_t hash = rte_hash_crc(&outer->source, sizeof(outer->source), outer->vni);
	unsigned int i = hash % PEER_CACHE;
	struct peer *peer;

	if (likely(w->peer_cache[i].gen == gen && w->peer_cache[i].vni == outer->vni &&
		    addr_equal(&w->peer_cache[i].vtep, &outer->source)))
		return w->peer_cache[i].peer;
	peer = engine_peer_find(engine, &outer->source, outer->vni);
	w->peer_cache[i].vtep = outer->source;
	w->peer_cache[i].vni = outer->vni;
	w->peer_cache[i].gen = gen;
	w->peer_cache[i].peer = peer ? peer->id : 0;
	return w->peer_cache[i].peer;
}

/* ARP, ND and ICMP of the underlay. */
static void underlay_input(struct worker *w, struct rte_mbuf *m)
{
	struct rte_mbuf *reply;
	enum drop_reason reason;

	if (neigh_input(w->engine->uplink->neigh, m, w->now_ns, &reply, &reason))
		deliver_uplink(w, reply);
	worker_count_drop(w, reason);
}

/* May this host send this to us? One peer sends many in a row. */
static enum drop_reason check_outer(
	struct worker *w, const struct vxlan_outer *outer, uint16_t *peer_id)
{
	uint32_t gen = atomic_load_explicit(&w->engine->peer_gen, memory_order_acquire);
	struct outer_seen *last = &w->outer_last;

	if (likely(last->peer != 0 && last->gen == gen && last->vni == outer->vni &&
		    addr_equal(&last->source, &outer->source) &&
		    addr_equal(&last->destination, &outer->destination))) {
		*peer_id = last->peer;
		return DROP_NONE;
	}
	*peer_id = outer_peer(w, outer);
	if (*peer_id == 0)
		return DROP_UNKNOWN_VTEP;
	if (!engine_is_vtep(w->engine, &outer->destination))
		return DROP_NOT_OURS;
	*last = (struct outer_seen){.source = outer->source,
		.destination = outer->destination,
		.vni = outer->vni,
		.gen = gen,
		.peer = *peer_id};
	return DROP_NONE;
}

/* Take the outer header off; false: the frame is no packet of a VPC and is gone. */
static bool decap(struct worker *w, struct rte_mbuf *m, struct pkt *p, uint32_t *vni)
{
	struct uplink *uplink = w->engine->uplink;
	struct vxlan_outer outer;
	enum drop_reason reason =
		vxlan_parse(m, uplink->params.udp_port, w->engine->check_outer_sum, &outer);

	if (unlikely(reason == DROP_NOT_OURS)) {
		underlay_input(w, m);
		return false;
	}
	if (likely(reason == DROP_NONE))
		reason = check_outer(w, &outer, &p->peer);
	if (unlikely(reason != DROP_NONE)) {
		worker_count_drop(w, reason);
		rte_pktmbuf_free(m);
		return false;
	}
	p->flags = PKT_FROM_UPLINK;
	p->outer_ttl = outer.ttl;
	*vni = outer.vni;
	vxlan_decap(m, &outer);
	return true;
}

static void worker_uplink(struct worker *w, struct rte_mbuf **mbufs, uint16_t count)
{
	struct burst *b = &w->burst;
	uint32_t vni[PKT_BURST];
	uint64_t bytes = 0;

	b->count = 0;
	for (uint16_t i = 0; i < count; i++) {
		rte_prefetch0(rte_pktmbuf_mtod(mbufs[i], void *));
		bytes += rte_pktmbuf_pkt_len(mbufs[i]);
	}
	w->stats = &w->engine->uplink->stats[w->id];
	port_count(&w->stats->rx_packets, count);
	port_count(&w->stats->rx_bytes, bytes);
	for (uint16_t i = 0; i < count; i++) {
		struct pkt *p = burst_add(b, mbufs[i], PKT_INGRESS);

		if (unlikely(!decap(w, mbufs[i], p, &vni[b->count - 1])))
			b->count--;
	}
	if (unlikely(parse_ingress(b->pkt, b->count, vni)))
		burst_sweep(w, b);
	worker_stages(w, b);
}

/* A frame of Ferry's own about a neighbour's packet: straight to the vport it is for. */
static void deliver_answer(struct worker *w, struct pkt *p)
{
	p->drop = locate_vport(w, p);
	if (p->drop == DROP_NONE)
		deliver_vport(w, p->vport, p->mbuf);
	else if (p->mbuf)
		rte_pktmbuf_free(p->mbuf);
}

/* Who is charged: what frag or hold lets go was received before; a neighbour's frame is received
 * now. */
static struct port_stats *backlog_stats(struct worker *w, const struct backlog_entry *entry)
{
	if (entry->charge)
		return entry->charge;
	port_count(&w->local_stats.rx_packets, 1);
	port_count(&w->local_stats.rx_bytes, rte_pktmbuf_pkt_len(entry->mbuf));
	return &w->local_stats;
}

/* One that has been through the stages before, or is Ferry's own. */
static void backlog_again(struct worker *w, const struct backlog_entry *entry)
{
	struct burst *b = &w->burst;
	struct pkt *p;

	b->count = 0;
	p = burst_add(b, entry->mbuf, entry->dir);
	p->vport = entry->vport;
	p->peer = entry->peer;
	p->outer_ttl = entry->outer_ttl;
	p->flags = entry->flags;
	w->stats = backlog_stats(w, entry);
	parse_packet(p, entry->vni);
	burst_sweep(w, b);
	if (b->count > 0 && entry->flags & PKT_ANSWER)
		deliver_answer(w, p);
	else
		worker_stages(w, b);
}

/* From a neighbour to a vport, as deliver_local() leaves it: nothing is known of it but its VPC. */
static bool backlog_is_fresh(const struct backlog_entry *entry)
{
	return entry->dir == PKT_INGRESS && entry->flags == 0 && !entry->charge && !entry->vport;
}

/* A run of such frames, as one burst. How many. */
static uint16_t backlog_burst(struct worker *w, uint16_t at)
{
	struct burst *b = &w->burst;
	uint32_t vni[PKT_BURST];
	uint64_t bytes = 0;
	uint16_t count = 0;

	b->count = 0;
	for (; count < PKT_BURST && at + count < w->backlog_count; count++) {
		const struct backlog_entry *entry = &w->backlog[at + count];

		if (!backlog_is_fresh(entry))
			break;
		bytes += rte_pktmbuf_pkt_len(entry->mbuf);
		burst_add(b, entry->mbuf, PKT_INGRESS);
		vni[count] = entry->vni;
	}
	if (count == 0)
		return 0;
	w->stats = &w->local_stats;
	port_count(&w->local_stats.rx_packets, count);
	port_count(&w->local_stats.rx_bytes, bytes);
	if (unlikely(parse_ingress(b->pkt, count, vni)))
		burst_sweep(w, b);
	worker_stages(w, b);
	return count;
}

/* Frames that go through the stages again, in order. */
void worker_backlog_run(struct worker *w)
{
	uint16_t at = 0;

	while (at < w->backlog_count) {
		uint16_t count = backlog_burst(w, at);

		if (count == 0) {
			backlog_again(w, &w->backlog[at]);
			count = 1;
		}
		at += count;
	}
	w->backlog_count = 0;
}

/* ---- duties beside packets ---- */

static void worker_age(struct worker *w)
{
	struct engine *engine = w->engine;

	if (w->now_ns < w->next_age_ns)
		return;
	w->next_age_ns = w->now_ns + AGE_PERIOD_NS;
	for (unsigned int i = 0; i < VPORT_MAX; i++) {
		struct vport *v;

		w->age_vport = (w->age_vport + 1) % VPORT_MAX;
		v = atomic_load_explicit(&engine->vport[w->age_vport], memory_order_acquire);
		if (!v)
			continue;
		/* A million that ended at once goes by slices, at a quarter of the time. */
		w->reaping = session_age(w, v, AGE_CHUNKS);
		if (w->reaping) {
			w->age_vport--;
			w->next_age_ns = w->now_ns + REAP_PERIOD_NS;
		}
		return;
	}
}

/* Worker 0 also keeps neighbours and fragments. */
static void worker_tick(struct worker *w)
{
	struct engine *engine = w->engine;
	struct rte_mbuf *requests[PKT_BURST];
	uint16_t count;

	if (w->id != 0 || w->now_ns < w->next_tick_ns)
		return;
	w->next_tick_ns = w->now_ns + TICK_PERIOD_NS;
	frag_expire(engine->frags, (uint32_t)(w->now_ns / 1000000));
	if (!engine->uplink)
		return;
	count = neigh_tick(engine->uplink->neigh, w->now_ns, requests, PKT_BURST);
	for (uint16_t i = 0; i < count; i++)
		deliver_uplink(w, requests[i]);
}

static uint32_t worker_poll_entry(struct worker *w, const struct poll_entry *entry)
{
	struct rte_mbuf *mbufs[PKT_BURST];
	struct vport *v = entry->vport;
	uint16_t count;

	if (v) {
		if (unlikely(atomic_load_explicit(&v->hold_draining, memory_order_acquire)) &&
			v->id % w->engine->worker_count == w->id && entry->queue == 0)
			worker_drain(w, v);
		if (unlikely(atomic_load_explicit(&v->returning, memory_order_acquire)) &&
			v->id % w->engine->worker_count == w->id && w->engine->uplink)
			worker_return(w, v);
		/* Nothing of the guest is dequeued before (or after) it is ours. */
		if (role_duty(vport_role(v)) != ROLE_DUTY_FORWARD)
			return 0;
	}
	count = port_rx(entry->port, entry->queue, mbufs, PKT_BURST);
	if (count == 0)
		return 0;
	if (v)
		worker_egress(w, v, mbufs, count);
	else
		worker_uplink(w, mbufs, count);
	return count;
}

uint32_t worker_round(struct worker *w)
{
	const struct poll_set *polls = atomic_load_explicit(&w->polls, memory_order_acquire);
	uint32_t packets = 0;

	w->now_ns = clock_now_ns(&w->engine->clock);
	w->pending = w->reaping;
	w->timeouts = atomic_load_explicit(&w->engine->timeouts, memory_order_acquire);
	for (uint32_t i = 0; polls && i < polls->count; i++) {
		packets += worker_poll_entry(w, &polls->entry[i]);
		while (w->backlog_count > 0)
			worker_backlog_run(w);
	}
	worker_age(w);
	worker_tick(w);
	if (w->id == 0)
		announce_run(w);
	deliver_flush(w);
	return packets;
}

static void worker_count_round(struct worker *w, uint32_t packets)
{
	uint64_t rounds = atomic_load_explicit(&w->rounds, memory_order_relaxed);

	atomic_store_explicit(&w->rounds, rounds + 1, memory_order_relaxed);
	if (packets == 0)
		atomic_store_explicit(&w->rounds_idle,
			atomic_load_explicit(&w->rounds_idle, memory_order_relaxed) + 1,
			memory_order_relaxed);
	else
		atomic_store_explicit(&w->packets,
			atomic_load_explicit(&w->packets, memory_order_relaxed) + packets,
			memory_order_relaxed);
}

/*
 * Armed once, it sleeps and looks until there is something: what a look costs counts, thousands a
 * second. The first look is for what came just before the ports were asked to signal.
 */
static bool worker_sleep(struct worker *w, struct worker_idle *idle)
{
	struct rcu *rcu = &w->engine->rcu;
	uint32_t packets;
	bool again;

	worker_idle_arm(idle);
	do {
		packets = worker_round(w);
		worker_count_round(w, packets);
		if (packets > 0 || w->pending)
			break;
		rcu_offline(rcu, w->rcu_reader);
		again = !worker_idle_wait(idle);
		rcu_online(rcu, w->rcu_reader);
	} while (again && !atomic_load_explicit(&w->stop, memory_order_relaxed));
	worker_idle_disarm(idle);
	return packets > 0 || w->pending;
}

void *worker_main(void *arg)
{
	struct worker *w = arg;
	struct rcu *rcu = &w->engine->rcu;
	struct worker_idle idle;

	rte_thread_register();
	worker_idle_init(&idle, w);
	rcu_online(rcu, w->rcu_reader);
	while (!atomic_load_explicit(&w->stop, memory_order_relaxed)) {
		uint32_t packets = worker_round(w);
		bool busy = packets > 0 || w->pending;

		rcu_quiescent(rcu, w->rcu_reader);
		worker_count_round(w, packets);
		if (!busy && worker_idle_should_sleep(&idle))
			busy = worker_sleep(w, &idle);
		if (busy)
			worker_idle_busy(&idle);
	}
	rcu_offline(rcu, w->rcu_reader);
	rte_thread_unregister();
	return NULL;
}
