/* SPDX-License-Identifier: BSD-3-Clause */
/* Sessions of whole moves: their lives, and room for them. */
#include <sys/socket.h>
#include <unistd.h>

#include "ctrl/migrate/mover_impl.h"
#include "test/unit/move_fixture.h"

/* ---- B15 ---- */

struct lives {
	uint32_t count;
	uint32_t life_ms[ID_MAX]; /* by the remote port, of UDP */
};

static void lives_read(uint32_t host, struct lives *lives)
{
	struct engine *engine = lab.host[host].engine;
	struct session *living[SLAB_CHUNK_SESSIONS];
	int reader = engine_reader_register(engine);
	struct session_record record;
	struct session_walk walk;
	bool end = false;

	memset(lives, 0, sizeof(*lives));
	session_walk_begin(&walk, fake_lab_vport(&lab, host, "v"), 0);
	while (!end) {
		uint32_t n;

		engine_reader_online(engine, reader);
		n = session_walk_next(&walk, living, &end);
		for (uint32_t i = 0; i < n; i++) {
			session_walk_read(living[i], &record);
			lives->count++;
			lives->life_ms[rte_be_to_cpu_16(record.tuple.local_port)] = record.life_ms;
		}
		engine_reader_offline(engine, reader);
	}
	session_walk_end(&walk);
	engine_reader_unregister(engine, reader);
}

static void warp_s(uint32_t seconds)
{
	lab.now_ns += seconds * 1000000000ULL;
	fake_lab_run(&lab);
}

static void B15_the_standby_lets_no_session_grow_old(void **state)
{
	static struct lives here, there;
	char id[37];

	(void)state;
	lab.frozen = true;
	for (uint16_t port = 1; port <= 100; port++)
		v_sends_udp(0, port);
	moves_until_ready(id);
	/* Ten minutes, in which every session is used every 20 s (UDP without an answer: 30 s). */
	for (int i = 0; i < 30; i++) {
		for (uint16_t port = 1; port <= 100; port++)
			v_sends_udp(0, port);
		warp_s(20);
		if (i == 10)
			lab.ahead_ns[1] -= 3600 * 1000000000ULL;
	}
	assert_true(fake_lab_phase(&lab, 0, id, MOVER_READY, 5000));
	fake_lab_rings(&lab, 0, "v", false);
	assert_true(fake_lab_phase(&lab, 1, id, MOVER_VERIFIED, 5000));
	lives_read(0, &here);
	lives_read(1, &there);
	assert_int_equal(here.count, 100);
	assert_int_equal(there.count, 100);
	for (uint16_t port = 1; port <= 100; port++)
		assert_in_range(
			there.life_ms[port], here.life_ms[port] - 1000, here.life_ms[port] + 1000);
	fake_lab_rings(&lab, 1, "v", true);
	lab.frozen = false;
	commits(id);
}

static int hosts_with_another_clock(void **state)
{
	int rc = hosts_start(state);

	fake_lab_stop(&lab, 1);
	lab.ahead_ns[1] = 3 * 3600 * 1000000000ULL;
	fake_lab_start(&lab, 1);
	fake_lab_run_ms(&lab, 50);
	return rc;
}

/* ---- room ---- */

static void refused(const char *vm, const char *why)
{
	struct mover_view view;
	char id[37];

	fake_lab_move(&lab, 0, 1, vm, id);
	fake_lab_over(&lab, 0, id, &view);
	assert_int_equal(view.phase, MOVER_FAILED);
	if (!strstr(view.reason, why))
		fail_msg("reason: %s", view.reason);
	/* Nothing was made there, and here it serves. */
	assert_null(fake_lab_vport(&lab, 1, vm));
	assert_int_equal(fake_lab_role(&lab, 0, vm), ROLE_OWNER);
}

static void small_destination(uint32_t sessions)
{
	fake_lab_stop(&lab, 1);
	lab.sessions = sessions;
	fake_lab_start(&lab, 1);
	fake_lab_run_ms(&lab, 20);
}

static void a_full_destination_refuses_before_the_copy(void **state)
{
	(void)state;
	fake_lab_sessions(&lab, 0, "v", 1, 850);
	small_destination(1024);
	/* A quarter more than there are. */
	refused("v", "no room for 1063 sessions: the table has 1024 free");
	fake_lab_sessions(&lab, 0, "v", 1001, 150);
	/* 90 % of 1024. */
	refused("v", "vport v has 1001 sessions, its quota here is 921");
	small_destination(2048);
	fake_lab_migrate(&lab, 0, 1, "v");
}

static void moves_that_arrive_at_once_share_what_may_be_held(void **state)
{
	char id[37];

	(void)state;
	lab.migrate = "hold_bytes: 1M, hold_total_bytes: 1M, announce_repeats: 1";
	small_destination(0);
	moves_until_ready(id);
	refused("l", "migrate.hold_total_bytes is 1048576, 1048576 of them promised");
	fake_lab_rings(&lab, 0, "v", false);
	assert_true(fake_lab_phase(&lab, 1, id, MOVER_VERIFIED, 5000));
	fake_lab_rings(&lab, 1, "v", true);
	commits(id);
	fake_lab_migrate(&lab, 0, 1, "l");
}

static bool follows_again(struct move *move)
{
	bool is;

	pthread_mutex_lock(&move->mover->lock);
	is = move->reconnects == 1 && move->ready && strcmp(move_step_name(move), "follow") == 0;
	pthread_mutex_unlock(&move->mover->lock);
	return is;
}

static void a_copy_that_begins_again_needs_no_more_room_than_one(void **state)
{
	char id[37], *before, *after;
	struct move *move;

	(void)state;
	fake_lab_sessions(&lab, 0, "v", 1, 14000);
	small_destination(18000);
	moves_until_ready(id);
	move = lab.host[0].mover->moves;
	/* Nothing but the move runs meanwhile: who would tidy up does not come to it. */
	shutdown(channel_fd(move->channel), SHUT_RDWR);
	while (!follows_again(move))
		usleep(1000);
	fake_lab_rings(&lab, 0, "v", false);
	assert_true(fake_lab_phase(&lab, 1, id, MOVER_VERIFIED, 5000));
	before = fake_lab_dump(&lab, 0, "v");
	after = fake_lab_dump(&lab, 1, "v");
	assert_string_equal(before, after);
	free(before);
	free(after);
	fake_lab_rings(&lab, 1, "v", true);
	commits(id);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(B15_the_standby_lets_no_session_grow_old,
			hosts_with_another_clock, lab_end),
		CASE(a_full_destination_refuses_before_the_copy),
		CASE(moves_that_arrive_at_once_share_what_may_be_held),
		CASE(a_copy_that_begins_again_needs_no_more_room_than_one),
	};

	return cmocka_run_group_tests(tests, move_setup, NULL);
}
