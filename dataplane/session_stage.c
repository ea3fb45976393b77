/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The session stage: one burst, one table lookup for all of it, then each packet in order: a living
 * session that nothing has changed for goes on, and is tracked at once where that changes no state;
 * everything else (unknown, expired, re-judged, reopened, fragment, not IP) takes the long way
 * through admit_packet(). Packets of a vport that does not serve are set aside untouched.
 */
#include <rte_branch_prediction.h>
#include <rte_prefetch.h>
#include <rte_tcp.h>

#include "dataplane/location.h"
#include "dataplane/parse.h"
#include "dataplane/session_journal.h"
#include "dataplane/session_table_fast.h"
#include "dataplane/session_track_fast.h"
#include "dataplane/worker.h"

#define TCP_SYN_ONLY(flags) (((flags) & (RTE_TCP_SYN_FLAG | RTE_TCP_ACK_FLAG)) == RTE_TCP_SYN_FLAG)
#define LONG_WAY \
	(PKT_FRAGMENT | PKT_ICMP_ERROR | PKT_MULTICAST | PKT_NOT_IP | PKT_HELD | PKT_RELAYED)

/* By any of its keys, wherever it lies. */
static __rte_noinline struct session *session_elsewhere(
	struct worker *w, struct pkt *p, uint64_t candidate)
{
	const struct session_table *table = &w->engine->table;
	struct session_addresses6 a6;
	struct session *s;
	unsigned int which;

	if (p->flags & LONG_WAY || (!candidate && !session_table_passed_by(table, p->hash)))
		return NULL;
	if (p->flags & PKT_IPV6)
		parse_addresses6(p, &a6);
	s = session_table_find(table, &p->key, p->flags & PKT_IPV6 ? &a6 : NULL, &which);
	if (s && which)
		p->flags |= PKT_SECOND_KEY;
	return s;
}

/* Nothing has changed for the session since its last packet, and this one starts nothing new. */
static __rte_always_inline bool session_current(
	struct worker *w, const struct session *s, const struct pkt *p)
{
	const struct vport_view *view = worker_view(w, s->vport);
	uint32_t idle_ms = view->now_ms - SESSION_GET(s->last_ms);

	if (unlikely(!view->serves || SESSION_GET(s->policy_gen) != view->policy_gen))
		return false;
	if (unlikely(idle_ms > w->timeouts->least_ms &&
		     session_expired(s, w->timeouts, view->now_ms)))
		return false;
	/* No other protocol has TCP's flags. */
	return likely(!TCP_SYN_ONLY(p->tcp_flags) && p->proto != IPPROTO_SCTP);
}

/* The source MAC of a vport's frame is its own, and it knows where its packets go. */
static __rte_always_inline bool egress_current(const struct session *s, const struct pkt *p)
{
	const struct rte_ether_hdr *ether = rte_pktmbuf_mtod(p->mbuf, const struct rte_ether_hdr *);
	const struct location *location = session_location(s);
	const struct vport *v = p->vport;

	if (unlikely(s->vport != v || !rte_is_same_ether_addr(&ether->src_addr, &v->mac) ||
		     !location))
		return false;
	rte_prefetch0(location);
	return true;
}

static __rte_noinline bool session_long_way(struct worker *w, struct burst *b, struct pkt *p)
{
	admit_packet(w, p);
	if (p->flags & PKT_ASIDE) {
		b->aside[b->aside_count++] = p;
		return false;
	}
	if (p->session)
		b->actions |= SESSION_GET(p->session->action.set);
	return p->mbuf != NULL; /* NULL: parked or answered */
}

/* Fast way: the packet's session, with nothing to decide about it; NULL: the long way. */
static __rte_always_inline struct session *session_fast(
	struct worker *w, struct pkt *p, uint64_t candidate, enum pkt_dir dir)
{
	struct session *s = session_table_confirm(candidate, p, dir);

	if (unlikely(!s))
		s = session_elsewhere(w, p, candidate);
	if (unlikely(!s || p->flags & LONG_WAY || !session_current(w, s, p)))
		return NULL;
	if (dir == PKT_EGRESS && unlikely(!egress_current(s, p)))
		return NULL;
	return s;
}

/*
 * Each packet to its session. What changes no state is tracked while its session is at hand; from
 * the first packet on that may, the track stage goes on in order.
 */
static __rte_always_inline void session_burst(
	struct worker *w, struct burst *b, const uint64_t *candidate, enum pkt_dir dir)
{
	uint16_t kept = 0, tracked = 0;
	uint8_t dropped = 0;

	for (uint16_t i = 0; i < b->count; i++) {
		struct pkt *p = b->pkt[i];
		struct session *s = session_fast(w, p, candidate[i], dir);

		if (likely(s != NULL)) {
			p->session = s;
			p->vport = s->vport;
			b->actions |= SESSION_GET(s->action.set);
			if (likely(tracked == kept && track_fast(s, p, w->view.now_ms, dir))) {
				tracked++;
				if (unlikely(w->view.journal != NULL))
					session_journal_touch(w->view.journal, s, w->id);
			}
		} else if (!session_long_way(w, b, p)) {
			continue;
		}
		b->pkt[kept++] = p;
		dropped |= p->drop;
	}
	b->count = kept;
	b->tracked = tracked;
	if (unlikely(dropped))
		burst_sweep(w, b);
}

/* All of a burst go the same way. */
void stage_session(struct worker *w, struct burst *b)
{
	const struct session_table *table = &w->engine->table;
	uint64_t candidate[PKT_BURST];
	uint16_t count = b->count;

	b->aside_count = b->tracked = 0;
	b->actions = 0;
	w->view.vport = NULL;
	if (count == 0)
		return;
	for (uint16_t i = 0; i < count; i++)
		session_table_prefetch(table, b->pkt[i]->hash);
	for (uint16_t i = 0; i < count; i++)
		candidate[i] = session_table_candidate(table, b->pkt[i]->hash);
	if (b->pkt[0]->dir == PKT_EGRESS)
		session_burst(w, b, candidate, PKT_EGRESS);
	else
		session_burst(w, b, candidate, PKT_INGRESS);
}
