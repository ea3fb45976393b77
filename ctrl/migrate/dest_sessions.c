/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Sessions on their way in (intake.c). The tally holds the hash of each session as it stands here,
 * read back after it was installed; what was refused or met a conflict counts as received and is
 * listed by reason.
 */
#include <errno.h>
#include <string.h>

#include "ctrl/migrate/mover_impl.h"

static int dest_tally(struct move *move, struct move_port *p)
{
	if (p->tally.count <= p->offered.sessions * 2 + 1000000)
		return 0;
	move_fail(move, "vport %s: far more sessions than were offered", p->name);
	return -EBADMSG;
}

int dest_records(struct move *move, struct move_port *p, const struct frame *frame)
{
	struct intake intake = {.vswitch = &move->mover->vswitch,
		.import = p->import,
		.map = &move->sections,
		.tally = &p->tally,
		.sessions = &p->sessions};
	uint64_t *counter = p->final_serial ? &p->sessions.final
					    : (p->walked ? &p->sessions.delta : &p->sessions.bulk);
	int rc = intake_records(&intake, frame->payload, frame->payload_bytes, counter);

	/* Of another tenant, or forged: nothing of this stream is believed. */
	if (rc == -EPERM)
		move_fail(move, "vport %s: a session that is not of its addresses", p->name);
	else if (rc == -EBADMSG)
		move_fail(move, "vport %s: a malformed session record", p->name);
	return rc == 0 ? dest_tally(move, p) : -EBADMSG;
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
