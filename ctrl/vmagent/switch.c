/* SPDX-License-Identifier: BSD-3-Clause */
#include "ctrl/vmagent/switch.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "ctrl/rpc/client.h"

#define CALL_MS 1000
#define WAIT_MS 10000 /* of one agent-wait */
#define RETRY_MS 100

struct switch_agent {
	struct switch_options options;
	char id[HANDOVER_ID_MAX], vm[HANDOVER_ID_MAX], peer[HANDOVER_ID_MAX];
	char *path;
	struct rpc_client *client; /* of switch_phase() */
	pthread_mutex_t lock; /* over what follows */
	pthread_cond_t changed;
	bool started; /* agent-start was answered; before it there is nothing to wait for */
	bool closing;
	struct switch_view last; /* as told */
	struct rpc_client *waiting; /* the watcher's, to be cancelled at the end */
	pthread_t watcher;
	bool watching;
};

static const char *const state_names[] = {
	[SWITCH_PREPARING] = "preparing",
	[SWITCH_READY] = "ready",
	[SWITCH_FINAL] = "final",
	[SWITCH_VERIFIED] = "verified",
	[SWITCH_COMMITTED] = "committed",
	[SWITCH_FAILED] = "failed",
};

static int view_parse(const char *text, struct switch_view *view, uint64_t *serial)
{
	json_t *root = json_loads(text, 0, NULL);
	const char *state = json_string_value(json_object_get(root, "state"));
	const char *reason = json_string_value(json_object_get(root, "reason"));
	struct switch_view read = {0};
	unsigned int i = 0;

	while (state != NULL && i <= SWITCH_FAILED && strcmp(state, state_names[i]) != 0)
		i++;
	if (state == NULL || i > SWITCH_FAILED) {
		json_decref(root);
		return -EPROTO;
	}
	read.state = i;
	read.behind = json_is_true(json_object_get(root, "behind"));
	read.credit_bytes_per_s = json_integer_value(json_object_get(root, "credit_bytes_per_s"));
	snprintf(read.reason, sizeof(read.reason), "%s", reason ? reason : "");
	if (serial != NULL)
		*serial = json_integer_value(json_object_get(root, "serial"));
	json_decref(root);
	*view = read;
	return 0;
}

int switch_view_parse(const char *text, struct switch_view *view)
{
	return view_parse(text, view, NULL);
}

/* One call on *client, which is opened when needed and closed after any error. */
static int call(struct rpc_client **client, const char *path, const struct rpc_call *what,
	struct rpc_answer *answer)
{
	int err = 0;

	if (*client == NULL)
		err = rpc_client_connect(path, CALL_MS, client);
	if (err)
		return err;
	err = rpc_client_call(*client, what, answer);
	if (err) {
		rpc_client_close(*client);
		*client = NULL;
	}
	return err;
}

static void tell(struct switch_agent *agent, const struct switch_view *view)
{
	pthread_mutex_lock(&agent->lock);
	agent->last = *view;
	pthread_mutex_unlock(&agent->lock);
	agent->options.heard(agent->options.ctx, view);
}

/* Nobody follows the sessions now, and QEMU may have taken the VM's link down. */
static void tell_away(struct switch_agent *agent)
{
	struct switch_view view;

	pthread_mutex_lock(&agent->lock);
	view = agent->last;
	pthread_mutex_unlock(&agent->lock);
	if (view.away || view.state == SWITCH_FAILED)
		return;
	view.away = view.behind = true;
	tell(agent, &view);
}

int switch_phase(struct switch_agent *agent, const char *phase, json_t *facts)
{
	bool first = strcmp(phase, "start") == 0 || strcmp(phase, "incoming") == 0;
	char *text = facts ? json_dumps(facts, JSON_COMPACT) : NULL;
	const char *start[] = {agent->id, agent->vm, agent->peer,
		agent->options.side == HANDOVER_SOURCE ? "source" : "destination"};
	const char *later[] = {agent->id, phase, text};
	struct rpc_call what = {.method = first ? "migrate/agent-start" : "migrate/agent-phase",
		.args = first ? start : later,
		.n_args = first ? 4 : (text ? 3 : 2),
		.timeout_ms = CALL_MS};
	struct rpc_answer answer = {0};
	struct switch_view view;
	int err = 0;

	json_decref(facts);
	if (agent->path == NULL) {
		free(text);
		return 0;
	}
	err = call(&agent->client, agent->path, &what, &answer);
	if (err == 0 && answer.failed)
		err = -EREMOTEIO;
	if (err == 0)
		err = switch_view_parse(answer.text, &view);
	if (err == 0) {
		pthread_mutex_lock(&agent->lock);
		agent->started = true;
		pthread_cond_broadcast(&agent->changed);
		pthread_mutex_unlock(&agent->lock);
		tell(agent, &view);
	}
	rpc_answer_free(&answer);
	free(text);
	return err;
}

/* One long question; the client is shown to switch_close() while it is out. */
static int watch_once(struct switch_agent *agent, uint64_t *serial)
{
	char known[24], timeout[16];
	const char *args[] = {agent->id, known, timeout};
	struct rpc_call what = {.method = "migrate/agent-wait",
		.args = args,
		.n_args = 3,
		.timeout_ms = WAIT_MS + CALL_MS};
	struct rpc_answer answer = {0};
	struct switch_view view = {0};
	int err;

	snprintf(known, sizeof(known), "%llu", (unsigned long long)*serial);
	snprintf(timeout, sizeof(timeout), "%u", WAIT_MS);
	err = rpc_client_call(agent->waiting, &what, &answer);
	if (err)
		return err;
	if (answer.failed)
		view = (struct switch_view){.state = SWITCH_FAILED};
	if (answer.failed)
		snprintf(view.reason, sizeof(view.reason), "%.150s", answer.text);
	else
		err = view_parse(answer.text, &view, serial);
	rpc_answer_free(&answer);
	if (err == 0)
		tell(agent, &view);
	return view.state == SWITCH_FAILED ? -ENOENT : err;
}

/* False when the switch is being closed. */
static bool watcher_pause(struct switch_agent *agent, bool until_started)
{
	struct timespec until;

	pthread_mutex_lock(&agent->lock);
	while (until_started && !agent->started && !agent->closing)
		pthread_cond_wait(&agent->changed, &agent->lock);
	if (!until_started && !agent->closing) {
		clock_gettime(CLOCK_REALTIME, &until);
		until.tv_nsec += RETRY_MS * 1000000;
		until.tv_sec += until.tv_nsec / 1000000000;
		until.tv_nsec %= 1000000000;
		pthread_cond_timedwait(&agent->changed, &agent->lock, &until);
	}
	until_started = !agent->closing;
	pthread_mutex_unlock(&agent->lock);
	return until_started;
}

static bool watcher_open(struct switch_agent *agent)
{
	struct rpc_client *client;

	if (rpc_client_connect(agent->path, CALL_MS, &client))
		return false;
	pthread_mutex_lock(&agent->lock);
	agent->waiting = client;
	if (agent->closing)
		rpc_client_cancel(client);
	pthread_mutex_unlock(&agent->lock);
	return true;
}

/*
 * It may be another ferryd, which knows nothing of the move: begin it again. One that knows it says
 * so.
 */
static int watcher_start_again(struct switch_agent *agent)
{
	const char *args[] = {agent->id, agent->vm, agent->peer,
		agent->options.side == HANDOVER_SOURCE ? "source" : "destination"};
	struct rpc_call what = {
		.method = "migrate/agent-start", .args = args, .n_args = 4, .timeout_ms = CALL_MS};
	struct rpc_answer answer = {0};
	struct switch_view view = {.state = SWITCH_FAILED};
	int err = rpc_client_call(agent->waiting, &what, &answer);

	if (err == 0 && answer.failed) {
		snprintf(view.reason, sizeof(view.reason), "%.150s", answer.text);
		tell(agent, &view);
		err = -ENOENT;
	}
	rpc_answer_free(&answer);
	return err;
}

static void *watcher_main(void *arg)
{
	struct switch_agent *agent = arg;
	struct rpc_client *client;
	uint64_t serial = 0;
	bool again = false;

	if (!watcher_pause(agent, true))
		return NULL;
	do {
		if (!watcher_open(agent)) {
			tell_away(agent);
			continue;
		}
		if (!again || watcher_start_again(agent) == 0)
			while (watch_once(agent, &serial) == 0)
				;
		again = true;
		pthread_mutex_lock(&agent->lock);
		client = agent->waiting;
		agent->waiting = NULL;
		pthread_mutex_unlock(&agent->lock);
		rpc_client_close(client);
		serial = 0; /* another ferryd counts anew */
		tell_away(agent);
	} while (watcher_pause(agent, false));
	return NULL;
}

/* Without a ferryd nothing stands in the way of a move. */
static void nobody_answers(const struct switch_options *options)
{
	struct switch_view view = {
		.state = options->side == HANDOVER_SOURCE ? SWITCH_READY : SWITCH_VERIFIED};

	options->heard(options->ctx, &view);
}

int switch_open(const struct switch_options *options, struct switch_agent **out)
{
	struct switch_agent *agent = calloc(1, sizeof(*agent));
	int err = 0;

	if (agent == NULL)
		return -ENOMEM;
	agent->options = *options;
	snprintf(agent->id, sizeof(agent->id), "%s", options->id);
	snprintf(agent->vm, sizeof(agent->vm), "%s", options->vm);
	snprintf(agent->peer, sizeof(agent->peer), "%s", options->peer);
	pthread_mutex_init(&agent->lock, NULL);
	pthread_cond_init(&agent->changed, NULL);
	if (options->path != NULL && options->path[0] != '\0') {
		agent->path = strdup(options->path);
		err = agent->path ? -pthread_create(&agent->watcher, NULL, watcher_main, agent)
				  : -ENOMEM;
		agent->watching = err == 0;
	}
	if (err) {
		switch_close(agent);
		return err;
	}
	if (agent->path == NULL)
		nobody_answers(options);
	*out = agent;
	return 0;
}

void switch_close(struct switch_agent *agent)
{
	if (agent == NULL)
		return;
	pthread_mutex_lock(&agent->lock);
	agent->closing = true;
	pthread_cond_broadcast(&agent->changed);
	if (agent->waiting != NULL)
		rpc_client_cancel(agent->waiting);
	pthread_mutex_unlock(&agent->lock);
	if (agent->watching)
		pthread_join(agent->watcher, NULL);
	rpc_client_close(agent->client);
	pthread_cond_destroy(&agent->changed);
	pthread_mutex_destroy(&agent->lock);
	free(agent->path);
	free(agent);
}
