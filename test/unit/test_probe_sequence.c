/* SPDX-License-Identifier: BSD-3-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "test/lab/guest/sequence.h"

#define MS UINT64_C(1000000)

static void a_steady_stream_has_no_loss_and_its_own_period_as_gap(void **state)
{
	struct sequence s;
	uint64_t i;

	sequence_init(&s);
	for (i = 0; i < 10000; i++)
		assert_true(sequence_add(&s, i, i * MS));
	sequence_end(&s, 10000 * MS);
	assert_int_equal(s.received, 10000);
	assert_int_equal(sequence_lost(&s, 10000), 0);
	assert_int_equal(s.duplicated + s.reordered, 0);
	assert_int_equal(s.longest_gap_ns, MS);
	sequence_free(&s);
}

static void loss_counts_numbers_never_seen_also_after_the_last_one(void **state)
{
	struct sequence s;

	sequence_init(&s);
	sequence_add(&s, 0, 0);
	sequence_add(&s, 3, 3 * MS);
	assert_int_equal(sequence_lost(&s, 4), 2);
	assert_int_equal(sequence_lost(&s, 100000), 99998);
	sequence_free(&s);
}

static void a_copy_is_a_duplicate_and_a_late_first_is_reordered(void **state)
{
	struct sequence s;

	sequence_init(&s);
	sequence_add(&s, 0, 0);
	sequence_add(&s, 2, MS);
	sequence_add(&s, 1, 2 * MS);
	sequence_add(&s, 1, 3 * MS);
	assert_int_equal(s.received, 3);
	assert_int_equal(s.reordered, 1);
	assert_int_equal(s.duplicated, 1);
	assert_int_equal(sequence_lost(&s, 3), 0);
	sequence_free(&s);
}

static void the_longest_gap_is_found_with_its_place_and_silence_at_the_end_counts(void **state)
{
	struct sequence s;

	sequence_init(&s);
	sequence_add(&s, 0, 100 * MS);
	sequence_add(&s, 1, 101 * MS);
	sequence_add(&s, 40, 140 * MS);
	sequence_add(&s, 41, 141 * MS);
	assert_int_equal(s.longest_gap_ns, 39 * MS);
	assert_int_equal(s.gap_start_ns, 101 * MS);
	assert_int_equal(s.gap_number, 40);
	sequence_end(&s, 200 * MS);
	assert_int_equal(s.longest_gap_ns, 59 * MS);
	sequence_free(&s);
}

static void nothing_received_means_all_lost_and_no_gap(void **state)
{
	struct sequence s;

	sequence_init(&s);
	sequence_end(&s, 500 * MS);
	assert_int_equal(sequence_lost(&s, 7), 7);
	assert_int_equal(s.longest_gap_ns, 0);
	sequence_free(&s);
}

static void a_number_out_of_range_is_refused_and_not_counted(void **state)
{
	struct sequence s;

	sequence_init(&s);
	assert_false(sequence_add(&s, SEQUENCE_MAX, MS));
	assert_false(sequence_add(&s, UINT64_MAX, MS));
	assert_true(sequence_add(&s, SEQUENCE_MAX - 1, MS));
	assert_int_equal(s.received, 1);
	sequence_free(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_steady_stream_has_no_loss_and_its_own_period_as_gap),
		cmocka_unit_test(loss_counts_numbers_never_seen_also_after_the_last_one),
		cmocka_unit_test(a_copy_is_a_duplicate_and_a_late_first_is_reordered),
		cmocka_unit_test(
			the_longest_gap_is_found_with_its_place_and_silence_at_the_end_counts),
		cmocka_unit_test(nothing_received_means_all_lost_and_no_gap),
		cmocka_unit_test(a_number_out_of_range_is_refused_and_not_counted),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
