/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef FERRY_WORKER_IDLE_H
#define FERRY_WORKER_IDLE_H
/*
 * Adaptive polling: after enough empty rounds a worker asks its ports to signal and sleeps on their
 * descriptors; ports without one bound the sleep. Busy polling never sleeps. For worker.c only.
 */
#include <poll.h>
#include <stdbool.h>
#include <stdint.h>

#define WORKER_IDLE_FDS 256

struct worker;

struct worker_idle {
	struct worker *worker;
	bool adaptive;
	bool all_signal; /* every polled queue has a descriptor */
	uint32_t empty_rounds;
	uint32_t sleep_us; /* grows while nothing comes, for ports without a descriptor */
	unsigned int fd_count;
	struct pollfd fd[WORKER_IDLE_FDS];
};

void worker_idle_init(struct worker_idle *idle, struct worker *worker);
/* Called once per round. */
bool worker_idle_should_sleep(struct worker_idle *idle, uint32_t packets);
/* While RCU-online: ask the ports to signal. A round must follow, for what came just before. */
void worker_idle_arm(struct worker_idle *idle);
/* While RCU-offline. Returns when a port signals or a duty is due. */
void worker_idle_wait(struct worker_idle *idle);
/* While RCU-online: no signals wanted any more. */
void worker_idle_disarm(struct worker_idle *idle);

#endif
