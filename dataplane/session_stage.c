/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The session stage: one burst, one table lookup for all of it, then each packet in order: a living
 * session that nothing has changed for goes on; everything else (unknown, expired, re-judged,
 * reopened, fragment, not IP) takes the long way through admit_packet(). Packets of a vport that
 * does not serve are set aside untouched.
 */
#include <rte_branch_prediction.h>
#include <rte_prefetch.h>
#include <rte_tcp.h>

#include "dataplane/location.h"
#include "dataplane/session_track.h"
#include "dataplane/worker.h"

#define TCP_SYN_ONLY(flags) (((flags) & (RTE_TCP_SYN_FLAG | RTE_TCP_ACK_FLAG)) == RTE_TCP_SYN_FLAG)
#define LONG_WAY \
	(PKT_FRAGMENT | PKT_ICMP_ERROR | PKT_MULTICAST | PKT_NOT_IP | PKT_HELD | PKT_RELAYED)

static void set_aside(struct burst *b, struct pkt *p)
{
	b->aside[b->aside_count++] = p;
}

/* A session that may be used as it is: same judgement, not expired, no new start. */
static inline bool session_current(
	const struct worker *w, const struct session *s, const struct pkt *p, uint32_t now_ms)
{
	const struct vport *v = s->vport;

	if (unlikely(s->policy_gen != atomic_load_explicit(&v->policy_gen, memory_order_relaxed)))
		return false;
	if (unlikely(session_expired(s, w->timeouts, now_ms)))
		return false;
	if (p->proto == IPPROTO_TCP)
		return likely(!TCP_SYN_ONLY(p->tcp_flags));
	return p->proto != IPPROTO_SCTP;
}

/* The source MAC of a vport's frame is its own. */
static inline bool source_mac_ok(const struct pkt *p, const struct vport *v)
{
	const struct rte_ether_hdr *ether = rte_pktmbuf_mtod(p->mbuf, const struct rte_ether_hdr *);

	return rte_is_same_ether_addr(&ether->src_addr, &v->mac);
}

/* Fast way or long way; true: the packet stays in the burst. */
static inline bool session_one(struct worker *w, struct burst *b, struct pkt *p)
{
	struct session *s = p->session;
	struct vport *v;

	if (unlikely(!s || p->flags & LONG_WAY))
		goto long_way;
	v = s->vport;
	if (unlikely(role_duty(vport_role(v)) != ROLE_DUTY_FORWARD ||
		     atomic_load_explicit(&v->hold_draining, memory_order_relaxed)))
		goto long_way;
	if (unlikely(!session_current(w, s, p, vport_clock_ms(v, w->now_ns))))
		goto long_way;
	if (p->dir == PKT_EGRESS) {
		if (unlikely(p->vport != v || !source_mac_ok(p, v) || !s->location))
			goto long_way;
		rte_prefetch0(s->location);
	}
	p->vport = v;
	return true;
long_way:
	p->session = NULL;
	admit_packet(w, p);
	if (p->flags & PKT_ASIDE) {
		set_aside(b, p);
		return false;
	}
	return p->mbuf != NULL; /* NULL: parked or answered */
}

void stage_session(struct worker *w, struct burst *b)
{
	uint16_t kept = 0;
	uint32_t second;

	b->aside_count = 0;
	session_table_lookup_burst(&w->engine->table, b->pkt, b->count, &second);
	for (uint16_t i = 0; i < b->count; i++) {
		struct pkt *p = b->pkt[i];

		if (second >> i & 1)
			p->flags |= PKT_SECOND_KEY;
		if (session_one(w, b, p))
			b->pkt[kept++] = p;
	}
	b->count = kept;
	burst_sweep(w, b);
}
