/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The source from the first round to the end: follow, the final after the freeze, and what is left
 * when the destination owns the VM.
 */
#include <errno.h>

#include "ctrl/migrate/credit.h"
#include "ctrl/migrate/source_impl.h"

#define ROUND_MIN_NS 5000000ULL
#define ROUND_MAX_NS 50000000ULL
#define ROUND_SLOW_NS 30000000ULL /* to hear that a round was taken */
#define READY_CHANGED 10000 /* residual of a round that the final may have */
#define TAKE_BACK_NS 200000000ULL

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

void source_take_back_end(struct move *move, struct move_port *p)
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
			source_take_back_end(move, p);
		if (port_role(p) == ROLE_OWNER && atomic_exchange(&p->frozen_ns, 0) != 0) {
			int rc = port_thawed(move, p);

			move->past_freeze = source_any_frozen(move);
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
		source_port_look(move, p);
	}
	move_phase(move, source_any_frozen(move) ? MOVER_FINAL : MOVER_READY);
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
	uint64_t now_ns = move_now_ns(move);

	if (move->behind == behind)
		return;
	pthread_mutex_lock(&move->mover->lock);
	move->behind = behind;
	move->serial++;
	move_event_add(move, MOVER_EVENT_BEHIND, now_ns);
	pthread_cond_broadcast(&move->mover->changed);
	pthread_mutex_unlock(&move->mover->lock);
}

/* Do the sessions of a VM get through as they should, or is the way full of its memory? */
static bool rounds_slow(const struct move *move)
{
	uint64_t now_ns = move_now_ns(move);

	for (uint32_t i = 0; i < move->n_ports; i++) {
		const struct move_port *p = &move->port[i];

		if (p->committed || port_frozen(p) || p->round == 0)
			continue;
		if (p->changed > READY_CHANGED || p->round_took_ns > ROUND_SLOW_NS ||
			(p->round_done != p->round && now_ns - p->round_sent_ns > ROUND_SLOW_NS))
			return true;
	}
	return false;
}

/* How many moves share what memory may take. Under the lock. */
static uint32_t credit_sharers(const struct move *move)
{
	uint32_t n = 0;

	for (const struct move *other = move->mover->moves; other; other = other->next)
		n += other->source && !other->done && other->mode == MOVER_AGENT;
	return n;
}

/* The VM's memory yields to its sessions. */
static void credit_look(struct move *move)
{
	struct mover *mover = move->mover;
	struct bandwidth_stats stats;
	struct credit_world world;
	uint64_t before = move->credit_bytes_per_s, now, now_ns = move_now_ns(move);

	if (move->mode != MOVER_AGENT)
		return;
	bandwidth_stats(mover->bandwidth, &stats);
	world.cap_bytes_per_s = stats.rate_bytes_per_s;
	world.sessions_bytes = stats.taken_bytes[BANDWIDTH_SESSIONS];
	world.slow = rounds_slow(move);
	pthread_mutex_lock(&mover->lock);
	world.sharers = credit_sharers(move);
	now = credit_step(&move->credit, &world, now_ns);
	move->credit_bytes_per_s = now;
	if (credit_differs(before, now)) {
		move->serial++;
		pthread_cond_broadcast(&mover->changed);
	} else {
		move->credit_bytes_per_s = before;
	}
	pthread_mutex_unlock(&mover->lock);
}

int source_follow(struct move *move)
{
	bool ready = false;

	for (;;) {
		uint64_t next_ns;
		int rc = source_look(move);

		if (rc != 0 && rc != MOVE_GOTO)
			return rc;
		if (source_all_committed(move) ||
			(source_any_frozen(move) && (ready || move->past_freeze)))
			return 0;
		rc = rounds_run(move);
		while (rc == 0 && !rounds_done(move) && !source_any_frozen(move)) {
			rc = move_pump(move, move_now_ns(move) + ROUND_SLOW_NS);
			if (rc == 0)
				rc = source_look(move) < 0 ? -EIO : 0;
			credit_look(move);
		}
		if (rc == 0 && !ready && rounds_small(move, READY_CHANGED)) {
			rc = source_ready(move);
			ready = rc == 0;
		}
		if (rc != 0)
			return rc;
		move_limit_again(move);
		credit_look(move);
		behind_set(move, ready && !rounds_small(move, READY_CHANGED * 4));
		next_ns = move_now_ns(move) + (ready ? round_pause_ns(move) : ROUND_MIN_NS);
		if (!source_any_frozen(move))
			rc = move_pump(move, next_ns);
		if (rc != 0)
			return rc;
	}
}

void source_follow_undo(struct move *move)
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

int source_final_step(struct move *move)
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

int source_on_verified(struct move *move, struct move_port *p, const struct frame *frame)
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

int source_commit(struct move *move)
{
	while (!source_all_committed(move)) {
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
int source_moved(struct move *move)
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
