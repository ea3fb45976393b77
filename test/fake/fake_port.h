/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef FAKE_PORT_H
#define FAKE_PORT_H
/*
 * What tests of ports need around them: a pool, and a worker that sends
 * back each frame it receives and obeys the rules of port.h (a grace period in PORT_RINGS_DOWN).
 */
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include <rte_mempool.h>

#include "dataplane/port.h"
#include "dataplane/rcu.h"

int fake_port_setup(void **state); /* of the group: EAL and the pool */
struct rte_mempool *fake_port_pool(void); /* one for the process */

struct fake_worker {
	struct rcu rcu;
	struct port *port; /* atomic; set by start */
	pthread_t thread;
	bool stop; /* atomic */
	bool silent; /* atomic; takes frames, sends nothing back */
	bool started;
	uint64_t received, sent; /* atomic */
	uint64_t queue_received[PORT_QUEUES_MAX]; /* atomic */
	uint64_t ups, downs, statuses; /* atomic; events */
};

void fake_worker_init(struct fake_worker *worker);
void fake_worker_start(struct fake_worker *worker, struct port *port);
/* The worker has let go of the port when this returns. */
void fake_worker_stop(struct fake_worker *worker);
void fake_worker_destroy(struct fake_worker *worker);
struct port_listener fake_worker_listener(struct fake_worker *worker);

static inline uint64_t fake_count(const uint64_t *counter)
{
	return __atomic_load_n(counter, __ATOMIC_SEQ_CST);
}

/* Waits for a level; false after the time. */
bool fake_port_wait(const struct port *port, bool up, int timeout_ms);
uint64_t fake_port_now_us(void);
uint64_t fake_port_cpu_us(void); /* of the process */
int fake_port_open_fds(void); /* descriptors of the process */

#endif
