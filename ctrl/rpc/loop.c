/* SPDX-License-Identifier: BSD-3-Clause */
#include "ctrl/rpc/loop.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/queue.h>
#include <unistd.h>

struct job {
	STAILQ_ENTRY(job) next;
	loop_fn *fn;
	void *ctx;
};

STAILQ_HEAD(job_list, job);

struct loop {
	struct event_base *base;
	struct event *door; /* the eventfd became readable */
	int door_fd;
	atomic_bool stop;
	pthread_mutex_t lock; /* guards jobs */
	struct job_list jobs;
};

static void door_ring(struct loop *loop)
{
	uint64_t one = 1;

	/* Fails only when the counter is full, and then the door rings already. */
	(void)!write(loop->door_fd, &one, sizeof(one));
}

static size_t run_jobs(struct loop *loop)
{
	struct job_list due = STAILQ_HEAD_INITIALIZER(due);
	struct job *job;
	size_t n = 0;

	pthread_mutex_lock(&loop->lock);
	STAILQ_CONCAT(&due, &loop->jobs);
	pthread_mutex_unlock(&loop->lock);

	while ((job = STAILQ_FIRST(&due)) != NULL) {
		STAILQ_REMOVE_HEAD(&due, next);
		job->fn(job->ctx);
		free(job);
		n++;
	}
	return n;
}

static void on_door(evutil_socket_t fd, short what, void *ctx)
{
	struct loop *loop = ctx;
	uint64_t count;

	(void)!read(fd, &count, sizeof(count));
	run_jobs(loop);
	if (atomic_exchange(&loop->stop, false))
		event_base_loopexit(loop->base, NULL);
}

int loop_create(struct loop **loopp)
{
	struct loop *loop = calloc(1, sizeof(*loop));
	int ret = -ENOMEM;

	if (!loop)
		return -ENOMEM;
	STAILQ_INIT(&loop->jobs);
	pthread_mutex_init(&loop->lock, NULL);
	loop->door_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	if (loop->door_fd < 0) {
		ret = -errno;
		goto fail_fd;
	}
	loop->base = event_base_new();
	if (!loop->base)
		goto fail_base;
	loop->door = event_new(loop->base, loop->door_fd, EV_READ | EV_PERSIST, on_door, loop);
	if (!loop->door || event_add(loop->door, NULL) != 0)
		goto fail_door;
	*loopp = loop;
	return 0;

fail_door:
	if (loop->door)
		event_free(loop->door);
	event_base_free(loop->base);
fail_base:
	close(loop->door_fd);
fail_fd:
	pthread_mutex_destroy(&loop->lock);
	free(loop);
	return ret;
}

void loop_destroy(struct loop *loop)
{
	if (!loop)
		return;
	while (run_jobs(loop))
		;
	event_free(loop->door);
	event_base_free(loop->base);
	close(loop->door_fd);
	pthread_mutex_destroy(&loop->lock);
	free(loop);
}

struct event_base *loop_base(struct loop *loop)
{
	return loop->base;
}

int loop_run(struct loop *loop)
{
	return event_base_dispatch(loop->base) < 0 ? -EIO : 0;
}

void loop_stop(struct loop *loop)
{
	atomic_store(&loop->stop, true);
	door_ring(loop);
}

int loop_post(struct loop *loop, loop_fn *fn, void *ctx)
{
	struct job *job = malloc(sizeof(*job));

	if (!job)
		return -ENOMEM;
	job->fn = fn;
	job->ctx = ctx;
	pthread_mutex_lock(&loop->lock);
	STAILQ_INSERT_TAIL(&loop->jobs, job, next);
	pthread_mutex_unlock(&loop->lock);
	door_ring(loop);
	return 0;
}
