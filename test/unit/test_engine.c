/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Packets through a whole engine: what goes in at one port comes out where it should, and nowhere
 * else, and every port's counters add up.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "dataplane/vport.h"
#include "test/fake/fake_eal.h"
#include "test/fake/fake_host.h"

#define VNI 100
#define GATEWAY_MAC "02:00:00:00:00:fe"
#define V_MAC "02:00:00:00:00:05"
#define L_MAC "02:00:00:00:00:08"
#define W_MAC "02:00:00:00:00:09"

static const struct fake_vxlan from_p = {
	.src = "192.0.2.3", .dst = "192.0.2.1", .vni = VNI, .dst_mac = "02:00:00:00:01:01"};

struct world {
	struct fake_host s;
	struct vport *v, *l;
};

static int start(void **state)
{
	static struct world world;
	struct fake_host_options options = {.name = "s", .vtep = "192.0.2.1"};

	memset(&world, 0, sizeof(world));
	fake_host_start(&world.s, &options);
	fake_host_vpc(&world.s, VNI);
	fake_host_peer(&world.s, "192.0.2.3");
	fake_host_location(&world.s, VNI, "10.0.0.9", "192.0.2.3", W_MAC);
	fake_host_location(&world.s, VNI, "fd00::9", "192.0.2.3", W_MAC);
	world.v = fake_host_vport(&world.s, "v", VNI, V_MAC, "10.0.0.5,fd00::5");
	world.l = fake_host_vport(&world.s, "l", VNI, L_MAC, "10.0.0.8");
	*state = &world;
	return 0;
}

static int stop(void **state)
{
	struct world *w = *state;

	fake_host_stop(&w->s);
	return 0;
}

/* rx = drops + delivered + consumed + parked - unparked, for every port there is. */
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

static void assert_balanced(struct world *w)
{
	struct port_stats s;
	uint64_t drops = 0;

	engine_vport_foreach(w->s.engine, balanced, NULL);
	assert_true(engine_uplink_stats(w->s.engine, &s));
	for (int i = 0; i < DROP_COUNT; i++)
		drops += s.drop[i];
	assert_int_equal(s.rx_packets, drops + s.delivered + s.relayed * 0 + s.parked - s.unparked);
}

static uint64_t drops_of(struct vport *v, enum drop_reason reason)
{
	struct port_stats s;

	engine_vport_stats(v, &s);
	return s.drop[reason];
}

static const struct fake_packet ping_w = {.src_mac = V_MAC,
	.dst_mac = W_MAC,
	.src = "10.0.0.5",
	.dst = "10.0.0.9",
	.proto = IPPROTO_ICMP,
	.icmp_type = 8,
	.icmp_id = 7,
	.payload_len = 56};
static const struct fake_packet pong_w = {.src_mac = W_MAC,
	.dst_mac = V_MAC,
	.src = "10.0.0.9",
	.dst = "10.0.0.5",
	.proto = IPPROTO_ICMP,
	.icmp_type = 0,
	.icmp_id = 7,
	.payload_len = 56};

static void a_ping_leaves_in_the_tunnel_and_its_answer_reaches_the_vm(void **state)
{
	struct world *w = *state;
	uint8_t frame[FAKE_FRAME_MAX], inner[FAKE_FRAME_MAX];
	size_t len, want;

	fake_host_send(&w->s, w->v->port, &ping_w);
	len = fake_host_receive(w->s.uplink, frame, sizeof(frame));
	want = fake_packet_build(&ping_w, inner, sizeof(inner));
	assert_int_equal(len, want + 50);
	assert_memory_equal(frame + 50, inner, want);
	assert_int_equal(frame[46] << 16 | frame[47] << 8 | frame[48], VNI);
	fake_host_send_vxlan(&w->s, &from_p, &pong_w);
	len = fake_host_receive(w->v->port, frame, sizeof(frame));
	want = fake_packet_build(&pong_w, inner, sizeof(inner));
	assert_int_equal(len, want);
	assert_memory_equal(frame, inner, want);
	assert_int_equal(atomic_load(&w->v->sessions), 1);
	assert_balanced(w);
}

static void an_answer_without_a_question_is_dropped_by_name(void **state)
{
	struct world *w = *state;
	struct port_stats s;

	fake_host_send_vxlan(&w->s, &from_p, &pong_w);
	assert_int_equal(fake_host_drain(w->v->port), 0);
	engine_uplink_stats(w->s.engine, &s);
	assert_int_equal(s.drop[DROP_NO_SESSION], 1);
	assert_balanced(w);
}

static void neighbours_on_one_host_have_a_session_each(void **state)
{
	struct world *w = *state;
	struct fake_packet ping = ping_w, pong = pong_w;

	ping.dst = "10.0.0.8";
	ping.dst_mac = L_MAC;
	pong.src = "10.0.0.8";
	pong.src_mac = L_MAC;
	fake_host_send(&w->s, w->v->port, &ping);
	assert_int_equal(fake_host_drain(w->l->port), 1);
	fake_host_send(&w->s, w->l->port, &pong);
	assert_int_equal(fake_host_drain(w->v->port), 1);
	assert_int_equal(fake_host_drain(w->s.uplink), 0);
	assert_int_equal(atomic_load(&w->v->sessions), 1);
	assert_int_equal(atomic_load(&w->l->sessions), 1);
	assert_balanced(w);
}

static void a_vm_cannot_speak_for_another(void **state)
{
	struct world *w = *state;
	struct fake_packet ping = ping_w;

	ping.src = "10.0.0.77";
	fake_host_send(&w->s, w->v->port, &ping);
	assert_int_equal(drops_of(w->v, DROP_SPOOF_IP), 1);
	ping = ping_w;
	ping.src_mac = L_MAC;
	fake_host_send(&w->s, w->v->port, &ping);
	assert_int_equal(drops_of(w->v, DROP_SPOOF_MAC), 1);
	/* Also on a session that lives. */
	fake_host_send(&w->s, w->v->port, &ping_w);
	fake_host_send(&w->s, w->v->port, &ping);
	assert_int_equal(drops_of(w->v, DROP_SPOOF_MAC), 2);
	assert_int_equal(fake_host_drain(w->s.uplink), 1);
	assert_balanced(w);
}

static void a_stranger_in_the_underlay_is_not_heard(void **state)
{
	struct world *w = *state;
	struct fake_vxlan outer = from_p;
	struct fake_packet ping = pong_w;
	struct port_stats s;

	outer.src = "192.0.2.66";
	ping.icmp_type = 8;
	fake_host_send_vxlan(&w->s, &outer, &ping);
	engine_uplink_stats(w->s.engine, &s);
	assert_int_equal(s.drop[DROP_UNKNOWN_VTEP], 1);
	assert_int_equal(fake_host_drain(w->v->port), 0);
	outer = from_p;
	outer.vni = 777;
	fake_host_send_vxlan(&w->s, &outer, &ping);
	engine_uplink_stats(w->s.engine, &s);
	assert_int_equal(s.drop[DROP_UNKNOWN_VNI], 1);
	assert_balanced(w);
}

static void fragments_follow_their_first_in_any_order(void **state)
{
	static const int orders[3][3] = {{0, 1, 2}, {2, 1, 0}, {1, 0, 2}};
	struct world *w = *state;
	struct fake_packet big = {.src_mac = V_MAC,
		.dst_mac = W_MAC,
		.src = "10.0.0.5",
		.dst = "10.0.0.9",
		.proto = IPPROTO_UDP,
		.sport = 5000,
		.dport = 53,
		.payload_len = 4000};
	uint8_t whole[FAKE_FRAME_MAX], piece[FAKE_FRAME_MAX];

	for (int o = 0; o < 3; o++) {
		size_t len;

		big.ip_id = (uint16_t)(100 + o);
		len = fake_packet_build(&big, whole, sizeof(whole));
		for (int i = 0; i < 3; i++) {
			size_t n = fake_packet_fragment(whole, len, (uint16_t)(orders[o][i] * 1480),
				1480, 1, piece, sizeof(piece));
			struct rte_mbuf *m = fake_frame_mbuf(piece, n, engine_pool(w->s.engine));

			port_ring_inject(w->v->port, m);
			fake_host_run(&w->s);
		}
		assert_int_equal(fake_host_drain(w->s.uplink), 3);
	}
	assert_int_equal(atomic_load(&w->v->sessions), 1);
	assert_balanced(w);
}

static void large_pings_pass_in_fragments(void **state)
{
	struct world *w = *state;
	struct fake_packet ping = ping_w;
	static uint8_t whole[65536], piece[FAKE_FRAME_MAX];
	size_t len;

	ping.payload_len = 8000;
	ping.ip_id = 77;
	len = fake_packet_build(&ping, whole, FAKE_FRAME_MAX);
	for (uint16_t at = 0; at < 8008; at += 1480) {
		size_t n = fake_packet_fragment(whole, len, at, 1480, 1, piece, sizeof(piece));

		port_ring_inject(w->v->port, fake_frame_mbuf(piece, n, engine_pool(w->s.engine)));
	}
	/* All in one burst. */
	fake_host_run(&w->s);
	assert_int_equal(fake_host_drain(w->s.uplink), 6);
	assert_balanced(w);
}

static void idle_sessions_end_and_their_memory_comes_back(void **state)
{
	struct world *w = *state;
	struct engine_memory before, after;

	engine_memory(w->s.engine, &before);
	for (uint16_t id = 0; id < 300; id++) {
		struct fake_packet ping = ping_w;

		ping.icmp_id = id;
		fake_host_send(&w->s, w->v->port, &ping);
	}
	assert_int_equal(fake_host_drain(w->s.uplink), 300);
	assert_int_equal(atomic_load(&w->v->sessions), 300);
	for (int second = 0; second < 60; second++) {
		w->s.now_ns += 1000000000ULL;
		for (int i = 0; i < 8; i++) {
			w->s.now_ns += 1000000ULL;
			fake_host_run(&w->s);
		}
	}
	assert_int_equal(atomic_load(&w->v->sessions), 0);
	engine_memory(w->s.engine, &after);
	assert_int_equal(after.keys, 0);
	assert_int_equal(after.chunks_free, before.chunks_free);
}

static void ipv6_goes_the_same_way(void **state)
{
	struct world *w = *state;
	struct fake_packet udp = {.src_mac = V_MAC,
		.dst_mac = W_MAC,
		.src = "fd00::5",
		.dst = "fd00::9",
		.proto = IPPROTO_UDP,
		.sport = 1000,
		.dport = 53,
		.payload_len = 9};
	struct fake_packet back = {.src_mac = W_MAC,
		.dst_mac = V_MAC,
		.src = "fd00::9",
		.dst = "fd00::5",
		.proto = IPPROTO_UDP,
		.sport = 53,
		.dport = 1000,
		.payload_len = 9};

	fake_host_send(&w->s, w->v->port, &udp);
	assert_int_equal(fake_host_drain(w->s.uplink), 1);
	fake_host_send_vxlan(&w->s, &from_p, &back);
	assert_int_equal(fake_host_drain(w->v->port), 1);
	assert_int_equal(atomic_load(&w->v->sessions), 1);
	assert_balanced(w);
}

/* Between the rings' stop and the role that follows, a worker may still have frames for the VM. */
static void what_stopped_rings_do_not_take_goes_after_the_vm(void **state)
{
	static const struct role_facts leaving = {.move_out = true},
				       ready = {.move_out = true, .move_ready = true};
	const struct in6_addr d = fake_addr("192.0.2.2");
	struct world *w = *state;
	struct fake_packet ping = pong_w;
	uint8_t frame[FAKE_FRAME_MAX], inner[FAKE_FRAME_MAX];
	struct port_stats s;
	size_t want;

	fake_host_peer(&w->s, "192.0.2.2");
	assert_int_equal(engine_relay_to(w->v, &d), 0);
	engine_vport_facts(w->v, &leaving);
	ping.icmp_type = 8;
	port_pause(w->v->port);
	for (uint16_t id = 1; id <= 3; id++) {
		ping.icmp_id = id;
		fake_host_send_vxlan(&w->s, &from_p, &ping);
	}
	assert_int_equal(fake_host_drain(w->s.uplink), 0);
	engine_vport_facts(w->v, &ready);
	assert_int_equal(engine_role_event(w->v, ROLE_READY, 0), 0);
	assert_int_equal(vport_role(w->v), ROLE_FROZEN);
	ping.icmp_id = 4;
	fake_host_send_vxlan(&w->s, &from_p, &ping);
	for (uint16_t id = 1; id <= 4; id++) {
		ping.icmp_id = id;
		want = fake_packet_build(&ping, inner, sizeof(inner));
		assert_int_equal(fake_host_receive(w->s.uplink, frame, sizeof(frame)), want + 50);
		assert_memory_equal(frame + 50, inner, want);
	}
	engine_vport_stats(w->v, &s);
	assert_int_equal(s.tx_dropped[0], 0);
	engine_local_stats(w->s.engine, &s);
	assert_int_equal(s.parked, 3);
	assert_int_equal(s.unparked, 3);
	assert_balanced(w);
}

static void and_back_to_the_vm_when_it_stays(void **state)
{
	static const struct role_facts leaving = {.move_out = true}, staying = {.move_out = false};
	struct world *w = *state;
	struct fake_packet ping = pong_w;

	engine_vport_facts(w->v, &leaving);
	ping.icmp_type = 8;
	port_pause(w->v->port);
	fake_host_send_vxlan(&w->s, &from_p, &ping);
	port_resume(w->v->port);
	engine_vport_facts(w->v, &staying);
	engine_hold_park(w->v, false);
	fake_host_run(&w->s);
	assert_int_equal(fake_host_drain(w->v->port), 1);
	/* Without a move, what rings that are down do not take is lost, and counted. */
	port_pause(w->v->port);
	fake_host_send_vxlan(&w->s, &from_p, &ping);
	port_resume(w->v->port);
	fake_host_run(&w->s);
	assert_int_equal(fake_host_drain(w->v->port), 0);
	assert_balanced(w);
}

static uint16_t room_of(struct vport *v)
{
	uint16_t capacity;

	return port_tx_room(v->port, &capacity);
}

static void activated_now(struct world *w)
{
	atomic_store(&w->v->activated_ns, w->s.now_ns);
	w->v->pace = (struct drain_pace){.took_ns = w->s.now_ns, .room_ns = w->s.now_ns};
}

/* A VM that has just been set going gives buffers slowly. */
static void a_hold_goes_on_as_fast_as_the_vm_takes_it(void **state)
{
	struct world *w = *state;
	struct fake_packet ping = pong_w;
	uint32_t received = 0;
	struct port_stats s;
	uint8_t frame[FAKE_FRAME_MAX];

	ping.icmp_type = 8;
	/* The VM's ring: full. */
	while (room_of(w->v) > 0)
		fake_host_send_vxlan(&w->s, &from_p, &ping);
	assert_int_equal(engine_hold_park(w->v, true), 0);
	for (uint16_t id = 1000; id < 1100; id++) {
		ping.icmp_id = id;
		fake_host_send_vxlan(&w->s, &from_p, &ping);
	}
	activated_now(w);
	engine_hold_park(w->v, false);
	fake_host_run(&w->s);
	while (fake_host_receive(w->v->port, frame, sizeof(frame)) > 0) {
		if ((frame[38] << 8 | frame[39]) >= 1000)
			assert_int_equal(frame[38] << 8 | frame[39], 1000 + received++);
		/* Never more than half of it filled with what waited. */
		assert_true(received < 1 || room_of(w->v) >= 1024);
		fake_host_run(&w->s);
	}
	assert_int_equal(received, 100);
	engine_vport_stats(w->v, &s);
	assert_int_equal(s.tx_dropped[1], 0);
	/* One that takes nothing holds up nothing for long. */
	while (room_of(w->v) > 0)
		fake_host_send_vxlan(&w->s, &from_p, &ping);
	engine_hold_park(w->v, true);
	fake_host_send_vxlan(&w->s, &from_p, &ping);
	engine_hold_park(w->v, false);
	w->s.now_ns += 300000000ULL;
	fake_host_run(&w->s);
	assert_false(atomic_load(&w->v->hold_draining));
	assert_balanced(w);
}

static void hold_some(struct world *w, uint32_t count, uint16_t room)
{
	struct fake_packet ping = pong_w;

	ping.icmp_type = 8;
	while (room_of(w->v) > room)
		fake_host_send_vxlan(&w->s, &from_p, &ping);
	assert_int_equal(engine_hold_park(w->v, true), 0);
	while (count-- > 0)
		fake_host_send_vxlan(&w->s, &from_p, &ping);
	activated_now(w);
	engine_hold_park(w->v, false);
}

/* A driver may fill its rings by a quarter only and never give more. */
static void a_hold_ends_for_a_vm_that_gives_few_buffers(void **state)
{
	struct world *w = *state;
	uint8_t frame[FAKE_FRAME_MAX];

	hold_some(w, 300, 512);
	fake_host_run(&w->s);
	assert_int_equal(room_of(w->v), 512);
	for (int ms = 0; ms < 12 && atomic_load(&w->v->hold_draining); ms++) {
		w->s.now_ns += 1000000;
		fake_host_run(&w->s);
		while (room_of(w->v) < 512)
			assert_true(fake_host_receive(w->v->port, frame, sizeof(frame)) > 0);
	}
	assert_false(atomic_load(&w->v->hold_draining));
	assert_balanced(w);
}

/* More comes than the VM takes: what is new must not wait for ever behind what is old. */
static void a_hold_ends_under_a_flood(void **state)
{
	struct world *w = *state;
	struct fake_packet ping = pong_w;
	uint8_t frame[FAKE_FRAME_MAX];

	ping.icmp_type = 8;
	hold_some(w, 300, 0);
	for (int ms = 0; ms < 1100 && atomic_load(&w->v->hold_draining); ms++) {
		w->s.now_ns += 1000000;
		fake_host_receive(w->v->port, frame, sizeof(frame));
		fake_host_send_vxlan(&w->s, &from_p, &ping);
		fake_host_send_vxlan(&w->s, &from_p, &ping);
	}
	assert_false(atomic_load(&w->v->hold_draining));
	assert_balanced(w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, start, stop)
		T(a_ping_leaves_in_the_tunnel_and_its_answer_reaches_the_vm),
		T(an_answer_without_a_question_is_dropped_by_name),
		T(neighbours_on_one_host_have_a_session_each),
		T(a_vm_cannot_speak_for_another),
		T(a_stranger_in_the_underlay_is_not_heard),
		T(fragments_follow_their_first_in_any_order),
		T(large_pings_pass_in_fragments),
		T(idle_sessions_end_and_their_memory_comes_back),
		T(ipv6_goes_the_same_way),
		T(what_stopped_rings_do_not_take_goes_after_the_vm),
		T(and_back_to_the_vm_when_it_stays),
		T(a_hold_goes_on_as_fast_as_the_vm_takes_it),
		T(a_hold_ends_for_a_vm_that_gives_few_buffers),
		T(a_hold_ends_under_a_flood),
	};

	if (fake_eal_start() != 0)
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
