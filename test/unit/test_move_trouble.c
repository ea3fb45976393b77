/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Both drivers in one process; at every step of both sides the wire breaks in every way, and either
 * host dies. What must come of it is stated in the table; beside that, always: never do both hosts
 * serve the VM, in the end exactly one does and it is where the VM runs, with every session that
 * the source had, and the next move works.
 *
 * The VM is moved as QEMU with a return path does it: paused when the move is ready, started at the
 * destination when that is verified, else started again at the source.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include <rte_cycles.h>

#include "ctrl/migrate/mover_impl.h"
#include "dataplane/vport.h"
#include "test/fake/fake_eal.h"
#include "test/fake/fake_trouble.h"

#define SESSIONS 300
#define WARP_NS 8000000000ULL /* more than any silence that is borne */
#define PATIENCE_MS 15000 /* of the VM's manager */
#define LET_GO_MS 30000 /* a side that has heard nothing of the end asks, and waits in between */

/*
 * Where the VM is in the end. BARE: the host that died was the only one to know its sessions, they
 * died with it; the VM goes on there, and new connections are made. EITHER: a first connection is
 * tried once, but made again when it had stood already.
 */
enum result { MOVES, EITHER, STAYS_BARE, MOVES_BARE };

static const struct row {
	const char *side, *step;
	enum result cut, end, stall, kill_source, kill_dest;
} table[] = {
	/*                          cut    end    stall  source dies D dies */
	/* Nothing is connected yet. */
	{"source", "admit", MOVES, MOVES, MOVES, STAYS_BARE, MOVES},
	/* A connection that was made is made again, and the destination filled again. */
	{"source", "connect", EITHER, EITHER, EITHER, STAYS_BARE, MOVES},
	{"source", "prepare", MOVES, MOVES, MOVES, STAYS_BARE, MOVES},
	{"source", "bulk", MOVES, MOVES, MOVES, STAYS_BARE, MOVES},
	{"source", "follow", MOVES, MOVES, MOVES, STAYS_BARE, MOVES},
	/* The VM stands; without a verified final its manager starts it again at the source. */
	{"source", "final", MOVES, MOVES, MOVES, STAYS_BARE, MOVES},
	{"source", "commit", MOVES, MOVES, MOVES, MOVES, MOVES},
	/* The destination serves. */
	{"source", "moved", MOVES, MOVES, MOVES, MOVES, MOVES_BARE},
	{"destination", "accept", MOVES, MOVES, MOVES, STAYS_BARE, MOVES},
	{"destination", "prepare", MOVES, MOVES, MOVES, STAYS_BARE, MOVES},
	{"destination", "bulk", MOVES, MOVES, MOVES, STAYS_BARE, MOVES},
	{"destination", "receive", MOVES, MOVES, MOVES, STAYS_BARE, MOVES},
	{"destination", "activate", MOVES, MOVES, MOVES, MOVES, MOVES_BARE},
	{"destination", "done", MOVES, MOVES, MOVES, MOVES, MOVES_BARE},
};

struct story {
	struct fake_lab lab;
	struct fake_trouble *trouble;
	char id[37];
	enum fake_trouble_kind kind;
	bool at_source;
	bool connected; /* there is something to fall silent */
	int vm; /* where it runs: 0, 1, or -1 while it stands */
	bool warps;
	uint64_t warped_ns, warp_at_ns;
	bool settled; /* the trouble has been dealt with */
	bool both; /* two hosts served it, at some moment */
	uint64_t until;
};

static uint64_t in_ms(uint32_t ms)
{
	return rte_get_timer_cycles() + ms * (rte_get_timer_hz() / 1000);
}

/* At most one side active. */
static void watch(struct story *s)
{
	s->both = s->both || (fake_lab_role(&s->lab, 0, "v") == ROLE_OWNER &&
				     fake_lab_role(&s->lab, 1, "v") == ROLE_OWNER);
}

static void dies(struct story *s, uint32_t host)
{
	struct mover *mover = s->lab.host[host].mover;

	pthread_mutex_lock(&mover->lock);
	for (struct move *move = mover->moves; move; move = move->next)
		atomic_store(&move->stop, true);
	pthread_mutex_unlock(&mover->lock);
	/* The thread at which it struck is of the one that dies, or waits until that is back. */
	if (host == (s->at_source ? 0u : 1u))
		fake_trouble_go(s->trouble);
	fake_lab_stop(&s->lab, host);
	fake_lab_start(&s->lab, host);
	fake_trouble_go(s->trouble);
	/* A VM survives its switch: its port is there again when ferryd is. */
	if (s->vm == (int)host)
		fake_lab_rings(&s->lab, host, "v", true);
}

static void step(struct story *s)
{
	fake_lab_run(&s->lab);
	watch(s);
	if (!s->settled && fake_trouble_struck(s->trouble)) {
		s->settled = true;
		s->warps = s->kind == FAKE_TROUBLE_STALL && s->connected;
		if (s->kind == FAKE_TROUBLE_KILL_SOURCE)
			dies(s, 0);
		if (s->kind == FAKE_TROUBLE_KILL_DEST)
			dies(s, 1);
		watch(s);
	}
	if (s->warps && s->warped_ns < WARP_NS) {
		/* Not in one leap: it is for the silence that time passes, not for those at work.
		 */
		uint64_t by_ns = 5 * (s->lab.now_ns - s->warp_at_ns);

		fake_trouble_warp(s->trouble, by_ns);
		s->warped_ns += by_ns;
	}
	s->warp_at_ns = s->lab.now_ns;
	usleep(100);
}

static enum mover_phase phase(struct story *s, uint32_t host, bool *over)
{
	struct mover_view view = {.phase = MOVER_PREPARING};

	*over = mover_view(s->lab.host[host].mover, s->id, &view) != 0 || view.done;
	return view.phase;
}

/* The manager waits until a side says so, or the move is no more there. */
static bool hears(struct story *s, uint32_t host, enum mover_phase wanted)
{
	uint64_t end = in_ms(PATIENCE_MS);
	bool over = false;

	while (rte_get_timer_cycles() < end) {
		step(s);
		if (phase(s, host, &over) == wanted)
			return true;
		if (over && phase(s, 0, &over) != MOVER_COMMITTED && over)
			return false;
	}
	return false;
}

static void vm_goes(struct story *s, int where)
{
	if (s->vm >= 0)
		fake_lab_rings(&s->lab, (uint32_t)s->vm, "v", false);
	s->vm = where;
	if (where >= 0)
		fake_lab_rings(&s->lab, (uint32_t)where, "v", true);
}

static void vm_moves(struct story *s)
{
	bool verified;
	uint64_t end;

	if (!hears(s, 0, MOVER_READY)) {
		char error[256];

		/* Patience has an end; a move that is over already does not mind. */
		mover_abort(s->lab.host[0].mover, s->id, error, sizeof(error));
		return;
	}
	vm_goes(s, -1);
	verified = hears(s, 1, MOVER_VERIFIED);
	/* It takes a while to start a VM; what is no longer so by then counts. */
	for (int i = 0; verified && i < 100; i++)
		step(s);
	vm_goes(s, hears(s, 1, MOVER_VERIFIED) ? 1 : 0);
	/* Both sides come to an end of it. */
	end = in_ms(PATIENCE_MS);
	while (rte_get_timer_cycles() < end) {
		bool over[2];

		step(s);
		phase(s, 0, &over[0]);
		phase(s, 1, &over[1]);
		if (over[0] && over[1] && s->settled)
			return;
	}
}

static bool serves_alone(struct story *s)
{
	uint32_t here = (uint32_t)s->vm;

	return fake_lab_role(&s->lab, here, "v") == ROLE_OWNER &&
	       fake_lab_role(&s->lab, 1 - here, "v") != ROLE_OWNER &&
	       fake_lab_role(&s->lab, 1 - here, "v") != ROLE_FROZEN;
}

/* The step was over before its thread looked at the clock; for the caller to try again. */
static const char never_came[] = "the trouble never came";

/* Empty, or what is wrong. */
static const char *judge(struct story *s, enum result expected, const char *before)
{
	bool moves = expected == MOVES || expected == MOVES_BARE;
	uint64_t end = in_ms(PATIENCE_MS);
	char *after;
	bool same;

	while (!serves_alone(s) && rte_get_timer_cycles() < end)
		step(s);
	if (s->both)
		return "both served the VM";
	if (!s->settled)
		return never_came;
	if (expected != EITHER && s->vm != moves)
		return moves ? "it did not move" : "it moved";
	if (!serves_alone(s))
		return "not exactly one serves it";
	after = fake_lab_dump(&s->lab, (uint32_t)s->vm, "v");
	same = strcmp(before, after) == 0;
	free(after);
	if (expected == STAYS_BARE || expected == MOVES_BARE)
		return same ? "sessions survived, where none can" : "";
	return same ? "" : "sessions were lost";
}

/* Empty, or what is wrong. */
static const char *moves_again(struct story *s)
{
	uint32_t from = (uint32_t)s->vm;
	uint64_t end = in_ms(LET_GO_MS);
	char error[256];

	/* The other side may still be asking whether the move is over. */
	while (rte_get_timer_cycles() < end &&
		(mover_vport_free(s->lab.host[0].mover, "v", error, sizeof(error)) != 0 ||
			mover_vport_free(s->lab.host[1].mover, "v", error, sizeof(error)) != 0))
		step(s);
	if (mover_vport_free(s->lab.host[0].mover, "v", error, sizeof(error)) != 0 ||
		mover_vport_free(s->lab.host[1].mover, "v", error, sizeof(error)) != 0)
		return "the other side does not let go of the move";
	fake_trouble_arm(s->trouble, FAKE_TROUBLE_NONE, true, "", s->id);
	fake_lab_migrate(&s->lab, from, 1 - from, "v");
	return "";
}

/* What is wrong, or empty. */
static const char *play(const struct row *row, enum fake_trouble_kind kind, enum result expected)
{
	struct story s = {.kind = kind,
		.at_source = strcmp(row->side, "source") == 0,
		.connected = strcmp(row->step, "admit") != 0};
	const char *wrong;
	char *before;

	fake_lab_new(&s.lab, 2);
	s.lab.quiet = true;
	s.lab.vports[0] = FAKE_LAB_VM;
	s.lab.migrate = "announce_repeats: 1, announce_interval_ms: 20";
	s.trouble = fake_trouble_new(&s.lab);
	fake_lab_start(&s.lab, 0);
	fake_lab_start(&s.lab, 1);
	fake_lab_rings(&s.lab, 0, "v", true);
	fake_lab_run_ms(&s.lab, 20);
	fake_lab_sessions(&s.lab, 0, "v", 1, SESSIONS);
	before = fake_lab_dump(&s.lab, 0, "v");
	/* The id is known when the move starts; its thread may be in the step before that. */
	snprintf(s.id, sizeof(s.id), "%s", "trouble");
	fake_trouble_arm(s.trouble, kind, s.at_source, row->step, s.id);
	{
		struct mover_request request = {.vport = "v", .host = "h1", .caller_id = s.id};
		char id[37], error[256];

		assert_int_equal(
			mover_start(s.lab.host[0].mover, &request, id, error, sizeof(error)), 0);
	}
	vm_moves(&s);
	wrong = judge(&s, expected, before);
	if (!wrong[0])
		wrong = moves_again(&s);
	if (wrong[0])
		fprintf(stderr, "# %s at %s %s: %s (h0 %s, h1 %s, VM at %d)\n%s",
			fake_trouble_name(kind), row->side, row->step, wrong,
			role_name(fake_lab_role(&s.lab, 0, "v")),
			fake_lab_role(&s.lab, 1, "v") == ROLE_COUNT
				? "-"
				: role_name(fake_lab_role(&s.lab, 1, "v")),
			s.vm, s.lab.log);
	free(before);
	fake_lab_free(&s.lab);
	fake_trouble_free(s.trouble);
	return wrong;
}

static void plays(enum fake_trouble_kind kind, size_t column)
{
	uint32_t wrong = 0;

	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		enum result expected = *(const enum result *)((const char *)&table[i] + column);
		const char *why = play(&table[i], kind, expected);

		for (int tries = 0; why == never_came && tries < 3; tries++)
			why = play(&table[i], kind, expected);
		wrong += why[0] != '\0';
	}
	assert_int_equal(wrong, 0);
}

static void a_wire_that_is_cut_at_any_step_costs_nothing(void **state)
{
	(void)state;
	plays(FAKE_TROUBLE_CUT, offsetof(struct row, cut));
}

static void a_wire_that_ends_at_any_step_costs_nothing(void **state)
{
	(void)state;
	plays(FAKE_TROUBLE_END, offsetof(struct row, end));
}

static void a_wire_that_goes_silent_at_any_step_costs_nothing(void **state)
{
	(void)state;
	plays(FAKE_TROUBLE_STALL, offsetof(struct row, stall));
}

static void a_source_that_dies_at_any_step_costs_at_most_what_only_it_knew(void **state)
{
	(void)state;
	plays(FAKE_TROUBLE_KILL_SOURCE, offsetof(struct row, kill_source));
}

static void a_destination_that_dies_at_any_step_costs_at_most_what_only_it_knew(void **state)
{
	(void)state;
	plays(FAKE_TROUBLE_KILL_DEST, offsetof(struct row, kill_dest));
}

static int setup(void **state)
{
	(void)state;
	return fake_eal_start_mb(512);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_wire_that_is_cut_at_any_step_costs_nothing),
		cmocka_unit_test(a_wire_that_ends_at_any_step_costs_nothing),
		cmocka_unit_test(a_wire_that_goes_silent_at_any_step_costs_nothing),
		cmocka_unit_test(a_source_that_dies_at_any_step_costs_at_most_what_only_it_knew),
		cmocka_unit_test(
			a_destination_that_dies_at_any_step_costs_at_most_what_only_it_knew),
	};

	return cmocka_run_group_tests(tests, setup, NULL);
}
