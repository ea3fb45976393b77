/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The source's side of a move, in order: admit, connect, prepare, bulk, follow, final, commit,
 * moved. Up to the freeze everything can be undone; from then on only the destination's word (or
 * the VM's rings here) ends it, and a lost connection is made again for as long as it takes.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "ctrl/migrate/source_impl.h"

bool source_all_committed(const struct move *move)
{
	for (uint32_t i = 0; i < move->n_ports; i++)
		if (!move->port[i].committed)
			return false;
	return true;
}

bool source_any_frozen(const struct move *move)
{
	for (uint32_t i = 0; i < move->n_ports; i++)
		if (port_frozen(&move->port[i]))
			return true;
	return false;
}

void source_facts(struct move *move, struct move_port *p)
{
	struct role_facts facts = {
		.move_out = p->prepared && !move->undone, .move_ready = move->ready && !p->told};

	vswitch_of(move)->ops->facts(vswitch_of(move)->ctx, p->port, &facts);
}

void source_port_look(struct move *move, struct move_port *p)
{
	struct vswitch_port_info info;

	vswitch_of(move)->ops->info(vswitch_of(move)->ctx, p->port, &info);
	atomic_store(&p->role, (uint8_t)info.role);
	atomic_store(&p->rings_up, info.rings_up);
}

/* ---- admit ---- */

static int source_admit(struct move *move)
{
	const struct vswitch *v = vswitch_of(move);

	if (!mover_peer_vtep(move->mover, move->peer, &move->peer_vtep)) {
		move_fail(move, "no VTEP of %s in the configuration that we can reach", move->peer);
		return -EHOSTUNREACH;
	}
	move->sections.count =
		v->ops->sections(v->ctx, move->sections.offered, VSWITCH_SECTIONS_MAX);
	for (uint32_t i = 0; i < move->n_ports; i++) {
		struct move_port *p = &move->port[i];
		struct vswitch_port_info info;

		v->ops->info(v->ctx, p->port, &info);
		v->ops->counts(v->ctx, p->port, &p->before);
		source_port_look(move, p);
		if (info.role != ROLE_OWNER && info.role != ROLE_FROZEN) {
			move_fail(move, "vport %s is not owned here, it is %s", p->name,
				role_name(info.role));
			return -EPERM;
		}
		p->was_frozen = info.role == ROLE_FROZEN;
		snprintf(p->offered.name, sizeof(p->offered.name), "%s", info.name);
		snprintf(p->offered.uuid, sizeof(p->offered.uuid), "%s", info.uuid);
		memcpy(p->offered.mac, info.mac, sizeof(p->offered.mac));
		p->offered.vni = info.vni;
		p->offered.epoch = info.epoch;
		p->offered.sessions = info.sessions;
		p->offered.hold_bytes = info.hold_bytes;
		p->offered.features = info.features;
		p->offered.queues = info.queues;
		if (tally_init(&p->tally, info.sessions + info.sessions / 4) != 0)
			return -ENOMEM;
		p->tallied = true;
	}
	return 0;
}

void source_admit_undo(struct move *move)
{
	for (uint32_t i = 0; i < move->n_ports; i++) {
		if (move->port[i].tallied)
			tally_fini(&move->port[i].tally);
		move->port[i].tallied = false;
	}
}

/* ---- bulk ---- */

static int source_bulk_step(struct move *move)
{
	const struct vswitch *v = vswitch_of(move);
	int rc = 0;

	for (uint32_t i = 0; i < move->n_ports && rc == 0; i++) {
		struct move_port *p = &move->port[i];

		if (p->committed || p->final_sent)
			continue;
		if (!p->export)
			rc = v->ops->export_open(v->ctx, p->port, true, &p->export);
		if (rc == -EBUSY)
			move_fail(move, "vport %s: its changes are followed already", p->name);
		/* A frozen one is walked by its final. */
		if (rc == 0 && !port_frozen(p))
			rc = source_bulk(move, p);
	}
	return rc;
}

static void source_bulk_undo(struct move *move)
{
	for (uint32_t i = 0; i < move->n_ports; i++) {
		vswitch_of(move)->ops->export_close(move->port[i].export);
		move->port[i].export = NULL;
	}
}

/* ---- frames ---- */

static int frame_rings(struct move *move, struct move_port *p)
{
	struct wire_writer w = move_writer(move);

	source_port_look(move, p);
	wire_put_u8(&w, atomic_load(&p->rings_up));
	wire_put_u8(&w, (uint8_t)port_role(p));
	return move_send(move, STREAM_RINGS, STREAM_SECTION_MOVE, p->index, &w);
}

static int frame_failed(struct move *move, const struct frame *frame)
{
	struct wire_reader r;
	char text[STREAM_REASON_MAX];

	wire_reader_init(&r, frame->payload, frame->payload_bytes);
	wire_get_string(&r, text, sizeof(text));
	move_fail(move, "%s: %s", move->peer, text);
	/* It has dropped all and will not start. */
	move->peer_done = true;
	return -EREMOTEIO;
}

static int frame_round_done(struct move *move, struct move_port *p, const struct frame *frame)
{
	uint64_t took_ns = move_now_ns(move) - p->round_sent_ns;
	struct wire_reader r;

	wire_reader_init(&r, frame->payload, frame->payload_bytes);
	p->round_done = wire_get_varint(&r);
	if (!wire_reader_ok(&r) || p->round_done > p->round)
		return -EBADMSG;
	if (!move->round_trip_ns || took_ns < move->round_trip_ns)
		move->round_trip_ns = took_ns;
	p->round_took_ns = took_ns;
	move_event_round(p, p->round_done, p->changed);
	return 0;
}

static int frame_move(struct move *move, const struct frame *frame)
{
	switch (frame->kind.type) {
	case STREAM_ACCEPT:
		return source_on_accept(move, frame);
	case STREAM_READY_DONE:
		move->ready = true;
		return 0;
	case STREAM_ABORTED:
		move->peer_done = true;
		return 0;
	case STREAM_FAILED:
		return frame_failed(move, frame);
	default:
		return 1;
	}
}

int source_frame(struct move *move, const struct frame *frame)
{
	struct move_port *p = move_port_of(move, frame->kind.stream);
	int rc = frame_move(move, frame);

	if (rc != 1)
		return rc;
	if (!p)
		return -EBADMSG;
	switch (frame->kind.type) {
	case STREAM_PORT_READY:
		p->prepared = true;
		return 0;
	case STREAM_ROUND_DONE:
		return frame_round_done(move, p, frame);
	case STREAM_VERIFIED:
		return source_on_verified(move, p, frame);
	case STREAM_AGAIN:
		p->final_sent = p->walked = false;
		return 0;
	case STREAM_COMMIT:
		return source_on_commit(move, p, frame);
	case STREAM_THAW_DONE:
		source_take_back_end(move, p);
		return 0;
	case STREAM_ASK_RINGS:
		return frame_rings(move, p);
	default:
		move_fail(move, "%s sent a %s, which is not its to send", move->peer,
			stream_type_name(frame->kind.type));
		return -EBADMSG;
	}
}

const struct move_step move_source_steps[] = {
	{"admit", .run = source_admit, .undo = source_admit_undo},
	{"connect", .run = source_connect, .on_lost = "connect", .limit_ms = 30000},
	{"prepare", .run = source_prepare, .undo = source_prepare_undo, .on_lost = "connect",
		.limit_ms = 30000},
	{"bulk", .run = source_bulk_step, .undo = source_bulk_undo, .on_lost = "connect",
		.limit_ms = 600000},
	{"follow", .run = source_follow, .undo = source_follow_undo, .on_lost = "connect",
		.limit_ms = 30000},
	{"final", .run = source_final_step, .on_lost = "connect", .limit_is_pause = true,
		.late = LATE_ALARM},
	{"commit", .run = source_commit, .on_lost = "connect", .limit_is_pause = true,
		.late = LATE_ALARM},
	{"moved", .run = source_moved},
	{NULL},
};
