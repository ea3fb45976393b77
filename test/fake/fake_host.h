/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef FERRY_FAKE_HOST_H
#define FERRY_FAKE_HOST_H
/*
 * A hypervisor for tests: a real engine on ring ports and a clock that the test sets, with one
 * uplink and vports by name. No threads: fake_host_run() is the worker. EAL must run (fake_eal.h).
 */
#include <stdint.h>

#include "dataplane/engine.h"
#include "test/fake/fake_packet.h"

struct fake_host {
	struct engine *engine;
	struct port *uplink;
	uint64_t now_ns;
	struct rte_ether_addr peer_mac; /* what the underlay answers ARP with */
};

struct fake_host_options {
	const char *name; /* <= 8 characters, unique */
	const char *vtep; /* NULL: no uplink */
	uint16_t workers; /* 0: 1 */
	uint32_t sessions; /* 0: 4096 */
	bool pickup;
	enum engine_policy_change policy_change;
	struct engine_callbacks callbacks;
	const char *plugin; /* path, or NULL: everything is allowed */
};

/* Asserts on failure. */
void fake_host_start(struct fake_host *host, const struct fake_host_options *options);
void fake_host_stop(struct fake_host *host);

/* VPC 100: 10.0.0.0/24 with gateway 10.0.0.1, fd00::/64 with fd00::1; gateway MAC
 * 02:00:00:00:00:fe. */
void fake_host_vpc(struct fake_host *host, uint32_t vni);
/* A peer VTEP whose MAC is known at once. */
void fake_host_peer(struct fake_host *host, const char *vtep);
void fake_host_location(
	struct fake_host *host, uint32_t vni, const char *ip, const char *vtep, const char *mac);
/* ips: comma-separated. role: OWNER is the usual. */
struct vport *fake_host_vport(
	struct fake_host *host, const char *name, uint32_t vni, const char *mac, const char *ips);

struct in6_addr fake_addr(const char *text);

/* Give a frame to a port and run until nothing moves. */
void fake_host_send(struct fake_host *host, struct port *port, const struct fake_packet *packet);
void fake_host_send_vxlan(
	struct fake_host *host, const struct fake_vxlan *outer, const struct fake_packet *inner);
void fake_host_run(struct fake_host *host);
/* The next frame the engine sent there; 0: none. */
size_t fake_host_receive(struct port *port, uint8_t *frame, size_t size);
uint32_t fake_host_drain(struct port *port); /* count and free */

#endif
