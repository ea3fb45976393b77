/* SPDX-License-Identifier: BSD-3-Clause */
#include "dataplane/worker_idle.h"

#include <time.h>

#include "dataplane/worker.h"

#define EMPTY_ROUNDS 64 /* before the first sleep */
#define SLEEP_MIN_US 20 /* ports without a descriptor: wake in < 100 us at first ... */
#define SLEEP_MAX_US 80 /* ... and stay below, which costs under 5 % of a core */
#define SLEEP_SIGNAL_MS 10 /* all ports signal: only ageing and ticks wait */

void worker_idle_init(struct worker_idle *idle, struct worker *worker)
{
	idle->worker = worker;
	idle->adaptive = worker->engine->params.polling == ENGINE_POLL_ADAPTIVE;
	idle->empty_rounds = 0;
	idle->sleep_us = SLEEP_MIN_US;
}

bool worker_idle_should_sleep(struct worker_idle *idle, uint32_t packets)
{
	if (packets > 0) {
		idle->empty_rounds = 0;
		idle->sleep_us = SLEEP_MIN_US;
		return false;
	}
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
	idle->fd_count = 0;
	idle->all_signal = true;
	idle_queues(idle, true);
}

void worker_idle_disarm(struct worker_idle *idle)
{
	idle_queues(idle, false);
}

void worker_idle_wait(struct worker_idle *idle)
{
	struct timespec timeout = {0};

	timeout.tv_nsec = idle->all_signal ? SLEEP_SIGNAL_MS * 1000000L : idle->sleep_us * 1000L;
	/* A descriptor that a port closes meanwhile only makes this return early. */
	ppoll(idle->fd, idle->fd_count, &timeout, NULL);
	if (idle->sleep_us < SLEEP_MAX_US)
		idle->sleep_us += SLEEP_MIN_US;
	atomic_fetch_add_explicit(&idle->worker->sleeps, 1, memory_order_relaxed);
}
