/* SPDX-License-Identifier: BSD-3-Clause */
/* F08: certificates change or end, before a move and beside one. */
#include "test/unit/guard_fixture.h"

static void f08_a_rotation_during_a_move_counts_from_the_next_one_on(void **state)
{
	struct channel_host_status was, is;
	struct mover_view view;
	char id[37];

	(void)state;
	fake_lab_move(&lab, 0, 1, "v", id);
	assert_true(fake_lab_phase(&lab, 0, id, MOVER_READY, 10000));
	was = status_of(0);
	fake_ca_issue(&ca, "h0,until=60 days");
	fake_ca_issue(&ca, "h1,until=60 days");
	fake_lab_rings(&lab, 0, "v", false);
	assert_true(fake_lab_phase(&lab, 0, id, MOVER_VERIFIED, 10000));
	fake_lab_rings(&lab, 1, "v", true);
	fake_lab_over(&lab, 0, id, &view);
	assert_int_equal(view.phase, MOVER_COMMITTED);
	fake_lab_over(&lab, 1, id, &view);
	fake_lab_migrate(&lab, 1, 0, "v");
	v_is_whole_at(0);
	is = status_of(0);
	assert_true(is.reloads > was.reloads);
	assert_true(is.not_after_s > was.not_after_s + 20 * 86400);
}

static void connect_fails_and_the_vm_runs_on(const char *const *words, size_t n_words)
{
	struct mover_view view;
	char id[37];

	fake_lab_move(&lab, 0, 1, "v", id);
	fake_lab_over(&lab, 0, id, &view);
	assert_int_equal(view.phase, MOVER_FAILED);
	for (size_t i = 0; i < n_words; i++)
		if (!strstr(view.reason, words[i]))
			fail_msg("\"%s\" does not say \"%s\"", view.reason, words[i]);
	assert_int_equal(fake_lab_role(&lab, 0, "v"), ROLE_OWNER);
	assert_true(port_rings_up(fake_lab_vport(&lab, 0, "v")->port));
	assert_null(fake_lab_vport(&lab, 1, "v"));
	v_is_whole_at(0);
}

static void f08_an_expired_peer_is_named_before_the_vm_stops(void **state)
{
	static const char *const words[] = {"h1", "expired", "2001-02-03"};

	(void)state;
	fake_ca_issue(&ca, "h1,from=2001-01-01,until=2001-02-03");
	connect_fails_and_the_vm_runs_on(words, 3);
	/* A new one is all it takes. */
	fake_ca_issue(&ca, "h1");
	fake_lab_migrate(&lab, 0, 1, "v");
	v_is_whole_at(1);
}

/* A host whose calendar is a day behind. */
static int64_t yesterday(void *ctx)
{
	(void)ctx;
	return channel_world_wall_s(&channel_world_real) - 86400;
}

static void f08_a_clock_a_day_off_is_named_before_the_vm_stops(void **state)
{
	static const char *const words[] = {"h1", "not valid"};
	struct channel_world_ops late = *channel_world_real.ops;
	struct channel_world world = {.ops = &late, .ctx = channel_world_real.ctx};

	(void)state;
	late.wall_s = yesterday;
	fake_ca_issue(&ca, "h0,from=10 days ago");
	fake_lab_stop(&lab, 0);
	lab.world[0] = &world;
	fake_lab_start(&lab, 0);
	fake_lab_rings(&lab, 0, "v", true);
	fake_lab_run_ms(&lab, 20);
	fake_lab_sessions(&lab, 0, "v", 1, SESSIONS);
	free(before);
	before = fake_lab_dump(&lab, 0, "v");
	connect_fails_and_the_vm_runs_on(words, 2);
	fake_lab_stop(&lab, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		GUARD_TEST(f08_a_rotation_during_a_move_counts_from_the_next_one_on, hosts_start),
		GUARD_TEST(f08_an_expired_peer_is_named_before_the_vm_stops, hosts_start),
		GUARD_TEST(f08_a_clock_a_day_off_is_named_before_the_vm_stops, hosts_start),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
