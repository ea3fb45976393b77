/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A port of rings in memory: what a program in the same process gives and takes (replay, tests).
 * One ring per queue in, one out. No descriptor, no offloads, rings up at birth unless `paused`.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include <rte_ring.h>

#include "dataplane/port_impl.h"

#define RING_FRAMES 4096

struct port_ring {
	struct port port;
	struct rte_ring *to_engine[PORT_QUEUES_MAX], *from_engine;
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

	if (ring && rte_ring_init(ring, "port", RING_FRAMES, 0) != 0) {
		free(ring);
		ring = NULL;
	}
	return ring;
}

static void ring_drop(struct rte_ring *ring)
{
	void *m;

	while (ring && rte_ring_dequeue(ring, &m) == 0)
		rte_pktmbuf_free(m);
	free(ring);
}

static void port_ring_close(struct port *port)
{
	struct port_ring *p = ring_of(port);

	for (uint16_t q = 0; q < p->queues; q++)
		ring_drop(p->to_engine[q]);
	ring_drop(p->from_engine);
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
	p->from_engine = ring_make();
	made = p->from_engine != NULL;
	for (uint16_t q = 0; q < p->queues; q++) {
		p->to_engine[q] = ring_make();
		made = made && p->to_engine[q];
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
	return (uint16_t)rte_ring_dequeue_burst(
		ring_of(port)->to_engine[queue], (void **)mbufs, count, NULL);
}

static uint16_t port_ring_tx(
	struct port *port, uint16_t queue, struct rte_mbuf **mbufs, uint16_t count)
{
	(void)queue;
	if (!port_level(port))
		return 0;
	return (uint16_t)rte_ring_enqueue_burst(
		ring_of(port)->from_engine, (void *const *)mbufs, count, NULL);
}

static uint16_t port_ring_tx_room(const struct port *port, uint16_t *capacity)
{
	*capacity = RING_FRAMES - 1;
	return port_level(port) ? (uint16_t)rte_ring_free_count(ring_of(port)->from_engine) : 0;
}

static bool port_ring_tx_csum(const struct port *port)
{
	(void)port;
	return false;
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
	.tx_csum = port_ring_tx_csum,
	.rx_queues = port_ring_queues,
	.rx_fd = port_ring_fd,
	.rx_notify = port_ring_notify,
};

int port_ring_inject(struct port *port, struct rte_mbuf *m)
{
	struct port_ring *p = ring_of(port);

	if (rte_ring_enqueue(p->to_engine[p->next], m) != 0)
		return -ENOBUFS;
	p->next = (uint16_t)((p->next + 1) % p->queues);
	return 0;
}

struct rte_mbuf *port_ring_collect(struct port *port)
{
	void *m;

	return rte_ring_dequeue(ring_of(port)->from_engine, &m) == 0 ? m : NULL;
}
