/* SPDX-License-Identifier: BSD-3-Clause */
#include "ctrl/migrate/intake.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define BATCH 16 /* records read ahead of their installation */
#define SLICE 256 /* records between two moments at which a grace period may pass */

bool section_map_match(
	struct section_map *map, const struct vswitch *vswitch, char *why, size_t why_len)
{
	struct vswitch_section own[VSWITCH_SECTIONS_MAX];
	uint32_t n_own = vswitch->ops->sections(vswitch->ctx, own, VSWITCH_SECTIONS_MAX);

	map->same = true;
	for (uint32_t i = 0; i < map->count; i++) {
		const struct vswitch_section *theirs = &map->offered[i];
		int at = -1;

		for (uint32_t n = 0; n < n_own; n++)
			if (strcmp(own[n].name, theirs->name) == 0)
				at = (int)n;
		map->local[i] = at;
		map->same = map->same && at == (int)i;
		if (at < 0 && !theirs->optional) {
			snprintf(why, why_len, "plugin %s is not loaded here", theirs->name);
			return false;
		}
		if (at >= 0 && (theirs->version < own[at].min_version ||
				       theirs->min_version > own[at].version)) {
			snprintf(why, why_len,
				"plugin %s: its state has version %u, this host reads %u to %u",
				theirs->name, theirs->version, own[at].min_version,
				own[at].version);
			return false;
		}
		if (at >= 0)
			map->state_versions[at] = theirs->version;
	}
	return true;
}

/* A plugin has another number here: its tags in the record are changed. */
static bool ext_renumber(const struct section_map *map, struct session_record *record)
{
	uint8_t out[sizeof(record->ext)];
	uint32_t at = 0, n = 0;

	while (at + 2 <= record->ext_bytes) {
		uint8_t tag = record->ext[at], len = record->ext[at + 1];

		if (at + 2u + len > record->ext_bytes || tag >= map->count)
			return false;
		if (map->local[tag] >= 0) {
			out[n] = (uint8_t)map->local[tag];
			out[n + 1] = len;
			memcpy(&out[n + 2], &record->ext[at + 2], len);
			n += 2u + len;
		}
		at += 2u + len;
	}
	memcpy(record->ext, out, n);
	record->ext_bytes = (uint8_t)n;
	return at <= sizeof(record->ext);
}

static int record_in(struct intake *in, const struct session_record *record, uint64_t digest)
{
	const struct vswitch_ops *ops = in->vswitch->ops;
	struct move_sessions *sessions = in->sessions;
	struct session_record local;
	const struct session_record *given = record;
	enum tally_mark mark = TALLY_INSTALLED;
	enum import_outcome outcome;
	enum drop_reason reason = DROP_NONE;
	bool as_sent;

	if (!in->map->same && record->ext_bytes) {
		local = *record;
		if (!ext_renumber(in->map, &local))
			return -EBADMSG;
		given = &local;
	}
	outcome = ops->import_record(in->import, given, &reason, &as_sent);
	switch (outcome) {
	case IMPORT_INSTALLED:
	case IMPORT_UPDATED:
		sessions->installed += outcome == IMPORT_INSTALLED;
		sessions->updated += outcome == IMPORT_UPDATED;
		if (!as_sent)
			digest = ~digest;
		break;
	case IMPORT_OLD:
		/* Said twice, or late: what stands here stands. */
		sessions->old++;
		if (in->tally)
			tally_find(in->tally, record->birth_id, &digest);
		break;
	case IMPORT_REFUSED:
		sessions->refused++;
		sessions->by_reason[reason]++;
		mark = TALLY_REFUSED;
		break;
	case IMPORT_CONFLICT:
		sessions->conflict++;
		sessions->by_reason[reason]++;
		mark = TALLY_CONFLICT;
		break;
	case IMPORT_FOREIGN:
		sessions->foreign++;
		return in->tally ? -EPERM : 0;
	}
	return in->tally ? tally_put(in->tally, record->birth_id, digest, mark) : 0;
}

/* Up to BATCH of them, with what each will need on its way into the caches. Their number. */
static int records_read(struct intake *in, const uint8_t **at, const uint8_t *end,
	struct session_record *record, uint64_t *digest)
{
	int count = 0;

	while (count < BATCH && *at < end) {
		int used = session_record_unpack(
			*at, (size_t)(end - *at), &record[count], &digest[count]);

		if (used < 0)
			return used;
		in->vswitch->ops->import_soon(in->import, &record[count]);
		if (in->tally)
			tally_prefetch(in->tally, record[count].birth_id);
		else
			record[count].birth_id = 0; /* the vport's next */
		*at += used;
		count++;
	}
	return count;
}

int intake_records(struct intake *in, const uint8_t *payload, size_t len_bytes, uint64_t *counter)
{
	const struct vswitch_ops *ops = in->vswitch->ops;
	const uint8_t *at = payload, *end = at + len_bytes;
	int rc = 0;

	while (at < end && rc == 0) {
		ops->import_begin(in->import);
		for (uint32_t i = 0; i < SLICE && at < end && rc == 0; i += BATCH) {
			uint64_t digest[BATCH];
			struct session_record record[BATCH];
			int read = records_read(in, &at, end, record, digest);

			if (read < 0)
				rc = read;
			for (int n = 0; n < read && rc == 0; n++) {
				rc = record_in(in, &record[n], digest[n]);
				*counter += rc == 0;
			}
		}
		ops->import_end(in->import);
	}
	return rc;
}
