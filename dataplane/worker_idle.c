/* SPDX-License-Identifier: BSD-3-Clause */
#include "dataplane/worker_idle.h"

#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <time.h>

#include "dataplane/worker.h"

#define EMPTY_ROUNDS 64 /* before the first sleep */
#define TIMER_SLACK_NS 1000UL /* the kernel's 50 us would be most of a short sleep */
/*
 * Ports without a descriptor are looked at in time. Each look costs some microseconds, most of them
 * the kernel's: 80 us apart they cost more than 5 % of a core, so that is for the first while only.
 */
#define SLEEP_MIN_US 20
#define SLEEP_SHORT_US 80 /* found in < 100 us ... */
#define SHORT_FOR_US 100000 /* ... for so long after the last packet */
#define SLEEP_LONG_US 1000
#define ARM_AGAIN_US 10000 /* queues that have come since; with descriptors alone, ageing waits */

void worker_idle_init(struct worker_idle *idle, struct worker *worker)
{
	*idle = (struct worker_idle){.worker = worker,
		.adaptive = worker->engine->params.polling == ENGINE_POLL_ADAPTIVE,
		.sleep_us = SLEEP_MIN_US};
	if (idle->adaptive)
		prctl(PR_SET_TIMERSLACK, TIMER_SLACK_NS, 0, 0, 0);
}

void worker_idle_busy(struct worker_idle *idle)
{
	idle->empty_rounds = 0;
	idle->sleep_us = SLEEP_MIN_US;
	idle->quiet_us = 0;
}

bool worker_idle_should_sleep(struct worker_idle *idle)
{
	return idle->adaptive && ++idle->empty_rounds >= EMPTY_ROUNDS;
}

/* Ask the queues that are there now to signal or not; with notify also note their descriptors. */
static void idle_queues(struct worker_idle *idle, bool notify)
{
	const struct poll_set *polls =
		atomic_load_explicit(&idle->worker->polls, memory_order_acquire);

	for (uint32_t i = 0; polls && i < polls->count; i++) {
		const struct poll_entry *entry = &polls->entry[i];
		int fd;

		if (entry->queue >= port_rx_queues(entry->port))
			continue;
		port_rx_notify(entry->port, entry->queue, notify);
		if (!notify)
			continue;
		fd = port_rx_fd(entry->port, entry->queue);
		if (fd < 0 || idle->fd_count == WORKER_IDLE_FDS)
			idle->all_signal = false;
		else
			idle->fd[idle->fd_count++] = (struct pollfd){.fd = fd, .events = POLLIN};
	}
}

void worker_idle_arm(struct worker_idle *idle)
{
	idle->fd[0] = (struct pollfd){.fd = idle->worker->wake_fd, .events = POLLIN};
	idle->fd_count = 1;
	idle->all_signal = true;
	idle->armed_us = 0;
	idle_queues(idle, true);
}

void worker_idle_disarm(struct worker_idle *idle)
{
	idle_queues(idle, false);
}

/* The next sleep in time: short at first, then ever longer. */
static void idle_pace(struct worker_idle *idle)
{
	idle->quiet_us += idle->sleep_us;
	if (idle->sleep_us < SLEEP_SHORT_US)
		idle->sleep_us += SLEEP_MIN_US;
	else if (idle->quiet_us >= SHORT_FOR_US && idle->sleep_us < SLEEP_LONG_US)
		idle->sleep_us = RTE_MIN(idle->sleep_us * 2, (uint32_t)SLEEP_LONG_US);
}

bool worker_idle_wait(struct worker_idle *idle)
{
	uint32_t sleep_us = idle->all_signal ? ARM_AGAIN_US : idle->sleep_us;
	struct timespec timeout = {.tv_nsec = sleep_us * 1000L};
	/* A descriptor that a port closes meanwhile only makes this return early. */
	int ready = ppoll(idle->fd, idle->fd_count, &timeout, NULL);
	eventfd_t value;

	if (ready > 0 && idle->fd[0].revents)
		eventfd_read(idle->fd[0].fd, &value);
	atomic_fetch_add_explicit(&idle->worker->sleeps, 1, memory_order_relaxed);
	if (!idle->all_signal)
		idle_pace(idle);
	idle->armed_us += sleep_us;
	return ready != 0 || idle->armed_us >= ARM_AGAIN_US;
}
