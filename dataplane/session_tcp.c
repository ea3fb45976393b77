/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The TCP tracker: reads a segment, has it judged, and takes the step. Numbers are stored before
 * the state word changes, so that who sees the new state sees the numbers that go with it; a lost
 * race means to judge again by the newer state. Any worker, see session.h.
 */
#include "dataplane/session_tcp.h"

#define TCP_OPTION_END 0
#define TCP_OPTION_NOP 1
#define TCP_OPTION_SCALE 3
#define TCP_OPTION_SCALE_LEN 3

bool tcp_segment_read(const struct pkt *p, struct tcp_segment *g)
{
	const struct rte_tcp_hdr *tcp = pkt_l4(p);

	g->class = tcp_class_of_flags[TCP_CLASS_INDEX(p->tcp_flags)];
	g->has_ack = p->tcp_flags & RTE_TCP_ACK_FLAG;
	g->seq = rte_be_to_cpu_32(tcp->sent_seq);
	g->ack = rte_be_to_cpu_32(tcp->recv_ack);
	g->len = p->payload_len;
	g->end = g->seq + g->len + !!(p->tcp_flags & RTE_TCP_SYN_FLAG) +
		 !!(p->tcp_flags & RTE_TCP_FIN_FLAG);
	g->window = tcp->rx_win;
	return g->class != TCP_CLASS_BAD;
}

int tcp_segment_scale(const struct pkt *p)
{
	const struct rte_tcp_hdr *tcp = pkt_l4(p);
	const uint8_t *option = (const uint8_t *)(tcp + 1);
	uint16_t room =
		rte_pktmbuf_data_len(p->mbuf) - RTE_MIN(rte_pktmbuf_data_len(p->mbuf), p->l4_off);
	const uint8_t *end = (const uint8_t *)tcp + RTE_MIN((tcp->data_off >> 4) * 4, room);

	while (option < end && *option != TCP_OPTION_END) {
		if (*option == TCP_OPTION_NOP) {
			option++;
			continue;
		}
		if (end - option < 2 || option[1] < 2 || option[1] > end - option)
			return -1;
		if (option[0] == TCP_OPTION_SCALE && option[1] == TCP_OPTION_SCALE_LEN)
			return RTE_MIN(option[2], TCP_SCALE_MAX);
		option += option[1];
	}
	return -1;
}

static void flag_set(struct session_half *half, uint8_t flags)
{
	__atomic_fetch_or(&half->flags, flags, __ATOMIC_RELAXED);
}

static void flag_clear(struct session_half *half, uint8_t flags)
{
	if (SESSION_GET(half->flags) & flags)
		__atomic_fetch_and(&half->flags, (uint8_t)~flags, __ATOMIC_RELAXED);
}

/* A side's numbers from its SYN or SYN-ACK. The window of a SYN is never scaled (RFC 7323 2.2). */
static void take_syn_half(
	struct session_half *own, const struct tcp_segment *g, const struct pkt *p)
{
	int scale = tcp_segment_scale(p);

	SESSION_SET(own->seq_end, g->end);
	SESSION_SET(own->window_max, RTE_MAX(rte_be_to_cpu_16(g->window), 1u));
	SESSION_SET(own->scale, (uint8_t)RTE_MAX(scale, 0));
	flag_clear(own, SESSION_HALF_SCALE_OK | SESSION_HALF_LIBERAL);
	flag_set(own, SESSION_HALF_SEEN | (scale >= 0 ? SESSION_HALF_SCALE_OK : 0) |
			      (g->len ? SESSION_HALF_SYN_DATA : 0));
}

/* The second SYN or the SYN-ACK: from now on each side's numbers bound the other's. */
static void take_syn(struct session *s, const struct tcp_segment *g, const struct pkt *p)
{
	struct session_half *own = &s->half[p->dir], *other = &s->half[p->dir ^ 1];
	uint32_t ack = g->has_ack ? g->ack : tcp_unacked(other, own);

	take_syn_half(own, g, p);
	SESSION_SET(own->seq_limit, ack + SESSION_GET(own->window_max));
	SESSION_SET(own->ack_low, (uint16_t)ack);
	SESSION_SET(other->seq_limit, g->seq + 1 + SESSION_GET(other->window_max));
	SESSION_SET(other->ack_low, (uint16_t)(g->seq + 1));
	/* Scaling needs both to offer it; one that is not known may have. */
	if ((SESSION_GET(own->flags) & SESSION_HALF_SCALE_OK) &&
		((SESSION_GET(other->flags) & SESSION_HALF_SCALE_OK) ||
			SESSION_GET(other->scale) == SESSION_SCALE_UNKNOWN))
		return;
	SESSION_SET(own->scale, 0);
	SESSION_SET(other->scale, 0);
}

/* A number not known for sure: ahead or far behind, the new one is right; else it is a
 * retransmission. */
static void adopt(uint32_t *number, uint32_t seen, uint32_t span)
{
	if (SESSION_GET(*number) - seen > span)
		SESSION_SET(*number, seen);
}

static void take_numbers(struct session *s, const struct tcp_segment *g, const struct pkt *p)
{
	struct session_half *own = &s->half[p->dir], *other = &s->half[p->dir ^ 1];
	bool own_liberal = SESSION_GET(own->flags) & SESSION_HALF_LIBERAL;
	bool other_liberal = SESSION_GET(other->flags) & SESSION_HALF_LIBERAL;
	bool picked_up = SESSION_GET(s->state) & SESSION_PICKUP;
	uint32_t window = g->class == TCP_CLASS_SYN_ACK ? rte_be_to_cpu_16(g->window)
							: tcp_window(own, g->window);

	if (own_liberal)
		adopt(&own->seq_end, g->end, tcp_span(other));
	if (own_liberal || other_liberal) /* a limit counts in the other's numbers */
		adopt(&own->seq_limit, g->ack + RTE_MAX(window, 1u), tcp_span(own));
	if (other_liberal)
		adopt(&other->seq_end, g->ack, tcp_span(own));
	else if ((own_liberal || picked_up) && TCP_AFTER(g->ack, SESSION_GET(other->seq_end)))
		SESSION_SET(other->seq_end, g->ack);
	tcp_half_update(own, g->end, g->ack, window);
	if (g->class == TCP_CLASS_FIN)
		flag_set(own, SESSION_HALF_FIN);
	flag_clear(own, SESSION_HALF_LIBERAL | SESSION_HALF_RST | SESSION_HALF_STRAY_SYN);
	/* How long the whole datagram is, only its receiver knows. */
	flag_set(own, SESSION_HALF_SEEN | (p->flags & PKT_FRAGMENT ? SESSION_HALF_LIBERAL : 0));
}

/* A SYN or SYN-ACK once more may bring a larger window, and that is what its receiver goes by. */
static void take_repeated(struct session *s, const struct tcp_segment *g, const struct pkt *p)
{
	struct session_half *own = &s->half[p->dir];
	uint32_t ack = g->has_ack ? g->ack : tcp_unacked(&s->half[p->dir ^ 1], own);

	tcp_half_update(own, g->end, ack, rte_be_to_cpu_16(g->window));
}

static void take_step(struct session *s, const struct tcp_step *step, const struct tcp_segment *g,
	const struct pkt *p)
{
	struct session_half *own = &s->half[p->dir];

	switch (step->take) {
	case TCP_TAKE_NUMBERS:
		take_numbers(s, g, p);
		break;
	case TCP_TAKE_REPEATED:
		take_repeated(s, g, p);
		break;
	case TCP_TAKE_SYN:
		take_syn(s, g, p);
		break;
	case TCP_TAKE_CONFLICT:
		flag_set(own, SESSION_HALF_LIBERAL);
		break;
	case TCP_TAKE_STRAY:
		SESSION_SET(s->syn_seq, g->seq);
		flag_set(own, SESSION_HALF_STRAY_SYN);
		break;
	case TCP_TAKE_RST:
		flag_set(own, SESSION_HALF_RST);
		break;
	default:
		break;
	}
}

static void look(
	const struct session *s, const struct track_policy *policy, uint8_t dir, struct tcp_view *v)
{
	v->word = atomic_load_explicit(&s->state, memory_order_acquire);
	v->state = v->word & SESSION_STATE_MASK;
	v->dir = dir;
	v->role = (v->word & SESSION_LEAD_INGRESS) != tcp_lead_bit(dir);
	v->own = &s->half[dir];
	v->other = &s->half[dir ^ 1];
	v->liberal = policy->tcp_liberal || (v->word & SESSION_LIBERAL);
	v->blind =
		(SESSION_GET(v->own->flags) | SESSION_GET(v->other->flags)) & SESSION_HALF_LIBERAL;
	v->syn_seq = SESSION_GET(s->syn_seq);
}

enum drop_reason session_tcp_packet(struct session *s, const struct track_policy *policy,
	const struct pkt *p, uint32_t now_ms, bool *changed)
{
	struct tcp_segment g;
	struct tcp_step step;
	struct tcp_view v;

	if (!tcp_segment_read(p, &g))
		return DROP_TCP_FLAGS;
	do {
		look(s, policy, p->dir, &v);
		if (v.word & SESSION_DEAD)
			return DROP_SESSION_CLOSED;
		if (v.state > SESSION_TCP_CLOSE)
			return DROP_TCP_FLAGS;
		tcp_judge(&v, &g, &step);
		take_step(s, &step, &g, p);
	} while (step.word != v.word &&
		 !atomic_compare_exchange_weak_explicit(&s->state, &v.word, step.word,
			 memory_order_release, memory_order_relaxed));
	if (step.word != v.word)
		*changed = true;
	if (step.drop != DROP_NONE)
		return (enum drop_reason)step.drop;
	track_count(s, p, p->dir);
	if (step.take != TCP_TAKE_NOTHING && step.take != TCP_TAKE_STRAY)
		track_refresh(s, now_ms);
	return DROP_NONE;
}

enum drop_reason session_tcp_may_open(const struct track_policy *policy, const struct pkt *p)
{
	switch (tcp_class_of_flags[TCP_CLASS_INDEX(p->tcp_flags)]) {
	case TCP_CLASS_SYN:
		return DROP_NONE;
	case TCP_CLASS_ACK:
	case TCP_CLASS_FIN:
		return policy->pickup ? DROP_NONE : DROP_NO_SESSION;
	case TCP_CLASS_BAD:
		return DROP_TCP_FLAGS;
	default:
		return DROP_NO_SESSION;
	}
}

/* Mid-stream: take the sender by its word, the other side is not known until it is heard. */
static void open_pickup(struct session *s, const struct tcp_segment *g, const struct pkt *p)
{
	struct session_half *own = &s->half[p->dir], *other = &s->half[p->dir ^ 1];
	uint32_t window;

	own->scale = other->scale = SESSION_SCALE_UNKNOWN;
	own->seq_end = g->end;
	own->window_max = 1;
	window = tcp_window(own, g->window);
	own->seq_limit = g->ack + RTE_MAX(window, 1u);
	tcp_half_update(own, g->end, g->ack, window);
	own->flags = SESSION_HALF_SEEN | (g->class == TCP_CLASS_FIN ? SESSION_HALF_FIN : 0);
	other->seq_end = g->ack;
	other->ack_low = (uint16_t)g->seq;
	other->flags = SESSION_HALF_LIBERAL;
}

void session_tcp_open(struct session *s, const struct track_policy *policy, const struct pkt *p)
{
	struct session_half *own = &s->half[p->dir], *other = &s->half[p->dir ^ 1];
	struct tcp_segment g;
	uint64_t word;

	tcp_segment_read(p, &g);
	other->window_max = 1;
	if (g.class == TCP_CLASS_SYN) {
		take_syn_half(own, &g, p);
		other->ack_low = (uint16_t)(g.seq + 1);
		word = 0;
	} else {
		open_pickup(s, &g, p);
		word = SESSION_PICKUP;
	}
	word |= tcp_edges[0][g.class][SESSION_NONE] & TCP_EDGE_STATE;
	word |= tcp_lead_bit(p->dir) | (policy->tcp_liberal ? SESSION_LIBERAL : 0);
	word |= p->dir == PKT_INGRESS ? SESSION_FIRST_INGRESS : 0;
	atomic_store_explicit(&s->state, word, memory_order_release);
}

bool session_tcp_reopens(const struct session *s, const struct pkt *p)
{
	uint64_t word = atomic_load_explicit(&s->state, memory_order_acquire);
	const struct session_half *own = &s->half[p->dir];
	bool by_opener = !(word & SESSION_FIRST_INGRESS) == (p->dir == PKT_EGRESS);
	struct tcp_segment g;

	if (!tcp_segment_read(p, &g) || g.class != TCP_CLASS_SYN)
		return false;
	switch (word & SESSION_STATE_MASK) {
	case SESSION_TCP_CLOSE:
		return true;
	case SESSION_TCP_LAST_ACK:
	case SESSION_TCP_TIME_WAIT: /* RFC 9293 3.10.7.4: newer than the connection before */
		return !(SESSION_GET(own->flags) & SESSION_HALF_SEEN) ||
		       TCP_AFTER(g.seq, SESSION_GET(own->seq_end));
	case SESSION_TCP_SYN_SENT: /* the opener has given up and begins anew */
	case SESSION_TCP_SYN_SENT2:
	case SESSION_TCP_SYN_RECV:
		return by_opener && !tcp_repeats_syn(own, &s->half[p->dir ^ 1], g.seq);
	default:
		return false;
	}
}

bool session_tcp_rejudges(const struct session *s, const struct pkt *p)
{
	uint64_t word = atomic_load_explicit(&s->state, memory_order_acquire);
	struct tcp_segment g;

	if (!tcp_segment_read(p, &g) || g.class != TCP_CLASS_SYN || session_tcp_reopens(s, p))
		return false;
	return (word & SESSION_STATE_MASK) >= SESSION_TCP_ESTABLISHED;
}

enum drop_reason session_tcp_related(const struct session *s, uint8_t error_dir, uint32_t seq)
{
	const struct session_half *sender = &s->half[error_dir ^ 1];
	const struct session_half *receiver = &s->half[error_dir];
	uint64_t word = atomic_load_explicit(&s->state, memory_order_acquire);
	uint8_t flags = SESSION_GET(sender->flags);
	uint32_t end = SESSION_GET(sender->seq_end);

	if ((word & SESSION_LIBERAL) || (flags & SESSION_HALF_LIBERAL))
		return DROP_NONE;
	if (!(flags & SESSION_HALF_SEEN))
		return DROP_RELATED_NONE;
	/* RFC 5927 4: an error is about data on their way. */
	return tcp_within(seq, end - tcp_span(receiver), end) ? DROP_NONE : DROP_TCP_WINDOW;
}
