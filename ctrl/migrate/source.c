/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The source's side of a move, in order: admit, connect, prepare, bulk, follow, final, commit,
 * moved. Up to the freeze everything can be undone; from then on only the destination's word (or
 * the VM's rings here) ends it, and a lost connection is made again for as long as it takes.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "ctrl/migrate/mover_impl.h"

#define ROUND_MIN_NS 5000000ULL
#define ROUND_MAX_NS 50000000ULL
#define READY_CHANGED 10000 /* residual of a round that the final may have */
#define RETRY_NS 200000000ULL
#define CONNECT_TRIES_NS 10000000000ULL /* before the freeze */
#define ABORT_NS 3000000000ULL
#define TAKE_BACK_NS 200000000ULL

static const struct vswitch *vswitch_of(const struct move *move)
{
	return &move->mover->vswitch;
}

static enum role port_role(const struct move_port *p)
{
	return (enum role)atomic_load(&p->role);
}

static bool port_frozen(const struct move_port *p)
{
	return port_role(p) == ROLE_FROZEN;
}

static bool all_committed(const struct move *move)
{
	for (uint32_t i = 0; i < move->n_ports; i++)
		if (!move->port[i].committed)
			return false;
	return true;
}

static bool any_frozen(const struct move *move)
{
	for (uint32_t i = 0; i < move->n_ports; i++)
		if (port_frozen(&move->port[i]))
			return true;
	return false;
}

static void source_facts(struct move *move, struct move_port *p)
{
	struct role_facts facts = {
		.move_out = p->prepared && !move->undone, .move_ready = move->ready && !p->told};

	vswitch_of(move)->ops->facts(vswitch_of(move)->ctx, p->port, &facts);
}

static void port_look(struct move *move, struct move_port *p)
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
	move->n_sections = v->ops->sections(v->ctx, move->section, VSWITCH_SECTIONS_MAX);
	for (uint32_t i = 0; i < move->n_ports; i++) {
		struct move_port *p = &move->port[i];
		struct vswitch_port_info info;

		v->ops->info(v->ctx, p->port, &info);
		v->ops->counts(v->ctx, p->port, &p->before);
		port_look(move, p);
		if (info.role != ROLE_OWNER && info.role != ROLE_FROZEN) {
			move_fail(move, "vport %s is not owned here, it is %s", p->name,
				role_name(info.role));
			return -EPERM;
		}
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

static void source_admit_undo(struct move *move)
{
	for (uint32_t i = 0; i < move->n_ports; i++) {
		if (move->port[i].tallied)
			tally_fini(&move->port[i].tally);
		move->port[i].tallied = false;
	}
}

/* ---- connect ---- */

static int offer_send(struct move *move)
{
	struct stream_offer offer = {.mode = (uint8_t)move->mode,
		.flags = (uint8_t)((move->claim ? STREAM_OFFER_CLAIM : 0) |
				   (move->resumed ? STREAM_OFFER_RESUME : 0)),
		.n_ports = move->n_ports,
		.n_sections = move->n_sections};
	struct wire_writer w = move_writer(move);

	memcpy(offer.id, move->id_bytes, sizeof(offer.id));
	snprintf(offer.vm, sizeof(offer.vm), "%s", move->vm);
	snprintf(offer.caller_id, sizeof(offer.caller_id), "%s", move->caller_id);
	for (uint32_t i = 0; i < move->n_ports; i++)
		offer.port[i] = move->port[i].offered;
	memcpy(offer.section, move->section, sizeof(offer.section));
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
	int rc;

	memcpy(dial.move_id, move->id_bytes, sizeof(dial.move_id));
	pthread_mutex_lock(&mover->lock);
	dial.deadline_ns = move_now_ns(move) + mover->limits.connect_ms * 1000000ULL;
	pthread_mutex_unlock(&mover->lock);
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
static int source_connect(struct move *move)
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
			port_look(move, p);
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
	rc = offer_send(move);
	while (rc == 0 && !move->accepted)
		rc = move_pump(move, move_now_ns(move) + RETRY_NS);
	return rc;
}

static int frame_accept(struct move *move, const struct frame *frame)
{
	struct stream_accept accept;
	int rc = stream_get_accept(frame, &accept);

	if (rc != 0 || accept.n_ports != move->n_ports || accept.n_sections != move->n_sections)
		return -EBADMSG;
	for (uint32_t i = 0; i < move->n_sections; i++)
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
	port_look(move, p);
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

static int frame_commit(struct move *move, struct move_port *p, const struct frame *frame)
{
	struct wire_reader r;
	uint64_t epoch;
	int rc;

	wire_reader_init(&r, frame->payload, frame->payload_bytes);
	epoch = wire_get_u64(&r);
	atomic_store(&p->degraded, wire_get_u8(&r) != 0);
	if (!wire_reader_ok(&r))
		return -EBADMSG;
	rc = port_commit(move, p, epoch);
	if (rc != 0)
		return rc;
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
	if (rc == 0)
		source_facts(move, p);
	return rc;
}

static int source_prepare(struct move *move)
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
static void source_prepare_undo(struct move *move)
{
	const struct vswitch *v = vswitch_of(move);
	uint64_t until_ns = move_now_ns(move) + ABORT_NS;
	int rc;

	move->undone = true;
	move->ready = false;
	rc = move_send_text(move, STREAM_ABORT, move->reason);
	while (rc == 0 && !move->peer_done && !all_committed(move) && move_now_ns(move) < until_ns)
		rc = move_pump(move, until_ns);
	for (uint32_t i = 0; i < move->n_ports; i++) {
		struct move_port *p = &move->port[i];

		if (p->committed)
			continue;
		source_facts(move, p);
		if (move->peer_done && port_role(p) == ROLE_FROZEN)
			v->ops->event(v->ctx, p->port, ROLE_ABORTED, 0);
		port_look(move, p);
		v->ops->park(v->ctx, p->port, false);
		if (port_role(p) == ROLE_FROZEN)
			mover_log(move->mover, PLUGIN_LOG_ERROR, p->name,
				"frozen, and %s does not say whether it runs the VM: waiting for "
				"it "
				"or for the VM's rings here",
				move->peer);
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

/* ---- follow ---- */

/* A frozen port whose VM runs here again: take back what the destination holds, go on as before. */
static int port_thawed(struct move *move, struct move_port *p)
{
	const struct vswitch *v = vswitch_of(move);
	int rc;

	p->final_sent = p->verified = p->dest_verified = false;
	p->told = true; /* not ready again before the destination has heard */
	source_facts(move, p);
	p->taking_back = true;
	p->take_back_until_ns = move_now_ns(move) + TAKE_BACK_NS;
	move_phase(move, MOVER_PREPARING);
	rc = move_send(move, STREAM_THAWED, STREAM_SECTION_MOVE, p->index, NULL);
	if (rc != 0)
		v->ops->park(v->ctx, p->port, false);
	return rc;
}

static void take_back_end(struct move *move, struct move_port *p)
{
	const struct vswitch *v = vswitch_of(move);

	if (!p->taking_back)
		return;
	p->taking_back = false;
	v->ops->park(v->ctx, p->port, false);
}

/* What all steps from follow on look at first. 0, MOVE_GOTO follow, or a failure. */
static int source_look(struct move *move)
{
	for (uint32_t i = 0; i < move->n_ports; i++) {
		struct move_port *p = &move->port[i];

		if (p->committed)
			continue;
		if (port_frozen(p) && !move->past_freeze) {
			move->past_freeze = true;
			move_phase(move, MOVER_FINAL);
		}
		if (p->taking_back && move_now_ns(move) > p->take_back_until_ns)
			take_back_end(move, p);
		if (port_role(p) == ROLE_OWNER && atomic_exchange(&p->frozen_ns, 0) != 0) {
			int rc = port_thawed(move, p);

			move->past_freeze = any_frozen(move);
			move->go_to = "follow";
			return rc == 0 ? MOVE_GOTO : rc;
		}
	}
	return 0;
}

static bool rounds_small(const struct move *move, uint64_t budget)
{
	for (uint32_t i = 0; i < move->n_ports; i++) {
		const struct move_port *p = &move->port[i];

		if (!p->committed && !port_frozen(p) &&
			(!p->walked || p->round == 0 || p->round_done != p->round ||
				p->changed > budget || p->taking_back))
			return false;
	}
	return true;
}

static int rounds_run(struct move *move)
{
	for (uint32_t i = 0; i < move->n_ports; i++) {
		struct move_port *p = &move->port[i];
		int rc;

		if (p->committed || port_frozen(p) || p->round_done != p->round)
			continue;
		rc = p->walked ? source_round(move, p) : source_bulk(move, p);
		if (rc != 0)
			return rc;
	}
	return 0;
}

static bool rounds_done(const struct move *move)
{
	for (uint32_t i = 0; i < move->n_ports; i++)
		if (!move->port[i].committed && !port_frozen(&move->port[i]) &&
			move->port[i].round_done != move->port[i].round)
			return false;
	return true;
}

/* Both sides may cut over from here on. The VM may have stopped meanwhile: then it freezes now. */
static int source_ready(struct move *move)
{
	const struct vswitch *v = vswitch_of(move);
	enum role_event event = move->claim ? ROLE_CLAIMED_AWAY : ROLE_READY;
	int rc = move_send(move, STREAM_READY, STREAM_SECTION_MOVE, 0, NULL);

	move->ready = false;
	while (rc == 0 && !move->ready)
		rc = move_pump(move, move_now_ns(move) + RETRY_NS);
	if (rc != 0)
		return rc;
	for (uint32_t i = 0; i < move->n_ports; i++) {
		struct move_port *p = &move->port[i];

		if (p->committed)
			continue;
		p->told = false;
		source_facts(move, p);
		v->ops->event(v->ctx, p->port, event, 0);
		port_look(move, p);
	}
	move_phase(move, any_frozen(move) ? MOVER_FINAL : MOVER_READY);
	return 0;
}

static uint64_t round_pause_ns(const struct move *move)
{
	uint64_t changed = 0;

	for (uint32_t i = 0; i < move->n_ports; i++)
		changed += move->port[i].changed;
	return changed > READY_CHANGED / 4 ? ROUND_MIN_NS : ROUND_MAX_NS;
}

static void behind_set(struct move *move, bool behind)
{
	if (move->behind == behind)
		return;
	pthread_mutex_lock(&move->mover->lock);
	move->behind = behind;
	move->serial++;
	pthread_cond_broadcast(&move->mover->changed);
	pthread_mutex_unlock(&move->mover->lock);
}

static int source_follow(struct move *move)
{
	bool ready = false;

	for (;;) {
		uint64_t next_ns;
		int rc = source_look(move);

		if (rc != 0 && rc != MOVE_GOTO)
			return rc;
		if (all_committed(move) || (any_frozen(move) && (ready || move->past_freeze)))
			return 0;
		rc = rounds_run(move);
		while (rc == 0 && !rounds_done(move) && !any_frozen(move)) {
			rc = move_pump(move, move_now_ns(move) + RETRY_NS);
			if (rc == 0)
				rc = source_look(move) < 0 ? -EIO : 0;
		}
		if (rc == 0 && !ready && rounds_small(move, READY_CHANGED)) {
			rc = source_ready(move);
			ready = rc == 0;
		}
		if (rc != 0)
			return rc;
		behind_set(move, ready && !rounds_small(move, READY_CHANGED * 4));
		next_ns = move_now_ns(move) + (ready ? round_pause_ns(move) : ROUND_MIN_NS);
		if (!any_frozen(move))
			rc = move_pump(move, next_ns);
		if (rc != 0)
			return rc;
	}
}

static void source_follow_undo(struct move *move)
{
	behind_set(move, false);
}

/* ---- final ---- */

static bool all_verified(const struct move *move)
{
	for (uint32_t i = 0; i < move->n_ports; i++)
		if (!move->port[i].committed && !move->port[i].verified)
			return false;
	return true;
}

static int finals_send(struct move *move)
{
	for (uint32_t i = 0; i < move->n_ports; i++) {
		struct move_port *p = &move->port[i];
		int rc;

		if (!port_frozen(p) || p->final_sent || p->committed)
			continue;
		rc = source_final(move, p);
		if (rc != 0)
			return rc;
	}
	return 0;
}

static int source_final_step(struct move *move)
{
	uint64_t next_ns = move_now_ns(move);

	for (;;) {
		int rc = finals_send(move);

		/* Other ports of the VM may still run: they are followed as before. */
		if (rc == 0 && move_now_ns(move) >= next_ns) {
			rc = rounds_run(move);
			next_ns = move_now_ns(move) + ROUND_MIN_NS;
		}
		if (rc == 0)
			rc = source_look(move);
		if (rc != 0)
			return rc;
		if (all_verified(move))
			break;
		rc = move_pump(move, next_ns + ROUND_MIN_NS);
		if (rc != 0)
			return rc;
	}
	move_phase(move, MOVER_VERIFIED);
	return 0;
}

static int frame_verified(struct move *move, struct move_port *p, const struct frame *frame)
{
	struct stream_verified verified;
	int rc = stream_get_verified(frame, &verified);

	if (rc != 0)
		return rc;
	if (verified.serial != p->final_serial || !p->final_sent)
		return 0; /* of a final before a thaw */
	p->verified = true;
	p->stamp[MOMENT_VERIFIED] = move_now_ns(move);
	p->sessions.digest_ok = verified.ok;
	p->sessions.installed = verified.installed;
	p->sessions.refused = verified.refused;
	p->sessions.conflict = verified.conflict;
	return 0;
}

/* ---- commit ---- */

static int source_commit(struct move *move)
{
	while (!all_committed(move)) {
		int rc = source_look(move);

		if (rc == 0)
			rc = move_pump(move, move_now_ns(move) + RETRY_NS);
		if (rc != 0)
			return rc;
		if (!all_verified(move)) {
			move->go_to = "final";
			return MOVE_GOTO;
		}
	}
	move_phase(move, MOVER_COMMITTED);
	return 0;
}

/* ---- moved ---- */

/* Off the pause: what did not arrive, then the memory. The relay goes on by the role. */
static int source_moved(struct move *move)
{
	const struct vswitch *v = vswitch_of(move);

	move_phase(move, MOVER_COMMITTED);
	for (uint32_t i = 0; i < move->n_ports; i++) {
		struct move_port *p = &move->port[i];
		struct role_facts none = {0};

		if (!p->export)
			v->ops->export_open(v->ctx, p->port, false, &p->export);
		if (p->export && p->tallied)
			source_compare(move, p);
		v->ops->export_close(p->export);
		p->export = NULL;
		v->ops->facts(v->ctx, p->port, &none);
		v->ops->purge(v->ctx, p->port, true);
		v->ops->counts(v->ctx, p->port, &p->after);
		if (p->sessions.missed)
			mover_log(move->mover, PLUGIN_LOG_WARN, p->name,
				"%llu sessions did not arrive in their last state",
				(unsigned long long)p->sessions.missed);
	}
	source_admit_undo(move);
	return 0;
}

/* ---- frames ---- */

static int frame_rings(struct move *move, struct move_port *p)
{
	struct wire_writer w = move_writer(move);

	port_look(move, p);
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

static int frame_move(struct move *move, const struct frame *frame)
{
	switch (frame->kind.type) {
	case STREAM_ACCEPT:
		return frame_accept(move, frame);
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
	case STREAM_ROUND_DONE: {
		struct wire_reader r;

		wire_reader_init(&r, frame->payload, frame->payload_bytes);
		p->round_done = wire_get_varint(&r);
		return wire_reader_ok(&r) && p->round_done <= p->round ? 0 : -EBADMSG;
	}
	case STREAM_VERIFIED:
		return frame_verified(move, p, frame);
	case STREAM_AGAIN:
		p->final_sent = p->walked = false;
		return 0;
	case STREAM_COMMIT:
		return frame_commit(move, p, frame);
	case STREAM_THAW_DONE:
		take_back_end(move, p);
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
	{"admit", source_admit, source_admit_undo, NULL},
	{"connect", source_connect, NULL, "connect"},
	{"prepare", source_prepare, source_prepare_undo, "connect"},
	{"bulk", source_bulk_step, source_bulk_undo, "connect"},
	{"follow", source_follow, source_follow_undo, "connect"},
	{"final", source_final_step, NULL, "connect"},
	{"commit", source_commit, NULL, "connect"},
	{"moved", source_moved, NULL, NULL},
	{NULL, NULL, NULL, NULL},
};
