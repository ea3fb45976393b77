/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef FERRY_PORT_IMPL_H
#define FERRY_PORT_IMPL_H
/*
 * What the kinds of ports share; for port*.c only. A kind embeds `struct port` as its first
 * member and fills `ops`; port.c does the rest.
 */
#include "dataplane/port.h"

struct port_ops {
	int (*open)(const struct port_params *params, struct port **out, char *error, size_t len);
	void (*close)(struct port *port);
	void (*info)(const struct port *port, struct port_info *info);
	uint64_t (*rx_missed)(const struct port *port); /* NULL: cannot happen */
	int (*set_rings)(struct port *port, bool up); /* NULL: not ours to say */
	uint16_t (*rx)(struct port *port, uint16_t queue, struct rte_mbuf **mbufs, uint16_t count);
	uint16_t (*tx)(struct port *port, uint16_t queue, struct rte_mbuf **mbufs, uint16_t count);
	uint16_t (*tx_room)(const struct port *port, uint16_t *capacity); /* NULL: cannot tell */
	uint16_t (*rx_queues)(const struct port *port);
	int (*rx_fd)(const struct port *port, uint16_t queue);
	void (*rx_notify)(struct port *port, uint16_t queue, bool on);
};

struct port {
	const struct port_ops *ops;
	bool rings_up; /* atomic; written by the kind, before the event */
	bool closing; /* atomic; written by port_close: no event from now on */
	struct port_listener listener;
	char name[PORT_NAME_MAX];
};

extern const struct port_ops port_eth_ops;
extern const struct port_ops port_vhost_ops;
extern const struct port_ops port_ring_ops;

static inline bool port_level(const struct port *port)
{
	return __atomic_load_n(&port->rings_up, __ATOMIC_ACQUIRE);
}

/* Zeroed and aligned to cache lines, from libc, which sanitizers see; free() takes it back. */
void *port_alloc(size_t size);

void port_event(struct port *port, enum port_event event);

/* Set the level; an event if it changed. */
void port_set_level(struct port *port, bool up);

/* One line for people into error (may be NULL); returns -err. */
int port_fail(char *error, size_t len, int err, const char *format, ...)
	__attribute__((format(printf, 4, 5)));

#endif
