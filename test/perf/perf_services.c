/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What services cost an established packet: cycles of the time stamp counter per packet, from rx to
 * tx of a whole engine on ports in memory, with NAT, QoS (meter and mark) and flow log, against the
 * same packets routed to the same gateway without any. Both engines take turns burst by burst, and
 * the figure is that of an undisturbed burst: the machine may be shared. Fails when the services
 * cost more than LIMIT percent.
 *
 * usage: perf_services [sessions]
 */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <rte_cycles.h>

#include "dataplane/vport.h"
#include "test/fake/fake_eal.h"
#include "test/fake/fake_host.h"
#include "test/fake/fake_value.h"

#define LIMIT 35
#define BURSTS 40000
#define QUIET 20 /* the burst that is faster than all but one in so many */
#define VNI 100
#define EXT 900
#define V_MAC "02:00:00:00:00:05"
#define GATEWAY_MAC "02:00:00:00:00:fe"
#define EXT_MAC "02:00:00:00:09:fe"
#define OUTSIDE "198.51.100.10"
#define PUBLIC "203.0.113.7"
#define FRAME 128

struct rig {
	struct fake_host host;
	struct vport *v;
	struct rte_mbuf *burst[PKT_BURST];
	uint8_t (*frame[2])[FRAME]; /* by enum pkt_dir */
	uint16_t frame_len[2];
	uint32_t sessions;
	uint32_t vni; /* where the outside is */
	uint64_t took[2][BURSTS];
};

static void fails(const char *what)
{
	fprintf(stderr, "perf_services: %s\n", what);
	exit(2);
}

static void network(struct rig *rig, uint32_t vni)
{
	struct in6_addr none = {0};
	struct route_spec route = {.prefix = {.s6_addr = {[10] = 0xff, [11] = 0xff}},
		.plen = 96,
		.next_hop = fake_addr("192.0.2.3"),
		.remote = true};
	struct vpc_spec spec = {.name = vni == VNI ? "shop" : "net",
		.vni = vni,
		.gateway = {vni == VNI ? fake_addr("10.0.0.1") : none},
		.subnet = {vni == VNI ? fake_addr("10.0.0.0") : none},
		.subnet_plen = {120},
		.subnets = vni == VNI,
		.routes = &route,
		.route_count = vni == rig->vni};

	rte_ether_unformat_addr(vni == VNI ? GATEWAY_MAC : EXT_MAC, &spec.gateway_mac);
	rte_ether_unformat_addr(EXT_MAC, &route.mac);
	if (engine_vpc_set(rig->host.engine, &spec, NULL, 0) != 0)
		fails("vpc");
}

static void service(struct rig *rig, const char *name, const char *text)
{
	struct plugin_value *value = fake_value(text);
	struct engine_plugin_config config = {.plugin = name, .value = value, .apply = true};
	char error[256] = "";

	if (engine_plugin_configure(rig->host.engine, &config, error, sizeof(error)) != 0)
		fails(error);
	fake_value_free(value);
}

static void services_load(struct rig *rig)
{
	static const char *const names[] = {"qos", "flowlog"};
	char path[512], error[256];

	for (size_t i = 0; i < RTE_DIM(names); i++) {
		snprintf(path, sizeof(path), "%s/%s.so", PLUGIN_DIR, names[i]);
		if (engine_plugin_load(rig->host.engine, path, error, sizeof(error)) != 0)
			fails(error);
	}
	service(rig, "nat",
		"{external_networks: [{name: net, vni: 900, gateway_vtep: 192.0.2.3}], nat_leases: "
		"[{vport: v, network: net, kind: snat, address: " PUBLIC ", ports: 1024-65535}]}");
	service(rig, "qos",
		"{default: {egress: {committed: 400G, burst: 100M}, ingress: {committed: 400G, "
		"burst: 100M}, mark: [{dscp: 10}]}}");
	service(rig, "flowlog", "{file: /dev/null, events: [start, change, end]}");
}

static void rig_start(struct rig *rig, const char *name, bool services, uint32_t sessions)
{
	struct fake_host_options options = {.name = name,
		.vtep = "192.0.2.1",
		.sessions = sessions * 2 + 4096,
		.plugin = services ? PLUGIN_DIR "/nat.so" : NULL};

	rig->sessions = sessions;
	rig->vni = services ? EXT : VNI;
	fake_host_start(&rig->host, &options);
	network(rig, VNI);
	if (services)
		network(rig, EXT);
	if (services)
		services_load(rig);
	fake_host_peer(&rig->host, "192.0.2.3");
	rig->v = fake_host_vport(&rig->host, "v", VNI, V_MAC, "10.0.0.5");
	rig->v->quota = UINT32_MAX;
	for (int i = 0; i < PKT_BURST; i++)
		rig->burst[i] = rte_pktmbuf_alloc(engine_pool(rig->host.engine));
	for (int dir = 0; dir < 2; dir++)
		rig->frame[dir] = calloc(sessions, sizeof(*rig->frame[dir]));
}

/* The answer to what left for session i. */
static void answer_build(struct rig *rig, uint32_t i, const uint8_t *left)
{
	const struct fake_vxlan outer = {.src = "192.0.2.3",
		.dst = "192.0.2.1",
		.vni = rig->vni,
		.dst_mac = "02:00:00:00:01:01"};
	struct fake_packet f = {.src_mac = EXT_MAC,
		.dst_mac = V_MAC,
		.src = OUTSIDE,
		.dst = rig->vni == EXT ? PUBLIC : "10.0.0.5",
		.sport = 53,
		.dport = (uint16_t)(left[84] << 8 | left[85]),
		.payload_len = 18};
	uint8_t inner[FAKE_FRAME_MAX];
	size_t len = fake_packet_build(&f, inner, sizeof(inner));

	rig->frame_len[PKT_INGRESS] =
		(uint16_t)fake_vxlan_build(&outer, inner, len, rig->frame[PKT_INGRESS][i], FRAME);
}

/* Every session is opened and answered once; its frames are kept. */
static void rig_open(struct rig *rig)
{
	uint8_t left[FAKE_FRAME_MAX], arrived[FAKE_FRAME_MAX];

	for (uint32_t i = 0; i < rig->sessions; i++) {
		struct fake_packet f = {.src_mac = V_MAC,
			.dst_mac = GATEWAY_MAC,
			.src = "10.0.0.5",
			.dst = OUTSIDE,
			.sport = (uint16_t)(1024 + i),
			.dport = 53,
			.payload_len = 18};
		struct rte_mbuf *m;

		rig->frame_len[PKT_EGRESS] =
			(uint16_t)fake_packet_build(&f, rig->frame[PKT_EGRESS][i], FRAME);
		fake_host_send(&rig->host, rig->v->port, &f);
		if (fake_host_receive(rig->host.uplink, left, sizeof(left)) <= 86)
			fails("a packet did not leave");
		answer_build(rig, i, left);
		m = fake_frame_mbuf(rig->frame[PKT_INGRESS][i], rig->frame_len[PKT_INGRESS],
			engine_pool(rig->host.engine));
		assert(port_ring_inject(rig->host.uplink, m) == 0);
		fake_host_run(&rig->host);
		if (fake_host_receive(rig->v->port, arrived, sizeof(arrived)) <= 42 ||
			memcmp(arrived + 36, rig->frame[PKT_EGRESS][i] + 34, 2) != 0)
			fails("an answer did not arrive where it belongs");
		engine_tick(rig->host.engine);
	}
}

static void rig_burst(struct rig *rig, enum pkt_dir dir, uint32_t burst)
{
	struct port *in = dir == PKT_EGRESS ? rig->v->port : rig->host.uplink;
	struct port *out = dir == PKT_EGRESS ? rig->host.uplink : rig->v->port;
	uint64_t start, took;
	struct rte_mbuf *m;
	uint32_t n = 0;

	for (uint32_t i = 0; i < PKT_BURST; i++) {
		uint32_t flow = (burst * PKT_BURST + i) % rig->sessions;

		m = rig->burst[i];
		rte_pktmbuf_reset(m);
		memcpy(rte_pktmbuf_mtod(m, void *), rig->frame[dir][flow], rig->frame_len[dir]);
		m->data_len = rig->frame_len[dir];
		m->pkt_len = rig->frame_len[dir];
	}
	rig->host.now_ns += 2000;
	start = rte_rdtsc_precise();
	for (int i = 0; i < PKT_BURST; i++)
		if (port_ring_inject(in, rig->burst[i]) != 0)
			abort();
	engine_poll(rig->host.engine);
	took = rte_rdtsc_precise() - start;
	while ((m = port_ring_collect(out)) != NULL) {
		if (n < PKT_BURST && m == rig->burst[n])
			n++;
		else
			rte_pktmbuf_free(m); /* of the engine's own: it asks for neighbours */
	}
	if (n != PKT_BURST)
		fails("packets were lost");
	rig->took[dir][burst] = took;
}

static int by_value(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

static double rig_figure(struct rig *rig, enum pkt_dir dir)
{
	qsort(rig->took[dir], BURSTS, sizeof(rig->took[dir][0]), by_value);
	return (double)rig->took[dir][BURSTS / QUIET] / PKT_BURST;
}

int main(int argc, char **argv)
{
	static struct rig plain, full;
	static const char *const names[] = {"to the outside", "from the outside"};
	uint32_t sessions = argc > 1 ? (uint32_t)atol(argv[1]) : 1000;
	double cost = 0;

	if (sessions < PKT_BURST || sessions > 60000 || fake_eal_start_mb(512) != 0)
		fails("needs EAL, and 32 to 60000 sessions");
	rig_start(&plain, "plain", false, sessions);
	rig_start(&full, "full", true, sessions);
	rig_open(&plain);
	rig_open(&full);
	for (int dir = 0; dir < 2; dir++) {
		double p, f;

		for (uint32_t i = 0; i < BURSTS; i++) {
			rig_burst(&plain, (enum pkt_dir)dir, i);
			rig_burst(&full, (enum pkt_dir)dir, i);
		}
		p = rig_figure(&plain, (enum pkt_dir)dir);
		f = rig_figure(&full, (enum pkt_dir)dir);
		printf("%-17s %6.1f cycles/packet plain, %6.1f with NAT, QoS and flow log: +%.0f "
		       "%%\n",
			names[dir], p, f, (f / p - 1) * 100);
		cost += f / p - 1;
	}
	cost = cost / 2 * 100;
	printf("%s: services cost %.0f %% (at most %d) of plain forwarding, %u sessions\n",
		cost <= LIMIT ? "ok" : "not ok", cost, LIMIT, sessions);
	return cost > LIMIT;
}
