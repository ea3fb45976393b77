/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <rte_common.h>

#include "ctrl/migrate/mover_impl.h"

const char *move_step_name(const struct move *move)
{
	return move->steps && move->steps[move->step].name ? move->steps[move->step].name : "done";
}

void move_changed(struct move *move)
{
	pthread_mutex_lock(&move->mover->lock);
	move->serial++;
	pthread_cond_broadcast(&move->mover->changed);
	pthread_mutex_unlock(&move->mover->lock);
}

void move_phase(struct move *move, enum mover_phase phase)
{
	uint64_t now_ns = move_now_ns(move);

	pthread_mutex_lock(&move->mover->lock);
	if (move->phase != phase) {
		move->phase = phase;
		move->serial++;
		move_event_add(move, MOVER_EVENT_PHASE, now_ns);
		pthread_cond_broadcast(&move->mover->changed);
	}
	pthread_mutex_unlock(&move->mover->lock);
}

void move_fail(struct move *move, const char *format, ...)
{
	char text[STREAM_REASON_MAX];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	pthread_mutex_lock(&move->mover->lock);
	/* The first reason is the cause. */
	if (!move->reason[0])
		memcpy(move->reason, text, sizeof(text));
	pthread_mutex_unlock(&move->mover->lock);
}

void move_reason_add(struct move *move, const char *format, ...)
{
	size_t used;
	va_list args;

	va_start(args, format);
	pthread_mutex_lock(&move->mover->lock);
	used = strlen(move->reason);
	vsnprintf(move->reason + used, sizeof(move->reason) - used, format, args);
	pthread_mutex_unlock(&move->mover->lock);
	va_end(args);
}

/* ---- limits of steps ---- */

static void limit_set(struct move *move, const struct move_step *step, uint64_t now_ns)
{
	uint64_t limit_ms =
		step->limit_is_pause ? move->mover->limits.pause_max_ms : step->limit_ms;

	move->limit_from_ns = now_ns;
	move->limit_ns = limit_ms * 1000000ULL;
	move->late = false;
}

void move_limit_again(struct move *move)
{
	move->limit_from_ns = move_now_ns(move);
}

/* Can this side let go of the move, and nothing be lost by it? */
static bool limit_may_fail(const struct move *move)
{
	if (move->past_freeze || (!move->source && (move->resumed || move->reconnects)))
		return false;
	for (uint32_t i = 0; i < move->n_ports; i++)
		if (move->port[i].final_loaded)
			return false;
	return true;
}

int move_limit_look(struct move *move)
{
	const struct move_step *step = &move->steps[move->step];
	uint64_t limit_ms = move->limit_ns / 1000000, now_ns = move_now_ns(move);

	if (!move->limit_ns || now_ns - move->limit_from_ns < move->limit_ns)
		return 0;
	move->limit_ns = 0;
	if (step->late == LATE_FAIL && limit_may_fail(move)) {
		move_fail(move, "step %s: %s has not answered for %llu ms", step->name, move->peer,
			(unsigned long long)limit_ms);
		return -ETIME;
	}
	pthread_mutex_lock(&move->mover->lock);
	move->late = true;
	move->serial++;
	move->mover->counts.alarms++;
	move_event_add(move, MOVER_EVENT_LATE, now_ns);
	pthread_cond_broadcast(&move->mover->changed);
	pthread_mutex_unlock(&move->mover->lock);
	mover_log(move->mover, PLUGIN_LOG_WARN, move->vm,
		"move %s %s %s: step %s takes longer than %llu ms", move->id,
		move->source ? "to" : "from", move->peer, step->name, (unsigned long long)limit_ms);
	return 0;
}

/* ---- the walk ---- */

/* The one writer of the step. */
static void step_enter(struct move *move, uint32_t step)
{
	uint64_t now_ns = move_now_ns(move);
	struct move_time *last;

	pthread_mutex_lock(&move->mover->lock);
	limit_set(move, &move->steps[step], now_ns);
	last = move->timeline_count ? &move->timeline[move->timeline_count - 1] : NULL;
	if (last && !last->end_ns)
		last->end_ns = now_ns;
	move->step = step;
	move->serial++;
	if (move->steps[step].name && move->timeline_count < MOVE_TIMELINE_MAX)
		move->timeline[move->timeline_count++] =
			(struct move_time){.step = move->steps[step].name, .start_ns = now_ns};
	if (move->steps[step].name)
		move_event_add(move, MOVER_EVENT_STEP, now_ns);
	pthread_cond_broadcast(&move->mover->changed);
	pthread_mutex_unlock(&move->mover->lock);
}

static uint32_t step_index(const struct move_step *steps, const char *name)
{
	uint32_t i = 0;

	while (steps[i].name && strcmp(steps[i].name, name) != 0)
		i++;
	return i;
}

/* The connection is lost: begin again where the step says. */
static uint32_t step_lost(struct move *move, const struct move_step *steps, uint32_t step)
{
	uint64_t now_ns = move_now_ns(move);

	pthread_mutex_lock(&move->mover->lock);
	move->reconnects++;
	move_event_add(move, MOVER_EVENT_LOST, now_ns);
	pthread_mutex_unlock(&move->mover->lock);
	return step_index(steps, steps[step].on_lost);
}

static void move_undo(struct move *move, const struct move_step *steps, uint32_t step)
{
	move->limit_ns = 0; /* what undoes has limits of its own */
	for (uint32_t i = step + 1; i-- > 0;)
		if (steps[i].undo)
			steps[i].undo(move);
}

static void move_end(struct move *move, bool failed)
{
	struct mover *mover = move->mover;
	uint64_t now_ns = move_now_ns(move);
	bool stopped = atomic_load(&move->stop);
	struct channel *handed;

	move_channel_drop(move);
	pthread_mutex_lock(&mover->lock);
	handed = move->handed;
	move->handed = NULL;
	if (move->timeline_count && !move->timeline[move->timeline_count - 1].end_ns) {
		move->timeline[move->timeline_count - 1].end_ns = now_ns;
		move->timeline[move->timeline_count - 1].failed = failed;
	}
	move->ended_ns = now_ns;
	if (failed)
		move->phase = MOVER_FAILED;
	if (failed && atomic_load(&move->abort))
		mover->counts.aborted++;
	else if (failed)
		mover->counts.failed++;
	else
		mover->counts.committed++;
	mover->counts.running--;
	move->done = true;
	move->serial++;
	move_event_add(move, MOVER_EVENT_END, now_ns);
	pthread_cond_broadcast(&mover->changed);
	pthread_mutex_unlock(&mover->lock);
	for (uint32_t i = 0; failed && !stopped && move->source && i < move->n_ports; i++)
		exchange_look_again(mover, move->port[i].name);
	/* A connection that came too late: its other end hears so at once. */
	if (handed)
		channel_close(handed);
	if (!stopped)
		mover_log(mover, failed ? PLUGIN_LOG_WARN : PLUGIN_LOG_INFO, move->vm,
			"move %s %s %s: %s", move->id, move->source ? "to" : "from", move->peer,
			failed ? move->reason : "done");
}

void move_drive(struct move *move, const struct move_step *steps)
{
	bool failed = false;
	uint32_t step = 0,
		 reached = 0; /* it may have gone back: what was made is undone from there */

	move->steps = steps;
	while (steps[step].name && !failed) {
		int rc;

		step_enter(move, step);
		reached = RTE_MAX(reached, step);
		rc = steps[step].run(move);
		if (atomic_load(&move->stop)) {
			/* The mover goes: roles stand in the store, nothing is undone. */
			move_fail(move, "ferryd was stopped");
			move_end(move, true);
			return;
		}
		if (rc == 0) {
			step++;
		} else if (rc == MOVE_DONE) {
			break;
		} else if (rc == MOVE_GOTO) {
			step = step_index(steps, move->go_to);
		} else if (rc == MOVE_LOST && steps[step].on_lost) {
			step = step_lost(move, steps, step);
		} else {
			if (rc == MOVE_LOST)
				move_fail(move, "connection lost");
			else if (rc == -ECANCELED)
				move_fail(move, "%s", move->abort_reason);
			else
				move_fail(move, "%s: %s", steps[step].name, strerror(-rc));
			move_undo(move, steps, reached);
			failed = true;
		}
	}
	move_end(move, failed);
}
