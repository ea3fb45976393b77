/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * One frame of the stream: a 40-byte header and a payload. Pure functions over buffers, used by the
 * channel, by session files (the same stream in a file) and by the fuzz target. README.md has the
 * format byte by byte.
 *
 * A parser belongs to one stream in one direction and to one thread at a time. It trusts nothing:
 * the header has a checksum of its own and its lengths are checked against the limit before
 * anything is allocated or waited for; sequences must be consecutive; a frame of an unknown type is
 * skipped if it is optional and ends the stream if it is mandatory.
 */
#ifndef CTRL_CHANNEL_FRAME_H
#define CTRL_CHANNEL_FRAME_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "ctrl/channel/reason.h"

#define FRAME_MAGIC 0x46455259u /* "FERY" */
#define FRAME_VERSION 1
#define FRAME_HEADER_BYTES 40
#define FRAME_PAYLOAD_MAX_BYTES (1u << 20)

/* Flags on the wire; all other bits must be zero in version 1. */
#define FRAME_FLAG_MANDATORY 0x01 /* a receiver that doesn't know the type must refuse */
#define FRAME_FLAG_LZ4 0x02 /* payload is one LZ4 block of raw_bytes */

/* Types below this are the channel's own; every purpose numbers its own from here on. */
#define FRAME_TYPE_FIRST_FREE 0x0100

/* What a frame is; the caller's part of the header. section and stream are the caller's words: the
 * mover's section id and its vport, or a memory channel's number. */
struct frame_kind {
	uint16_t type;
	uint16_t section;
	uint32_t stream;
	bool mandatory;
};

struct frame {
	struct frame_kind kind;
	uint64_t sequence;
	const uint8_t *payload; /* valid until the next call on the parser or channel */
	size_t payload_bytes;
};

struct frame_header {
	struct frame_kind kind;
	uint64_t sequence;
	uint32_t wire_bytes; /* payload as it travels */
	uint32_t raw_bytes; /* payload as it was before compression */
	uint32_t payload_crc;
	bool lz4;
};

/* Writes FRAME_HEADER_BYTES. */
void frame_header_put(uint8_t *to, const struct frame_header *header);

/* Reads and checks FRAME_HEADER_BYTES: magic, version, header checksum, flags, and both lengths
 * against max_payload_bytes. Returns CHANNEL_REASON_NONE or why not. */
enum channel_reason frame_header_get(
	const uint8_t *from, size_t max_payload_bytes, struct frame_header *header);

/* CRC32C (Castagnoli) as everyone else prints it: crc of "123456789" is 0xe3069283. */
uint32_t frame_crc32c(const void *data, size_t len_bytes);

/* Compresses raw into out (room for raw_bytes) if that saves at least an eighth; returns the size
 * of the block, or 0 if it doesn't pay. */
size_t frame_compress(const uint8_t *raw, size_t raw_bytes, uint8_t *out);

struct frame_parser {
	/* set by the caller before the first parse */
	size_t max_payload_bytes;
	const uint16_t *types; /* types known to the caller, with the channel's own */
	size_t n_types;
	uint64_t next_sequence;
	/* kept by the parser */
	uint64_t skipped; /* optional frames of unknown types */
	uint8_t *inflated; /* decompressed payload of the last frame */
	size_t inflated_room;
	enum channel_reason reason; /* why the last parse failed */
};

/* types is borrowed. */
void frame_parser_init(struct frame_parser *parser, size_t max_payload_bytes, const uint16_t *types,
	size_t n_types);
void frame_parser_fini(struct frame_parser *parser);

/*
 * Looks at avail_bytes of stream. Returns the bytes used (> 0) with *frame filled and pointing into
 * data or into the parser; 0 if the frame is not all there yet, *need_bytes then says how many
 * bytes from data on are needed to go on; -errno if the stream is bad, with parser->reason.
 * Optional frames of unknown types use bytes and give a frame whose payload is NULL: go on after
 * it.
 */
long frame_parse(struct frame_parser *parser, const uint8_t *data, size_t avail_bytes,
	struct frame *frame, size_t *need_bytes);

#endif
