/* SPDX-License-Identifier: BSD-3-Clause */
/* The memory of sessions: where it goes when many of them end at once. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "dataplane/session_import.h"
#include "dataplane/session_walk.h"
#include "dataplane/vport.h"
#include "dataplane/worker.h"
#include "test/fake/fake_eal.h"
#include "test/fake/fake_host.h"

#define SESSIONS 2000
#define MS_NS 1000000ULL

struct world {
	struct fake_host s;
	struct vport *v;
	uint32_t chunks_free; /* before the first session */
};

static uint32_t chunks_free(struct world *w)
{
	struct engine_memory memory;

	engine_memory(w->s.engine, &memory);
	return (uint32_t)memory.chunks_free;
}

static int start(void **state)
{
	static struct world world;
	struct fake_host_options options = {.name = "s", .vtep = "192.0.2.1", .sessions = 16384};
	struct fake_packet ping = {.src_mac = "02:00:00:00:00:05",
		.dst_mac = "02:00:00:00:00:09",
		.src = "10.0.0.5",
		.dst = "10.0.0.9",
		.proto = IPPROTO_ICMP,
		.icmp_type = 8,
		.payload_len = 56};

	memset(&world, 0, sizeof(world));
	fake_host_start(&world.s, &options);
	fake_host_vpc(&world.s, 100);
	fake_host_peer(&world.s, "192.0.2.3");
	fake_host_location(&world.s, 100, "10.0.0.9", "192.0.2.3", "02:00:00:00:00:09");
	world.v = fake_host_vport(&world.s, "v", 100, "02:00:00:00:00:05", "10.0.0.5");
	world.chunks_free = chunks_free(&world);
	for (uint16_t id = 0; id < SESSIONS; id++) {
		ping.icmp_id = id;
		fake_host_send(&world.s, world.v->port, &ping);
		fake_host_drain(world.s.uplink);
	}
	assert_int_equal(atomic_load(&world.v->sessions), SESSIONS);
	*state = &world;
	return 0;
}

static int stop(void **state)
{
	struct world *w = *state;

	fake_host_stop(&w->s);
	return 0;
}

static void what_a_vport_leaves_behind_is_free_at_once(void **state)
{
	struct world *w = *state;

	assert_true(chunks_free(w) < w->chunks_free);
	assert_int_equal(session_import_purge(w->v, true), SESSIONS);
	assert_int_equal(chunks_free(w), w->chunks_free);
}

static void kill_all(struct vport *v)
{
	struct session *living[SLAB_CHUNK_SESSIONS];
	struct session_walk walk;
	bool end = false;

	session_walk_begin(&walk, v, 0);
	while (!end) {
		uint32_t count = session_walk_next(&walk, living, &end);

		for (uint32_t i = 0; i < count; i++)
			session_import_kill(v, living[i]);
	}
	session_walk_end(&walk);
}

/* Chunks that came back in a run of the worker, so much later. */
static uint32_t run_after(struct world *w, uint64_t ns)
{
	uint32_t before = chunks_free(w);

	w->s.now_ns += ns;
	fake_host_run(&w->s);
	return chunks_free(w) - before;
}

static void a_worker_gives_back_by_slices_what_ended_at_once(void **state)
{
	struct world *w = *state;
	uint32_t back = 0, runs = 0;

	kill_all(w->v);
	while (back == 0)
		back = run_after(w, MS_NS);
	while (chunks_free(w) < w->chunks_free) {
		/* Who has nothing else to do does not sleep over it. */
		assert_true(w->s.engine->worker[0]->pending);
		assert_in_range(back, 0, SLAB_REAP_SESSIONS / SLAB_CHUNK_SESSIONS + 1);
		/* Soon, not with the next turn of ageing. */
		back = run_after(w, MS_NS / 10);
		assert_in_range(++runs, 1, 2 * SESSIONS / SLAB_REAP_SESSIONS);
	}
	run_after(w, MS_NS);
	assert_false(w->s.engine->worker[0]->pending);
}

static void so_it_is_where_the_vport_does_not_serve_any_more(void **state)
{
	struct world *w = *state;

	kill_all(w->v);
	port_pause(w->v->port);
	assert_int_equal(engine_role_event(w->v, ROLE_CLAIMED_AWAY, 0), 0);
	assert_int_equal(vport_role(w->v), ROLE_FROZEN);
	for (int i = 0; i < 100 && chunks_free(w) < w->chunks_free; i++)
		run_after(w, MS_NS);
	assert_int_equal(chunks_free(w), w->chunks_free);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
			what_a_vport_leaves_behind_is_free_at_once, start, stop),
		cmocka_unit_test_setup_teardown(
			a_worker_gives_back_by_slices_what_ended_at_once, start, stop),
		cmocka_unit_test_setup_teardown(
			so_it_is_where_the_vport_does_not_serve_any_more, start, stop),
	};

	if (fake_eal_start() != 0)
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
