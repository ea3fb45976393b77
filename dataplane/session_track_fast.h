/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef FERRY_SESSION_TRACK_FAST_H
#define FERRY_SESSION_TRACK_FAST_H
/*
 * The track stage for packets that change no state: established TCP inside its windows and the live
 * state of protocols without one. No compare-and-swap, no call, no branch on the protocol: the
 * state word says it all. What does not fit falls through to track_packet(), which judges anew.
 */
#include <rte_branch_prediction.h>
#include <rte_ip.h>
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
static __rte_always_inline bool session_tcp_fast(struct session *s, const struct pkt *p)
{
	const struct session_half *other = &s->half[p->dir ^ 1];
	struct session_half *own = &s->half[p->dir];
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

/* Bytes of IP, header included, as the header says: Ethernet padding does not count. */
static __rte_always_inline uint32_t track_ip_len(const struct pkt *p)
{
	const struct rte_ipv4_hdr *v4 = pkt_l3(p);
	const struct rte_ipv6_hdr *v6 = pkt_l3(p);

	return p->flags & PKT_IPV6 ? rte_be_to_cpu_16(v6->payload_len) + sizeof(*v6)
				   : rte_be_to_cpu_16(v4->total_length);
}

static __rte_always_inline void track_count(struct session *s, const struct pkt *p)
{
	struct session_half *own = &s->half[p->dir];

	SESSION_SET(own->packets, SESSION_GET(own->packets) + 1);
	SESSION_SET(own->bytes, SESSION_GET(own->bytes) + track_ip_len(p));
}

/* Line 0 is shared by all who read the session: written once a tick, not once a packet. */
static __rte_always_inline void track_refresh(struct session *s, uint32_t now_ms)
{
	if (SESSION_GET(s->last_ms) != now_ms)
		SESSION_SET(s->last_ms, now_ms);
}

/* track_packet() for workers. */
static __rte_always_inline enum drop_reason track_packet_fast(struct session *s,
	const struct track_policy *policy, const struct pkt *p, uint32_t now_ms, bool *changed)
{
	uint64_t word = atomic_load_explicit(&s->state, memory_order_relaxed);

	switch (word & (SESSION_STATE_MASK | SESSION_DEAD | SESSION_RST_WATCH)) {
	case SESSION_TCP_ESTABLISHED:
		if (unlikely(!session_tcp_fast(s, p)))
			break;
		/* fall through */
	case SESSION_UDP_STREAM:
	case SESSION_ICMP_REPLIED:
	case SESSION_GENERIC_STREAM:
		track_count(s, p);
		track_refresh(s, now_ms);
		return DROP_NONE;
	default:
		break;
	}
	return track_packet(s, policy, p, now_ms, changed);
}

#endif
