/* SPDX-License-Identifier: BSD-3-Clause */
/* What commands and the VM's agent do with a move, and how they look at it. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "ctrl/migrate/mover_impl.h"

static int move_missing(const char *id, char *error, size_t error_len)
{
	snprintf(error, error_len, "no move \"%s\"", id);
	return -ENOENT;
}

int mover_abort(struct mover *mover, const char *id, char *error, size_t error_len)
{
	struct move *move;
	int rc = 0;

	pthread_mutex_lock(&mover->lock);
	move = mover_find(mover, id);
	if (!move) {
		rc = move_missing(id, error, error_len);
	} else if (move->phase == MOVER_COMMITTED) {
		snprintf(error, error_len, "too late: %s owns the VM",
			move->source ? move->peer : "this host");
		rc = -EALREADY;
	} else if (!move->done && !atomic_load(&move->abort)) {
		snprintf(move->abort_reason, sizeof(move->abort_reason), "aborted on %s",
			mover->name);
		atomic_store(&move->abort, true);
		move_wake(move);
	}
	pthread_mutex_unlock(&mover->lock);
	return rc;
}

int mover_commit(struct mover *mover, const char *id, char *error, size_t error_len)
{
	struct move *move;
	int rc = 0;

	pthread_mutex_lock(&mover->lock);
	move = mover_find(mover, id);
	if (!move) {
		rc = move_missing(id, error, error_len);
	} else if (move->done && move->phase != MOVER_COMMITTED) {
		snprintf(error, error_len, "move %s is over: %s", move->id, move->reason);
		rc = -EALREADY;
	} else if (move->source) {
		snprintf(error, error_len,
			"commit on %s, where the VM runs from then on; here its "
			"rings going down (or vport/pause) freezes it",
			move->peer);
		rc = -EINVAL;
	} else {
		if (!atomic_load(&move->commit))
			atomic_store(&move->commit_ns, move_now_ns(move));
		atomic_store(&move->commit, true);
		move_wake(move);
	}
	pthread_mutex_unlock(&mover->lock);
	return rc;
}

/* For people who look at a move that stands. Under the lock. */
static void view_waits(const struct move *move, struct mover_view *view)
{
	static const char *const texts[2][MOVER_FAILED + 1] = {
		{[MOVER_READY] = "the VM to stop on %s",
			[MOVER_VERIFIED] = "the VM to start here (its rings, vport/resume or "
					   "migrate/commit), or again on %s"},
		{[MOVER_READY] = "the VM to stop here (its rings or vport/pause), to start on %s",
			[MOVER_FINAL] = "%s to take the last changes",
			[MOVER_VERIFIED] = "the VM to start on %s, or here again"},
	};
	const char *text = texts[move->source][move->phase];

	if (move->done)
		return;
	if (move->source ? strcmp(view->step, "connect") == 0 : atomic_load(&move->lost_ns) != 0)
		text = "the connection with %s";
	if (text)
		snprintf(view->waits_for, sizeof(view->waits_for), text, move->peer);
}

/* Under the lock. */
static void view_fill(const struct move *move, struct mover_view *view)
{
	memset(view, 0, sizeof(*view));
	memcpy(view->id, move->id, sizeof(view->id));
	memcpy(view->vm, move->vm, sizeof(view->vm));
	memcpy(view->peer, move->peer, sizeof(view->peer));
	snprintf(view->step, sizeof(view->step), "%s", move->done ? "-" : move_step_name(move));
	memcpy(view->reason, move->reason, sizeof(view->reason));
	view->source = move->source;
	view->done = move->done;
	view->behind = move->behind;
	view->late = move->late;
	view->credit_bytes_per_s = move->credit_bytes_per_s;
	view->phase = move->phase;
	view->serial = move->serial + 1;
	view->events = move->event_count;
	view->started_ns = move->started_ns;
	view_waits(move, view);
}

int mover_view(struct mover *mover, const char *id, struct mover_view *view)
{
	struct move *move;

	pthread_mutex_lock(&mover->lock);
	move = mover_find(mover, id);
	if (move)
		view_fill(move, view);
	pthread_mutex_unlock(&mover->lock);
	return move ? 0 : -ENOENT;
}

int mover_wait(struct mover *mover, const char *id, uint64_t serial, uint32_t timeout_ms,
	struct mover_view *view)
{
	struct timespec until;
	struct move *move;
	int rc = 0;

	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_sec += timeout_ms / 1000;
	until.tv_nsec += (long)(timeout_ms % 1000) * 1000000;
	if (until.tv_nsec >= 1000000000) {
		until.tv_nsec -= 1000000000;
		until.tv_sec++;
	}
	pthread_mutex_lock(&mover->lock);
	while ((move = mover_find(mover, id)) != NULL && move->serial + 1 == serial && rc == 0)
		rc = pthread_cond_timedwait(&mover->changed, &mover->lock, &until);
	if (move)
		view_fill(move, view);
	pthread_mutex_unlock(&mover->lock);
	return move ? 0 : -ENOENT;
}

/* What a phase of the VM means for the move. */
static void agent_acts(struct mover *mover, struct move *move, const char *phase)
{
	char error[256];

	if (strcmp(phase, "stopped") == 0 || strcmp(phase, "resumed") == 0)
		atomic_store(&move->agent_stopped, strcmp(phase, "stopped") == 0);
	if (strcmp(phase, "loaded") == 0 && !atomic_load(&move->loaded_ns))
		atomic_store(&move->loaded_ns, move_now_ns(move));
	if (!move->source && strcmp(phase, "running") == 0)
		mover_commit(mover, move->id, error, sizeof(error));
	else if (strcmp(phase, "kept") == 0 || strcmp(phase, "refused") == 0)
		mover_abort(mover, move->id, error, sizeof(error));
	else
		move_wake(move);
}

void mover_agent_phase(struct mover *mover, const char *id, const char *phase, const char *facts)
{
	struct move *move;

	pthread_mutex_lock(&mover->lock);
	move = mover_find(mover, id);
	if (move && facts[0])
		snprintf(move->facts, sizeof(move->facts), "%s", facts);
	pthread_mutex_unlock(&mover->lock);
	/* Moves stay in the list while there is a loop to call this. */
	if (move && !move->done)
		agent_acts(mover, move, phase);
}

void mover_counts(struct mover *mover, struct mover_counts *counts)
{
	pthread_mutex_lock(&mover->lock);
	*counts = mover->counts;
	counts->claims = mover->claims_waiting;
	pthread_mutex_unlock(&mover->lock);
}

void mover_use(struct mover *mover, struct mover_use *use)
{
	pthread_mutex_lock(&mover->lock);
	use->next = mover->uses;
	mover->uses = use;
	pthread_mutex_unlock(&mover->lock);
}

void mover_unuse(struct mover *mover, struct mover_use *use)
{
	struct mover_use **at = &mover->uses;

	pthread_mutex_lock(&mover->lock);
	while (*at != use)
		at = &(*at)->next;
	*at = use->next;
	pthread_mutex_unlock(&mover->lock);
}

void mover_channels(struct mover *mover, struct channel_host_status *status)
{
	channel_host_status(mover->channel_host, status);
}

int mover_vport_free(void *arg, const char *vport, char *error, size_t error_len)
{
	struct mover *mover = arg;
	const struct mover_use *use;
	struct move *move;

	pthread_mutex_lock(&mover->lock);
	move = mover_of_vport(mover, vport);
	if (move)
		snprintf(error, error_len, "vport %s: move %s %s %s owns it; abort the move first",
			vport, move->id, move->source ? "to" : "from", move->peer);
	for (use = move ? NULL : mover->uses; use; use = use->next)
		if (strcmp(use->vport, vport) == 0)
			break;
	if (use)
		snprintf(error, error_len, "vport %s: %s", vport, use->what);
	pthread_mutex_unlock(&mover->lock);
	return move || use ? -EBUSY : 0;
}

int mover_vport_discard(struct mover *mover, const char *vport, char *error, size_t error_len)
{
	const struct vswitch *v = &mover->vswitch;
	struct vswitch_port *port = v->ops->find(v->ctx, vport);
	struct store_entry entry;
	int rc;

	if (!port || !store_get(mover->store, vport, &entry) || !entry.moved_in) {
		snprintf(error, error_len, "vport %s did not come with a move", vport);
		return -ENOENT;
	}
	rc = mover_vport_free(mover, vport, error, error_len);
	if (rc != 0)
		return rc;
	v->ops->discard(v->ctx, port);
	store_remove(mover->store, vport);
	return 0;
}
