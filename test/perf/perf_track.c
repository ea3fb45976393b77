/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Cycles per packet of the track stage alone: packets are parsed and in L1, sessions are fetched
 *ahead by burst as the worker does. One thread, no EAL. Best of several runs, so that a busy
 *machine shows less.
 *
 *	perf_track [sessions...]	default: 1 1024 16384 262144
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <rte_cycles.h>
#include <rte_prefetch.h>

#include "dataplane/session_track_fast.h"
#include "test/fake/fake_packet.h"

#define RUNS 7
#define PACKETS (1u << 21)

static struct fake_pkt packets[2][PKT_BURST];
static const struct track_policy policy;

enum bench { BENCH_FAST, BENCH_FULL, BENCH_UDP, BENCH_COUNT };

static const char *const bench_names[BENCH_COUNT] = {
	[BENCH_FAST] = "tcp-established",
	[BENCH_FULL] = "tcp-full-judgement",
	[BENCH_UDP] = "udp-stream",
};

static struct fake_packet packet_of(enum pkt_dir dir, uint8_t proto, uint8_t flags)
{
	struct fake_packet spec = {
		.proto = proto, .tcp_flags = flags, .window = 64240, .payload_len = 10};

	spec.src = dir == PKT_INGRESS ? "198.51.100.10" : "10.0.0.5";
	spec.dst = dir == PKT_INGRESS ? "10.0.0.5" : "198.51.100.10";
	spec.sport = dir == PKT_INGRESS ? 40000 : 80;
	spec.dport = dir == PKT_INGRESS ? 80 : 40000;
	spec.seq = dir == PKT_INGRESS ? 101 : 901;
	spec.ack = dir == PKT_INGRESS ? 901 : 101;
	return spec;
}

static void make_sessions(struct session *sessions, uint32_t count, uint8_t proto)
{
	static struct fake_pkt opener;
	struct fake_packet syn = packet_of(PKT_INGRESS, proto, RTE_TCP_SYN_FLAG);
	struct fake_packet syn_ack =
		packet_of(PKT_EGRESS, proto, RTE_TCP_SYN_FLAG | RTE_TCP_ACK_FLAG);
	bool changed;

	syn.seq -= 1;
	syn_ack.seq -= 1;
	syn.payload_len = syn_ack.payload_len = 0;
	for (uint32_t i = 0; i < count; i++) {
		track_open(&sessions[i], &policy, fake_pkt_make(&opener, &syn, PKT_INGRESS), 1);
		track_packet(&sessions[i], &policy, fake_pkt_make(&opener, &syn_ack, PKT_EGRESS), 1,
			&changed);
		track_packet(&sessions[i], &policy, &packets[PKT_INGRESS][0].pkt, 1, &changed);
	}
}

/* One pass over the sessions in a scattered order, a burst of one direction at a time. */
static double run(struct session *sessions, uint32_t count, enum bench bench)
{
	uint64_t start = rte_rdtsc();
	uint32_t at = 0, now_ms = 0;
	bool changed = false;

	for (uint32_t n = 0; n < PACKETS; n += PKT_BURST) {
		struct fake_pkt *burst = packets[n / PKT_BURST & 1];

		for (int i = 0; i < PKT_BURST; i++) {
			at = (at + 7919) & (count - 1);
			burst[i].pkt.session = &sessions[at];
			rte_prefetch0(&sessions[at]);
			rte_prefetch0(&sessions[at].half);
		}
		now_ms += n % 1024 == 0;
		for (int i = 0; i < PKT_BURST; i++) {
			struct pkt *p = &burst[i].pkt;

			p->drop = bench == BENCH_FULL
					  ? track_packet(p->session, &policy, p, now_ms, &changed)
					  : track_packet_fast(
						    p->session, &policy, p, now_ms, &changed);
			if (unlikely(p->drop != DROP_NONE))
				abort();
		}
	}
	return (double)(rte_rdtsc() - start) / PACKETS;
}

static void measure(uint32_t count, enum bench bench)
{
	uint8_t proto = bench == BENCH_UDP ? IPPROTO_UDP : IPPROTO_TCP;
	struct session *sessions =
		aligned_alloc(RTE_CACHE_LINE_SIZE, count * sizeof(struct session));
	double best = 1e9;

	if (!sessions)
		exit(1);
	memset(sessions, 0, count * sizeof(struct session));
	for (int dir = 0; dir < 2; dir++) {
		struct fake_packet spec = packet_of((enum pkt_dir)dir, proto, RTE_TCP_ACK_FLAG);

		for (int i = 0; i < PKT_BURST; i++)
			fake_pkt_make(&packets[dir][i], &spec, (enum pkt_dir)dir);
	}
	make_sessions(sessions, count, proto);
	for (int i = 0; i < RUNS; i++)
		best = RTE_MIN(best, run(sessions, count, bench));
	printf("%-20s %8u sessions  %6.1f cycles/packet\n", bench_names[bench], count, best);
	free(sessions);
}

int main(int argc, char **argv)
{
	static const char *const usual[] = {"1", "1024", "16384", "262144"};

	for (int i = 0; i < (argc > 1 ? argc - 1 : (int)RTE_DIM(usual)); i++) {
		uint32_t count = (uint32_t)strtoul(argc > 1 ? argv[i + 1] : usual[i], NULL, 10);

		for (int bench = 0; bench < BENCH_COUNT; bench++)
			measure(rte_align32pow2(RTE_MAX(count, 1u)), (enum bench)bench);
	}
	return 0;
}
