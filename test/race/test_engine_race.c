/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Everything at once on one engine: three workers forward and age, while policy, network, vports,
 * roles and the clock change and others look. Meant for ThreadSanitizer (scripts/test --tsan race),
 * which is what sees a grace period that is missing; without it the counters must still add up.
 *
 *	feeders (v, l, r | uplink) ---> 3 workers <--- policy, network, churn, roles, journal, clock
 *	                                    ^
 *	                                    +--------- looks: counters, sessions, trace
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <rte_ip.h>

#include "dataplane/hold.h"
#include "dataplane/session_journal.h"
#include "dataplane/session_record.h"
#include "dataplane/session_walk.h"
#include "dataplane/trace.h"
#include "dataplane/vport.h"
#include "test/fake/fake_eal.h"
#include "test/fake/fake_packet.h"
#include "test/race/race_world.h"

#define POLICIES 60
#define NETWORKS 60
#define CHANGES 60
#define ROLES 60
#define CHURNS 30
#define LOOKS 60
#define JOURNALS 30

static struct race_world world;
static _Atomic uint32_t under_way; /* mutators */

static struct in6_addr host(uint8_t net, uint8_t last)
{
	return addr_from_v4(
		rte_cpu_to_be_32(net ? RTE_IPV4(192, 0, 2, last) : RTE_IPV4(10, 0, 0, last)));
}

static void *policies(void *arg)
{
	static const char *const rules[] = {
		"{groups: [{name: web, rules: [{direction: ingress}, {direction: egress}]}]}",
		"{groups: [{name: web, rules: [{direction: ingress, protocol: udp}, {direction: "
		"egress}]}]}",
		"{groups: [{name: web, rules: [{direction: ingress, remote_group: web}, "
		"{direction: egress, priority: 5}]}]}",
	};
	struct race_world *w = arg;
	struct session_timeouts timeouts;

	session_timeouts_default(&timeouts);
	for (int i = 0; i < POLICIES; i++) {
		race_configure(w, rules[i % 3]);
		timeouts.idle_ms[SESSION_UDP_NEW] = 50u + (uint32_t)i;
		timeouts.idle_ms[SESSION_TCP_SYN_SENT] = 20u + (uint32_t)i;
		engine_timeouts_set(w->engine, &timeouts);
		engine_policy_changed(w->engine, i % 2 ? w->v : NULL);
	}
	under_way--;
	return NULL;
}

/* Routes, a peer and locations come and go. */
static void *networks(void *arg)
{
	struct race_world *w = arg;
	struct route_spec route = {.prefix = host(0, 128), .plen = 96 + 25, .remote = true};
	struct vpc_spec vpc = {.name = "vpc", .vni = RACE_VNI, .subnets = 1, .routes = &route};
	struct peer_spec peer = {.vtep = host(1, 4)};
	struct location_spec moving = {.addr = host(0, 9),
		.vni = RACE_VNI,
		.kind = LOCATION_REMOTE,
		.source = LOCATION_CONFIG};

	route.next_hop = host(1, 3);
	vpc.subnet[0] = host(0, 0);
	vpc.subnet_plen[0] = 120;
	vpc.gateway[0] = host(0, 1);
	rte_ether_unformat_addr("02:00:00:00:00:01", &vpc.gateway_mac);
	rte_ether_unformat_addr("02:00:00:00:00:09", &moving.mac);
	for (int i = 0; i < NETWORKS; i++) {
		vpc.flood_broadcast = i % 2;
		vpc.flood_multicast = !(i % 2);
		vpc.route_count = i % 2;
		assert_int_equal(engine_vpc_set(w->engine, &vpc, NULL, 0), 0);
		assert_int_equal(engine_peer_set(w->engine, &peer), 0);
		moving.vtep = host(1, i % 2 ? 3 : 4);
		assert_int_equal(engine_location_set(w->engine, &moving), 0);
		moving.vtep = host(1, 3);
		assert_int_equal(engine_location_set(w->engine, &moving), 0);
		if (i % 4 == 3)
			assert_int_equal(
				engine_location_del(w->engine, RACE_VNI, &moving.addr, 0), 0);
		assert_int_equal(engine_peer_del(w->engine, &peer.vtep), 0);
		assert_int_equal(engine_location_set(w->engine, &moving), 0);
	}
	under_way--;
	return NULL;
}

/* What a living vport may send from, how many sessions it may have. */
static void *changes(void *arg)
{
	struct race_world *w = arg;
	struct in6_addr ip, more = host(0, 80);
	struct vport_spec spec = race_vport_spec("l", 8, &ip);
	uint8_t plen = 128;

	for (int i = 0; i < CHANGES; i++) {
		spec.quota = i % 2 ? 200 : 40;
		spec.tcp_liberal = i % 2;
		spec.allowed = &more;
		spec.allowed_plen = &plen;
		spec.allowed_count = i % 2;
		assert_int_equal(engine_vport_change(w->engine, w->l, &spec, NULL, 0), 0);
	}
	under_way--;
	return NULL;
}

/* Vports are born, speak, are spoken to, and die. */
static void *churn(void *arg)
{
	struct race_world *w = arg;

	for (int i = 0; i < CHURNS; i++) {
		struct vport *v[RACE_CHURN];
		char name[8];

		for (uint8_t n = 0; n < RACE_CHURN; n++) {
			snprintf(name, sizeof(name), "c%u", n);
			v[n] = race_vport(w, name, (uint8_t)(100 + n));
			engine_announce(v[n]);
		}
		for (uint16_t k = 0; k < 40; k++) {
			struct race_frame f = {.from = (uint8_t)(100 + k % RACE_CHURN),
				.to = k % 3 ? 5 : 9,
				.proto = IPPROTO_UDP,
				.sport = (uint16_t)(2000 + k),
				.dport = 53,
				.payload_len = 20};

			race_inject(w, v[k % RACE_CHURN]->port, &f);
		}
		for (uint8_t n = 0; n < RACE_CHURN; n++) {
			race_collect(w, v[n]->port);
			assert_int_equal(engine_vport_del(w->engine, v[n]), 0);
		}
	}
	under_way--;
	return NULL;
}

/* r freezes, moves away, waits, and serves again; its hold fills and drains. */
static void *roles(void *arg)
{
	struct race_world *w = arg;
	struct in6_addr peer = host(1, 3);
	const struct role_facts leaving = {.move_out = true, .move_ready = true};
	const struct role_facts coming = {.move_in = true, .final_loaded = true};

	for (int i = 0; i < ROLES; i++) {
		engine_vport_facts(w->r, &leaving);
		engine_relay_to(w->r, &peer);
		port_pause(w->r->port);
		assert_int_equal(vport_role(w->r), ROLE_FROZEN);
		engine_role_event(w->r, ROLE_COMMIT, atomic_load(&w->r->epoch) + 1);
		engine_role_event(w->r, ROLE_PREPARE, 0);
		assert_int_equal(vport_role(w->r), ROLE_PASSIVE);
		engine_vport_facts(w->r, &coming);
		engine_hold_open(w->r);
		engine_relay_from(w->r, &peer);
		port_resume(w->r->port);
		assert_int_equal(vport_role(w->r), ROLE_OWNER);
		engine_hold_park(w->r, true);
		engine_hold_park(w->r, false);
		engine_announce(w->r);
	}
	under_way--;
	return NULL;
}

/* A mover follows v. */
static void *journals(void *arg)
{
	struct race_world *w = arg;

	for (int i = 0; i < JOURNALS; i++) {
		struct session_journal *journal;

		assert_int_equal(session_journal_attach(w->v, 256), 0);
		journal = atomic_load(&w->v->journal);
		for (int round = 0; round < 4; round++) {
			uint32_t closed = session_journal_close(journal);

			engine_grace(w->engine);
			for (uint16_t list = 0; list < journal->lists; list++)
				assert_true(journal->list[closed & 1][list].count <= 256);
			session_journal_clear(journal, closed);
		}
		session_journal_detach(w->v);
	}
	under_way--;
	return NULL;
}

static void trace_line(void *arg, const char *stage, const char *text)
{
	(void)stage;
	(void)text;
	++*(uint32_t *)arg;
}

static int vport_look(struct vport *v, void *arg)
{
	struct port_stats stats;
	struct hold_stats hold;

	engine_vport_stats(v, &stats);
	engine_hold_stats(v, &hold);
	*(uint64_t *)arg += stats.rx_packets;
	return 0;
}

static int location_look(const struct location *location, void *arg)
{
	*(uint64_t *)arg += atomic_load(&location->epoch);
	return 0;
}

static void look_at_sessions(struct race_world *w, int reader)
{
	struct session *living[SLAB_CHUNK_SESSIONS];
	struct session_walk walk;
	bool end = false;

	session_walk_begin(&walk, w->v, 0);
	while (!end) {
		uint32_t count;

		engine_reader_online(w->engine, reader);
		count = session_walk_next(&walk, living, &end);
		for (uint32_t i = 0; i < count; i++) {
			struct session_record record;

			session_walk_read(living[i], &record);
		}
		engine_reader_offline(w->engine, reader);
	}
	session_walk_end(&walk);
}

static void *looks(void *arg)
{
	struct race_world *w = arg;
	const struct fake_packet packet = {.src_mac = "02:00:00:00:00:05",
		.dst_mac = "02:00:00:00:00:09",
		.src = "10.0.0.5",
		.dst = "10.0.0.9",
		.sport = 1000,
		.dport = 53,
		.payload_len = 20};
	int reader = engine_reader_register(w->engine);
	uint8_t frame[256];
	size_t len = fake_packet_build(&packet, frame, sizeof(frame));
	uint64_t seen = 0;
	uint32_t lines = 0;

	for (int i = 0; i < LOOKS; i++) {
		struct engine_memory memory;
		struct worker_info info;
		struct port_stats sum;

		engine_memory(w->engine, &memory);
		engine_worker_info(w->engine, (uint16_t)(i % RACE_WORKERS), &info);
		engine_local_stats(w->engine, &sum);
		engine_uplink_stats(w->engine, &sum);
		engine_vport_foreach(w->engine, vport_look, &seen);
		engine_location_foreach(w->engine, location_look, &seen);
		engine_reader_online(w->engine, reader);
		trace_packet(w->engine, w->v, frame, len,
			&(struct trace_sink){.line = trace_line, .arg = &lines});
		engine_reader_offline(w->engine, reader);
		look_at_sessions(w, reader);
	}
	engine_reader_unregister(w->engine, reader);
	under_way--;
	return NULL;
}

/* Time goes on, and what a control thread does each tick. */
static void *clock_and_tick(void *arg)
{
	struct race_world *w = arg;

	while (!atomic_load(&w->over)) {
		atomic_fetch_add(&w->now_ns, 2000000);
		engine_tick(w->engine);
		sched_yield();
	}
	return NULL;
}

static int balanced(struct vport *v, void *arg)
{
	struct port_stats s;
	uint64_t drops = 0;

	(void)arg;
	engine_vport_stats(v, &s);
	for (int i = 0; i < DROP_COUNT; i++)
		drops += s.drop[i];
	assert_int_equal(s.rx_packets, drops + s.delivered + s.parked - s.unparked);
	return 0;
}

static void everything_at_once_leaves_no_race_and_no_packet_unaccounted(void **state)
{
	static void *(*const mutator[])(void *) = {
		policies, networks, changes, churn, roles, journals, looks};
	static void *(*const other[])(void *) = {race_feed_vms, race_feed_uplink, clock_and_tick};
	pthread_t thread[RTE_DIM(mutator) + RTE_DIM(other)];
	struct engine_memory memory;
	unsigned int count = 0;

	(void)state;
	under_way = RTE_DIM(mutator);
	for (unsigned int i = 0; i < RTE_DIM(other); i++)
		pthread_create(&thread[count++], NULL, other[i], &world);
	for (unsigned int i = 0; i < RTE_DIM(mutator); i++)
		pthread_create(&thread[count++], NULL, mutator[i], &world);
	for (unsigned int i = RTE_DIM(other); i < count; i++)
		pthread_join(thread[i], NULL);
	assert_int_equal(under_way, 0);
	atomic_store(&world.over, true);
	for (unsigned int i = 0; i < RTE_DIM(other); i++)
		pthread_join(thread[i], NULL);
	engine_stop(world.engine);
	engine_vport_foreach(world.engine, balanced, NULL);
	engine_memory(world.engine, &memory);
	print_message("# %lu packets in, %lu out, %u sessions left\n", world.injected,
		world.collected, memory.sessions);
	assert_true(world.injected > 1000 && world.collected > 1000);
}

static int set_up(void **state)
{
	(void)state;
	race_world_start(&world, ACL_SO, "acl",
		"{groups: [{name: web, rules: [{direction: ingress}, {direction: egress}]}]}");
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	race_world_stop(&world);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(everything_at_once_leaves_no_race_and_no_packet_unaccounted),
	};

	if (fake_eal_start_mb(256) != 0 || race_pool_use() != 0)
		return 1;
	return cmocka_run_group_tests(tests, set_up, tear_down);
}
