/* SPDX-License-Identifier: BSD-3-Clause */
/* The destination from the verified final on: ports become ours, are announced, and the source
 * hears of it. */
#include <errno.h>

#include "ctrl/migrate/dest_impl.h"

#define DONE_NS 2000000000ULL /* for the source's word that it heard the commit */

#define RINGS_NS 2000000000ULL /* for a running guest's rings, before its VM's word counts */

/* ---- activate ---- */

/*
 * May the word that the VM runs stand for its rings? It may come ahead of them, and what is held
 * must not be given to rings that are not up yet; of a guest without a driver none will come.
 */
static bool word_counts(const struct move *move, const struct move_port *p)
{
	return atomic_load(&move->commit) &&
	       (p->offered.features == 0 ||
		       move_now_ns(move) - atomic_load(&move->commit_ns) > RINGS_NS);
}

/* All of a port's state is here. Its rings may be up already. */
void dest_port_loaded(struct move *move, struct move_port *p)
{
	const struct vswitch *v = vswitch_of(move);

	p->final_loaded = true;
	dest_facts(move, p, false);
	dest_port_look(move, p);
	if (port_role(p) == ROLE_CLAIM)
		v->ops->event(v->ctx, p->port, ROLE_CLAIM_GRANTED, 0);
	else
		v->ops->event(v->ctx, p->port,
			word_counts(move, p) ? ROLE_COMMANDED : ROLE_FINAL_LOADED, 0);
	dest_port_look(move, p);
	if (port_role(p) != ROLE_OWNER)
		move_phase(move, MOVER_VERIFIED);
}

/* When its VMM connected and when its memory was here: moments that others know. */
static void port_moments(struct move *move, struct move_port *p)
{
	const struct vswitch *v = vswitch_of(move);
	struct vswitch_port_info info;
	uint64_t now_ns = move_now_ns(move);

	v->ops->info(v->ctx, p->port, &info);
	if (info.connected_ns && info.connected_ns < now_ns)
		p->stamp[MOMENT_CONNECTED] = now_ns - info.connected_ns;
	p->stamp[MOMENT_LOADED] = atomic_load(&move->loaded_ns);
}

static void port_tell(struct move *move, struct move_port *p)
{
	uint64_t serial = exchange_tell(move->mover);

	pthread_mutex_lock(&move->mover->lock);
	p->told_serial = serial;
	pthread_mutex_unlock(&move->mover->lock);
	/* They may all have heard it before the number stood there. */
	exchange_told(move->mover);
}

static int commit_send(struct move *move, struct move_port *p)
{
	struct stream_commit commit = {.epoch = p->epoch, .degraded = atomic_load(&p->degraded)};
	struct wire_writer w = move_writer(move);

	moments_tell(p, &commit);
	stream_put_commit(&w, &commit);
	return move_send(move, STREAM_COMMIT, STREAM_SECTION_MOVE, p->index, &w);
}

static int port_active(struct move *move, struct move_port *p)
{
	const struct vswitch *v = vswitch_of(move);
	int rc;

	if (!p->announced) {
		p->announced = true;
		v->ops->announce(v->ctx, p->port);
		p->stamp[MOMENT_ANNOUNCED] = move_now_ns(move);
		port_tell(move, p);
		port_moments(move, p);
	}
	if (p->told)
		return 0;
	rc = commit_send(move, p);
	if (rc != 0)
		return rc;
	p->told = true;
	p->stamp[MOMENT_COMMITTED] = move_now_ns(move);
	return 0;
}

/* Ports that have become ours, and those whose VM is here before their state. */
int dest_look(struct move *move)
{
	const struct vswitch *v = vswitch_of(move);

	for (uint32_t i = 0; i < move->n_ports; i++) {
		struct move_port *p = &move->port[i];
		int rc = 0;

		if (!p->port || !p->prepared)
			continue;
		if (word_counts(move, p) && p->final_loaded && port_waits(p))
			v->ops->event(v->ctx, p->port, ROLE_COMMANDED, 0);
		dest_port_look(move, p);
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

int dest_activate(struct move *move)
{
	int rc;

	move_phase(move, MOVER_COMMITTED);
	rc = dest_look(move);
	/* Without a connection the source hears it by its own question or from the peers' exchange.
	 */
	return rc == MOVE_LOST ? 0 : rc;
}

/* ---- done ---- */

static bool all_committed(const struct move *move)
{
	for (uint32_t i = 0; i < move->n_ports; i++)
		if (!move->port[i].committed)
			return false;
	return move->n_ports > 0;
}

static void announce_again(struct move *move)
{
	const struct vswitch *v = vswitch_of(move);

	for (uint32_t i = 0; i < move->n_ports; i++)
		v->ops->announce(v->ctx, move->port[i].port);
}

int dest_done(struct move *move)
{
	uint64_t until_ns = move_now_ns(move) + DONE_NS, next_ns, interval_ns;
	uint32_t repeats;

	pthread_mutex_lock(&move->mover->lock);
	repeats = move->mover->limits.announce_repeats;
	interval_ns = move->mover->limits.announce_interval_ms * 1000000ULL;
	pthread_mutex_unlock(&move->mover->lock);
	next_ns = move_now_ns(move) + interval_ns;
	for (uint32_t i = 0; i < move->n_ports; i++)
		dest_port_empty(&move->port[i]);
	while (repeats > 0 || (move_now_ns(move) < until_ns && !all_committed(move))) {
		int rc = move_pump(move, repeats ? next_ns : until_ns);

		if (rc == MOVE_LOST) {
			move_channel_drop(move);
			until_ns = 0;
		}
		if (rc == -ESHUTDOWN)
			return rc;
		if (dest_channel_take(move)) {
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
