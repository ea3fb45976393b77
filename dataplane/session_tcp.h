/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef FERRY_SESSION_TCP_H
#define FERRY_SESSION_TCP_H
/*
 * Inside of the TCP tracker: a segment read, a session looked at, a judgement that changes nothing
 * (session_tcp_judge.c), and its execution (session_tcp.c). For these two files and
 * session_track.c.
 */
#include "dataplane/session_track_fast.h"
#include "dataplane/session_tcp_table.h"

/* What the tracker needs of a segment, host order. */
struct tcp_segment {
	uint32_t seq, ack;
	uint32_t len; /* data, without SYN and FIN */
	uint32_t end; /* behind all that takes sequence space */
	rte_be16_t window;
	uint8_t class; /* enum tcp_class */
	bool has_ack;
};

/* A session at one moment, seen from the sender of a segment. */
struct tcp_view {
	uint64_t word;
	uint8_t state; /* enum session_state, NONE to TCP_CLOSE */
	uint8_t role; /* 0: sender leads, 1: the other */
	uint8_t dir;
	bool liberal; /* session or policy: nothing is dropped for its numbers */
	bool blind; /* a half is not known yet: numbers say nothing */
	const struct session_half *own, *other;
	uint32_t syn_seq;
};

/* What to take from a segment. */
enum tcp_take {
	TCP_TAKE_NOTHING, /* passes, is no sign of life */
	TCP_TAKE_LIFE, /* time only */
	TCP_TAKE_REPEATED, /* SYN or SYN-ACK once more: its window */
	TCP_TAKE_NUMBERS,
	TCP_TAKE_SYN, /* numbers and options of a second SYN or SYN-ACK */
	TCP_TAKE_CONFLICT, /* SYN-ACK with another number: which one counts is seen later */
	TCP_TAKE_STRAY, /* remember a SYN that starts nothing */
	TCP_TAKE_RST, /* remember who sent an inexact RST */
};

struct tcp_step {
	uint64_t word; /* next state word */
	uint8_t take; /* enum tcp_take */
	uint8_t drop; /* enum drop_reason; the state word is taken all the same */
};

/* False: flags that no TCP sends, or header not in the first segment of the mbuf. */
bool tcp_segment_read(const struct pkt *p, struct tcp_segment *g);

/* Window scale option of a SYN: 0-14 (more counts as 14), or -1 for none. */
int tcp_segment_scale(const struct pkt *p);

void tcp_judge(const struct tcp_view *v, const struct tcp_segment *g, struct tcp_step *step);

/*
 * The oldest sequence number of `side` that `peer` has not acknowledged, from the low half kept in
 * peer: exact while less than 64 KiB are on their way, in a handshake the first number behind the
 * SYN.
 */
static inline uint32_t tcp_unacked(const struct session_half *side, const struct session_half *peer)
{
	uint32_t end = SESSION_GET(side->seq_end);

	return end - (uint16_t)(end - SESSION_GET(peer->ack_low));
}

/* Is n within [from, to]? */
static inline bool tcp_within(uint32_t n, uint32_t from, uint32_t to)
{
	return n - from <= to - from;
}

/* How far `side` may have sent unseen, mid-stream: what `peer` allowed, and its FIN. */
static inline uint32_t tcp_unseen_end(
	const struct session_half *peer, const struct session_half *side)
{
	uint32_t seen = SESSION_GET(side->seq_end), allowed = SESSION_GET(peer->seq_limit) + 1;

	return TCP_AFTER(allowed, seen) ? allowed : seen;
}

#define TCP_SYN_DATA_MAX 9000 /* more than a frame carries */

/*
 * Is a SYN at seq the one that side has sent before (handshake states)? Once data on it are
 * acknowledged, its number is known but for their length.
 */
static inline bool tcp_repeats_syn(
	const struct session_half *side, const struct session_half *peer, uint32_t seq)
{
	uint32_t unacked = tcp_unacked(side, peer);

	if (SESSION_GET(side->flags) & SESSION_HALF_SYN_DATA)
		return tcp_within(seq + 1, unacked - TCP_SYN_DATA_MAX, unacked);
	return seq + 1 == unacked;
}

static inline uint64_t tcp_lead_bit(uint8_t dir)
{
	return dir == PKT_INGRESS ? SESSION_LEAD_INGRESS : 0;
}

/* Entry points, as in session_track.h. */
enum drop_reason session_tcp_may_open(const struct track_policy *policy, const struct pkt *p);
bool session_tcp_reopens(const struct session *s, const struct pkt *p);
bool session_tcp_rejudges(const struct session *s, const struct pkt *p);
void session_tcp_open(struct session *s, const struct track_policy *policy, const struct pkt *p);
enum drop_reason session_tcp_packet(struct session *s, const struct track_policy *policy,
	const struct pkt *p, uint32_t now_ms, bool *changed);
/* seq: of the quoted segment, which went against the direction of the error. */
enum drop_reason session_tcp_related(const struct session *s, uint8_t error_dir, uint32_t seq);

#endif
