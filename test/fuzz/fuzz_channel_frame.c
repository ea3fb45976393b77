/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The frame parser on arbitrary bytes. The first byte says how the rest is cut into pieces and
 * whether checksums are made right first, without which no mutation would get past them. Promises
 * held: no more than the limit is ever asked for, progress is made or more bytes are wanted, a
 * payload lies within its limit, sequences go up by one.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "ctrl/channel/frame.h"
#include "ctrl/channel/wire.h"

#define MAX_PAYLOAD 8192
#define MEND 0x80

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const uint16_t types[] = {1, 2, 3, 0x0100, 0x0101};

static void store_u32(uint8_t *at, uint32_t value)
{
	struct wire_writer w;

	wire_writer_init(&w, at, 4);
	wire_put_u32(&w, value);
}

/* Gives each frame that lies in the buffer right checksums and the sequence due. */
static void mend(uint8_t *data, size_t size)
{
	uint64_t sequence = 0;
	struct wire_writer w;
	struct wire_reader r;
	size_t payload;

	while (size >= FRAME_HEADER_BYTES) {
		wire_reader_init(&r, data + 24, 4);
		payload = wire_get_u32(&r);
		if (payload > size - FRAME_HEADER_BYTES)
			payload = size - FRAME_HEADER_BYTES;
		wire_writer_init(&w, data, FRAME_HEADER_BYTES);
		wire_put_u32(&w, FRAME_MAGIC);
		wire_put_u8(&w, FRAME_VERSION);
		wire_put_room(&w, 11);
		wire_put_u64(&w, sequence++);
		store_u32(data + 32, frame_crc32c(data + FRAME_HEADER_BYTES, payload));
		store_u32(data + 36, frame_crc32c(data, 36));
		data += FRAME_HEADER_BYTES + payload;
		size -= FRAME_HEADER_BYTES + payload;
	}
}

static void require(bool promise)
{
	if (!promise)
		abort();
}

/* Feeds the stream in pieces, as a channel's buffer grows. */
static void parse_all(const uint8_t *data, size_t size, size_t piece)
{
	struct frame_parser parser;
	size_t start = 0, end = 0, need_bytes;
	struct frame frame = {};
	uint64_t expected = 0;
	uint8_t sum = 0;
	long used;

	frame_parser_init(&parser, MAX_PAYLOAD, types, sizeof(types) / sizeof(types[0]));
	for (;;) {
		used = frame_parse(&parser, data + start, end - start, &frame, &need_bytes);
		if (used < 0)
			break;
		if (used == 0) {
			require(need_bytes > end - start);
			require(need_bytes <= FRAME_HEADER_BYTES + MAX_PAYLOAD);
			if (end == size)
				break;
			end = size - end < piece ? size : end + piece;
			continue;
		}
		require((size_t)used <= end - start);
		require(frame.payload_bytes <= MAX_PAYLOAD);
		require(frame.sequence == expected++);
		for (size_t i = 0; i < frame.payload_bytes; i++)
			sum ^= frame.payload[i];
		start += (size_t)used;
	}
	require(parser.inflated_room <= MAX_PAYLOAD);
	/* So that the reads above are not thrown away by the compiler. */
	*(volatile uint8_t *)&sum = sum;
	frame_parser_fini(&parser);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint8_t *copy;
	uint8_t how;

	if (size < 2)
		return 0;
	how = data[0];
	copy = malloc(size - 1);
	memcpy(copy, data + 1, size - 1);
	if (how & MEND)
		mend(copy, size - 1);
	parse_all(copy, size - 1, 1 + (how & 0x7f) * 5);
	free(copy);
	return 0;
}
