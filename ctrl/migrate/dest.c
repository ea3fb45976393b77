/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The destination's side of a move, in order: accept, prepare, bulk, receive (rounds, final, verify
 * as the source says), activate, done. What comes in is hostile until checked; a PASSIVE port sends
 * nothing and answers nothing. What is made here is dropped only when the source says so, or when
 * it turns out not to know the move.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "ctrl/migrate/dest_impl.h"

void dest_facts(struct move *move, struct move_port *p, bool source_lost)
{
	struct role_facts facts = {.move_in = !move->undone,
		.final_loaded = p->final_loaded && !move->undone,
		.source_lost = source_lost && !move->undone};

	vswitch_of(move)->ops->facts(vswitch_of(move)->ctx, p->port, &facts);
}

void dest_port_look(struct move *move, struct move_port *p)
{
	struct vswitch_port_info info;

	vswitch_of(move)->ops->info(vswitch_of(move)->ctx, p->port, &info);
	atomic_store(&p->role, (uint8_t)info.role);
	atomic_store(&p->rings_up, info.rings_up);
	if (info.role == ROLE_OWNER)
		p->epoch = info.epoch;
}

static bool port_prepared(const struct move_port *p)
{
	return p->prepared;
}

/* All of its sessions once, or it is past that. */
static bool port_filled(const struct move_port *p)
{
	return p->walked || p->verified || p->final_loaded;
}

static bool port_never(const struct move_port *p)
{
	return false;
}

static bool all_owned_or(const struct move *move, bool (*there)(const struct move_port *p))
{
	for (uint32_t i = 0; i < move->n_ports; i++)
		if (!there(&move->port[i]) &&
			(!move->port[i].port || port_role(&move->port[i]) != ROLE_OWNER))
			return false;
	return move->n_ports > 0;
}

bool dest_all_owned(const struct move *move)
{
	return all_owned_or(move, port_never);
}

int dest_refuse(struct move *move, int rc, enum mover_refusal refusal, const char *reason)
{
	pthread_mutex_lock(&move->mover->lock);
	move->mover->counts.refused[refusal]++;
	pthread_mutex_unlock(&move->mover->lock);
	move_fail(move, "%s", reason);
	move_send_text(move, STREAM_FAILED, reason);
	return rc;
}

/* ---- receive ---- */

/* What the source sends, until each port is that far or ours. */
static int receive_until(struct move *move, bool (*there)(const struct move_port *p))
{
	while (!all_owned_or(move, there)) {
		int rc = move_pump(move, move_now_ns(move) + TICK_NS);

		if (rc == 0)
			rc = dest_look(move);
		if (rc == 0 && dest_channel_take(move)) {
			move->go_to = "accept";
			return MOVE_GOTO;
		}
		if (rc != 0)
			return rc;
	}
	return 0;
}

static int dest_prepare(struct move *move)
{
	return receive_until(move, port_prepared);
}

static int dest_bulk(struct move *move)
{
	return receive_until(move, port_filled);
}

static int dest_receive(struct move *move)
{
	return receive_until(move, port_never);
}

/* ---- frames ---- */

static int frame_section(struct move *move, struct move_port *p, const struct frame *frame)
{
	uint32_t number = frame->kind.section - STREAM_SECTION_FIRST;
	const struct vswitch *v = vswitch_of(move);
	char error[STREAM_REASON_MAX] = "";
	struct vswitch_state state;
	struct wire_reader r;
	int rc;

	if (number >= move->sections.count || move->sections.local[number] < 0)
		return -EBADMSG;
	wire_reader_init(&r, frame->payload, frame->payload_bytes);
	state.name = move->sections.offered[number].name;
	state.version = wire_get_u16(&r);
	if (!wire_reader_ok(&r))
		return -EBADMSG;
	state.bytes = frame->payload + 2;
	state.len_bytes = wire_reader_left(&r);
	rc = v->ops->section_load(v->ctx, p->port, &state, error, sizeof(error));
	if (rc != 0)
		move_fail(move, "%s", error);
	return rc;
}

static int frame_round(struct move *move, struct move_port *p, const struct frame *frame)
{
	struct wire_reader r;
	struct wire_writer w;
	uint64_t changed;

	wire_reader_init(&r, frame->payload, frame->payload_bytes);
	p->round = wire_get_varint(&r);
	changed = wire_get_varint(&r);
	if (!wire_reader_ok(&r))
		return -EBADMSG;
	move_event_round(p, p->round, changed);
	w = move_writer(move);
	wire_put_varint(&w, p->round);
	wire_put_varint(&w, p->tally.count);
	return move_send(move, STREAM_ROUND_DONE, STREAM_SECTION_SESSIONS, p->index, &w);
}

static int frame_final(struct move *move, struct move_port *p, const struct frame *frame)
{
	int rc = dest_verify(move, p, frame);

	if (rc != 0 || !p->verified)
		return rc;
	dest_port_loaded(move, p);
	return dest_look(move);
}

/* It runs there again: what is held goes back, and nothing here is final any more. */
static int frame_thawed(struct move *move, struct move_port *p)
{
	const struct vswitch *v = vswitch_of(move);
	uint64_t until_ns = move_now_ns(move) + TICK_NS;
	uint32_t left = 0;

	p->final_loaded = p->verified = p->again = false;
	p->final_serial = 0;
	dest_facts(move, p, false);
	move_phase(move, MOVER_PREPARING);
	do {
		v->ops->hold_return(v->ctx, p->port, &left);
		if (left && channel_pause(move->channel, move_now_ns(move) + 500000) != 0)
			break;
	} while (left && move_now_ns(move) < until_ns);
	return move_send(move, STREAM_THAW_DONE, STREAM_SECTION_MOVE, p->index, NULL);
}

static int frame_rings(struct move *move, struct move_port *p, const struct frame *frame)
{
	const struct vswitch *v = vswitch_of(move);
	struct wire_reader r;
	bool up;

	wire_reader_init(&r, frame->payload, frame->payload_bytes);
	up = wire_get_u8(&r) != 0;
	if (!wire_reader_ok(&r))
		return -EBADMSG;
	if (!up)
		return 0;
	v->ops->event(v->ctx, p->port, ROLE_SOURCE_RUNNING, 0);
	dest_port_look(move, p);
	if (port_role(p) != ROLE_FENCED)
		return 0;
	move_fail(move, "vport %s: the VM runs here and on %s: fenced", p->name, move->peer);
	return -EEXIST;
}

static int frame_abort(struct move *move, const struct frame *frame)
{
	struct wire_reader r;
	char text[STREAM_REASON_MAX];
	int rc;

	wire_reader_init(&r, frame->payload, frame->payload_bytes);
	wire_get_string(&r, text, sizeof(text));
	/* Too late: one that is ours says so instead. */
	rc = dest_look(move);
	for (uint32_t i = 0; i < move->n_ports; i++)
		if (move->port[i].port && port_role(&move->port[i]) == ROLE_OWNER)
			return rc;
	move_fail(move, "%s: %s", move->peer, text[0] ? text : "aborted");
	move->peer_done = true;
	dest_undo(move);
	move_send(move, STREAM_ABORTED, STREAM_SECTION_MOVE, 0, NULL);
	return -ECONNABORTED;
}

static int frame_sessions(struct move *move, struct move_port *p, const struct frame *frame)
{
	if (!p->import || !p->tallied)
		return -EBADMSG;
	switch (frame->kind.type) {
	case STREAM_RECORDS:
		return dest_records(move, p, frame);
	case STREAM_DEATHS:
		return dest_deaths(move, p, frame);
	case STREAM_COLOUR:
		return dest_colour(move, p, frame);
	case STREAM_ROUND:
		return frame_round(move, p, frame);
	case STREAM_FINAL:
		return frame_final(move, p, frame);
	case STREAM_SECTION:
		return frame_section(move, p, frame);
	case STREAM_THAWED:
		return frame_thawed(move, p);
	default:
		move_fail(move, "%s sent a %s, which is not its to send", move->peer,
			stream_type_name(frame->kind.type));
		return -EBADMSG;
	}
}

int dest_frame(struct move *move, const struct frame *frame)
{
	struct move_port *p = move_port_of(move, frame->kind.stream);

	if (frame->kind.type == STREAM_OFFER)
		return move->offered ? -EBADMSG : dest_on_offer(move, frame);
	if (!move->accepted)
		return -EBADMSG;
	switch (frame->kind.type) {
	case STREAM_READY:
		move->ready = true;
		move_phase(move, MOVER_READY);
		return move_send(move, STREAM_READY_DONE, STREAM_SECTION_MOVE, 0, NULL);
	case STREAM_ABORT:
		return frame_abort(move, frame);
	default:
		break;
	}
	if (!p)
		return -EBADMSG;
	switch (frame->kind.type) {
	case STREAM_PORT:
		return dest_on_port(move, p, frame);
	case STREAM_COMMIT_DONE:
		p->committed = true;
		return 0;
	case STREAM_RINGS:
		return p->port ? frame_rings(move, p, frame) : -EBADMSG;
	default:
		break;
	}
	/* Late words to a port that is ours already. */
	if (p->port && p->prepared && port_role(p) == ROLE_OWNER)
		return dest_look(move);
	return frame_sessions(move, p, frame);
}

const struct move_step move_dest_steps[] = {
	{"accept", .run = dest_accept, .on_lost = "accept", .limit_ms = 30000},
	{"prepare", .run = dest_prepare, .undo = dest_undo, .on_lost = "accept", .limit_ms = 30000},
	{"bulk", .run = dest_bulk, .on_lost = "accept", .limit_ms = 600000},
	{"receive", .run = dest_receive, .on_lost = "accept"},
	{"activate", .run = dest_activate},
	{"done", .run = dest_done},
	{NULL},
};
