/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Packets of one kind through one worker, for budget.py, which counts their instructions under
 * callgrind (engine_poll() and what it calls). No thread, no clock of the machine: each run
 * executes the same.
 *
 *	perf_budget encap|decap|tcp|open ROUNDS		a round is BURST packets
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "dataplane/vport.h"
#include "test/fake/fake_eal.h"
#include "test/fake/fake_host.h"

#define BURST 32
#define SESSIONS 1024
#define STEP_NS 10000

enum kind { KIND_ENCAP, KIND_DECAP, KIND_TCP, KIND_OPEN, KIND_COUNT };
static const char *const kinds[KIND_COUNT] = {
	[KIND_ENCAP] = "encap",
	[KIND_DECAP] = "decap",
	[KIND_TCP] = "tcp",
	[KIND_OPEN] = "open",
};

static void must(bool good, const char *what)
{
	if (good)
		return;
	fprintf(stderr, "perf_budget: %s\n", what);
	exit(1);
}

static struct fake_packet packet_of(enum kind kind, uint32_t session)
{
	bool in = kind == KIND_DECAP;
	struct fake_packet packet = {
		.src_mac = in ? "02:00:00:00:00:09" : "02:00:00:00:00:05",
		.dst_mac = in ? "02:00:00:00:00:05" : "02:00:00:00:00:09",
		.src = in ? "10.0.0.9" : "10.0.0.5",
		.dst = in ? "10.0.0.5" : "10.0.0.9",
		.sport = in ? 53 : (uint16_t)(1024 + session),
		.dport = in ? (uint16_t)(1024 + session) : 53,
		.payload_len = 18,
	};

	if (kind == KIND_TCP) {
		packet.proto = IPPROTO_TCP;
		packet.tcp_flags = RTE_TCP_ACK_FLAG;
		packet.seq = 1000;
		packet.ack = 2000;
		packet.window = 65535;
		packet.payload_len = 6;
	}
	return packet;
}

static size_t frame_of(enum kind kind, uint32_t session, uint8_t *frame)
{
	static const struct fake_vxlan outer = {.src = "192.0.2.3", .dst = "192.0.2.1", .vni = 100};
	struct fake_packet packet = packet_of(kind, session);
	uint8_t inner[FAKE_FRAME_MAX];
	size_t len = fake_packet_build(&packet, inner, sizeof(inner));

	if (kind == KIND_DECAP)
		return fake_vxlan_build(&outer, inner, len, frame, FAKE_FRAME_MAX);
	memcpy(frame, inner, len);
	return len;
}

/* One round: frames in, the engine's turn, frames out. How many came out. */
static uint32_t round_run(struct fake_host *host, struct vport *v, enum kind kind, uint32_t round)
{
	struct port *in = kind == KIND_DECAP ? host->uplink : v->port;
	struct port *out = kind == KIND_DECAP ? v->port : host->uplink;
	uint8_t frame[FAKE_FRAME_MAX];

	for (uint32_t i = 0; i < BURST; i++) {
		uint32_t session = round * BURST + i;
		size_t len =
			frame_of(kind, kind == KIND_OPEN ? session : session % SESSIONS, frame);
		struct rte_mbuf *m = fake_frame_mbuf(frame, len, engine_pool(host->engine));

		must(m && port_ring_inject(in, m) == 0, "no room for a packet");
	}
	host->now_ns += STEP_NS;
	engine_poll(host->engine);
	return fake_host_drain(out);
}

int main(int argc, char **argv)
{
	struct fake_host_options options = {
		.name = "budget", .vtep = "192.0.2.1", .sessions = 65536, .pickup = true};
	uint32_t rounds, out = 0, warm = SESSIONS / BURST;
	struct fake_host host;
	enum kind kind = 0;
	struct vport *v;

	must(argc == 3, "encap|decap|tcp|open ROUNDS");
	while (kind < KIND_COUNT && strcmp(kinds[kind], argv[1]) != 0)
		kind++;
	rounds = (uint32_t)strtoul(argv[2], NULL, 10);
	must(kind < KIND_COUNT && rounds >= warm && rounds * BURST < 60000, "which, how many");
	must(fake_eal_start() == 0, "EAL does not start");
	fake_host_start(&host, &options);
	fake_host_vpc(&host, 100);
	fake_host_peer(&host, "192.0.2.3");
	fake_host_location(&host, 100, "10.0.0.9", "192.0.2.3", "02:00:00:00:00:09");
	v = fake_host_vport(&host, "v", 100, "02:00:00:00:00:05", "10.0.0.5");
	fake_host_run(&host);
	fake_host_drain(host.uplink);
	for (uint32_t i = 0; i < rounds; i++)
		out += round_run(&host, v, kind, i);
	printf("%u of %u packets\n", out, rounds * BURST);
	must(out == rounds * BURST, "not every packet came through");
	fake_host_stop(&host);
	return 0;
}
