/* SPDX-License-Identifier: BSD-3-Clause */
/* What a VM's memory may take while its sessions are followed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "ctrl/migrate/credit.h"

#define MB (1ULL << 20)
#define STEP CREDIT_STEP_NS

static struct credit credit;
static struct credit_world world;
static uint64_t now_ns;

static int begin(void **state)
{
	(void)state;
	credit = (struct credit){0};
	world = (struct credit_world){.sharers = 1};
	now_ns = 1000 * STEP;
	return 0;
}

static uint64_t steps(uint32_t count, bool slow, uint64_t sessions_bytes_a_step)
{
	uint64_t rate = 0;

	world.slow = slow;
	while (count--) {
		now_ns += STEP;
		world.sessions_bytes += sessions_bytes_a_step;
		rate = credit_step(&credit, &world, now_ns);
	}
	return rate;
}

static void without_a_cap_memory_is_free_until_sessions_are_slow(void **state)
{
	uint64_t last = CREDIT_FIRST_BYTES_PER_S;

	(void)state;
	assert_int_equal(steps(50, false, MB), 0);
	assert_int_equal(steps(1, true, MB), CREDIT_FIRST_BYTES_PER_S);
	for (int i = 0; i < 6; i++) {
		uint64_t rate = steps(1, true, MB);

		assert_int_equal(rate, last / 2);
		last = rate;
	}
	/* Slow for ever: it still gets on. */
	assert_int_equal(steps(50, true, MB), CREDIT_LEAST_BYTES_PER_S);
	/* They get through again: more and more, to no cap at all, within ten seconds. */
	assert_true(steps(1, false, MB) > CREDIT_LEAST_BYTES_PER_S);
	assert_int_equal(steps(100, false, MB), 0);
}

static void under_a_cap_memory_gets_what_sessions_leave(void **state)
{
	uint64_t rate;

	(void)state;
	world.cap_bytes_per_s = 100 * MB;
	steps(1, false, 0);
	assert_int_equal(steps(1, false, 0), 100 * MB);
	/* 3 MB in 100 ms are 30 MB/s. */
	rate = steps(2, false, 3 * MB);
	assert_in_range(rate, 70 * MB - MB, 70 * MB + MB);
	/* Sessions take it all: the least is left. */
	assert_int_equal(steps(2, false, 20 * MB), CREDIT_LEAST_BYTES_PER_S);
	rate = steps(60, false, 0);
	assert_int_equal(rate, 100 * MB);
}

static void under_a_cap_slow_sessions_halve_it(void **state)
{
	(void)state;
	world.cap_bytes_per_s = 100 * MB;
	steps(2, false, 0);
	assert_int_equal(steps(1, true, 0), 50 * MB);
	assert_int_equal(steps(1, true, 0), 25 * MB);
	assert_int_equal(steps(1, false, 0), 25 * MB + 25 * MB / 4);
}

static void moves_share_what_is_left(void **state)
{
	(void)state;
	world.cap_bytes_per_s = 100 * MB;
	world.sharers = 4;
	assert_int_equal(steps(2, false, 0), 25 * MB);
}

static void a_small_cap_leaves_sessions_most_of_it(void **state)
{
	(void)state;
	world.cap_bytes_per_s = 125000; /* 1 Mbit/s */
	steps(2, false, 0);
	assert_in_range(steps(20, true, 12500), 1, 125000 / 8 + 1);
}

static void it_changes_once_a_step_whoever_asks(void **state)
{
	uint64_t first;

	(void)state;
	first = steps(1, true, 0);
	for (int i = 1; i < 100; i++)
		assert_int_equal(credit_step(&credit, &world, now_ns + STEP * i / 100), first);
}

static void little_changes_are_not_told(void **state)
{
	(void)state;
	assert_false(credit_differs(0, 0));
	assert_true(credit_differs(0, MB));
	assert_true(credit_differs(MB, 0));
	assert_false(credit_differs(100 * MB, 101 * MB));
	assert_true(credit_differs(100 * MB, 50 * MB));
	assert_true(credit_differs(100 * MB, 125 * MB));
}

int main(void)
{
#define CREDIT_TEST(name) cmocka_unit_test_setup(name, begin)
	const struct CMUnitTest tests[] = {
		CREDIT_TEST(without_a_cap_memory_is_free_until_sessions_are_slow),
		CREDIT_TEST(under_a_cap_memory_gets_what_sessions_leave),
		CREDIT_TEST(under_a_cap_slow_sessions_halve_it),
		CREDIT_TEST(moves_share_what_is_left),
		CREDIT_TEST(a_small_cap_leaves_sessions_most_of_it),
		CREDIT_TEST(it_changes_once_a_step_whoever_asks),
		CREDIT_TEST(little_changes_are_not_told),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
