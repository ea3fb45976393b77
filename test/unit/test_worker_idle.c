/* SPDX-License-Identifier: BSD-3-Clause */
/* Adaptive polling: how often an idle worker looks, and what wakes it. Real threads, real time. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#include "dataplane/clock.h"
#include "dataplane/engine_state.h"
#include "test/fake/fake_eal.h"
#include "test/fake/fake_host.h"
#include "test/fake/fake_packet.h"

#define MS 1000000ULL

static uint64_t now_ns(void)
{
	return clock_monotonic_ns(NULL);
}

static void begin(struct fake_host *s, const char *name, const char *vtep)
{
	const struct fake_host_options options = {.name = name, .vtep = vtep};

	fake_host_start(s, &options);
	s->engine->clock = (struct clock_source){.now_ns = clock_monotonic_ns};
	fake_host_vpc(s, 100);
}

static uint64_t sleeps(const struct fake_host *s)
{
	struct worker_info info;

	assert_int_equal(engine_worker_info(s->engine, 0, &info), 0);
	return info.sleeps;
}

/* A bound from above: a busy machine only makes it fewer. */
static void an_idle_worker_looks_at_silent_ports_a_thousand_times_a_second(void **state)
{
	struct fake_host s;
	uint64_t before, begun;

	(void)state;
	begin(&s, "slow", NULL);
	fake_host_vport(&s, "v", 100, "02:00:00:00:00:05", "10.0.0.5");
	assert_int_equal(engine_start(s.engine), 0);
	usleep(500000);
	before = sleeps(&s);
	begun = now_ns();
	usleep(300000);
	assert_in_range(sleeps(&s) - before, 1, (now_ns() - begun) / MS + 20);
	engine_stop(s.engine);
	fake_host_stop(&s);
}

static void a_packet_ends_the_long_sleeps(void **state)
{
	const struct fake_packet p = {.src_mac = "02:00:00:00:00:05",
		.dst_mac = "02:00:00:00:00:06",
		.src = "10.0.0.5",
		.dst = "10.0.0.6",
		.sport = 7,
		.dport = 53};
	struct fake_host s;
	struct vport *v, *other;
	uint8_t frame[256];
	uint64_t before, until;

	(void)state;
	begin(&s, "quick", NULL);
	v = fake_host_vport(&s, "v", 100, "02:00:00:00:00:05", "10.0.0.5");
	other = fake_host_vport(&s, "w", 100, "02:00:00:00:00:06", "10.0.0.6");
	assert_int_equal(engine_start(s.engine), 0);
	usleep(500000);
	assert_int_equal(port_ring_inject(v->port, fake_packet_mbuf(&p, engine_pool(s.engine))), 0);
	for (until = now_ns() + 5000 * MS; now_ns() < until;)
		if (fake_host_receive(other->port, frame, sizeof(frame)) > 0)
			break;
	assert_true(now_ns() < until);
	/* More often than once a millisecond, at some time in what follows. */
	for (int tries = 0; tries < 100; tries++) {
		before = sleeps(&s);
		assert_int_equal(
			port_ring_inject(v->port, fake_packet_mbuf(&p, engine_pool(s.engine))), 0);
		usleep(40000);
		if (sleeps(&s) - before > 100)
			break;
		assert_true(tries < 99);
	}
	engine_stop(s.engine);
	fake_host_stop(&s);
}

/* Nothing to poll: only a wake ends its sleeps of 10 ms. */
static void a_change_wakes_a_worker_that_sleeps(void **state)
{
	struct fake_host s;
	uint64_t begun, before;

	(void)state;
	begin(&s, "woken", NULL);
	assert_int_equal(engine_start(s.engine), 0);
	usleep(100000);
	begun = now_ns();
	for (int i = 0; i < 300; i++) {
		before = sleeps(&s);
		engine_wake(s.engine);
		while (sleeps(&s) == before && now_ns() - begun < 10000 * MS)
			usleep(50);
	}
	assert_in_range(now_ns() - begun, 0, 1500 * MS);
	engine_stop(s.engine);
	fake_host_stop(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_idle_worker_looks_at_silent_ports_a_thousand_times_a_second),
		cmocka_unit_test(a_packet_ends_the_long_sleeps),
		cmocka_unit_test(a_change_wakes_a_worker_that_sleeps),
	};

	if (fake_eal_start() != 0)
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
