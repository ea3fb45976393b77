/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The track and act stages' per-packet work on sessions: counters and windows, then what plugins
 * chose at admission: translation, marks, meters, mirrors, the routed hop. A session without
 * actions costs one test.
 */
#include <rte_branch_prediction.h>
#include <rte_ip.h>
#include <rte_meter.h>

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
	if (changed && p->drop == DROP_NONE && s->action.set & SESSION_ACT_REPORT)
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

static bool meter_passes(
	const struct worker *w, struct vport *v, uint8_t number, const struct pkt *p)
{
	struct vport_meter *meter = &v->meter[number];
	enum rte_color color;

	if (number >= VPORT_METERS || !meter->used)
		return true;
	rte_spinlock_lock(&meter->lock);
	color = rte_meter_trtcm_rfc4115_color_blind_check(&meter->state, &meter->profile,
		vport_meter_time(meter, v, w->now_ns), rte_pktmbuf_pkt_len(p->mbuf));
	rte_spinlock_unlock(&meter->lock);
	return color != RTE_COLOR_RED;
}

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
	ether->src_addr = p->vport->vpc->gateway_mac;
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

static enum drop_reason act_packet(struct worker *w, struct pkt *p)
{
	struct session *s = p->session;
	const struct session_actions *action = &s->action;

	if (action->set & SESSION_ACT_METER && !meter_passes(w, s->vport, action->meter[p->dir], p))
		return DROP_METER;
	if (action->set & SESSION_ACT_MIRROR)
		deliver_mirror(w, p, action->mirror);
	if (action->set & SESSION_ACT_DSCP && p->dir == PKT_EGRESS)
		mark_dscp(p, action->dscp);
	if (action->set & SESSION_ACT_ROUTED && p->dir == PKT_EGRESS) {
		enum drop_reason reason = routed_hop(w, p);

		if (reason != DROP_NONE)
			return reason;
	}
	if (action->set & SESSION_ACT_TRANSLATE)
		return translate_packet(p);
	return DROP_NONE;
}

void stage_act(struct worker *w, struct burst *b)
{
	bool dropped = false;

	if (likely(b->actions == 0))
		return;
	for (uint16_t i = 0; i < b->count; i++) {
		struct pkt *p = b->pkt[i];

		if (p->session->action.set == 0)
			continue;
		p->drop = act_packet(w, p);
		dropped |= p->drop != DROP_NONE;
	}
	if (unlikely(dropped))
		burst_sweep(w, b);
}
