/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Sessions on their way in. The tally holds the hash of each session as it stands here, read back
 * after it was installed; what was refused or met a conflict counts as received and is listed by
 * reason.
 */
#include <errno.h>
#include <string.h>

#include "ctrl/migrate/mover_impl.h"

#define BATCH 16 /* records read ahead of their installation */
#define SLICE 256 /* records between two moments at which a grace period may pass */

/* A plugin has another number here: its tags in the record are changed, and back again for the
 * digest. */
static bool ext_renumber(const struct move *move, struct session_record *record)
{
	uint8_t out[sizeof(record->ext)];
	uint32_t at = 0, n = 0;

	while (at + 2 <= record->ext_bytes) {
		uint8_t tag = record->ext[at], len = record->ext[at + 1];

		if (at + 2u + len > record->ext_bytes || tag >= move->n_sections)
			return false;
		if (move->section_local[tag] >= 0) {
			out[n] = (uint8_t)move->section_local[tag];
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

/* The digest of what stands here. */
static uint64_t installed_digest(const struct move *move, const struct session_record *sent,
	const struct session_record *here, uint64_t sent_digest)
{
	uint8_t bytes[SESSION_RECORD_MAX];
	uint64_t digest;

	/* Tags differ from what was sent: everything but the plugins' state is compared. */
	if (!move->same_sections && sent->ext_bytes) {
		struct session_record back = *here;

		back.ext_bytes = sent->ext_bytes;
		memcpy(back.ext, sent->ext, sent->ext_bytes);
		return session_record_pack(&back, bytes, sizeof(bytes), &digest) < 0 ? ~sent_digest
										     : digest;
	}
	return session_record_pack(here, bytes, sizeof(bytes), &digest) < 0 ? ~sent_digest : digest;
}

static int record_in(struct move *move, struct move_port *p, const struct session_record *record,
	uint64_t digest)
{
	const struct vswitch_ops *ops = move->mover->vswitch.ops;
	struct session_record local, here;
	const struct session_record *given = record;
	enum tally_mark mark = TALLY_INSTALLED;
	enum import_outcome outcome;
	enum drop_reason reason = DROP_NONE;

	if (!move->same_sections && record->ext_bytes) {
		local = *record;
		if (!ext_renumber(move, &local))
			return -EBADMSG;
		given = &local;
	}
	outcome = ops->import_record(p->import, given, &reason, &here);
	switch (outcome) {
	case IMPORT_INSTALLED:
	case IMPORT_UPDATED:
		p->sessions.installed += outcome == IMPORT_INSTALLED;
		p->sessions.updated += outcome == IMPORT_UPDATED;
		digest = installed_digest(move, record, &here, digest);
		break;
	case IMPORT_OLD:
		/* Said twice, or late: what stands here stands. */
		p->sessions.old++;
		tally_find(&p->tally, record->birth_id, &digest);
		break;
	case IMPORT_REFUSED:
		p->sessions.refused++;
		p->sessions.by_reason[reason]++;
		mark = TALLY_REFUSED;
		break;
	case IMPORT_CONFLICT:
		p->sessions.conflict++;
		p->sessions.by_reason[reason]++;
		mark = TALLY_CONFLICT;
		break;
	case IMPORT_FOREIGN:
		/* Of another tenant, or forged: nothing of this stream is believed. */
		move_fail(move, "vport %s: a session that is not of its addresses", p->name);
		return -EBADMSG;
	}
	return tally_put(&p->tally, record->birth_id, digest, mark);
}

static int dest_tally(struct move *move, struct move_port *p)
{
	if (p->tally.count <= p->offered.sessions * 2 + 1000000)
		return 0;
	move_fail(move, "vport %s: far more sessions than were offered", p->name);
	return -EBADMSG;
}

/* Up to BATCH of them, with what each will need on its way into the caches. Their number. */
static int records_read(struct move_port *p, const uint8_t **at, const uint8_t *end,
	struct session_record *record, uint64_t *digest)
{
	const struct vswitch_ops *ops = p->move->mover->vswitch.ops;
	int count = 0;

	while (count < BATCH && *at < end) {
		int used = session_record_unpack(
			*at, (size_t)(end - *at), &record[count], &digest[count]);

		if (used < 0)
			return used;
		ops->import_soon(p->import, &record[count]);
		tally_prefetch(&p->tally, record[count].birth_id);
		*at += used;
		count++;
	}
	return count;
}

int dest_records(struct move *move, struct move_port *p, const struct frame *frame)
{
	const struct vswitch_ops *ops = move->mover->vswitch.ops;
	const uint8_t *at = frame->payload, *end = at + frame->payload_bytes;
	uint64_t *counter = p->final_serial ? &p->sessions.final
					    : (p->walked ? &p->sessions.delta : &p->sessions.bulk);
	int rc = 0;

	while (at < end && rc == 0) {
		ops->import_begin(p->import);
		for (uint32_t i = 0; i < SLICE && at < end && rc == 0; i += BATCH) {
			uint64_t digest[BATCH];
			struct session_record record[BATCH];
			uint32_t count = 0;

			rc = records_read(p, &at, end, record, digest);
			for (; (int)count < rc; count++)
				if (record_in(move, p, &record[count], digest[count]) != 0)
					break;
			*counter += count;
			if (rc < 0)
				move_fail(move, "vport %s: a malformed session record", p->name);
			rc = rc < 0 || (int)count < rc ? -EBADMSG : 0;
		}
		ops->import_end(p->import);
	}
	return rc == 0 ? dest_tally(move, p) : rc;
}

int dest_deaths(struct move *move, struct move_port *p, const struct frame *frame)
{
	const struct vswitch_ops *ops = move->mover->vswitch.ops;
	struct journal_tombstone dead;
	struct wire_reader r;

	wire_reader_init(&r, frame->payload, frame->payload_bytes);
	while (wire_reader_left(&r) > 0) {
		if (!stream_get_death(&r, &dead)) {
			move_fail(move, "vport %s: a malformed tombstone", p->name);
			return -EBADMSG;
		}
		ops->import_begin(p->import);
		ops->import_dead(p->import, &dead);
		ops->import_end(p->import);
		tally_remove(&p->tally, dead.birth_id);
		p->sessions.deaths++;
	}
	return 0;
}

static bool keep_current(void *arg, uint64_t birth_id)
{
	return tally_current(arg, birth_id);
}

int dest_colour(struct move *move, struct move_port *p, const struct frame *frame)
{
	const struct vswitch_ops *ops = move->mover->vswitch.ops;

	if (frame->payload_bytes < 1)
		return -EBADMSG;
	if (frame->payload[0] == 0) {
		/* Into an empty port: nothing can be of an older colour. */
		p->sweeps = p->tally.count > 0;
		tally_recolour(&p->tally);
		return 0;
	}
	if (p->sweeps) {
		ops->import_sweep(p->import, keep_current, &p->tally);
		tally_sweep(&p->tally);
	}
	p->walked = true;
	return 0;
}

int dest_verify(struct move *move, struct move_port *p, const struct frame *frame)
{
	struct stream_verified answer = {0};
	struct stream_final final;
	struct wire_writer w;
	int rc = stream_get_final(frame, &final);

	if (rc != 0)
		return rc;
	p->stamp[MOMENT_FINAL_HERE] = move_now_ns(move);
	p->final_serial = final.serial;
	answer.serial = final.serial;
	answer.count = p->tally.count;
	answer.digest = p->tally.digest;
	answer.ok = final.count == answer.count && final.digest == answer.digest;
	answer.installed = p->sessions.installed;
	answer.refused = p->sessions.refused;
	answer.conflict = p->sessions.conflict;
	p->sessions.count = p->tally.count;
	p->sessions.digest = p->tally.digest;
	p->sessions.digest_ok = answer.ok;
	/* Once more, all of it, while nothing changes there; then what there is has to do. */
	if (!answer.ok && !p->again) {
		p->again = true;
		w = move_writer(move);
		wire_put_varint(&w, final.serial);
		return move_send(move, STREAM_AGAIN, STREAM_SECTION_SESSIONS, p->index, &w);
	}
	p->verified = true;
	p->stamp[MOMENT_VERIFIED] = move_now_ns(move);
	w = move_writer(move);
	stream_put_verified(&w, &answer);
	return move_send(move, STREAM_VERIFIED, STREAM_SECTION_SESSIONS, p->index, &w);
}
