/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Public addresses and whole moves: hosts h0, h1, h2 with real movers, a gateway to the outside
 * (192.0.2.9, no Ferry) that reaches the shared address by way of any of them. All are anchors
 * here: which one the outside comes in by, the test chooses.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <rte_byteorder.h>

#include "dataplane/neigh.h"
#include "dataplane/session_walk.h"
#include "dataplane/vport.h"
#include "dataplane/worker.h"
#include "test/fake/fake_eal.h"
#include "test/fake/fake_lab.h"
#include "test/fake/fake_value.h"

#define EXT 900
#define V_MAC "02:00:00:00:00:05"
#define GATEWAY_MAC "02:00:00:00:00:fe"
#define EXT_MAC "02:00:00:00:09:fe"
#define C "198.51.100.10"
#define N "203.0.113.7"
#define NETWORK \
	"external_networks: [{name: net, vni: 900, gateway_vtep: 192.0.2.9, gateway_mac: " \
	"'" EXT_MAC "'}]\n"
#define LEASES(rows) NETWORK "nat_leases:\n" rows
#define LEASE(vport, kind, ports) \
	"  - {vport: " vport ", network: net, kind: " kind ", address: " N ", ports: " ports "}\n"

static struct fake_lab lab;

/* What the gateway got last, and how much of it. */
static struct {
	uint32_t frames;
	uint32_t from;
	uint8_t inner[FAKE_FRAME_MAX];
	size_t len;
} outside;

static bool tap(void *arg, uint32_t from, const uint8_t *frame, size_t len)
{
	(void)arg;
	/* IPv4 of the outside's VNI to 192.0.2.9, no announcements. */
	if (len > 64 && frame[12] == 8 && frame[13] == 0 && frame[33] == 9 &&
		(frame[46] << 16 | frame[47] << 8 | frame[48]) == EXT && frame[62] == 8 &&
		frame[63] == 0) {
		outside.frames++;
		outside.from = from;
		outside.len = len - 50;
		memcpy(outside.inner, frame + 50, len - 50);
	}
	return true;
}

static void gateway_known(uint32_t host)
{
	struct peer_spec peer = {.vtep = fake_addr("192.0.2.9")};
	struct rte_ether_addr mac;

	rte_ether_unformat_addr("02:00:00:00:99:99", &mac);
	assert_int_equal(engine_peer_set(lab.host[host].engine, &peer), 0);
	assert_int_equal(neigh_fix(engine_neigh(lab.host[host].engine), &peer.vtep, &mac), 0);
}

static int is_of_v(const struct location *location, void *arg)
{
	const struct in6_addr *addr = arg;

	return addr_equal(&location->addr, addr) &&
	       (atomic_load(&location->kind) == LOCATION_LOCAL ||
		       atomic_load(&location->kind) == LOCATION_REMOTE);
}

/* V runs, and every host knows where it is, and its public address if it has one. */
static bool all_know(void *arg)
{
	struct in6_addr addr[2] = {fake_addr("10.0.0.5"), fake_addr(N)};
	int count = strstr(lab.extra[0], "nat_leases") ? 2 : 1;

	(void)arg;
	if (fake_lab_role(&lab, 0, "v") != ROLE_OWNER)
		return false;
	for (uint32_t i = 0; i < lab.hosts; i++)
		/* A vport that waits here hears of itself by a move. */
		for (int n = i > 0 && fake_lab_vport(&lab, i, "v"); n < count; n++)
			if (!engine_location_foreach(lab.host[i].engine, is_of_v, &addr[n]))
				return false;
	return true;
}

static void hosts_start(uint32_t count)
{
	memset(&outside, 0, sizeof(outside));
	lab.plugin_dir = PLUGIN_DIR;
	lab.tap = tap;
	for (uint32_t i = 0; i < count; i++) {
		lab.plugins[i] = "[{name: nat}]";
		if (!lab.extra[i])
			lab.extra[i] = NETWORK;
		fake_lab_start(&lab, i);
		gateway_known(i);
	}
	fake_lab_rings(&lab, 0, "v", true);
	assert_true(fake_lab_until(&lab, all_know, NULL, 60000));
}

static int three_hosts(void **state)
{
	(void)state;
	fake_lab_new(&lab, 3);
	lab.vports[0] = FAKE_LAB_VM;
	lab.extra[0] = LEASES(LEASE("v", "snat", "45001-45010") LEASE("v", "dnat", "8000-8009"));
	hosts_start(3);
	return 0;
}

static int lab_end(void **state)
{
	(void)state;
	fake_lab_free(&lab);
	return 0;
}

/* From the gateway to host `entry`, for the anchor. */
static void arrives(uint32_t entry, struct fake_packet packet)
{
	char dst[16], anchor[18];
	struct fake_vxlan outer = {.src = "192.0.2.9", .dst = dst, .vni = EXT};
	uint8_t inner[FAKE_FRAME_MAX], frame[FAKE_FRAME_MAX];
	struct rte_mbuf *m;
	size_t len;

	snprintf(dst, sizeof(dst), "192.0.2.%u", entry + 1);
	snprintf(anchor, sizeof(anchor), "02:00:c0:00:02:%02x", entry + 1);
	packet.src_mac = EXT_MAC;
	packet.dst_mac = anchor;
	len = fake_packet_build(&packet, inner, sizeof(inner));
	len = fake_vxlan_build(&outer, inner, len, frame, sizeof(frame));
	m = fake_frame_mbuf(frame, len, engine_pool(lab.host[entry].engine));
	assert_int_equal(port_ring_inject(lab.host[entry].uplink, m), 0);
	fake_lab_run(&lab);
}

/* One TCP connection between V and C, as far as both got. */
struct stream {
	uint16_t vport, outside, cport;
	uint32_t v_seq, c_seq;
};

static void v_sends(uint32_t at, struct stream *s, uint8_t flags, uint16_t len)
{
	struct fake_packet p = {.src_mac = V_MAC,
		.dst_mac = GATEWAY_MAC,
		.src = "10.0.0.5",
		.dst = C,
		.proto = IPPROTO_TCP,
		.tcp_flags = flags,
		.seq = s->v_seq,
		.ack = s->c_seq,
		.window = 65535,
		.sport = s->vport,
		.dport = s->cport,
		.payload_len = len};
	uint32_t before = outside.frames;

	fake_lab_send(&lab, at, "v", &p);
	s->v_seq += len + (flags & RTE_TCP_SYN_FLAG ? 1 : 0);
	if (outside.frames != before + 1)
		fail_msg("V's packet did not leave h%u", at);
	assert_int_equal(outside.from, at);
	if (s->outside == 0)
		s->outside = (uint16_t)(outside.inner[34] << 8 | outside.inner[35]);
	assert_int_equal(outside.inner[34] << 8 | outside.inner[35], s->outside);
}

static void c_sends(uint32_t entry, uint32_t at, struct stream *s, uint8_t flags, uint16_t len)
{
	struct fake_packet p = {.src = C,
		.dst = N,
		.proto = IPPROTO_TCP,
		.tcp_flags = flags,
		.seq = s->c_seq,
		.ack = s->v_seq,
		.window = 65535,
		.sport = s->cport,
		.dport = s->outside,
		.payload_len = len};

	arrives(entry, p);
	s->c_seq += len + (flags & RTE_TCP_SYN_FLAG ? 1 : 0);
	if (fake_lab_drain(&lab, at, "v") != 1)
		fail_msg("C's packet did not reach V at h%u by way of h%u", at, entry);
}

static void both_ways(uint32_t entry, uint32_t at, struct stream *s)
{
	v_sends(at, s, RTE_TCP_ACK_FLAG | RTE_TCP_PSH_FLAG, 10);
	c_sends(entry, at, s, RTE_TCP_ACK_FLAG | RTE_TCP_PSH_FLAG, 20);
}

static void opens(uint32_t entry, uint32_t at, struct stream *s)
{
	v_sends(at, s, RTE_TCP_SYN_FLAG, 0);
	c_sends(entry, at, s, RTE_TCP_SYN_FLAG | RTE_TCP_ACK_FLAG, 0);
	v_sends(at, s, RTE_TCP_ACK_FLAG, 0);
}

/* C opens one to a forwarded port. */
static void is_opened(uint32_t entry, uint32_t at, struct stream *s)
{
	c_sends(entry, at, s, RTE_TCP_SYN_FLAG, 0);
	v_sends(at, s, RTE_TCP_SYN_FLAG | RTE_TCP_ACK_FLAG, 0);
	c_sends(entry, at, s, RTE_TCP_ACK_FLAG, 0);
}

static void warp_s(unsigned int seconds)
{
	lab.now_ns += seconds * 1000000000ULL;
	fake_lab_run(&lab);
}

/* What session/flush --local=10.0.0.5 does on a host. */
static void flush_by_address(uint32_t host)
{
	struct engine *engine = lab.host[host].engine;
	const struct in6_addr addr = fake_addr("10.0.0.5");
	struct session *living[SLAB_CHUNK_SESSIONS];

	for (unsigned int id = 0; id < VPORT_MAX; id++) {
		struct vport *v = engine_vport_at(engine, id);
		struct session_walk walk;
		bool end = false;

		if (!v)
			continue;
		session_walk_begin(&walk, v, 0);
		while (!end) {
			uint32_t count = session_walk_next(&walk, living, &end);

			for (uint32_t i = 0; i < count; i++) {
				struct session_tuple tuple;

				session_key_unpack(&living[i]->key,
					living[i]->is_ipv6 ? &living[i]->a6 : NULL, &tuple);
				if (addr_equal(&tuple.local, &addr))
					session_kill(living[i], engine_workers(engine),
						PLUGIN_CLOSE_OPERATOR);
			}
		}
		session_walk_end(&walk);
	}
}

static void the_same_ports_lead_to_v_before_and_after_a_move(void **state)
{
	struct stream out = {.vport = 40000, .cport = 443, .v_seq = 1000, .c_seq = 9000};
	struct stream in = {
		.vport = 8003, .outside = 8003, .cport = 50000, .v_seq = 77, .c_seq = 5};
	struct stream later = {.vport = 40001, .cport = 443, .v_seq = 1, .c_seq = 2};

	(void)state;
	opens(2, 0, &out);
	is_opened(2, 0, &in);
	assert_in_range(out.outside, 45001, 45010);
	fake_lab_migrate(&lab, 0, 1, "v");
	for (int i = 0; i < 3; i++) {
		both_ways(2, 1, &out);
		both_ways(2, 1, &in);
	}
	/* The pool came along too: of its ten ports this one is taken. */
	opens(2, 1, &later);
	assert_in_range(later.outside, 45001, 45010);
	assert_int_not_equal(later.outside, out.outside);
}

/*
 * Field case B01: S is where the outside came in by; 15 s after the move V's port is deleted there
 * and its address is flushed. The stream goes on. One connection lives through 50 moves, the entry
 * is at S, at D, at P in turn.
 */
static void B01_nat_what_is_cleaned_up_at_the_source_is_not_the_destinations(void **state)
{
	struct stream s = {.vport = 40000, .cport = 443, .v_seq = 1000, .c_seq = 9000};
	uint32_t at = 0;

	(void)state;
	opens(0, 0, &s);
	for (uint32_t i = 0; i < 50; i++) {
		uint32_t to = (at + 1) % 3, entry = (at + i) % 3;

		both_ways(entry, at, &s);
		fake_lab_migrate(&lab, at, to, "v");
		both_ways(entry, to, &s);
		warp_s(15);
		assert_int_equal(
			engine_vport_del(lab.host[at].engine, fake_lab_vport(&lab, at, "v")), 0);
		flush_by_address(at);
		for (int second = 0; second < 60; second += 10) {
			both_ways(entry, to, &s);
			warp_s(10);
		}
		at = to;
	}
}

/* Entry P, where nothing of V ever was, flushes the address as well. */
static void B01_nat_a_flush_at_a_third_host_touches_nothing_of_v(void **state)
{
	struct stream s = {.vport = 40000, .cport = 443, .v_seq = 1000, .c_seq = 9000};

	(void)state;
	opens(2, 0, &s);
	fake_lab_migrate(&lab, 0, 1, "v");
	both_ways(2, 1, &s);
	flush_by_address(2);
	flush_by_address(0);
	both_ways(2, 1, &s);
}

/* `entry` is where the outside comes in: a third host, the source or the destination. */
static void all_arrives_in_the_pause(uint32_t entry)
{
	struct stream s = {.vport = 40000, .cport = 443, .v_seq = 1000, .c_seq = 9000};
	struct fake_packet late = {.src = C,
		.dst = N,
		.proto = IPPROTO_TCP,
		.tcp_flags = RTE_TCP_ACK_FLAG | RTE_TCP_PSH_FLAG,
		.window = 65535,
		.sport = 443,
		.payload_len = 20};
	char id[37];

	opens(entry, 0, &s);
	fake_lab_move(&lab, 0, 1, "v", id);
	assert_true(fake_lab_phase(&lab, 0, id, MOVER_READY, 60000));
	both_ways(entry, 0, &s);
	fake_lab_rings(&lab, 0, "v", false);
	late.dport = s.outside;
	late.ack = s.v_seq;
	for (uint32_t i = 0; i < 20; i++) {
		late.seq = s.c_seq + 20 * i;
		arrives(entry, late);
	}
	assert_true(fake_lab_phase(&lab, 0, id, MOVER_VERIFIED, 60000));
	fake_lab_rings(&lab, 1, "v", true);
	assert_true(fake_lab_phase(&lab, 0, id, MOVER_COMMITTED, 60000));
	fake_lab_run_ms(&lab, 20);
	assert_int_equal(fake_lab_drain(&lab, 1, "v"), 20);
	s.c_seq += 20 * 20;
	both_ways(entry, 1, &s);
}

static void what_comes_in_the_pause_by_the_shared_address_is_held_and_kept(void **state)
{
	(void)state;
	all_arrives_in_the_pause(2);
}

static void so_it_is_where_the_source_is_the_anchor(void **state)
{
	(void)state;
	all_arrives_in_the_pause(0);
}

static void so_it_is_where_the_destination_is_the_anchor(void **state)
{
	(void)state;
	all_arrives_in_the_pause(1);
}

/* A neighbour of V's new host knows it at the old one until it is there. */
static void what_a_neighbour_at_the_destination_sends_in_the_pause_arrives(void **state)
{
	struct fake_packet udp = {.src_mac = "02:00:00:00:00:66",
		.dst_mac = V_MAC,
		.src = "10.0.0.66",
		.dst = "10.0.0.5",
		.sport = 5000,
		.dport = 53,
		.payload_len = 20};
	char id[37];

	(void)state;
	fake_lab_rings(&lab, 1, "x", true);
	fake_lab_run_ms(&lab, 50);
	fake_lab_send(&lab, 1, "x", &udp);
	assert_int_equal(fake_lab_drain(&lab, 0, "v"), 1);
	fake_lab_move(&lab, 0, 1, "v", id);
	assert_true(fake_lab_phase(&lab, 0, id, MOVER_READY, 60000));
	fake_lab_send(&lab, 1, "x", &udp);
	assert_int_equal(fake_lab_drain(&lab, 0, "v"), 1);
	fake_lab_rings(&lab, 0, "v", false);
	for (int i = 0; i < 20; i++)
		fake_lab_send(&lab, 1, "x", &udp);
	assert_true(fake_lab_phase(&lab, 0, id, MOVER_VERIFIED, 60000));
	fake_lab_rings(&lab, 1, "v", true);
	assert_true(fake_lab_phase(&lab, 0, id, MOVER_COMMITTED, 60000));
	fake_lab_run_ms(&lab, 20);
	assert_int_equal(fake_lab_drain(&lab, 1, "v"), 20);
	fake_lab_send(&lab, 1, "x", &udp);
	assert_int_equal(fake_lab_drain(&lab, 1, "v"), 1);
}

/* ---- what D has given to somebody else ---- */

#define X_VPORT \
	"  - {name: x, vm: vmx, vpc: shop, mac: '02:00:00:00:00:66', ips: [10.0.0.66],\n" \
	"     uuid: 00000000-0000-4000-8000-000000000066, port: {path: /tmp/x.sock}}\n"

static int a_neighbour_at_d(void **state)
{
	(void)state;
	fake_lab_new(&lab, 2);
	lab.vports[0] = FAKE_LAB_VM;
	lab.vports[1] = X_VPORT;
	hosts_start(2);
	return 0;
}

static int d_has_given_the_ports(void **state)
{
	(void)state;
	fake_lab_new(&lab, 2);
	lab.vports[0] = FAKE_LAB_VM;
	lab.vports[1] = X_VPORT;
	lab.extra[0] = LEASES(LEASE("v", "snat", "45001-45010"));
	lab.extra[1] = LEASES(LEASE("x", "snat", "45005-45020"));
	hosts_start(2);
	return 0;
}

/* V is in D's file too, and waits there. */
static int d_knows_v_and_has_given_its_ports(void **state)
{
	(void)state;
	fake_lab_new(&lab, 2);
	lab.vports[0] = FAKE_LAB_VM;
	lab.vports[1] = FAKE_LAB_VM X_VPORT;
	lab.extra[0] = LEASES(LEASE("v", "snat", "45001-45010"));
	lab.extra[1] = LEASES(LEASE("x", "snat", "45005-45020"));
	hosts_start(2);
	return 0;
}

static void refused(const char *reason)
{
	struct stream s = {.vport = 40000, .cport = 443, .v_seq = 1000, .c_seq = 9000};
	struct mover_view view;
	char id[37];

	opens(0, 0, &s);
	fake_lab_move(&lab, 0, 1, "v", id);
	fake_lab_over(&lab, 0, id, &view);
	assert_int_equal(view.phase, MOVER_FAILED);
	if (!strstr(view.reason, reason))
		fail_msg("reason: %s", view.reason);
	assert_int_equal(fake_lab_role(&lab, 0, "v"), ROLE_OWNER);
	both_ways(0, 0, &s);
}

static void a_lease_that_d_gave_to_another_stops_the_move_before_the_vm_does(void **state)
{
	(void)state;
	refused("203.0.113.7:45001-45010 of v overlaps a lease of x");
}

static void so_it_does_where_d_knew_the_vm_before(void **state)
{
	(void)state;
	refused("203.0.113.7:45001-45010 of v is granted to x here");
}

/* V is in D's file without a lease; what it would have brought is on its way there. */
static int d_knows_v(void **state)
{
	(void)state;
	fake_lab_new(&lab, 2);
	lab.vports[0] = FAKE_LAB_VM;
	lab.vports[1] = FAKE_LAB_VM X_VPORT;
	lab.extra[0] = LEASES(LEASE("v", "snat", "45001-45010"));
	hosts_start(2);
	return 0;
}

static int d_grants_x(const char *ports, char *error, size_t len)
{
	char text[512];
	struct plugin_value *value;
	struct engine_plugin_config config = {.plugin = "nat", .apply = true};
	int rc;

	snprintf(text, sizeof(text),
		"{external_networks: [{name: net, vni: 900}], nat_leases: [{vport: x, network: "
		"net, kind: "
		"snat, address: " N ", ports: %s}]}",
		ports);
	value = fake_value(text);
	config.value = value;
	rc = engine_plugin_configure(lab.host[1].engine, &config, error, len);
	fake_value_free(value);
	return rc;
}

static void a_move_that_was_given_up_leaves_no_lease_at_d(void **state)
{
	struct stream s = {.vport = 40000, .cport = 443, .v_seq = 1000, .c_seq = 9000};
	struct mover_view view;
	char id[37], error[256] = "";

	(void)state;
	opens(0, 0, &s);
	fake_lab_move(&lab, 0, 1, "v", id);
	assert_true(fake_lab_phase(&lab, 0, id, MOVER_READY, 60000));
	/* As long as it may come, nobody else gets it. */
	assert_int_not_equal(d_grants_x("45005-45020", error, sizeof(error)), 0);
	assert_non_null(strstr(error, "overlaps a lease that v brought here"));
	assert_int_equal(mover_abort(lab.host[0].mover, id, error, sizeof(error)), 0);
	fake_lab_over(&lab, 0, id, &view);
	assert_int_equal(view.phase, MOVER_FAILED);
	assert_string_equal(view.reason, "aborted on h0");
	fake_lab_over(&lab, 1, id, &view);
	if (d_grants_x("45005-45020", error, sizeof(error)) != 0)
		fail_msg("%s", error);
	both_ways(0, 0, &s);
	/* And it comes again, once that is taken back. */
	assert_int_equal(d_grants_x("50000-50001", error, sizeof(error)), 0);
	fake_lab_migrate(&lab, 0, 1, "v");
	both_ways(0, 1, &s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
			the_same_ports_lead_to_v_before_and_after_a_move, three_hosts, lab_end),
		cmocka_unit_test_setup_teardown(
			B01_nat_what_is_cleaned_up_at_the_source_is_not_the_destinations,
			three_hosts, lab_end),
		cmocka_unit_test_setup_teardown(
			B01_nat_a_flush_at_a_third_host_touches_nothing_of_v, three_hosts, lab_end),
		cmocka_unit_test_setup_teardown(
			what_comes_in_the_pause_by_the_shared_address_is_held_and_kept, three_hosts,
			lab_end),
		cmocka_unit_test_setup_teardown(
			so_it_is_where_the_source_is_the_anchor, three_hosts, lab_end),
		cmocka_unit_test_setup_teardown(
			so_it_is_where_the_destination_is_the_anchor, three_hosts, lab_end),
		cmocka_unit_test_setup_teardown(
			what_a_neighbour_at_the_destination_sends_in_the_pause_arrives,
			a_neighbour_at_d, lab_end),
		cmocka_unit_test_setup_teardown(
			a_lease_that_d_gave_to_another_stops_the_move_before_the_vm_does,
			d_has_given_the_ports, lab_end),
		cmocka_unit_test_setup_teardown(
			a_move_that_was_given_up_leaves_no_lease_at_d, d_knows_v, lab_end),
		cmocka_unit_test_setup_teardown(so_it_does_where_d_knew_the_vm_before,
			d_knows_v_and_has_given_its_ports, lab_end),
	};

	if (fake_eal_start() != 0)
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
