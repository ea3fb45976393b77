/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The destination meets the source: connections that come in, the offer judged, and a source that
 * was lost.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "ctrl/migrate/dest_impl.h"

/* ---- the offer ---- */

/* Which of the source's sections are read here, and under which number. False, and why not. */
static bool sections_match(struct move *move, const struct stream_offer *offer,
	struct stream_accept *accept, char *why, size_t why_len)
{
	struct section_map *map = &move->sections;

	map->count = accept->n_sections = offer->n_sections;
	memcpy(map->offered, offer->section, sizeof(map->offered));
	if (!section_map_match(map, vswitch_of(move), why, why_len))
		return false;
	for (uint32_t i = 0; i < map->count; i++)
		accept->taken[i] = map->local[i] >= 0;
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
	dest_port_look(move, p);
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

/* What the other moves that come in have been promised. Under the lock. */
static void reserved_by_others(const struct move *move, uint64_t *sessions, uint64_t *hold_bytes)
{
	*sessions = *hold_bytes = 0;
	for (const struct move *other = move->mover->moves; other; other = other->next) {
		if (other == move || other->source || other->done)
			continue;
		/* From ready on its sessions are in the table; the quarter more is for growth. */
		*sessions += other->phase == MOVER_PREPARING ? other->reserved_sessions
							     : other->reserved_sessions / 5;
		*hold_bytes += other->reserved_hold_bytes;
	}
}

/* Of all ports of the offer, in *needs; false, and why not, if one is more than its quota. */
static bool offer_needs(struct move *move, const struct stream_offer *offer,
	struct vswitch_room *needs, char *why, size_t why_len)
{
	const struct vswitch *v = vswitch_of(move);
	uint64_t sessions = 0, hold_bytes = 0;

	for (uint32_t i = 0; i < offer->n_ports; i++) {
		const struct stream_port *port = &offer->port[i];

		v->ops->room(v->ctx, v->ops->find(v->ctx, port->name), needs);
		if (port->sessions > needs->quota) {
			snprintf(why, why_len, "vport %s has %llu sessions, its quota here is %llu",
				port->name, (unsigned long long)port->sessions,
				(unsigned long long)needs->quota);
			return false;
		}
		sessions += port->sessions + port->sessions / 4;
		hold_bytes += needs->hold_bytes;
	}
	needs->sessions_max = sessions;
	needs->hold_bytes = hold_bytes;
	return true;
}

/* Is there room for all of it? Reserved until the move is over. False, and why not. */
static bool room_reserve(
	struct move *move, const struct stream_offer *offer, char *why, size_t why_len)
{
	uint64_t others, others_hold, limit;
	struct vswitch_room needs;

	why[0] = '\0';
	if (!offer_needs(move, offer, &needs, why, why_len))
		return false;
	pthread_mutex_lock(&move->mover->lock);
	reserved_by_others(move, &others, &others_hold);
	limit = move->mover->limits.hold_total_bytes;
	if (needs.sessions_max + others > needs.sessions_free)
		snprintf(why, why_len,
			"no room for %llu sessions: the table has %llu free, %llu of them "
			"promised to other moves",
			(unsigned long long)needs.sessions_max,
			(unsigned long long)needs.sessions_free, (unsigned long long)others);
	else if (needs.hold_bytes + others_hold > limit)
		snprintf(why, why_len,
			"no room to hold %llu bytes of packets: migrate.hold_total_bytes is %llu, "
			"%llu of them promised to other moves",
			(unsigned long long)needs.hold_bytes, (unsigned long long)limit,
			(unsigned long long)others_hold);
	if (!why[0]) {
		move->reserved_sessions = needs.sessions_max;
		move->reserved_hold_bytes = needs.hold_bytes;
	}
	pthread_mutex_unlock(&move->mover->lock);
	return !why[0];
}

int dest_on_offer(struct move *move, const struct frame *frame)
{
	struct stream_offer *offer = &move->offer;
	int rc = stream_get_offer(frame, offer);

	if (rc != 0)
		return dest_refuse(move, rc, MOVER_REFUSED_MALFORMED, "the offer cannot be read");
	if (memcmp(offer->id, move->id_bytes, sizeof(offer->id)) != 0 ||
		(move->n_ports && move->n_ports != offer->n_ports))
		return dest_refuse(
			move, -EBADMSG, MOVER_REFUSED_MALFORMED, "the offer is of another move");
	move->mode = (enum mover_mode)offer->mode;
	move->claim = offer->flags & STREAM_OFFER_CLAIM;
	move->resumed = offer->flags & STREAM_OFFER_RESUME;
	move->offered = true;
	return 0;
}

/* ---- did that host start it? ---- */

/*
 * A certificate says who speaks, not that a move was asked for. So the ferryd of that host is
 * asked, at the address of our own configuration, whether it knows this move; and nothing is taken
 * before it has said so. 1: it does; 0: not answered yet.
 */
static int offer_announced(struct move *move)
{
	struct mover *mover = move->mover;
	char why[STREAM_REASON_MAX];
	uint64_t wait_ns;

	switch (atomic_load(&move->announced)) {
	case ANNOUNCED_YES:
		return 1;
	case ANNOUNCED_NO:
		snprintf(why, sizeof(why), "%s has not started this move", move->peer);
		return dest_refuse(move, -EACCES, MOVER_REFUSED_UNANNOUNCED, why);
	case ANNOUNCED_UNASKED:
		move->asked_ns = move_now_ns(move);
		atomic_store(&move->announced, ANNOUNCED_ASKED);
		exchange_ask_move(mover, move->peer);
		return 0;
	default:
		break;
	}
	pthread_mutex_lock(&mover->lock);
	wait_ns = mover->limits.connect_ms * 1000000ULL;
	pthread_mutex_unlock(&mover->lock);
	if (move_now_ns(move) - move->asked_ns < wait_ns)
		return 0;
	snprintf(why, sizeof(why), "%s cannot be asked whether it started this move", move->peer);
	return dest_refuse(move, -EHOSTUNREACH, MOVER_REFUSED_UNANNOUNCED, why);
}

/* The VM's agent would speak to one and mean the other. */
static bool caller_taken(const struct move *move)
{
	const char *id = move->offer.caller_id;
	bool taken = false;

	pthread_mutex_lock(&move->mover->lock);
	for (const struct move *other = move->mover->moves; other && id[0]; other = other->next)
		taken = taken ||
			(other != move && !other->done && strcmp(other->caller_id, id) == 0);
	pthread_mutex_unlock(&move->mover->lock);
	return taken;
}

/* May it come, and is there room? 0, or refused. */
static int offer_judge(struct move *move, struct stream_accept *accept)
{
	const struct stream_offer *offer = &move->offer;
	char why[STREAM_REASON_MAX];

	for (uint32_t i = 0; i < offer->n_ports; i++)
		if (!mover_peer_vni(move->mover, move->peer, offer->port[i].vni))
			return dest_refuse(move, -EACCES, MOVER_REFUSED_VNI,
				"that VNI is not yours to speak for");
	if (caller_taken(move))
		return dest_refuse(move, -EEXIST, MOVER_REFUSED_BUSY,
			"another move goes by that caller's id here");
	if (!sections_match(move, offer, accept, why, sizeof(why)))
		return dest_refuse(move, -EOPNOTSUPP, MOVER_REFUSED_SECTIONS, why);
	/*
	 * What was accepted once stays so, it may be ours by now; and a VM that runs here already
	 * is no better off without the sessions that do fit.
	 */
	if (!(offer->flags & (STREAM_OFFER_RESUME | STREAM_OFFER_CLAIM)) &&
		!room_reserve(move, offer, why, sizeof(why)))
		return dest_refuse(move, -ENOSPC, MOVER_REFUSED_ROOM, why);
	return 0;
}

static int offer_accept(struct move *move)
{
	struct stream_accept accept = {.n_ports = move->offer.n_ports};
	struct wire_writer w;
	int rc = offer_judge(move, &accept);

	if (rc != 0)
		return rc;
	for (uint32_t i = 0; i < accept.n_ports; i++) {
		struct move_port *p = &move->port[i];

		p->move = move;
		p->index = i;
		p->offered = move->offer.port[i];
		snprintf(p->name, sizeof(p->name), "%s", p->offered.name);
		port_known(move, p, &accept);
	}
	pthread_mutex_lock(&move->mover->lock);
	snprintf(move->vm, sizeof(move->vm), "%s", move->offer.vm);
	snprintf(move->caller_id, sizeof(move->caller_id), "%s", move->offer.caller_id);
	move->n_ports = accept.n_ports;
	pthread_mutex_unlock(&move->mover->lock);
	move->accepted = true;
	w = move_writer(move);
	stream_put_accept(&w, &accept);
	return move_send(move, STREAM_ACCEPT, STREAM_SECTION_MOVE, 0, &w);
}

/*
 * The ferryd over there came back and was told to move the VM once more, and what it has forgotten
 * of the first time still waits here: it will be asked for that one, too, and not know it.
 */
static bool caller_is_leaving(struct move *move)
{
	const struct move *other;
	uint64_t wait_ns;

	pthread_mutex_lock(&move->mover->lock);
	wait_ns = move->mover->limits.connect_ms * 1000000ULL + MOVER_LOST_ASK_NS;
	for (other = move->mover->moves; other; other = other->next)
		if (other != move && !other->done && !other->source && other->lost_ns &&
			move->offer.caller_id[0] && strcmp(other->peer, move->peer) == 0 &&
			strcmp(other->caller_id, move->offer.caller_id) == 0)
			break;
	pthread_mutex_unlock(&move->mover->lock);
	return other && move_now_ns(move) - move->asked_ns < wait_ns;
}

/* Until there is an offer, and it is answered. */
static int offer_wait(struct move *move)
{
	int rc = 0;

	while (rc >= 0 && !move->accepted) {
		rc = move->offered ? offer_announced(move) : 0;
		if (rc == 1 && !caller_is_leaving(move))
			return offer_accept(move);
		if (rc >= 0)
			rc = move_pump(move, move_now_ns(move) + TICK_NS);
		if (rc != 0)
			return rc;
	}
	return rc;
}

/* ---- a source that was lost ---- */

/* A connection of the same move that another thread took; the old one is dead then. */
bool dest_channel_take(struct move *move)
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
	move->accepted = move->offered = false;
	move->lost_ns = 0;
	return true;
}

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
		dest_port_look(move, p);
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
	while (!dest_channel_take(move)) {
		int rc = move_pump(move, move_now_ns(move) + TICK_NS);

		if (rc != 0)
			return rc;
		source_lost_look(move);
		rc = dest_look(move);
		if (rc != 0 && rc != MOVE_LOST)
			return rc;
		if (dest_all_owned(move)) {
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

int dest_accept(struct move *move)
{
	int rc = 0;

	if (!move->channel || move->accepted)
		rc = dest_reconnect(move);
	if (rc == 0)
		rc = offer_wait(move);
	if (rc != MOVE_LOST)
		return rc;
	if (move->n_ports == 0)
		return -ECONNRESET; /* nothing was made yet */
	/* A connection that ended before it said anything: the next one is waited for. */
	move_channel_drop(move);
	return MOVE_LOST;
}

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
		dest_refuse(move, -EHOSTUNREACH, MOVER_REFUSED_VTEP,
			"no VTEP of yours is in this host's configuration");
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
		dest_refuse(move, -EBUSY, MOVER_REFUSED_BUSY,
			"as many moves are under way here as are allowed");
		move_channel_drop(move);
		move_free(move);
		return;
	}
	/* The listener's thread becomes the move's. */
	move_launch(move, move_dest_steps);
}
