/* SPDX-License-Identifier: BSD-3-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdlib.h>

#include "ctrl/channel/frame.h"
#include "ctrl/channel/hello.h"
#include "ctrl/channel/wire.h"

#define MAX_PAYLOAD 4096

static const uint16_t types[] = {0x0100};

/* Header and payload with right checksums, whatever else the header says. */
static size_t frame_make(uint8_t *out, struct frame_header header, const void *payload)
{
	header.payload_crc = frame_crc32c(payload, header.wire_bytes);
	frame_header_put(out, &header);
	memcpy(out + FRAME_HEADER_BYTES, payload, header.wire_bytes);
	return FRAME_HEADER_BYTES + header.wire_bytes;
}

static struct frame_header header_of(const char *text)
{
	return (struct frame_header){
		.kind = {.type = 0x0100, .section = 7, .stream = 9, .mandatory = true},
		.wire_bytes = (uint32_t)strlen(text),
		.raw_bytes = (uint32_t)strlen(text),
	};
}

/* Parses one buffer with a fresh parser; the reason if it is refused. */
static enum channel_reason reason_of(const uint8_t *data, size_t len_bytes)
{
	struct frame_parser parser;
	struct frame frame;
	size_t need_bytes;
	long used;

	frame_parser_init(&parser, MAX_PAYLOAD, types, 1);
	used = frame_parse(&parser, data, len_bytes, &frame, &need_bytes);
	if (used < 0)
		assert_int_equal(used, channel_reason_errno(parser.reason));
	frame_parser_fini(&parser);
	return used < 0 ? parser.reason : CHANNEL_REASON_NONE;
}

static void crc32c_is_the_one_of_the_standard(void **state)
{
	uint8_t zeros[32] = {};

	assert_int_equal(frame_crc32c("123456789", 9), 0xe3069283);
	assert_int_equal(frame_crc32c(zeros, 32), 0x8a9136aa); /* RFC 3720, B.4 */
	assert_int_equal(frame_crc32c("", 0), 0);
}

static void a_frame_of_version_1_is_these_bytes(void **state)
{
	static const uint8_t golden[] = {'F', 'E', 'R', 'Y', 1, 1, 0x01, 0x00, 0, 7, 0, 0, 0, 0, 0,
		9, /* to stream */
		0, 0, 0, 0, 0, 0, 0, 5, /* sequence */
		0, 0, 0, 9, 0, 0, 0, 9, /* lengths */
		0xe3, 0x06, 0x92, 0x83, 0x45, 0x0d, 0x26, 0x32, /* checksums */
		'1', '2', '3', '4', '5', '6', '7', '8', '9'};
	struct frame_header header = header_of("123456789");
	uint8_t made[64];

	header.sequence = 5;
	assert_int_equal(frame_make(made, header, "123456789"), sizeof(golden));
	assert_memory_equal(made, golden, sizeof(golden));
}

static void a_hello_of_version_1_is_these_bytes(void **state)
{
	static const uint8_t golden[] = {0, 1, 0, 1, /* versions */
		1, /* purpose */
		0, 0, 0, 0, 0, 0, 0, 5, /* features */
		'B', 'B', 'B', 'B', 'B', 'B', 'B', 'B', 'B', 'B', 'B', 'B', 'B', 'B', 'B', 'B', 'M',
		'M', 'M', 'M', 'M', 'M', 'M', 'M', 'M', 'M', 'M', 'M', 'M', 'M', 'M', 'M', 0, 0, 0,
		2, /* index */
		0, 0, 0, 0, 0, 0, 0x30, 0x39, /* first sequence */
		6, 's', 'o', 'u', 'r', 'c', 'e'};
	struct hello hello = {.said = {.protocol_min = 1,
				      .protocol_max = 1,
				      .purpose = CHANNEL_PURPOSE_MOVE,
				      .features = 5,
				      .host = "source",
				      .index = 2},
		.first_sequence = 12345};
	uint8_t made[HELLO_MAX_BYTES];
	struct hello read = {};

	memset(hello.said.boot_id, 'B', 16);
	memset(hello.said.move_id, 'M', 16);
	assert_int_equal(hello_pack(&hello, made), sizeof(golden));
	assert_memory_equal(made, golden, sizeof(golden));
	assert_int_equal(hello_unpack(golden, sizeof(golden), &read), 0);
	assert_memory_equal(&read, &hello, sizeof(hello));
	/* Whatever is missing, it is no hello; optional extensions are. */
	for (size_t n = 0; n < sizeof(golden); n++)
		assert_int_equal(hello_unpack(golden, n, &read), -EPROTO);
	memcpy(made + sizeof(golden), "\x00\x07\x00\x01x", 5);
	assert_int_equal(hello_unpack(made, sizeof(golden) + 5, &read), 0);
	made[sizeof(golden)] = 0x80;
	assert_int_equal(hello_unpack(made, sizeof(golden) + 5, &read), -EPROTO);
}

static void a_frame_comes_back_with_all_its_parts(void **state)
{
	uint8_t data[64];
	size_t len_bytes = frame_make(data, header_of("hello"), "hello"), need_bytes;
	struct frame_parser parser;
	struct frame frame;

	frame_parser_init(&parser, MAX_PAYLOAD, types, 1);
	/* Piece by piece: it asks for what is missing and takes nothing before it is whole. */
	for (size_t n = 0; n < len_bytes; n++) {
		assert_int_equal(frame_parse(&parser, data, n, &frame, &need_bytes), 0);
		assert_int_equal(
			need_bytes, n < FRAME_HEADER_BYTES ? FRAME_HEADER_BYTES : len_bytes);
	}
	assert_int_equal(frame_parse(&parser, data, len_bytes, &frame, &need_bytes), len_bytes);
	assert_int_equal(frame.kind.type, 0x0100);
	assert_int_equal(frame.kind.section, 7);
	assert_int_equal(frame.kind.stream, 9);
	assert_true(frame.kind.mandatory);
	assert_int_equal(frame.payload_bytes, 5);
	assert_memory_equal(frame.payload, "hello", 5);
	frame_parser_fini(&parser);
}

static void f07_one_bit_changed_anywhere_is_never_taken(void **state)
{
	const char text[] = "a record of some session, changed by one bit on its way";
	uint8_t data[128];
	size_t len_bytes = frame_make(data, header_of(text), text);

	for (size_t bit = 0; bit < len_bytes * 8; bit++) {
		data[bit / 8] ^= (uint8_t)(1 << (bit % 8));
		assert_int_not_equal(reason_of(data, len_bytes), CHANNEL_REASON_NONE);
		data[bit / 8] ^= (uint8_t)(1 << (bit % 8));
	}
	assert_int_equal(reason_of(data, len_bytes), CHANNEL_REASON_NONE);
}

static void f07_a_gigabyte_claimed_is_refused_from_the_header_alone(void **state)
{
	struct frame_header header = header_of("x");
	uint8_t data[FRAME_HEADER_BYTES];

	header.wire_bytes = header.raw_bytes = 1u << 30;
	frame_header_put(data, &header);
	assert_int_equal(reason_of(data, sizeof(data)), CHANNEL_REASON_LENGTH);
	/* A small block that says it inflates to a gigabyte. */
	header.wire_bytes = 100;
	header.lz4 = true;
	frame_header_put(data, &header);
	assert_int_equal(reason_of(data, sizeof(data)), CHANNEL_REASON_LENGTH);
	header.wire_bytes = header.raw_bytes = MAX_PAYLOAD + 1;
	header.lz4 = false;
	frame_header_put(data, &header);
	assert_int_equal(reason_of(data, sizeof(data)), CHANNEL_REASON_LENGTH);
}

/* Header with one byte set, and its checksum made right again. */
static enum channel_reason reason_with_byte(size_t at, uint8_t value)
{
	uint8_t data[64];
	size_t len_bytes = frame_make(data, header_of("abc"), "abc");
	struct wire_writer w;

	data[at] = value;
	wire_writer_init(&w, data + 36, 4);
	wire_put_u32(&w, frame_crc32c(data, 36));
	return reason_of(data, len_bytes);
}

static void other_versions_flags_and_reserved_bits_are_refused(void **state)
{
	assert_int_equal(reason_with_byte(0, 'G'), CHANNEL_REASON_MAGIC);
	assert_int_equal(reason_with_byte(4, 2), CHANNEL_REASON_FRAME_VERSION);
	assert_int_equal(reason_with_byte(5, 0x05), CHANNEL_REASON_FRAME_HEADER);
	assert_int_equal(reason_with_byte(10, 1), CHANNEL_REASON_FRAME_HEADER);
	/* Said to be compressed, but as long as before. */
	assert_int_equal(reason_with_byte(5, 0x03), CHANNEL_REASON_FRAME_HEADER);
	assert_int_equal(reason_with_byte(35, 0), CHANNEL_REASON_CRC);
}

static void a_gap_a_repeat_and_a_wrong_start_are_refused(void **state)
{
	struct frame_header header = header_of("abc");
	struct frame_parser parser;
	uint8_t data[64];
	struct frame frame;
	size_t len_bytes, need_bytes;

	for (uint64_t sequence = 3; sequence <= 7; sequence++) {
		header.sequence = sequence;
		len_bytes = frame_make(data, header, "abc");
		frame_parser_init(&parser, MAX_PAYLOAD, types, 1);
		parser.next_sequence = 5;
		assert_int_equal(frame_parse(&parser, data, len_bytes, &frame, &need_bytes),
			sequence == 5 ? (long)len_bytes : -EILSEQ);
		if (sequence == 5) /* and once more */
			assert_int_equal(frame_parse(&parser, data, len_bytes, &frame, &need_bytes),
				-EILSEQ);
		frame_parser_fini(&parser);
	}
}

static void unknown_optional_types_are_skipped_and_mandatory_ones_refused(void **state)
{
	struct frame_header header = header_of("abc");
	struct frame_parser parser;
	uint8_t data[64];
	struct frame frame;
	size_t len_bytes, need_bytes;

	header.kind.type = 0x0199;
	header.kind.mandatory = false;
	len_bytes = frame_make(data, header, "abc");
	frame_parser_init(&parser, MAX_PAYLOAD, types, 1);
	assert_int_equal(frame_parse(&parser, data, len_bytes, &frame, &need_bytes), len_bytes);
	assert_null(frame.payload);
	assert_int_equal(parser.skipped, 1);
	header.kind.mandatory = true;
	header.sequence = 1;
	len_bytes = frame_make(data, header, "abc");
	assert_int_equal(frame_parse(&parser, data, len_bytes, &frame, &need_bytes), -EOPNOTSUPP);
	assert_int_equal(parser.reason, CHANNEL_REASON_UNKNOWN_TYPE);
	frame_parser_fini(&parser);
}

static void compression_comes_back_and_is_only_used_when_it_pays(void **state)
{
	uint8_t raw[4096], packed[4096], data[4200];
	struct frame_header header = header_of("");
	struct frame_parser parser;
	struct frame frame;
	size_t n, len_bytes, need_bytes;

	for (size_t i = 0; i < sizeof(raw); i++)
		raw[i] = (uint8_t)(i / 64);
	n = frame_compress(raw, sizeof(raw), packed);
	assert_in_range(n, 1, sizeof(raw) / 2);
	header.lz4 = true;
	header.wire_bytes = (uint32_t)n;
	header.raw_bytes = sizeof(raw);
	len_bytes = frame_make(data, header, packed);
	frame_parser_init(&parser, MAX_PAYLOAD, types, 1);
	assert_int_equal(frame_parse(&parser, data, len_bytes, &frame, &need_bytes), len_bytes);
	assert_int_equal(frame.payload_bytes, sizeof(raw));
	assert_memory_equal(frame.payload, raw, sizeof(raw));
	frame_parser_fini(&parser);

	srandom(1);
	for (size_t i = 0; i < sizeof(raw); i++)
		raw[i] = (uint8_t)random();
	assert_int_equal(frame_compress(raw, sizeof(raw), packed), 0);
}

static void a_block_that_does_not_inflate_to_its_length_is_refused(void **state)
{
	uint8_t raw[1024] = {}, packed[1024], data[1100];
	struct frame_header header = header_of("");
	size_t n = frame_compress(raw, sizeof(raw), packed);

	header.lz4 = true;
	header.wire_bytes = (uint32_t)n;
	header.raw_bytes = sizeof(raw) + 1;
	assert_int_equal(
		reason_of(data, frame_make(data, header, packed)), CHANNEL_REASON_COMPRESSION);
	header.raw_bytes = sizeof(raw) - 1;
	assert_int_equal(
		reason_of(data, frame_make(data, header, packed)), CHANNEL_REASON_COMPRESSION);
	header.raw_bytes = sizeof(raw);
	memset(packed, 0xff, n);
	assert_int_equal(
		reason_of(data, frame_make(data, header, packed)), CHANNEL_REASON_COMPRESSION);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(crc32c_is_the_one_of_the_standard),
		cmocka_unit_test(a_frame_of_version_1_is_these_bytes),
		cmocka_unit_test(a_hello_of_version_1_is_these_bytes),
		cmocka_unit_test(a_frame_comes_back_with_all_its_parts),
		cmocka_unit_test(f07_one_bit_changed_anywhere_is_never_taken),
		cmocka_unit_test(f07_a_gigabyte_claimed_is_refused_from_the_header_alone),
		cmocka_unit_test(other_versions_flags_and_reserved_bits_are_refused),
		cmocka_unit_test(a_gap_a_repeat_and_a_wrong_start_are_refused),
		cmocka_unit_test(unknown_optional_types_are_skipped_and_mandatory_ones_refused),
		cmocka_unit_test(compression_comes_back_and_is_only_used_when_it_pays),
		cmocka_unit_test(a_block_that_does_not_inflate_to_its_length_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
