/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Two TCP ends that know nothing of the tracker talk through it over a network that loses, repeats
 * and swaps packets on both sides of it. Strict all the way, the tracker must let pass whatever
 * they send, and nothing that is forged outside their windows. Virtual clock, seeded: a failure
 * names its seed.
 */
#include <stdlib.h>

#include "test/fake/fake_tcp.h"
#include "test/unit/track_fixture.h"

#define SEEDS 300
#define FLIGHTS_MAX 4096
#define END_MS 600000

enum { C, V };

/* A segment on its way to the tracker, or from there to its receiver. */
struct flight {
	uint32_t due_ms;
	uint8_t from;
	bool tracked;
	struct fake_segment g;
};

struct world {
	uint32_t random, seed, now_ms;
	struct fake_tcp end[2];
	struct track_fixture f;
	struct flight flight[FLIGHTS_MAX];
	int flights;
	uint32_t loss, repeat; /* per mille */
	uint32_t jitter_ms;
	/* What went by the tracker: highest number sent, right edge granted to each side. */
	bool heard[2];
	uint32_t sent[2], edge[2];
	bool edge_known[2];
	uint32_t passed, forged;
};

struct port {
	struct world *w;
	int side;
};

static uint32_t dice(struct world *w, uint32_t sides)
{
	w->random ^= w->random << 13;
	w->random ^= w->random >> 17;
	w->random ^= w->random << 5;
	return w->random % sides;
}

static void launch(struct world *w, int from, bool tracked, const struct fake_segment *g)
{
	int copies = 1 + (dice(w, 1000) < w->repeat);

	if (dice(w, 1000) < w->loss)
		return;
	while (copies--) {
		assert_true(w->flights < FLIGHTS_MAX);
		w->flight[w->flights++] =
			(struct flight){.due_ms = w->now_ms + 1 + dice(w, w->jitter_ms),
				.from = (uint8_t)from,
				.tracked = tracked,
				.g = *g};
	}
}

static void emit(void *context, const struct fake_segment *g)
{
	struct port *port = context;

	launch(port->w, port->side, false, g);
}

static enum drop_reason track(struct world *w, int from, const struct fake_segment *g)
{
	struct fake_packet spec = {.tcp_flags = g->flags,
		.seq = g->seq,
		.ack = g->ack,
		.window = g->window,
		.payload_len = g->len,
		.zero_l4_csum = true,
		.wscale = g->scale >= 0 ? FAKE_WSCALE(g->scale) : 0};

	w->f.now_ms = w->now_ms;
	return fixture_track(&w->f, fixture_packet(&w->f, from == C ? FROM_C : FROM_V, spec));
}

static void raise_number(uint32_t *number, bool *known, uint32_t value)
{
	if (!*known || TCP_AFTER(value, *number))
		*number = value;
	*known = true;
}

/* Note what an observer beside the tracker knows from a segment. */
static void note(struct world *w, int from, const struct fake_segment *g)
{
	bool syn = g->flags & RTE_TCP_SYN_FLAG;
	uint32_t end = g->seq + g->len + syn + !!(g->flags & RTE_TCP_FIN_FLAG);
	uint32_t window = (uint32_t)g->window << (syn ? 0 : w->end[from].own_shift);

	if (g->flags & RTE_TCP_RST_FLAG)
		return;
	raise_number(&w->sent[from], &w->heard[from], end);
	if (syn)
		raise_number(
			&w->edge[!from], &w->edge_known[!from], w->end[!from].iss + 1 + window);
	if (g->flags & RTE_TCP_ACK_FLAG)
		raise_number(&w->edge[!from], &w->edge_known[!from], g->ack + RTE_MAX(window, 1u));
}

/*
 * RSTs without effect at their receiver need not pass: in answer to a late copy of a SYN (seq 0),
 * at a number that the receiver has left behind, or without ACK where it waits for an answer to its
 * SYN.
 */
static bool must_pass(const struct world *w, const struct flight *flight)
{
	const struct fake_segment *g = &flight->g;
	const struct session *s = &w->f.s;

	/* Its RST has overtaken the SYN-ACK: a refused connection has no windows. */
	if (session_state(s) == SESSION_TCP_CLOSE &&
		!(s->half[0].flags & s->half[1].flags & SESSION_HALF_SEEN))
		return false;
	if (!(g->flags & RTE_TCP_RST_FLAG))
		return true;
	if (w->end[!flight->from].state == FAKE_TCP_SYN_SENT && !(g->flags & RTE_TCP_ACK_FLAG))
		return false;
	return g->seq != 0 && !TCP_AFTER(w->end[!flight->from].rcv_next, g->seq);
}

static void arrive_at_tracker(struct world *w, const struct flight *flight)
{
	enum drop_reason reason = track(w, flight->from, &flight->g);

	if (reason != DROP_NONE && w->f.opened == 1 && must_pass(w, flight))
		fail_msg("seed %u at %u ms: %s: %c flags %02x seq %u ack %u len %u, state %s",
			w->seed, w->now_ms, drop_name(reason), "CV"[flight->from],
			flight -> g.flags, flight->g.seq - w->end[flight->from].iss,
			flight->g.ack - w->end[!flight->from].iss, flight->g.len,
			session_state_name(session_state(&w->f.s)));
	if (reason != DROP_NONE)
		return;
	w->passed++;
	note(w, flight->from, &flight->g);
	launch(w, flight->from, true, &flight->g);
}

static void deliver_due(struct world *w)
{
	for (int i = 0; i < w->flights; i++) {
		struct flight flight = w->flight[i];

		if (TCP_AFTER(flight.due_ms, w->now_ms))
			continue;
		w->flight[i--] = w->flight[--w->flights];
		if (flight.tracked)
			fake_tcp_input(&w->end[!flight.from], &flight.g, w->now_ms);
		else
			arrive_at_tracker(w, &flight);
	}
}

/* One forged segment outside what the ends could have sent. */
static struct fake_segment forgery(struct world *w, int from)
{
	uint32_t far = dice(w, 1u << 30);
	struct fake_segment g = {.flags = RTE_TCP_ACK_FLAG,
		.seq = w->sent[from],
		.ack = w->sent[!from],
		.len = (uint16_t)(1 + dice(w, 1000)),
		.window = 1000,
		.scale = -1};

	switch (dice(w, 7)) {
	case 0: /* data beyond the window */
		g.seq = w->edge[from] + 2 + far;
		break;
	case 1: /* ack of what was never sent */
		g.ack = w->sent[!from] + 1 + far;
		g.len = 0;
		break;
	case 2: /* RST beyond the window */
		g.flags = RTE_TCP_RST_FLAG | (dice(w, 2) ? RTE_TCP_ACK_FLAG : 0);
		g.seq = w->edge[from] + 2 + far;
		break;
	case 3: /* from long ago */
		g.seq = w->sent[from] - (1u << 29) - far / 2;
		break;
	case 4: /* an ack from long ago */
		g.ack = w->sent[!from] - (1u << 29) - far / 2;
		break;
	case 5: /* FIN beyond the window */
		g.flags |= RTE_TCP_FIN_FLAG;
		g.seq = w->edge[from] + 3 + far;
		break;
	default: /* SYN-ACK of another connection */
		g.flags |= RTE_TCP_SYN_FLAG;
		g.seq = w->edge[from] + 2 + far;
		g.len = 0;
		break;
	}
	return g;
}

static void forge(struct world *w)
{
	int from = (int)dice(w, 2);
	struct session before = w->f.s;
	struct fake_segment g;
	enum session_state state;

	if (!w->f.exists || !w->heard[C] || !w->heard[V] || !w->edge_known[C] || !w->edge_known[V])
		return;
	state = session_state(&w->f.s);
	if (state < SESSION_TCP_SYN_RECV || state == SESSION_TCP_CLOSE)
		return;
	if (state == SESSION_TCP_SYN_SENT2)
		return; /* numbers bind from the first ack on */
	g = forgery(w, from);
	if ((g.flags & RTE_TCP_SYN_FLAG) &&
		(state == SESSION_TCP_SYN_RECV || g.ack == w->end[!from].iss + 1))
		return; /* it names the SYN: taken for another server's answer */
	if (track(w, from, &g) == DROP_NONE)
		fail_msg(
			"seed %u at %u ms: forged %c flags %02x seq edge%+d sent%+d ack %+d len %u "
			"passed in %s",
			w->seed, w->now_ms, "CV"[from], g.flags, (int)(g.seq - w->edge[from]),
			(int)(g.seq - w->sent[from]), (int)(g.ack - w->sent[!from]), g.len,
			session_state_name(state));
	assert_memory_equal(&before, &w->f.s, sizeof(before));
	w->forged++;
}

static void set_up(struct world *w, struct port ports[2], uint32_t seed)
{
	memset(w, 0, sizeof(*w));
	w->seed = seed;
	w->random = seed * 2654435761u + 1;
	w->now_ms = dice(w, 2) ? 1000 : UINT32_MAX - dice(w, 2000);
	fixture_init(&w->f, IPPROTO_TCP);
	w->loss = dice(w, 3) ? dice(w, 100) : 0;
	w->repeat = dice(w, 3) ? dice(w, 100) : 0;
	w->jitter_ms = 1 + (dice(w, 2) ? dice(w, 5) : dice(w, 60));
	for (int side = 0; side < 2; side++) {
		struct fake_tcp *t = &w->end[side];
		uint32_t most;

		ports[side] = (struct port){w, side};
		t->emit = emit;
		t->context = &ports[side];
		t->random = dice(w, UINT32_MAX) | 1;
		t->iss = dice(w, 2) ? dice(w, UINT32_MAX) : UINT32_MAX - dice(w, 5000);
		t->scale = (int)dice(w, 10) - 1;
		most = t->scale > 0 ? RTE_MIN(65535u << t->scale, 300000u) : 65535;
		t->buffer = 500 + dice(w, dice(w, 2) ? 5000 : most - 500);
		t->mss = (uint16_t)(100 + dice(w, 1360));
		t->to_send = dice(w, 4) ? dice(w, 100000) : dice(w, 100);
		t->accepts_syn_data = dice(w, 2);
		t->keeps_open = dice(w, 3) == 0;
	}
	if (w->end[C].keeps_open && w->end[V].keeps_open)
		w->end[C].keeps_open = false;
	if (dice(w, 3) == 0)
		w->end[C].syn_data = (uint16_t)RTE_MIN(w->end[C].to_send, (uint32_t)w->end[C].mss);
}

static bool is_over(const struct fake_tcp *t)
{
	return t->reset || t->state == FAKE_TCP_CLOSED || t->state == FAKE_TCP_TIME_WAIT;
}

/* Returns how long the two have talked. */
static uint32_t talk(struct world *w, bool crossed, uint32_t abort_at_ms)
{
	uint32_t start_ms = w->now_ms, quiet_ms = 0;

	if (!crossed)
		fake_tcp_listen(&w->end[V]);
	fake_tcp_open(&w->end[C], w->now_ms);
	if (crossed)
		fake_tcp_open(&w->end[V], w->now_ms);
	while (quiet_ms < 500 && w->now_ms - start_ms < END_MS) {
		w->now_ms++;
		deliver_due(w);
		for (int side = 0; side < 2; side++)
			fake_tcp_tick(&w->end[side], w->now_ms);
		if (w->now_ms - start_ms == abort_at_ms)
			fake_tcp_abort(&w->end[dice(w, 2)]);
		if (dice(w, 4) == 0)
			forge(w);
		quiet_ms = is_over(&w->end[C]) && is_over(&w->end[V]) && !w->flights ? quiet_ms + 1
										     : 0;
	}
	return w->now_ms - start_ms;
}

static struct world world;

static void what_real_ends_send_passes_and_forgeries_do_not(void **unused)
{
	struct port ports[2];
	uint64_t passed = 0, forged = 0;

	for (uint32_t seed = 1; seed <= SEEDS; seed++) {
		enum session_state state;
		uint32_t lasted;

		set_up(&world, ports, seed);
		lasted = talk(&world, dice(&world, 4) == 0, 0);
		state = session_state(&world.f.s);
		passed += world.passed;
		forged += world.forged;
		if (!fake_tcp_is_done(&world.end[C]) || !fake_tcp_is_done(&world.end[V]))
			fail_msg("seed %u: not done after %u ms, state %s", seed, lasted,
				session_state_name(state));
		assert_int_equal(world.f.opened, 1);
		if (state != SESSION_TCP_TIME_WAIT && state != SESSION_TCP_LAST_ACK &&
			state != SESSION_TCP_CLOSE)
			fail_msg("seed %u: ends in %s", seed, session_state_name(state));
	}
	print_message("%u connections, %llu segments passed, %llu forgeries refused\n", SEEDS,
		(unsigned long long)passed, (unsigned long long)forged);
	assert_true(passed > 10000 && forged > 10000);
}

static void aborted_connections_close_in_the_tracker_too(void **unused)
{
	struct port ports[2];
	uint32_t closed = 0;

	for (uint32_t seed = 1; seed <= SEEDS; seed++) {
		set_up(&world, ports, seed * 7919);
		world.end[C].to_send += 100000;
		talk(&world, dice(&world, 4) == 0, 1 + dice(&world, 300));
		if (world.f.opened > 1)
			continue; /* a late copy of the SYN */
		closed += session_idle_state(&world.f.s) == SESSION_TCP_CLOSE;
	}
	/* A RST may be lost before the tracker; the answer to a retransmission brings the next. */
	print_message("%u of %u closed\n", closed, SEEDS);
	assert_true(closed > SEEDS * 3 / 4);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_real_ends_send_passes_and_forgeries_do_not),
		cmocka_unit_test(aborted_connections_close_in_the_tracker_too),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
