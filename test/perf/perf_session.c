/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Cycles of the time stamp counter per session: the table's insert, lookup (as a burst asks) and
 * remove, and a record packed and unpacked. One thread, no EAL. Best of several runs, so that a
 * busy machine shows less.
 *
 *	perf_session [sessions...]	default: 1024 16384 262144 1048576
 */
#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <rte_cycles.h>

#include "dataplane/session_record.h"
#include "dataplane/session_table_fast.h"
#include "test/fake/fake_packet.h"

#define RUNS 5
#define SCATTER 7919 /* prime to any count: no order that a prefetcher knows */

struct bench {
	struct session_table table;
	struct session *session;
	struct pkt pkt[PKT_BURST];
	uint32_t count;
	double insert, lookup, remove, pack, unpack;
	size_t record_bytes;
};

static struct session_tuple tuple_of(uint32_t i)
{
	struct session_tuple tuple = {.vni = 100,
		.proto = IPPROTO_TCP,
		.local_port = rte_cpu_to_be_16(80),
		.remote_port = rte_cpu_to_be_16((uint16_t)i)};

	inet_pton(AF_INET6, "::ffff:10.0.0.5", &tuple.local);
	inet_pton(AF_INET6, "::ffff:10.1.0.0", &tuple.remote);
	tuple.remote.s6_addr[14] = (uint8_t)(i >> 24);
	tuple.remote.s6_addr[15] = (uint8_t)(i >> 16);
	return tuple;
}

static void must(bool ok, const char *what)
{
	if (ok)
		return;
	fprintf(stderr, "perf_session: %s\n", what);
	exit(1);
}

static double each(uint64_t start, uint32_t count)
{
	return (double)(rte_rdtsc() - start) / count;
}

static double run_insert(struct bench *b)
{
	uint64_t start = rte_rdtsc();
	struct session *existing;

	for (uint32_t i = 0; i < b->count; i++)
		must(session_table_insert(&b->table, &b->session[i], 0, &existing) == 0, "insert");
	return each(start, b->count);
}

/* The steps of stage_session(). */
static double run_lookup(struct bench *b)
{
	uint64_t candidate[PKT_BURST], start = rte_rdtsc();
	uint32_t at = 0, found = 0;

	for (uint32_t n = 0; n < b->count; n += PKT_BURST) {
		for (uint32_t i = 0; i < PKT_BURST; i++) {
			at = (at + SCATTER) & (b->count - 1);
			b->pkt[i].key = b->session[at].key;
			b->pkt[i].hash = session_key_hash(&b->pkt[i].key);
			session_table_prefetch(&b->table, b->pkt[i].hash);
		}
		for (uint32_t i = 0; i < PKT_BURST; i++)
			candidate[i] = session_table_candidate(&b->table, b->pkt[i].hash);
		for (uint32_t i = 0; i < PKT_BURST; i++)
			found +=
				session_table_confirm(candidate[i], &b->pkt[i], PKT_EGRESS) != NULL;
	}
	/* A few keys lie behind their home bucket and are the long way's. */
	must(found > b->count / 10 * 9, "lookup");
	return each(start, b->count);
}

static double run_remove(struct bench *b)
{
	uint64_t start = rte_rdtsc();

	for (uint32_t i = 0; i < b->count; i++)
		must(session_table_remove(&b->table, &b->session[i], 0), "remove");
	return each(start, b->count);
}

static void run_record(struct bench *b)
{
	struct session_record record = {.tuple = tuple_of(4711),
		.birth_id = 4711,
		.version = 3,
		.state = SESSION_TCP_ESTABLISHED | SESSION_ASSURED,
		.life_ms = 86400000,
		.age_ms = 5000,
		.half = {{.packets = 100, .bytes = 100000, .seq_end = 1, .window_max = 65535},
			{.packets = 200, .bytes = 200000, .seq_end = 2, .window_max = 65535}}};
	struct session_record back;
	uint8_t bytes[SESSION_RECORD_MAX];
	uint64_t start = rte_rdtsc(), digest;
	int len = 0;

	for (uint32_t i = 0; i < b->count; i++)
		len = session_record_pack(&record, bytes, sizeof(bytes), &digest);
	b->pack = RTE_MIN(b->pack, each(start, b->count));
	must(len > 0, "pack");
	b->record_bytes = (size_t)len;
	start = rte_rdtsc();
	for (uint32_t i = 0; i < b->count; i++)
		must(session_record_unpack(bytes, (size_t)len, &back, &digest) == len, "unpack");
	b->unpack = RTE_MIN(b->unpack, each(start, b->count));
}

static void measure(uint32_t count)
{
	struct bench b = {.count = count,
		.insert = 1e9,
		.lookup = 1e9,
		.remove = 1e9,
		.pack = 1e9,
		.unpack = 1e9,
		.session = aligned_alloc(RTE_CACHE_LINE_SIZE, count * sizeof(struct session))};

	must(b.session && session_table_init(&b.table, count) == 0, "out of memory");
	memset(b.session, 0, count * sizeof(*b.session));
	for (uint32_t i = 0; i < count; i++) {
		struct session_tuple tuple = tuple_of(i);

		session_key_pack(&tuple, &b.session[i].key, NULL);
	}
	for (int i = 0; i < RUNS; i++) {
		b.insert = RTE_MIN(b.insert, run_insert(&b));
		b.lookup = RTE_MIN(b.lookup, run_lookup(&b));
		b.remove = RTE_MIN(b.remove, run_remove(&b));
		run_record(&b);
	}
	printf("%8u sessions: insert %6.1f  lookup %6.1f  remove %6.1f  pack %6.1f  unpack %6.1f  "
	       "cycles/session (record of %zu bytes)\n",
		count, b.insert, b.lookup, b.remove, b.pack, b.unpack, b.record_bytes);
	session_table_destroy(&b.table);
	free(b.session);
}

int main(int argc, char **argv)
{
	static const char *const usual[] = {"1024", "16384", "262144", "1048576"};

	for (int i = 0; i < (argc > 1 ? argc - 1 : (int)RTE_DIM(usual)); i++) {
		uint32_t count = (uint32_t)strtoul(argc > 1 ? argv[i + 1] : usual[i], NULL, 10);

		measure(rte_align32pow2(RTE_MAX(count, (uint32_t)PKT_BURST)));
	}
	return 0;
}
