/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Workers that take ports of one lease at the same moment, towards one peer, so that they meet: no
 * port is given twice, none is lost, and a connection whose first packet two of them hold is one.
 * Meanwhile, in one of the tests, the lease changes and connections are ended. Meant for
 * ThreadSanitizer, as all of this suite.
 */
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <rte_ip.h>

#include "dataplane/session_import.h"
#include "dataplane/session_record.h"
#include "dataplane/session_walk.h"
#include "dataplane/vport.h"
#include "test/fake/fake_eal.h"
#include "test/fake/fake_packet.h"
#include "test/race/race_world.h"

#define EXT 900
#define PORTS 32
#define FLOWS 96 /* that want one */
#define ROUNDS 40
#define LEASE(ports) \
	"{external_networks: [{name: net, vni: 900}], nat_leases: [{vport: v, network: net, " \
	"kind: " \
	"snat, address: 203.0.113.7, ports: " ports "}]}"

static struct race_world world;

/* All that is not of the VPC goes to the peer, in the external network. */
static void external_network(void)
{
	struct route_spec route = {.prefix = {.s6_addr = {[10] = 0xff, [11] = 0xff}},
		.plen = 96,
		.remote = true,
		.next_hop = addr_from_v4(rte_cpu_to_be_32(RTE_IPV4(192, 0, 2, 3)))};
	struct vpc_spec spec = {.name = "net", .vni = EXT, .routes = &route, .route_count = 1};

	rte_ether_unformat_addr("02:00:00:00:09:fe", &spec.gateway_mac);
	route.mac = spec.gateway_mac;
	assert_int_equal(engine_vpc_set(world.engine, &spec, NULL, 0), 0);
}

static int start(void **state)
{
	(void)state;
	race_world_start(&world, NAT_SO, "nat", LEASE("1000-1031"));
	external_network();
	return 0;
}

static int stop(void **state)
{
	(void)state;
	race_world_stop(&world);
	return 0;
}

static bool injects(uint8_t proto, uint16_t sport)
{
	struct fake_packet packet = {.src_mac = "02:00:00:00:00:05",
		.dst_mac = "02:00:00:00:00:01",
		.src = "10.0.0.5",
		.dst = "198.51.100.10",
		.proto = proto,
		.tcp_flags = RTE_TCP_SYN_FLAG,
		.seq = 1,
		.window = 1000,
		.sport = sport,
		.dport = 443};
	struct rte_mbuf *m = fake_packet_mbuf(&packet, engine_pool(world.engine));

	if (!m || port_ring_inject(world.v->port, m) != 0) {
		rte_pktmbuf_free(m);
		return false;
	}
	return true;
}

static uint64_t received(void)
{
	struct port_stats s;

	engine_vport_stats(world.v, &s);
	return s.rx_packets;
}

/* Each flow's first packet twice, to two queues, and all of them at once. */
static void all_want_a_port(uint8_t proto)
{
	uint64_t before = received();
	uint32_t sent = 0;

	for (uint32_t i = 0; i < 2 * FLOWS; i++) {
		while (!injects(proto, (uint16_t)(5000 + i / 2)))
			race_collect(&world, world.uplink);
		sent++;
	}
	while (received() < before + sent) {
		race_collect(&world, world.uplink);
		sched_yield();
	}
	/* Nobody is in the middle of one. */
	engine_grace(world.engine);
	race_collect(&world, world.uplink);
}

struct seen {
	bool inside[65536], outside[65536];
};

static void look_at(const struct session_record *record, struct seen *seen)
{
	uint16_t inside = rte_be_to_cpu_16(record->tuple.local_port);
	uint16_t outside = rte_be_to_cpu_16(record->outside.local_port);

	if (seen->inside[inside])
		fail_msg("two connections from port %u", inside);
	if (seen->outside[outside])
		fail_msg("port %u was given twice", outside);
	seen->inside[inside] = seen->outside[outside] = true;
}

/* A reader of the engine goes through V's sessions; how many. */
static uint32_t each_session(void (*take)(struct session *s, void *arg), void *arg)
{
	struct session *living[SLAB_CHUNK_SESSIONS];
	struct session_walk walk;
	int reader = engine_reader_register(world.engine);
	uint32_t count = 0;
	bool end = false;

	assert_true(reader >= 0);
	session_walk_begin(&walk, world.v, 0);
	while (!end) {
		uint32_t n;

		engine_reader_online(world.engine, reader);
		n = session_walk_next(&walk, living, &end);
		for (uint32_t i = 0; i < n; i++)
			take(living[i], arg);
		count += n;
		engine_reader_offline(world.engine, reader);
	}
	session_walk_end(&walk);
	engine_reader_unregister(world.engine, reader);
	return count;
}

static void look_at_one(struct session *s, void *arg)
{
	struct session_record record;

	session_walk_read(s, &record);
	look_at(&record, arg);
}

static uint32_t look(void)
{
	static struct seen seen;

	memset(&seen, 0, sizeof(seen));
	return each_session(look_at_one, &seen);
}

static void end_one(struct session *s, void *arg)
{
	(void)arg;
	session_import_kill(world.v, s);
}

/* What session/flush does. */
static uint32_t end_all(void)
{
	return each_session(end_one, NULL);
}

static void no_port_is_given_twice_and_none_is_lost(void **state)
{
	(void)state;
	for (int round = 0; round < ROUNDS; round++) {
		all_want_a_port(round % 2 ? IPPROTO_UDP : IPPROTO_TCP);
		assert_int_equal(look(), PORTS);
		assert_int_equal(end_all(), PORTS);
		assert_int_equal(look(), 0);
	}
}

/* What an operator does while ports are taken. */
static void *changes(void *arg)
{
	_Atomic bool *over = arg;

	for (uint32_t i = 0; !atomic_load(over); i++) {
		race_configure(&world, i % 2 ? LEASE("1000-1031") : LEASE("1016-1047"));
		if (i % 4 == 3)
			end_all();
		sched_yield();
	}
	return NULL;
}

static void so_it_is_while_the_lease_changes_and_connections_end(void **state)
{
	_Atomic bool over = false;
	pthread_t thread;

	(void)state;
	pthread_create(&thread, NULL, changes, &over);
	for (int round = 0; round < ROUNDS; round++)
		all_want_a_port(round % 2 ? IPPROTO_UDP : IPPROTO_TCP);
	atomic_store(&over, true);
	pthread_join(thread, NULL);
	/* All is as if it had been quiet. */
	race_configure(&world, LEASE("1000-1031"));
	end_all();
	all_want_a_port(IPPROTO_TCP);
	assert_int_equal(look(), PORTS);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, start, stop)
	const struct CMUnitTest tests[] = {
		T(no_port_is_given_twice_and_none_is_lost),
		T(so_it_is_while_the_lease_changes_and_connections_end),
	};

	if (fake_eal_start_mb(256) != 0 || race_pool_use() != 0)
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
