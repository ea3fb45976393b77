/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The long way: what happens to a packet that no current session takes. Read admit_packet() first:
 * who is it for, does that vport serve, fragment, living session, else a new one. Everything that
 * costs (locations, routes, plugins, memory) is here and not on the packet path. Runs on workers,
 * in packet order within a burst.
 */
#include <rte_branch_prediction.h>

#include "dataplane/csum.h"
#include "dataplane/frag.h"
#include "dataplane/location.h"
#include "dataplane/parse.h"
#include "dataplane/plugin_chain.h"
#include "dataplane/session_track.h"
#include "dataplane/worker.h"

#define ADMIT_TRIES 4 /* when workers take the same outside port at once */

/* Is the sender who it says it is? */
static enum drop_reason check_source(const struct pkt *p, const struct session_tuple *tuple)
{
	const struct rte_ether_hdr *ether = rte_pktmbuf_mtod(p->mbuf, const struct rte_ether_hdr *);

	struct in6_addr source, destination;
	enum drop_reason reason = vport_speaks(p->vport, &ether->src_addr, &tuple->local);

	/* An error quotes a packet that was sent to the vport, and comes from there itself. */
	if (reason != DROP_NONE || !(p->flags & PKT_ICMP_ERROR))
		return reason;
	parse_addresses(p, &source, &destination);
	return vport_speaks(p->vport, &ether->src_addr, &source);
}

static enum drop_reason check_destination_mac(const struct worker *w, const struct pkt *p)
{
	const struct rte_ether_hdr *ether = rte_pktmbuf_mtod(p->mbuf, const struct rte_ether_hdr *);
	const struct vport *v = p->vport;
	uint32_t vni = session_key_vni(&p->key);

	if (vport_has_mac(v, &ether->dst_addr) ||
		rte_is_same_ether_addr(&ether->dst_addr, &v->vpc->gateway_mac) ||
		!(p->flags & PKT_FROM_UPLINK) ||
		rte_is_same_ether_addr(&ether->dst_addr, &w->engine->uplink->params.gateway_mac))
		return DROP_NONE;
	if (vni != v->vni && vpc_anchor_mac(engine_vpc_find(w->engine, vni), w->engine->uplink,
				     &ether->dst_addr))
		return DROP_NONE;
	return DROP_WRONG_MAC;
}

/* The refused opener gets an answer where the policy says so. */
static void answer_refusal(struct worker *w, struct pkt *p)
{
	const struct icmp_origin origin = vpc_origin(p->vport->vpc, p->flags & PKT_IPV6);
	struct rte_mempool *pool = w->engine->pool;
	struct rte_mbuf *m = NULL;

	if (!icmp_limit_allow(&w->engine->icmp_limit, w->now_ns))
		return;
	if (p->proto == IPPROTO_TCP)
		m = icmp_tcp_reset(p, pool);
	else
		m = icmp_error(p, ICMP_ANSWER_PROHIBITED, 0, &origin, pool);
	if (m)
		deliver_back(w, p, m);
}

/*
 * A SYN that nobody would let in must not end the closed session whose tuple it has: late packets
 * still go by that, and its port is not to be had before its time. That the port is taken is no
 * refusal here, for it is this very session that has it.
 */
static bool reopening_refused(struct worker *w, struct pkt *p)
{
	struct session_tuple tuple;
	struct chain_result chain;

	parse_tuple(p, &tuple);
	plugin_chain_admit(&(struct chain_question){.vport = p->vport,
				   .tuple = &tuple,
				   .p = p,
				   .now_ns = vport_clock_ns(p->vport, w->now_ns),
				   .worker = w->id,
				   .public_side = tuple.vni != p->vport->vni,
				   .dry = true},
		&chain);
	if (chain.reason != DROP_DENIED)
		return false;
	if (chain.reject)
		answer_refusal(w, p);
	p->drop = DROP_DENIED;
	return true;
}

/* A living session and a packet that the fast way did not like. NULL: there is none (any more). */
static struct session *living_session(struct worker *w, struct pkt *p, struct session *s)
{
	uint32_t now_ms = vport_clock_ms(s->vport, w->now_ns);
	enum drop_reason reason;

	if (session_expired(s, w->timeouts, now_ms)) {
		session_kill(s, w->id, PLUGIN_CLOSE_IDLE);
		return NULL;
	}
	if (!(p->flags & PKT_ICMP_ERROR) && track_reopens(s, p)) {
		if (reopening_refused(w, p))
			return s;
		session_kill(s, w->id, PLUGIN_CLOSE_REPLACED);
		return NULL;
	}
	if (!(p->flags & PKT_ICMP_ERROR) && track_rejudges(s, p) &&
		plugin_chain_recheck(s, w->id, vport_clock_ns(s->vport, w->now_ns)) != DROP_NONE) {
		p->drop = DROP_DENIED;
		return s;
	}
	if (SESSION_GET(s->policy_gen) !=
		atomic_load_explicit(&s->vport->policy_gen, memory_order_relaxed)) {
		reason = plugin_chain_recheck(s, w->id, vport_clock_ns(s->vport, w->now_ns));
		/* Denied it may finish, if so set; what uses another's port may not. */
		if (reason != DROP_NONE &&
			(reason != DROP_DENIED || w->engine->policy_change == ENGINE_POLICY_CUT)) {
			session_kill(s, w->id, PLUGIN_CLOSE_POLICY);
			p->drop = DROP_SESSION_CLOSED;
		}
	}
	return s;
}

static struct session *find_session(struct worker *w, struct pkt *p)
{
	struct session_addresses6 a6;
	struct session *s;
	unsigned int which;

	if (p->flags & PKT_IPV6)
		parse_addresses6(p, &a6);
	s = session_table_find(
		&w->engine->table, &p->key, p->flags & PKT_IPV6 ? &a6 : NULL, &which);
	if (s && which)
		p->flags |= PKT_SECOND_KEY;
	return s;
}

struct admission {
	struct worker *w;
	struct pkt *p;
	struct session_tuple tuple; /* as the packet says */
	struct chain_question question;
	struct chain_result chain;
};

static void fill_from_packet(struct session *s, void *arg)
{
	const struct admission *a = arg;

	track_open(s, &s->vport->track, a->p, vport_clock_ms(s->vport, a->w->now_ns));
}

/* Where the session's packets leave to; for an ingress opener an unknown remote is not an error
 * yet. */
static enum drop_reason admit_locate(struct admission *a, struct location **location, bool *routed)
{
	const struct session_tuple *network = a->chain.translate ? &a->chain.outside : &a->tuple;
	struct pkt *p = a->p;
	enum drop_reason reason = locate_destination(a->w, p->vport, network, location);

	*routed =
		p->dir == PKT_EGRESS &&
		rte_is_same_ether_addr(&rte_pktmbuf_mtod(p->mbuf, struct rte_ether_hdr *)->dst_addr,
			&p->vport->vpc->gateway_mac);
	if (p->dir == PKT_INGRESS && reason != DROP_NONE) {
		*location = NULL;
		return DROP_NONE;
	}
	return reason;
}

static void admit_session_open(struct admission *a, struct session_origin *origin)
{
	struct pkt *p = a->p;
	struct session *existing;

	origin->tuple = a->chain.translate ? a->chain.inside : a->tuple;
	origin->outside = a->chain.outside;
	origin->translate = a->chain.translate;
	origin->verdict_by = a->chain.verdict_by;
	origin->policy_gen = a->chain.policy_gen;
	origin->ext_state = a->chain.ext;
	origin->ext_bytes = a->chain.ext_bytes;
	origin->fill = fill_from_packet;
	origin->fill_arg = a;
	p->drop = session_open(p->vport, a->w->id, origin, &p->session, &existing);
	if (p->drop == DROP_NONE) {
		p->flags |= PKT_NEW;
		plugin_chain_opened(p->session, a->w->id);
		return;
	}
	plugin_chain_abandon(&a->question, &a->chain);
	if (existing && a->question.public_side) {
		/* The VM's view is taken: by this connection, or by another one of its that looks
		 * the same inside. */
		existing = find_session(a->w, p);
		p->drop = DROP_NO_NAT_PORT;
	}
	if (existing) {
		/* Another worker was first: it is our session too. */
		p->session = existing;
		p->drop = existing->vport == p->vport ? DROP_NONE : DROP_SPOOF_IP;
	}
}

/* One question to the plugins, and what comes of it. True: another connection took the outside
 * tuple just now. */
static bool admit_try(struct admission *a)
{
	struct session_origin origin = {0};
	struct worker *w = a->w;
	struct pkt *p = a->p;
	bool routed;

	plugin_chain_admit(&a->question, &a->chain);
	p->drop = a->chain.reason;
	if (p->drop != DROP_NONE) {
		if (a->chain.reject)
			answer_refusal(w, p);
		return false;
	}
	p->drop = admit_locate(a, &origin.location, &routed);
	if (p->drop != DROP_NONE) {
		plugin_chain_abandon(&a->question, &a->chain);
		return false;
	}
	origin.action = a->chain.action;
	/* From one network to another is a hop, whoever opened it. */
	if (routed || a->question.public_side)
		origin.action.set |= SESSION_ACT_ROUTED;
	admit_session_open(a, &origin);
	if (p->drop == DROP_NONE && a->question.public_side && a->chain.translate)
		p->flags |= PKT_SECOND_KEY;
	return p->drop == DROP_NO_NAT_PORT;
}

static void admit_new(struct worker *w, struct pkt *p)
{
	struct admission a = {.w = w, .p = p};

	/* A later fragment goes by its first's session, and opens none. */
	p->drop = p->flags & PKT_LATER_FRAGMENT ? DROP_FRAG_NO_FIRST
						: track_may_open(&p->vport->track, p);
	if (p->drop != DROP_NONE) {
		if (p->drop == DROP_NO_SESSION && w->engine->rst_unknown && p->proto == IPPROTO_TCP)
			answer_refusal(w, p);
		return;
	}
	parse_tuple(p, &a.tuple);
	if (p->dir == PKT_EGRESS && gateway_owns(p->vport->vpc, &a.tuple.remote)) {
		p->drop = DROP_NO_ROUTE;
		return;
	}
	a.question = (struct chain_question){.vport = p->vport,
		.tuple = &a.tuple,
		.p = p,
		.now_ns = vport_clock_ns(p->vport, w->now_ns),
		.worker = w->id,
		.public_side = a.tuple.vni != p->vport->vni};
	for (int i = 0; i < ADMIT_TRIES && admit_try(&a); i++)
		;
}

/*
 * Egress: the vport is the port's. Ingress: the session's, else the destination's; of one that came
 * ahead of its vport only the location says where that serves.
 */
static void find_vport(struct worker *w, struct pkt *p, const struct session *s)
{
	struct session_tuple tuple;

	if (p->dir == PKT_INGRESS) {
		if (s && role_duty(vport_role(s->vport)) != ROLE_DUTY_HOLD)
			p->vport = s->vport;
		else
			p->drop = locate_vport(w, p);
		return;
	}
	parse_tuple(p, &tuple);
	p->drop = check_source(p, &tuple);
	if (s && s->vport != p->vport)
		p->drop = DROP_SPOOF_IP;
}

/* While a vport parks, what its former destination gives back goes on at once: it is older. */
static bool given_back(const struct worker *w, const struct pkt *p)
{
	const struct peer *peer = pkt_peer(w, p);

	return peer && atomic_load_explicit(&p->vport->parking, memory_order_acquire) &&
	       peer->tunnel == atomic_load_explicit(&p->vport->relay_to, memory_order_acquire);
}

/* What the vport's role says; true: nothing more to do here. */
static bool role_settles(const struct worker *w, struct pkt *p)
{
	enum role_duty duty = role_duty(vport_role(p->vport));

	if (likely(duty == ROLE_DUTY_FORWARD)) {
		if (p->dir == PKT_EGRESS || p->flags & PKT_HELD ||
			!atomic_load_explicit(&p->vport->hold_draining, memory_order_acquire) ||
			given_back(w, p))
			return false;
		p->flags |= PKT_ASIDE;
	} else if (p->dir == PKT_EGRESS)
		p->drop = DROP_PASSIVE;
	else if (duty == ROLE_DUTY_DROP)
		p->drop = DROP_FENCED;
	else
		p->flags |= PKT_ASIDE;
	return true;
}

/*
 * A fragment's parked companions follow once its own verdict is known: to the VM, into the hold, or
 * to where the first one has just been sent on.
 */
static void release_fragments(struct worker *w, struct pkt *p)
{
	enum drop_reason verdict = p->drop == DROP_CONSUMED ? DROP_NONE : (enum drop_reason)p->drop;
	struct rte_mbuf *mbufs[FRAG_PIECES_MAX];
	uint16_t count = frag_verdict(w->engine->frags, p, verdict, mbufs, FRAG_PIECES_MAX);

	port_count(&w->stats->unparked, count);
	for (uint16_t i = 0; i < count; i++) {
		struct backlog_entry entry = {.mbuf = mbufs[i],
			.vport = p->vport,
			.peer = p->peer,
			.vni = session_key_vni(&p->key),
			.charge = w->stats,
			.flags = p->flags & (PKT_FROM_UPLINK | PKT_RELAYED | PKT_HELD),
			.dir = p->dir,
			.outer_ttl = p->outer_ttl};

		worker_backlog(w, &entry);
	}
}

/* Read as its receiver would: checksum first (RFC 5927 4.1). */
static enum drop_reason related_verdict(const struct worker *w, struct session *s, struct pkt *p)
{
	enum drop_reason reason;

	if (!(p->flags & PKT_FRAGMENT) && !csum_l4_ok(p))
		return DROP_BAD_CSUM;
	reason = track_related(s, p);
	if (reason == DROP_NONE && !(p->flags & PKT_FRAGMENT))
		gateway_related(w, p);
	return reason;
}

static void admit_session(struct worker *w, struct pkt *p)
{
	struct session *s = find_session(w, p);

	find_vport(w, p, s);
	if (p->drop != DROP_NONE || role_settles(w, p))
		return;
	if (p->dir == PKT_INGRESS) {
		p->drop = check_destination_mac(w, p);
		if (p->drop != DROP_NONE)
			return;
	}
	if (s)
		s = living_session(w, p, s);
	if (p->drop != DROP_NONE)
		return;
	if (p->flags & PKT_ICMP_ERROR)
		p->drop = s ? related_verdict(w, s, p) : DROP_RELATED_NONE;
	else if (!s)
		admit_new(w, p);
	if (s)
		p->session = s;
	if (p->drop == DROP_NONE && p->dir == PKT_EGRESS && !session_location(p->session))
		p->drop = locate_session(w, p->session);
}

/*
 * A fragment for an identity that does not serve here is not judged here: it goes on as it came.
 * Where the port decides who it is for, only the fragment store can tell.
 */
static bool fragment_settles(struct worker *w, struct pkt *p)
{
	struct session_tuple tuple;
	enum drop_reason reason;

	parse_tuple(p, &tuple);
	if (location_is_shared(w->engine->locations, tuple.vni, &tuple.local))
		return false;
	reason = locate_vport(w, p);
	if (!p->mbuf)
		return true;
	return reason == DROP_NONE && role_settles(w, p);
}

void admit_packet(struct worker *w, struct pkt *p)
{
	p->session = NULL;
	if (p->flags & PKT_NOT_IP || p->proto == IPPROTO_ICMPV6) {
		if (proxy_input(w, p))
			return;
	}
	if (p->flags & PKT_NOT_IP) {
		p->drop = DROP_BAD_ETHER;
		return;
	}
	if (p->flags & PKT_MULTICAST) {
		flood_packet(w, p);
		return;
	}
	if (p->flags & PKT_FRAGMENT) {
		if (p->dir == PKT_INGRESS && fragment_settles(w, p))
			return;
		p->drop = frag_input(w->engine->frags, p, (uint32_t)(w->now_ns / 1000000));
		if (p->drop != DROP_NONE)
			return;
		if (!p->mbuf) {
			port_count(&w->stats->parked, 1);
			return;
		}
	}
	if (p->flags & PKT_ICMP_QUERY && gateway_input(w, p))
		return;
	admit_session(w, p);
	if ((p->flags & (PKT_FRAGMENT | PKT_LATER_FRAGMENT)) == PKT_FRAGMENT)
		release_fragments(w, p);
}
