/* SPDX-License-Identifier: BSD-3-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "ctrl/channel/wire.h"

static void integers_are_big_endian_on_the_wire(void **state)
{
	const uint8_t expected[] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
	uint8_t buf[15];
	struct wire_writer w;
	struct wire_reader r;

	wire_writer_init(&w, buf, sizeof(buf));
	wire_put_u8(&w, 0x01);
	wire_put_u16(&w, 0x0203);
	wire_put_u32(&w, 0x04050607);
	wire_put_u64(&w, 0x08090a0b0c0d0e0f);
	assert_true(wire_writer_ok(&w));
	assert_int_equal(wire_writer_len(&w), 15);
	assert_memory_equal(buf, expected, sizeof(expected));
	wire_reader_init(&r, buf, sizeof(buf));
	assert_int_equal(wire_get_u8(&r), 0x01);
	assert_int_equal(wire_get_u16(&r), 0x0203);
	assert_int_equal(wire_get_u32(&r), 0x04050607);
	assert_true(wire_get_u64(&r) == 0x08090a0b0c0d0e0f);
	assert_true(wire_reader_done(&r));
}

static void a_writer_never_writes_past_its_end_and_stays_failed(void **state)
{
	uint8_t buf[4] = {0xee, 0xee, 0xee, 0xee};
	struct wire_writer w;

	wire_writer_init(&w, buf, 3);
	wire_put_u16(&w, 1);
	wire_put_u16(&w, 2);
	assert_false(wire_writer_ok(&w));
	wire_put_u8(&w, 3);
	assert_int_equal(wire_writer_len(&w), 2);
	assert_int_equal(buf[2], 0xee);
	assert_int_equal(buf[3], 0xee);
}

static void a_reader_past_its_end_gives_zeros_and_stays_failed(void **state)
{
	const uint8_t buf[3] = {0xff, 0xff, 0xff};
	uint8_t out[4] = {1, 1, 1, 1};
	const uint8_t zeros[4] = {};
	struct wire_reader r;

	wire_reader_init(&r, buf, sizeof(buf));
	assert_int_equal(wire_get_u32(&r), 0);
	assert_false(wire_reader_ok(&r));
	assert_int_equal(wire_get_u8(&r), 0);
	assert_int_equal(wire_reader_left(&r), 0);
	wire_get_bytes(&r, out, sizeof(out));
	assert_memory_equal(out, zeros, sizeof(out));
	assert_false(wire_reader_done(&r));
}

static void varints_of_every_length_come_back(void **state)
{
	uint8_t buf[WIRE_VARINT_MAX_BYTES];
	struct wire_writer w;
	struct wire_reader r;

	for (unsigned shift = 0; shift < 64; shift++) {
		for (int64_t near = -1; near <= 1; near++) {
			uint64_t value = (1ull << shift) + (uint64_t)near;

			wire_writer_init(&w, buf, sizeof(buf));
			wire_put_varint(&w, value);
			assert_true(wire_writer_ok(&w));
			wire_reader_init(&r, buf, wire_writer_len(&w));
			assert_true(wire_get_varint(&r) == value);
			assert_true(wire_reader_done(&r));
		}
	}
}

static void a_varint_too_long_too_big_or_cut_is_refused(void **state)
{
	static const struct {
		uint8_t bytes[11];
		size_t n;
	} bad[] = {
		{{0x80, 0x00}, 2}, /* zero in two bytes */
		{{0xff, 0x80, 0x00}, 3}, /* 127 in three */
		{{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x02}, 10}, /* 2^64 */
		{{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x81, 0x01}, 11},
		{{0x80}, 1}, /* cut */
		{{0}, 0},
	};
	struct wire_reader r;

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		wire_reader_init(&r, bad[i].bytes, bad[i].n);
		assert_true(wire_get_varint(&r) == 0);
		assert_false(wire_reader_ok(&r));
	}
}

static void strings_are_bounded_and_hold_no_zero(void **state)
{
	const uint8_t with_zero[] = {3, 'a', 0, 'b'};
	const uint8_t too_long[] = {0xff, 0xff, 0xff, 0xff, 0x0f, 'a'};
	uint8_t buf[8];
	char out[4];
	struct wire_writer w;
	struct wire_reader r;

	wire_writer_init(&w, buf, sizeof(buf));
	wire_put_string(&w, "abc");
	wire_reader_init(&r, buf, wire_writer_len(&w));
	wire_get_string(&r, out, sizeof(out));
	assert_string_equal(out, "abc");
	assert_true(wire_reader_done(&r));

	wire_reader_init(&r, buf, wire_writer_len(&w));
	wire_get_string(&r, out, 3);
	assert_false(wire_reader_ok(&r));
	assert_string_equal(out, "");

	wire_reader_init(&r, with_zero, sizeof(with_zero));
	wire_get_string(&r, out, sizeof(out));
	assert_false(wire_reader_ok(&r));
	wire_reader_init(&r, too_long, sizeof(too_long));
	wire_get_string(&r, out, sizeof(out));
	assert_false(wire_reader_ok(&r));
}

static void a_nested_reader_ends_with_its_own_part(void **state)
{
	const uint8_t buf[] = {1, 2, 3};
	struct wire_reader r, inner;

	wire_reader_init(&r, buf, sizeof(buf));
	inner = wire_get_nested(&r, 2);
	assert_int_equal(wire_get_u16(&inner), 0x0102);
	assert_true(wire_reader_done(&inner));
	assert_int_equal(wire_get_u8(&inner), 0);
	assert_false(wire_reader_ok(&inner));
	assert_int_equal(wire_get_u8(&r), 3);
	assert_true(wire_reader_done(&r));
	inner = wire_get_nested(&r, 1);
	assert_false(wire_reader_ok(&inner));
	assert_false(wire_reader_ok(&r));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(integers_are_big_endian_on_the_wire),
		cmocka_unit_test(a_writer_never_writes_past_its_end_and_stays_failed),
		cmocka_unit_test(a_reader_past_its_end_gives_zeros_and_stays_failed),
		cmocka_unit_test(varints_of_every_length_come_back),
		cmocka_unit_test(a_varint_too_long_too_big_or_cut_is_refused),
		cmocka_unit_test(strings_are_bounded_and_hold_no_zero),
		cmocka_unit_test(a_nested_reader_ends_with_its_own_part),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
