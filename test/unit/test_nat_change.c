/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Leases change under living connections: shrink, go to a neighbour, become another address. What
 * is beyond the lease ends, for its port may be somebody else's at once; the rest does not notice.
 */
#include "test/unit/nat_fixture.h"

struct world {
	struct fake_host s;
	struct vport *v, *l;
};

static void world_start(struct world *w, enum engine_policy_change policy_change)
{
	struct fake_host_options options = {
		.name = "s", .vtep = "192.0.2.1", .plugin = NAT_SO, .policy_change = policy_change};

	memset(w, 0, sizeof(*w));
	fake_host_start(&w->s, &options);
	nat_host_net(&w->s);
	w->v = fake_host_vport(&w->s, "v", VNI, V_MAC, "10.0.0.5,10.0.0.6");
	w->l = fake_host_vport(&w->s, "l", VNI, L_MAC, "10.0.0.8");
}

static struct world world;

static int start(void **state)
{
	world_start(&world, ENGINE_POLICY_CUT);
	*state = &world;
	return 0;
}

/* A change of policy lets living sessions finish. */
static int start_lenient(void **state)
{
	world_start(&world, ENGINE_POLICY_FINISH);
	*state = &world;
	return 0;
}

static int stop(void **state)
{
	struct world *w = *state;

	fake_host_stop(&w->s);
	return 0;
}

/* V's connection from this port, one more packet; did it leave with this port? */
static bool goes_on(struct world *w, uint16_t vport, uint16_t outside)
{
	struct fake_packet syn = {.src_mac = V_MAC,
		.dst_mac = GATEWAY_MAC,
		.src = "10.0.0.5",
		.dst = C,
		.proto = IPPROTO_TCP,
		.tcp_flags = RTE_TCP_SYN_FLAG,
		.seq = 1000,
		.window = 65535,
		.sport = vport,
		.dport = 443};
	uint8_t inner[FAKE_FRAME_MAX];

	fake_host_send(&w->s, w->v->port, &syn);
	return leaves(&w->s, inner) > 0 && source_port(inner) == outside;
}

static void answer_comes(struct world *w, uint16_t outside)
{
	struct fake_packet answer = {.src_mac = EXT_MAC,
		.dst_mac = V_MAC,
		.src = C,
		.dst = N,
		.proto = IPPROTO_TCP,
		.tcp_flags = RTE_TCP_SYN_FLAG | RTE_TCP_ACK_FLAG,
		.seq = 7,
		.ack = 1001,
		.window = 65535,
		.sport = 443,
		.dport = outside};

	fake_host_send_vxlan(&w->s, &from_outside, &answer);
}

/* Four ports are taken, then two of them are beyond the lease. */
static void a_lease_that_shrinks_ends_what_is_beyond_it_and_no_more(void **state)
{
	struct world *w = *state;
	uint16_t port[4];

	nat_leases(&w->s, LEASES(SNAT("v", "1024-1027")));
	for (uint16_t i = 0; i < 4; i++)
		port[i] = opens(&w->s, w->v, (uint16_t)(40000 + i), C);
	nat_leases(&w->s, LEASES(SNAT("v", "1024-1025")));
	for (uint16_t i = 0; i < 4; i++)
		assert_int_equal(goes_on(w, (uint16_t)(40000 + i), port[i]), port[i] <= 1025);
	assert_int_equal(drops_of(w->v, DROP_SESSION_CLOSED), 2);
	/* They may come again, but all is taken. */
	assert_int_equal(opens(&w->s, w->v, 40004, C), 0);
	assert_int_equal(drops_of(w->v, DROP_NO_NAT_PORT), 1);
}

static void late_packets_to_a_port_that_went_to_a_neighbour_reach_neither(void **state)
{
	struct world *w = *state;
	uint16_t port;

	nat_leases(&w->s, LEASES(SNAT("v", "1024-1024")));
	port = opens(&w->s, w->v, 40000, C);
	assert_int_equal(port, 1024);
	nat_leases(&w->s, LEASES(SNAT("l", "1024-1024")));
	answer_comes(w, port);
	assert_int_equal(fake_host_drain(w->v->port), 0);
	assert_int_equal(fake_host_drain(w->l->port), 0);
	/* And once more, now that the session is gone: unasked. */
	answer_comes(w, port);
	assert_int_equal(fake_host_drain(w->v->port), 0);
	assert_int_equal(fake_host_drain(w->l->port), 0);
	assert_int_equal(atomic_load(&w->v->sessions), 0);
}

/* The neighbour opens with the same port towards the same peer while V's old session sleeps. */
static void a_neighbour_gets_a_port_that_a_sleeping_connection_had(void **state)
{
	struct world *w = *state;
	struct fake_packet syn = {.src_mac = L_MAC,
		.dst_mac = GATEWAY_MAC,
		.src = "10.0.0.8",
		.dst = C,
		.proto = IPPROTO_TCP,
		.tcp_flags = RTE_TCP_SYN_FLAG,
		.seq = 1000,
		.window = 65535,
		.sport = 50000,
		.dport = 443};
	uint8_t inner[FAKE_FRAME_MAX];

	nat_leases(&w->s, LEASES(SNAT("v", "1024-1024")));
	assert_int_equal(opens(&w->s, w->v, 40000, C), 1024);
	nat_leases(&w->s, LEASES(SNAT("l", "1024-1024")));
	/* Not at once: V's session stands until a packet or its time ends it. */
	fake_host_send(&w->s, w->l->port, &syn);
	assert_int_equal(fake_host_drain(w->s.uplink), 0);
	assert_int_equal(drops_of(w->l, DROP_NO_NAT_PORT), 1);
	for (int i = 0; i < 400; i++) {
		w->s.now_ns += 100000000ULL;
		fake_host_run(&w->s);
	}
	fake_host_peer(&w->s, "192.0.2.3"); /* its neighbour has to answer again */
	fake_host_drain(w->s.uplink);
	fake_host_send(&w->s, w->l->port, &syn);
	assert_true(leaves(&w->s, inner) > 0);
	assert_int_equal(source_port(inner), 1024);
}

static void another_address_ends_the_connections_of_the_one_before(void **state)
{
	struct world *w = *state;
	uint8_t inner[FAKE_FRAME_MAX];
	uint16_t port;

	nat_leases(&w->s, LEASES(SNAT("v", "1024-2047")));
	port = opens(&w->s, w->v, 40000, C);
	nat_leases(&w->s, LEASES("{vport: v, network: net, kind: snat, address: 203.0.113.8, "
				 "ports: 1024-2047}"));
	assert_false(goes_on(w, 40000, port));
	answer_comes(w, port);
	assert_int_equal(fake_host_drain(w->v->port), 0);
	assert_true(opens(&w->s, w->v, 40000, "198.51.100.11") != 0);
	fake_host_send(&w->s, w->v->port,
		&(struct fake_packet){.src_mac = V_MAC,
			.dst_mac = GATEWAY_MAC,
			.src = "10.0.0.5",
			.dst = C,
			.sport = 5000,
			.dport = 53});
	assert_true(leaves(&w->s, inner) > 0);
	assert_memory_equal(inner + 26, ((uint8_t[]){203, 0, 113, 8}), 4);
}

/* RFC 5508 REQ-5: only the session's address is known outside. */
static void an_error_from_another_address_of_the_vm_tells_nothing_of_it(void **state)
{
	struct world *w = *state;
	struct fake_packet quoted = {.src = C, .dst = "10.0.0.5", .sport = 53, .dport = 5000};
	struct fake_packet error = {.src_mac = V_MAC,
		.dst_mac = GATEWAY_MAC,
		.src = "10.0.0.6",
		.dst = C,
		.proto = IPPROTO_ICMP,
		.icmp_type = 3,
		.icmp_code = 3,
		.quoted = &quoted};
	struct fake_packet query = {.src_mac = V_MAC,
		.dst_mac = GATEWAY_MAC,
		.src = "10.0.0.5",
		.dst = C,
		.sport = 5000,
		.dport = 53};
	uint8_t inner[FAKE_FRAME_MAX];
	size_t len;

	nat_leases(&w->s, LEASES(SNAT("v", "1024-1025")));
	fake_host_send(&w->s, w->v->port, &query);
	assert_true(leaves(&w->s, inner) > 0);
	quoted.dport = source_port(inner);
	assert_in_range(quoted.dport, 1024, 1025);
	quoted.dport = 5000;
	fake_host_send(&w->s, w->v->port, &error);
	quoted.dport = source_port(inner);
	len = leaves(&w->s, inner);
	quoted.dst = N;
	error.src = N;
	error.src_mac = GATEWAY_MAC;
	error.dst_mac = EXT_MAC;
	error.ttl = 63;
	assert_frame(inner, len, &error);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, start, stop)
#define LENIENT(name) \
	{ \
#name " where the denied may finish", name, start_lenient, stop, NULL \
	}
	const struct CMUnitTest tests[] = {
		T(a_lease_that_shrinks_ends_what_is_beyond_it_and_no_more),
		LENIENT(a_lease_that_shrinks_ends_what_is_beyond_it_and_no_more),
		T(late_packets_to_a_port_that_went_to_a_neighbour_reach_neither),
		LENIENT(late_packets_to_a_port_that_went_to_a_neighbour_reach_neither),
		T(a_neighbour_gets_a_port_that_a_sleeping_connection_had),
		T(another_address_ends_the_connections_of_the_one_before),
		T(an_error_from_another_address_of_the_vm_tells_nothing_of_it),
	};

	if (fake_eal_start() != 0)
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
