/* SPDX-License-Identifier: BSD-3-Clause */
#include "test/fake/fake_port.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <rte_mbuf.h>

#include "test/fake/fake_eal.h"

#define BURST 32

static struct rte_mempool *pool;

int fake_port_setup(void **state)
{
	(void)state;
	if (fake_eal_start())
		return -1;
	pool = fake_eal_pool("fake_port", 8191);
	return pool ? 0 : -1;
}

struct rte_mempool *fake_port_pool(void)
{
	return pool;
}

static void worker_event(void *arg, struct port *port, enum port_event event)
{
	struct fake_worker *w = arg;

	(void)port;
	switch (event) {
	case PORT_RINGS_UP:
		__atomic_add_fetch(&w->ups, 1, __ATOMIC_SEQ_CST);
		break;
	case PORT_RINGS_DOWN:
		rcu_wait(&w->rcu);
		__atomic_add_fetch(&w->downs, 1, __ATOMIC_SEQ_CST);
		break;
	case PORT_STATUS:
		__atomic_add_fetch(&w->statuses, 1, __ATOMIC_SEQ_CST);
		break;
	}
}

static uint16_t worker_poll(struct fake_worker *w, uint16_t queue)
{
	struct rte_mbuf *mbufs[BURST];
	uint16_t n = port_rx(w->port, queue, mbufs, BURST), sent = 0;

	if (!n)
		return 0;
	__atomic_add_fetch(&w->queue_received[queue], n, __ATOMIC_RELAXED);
	__atomic_add_fetch(&w->received, n, __ATOMIC_RELAXED);
	if (!__atomic_load_n(&w->silent, __ATOMIC_RELAXED))
		sent = port_tx(w->port, 0, mbufs, n);
	__atomic_add_fetch(&w->sent, sent, __ATOMIC_RELAXED);
	rte_pktmbuf_free_bulk(&mbufs[sent], n - sent);
	return n;
}

static void *worker_run(void *arg)
{
	const struct timespec nap = {.tv_nsec = 50000};
	struct fake_worker *w = arg;
	int reader = rcu_register(&w->rcu);

	rcu_online(&w->rcu, reader);
	while (!__atomic_load_n(&w->stop, __ATOMIC_ACQUIRE)) {
		uint16_t queues = port_rx_queues(w->port), n = 0;

		for (uint16_t q = 0; q < queues; q++)
			n += worker_poll(w, q);
		rcu_quiescent(&w->rcu, reader);
		if (n)
			continue;
		rcu_offline(&w->rcu, reader);
		nanosleep(&nap, NULL);
		rcu_online(&w->rcu, reader);
	}
	rcu_offline(&w->rcu, reader);
	rcu_unregister(&w->rcu, reader);
	return NULL;
}

void fake_worker_init(struct fake_worker *worker)
{
	memset(worker, 0, sizeof(*worker));
	if (rcu_init(&worker->rcu))
		abort();
}

void fake_worker_start(struct fake_worker *worker, struct port *port)
{
	worker->port = port;
	worker->stop = false;
	worker->started = !pthread_create(&worker->thread, NULL, worker_run, worker);
}

void fake_worker_stop(struct fake_worker *worker)
{
	if (!worker->started)
		return;
	__atomic_store_n(&worker->stop, true, __ATOMIC_RELEASE);
	pthread_join(worker->thread, NULL);
	worker->started = false;
}

void fake_worker_destroy(struct fake_worker *worker)
{
	fake_worker_stop(worker);
	rcu_destroy(&worker->rcu);
}

struct port_listener fake_worker_listener(struct fake_worker *worker)
{
	return (struct port_listener){.event = worker_event, .arg = worker};
}

uint64_t fake_port_now_us(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000 + (uint64_t)ts.tv_nsec / 1000;
}

uint64_t fake_port_cpu_us(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &ts);
	return (uint64_t)ts.tv_sec * 1000000 + (uint64_t)ts.tv_nsec / 1000;
}

bool fake_port_wait(const struct port *port, bool up, int timeout_ms)
{
	const struct timespec nap = {.tv_nsec = 200000};
	uint64_t end = fake_port_now_us() + (uint64_t)timeout_ms * 1000;

	while (port_rings_up(port) != up) {
		if (fake_port_now_us() > end)
			return false;
		nanosleep(&nap, NULL);
	}
	return true;
}

int fake_port_open_fds(void)
{
	DIR *dir = opendir("/proc/self/fd");
	int n = 0;

	while (readdir(dir))
		n++;
	closedir(dir);
	return n - 3; /* ".", ".." and the directory itself */
}
