/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The life of a move: move_start() makes the thread; the thread reaches QEMU, runs the hand-over
 * to its outcome and records it; move_destroy() joins. Other threads only post notes
 * to the inbox, read the published report, or (memory connections at D) run inside carry_take().
 */
#include "ctrl/vmagent/move_impl.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define LAST_PHASE_MS 5000 /* ferryd is told the outcome within this, or not at all */

static void view_heard(void *ctx, const struct switch_view *view)
{
	struct handover_input input = {.kind = INPUT_SWITCH, .view = *view};

	move_post(ctx, &input, NULL);
}

static void memory_lost(void *ctx, int err)
{
	struct move *move = ctx;
	struct handover_input input = {.kind = INPUT_CARRY_LOST};

	log_warn(move->options.log, move->options.record.vm, "memory path: %s", strerror(-err));
	move_post(move, &input, NULL);
}

static int memory_dial(void *ctx, unsigned int stream, const struct channel_options *options,
	struct channel **channel)
{
	return move_dial(ctx, PEER_INDEX_MEMORY + stream, options, channel);
}

static int move_create_carry(struct move *move)
{
	struct carry_options options = {
		.source = move->record.side == HANDOVER_SOURCE,
		.path = move->carry_path,
		.zstd_level = move->options.zstd_level,
		.dial = memory_dial,
		.lost = memory_lost,
		.ctx = move,
	};
	int len = snprintf(move->carry_path, sizeof(move->carry_path), "%s/%s.%s",
		move->options.agent->run_dir, move->record.id, options.source ? "out" : "in");

	if (len >= (int)sizeof(move->carry_path))
		return -ENAMETOOLONG;
	snprintf(move->carry_uri, sizeof(move->carry_uri), "unix:%s", move->carry_path);
	return carry_create(&options, &move->carry);
}

/* Finds the QEMU the record speaks of, or the one that runs the VM now. */
static void move_reach_qemu(struct move *move, bool again)
{
	struct handover *handover = &move->handover;
	int err;

	if (again &&
		(move->record.qemu_pid == 0 || move->record.qemu_start == 0 ||
			record_process_start(move->record.qemu_pid) != move->record.qemu_start)) {
		handover->qemu_dead = true;
		move->dead_told = true;
		return;
	}
	err = qmp_connect(move->qmp_path, vmagent_now_ns() + MOVE_QMP_MS * 1000000ull, &move->qmp);
	if (err && !again) {
		snprintf(handover->reason, sizeof(handover->reason), "QMP at %.100s: %s",
			move->qmp_path, move_reach_error(err));
		return;
	}
	if (err) {
		move->qmp_expected = true;
		move->qmp_lost_ns = vmagent_now_ns();
		return;
	}
	move_qemu_remember(move);
}

/* The other side may ask for the outcome for as long as it likes: the record answers. */
static void move_settle(struct move *move)
{
	uint64_t deadline_ns = vmagent_now_ns() + LAST_PHASE_MS * 1000000ull;
	struct handover_input input;

	qmp_close(move->qmp); /* QEMU serves one client, and the next move may begin now */
	move->qmp = NULL;
	move->record.ended = true;
	snprintf(move->record.reason, sizeof(move->record.reason), "%s", move->handover.reason);
	record_save(move->options.agent->state_dir, &move->record);
	pthread_mutex_lock(&move->lock);
	move->settled = true;
	pthread_mutex_unlock(&move->lock);
	move_publish(move);
	record_report_save(move->options.agent->state_dir, move->record.id, move->report);
	log_info(move->options.log, move->record.vm, "move %s: %s%s%s", move->record.id,
		handover_outcome_name(move->handover.outcome), move->handover.reason[0] ? ": " : "",
		move->handover.reason);
	while (move->pending_phase[0] != '\0' && vmagent_now_ns() < deadline_ns && !move->stopping)
		move_next(move, deadline_ns, &input);
}

static void move_end_carry(struct move *move)
{
	struct carry *carry = move->carry;

	carry_cut(carry);
	pthread_mutex_lock(&move->lock);
	move->carry = NULL; /* nobody enters any more */
	while (move->carry_users != 0)
		pthread_cond_wait(&move->carry_idle, &move->lock);
	pthread_mutex_unlock(&move->lock);
	carry_destroy(carry);
}

/* With the lock held. */
static void move_empty_inbox(struct move *move)
{
	struct move_note *note;

	while ((note = STAILQ_FIRST(&move->inbox)) != NULL) {
		STAILQ_REMOVE_HEAD(&move->inbox, next);
		channel_close(note->peer);
		free(note);
	}
}

static void *move_main(void *arg)
{
	struct move *move = arg;
	struct handover *handover = &move->handover;
	enum handover_mark mark = move->record.mark;
	bool source = move->record.side == HANDOVER_SOURCE;

	handover->side = move->record.side;
	if (source || mark != MARK_SILENT)
		move_reach_qemu(move, mark != MARK_SILENT);
	handover->mark = mark;
	if (move->peer == NULL)
		move->peer_lost_ns = vmagent_now_ns(); /* until there is one */
	move_dial_start(move);
	handover->outcome =
		source ? handover_run_source(handover, mark) : handover_run_dest(handover, mark);
	if (handover->outcome != OUTCOME_NONE)
		move_settle(move);
	else
		move_publish(move);
	move->stopping = true;
	channel_cancel_set(&move->dial_cancel);
	move_dial_join(move);
	move_end_carry(move);
	switch_close(move->switch_agent);
	qmp_close(move->qmp);
	channel_close(move->peer);
	move->peer = NULL;
	pthread_mutex_lock(&move->lock);
	move->ended = true;
	move_empty_inbox(move);
	pthread_mutex_unlock(&move->lock);
	return NULL;
}

static int move_init(struct move *move)
{
	const struct options_mark mark = {"{vm}", move->record.vm};
	struct handover *handover = &move->handover;
	struct switch_options watch = {
		.path = move->options.agent->ferryd,
		.id = move->record.id,
		.vm = move->record.vm,
		.peer = move->record.peer,
		.side = move->record.side,
		.heard = view_heard,
		.ctx = move,
	};
	int err;

	handover->policy = move->options.policy;
	handover->was_running = move->record.was_running;
	handover->world = &move_world;
	handover->ctx = move;
	snprintf(handover->id, sizeof(handover->id), "%s", move->record.id);
	snprintf(handover->vm, sizeof(handover->vm), "%s", move->record.vm);
	move->qmp_path = options_expand(move->options.agent->qmp, &mark, 1);
	err = move->qmp_path ? move_create_carry(move) : -ENOMEM;
	if (err == 0)
		err = switch_open(&watch, &move->switch_agent);
	if (err == 0)
		move_publish(move);
	return err;
}

static void move_free(struct move *move)
{
	move_empty_inbox(move);
	free(move->qmp_path);
	json_decref(move->report);
	json_decref(move->pending_facts);
	close(move->wake_fd);
	channel_cancel_fini(&move->dial_cancel);
	pthread_cond_destroy(&move->carry_idle);
	pthread_mutex_destroy(&move->lock);
	free(move);
}

int move_start(const struct move_options *options, struct move **out)
{
	struct move *move = calloc(1, sizeof(*move));
	int err;

	if (move == NULL)
		return -ENOMEM;
	if (channel_cancel_init(&move->dial_cancel)) {
		free(move);
		return -EMFILE;
	}
	move->options = *options;
	move->record = options->record;
	move->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	pthread_mutex_init(&move->lock, NULL);
	pthread_cond_init(&move->carry_idle, NULL);
	STAILQ_INIT(&move->inbox);
	move->peer = options->peer;
	move->heard_ns = vmagent_now_ns();
	move->handover.peer_up = options->peer != NULL;
	err = move->wake_fd < 0 ? -EMFILE : move_init(move);
	if (err == 0)
		err = -pthread_create(&move->thread, NULL, move_main, move);
	if (err) {
		switch_close(move->switch_agent);
		carry_destroy(move->carry);
		move_free(move);
		return err;
	}
	*out = move;
	return 0;
}

void move_abort(struct move *move, const char *reason)
{
	struct handover_input input = {.kind = INPUT_ABORT};

	snprintf(input.reason, sizeof(input.reason), "%s", reason);
	move_post(move, &input, NULL);
}

void move_resolve(struct move *move, bool run)
{
	struct handover_input input = {.kind = run ? INPUT_RESOLVE_RUN : INPUT_RESOLVE_DROP};

	move_post(move, &input, NULL);
}

void move_attach(struct move *move, struct channel *peer)
{
	move_post(move, NULL, peer);
}

void move_shutdown(struct move *move)
{
	struct handover_input input = {.kind = INPUT_SHUTDOWN};

	move->stopping = true;
	channel_cancel_set(&move->dial_cancel);
	move_post(move, &input, NULL);
}

int move_take_memory(struct move *move, unsigned int stream, struct channel *channel)
{
	struct carry *carry;
	int err;

	pthread_mutex_lock(&move->lock);
	carry = move->carry;
	move->carry_users += carry != NULL;
	pthread_mutex_unlock(&move->lock);
	if (carry == NULL) {
		channel_close(channel);
		return -ESHUTDOWN;
	}
	err = carry_take(carry, stream, channel);
	pthread_mutex_lock(&move->lock);
	move->carry_users--;
	pthread_cond_broadcast(&move->carry_idle);
	pthread_mutex_unlock(&move->lock);
	return err;
}

bool move_ended(const struct move *move)
{
	struct move *unlocked = (struct move *)move;
	bool ended;

	pthread_mutex_lock(&unlocked->lock);
	ended = move->ended;
	pthread_mutex_unlock(&unlocked->lock);
	return ended;
}

bool move_settled(const struct move *move)
{
	struct move *unlocked = (struct move *)move;
	bool settled;

	pthread_mutex_lock(&unlocked->lock);
	settled = move->settled || move->ended;
	pthread_mutex_unlock(&unlocked->lock);
	return settled;
}

pid_t move_child(const struct move *move)
{
	return move->child;
}

json_t *move_report(struct move *move)
{
	json_t *report;

	pthread_mutex_lock(&move->lock);
	report = json_deep_copy(move->report);
	pthread_mutex_unlock(&move->lock);
	return report;
}

const struct record *move_identity(const struct move *move)
{
	return &move->options.record;
}

void move_destroy(struct move *move)
{
	if (move == NULL)
		return;
	move_shutdown(move);
	pthread_join(move->thread, NULL);
	move_free(move);
}
