/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A job's way: it waits in the loop's queue; the thread prepares it (PREPARE: load the file, make
 * the plan); the loop applies the plan, which is short; the thread cleans up (SETTLE: peers and
 * moves hear of it, what was replaced is freed); the loop answers. The next job starts then, so
 * that the config in force never changes under the thread.
 *
 * Between loop and thread goes one job at a time, `given` one way and `done` the other.
 */
#include "ctrl/cmd/reload.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <unistd.h>

#include <rte_lcore.h>

#include "ctrl/migrate/mover.h"

#define POST_AGAIN_US 10000 /* when there is no memory to post with */

enum job_step { JOB_PREPARE, JOB_SETTLE };

struct job {
	STAILQ_ENTRY(job) next;
	enum reload_kind kind;
	enum job_step step;
	struct cmd *cmd; /* NULL: nobody waits */
	struct config *config; /* to go over to; after that: to be freed */
	struct setup_plan *plan;
	int rc;
	bool applied;
	char error[1024]; /* with a check that went well: what stands in its way */
	char what[];
};

struct reloader {
	struct reloader_options options;
	struct daemon *daemon;
	STAILQ_HEAD(, job) waiting; /* the loop's */
	unsigned int waiting_count;
	bool busy; /* the loop's: a job is with the thread */
	pthread_t thread;
	pthread_mutex_t lock; /* guards what follows */
	pthread_cond_t changed;
	struct job *given, *done;
	bool stopping;
};

/* ---- in the thread ---- */

static int job_edited(struct reloader *r, struct job *job, struct config_error *fault)
{
	const struct config *config = r->daemon->config;
	bool add = job->kind == RELOAD_VPORT_ADD;
	char *text;
	int rc;

	if (!add && !config_vport_find(config, job->what)) {
		snprintf(job->error, sizeof(job->error), "no vport named \"%s\"", job->what);
		return -ENOENT;
	}
	text = daemon_config_edited(config, add ? job->what : NULL, add ? NULL : job->what);
	if (!text)
		return -ENOMEM;
	rc = config_load_text(
		text, strlen(text), add ? "vport/add" : "vport/del", &job->config, fault);
	free(text);
	if (rc != 0)
		snprintf(job->error, sizeof(job->error), "%s: %s", fault->path, fault->text);
	return rc;
}

static int job_load(struct reloader *r, struct job *job)
{
	struct config_error fault;
	int rc;

	if (job->kind == RELOAD_VPORT_ADD || job->kind == RELOAD_VPORT_DEL)
		return job_edited(r, job, &fault);
	rc = config_load(job->what, &job->config, &fault);
	if (rc != 0)
		config_error_format(&fault, job->error, sizeof(job->error));
	return rc;
}

/* What setup says of a file begins with a place in it, or with a colon's sentence. */
static void job_name_file(struct job *job)
{
	char said[ENGINE_ERROR_MAX];

	if (job->kind != RELOAD_FILE && job->kind != RELOAD_CHECK)
		return;
	snprintf(said, sizeof(said), "%.*s", (int)sizeof(said) - 1, job->error);
	snprintf(job->error, sizeof(job->error), "%s%s%s", job->what, daemon_fault_joint(said),
		said);
}

static void job_prepare(struct reloader *r, struct job *job)
{
	struct setup *setup = r->daemon->setup;

	job->rc = job_load(r, job);
	if (job->rc != 0)
		return;
	if (job->kind == RELOAD_CHECK)
		job->rc = setup_reload_check(setup, job->config, job->error, ENGINE_ERROR_MAX);
	else
		job->rc = setup_plan_make(
			setup, job->config, &job->plan, job->error, ENGINE_ERROR_MAX);
	if (job->rc != 0 && (job->kind != RELOAD_CHECK || job->rc != -EBUSY))
		job_name_file(job);
}

/* Also after one that failed: plugins may have let go of what guests had brought. */
static void job_settle(struct reloader *r, struct job *job)
{
	struct daemon *d = r->daemon;
	char error[ENGINE_ERROR_MAX];
	int rc = 0;

	setup_plan_free(d->setup, job->plan);
	job->plan = NULL;
	if (d->mover)
		rc = mover_reload(d->mover, d->config, error, sizeof(error));
	if (rc != 0 && job->rc == 0) {
		job->rc = rc;
		snprintf(job->error, sizeof(job->error), "%s", error);
	}
	config_free(job->config);
	job->config = NULL;
}

static void on_done(void *arg);

static void hand_back(struct reloader *r, struct job *job)
{
	bool stopping;

	pthread_mutex_lock(&r->lock);
	r->done = job;
	stopping = r->stopping;
	pthread_mutex_unlock(&r->lock);
	while (!stopping && loop_post(r->daemon->loop, on_done, r) != 0) {
		usleep(POST_AGAIN_US);
		pthread_mutex_lock(&r->lock);
		stopping = r->stopping;
		pthread_mutex_unlock(&r->lock);
	}
}

static struct job *take_given(struct reloader *r)
{
	struct job *job;

	pthread_mutex_lock(&r->lock);
	while (!r->given && !r->stopping)
		pthread_cond_wait(&r->changed, &r->lock);
	job = r->given;
	r->given = NULL;
	pthread_mutex_unlock(&r->lock);
	return job;
}

static void *reloader_main(void *arg)
{
	struct reloader *r = arg;
	struct job *job;

	pthread_setname_np(pthread_self(), "ferry-reload");
	rte_thread_register();
	while ((job = take_given(r)) != NULL) {
		if (job->step == JOB_PREPARE)
			job_prepare(r, job);
		else
			job_settle(r, job);
		hand_back(r, job);
	}
	rte_thread_unregister();
	return NULL;
}

/* ---- in the loop ---- */

static void give(struct reloader *r, struct job *job, enum job_step step)
{
	job->step = step;
	r->busy = true;
	pthread_mutex_lock(&r->lock);
	r->given = job;
	pthread_cond_signal(&r->changed);
	pthread_mutex_unlock(&r->lock);
}

static void next_job(struct reloader *r)
{
	struct job *job = STAILQ_FIRST(&r->waiting);

	if (r->busy || !job)
		return;
	STAILQ_REMOVE_HEAD(&r->waiting, next);
	r->waiting_count--;
	give(r, job, JOB_PREPARE);
}

static void job_answer(struct reloader *r, struct job *job)
{
	struct daemon *d = r->daemon;
	bool good = job->rc == 0, check = job->kind == RELOAD_CHECK;
	const char *error = job->error[0] ? job->error : strerror(-job->rc);

	if (job->kind == RELOAD_FILE) {
		d->reloads++;
		snprintf(d->reload_error, sizeof(d->reload_error), "%s", good ? "" : error);
	}
	if (!job->cmd) {
		r->options.told(r->options.arg, good ? NULL : error);
		return;
	}
	if (check && job->rc == -EBUSY)
		out_note(cmd_out(job->cmd), "good; but %s", error);
	else if (job->applied && !good && job->kind != RELOAD_FILE)
		out_note(cmd_out(job->cmd), "moves: %s", error);
	else if (!good)
		cmd_fail(job->cmd, "%s", error);
	else if (check || job->kind == RELOAD_FILE)
		out_note(cmd_out(job->cmd), check ? "good" : "reloaded");
	good = good || (check && job->rc == -EBUSY) || (job->applied && job->kind != RELOAD_FILE);
	cmd_finish(job->cmd, good ? 0 : -EINVAL);
}

static void job_end(struct reloader *r, struct job *job)
{
	job_answer(r, job);
	free(job);
}

static void job_apply(struct reloader *r, struct job *job)
{
	struct daemon *d = r->daemon;
	struct config *from = d->config;

	job->rc = setup_plan_apply(d->setup, job->plan, job->error, ENGINE_ERROR_MAX);
	if (job->rc != 0) {
		job_name_file(job);
		return;
	}
	job->applied = true;
	d->config = job->config;
	job->config = from;
	r->options.applied(r->options.arg, from, d->config);
}

static struct job *take_done(struct reloader *r)
{
	struct job *job;

	pthread_mutex_lock(&r->lock);
	job = r->done;
	r->done = NULL;
	pthread_mutex_unlock(&r->lock);
	return job;
}

static void on_done(void *arg)
{
	struct reloader *r = arg;
	struct job *job = take_done(r);

	if (!job)
		return;
	r->busy = false;
	if (job->step == JOB_PREPARE && job->plan) {
		job_apply(r, job);
		give(r, job, JOB_SETTLE);
		return;
	}
	config_free(job->config);
	job_end(r, job);
	next_job(r);
}

int reloader_ask(struct reloader *r, enum reload_kind kind, const char *what, struct cmd *cmd)
{
	struct job *job;

	STAILQ_FOREACH (job, &r->waiting, next)
		if (!cmd && job->kind == kind && strcmp(job->what, what) == 0)
			return 0;
	if (r->waiting_count >= RELOADS_WAITING_MAX)
		return cmd ? cmd_fail(
				     cmd, "%u changes of the config wait already", r->waiting_count)
			   : -EBUSY;
	job = calloc(1, sizeof(*job) + strlen(what) + 1);
	if (!job)
		return -ENOMEM;
	job->kind = kind;
	job->cmd = cmd;
	strcpy(job->what, what);
	STAILQ_INSERT_TAIL(&r->waiting, job, next);
	r->waiting_count++;
	next_job(r);
	return cmd ? cmd_defer(cmd, NULL) : 0;
}

int reloader_create(const struct reloader_options *options, struct reloader **out)
{
	struct reloader *r = calloc(1, sizeof(*r));
	int rc;

	if (!r)
		return -ENOMEM;
	r->options = *options;
	r->daemon = options->daemon;
	STAILQ_INIT(&r->waiting);
	pthread_mutex_init(&r->lock, NULL);
	pthread_cond_init(&r->changed, NULL);
	rc = pthread_create(&r->thread, NULL, reloader_main, r);
	if (rc != 0) {
		free(r);
		return -rc;
	}
	*out = r;
	return 0;
}

void reloader_stop(struct reloader *r)
{
	struct job *job;

	if (!r)
		return;
	pthread_mutex_lock(&r->lock);
	r->stopping = true;
	pthread_cond_signal(&r->changed);
	pthread_mutex_unlock(&r->lock);
	pthread_join(r->thread, NULL);
	job = take_done(r);
	if (job)
		STAILQ_INSERT_HEAD(&r->waiting, job, next);
	while ((job = STAILQ_FIRST(&r->waiting)) != NULL) {
		STAILQ_REMOVE_HEAD(&r->waiting, next);
		setup_plan_free(r->daemon->setup, job->plan);
		config_free(job->config);
		if (!job->applied && job->rc == 0) {
			job->rc = -ECANCELED;
			snprintf(job->error, sizeof(job->error), "ferryd ends");
		}
		job_end(r, job);
	}
}

void reloader_free(struct reloader *r)
{
	if (!r)
		return;
	pthread_cond_destroy(&r->changed);
	pthread_mutex_destroy(&r->lock);
	free(r);
}
