/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Explicit big-endian encoding with bounded cursors.
 *
 * A writer fills a buffer of the caller, a reader walks one. Both check every step against the
 * end and carry a sticky error: after the first step that does not fit, a writer writes nothing
 * more and a reader returns zeros, so a caller checks once, at the end (wire_writer_ok(),
 * wire_reader_ok(), wire_reader_done()). Nothing allocates, nothing keeps a pointer to the cursor.
 *
 * Integers are big endian. A varint is LEB128 of an unsigned 64-bit value: 7 bits a byte, low bits
 * first, high bit set on all bytes but the last, at most 10 bytes, and always in its shortest
 * form (the reader refuses a longer one, so that a value has one encoding and can be hashed).
 * A string is a varint length and that many bytes without a terminating zero.
 */
#ifndef CTRL_CHANNEL_WIRE_H
#define CTRL_CHANNEL_WIRE_H

#include <endian.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define WIRE_VARINT_MAX_BYTES 10

struct wire_writer {
	uint8_t *start;
	size_t used_bytes;
	size_t room_bytes; /* in all */
	bool failed;
};

struct wire_reader {
	const uint8_t *at;
	const uint8_t *end;
	bool failed;
};

static inline void wire_writer_init(struct wire_writer *w, void *buf, size_t len_bytes)
{
	w->start = buf;
	w->used_bytes = 0;
	w->room_bytes = len_bytes;
	w->failed = false;
}

static inline bool wire_writer_ok(const struct wire_writer *w)
{
	return !w->failed;
}

static inline size_t wire_writer_len(const struct wire_writer *w)
{
	return w->used_bytes;
}

/* Takes note if len_bytes more do not fit. */
static inline bool wire_has_room(struct wire_writer *w, size_t len_bytes)
{
	if (w->room_bytes - w->used_bytes < len_bytes)
		w->failed = true;
	return !w->failed;
}

/* Room for len_bytes at the cursor, which moves past them; NULL (and the error) if they don't fit.
 * Also the way to leave a gap that is filled in later. */
static inline uint8_t *wire_put_room(struct wire_writer *w, size_t len_bytes)
{
	uint8_t *room = w->start + w->used_bytes;

	if (!wire_has_room(w, len_bytes))
		return NULL;
	w->used_bytes += len_bytes;
	return room;
}

static inline void wire_put_bytes(struct wire_writer *w, const void *bytes, size_t len_bytes)
{
	if (len_bytes == 0 || !wire_has_room(w, len_bytes))
		return;
	memcpy(w->start + w->used_bytes, bytes, len_bytes);
	w->used_bytes += len_bytes;
}

static inline void wire_put_u8(struct wire_writer *w, uint8_t value)
{
	wire_put_bytes(w, &value, sizeof(value));
}

static inline void wire_put_u16(struct wire_writer *w, uint16_t value)
{
	uint16_t be = htobe16(value);

	wire_put_bytes(w, &be, sizeof(be));
}

static inline void wire_put_u32(struct wire_writer *w, uint32_t value)
{
	uint32_t be = htobe32(value);

	wire_put_bytes(w, &be, sizeof(be));
}

static inline void wire_put_u64(struct wire_writer *w, uint64_t value)
{
	uint64_t be = htobe64(value);

	wire_put_bytes(w, &be, sizeof(be));
}

static inline void wire_put_varint(struct wire_writer *w, uint64_t value)
{
	uint8_t out[WIRE_VARINT_MAX_BYTES];
	size_t n = 0;

	while (value >= 0x80) {
		out[n++] = (uint8_t)(value | 0x80);
		value >>= 7;
	}
	out[n++] = (uint8_t)value;
	wire_put_bytes(w, out, n);
}

static inline void wire_put_string(struct wire_writer *w, const char *text)
{
	size_t len_bytes = strlen(text);

	wire_put_varint(w, len_bytes);
	wire_put_bytes(w, text, len_bytes);
}

static inline void wire_reader_init(struct wire_reader *r, const void *buf, size_t len_bytes)
{
	r->at = buf;
	r->end = r->at + len_bytes;
	r->failed = false;
}

static inline bool wire_reader_ok(const struct wire_reader *r)
{
	return !r->failed;
}

static inline size_t wire_reader_left(const struct wire_reader *r)
{
	return r->failed ? 0 : (size_t)(r->end - r->at);
}

/* True when all was read and nothing failed: what a decoder of a closed structure ends with. */
static inline bool wire_reader_done(const struct wire_reader *r)
{
	return !r->failed && r->at == r->end;
}

static inline void wire_reader_fail(struct wire_reader *r)
{
	r->failed = true;
}

/* len_bytes in place, inside the reader's buffer; NULL (and the error) if they are not there. */
static inline const uint8_t *wire_get_ref(struct wire_reader *r, size_t len_bytes)
{
	const uint8_t *ref = r->at;

	if (r->failed || (size_t)(r->end - r->at) < len_bytes) {
		r->failed = true;
		return NULL;
	}
	r->at += len_bytes;
	return ref;
}

/* Copies len_bytes out; zeroes them on error, so that the caller never sees what was there. */
static inline void wire_get_bytes(struct wire_reader *r, void *out, size_t len_bytes)
{
	const uint8_t *ref = wire_get_ref(r, len_bytes);

	if (ref != NULL)
		memcpy(out, ref, len_bytes);
	else
		memset(out, 0, len_bytes);
}

static inline uint8_t wire_get_u8(struct wire_reader *r)
{
	uint8_t value;

	wire_get_bytes(r, &value, sizeof(value));
	return value;
}

static inline uint16_t wire_get_u16(struct wire_reader *r)
{
	uint16_t be;

	wire_get_bytes(r, &be, sizeof(be));
	return be16toh(be);
}

static inline uint32_t wire_get_u32(struct wire_reader *r)
{
	uint32_t be;

	wire_get_bytes(r, &be, sizeof(be));
	return be32toh(be);
}

static inline uint64_t wire_get_u64(struct wire_reader *r)
{
	uint64_t be;

	wire_get_bytes(r, &be, sizeof(be));
	return be64toh(be);
}

static inline uint64_t wire_get_varint(struct wire_reader *r)
{
	uint64_t value = 0;

	for (unsigned shift = 0; shift < 70; shift += 7) {
		uint8_t byte = wire_get_u8(r);

		if (r->failed || (shift == 63 && byte > 1) || (shift > 0 && byte == 0))
			break;
		value |= (uint64_t)(byte & 0x7f) << shift;
		if (byte < 0x80)
			return value;
	}
	r->failed = true;
	return 0;
}

/* Copies a string of at most size - 1 bytes and ends it with a zero; one that is longer or holds
 * a zero byte is an error. On error out is the empty string. */
static inline void wire_get_string(struct wire_reader *r, char *out, size_t size)
{
	uint64_t len_bytes = wire_get_varint(r);
	const uint8_t *ref = NULL;

	if (len_bytes < size)
		ref = wire_get_ref(r, (size_t)len_bytes);
	if (ref == NULL || memchr(ref, 0, (size_t)len_bytes) != NULL) {
		r->failed = true;
		out[0] = '\0';
		return;
	}
	memcpy(out, ref, (size_t)len_bytes);
	out[len_bytes] = '\0';
}

/* A reader over the next len_bytes alone, which are skipped in the outer one: for a nested
 * structure whose inside must not read past its own end. */
static inline struct wire_reader wire_get_nested(struct wire_reader *r, size_t len_bytes)
{
	const uint8_t *ref = wire_get_ref(r, len_bytes);
	struct wire_reader nested = {.at = ref, .end = ref, .failed = ref == NULL};

	if (ref != NULL)
		nested.end = ref + len_bytes;
	return nested;
}

#endif
