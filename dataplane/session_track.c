/* SPDX-License-Identifier: BSD-3-Clause */
#include "dataplane/session_track.h"

#include <string.h>

#include "dataplane/session_generic.h"
#include "dataplane/session_icmp.h"
#include "dataplane/session_sctp.h"
#include "dataplane/session_tcp.h"

/* One row a tracker. A NULL stands for "never" or "always", as its caller below says. */
struct tracker {
	enum session_state first, last; /* its states */
	enum drop_reason (*may_open)(const struct track_policy *policy, const struct pkt *p);
	bool (*reopens)(const struct session *s, const struct pkt *p);
	bool (*rejudges)(const struct session *s, const struct pkt *p);
	void (*open)(struct session *s, const struct track_policy *policy, const struct pkt *p);
	enum drop_reason (*packet)(struct session *s, const struct track_policy *policy,
		const struct pkt *p, uint32_t now_ms, bool *changed);
	enum drop_reason (*related)(
		const struct session *s, uint8_t error_dir, const uint8_t quoted_l4[8]);
};

static uint32_t load_be32(const uint8_t *at)
{
	rte_be32_t value;

	memcpy(&value, at, sizeof(value));
	return rte_be_to_cpu_32(value);
}

/* The second word of both headers is what makes a quoted packet plausible. */
static enum drop_reason tcp_related(const struct session *s, uint8_t error_dir, const uint8_t l4[8])
{
	return session_tcp_related(s, error_dir, load_be32(l4 + 4));
}

static enum drop_reason sctp_related(
	const struct session *s, uint8_t error_dir, const uint8_t l4[8])
{
	return session_sctp_related(s, error_dir, load_be32(l4 + 4));
}

static void udp_open(struct session *s, const struct track_policy *policy, const struct pkt *p)
{
	session_generic_open(s, p, SESSION_UDP_NEW);
}

static void icmp_open(struct session *s, const struct track_policy *policy, const struct pkt *p)
{
	const uint8_t *l4 = pkt_l4(p);
	uint32_t opener = (uint32_t)(l4[0] << 8 | l4[1]);

	/* Policy is asked again about the opener. */
	if (opener != SESSION_ICMP_ECHO((p->flags & PKT_IPV6) != 0))
		SESSION_SET(s->syn_seq, opener);
	session_generic_open(s, p, SESSION_ICMP_NEW);
}

static void generic_open(struct session *s, const struct track_policy *policy, const struct pkt *p)
{
	session_generic_open(s, p, SESSION_GENERIC_NEW);
}

static void sctp_open(struct session *s, const struct track_policy *policy, const struct pkt *p)
{
	session_sctp_open(s, p);
}

static enum drop_reason generic_packet(struct session *s, const struct track_policy *policy,
	const struct pkt *p, uint32_t now_ms, bool *changed)
{
	return session_generic_packet(s, p, now_ms, changed);
}

static enum drop_reason sctp_packet(struct session *s, const struct track_policy *policy,
	const struct pkt *p, uint32_t now_ms, bool *changed)
{
	return session_sctp_packet(s, p, now_ms, changed);
}

enum tracker_id { TRACKER_GENERIC, TRACKER_TCP, TRACKER_UDP, TRACKER_ICMP, TRACKER_SCTP };

static const struct tracker trackers[] = {
	[TRACKER_GENERIC] = {.first = SESSION_GENERIC_NEW,
		.last = SESSION_GENERIC_STREAM,
		.open = generic_open,
		.packet = generic_packet},
	[TRACKER_TCP] = {.first = SESSION_TCP_SYN_SENT,
		.last = SESSION_TCP_CLOSE,
		.may_open = session_tcp_may_open,
		.reopens = session_tcp_reopens,
		.rejudges = session_tcp_rejudges,
		.open = session_tcp_open,
		.packet = session_tcp_packet,
		.related = tcp_related},
	[TRACKER_UDP] = {.first = SESSION_UDP_NEW,
		.last = SESSION_UDP_STREAM,
		.open = udp_open,
		.packet = generic_packet},
	[TRACKER_ICMP] = {.first = SESSION_ICMP_NEW,
		.last = SESSION_ICMP_REPLIED,
		.may_open = session_icmp_may_open,
		.open = icmp_open,
		.packet = generic_packet},
	[TRACKER_SCTP] = {.first = SESSION_SCTP_INIT,
		.last = SESSION_SCTP_CLOSED,
		.may_open = session_sctp_may_open,
		.reopens = session_sctp_reopens,
		.rejudges = session_sctp_rejudges,
		.open = sctp_open,
		.packet = sctp_packet,
		.related = sctp_related},
};

/* Protocols that are not named here are generic. */
static const uint8_t tracker_of_proto[UINT8_MAX + 1] = {
	[IPPROTO_ICMP] = TRACKER_ICMP,
	[IPPROTO_ICMPV6] = TRACKER_ICMP,
	[IPPROTO_SCTP] = TRACKER_SCTP,
	[IPPROTO_TCP] = TRACKER_TCP,
	[IPPROTO_UDP] = TRACKER_UDP,
};

static const struct tracker *tracker_for(uint8_t proto)
{
	return &trackers[tracker_of_proto[proto]];
}

enum drop_reason track_may_open(const struct track_policy *policy, const struct pkt *p)
{
	const struct tracker *t = tracker_for(p->proto);

	if (p->flags & PKT_LATER_FRAGMENT)
		return DROP_FRAG_NO_FIRST;
	return t->may_open ? t->may_open(policy, p) : DROP_NONE;
}

bool track_reopens(const struct session *s, const struct pkt *p)
{
	const struct tracker *t = tracker_for(p->proto);

	return t->reopens && !(p->flags & PKT_LATER_FRAGMENT) && t->reopens(s, p);
}

bool track_rejudges(const struct session *s, const struct pkt *p)
{
	const struct tracker *t = tracker_for(p->proto);

	return t->rejudges && !(p->flags & PKT_LATER_FRAGMENT) && t->rejudges(s, p);
}

void track_open(
	struct session *s, const struct track_policy *policy, const struct pkt *p, uint32_t now_ms)
{
	memset(s->half, 0, sizeof(s->half));
	s->syn_seq = 0;
	s->opened_ms = now_ms;
	s->last_ms = now_ms;
	track_count(s, p, p->dir);
	tracker_for(p->proto)->open(s, policy, p);
}

enum drop_reason track_packet(struct session *s, const struct track_policy *policy,
	const struct pkt *p, uint32_t now_ms, bool *changed)
{
	if (unlikely(p->flags & PKT_LATER_FRAGMENT)) {
		track_count(s, p, p->dir);
		track_refresh(s, now_ms);
		return DROP_NONE;
	}
	return tracker_for(p->proto)->packet(s, policy, p, now_ms, changed);
}

enum drop_reason track_related(const struct session *s, const struct pkt *p)
{
	const struct tracker *t = tracker_for(session_key_proto(&s->key));
	uint8_t quoted[8];

	if (!t->related)
		return DROP_NONE;
	return session_icmp_quoted_l4(p, quoted) ? t->related(s, p->dir, quoted)
						 : DROP_RELATED_NONE;
}

bool track_state_valid(uint8_t proto, enum session_state state)
{
	const struct tracker *t = tracker_for(proto);

	return state >= t->first && state <= t->last;
}

void track_resync(struct session *s)
{
	uint8_t proto = session_key_proto(&s->key);

	if (proto != IPPROTO_TCP && proto != IPPROTO_SCTP)
		return;
	atomic_fetch_or_explicit(&s->state, SESSION_PICKUP, memory_order_relaxed);
	for (int dir = 0; dir < 2; dir++)
		__atomic_fetch_or(&s->half[dir].flags, SESSION_HALF_LIBERAL, __ATOMIC_RELAXED);
}
