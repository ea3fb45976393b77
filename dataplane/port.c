/* SPDX-License-Identifier: BSD-3-Clause */
#include "dataplane/port.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "dataplane/port_impl.h"

static const struct port_ops *const port_kinds[] = {
	[PORT_ETH] = &port_eth_ops,
	[PORT_VHOST] = &port_vhost_ops,
	[PORT_RING] = &port_ring_ops,
};

int port_fail(char *error, size_t len, int err, const char *format, ...)
{
	va_list args;

	if (error) {
		va_start(args, format);
		vsnprintf(error, len, format, args);
		va_end(args);
	}
	return -err;
}

const char *port_feature_name(unsigned int bit)
{
	static const char *const names[64] = {
		[0] = "csum",
		[1] = "guest-csum",
		[3] = "mtu",
		[15] = "mrg-rxbuf",
		[16] = "status",
		[17] = "ctrl-vq",
		[18] = "ctrl-rx",
		[21] = "guest-announce",
		[22] = "mq",
		[26] = "log-all",
		[27] = "any-layout",
		[28] = "indirect-desc",
		[29] = "event-idx",
		[30] = "protocol-features",
		[32] = "version-1",
		[33] = "iommu",
		[34] = "ring-packed",
		[35] = "in-order",
	};

	return bit < RTE_DIM(names) ? names[bit] : NULL;
}

void *port_alloc(size_t size)
{
	size_t whole = RTE_ALIGN_CEIL(size, RTE_CACHE_LINE_SIZE);
	void *memory = aligned_alloc(RTE_CACHE_LINE_SIZE, whole);

	return memory ? memset(memory, 0, whole) : NULL;
}

void port_event(struct port *port, enum port_event event)
{
	if (port->listener.event && !__atomic_load_n(&port->closing, __ATOMIC_ACQUIRE))
		port->listener.event(port->listener.arg, port, event);
}

void port_set_level(struct port *port, bool up)
{
	if (__atomic_exchange_n(&port->rings_up, up, __ATOMIC_ACQ_REL) != up)
		port_event(port, up ? PORT_RINGS_UP : PORT_RINGS_DOWN);
}

int port_open(const struct port_params *params, struct port **out, char *error, size_t error_len)
{
	if (!params->name || strlen(params->name) >= PORT_NAME_MAX)
		return port_fail(error, error_len, EINVAL,
			"port name missing or longer than %d bytes", PORT_NAME_MAX - 1);
	if (params->queues < 1 || params->queues > PORT_QUEUES_MAX)
		return port_fail(error, error_len, EINVAL,
			"%s: %u queues asked for, 1 to %d expected", params->name, params->queues,
			PORT_QUEUES_MAX);
	if (!params->pool)
		return port_fail(error, error_len, EINVAL, "%s: no packet pool", params->name);
	return port_kinds[params->kind]->open(params, out, error, error_len);
}

void port_close(struct port *port)
{
	if (!port)
		return;
	__atomic_store_n(&port->closing, true, __ATOMIC_RELEASE);
	port->ops->close(port);
}

void port_info(const struct port *port, struct port_info *info)
{
	memset(info, 0, sizeof(*info));
	info->rings_up = port_level(port);
	port->ops->info(port, info);
}

uint64_t port_rx_missed(const struct port *port)
{
	return port->ops->rx_missed ? port->ops->rx_missed(port) : 0;
}

bool port_rings_up(const struct port *port)
{
	return port_level(port);
}

int port_pause(struct port *port)
{
	return port->ops->set_rings ? port->ops->set_rings(port, false) : -EOPNOTSUPP;
}

int port_resume(struct port *port)
{
	return port->ops->set_rings ? port->ops->set_rings(port, true) : -EOPNOTSUPP;
}

uint16_t port_rx(struct port *port, uint16_t queue, struct rte_mbuf **mbufs, uint16_t count)
{
	return port->ops->rx(port, queue, mbufs, count);
}

uint16_t port_tx(struct port *port, uint16_t queue, struct rte_mbuf **mbufs, uint16_t count)
{
	return port->ops->tx(port, queue, mbufs, count);
}

uint16_t port_tx_room(const struct port *port, uint16_t *capacity)
{
	*capacity = 0;
	return port->ops->tx_room ? port->ops->tx_room(port, capacity) : UINT16_MAX;
}

uint16_t port_rx_queues(const struct port *port)
{
	return port_level(port) ? port->ops->rx_queues(port) : 0;
}

int port_rx_fd(const struct port *port, uint16_t queue)
{
	return port->ops->rx_fd(port, queue);
}

void port_rx_notify(struct port *port, uint16_t queue, bool on)
{
	port->ops->rx_notify(port, queue, on);
}
