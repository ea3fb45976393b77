/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef FERRY_NAT_FIXTURE_H
#define FERRY_NAT_FIXTURE_H
/*
 * A host with the nat plugin, behind a gateway to the outside (VNI 900). Expected frames are built
 * from scratch by fake_packet.h, checksums included, and compared whole.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "dataplane/vport.h"
#include "test/fake/fake_eal.h"
#include "test/fake/fake_host.h"
#include "test/fake/fake_value.h"

#define VNI 100
#define EXT 900
#define GATEWAY_MAC "02:00:00:00:00:fe"
#define EXT_MAC "02:00:00:00:09:fe" /* of the gateway to the outside */
#define V_MAC "02:00:00:00:00:05"
#define L_MAC "02:00:00:00:00:08"
#define C "198.51.100.10"
#define C6 "2001:db8:c::10"
#define N "203.0.113.7"

#define NETWORKS "external_networks: [{name: net, vni: 900, gateway_vtep: 192.0.2.3}]"
#define LEASES(rows) "{" NETWORKS ", nat_leases: [" rows "]}"
#define SNAT(vport, ports) \
	"{vport: " vport ", network: net, kind: snat, address: " N ", ports: " ports "}"

static const struct fake_vxlan from_outside = {
	.src = "192.0.2.3", .dst = "192.0.2.1", .vni = EXT, .dst_mac = "02:00:00:00:01:01"};

struct nat_world {
	struct fake_host s;
	struct vport *v, *l;
};

static int nat_configure(struct fake_host *host, const char *text, char *error, size_t len)
{
	struct plugin_value *value = fake_value(text);
	struct engine_plugin_config config = {.plugin = "nat", .value = value, .apply = true};
	int rc = engine_plugin_configure(host->engine, &config, error, len);

	fake_value_free(value);
	return rc;
}

static void nat_leases(struct fake_host *host, const char *text)
{
	char error[256] = "";

	if (nat_configure(host, text, error, sizeof(error)) != 0)
		fail_msg("%s", error);
}

static void external_network(struct fake_host *host, bool anchor)
{
	struct route_spec routes[2] = {
		{.prefix = {.s6_addr = {[10] = 0xff, [11] = 0xff}}, .plen = 96}, {.plen = 0}};
	struct vpc_spec spec = {
		.name = "net", .vni = EXT, .routes = routes, .route_count = 2, .anchor = anchor};
	char error[256];

	rte_ether_unformat_addr(EXT_MAC, &spec.gateway_mac);
	for (int i = 0; i < 2; i++) {
		routes[i].remote = true;
		routes[i].next_hop = fake_addr("192.0.2.3");
		routes[i].mac = spec.gateway_mac;
	}
	if (engine_vpc_set(host->engine, &spec, error, sizeof(error)) != 0)
		fail_msg("%s", error);
}

static inline void nat_host_net(struct fake_host *host)
{
	fake_host_vpc(host, VNI);
	fake_host_peer(host, "192.0.2.3");
	external_network(host, false);
}

static inline void nat_host_start(struct fake_host *host, const char *name, uint16_t workers)
{
	struct fake_host_options options = {
		.name = name, .vtep = "192.0.2.1", .workers = workers, .plugin = NAT_SO};

	fake_host_start(host, &options);
	nat_host_net(host);
}

static inline uint64_t drops_of(const struct vport *v, enum drop_reason reason)
{
	struct port_stats s;

	engine_vport_stats(v, &s);
	return s.drop[reason];
}

static inline uint64_t uplink_drops(struct fake_host *host, enum drop_reason reason)
{
	struct port_stats s;

	engine_uplink_stats(host->engine, &s);
	return s.drop[reason];
}

/* The next inner frame at the uplink; 0: none. */
static size_t leaves(struct fake_host *host, uint8_t *inner)
{
	uint8_t frame[FAKE_FRAME_MAX];
	size_t len = fake_host_receive(host->uplink, frame, sizeof(frame));

	if (len == 0)
		return 0;
	assert_int_equal(frame[46] << 16 | frame[47] << 8 | frame[48], EXT);
	memcpy(inner, frame + 50, len - 50);
	return len - 50;
}

/* Source port of an IPv4 frame without options. */
static uint16_t source_port(const uint8_t *inner)
{
	return (uint16_t)(inner[34] << 8 | inner[35]);
}

static void assert_frame(const uint8_t *got, size_t len, const struct fake_packet *want)
{
	uint8_t frame[FAKE_FRAME_MAX];
	size_t want_len = fake_packet_build(want, frame, sizeof(frame));

	assert_int_equal(len, want_len);
	assert_memory_equal(got, frame, want_len);
}

/* What left is `want`; its source port, taken from the frame, is filled in. */
static inline uint16_t assert_leaves(struct fake_host *host, struct fake_packet want)
{
	uint8_t inner[FAKE_FRAME_MAX];
	size_t len = leaves(host, inner);

	assert_true(len > 0);
	want.src_mac = GATEWAY_MAC;
	want.dst_mac = EXT_MAC;
	want.ttl = 63;
	if (want.proto == IPPROTO_ICMP)
		want.icmp_id = (uint16_t)(inner[38] << 8 | inner[39]);
	else
		want.sport = source_port(inner);
	assert_frame(inner, len, &want);
	return want.proto == IPPROTO_ICMP ? want.icmp_id : want.sport;
}

static inline void assert_arrives(struct fake_host *host, struct vport *v, struct fake_packet want)
{
	uint8_t frame[FAKE_FRAME_MAX];
	size_t len = fake_host_receive(v->port, frame, sizeof(frame));

	(void)host;
	assert_true(len > 0);
	assert_frame(frame, len, &want);
}

/* V opens a TCP connection; the port it got outside, or 0. */
static uint16_t opens(struct fake_host *host, struct vport *v, uint16_t port, const char *to)
{
	struct fake_packet syn = {.src_mac = V_MAC,
		.dst_mac = GATEWAY_MAC,
		.src = "10.0.0.5",
		.dst = to,
		.proto = IPPROTO_TCP,
		.tcp_flags = RTE_TCP_SYN_FLAG,
		.seq = 1000,
		.window = 65535,
		.sport = port,
		.dport = 443};
	uint8_t inner[FAKE_FRAME_MAX];

	fake_host_send(host, v->port, &syn);
	return leaves(host, inner) ? source_port(inner) : 0;
}

#endif
