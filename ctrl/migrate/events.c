/* SPDX-License-Identifier: BSD-3-Clause */
/* What happened in a move, one after the other: kept in a ring, for those who watch it. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "ctrl/migrate/mover_impl.h"

const char *mover_event_name(enum mover_event_kind kind)
{
	static const char *const names[] = {
		[MOVER_EVENT_STEP] = "step",
		[MOVER_EVENT_WALK] = "walk",
		[MOVER_EVENT_ROUND] = "round",
		[MOVER_EVENT_PHASE] = "phase",
		[MOVER_EVENT_BEHIND] = "behind",
		[MOVER_EVENT_LOST] = "lost",
		[MOVER_EVENT_LATE] = "late",
		[MOVER_EVENT_END] = "end",
	};

	return (unsigned int)kind < sizeof(names) / sizeof(names[0]) ? names[kind] : "unknown";
}

/* Under the lock. */
struct move_event *move_event_add(struct move *move, enum mover_event_kind kind, uint64_t now_ns)
{
	struct move_event *event = &move->events[move->event_count++ % MOVE_EVENTS_MAX];

	*event = (struct move_event){.at_ns = now_ns - move->started_ns,
		.kind = kind,
		.step = move_step_name(move),
		.phase = move->phase,
		.behind = move->behind};
	return event;
}

void move_event_sessions(struct move_port *p, enum mover_event_kind kind, uint64_t round,
	uint64_t changed, uint64_t sessions)
{
	struct move *move = p->move;
	uint64_t now_ns = move_now_ns(move);
	struct move_event *event;

	pthread_mutex_lock(&move->mover->lock);
	event = move_event_add(move, kind, now_ns);
	event->port = p;
	event->round = round;
	event->changed = changed;
	event->sessions = sessions;
	pthread_mutex_unlock(&move->mover->lock);
}

void move_event_round(struct move_port *p, uint64_t round, uint64_t changed)
{
	/* Of a VM that is quiet nothing is said but that it is followed. */
	if (changed || round <= 1)
		move_event_sessions(p, MOVER_EVENT_ROUND, round, changed, p->tally.count);
}

/* Under the lock. */
static void event_view(
	const struct move *move, const struct move_event *from, struct mover_event *to)
{
	memset(to, 0, sizeof(*to));
	to->at_ns = from->at_ns;
	to->kind = from->kind;
	to->step = from->step;
	to->phase = from->phase;
	to->behind = from->behind;
	if (from->port)
		snprintf(to->port, sizeof(to->port), "%s", from->port->name);
	to->round = from->round;
	to->changed = from->changed;
	to->sessions = from->sessions;
	if (from->kind == MOVER_EVENT_END || from->kind == MOVER_EVENT_LATE)
		memcpy(to->reason, move->reason, sizeof(to->reason));
}

int mover_event_next(struct mover *mover, const char *id, uint64_t after, struct mover_event *event)
{
	const struct move *move;
	uint64_t number = after;
	int rc = -ENOENT;

	pthread_mutex_lock(&mover->lock);
	move = mover_find(mover, id);
	if (move && after >= move->event_count)
		rc = -EAGAIN;
	if (move && after < move->event_count) {
		if (move->event_count - after > MOVE_EVENTS_MAX)
			number = move->event_count - MOVE_EVENTS_MAX;
		event_view(move, &move->events[number % MOVE_EVENTS_MAX], event);
		event->number = number + 1;
		rc = 0;
	}
	pthread_mutex_unlock(&mover->lock);
	return rc;
}
