/* SPDX-License-Identifier: BSD-3-Clause */
/* The one place where a move waits: whatever happens anywhere becomes one input at a time. */
#include "ctrl/vmagent/move_impl.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define QUERY_NS 500000000ull /* events may be lost: ask this often when none comes */
#define QMP_RETRY_NS 100000000ull
#define QMP_AGAIN_NS 1000000000ull /* to connect again */
#define QMP_BURST 64 /* messages that bring nothing, before others have their turn */
#define PHASE_RETRY_NS 200000000ull
#define PUBLISH_NS 100000000ull

void move_post(struct move *move, const struct handover_input *input, struct channel *peer)
{
	struct move_note *note = calloc(1, sizeof(*note));
	uint64_t one = 1;
	bool ended;

	if (note == NULL) {
		channel_close(peer);
		return;
	}
	if (input != NULL)
		note->input = *input;
	note->peer = peer;
	pthread_mutex_lock(&move->lock);
	ended = move->ended;
	if (!ended)
		STAILQ_INSERT_TAIL(&move->inbox, note, next);
	pthread_mutex_unlock(&move->lock);
	if (ended) {
		channel_close(peer);
		free(note);
		return;
	}
	if (write(move->wake_fd, &one, sizeof(one)) < 0)
		return; /* full: it is readable already */
}

void move_publish(struct move *move)
{
	json_t *fresh = handover_report(&move->handover), *old;

	json_object_set_new(fresh, "peer", json_string(move->record.peer));
	if (move->record.ended)
		json_object_set_new(fresh, "ended_at_s", json_integer(move->record.saved_at_s));
	move->published_ns = vmagent_now_ns();
	pthread_mutex_lock(&move->lock);
	old = move->report;
	move->report = fresh;
	pthread_mutex_unlock(&move->lock);
	json_decref(old);
}

/* 1: an input; 0: nothing there. */
static int from_inbox(struct move *move, struct handover_input *input)
{
	struct move_note *note;
	struct channel *peer;

	pthread_mutex_lock(&move->lock);
	note = STAILQ_FIRST(&move->inbox);
	if (note != NULL)
		STAILQ_REMOVE_HEAD(&move->inbox, next);
	pthread_mutex_unlock(&move->lock);
	if (note == NULL)
		return 0;
	*input = note->input;
	peer = note->peer;
	free(note);
	if (peer != NULL) {
		*input = (struct handover_input){.kind = INPUT_PEER_UP};
		move_peer_attached(move, peer);
	}
	return 1;
}

static int from_migrate_answer(const struct qmp_message *message, struct handover_input *input)
{
	json_t *ram = json_object_get(message->data, "ram");
	const char *word = json_string_value(json_object_get(message->data, "status"));

	if (word == NULL)
		return 0;
	input->kind = INPUT_QMP_STATUS;
	input->status = qmp_status_parse(word);
	input->ram_total_bytes = json_integer_value(json_object_get(ram, "total"));
	input->ram_remaining_bytes = json_integer_value(json_object_get(ram, "remaining"));
	return 1;
}

static int from_message(
	struct move *move, const struct qmp_message *message, struct handover_input *input)
{
	*input = (struct handover_input){.heard_ns = message->heard_ns};
	if (message->kind == QMP_MESSAGE_REPLY) {
		if (move->query_id == 0 || message->id != move->query_id)
			return 0;
		move->query_id = 0;
		return from_migrate_answer(message, input);
	}
	if (strcmp(message->event, "MIGRATION") == 0) {
		input->kind = INPUT_QMP_STATUS;
		input->status = qmp_status_parse(
			json_string_value(json_object_get(message->data, "status")));
		return 1;
	}
	input->kind = INPUT_VCPUS;
	input->vcpus_run = strcmp(message->event, "RESUME") == 0;
	return input->vcpus_run || strcmp(message->event, "STOP") == 0;
}

/* What it brought before is kept. */
void move_qmp_lost(struct move *move)
{
	struct handover_input input;
	struct qmp_message message;

	while (qmp_next(move->qmp, vmagent_now_ns(), &message) == 0)
		if (from_message(move, &message, &input))
			move_post(move, &input, NULL);
	qmp_close(move->qmp);
	move->qmp = NULL;
	move->query_id = 0;
	move->qmp_lost_ns = vmagent_now_ns();
}

int move_qmp_again(struct move *move)
{
	int err = qmp_connect(move->qmp_path, vmagent_now_ns() + QMP_AGAIN_NS, &move->qmp);

	if (err)
		return err;
	move->qmp_lost_ns = 0;
	move->qmp_unasked = true;
	return 0;
}

/* What is queued or readable now; a closed connection is noticed only after all it brought. */
static int from_qmp(struct move *move, struct handover_input *input)
{
	struct qmp_message message;
	unsigned int i;
	int err;

	for (i = 0; move->qmp != NULL && i < QMP_BURST; i++) {
		err = qmp_next(move->qmp, vmagent_now_ns(), &message);
		if (err == -ETIMEDOUT)
			return 0;
		if (err)
			move_qmp_lost(move);
		else if (from_message(move, &message, input))
			return 1;
	}
	return 0;
}

static int from_peer(struct move *move, struct handover_input *input)
{
	struct peer_word word;
	int err;

	if (move->peer == NULL)
		return 0;
	err = peer_hear(move->peer, &word, 0);
	if (err == -ETIMEDOUT)
		return 0;
	if (err) {
		move_peer_dropped(move);
		return 0;
	}
	move->heard_ns = vmagent_now_ns();
	*input = (struct handover_input){.kind = INPUT_PEER, .mark = word.mark};
	snprintf(input->reason, sizeof(input->reason), "%s", word.reason);
	if (move->handover.side == HANDOVER_DEST && word.mark != MARK_UNKNOWN) {
		move->handover.was_running = word.was_running;
		move->record.was_running = word.was_running;
	}
	return 1;
}

/* QMP is back: what was said meanwhile is lost, so the run state is asked for. */
static int ask_again(struct move *move, struct handover_input *input)
{
	json_t *reply = NULL;

	if (!move->qmp_unasked || move->qmp == NULL)
		return 0;
	move->qmp_unasked = false;
	if (qmp_call(move->qmp, "query-status", NULL, vmagent_now_ns() + MOVE_QMP_MS * 1000000ull,
		    &reply))
		return 0; /* it is asked about the migration soon, and found lost again if need be
			   */
	*input = (struct handover_input){.kind = INPUT_VCPUS,
		.vcpus_run = json_is_true(json_object_get(reply, "running")),
		.heard_ns = vmagent_now_ns()};
	json_decref(reply);
	return input->vcpus_run != move->handover.vcpus_run;
}

/* QMP is gone: is QEMU? Its own process tells; the socket alone does not. */
static int look_for_qemu(struct move *move, uint64_t now, struct handover_input *input)
{
	if (move->qmp != NULL || !move->qmp_expected || move->dead_told)
		return 0;
	if (record_process_start(move->record.qemu_pid) != move->record.qemu_start ||
		move->record.qemu_start == 0) {
		move->dead_told = true;
		*input = (struct handover_input){.kind = INPUT_QEMU_DEAD, .heard_ns = now};
		return 1;
	}
	if (now - move->qmp_lost_ns < QMP_RETRY_NS)
		return 0;
	move->qmp_lost_ns = now;
	move_qmp_again(move);
	return 0;
}

/* QEMU does not answer while it writes its final pass, which has this limit too. */
static int look_for_answer(struct move *move, uint64_t now, struct handover_input *input)
{
	uint64_t limit_ns = (move->handover.policy.pause_max_ms + MOVE_QMP_MS) * 1000000ull;

	if (move->query_id == 0 || move->silence_told || now - move->queried_ns < limit_ns)
		return 0;
	move->silence_told = true;
	*input = (struct handover_input){.kind = INPUT_QEMU_SILENT, .heard_ns = now};
	return 1;
}

static int look_for_peer(struct move *move, uint64_t now, struct handover_input *input)
{
	if (move->peer_lost_ns == 0 || move->peer_lost_told ||
		now - move->peer_lost_ns < move->options.agent->peer_ms * 1000000ull)
		return 0;
	move->peer_lost_told = true;
	*input = (struct handover_input){.kind = INPUT_PEER_LOST, .heard_ns = now};
	pthread_mutex_lock(&move->lock);
	snprintf(input->reason, sizeof(input->reason), "%s", move->dial_error);
	pthread_mutex_unlock(&move->lock);
	return 1;
}

static bool migrating(const struct move *move)
{
	return move->handover.started && !qmp_status_final(move->handover.status);
}

/*
 * Words are repeated as a sign of life, for a cut cable closes no connection. D is silent while it
 * waits for its QEMU to start; both are for as long as a question to QEMU may take.
 */
static void keep_alive(struct move *move, uint64_t now)
{
	uint64_t limit_ns = (move->options.agent->peer_ms + MOVE_QMP_MS) * 1000000ull;
	bool starting =
		move->handover.side == HANDOVER_SOURCE && move->handover.peer <= MARK_INCOMING;

	if (move->peer == NULL)
		return;
	if (!starting && now > move->heard_ns && now - move->heard_ns > limit_ns)
		move_peer_dropped(move);
	else if (now - move->said_ns >= limit_ns / 5)
		move_peer_say(move);
}

static void keep_house(struct move *move, uint64_t now)
{
	if (move->qmp != NULL && migrating(move) && move->query_id == 0 &&
		now - move->queried_ns >= QUERY_NS) {
		move->queried_ns = now;
		if (qmp_send(move->qmp, "query-migrate", NULL, &move->query_id))
			move_qmp_lost(move);
	}
	if (move->pending_phase[0] != '\0' && now - move->pending_ns >= PHASE_RETRY_NS) {
		move->pending_ns = now;
		if (switch_phase(move->switch_agent, move->pending_phase,
			    json_incref(move->pending_facts)) == 0)
			move->pending_phase[0] = '\0';
	}
	keep_alive(move, now);
	if (now - move->published_ns >= PUBLISH_NS)
		move_publish(move);
}

static void wait_for_any(struct move *move, uint64_t now, uint64_t deadline_ns)
{
	struct pollfd fds[3] = {{.fd = move->wake_fd, .events = POLLIN},
		{.fd = move->qmp ? qmp_fd(move->qmp) : -1, .events = POLLIN},
		{.fd = move->peer ? channel_fd(move->peer) : -1, .events = POLLIN}};
	uint64_t left_ns = deadline_ns > now ? deadline_ns - now : 0, drained;

	if (left_ns > PUBLISH_NS)
		left_ns = PUBLISH_NS; /* the house is kept this often */
	if (move->qmp != NULL && qmp_pending(move->qmp))
		left_ns = 0; /* it speaks without end; everybody had a turn */
	poll(fds, 3, (left_ns + 999999) / 1000000);
	if (fds[0].revents && read(move->wake_fd, &drained, sizeof(drained)) < 0)
		return;
}

int move_next(void *ctx, uint64_t deadline_ns, struct handover_input *input)
{
	struct move *move = ctx;
	uint64_t now;

	for (;;) {
		now = vmagent_now_ns();
		/* The operator and ferryd say little; QEMU may speak without end. */
		if (from_inbox(move, input) || from_qmp(move, input) || from_peer(move, input) ||
			look_for_qemu(move, now, input) || ask_again(move, input) ||
			look_for_answer(move, now, input) || look_for_peer(move, now, input))
			return 0;
		keep_house(move, now);
		if (now >= deadline_ns)
			return -ETIMEDOUT;
		wait_for_any(move, now, deadline_ns);
	}
}
