/* SPDX-License-Identifier: BSD-3-Clause */
#include "test/fake/fake_host.h"

#include <arpa/inet.h>
#include <assert.h>
#include <stdio.h>
#include <string.h>

#include <rte_arp.h>

#include "dataplane/neigh.h"
#include "dataplane/vport.h"

static uint64_t fake_now(void *arg)
{
	return ((struct fake_host *)arg)->now_ns;
}

struct in6_addr fake_addr(const char *text)
{
	struct in6_addr addr;
	struct in_addr v4;

	if (inet_pton(AF_INET, text, &v4) == 1)
		return addr_from_v4(v4.s_addr);
	if (inet_pton(AF_INET6, text, &addr) != 1)
		assert(!"an address");
	return addr;
}

static void fake_log(void *arg, enum plugin_log_level level, const char *object, const char *text)
{
	(void)arg;
	(void)level;
	fprintf(stderr, "# %s: %s\n", object, text);
}

static void host_uplink(struct fake_host *host, const char *vtep)
{
	struct uplink_params params = {
		.port = {.name = "uplink", .kind = PORT_RING, .queues = 1, .mtu = 1600},
		.mtu = 1600,
	};
	char error[256];

	params.vtep[0] = fake_addr(vtep);
	params.plen[0] = addr_is_v4(&params.vtep[0]) ? 120 : 64;
	assert(rte_ether_unformat_addr("02:00:00:00:01:01", &params.mac) == 0);
	/* The VPC's, so that frames are the same wherever they are routed to. */
	assert(rte_ether_unformat_addr("02:00:00:00:00:fe", &params.gateway_mac) == 0);
	if (engine_uplink_open(host->engine, &params, error, sizeof(error)) != 0) {
		fprintf(stderr, "# %s\n", error);
		assert(!"uplink");
	}
	host->uplink = engine_uplink_port(host->engine);
}

void fake_host_start(struct fake_host *host, const struct fake_host_options *options)
{
	struct engine_params params = {
		.name = options->name,
		.clock = {.now_ns = fake_now, .arg = host},
		.callbacks = options->callbacks,
		.workers = options->workers ? options->workers : 1,
		.sessions = options->sessions ? options->sessions : 4096,
		.mbufs = 8192,
		.locations = 4096,
		.pickup = options->pickup,
		.policy_change = options->policy_change,
	};
	char error[256];

	memset(host, 0, sizeof(*host));
	host->now_ns = 1000000000000ULL;
	if (!params.callbacks.log)
		params.callbacks.log = fake_log;
	session_timeouts_default(&params.timeouts);
	if (engine_create(&params, &host->engine, error, sizeof(error)) != 0) {
		fprintf(stderr, "# %s\n", error);
		assert(!"engine");
	}
	if (options->plugin &&
		engine_plugin_load(host->engine, options->plugin, error, sizeof(error)) != 0) {
		fprintf(stderr, "# %s\n", error);
		assert(!"plugin");
	}
	rte_ether_unformat_addr("02:00:00:00:02:02", &host->peer_mac);
	if (options->vtep)
		host_uplink(host, options->vtep);
}

void fake_host_stop(struct fake_host *host)
{
	engine_destroy(host->engine);
	host->engine = NULL;
}

void fake_host_vpc(struct fake_host *host, uint32_t vni)
{
	struct vpc_spec spec = {.name = "vpc", .vni = vni, .subnets = 2};
	char error[256];

	spec.subnet[0] = fake_addr("10.0.0.0");
	spec.subnet_plen[0] = 96 + 24;
	spec.gateway[0] = fake_addr("10.0.0.1");
	spec.subnet[1] = fake_addr("fd00::");
	spec.subnet_plen[1] = 64;
	spec.gateway[1] = fake_addr("fd00::1");
	rte_ether_unformat_addr("02:00:00:00:00:fe", &spec.gateway_mac);
	if (engine_vpc_set(host->engine, &spec, error, sizeof(error)) != 0)
		assert(!"vpc");
}

/* The underlay answers: one ARP reply per VTEP, as after a request. */
static void host_resolve(struct fake_host *host, const struct in6_addr *vtep)
{
	uint8_t frame[FAKE_FRAME_MAX];
	size_t len;

	/* The engine asks (neigh_tick); whatever it sent is answered for this VTEP. */
	host->now_ns += 200000000ULL;
	fake_host_run(host);
	while ((len = fake_host_receive(host->uplink, frame, sizeof(frame))) > 0) {
		struct rte_ether_hdr *ether = (struct rte_ether_hdr *)frame;
		struct rte_arp_hdr *arp = (struct rte_arp_hdr *)(ether + 1);
		struct rte_mbuf *m;
		rte_be32_t asked;

		if (ether->ether_type != RTE_BE16(RTE_ETHER_TYPE_ARP) ||
			arp->arp_data.arp_tip != addr_to_v4(vtep))
			continue;
		asked = arp->arp_data.arp_tip;
		ether->dst_addr = arp->arp_data.arp_sha;
		arp->arp_data.arp_tha = arp->arp_data.arp_sha;
		arp->arp_data.arp_tip = arp->arp_data.arp_sip;
		ether->src_addr = arp->arp_data.arp_sha = host->peer_mac;
		arp->arp_data.arp_sip = asked;
		arp->arp_opcode = RTE_BE16(RTE_ARP_OP_REPLY);
		m = fake_frame_mbuf(frame, len, engine_pool(host->engine));
		assert(m && port_ring_inject(host->uplink, m) == 0);
		fake_host_run(host);
	}
}

void fake_host_peer(struct fake_host *host, const char *vtep)
{
	struct in6_addr addr = fake_addr(vtep);
	struct peer_spec peer = {.vtep = addr};

	if (engine_peer_set(host->engine, &peer) != 0)
		assert(!"peer");
	host_resolve(host, &addr);
}

void fake_host_location(
	struct fake_host *host, uint32_t vni, const char *ip, const char *vtep, const char *mac)
{
	struct location_spec spec = {.addr = fake_addr(ip),
		.vtep = fake_addr(vtep),
		.vni = vni,
		.kind = LOCATION_REMOTE,
		.source = LOCATION_CONFIG};

	if (mac)
		rte_ether_unformat_addr(mac, &spec.mac);
	if (engine_location_set(host->engine, &spec) != 0)
		assert(!"location");
}

struct vport *fake_host_vport(
	struct fake_host *host, const char *name, uint32_t vni, const char *mac, const char *ips)
{
	struct in6_addr ip[8];
	struct vport_spec spec = {.name = name,
		.vni = vni,
		.ips = ip,
		.port = {.kind = PORT_RING, .queues = 1},
		.role = ROLE_OWNER};
	char list[256], *at, *save, error[256];
	struct vport *v;

	snprintf(list, sizeof(list), "%s", ips);
	for (at = strtok_r(list, ",", &save); at; at = strtok_r(NULL, ",", &save))
		ip[spec.ip_count++] = fake_addr(at);
	rte_ether_unformat_addr(mac, &spec.mac);
	if (engine_vport_add(host->engine, &spec, &v, error, sizeof(error)) != 0) {
		fprintf(stderr, "# %s\n", error);
		assert(!"vport");
	}
	return v;
}

void fake_host_run(struct fake_host *host)
{
	while (engine_poll(host->engine) > 0)
		;
	engine_poll(host->engine);
}

void fake_host_send(struct fake_host *host, struct port *port, const struct fake_packet *packet)
{
	struct rte_mbuf *m = fake_packet_mbuf(packet, engine_pool(host->engine));

	if (!m || port_ring_inject(port, m) != 0)
		assert(!"room in the port");
	fake_host_run(host);
}

void fake_host_send_vxlan(
	struct fake_host *host, const struct fake_vxlan *outer, const struct fake_packet *inner)
{
	uint8_t frame[FAKE_FRAME_MAX], whole[FAKE_FRAME_MAX];
	size_t len = fake_packet_build(inner, frame, sizeof(frame));
	struct rte_mbuf *m;

	len = fake_vxlan_build(outer, frame, len, whole, sizeof(whole));
	m = fake_frame_mbuf(whole, len, engine_pool(host->engine));
	if (!m || port_ring_inject(host->uplink, m) != 0)
		assert(!"room in the uplink");
	fake_host_run(host);
}

size_t fake_host_receive(struct port *port, uint8_t *frame, size_t size)
{
	struct rte_mbuf *m = port_ring_collect(port);
	size_t len;

	if (!m)
		return 0;
	len = RTE_MIN((size_t)rte_pktmbuf_pkt_len(m), size);
	if (rte_pktmbuf_read(m, 0, (uint32_t)len, frame) != frame)
		memcpy(frame, rte_pktmbuf_mtod(m, void *), rte_pktmbuf_data_len(m));
	rte_pktmbuf_free(m);
	return len;
}

uint32_t fake_host_drain(struct port *port)
{
	uint8_t frame[FAKE_FRAME_MAX];
	uint32_t count = 0;

	while (fake_host_receive(port, frame, sizeof(frame)) > 0)
		count++;
	return count;
}
