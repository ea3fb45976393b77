/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef FERRY_PORT_DEVICE_H
#define FERRY_PORT_DEVICE_H
/*
 * An ethdev made or taken for one port_eth: naming, probing, ownership, removal, and the
 * descriptor to sleep on. Mutator threads; a lock inside serialises all ports of the process,
 * because DPDK's list of device arguments has none.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <rte_dev.h>

#include "dataplane/port.h"

struct port_device {
	uint16_t id; /* ethdev port */
	bool made; /* probed here */
	bool host_interface; /* sits on an interface that the host owns: leave its MTU alone */
	bool equal_queues; /* insists on as many Rx as Tx queues */
	bool rx_interrupt; /* ask for Rx interrupts at configure */
	struct rte_device *device;
	char name[64]; /* of the DPDK device */
	char ifname[32]; /* of the kernel's interface, if any */
	int16_t fd_count;
	int fds[PORT_QUEUES_MAX]; /* af_packet: one socket per queue */
	uint64_t missed; /* atomic; af_packet: what the kernel has told so far, it tells once */
};

int port_device_open(struct port_device *device, const char *args, char *error, size_t len);
void port_device_close(struct port_device *device);

/*
 * After the device was started. Readable while a frame waits in `queue`; -1: the device has none.
 */
int port_device_rx_fd(const struct port_device *device, uint16_t queue);

/* af_packet only: the kernel keeps back what is no ARP, ICMP, ND or UDP to this port. 0 or -errno.
 */
int port_device_only_udp(const struct port_device *device, uint16_t udp_port);

/* Frames lost before anybody took them, ever. Any thread. */
uint64_t port_device_missed(struct port_device *device);

#endif
