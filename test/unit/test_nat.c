/* SPDX-License-Identifier: BSD-3-Clause */
/* The nat plugin in a whole engine: what leaves and what arrives, byte for byte. */
#include <time.h>

#include "test/unit/nat_fixture.h"

static int start(void **state)
{
	static struct nat_world w;

	memset(&w, 0, sizeof(w));
	nat_host_start(&w.s, "s", 2);
	w.v = fake_host_vport(&w.s, "v", VNI, V_MAC, "10.0.0.5,fd00::5");
	w.l = fake_host_vport(&w.s, "l", VNI, L_MAC, "10.0.0.8");
	*state = &w;
	return 0;
}

static int stop(void **state)
{
	fake_host_stop(&((struct nat_world *)*state)->s);
	return 0;
}

static const struct fake_packet v_syn = {.src_mac = V_MAC,
	.dst_mac = GATEWAY_MAC,
	.src = "10.0.0.5",
	.dst = C,
	.proto = IPPROTO_TCP,
	.tcp_flags = RTE_TCP_SYN_FLAG,
	.seq = 1000,
	.window = 65535,
	.mss = 1460,
	.sport = 40000,
	.dport = 443};

static void a_connection_goes_out_with_a_port_of_its_lease_and_back(void **state)
{
	struct nat_world *w = *state;
	struct fake_packet want = v_syn, answer;
	uint16_t port;

	nat_leases(&w->s, LEASES(SNAT("v", "1024-2047")));
	fake_host_send(&w->s, w->v->port, &v_syn);
	want.src = N;
	port = assert_leaves(&w->s, want);
	assert_in_range(port, 1024, 2047);
	answer = (struct fake_packet){.src_mac = EXT_MAC,
		.dst_mac = V_MAC,
		.src = C,
		.dst = N,
		.proto = IPPROTO_TCP,
		.tcp_flags = RTE_TCP_SYN_FLAG | RTE_TCP_ACK_FLAG,
		.seq = 7,
		.ack = 1001,
		.window = 65535,
		.mss = 1400,
		.sport = 443,
		.dport = port};
	fake_host_send_vxlan(&w->s, &from_outside, &answer);
	answer.dst = "10.0.0.5";
	answer.dport = 40000;
	assert_arrives(&w->s, w->v, answer);
}

static void a_ping_gets_an_identifier_of_its_lease(void **state)
{
	struct nat_world *w = *state;
	struct fake_packet ping = {.src_mac = V_MAC,
		.dst_mac = GATEWAY_MAC,
		.src = "10.0.0.5",
		.dst = C,
		.proto = IPPROTO_ICMP,
		.icmp_type = 8,
		.icmp_id = 7,
		.payload_len = 57};
	struct fake_packet want = ping, pong;

	nat_leases(&w->s, LEASES(SNAT("v", "1024-2047")));
	fake_host_send(&w->s, w->v->port, &ping);
	want.src = N;
	pong = (struct fake_packet){.src_mac = EXT_MAC,
		.dst_mac = V_MAC,
		.src = C,
		.dst = N,
		.proto = IPPROTO_ICMP,
		.icmp_type = 0,
		.icmp_id = assert_leaves(&w->s, want),
		.payload_len = 57};
	assert_in_range(pong.icmp_id, 1024, 2047);
	fake_host_send_vxlan(&w->s, &from_outside, &pong);
	pong.dst = "10.0.0.5";
	pong.icmp_id = 7;
	assert_arrives(&w->s, w->v, pong);
}

static void what_the_vpc_reaches_is_not_translated(void **state)
{
	struct nat_world *w = *state;
	struct fake_packet udp = {.src_mac = V_MAC,
		.dst_mac = L_MAC,
		.src = "10.0.0.5",
		.dst = "10.0.0.8",
		.sport = 5000,
		.dport = 53,
		.payload_len = 20};

	nat_leases(&w->s, LEASES(SNAT("v", "1024-2047")));
	fake_host_send(&w->s, w->v->port, &udp);
	assert_arrives(&w->s, w->l, udp);
}

static void a_socket_keeps_its_port_towards_all_its_peers(void **state)
{
	struct nat_world *w = *state;
	uint16_t port;

	nat_leases(&w->s, LEASES(SNAT("v", "1024-2047")));
	port = opens(&w->s, w->v, 40000, C);
	assert_int_not_equal(port, 0);
	assert_int_equal(opens(&w->s, w->v, 40000, "198.51.100.11"), port);
	assert_int_equal(opens(&w->s, w->v, 40000, "198.51.100.12"), port);
}

static void udp_keeps_the_parity_of_its_port(void **state)
{
	struct nat_world *w = *state;

	nat_leases(&w->s, LEASES(SNAT("v", "1025-1040")));
	for (uint16_t i = 0; i < 16; i++) {
		struct fake_packet udp = {.src_mac = V_MAC,
			.dst_mac = GATEWAY_MAC,
			.src = "10.0.0.5",
			.dst = C,
			.sport = (uint16_t)(5000 + i),
			.dport = 53,
			.payload_len = 20};
		struct fake_packet want = udp;
		uint16_t port;

		fake_host_send(&w->s, w->v->port, &udp);
		want.src = N;
		port = assert_leaves(&w->s, want);
		assert_in_range(port, 1025, 1040);
		assert_int_equal(port & 1, i & 1);
	}
}

static uint64_t cpu_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &ts);
	return (uint64_t)ts.tv_sec * 1000000000 + (uint64_t)ts.tv_nsec;
}

static void the_eleventh_connection_finds_no_port_and_says_so(void **state)
{
	struct nat_world *w = *state;
	uint64_t quickest = UINT64_MAX;
	uint32_t seen = 0;
	uint16_t port = 0;

	nat_leases(&w->s, LEASES(SNAT("v", "1024-1033")));
	for (uint16_t i = 0; i < 10; i++) {
		port = opens(&w->s, w->v, (uint16_t)(40000 + i), C);
		assert_in_range(port, 1024, 1033);
		assert_false(seen & 1u << (port - 1024));
		seen |= 1u << (port - 1024);
	}
	for (uint16_t i = 0; i < 5; i++) {
		uint64_t before = cpu_ns();

		assert_int_equal(opens(&w->s, w->v, (uint16_t)(40010 + i), C), 0);
		quickest = RTE_MIN(quickest, cpu_ns() - before);
	}
	assert_int_equal(drops_of(w->v, DROP_NO_NAT_PORT), 5);
	assert_true(quickest < 1000000);
	/* Ports are taken towards one peer only. */
	assert_in_range(opens(&w->s, w->v, 40011, "198.51.100.11"), 1024, 1033);
	/* One ends: its port is free again. */
	fake_host_send(&w->s, w->v->port,
		&(struct fake_packet){.src_mac = V_MAC,
			.dst_mac = GATEWAY_MAC,
			.src = "10.0.0.5",
			.dst = C,
			.proto = IPPROTO_TCP,
			.tcp_flags = RTE_TCP_RST_FLAG,
			.seq = 1001,
			.sport = 40009,
			.dport = 443});
	fake_host_drain(w->s.uplink);
	for (int i = 0; i < 300; i++) {
		w->s.now_ns += 100000000ULL;
		fake_host_run(&w->s);
	}
	fake_host_drain(w->s.uplink);
	assert_int_equal(opens(&w->s, w->v, 40020, C), port);
}

static void a_router_that_wants_smaller_packets_is_heard_inside(void **state)
{
	struct nat_world *w = *state;
	struct fake_packet quoted = {.src = N,
		.dst = C,
		.proto = IPPROTO_TCP,
		.dport = 25,
		.seq = 1001,
		.payload_len = 1460,
		.dont_fragment = true};
	struct fake_packet error = {.src_mac = EXT_MAC,
		.dst_mac = V_MAC,
		.src = "198.51.100.1",
		.dst = N,
		.proto = IPPROTO_ICMP,
		.icmp_type = 3,
		.icmp_code = 4,
		.icmp_mtu = 1492,
		.quoted = &quoted};
	struct fake_packet syn = v_syn, want;

	nat_leases(&w->s, LEASES(SNAT("v", "45001-45001")));
	syn.sport = 1470;
	syn.dport = 25;
	fake_host_send(&w->s, w->v->port, &syn);
	want = syn;
	want.src = N;
	quoted.sport = assert_leaves(&w->s, want);
	assert_int_equal(quoted.sport, 45001);
	fake_host_send_vxlan(&w->s, &from_outside, &error);
	quoted.src = "10.0.0.5";
	quoted.sport = 1470;
	error.dst = "10.0.0.5";
	error.icmp_mtu = 1492 - 50; /* it came through the tunnel */
	assert_arrives(&w->s, w->v, error);
	assert_int_equal(atomic_load(&w->v->sessions), 1);
	/* About nobody's connection. */
	quoted.src = error.dst = N;
	quoted.sport = 45001;
	quoted.dport = 26;
	fake_host_send_vxlan(&w->s, &from_outside, &error);
	assert_int_equal(fake_host_drain(w->v->port), 0);
	assert_int_equal(uplink_drops(&w->s, DROP_RELATED_NONE), 1);
}

static void an_error_of_the_vm_leaves_with_the_public_address(void **state)
{
	struct nat_world *w = *state;
	struct fake_packet udp = {.src_mac = EXT_MAC,
		.dst_mac = V_MAC,
		.src = C,
		.dst = N,
		.sport = 53,
		.payload_len = 20};
	struct fake_packet query = {.src_mac = V_MAC,
		.dst_mac = GATEWAY_MAC,
		.src = "10.0.0.5",
		.dst = C,
		.sport = 6000,
		.dport = 53,
		.payload_len = 20};
	struct fake_packet want = query, quoted, error;
	uint8_t inner[FAKE_FRAME_MAX];
	size_t len;

	nat_leases(&w->s, LEASES(SNAT("v", "1024-2047")));
	fake_host_send(&w->s, w->v->port, &query);
	want.src = N;
	udp.dport = assert_leaves(&w->s, want);
	fake_host_send_vxlan(&w->s, &from_outside, &udp);
	quoted = udp;
	quoted.dst = "10.0.0.5";
	quoted.dport = 6000;
	assert_arrives(&w->s, w->v, quoted);
	error = (struct fake_packet){.src_mac = V_MAC,
		.dst_mac = GATEWAY_MAC,
		.src = "10.0.0.5",
		.dst = C,
		.proto = IPPROTO_ICMP,
		.icmp_type = 3,
		.icmp_code = 3,
		.quoted = &quoted};
	fake_host_send(&w->s, w->v->port, &error);
	len = leaves(&w->s, inner);
	quoted.dst = N;
	quoted.dport = udp.dport;
	error.src = N;
	error.src_mac = GATEWAY_MAC;
	error.dst_mac = EXT_MAC;
	error.ttl = 63;
	assert_frame(inner, len, &error);
}

static void nothing_comes_in_unasked_on_a_shared_port(void **state)
{
	struct nat_world *w = *state;
	struct fake_packet syn = {.src_mac = EXT_MAC,
		.dst_mac = V_MAC,
		.src = C,
		.dst = N,
		.proto = IPPROTO_TCP,
		.tcp_flags = RTE_TCP_SYN_FLAG,
		.sport = 5000,
		.dport = 1500};

	nat_leases(&w->s, LEASES(SNAT("v", "1024-2047")));
	fake_host_send_vxlan(&w->s, &from_outside, &syn);
	assert_int_equal(fake_host_drain(w->v->port), 0);
	assert_int_equal(uplink_drops(&w->s, DROP_DENIED), 1);
	assert_int_equal(atomic_load(&w->v->sessions), 0);
}

#define FORWARD \
	"{vport: v, network: net, kind: dnat, address: " N ", ports: 8000-8009, protocol: tcp, " \
	"inside_port: 80}"

static void a_forwarded_port_reaches_the_port_behind_it(void **state)
{
	struct nat_world *w = *state;
	struct fake_packet syn = {.src_mac = EXT_MAC,
		.dst_mac = V_MAC,
		.src = C,
		.dst = N,
		.proto = IPPROTO_TCP,
		.tcp_flags = RTE_TCP_SYN_FLAG,
		.seq = 5,
		.window = 1000,
		.sport = 5000,
		.dport = 8003};
	struct fake_packet want = syn, answer, udp = syn;

	nat_leases(&w->s, LEASES(FORWARD ", " SNAT("v", "9000-9009")));
	fake_host_send_vxlan(&w->s, &from_outside, &syn);
	want.dst = "10.0.0.5";
	want.dport = 83;
	assert_arrives(&w->s, w->v, want);
	answer = (struct fake_packet){.src_mac = V_MAC,
		.dst_mac = GATEWAY_MAC,
		.src = "10.0.0.5",
		.dst = C,
		.proto = IPPROTO_TCP,
		.tcp_flags = RTE_TCP_SYN_FLAG | RTE_TCP_ACK_FLAG,
		.seq = 9,
		.ack = 6,
		.window = 1000,
		.sport = 83,
		.dport = 5000};
	fake_host_send(&w->s, w->v->port, &answer);
	answer.src = N;
	assert_int_equal(assert_leaves(&w->s, answer), 8003);
	udp.proto = IPPROTO_UDP;
	fake_host_send_vxlan(&w->s, &from_outside, &udp);
	assert_int_equal(fake_host_drain(w->v->port), 0);
}

#define FLOATING(vport, addr) "{vport: " vport ", network: net, kind: floating, address: " addr "}"
#define FLOATING_L FLOATING("l", "203.0.113.20")

static void a_floating_address_works_both_ways(void **state)
{
	struct nat_world *w = *state;
	struct fake_packet query = {.src_mac = V_MAC,
		.dst_mac = GATEWAY_MAC,
		.src = "10.0.0.5",
		.dst = C,
		.sport = 6000,
		.dport = 53,
		.payload_len = 21};
	struct fake_packet in = {.src_mac = EXT_MAC,
		.dst_mac = V_MAC,
		.src = C,
		.dst = "203.0.113.9",
		.sport = 7000,
		.dport = 123,
		.payload_len = 30};
	struct fake_packet want = query;

	nat_leases(&w->s, LEASES(FLOATING("v", "203.0.113.9")));
	fake_host_send(&w->s, w->v->port, &query);
	want.src = "203.0.113.9";
	assert_int_equal(assert_leaves(&w->s, want), 6000);
	fake_host_send_vxlan(&w->s, &from_outside, &in);
	in.dst = "10.0.0.5";
	assert_arrives(&w->s, w->v, in);
}

static void one_to_one_works_for_ipv6(void **state)
{
	struct nat_world *w = *state;
	struct fake_packet query = {.src_mac = V_MAC,
		.dst_mac = GATEWAY_MAC,
		.src = "fd00::5",
		.dst = C6,
		.sport = 6000,
		.dport = 53,
		.payload_len = 21};
	struct fake_packet in = {.src_mac = EXT_MAC,
		.dst_mac = V_MAC,
		.src = C6,
		.dst = "2001:db8:f::5",
		.sport = 7000,
		.dport = 123,
		.payload_len = 30};
	struct fake_packet want = query;
	uint8_t inner[FAKE_FRAME_MAX];
	size_t len;

	nat_leases(&w->s, LEASES(FLOATING("v", "2001:db8:f::5")));
	fake_host_send(&w->s, w->v->port, &query);
	len = leaves(&w->s, inner);
	want.src = "2001:db8:f::5";
	want.src_mac = GATEWAY_MAC;
	want.dst_mac = EXT_MAC;
	want.ttl = 63;
	assert_frame(inner, len, &want);
	fake_host_send_vxlan(&w->s, &from_outside, &in);
	in.dst = "fd00::5";
	assert_arrives(&w->s, w->v, in);
}

static void two_vms_meet_at_their_public_addresses(void **state)
{
	struct nat_world *w = *state;
	uint8_t frame[FAKE_FRAME_MAX];
	struct fake_packet want = v_syn, answer;
	uint16_t port;
	size_t len;

	nat_leases(&w->s, LEASES(SNAT("v", "1024-2047") ", " FLOATING_L));
	want.dst = "203.0.113.20";
	fake_host_send(&w->s, w->v->port, &want);
	len = fake_host_receive(w->l->port, frame, sizeof(frame));
	assert_true(len > 0);
	port = source_port(frame);
	assert_in_range(port, 1024, 2047);
	want.src_mac = GATEWAY_MAC;
	want.dst_mac = L_MAC;
	want.src = N;
	want.dst = "10.0.0.8";
	want.sport = port;
	want.ttl = 63;
	assert_frame(frame, len, &want);
	answer = (struct fake_packet){.src_mac = L_MAC,
		.dst_mac = GATEWAY_MAC,
		.src = "10.0.0.8",
		.dst = N,
		.proto = IPPROTO_TCP,
		.tcp_flags = RTE_TCP_SYN_FLAG | RTE_TCP_ACK_FLAG,
		.seq = 9,
		.ack = 1001,
		.window = 1000,
		.sport = 443,
		.dport = port};
	fake_host_send(&w->s, w->l->port, &answer);
	answer.src_mac = GATEWAY_MAC;
	answer.dst_mac = V_MAC;
	answer.src = "203.0.113.20";
	answer.dst = "10.0.0.5";
	answer.dport = 40000;
	answer.ttl = 63;
	assert_arrives(&w->s, w->v, answer);
	assert_int_equal(fake_host_drain(w->s.uplink), 0);
}

/* A17 behind a shared address: later fragments have no ports. */
static void fragments_are_translated_in_any_order(void **state)
{
	static const uint8_t orders[3][3] = {{0, 1, 2}, {2, 1, 0}, {1, 0, 2}};
	struct nat_world *w = *state;
	struct fake_packet query = {.src_mac = V_MAC,
		.dst_mac = GATEWAY_MAC,
		.src = "10.0.0.5",
		.dst = C,
		.sport = 6000,
		.dport = 53,
		.payload_len = 20};
	struct fake_packet want = query;
	uint8_t whole[FAKE_FRAME_MAX], inside[FAKE_FRAME_MAX];
	struct fake_packet big = {.src_mac = EXT_MAC,
		.dst_mac = V_MAC,
		.src = C,
		.dst = N,
		.sport = 53,
		.payload_len = 4000};
	size_t len;

	nat_leases(&w->s, LEASES(SNAT("v", "1024-2047")));
	fake_host_send(&w->s, w->v->port, &query);
	want.src = N;
	big.dport = assert_leaves(&w->s, want);
	for (int o = 0; o < 3; o++) {
		uint32_t found = 0;

		big.ip_id = (uint16_t)(100 + o);
		big.dst = N;
		len = fake_packet_build(&big, whole, sizeof(whole));
		for (int i = 0; i < 3; i++) {
			uint8_t piece[FAKE_FRAME_MAX], outer[FAKE_FRAME_MAX];
			size_t n = fake_packet_fragment(whole, len, (uint16_t)(orders[o][i] * 1480),
				1480, 0, piece, sizeof(piece));

			n = fake_vxlan_build(&from_outside, piece, n, outer, sizeof(outer));
			port_ring_inject(
				w->s.uplink, fake_frame_mbuf(outer, n, engine_pool(w->s.engine)));
			fake_host_run(&w->s);
		}
		want = big;
		want.dst = "10.0.0.5";
		want.dport = 6000;
		len = fake_packet_build(&want, inside, sizeof(inside));
		for (int i = 0; i < 3; i++) {
			uint8_t got[FAKE_FRAME_MAX], piece[FAKE_FRAME_MAX];
			size_t n = fake_host_receive(w->v->port, got, sizeof(got));
			unsigned int at = (got[20] << 8 | got[21]) & 0x1fff;

			assert_true(n > 0);
			assert_int_equal(fake_packet_fragment(inside, len, (uint16_t)(at * 8), 1480,
						 0, piece, sizeof(piece)),
				n);
			assert_memory_equal(got, piece, n);
			found |= 1u << at * 8 / 1480;
		}
		assert_int_equal(found, 7);
	}
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, start, stop)
	const struct CMUnitTest tests[] = {
		T(a_connection_goes_out_with_a_port_of_its_lease_and_back),
		T(a_ping_gets_an_identifier_of_its_lease),
		T(what_the_vpc_reaches_is_not_translated),
		T(a_socket_keeps_its_port_towards_all_its_peers),
		T(udp_keeps_the_parity_of_its_port),
		T(the_eleventh_connection_finds_no_port_and_says_so),
		T(a_router_that_wants_smaller_packets_is_heard_inside),
		T(an_error_of_the_vm_leaves_with_the_public_address),
		T(nothing_comes_in_unasked_on_a_shared_port),
		T(a_forwarded_port_reaches_the_port_behind_it),
		T(a_floating_address_works_both_ways),
		T(one_to_one_works_for_ipv6),
		T(two_vms_meet_at_their_public_addresses),
		T(fragments_are_translated_in_any_order),
	};

	if (fake_eal_start() != 0)
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
