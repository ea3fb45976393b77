/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Cycles of the time stamp counter per packet for parse, encapsulation and decapsulation, bursts of
 * 32 with all data in L1. The least of many rounds: the machine may be shared.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <rte_cycles.h>

#include "dataplane/parse.h"
#include "dataplane/vxlan_encap.h"
#include "test/fake/fake_packet.h"

#define ROUNDS 20000

struct rig {
	struct fake_pkt fake[PKT_BURST];
	struct pkt pkt[PKT_BURST];
	struct pkt *burst[PKT_BURST];
	struct tunnel tunnel;
};

/* Small buffers would share L1 sets at one distance: spread them. */
static void rig_fill(struct rig *rig, const struct fake_packet *spec, size_t kinds, bool outer)
{
	static uint8_t frame[FAKE_FRAME_MAX], inner[FAKE_FRAME_MAX];

	for (size_t i = 0; i < PKT_BURST; i++) {
		struct fake_packet f = spec[i % kinds];
		struct fake_vxlan v = {.vni = 7};
		size_t len;

		f.sport = (uint16_t)(1000 + i);
		len = fake_packet_build(&f, frame, sizeof(frame));
		if (outer) {
			memcpy(inner, frame, len);
			len = fake_vxlan_build(&v, inner, len, frame, sizeof(frame));
		}
		fake_pkt_raw(&rig->fake[i], frame, len, i & 1);
		rig->pkt[i] = rig->fake[i].pkt;
		rig->burst[i] = &rig->pkt[i];
	}
}

static void measure(const char *name, struct rig *rig, uint64_t (*round)(struct rig *))
{
	uint64_t best = UINT64_MAX;

	for (int i = 0; i < ROUNDS; i++) {
		uint64_t took = round(rig);

		if (took < best)
			best = took;
	}
	printf("%-44s %6.1f cycles/packet\n", name, (double)best / PKT_BURST);
}

static uint64_t round_parse(struct rig *rig)
{
	uint64_t start, end;

	for (int i = 0; i < PKT_BURST; i++)
		rig->pkt[i].flags = 0;
	start = rte_rdtsc_precise();
	parse_egress(rig->burst, PKT_BURST, 7);
	end = rte_rdtsc_precise();
	for (int i = 0; i < PKT_BURST; i++)
		if (rig->pkt[i].drop != DROP_NONE)
			abort();
	return end - start;
}

static uint64_t round_encap(struct rig *rig)
{
	uint64_t start = rte_rdtsc_precise(), end;
	bool done = true;

	for (int i = 0; i < PKT_BURST; i++)
		done &= vxlan_encap(&rig->tunnel, rig->pkt[i].mbuf, 7, rig->pkt[i].hash, 64);
	end = rte_rdtsc_precise();
	if (!done)
		abort();
	for (int i = 0; i < PKT_BURST; i++)
		rte_pktmbuf_adj(rig->pkt[i].mbuf, rig->tunnel.header_len);
	return end - start;
}

static uint64_t round_decap(struct rig *rig)
{
	struct vxlan_outer outer = {0};
	uint64_t start = rte_rdtsc_precise(), end;
	uint32_t bad = 0;

	for (int i = 0; i < PKT_BURST; i++) {
		bad |= vxlan_parse(rig->pkt[i].mbuf, VXLAN_PORT, true, &outer);
		vxlan_decap(rig->pkt[i].mbuf, &outer);
	}
	end = rte_rdtsc_precise();
	if (bad || outer.vni != 7)
		abort();
	for (int i = 0; i < PKT_BURST; i++)
		rte_pktmbuf_prepend(rig->pkt[i].mbuf, outer.inner_off);
	return end - start;
}

static uint64_t round_empty(struct rig *rig)
{
	uint64_t start = rte_rdtsc_precise();

	return rte_rdtsc_precise() - start;
}

int main(void)
{
	static const struct fake_packet tcp = {
		.proto = IPPROTO_TCP, .tcp_flags = RTE_TCP_ACK_FLAG, .payload_len = 10};
	static const struct fake_packet udp = {.payload_len = 22};
	static const struct fake_packet mixed[] = {{.proto = IPPROTO_TCP, .payload_len = 10},
		{.payload_len = 22}, {.payload_len = 22}, {.proto = IPPROTO_TCP, .payload_len = 10},
		{.payload_len = 22}};
	static const struct fake_packet six = {.src = "2001:db8::1",
		.dst = "2001:db8::2",
		.proto = IPPROTO_TCP,
		.payload_len = 10};
	static const struct fake_packet echo = {
		.proto = IPPROTO_ICMP, .icmp_type = 8, .payload_len = 22};
	struct rig *rig = calloc(1, sizeof(*rig));
	struct in6_addr here = addr_from_v4(RTE_BE32(0xc0000201)),
			there = addr_from_v4(RTE_BE32(0xc0000202));
	const struct rte_ether_addr mac = {{2, 0, 0, 0, 0, 1}};

	if (rig == NULL)
		return 1;
	tunnel_init(&rig->tunnel, &here, &there, &mac, VXLAN_PORT);
	measure("(two readings of the clock)", rig, round_empty);
	rig_fill(rig, &tcp, 1, false);
	measure("parse, TCP over IPv4, 64 bytes", rig, round_parse);
	rig_fill(rig, &udp, 1, false);
	measure("parse, UDP over IPv4, 64 bytes", rig, round_parse);
	rig_fill(rig, mixed, RTE_DIM(mixed), false);
	measure("parse, TCP and UDP mixed", rig, round_parse);
	measure("encapsulate in IPv4", rig, round_encap);
	rig_fill(rig, &six, 1, false);
	measure("parse, TCP over IPv6", rig, round_parse);
	rig_fill(rig, &echo, 1, false);
	measure("parse, ICMP echo", rig, round_parse);
	rig_fill(rig, &tcp, 1, true);
	measure("decapsulate from IPv4", rig, round_decap);
	free(rig);
	return 0;
}
