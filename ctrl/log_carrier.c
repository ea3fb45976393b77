/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The log's ring and thread.
 *
 * A line in the ring is a level byte and text with one newline, its last byte. The lock is held to
 * copy a line in or out, never while the target is written, so a target that takes nothing holds up
 * the thread alone. The ring then fills, and lines are lost and counted; as soon as one gets
 * through, a line before it says how many were lost.
 */
#include "ctrl/log_carrier.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "ctrl/log_target.h"

#define RING_BYTES (256 * 1024)
#define CLOSE_MS 1000 /* for the target to take what is left */

struct log_carrier {
	struct log_target_state target; /* the thread's */
	pthread_t thread;
	atomic_bool reopen;
	log_carrier_idle *idle;
	void *ctx;

	pthread_mutex_t lock; /* guards all below */
	pthread_cond_t work; /* a line, an order to stop, armed */
	pthread_cond_t rest; /* the thread found nothing to do */
	char *ring;
	size_t ring_bytes, head, tail; /* head - tail bytes are in use */
	bool busy; /* the thread holds a line */
	bool armed, due; /* idle() is to be called within a second; at once */
	bool stop, over; /* to the thread; from it */
	uint64_t stop_ms;
	uint64_t untold_lost;
	struct log_stats stats;
};

uint64_t log_carrier_now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

void log_carrier_stamp(char *stamp)
{
	struct timespec now;
	struct tm parts;

	clock_gettime(CLOCK_REALTIME, &now);
	gmtime_r(&now.tv_sec, &parts);
	strftime(stamp, LOG_STAMP_BYTES, "%Y-%m-%dT%H:%M:%S", &parts);
	snprintf(stamp + 19, LOG_STAMP_BYTES + 1 - 19, ".%03uZ ",
		(unsigned int)(now.tv_nsec / 1000000) % 1000);
}

static void ring_put(struct log_carrier *carrier, const char *bytes, size_t len_bytes)
{
	size_t at = carrier->head % carrier->ring_bytes, first = carrier->ring_bytes - at;

	if (first > len_bytes)
		first = len_bytes;
	memcpy(carrier->ring + at, bytes, first);
	memcpy(carrier->ring, bytes + first, len_bytes - first);
	carrier->head += len_bytes;
}

static size_t ring_take(struct log_carrier *carrier, char *line)
{
	size_t n = 0;

	do {
		line[n++] = carrier->ring[carrier->tail++ % carrier->ring_bytes];
	} while (line[n - 1] != '\n' || n == 1);
	return n;
}

void log_carrier_put(
	struct log_carrier *carrier, enum log_level level, const char *line, size_t len_bytes)
{
	char mark = (char)level;

	pthread_mutex_lock(&carrier->lock);
	if (carrier->ring_bytes - (carrier->head - carrier->tail) < len_bytes + 1) {
		carrier->stats.lost++;
		carrier->untold_lost++;
	} else {
		ring_put(carrier, &mark, 1);
		ring_put(carrier, line, len_bytes);
		pthread_cond_signal(&carrier->work);
	}
	pthread_mutex_unlock(&carrier->lock);
}

void log_carrier_arm(struct log_carrier *carrier)
{
	pthread_mutex_lock(&carrier->lock);
	if (!carrier->armed)
		pthread_cond_signal(&carrier->work);
	carrier->armed = true;
	pthread_mutex_unlock(&carrier->lock);
}

static int write_lost(struct log_carrier *carrier, uint64_t lost)
{
	char line[LOG_LINE_BYTES];
	int n;

	log_carrier_stamp(line);
	n = snprintf(line + LOG_STAMP_BYTES, sizeof(line) - LOG_STAMP_BYTES,
		"%-5s log: %llu lines lost\n", log_level_name(LOG_LEVEL_WARN),
		(unsigned long long)lost);
	return log_target_write(
		&carrier->target, LOG_LEVEL_WARN, line, LOG_STAMP_BYTES + (size_t)n);
}

/* One try, no lock held: what was lost is told first. Stores how much was told. */
static int write_line(struct log_carrier *carrier, const char *line, size_t len_bytes,
	uint64_t lost, uint64_t *told)
{
	int ret = 0;

	if (atomic_exchange(&carrier->reopen, false))
		log_target_reopen(&carrier->target);
	if (lost)
		ret = write_lost(carrier, lost);
	if (ret < 0)
		return ret;
	*told = lost;
	return log_target_write(&carrier->target, (enum log_level)line[0], line + 1, len_bytes - 1);
}

/* Carries one line, lock held at entry and exit. False: the target takes nothing and the log is
 * being closed. */
static bool carry_line(struct log_carrier *carrier)
{
	char line[LOG_LINE_BYTES + 1];
	size_t len_bytes = ring_take(carrier, line);
	uint64_t lost, told;
	bool over;
	int ret;

	carrier->busy = true;
	do {
		lost = carrier->untold_lost;
		told = 0;
		pthread_mutex_unlock(&carrier->lock);
		ret = write_line(carrier, line, len_bytes, lost, &told);
		pthread_mutex_lock(&carrier->lock);
		carrier->untold_lost -= told;
		carrier->stats.target_error = -ret;
		over = carrier->stop && log_carrier_now_ms() >= carrier->stop_ms;
	} while (ret == -EAGAIN && !over);
	carrier->busy = false;
	if (ret == 0) {
		carrier->stats.written++;
	} else {
		carrier->stats.lost++;
		carrier->untold_lost++;
	}
	return ret != -EAGAIN;
}

static void idle_call(struct log_carrier *carrier)
{
	bool more;

	carrier->armed = false;
	carrier->due = false;
	pthread_mutex_unlock(&carrier->lock);
	more = carrier->idle(carrier->ctx);
	pthread_mutex_lock(&carrier->lock);
	carrier->armed |= more;
}

static void wait_for_work(struct log_carrier *carrier)
{
	struct timespec until;

	if (carrier->armed && carrier->due) {
		idle_call(carrier);
		return;
	}
	carrier->due = false;
	pthread_cond_broadcast(&carrier->rest);
	if (!carrier->armed) {
		pthread_cond_wait(&carrier->work, &carrier->lock);
		return;
	}
	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_sec++;
	pthread_cond_timedwait(&carrier->work, &carrier->lock, &until);
	if (carrier->armed)
		idle_call(carrier);
}

static void *carry(void *ctx)
{
	struct log_carrier *carrier = ctx;

	pthread_mutex_lock(&carrier->lock);
	for (;;) {
		if (carrier->head != carrier->tail) {
			if (!carry_line(carrier))
				break;
		} else if (carrier->stop) {
			break;
		} else {
			wait_for_work(carrier);
		}
	}
	carrier->over = true;
	pthread_cond_broadcast(&carrier->rest);
	pthread_mutex_unlock(&carrier->lock);
	return NULL;
}

static int thread_start(struct log_carrier *carrier)
{
	sigset_t all, before;
	int ret;

	/* Signals are the main thread's. */
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	ret = pthread_create(&carrier->thread, NULL, carry, carrier);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	return -ret;
}

static void carrier_free(struct log_carrier *carrier)
{
	pthread_cond_destroy(&carrier->work);
	pthread_cond_destroy(&carrier->rest);
	pthread_mutex_destroy(&carrier->lock);
	free(carrier->ring);
	free(carrier);
}

static void sync_init(struct log_carrier *carrier)
{
	pthread_condattr_t monotonic;

	pthread_mutex_init(&carrier->lock, NULL);
	pthread_condattr_init(&monotonic);
	pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
	pthread_cond_init(&carrier->work, &monotonic);
	pthread_cond_init(&carrier->rest, &monotonic);
	pthread_condattr_destroy(&monotonic);
}

int log_carrier_open(const struct log_options *options, log_carrier_idle *idle, void *ctx,
	struct log_carrier **carrierp)
{
	struct log_carrier *carrier = calloc(1, sizeof(*carrier));
	int ret;

	if (!carrier)
		return -ENOMEM;
	carrier->idle = idle;
	carrier->ctx = ctx;
	carrier->ring_bytes = options->ring_bytes ? options->ring_bytes : RING_BYTES;
	sync_init(carrier);
	carrier->ring = malloc(carrier->ring_bytes);
	ret = carrier->ring ? log_target_open(&carrier->target, options) : -ENOMEM;
	if (ret < 0)
		goto fail;
	ret = thread_start(carrier);
	if (ret < 0)
		goto fail_thread;
	*carrierp = carrier;
	return 0;

fail_thread:
	log_target_close(&carrier->target);
fail:
	carrier_free(carrier);
	return ret;
}

static void deadline_after(struct timespec *until, unsigned int time_ms)
{
	uint64_t at_ms = log_carrier_now_ms() + time_ms;

	until->tv_sec = (time_t)(at_ms / 1000);
	until->tv_nsec = (long)(at_ms % 1000) * 1000000;
}

bool log_carrier_close(struct log_carrier *carrier)
{
	struct timespec until;
	bool over;
	int ret = 0;

	deadline_after(&until, 2 * CLOSE_MS);
	pthread_mutex_lock(&carrier->lock);
	carrier->stop = true;
	carrier->stop_ms = log_carrier_now_ms() + CLOSE_MS;
	pthread_cond_signal(&carrier->work);
	while (!carrier->over && ret == 0)
		ret = pthread_cond_timedwait(&carrier->rest, &carrier->lock, &until);
	over = carrier->over;
	pthread_mutex_unlock(&carrier->lock);
	if (!over)
		return false;
	pthread_join(carrier->thread, NULL);
	log_target_close(&carrier->target);
	carrier_free(carrier);
	return true;
}

bool log_carrier_flush(struct log_carrier *carrier, unsigned int timeout_ms)
{
	struct timespec until;
	bool empty;
	int ret = 0;

	deadline_after(&until, timeout_ms);
	pthread_mutex_lock(&carrier->lock);
	carrier->due = true;
	pthread_cond_signal(&carrier->work);
	do {
		ret = pthread_cond_timedwait(&carrier->rest, &carrier->lock, &until);
		empty = carrier->head == carrier->tail && !carrier->busy && !carrier->due;
	} while (!empty && ret == 0);
	pthread_mutex_unlock(&carrier->lock);
	return empty;
}

void log_carrier_reopen(struct log_carrier *carrier)
{
	atomic_store(&carrier->reopen, true);
}

void log_carrier_stats(struct log_carrier *carrier, struct log_stats *stats)
{
	pthread_mutex_lock(&carrier->lock);
	*stats = carrier->stats;
	pthread_mutex_unlock(&carrier->lock);
}
