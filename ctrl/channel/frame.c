/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <stdlib.h>

#include <lz4.h>
#include <rte_hash_crc.h>

#include "ctrl/channel/frame.h"
#include "ctrl/channel/wire.h"

/* Where the header checksum stands; it covers all before it. */
#define FRAME_HEADER_CRC_AT (FRAME_HEADER_BYTES - 4)
#define FRAME_FLAGS_KNOWN (FRAME_FLAG_MANDATORY | FRAME_FLAG_LZ4)

uint32_t frame_crc32c(const void *data, size_t len_bytes)
{
	return ~rte_hash_crc(data, (uint32_t)len_bytes, UINT32_MAX);
}

void frame_header_put(uint8_t *to, const struct frame_header *header)
{
	struct wire_writer w;
	uint8_t flags = 0;

	if (header->kind.mandatory)
		flags |= FRAME_FLAG_MANDATORY;
	if (header->lz4)
		flags |= FRAME_FLAG_LZ4;
	wire_writer_init(&w, to, FRAME_HEADER_BYTES);
	wire_put_u32(&w, FRAME_MAGIC);
	wire_put_u8(&w, FRAME_VERSION);
	wire_put_u8(&w, flags);
	wire_put_u16(&w, header->kind.type);
	wire_put_u16(&w, header->kind.section);
	wire_put_u16(&w, 0);
	wire_put_u32(&w, header->kind.stream);
	wire_put_u64(&w, header->sequence);
	wire_put_u32(&w, header->wire_bytes);
	wire_put_u32(&w, header->raw_bytes);
	wire_put_u32(&w, header->payload_crc);
	wire_put_u32(&w, frame_crc32c(to, FRAME_HEADER_CRC_AT));
}

/* Magic, version and checksum, in the order in which they tell most about what went wrong. */
static enum channel_reason header_check(const uint8_t *from)
{
	struct wire_reader r;

	wire_reader_init(&r, from, FRAME_HEADER_BYTES);
	if (wire_get_u32(&r) != FRAME_MAGIC)
		return CHANNEL_REASON_MAGIC;
	if (wire_get_u8(&r) != FRAME_VERSION)
		return CHANNEL_REASON_FRAME_VERSION;
	wire_get_ref(&r, FRAME_HEADER_CRC_AT - 5);
	if (wire_get_u32(&r) != frame_crc32c(from, FRAME_HEADER_CRC_AT))
		return CHANNEL_REASON_FRAME_HEADER;
	return CHANNEL_REASON_NONE;
}

enum channel_reason frame_header_get(
	const uint8_t *from, size_t max_payload_bytes, struct frame_header *header)
{
	enum channel_reason reason = header_check(from);
	struct frame_header h = {};
	struct wire_reader r;
	uint16_t reserved;
	uint8_t flags;

	if (reason != CHANNEL_REASON_NONE)
		return reason;
	wire_reader_init(&r, from + 5, FRAME_HEADER_CRC_AT - 5);
	flags = wire_get_u8(&r);
	h.kind.type = wire_get_u16(&r);
	h.kind.section = wire_get_u16(&r);
	reserved = wire_get_u16(&r);
	h.kind.stream = wire_get_u32(&r);
	h.sequence = wire_get_u64(&r);
	h.wire_bytes = wire_get_u32(&r);
	h.raw_bytes = wire_get_u32(&r);
	h.payload_crc = wire_get_u32(&r);
	h.kind.mandatory = flags & FRAME_FLAG_MANDATORY;
	h.lz4 = flags & FRAME_FLAG_LZ4;

	if ((flags & ~FRAME_FLAGS_KNOWN) != 0 || reserved != 0)
		return CHANNEL_REASON_FRAME_HEADER;
	if (h.raw_bytes > max_payload_bytes || h.wire_bytes > h.raw_bytes)
		return CHANNEL_REASON_LENGTH;
	/* A compressed frame is smaller, a plain one is as long as it says, twice. */
	if (h.lz4 == (h.wire_bytes == h.raw_bytes))
		return CHANNEL_REASON_FRAME_HEADER;
	*header = h;
	return CHANNEL_REASON_NONE;
}

size_t frame_compress(const uint8_t *raw, size_t raw_bytes, uint8_t *out)
{
	size_t room = raw_bytes - raw_bytes / 8;
	int n;

	if (raw_bytes < 64 || raw_bytes > FRAME_PAYLOAD_MAX_BYTES)
		return 0;
	n = LZ4_compress_default((const char *)raw, (char *)out, (int)raw_bytes, (int)room);
	return n > 0 ? (size_t)n : 0;
}

void frame_parser_init(struct frame_parser *parser, size_t max_payload_bytes, const uint16_t *types,
	size_t n_types)
{
	*parser = (struct frame_parser){
		.max_payload_bytes = max_payload_bytes,
		.types = types,
		.n_types = n_types,
	};
}

void frame_parser_fini(struct frame_parser *parser)
{
	free(parser->inflated);
	parser->inflated = NULL;
	parser->inflated_room = 0;
}

static bool parser_knows(const struct frame_parser *parser, uint16_t type)
{
	for (size_t i = 0; i < parser->n_types; i++) {
		if (parser->types[i] == type)
			return true;
	}
	return false;
}

static enum channel_reason parser_inflate(
	struct frame_parser *parser, const struct frame_header *header, const uint8_t *payload)
{
	uint8_t *grown;
	int n;

	if (parser->inflated_room < header->raw_bytes) {
		grown = realloc(parser->inflated, header->raw_bytes);
		if (grown == NULL)
			return CHANNEL_REASON_MEMORY;
		parser->inflated = grown;
		parser->inflated_room = header->raw_bytes;
	}
	n = LZ4_decompress_safe((const char *)payload, (char *)parser->inflated,
		(int)header->wire_bytes, (int)header->raw_bytes);
	if (n < 0 || (uint32_t)n != header->raw_bytes)
		return CHANNEL_REASON_COMPRESSION;
	return CHANNEL_REASON_NONE;
}

/* The whole frame is there: checks the payload and gives it out, or skips it. */
static enum channel_reason parser_take(struct frame_parser *parser,
	const struct frame_header *header, const uint8_t *payload, struct frame *frame)
{
	enum channel_reason reason = CHANNEL_REASON_NONE;
	const uint8_t *given = payload;

	if (frame_crc32c(payload, header->wire_bytes) != header->payload_crc)
		return CHANNEL_REASON_CRC;
	if (!parser_knows(parser, header->kind.type)) {
		if (header->kind.mandatory)
			return CHANNEL_REASON_UNKNOWN_TYPE;
		parser->skipped++;
		given = NULL;
	} else if (header->lz4) {
		reason = parser_inflate(parser, header, payload);
		given = parser->inflated;
	}
	if (reason != CHANNEL_REASON_NONE)
		return reason;
	parser->next_sequence++;
	frame->kind = header->kind;
	frame->sequence = header->sequence;
	frame->payload = given;
	frame->payload_bytes = given == NULL ? 0 : header->raw_bytes;
	return CHANNEL_REASON_NONE;
}

static long parser_fail(struct frame_parser *parser, enum channel_reason reason)
{
	parser->reason = reason;
	return channel_reason_errno(reason);
}

long frame_parse(struct frame_parser *parser, const uint8_t *data, size_t avail_bytes,
	struct frame *frame, size_t *need_bytes)
{
	struct frame_header header;
	enum channel_reason reason;

	if (avail_bytes < FRAME_HEADER_BYTES) {
		*need_bytes = FRAME_HEADER_BYTES;
		return 0;
	}
	reason = frame_header_get(data, parser->max_payload_bytes, &header);
	if (reason != CHANNEL_REASON_NONE)
		return parser_fail(parser, reason);
	if (header.sequence != parser->next_sequence)
		return parser_fail(parser, CHANNEL_REASON_SEQUENCE);
	if (avail_bytes - FRAME_HEADER_BYTES < header.wire_bytes) {
		*need_bytes = FRAME_HEADER_BYTES + (size_t)header.wire_bytes;
		return 0;
	}
	reason = parser_take(parser, &header, data + FRAME_HEADER_BYTES, frame);
	if (reason != CHANNEL_REASON_NONE)
		return parser_fail(parser, reason);
	return FRAME_HEADER_BYTES + (long)header.wire_bytes;
}
