/* SPDX-License-Identifier: BSD-3-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "ctrl/channel/bandwidth.h"

#define MS 1000000u
#define S 1000000000ull
#define FRAME 65536u

static const uint64_t rate = 100000000; /* a frame every 0.66 ms */

/* Bytes a class gets through from now on for a time, asking as it is told to. */
static uint64_t run(
	struct bandwidth *bw, enum bandwidth_class class, uint64_t *now_ns, uint64_t for_ns)
{
	uint64_t end_ns = *now_ns + for_ns, bytes = 0, wait_ns;

	while (*now_ns < end_ns) {
		wait_ns = bandwidth_take(bw, class, FRAME, *now_ns);
		if (wait_ns == 0)
			bytes += FRAME;
		*now_ns += wait_ns;
	}
	return bytes;
}

static void without_a_cap_nothing_waits(void **state)
{
	struct bandwidth *bw = bandwidth_new(0);

	for (int i = 0; i < 1000; i++) {
		assert_int_equal(bandwidth_take(bw, BANDWIDTH_MEMORY, 1 << 20, 1), 0);
		assert_int_equal(bandwidth_take(bw, BANDWIDTH_SESSIONS, 1 << 20, 1), 0);
	}
	bandwidth_free(bw);
}

static void each_class_alone_gets_the_rate(void **state)
{
	for (int class = 0; class < BANDWIDTH_CLASSES; class ++) {
		struct bandwidth *bw = bandwidth_new(rate);
		uint64_t now_ns = 5 * S, bytes = run(bw, class, &now_ns, 2 * S);

		/* The first burst and the last frame are over the rate. */
		assert_in_range(bytes, 2 * rate - FRAME, 2 * rate + rate / 100 + FRAME);
		bandwidth_free(bw);
	}
}

static void small_slow_steps_add_up_to_the_rate(void **state)
{
	struct bandwidth *bw = bandwidth_new(1000);
	uint64_t now_ns = S, taken = 0;

	bandwidth_take(bw, BANDWIDTH_SESSIONS, 64 << 10, now_ns); /* what was saved up */
	for (; now_ns < 101 * S; now_ns += 700000)
		taken += bandwidth_take(bw, BANDWIDTH_SESSIONS, 1, now_ns) == 0;
	assert_in_range(taken, 99000, 100001);
	bandwidth_free(bw);
}

static void sessions_come_before_memory(void **state)
{
	struct bandwidth *bw = bandwidth_new(rate);
	uint64_t now_ns = S, sessions_at = S, memory_at = S;
	uint64_t bytes[BANDWIDTH_CLASSES] = {}, wait_ns;

	/* Both want all: memory gets next to nothing as long as sessions ask. */
	for (; now_ns < 2 * S; now_ns += 10000) {
		if (now_ns >= memory_at) {
			wait_ns = bandwidth_take(bw, BANDWIDTH_MEMORY, FRAME, now_ns);
			bytes[BANDWIDTH_MEMORY] += wait_ns == 0 ? FRAME : 0;
			memory_at = now_ns + wait_ns;
		}
		if (now_ns >= sessions_at) {
			wait_ns = bandwidth_take(bw, BANDWIDTH_SESSIONS, FRAME, now_ns);
			bytes[BANDWIDTH_SESSIONS] += wait_ns == 0 ? FRAME : 0;
			sessions_at = now_ns + wait_ns;
		}
	}
	assert_true(bytes[BANDWIDTH_SESSIONS] > rate * 9 / 10);
	assert_true(bytes[BANDWIDTH_MEMORY] < rate / 20);
	bandwidth_free(bw);
}

static void a_delta_beside_memory_waits_for_one_frame_at_most(void **state)
{
	struct bandwidth *bw = bandwidth_new(rate);
	uint64_t now_ns = S, worst_ns = 0, wait_ns;

	for (int i = 0; i < 1000; i++) {
		run(bw, BANDWIDTH_MEMORY, &now_ns, 7 * MS);
		wait_ns = bandwidth_take(bw, BANDWIDTH_SESSIONS, 4096, now_ns);
		worst_ns = wait_ns > worst_ns ? wait_ns : worst_ns;
	}
	assert_true(worst_ns <= FRAME * S / rate);
	bandwidth_free(bw);
}

static void memory_that_is_held_gets_nothing_until_it_is_let_go(void **state)
{
	struct bandwidth *bw = bandwidth_new(rate);

	bandwidth_hold_memory(bw, true);
	assert_int_not_equal(bandwidth_take(bw, BANDWIDTH_MEMORY, 1, S), 0);
	assert_int_equal(bandwidth_take(bw, BANDWIDTH_SESSIONS, 1, S), 0);
	bandwidth_hold_memory(bw, false);
	assert_int_equal(bandwidth_take(bw, BANDWIDTH_MEMORY, 1, S), 0);
	bandwidth_free(bw);
}

static void a_new_rate_counts_at_once(void **state)
{
	struct bandwidth *bw = bandwidth_new(rate);
	uint64_t now_ns = S, bytes;

	run(bw, BANDWIDTH_SESSIONS, &now_ns, S);
	bandwidth_set_rate(bw, rate / 10);
	bytes = run(bw, BANDWIDTH_SESSIONS, &now_ns, S);
	assert_in_range(bytes, rate / 10 - FRAME, rate / 10 + rate / 1000 + FRAME);
	bandwidth_free(bw);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(without_a_cap_nothing_waits),
		cmocka_unit_test(each_class_alone_gets_the_rate),
		cmocka_unit_test(small_slow_steps_add_up_to_the_rate),
		cmocka_unit_test(sessions_come_before_memory),
		cmocka_unit_test(a_delta_beside_memory_waits_for_one_frame_at_most),
		cmocka_unit_test(memory_that_is_held_gets_nothing_until_it_is_let_go),
		cmocka_unit_test(a_new_rate_counts_at_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
