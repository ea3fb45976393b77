/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The door for other agents: each channel gets a thread of the listener's, which hands a control
 * channel to its move, answers for an ended move from its record, or stays with a memory channel
 * until that ends.
 */
#include "ctrl/vmagent/agent_impl.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "ctrl/vmagent/peer.h"
#include "ctrl/vmagent/pump.h"

#define SAY_MS 1000
#define ANSWER_MS 30000 /* an ended move's channel is closed after so long a silence */

static void say(
	struct channel *channel, enum handover_mark mark, const char *id, const char *reason)
{
	struct peer_word word = {.mark = mark};

	snprintf(word.id, sizeof(word.id), "%s", id);
	snprintf(word.reason, sizeof(word.reason), "%s", reason);
	peer_say(channel, &word, SAY_MS);
}

static const char *refusal(int err)
{
	switch (err) {
	case -EINVAL:
		return "the VM's name cannot be used";
	case -EBUSY:
		return "another move of this VM is under way";
	case -EAGAIN:
		return "too many moves are under way";
	default:
		return strerror(-err);
	}
}

/* With the lock held: the live move of a channel, if that host has a part in it. */
static struct agent_entry *find_hello(struct agent *agent, const struct channel_hello *hello)
{
	struct agent_entry *entry;
	uint8_t move_id[16];

	STAILQ_FOREACH (entry, &agent->moves, next) {
		peer_move_id(move_identity(entry->move)->id, move_id);
		if (memcmp(move_id, hello->move_id, 16) == 0 && !move_ended(entry->move) &&
			strcmp(move_identity(entry->move)->peer, hello->host) == 0)
			return entry;
	}
	return NULL;
}

/* Makes the destination's move for a first word; 0, or what to refuse with. */
static int receive(struct agent *agent, const struct peer_word *word, struct channel *channel)
{
	struct move_options wanted = {.policy = agent->options->policy,
		.record = {.side = HANDOVER_DEST,
			.mark = MARK_SILENT,
			.was_running = word->was_running,
			.multifd_channels = word->multifd_channels}};
	struct record *record = &wanted.record;
	struct agent_entry *entry;
	int err;

	snprintf(record->id, sizeof(record->id), "%s", word->id);
	snprintf(record->vm, sizeof(record->vm), "%s", word->vm);
	snprintf(record->peer, sizeof(record->peer), "%s", channel_hello(channel)->host);
	wanted.peer = channel;
	pthread_mutex_lock(&agent->lock);
	agent_reap(agent);
	channel_set_cancel(channel, NULL); /* the move's from now on, not the door's */
	err = !record_name_valid(word->vm)          ? -EINVAL
	      : agent_find(agent, word->id) != NULL ? -EBUSY
						    : agent_add(agent, &wanted, &entry);
	pthread_mutex_unlock(&agent->lock);
	return err;
}

/* No move of that name goes on here, or none yet. Answers until the other side is content. */
static void answer(struct agent *agent, struct channel *channel)
{
	struct peer_word word;
	struct record record;
	int err;

	while (peer_hear(channel, &word, ANSWER_MS) == 0) {
		err = record_load(agent->options->state_dir, word.id, &record);
		if (err == 0 && strcmp(record.peer, channel_hello(channel)->host) == 0) {
			say(channel, record.mark, word.id, record.reason);
		} else if (err == -ENOENT && word.mark == MARK_PREPARE) {
			err = receive(agent, &word, channel);
			if (err == 0)
				return; /* the move has the channel now */
			log_warn(agent->log, word.vm, "move %s from %s refused: %s", word.id,
				channel_hello(channel)->host, refusal(err));
			say(channel, MARK_REFUSED, word.id, refusal(err));
			break;
		} else {
			say(channel, MARK_UNKNOWN, word.id, "");
		}
	}
	channel_finish(channel, channel_deadline_ns(channel, SAY_MS));
	channel_close(channel);
}

static void serve(void *ctx, struct channel *channel)
{
	const struct channel_hello *hello = channel_hello(channel);
	struct agent *agent = ctx;
	struct agent_entry *entry;

	pthread_mutex_lock(&agent->lock);
	entry = find_hello(agent, hello);
	if (entry != NULL && hello->index == PEER_INDEX_CONTROL) {
		channel_set_cancel(channel, NULL);
		move_attach(entry->move, channel);
	} else if (entry != NULL) {
		entry->users++;
	}
	pthread_mutex_unlock(&agent->lock);
	if (entry == NULL && hello->index == PEER_INDEX_CONTROL) {
		answer(agent, channel);
	} else if (entry == NULL) {
		channel_close(channel);
	} else if (hello->index != PEER_INDEX_CONTROL) {
		move_take_memory(entry->move, hello->index - PEER_INDEX_MEMORY, channel);
		pthread_mutex_lock(&agent->lock);
		entry->users--;
		pthread_mutex_unlock(&agent->lock);
	}
}

static void refused(void *ctx, const struct channel_error *error)
{
	struct agent *agent = ctx;

	log_limited(agent->log, LOG_LEVEL_WARN, NULL, "a channel was refused", "%s", error->text);
}

int agent_door_open(struct agent *agent, char *why, size_t why_size)
{
	struct channel_listener_config config = {
		.endpoint = agent->options->listen,
		.accept = {.plain = agent->options->plain,
			.purposes = CHANNEL_PURPOSE_BIT(CHANNEL_PURPOSE_MEMORY),
			.options = {.types = vmagent_frame_types,
				.n_types = 4,
				.frame_bytes = PUMP_CHUNK_BYTES}},
		.serve = serve,
		.refused = refused,
		.ctx = agent,
	};
	struct channel_error error = {0};
	int err = channel_listener_start(agent->channels, &config, &agent->listener, &error);

	if (err)
		snprintf(why, why_size, "%s", error.text);
	return err;
}

void agent_door_close(struct agent *agent)
{
	if (agent->listener != NULL)
		channel_listener_stop(agent->listener);
	agent->listener = NULL;
}
