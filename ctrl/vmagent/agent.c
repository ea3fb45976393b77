/* SPDX-License-Identifier: BSD-3-Clause */
#include "ctrl/vmagent/agent_impl.h"

#include <errno.h>
#include <glob.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* Ended moves are remembered so long for the other side's questions. */
#define RECORD_KEEP_S (7 * 24 * 3600)

struct agent_entry *agent_find(struct agent *agent, const char *id)
{
	struct agent_entry *entry;

	STAILQ_FOREACH (entry, &agent->moves, next)
		if (strcmp(move_identity(entry->move)->id, id) == 0)
			return entry;
	return NULL;
}

struct agent_entry *agent_find_vm(struct agent *agent, const char *vm)
{
	struct agent_entry *entry;

	STAILQ_FOREACH (entry, &agent->moves, next)
		if (strcmp(move_identity(entry->move)->vm, vm) == 0 && !move_settled(entry->move))
			return entry;
	return NULL;
}

static json_int_t ended_at(json_t *report)
{
	return json_integer_value(json_object_get(report, "ended_at_s"));
}

static void remember(struct agent *agent, json_t *report)
{
	size_t at = json_array_size(agent->history);

	while (at > 0 && ended_at(json_array_get(agent->history, at - 1)) > ended_at(report))
		at--;
	json_array_insert_new(agent->history, at, report);
	if (json_array_size(agent->history) > AGENT_HISTORY_MAX)
		json_array_remove(agent->history, 0);
}

void agent_reap(struct agent *agent)
{
	struct agent_entry *entry = STAILQ_FIRST(&agent->moves), *next;
	unsigned int i = 0;
	pid_t child;

	for (; entry != NULL; entry = next) {
		next = STAILQ_NEXT(entry, next);
		if (entry->users != 0 || !move_ended(entry->move))
			continue;
		remember(agent, move_report(entry->move));
		child = move_child(entry->move);
		if (child != 0 && agent->n_children < AGENT_CHILDREN_MAX)
			agent->children[agent->n_children++] = child;
		STAILQ_REMOVE(&agent->moves, entry, agent_entry, next);
		agent->n_moves--;
		move_destroy(entry->move);
		free(entry);
	}
	while (i < agent->n_children) {
		if (waitpid(agent->children[i], NULL, WNOHANG) != 0)
			agent->children[i] = agent->children[--agent->n_children];
		else
			i++;
	}
}

void agent_child_ended(struct agent *agent)
{
	pthread_mutex_lock(&agent->lock);
	agent_reap(agent);
	pthread_mutex_unlock(&agent->lock);
}

int agent_add(struct agent *agent, const struct move_options *wanted, struct agent_entry **out)
{
	struct move_options options = *wanted;
	struct agent_entry *entry;
	int err;

	if (agent_find_vm(agent, wanted->record.vm) != NULL)
		return -EBUSY;
	if (agent->stopping || agent->n_moves >= AGENT_MOVES_MAX)
		return -EAGAIN;
	entry = calloc(1, sizeof(*entry));
	if (entry == NULL)
		return -ENOMEM;
	options.agent = agent->options;
	options.channels = agent->channels;
	options.log = agent->log;
	options.policy.multifd_channels = wanted->record.multifd_channels;
	err = move_start(&options, &entry->move);
	if (err) {
		free(entry);
		return err;
	}
	STAILQ_INSERT_TAIL(&agent->moves, entry, next);
	agent->n_moves++;
	*out = entry;
	return 0;
}

static void take_up(void *ctx, const char *id, const struct record *record)
{
	struct agent *agent = ctx;
	struct move_options wanted = {.policy = agent->options->policy};
	struct agent_entry *entry;
	json_t *report;
	int err;

	if (record == NULL) {
		log_err(agent->log, NULL,
			"the record of move %s cannot be read: if its VM is paused, look at both "
			"hosts",
			id);
		return;
	}
	wanted.record = *record;
	if (record->ended) {
		if (record->saved_at_s + RECORD_KEEP_S < (uint64_t)time(NULL))
			record_remove(agent->options->state_dir, record->id);
		else if ((report = record_report_load(agent->options->state_dir, record->id)) !=
			 NULL)
			remember(agent, report);
		return;
	}
	err = agent_add(agent, &wanted, &entry);
	if (err)
		log_err(agent->log, record->vm, "move %s cannot be taken up: %s", record->id,
			strerror(-err));
	else
		log_warn(agent->log, record->vm, "move %s is taken up at '%s'", record->id,
			handover_mark_name(record->mark));
}

/* The state directory, and what its records say is unfinished. */
static int agent_take_over(struct agent *agent, char *why, size_t why_size)
{
	const char *directory = agent->options->state_dir;
	int err;

	mkdir(directory, 0700);
	agent->state_fd = record_claim(directory);
	if (agent->state_fd == -EWOULDBLOCK) {
		snprintf(why, why_size, "%s: another ferry-vmagent uses it", directory);
		return -EBUSY;
	}
	err = agent->state_fd < 0 ? agent->state_fd : 0;
	if (err == 0 && access(directory, W_OK))
		log_err(agent->log, NULL, "%s cannot be written: no VM will be moved", directory);
	pthread_mutex_lock(&agent->lock);
	if (err == 0)
		err = record_each(directory, take_up, agent);
	pthread_mutex_unlock(&agent->lock);
	if (err)
		snprintf(why, why_size, "%s: %s", directory, strerror(-err));
	return err;
}

int agent_create(const struct agent_setup *setup, struct agent **out, char *why, size_t why_size)
{
	struct agent *agent = calloc(1, sizeof(*agent));
	int err;

	if (agent == NULL)
		return -ENOMEM;
	agent->options = setup->options;
	agent->channels = setup->channels;
	agent->log = setup->log;
	agent->state_fd = -1;
	agent->history = json_array();
	STAILQ_INIT(&agent->moves);
	pthread_mutex_init(&agent->lock, NULL);
	mkdir(setup->options->run_dir, 0700);
	err = agent_take_over(agent, why, why_size);
	if (err == 0)
		err = agent_door_open(agent, why, why_size);
	if (err) {
		agent_destroy(agent);
		return err;
	}
	*out = agent;
	return 0;
}

void agent_destroy(struct agent *agent)
{
	struct agent_entry *entry;

	if (agent == NULL)
		return;
	pthread_mutex_lock(&agent->lock);
	agent->stopping = true;
	STAILQ_FOREACH (entry, &agent->moves, next)
		move_shutdown(entry->move);
	pthread_mutex_unlock(&agent->lock);
	agent_door_close(agent);
	while ((entry = STAILQ_FIRST(&agent->moves)) != NULL) {
		STAILQ_REMOVE_HEAD(&agent->moves, next);
		move_destroy(entry->move);
		free(entry);
	}
	json_decref(agent->history);
	if (agent->state_fd >= 0)
		close(agent->state_fd);
	pthread_mutex_destroy(&agent->lock);
	free(agent);
}

static void make_id(struct agent *agent, const char *vm, char *id)
{
	snprintf(id, HANDOVER_ID_MAX, "%.32s-%llx-%x", vm, (unsigned long long)time(NULL),
		++agent->serial);
}

static bool same_move(const struct record *record, const struct agent_request *request)
{
	return strcmp(record->vm, request->vm) == 0 && strcmp(record->peer, request->host) == 0;
}

static int start_locked(struct agent *agent, const struct agent_request *request, char *id)
{
	struct move_options wanted = {.policy = agent->options->policy,
		.zstd_level = agent->options->zstd_level,
		.leave = request->leave};
	struct record *record = &wanted.record, old;
	struct agent_entry *entry;
	int err;

	if (request->id != NULL)
		snprintf(id, HANDOVER_ID_MAX, "%s", request->id);
	else
		make_id(agent, request->vm, id);
	entry = agent_find(agent, id);
	if (entry != NULL)
		return same_move(move_identity(entry->move), request) ? 0 : -EEXIST;
	err = record_load(agent->options->state_dir, id, &old);
	if (err != -ENOENT)
		return err ? err : same_move(&old, request) ? 0 : -EEXIST;
	if (!options_know_peer(agent->options, request->host))
		return -EHOSTUNREACH;
	if (request->downtime_limit_ms >= 0)
		wanted.policy.downtime_limit_ms = request->downtime_limit_ms;
	if (request->zstd_level >= 0)
		wanted.zstd_level = request->zstd_level;
	record->multifd_channels = request->multifd_channels >= 0 ? request->multifd_channels
								  : wanted.policy.multifd_channels;
	record->side = HANDOVER_SOURCE;
	record->mark = MARK_SILENT;
	snprintf(record->id, sizeof(record->id), "%s", id);
	snprintf(record->vm, sizeof(record->vm), "%s", request->vm);
	snprintf(record->peer, sizeof(record->peer), "%s", request->host);
	return agent_add(agent, &wanted, &entry);
}

int agent_start(struct agent *agent, const struct agent_request *request, char *id)
{
	int err;

	if (!record_name_valid(request->vm) || !record_name_valid(request->host) ||
		(request->id != NULL && !record_name_valid(request->id)))
		return -EINVAL;
	pthread_mutex_lock(&agent->lock);
	agent_reap(agent);
	err = start_locked(agent, request, id);
	pthread_mutex_unlock(&agent->lock);
	return err;
}

static struct agent_entry *find_any(struct agent *agent, const char *name)
{
	struct agent_entry *entry = agent_find(agent, name);

	return entry != NULL ? entry : agent_find_vm(agent, name);
}

int agent_abort(struct agent *agent, const char *name, const char *reason)
{
	struct agent_entry *entry;

	pthread_mutex_lock(&agent->lock);
	entry = find_any(agent, name);
	if (entry != NULL)
		move_abort(entry->move, reason);
	pthread_mutex_unlock(&agent->lock);
	return entry != NULL ? 0 : -ENOENT;
}

int agent_resolve(struct agent *agent, const char *name, bool run)
{
	struct agent_entry *entry;

	pthread_mutex_lock(&agent->lock);
	entry = find_any(agent, name);
	if (entry != NULL)
		move_resolve(entry->move, run);
	pthread_mutex_unlock(&agent->lock);
	return entry != NULL ? 0 : -ENOENT;
}

static bool report_is(json_t *report, const char *name)
{
	return strcmp(json_string_value(json_object_get(report, "id")), name) == 0 ||
	       strcmp(json_string_value(json_object_get(report, "vm")), name) == 0;
}

json_t *agent_report(struct agent *agent, const char *name)
{
	struct agent_entry *entry;
	json_t *report = NULL;
	size_t i;

	pthread_mutex_lock(&agent->lock);
	agent_reap(agent);
	entry = find_any(agent, name);
	if (entry != NULL)
		report = move_report(entry->move);
	for (i = json_array_size(agent->history); report == NULL && i > 0; i--)
		if (report_is(json_array_get(agent->history, i - 1), name))
			report = json_deep_copy(json_array_get(agent->history, i - 1));
	pthread_mutex_unlock(&agent->lock);
	return report;
}

json_t *agent_reports(struct agent *agent)
{
	struct agent_entry *entry;
	json_t *reports;

	pthread_mutex_lock(&agent->lock);
	agent_reap(agent);
	reports = json_deep_copy(agent->history);
	STAILQ_FOREACH (entry, &agent->moves, next)
		json_array_append_new(reports, move_report(entry->move));
	pthread_mutex_unlock(&agent->lock);
	return reports;
}

/* The VM a QMP socket's path is for: what stands where the pattern has {vm}. */
static bool path_vm(const char *pattern, const char *path, char *vm)
{
	const char *mark = strstr(pattern, "{vm}");
	size_t head, tail, len = strlen(path);

	if (mark == NULL)
		return false;
	head = mark - pattern;
	tail = strlen(mark + 4);
	if (len < head + tail || len - head - tail >= HANDOVER_ID_MAX)
		return false;
	memcpy(vm, path + head, len - head - tail);
	vm[len - head - tail] = '\0';
	return record_name_valid(vm);
}

json_t *agent_vms(struct agent *agent)
{
	const struct options_mark any = {"{vm}", "*"};
	char *pattern = options_expand(agent->options->qmp, &any, 1);
	char vm[HANDOVER_ID_MAX];
	struct agent_entry *entry;
	json_t *vms = json_array();
	glob_t found = {0};
	size_t i;

	pthread_mutex_lock(&agent->lock);
	agent_reap(agent);
	if (pattern != NULL && glob(pattern, 0, NULL, &found) == 0)
		for (i = 0; i < found.gl_pathc; i++) {
			if (!path_vm(agent->options->qmp, found.gl_pathv[i], vm))
				continue;
			entry = agent_find_vm(agent, vm);
			json_array_append_new(vms,
				json_pack("{s:s, s:s, s:s?}", "vm", vm, "qmp", found.gl_pathv[i],
					"move", entry ? move_identity(entry->move)->id : NULL));
		}
	pthread_mutex_unlock(&agent->lock);
	globfree(&found);
	free(pattern);
	return vms;
}
