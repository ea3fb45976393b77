/* SPDX-License-Identifier: BSD-3-Clause */
#include "dataplane/trace.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "dataplane/location.h"
#include "dataplane/parse.h"
#include "dataplane/plugin_chain.h"
#include "dataplane/session_ext.h"
#include "dataplane/session_track.h"
#include "dataplane/worker.h"

/* One packet's way. */
struct trace {
	struct engine *engine;
	const struct trace_sink *sink;
	struct worker worker; /* only engine, time and timeouts are used */
	struct pkt pkt;
	struct rte_mbuf *mbuf;
	struct session copy; /* of a living session: trackers may change it */
	char peer[INET6_ADDRSTRLEN];
};

static void say(struct trace *t, const char *stage, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

static void say(struct trace *t, const char *stage, const char *format, ...)
{
	char text[256];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	t->sink->line(t->sink->arg, stage, text);
}

static void say_drop(struct trace *t, const char *stage, enum drop_reason reason)
{
	say(t, stage, "dropped: %s (%s)", drop_name(reason), drop_text(reason));
}

static const char *addr_text(const struct in6_addr *addr, char *text)
{
	if (addr_is_v4(addr))
		inet_ntop(AF_INET, &addr->s6_addr[12], text, INET6_ADDRSTRLEN);
	else
		inet_ntop(AF_INET6, addr, text, INET6_ADDRSTRLEN);
	return text;
}

static void say_tuple(struct trace *t, const char *stage, const struct session_tuple *tuple)
{
	char local[INET6_ADDRSTRLEN], remote[INET6_ADDRSTRLEN];

	say(t, stage, "vni %u, protocol %u, local %s port %u, remote %s port %u", tuple->vni,
		tuple->proto, addr_text(&tuple->local, local), rte_be_to_cpu_16(tuple->local_port),
		addr_text(&tuple->remote, remote), rte_be_to_cpu_16(tuple->remote_port));
}

static void trace_deliver(struct trace *t, const struct location *location)
{
	char vtep[INET6_ADDRSTRLEN];
	struct tunnel *tunnel = atomic_load(&location->tunnel);
	struct vport *v = atomic_load(&location->vport);
	uint32_t kind = atomic_load(&location->kind);

	if (kind == LOCATION_LOCAL && v)
		say(t, "deliver",
			"to vport %s of this host, where it goes through the stages again",
			v->name);
	else if (tunnel && (kind == LOCATION_REMOTE || kind == LOCATION_MOVED))
		say(t, "deliver", "into the tunnel to %s, vni %u%s%s",
			addr_text(&tunnel->vtep, vtep), location->vni,
			kind == LOCATION_MOVED ? " (moved away)" : "",
			atomic_load(&tunnel->resolved) ? ""
						       : "; its next hop's MAC is not known yet");
	else
		say_drop(t, "deliver", DROP_NO_ROUTE);
}

static void trace_egress_out(struct trace *t, const struct session_tuple *network)
{
	struct location *location;
	enum drop_reason reason = locate_destination(&t->worker, t->pkt.vport, network, &location);

	if (reason != DROP_NONE)
		say_drop(t, "locate", reason);
	else
		trace_deliver(t, location);
}

static void trace_out(struct trace *t, const struct session_tuple *network)
{
	if (t->pkt.dir == PKT_EGRESS)
		trace_egress_out(t, network);
	else
		say(t, "deliver", "to vport %s", t->pkt.vport->name);
}

/* Workers write it meanwhile: by words, none torn. */
static void session_snapshot(struct session *to, const struct session *from)
{
	uint64_t *words = (uint64_t *)to;

	for (size_t i = 0; i < sizeof(*to) / sizeof(*words); i++)
		words[i] = __atomic_load_n((const uint64_t *)from + i, __ATOMIC_RELAXED);
}

/* One line per plugin that was asked. */
static void say_decisions(struct trace *t, const char *stage, const struct chain_result *chain)
{
	char text[160];

	for (uint16_t i = 0; i < chain->asked; i++)
		if (plugin_chain_step_text(t->pkt.vport, chain, i, text, sizeof(text)) > 0)
			say(t, stage, "%s", text);
}

static bool trace_living(struct trace *t, struct session *s, unsigned int which)
{
	uint32_t now_ms = vport_clock_ms(s->vport, t->worker.now_ns);
	struct session_tuple network;
	struct chain_result chain;
	enum drop_reason reason;
	bool changed = false;

	if (session_expired(s, t->worker.timeouts, now_ms) || track_reopens(s, &t->pkt)) {
		say(t, "session", "known, but over: this packet starts anew");
		return false;
	}
	say(t, "session", "known, id %llu, state %s%s%s",
		(unsigned long long)SESSION_GET(s->birth_id), session_state_name(session_state(s)),
		which ? ", by its translated key" : "",
		SESSION_GET(s->policy_gen) != atomic_load(&s->vport->policy_gen)
			? ", to be judged again"
			: "");
	plugin_chain_explain(s, vport_clock_ns(s->vport, t->worker.now_ns), &chain);
	say_decisions(t, "decided", &chain);
	session_snapshot(&t->copy, s);
	if (t->pkt.flags & PKT_ICMP_ERROR)
		reason = track_related(s, &t->pkt);
	else
		reason = track_packet(&t->copy, &s->vport->track, &t->pkt, now_ms, &changed);
	if (reason != DROP_NONE) {
		say_drop(t, "track", reason);
		return true;
	}
	say(t, "track", "valid, state %s", session_state_name(session_state(&t->copy)));
	if (s->has_key2) {
		session_key_unpack(session_key2(s), session_key2_a6(s), &network);
		say_tuple(t, "act: translated", &network);
	} else {
		session_key_unpack(&s->key, s->is_ipv6 ? &s->a6 : NULL, &network);
	}
	trace_out(t, &network);
	return true;
}

static void trace_new(struct trace *t, const struct session_tuple *tuple)
{
	struct vport *v = t->pkt.vport;
	enum drop_reason reason = track_may_open(&v->track, &t->pkt);
	struct chain_result chain;

	if (reason == DROP_NONE && t->pkt.flags & PKT_ICMP_ERROR)
		reason = DROP_RELATED_NONE;
	if (reason != DROP_NONE) {
		say_drop(t, "admit", reason);
		return;
	}
	plugin_chain_admit(&(struct chain_question){.vport = v,
				   .tuple = tuple,
				   .p = &t->pkt,
				   .now_ns = vport_clock_ns(v, t->worker.now_ns),
				   .worker = t->engine->worker_count,
				   .public_side = tuple->vni != v->vni,
				   .dry = true},
		&chain);
	say_decisions(t, "admit", &chain);
	if (chain.reason != DROP_NONE)
		say_drop(t, "admit", chain.reason);
	if (chain.reason == DROP_NONE)
		trace_out(t, chain.translate ? &chain.outside : tuple);
}

static bool trace_role(struct trace *t)
{
	static const char *const duties[] = {
		[ROLE_DUTY_FORWARD] = "forwards",
		[ROLE_DUTY_HOLD] = "holds what comes",
		[ROLE_DUTY_RELAY] = "relays to its new host",
		[ROLE_DUTY_DROP] = "drops",
		[ROLE_DUTY_ASK] = "asks who owns it, and holds",
	};
	enum role role = vport_role(t->pkt.vport);

	say(t, "role", "vport %s is %s: %s", t->pkt.vport->name, role_name(role),
		duties[role_duty(role)]);
	return role_duty(role) == ROLE_DUTY_FORWARD;
}

/* Whose packet is it? False: said why not. */
static bool trace_vport(struct trace *t, const struct session_tuple *tuple, const struct session *s)
{
	const struct rte_ether_hdr *ether = rte_pktmbuf_mtod(t->mbuf, const struct rte_ether_hdr *);
	struct in6_addr source, destination;
	struct location *location;

	parse_addresses(&t->pkt, &source, &destination);
	if (t->pkt.dir == PKT_EGRESS) {
		enum drop_reason reason =
			vport_speaks(t->pkt.vport, &ether->src_addr, &tuple->local);

		if (reason == DROP_NONE)
			reason = vport_speaks(t->pkt.vport, &ether->src_addr, &source);
		if (reason != DROP_NONE)
			say_drop(t, "admit", reason);
		return reason == DROP_NONE;
	}
	location = locate_owner(t->engine, tuple);
	t->pkt.vport = s ? s->vport : location ? atomic_load(&location->vport) : NULL;
	if (t->pkt.vport)
		return true;
	if (location)
		trace_deliver(t, location);
	else
		say_drop(t, "locate",
			engine_vpc_find(t->engine, tuple->vni) ? DROP_NO_ROUTE : DROP_UNKNOWN_VNI);
	return false;
}

static void trace_stages(struct trace *t)
{
	struct session_addresses6 a6;
	struct session_tuple tuple;
	struct session *s;
	unsigned int which = 0;

	parse_tuple(&t->pkt, &tuple);
	say_tuple(t, "parse", &tuple);
	if (t->pkt.flags & PKT_IPV6)
		parse_addresses6(&t->pkt, &a6);
	s = session_table_find(
		&t->engine->table, &t->pkt.key, t->pkt.flags & PKT_IPV6 ? &a6 : NULL, &which);
	if (!trace_vport(t, &tuple, s) || !trace_role(t))
		return;
	if (s && trace_living(t, s, which))
		return;
	if (!s)
		say(t, "session", "none");
	trace_new(t, &tuple);
}

static bool trace_decap(struct trace *t)
{
	struct uplink *uplink = t->engine->uplink;
	struct vxlan_outer outer;
	enum drop_reason reason = DROP_NOT_OURS;

	if (uplink)
		reason = vxlan_parse(t->mbuf, uplink->params.udp_port, true, &outer);
	if (reason != DROP_NONE) {
		say_drop(t, "decap", reason);
		return false;
	}
	say(t, "decap", "vni %u from %s", outer.vni, addr_text(&outer.source, t->peer));
	if (!engine_peer_find(t->engine, &outer.source, outer.vni)) {
		say_drop(t, "decap", DROP_UNKNOWN_VTEP);
		return false;
	}
	vxlan_decap(t->mbuf, &outer);
	parse_packet(&t->pkt, outer.vni);
	return true;
}

static void trace_run(struct trace *t, struct vport *vport)
{
	t->pkt.mbuf = t->mbuf;
	t->pkt.vport = vport;
	t->pkt.dir = vport ? PKT_EGRESS : PKT_INGRESS;
	if (vport)
		parse_packet(&t->pkt, vport->vni);
	else if (!trace_decap(t))
		return;
	if (t->pkt.drop != DROP_NONE)
		say_drop(t, "parse", (enum drop_reason)t->pkt.drop);
	else if (t->pkt.flags & PKT_NOT_IP)
		say(t, "proxy", "ARP or RARP: answered or consumed, never forwarded");
	else if (t->pkt.flags & PKT_MULTICAST)
		say(t, "flood", "broadcast or multicast: by the VPC's flood setting");
	else if (t->pkt.flags & PKT_LATER_FRAGMENT)
		say(t, "fragments", "a later fragment goes as its first went");
	else if (vport && gateway_asked(&t->pkt))
		say(t, "gateway", "answers the ping, as often as it may");
	else
		trace_stages(t);
}

int trace_packet(struct engine *engine, struct vport *vport, const void *frame, size_t len,
	const struct trace_sink *sink)
{
	struct trace *t = aligned_alloc(RTE_CACHE_LINE_SIZE, sizeof(*t));
	char *room;
	int rc = 0;

	if (!t)
		return -ENOMEM;
	memset(t, 0, sizeof(*t));
	t->engine = engine;
	t->sink = sink;
	t->worker.engine = engine;
	t->worker.now_ns = engine_now_ns(engine);
	t->worker.timeouts = atomic_load(&engine->timeouts);
	t->mbuf = rte_pktmbuf_alloc(engine->pool);
	room = t->mbuf ? rte_pktmbuf_append(t->mbuf, (uint16_t)RTE_MIN(len, (size_t)UINT16_MAX))
		       : NULL;
	if (room && len <= UINT16_MAX) {
		memcpy(room, frame, len);
		trace_run(t, vport);
	} else {
		rc = -EINVAL;
	}
	rte_pktmbuf_free(t->mbuf);
	free(t);
	return rc;
}
