/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef FERRY_WORKER_IDLE_H
#define FERRY_WORKER_IDLE_H
/*
 * Adaptive polling: after enough empty rounds a worker asks its ports to signal and sleeps on their
 * descriptors and on its own (engine_wake()), which wakes it at once, however long it has slept.
 * Ports without one (rings, pcap, null, memif, NICs without receive interrupts) bound the sleep: to
 * less than 100 us as long as the last packet is 0.1 s ago, then to 1 ms, which is what an idle
 * core of less than 5 % pays for. Busy polling never sleeps. For worker.c only.
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
	uint32_t quiet_us; /* slept since the last packet */
	uint32_t armed_us; /* slept since arm */
	unsigned int fd_count;
	struct pollfd fd[WORKER_IDLE_FDS];
};

void worker_idle_init(struct worker_idle *idle, struct worker *worker);
/* Once per round: there was something to do, or not: is it time to sleep? */
void worker_idle_busy(struct worker_idle *idle);
bool worker_idle_should_sleep(struct worker_idle *idle);
/* While RCU-online: ask the ports to signal. A round must follow, for what came just before. */
void worker_idle_arm(struct worker_idle *idle);
/* While RCU-offline. Returns when a port signals or a look is due; true: disarm, something
 * signalled, or queues may have come. */
bool worker_idle_wait(struct worker_idle *idle);
/* While RCU-online: no signals wanted any more. */
void worker_idle_disarm(struct worker_idle *idle);

#endif
