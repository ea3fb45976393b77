/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef FERRY_SESSION_TRACK_FAST_H
#define FERRY_SESSION_TRACK_FAST_H
/*
 * The track stage for packets that change no state: established TCP inside its windows and the live
 * state of protocols without one. No compare-and-swap, no call, no branch on the protocol: the
 * state word says it all. What does not fit falls through to track_packet(), which judges anew.
 */
#include <rte_branch_prediction.h>
#include <rte_tcp.h>

#include "dataplane/session_track.h"

/* Serial number arithmetic (RFC 1982, RFC 9293 3.4): is a behind b? */
#define TCP_AFTER(a, b) ((int32_t)((uint32_t)(a) - (uint32_t)(b)) > 0)

#define TCP_SCALE_MAX 14 /* RFC 7323 2.3; also what an unknown scale counts as */
#define TCP_FLAGS_STATE (RTE_TCP_FIN_FLAG | RTE_TCP_SYN_FLAG | RTE_TCP_RST_FLAG | RTE_TCP_ACK_FLAG)
#define TCP_SPAN_MIN 66000 /* least slack backwards, whatever the window (van Rooij) */

/* How far behind its newest number a side may speak: what the other had room for. */
static __rte_always_inline uint32_t tcp_span(const struct session_half *receiver)
{
	return RTE_MAX(SESSION_GET(receiver->window_max), (uint32_t)TCP_SPAN_MIN);
}

/* A window field of a segment without SYN, in bytes. */
static __rte_always_inline uint32_t tcp_window(const struct session_half *own, rte_be16_t field)
{
	return (uint32_t)rte_be_to_cpu_16(field) << RTE_MIN(SESSION_GET(own->scale), TCP_SCALE_MAX);
}

/* Take in the numbers of a segment found good; end: sequence number behind its last byte. */
static __rte_always_inline void tcp_half_update(
	struct session_half *own, uint32_t end, uint32_t ack, uint32_t window)
{
	uint32_t limit = ack + RTE_MAX(window, 1u); /* a probe may overrun a closed window by one */

	if (TCP_AFTER(end, SESSION_GET(own->seq_end)))
		SESSION_SET(own->seq_end, end);
	if (TCP_AFTER(limit, SESSION_GET(own->seq_limit)))
		SESSION_SET(own->seq_limit, limit);
	if (window > SESSION_GET(own->window_max))
		SESSION_SET(own->window_max, window);
	SESSION_SET(own->ack_low, (uint16_t)ack);
}

/* Established, whole, plain ACK, inside the windows: taken in. False: not for this path, nothing
 * changed. */
static __rte_always_inline bool session_tcp_fast(
	struct session *s, const struct pkt *p, enum pkt_dir dir)
{
	const struct session_half *other = &s->half[dir ^ 1];
	struct session_half *own = &s->half[dir];
	const struct rte_tcp_hdr *tcp = pkt_l4(p);
	uint32_t seq = rte_be_to_cpu_32(tcp->sent_seq), ack = rte_be_to_cpu_32(tcp->recv_ack);
	uint32_t end = seq + p->payload_len;
	uint32_t own_end = SESSION_GET(own->seq_end), other_end = SESSION_GET(other->seq_end);
	uint8_t half_flags = SESSION_GET(own->flags) | SESSION_GET(other->flags);

	if (unlikely((p->tcp_flags & TCP_FLAGS_STATE) != RTE_TCP_ACK_FLAG ||
		     (half_flags & SESSION_HALF_LIBERAL) || (p->flags & PKT_FRAGMENT)))
		return false;
	if (unlikely(TCP_AFTER(end, SESSION_GET(other->seq_limit)) || TCP_AFTER(ack, other_end) ||
		     TCP_AFTER(own_end - tcp_span(other), seq) ||
		     TCP_AFTER(other_end - tcp_span(own), ack)))
		return false;
	tcp_half_update(own, end, ack, tcp_window(own, tcp->rx_win));
	return true;
}

static __rte_always_inline void track_count(
	struct session *s, const struct pkt *p, enum pkt_dir dir)
{
	struct session_half *own = &s->half[dir];

	SESSION_SET(own->packets, SESSION_GET(own->packets) + 1);
	SESSION_SET(own->bytes, SESSION_GET(own->bytes) + p->ip_len);
}

/* Line 0 is shared by all who read the session: written once a tick, not once a packet. */
static __rte_always_inline void track_refresh(struct session *s, uint32_t now_ms)
{
	if (SESSION_GET(s->last_ms) != now_ms)
		SESSION_SET(s->last_ms, now_ms);
}

#define TRACK_BIT(state) (1u << (state))
/* Without windows: live, any packet; or not answered yet, packets of who opened it. */
#define TRACK_LIVE \
	(TRACK_BIT(SESSION_UDP_STREAM) | TRACK_BIT(SESSION_ICMP_REPLIED) | \
		TRACK_BIT(SESSION_GENERIC_STREAM))
#define TRACK_OPENING \
	(TRACK_BIT(SESSION_UDP_NEW) | TRACK_BIT(SESSION_ICMP_NEW) | TRACK_BIT(SESSION_GENERIC_NEW))

_Static_assert(SESSION_STATE_COUNT <= 32, "one bit a state");

/* Does a packet that way leave the state as it is, whatever is in it? */
static __rte_always_inline bool track_is_steady(uint64_t word, enum pkt_dir dir)
{
	uint32_t bit = TRACK_BIT(word & 31);

	return (word & (SESSION_STATE_MASK | SESSION_DEAD | SESSION_RST_WATCH)) < 32 &&
	       (bit & TRACK_LIVE ||
		       (bit & TRACK_OPENING && !(word & SESSION_FIRST_INGRESS) == !dir));
}

/* Taken in and counted. False: nothing done, track_packet() must judge. */
static __rte_always_inline bool track_fast(
	struct session *s, const struct pkt *p, uint32_t now_ms, enum pkt_dir dir)
{
	uint64_t word = atomic_load_explicit(&s->state, memory_order_relaxed);
	uint64_t state = word & (SESSION_STATE_MASK | SESSION_DEAD | SESSION_RST_WATCH);

	if (state == SESSION_TCP_ESTABLISHED ? unlikely(!session_tcp_fast(s, p, dir))
					     : unlikely(!track_is_steady(word, dir)))
		return false;
	track_count(s, p, dir);
	track_refresh(s, now_ms);
	return true;
}

/* track_packet() for workers. */
static __rte_always_inline enum drop_reason track_packet_fast(struct session *s,
	const struct track_policy *policy, const struct pkt *p, uint32_t now_ms, bool *changed)
{
	if (likely(track_fast(s, p, now_ms, p->dir)))
		return DROP_NONE;
	return track_packet(s, policy, p, now_ms, changed);
}

#endif
