/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef FAKE_VHOST_RIG_H
#define FAKE_VHOST_RIG_H
/*
 * A vhost port with a worker that echoes, and a guest with its front end: what each test of vhost
 * ports needs. Functions fail the test by cmocka when they fail.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <rte_ether.h>
#include <rte_ip.h>
#include <rte_udp.h>

#include "test/fake/fake_port.h"
#include "test/fake/fake_vhost_front.h"

struct vhost_rig {
	char path[64];
	bool server; /* whether the port listens */
	uint16_t pairs;
	int listener; /* of the front end, where the port connects */
	struct fake_worker worker;
	struct port *port;
	struct fake_guest *guest;
	struct fake_front front;
};

/* Opens the port, at a path of its own. */
void vhost_rig_open(struct vhost_rig *rig, uint16_t pairs, bool server);
/* Makes the guest, then vhost_rig_connect and vhost_rig_start. */
void vhost_rig_boot(struct vhost_rig *rig, const struct fake_guest_params *params);
void vhost_rig_connect(struct vhost_rig *rig); /* and negotiate */
void vhost_rig_start(struct vhost_rig *rig, uint16_t pairs); /* waits for rings up */
void vhost_rig_close(struct vhost_rig *rig);

/* Sends one frame of a flow and waits for its echo on pair 0. */
void vhost_rig_ping(struct vhost_rig *rig, uint16_t flow);

struct fake_udp_frame {
	struct rte_ether_hdr eth;
	struct rte_ipv4_hdr ip;
	struct rte_udp_hdr udp;
	uint32_t number;
	uint8_t rest[1400];
} __attribute__((packed, aligned(2)));

/* 10.0.0.5 to 10.0.0.9, source port 1000 + flow; the length of the frame. No UDP checksum. */
size_t fake_udp_frame(
	struct fake_udp_frame *frame, uint16_t flow, uint32_t number, uint16_t payload);

#endif
