/* SPDX-License-Identifier: BSD-3-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <arpa/inet.h>
#include <cmocka.h>
#include <string.h>

#include "dataplane/addr.h"
#include "dataplane/parse.h"
#include "test/fake/fake_packet.h"

#define VNI 100

static struct pkt *parse_frame_bytes(
	struct fake_pkt *f, const uint8_t *frame, size_t len, enum pkt_dir dir)
{
	struct pkt *p = fake_pkt_raw(f, frame, len, dir);

	parse_packet(p, VNI);
	return p;
}

static struct pkt *parse_spec(struct fake_pkt *f, const struct fake_packet *spec, enum pkt_dir dir)
{
	static uint8_t frame[FAKE_FRAME_MAX];

	return parse_frame_bytes(f, frame, fake_packet_build(spec, frame, sizeof(frame)), dir);
}

static enum drop_reason reason_of(const struct fake_packet *spec)
{
	static struct fake_pkt f;

	return (enum drop_reason)parse_spec(&f, spec, PKT_INGRESS)->drop;
}

static void assert_alike(const struct pkt *p, const struct pkt *want)
{
	assert_int_equal(p->drop, DROP_NONE);
	assert_int_equal(p->flags, want->flags);
	assert_int_equal(p->l3_off, want->l3_off);
	assert_int_equal(p->l4_off, want->l4_off);
	assert_int_equal(p->proto, want->proto);
	assert_int_equal(p->payload_len, want->payload_len);
	assert_int_equal(p->ip_len, want->ip_len);
	assert_int_equal(p->tcp_flags, want->tcp_flags);
	assert_true(session_key_equal(&p->key, &want->key));
	assert_int_equal(p->hash, want->hash);
}

/* Compare with what the fake parser, written for tests alone, finds; in both directions. */
static void assert_as_fake(const struct fake_packet *spec)
{
	static struct fake_pkt f, g;

	for (int dir = 0; dir < 2; dir++)
		assert_alike(parse_spec(&f, spec, dir), fake_pkt_make(&g, spec, dir));
}

static void test_common_packets_of_both_families_are_found_alike_in_both_directions(void **state)
{
	const uint8_t protos[] = {IPPROTO_TCP, IPPROTO_UDP, IPPROTO_SCTP};

	for (size_t i = 0; i < sizeof(protos); i++) {
		struct fake_packet spec = {.proto = protos[i],
			.sport = 1234,
			.dport = 53,
			.tcp_flags = RTE_TCP_SYN_FLAG,
			.mss = 1460,
			.wscale = FAKE_WSCALE(7),
			.payload_len = 99};

		assert_as_fake(&spec);
		spec.src = "2001:db8::1";
		spec.dst = "2001:db8::2";
		assert_as_fake(&spec);
	}
}

static void test_a_key_names_the_local_side_first_whatever_the_direction(void **state)
{
	static struct fake_pkt f, g;
	struct fake_packet out = {.src = "10.0.0.5",
		.dst = "198.51.100.10",
		.sport = 1000,
		.dport = 80,
		.proto = IPPROTO_TCP};
	struct fake_packet in = {.src = "198.51.100.10",
		.dst = "10.0.0.5",
		.sport = 80,
		.dport = 1000,
		.proto = IPPROTO_TCP};
	struct session_tuple t;
	struct pkt *p = parse_spec(&f, &out, PKT_EGRESS);

	assert_true(session_key_equal(&p->key, &parse_spec(&g, &in, PKT_INGRESS)->key));
	parse_tuple(p, &t);
	assert_int_equal(addr_to_v4(&t.local), inet_addr("10.0.0.5"));
	assert_int_equal(addr_to_v4(&t.remote), inet_addr("198.51.100.10"));
	assert_int_equal(t.local_port, htons(1000));
	assert_int_equal(t.remote_port, htons(80));
	assert_int_equal(t.vni, VNI);
	assert_int_equal(t.proto, IPPROTO_TCP);
}

static void test_ipv6_tuples_come_back_from_the_packet(void **state)
{
	static struct fake_pkt f;
	struct fake_packet in = {
		.src = "2001:db8::1", .dst = "2001:db8::2", .sport = 1, .dport = 2};
	struct in6_addr want;
	struct session_tuple t;

	parse_tuple(parse_spec(&f, &in, PKT_INGRESS), &t);
	inet_pton(AF_INET6, "2001:db8::2", &want);
	assert_true(addr_equal(&t.local, &want));
	inet_pton(AF_INET6, "2001:db8::1", &want);
	assert_true(addr_equal(&t.remote, &want));
	assert_int_equal(t.local_port, htons(2));
}

/* A22 */
static void test_ethernet_padding_is_no_payload_a22(void **state)
{
	static struct fake_pkt f;
	struct fake_packet ack = {.proto = IPPROTO_TCP, .tcp_flags = RTE_TCP_ACK_FLAG};

	for (uint16_t len = 54; len <= 64; len++) {
		ack.pad_to = len;
		assert_int_equal(parse_spec(&f, &ack, PKT_INGRESS)->payload_len, 0);
	}
	ack.proto = IPPROTO_UDP;
	ack.payload_len = 3;
	assert_int_equal(parse_spec(&f, &ack, PKT_INGRESS)->payload_len, 3);
}

static void test_every_cut_of_a_packet_is_a_named_drop(void **state)
{
	struct fake_packet specs[] = {
		{.proto = IPPROTO_TCP, .mss = 1460},
		{.proto = IPPROTO_UDP, .payload_len = 5},
		{.proto = IPPROTO_SCTP, .payload_len = 20},
		{.src = "2001:db8::1", .dst = "2001:db8::2", .proto = IPPROTO_TCP, .mss = 1460},
		{.proto = IPPROTO_ICMP, .icmp_type = 8},
	};

	for (size_t i = 0; i < RTE_DIM(specs); i++) {
		static uint8_t frame[FAKE_FRAME_MAX];
		size_t len = fake_packet_build(&specs[i], frame, sizeof(frame));

		for (uint16_t cut = 1; cut < len; cut++) {
			enum drop_reason reason;

			specs[i].cut_to = cut;
			reason = reason_of(&specs[i]);
			assert_true(reason == DROP_SHORT || reason == DROP_BAD_IP);
		}
	}
}

static void test_wrong_ip_headers_are_bad_ip(void **state)
{
	struct fake_packet sum = {.bad_ip_csum = true};
	struct fake_packet longer = {.ip_len = 1000};
	struct fake_packet longer6 = {.src = "2001:db8::1", .dst = "2001:db8::2", .ip_len = 1000};
	struct fake_packet below = {.ip_len = 19};
	static const uint8_t cut_option[4] = {7, 9, 4, 0}, no_len[4] = {7, 1, 0, 0};
	struct fake_packet option = {.ip_options = cut_option, .ip_options_len = 4};
	struct fake_packet option2 = {.ip_options = no_len, .ip_options_len = 4};

	assert_int_equal(reason_of(&sum), DROP_BAD_IP);
	assert_int_equal(reason_of(&longer), DROP_BAD_IP);
	assert_int_equal(reason_of(&longer6), DROP_BAD_IP);
	assert_int_equal(reason_of(&below), DROP_BAD_IP);
	assert_int_equal(reason_of(&option), DROP_BAD_IP);
	assert_int_equal(reason_of(&option2), DROP_BAD_IP);
}

static void test_an_ip_version_that_contradicts_the_ethertype_is_bad_ip(void **state)
{
	struct fake_packet four = {.ethertype = RTE_ETHER_TYPE_IPV6, .payload_len = 40};
	struct fake_packet six = {.src = "2001:db8::1",
		.dst = "2001:db8::2",
		.ethertype = RTE_ETHER_TYPE_IPV4,
		.payload_len = 40};

	assert_int_equal(reason_of(&four), DROP_BAD_IP);
	assert_int_equal(reason_of(&six), DROP_BAD_IP);
}

static void test_wrong_l4_headers_are_bad_l4(void **state)
{
	static struct fake_pkt f;
	static uint8_t frame[FAKE_FRAME_MAX];
	struct fake_packet tcp = {.proto = IPPROTO_TCP}, udp = {.proto = IPPROTO_UDP};
	struct fake_packet shorter = {.proto = IPPROTO_TCP, .ip_len = 39};
	size_t len = fake_packet_build(&tcp, frame, sizeof(frame));

	frame[46] = 4 << 4; /* data offset below the header */
	assert_int_equal(parse_frame_bytes(&f, frame, len, 0)->drop, DROP_BAD_L4);
	frame[46] = 15 << 4; /* beyond the packet */
	assert_int_equal(parse_frame_bytes(&f, frame, len, 0)->drop, DROP_BAD_L4);
	len = fake_packet_build(&udp, frame, sizeof(frame));
	frame[39] = 7;
	assert_int_equal(parse_frame_bytes(&f, frame, len, 0)->drop, DROP_BAD_L4);
	frame[39] = 9;
	assert_int_equal(parse_frame_bytes(&f, frame, len, 0)->drop, DROP_BAD_L4);
	assert_int_equal(reason_of(&shorter), DROP_BAD_L4);
}

static void test_source_routes_are_refused_and_other_options_pass(void **state)
{
	static const uint8_t lsrr[8] = {1, 131, 7, 4, 192, 0, 2, 1};
	static const uint8_t ssrr[8] = {137, 7, 4, 192, 0, 2, 1, 0};
	static const uint8_t alert[4] = {148, 4, 0, 0};
	struct fake_packet p = {.ip_options = lsrr, .ip_options_len = 8, .proto = IPPROTO_TCP};

	assert_int_equal(reason_of(&p), DROP_IP_OPTIONS);
	p.ip_options = ssrr;
	assert_int_equal(reason_of(&p), DROP_IP_OPTIONS);
	p.ip_options = alert;
	p.ip_options_len = 4;
	assert_int_equal(reason_of(&p), DROP_NONE);
	assert_as_fake(&p);
}

/* `count` extension headers of 8 bytes, the first of type `first`, then `type`s, then UDP. */
static struct fake_packet with_extensions(uint8_t *ext, int count, uint8_t first, uint8_t type)
{
	memset(ext, 0, (size_t)count * 8);
	for (int i = 0; i < count; i++)
		ext[i * 8] = i + 1 < count ? type : IPPROTO_UDP;
	return (struct fake_packet){.src = "2001:db8::1",
		.dst = "2001:db8::2",
		.ext = ext,
		.ext_len = (uint16_t)(count * 8),
		.ext_first = first,
		.payload_len = 10};
}

static void test_extension_headers_are_walked_up_to_a_bound(void **state)
{
	uint8_t ext[16 * 8];
	struct fake_packet p = with_extensions(ext, 8, IPPROTO_HOPOPTS, IPPROTO_DSTOPTS);

	assert_as_fake(&p);
	p = with_extensions(ext, 9, IPPROTO_HOPOPTS, IPPROTO_DSTOPTS);
	assert_int_equal(reason_of(&p), DROP_BAD_IP);
	p = with_extensions(ext, 2, IPPROTO_DSTOPTS, IPPROTO_HOPOPTS); /* not first */
	assert_int_equal(reason_of(&p), DROP_BAD_IP);
	p = with_extensions(ext, 1, IPPROTO_DSTOPTS, 0);
	ext[1] = 200; /* longer than the packet */
	assert_int_equal(reason_of(&p), DROP_BAD_IP);
	p = with_extensions(ext, 1, IPPROTO_ROUTING, 0);
	assert_int_equal(reason_of(&p), DROP_NONE);
	ext[3] = 1; /* segments left */
	assert_int_equal(reason_of(&p), DROP_IP_OPTIONS);
}

static void test_extension_headers_longer_than_the_bound_are_bad_ip(void **state)
{
	static uint8_t ext[1024];
	struct fake_packet p = with_extensions(ext, 1, IPPROTO_DSTOPTS, 0);

	ext[1] = PARSE_EXTENSIONS_BYTES / 8 - 1;
	p.ext_len = PARSE_EXTENSIONS_BYTES;
	assert_as_fake(&p);
	ext[1]++;
	p.ext_len += 8;
	assert_int_equal(reason_of(&p), DROP_BAD_IP);
}

static void test_a_jumbogram_is_bad_ip(void **state)
{
	static struct fake_pkt f;
	static uint8_t frame[FAKE_FRAME_MAX];
	uint8_t ext[8];
	struct fake_packet p = with_extensions(ext, 1, IPPROTO_HOPOPTS, 0);
	size_t len;

	memcpy(&ext[2], "\xc2\x04\x00\x01\x00\x00", 6);
	len = fake_packet_build(&p, frame, sizeof(frame));
	frame[18] = frame[19] = 0; /* payload length */
	assert_int_equal(parse_frame_bytes(&f, frame, len, 0)->drop, DROP_BAD_IP);
}

static void test_an_atomic_fragment_is_a_whole_packet_and_two_fragment_headers_are_bad(void **state)
{
	static struct fake_pkt f;
	uint8_t ext[2 * 8];
	struct fake_packet p = with_extensions(ext, 1, IPPROTO_FRAGMENT, 0);
	struct pkt *found = parse_spec(&f, &p, PKT_EGRESS);

	assert_int_equal(found->drop, DROP_NONE);
	assert_int_equal(found->flags & PKT_FRAGMENT, 0);
	assert_int_equal(parse_fragment6_off(found), 54);
	p = with_extensions(ext, 2, IPPROTO_FRAGMENT, IPPROTO_FRAGMENT);
	assert_int_equal(reason_of(&p), DROP_BAD_IP);
}

static void test_fragments_are_told_apart(void **state)
{
	static struct fake_pkt f;
	static uint8_t whole[FAKE_FRAME_MAX], frame[FAKE_FRAME_MAX];
	const char *families[][2] = {{"198.51.100.10", "10.0.0.5"}, {"2001:db8::1", "2001:db8::2"}};

	for (int i = 0; i < 2; i++) {
		struct fake_packet udp = {.src = families[i][0],
			.dst = families[i][1],
			.sport = 7,
			.dport = 53,
			.payload_len = 2000};
		size_t len = fake_packet_build(&udp, whole, sizeof(whole)), n;
		struct pkt *p;

		n = fake_packet_fragment(whole, len, 0, 1400, 9, frame, sizeof(frame));
		p = parse_frame_bytes(&f, frame, n, PKT_INGRESS);
		assert_int_equal(p->drop, DROP_NONE);
		assert_int_equal(p->flags & ~PKT_IPV6, PKT_FRAGMENT);
		assert_int_equal(p->key.local_port, htons(53));
		assert_int_equal(p->payload_len, 1392);
		n = fake_packet_fragment(whole, len, 1400, 1400, 9, frame, sizeof(frame));
		p = parse_frame_bytes(&f, frame, n, PKT_INGRESS);
		assert_int_equal(p->drop, DROP_NONE);
		assert_int_equal(p->flags & ~PKT_IPV6, PKT_FRAGMENT | PKT_LATER_FRAGMENT);
		assert_int_equal(p->key.local_port, 0);
		assert_int_equal(p->payload_len, 608);
	}
}

static void test_a_split_l4_header_is_marked_in_ipv4_and_refused_in_ipv6(void **state)
{
	static struct fake_pkt f;
	static uint8_t whole[FAKE_FRAME_MAX], frame[FAKE_FRAME_MAX];
	struct fake_packet tcp = {.proto = IPPROTO_TCP, .mss = 1460, .payload_len = 30};
	size_t len = fake_packet_build(&tcp, whole, sizeof(whole)), n;

	for (uint16_t cut = 8; cut <= 24; cut += 8) {
		bool split = cut < 24; /* 20 bytes and the MSS option */
		struct pkt *p;

		n = fake_packet_fragment(whole, len, 0, cut, 9, frame, sizeof(frame));
		p = parse_frame_bytes(&f, frame, n, PKT_INGRESS);
		assert_int_equal(p->drop, DROP_NONE);
		assert_int_equal(!!(p->flags & PKT_SPLIT_HEADER), split);
	}
	tcp.src = "2001:db8::1";
	tcp.dst = "2001:db8::2";
	len = fake_packet_build(&tcp, whole, sizeof(whole));
	n = fake_packet_fragment(whole, len, 0, 16, 9, frame, sizeof(frame));
	assert_int_equal(parse_frame_bytes(&f, frame, n, PKT_INGRESS)->drop, DROP_BAD_L4);
}

static void test_arp_has_no_key_and_unknown_ethertypes_are_dropped(void **state)
{
	static struct fake_pkt f;
	uint8_t arp[42] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2, 0, 0, 0, 0, 5, 8, 6};
	struct pkt *p = parse_frame_bytes(&f, arp, sizeof(arp), PKT_EGRESS);

	assert_int_equal(p->drop, DROP_NONE);
	assert_int_equal(p->flags, PKT_NOT_IP | PKT_MULTICAST);
	assert_int_equal(parse_frame_bytes(&f, arp, 41, PKT_EGRESS)->drop, DROP_SHORT);
	arp[12] = 0x80;
	arp[13] = 0x35;
	assert_int_equal(
		parse_frame_bytes(&f, arp, sizeof(arp), 0)->flags & PKT_NOT_IP, PKT_NOT_IP);
	arp[12] = 0x88;
	arp[13] = 0xcc; /* LLDP */
	assert_int_equal(parse_frame_bytes(&f, arp, sizeof(arp), 0)->drop, DROP_BAD_ETHER);
	arp[12] = 0;
	arp[13] = 28; /* IEEE 802.3 length */
	assert_int_equal(parse_frame_bytes(&f, arp, sizeof(arp), 0)->drop, DROP_BAD_ETHER);
}

static void test_vlan_tags_are_dropped_whatever_their_number(void **state)
{
	struct fake_packet tagged = {.vlan = {5}, .payload_len = 30};

	assert_int_equal(reason_of(&tagged), DROP_BAD_ETHER);
	tagged.vlan[1] = 6;
	tagged.vlan[2] = 7;
	assert_int_equal(reason_of(&tagged), DROP_BAD_ETHER);
}

/* A packet cut into segments of `step` bytes, without a pool. */
static void test_headers_across_segments_are_gathered(void **state)
{
	static struct fake_pkt f, g;
	static struct rte_mbuf seg[64];
	static uint8_t frame[FAKE_FRAME_MAX];
	struct fake_packet spec = {.proto = IPPROTO_TCP, .mss = 1460, .payload_len = 1200};
	size_t len = fake_packet_build(&spec, frame, sizeof(frame));
	struct pkt *want = fake_pkt_make(&g, &spec, PKT_EGRESS);

	for (uint16_t step = 1300; step <= 1306; step++) {
		memset(seg, 0, sizeof(seg));
		f.pkt = (struct pkt){.mbuf = &f.mbuf, .dir = PKT_EGRESS};
		memset(&f.mbuf, 0, sizeof(f.mbuf));
		f.mbuf.buf_addr = f.room;
		f.mbuf.buf_len = sizeof(f.room);
		f.mbuf.refcnt = 1;
		f.mbuf.nb_segs = 2;
		f.mbuf.pkt_len = (uint32_t)len;
		f.mbuf.data_len = (uint16_t)(step - 1300) * 8;
		f.mbuf.next = &seg[0];
		memcpy(f.room, frame, f.mbuf.data_len);
		seg[0].buf_addr = frame;
		seg[0].data_off = f.mbuf.data_len;
		seg[0].data_len = (uint16_t)(len - f.mbuf.data_len);
		seg[0].nb_segs = 1;
		parse_packet(&f.pkt, VNI);
		assert_alike(&f.pkt, want);
		assert_true(f.mbuf.data_len >= want->l4_off + 24);
		assert_int_equal(f.mbuf.data_len + seg[0].data_len, len);
	}
}

static void test_a_burst_says_of_each_packet_what_one_alone_says(void **state)
{
	static struct fake_pkt f[PKT_BURST], one;
	struct pkt *burst[PKT_BURST];
	struct fake_packet spec = {.sport = 9, .dport = 10, .payload_len = 30};

	for (int i = 0; i < PKT_BURST; i++) {
		spec.bad_ip_csum = i % 5 == 4;
		spec.src = i % 3 ? NULL : "2001:db8::1";
		spec.dst = i % 3 ? NULL : "2001:db8::2";
		burst[i] = parse_spec(&f[i], &spec, PKT_EGRESS);
		*burst[i] = (struct pkt){.mbuf = &f[i].mbuf, .dir = PKT_EGRESS, .drop = 99};
	}
	assert_true(parse_egress(burst, PKT_BURST, VNI));
	for (int i = 0; i < PKT_BURST; i++) {
		spec.bad_ip_csum = i % 5 == 4;
		spec.src = i % 3 ? NULL : "2001:db8::1";
		spec.dst = i % 3 ? NULL : "2001:db8::2";
		parse_spec(&one, &spec, PKT_EGRESS);
		assert_int_equal(burst[i]->drop, one.pkt.drop);
		if (one.pkt.drop == DROP_NONE)
			assert_alike(burst[i], &one.pkt);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(
			test_common_packets_of_both_families_are_found_alike_in_both_directions),
		cmocka_unit_test(test_a_key_names_the_local_side_first_whatever_the_direction),
		cmocka_unit_test(test_ipv6_tuples_come_back_from_the_packet),
		cmocka_unit_test(test_ethernet_padding_is_no_payload_a22),
		cmocka_unit_test(test_every_cut_of_a_packet_is_a_named_drop),
		cmocka_unit_test(test_wrong_ip_headers_are_bad_ip),
		cmocka_unit_test(test_an_ip_version_that_contradicts_the_ethertype_is_bad_ip),
		cmocka_unit_test(test_wrong_l4_headers_are_bad_l4),
		cmocka_unit_test(test_source_routes_are_refused_and_other_options_pass),
		cmocka_unit_test(test_extension_headers_are_walked_up_to_a_bound),
		cmocka_unit_test(test_extension_headers_longer_than_the_bound_are_bad_ip),
		cmocka_unit_test(test_a_jumbogram_is_bad_ip),
		cmocka_unit_test(
			test_an_atomic_fragment_is_a_whole_packet_and_two_fragment_headers_are_bad),
		cmocka_unit_test(test_fragments_are_told_apart),
		cmocka_unit_test(test_a_split_l4_header_is_marked_in_ipv4_and_refused_in_ipv6),
		cmocka_unit_test(test_arp_has_no_key_and_unknown_ethertypes_are_dropped),
		cmocka_unit_test(test_vlan_tags_are_dropped_whatever_their_number),
		cmocka_unit_test(test_headers_across_segments_are_gathered),
		cmocka_unit_test(test_a_burst_says_of_each_packet_what_one_alone_says),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
