/* SPDX-License-Identifier: BSD-3-Clause */
#include "test/race/race_world.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <rte_arp.h>
#include <rte_ip.h>

#include "dataplane/vport.h"
#include "test/fake/fake_packet.h"
#include "test/fake/fake_value.h"

#define FLOWS 48 /* source ports in use: sessions are met again, and by several workers */
#define UPLINK_MAC "02:00:00:00:01:01"

static uint64_t world_now(void *arg)
{
	return atomic_load(&((struct race_world *)arg)->now_ns);
}

static struct in6_addr addr4(uint8_t a, uint8_t b, uint8_t c, uint8_t d)
{
	return addr_from_v4(rte_cpu_to_be_32(RTE_IPV4(a, b, c, d)));
}

static void check(int rc, const char *what, const char *error)
{
	if (rc == 0)
		return;
	fprintf(stderr, "not ok - %s: %s (%d)\n", what, error, rc);
	abort();
}

static void world_net(struct race_world *w)
{
	struct vpc_spec vpc = {
		.name = "vpc", .vni = RACE_VNI, .subnets = 1, .flood_broadcast = true};
	struct peer_spec peer = {.vtep = addr4(192, 0, 2, 3)};
	struct location_spec remote = {.addr = addr4(10, 0, 0, 9),
		.vtep = peer.vtep,
		.vni = RACE_VNI,
		.kind = LOCATION_REMOTE,
		.source = LOCATION_CONFIG};
	struct uplink_params uplink = {
		.port = {.name = "uplink", .kind = PORT_RING, .queues = RACE_QUEUES, .mtu = 1600},
		.vtep = {addr4(192, 0, 2, 1)},
		.plen = {120},
		.mtu = 1600};
	char error[ENGINE_ERROR_MAX] = "";

	rte_ether_unformat_addr(UPLINK_MAC, &uplink.mac);
	check(engine_uplink_open(w->engine, &uplink, error, sizeof(error)), "uplink", error);
	w->uplink = engine_uplink_port(w->engine);
	vpc.subnet[0] = addr4(10, 0, 0, 0);
	vpc.subnet_plen[0] = 120;
	vpc.gateway[0] = addr4(10, 0, 0, 1);
	rte_ether_unformat_addr("02:00:00:00:00:01", &vpc.gateway_mac);
	check(engine_vpc_set(w->engine, &vpc, error, sizeof(error)), "vpc", error);
	check(engine_peer_set(w->engine, &peer), "peer", error);
	rte_ether_unformat_addr("02:00:00:00:00:09", &remote.mac);
	check(engine_location_set(w->engine, &remote), "location", error);
}

/* The underlay's answer for the peer's VTEP, whatever was asked. */
static void world_resolve(struct race_world *w)
{
	struct {
		struct rte_ether_hdr ether;
		struct rte_arp_hdr arp;
		uint8_t pad[18];
	} __attribute__((packed, aligned(2))) frame = {
		.ether = {.ether_type = RTE_BE16(RTE_ETHER_TYPE_ARP)},
		.arp = {.arp_hardware = RTE_BE16(RTE_ARP_HRD_ETHER),
			.arp_protocol = RTE_BE16(RTE_ETHER_TYPE_IPV4),
			.arp_hlen = 6,
			.arp_plen = 4,
			.arp_opcode = RTE_BE16(RTE_ARP_OP_REPLY)},
	};
	struct in6_addr peer = addr4(192, 0, 2, 3), own = addr4(192, 0, 2, 1);

	rte_ether_unformat_addr(UPLINK_MAC, &frame.ether.dst_addr);
	rte_ether_unformat_addr("02:00:00:00:02:02", &frame.ether.src_addr);
	frame.arp.arp_data.arp_sha = frame.ether.src_addr;
	frame.arp.arp_data.arp_sip = addr_to_v4(&peer);
	frame.arp.arp_data.arp_tha = frame.ether.dst_addr;
	frame.arp.arp_data.arp_tip = addr_to_v4(&own);
	atomic_fetch_add(&w->now_ns, 200000000);
	engine_poll(w->engine);
	port_ring_inject(w->uplink,
		fake_frame_mbuf((uint8_t *)&frame, sizeof(frame), engine_pool(w->engine)));
	engine_poll(w->engine);
	race_collect(w, w->uplink);
}

void race_world_start(
	struct race_world *w, const char *path, const char *plugin, const char *config)
{
	struct engine_params params = {.name = "race",
		.clock = {.now_ns = world_now, .arg = w},
		.workers = RACE_WORKERS,
		.sessions = 4096,
		.mbufs = 8192,
		.locations = 1024,
		.fragments = 64};
	char error[ENGINE_ERROR_MAX] = "";

	memset(w, 0, sizeof(*w));
	atomic_store(&w->now_ns, 1000000000000ULL);
	session_timeouts_default(&params.timeouts);
	check(engine_create(&params, &w->engine, error, sizeof(error)), "engine", error);
	check(engine_plugin_load(w->engine, path, error, sizeof(error)), path, error);
	w->plugin = plugin;
	race_configure(w, config);
	world_net(w);
	w->v = race_vport(w, "v", 5);
	w->l = race_vport(w, "l", 8);
	w->r = race_vport(w, "r", 7);
	world_resolve(w);
	check(engine_start(w->engine), "workers", "");
}

void race_world_stop(struct race_world *w)
{
	engine_stop(w->engine);
	race_collect(w, w->uplink);
	race_collect(w, w->v->port);
	race_collect(w, w->l->port);
	race_collect(w, w->r->port);
	engine_destroy(w->engine);
}

void race_configure(struct race_world *w, const char *text)
{
	struct plugin_value *value = fake_value(text);
	const struct engine_plugin_config config = {
		.plugin = w->plugin, .value = value, .apply = true};
	char error[ENGINE_ERROR_MAX] = "";

	check(engine_plugin_configure(w->engine, &config, error, sizeof(error)), w->plugin, error);
	fake_value_free(value);
}

struct vport_spec race_vport_spec(const char *name, uint8_t host, struct in6_addr *ip)
{
	static const char *const groups[] = {"web"};
	struct vport_spec spec = {.name = name,
		.vni = RACE_VNI,
		.ips = ip,
		.ip_count = 1,
		.groups = groups,
		.group_count = 1,
		.port = {.kind = PORT_RING, .queues = RACE_QUEUES},
		.mac = {.addr_bytes = {2, 0, 0, 0, 0, host}},
		.role = ROLE_OWNER};

	*ip = addr4(10, 0, 0, host);
	return spec;
}

struct vport *race_vport(struct race_world *w, const char *name, uint8_t host)
{
	struct in6_addr ip;
	struct vport_spec spec = race_vport_spec(name, host, &ip);
	char error[ENGINE_ERROR_MAX] = "";
	struct vport *v = NULL;

	check(engine_vport_add(w->engine, &spec, &v, error, sizeof(error)), name, error);
	return v;
}

void race_inject(struct race_world *w, struct port *port, const struct race_frame *f)
{
	static const struct fake_vxlan outer = {
		.src = "192.0.2.3", .dst = "192.0.2.1", .dst_mac = UPLINK_MAC, .vni = RACE_VNI};
	char from[32], to[32], from_mac[32], to_mac[32];
	uint8_t frame[2048], whole[2048];
	struct fake_packet packet = {.src = from,
		.dst = to,
		.src_mac = from_mac,
		.dst_mac = to_mac,
		.proto = f->proto,
		.sport = f->sport,
		.dport = f->dport,
		.tcp_flags = f->tcp_flags,
		.seq = 1000,
		.ack = 1000,
		.window = 64000,
		.payload_len = f->payload_len};
	struct rte_mbuf *m;
	size_t len;

	if (f->proto == IPPROTO_ICMP) {
		packet.icmp_type = f->from < f->to ? 8 : 0;
		packet.icmp_id = 7;
	}
	snprintf(from, sizeof(from), "10.0.0.%u", f->from);
	snprintf(to, sizeof(to), "10.0.0.%u", f->to);
	snprintf(from_mac, sizeof(from_mac), "02:00:00:00:00:%02x", f->from);
	snprintf(to_mac, sizeof(to_mac), "02:00:00:00:00:%02x", f->to);
	if (f->to == RACE_ALL)
		snprintf(to_mac, sizeof(to_mac), "ff:ff:ff:ff:ff:ff");
	packet.ip_id = f->dport;
	len = fake_packet_build(&packet, frame, sizeof(frame));
	if (f->piece > 0)
		len = fake_packet_fragment(memcpy(whole, frame, len), len,
			(uint16_t)(f->piece - 1) * RACE_PIECE, RACE_PIECE, 1, frame, sizeof(frame));
	if (port == w->uplink)
		len = fake_vxlan_build(&outer, frame, len, whole, sizeof(whole));
	m = fake_frame_mbuf(port == w->uplink ? whole : frame, len, engine_pool(w->engine));
	if (!m)
		return;
	if (port_ring_inject(port, m) != 0)
		rte_pktmbuf_free(m);
	else
		atomic_fetch_add_explicit(&w->injected, 1, memory_order_relaxed);
}

void race_collect(struct race_world *w, struct port *port)
{
	struct rte_mbuf *m;

	while ((m = port_ring_collect(port)) != NULL) {
		rte_pktmbuf_free(m);
		atomic_fetch_add_explicit(&w->collected, 1, memory_order_relaxed);
	}
}

/* One of many conversations: UDP questions, TCP from SYN to FIN, whatever the state. */
static struct race_frame next_frame(uint32_t i, uint8_t from, uint8_t to)
{
	static const uint8_t flags[] = {
		RTE_TCP_SYN_FLAG,
		RTE_TCP_SYN_FLAG | RTE_TCP_ACK_FLAG,
		RTE_TCP_ACK_FLAG,
		RTE_TCP_ACK_FLAG,
		RTE_TCP_FIN_FLAG | RTE_TCP_ACK_FLAG,
		RTE_TCP_RST_FLAG,
	};
	struct race_frame f = {.from = from, .to = to, .proto = IPPROTO_UDP, .payload_len = 20};
	uint16_t flow = (uint16_t)(i * 7 % FLOWS);

	if (i % 29 == 0) {
		f.to = RACE_ALL;
	} else if (i % 7 == 0) {
		f.payload_len = 2 * RACE_PIECE - 8;
		f.piece = (uint8_t)(1 + i / 7 % 2);
	} else if (i % 5 == 0) {
		f.proto = IPPROTO_ICMP;
	} else if (i % 3 == 0) {
		f.proto = IPPROTO_TCP;
		f.tcp_flags = flags[i / 3 % RTE_DIM(flags)];
		f.payload_len = 0;
	}
	f.sport = from < to ? (uint16_t)(1000 + flow) : 53;
	f.dport = from < to ? 53 : (uint16_t)(1000 + flow);
	return f;
}

void *race_feed_vms(void *arg)
{
	static const uint8_t to[] = {9, 8, 7, 100, 9, 101, 8, 102, 103, 9};
	struct race_world *w = arg;

	for (uint32_t i = 0; !atomic_load(&w->over); i++) {
		struct race_frame f = next_frame(i, 5, to[i % RTE_DIM(to)]);

		race_inject(w, w->v->port, &f);
		f = next_frame(i + 1, 8, i % 2 ? 5 : 9);
		race_inject(w, w->l->port, &f);
		f = next_frame(i + 2, 7, i % 2 ? 9 : 8);
		race_inject(w, w->r->port, &f);
		race_collect(w, w->v->port);
		race_collect(w, w->l->port);
		race_collect(w, w->r->port);
	}
	return NULL;
}

void *race_feed_uplink(void *arg)
{
	static const uint8_t to[] = {5, 100, 8, 7, 5, 101, 102, 7, 103, 8};
	struct race_world *w = arg;

	for (uint32_t i = 0; !atomic_load(&w->over); i++) {
		struct race_frame f = next_frame(i, 9, to[i % RTE_DIM(to)]);

		race_inject(w, w->uplink, &f);
		race_collect(w, w->uplink);
	}
	return NULL;
}
