/* SPDX-License-Identifier: BSD-3-Clause */
/* Sections named in comments are those of RFC 9293. */
#include "test/fake/fake_tcp.h"

#include <assert.h>
#include <string.h>

#include <rte_common.h>
#include <rte_tcp.h>

#define SYN RTE_TCP_SYN_FLAG
#define ACK RTE_TCP_ACK_FLAG
#define FIN RTE_TCP_FIN_FLAG
#define RST RTE_TCP_RST_FLAG

#define RTO_MIN_MS 200
#define RTO_MAX_MS 3000
#define DELAYED_ACK_MS 40

static bool after(uint32_t a, uint32_t b)
{
	return (int32_t)(a - b) > 0;
}

static bool not_after(uint32_t a, uint32_t b)
{
	return !after(a, b);
}

static uint32_t dice(struct fake_tcp *t, uint32_t sides)
{
	t->random ^= t->random << 13;
	t->random ^= t->random >> 17;
	t->random ^= t->random << 5;
	return t->random % sides;
}

/* Sequence number of the own FIN: behind the stream. */
static uint32_t stream_end(const struct fake_tcp *t)
{
	return t->iss + 1 + t->to_send;
}

/* Right edge of what the buffer has room for. */
static uint32_t room_edge(const struct fake_tcp *t)
{
	return t->rcv_next + t->buffer - RTE_MIN(t->buffer, t->unread);
}

/* Announce as much as fits; what was announced is never taken back (3.8.6), so scaling rounds up.
 */
static uint16_t announce(struct fake_tcp *t, bool syn)
{
	uint32_t shift = syn ? 0 : t->own_shift, field;

	if (after(room_edge(t), t->rcv_edge))
		t->rcv_edge = room_edge(t);
	field = (t->rcv_edge - t->rcv_next + (1u << shift) - 1) >> shift;
	field = RTE_MIN(field, 65535u);
	if (after(t->rcv_next + (field << shift), t->rcv_edge))
		t->rcv_edge = t->rcv_next + (field << shift);
	return (uint16_t)field;
}

static void send_segment(struct fake_tcp *t, uint8_t flags, uint32_t seq, uint16_t len)
{
	struct fake_segment g = {.flags = flags, .seq = seq, .len = len, .scale = -1};

	if (flags & ACK)
		g.ack = t->rcv_next;
	if (flags & SYN)
		g.scale = t->scale;
	if (!(flags & RST))
		g.window = announce(t, flags & SYN);
	if (flags & ACK)
		t->ack_ms = 0;
	t->emit(t->context, &g);
}

/* A number that the peer accepts, though more may have been sent than it allows by now. */
static uint32_t acceptable_seq(const struct fake_tcp *t)
{
	uint32_t edge = t->una + t->peer_window;

	return t->state != FAKE_TCP_OPEN || after(edge, t->next) ? t->next : edge;
}

static void send_ack(struct fake_tcp *t)
{
	send_segment(t, ACK, acceptable_seq(t), 0);
}

static void start_timer(struct fake_tcp *t, uint32_t now_ms)
{
	t->timer_ms = RTE_MAX(now_ms + t->rto_ms, 1u); /* 0 stands for none */
}

static void become(struct fake_tcp *t, enum fake_tcp_state state)
{
	t->state = state;
	if (state == FAKE_TCP_CLOSED || state == FAKE_TCP_TIME_WAIT)
		t->timer_ms = 0;
}

void fake_tcp_listen(struct fake_tcp *t)
{
	t->state = FAKE_TCP_LISTEN;
	t->una = t->next = t->iss;
	t->rto_ms = RTO_MIN_MS;
}

void fake_tcp_open(struct fake_tcp *t, uint32_t now_ms)
{
	fake_tcp_listen(t);
	t->state = FAKE_TCP_SYN_SENT;
	t->next = t->iss + 1 + t->syn_data;
	send_segment(t, SYN, t->iss, t->syn_data);
	start_timer(t, now_ms);
}

void fake_tcp_abort(struct fake_tcp *t)
{
	if (t->state == FAKE_TCP_SYN_RECEIVED || t->state == FAKE_TCP_OPEN)
		send_segment(t, RST | (dice(t, 2) ? ACK : 0), acceptable_seq(t), 0);
	t->reset = true;
	become(t, FAKE_TCP_CLOSED);
}

bool fake_tcp_is_done(const struct fake_tcp *t)
{
	return t->fin_sent && t->fin_received && t->una == t->next && !t->reset;
}

/* The oldest unacknowledged bytes again. */
static void retransmit(struct fake_tcp *t)
{
	uint32_t end = stream_end(t), len = RTE_MAX(t->peer_window, 1u);
	uint8_t flags = ACK;

	if (t->state == FAKE_TCP_SYN_SENT) {
		send_segment(t, SYN, t->iss, 0);
		return;
	}
	if (t->state == FAKE_TCP_SYN_RECEIVED) {
		send_segment(t, SYN | ACK, t->iss, 0);
		return;
	}
	len = RTE_MIN(len, (uint32_t)t->mss);
	len = RTE_MIN(len, end - t->una);
	len = RTE_MIN(len, t->next - t->una);
	if (t->una == end + 1)
		return;
	if (t->fin_sent && t->una + len == end)
		flags |= FIN;
	send_segment(t, flags, t->una, (uint16_t)len);
}

/* Whatever the window lets through. */
static void push(struct fake_tcp *t, uint32_t now_ms)
{
	uint32_t end = stream_end(t);

	if (t->state != FAKE_TCP_OPEN)
		return;
	while (!t->fin_sent && after(end, t->next) && after(t->una + t->peer_window, t->next)) {
		uint32_t len = RTE_MIN(1 + dice(t, t->mss), end - t->next);

		len = RTE_MIN(len, t->una + t->peer_window - t->next);
		send_segment(t, ACK, t->next, (uint16_t)len);
		t->next += len;
		if (!t->timer_ms)
			start_timer(t, now_ms);
	}
	/* BSD sends a FIN that is all that is left into a full window. */
	if (t->next == end && !t->fin_sent && (!t->keeps_open || t->fin_received) &&
		t->next - t->una <= t->peer_window) {
		send_segment(t, FIN | ACK, t->next++, 0);
		t->fin_sent = true;
		t->closed_first = !t->fin_received;
		start_timer(t, now_ms);
	}
	if (!t->timer_ms && after(end, t->next) && !t->fin_sent)
		start_timer(t, now_ms); /* to probe */
}

static void on_timer(struct fake_tcp *t, uint32_t now_ms)
{
	t->rto_ms = RTE_MIN(t->rto_ms * 2, (uint32_t)RTO_MAX_MS);
	t->timer_ms = 0;
	if (t->una != t->next) {
		retransmit(t);
		start_timer(t, now_ms);
	} else if (t->state == FAKE_TCP_OPEN && after(stream_end(t), t->next)) {
		send_segment(t, ACK, t->next++, 1); /* probe of a closed window (3.8.6.1) */
		start_timer(t, now_ms);
	}
}

void fake_tcp_tick(struct fake_tcp *t, uint32_t now_ms)
{
	if (t->state < FAKE_TCP_SYN_SENT)
		return;
	if (t->unread && dice(t, 8) == 0)
		t->unread -= dice(t, t->unread + 1);
	if (t->state == FAKE_TCP_OPEN &&
		after(room_edge(t), t->rcv_edge + RTE_MIN((uint32_t)t->mss, t->buffer / 2)))
		send_ack(t);
	if (t->ack_ms && after(now_ms, t->ack_ms))
		send_ack(t);
	if (t->timer_ms && after(now_ms, t->timer_ms))
		on_timer(t, now_ms);
	if (t->state == FAKE_TCP_OPEN && t->una == t->next && dice(t, 500) == 0)
		send_segment(t, ACK, t->next - 1, (uint16_t)dice(t, 2)); /* keepalive (3.8.4) */
	push(t, now_ms);
}

/* The peer's SYN: number, window, scale. */
static void take_syn(struct fake_tcp *t, const struct fake_segment *g)
{
	uint32_t taken = t->accepts_syn_data ? g->len : 0;

	t->rcv_next = g->seq + 1 + RTE_MIN(taken, t->buffer);
	t->unread = t->rcv_next - g->seq - 1;
	t->rcv_edge = t->rcv_next;
	t->peer_window = g->window;
	t->wl1 = g->seq;
	if (g->scale >= 0 && t->scale >= 0) {
		t->peer_shift = (uint8_t)g->scale;
		t->own_shift = (uint8_t)t->scale;
	}
}

static void open_now(struct fake_tcp *t, uint32_t ack)
{
	t->una = ack;
	t->timer_ms = 0;
	t->rto_ms = RTO_MIN_MS;
	become(t, FAKE_TCP_OPEN);
}

static void refuse(struct fake_tcp *t, const struct fake_segment *g)
{
	struct fake_segment rst = {.flags = RST, .scale = -1};

	if (g->flags & RST)
		return;
	if (g->flags & ACK) {
		rst.seq = g->ack;
	} else {
		rst.flags |= ACK;
		rst.ack = g->seq + g->len + !!(g->flags & SYN) + !!(g->flags & FIN);
	}
	t->emit(t->context, &rst);
}

static void in_listen(struct fake_tcp *t, const struct fake_segment *g, uint32_t now_ms)
{
	if ((g->flags & ACK) || !(g->flags & SYN)) {
		refuse(t, g);
		return;
	}
	take_syn(t, g);
	t->next = t->iss + 1;
	t->state = FAKE_TCP_SYN_RECEIVED;
	send_segment(t, SYN | ACK, t->iss, 0);
	start_timer(t, now_ms);
}

/* 3.10.7.3 */
static void in_syn_sent(struct fake_tcp *t, const struct fake_segment *g, uint32_t now_ms)
{
	bool acks = (g->flags & ACK) && after(g->ack, t->iss) && not_after(g->ack, t->next);

	if ((g->flags & ACK) && !acks) {
		refuse(t, g);
		return;
	}
	if (g->flags & RST) {
		t->reset |= acks;
		if (acks)
			become(t, FAKE_TCP_CLOSED);
		return;
	}
	if (!(g->flags & SYN))
		return;
	take_syn(t, g);
	if (acks) {
		open_now(t, g->ack);
		send_ack(t);
		if (t->una != t->next) { /* data on the SYN were refused */
			retransmit(t);
			start_timer(t, now_ms);
		}
		return;
	}
	t->state = FAKE_TCP_SYN_RECEIVED;
	send_segment(t, SYN | ACK, t->iss, 0);
}

/* 3.10.7.4, first; a window's right edge counts as inside for a segment without data. */
static bool is_acceptable(const struct fake_tcp *t, const struct fake_segment *g)
{
	uint32_t len = g->len + !!(g->flags & FIN) + !!(g->flags & SYN);
	uint32_t window = t->rcv_edge - t->rcv_next;

	if (len == 0)
		return g->seq - t->rcv_next <= window;
	if (g->seq - t->rcv_next <= window)
		return window > 0 || g->len == 0;
	return g->seq + len - 1 - t->rcv_next < window;
}

/* Stored holes that touch what is there by now. */
static void merge_holes(struct fake_tcp *t)
{
	for (int i = 0; i < t->holes; i++) {
		if (after(t->hole_from[i], t->rcv_next))
			continue;
		if (after(t->hole_to[i], t->rcv_next)) {
			t->unread += t->hole_to[i] - t->rcv_next;
			t->rcv_next = t->hole_to[i];
		}
		t->holes--;
		t->hole_from[i] = t->hole_from[t->holes];
		t->hole_to[i] = t->hole_to[t->holes];
		i = -1;
	}
	if (t->hole_fin && t->rcv_next == t->hole_fin_at && !t->fin_received) {
		t->rcv_next++;
		t->fin_received = true;
		if (after(t->rcv_next, t->rcv_edge))
			t->rcv_edge = t->rcv_next;
	}
}

static void take_data(struct fake_tcp *t, const struct fake_segment *g, uint32_t now_ms)
{
	uint32_t from = g->seq, to = g->seq + g->len;
	bool in_order = not_after(from, t->rcv_next);

	if (g->len == 0 && !(g->flags & FIN))
		return;
	if ((g->flags & FIN) && not_after(to, t->rcv_edge)) {
		t->hole_fin = true;
		t->hole_fin_at = to;
	}
	if (after(to, t->rcv_edge))
		to = t->rcv_edge;
	if (in_order && after(to, t->rcv_next)) {
		t->unread += to - t->rcv_next;
		t->rcv_next = to;
	} else if (after(to, t->rcv_next) && t->holes < FAKE_TCP_HOLES) {
		t->hole_from[t->holes] = from;
		t->hole_to[t->holes++] = to;
	}
	merge_holes(t);
	if (!in_order || (g->flags & FIN) || dice(t, 2))
		send_ack(t);
	else if (!t->ack_ms)
		t->ack_ms = RTE_MAX(now_ms + DELAYED_ACK_MS, 1u);
}

/* 3.10.7.4, fifth. False: nothing more to do with the segment. */
static bool take_ack(struct fake_tcp *t, const struct fake_segment *g, uint32_t now_ms)
{
	uint32_t window = (uint32_t)g->window << (g->flags & SYN ? 0 : t->peer_shift);
	bool newer = after(g->ack, t->una);

	if (after(g->ack, t->next)) {
		send_ack(t);
		return false;
	}
	if (newer) {
		t->una = g->ack;
		t->duplicates = 0;
		t->rto_ms = RTO_MIN_MS;
		t->timer_ms = 0;
		if (t->una != t->next)
			start_timer(t, now_ms);
	} else if (g->ack == t->una && t->una != t->next && g->len == 0 && ++t->duplicates == 3) {
		retransmit(t);
	}
	/*
	 * The rules of Linux: a newer ack always brings its window, and the same numbers again only
	 * a larger one. By the letter of the RFC, packets that were swapped would bring back an old
	 * window.
	 */
	if (newer || (g->ack == t->una && (after(g->seq, t->wl1) ||
						  (g->seq == t->wl1 && window > t->peer_window)))) {
		t->peer_window = window;
		t->wl1 = g->seq;
	}
	return true;
}

/* A SYN that comes again, or crosses ours. True: the segment is used up. */
static bool in_handshake(struct fake_tcp *t, const struct fake_segment *g)
{
	bool acks = (g->flags & ACK) && after(g->ack, t->iss) && not_after(g->ack, t->next);

	if (g->flags & RST)
		return false;
	if ((g->flags & ACK) && !acks) {
		refuse(t, g);
		return true;
	}
	if ((g->flags & SYN) && !acks) {
		send_segment(t, SYN | ACK, t->iss, 0);
		return true;
	}
	if (!acks || (!(g->flags & SYN) && !is_acceptable(t, g)))
		return false;
	open_now(t, g->ack);
	t->peer_window = (uint32_t)g->window << (g->flags & SYN ? 0 : t->peer_shift);
	return g->flags & SYN;
}

static void synchronized(struct fake_tcp *t, const struct fake_segment *g, uint32_t now_ms)
{
	if (t->state == FAKE_TCP_SYN_RECEIVED && in_handshake(t, g))
		return;
	if (!is_acceptable(t, g)) {
		if (!(g->flags & RST))
			send_ack(t);
		/* 3.10.7.4: with a closed window, ACKs count all the same. */
		if (g->seq == t->rcv_next && (g->flags & ACK) && !(g->flags & RST))
			take_ack(t, g, now_ms);
		return;
	}
	if (g->flags & RST) {
		if (g->seq != t->rcv_next) {
			send_ack(t); /* RFC 5961 3.2 */
			return;
		}
		t->reset = t->state != FAKE_TCP_TIME_WAIT;
		become(t, FAKE_TCP_CLOSED);
		return;
	}
	if (g->flags & SYN) {
		send_ack(t); /* RFC 5961 4.2 */
		return;
	}
	if (!(g->flags & ACK) || !take_ack(t, g, now_ms))
		return;
	take_data(t, g, now_ms);
	push(t, now_ms);
	if (t->state == FAKE_TCP_OPEN && fake_tcp_is_done(t))
		become(t, t->closed_first ? FAKE_TCP_TIME_WAIT : FAKE_TCP_CLOSED);
}

void fake_tcp_input(struct fake_tcp *t, const struct fake_segment *g, uint32_t now_ms)
{
	switch (t->state) {
	case FAKE_TCP_CLOSED:
		refuse(t, g);
		break;
	case FAKE_TCP_LISTEN:
		in_listen(t, g, now_ms);
		break;
	case FAKE_TCP_SYN_SENT:
		in_syn_sent(t, g, now_ms);
		break;
	default:
		synchronized(t, g, now_ms);
		break;
	}
}
