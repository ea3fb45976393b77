/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The anchor of a shared public address: it answers for it, and hands on by port what is another
 * host's. Host S is the anchor; ports 1024-2047 are of its own v, 2048-3071 of one at 192.0.2.2.
 */
#include <rte_arp.h>

#include "test/unit/nat_fixture.h"

#define ANCHOR_MAC "02:00:00:00:01:01" /* of S's uplink */
#define OTHER_MAC "02:00:00:00:00:77"
#define N6 "2001:db8:f::7"

static void other_has(struct fake_host *host, const char *addr)
{
	struct location_spec spec = {.addr = fake_addr(addr),
		.vtep = fake_addr("192.0.2.2"),
		.vni = EXT,
		.port_first = 2048,
		.port_last = 3071,
		.kind = LOCATION_REMOTE,
		.source = LOCATION_LEARNED};

	rte_ether_unformat_addr(OTHER_MAC, &spec.mac);
	assert_int_equal(engine_location_set(host->engine, &spec), 0);
}

static int start(void **state)
{
	static struct nat_world w;

	memset(&w, 0, sizeof(w));
	nat_host_start(&w.s, "s", 1);
	fake_host_peer(&w.s, "192.0.2.2");
	external_network(&w.s, true);
	w.v = fake_host_vport(&w.s, "v", VNI, V_MAC, "10.0.0.5,fd00::5");
	w.l = fake_host_vport(&w.s, "l", VNI, L_MAC, "10.0.0.8");
	nat_leases(&w.s, LEASES(SNAT("v", "1024-2047")));
	other_has(&w.s, N);
	*state = &w;
	return 0;
}

static int stop(void **state)
{
	fake_host_stop(&((struct nat_world *)*state)->s);
	return 0;
}

/* A frame as it is, through the tunnel from the outside's gateway. */
static void frame_arrives(struct fake_host *host, const uint8_t *frame, size_t len)
{
	uint8_t whole[FAKE_FRAME_MAX];
	struct rte_mbuf *m;

	len = fake_vxlan_build(&from_outside, frame, len, whole, sizeof(whole));
	m = fake_frame_mbuf(whole, len, engine_pool(host->engine));
	assert_int_equal(port_ring_inject(host->uplink, m), 0);
	fake_host_run(host);
}

static size_t arp_question(uint8_t *frame, const char *target)
{
	struct rte_ether_hdr *ether = (struct rte_ether_hdr *)frame;
	struct rte_arp_hdr *arp = (struct rte_arp_hdr *)(ether + 1);
	const struct in6_addr from = fake_addr("203.0.113.1"), to = fake_addr(target);

	memset(frame, 0, sizeof(*ether) + sizeof(*arp));
	memset(&ether->dst_addr, 0xff, sizeof(ether->dst_addr));
	rte_ether_unformat_addr(EXT_MAC, &ether->src_addr);
	ether->ether_type = RTE_BE16(RTE_ETHER_TYPE_ARP);
	arp->arp_hardware = RTE_BE16(RTE_ARP_HRD_ETHER);
	arp->arp_protocol = RTE_BE16(RTE_ETHER_TYPE_IPV4);
	arp->arp_hlen = RTE_ETHER_ADDR_LEN;
	arp->arp_plen = 4;
	arp->arp_opcode = RTE_BE16(RTE_ARP_OP_REQUEST);
	arp->arp_data.arp_sha = ether->src_addr;
	arp->arp_data.arp_sip = addr_to_v4(&from);
	arp->arp_data.arp_tip = addr_to_v4(&to);
	return sizeof(*ether) + sizeof(*arp);
}

static void asks(struct fake_host *host, const char *target)
{
	uint8_t frame[64];

	frame_arrives(host, frame, arp_question(frame, target));
}

static void the_anchor_answers_for_a_shared_address_with_a_mac_of_its_own(void **state)
{
	struct nat_world *w = *state;
	uint8_t inner[FAKE_FRAME_MAX];
	const struct rte_arp_hdr *arp =
		(const struct rte_arp_hdr *)(inner + sizeof(struct rte_ether_hdr));
	struct rte_ether_addr mac;
	const struct in6_addr shared = fake_addr(N);

	asks(&w->s, N);
	assert_true(leaves(&w->s, inner) >= 42);
	assert_int_equal(arp->arp_opcode, RTE_BE16(RTE_ARP_OP_REPLY));
	assert_int_equal(arp->arp_data.arp_sip, addr_to_v4(&shared));
	rte_ether_unformat_addr(ANCHOR_MAC, &mac);
	assert_memory_equal(&arp->arp_data.arp_sha, &mac, sizeof(mac));
	rte_ether_unformat_addr(EXT_MAC, &mac);
	assert_memory_equal(inner, &mac, sizeof(mac));
}

static void who_is_not_the_anchor_does_not_answer_for_it(void **state)
{
	struct nat_world *w = *state;

	external_network(&w->s, false);
	asks(&w->s, N);
	assert_int_equal(fake_host_drain(w->s.uplink), 0);
}

static void nobody_answers_for_an_address_that_is_nobodys(void **state)
{
	struct nat_world *w = *state;

	asks(&w->s, "203.0.113.99");
	assert_int_equal(fake_host_drain(w->s.uplink), 0);
}

static void the_anchor_never_announces_a_shared_address(void **state)
{
	struct nat_world *w = *state;
	const struct in6_addr shared = fake_addr(N);
	uint8_t frame[FAKE_FRAME_MAX];
	rte_be32_t raw = addr_to_v4(&shared);
	uint32_t frames = 0;

	assert_int_equal(engine_announce(w->v), 0);
	fake_host_run(&w->s);
	for (size_t len; (len = fake_host_receive(w->s.uplink, frame, sizeof(frame))) > 0; frames++)
		for (size_t i = 50; i + 4 <= len; i++)
			assert_int_not_equal(memcmp(frame + i, &raw, 4), 0);
	assert_true(frames > 0);
}

/* A neighbour solicitation (RFC 4861 4.3). */
static void solicits(struct fake_host *host, const char *target)
{
	const struct in6_addr from = fake_addr("2001:db8:f::1"), to = fake_addr(target);
	uint8_t frame[78] = {0x33, 0x33, 0xff, 0, 0, 7}, *ip = frame + 14, *nd = ip + 40;

	rte_ether_unformat_addr(EXT_MAC, (struct rte_ether_addr *)(frame + 6));
	frame[12] = 0x86;
	frame[13] = 0xdd;
	ip[0] = 0x60;
	ip[5] = 24;
	ip[6] = IPPROTO_ICMPV6;
	ip[7] = 255;
	memcpy(ip + 8, &from, 16);
	memcpy(ip + 24, &to, 16);
	nd[0] = 135;
	memcpy(nd + 8, &to, 16);
	frame_arrives(host, frame, sizeof(frame));
}

static void the_anchor_answers_for_ipv6_too(void **state)
{
	struct nat_world *w = *state;
	const struct in6_addr shared = fake_addr(N6);
	struct rte_ether_addr mac;
	uint8_t inner[FAKE_FRAME_MAX];
	size_t len;

	other_has(&w->s, N6);
	solicits(&w->s, N6);
	len = leaves(&w->s, inner);
	assert_int_equal(len, 14 + 40 + 32);
	assert_int_equal(inner[54], 136);
	assert_memory_equal(inner + 62, &shared, 16);
	rte_ether_unformat_addr(ANCHOR_MAC, &mac);
	assert_memory_equal(inner + 80, &mac, sizeof(mac));
}

/* ---- packets ---- */

static const struct fake_packet syn = {.src_mac = EXT_MAC,
	.dst_mac = ANCHOR_MAC,
	.src = C,
	.dst = N,
	.proto = IPPROTO_TCP,
	.tcp_flags = RTE_TCP_SYN_FLAG,
	.seq = 5,
	.window = 1000,
	.sport = 443,
	.dport = 3000};

/* What leaves goes to the other host, unchanged but for its MAC. */
static void assert_handed_on(struct fake_host *host, struct fake_packet want)
{
	uint8_t frame[FAKE_FRAME_MAX];
	const struct in6_addr other = fake_addr("192.0.2.2");
	rte_be32_t raw = addr_to_v4(&other);
	size_t len = fake_host_receive(host->uplink, frame, sizeof(frame));

	assert_true(len > 50);
	assert_memory_equal(frame + 30, &raw, 4);
	assert_int_equal(frame[22], 63);
	assert_int_equal(frame[46] << 16 | frame[47] << 8 | frame[48], EXT);
	want.dst_mac = OTHER_MAC;
	assert_frame(frame + 50, len - 50, &want);
}

static void what_is_of_another_hosts_port_is_handed_on(void **state)
{
	struct nat_world *w = *state;

	fake_host_send_vxlan(&w->s, &from_outside, &syn);
	assert_handed_on(&w->s, syn);
	assert_int_equal(fake_host_drain(w->s.uplink), 0);
}

static void what_is_of_a_port_here_comes_by_the_anchors_mac(void **state)
{
	struct nat_world *w = *state;
	uint16_t port = opens(&w->s, w->v, 40000, C);
	struct fake_packet answer = syn;

	answer.tcp_flags = RTE_TCP_SYN_FLAG | RTE_TCP_ACK_FLAG;
	answer.ack = 1001;
	answer.dport = port;
	fake_host_send_vxlan(&w->s, &from_outside, &answer);
	answer.dst_mac = V_MAC;
	answer.dst = "10.0.0.5";
	answer.dport = 40000;
	assert_arrives(&w->s, w->v, answer);
}

static void a_port_of_nobody_is_dropped_by_name(void **state)
{
	struct nat_world *w = *state;
	struct fake_packet stray = syn;

	stray.dport = 5000;
	fake_host_send_vxlan(&w->s, &from_outside, &stray);
	assert_int_equal(fake_host_drain(w->s.uplink), 0);
	assert_int_equal(uplink_drops(&w->s, DROP_NO_ROUTE), 1);
}

static void an_answer_to_a_ping_goes_by_its_identifier(void **state)
{
	struct nat_world *w = *state;
	struct fake_packet pong = {.src_mac = EXT_MAC,
		.dst_mac = ANCHOR_MAC,
		.src = C,
		.dst = N,
		.proto = IPPROTO_ICMP,
		.icmp_type = 0,
		.icmp_id = 2048,
		.payload_len = 20};

	fake_host_send_vxlan(&w->s, &from_outside, &pong);
	assert_handed_on(&w->s, pong);
}

static void an_error_goes_by_the_port_of_the_packet_it_quotes(void **state)
{
	struct nat_world *w = *state;
	struct fake_packet sent = {.src = N,
		.dst = C,
		.proto = IPPROTO_TCP,
		.tcp_flags = RTE_TCP_ACK_FLAG,
		.sport = 3000,
		.dport = 443};
	struct fake_packet error = {.src_mac = EXT_MAC,
		.dst_mac = ANCHOR_MAC,
		.src = "198.51.100.1",
		.dst = N,
		.proto = IPPROTO_ICMP,
		.icmp_type = 3,
		.icmp_code = 4,
		.icmp_mtu = 1400,
		.quoted = &sent};

	fake_host_send_vxlan(&w->s, &from_outside, &error);
	assert_handed_on(&w->s, error);
}

static void later_fragments_go_where_the_first_went_in_any_order(void **state)
{
	static const int orders[][3] = {{0, 1, 2}, {2, 1, 0}, {1, 0, 2}};
	struct nat_world *w = *state;
	struct fake_packet big = syn;
	uint8_t whole[FAKE_FRAME_MAX], piece[FAKE_FRAME_MAX];
	size_t whole_len;

	big.proto = IPPROTO_UDP;
	big.payload_len = 3900;
	for (uint16_t i = 0; i < RTE_DIM(orders); i++) {
		unsigned int seen = 0;

		big.ip_id = (uint16_t)(100 + i);
		whole_len = fake_packet_build(&big, whole, sizeof(whole));
		for (int n = 0; n < 3; n++) {
			size_t len = fake_packet_fragment(whole, whole_len,
				(uint16_t)(orders[i][n] * 1400), 1400, 0, piece, sizeof(piece));

			frame_arrives(&w->s, piece, len);
		}
		for (size_t len;
			(len = fake_host_receive(w->s.uplink, piece, sizeof(piece))) > 0;) {
			assert_int_equal(piece[33], 2);
			seen |= 1u << (piece[50 + 20] << 8 | piece[50 + 21]) % 0x2000 * 8 / 1400;
		}
		assert_int_equal(seen, 7);
	}
}

/* ---- what a lease's coming and going must not touch ---- */

static const struct fake_packet l_to_v = {.src_mac = L_MAC,
	.dst_mac = V_MAC,
	.src = "10.0.0.8",
	.dst = "10.0.0.5",
	.sport = 5000,
	.dport = 53,
	.payload_len = 20};

static void a_neighbours_session_does_not_notice_that_a_lease_goes(void **state)
{
	struct nat_world *w = *state;

	fake_host_send(&w->s, w->l->port, &l_to_v);
	assert_arrives(&w->s, w->v, l_to_v);
	nat_leases(&w->s, "{" NETWORKS "}");
	fake_host_send(&w->s, w->l->port, &l_to_v);
	assert_arrives(&w->s, w->v, l_to_v);
	nat_leases(&w->s, LEASES(SNAT("v", "1024-1033")));
	fake_host_send(&w->s, w->l->port, &l_to_v);
	assert_arrives(&w->s, w->v, l_to_v);
}

static void a_neighbours_session_finds_a_vport_that_was_made_anew(void **state)
{
	struct nat_world *w = *state;

	fake_host_send(&w->s, w->l->port, &l_to_v);
	assert_arrives(&w->s, w->v, l_to_v);
	assert_int_equal(engine_vport_del(w->s.engine, w->v), 0);
	fake_host_send(&w->s, w->l->port, &l_to_v);
	assert_int_equal(drops_of(w->l, DROP_NO_ROUTE), 1);
	w->v = fake_host_vport(&w->s, "v", VNI, V_MAC, "10.0.0.5,fd00::5");
	fake_host_send(&w->s, w->l->port, &l_to_v);
	assert_arrives(&w->s, w->v, l_to_v);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, start, stop)
	const struct CMUnitTest tests[] = {
		T(the_anchor_answers_for_a_shared_address_with_a_mac_of_its_own),
		T(who_is_not_the_anchor_does_not_answer_for_it),
		T(nobody_answers_for_an_address_that_is_nobodys),
		T(the_anchor_never_announces_a_shared_address),
		T(the_anchor_answers_for_ipv6_too),
		T(what_is_of_another_hosts_port_is_handed_on),
		T(what_is_of_a_port_here_comes_by_the_anchors_mac),
		T(a_port_of_nobody_is_dropped_by_name),
		T(an_answer_to_a_ping_goes_by_its_identifier),
		T(an_error_goes_by_the_port_of_the_packet_it_quotes),
		T(later_fragments_go_where_the_first_went_in_any_order),
		T(a_neighbours_session_does_not_notice_that_a_lease_goes),
		T(a_neighbours_session_finds_a_vport_that_was_made_anew),
	};

	if (fake_eal_start() != 0)
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
