/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The deliver stage: each packet goes to a local vport, into a tunnel, into its vport's hold, or to
 * the vport's new host (relay). Frames gather per destination and leave in bursts. A frame for a
 * local vport from a local vport goes through the stages once more as that vport's ingress (the
 * backlog).
 */
#include <rte_branch_prediction.h>
#include <rte_ip.h>

#include "dataplane/hold.h"
#include "dataplane/icmp.h"
#include "dataplane/location.h"
#include "dataplane/parse.h"
#include "dataplane/vxlan_encap.h"
#include "dataplane/worker.h"

#define RELAY_NOTE_NS 10000000ULL /* between notes of one worker */
#define RELAY_TTL_FLOOR 16 /* for a first hop that sends with 1 and is no Ferry */

/* ---- gathering and sending ---- */

/*
 * What the rings of a vport on its way out do not take any more (its VM has just stopped, the role
 * follows within this grace period) waits in the hold and goes after the VM, or back to it. It may
 * have been closed by a drain; then it has to be drained once more.
 */
static void out_keep(struct worker *w, struct vport *v, struct rte_mbuf **mbufs, uint16_t count)
{
	struct hold *hold = atomic_load_explicit(&v->hold, memory_order_acquire);
	uint32_t overflowed = 0;

	for (uint16_t i = 0; i < count; i++) {
		const struct hold_frame frame = {.mbuf = mbufs[i], .vni = v->vni};

		port_count(&w->local_stats.rx_packets, 1);
		port_count(&w->local_stats.rx_bytes, rte_pktmbuf_pkt_len(mbufs[i]));
		port_count(&w->local_stats.parked, 1);
		if (likely(hold_put(hold, &frame, w->now_ns, &overflowed)))
			continue;
		hold_reopen(hold);
		hold_put(hold, &frame, w->now_ns, &overflowed);
		atomic_store_explicit(&v->hold_draining, true, memory_order_release);
	}
	port_count(&w->local_stats.drop[DROP_HOLD_FULL], overflowed);
}

/* v NULL: the uplink. */
static void out_send(struct worker *w, struct vport *v, struct out_queue *out)
{
	struct uplink *uplink = w->engine->uplink;
	struct port *port = v ? v->port : uplink->port;
	struct port_stats *stats = v ? &v->stats[w->id] : &uplink->stats[w->id];
	uint64_t bytes = 0;
	uint16_t sent = 0, left;

	for (uint16_t i = 0; i < out->count; i++)
		bytes += rte_pktmbuf_pkt_len(out->mbuf[i]);
	if (likely(port != NULL))
		sent = port_tx(port, w->id, out->mbuf, out->count);
	port_count(&stats->tx_packets, sent);
	left = out->count - sent;
	if (unlikely(left > 0)) {
		bool up = port && port_rings_up(port);

		for (uint16_t i = sent; i < out->count; i++)
			bytes -= rte_pktmbuf_pkt_len(out->mbuf[i]);
		if (!up && v && atomic_load_explicit(&v->leaving, memory_order_acquire)) {
			out_keep(w, v, &out->mbuf[sent], left);
		} else {
			port_count(&stats->tx_dropped[up], left);
			rte_pktmbuf_free_bulk(&out->mbuf[sent], left);
		}
	}
	port_count(&stats->tx_bytes, bytes);
	out->count = 0;
}

static __rte_noinline void uplink_send(struct worker *w)
{
	out_send(w, NULL, &w->uplink);
}

static __rte_always_inline void uplink_add(struct worker *w, struct rte_mbuf *m)
{
	w->uplink.mbuf[w->uplink.count++] = m;
	if (unlikely(w->uplink.count == WORKER_OUT))
		uplink_send(w);
}

void deliver_uplink(struct worker *w, struct rte_mbuf *m)
{
	uplink_add(w, m);
}

static __rte_always_inline void vport_add(struct worker *w, struct vport *v, struct rte_mbuf *m)
{
	struct out_queue *out = &w->out[v->id];

	if (unlikely(!out->dirty)) {
		out->dirty = true;
		w->dirty[w->dirty_count++] = v->id;
	}
	out->mbuf[out->count++] = m;
	if (unlikely(out->count == WORKER_OUT))
		out_send(w, v, out);
}

void deliver_vport(struct worker *w, struct vport *v, struct rte_mbuf *m)
{
	vport_add(w, v, m);
}

void deliver_flush(struct worker *w)
{
	struct engine *engine = w->engine;

	if (w->uplink.count > 0)
		uplink_send(w);
	for (uint16_t i = 0; i < w->dirty_count; i++) {
		struct vport *v =
			atomic_load_explicit(&engine->vport[w->dirty[i]], memory_order_acquire);
		struct out_queue *out = &w->out[w->dirty[i]];

		if (v)
			out_send(w, v, out);
		else
			rte_pktmbuf_free_bulk(out->mbuf, out->count);
		out->count = 0;
		out->dirty = false;
	}
	w->dirty_count = 0;
}

bool worker_backlog(struct worker *w, const struct backlog_entry *entry)
{
	if (unlikely(w->backlog_count == WORKER_BACKLOG)) {
		worker_count_drop(w, DROP_TX_FULL);
		rte_pktmbuf_free(entry->mbuf);
		return false;
	}
	w->backlog[w->backlog_count++] = *entry;
	return true;
}

/* ---- into a tunnel ---- */

static void drop_packet(struct worker *w, struct pkt *p, enum drop_reason reason)
{
	worker_count_drop(w, reason);
	rte_pktmbuf_free(p->mbuf);
}

/*
 * What the tunnel takes of the underlay's MTU: outer IP, UDP, VXLAN and the inner Ethernet header
 * (the outer Ethernet header is no part of an IP MTU): 50 over IPv4, 70 over IPv6.
 */
static uint16_t tunnel_overhead(const struct tunnel *tunnel)
{
	return tunnel->header_len;
}

static bool pkt_dont_fragment(const struct pkt *p)
{
	const struct rte_ipv4_hdr *ip = pkt_l3(p);

	return p->flags & PKT_IPV6 || ip->fragment_offset & RTE_BE16(RTE_IPV4_HDR_DF_FLAG);
}

/* Its addresses, ports and MAC: an error is about what its sender knows. */
static void as_the_vm_sent_it(struct pkt *p)
{
	struct in6_addr source, destination;

	if (SESSION_GET(p->session->action.set) & SESSION_ACT_TRANSLATE)
		translate_back(p);
	parse_addresses(p, &source, &destination);
	rte_pktmbuf_mtod(p->mbuf, struct rte_ether_hdr *)->src_addr =
		vport_mac_of(p->vport, &source);
}

/* Longer than the tunnel carries: tell the sender, or split. Takes the packet. */
static void tunnel_oversize(
	struct worker *w, struct pkt *p, const struct tunnel *tunnel, uint32_t vni, uint8_t ttl)
{
	uint16_t mtu = (uint16_t)(tunnel->mtu - tunnel_overhead(tunnel));
	struct rte_mbuf *piece[FRAG_PIECES_MAX];
	uint16_t count = 0;

	if (!pkt_dont_fragment(p))
		count = frag_split(p->mbuf, mtu, w->engine->pool, piece, FRAG_PIECES_MAX);
	else if (p->vport && icmp_limit_allow(&w->engine->icmp_limit, w->now_ns)) {
		const struct icmp_origin origin = vpc_origin(p->vport->vpc, p->flags & PKT_IPV6);
		struct rte_mbuf *m;

		if (p->dir == PKT_EGRESS && p->session)
			as_the_vm_sent_it(p);
		m = icmp_error(p, ICMP_ANSWER_TOO_BIG, mtu, &origin, w->engine->pool);
		if (m)
			deliver_back(w, p, m);
	}
	if (count == 0) {
		drop_packet(w, p, DROP_OVERSIZE);
		return;
	}
	port_count(&w->stats->delivered, 1);
	for (uint16_t i = 0; i < count; i++) {
		if (vxlan_encap(tunnel, piece[i], vni, p->hash, ttl))
			deliver_uplink(w, piece[i]);
		else
			rte_pktmbuf_free(piece[i]);
	}
}

/* The rare ends of deliver_tunnel(). */
static __rte_noinline void tunnel_unfit(
	struct worker *w, struct pkt *p, const struct tunnel *tunnel, uint32_t vni, uint8_t ttl)
{
	if (!atomic_load_explicit(&tunnel->resolved, memory_order_acquire)) {
		drop_packet(w, p, DROP_NO_NEIGH);
	} else if (p->ip_len + tunnel_overhead(tunnel) > tunnel->mtu) {
		tunnel_oversize(w, p, tunnel, vni, ttl);
	} else {
		drop_packet(w, p, DROP_NO_MBUF);
	}
}

static __rte_always_inline void tunnel_add(
	struct worker *w, struct pkt *p, const struct tunnel *tunnel, uint32_t vni, uint8_t ttl)
{
	if (likely(atomic_load_explicit(&tunnel->resolved, memory_order_acquire) &&
		    p->ip_len + tunnel_overhead(tunnel) <= tunnel->mtu) &&
		likely(vxlan_encap(tunnel, p->mbuf, vni, p->hash, ttl))) {
		port_count(&w->stats->delivered, 1);
		uplink_add(w, p->mbuf);
		return;
	}
	tunnel_unfit(w, p, tunnel, vni, ttl);
}

void deliver_tunnel(
	struct worker *w, struct pkt *p, const struct tunnel *tunnel, uint32_t vni, uint8_t ttl)
{
	tunnel_add(w, p, tunnel, vni, ttl);
}

/* ---- the verdicts ---- */

/* To a neighbour on this host, or nowhere. */
static __rte_noinline void deliver_local(struct worker *w, struct pkt *p, struct location *location)
{
	struct backlog_entry entry = {.mbuf = p->mbuf, .vni = location->vni, .dir = PKT_INGRESS};

	if (atomic_load_explicit(&location->kind, memory_order_acquire) != LOCATION_LOCAL) {
		session_location_lost(p->session, location);
		drop_packet(w, p, DROP_NO_ROUTE);
	} else if (worker_backlog(w, &entry)) {
		port_count(&w->stats->delivered, 1);
	}
}

static __rte_always_inline void deliver_egress(struct worker *w, struct pkt *p)
{
	struct location *location = session_location(p->session);
	struct rte_ether_hdr *ether = rte_pktmbuf_mtod(p->mbuf, struct rte_ether_hdr *);
	struct tunnel *tunnel;
	uint32_t kind;

	/* Ended, or looked for anew, by another worker just now. */
	if (unlikely(!location)) {
		drop_packet(w, p, DROP_NO_ROUTE);
		return;
	}
	kind = atomic_load_explicit(&location->kind, memory_order_acquire);
	tunnel = atomic_load_explicit(&location->tunnel, memory_order_acquire);
	location_put_mac(location, ether);
	if (likely(tunnel && (kind == LOCATION_REMOTE || kind == LOCATION_MOVED)))
		tunnel_add(w, p, tunnel, location->vni, VXLAN_TTL);
	else
		deliver_local(w, p, location);
}

/* To the MAC that the VM uses with the address it is sent to. */
static __rte_noinline void deliver_pair_mac(const struct pkt *p, struct rte_ether_hdr *ether)
{
	struct in6_addr source, destination;

	parse_addresses(p, &source, &destination);
	ether->dst_addr = vport_mac_of(p->vport, &destination);
}

static __rte_always_inline void deliver_ingress(struct worker *w, struct pkt *p)
{
	struct rte_ether_hdr *ether = rte_pktmbuf_mtod(p->mbuf, struct rte_ether_hdr *);

	if (unlikely(p->ip_len > p->vport->mtu)) {
		drop_packet(w, p, DROP_OVERSIZE);
		return;
	}
	ether->dst_addr = p->vport->mac;
	if (unlikely(atomic_load_explicit(&p->vport->pair_macs, memory_order_relaxed)))
		deliver_pair_mac(p, ether);
	port_count(&w->stats->delivered, 1);
	vport_add(w, p->vport, p->mbuf);
}

/* Its sender does not know yet that the identity has moved: tell whoever can tell it, now and then.
 */
static void relay_note(struct worker *w, const struct pkt *p, const struct peer *peer)
{
	const struct engine_callbacks *callbacks = &w->engine->params.callbacks;
	struct session_tuple tuple;

	if (!callbacks->relayed_from || w->now_ns < w->next_relay_note_ns)
		return;
	w->next_relay_note_ns = w->now_ns + RELAY_NOTE_NS;
	parse_tuple(p, &tuple);
	callbacks->relayed_from(callbacks->arg, tuple.vni, &tuple.local, &peer->vtep);
}

enum relay_how {
	RELAY_QUIETLY = 1 << 0, /* its sender does right: there is nothing to tell it */
	RELAY_BACK = 1 << 1, /* also to where it came from */
};

/*
 * On to the identity's host, one hop less in the outer TTL, where a sender that is no Ferry may
 * have used 1.
 */
static enum drop_reason relay_into(
	struct worker *w, struct pkt *p, struct tunnel *to, unsigned int how)
{
	const struct peer *peer = pkt_peer(w, p);
	uint8_t ttl = VXLAN_TTL;

	if (!to)
		return DROP_NO_ROUTE;
	if (peer) {
		if (peer->tunnel == to && !(how & RELAY_BACK))
			return DROP_RELAY_LOOP;
		ttl = p->outer_ttl > 1 ? (uint8_t)(p->outer_ttl - 1) : RELAY_TTL_FLOOR;
		if (!(how & RELAY_QUIETLY) && peer->tunnel != to)
			relay_note(w, p, peer);
	}
	port_count(&w->stats->relayed, 1);
	if (p->vport)
		port_count(&p->vport->stats[w->id].in_relayed, 1);
	deliver_tunnel(w, p, to, session_key_vni(&p->key), ttl);
	return DROP_NONE;
}

enum drop_reason deliver_elsewhere(struct worker *w, struct pkt *p, struct location *location)
{
	struct tunnel *to = atomic_load_explicit(&location->tunnel, memory_order_acquire);
	struct rte_ether_hdr *ether = rte_pktmbuf_mtod(p->mbuf, struct rte_ether_hdr *);
	bool anchored = locate_anchored(w, p, location);
	enum drop_reason reason;

	/* From the anchor of a shared address to whoever has the port, by his MAC. */
	if (anchored)
		location_put_mac(location, ether);
	reason = relay_into(w, p, to, anchored ? RELAY_QUIETLY : 0);
	if (reason != DROP_NONE)
		return reason;
	p->mbuf = NULL;
	return DROP_CONSUMED;
}

/*
 * FROZEN, MOVED. What the destination itself sent here (a neighbour's there, or as the anchor) goes
 * back to it: from here it takes it into its hold, and never sends it here again.
 */
static void relay_packet(struct worker *w, struct pkt *p)
{
	struct tunnel *to = atomic_load_explicit(&p->vport->relay_to, memory_order_acquire);
	enum drop_reason reason = relay_into(w, p, to, RELAY_BACK);

	if (reason != DROP_NONE)
		drop_packet(w, p, reason);
}

/*
 * While a vport is passive only its source's relay counts; what others send is a flooded copy that
 * the source gets as well.
 */
static bool hold_accepts(const struct vport *v, const struct peer *peer)
{
	struct tunnel *from = atomic_load_explicit(&v->relay_from, memory_order_acquire);

	return vport_role(v) != ROLE_PASSIVE || v->hold_any || !peer || peer->tunnel == from;
}

/*
 * Into the vport's hold. One that has just been drained takes nothing more: the packet then goes
 * through the stages again, behind what came out of the hold.
 */
static void hold_packet(struct worker *w, struct pkt *p)
{
	struct hold *hold = atomic_load_explicit(&p->vport->hold, memory_order_acquire);
	struct hold_frame frame = {.mbuf = p->mbuf, .vni = session_key_vni(&p->key)};
	const struct peer *peer = pkt_peer(w, p);
	struct backlog_entry entry = {.mbuf = p->mbuf,
		.vni = session_key_vni(&p->key),
		.charge = w->stats,
		.peer = p->peer,
		.flags = (p->flags & (PKT_FROM_UPLINK | PKT_RELAYED)) | PKT_HELD,
		.dir = PKT_INGRESS,
		.outer_ttl = p->outer_ttl};
	uint32_t overflowed = 0;

	if (!hold) {
		drop_packet(w, p, DROP_PASSIVE);
		return;
	}
	if (!hold_accepts(p->vport, peer)) {
		port_count(&p->vport->stats[w->id].in_drop[DROP_STALE], 1);
		drop_packet(w, p, DROP_STALE);
		return;
	}
	if (peer)
		frame.outer_source = peer->vtep;
	if (!hold_put(hold, &frame, w->now_ns, &overflowed)) {
		worker_backlog(w, &entry);
		return;
	}
	port_count(&w->stats->parked, 1);
	port_count(&w->stats->drop[DROP_HOLD_FULL], overflowed);
}

void deliver_return(struct worker *w, struct vport *v, struct rte_mbuf *m, uint32_t vni)
{
	struct tunnel *from = atomic_load_explicit(&v->relay_from, memory_order_acquire);

	if (!from || !atomic_load_explicit(&from->resolved, memory_order_acquire) ||
		!vxlan_encap(from, m, vni, m->hash.rss, VXLAN_TTL)) {
		worker_count_drop(w, from ? DROP_NO_NEIGH : DROP_NO_ROUTE);
		rte_pktmbuf_free(m);
		return;
	}
	port_count(&w->stats->delivered, 1);
	deliver_uplink(w, m);
}

static void deliver_aside(struct worker *w, struct pkt *p)
{
	enum role_duty duty = role_duty(vport_role(p->vport));

	/* Behind what waits here to follow the VM. */
	if (duty == ROLE_DUTY_RELAY && !(p->flags & PKT_HELD) &&
		atomic_load_explicit(&p->vport->hold_draining, memory_order_acquire))
		hold_packet(w, p);
	else if (duty == ROLE_DUTY_RELAY)
		relay_packet(w, p);
	else
		hold_packet(w, p);
}

/* All of a burst go the same way. */
void stage_deliver(struct worker *w, struct burst *b)
{
	uint16_t count = b->count;

	for (uint16_t i = 0; i < b->aside_count; i++)
		deliver_aside(w, b->aside[i]);
	if (count > 0 && b->pkt[0]->dir == PKT_EGRESS)
		for (uint16_t i = 0; i < count; i++)
			deliver_egress(w, b->pkt[i]);
	else
		for (uint16_t i = 0; i < count; i++)
			deliver_ingress(w, b->pkt[i]);
}

void deliver_back(struct worker *w, const struct pkt *p, struct rte_mbuf *m)
{
	const struct peer *peer = pkt_peer(w, p);
	struct backlog_entry entry = {.mbuf = m,
		.vni = session_key_vni(&p->key),
		.dir = PKT_INGRESS,
		.flags = PKT_ANSWER};

	if (p->dir == PKT_EGRESS) {
		deliver_vport(w, p->vport, m);
		return;
	}
	if (peer) {
		if (vxlan_encap(peer->tunnel, m, session_key_vni(&p->key), p->hash, VXLAN_TTL))
			deliver_uplink(w, m);
		else
			rte_pktmbuf_free(m);
		return;
	}
	/* From a neighbour on this host. */
	worker_backlog(w, &entry);
}

void deliver_mirror(struct worker *w, const struct pkt *p, uint16_t vport_id)
{
	struct vport *v = vport_id < VPORT_MAX ? atomic_load_explicit(&w->engine->vport[vport_id],
							 memory_order_acquire)
					       : NULL;
	struct rte_mbuf *copy;

	if (!v || v == p->vport)
		return;
	copy = rte_pktmbuf_copy(p->mbuf, w->engine->pool, 0, UINT32_MAX);
	if (copy)
		deliver_vport(w, v, copy);
}
