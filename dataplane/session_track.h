/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef FERRY_SESSION_TRACK_H
#define FERRY_SESSION_TRACK_H
/*
 * The track stage: moves a session's state by a packet. Pure functions of (session, packet, policy,
 * time): no engine, no table, no memory; all callable from any worker at once for one session (see
 * session.h for the rules of writing) and from unit tests with packets made by hand. TCP: RFC 9293,
 * 5961 (RST, SYN in window), 7323 (scale), 7413 (data on SYN); SCTP: RFC 9260.
 */
#include "dataplane/pkt.h"
#include "dataplane/session.h"

/* What the config decides; per vport, written by mutators. */
struct track_policy {
	_Atomic bool tcp_liberal; /* no window checks (states are still tracked) */
	_Atomic bool pickup; /* open TCP and SCTP sessions mid-stream */
};

/* May this packet open a session? DROP_NONE or the reason (NO_SESSION, TCP_FLAGS, RELATED_NONE...).
 */
enum drop_reason track_may_open(const struct track_policy *policy, const struct pkt *p);

/*
 * Is this packet a new connection on the tuple of an old session (fresh SYN on a closing or
 * half-open one, INIT on a closed one)? Then the caller kills the old one and admits anew. An old
 * duplicate is not.
 */
bool track_reopens(const struct session *s, const struct pkt *p);

/*
 * Would this packet start a connection if the living session at hand proved to be a leftover (SYN
 * that is no retransmission, INIT on an association)? It passes within the session, which stays as
 * it is, so the caller asks the policy again before and drops the packet alone when denied.
 */
bool track_rejudges(const struct session *s, const struct pkt *p);

/*
 * Fill state, halves, counters and times of a session from its first packet. p->dir is the opener's
 * direction. The packet is counted here: no track_packet() for it.
 */
void track_open(
	struct session *s, const struct track_policy *policy, const struct pkt *p, uint32_t now_ms);

/*
 * Later packets. Returns DROP_NONE and updates the session (state, numbers, counters, last_ms), or
 * a reason and leaves it as it was; a retransmitted packet that only its receiver can judge passes
 * without a change of numbers. *changed is set to true when the state word changed (journal,
 * plugins with SESSION_ACT_REPORT), else left alone. Later fragments count and refresh. Workers
 * call track_packet_fast() of session_track_fast.h, which falls back on this one.
 */
enum drop_reason track_packet(struct session *s, const struct track_policy *policy,
	const struct pkt *p, uint32_t now_ms, bool *changed);

/* An ICMP error that quotes a packet of this session: plausible? (TCP: quoted sequence in window.)
 */
enum drop_reason track_related(const struct session *s, const struct pkt *p);

/* May a session of this protocol be in this state? For records that came from elsewhere. */
bool track_state_valid(uint8_t proto, enum session_state state);

/*
 * Numbers are not known well (degraded activation): no window checks until both sides have been
 * heard. Before workers see the session, or while its vport is passive.
 */
void track_resync(struct session *s);

#endif
