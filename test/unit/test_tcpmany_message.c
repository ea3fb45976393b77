/* SPDX-License-Identifier: BSD-3-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "test/lab/guest/tcpmany.h"

static void a_message_is_read_back_once_it_is_whole(void **state)
{
	unsigned char buffer[TCPMANY_MESSAGE_MAX];
	size_t length = tcpmany_message_make(buffer, 7, 42, 100), i;
	struct tcpmany_message m = {0};

	assert_int_equal(length, TCPMANY_HEADER_BYTES + 100);
	for (i = 0; i < length; i++)
		assert_int_equal(tcpmany_message_read(buffer, i, &m), TCPMANY_MORE);
	assert_int_equal(tcpmany_message_read(buffer, length, &m), TCPMANY_WHOLE);
	assert_int_equal(m.connection, 7);
	assert_int_equal(m.number, 42);
	assert_int_equal(m.length_bytes, length);
}

static void any_changed_byte_of_the_pattern_is_wrong(void **state)
{
	unsigned char buffer[TCPMANY_MESSAGE_MAX];
	size_t length = tcpmany_message_make(buffer, 7, 42, 50), i;
	struct tcpmany_message m;

	for (i = TCPMANY_HEADER_BYTES; i < length; i++) {
		buffer[i] ^= 1;
		assert_int_equal(tcpmany_message_read(buffer, length, &m), TCPMANY_WRONG);
		buffer[i] ^= 1;
	}
}

static void the_pattern_of_another_connection_or_number_is_wrong(void **state)
{
	unsigned char buffer[TCPMANY_MESSAGE_MAX], other[TCPMANY_MESSAGE_MAX];
	size_t length = tcpmany_message_make(buffer, 7, 42, 50), i;
	struct tcpmany_message m;

	tcpmany_message_make(other, 8, 42, 50);
	for (i = 0; i < TCPMANY_HEADER_BYTES; i++)
		buffer[i] = other[i];
	assert_int_equal(tcpmany_message_read(buffer, length, &m), TCPMANY_WRONG);
}

static void a_length_beyond_the_buffer_or_a_foreign_start_is_wrong(void **state)
{
	unsigned char buffer[TCPMANY_MESSAGE_MAX] = {0};
	struct tcpmany_message m;

	assert_int_equal(tcpmany_message_read(buffer, TCPMANY_HEADER_BYTES, &m), TCPMANY_WRONG);
	tcpmany_message_make(buffer, 1, 1, 0);
	buffer[12] = 0xff;
	assert_int_equal(tcpmany_message_read(buffer, TCPMANY_HEADER_BYTES, &m), TCPMANY_WRONG);
}

static void taking_a_message_off_keeps_what_follows(void **state)
{
	struct tcpmany_input input = {0};
	struct tcpmany_message m;

	input.length_bytes = tcpmany_message_make(input.bytes, 3, 0, 10);
	input.length_bytes += tcpmany_message_make(input.bytes + input.length_bytes, 3, 1, 20);
	assert_int_equal(tcpmany_message_read(input.bytes, input.length_bytes, &m), TCPMANY_WHOLE);
	tcpmany_input_take(&input, m.length_bytes);
	assert_int_equal(tcpmany_message_read(input.bytes, input.length_bytes, &m), TCPMANY_WHOLE);
	assert_int_equal(m.number, 1);
	assert_int_equal(m.length_bytes, input.length_bytes);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_message_is_read_back_once_it_is_whole),
		cmocka_unit_test(any_changed_byte_of_the_pattern_is_wrong),
		cmocka_unit_test(the_pattern_of_another_connection_or_number_is_wrong),
		cmocka_unit_test(a_length_beyond_the_buffer_or_a_foreign_start_is_wrong),
		cmocka_unit_test(taking_a_message_off_keeps_what_follows),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
