/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef FERRY_SESSION_RECORD_H
#define FERRY_SESSION_RECORD_H
/*
 * A session as bytes: the one format of the stream, session/save and session/apply. Explicit
 * big-endian fields and varint counters, never a struct image; times as remaining life. Layout byte
 * by byte in ctrl/migrate/README.md; version 1 never changes, new fields go into tagged parts.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "dataplane/session.h"

#define SESSION_RECORD_MAX 512
#define SESSION_RECORD_VERSION 1

/* A record unpacked: everything that travels. Fields as in struct session, times relative. */
struct session_record {
	struct session_tuple tuple; /* VM side */
	struct session_tuple outside; /* network side, when has_key2 */
	bool has_key2;
	bool imported; /* read only: came with a move */
	const char *verdict_by; /* read only: plugin that admitted it, or NULL */
	uint64_t birth_id;
	uint32_t version;
	uint64_t state; /* the state word less DEAD */
	uint32_t life_ms; /* remaining, saturated; not part of the digest */
	uint32_t age_ms; /* since it was opened */
	struct session_half half[2];
	struct session_actions action;
	uint32_t syn_seq;
	uint8_t ext_bytes; /* plugin state: {tag, length, bytes}, tags are the stream's plugin
			      numbers */
	uint8_t ext[140];
};

/* Read a living session consistently enough (torn ones heal in the next round). Any RCU reader. */
void session_record_read(const struct session *s, const struct session_timeouts *timeouts,
	uint32_t now_ms, struct session_record *record);

/* Is s what the record says, in all that a digest is of? */
bool session_record_stands(const struct session *s, const struct session_record *record);

/*
 * Bytes written (<= SESSION_RECORD_MAX), or -ENOSPC. *digest (may be NULL): xxh3 of the record
 * without what each side may have its own way: remaining life, age, actions.
 */
int session_record_pack(
	const struct session_record *record, uint8_t *out, size_t room, uint64_t *digest);
/*
 * Bytes consumed, or -EBADMSG for anything that is not a well-formed record (hostile input).
 * *digest as above, of the bytes as they are.
 */
int session_record_unpack(
	const uint8_t *in, size_t len, struct session_record *record, uint64_t *digest);

#endif
