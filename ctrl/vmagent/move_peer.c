/* SPDX-License-Identifier: BSD-3-Clause */
/* The control channel to the other agent. S dials, as often as it takes; D is dialled. */
#include "ctrl/vmagent/move_impl.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "ctrl/vmagent/pump.h"

#define DIAL_MS 3000
#define DIAL_PAUSE_US 20000
#define DIAL_PAUSE_MAX_US 500000
#define SHORT_LIVED_NS 1000000000ull

int move_dial(struct move *move, unsigned int index, const struct channel_options *options,
	struct channel **channel)
{
	struct channel_dial dial = {
		.peer = move->options.record.peer,
		.plain = move->options.agent->plain,
		.purpose = CHANNEL_PURPOSE_MEMORY,
		.index = index,
		.options = *options,
	};
	struct channel_error error = {0};
	int err;

	peer_move_id(move->options.record.id, dial.move_id);
	dial.deadline_ns =
		channel_world_deadline_ns(channel_host_world(move->options.channels), DIAL_MS);
	err = channel_connect(move->options.channels, &dial, channel, &error);
	if (err) {
		log_limited(move->options.log, LOG_LEVEL_WARN, move->options.record.vm,
			"the other agent cannot be reached", "%s", error.text);
		pthread_mutex_lock(&move->lock);
		snprintf(move->dial_error, sizeof(move->dial_error), "%.190s", error.text);
		pthread_mutex_unlock(&move->lock);
	}
	return err;
}

static void *dialler_main(void *arg)
{
	struct move *move = arg;
	const struct channel_options options = {
		.types = vmagent_frame_types, .n_types = 4, .cancel = &move->dial_cancel};
	unsigned int pause_us = DIAL_PAUSE_US;
	struct channel *channel;

	/* One that ended as soon as it was made (a word that one side does not know) ends again. */
	if (move->attached_ns && vmagent_now_ns() - move->attached_ns < SHORT_LIVED_NS)
		usleep(DIAL_PAUSE_MAX_US);
	while (!move->stopping) {
		if (move_dial(move, PEER_INDEX_CONTROL, &options, &channel) == 0) {
			channel_set_cancel(channel, NULL);
			move_post(move, NULL, channel);
			return NULL;
		}
		usleep(pause_us);
		pause_us = pause_us * 2 < DIAL_PAUSE_MAX_US ? pause_us * 2 : DIAL_PAUSE_MAX_US;
	}
	return NULL;
}

void move_dial_start(struct move *move)
{
	if (move->dialling || move->handover.side != HANDOVER_SOURCE)
		return;
	move->dialling = pthread_create(&move->dialler, NULL, dialler_main, move) == 0;
}

void move_dial_join(struct move *move)
{
	if (move->dialling)
		pthread_join(move->dialler, NULL);
	move->dialling = false;
}

void move_peer_attached(struct move *move, struct channel *peer)
{
	move_dial_join(move);
	channel_close(move->peer); /* a newer connection replaces the old one */
	move->peer = peer;
	move->peer_lost_ns = 0;
	move->peer_lost_told = false;
	move->heard_ns = move->attached_ns = vmagent_now_ns();
	move_peer_say(move);
}

void move_peer_dropped(struct move *move)
{
	channel_close(move->peer);
	move->peer = NULL;
	move->peer_lost_ns = vmagent_now_ns();
	move_dial_start(move);
}

void move_peer_say(struct move *move)
{
	const struct handover *handover = &move->handover;
	struct peer_word word = {
		.mark = handover->mark,
		.was_running = handover->was_running,
		.multifd_channels = handover->policy.multifd_channels,
	};

	if (move->peer == NULL || handover->mark == MARK_SILENT)
		return;
	move->said_ns = vmagent_now_ns();
	snprintf(word.id, sizeof(word.id), "%s", handover->id);
	snprintf(word.reason, sizeof(word.reason), "%s", handover->reason);
	snprintf(word.vm, sizeof(word.vm), "%s", handover->vm);
	if (peer_say(move->peer, &word, MOVE_SAY_MS))
		move_peer_dropped(move);
}
