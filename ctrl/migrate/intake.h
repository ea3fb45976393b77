/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Sessions that come in as records, from the source of a move (dest_sessions.c) or from a file
 * (session_file_cmd.c): each decided on its own by the switch (vswitch.h, import), and counted. One
 * thread at a time.
 */
#ifndef CTRL_MIGRATE_INTAKE_H
#define CTRL_MIGRATE_INTAKE_H

#include "ctrl/migrate/tally.h"
#include "ctrl/vswitch/vswitch.h"

/* The sender's sections (plugins, by its numbers) and what they are here. */
struct section_map {
	uint32_t count;
	struct vswitch_section offered[VSWITCH_SECTIONS_MAX];
	int local[VSWITCH_SECTIONS_MAX]; /* by offered number; -1: skipped */
	uint16_t state_versions[VSWITCH_SECTIONS_MAX]; /* by local number */
	bool same; /* local numbers are the offered ones */
};

/* From count and offered, all the rest. False, and why: one that is needed cannot be read here. */
bool section_map_match(
	struct section_map *map, const struct vswitch *vswitch, char *why, size_t why_len);

/* What happened to sessions; written by one thread. */
struct move_sessions {
	uint64_t bulk, delta, final; /* records sent (S) or received (D) */
	uint64_t deaths;
	uint64_t installed, updated, old, refused, conflict, foreign;
	uint64_t by_reason[DROP_COUNT]; /* of refused and conflict */
	uint64_t missed; /* S, after commit: what D did not get in its last state */
	uint64_t digest;
	uint32_t count;
	bool digest_ok, compared;
};

struct intake {
	const struct vswitch *vswitch;
	struct vswitch_import *import;
	const struct section_map *map;
	struct tally *tally; /* NULL: of a file; see below */
	struct move_sessions *sessions;
};

/*
 * All records of a payload; *counter grows by those that were decided. Of a stream (with a tally):
 * upsert by birth id and version, and a record that is not of this vport ends it (-EPERM). Of a
 * file: what lives here is left alone, everything else is born anew, and what is not of this vport
 * is counted. -EBADMSG: malformed; -ENOMEM.
 */
int intake_records(
	struct intake *intake, const uint8_t *payload, size_t len_bytes, uint64_t *counter);

#endif
