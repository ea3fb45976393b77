/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Records: a session as bytes and back. The order of fields is written once, in record_put() and
 * record_get(), which mirror each other line by line; what the digest leaves out stands last (the
 * tail).
 */
#include "dataplane/session_record.h"

#include <errno.h>
#include <string.h>

#include <rte_branch_prediction.h>
#include <rte_byteorder.h>
#include <xxhash.h>

#include "dataplane/addr.h"
#include "dataplane/session_ext.h"
#include "dataplane/session_track.h"
#include "dataplane/vport.h"

enum record_flag {
	RECORD_IPV6 = 1 << 0,
	RECORD_OUTSIDE = 1 << 1,
	RECORD_EXT = 1 << 2,
	RECORD_NUMBERS = 1 << 3, /* sequence numbers or tags */
	RECORD_SYN_SEQ = 1 << 4,
};
#define RECORD_FLAGS 0x1f
#define VARINT_MAX 10 /* bytes */

#define STATE_TRAVELS (~(uint64_t)(SESSION_DEAD | SESSION_IMPORTED) & 0xffffffffULL)

/* ---- a bounded cursor; errors stick: nothing fits any more ---- */

struct writer {
	uint8_t *at, *end;
	bool failed;
};

struct reader {
	const uint8_t *at, *end;
	bool failed;
};

static inline void put_bytes(struct writer *w, const void *data, size_t len)
{
	if (unlikely((size_t)(w->end - w->at) < len)) {
		w->failed = true;
		w->end = w->at;
		return;
	}
	memcpy(w->at, data, len);
	w->at += len;
}

static inline void put_uint(struct writer *w, uint64_t value, unsigned int bytes)
{
	uint64_t out = rte_cpu_to_be_64(value << (64 - 8 * bytes));

	put_bytes(w, &out, bytes);
}

/* LEB128: seven bits a byte, low first. */
static inline void put_varint(struct writer *w, uint64_t value)
{
	uint8_t *at = w->at;

	if (unlikely(w->end - at < VARINT_MAX)) {
		w->failed = true;
		w->end = at;
		return;
	}
	while (value > 0x7f) {
		*at++ = (uint8_t)(value | 0x80);
		value >>= 7;
	}
	*at++ = (uint8_t)value;
	w->at = at;
}

static inline void get_bytes(struct reader *r, void *data, size_t len)
{
	if (unlikely((size_t)(r->end - r->at) < len)) {
		r->failed = true;
		r->end = r->at;
		memset(data, 0, len);
		return;
	}
	memcpy(data, r->at, len);
	r->at += len;
}

static inline uint64_t get_uint(struct reader *r, unsigned int bytes)
{
	uint64_t in = 0;

	get_bytes(r, &in, bytes);
	return rte_be_to_cpu_64(in) >> (64 - 8 * bytes);
}

static inline uint64_t get_varint(struct reader *r)
{
	const uint8_t *at = r->at;
	uint64_t value = 0;

	for (unsigned int shift = 0; shift < 64 && at < r->end; shift += 7) {
		uint8_t byte = *at++;

		/* Too much, or longer than it must be: a value has one form. */
		if ((shift == 63 && byte > 1) || (shift > 0 && byte == 0))
			break;
		value |= (uint64_t)(byte & 0x7f) << shift;
		if (!(byte & 0x80)) {
			r->at = at;
			return value;
		}
	}
	r->failed = true;
	r->end = r->at;
	return 0;
}

/* A value that must fit a narrower field. */
static uint32_t get_varint32(struct reader *r)
{
	uint64_t value = get_varint(r);

	if (value > UINT32_MAX)
		r->failed = true;
	return (uint32_t)value;
}

/* ---- the fields ---- */

static inline void put_addr(struct writer *w, const struct in6_addr *addr, bool ipv6)
{
	if (ipv6)
		put_bytes(w, addr, sizeof(*addr));
	else
		put_bytes(w, &addr->s6_addr[12], 4);
}

static inline struct in6_addr get_addr(struct reader *r, bool ipv6)
{
	struct in6_addr addr = {.s6_addr = {[10] = 0xff, [11] = 0xff}};

	if (ipv6)
		get_bytes(r, &addr, sizeof(addr));
	else
		get_bytes(r, &addr.s6_addr[12], 4);
	return addr;
}

static inline void put_tuple(struct writer *w, const struct session_tuple *tuple, bool ipv6)
{
	put_uint(w, tuple->vni, 3);
	put_addr(w, &tuple->local, ipv6);
	put_addr(w, &tuple->remote, ipv6);
	put_bytes(w, &tuple->local_port, 2);
	put_bytes(w, &tuple->remote_port, 2);
}

static inline void get_tuple(
	struct reader *r, struct session_tuple *tuple, bool ipv6, uint8_t proto)
{
	tuple->vni = (uint32_t)get_uint(r, 3);
	tuple->local = get_addr(r, ipv6);
	tuple->remote = get_addr(r, ipv6);
	get_bytes(r, &tuple->local_port, 2);
	get_bytes(r, &tuple->remote_port, 2);
	tuple->proto = proto;
	/* A mapped address in an IPv6 record would be another session's key. */
	if (ipv6 && addr_is_v4(&tuple->local) && addr_is_v4(&tuple->remote))
		r->failed = true;
}

static inline void put_half(struct writer *w, const struct session_half *half, bool numbers)
{
	put_varint(w, half->packets);
	put_varint(w, half->bytes);
	if (!numbers)
		return;
	put_uint(w, half->seq_end, 4);
	put_uint(w, half->seq_limit, 4);
	put_varint(w, half->window_max);
	put_uint(w, half->scale, 1);
	put_uint(w, half->flags, 1);
	put_uint(w, half->ack_low, 2);
}

static inline void get_half(struct reader *r, struct session_half *half, bool numbers)
{
	half->packets = get_varint(r);
	half->bytes = get_varint(r);
	half->scale = SESSION_SCALE_UNKNOWN;
	if (!numbers)
		return;
	half->seq_end = (uint32_t)get_uint(r, 4);
	half->seq_limit = (uint32_t)get_uint(r, 4);
	half->window_max = get_varint32(r);
	half->scale = (uint8_t)get_uint(r, 1);
	half->flags = (uint8_t)get_uint(r, 1);
	half->ack_low = (uint16_t)get_uint(r, 2);
	if (half->scale > 14 && half->scale != SESSION_SCALE_UNKNOWN)
		r->failed = true;
}

static void put_actions(struct writer *w, const struct session_actions *action)
{
	put_uint(w, action->set, 1);
	if (action->set & SESSION_ACT_DSCP)
		put_uint(w, action->dscp, 1);
}

static void get_actions(struct reader *r, struct session_actions *action)
{
	/* Meters and mirrors are numbers of one host: the destination's plugins choose their own.
	 */
	const uint8_t travels =
		SESSION_ACT_TRANSLATE | SESSION_ACT_DSCP | SESSION_ACT_ROUTED | SESSION_ACT_REPORT;
	uint8_t set = (uint8_t)get_uint(r, 1);

	action->set = set & travels;
	action->meter[0] = action->meter[1] = PLUGIN_METER_NONE;
	if (set & SESSION_ACT_DSCP)
		action->dscp = (uint8_t)get_uint(r, 1);
	if (action->dscp > 63)
		r->failed = true;
}

static bool has_numbers(const struct session_record *record)
{
	const struct session_half *half = record->half;

	return half[0].seq_end || half[0].flags || half[1].seq_end || half[1].flags ||
	       half[0].window_max || half[1].window_max || half[0].seq_limit || half[1].seq_limit;
}

static uint8_t record_flags(const struct session_record *record)
{
	uint8_t flags = 0;

	if (!addr_is_v4(&record->tuple.local) || !addr_is_v4(&record->tuple.remote))
		flags |= RECORD_IPV6;
	if (record->has_key2)
		flags |= RECORD_OUTSIDE;
	if (record->ext_bytes)
		flags |= RECORD_EXT;
	if (has_numbers(record))
		flags |= RECORD_NUMBERS;
	if (record->syn_seq)
		flags |= RECORD_SYN_SEQ;
	return flags;
}

int session_record_pack(
	const struct session_record *record, uint8_t *out, size_t room, uint64_t *digest)
{
	struct writer w = {.at = out, .end = out + room};
	uint8_t flags = record_flags(record);
	bool ipv6 = flags & RECORD_IPV6, numbers = flags & RECORD_NUMBERS;

	put_uint(&w, flags, 1);
	put_uint(&w, record->tuple.proto, 1);
	put_tuple(&w, &record->tuple, ipv6);
	put_varint(&w, record->birth_id);
	put_varint(&w, record->version);
	put_varint(&w, record->state & STATE_TRAVELS);
	put_half(&w, &record->half[0], numbers);
	put_half(&w, &record->half[1], numbers);
	if (flags & RECORD_SYN_SEQ)
		put_uint(&w, record->syn_seq, 4);
	if (flags & RECORD_OUTSIDE)
		put_tuple(&w, &record->outside, ipv6);
	if (flags & RECORD_EXT) {
		put_uint(&w, record->ext_bytes, 1);
		put_bytes(&w, record->ext, record->ext_bytes);
	}
	if (digest && !w.failed)
		*digest = XXH3_64bits(out, (size_t)(w.at - out));
	/* the tail: not in the digest */
	put_actions(&w, &record->action);
	put_varint(&w, record->life_ms);
	put_varint(&w, record->age_ms);
	return w.failed ? -ENOSPC : (int)(w.at - out);
}

static void record_check(struct reader *r, const struct session_record *record)
{
	if (!track_state_valid(record->tuple.proto, record->state & SESSION_STATE_MASK) ||
		record->state & ~STATE_TRAVELS || record->birth_id == 0 ||
		record->has_key2 != ((record->action.set & SESSION_ACT_TRANSLATE) != 0))
		r->failed = true;
}

int session_record_unpack(
	const uint8_t *in, size_t len, struct session_record *record, uint64_t *digest)
{
	struct reader r = {.at = in, .end = in + len};
	uint8_t flags = (uint8_t)get_uint(&r, 1), proto = (uint8_t)get_uint(&r, 1);
	bool ipv6 = flags & RECORD_IPV6, numbers = flags & RECORD_NUMBERS;

	memset(record, 0, offsetof(struct session_record, ext));
	if (flags & ~RECORD_FLAGS)
		return -EBADMSG;
	get_tuple(&r, &record->tuple, ipv6, proto);
	record->birth_id = get_varint(&r);
	record->version = get_varint32(&r);
	record->state = get_varint(&r);
	get_half(&r, &record->half[0], numbers);
	get_half(&r, &record->half[1], numbers);
	if (flags & RECORD_SYN_SEQ)
		record->syn_seq = (uint32_t)get_uint(&r, 4);
	record->has_key2 = flags & RECORD_OUTSIDE;
	if (flags & RECORD_OUTSIDE)
		get_tuple(&r, &record->outside, ipv6, proto);
	if (flags & RECORD_EXT) {
		record->ext_bytes = (uint8_t)get_uint(&r, 1);
		if (record->ext_bytes > sizeof(record->ext))
			return -EBADMSG;
		get_bytes(&r, record->ext, record->ext_bytes);
	}
	if (digest && !r.failed)
		*digest = XXH3_64bits(in, (size_t)(r.at - in));
	get_actions(&r, &record->action);
	record->life_ms = get_varint32(&r);
	record->age_ms = get_varint32(&r);
	record_check(&r, record);
	return r.failed ? -EBADMSG : (int)(r.at - in);
}

void session_record_read(const struct session *s, const struct session_timeouts *timeouts,
	uint32_t now_ms, struct session_record *record)
{
	uint64_t word = atomic_load_explicit(&s->state, memory_order_acquire);
	uint32_t idle_ms = timeouts->idle_ms[session_idle_state(s)];
	uint32_t idle = now_ms - SESSION_GET(s->last_ms);

	memset(record, 0, offsetof(struct session_record, ext));
	session_key_unpack(&s->key, s->is_ipv6 ? &s->a6 : NULL, &record->tuple);
	record->has_key2 = s->has_key2;
	if (s->has_key2)
		session_key_unpack(session_key2(s), session_key2_a6(s), &record->outside);
	record->birth_id = SESSION_GET(s->birth_id);
	record->version = s->version;
	record->state = word & STATE_TRAVELS;
	record->life_ms = idle < idle_ms ? idle_ms - idle : 0;
	record->age_ms = now_ms - s->opened_ms;
	for (int dir = 0; dir < 2; dir++) {
		const struct session_half *half = &s->half[dir];

		record->half[dir] = (struct session_half){
			.packets = SESSION_GET(half->packets),
			.bytes = SESSION_GET(half->bytes),
			.seq_end = SESSION_GET(half->seq_end),
			.seq_limit = SESSION_GET(half->seq_limit),
			.window_max = SESSION_GET(half->window_max),
			.scale = SESSION_GET(half->scale),
			.flags = SESSION_GET(half->flags),
			.ack_low = SESSION_GET(half->ack_low),
		};
	}
	record->action = session_actions(s);
	record->syn_seq = SESSION_GET(s->syn_seq);
	if (s->ext) {
		record->ext_bytes = s->ext->state_bytes;
		memcpy(record->ext, s->ext->state, s->ext->state_bytes);
	}
}

static bool half_stands(const struct session_half *s, const struct session_half *record)
{
	return SESSION_GET(s->packets) == record->packets &&
	       SESSION_GET(s->bytes) == record->bytes &&
	       SESSION_GET(s->seq_end) == record->seq_end &&
	       SESSION_GET(s->seq_limit) == record->seq_limit &&
	       SESSION_GET(s->window_max) == record->window_max &&
	       SESSION_GET(s->scale) == record->scale && SESSION_GET(s->flags) == record->flags &&
	       SESSION_GET(s->ack_low) == record->ack_low;
}

static bool key_stands(const struct session_key *key, const struct session_addresses6 *a6,
	const struct session_tuple *tuple)
{
	struct session_addresses6 their_a6;
	struct session_key theirs;

	if (session_key_pack(tuple, &theirs, &their_a6) != (a6 != NULL) ||
		!session_key_equal(key, &theirs))
		return false;
	return !a6 || memcmp(a6, &their_a6, sizeof(*a6)) == 0;
}

bool session_record_stands(const struct session *s, const struct session_record *record)
{
	uint64_t word = atomic_load_explicit(&s->state, memory_order_acquire);
	uint8_t ext_bytes = s->ext ? s->ext->state_bytes : 0;

	return (word & STATE_TRAVELS) == record->state && s->birth_id == record->birth_id &&
	       s->version == record->version && SESSION_GET(s->syn_seq) == record->syn_seq &&
	       half_stands(&s->half[0], &record->half[0]) &&
	       half_stands(&s->half[1], &record->half[1]) &&
	       key_stands(&s->key, s->is_ipv6 ? &s->a6 : NULL, &record->tuple) &&
	       s->has_key2 == record->has_key2 &&
	       (!s->has_key2 ||
		       key_stands(session_key2(s), session_key2_a6(s), &record->outside)) &&
	       ext_bytes == record->ext_bytes &&
	       (ext_bytes == 0 || memcmp(s->ext->state, record->ext, ext_bytes) == 0);
}
