/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The destination's side of a move, in order: accept, receive (prepare, bulk, rounds, final, verify
 * as the source says), activate, done. What comes in is hostile until checked; a PASSIVE port sends
 * nothing and answers nothing. What is made here is dropped only when the source says so, or when
 * it turns out not to know the move.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "ctrl/migrate/mover_impl.h"

#define TICK_NS 100000000ULL
#define DONE_NS 2000000000ULL /* for the source's word that it heard the commit */

static const struct vswitch *vswitch_of(const struct move *move)
{
	return &move->mover->vswitch;
}

static enum role port_role(const struct move_port *p)
{
	return (enum role)atomic_load(&p->role);
}

static bool port_waits(const struct move_port *p)
{
	return port_role(p) == ROLE_PASSIVE || port_role(p) == ROLE_CLAIM;
}

static void dest_facts(struct move *move, struct move_port *p, bool source_lost)
{
	struct role_facts facts = {.move_in = !move->undone,
		.final_loaded = p->final_loaded && !move->undone,
		.source_lost = source_lost && !move->undone};

	vswitch_of(move)->ops->facts(vswitch_of(move)->ctx, p->port, &facts);
}

static void port_look(struct move *move, struct move_port *p)
{
	struct vswitch_port_info info;

	vswitch_of(move)->ops->info(vswitch_of(move)->ctx, p->port, &info);
	atomic_store(&p->role, (uint8_t)info.role);
	atomic_store(&p->rings_up, info.rings_up);
	if (info.role == ROLE_OWNER)
		p->epoch = info.epoch;
}

static bool all_owned(const struct move *move)
{
	for (uint32_t i = 0; i < move->n_ports; i++)
		if (!move->port[i].port || port_role(&move->port[i]) != ROLE_OWNER)
			return false;
	return move->n_ports > 0;
}

static bool all_committed(const struct move *move)
{
	for (uint32_t i = 0; i < move->n_ports; i++)
		if (!move->port[i].committed)
			return false;
	return move->n_ports > 0;
}

/* ---- accept ---- */

static int offer_refuse(struct move *move, int rc, const char *reason)
{
	move_fail(move, "%s", reason);
	move_send_text(move, STREAM_FAILED, reason);
	return rc;
}

/* Which of the source's sections are read here, and under which number. False, and why not. */
static bool sections_match(struct move *move, const struct stream_offer *offer,
	struct stream_accept *accept, char *why, size_t why_len)
{
	const struct vswitch *v = vswitch_of(move);
	struct vswitch_section own[VSWITCH_SECTIONS_MAX];
	uint32_t n_own = v->ops->sections(v->ctx, own, VSWITCH_SECTIONS_MAX);

	move->n_sections = accept->n_sections = offer->n_sections;
	memcpy(move->section, offer->section, sizeof(move->section));
	move->same_sections = true;
	for (uint32_t i = 0; i < offer->n_sections; i++) {
		const struct vswitch_section *theirs = &offer->section[i];
		int at = -1;

		for (uint32_t n = 0; n < n_own; n++)
			if (strcmp(own[n].name, theirs->name) == 0)
				at = (int)n;
		move->section_local[i] = at;
		move->same_sections = move->same_sections && at == (int)i;
		accept->taken[i] = at >= 0;
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
			move->state_versions[at] = theirs->version;
	}
	return true;
}

/* A vport that is here already: ours since this very move, or waiting. */
static void port_known(struct move *move, struct move_port *p, struct stream_accept *accept)
{
	const struct vswitch *v = vswitch_of(move);
	struct store_entry entry;

	if (!p->port)
		p->port = v->ops->find(v->ctx, p->name);
	if (!p->port)
		return;
	port_look(move, p);
	if (port_role(p) == ROLE_OWNER && store_get(move->mover->store, p->name, &entry) &&
		strcmp(entry.move_id, move->id) == 0) {
		accept->state[p->index] = STREAM_PORT_OWNED;
		accept->epoch[p->index] = p->epoch;
	} else if (port_waits(p) && p->import) {
		accept->state[p->index] =
			p->final_loaded ? STREAM_PORT_VERIFIED : STREAM_PORT_KNOWN;
	} else {
		p->port = p->prepared ? p->port : NULL;
	}
}

static int frame_offer(struct move *move, const struct frame *frame)
{
	struct stream_accept accept = {0};
	struct stream_offer offer;
	struct wire_writer w;
	char why[STREAM_REASON_MAX];
	int rc = stream_get_offer(frame, &offer);

	if (rc != 0)
		return offer_refuse(move, rc, "the offer cannot be read");
	if (memcmp(offer.id, move->id_bytes, sizeof(offer.id)) != 0 ||
		(move->n_ports && move->n_ports != offer.n_ports))
		return offer_refuse(move, -EBADMSG, "the offer is of another move");
	for (uint32_t i = 0; i < offer.n_ports; i++)
		if (!mover_peer_vni(move->mover, move->peer, offer.port[i].vni))
			return offer_refuse(move, -EACCES, "that VNI is not yours to speak for");
	if (!sections_match(move, &offer, &accept, why, sizeof(why)))
		return offer_refuse(move, -EOPNOTSUPP, why);
	snprintf(move->vm, sizeof(move->vm), "%s", offer.vm);
	snprintf(move->caller_id, sizeof(move->caller_id), "%s", offer.caller_id);
	move->mode = (enum mover_mode)offer.mode;
	move->claim = offer.flags & STREAM_OFFER_CLAIM;
	accept.n_ports = offer.n_ports;
	for (uint32_t i = 0; i < offer.n_ports; i++) {
		struct move_port *p = &move->port[i];

		p->move = move;
		p->index = i;
		p->offered = offer.port[i];
		snprintf(p->name, sizeof(p->name), "%s", offer.port[i].name);
		port_known(move, p, &accept);
	}
	pthread_mutex_lock(&move->mover->lock);
	move->n_ports = offer.n_ports;
	pthread_mutex_unlock(&move->mover->lock);
	move->accepted = true;
	w = move_writer(move);
	stream_put_accept(&w, &accept);
	return move_send(move, STREAM_ACCEPT, STREAM_SECTION_MOVE, 0, &w);
}

/* A connection of the same move that another thread took; the old one is dead then. */
static bool channel_take(struct move *move)
{
	struct channel *fresh;

	pthread_mutex_lock(&move->mover->lock);
	fresh = move->handed;
	move->handed = NULL;
	pthread_mutex_unlock(&move->mover->lock);
	if (!fresh)
		return false;
	move_channel_drop(move);
	move->channel = fresh;
	channel_set_cancel(fresh, &move->cancel);
	move->heard_ns = move->said_ns = move_now_ns(move);
	move->accepted = false;
	move->lost_ns = 0;
	return true;
}

static int owned_look(struct move *move);

/* The source cannot be reached, and the VM is here: go on with what there is. */
static void source_lost_look(struct move *move)
{
	uint64_t now_ns = move_now_ns(move), wait_ns;
	const struct vswitch *v = vswitch_of(move);

	pthread_mutex_lock(&move->mover->lock);
	wait_ns = move->mover->limits.activate_ms * 1000000ULL;
	pthread_mutex_unlock(&move->mover->lock);
	for (uint32_t i = 0; i < move->n_ports; i++) {
		struct move_port *p = &move->port[i];
		uint64_t up_ns = atomic_load(&p->rings_up_ns);

		if (!p->port || !port_waits(p) || p->final_loaded || !atomic_load(&p->rings_up) ||
			now_ns - move->lost_ns < wait_ns || now_ns - up_ns < wait_ns)
			continue;
		v->ops->resync(v->ctx, p->port);
		dest_facts(move, p, true);
		v->ops->event(v->ctx, p->port, ROLE_SOURCE_LOST, 0);
		port_look(move, p);
		if (port_role(p) != ROLE_OWNER)
			continue;
		atomic_store(&p->degraded, true);
		mover_log(move->mover, PLUGIN_LOG_WARN, p->name,
			"active without the last changes of %s, which cannot be reached",
			move->peer);
	}
}

/* Wait for the source to come back. 0: it is here. */
static int dest_reconnect(struct move *move)
{
	move_channel_drop(move);
	if (!move->lost_ns)
		move->lost_ns = move_now_ns(move);
	while (!channel_take(move)) {
		int rc = move_pump(move, move_now_ns(move) + TICK_NS);

		if (rc != 0)
			return rc;
		source_lost_look(move);
		rc = owned_look(move);
		if (rc != 0 && rc != MOVE_LOST)
			return rc;
		if (all_owned(move)) {
			move->go_to = "activate";
			return MOVE_GOTO;
		}
		if (exchange_move_unknown(move->mover, move->peer, move->id)) {
			move_fail(move, "%s does not know the move any more", move->peer);
			return -ECONNABORTED;
		}
	}
	return 0;
}

static int dest_accept(struct move *move)
{
	int rc = 0;

	if (!move->channel || move->accepted)
		rc = dest_reconnect(move);
	while (rc == 0 && !move->accepted)
		rc = move_pump(move, move_now_ns(move) + TICK_NS);
	if (rc == MOVE_LOST && move->n_ports == 0)
		return -ECONNRESET; /* nothing was made yet */
	return rc;
}

/* ---- prepare ---- */

static void port_empty(struct move_port *p)
{
	const struct vswitch *v = vswitch_of(p->move);

	v->ops->import_close(p->import);
	p->import = NULL;
	if (p->tallied)
		tally_fini(&p->tally);
	p->tallied = false;
}

static int port_make(struct move *move, struct move_port *p, const struct frame *frame, char *error,
	size_t error_len)
{
	const struct vswitch *v = vswitch_of(move);
	bool adopted = false;
	int rc;

	rc = v->ops->prepare(
		v->ctx, frame->payload, frame->payload_bytes, &p->port, &adopted, error, error_len);
	if (rc != 0)
		return rc;
	/* A second prepare finds what the first one made. */
	if (!p->prepared)
		p->adopted = adopted;
	p->prepared = true;
	rc = tally_init(&p->tally, (uint32_t)(p->offered.sessions + p->offered.sessions / 4));
	if (rc != 0)
		return rc;
	p->tallied = true;
	v->ops->epoch_heard(v->ctx, p->port, p->offered.epoch);
	rc = v->ops->import_open(v->ctx, p->port, move->state_versions, false, &p->import);
	if (rc == 0)
		rc = v->ops->relay_from(v->ctx, p->port, &move->peer_vtep);
	if (rc == 0)
		rc = v->ops->hold(v->ctx, p->port);
	if (rc != 0)
		snprintf(error, error_len, "vport %s: %s", p->name, strerror(-rc));
	return rc;
}

static int frame_port(struct move *move, struct move_port *p, const struct frame *frame)
{
	char error[STREAM_REASON_MAX] = "";
	struct wire_writer w;
	char *text;
	int rc;

	if (p->port && p->prepared && port_role(p) == ROLE_OWNER)
		return owned_look(move);
	p->final_loaded = p->verified = p->walked = p->again = false;
	if (p->port && p->prepared)
		dest_facts(move, p, false);
	port_empty(p);
	rc = port_make(move, p, frame, error, sizeof(error));
	if (rc != 0)
		return offer_refuse(move, rc, error[0] ? error : strerror(-rc));
	mover_store_owner(move->mover, p->name, move->peer, &move->peer_vtep, move->id);
	if (!p->adopted) {
		text = strndup((const char *)frame->payload, frame->payload_bytes);
		rc = text ? store_describe(move->mover->store, p->name, text) : -ENOMEM;
		free(text);
		if (rc != 0)
			return offer_refuse(move, rc, "the runtime store cannot be written");
	}
	port_look(move, p);
	vswitch_of(move)->ops->counts(vswitch_of(move)->ctx, p->port, &p->before);
	dest_facts(move, p, false);
	w = move_writer(move);
	wire_put_u8(&w, p->adopted);
	return move_send(move, STREAM_PORT_READY, STREAM_SECTION_MOVE, p->index, &w);
}

/* All that was made goes; what was here before lives on at the source. */
static void dest_undo(struct move *move)
{
	const struct vswitch *v = vswitch_of(move);
	char reason[STREAM_REASON_MAX];

	pthread_mutex_lock(&move->mover->lock);
	memcpy(reason, move->reason, sizeof(reason));
	pthread_mutex_unlock(&move->mover->lock);
	for (uint32_t i = 0; i < move->n_ports; i++) {
		struct move_port *p = &move->port[i];

		if (!p->port || !p->prepared)
			continue;
		move->undone = true;
		dest_facts(move, p, false);
		port_look(move, p);
		if (!port_waits(p))
			continue;
		port_empty(p);
		if (p->adopted) {
			v->ops->purge(v->ctx, p->port, true);
			v->ops->relay_to(v->ctx, p->port, &move->peer_vtep);
			v->ops->event(v->ctx, p->port, ROLE_ABORTED, 0);
		} else {
			v->ops->discard(v->ctx, p->port);
			store_remove(move->mover->store, p->name);
			p->port = NULL;
		}
		p->prepared = false;
	}
	move->undone = true;
	if (move->channel && !move->peer_done)
		move_send_text(move, STREAM_FAILED, reason);
}

/* ---- activate ---- */

/* All of a port's state is here. Its rings may be up already. */
static void port_loaded(struct move *move, struct move_port *p)
{
	const struct vswitch *v = vswitch_of(move);

	p->final_loaded = true;
	dest_facts(move, p, false);
	port_look(move, p);
	if (port_role(p) == ROLE_CLAIM)
		v->ops->event(v->ctx, p->port, ROLE_CLAIM_GRANTED, 0);
	else
		v->ops->event(v->ctx, p->port,
			atomic_load(&move->commit) ? ROLE_COMMANDED : ROLE_FINAL_LOADED, 0);
	port_look(move, p);
	if (port_role(p) != ROLE_OWNER)
		move_phase(move, MOVER_VERIFIED);
}

static int port_active(struct move *move, struct move_port *p)
{
	const struct vswitch *v = vswitch_of(move);
	struct wire_writer w;
	int rc;

	if (!p->announced) {
		p->announced = true;
		v->ops->announce(v->ctx, p->port);
		p->stamp[MOMENT_ANNOUNCED] = move_now_ns(move);
		exchange_tell(move->mover, p->name);
		p->stamp[MOMENT_PEERS_TOLD] = move_now_ns(move);
	}
	if (p->told)
		return 0;
	w = move_writer(move);
	wire_put_u64(&w, p->epoch);
	wire_put_u8(&w, atomic_load(&p->degraded));
	rc = move_send(move, STREAM_COMMIT, STREAM_SECTION_MOVE, p->index, &w);
	if (rc != 0)
		return rc;
	p->told = true;
	p->stamp[MOMENT_COMMITTED] = move_now_ns(move);
	return 0;
}

/* Ports that have become ours, and those whose VM is here before their state. */
static int owned_look(struct move *move)
{
	const struct vswitch *v = vswitch_of(move);

	for (uint32_t i = 0; i < move->n_ports; i++) {
		struct move_port *p = &move->port[i];
		int rc = 0;

		if (!p->port || !p->prepared)
			continue;
		if (atomic_load(&move->commit) && p->final_loaded && port_waits(p))
			v->ops->event(v->ctx, p->port, ROLE_COMMANDED, 0);
		port_look(move, p);
		if (port_role(p) == ROLE_OWNER) {
			rc = port_active(move, p);
		} else if (port_waits(p) && atomic_load(&p->rings_up) && !p->final_loaded &&
			   !p->asked && move->accepted && !move->claim) {
			p->asked = true;
			rc = move_send(move, STREAM_ASK_RINGS, STREAM_SECTION_MOVE, p->index, NULL);
		}
		if (!atomic_load(&p->rings_up))
			p->asked = false;
		if (rc != 0)
			return rc;
	}
	return 0;
}

static int dest_receive(struct move *move)
{
	while (!all_owned(move)) {
		int rc = move_pump(move, move_now_ns(move) + TICK_NS);

		if (rc == 0)
			rc = owned_look(move);
		if (rc == 0 && channel_take(move)) {
			move->go_to = "accept";
			return MOVE_GOTO;
		}
		if (rc != 0)
			return rc;
	}
	return 0;
}

static int dest_activate(struct move *move)
{
	int rc;

	move_phase(move, MOVER_COMMITTED);
	rc = owned_look(move);
	/* Without a connection the source hears it by its own question or from the peers' exchange.
	 */
	return rc == MOVE_LOST ? 0 : rc;
}

/* ---- done ---- */

static void announce_again(struct move *move)
{
	const struct vswitch *v = vswitch_of(move);

	for (uint32_t i = 0; i < move->n_ports; i++)
		v->ops->announce(v->ctx, move->port[i].port);
}

static int dest_done(struct move *move)
{
	uint64_t until_ns = move_now_ns(move) + DONE_NS, next_ns, interval_ns;
	uint32_t repeats;

	pthread_mutex_lock(&move->mover->lock);
	repeats = move->mover->limits.announce_repeats;
	interval_ns = move->mover->limits.announce_interval_ms * 1000000ULL;
	pthread_mutex_unlock(&move->mover->lock);
	next_ns = move_now_ns(move) + interval_ns;
	for (uint32_t i = 0; i < move->n_ports; i++)
		port_empty(&move->port[i]);
	while (repeats > 0 || (move_now_ns(move) < until_ns && !all_committed(move))) {
		int rc = move_pump(move, repeats ? next_ns : until_ns);

		if (rc == MOVE_LOST) {
			move_channel_drop(move);
			until_ns = 0;
		}
		if (rc == -ESHUTDOWN)
			return rc;
		if (channel_take(move)) {
			move->go_to = "accept";
			return MOVE_GOTO;
		}
		if (repeats > 0 && move_now_ns(move) >= next_ns) {
			announce_again(move);
			repeats--;
			next_ns += interval_ns;
		}
	}
	for (uint32_t i = 0; i < move->n_ports; i++) {
		struct move_port *p = &move->port[i];
		struct role_facts none = {0};

		vswitch_of(move)->ops->facts(vswitch_of(move)->ctx, p->port, &none);
		vswitch_of(move)->ops->counts(vswitch_of(move)->ctx, p->port, &p->after);
	}
	return 0;
}

/* ---- frames ---- */

static int frame_section(struct move *move, struct move_port *p, const struct frame *frame)
{
	uint32_t number = frame->kind.section - STREAM_SECTION_FIRST;
	const struct vswitch *v = vswitch_of(move);
	char error[STREAM_REASON_MAX] = "";
	struct wire_reader r;
	uint16_t version;
	int rc;

	if (number >= move->n_sections || move->section_local[number] < 0)
		return -EBADMSG;
	wire_reader_init(&r, frame->payload, frame->payload_bytes);
	version = wire_get_u16(&r);
	if (!wire_reader_ok(&r))
		return -EBADMSG;
	rc = v->ops->section_load(v->ctx, p->port, move->section[number].name, version,
		frame->payload + 2, wire_reader_left(&r), error, sizeof(error));
	if (rc != 0)
		move_fail(move, "%s", error);
	return rc;
}

static int frame_round(struct move *move, struct move_port *p, const struct frame *frame)
{
	struct wire_reader r;
	struct wire_writer w;

	wire_reader_init(&r, frame->payload, frame->payload_bytes);
	p->round = wire_get_varint(&r);
	if (!wire_reader_ok(&r))
		return -EBADMSG;
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
	port_loaded(move, p);
	return owned_look(move);
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
	port_look(move, p);
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
	rc = owned_look(move);
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
		return move->accepted ? -EBADMSG : frame_offer(move, frame);
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
		return frame_port(move, p, frame);
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
		return owned_look(move);
	return frame_sessions(move, p, frame);
}

const struct move_step move_dest_steps[] = {
	{"accept", dest_accept, NULL, "accept"},
	{"receive", dest_receive, dest_undo, "accept"},
	{"activate", dest_activate, NULL, NULL},
	{"done", dest_done, NULL, NULL},
	{NULL, NULL, NULL, NULL},
};

/* ---- who connects ---- */

static bool hand_over(
	struct mover *mover, const struct channel_hello *hello, struct channel *channel)
{
	struct move *move;
	bool taken = false;

	pthread_mutex_lock(&mover->lock);
	for (move = mover->moves; move; move = move->next)
		if (!move->source && !move->done &&
			memcmp(move->id_bytes, hello->move_id, sizeof(move->id_bytes)) == 0)
			break;
	if (move && strcmp(move->peer, hello->host) == 0 && !move->handed) {
		move->handed = channel;
		taken = true;
		move_wake(move);
	}
	pthread_mutex_unlock(&mover->lock);
	return taken;
}

void dest_serve(void *arg, struct channel *channel)
{
	struct mover *mover = arg;
	const struct channel_hello *hello = channel_hello(channel);
	struct channel_options options = {.types = stream_types, .n_types = stream_types_count};
	struct move *move;
	bool full;

	channel_set_options(channel, &options);
	if (hand_over(mover, hello, channel))
		return;
	move = move_new(mover, hello->move_id);
	if (!move) {
		channel_close(channel);
		return;
	}
	snprintf(move->peer, sizeof(move->peer), "%s", hello->host);
	move->channel = channel;
	channel_set_cancel(channel, &move->cancel);
	move->heard_ns = move->said_ns = move_now_ns(move);
	if (!mover_peer_vtep(mover, move->peer, &move->peer_vtep)) {
		offer_refuse(
			move, -EHOSTUNREACH, "no VTEP of yours is in this host's configuration");
		move_channel_drop(move);
		move_free(move);
		return;
	}
	pthread_mutex_lock(&mover->lock);
	full = mover->counts.running >= mover->limits.max_moves;
	if (!full)
		mover_enter(mover, move);
	pthread_mutex_unlock(&mover->lock);
	if (full) {
		offer_refuse(move, -EBUSY, "as many moves are under way here as are allowed");
		move_channel_drop(move);
		move_free(move);
		return;
	}
	/* The listener's thread becomes the move's. */
	move_launch(move, move_dest_steps);
}
