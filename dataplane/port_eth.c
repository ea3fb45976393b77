/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Ports on an ethdev: virtual devices of DPDK (af_packet, tap, memif, ring, pcap, null), made
 * here and removed at close, and NICs, taken if nobody else owns them.
 *
 * Offloads stay off: checksums are finished by the engine. Receive queues beyond what the device
 * has are not an error, port_info() tells how many there are. With fewer transmit queues than
 * asked for, several workers share one under a spinlock.
 *
 * Life: open probes, owns, configures and starts; close stops and removes. Threads: see port.h.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <rte_ethdev.h>
#include <rte_spinlock.h>

#include "dataplane/port_device.h"
#include "dataplane/port_impl.h"

#define ETH_DESCRIPTORS 1024
#define ETH_FLUSH_MAX 4096 /* frames thrown away per queue when a port born paused comes up */

struct eth_queue {
	rte_spinlock_t lock; /* transmit, where shared */
	int fd; /* receive; -1: none */
} __rte_cache_aligned;

struct port_eth {
	struct port port;
	struct port_device device;
	uint16_t rx_queues, tx_queues;
	bool tx_shared;
	bool stale; /* born paused: what waits in the rings now was never meant for us */
	struct rte_ether_addr mac;
	struct eth_queue queue[PORT_QUEUES_MAX];
};

static inline struct port_eth *eth_of(const struct port *port)
{
	return (struct port_eth *)(uintptr_t)port;
}

static uint16_t eth_clamp(uint16_t value, uint16_t min, uint16_t max)
{
	return value < min ? min : RTE_MIN(value, max);
}

static void eth_configure_rss(const struct rte_eth_dev_info *info, struct rte_eth_conf *conf)
{
	uint64_t wanted = RTE_ETH_RSS_IP | RTE_ETH_RSS_TCP | RTE_ETH_RSS_UDP | RTE_ETH_RSS_SCTP;

	if (!(wanted & info->flow_type_rss_offloads))
		return;
	conf->rxmode.mq_mode = RTE_ETH_MQ_RX_RSS;
	conf->rx_adv_conf.rss_conf.rss_hf = wanted & info->flow_type_rss_offloads;
	if (info->rx_offload_capa & RTE_ETH_RX_OFFLOAD_RSS_HASH)
		conf->rxmode.offloads |= RTE_ETH_RX_OFFLOAD_RSS_HASH;
}

static void eth_make_conf(const struct port_eth *p, const struct port_params *params,
	const struct rte_eth_dev_info *info, struct rte_eth_conf *conf)
{
	uint16_t room = rte_pktmbuf_data_room_size(params->pool) - RTE_PKTMBUF_HEADROOM;

	memset(conf, 0, sizeof(*conf));
	/* On an interface of the host the kernel's MTU is the one that counts. */
	if (params->mtu && !p->device.host_interface)
		conf->rxmode.mtu = eth_clamp(params->mtu, info->min_mtu, info->max_mtu);
	if (p->rx_queues > 1)
		eth_configure_rss(info, conf);
	if (params->mtu + RTE_ETHER_HDR_LEN + RTE_ETHER_CRC_LEN > room)
		conf->rxmode.offloads |= info->rx_offload_capa & RTE_ETH_RX_OFFLOAD_SCATTER;
	conf->intr_conf.rxq = p->device.rx_interrupt;
}

static int eth_setup_queues(const struct port_eth *p, const struct port_params *params)
{
	uint16_t rx_desc = ETH_DESCRIPTORS, tx_desc = ETH_DESCRIPTORS, id = p->device.id;
	int socket = rte_eth_dev_socket_id(id);
	int ret = rte_eth_dev_adjust_nb_rx_tx_desc(id, &rx_desc, &tx_desc);

	for (uint16_t q = 0; !ret && q < p->rx_queues; q++)
		ret = rte_eth_rx_queue_setup(id, q, rx_desc, socket, NULL, params->pool);
	for (uint16_t q = 0; !ret && q < p->tx_queues; q++)
		ret = rte_eth_tx_queue_setup(id, q, tx_desc, socket, NULL);
	return ret;
}

/* The wish of `params` as far as the device goes along; a device without the knob is no error. */
static int eth_set_modes(const struct port_eth *p, const struct port_params *params)
{
	uint16_t now;
	int ret = 0;

	if (params->promiscuous)
		ret = rte_eth_promiscuous_enable(p->device.id);
	if (ret && ret != -ENOTSUP)
		return ret;
	if (!params->mtu || p->device.host_interface || rte_eth_dev_get_mtu(p->device.id, &now) ||
		now == params->mtu)
		return 0;
	ret = rte_eth_dev_set_mtu(p->device.id, params->mtu);
	return ret == -ENOTSUP ? 0 : ret;
}

static int eth_start(struct port_eth *p, const struct port_params *params, char *error, size_t len)
{
	uint16_t id = p->device.id, tx_wanted = RTE_MAX(params->tx_queues, 1);
	struct rte_eth_dev_info info;
	struct rte_eth_conf conf;
	int ret = rte_eth_dev_info_get(id, &info);

	if (ret)
		return port_fail(error, len, -ret, "%s: no device information", params->device);
	p->rx_queues = RTE_MIN(params->queues, info.max_rx_queues);
	p->tx_queues = eth_clamp(tx_wanted, 0, RTE_MIN(info.max_tx_queues, PORT_QUEUES_MAX));
	if (p->device.equal_queues)
		p->tx_queues = p->rx_queues;
	p->tx_shared = p->tx_queues < tx_wanted;
	eth_make_conf(p, params, &info, &conf);
	ret = rte_eth_dev_configure(id, p->rx_queues, p->tx_queues, &conf);
	if (!ret)
		ret = eth_setup_queues(p, params);
	if (!ret)
		ret = eth_set_modes(p, params);
	if (!ret)
		ret = rte_eth_dev_start(id);
	if (ret)
		return port_fail(error, len, -ret, "%s: %s", params->device, rte_strerror(-ret));
	rte_eth_macaddr_get(id, &p->mac);
	for (uint16_t q = 0; q < PORT_QUEUES_MAX; q++) {
		rte_spinlock_init(&p->queue[q].lock);
		p->queue[q].fd = q < p->rx_queues ? port_device_rx_fd(&p->device, q) : -1;
	}
	return 0;
}

static int eth_open(const struct port_params *params, struct port **out, char *error, size_t len)
{
	struct port_eth *p = port_alloc(sizeof(*p));
	int ret;

	if (!p)
		return port_fail(error, len, ENOMEM, "%s: no memory", params->name);
	p->port.ops = &port_eth_ops;
	p->port.listener = params->listener;
	snprintf(p->port.name, sizeof(p->port.name), "%s", params->name);
	ret = port_device_open(&p->device, params->device, error, len);
	if (ret)
		goto free_port;
	if (params->only_udp_port)
		ret = port_device_only_udp(&p->device, params->only_udp_port);
	if (ret) {
		port_fail(error, len, -ret, "%s: no filter on its interface", params->device);
		goto close_device;
	}
	ret = eth_start(p, params, error, len);
	if (ret)
		goto close_device;
	p->stale = params->paused;
	__atomic_store_n(&p->port.rings_up, !params->paused, __ATOMIC_RELEASE);
	*out = &p->port;
	return 0;

close_device:
	port_device_close(&p->device);
free_port:
	free(p);
	return ret;
}

static void eth_close(struct port *port)
{
	struct port_eth *p = eth_of(port);

	rte_eth_dev_stop(p->device.id);
	port_device_close(&p->device);
	free(p);
}

static void eth_info(const struct port *port, struct port_info *info)
{
	const struct port_eth *p = eth_of(port);

	info->queues_rx = p->rx_queues;
	info->queues_tx = p->tx_queues;
	info->mac = p->mac;
	snprintf(info->peer, sizeof(info->peer), "%s", p->device.name);
	snprintf(info->ifname, sizeof(info->ifname), "%.31s", p->device.ifname);
}

static uint64_t eth_rx_missed(const struct port *port)
{
	return port_device_missed(&eth_of(port)->device);
}

static void eth_flush(struct port_eth *p)
{
	struct rte_mbuf *mbufs[32];

	for (uint16_t q = 0; q < p->rx_queues; q++) {
		for (int total = 0; total < ETH_FLUSH_MAX; total += RTE_DIM(mbufs)) {
			uint16_t n = rte_eth_rx_burst(p->device.id, q, mbufs, RTE_DIM(mbufs));

			if (!n)
				break;
			rte_pktmbuf_free_bulk(mbufs, n);
		}
	}
}

static int eth_set_rings(struct port *port, bool up)
{
	struct port_eth *p = eth_of(port);

	if (up && p->stale) {
		eth_flush(p);
		p->stale = false;
	}
	port_set_level(port, up);
	return 0;
}

static uint16_t eth_rx(struct port *port, uint16_t queue, struct rte_mbuf **mbufs, uint16_t count)
{
	struct port_eth *p = eth_of(port);

	if (unlikely(queue >= p->rx_queues || !port_level(port)))
		return 0;
	return rte_eth_rx_burst(p->device.id, queue, mbufs, count);
}

static uint16_t eth_tx(struct port *port, uint16_t queue, struct rte_mbuf **mbufs, uint16_t count)
{
	struct port_eth *p = eth_of(port);
	uint16_t sent;

	if (unlikely(!p->tx_queues || !port_level(port)))
		return 0;
	if (queue >= p->tx_queues)
		queue %= p->tx_queues;
	if (!p->tx_shared)
		return rte_eth_tx_burst(p->device.id, queue, mbufs, count);
	rte_spinlock_lock(&p->queue[queue].lock);
	sent = rte_eth_tx_burst(p->device.id, queue, mbufs, count);
	rte_spinlock_unlock(&p->queue[queue].lock);
	return sent;
}

static uint16_t eth_rx_queues(const struct port *port)
{
	return eth_of(port)->rx_queues;
}

static int eth_rx_fd(const struct port *port, uint16_t queue)
{
	return queue < PORT_QUEUES_MAX ? eth_of(port)->queue[queue].fd : -1;
}

/* The descriptors of tap and af_packet are readable as long as a frame waits; nothing to arm. */
static void eth_rx_notify(struct port *port, uint16_t queue, bool on)
{
	(void)port;
	(void)queue;
	(void)on;
}

const struct port_ops port_eth_ops = {
	.open = eth_open,
	.close = eth_close,
	.info = eth_info,
	.rx_missed = eth_rx_missed,
	.set_rings = eth_set_rings,
	.rx = eth_rx,
	.tx = eth_tx,
	.rx_queues = eth_rx_queues,
	.rx_fd = eth_rx_fd,
	.rx_notify = eth_rx_notify,
};
