/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Cycles of the time stamp counter per packet from rx to tx of a whole engine, on ports in memory:
 * what Ferry itself costs, without a driver. Bursts of 32 over so many sessions, each packet of
 * another session; the figure is that of an undisturbed burst (the machine may be shared). The ring
 * ports' own share is measured beside it.
 *
 * usage: perf_path [sessions...]
 */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <rte_cycles.h>

#include "dataplane/vport.h"
#include "test/fake/fake_eal.h"
#include "test/fake/fake_host.h"

#define BURSTS 20000
#define V_MAC "02:00:00:00:00:05"
#define W_MAC "02:00:00:00:00:09"
#define FRAME 64
/* The burst that is faster than all but one in so many: few others disturbed it. */
#define QUIET 20

struct rig {
	struct fake_host host;
	struct vport *v;
	struct rte_mbuf *burst[PKT_BURST];
	uint8_t (*frame)[FRAME + 64];
	uint16_t frame_len;
	uint32_t sessions;
	bool poll; /* false: through the rings only */
};

static int by_value(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

/* The next burst's frames, as a driver would leave them. */
static void rig_fill(struct rig *rig, uint32_t burst)
{
	for (uint32_t i = 0; i < PKT_BURST; i++) {
		struct rte_mbuf *m = rig->burst[i];
		uint32_t flow = (burst * PKT_BURST + i) % rig->sessions;

		rte_pktmbuf_reset(m);
		memcpy(rte_pktmbuf_mtod(m, void *), rig->frame[flow], rig->frame_len);
		m->data_len = rig->frame_len;
		m->pkt_len = rig->frame_len;
	}
}

static uint64_t rig_burst(struct rig *rig, struct port *in, struct port *out, uint32_t burst)
{
	struct rte_mbuf *m;
	uint64_t start, end;
	uint32_t n = 0;

	rig_fill(rig, burst);
	start = rte_rdtsc_precise();
	for (int i = 0; i < PKT_BURST; i++)
		if (port_ring_inject(in, rig->burst[i]) != 0)
			abort();
	if (rig->poll)
		engine_poll(rig->host.engine);
	else
		out = NULL;
	end = rte_rdtsc_precise();
	while (out && (m = port_ring_collect(out)) != NULL) {
		if (n < PKT_BURST && m == rig->burst[n])
			n++;
		else
			rte_pktmbuf_free(m); /* of the engine's own: it asks for neighbours */
	}
	if (out && n != PKT_BURST)
		abort();
	while (!out && n++ < PKT_BURST)
		engine_poll(rig->host.engine);
	return end - start;
}

static double rig_measure(struct rig *rig, struct port *in, struct port *out)
{
	uint64_t *took = calloc(BURSTS, sizeof(*took));
	uint32_t pass = (rig->sessions + PKT_BURST - 1) / PKT_BURST;
	double quiet;

	assert(took);
	for (uint32_t i = 0; i < pass; i++)
		rig_burst(rig, in, out, i);
	for (uint32_t i = 0; i < BURSTS; i++) {
		rig->host.now_ns += 2000;
		took[i] = rig_burst(rig, in, out, i);
	}
	qsort(took, BURSTS, sizeof(*took), by_value);
	quiet = (double)took[BURSTS / QUIET] / PKT_BURST;
	free(took);
	return quiet;
}

static void rig_start(struct rig *rig, uint32_t sessions)
{
	struct fake_host_options options = {
		.name = "perf", .vtep = "192.0.2.1", .sessions = sessions + sessions / 4 + 4096};

	memset(rig, 0, sizeof(*rig));
	rig->sessions = sessions;
	rig->poll = true;
	rig->frame = calloc(sessions, sizeof(*rig->frame));
	assert(rig->frame);
	fake_host_start(&rig->host, &options);
	fake_host_vpc(&rig->host, 100);
	fake_host_peer(&rig->host, "192.0.2.3");
	for (int i = 2; i < 252; i++) {
		char ip[32];

		snprintf(ip, sizeof(ip), "10.0.0.%d", i == 5 ? 254 : i);
		fake_host_location(&rig->host, 100, ip, "192.0.2.3", W_MAC);
	}
	rig->v = fake_host_vport(&rig->host, "v", 100, V_MAC, "10.0.0.5");
	rig->v->quota = UINT32_MAX;
	for (int i = 0; i < PKT_BURST; i++) {
		rig->burst[i] = rte_pktmbuf_alloc(engine_pool(rig->host.engine));
		assert(rig->burst[i]);
	}
}

static void rig_frames(struct rig *rig, bool outer)
{
	uint8_t inner[FAKE_FRAME_MAX];
	const struct fake_vxlan v = {
		.src = "192.0.2.3", .dst = "192.0.2.1", .vni = 100, .dst_mac = "02:00:00:00:01:01"};

	for (uint32_t i = 0; i < rig->sessions; i++) {
		char ip[32];
		uint32_t n = 2 + i % 250;
		struct fake_packet f = {.payload_len = 18};
		size_t len;

		snprintf(ip, sizeof(ip), "10.0.0.%u", n == 5 ? 254 : n);
		f.src = outer ? ip : "10.0.0.5";
		f.dst = outer ? "10.0.0.5" : ip;
		f.src_mac = outer ? W_MAC : V_MAC;
		f.dst_mac = outer ? V_MAC : W_MAC;
		f.sport = outer ? 53 : (uint16_t)(1024 + i / 250);
		f.dport = outer ? (uint16_t)(1024 + i / 250) : 53;
		len = fake_packet_build(&f, inner, sizeof(inner));
		if (outer)
			len = fake_vxlan_build(&v, inner, len, rig->frame[i], sizeof(*rig->frame));
		else
			memcpy(rig->frame[i], inner, len);
		rig->frame_len = (uint16_t)len;
	}
}

static void rig_stop(struct rig *rig)
{
	rte_pktmbuf_free_bulk(rig->burst, PKT_BURST);
	fake_host_stop(&rig->host);
	free(rig->frame);
}

int main(int argc, char **argv)
{
	static struct rig rig;
	static const char *const usual[] = {"8", "1000", "16000", "256000"};
	int count = argc > 1 ? argc - 1 : (int)RTE_DIM(usual);

	if (fake_eal_start_mb(512) != 0)
		return 1;
	for (int i = 0; i < count; i++) {
		uint32_t sessions = (uint32_t)atol(argc > 1 ? argv[i + 1] : usual[i]);
		double encap, decap, rings;

		rig_start(&rig, sessions);
		rig_frames(&rig, false);
		encap = rig_measure(&rig, rig.v->port, rig.host.uplink);
		rig_frames(&rig, true);
		decap = rig_measure(&rig, rig.host.uplink, rig.v->port);
		rig.poll = false;
		rings = rig_measure(&rig, rig.host.uplink, rig.v->port);
		printf("%8u sessions: encap %6.1f  decap %6.1f  cycles/packet (rings in: %.1f of "
		       "it)\n",
			sessions, encap, decap, rings);
		rig_stop(&rig);
	}
	return 0;
}
