/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef FERRY_SESSION_TRACK_H
#define FERRY_SESSION_TRACK_H
/*
 * The track stage: moves a session's state by a packet. Pure functions of (session, packet, policy, time): no
 * engine, no table, no memory; all callable from any worker at once for one session (see session.h for
 * the rules of writing) and from unit tests with packets made by hand.
 * TCP: RFC 9293, 5961 (RST, SYN in window), 7323 (scale), 7413 (data on SYN); SCTP: RFC 9260.
 */
#include "dataplane/pkt.h"
#include "dataplane/session.h"

/* What the config decides; per vport, read-only for workers. */
struct track_policy {
	bool tcp_liberal; /* no window checks (states are still tracked) */
	bool pickup; /* open TCP and SCTP sessions mid-stream */
	uint16_t rst_watch_ms; /* how long an inexact RST is watched, default 10000 */
};

/* May this packet open a session? DROP_NONE or the reason (NO_SESSION, TCP_FLAGS, RELATED_NONE...). */
enum drop_reason track_may_open(const struct track_policy *policy, const struct pkt *p);

/*
 * Is this packet a new connection on the tuple of an old session (fresh SYN on a closing one, INIT, ...)?
 * Then the caller kills the old one and admits anew. An old duplicate is not.
 */
bool track_reopens(const struct session *s, const struct pkt *p);

/* Fill state, halves and times of a session from its first packet. p->dir is the opener's direction. */
void track_open(
	struct session *s, const struct track_policy *policy, const struct pkt *p, uint32_t now_ms);

/*
 * Later packets. Returns DROP_NONE and updates the session, or a reason and leaves it as it was.
 * *changed is set when the state word changed (journal, plugins with SESSION_ACT_REPORT).
 */
enum drop_reason track_packet(struct session *s, const struct track_policy *policy,
	const struct pkt *p, uint32_t now_ms, bool *changed);

/* An ICMP error that quotes a packet of this session: plausible? (TCP: quoted sequence in window.) */
enum drop_reason track_related(const struct session *s, const struct pkt *p);

/* Windows are not known well (degraded activation): liberal until both sides have been heard. */
void track_resync(struct session *s);

#endif
