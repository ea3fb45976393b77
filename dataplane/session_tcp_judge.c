/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Judge a segment: by its class, is it good, what does it make of the state word, and which of its
 * numbers count? Nothing is written here, so the caller may try again when another worker was
 * faster.
 *
 * Windows after van Rooij: data must not reach beyond what the receiver allowed, nor lie further
 * behind the sender's newest number than the receiver ever had room for; an ack must be for data
 * that was seen, and not be older than the sender's own room. Segments a little further behind pass
 * without effect: their receiver answers with an ACK that the sender needs (RFC 9293 3.10.7.4,
 * first).
 */
#include "dataplane/session_tcp.h"

#define TCP_OLD_SPANS 4 /* how many spans behind a late copy still passes */

enum tcp_fit { TCP_FIT_IN, TCP_FIT_OLD, TCP_FIT_OUT };

/* Distance of a number behind the newest one, against the span that is allowed. */
static enum tcp_fit fit_behind(uint32_t newest, uint32_t number, uint32_t span)
{
	uint64_t old = RTE_MIN((uint64_t)span * TCP_OLD_SPANS, (uint64_t)INT32_MAX);
	int32_t behind = (int32_t)(newest - number);

	if (behind <= (int64_t)span)
		return TCP_FIT_IN;
	return behind <= (int64_t)old ? TCP_FIT_OLD : TCP_FIT_OUT;
}

static enum tcp_fit fit_window(const struct tcp_view *v, const struct tcp_segment *g)
{
	uint32_t other_end = SESSION_GET(v->other->seq_end);
	enum tcp_fit seq_fit, ack_fit;

	/* A FIN may stand one beyond the window: stacks send it when the data just fit. */
	if (TCP_AFTER(g->seq + g->len, SESSION_GET(v->other->seq_limit)))
		return TCP_FIT_OUT;
	if (TCP_AFTER(g->ack,
		    v->word & SESSION_PICKUP ? tcp_unseen_end(v->own, v->other) : other_end))
		return TCP_FIT_OUT;
	seq_fit = fit_behind(SESSION_GET(v->own->seq_end), g->seq, tcp_span(v->other));
	ack_fit = fit_behind(other_end, g->ack, tcp_span(v->own));
	return RTE_MAX(seq_fit, ack_fit);
}

/* Does the ack cover the other's SYN, and nothing that was not sent? */
static bool acks_syn(const struct tcp_view *v, const struct tcp_segment *g)
{
	return tcp_within(g->ack, tcp_unacked(v->other, v->own), SESSION_GET(v->other->seq_end));
}

static bool is_handshake(const struct tcp_view *v)
{
	return v->state <= SESSION_TCP_SYN_SENT2;
}

/* Does it answer a SYN that the other side sent into the living session? Then that session is a
 * leftover. */
static bool answers_stray(const struct tcp_view *v, const struct tcp_segment *g)
{
	return (SESSION_GET(v->other->flags) & SESSION_HALF_STRAY_SYN) && g->ack == v->syn_seq + 1;
}

static void step_drop(struct tcp_step *step, enum drop_reason reason)
{
	step->drop = (uint8_t)reason;
}

static void step_state(struct tcp_step *step, enum session_state state)
{
	step->word = (step->word & ~SESSION_STATE_MASK) | state;
}

/* Numbers outside: dropped, unless the session is liberal. */
static void step_outside(const struct tcp_view *v, struct tcp_step *step)
{
	step->take = TCP_TAKE_NOTHING;
	if (!v->liberal && !v->blind)
		step_drop(step, DROP_TCP_WINDOW);
}

/* Follow an edge of the table. */
static void step_edge(const struct tcp_view *v, uint8_t edge, struct tcp_step *step)
{
	uint64_t lead = step->word & SESSION_LEAD_INGRESS;

	if (edge & TCP_EDGE_SELF)
		lead = tcp_lead_bit(v->dir);
	if (edge & TCP_EDGE_OTHER)
		lead = tcp_lead_bit(v->dir ^ 1);
	step->word = (step->word & ~SESSION_LEAD_INGRESS) | lead;
	step_state(step, edge & TCP_EDGE_STATE);
}

/*
 * The handshake is complete, yet the other side has sent its FIN before (fast open: answer, data
 * and FIN at once): go on where that FIN leads.
 */
static void step_early_fin(const struct tcp_view *v, struct tcp_step *step)
{
	enum session_state state = step->word & SESSION_STATE_MASK;

	if (v->state != SESSION_TCP_SYN_RECV || !(SESSION_GET(v->other->flags) & SESSION_HALF_FIN))
		return;
	if (state == SESSION_TCP_ESTABLISHED)
		step_edge(v, SESSION_TCP_FIN_WAIT | TCP_EDGE_OTHER, step);
	else if (state == SESSION_TCP_FIN_WAIT)
		step_edge(v, SESSION_TCP_LAST_ACK | TCP_EDGE_OTHER, step);
}

static void judge_syn(const struct tcp_view *v, const struct tcp_segment *g, struct tcp_step *step)
{
	uint8_t edge = tcp_edges[v->role][TCP_CLASS_SYN][v->state];

	if (!(edge & TCP_EDGE_PASS)) {
		step->take = TCP_TAKE_SYN;
		step_edge(v, edge, step);
	} else if (is_handshake(v) && tcp_repeats_syn(v->own, v->other, g->seq)) {
		step->take = TCP_TAKE_REPEATED;
	} else {
		step->take = TCP_TAKE_STRAY;
	}
}

/* SYN-ACK on a session that is past its handshake: a late copy, or the proof that one end began
 * anew. */
static void judge_late_syn_ack(
	const struct tcp_view *v, const struct tcp_segment *g, struct tcp_step *step)
{
	step->take = TCP_TAKE_NOTHING;
	if (v->blind || fit_window(v, g) != TCP_FIT_OUT)
		return;
	if (answers_stray(v, g)) {
		/* The SYN was let by, not admitted. Its retransmission will be: see
		 * track_reopens(). */
		step_state(step, SESSION_TCP_CLOSE);
		step_drop(step, DROP_TCP_FLAGS);
		return;
	}
	step_outside(v, step);
}

/* SYN-ACK of the side that has answered already. */
static void judge_syn_ack_again(
	const struct tcp_view *v, const struct tcp_segment *g, struct tcp_step *step)
{
	if (!acks_syn(v, g))
		step_outside(v, step);
	else
		step->take = tcp_repeats_syn(v->own, v->other, g->seq) ? TCP_TAKE_REPEATED
								       : TCP_TAKE_CONFLICT;
}

static void judge_syn_ack(
	const struct tcp_view *v, const struct tcp_segment *g, struct tcp_step *step)
{
	uint8_t edge = tcp_edges[v->role][TCP_CLASS_SYN_ACK][v->state];
	bool first = v->state == SESSION_TCP_SYN_SENT; /* the sender has sent nothing so far */

	if (edge == TCP_EDGE_INVALID) {
		step_drop(step, DROP_TCP_FLAGS);
	} else if (!is_handshake(v)) {
		judge_late_syn_ack(v, g, step);
	} else if (edge & TCP_EDGE_PASS) {
		judge_syn_ack_again(v, g, step);
	} else if (!v->blind &&
		   (!acks_syn(v, g) || (!first && !tcp_repeats_syn(v->own, v->other, g->seq)))) {
		step_outside(v, step);
	} else {
		step->take = first ? TCP_TAKE_SYN : TCP_TAKE_NUMBERS;
		step_edge(v, edge, step);
		step_early_fin(v, step);
	}
}

/*
 * ACK or FIN in a handshake: must acknowledge the SYN and stand behind the sender's own. One before
 * that is a keepalive whose forerunner was lost: for the receiver to answer.
 */
static enum tcp_fit fit_handshake(const struct tcp_view *v, const struct tcp_segment *g)
{
	uint32_t first = tcp_unacked(v->own, v->other);

	if (v->blind)
		return TCP_FIT_IN;
	if (!acks_syn(v, g) || TCP_AFTER(first - 1, g->seq))
		return TCP_FIT_OUT;
	return g->seq == first - 1 ? TCP_FIT_OLD : TCP_FIT_IN;
}

/* After a RST that was not exact, its sender is alive after all. */
static void step_unwatch(const struct tcp_view *v, struct tcp_step *step)
{
	if ((SESSION_GET(v->own->flags) & SESSION_HALF_RST) &&
		!(SESSION_GET(v->other->flags) & SESSION_HALF_RST))
		step->word &= ~SESSION_RST_WATCH;
}

static bool acks_fin(const struct tcp_view *v, const struct tcp_segment *g)
{
	return (SESSION_GET(v->other->flags) & SESSION_HALF_FIN) &&
	       !TCP_AFTER(SESSION_GET(v->other->seq_end), g->ack);
}

static void judge_ack(const struct tcp_view *v, const struct tcp_segment *g, struct tcp_step *step)
{
	uint8_t edge = tcp_edges[v->role][g->class][v->state];
	bool answered = v->state == SESSION_TCP_SYN_RECV && v->role == 1;
	enum tcp_fit fit;

	/* The other side's SYN-ACK went by unseen, before this host knew the session. */
	if (edge == TCP_EDGE_INVALID && v->blind && g->class == TCP_CLASS_ACK)
		edge = SESSION_TCP_ESTABLISHED;
	if (edge == TCP_EDGE_INVALID) {
		step_drop(step, DROP_TCP_FLAGS);
		return;
	}
	if (edge & TCP_EDGE_PASS) {
		step->take = TCP_TAKE_NOTHING;
		return;
	}
	fit = v->blind || v->liberal ? TCP_FIT_IN : fit_window(v, g);
	if (is_handshake(v) && !answered && fit == TCP_FIT_IN)
		fit = fit_handshake(v, g);
	if (fit == TCP_FIT_OUT) {
		step_outside(v, step);
		return;
	}
	if (fit == TCP_FIT_OLD) {
		step->take = TCP_TAKE_NOTHING;
		return;
	}
	step->take = TCP_TAKE_NUMBERS;
	step_unwatch(v, step);
	if (!(edge & TCP_EDGE_ACKS_FIN) || acks_fin(v, g)) {
		step_edge(v, edge, step);
		step_early_fin(v, step);
	}
	if ((step->word & SESSION_STATE_MASK) >= SESSION_TCP_ESTABLISHED &&
		(SESSION_GET(v->other->flags) & SESSION_HALF_SEEN))
		step->word |= SESSION_ASSURED;
}

/* RST before both sides have spoken: must be about the SYN. */
static bool rst_refuses(const struct tcp_view *v, const struct tcp_segment *g)
{
	if (v->state == SESSION_TCP_SYN_SENT && v->role == 0)
		return tcp_within(
			g->seq, tcp_unacked(v->own, v->other), SESSION_GET(v->own->seq_end));
	if (g->has_ack)
		return acks_syn(v, g);
	return v->state == SESSION_TCP_SYN_SENT2 &&
	       tcp_within(g->seq, tcp_unacked(v->own, v->other), SESSION_GET(v->own->seq_end));
}

/* Is it at the very number that its receiver expects next (RFC 5961 3.2)? */
static bool rst_exact(const struct tcp_view *v, const struct tcp_segment *g)
{
	uint32_t end = SESSION_GET(v->own->seq_end);

	if (SESSION_GET(v->own->flags) & SESSION_HALF_LIBERAL)
		return false;
	return g->seq == end || ((uint16_t)g->seq == SESSION_GET(v->other->ack_low) &&
					tcp_within(g->seq, end - tcp_span(v->other), end));
}

/*
 * In the window, not exact: its receiver decides, see SESSION_RST_WATCH. Seq 0 with an ack for the
 * SYN is the answer of a host without this connection to a SYN that came again.
 */
static bool rst_near(const struct tcp_view *v, const struct tcp_segment *g)
{
	if (v->liberal || v->blind)
		return true;
	if (v->state == SESSION_TCP_SYN_RECV && g->has_ack && g->seq == 0 && acks_syn(v, g))
		return true;
	return tcp_within(g->seq, SESSION_GET(v->own->seq_end) - tcp_span(v->other),
		SESSION_GET(v->other->seq_limit));
}

static void judge_rst(const struct tcp_view *v, const struct tcp_segment *g, struct tcp_step *step)
{
	bool unanswered = v->state == SESSION_TCP_SYN_SENT || v->state == SESSION_TCP_SYN_SENT2;
	uint8_t edge = tcp_edges[v->role][TCP_CLASS_RST][v->state];
	bool closes;

	if (unanswered)
		closes = rst_refuses(v, g);
	else
		closes = rst_exact(v, g) || (g->has_ack && g->seq == 0 && answers_stray(v, g));
	if (closes) {
		step->take = TCP_TAKE_LIFE;
		step->word &= ~SESSION_RST_WATCH;
		step_edge(v, edge, step);
	} else if (v->state == SESSION_TCP_SYN_SENT && v->role == 0) {
		step->take = TCP_TAKE_NOTHING; /* answer to the challenge of a half-open peer */
	} else if (unanswered ? v->liberal || v->blind : rst_near(v, g)) {
		step->take = TCP_TAKE_RST;
		if (v->state != SESSION_TCP_CLOSE)
			step->word |= SESSION_RST_WATCH;
	} else {
		step_drop(step, DROP_TCP_RST);
	}
}

void tcp_judge(const struct tcp_view *v, const struct tcp_segment *g, struct tcp_step *step)
{
	*step = (struct tcp_step){.word = v->word, .take = TCP_TAKE_NOTHING, .drop = DROP_NONE};
	switch (g->class) {
	case TCP_CLASS_SYN:
		judge_syn(v, g, step);
		break;
	case TCP_CLASS_SYN_ACK:
		judge_syn_ack(v, g, step);
		break;
	case TCP_CLASS_RST:
		judge_rst(v, g, step);
		break;
	default:
		judge_ack(v, g, step);
		break;
	}
}
