/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The source up to the bulk: a connection, the offer, ports made there; and after a lost
 * connection all of it again. Also what undoes it.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "ctrl/migrate/source_impl.h"

#define CONNECT_TRIES_NS 10000000000ULL /* before the freeze */
#define ABORT_NS 3000000000ULL

/* ---- connect ---- */

static int offer_send(struct move *move)
{
	struct stream_offer offer = {.mode = (uint8_t)move->mode,
		.flags = (uint8_t)((move->claim ? STREAM_OFFER_CLAIM : 0) |
				   (move->resumed ? STREAM_OFFER_RESUME : 0)),
		.n_ports = move->n_ports,
		.n_sections = move->sections.count};
	struct wire_writer w = move_writer(move);

	memcpy(offer.id, move->id_bytes, sizeof(offer.id));
	snprintf(offer.vm, sizeof(offer.vm), "%s", move->vm);
	snprintf(offer.caller_id, sizeof(offer.caller_id), "%s", move->caller_id);
	for (uint32_t i = 0; i < move->n_ports; i++)
		offer.port[i] = move->port[i].offered;
	memcpy(offer.section, move->sections.offered, sizeof(offer.section));
	stream_put_offer(&w, &offer);
	move->resumed = true;
	return move_send(move, STREAM_OFFER, STREAM_SECTION_MOVE, 0, &w);
}

static int connect_once(struct move *move)
{
	struct mover *mover = move->mover;
	struct channel_dial dial = {.peer = move->peer,
		.plain = mover->insecure,
		.purpose = CHANNEL_PURPOSE_MOVE,
		.options = {.types = stream_types,
			.n_types = stream_types_count,
			.bandwidth = mover->bandwidth,
			.bandwidth_class = BANDWIDTH_SESSIONS,
			.cancel = &move->cancel}};
	struct channel_error error;
	uint32_t connect_ms;
	int rc;

	memcpy(dial.move_id, move->id_bytes, sizeof(dial.move_id));
	pthread_mutex_lock(&mover->lock);
	connect_ms = mover->limits.connect_ms;
	pthread_mutex_unlock(&mover->lock);
	dial.deadline_ns = channel_world_deadline_ns(&mover->world, connect_ms);
	rc = channel_connect(mover->channel_host, &dial, &move->channel, &error);
	if (rc == 0) {
		move->heard_ns = move->said_ns = move_now_ns(move);
		return 0;
	}
	pthread_mutex_lock(&mover->lock);
	move->reason[0] = '\0';
	pthread_mutex_unlock(&mover->lock);
	move_fail(move, "%s", error.text);
	return rc;
}

/* A first connection is tried once; a lost one for some time, and for ever after the freeze. */
int source_connect(struct move *move)
{
	uint64_t began_ns = move_now_ns(move);
	bool again = move->resumed;
	int rc;

	move_channel_drop(move);
	move->accepted = false;
	for (uint32_t i = 0; i < move->n_ports; i++) {
		struct move_port *p = &move->port[i];

		/* What was on its way may or may not be there. */
		p->walked = p->dest_verified = p->final_sent = false;
		p->round_done = p->round;
		p->told = false;
		if (!p->committed)
			source_port_look(move, p);
	}
	for (;;) {
		rc = connect_once(move);
		if (rc == 0)
			break;
		if (!again ||
			(!move->past_freeze && move_now_ns(move) - began_ns > CONNECT_TRIES_NS))
			return rc;
		rc = move_pump(move, move_now_ns(move) + RETRY_NS);
		if (rc != 0)
			return rc;
	}
	pthread_mutex_lock(&move->mover->lock);
	move->reason[0] = '\0';
	pthread_mutex_unlock(&move->mover->lock);
	move_limit_again(move); /* to connect has a limit of its own */
	rc = offer_send(move);
	while (rc == 0 && !move->accepted)
		rc = move_pump(move, move_now_ns(move) + RETRY_NS);
	return rc;
}

int source_on_accept(struct move *move, const struct frame *frame)
{
	struct stream_accept accept;
	int rc = stream_get_accept(frame, &accept);

	if (rc != 0 || accept.n_ports != move->n_ports || accept.n_sections != move->sections.count)
		return -EBADMSG;
	for (uint32_t i = 0; i < move->sections.count; i++)
		move->section_taken[i] = accept.taken[i] != 0;
	for (uint32_t i = 0; i < move->n_ports; i++) {
		struct move_port *p = &move->port[i];

		p->dest_verified = accept.state[i] == STREAM_PORT_VERIFIED;
		if (accept.state[i] == STREAM_PORT_OWNED)
			p->epoch = accept.epoch[i];
	}
	move->accepted = true;
	return 0;
}

/* ---- the destination owns it ---- */

static int port_commit(struct move *move, struct move_port *p, uint64_t epoch)
{
	const struct vswitch *v = vswitch_of(move);
	int rc;

	if (p->committed)
		return 0;
	/* Its rings are up elsewhere: whatever we thought, it is not ours to serve. */
	if (port_role(p) == ROLE_OWNER)
		v->ops->event(v->ctx, p->port, ROLE_CLAIMED_AWAY, 0);
	rc = v->ops->event(v->ctx, p->port, ROLE_COMMIT, epoch);
	source_port_look(move, p);
	if (rc != 0 || port_role(p) != ROLE_MOVED) {
		mover_log(move->mover, PLUGIN_LOG_ERROR, p->name,
			"%s says that it owns it since epoch %llu, but its rings are up here",
			move->peer, (unsigned long long)epoch);
		return -EEXIST;
	}
	p->epoch = epoch;
	p->committed = true;
	p->stamp[MOMENT_COMMITTED] = move_now_ns(move);
	return 0;
}

int source_on_commit(struct move *move, struct move_port *p, const struct frame *frame)
{
	struct stream_commit commit;
	bool again = p->committed;
	int rc = stream_get_commit(frame, &commit);

	if (rc != 0)
		return rc;
	atomic_store(&p->degraded, commit.degraded);
	rc = port_commit(move, p, commit.epoch);
	if (rc != 0)
		return rc;
	if (!again)
		moments_take(p, &commit);
	return move_send(move, STREAM_COMMIT_DONE, STREAM_SECTION_MOVE, p->index, NULL);
}

/* ---- prepare ---- */

static int port_describe(struct move *move, struct move_port *p)
{
	const struct vswitch *v = vswitch_of(move);
	struct wire_writer w = move_writer(move);
	int rc = v->ops->describe(v->ctx, p->port, &w);

	if (rc != 0) {
		move_fail(move, "vport %s cannot be described: %s", p->name, strerror(-rc));
		return rc;
	}
	return move_send(move, STREAM_PORT, STREAM_SECTION_MOVE, p->index, &w);
}

static int port_prepare(struct move *move, struct move_port *p)
{
	const struct vswitch *v = vswitch_of(move);
	int rc = 0;

	if (p->epoch && !p->committed)
		return port_commit(move, p, p->epoch);
	if (p->committed)
		return 0;
	if (p->dest_verified && port_frozen(p)) {
		p->prepared = p->final_sent = p->verified = true;
		return 0;
	}
	p->verified = false;
	if (p->dest_verified) {
		/* It runs here again and they have not heard of it. */
		rc = move_send(move, STREAM_THAWED, STREAM_SECTION_MOVE, p->index, NULL);
		if (rc != 0)
			return rc;
	}
	rc = v->ops->relay_to(v->ctx, p->port, &move->peer_vtep);
	if (rc != 0) {
		move_fail(move, "vport %s: no relay to %s: %s", p->name, move->peer, strerror(-rc));
		return rc;
	}
	mover_store_owner(move->mover, p->name, move->peer, &move->peer_vtep, move->id);
	p->prepared = false;
	rc = port_describe(move, p);
	while (rc == 0 && !p->prepared)
		rc = move_pump(move, move_now_ns(move) + RETRY_NS);
	/* A first time now: what plugins cannot take there is heard before anything is copied. */
	if (rc == 0 && !port_frozen(p))
		rc = source_sections(move, p);
	if (rc == 0)
		source_facts(move, p);
	return rc;
}

int source_prepare(struct move *move)
{
	int rc = 0;

	for (uint32_t i = 0; i < move->n_ports && rc == 0; i++)
		rc = port_prepare(move, &move->port[i]);
	return rc;
}

/*
 * Say that all is off and hear that nothing runs there and nothing will; only then does a frozen
 * port come back by our own decision. Without an answer it waits for its rings or for the
 * destination's word.
 */
void source_prepare_undo(struct move *move)
{
	const struct vswitch *v = vswitch_of(move);
	uint64_t until_ns = move_now_ns(move) + ABORT_NS;
	int rc;

	move->undone = true;
	move->ready = false;
	rc = move_send_text(move, STREAM_ABORT, move->reason);
	while (rc == 0 && !move->peer_done && !source_all_committed(move) &&
		move_now_ns(move) < until_ns)
		rc = move_pump(move, until_ns);
	for (uint32_t i = 0; i < move->n_ports; i++) {
		struct move_port *p = &move->port[i];

		if (p->committed)
			continue;
		source_facts(move, p);
		/* What they say of this move says nothing of the one that froze it. */
		if (move->peer_done && port_role(p) == ROLE_FROZEN && !p->was_frozen)
			v->ops->event(v->ctx, p->port, ROLE_ABORTED, 0);
		source_port_look(move, p);
		v->ops->park(v->ctx, p->port, false);
		if (port_role(p) == ROLE_FROZEN) {
			mover_log(move->mover, PLUGIN_LOG_ERROR, p->name,
				"frozen, and %s does not say whether it runs the VM: waiting for "
				"it or for the VM's rings here",
				move->peer);
			move_reason_add(move,
				"; vport %s stays frozen until %s says whether the VM runs there, "
				"its rings are up here, or vport/own",
				p->name, move->peer);
		}
	}
}
