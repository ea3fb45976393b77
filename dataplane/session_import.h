/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef FERRY_SESSION_IMPORT_H
#define FERRY_SESSION_IMPORT_H
/*
 * Sessions that arrive as records: upsert by key into a vport, through the one constructor. A
 * higher birth id wins, then a higher version; a tombstone deletes only its own id. Policy, quota
 * and conflicts are decided per session. Any thread that is no worker; online RCU reader
 * (session_walk.h); bounded work per call, no mutex, no grace.
 */
#include "dataplane/drop.h"
#include "dataplane/session_record.h"

struct vport;

enum import_outcome {
	IMPORT_INSTALLED,
	IMPORT_UPDATED,
	IMPORT_OLD, /* known in the same or a newer version: left alone */
	IMPORT_REFUSED, /* *reason: quota, table full, denied, no NAT port ... */
	IMPORT_CONFLICT, /* the key belongs to another vport's session */
	IMPORT_FOREIGN, /* the record is not of this vport's addresses */
};

const char *import_outcome_name(enum import_outcome outcome);

/*
 * state_versions: by plugin index, the version of each plugin's state in record->ext (0: none). The
 * vport must not serve (PASSIVE, CLAIM); by_operator: it must (session/apply and session/load
 * change a living one). A record with birth id 0 becomes the vport's next unless its key lives
 * already.
 */
struct import_context {
	struct vport *vport;
	const uint16_t *state_versions;
	bool by_operator;
	uint64_t now_ns; /* the engine's clock, for a slice of records; 0: read it for each */
	struct session **installed; /* may be NULL: gets what was INSTALLED or UPDATED */
};
enum import_outcome session_import(const struct import_context *context,
	const struct session_record *record, enum drop_reason *reason);

/* The living session of this VM-side tuple, as a record; false: there is none of this vport. */
bool session_import_find(const struct import_context *context, const struct session_tuple *tuple,
	struct session_record *record);

/* A death at the source, or by an operator. True when a session with this very birth id went. */
bool session_import_tombstone(
	const struct import_context *context, uint64_t birth_id, const struct session_tuple *tuple);

/* An operator ends one session of v; online reader. */
bool session_import_kill(struct vport *vport, struct session *s);

/* All sessions of a vport: aborted move, or taken elsewhere. Returns how many. Waits for a grace
 * period: not from a reader. */
uint32_t session_import_purge(struct vport *vport, bool moved);

/* Sessions of addresses that the vport has lost; one that serves. Returns how many. Not from a
 * reader.
 */
uint32_t session_import_disown(struct vport *vport);

/* Degraded activation: windows are not trusted until both sides have been heard. PASSIVE vport. */
void session_import_resync(struct vport *vport);

#endif
