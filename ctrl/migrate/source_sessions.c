/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Sessions on their way out: the walk of everything, rounds of what changed, the last drain. Each
 * record is entered in the tally as it is sent, so count and digest are there when the freeze
 * comes.
 */
#include <errno.h>
#include <string.h>

#include "ctrl/migrate/mover_impl.h"

#define SEND_MS 30000
#define DEATHS_BATCH 64

static struct frame_kind sessions_kind(uint16_t type, const struct move_port *p)
{
	return (struct frame_kind){.type = type,
		.section = STREAM_SECTION_SESSIONS,
		.stream = p->index,
		.mandatory = true};
}

static int send_record(struct move *move, struct move_port *p, const struct session_record *record,
	uint64_t deadline_ns)
{
	struct frame_kind kind = sessions_kind(STREAM_RECORDS, p);
	uint64_t digest;
	uint8_t *room;
	int len;

	if (channel_reserve(move->channel, &kind, SESSION_RECORD_MAX, deadline_ns, &room) != 0)
		return MOVE_LOST;
	len = session_record_pack(record, room, SESSION_RECORD_MAX, &digest);
	if (len < 0)
		return len;
	channel_commit(move->channel, (size_t)len);
	return tally_put(&p->tally, record->birth_id, digest, TALLY_INSTALLED);
}

static int send_records(struct move *move, struct move_port *p,
	const struct session_record *records, uint32_t count, uint64_t *counter)
{
	uint64_t deadline_ns = channel_deadline_ns(move->channel, SEND_MS);

	for (uint32_t i = 0; i < count; i++)
		tally_prefetch(&p->tally, records[i].birth_id);
	for (uint32_t i = 0; i < count; i++) {
		int rc = send_record(move, p, &records[i], deadline_ns);

		if (rc != 0)
			return rc;
	}
	*counter += count;
	return 0;
}

static int send_colour(struct move *move, struct move_port *p, bool end)
{
	struct wire_writer w = move_writer(move);

	wire_put_u8(&w, end);
	return move_send(move, STREAM_COLOUR, STREAM_SECTION_SESSIONS, p->index, &w);
}

/* Between slices: has somebody said something, or does the VM stop? */
static int source_glance(struct move *move)
{
	if (atomic_load(&move->stop) || atomic_load(&move->abort) ||
		channel_has_input(move->channel))
		return move_pump(move, 0);
	return move_limit_look(move);
}

static int send_walk(struct move *move, struct move_port *p, uint64_t *counter)
{
	const struct vswitch_ops *ops = move->mover->vswitch.ops;
	struct session_record records[VSWITCH_EXPORT_BATCH];
	bool end = false;
	int rc;

	rc = send_colour(move, p, false);
	tally_recolour(&p->tally);
	ops->export_rewind(p->export);
	while (rc == 0 && !end) {
		uint32_t count = ops->export_walk(p->export, records, &end);

		rc = send_records(move, p, records, count, counter);
		if (rc == 0)
			rc = source_glance(move);
	}
	if (rc != 0)
		return rc;
	tally_sweep(&p->tally);
	return send_colour(move, p, true);
}

int source_bulk(struct move *move, struct move_port *p)
{
	int rc = send_walk(move, p, &p->sessions.bulk);

	if (rc == 0) {
		p->walked = true;
		move_event_sessions(p, MOVER_EVENT_WALK, 0, p->tally.count, p->tally.count);
	}
	return rc;
}

static int send_changed(struct move *move, struct move_port *p, uint64_t *counter)
{
	const struct vswitch_ops *ops = move->mover->vswitch.ops;
	struct session_record records[VSWITCH_EXPORT_BATCH];
	bool end = false;

	while (!end) {
		uint32_t count = ops->export_changed(p->export, records, &end);
		int rc = send_records(move, p, records, count, counter);

		if (rc != 0)
			return rc;
		p->changed += count;
	}
	return 0;
}

static int send_deaths(struct move *move, struct move_port *p)
{
	const struct vswitch_ops *ops = move->mover->vswitch.ops;
	struct frame_kind kind = sessions_kind(STREAM_DEATHS, p);
	struct journal_tombstone dead[DEATHS_BATCH];
	uint32_t count;

	while ((count = ops->export_dead(p->export, dead, DEATHS_BATCH)) > 0)
		for (uint32_t i = 0; i < count; i++) {
			struct wire_writer w;
			uint8_t *room;

			/* One that was never sent leaves nothing to bury. */
			if (!tally_remove(&p->tally, dead[i].birth_id))
				continue;
			if (channel_reserve(move->channel, &kind, STREAM_DEATH_MAX,
				    channel_deadline_ns(move->channel, SEND_MS), &room) != 0)
				return MOVE_LOST;
			wire_writer_init(&w, room, STREAM_DEATH_MAX);
			stream_put_death(&w, &dead[i]);
			channel_commit(move->channel, wire_writer_len(&w));
			p->sessions.deaths++;
			p->changed++;
		}
	return 0;
}

/* Close a round and send what is in it. */
static int round_out(struct move *move, struct move_port *p, uint64_t *counter)
{
	const struct vswitch_ops *ops = move->mover->vswitch.ops;
	bool deaths_lost;
	int rc;

	p->changed = 0;
	ops->export_round(p->export, &deaths_lost);
	rc = send_changed(move, p, counter);
	/* Deaths after changes: a session that changed and died in one round is dead. */
	if (rc == 0)
		rc = send_deaths(move, p);
	ops->export_round_done(p->export);
	if (rc == 0 && deaths_lost)
		rc = send_walk(move, p, counter);
	/* What was not sent is in no list any more: only a walk brings it. */
	if (rc != 0)
		p->walked = false;
	return rc;
}

int source_round(struct move *move, struct move_port *p)
{
	int rc = round_out(move, p, &p->sessions.delta);
	struct wire_writer w;

	if (rc != 0)
		return rc;
	w = move_writer(move);
	wire_put_varint(&w, ++p->round);
	wire_put_varint(&w, p->changed);
	p->round_sent_ns = move_now_ns(move);
	return move_send(move, STREAM_ROUND, STREAM_SECTION_SESSIONS, p->index, &w);
}

int source_sections(struct move *move, struct move_port *p)
{
	const struct vswitch *vswitch = &move->mover->vswitch;

	for (uint32_t i = 0; i < move->sections.count; i++) {
		struct wire_writer w = move_writer(move);
		size_t head;
		int rc;

		if (!move->section_taken[i])
			continue;
		wire_put_u16(&w, move->sections.offered[i].version);
		head = wire_writer_len(&w);
		rc = vswitch->ops->section_save(
			vswitch->ctx, p->port, move->sections.offered[i].name, &w);
		if (rc == 0 && !wire_writer_ok(&w))
			rc = -EMSGSIZE;
		if (rc != 0)
			move_fail(move, "plugin %s: its state of %s cannot be saved: %s",
				move->sections.offered[i].name, p->name, strerror(-rc));
		if (rc == 0 && wire_writer_len(&w) > head)
			rc = move_send(move, STREAM_SECTION, (uint16_t)(STREAM_SECTION_FIRST + i),
				p->index, &w);
		if (rc != 0)
			return rc;
	}
	return 0;
}

int source_final(struct move *move, struct move_port *p)
{
	struct stream_final final = {.serial = p->final_serial + 1};
	struct wire_writer w;
	int rc;

	/* After a lost connection, or when counts differed: everything once more, it stands still.
	 */
	rc = p->walked ? round_out(move, p, &p->sessions.final) : source_bulk(move, p);
	if (rc == 0)
		rc = source_sections(move, p);
	if (rc != 0)
		return rc;
	final.count = p->tally.count;
	final.digest = p->tally.digest;
	final.epoch = p->offered.epoch;
	p->sessions.count = p->tally.count;
	p->sessions.digest = p->tally.digest;
	w = move_writer(move);
	stream_put_final(&w, &final);
	rc = move_send(move, STREAM_FINAL, STREAM_SECTION_SESSIONS, p->index, &w);
	if (rc == 0) {
		p->final_serial = final.serial;
		p->final_sent = true;
		p->stamp[MOMENT_FINAL_SENT] = move_now_ns(move);
	}
	return rc;
}

void source_compare(struct move *move, struct move_port *p)
{
	const struct vswitch_ops *ops = move->mover->vswitch.ops;
	struct session_record records[VSWITCH_EXPORT_BATCH];
	uint8_t bytes[SESSION_RECORD_MAX];
	uint64_t digest, sent;
	bool end = false;

	ops->export_rewind(p->export);
	while (!end) {
		uint32_t count = ops->export_look(p->export, records, &end);

		for (uint32_t i = 0; i < count; i++) {
			if (session_record_pack(&records[i], bytes, sizeof(bytes), &digest) < 0 ||
				!tally_find(&p->tally, records[i].birth_id, &sent) ||
				sent != digest)
				p->sessions.missed++;
		}
	}
	p->sessions.compared = true;
}
