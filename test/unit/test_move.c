/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Moves between real engines with real movers over loopback, driven by the VMs' rings as QEMU
 * would.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "ctrl/migrate/replay_move.h"
#include "dataplane/vport.h"
#include "test/fake/fake_eal.h"
#include "test/fake/fake_lab.h"

static struct fake_lab lab;

static int two_hosts(void **state)
{
	(void)state;
	fake_lab_new(&lab, 2);
	lab.vports[0] = FAKE_LAB_VM;
	fake_lab_start(&lab, 0);
	fake_lab_start(&lab, 1);
	fake_lab_rings(&lab, 0, "v", true);
	fake_lab_run_ms(&lab, 50);
	return 0;
}

static int lab_end(void **state)
{
	(void)state;
	fake_lab_free(&lab);
	return 0;
}

static void a_vm_changes_hosts_with_every_session(void **state)
{
	char *before, *after;

	(void)state;
	assert_int_equal(fake_lab_role(&lab, 0, "v"), ROLE_OWNER);
	fake_lab_sessions(&lab, 0, "v", 1, 5000);
	before = fake_lab_dump(&lab, 0, "v");
	fake_lab_migrate(&lab, 0, 1, "v");
	after = fake_lab_dump(&lab, 1, "v");
	assert_string_equal(after, before);
	assert_int_equal(fake_lab_role(&lab, 0, "v"), ROLE_MOVED);
	assert_int_equal(fake_lab_role(&lab, 1, "v"), ROLE_OWNER);
	assert_int_equal(atomic_load(&fake_lab_vport(&lab, 0, "v")->sessions), 0);
	free(before);
	free(after);
}

static void has_all_again_after(const char *before, uint32_t host)
{
	char *after = fake_lab_dump(&lab, host, "v");

	assert_string_equal(after, before);
	free(after);
}

static void a_vm_gets_the_session_quota_of_its_new_host(void **state)
{
	(void)state;
	fake_lab_migrate(&lab, 0, 1, "v");
	assert_int_equal(fake_lab_vport(&lab, 1, "v")->quota, 16384 * 90 / 100);
	assert_int_equal(fake_lab_vport(&lab, 0, "v")->quota, 16384 * 90 / 100);
}

static void B10_it_goes_there_back_on_and_back_again(void **state)
{
	char *before;

	(void)state;
	fake_lab_sessions(&lab, 0, "v", 1, 500);
	before = fake_lab_dump(&lab, 0, "v");
	fake_lab_migrate(&lab, 0, 1, "v");
	has_all_again_after(before, 1);
	fake_lab_migrate(&lab, 1, 0, "v");
	has_all_again_after(before, 0);
	fake_lab_migrate(&lab, 0, 1, "v");
	fake_lab_migrate(&lab, 1, 2, "v");
	has_all_again_after(before, 2);
	fake_lab_migrate(&lab, 2, 0, "v");
	has_all_again_after(before, 0);
	assert_int_equal(fake_lab_role(&lab, 0, "v"), ROLE_OWNER);
	assert_int_equal(fake_lab_role(&lab, 1, "v"), ROLE_MOVED);
	assert_int_equal(fake_lab_role(&lab, 2, "v"), ROLE_MOVED);
	free(before);
}

static void B10_after_a_destination_died_in_bulk_the_next_try_works(void **state)
{
	struct mover_view view;
	char id[37], *before;

	(void)state;
	fake_lab_sessions(&lab, 0, "v", 1, 500);
	before = fake_lab_dump(&lab, 0, "v");
	fake_lab_move(&lab, 0, 1, "v", id);
	fake_lab_phase(&lab, 0, id, MOVER_READY, 5000);
	fake_lab_stop(&lab, 1);
	fake_lab_start(&lab, 1);
	mover_abort(lab.host[0].mover, id, (char[64]){0}, 64);
	fake_lab_over(&lab, 0, id, &view);
	assert_int_equal(view.phase, MOVER_FAILED);
	assert_int_equal(fake_lab_role(&lab, 0, "v"), ROLE_OWNER);
	fake_lab_migrate(&lab, 0, 1, "v");
	has_all_again_after(before, 1);
	free(before);
}

static void a_destination_that_restarts_while_following_is_filled_again(void **state)
{
	char id[37], *before;

	(void)state;
	fake_lab_sessions(&lab, 0, "v", 1, 500);
	before = fake_lab_dump(&lab, 0, "v");
	fake_lab_move(&lab, 0, 1, "v", id);
	assert_true(fake_lab_phase(&lab, 0, id, MOVER_READY, 5000));
	fake_lab_stop(&lab, 1);
	fake_lab_start(&lab, 1);
	fake_lab_run_ms(&lab, 600);
	assert_true(fake_lab_phase(&lab, 0, id, MOVER_READY, 5000));
	fake_lab_rings(&lab, 0, "v", false);
	assert_true(fake_lab_phase(&lab, 0, id, MOVER_VERIFIED, 5000));
	fake_lab_rings(&lab, 1, "v", true);
	assert_true(fake_lab_phase(&lab, 0, id, MOVER_COMMITTED, 5000));
	has_all_again_after(before, 1);
	free(before);
}

static void an_aborted_move_leaves_nothing_behind(void **state)
{
	struct mover_view view;
	char id[37], error[256], *before;

	(void)state;
	fake_lab_sessions(&lab, 0, "v", 1, 300);
	before = fake_lab_dump(&lab, 0, "v");
	fake_lab_move(&lab, 0, 1, "v", id);
	assert_true(fake_lab_phase(&lab, 0, id, MOVER_READY, 5000));
	assert_int_equal(mover_abort(lab.host[0].mover, id, error, sizeof(error)), 0);
	fake_lab_over(&lab, 0, id, &view);
	assert_int_equal(view.phase, MOVER_FAILED);
	assert_string_equal(view.reason, "aborted on h0");
	fake_lab_over(&lab, 1, id, &view);
	assert_null(fake_lab_vport(&lab, 1, "v"));
	assert_int_equal(fake_lab_role(&lab, 0, "v"), ROLE_OWNER);
	assert_null(atomic_load(&fake_lab_vport(&lab, 0, "v")->journal));
	has_all_again_after(before, 0);
	/* And the next one starts at once. */
	fake_lab_migrate(&lab, 0, 1, "v");
	has_all_again_after(before, 1);
	free(before);
}

static void B13_a_frozen_source_takes_up_again_when_the_destination_gives_up(void **state)
{
	struct mover_view view;
	char id[37], error[256], *before;

	(void)state;
	fake_lab_sessions(&lab, 0, "v", 1, 300);
	before = fake_lab_dump(&lab, 0, "v");
	fake_lab_move(&lab, 0, 1, "v", id);
	assert_true(fake_lab_phase(&lab, 0, id, MOVER_READY, 5000));
	fake_lab_rings(&lab, 0, "v", false);
	assert_int_equal(fake_lab_role(&lab, 0, "v"), ROLE_FROZEN);
	assert_true(fake_lab_phase(&lab, 0, id, MOVER_VERIFIED, 5000));
	assert_int_equal(mover_abort(lab.host[1].mover, id, error, sizeof(error)), 0);
	fake_lab_over(&lab, 0, id, &view);
	assert_int_equal(view.phase, MOVER_FAILED);
	assert_int_equal(fake_lab_role(&lab, 0, "v"), ROLE_OWNER);
	fake_lab_rings(&lab, 0, "v", true);
	has_all_again_after(before, 0);
	fake_lab_migrate(&lab, 0, 1, "v");
	has_all_again_after(before, 1);
	free(before);
}

static void a_guest_that_reboots_while_ready_thaws_and_moves_later(void **state)
{
	struct mover_view view;
	char id[37], *before;

	(void)state;
	fake_lab_sessions(&lab, 0, "v", 1, 300);
	fake_lab_move(&lab, 0, 1, "v", id);
	assert_true(fake_lab_phase(&lab, 0, id, MOVER_READY, 5000));
	for (int i = 0; i < 5; i++) {
		fake_lab_rings(&lab, 0, "v", false);
		assert_int_equal(fake_lab_role(&lab, 0, "v"), ROLE_FROZEN);
		fake_lab_run_ms(&lab, (uint32_t)(i * 3));
		fake_lab_rings(&lab, 0, "v", true);
		assert_int_equal(fake_lab_role(&lab, 0, "v"), ROLE_OWNER);
		fake_lab_sessions(&lab, 0, "v", (uint32_t)(1000 + i * 10), 10);
		assert_true(fake_lab_phase(&lab, 0, id, MOVER_READY, 5000));
	}
	assert_false(atomic_load(&fake_lab_vport(&lab, 0, "v")->parking));
	before = fake_lab_dump(&lab, 0, "v");
	fake_lab_rings(&lab, 0, "v", false);
	assert_true(fake_lab_phase(&lab, 0, id, MOVER_VERIFIED, 5000));
	fake_lab_rings(&lab, 1, "v", true);
	fake_lab_over(&lab, 0, id, &view);
	assert_int_equal(view.phase, MOVER_COMMITTED);
	has_all_again_after(before, 1);
	free(before);
}

static void B11_a_source_that_restarts_after_the_activation_does_not_serve(void **state)
{
	char id[37];

	(void)state;
	fake_lab_sessions(&lab, 0, "v", 1, 100);
	fake_lab_move(&lab, 0, 1, "v", id);
	assert_true(fake_lab_phase(&lab, 0, id, MOVER_READY, 5000));
	fake_lab_rings(&lab, 0, "v", false);
	assert_true(fake_lab_phase(&lab, 0, id, MOVER_VERIFIED, 5000));
	/* The source dies before it hears of the activation. */
	fake_lab_stop(&lab, 0);
	fake_lab_rings(&lab, 1, "v", true);
	assert_int_equal(fake_lab_role(&lab, 1, "v"), ROLE_OWNER);
	fake_lab_start(&lab, 0);
	assert_int_equal(fake_lab_role(&lab, 0, "v"), ROLE_FROZEN);
	fake_lab_run_ms(&lab, 1500);
	assert_int_equal(fake_lab_role(&lab, 0, "v"), ROLE_MOVED);
	assert_int_equal(fake_lab_role(&lab, 1, "v"), ROLE_OWNER);
}

static void B11_a_source_that_restarts_in_the_copy_is_told_again_and_moves(void **state)
{
	struct mover_request request = {.vport = "v", .host = "h1", .caller_id = "mine"};
	char id[37], error[256];

	(void)state;
	fake_lab_sessions(&lab, 0, "v", 1, 100);
	assert_int_equal(mover_start(lab.host[0].mover, &request, id, error, sizeof(error)), 0);
	assert_true(fake_lab_phase(&lab, 0, id, MOVER_READY, 5000));
	fake_lab_stop(&lab, 0);
	fake_lab_start(&lab, 0);
	fake_lab_rings(&lab, 0, "v", true);
	/* At once: the destination waits for the move of before. */
	assert_int_equal(mover_start(lab.host[0].mover, &request, id, error, sizeof(error)), 0);
	assert_true(fake_lab_phase(&lab, 0, id, MOVER_READY, 10000));
	fake_lab_rings(&lab, 0, "v", false);
	assert_true(fake_lab_phase(&lab, 0, id, MOVER_VERIFIED, 5000));
	fake_lab_rings(&lab, 1, "v", true);
	assert_int_equal(fake_lab_role(&lab, 1, "v"), ROLE_OWNER);
}

static void a_move_of_what_another_host_may_run_takes_nothing_back(void **state)
{
	struct mover_view view;
	char id[37];

	(void)state;
	fake_lab_sessions(&lab, 0, "v", 1, 100);
	fake_lab_move(&lab, 0, 1, "v", id);
	assert_true(fake_lab_phase(&lab, 0, id, MOVER_READY, 5000));
	fake_lab_rings(&lab, 0, "v", false);
	assert_true(fake_lab_phase(&lab, 0, id, MOVER_VERIFIED, 5000));
	fake_lab_stop(&lab, 0);
	fake_lab_rings(&lab, 1, "v", true);
	assert_int_equal(fake_lab_role(&lab, 1, "v"), ROLE_OWNER);
	/* Started again, it knows nothing of that move, and is told to make another one. */
	fake_lab_start(&lab, 0);
	fake_lab_move(&lab, 0, 1, "v", id);
	fake_lab_over(&lab, 0, id, &view);
	assert_int_not_equal(fake_lab_role(&lab, 0, "v"), ROLE_OWNER);
	fake_lab_run_ms(&lab, 1500);
	assert_int_equal(fake_lab_role(&lab, 0, "v"), ROLE_MOVED);
	assert_int_equal(fake_lab_role(&lab, 1, "v"), ROLE_OWNER);
}

static void B11_a_source_that_restarts_after_the_commit_goes_on_relaying(void **state)
{
	(void)state;
	fake_lab_migrate(&lab, 0, 1, "v");
	fake_lab_stop(&lab, 0);
	fake_lab_start(&lab, 0);
	assert_int_equal(fake_lab_role(&lab, 0, "v"), ROLE_MOVED);
	assert_non_null(atomic_load(&fake_lab_vport(&lab, 0, "v")->relay_to));
	/* What came with the move is there again after a restart of its host. */
	fake_lab_stop(&lab, 1);
	fake_lab_start(&lab, 1);
	assert_int_equal(fake_lab_role(&lab, 1, "v"), ROLE_OWNER);
}

static void a_vm_that_is_here_and_there_is_fenced(void **state)
{
	struct mover_view view;
	char id[37];

	(void)state;
	fake_lab_move(&lab, 0, 1, "v", id);
	assert_true(fake_lab_phase(&lab, 0, id, MOVER_READY, 5000));
	fake_lab_rings(&lab, 1, "v", true);
	fake_lab_over(&lab, 1, id, &view);
	assert_int_equal(fake_lab_role(&lab, 1, "v"), ROLE_FENCED);
	fake_lab_over(&lab, 0, id, &view);
	assert_int_equal(fake_lab_role(&lab, 0, "v"), ROLE_OWNER);
}

/* ---- CLAIM in its four forms ---- */

static void a_vm_that_nobody_knows_is_served_at_once(void **state)
{
	(void)state;
	/* two_hosts() brought it up so. */
	assert_int_equal(fake_lab_role(&lab, 0, "v"), ROLE_OWNER);
}

static void a_vm_that_came_without_a_move_gets_its_sessions(void **state)
{
	char *before;

	(void)state;
	fake_lab_sessions(&lab, 0, "v", 1, 300);
	fake_lab_migrate(&lab, 0, 1, "v");
	before = fake_lab_dump(&lab, 1, "v");
	/* It goes back, and nobody said a word. */
	fake_lab_rings(&lab, 1, "v", false);
	fake_lab_rings(&lab, 0, "v", true);
	assert_int_equal(fake_lab_role(&lab, 0, "v"), ROLE_CLAIM);
	fake_lab_run_ms(&lab, 1500);
	assert_int_equal(fake_lab_role(&lab, 0, "v"), ROLE_OWNER);
	assert_int_equal(fake_lab_role(&lab, 1, "v"), ROLE_MOVED);
	has_all_again_after(before, 0);
	free(before);
}

static void a_second_copy_of_a_vm_is_refused(void **state)
{
	(void)state;
	fake_lab_migrate(&lab, 0, 1, "v");
	fake_lab_rings(&lab, 0, "v", true);
	fake_lab_run_ms(&lab, 1000);
	assert_int_equal(fake_lab_role(&lab, 0, "v"), ROLE_FENCED);
	assert_int_equal(fake_lab_role(&lab, 1, "v"), ROLE_OWNER);
}

static void a_vm_whose_last_owner_is_gone_is_served_after_a_while(void **state)
{
	(void)state;
	fake_lab_migrate(&lab, 0, 1, "v");
	fake_lab_stop(&lab, 1);
	fake_lab_rings(&lab, 0, "v", true);
	fake_lab_run_ms(&lab, 300);
	assert_int_equal(fake_lab_role(&lab, 0, "v"), ROLE_CLAIM);
	fake_lab_run_ms(&lab, 2500);
	assert_int_equal(fake_lab_role(&lab, 0, "v"), ROLE_OWNER);
	assert_non_null(strstr(lab.log, "cannot be reached"));
}

static void a_source_lost_before_the_final_does_not_stop_the_vm(void **state)
{
	char id[37];

	(void)state;
	fake_lab_sessions(&lab, 0, "v", 1, 100);
	fake_lab_move(&lab, 0, 1, "v", id);
	assert_true(fake_lab_phase(&lab, 0, id, MOVER_READY, 5000));
	fake_lab_stop(&lab, 0);
	fake_lab_rings(&lab, 1, "v", true);
	fake_lab_run_ms(&lab, 100);
	assert_int_equal(fake_lab_role(&lab, 1, "v"), ROLE_PASSIVE);
	fake_lab_run_ms(&lab, 1500);
	assert_int_equal(fake_lab_role(&lab, 1, "v"), ROLE_OWNER);
	assert_int_equal(atomic_load(&fake_lab_vport(&lab, 1, "v")->sessions), 100);
}

/* ---- a VM with two ports ---- */

static int two_ports(void **state)
{
	(void)state;
	fake_lab_new(&lab, 2);
	lab.vports[0] = FAKE_LAB_VM
		"  - {name: w, vm: vm1, vpc: shop, mac: '02:00:00:00:00:06', ips: [10.0.0.6],\n"
		"     port: {path: /tmp/w.sock}}\n";
	fake_lab_start(&lab, 0);
	fake_lab_start(&lab, 1);
	fake_lab_rings(&lab, 0, "v", true);
	fake_lab_rings(&lab, 0, "w", true);
	return 0;
}

static void a_vm_with_two_ports_moves_as_one(void **state)
{
	char id[37];
	struct mover_view view;

	(void)state;
	fake_lab_sessions(&lab, 0, "v", 1, 200);
	fake_lab_move(&lab, 0, 1, "w", id);
	assert_true(fake_lab_phase(&lab, 0, id, MOVER_READY, 5000));
	fake_lab_rings(&lab, 0, "v", false);
	fake_lab_run_ms(&lab, 20);
	assert_int_equal(fake_lab_role(&lab, 0, "v"), ROLE_FROZEN);
	assert_int_equal(fake_lab_role(&lab, 0, "w"), ROLE_OWNER);
	fake_lab_rings(&lab, 0, "w", false);
	assert_true(fake_lab_phase(&lab, 0, id, MOVER_VERIFIED, 5000));
	fake_lab_rings(&lab, 1, "v", true);
	fake_lab_run_ms(&lab, 20);
	assert_int_equal(fake_lab_role(&lab, 1, "w"), ROLE_PASSIVE);
	fake_lab_rings(&lab, 1, "w", true);
	fake_lab_over(&lab, 0, id, &view);
	assert_int_equal(view.phase, MOVER_COMMITTED);
	assert_int_equal(fake_lab_role(&lab, 1, "w"), ROLE_OWNER);
}

static void the_same_start_is_the_same_move(void **state)
{
	struct mover_request request = {.vport = "v", .host = "h1", .caller_id = "mine"};
	char one[37], two[37], error[256];
	struct mover_view view;

	(void)state;
	assert_int_equal(mover_start(lab.host[0].mover, &request, one, error, sizeof(error)), 0);
	assert_int_equal(mover_start(lab.host[0].mover, &request, two, error, sizeof(error)), 0);
	assert_string_equal(one, two);
	request.caller_id = "another";
	assert_int_equal(
		mover_start(lab.host[0].mover, &request, two, error, sizeof(error)), -EBUSY);
	assert_non_null(strstr(error, "is under way"));
	request.host = "nowhere";
	assert_int_equal(
		mover_start(lab.host[0].mover, &request, two, error, sizeof(error)), -ENOENT);
	mover_abort(lab.host[0].mover, "mine", error, sizeof(error));
	fake_lab_over(&lab, 0, one, &view);
}

/* ---- the callable form, on a clock that stands ---- */

static uint64_t standing_now(void *arg)
{
	return *(uint64_t *)arg;
}

static void engines_poll(void *arg)
{
	struct replay_move **move = arg;

	engine_poll(setup_engine(replay_move_setup(*move, false)));
	engine_poll(setup_engine(replay_move_setup(*move, true)));
}

static void a_replay_moves_a_vport_while_its_clock_stands(void **state)
{
	uint64_t now_ns = 5000000000ULL;
	struct clock_source clock = {.now_ns = standing_now, .arg = &now_ns};
	struct replay_move *move = NULL;
	struct replay_move_options options = {
		.source = {lab.host[0].config, "h0", clock, NULL, "rpl0"},
		.destination = {lab.host[1].config, "h1", clock, NULL, "rpl1"},
		.idle = engines_poll,
		.idle_arg = &move};
	char error[256] = "", run_dir[96];

	(void)state;
	snprintf(run_dir, sizeof(run_dir), "%s/replay", lab.dir);
	options.run_dir = run_dir;
	assert_int_equal(replay_move_create(&options, &move, error, sizeof(error)), 0);
	assert_int_equal(replay_move_start(move, "v"), 0);
	assert_int_equal(replay_move_ready(move, 5000), 0);
	assert_int_equal(replay_move_pause(move, 5000), 0);
	now_ns += 100000000;
	assert_int_equal(replay_move_resume(move, 5000), 0);
	assert_int_equal(
		vport_role(engine_vport_find(setup_engine(replay_move_setup(move, true)), "v")),
		ROLE_OWNER);
	replay_move_destroy(move);
}

static int three_hosts(void **state)
{
	(void)state;
	fake_lab_new(&lab, 3);
	lab.vports[0] = FAKE_LAB_VM;
	for (uint32_t i = 0; i < 3; i++)
		fake_lab_start(&lab, i);
	fake_lab_rings(&lab, 0, "v", true);
	fake_lab_run_ms(&lab, 50);
	return 0;
}

static int hasty_hosts(void **state)
{
	(void)state;
	fake_lab_new(&lab, 2);
	lab.vports[0] = FAKE_LAB_VM;
	lab.migrate = "activate_ms: 500, claim_ms: 1000";
	fake_lab_start(&lab, 0);
	fake_lab_start(&lab, 1);
	fake_lab_rings(&lab, 0, "v", true);
	fake_lab_run_ms(&lab, 50);
	return 0;
}

static int setup(void **state)
{
	(void)state;
	return fake_eal_start_mb(512);
}

#define MOVE_TEST(name, before) cmocka_unit_test_setup_teardown(name, before, lab_end)

int main(void)
{
	const struct CMUnitTest tests[] = {
		MOVE_TEST(a_vm_changes_hosts_with_every_session, two_hosts),
		MOVE_TEST(a_vm_gets_the_session_quota_of_its_new_host, two_hosts),
		MOVE_TEST(B10_it_goes_there_back_on_and_back_again, three_hosts),
		MOVE_TEST(B10_after_a_destination_died_in_bulk_the_next_try_works, two_hosts),
		MOVE_TEST(a_destination_that_restarts_while_following_is_filled_again, two_hosts),
		MOVE_TEST(an_aborted_move_leaves_nothing_behind, two_hosts),
		MOVE_TEST(B13_a_frozen_source_takes_up_again_when_the_destination_gives_up,
			two_hosts),
		MOVE_TEST(a_guest_that_reboots_while_ready_thaws_and_moves_later, two_hosts),
		MOVE_TEST(
			B11_a_source_that_restarts_after_the_activation_does_not_serve, two_hosts),
		MOVE_TEST(
			B11_a_source_that_restarts_in_the_copy_is_told_again_and_moves, two_hosts),
		MOVE_TEST(a_move_of_what_another_host_may_run_takes_nothing_back, two_hosts),
		MOVE_TEST(B11_a_source_that_restarts_after_the_commit_goes_on_relaying, two_hosts),
		MOVE_TEST(a_vm_that_is_here_and_there_is_fenced, two_hosts),
		MOVE_TEST(a_vm_that_nobody_knows_is_served_at_once, two_hosts),
		MOVE_TEST(a_vm_that_came_without_a_move_gets_its_sessions, two_hosts),
		MOVE_TEST(a_second_copy_of_a_vm_is_refused, two_hosts),
		MOVE_TEST(a_vm_whose_last_owner_is_gone_is_served_after_a_while, hasty_hosts),
		MOVE_TEST(a_source_lost_before_the_final_does_not_stop_the_vm, hasty_hosts),
		MOVE_TEST(a_vm_with_two_ports_moves_as_one, two_ports),
		MOVE_TEST(the_same_start_is_the_same_move, two_hosts),
		MOVE_TEST(a_replay_moves_a_vport_while_its_clock_stands, two_hosts),
	};

	return cmocka_run_group_tests(tests, setup, NULL);
}
