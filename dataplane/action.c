/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The track and act stages' per-packet work on sessions: counters and windows, then what plugins
 * chose at admission: translation, marks, meters, mirrors, the routed hop. A session without
 * actions costs one test.
 */
#include <rte_branch_prediction.h>
#include <rte_ip.h>
#include <rte_meter.h>
#include <rte_tcp.h>
#include <rte_udp.h>

#include "dataplane/csum.h"
#include "dataplane/icmp.h"
#include "dataplane/location.h"
#include "dataplane/parse.h"
#include "dataplane/plugin_chain.h"
#include "dataplane/session_ext.h"
#include "dataplane/session_journal.h"
#include "dataplane/session_track_fast.h"
#include "dataplane/worker.h"

/* A packet that may change its session's state, or must not pass. */
static __rte_noinline void track_judge(
	struct pkt *p, const struct vport_view *view, uint16_t worker)
{
	struct session *s = p->session;
	bool changed = false;

	p->drop = track_packet(s, &s->vport->track, p, view->now_ms, &changed);
	if (changed && p->drop == DROP_NONE && SESSION_GET(s->action.set) & SESSION_ACT_REPORT)
		plugin_chain_state_changed(s, worker);
}

void stage_track(struct worker *w, struct burst *b)
{
	uint8_t dropped = 0;

	for (uint16_t i = b->tracked; i < b->count; i++) {
		struct pkt *p = b->pkt[i];
		const struct vport_view *view = worker_view(w, p->session->vport);

		if (!(p->flags & (PKT_NEW | PKT_ICMP_ERROR)) &&
			!track_fast(p->session, p, view->now_ms, p->dir))
			track_judge(p, view, w->id);
		dropped |= p->drop;
		if (view->journal != NULL && p->drop == DROP_NONE)
			session_journal_touch(view->journal, p->session, w->id);
	}
	if (unlikely(dropped))
		burst_sweep(w, b);
}

/* ---- meters ---- */

/*
 * One packet's tokens, the lock held. The meter's divisions are for time that passes, and none does
 * within a burst.
 */
static inline bool meter_takes(
	struct vport_meter *meter, const struct vport *v, uint64_t now_ns, uint32_t len_bytes)
{
	struct rte_meter_trtcm_rfc4115 *state = &meter->state;
	uint64_t clock_ns = vport_clock_ns(v, now_ns);

	if (unlikely(clock_ns != meter->seen_ns)) {
		rte_meter_trtcm_rfc4115_color_blind_check(
			state, &meter->profile, vport_meter_time(meter, v, now_ns), 0);
		meter->seen_ns = clock_ns;
	}
	if (likely(state->tc >= len_bytes)) {
		state->tc -= len_bytes;
		return true;
	}
	if (state->te < len_bytes)
		return false;
	state->te -= len_bytes;
	return true;
}

/* A run of packets of one meter takes its lock once. */
static bool meter_burst(struct worker *w, struct burst *b)
{
	struct vport_meter *held = NULL;
	bool dropped = false;

	for (uint16_t i = 0; i < b->count; i++) {
		struct pkt *p = b->pkt[i];
		struct vport *v = p->session->vport;
		const struct session_actions action = session_actions(p->session);
		uint8_t number = action.meter[p->dir];

		if (likely(!(action.set & SESSION_ACT_METER)) || number >= VPORT_METERS ||
			!v->meter[number].used)
			continue;
		if (held != &v->meter[number]) {
			if (held)
				rte_spinlock_unlock(&held->lock);
			held = &v->meter[number];
			rte_spinlock_lock(&held->lock);
		}
		if (unlikely(!meter_takes(held, v, w->now_ns, rte_pktmbuf_pkt_len(p->mbuf)))) {
			p->drop = DROP_METER;
			dropped = true;
		}
	}
	if (held)
		rte_spinlock_unlock(&held->lock);
	return dropped;
}

/* ---- headers ---- */

/* DSCP in place: the upper six bits of TOS or traffic class. */
static void mark_dscp(struct pkt *p, uint8_t dscp)
{
	if (p->flags & PKT_IPV6) {
		struct rte_ipv6_hdr *ip = pkt_l3(p);
		uint32_t word = rte_be_to_cpu_32(ip->vtc_flow);

		ip->vtc_flow = rte_cpu_to_be_32((word & ~0x0fc00000u) | (uint32_t)dscp << 22);
	} else {
		struct rte_ipv4_hdr *ip = pkt_l3(p);
		rte_be16_t from, to;

		memcpy(&from, ip, sizeof(from));
		ip->type_of_service = (uint8_t)((ip->type_of_service & 3) | dscp << 2);
		memcpy(&to, ip, sizeof(to));
		ip->hdr_checksum = csum_update16(ip->hdr_checksum, from, to);
	}
}

/*
 * To another host a MAC of this host's own: who learns MACs there would see the one that all hosts
 * share move about.
 */
static const struct rte_ether_addr *routed_mac(const struct worker *w, const struct pkt *p)
{
	const struct location *location = session_location(p->session);

	if (location && w->engine->uplink &&
		atomic_load_explicit(&location->kind, memory_order_acquire) != LOCATION_LOCAL)
		return &w->engine->uplink->params.gateway_mac;
	return &p->vport->vpc->gateway_mac;
}

/* The virtual gateway's hop: TTL and source MAC. The other MAC is the location's, set at delivery.
 */
static enum drop_reason routed_hop(struct worker *w, struct pkt *p)
{
	const struct icmp_origin origin = vpc_origin(p->vport->vpc, p->flags & PKT_IPV6);
	struct rte_ipv4_hdr *ip4 = pkt_l3(p);
	struct rte_ipv6_hdr *ip6 = pkt_l3(p);
	struct rte_ether_hdr *ether = rte_pktmbuf_mtod(p->mbuf, struct rte_ether_hdr *);
	uint8_t ttl = p->flags & PKT_IPV6 ? ip6->hop_limits : ip4->time_to_live;
	struct rte_mbuf *m;

	if (unlikely(ttl <= 1)) {
		if (icmp_limit_allow(&w->engine->icmp_limit, w->now_ns)) {
			m = icmp_error(p, ICMP_ANSWER_TTL, 0, &origin, w->engine->pool);
			if (m)
				deliver_back(w, p, m);
		}
		return DROP_TTL;
	}
	ether->src_addr = *routed_mac(w, p);
	if (p->flags & PKT_IPV6) {
		ip6->hop_limits--;
	} else {
		ip4->time_to_live--;
		ip4->hdr_checksum = csum_update16(ip4->hdr_checksum,
			rte_cpu_to_be_16((uint16_t)(ttl << 8 | ip4->next_proto_id)),
			rte_cpu_to_be_16((uint16_t)((ttl - 1) << 8 | ip4->next_proto_id)));
	}
	return DROP_NONE;
}

/* One's complement sums do not care how wide the words are that were added. */
static inline uint16_t fold64(uint64_t sum)
{
	sum = (sum & UINT32_MAX) + (sum >> 32);
	sum = (sum & UINT32_MAX) + (sum >> 32);
	return csum_fold((uint32_t)sum);
}

static inline uint64_t change64(uint64_t from, uint64_t to)
{
	from = ~from;
	return (from & UINT32_MAX) + (from >> 32) + (to & UINT32_MAX) + (to >> 32);
}

/* The second key's ports and addresses instead of the first's (or back); what that adds to sums. */
static inline void translate4(struct pkt *p, struct rte_ipv4_hdr *ip, uint64_t *address_change)
{
	const struct session *s = p->session;
	bool out = p->dir == PKT_EGRESS;
	const struct session_key *from = out ? &s->key : &s->key2, *to = out ? &s->key2 : &s->key;
	uint8_t *l4 = pkt_l4(p);
	uint8_t *field = l4 + (p->proto == IPPROTO_UDP ? offsetof(struct rte_udp_hdr, dgram_cksum)
						       : offsetof(struct rte_tcp_hdr, cksum));
	uint64_t addresses = to->addresses;
	uint32_t old_ports, ports;
	uint16_t sum;

	/* In a key and in a header local and remote lie side by side; here is who sends. */
	memcpy(&old_ports, &from->local_port, sizeof(old_ports));
	memcpy(&ports, &to->local_port, sizeof(ports));
	memcpy(&sum, field, sizeof(sum));
	*address_change = change64(from->addresses, addresses);
	if (likely(sum != 0 || p->proto != IPPROTO_UDP)) {
		sum = (uint16_t)~fold64(
			(uint16_t)~sum + *address_change + (uint32_t)~old_ports + ports);
		if (unlikely(sum == 0 && p->proto == IPPROTO_UDP))
			sum = 0xffff;
		memcpy(field, &sum, sizeof(sum));
	}
	if (!out) {
		addresses = addresses << 32 | addresses >> 32;
		ports = ports << 16 | ports >> 16;
	}
	memcpy(&ip->src_addr, &addresses, sizeof(addresses));
	memcpy(l4, &ports, sizeof(ports));
}

/*
 * Most packets: whole TCP or UDP over IPv4 with a checksum. Mark, hop and translation in one go
 * over the header. False: the long way, nothing has changed.
 */
static inline bool act_plain4(
	const struct worker *w, struct pkt *p, const struct session_actions action)
{
	uint8_t set = action.set;
	struct rte_ipv4_hdr *ip = pkt_l3(p);
	uint64_t addresses;
	uint32_t sum = (uint16_t)~ip->hdr_checksum;
	rte_be16_t from, to;

	if (p->flags & (PKT_IPV6 | PKT_FRAGMENT | PKT_ICMP_ERROR) ||
		(p->proto != IPPROTO_TCP && p->proto != IPPROTO_UDP) || csum_unfinished(p->mbuf) ||
		(set & SESSION_ACT_TRANSLATE && !p->session->has_key2))
		return false;
	if (p->dir == PKT_EGRESS) {
		if (unlikely(set & SESSION_ACT_ROUTED && ip->time_to_live <= 1))
			return false;
		if (set & SESSION_ACT_DSCP) {
			memcpy(&from, ip, sizeof(from));
			ip->type_of_service =
				(uint8_t)((ip->type_of_service & 3) | action.dscp << 2);
			memcpy(&to, ip, sizeof(to));
			sum += (uint32_t)(uint16_t)~from + to;
		}
		if (set & SESSION_ACT_ROUTED) {
			rte_pktmbuf_mtod(p->mbuf, struct rte_ether_hdr *)->src_addr =
				*routed_mac(w, p);
			memcpy(&from, &ip->time_to_live, sizeof(from));
			ip->time_to_live--;
			memcpy(&to, &ip->time_to_live, sizeof(to));
			sum += (uint32_t)(uint16_t)~from + to;
		}
	}
	if (set & SESSION_ACT_TRANSLATE) {
		translate4(p, ip, &addresses);
		ip->hdr_checksum = (rte_be16_t)~fold64(sum + addresses);
	} else {
		ip->hdr_checksum = (rte_be16_t)~csum_fold(sum);
	}
	return true;
}

static enum drop_reason act_packet(struct worker *w, struct pkt *p)
{
	struct session *s = p->session;
	const struct session_actions action = session_actions(s);

	if (action.set & SESSION_ACT_MIRROR)
		deliver_mirror(w, p, action.mirror);
	if (likely(act_plain4(w, p, action)))
		return DROP_NONE;
	if (action.set & SESSION_ACT_DSCP && p->dir == PKT_EGRESS)
		mark_dscp(p, action.dscp);
	if (action.set & SESSION_ACT_ROUTED && p->dir == PKT_EGRESS) {
		enum drop_reason reason = routed_hop(w, p);

		if (reason != DROP_NONE)
			return reason;
	}
	if (action.set & SESSION_ACT_TRANSLATE)
		return translate_packet(p);
	return DROP_NONE;
}

void stage_act(struct worker *w, struct burst *b)
{
	bool dropped = false;

	if (likely(b->actions == 0))
		return;
	if (b->actions & SESSION_ACT_METER && unlikely(meter_burst(w, b)))
		burst_sweep(w, b);
	for (uint16_t i = 0; i < b->count; i++) {
		struct pkt *p = b->pkt[i];

		if (SESSION_GET(p->session->action.set) == 0)
			continue;
		p->drop = act_packet(w, p);
		dropped |= p->drop != DROP_NONE;
	}
	if (unlikely(dropped))
		burst_sweep(w, b);
}
