/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A port of rings in memory: what a program in the same process gives and takes (replay, tests).
 * One ring per queue in, one out. No descriptor, no offloads, rings up at birth unless `paused`.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include <rte_ring.h>
#include <rte_spinlock.h>

#include "dataplane/port_impl.h"

#define RING_FRAMES 4096

/* Many workers may send at once. A lock, since rte_ring orders several producers by relaxed loads,
 * which ThreadSanitizer reports. */
struct locked_ring {
	rte_spinlock_t lock;
	struct rte_ring *ring;
};

struct port_ring {
	struct port port;
	struct locked_ring to_engine[PORT_QUEUES_MAX], from_engine;
	uint16_t queues, next; /* next: of whoever injects */
};

static struct port_ring *ring_of(const struct port *port)
{
	return (struct port_ring *)(uintptr_t)port;
}

/* Not by rte_ring_create(): its names are of the whole process. */
static struct rte_ring *ring_make(void)
{
	struct rte_ring *ring =
		aligned_alloc(RTE_CACHE_LINE_SIZE, (size_t)rte_ring_get_memsize(RING_FRAMES));

	if (ring && rte_ring_init(ring, "port", RING_FRAMES, RING_F_SP_ENQ | RING_F_SC_DEQ) != 0) {
		free(ring);
		ring = NULL;
	}
	return ring;
}

static unsigned int ring_put(struct locked_ring *at, struct rte_mbuf **mbufs, unsigned int count)
{
	rte_spinlock_lock(&at->lock);
	count = rte_ring_sp_enqueue_burst(at->ring, (void *const *)mbufs, count, NULL);
	rte_spinlock_unlock(&at->lock);
	return count;
}

static unsigned int ring_take(struct locked_ring *at, struct rte_mbuf **mbufs, unsigned int count)
{
	rte_spinlock_lock(&at->lock);
	count = rte_ring_sc_dequeue_burst(at->ring, (void **)mbufs, count, NULL);
	rte_spinlock_unlock(&at->lock);
	return count;
}

static void ring_drop(struct locked_ring *at)
{
	struct rte_mbuf *m;

	while (at->ring && ring_take(at, &m, 1) == 1)
		rte_pktmbuf_free(m);
	free(at->ring);
}

static void port_ring_close(struct port *port)
{
	struct port_ring *p = ring_of(port);

	for (uint16_t q = 0; q < p->queues; q++)
		ring_drop(&p->to_engine[q]);
	ring_drop(&p->from_engine);
	free(p);
}

static int port_ring_open(
	const struct port_params *params, struct port **out, char *error, size_t len)
{
	struct port_ring *p = calloc(1, sizeof(*p));
	bool made;

	if (!p)
		return port_fail(error, len, ENOMEM, "%s: out of memory", params->name);
	p->queues = params->queues ? params->queues : 1;
	p->from_engine.ring = ring_make();
	made = p->from_engine.ring != NULL;
	for (uint16_t q = 0; q < p->queues; q++) {
		p->to_engine[q].ring = ring_make();
		made = made && p->to_engine[q].ring;
	}
	if (!made) {
		port_ring_close(&p->port);
		return port_fail(error, len, ENOMEM, "%s: out of memory", params->name);
	}
	p->port.ops = &port_ring_ops;
	p->port.listener = params->listener;
	snprintf(p->port.name, sizeof(p->port.name), "%s", params->name);
	p->port.rings_up = !params->paused;
	*out = &p->port;
	return 0;
}

static void port_ring_info(const struct port *port, struct port_info *info)
{
	info->queues_rx = ring_of(port)->queues;
	info->queues_tx = 1;
	snprintf(info->peer, sizeof(info->peer), "memory");
}

static int port_ring_set(struct port *port, bool up)
{
	port_set_level(port, up);
	return 0;
}

static uint16_t port_ring_rx(
	struct port *port, uint16_t queue, struct rte_mbuf **mbufs, uint16_t count)
{
	if (!port_level(port))
		return 0;
	return (uint16_t)ring_take(&ring_of(port)->to_engine[queue], mbufs, count);
}

static uint16_t port_ring_tx(
	struct port *port, uint16_t queue, struct rte_mbuf **mbufs, uint16_t count)
{
	(void)queue;
	if (!port_level(port))
		return 0;
	return (uint16_t)ring_put(&ring_of(port)->from_engine, mbufs, count);
}

/* rte_ring_free_count(), while others put and take. */
static uint16_t ring_room(const struct rte_ring *ring)
{
	uint32_t put = __atomic_load_n(&ring->prod.tail, __ATOMIC_RELAXED);
	uint32_t taken = __atomic_load_n(&ring->cons.tail, __ATOMIC_RELAXED);
	uint32_t count = (put - taken) & ring->mask;

	return (uint16_t)(ring->capacity - RTE_MIN(count, ring->capacity));
}

static uint16_t port_ring_tx_room(const struct port *port, uint16_t *capacity)
{
	*capacity = RING_FRAMES - 1;
	return port_level(port) ? ring_room(ring_of(port)->from_engine.ring) : 0;
}

static uint16_t port_ring_queues(const struct port *port)
{
	return port_level(port) ? ring_of(port)->queues : 0;
}

static int port_ring_fd(const struct port *port, uint16_t queue)
{
	(void)port;
	(void)queue;
	return -1;
}

static void port_ring_notify(struct port *port, uint16_t queue, bool on)
{
	(void)port;
	(void)queue;
	(void)on;
}

const struct port_ops port_ring_ops = {
	.open = port_ring_open,
	.close = port_ring_close,
	.info = port_ring_info,
	.set_rings = port_ring_set,
	.rx = port_ring_rx,
	.tx = port_ring_tx,
	.tx_room = port_ring_tx_room,
	.rx_queues = port_ring_queues,
	.rx_fd = port_ring_fd,
	.rx_notify = port_ring_notify,
};

int port_ring_inject(struct port *port, struct rte_mbuf *m)
{
	struct port_ring *p = ring_of(port);

	if (ring_put(&p->to_engine[p->next], &m, 1) == 0)
		return -ENOBUFS;
	p->next = (uint16_t)((p->next + 1) % p->queues);
	return 0;
}

struct rte_mbuf *port_ring_collect(struct port *port)
{
	struct rte_mbuf *m;

	return ring_take(&ring_of(port)->from_engine, &m, 1) == 1 ? m : NULL;
}
