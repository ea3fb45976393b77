/* SPDX-License-Identifier: BSD-3-Clause */
/* Oracle for encapsulation: the VXLAN builder of the fakes, byte for byte. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <arpa/inet.h>
#include <cmocka.h>
#include <string.h>

#include "dataplane/parse.h"
#include "dataplane/vxlan_encap.h"
#include "test/fake/fake_capture.h"
#include "test/fake/fake_packet.h"

static const struct rte_ether_addr own_mac = {{2, 0, 0, 0, 0, 1}}, hop_mac = {{2, 0, 0, 0, 0, 2}};

static struct in6_addr address(const char *text)
{
	struct in6_addr a;

	if (inet_pton(AF_INET6, text, &a) != 1)
		a = addr_from_v4(inet_addr(text));
	return a;
}

static void tunnel_make(struct tunnel *t, bool six)
{
	struct in6_addr source = address(six ? "2001:db8:ffff::3" : "192.0.2.3");
	struct in6_addr vtep = address(six ? "2001:db8:ffff::1" : "192.0.2.1");

	memset(t, 0, sizeof(*t));
	tunnel_init(t, &source, &vtep, &own_mac, VXLAN_PORT);
	assert_int_equal(atomic_load(&t->resolved), 0);
	tunnel_set_mac(t, &hop_mac);
	assert_int_equal(atomic_load(&t->resolved), 1);
}

/* The outer frame of the builder; reserved bits zero, as Ferry must send. */
static size_t builder_outer(
	const uint8_t *inner, size_t len, bool six, uint16_t sport, uint8_t *out)
{
	struct fake_vxlan v = {.src_mac = "02:00:00:00:00:01",
		.dst_mac = "02:00:00:00:00:02",
		.src = six ? "2001:db8:ffff::3" : "192.0.2.3",
		.dst = six ? "2001:db8:ffff::1" : "192.0.2.1",
		.vni = 0xabcdef,
		.sport = sport,
		.ttl = 63};

	return fake_vxlan_build(&v, inner, len, out, FAKE_FRAME_MAX);
}

/* A DF bit and the sum are all that may differ from the builder: it leaves DF clear. */
static void set_outer_df(uint8_t *frame)
{
	uint32_t sum = 0;

	frame[20] |= 0x40;
	frame[24] = frame[25] = 0;
	for (int i = 14; i < 34; i += 2)
		sum += (uint32_t)(frame[i] << 8 | frame[i + 1]);
	sum = (sum & 0xffff) + (sum >> 16);
	sum = ~((sum & 0xffff) + (sum >> 16));
	frame[24] = (uint8_t)(sum >> 8);
	frame[25] = (uint8_t)sum;
}

static void test_encapsulation_equals_what_the_builder_makes(void **state)
{
	static struct fake_pkt f;
	static uint8_t inner[FAKE_FRAME_MAX], want[FAKE_FRAME_MAX];
	struct tunnel t;

	for (int i = 0; i < 2 * 12; i++) {
		bool six = i & 1;
		struct fake_packet spec = {.payload_len = (uint16_t)(i * 61)};
		size_t len = fake_packet_build(&spec, inner, sizeof(inner)), outer_len;
		uint32_t entropy = 0x9e3779b9u * (uint32_t)(i + 1);
		uint16_t sport = (uint16_t)(49152 + (entropy >> 18));

		tunnel_make(&t, six);
		fake_pkt_raw(&f, inner, len, PKT_EGRESS);
		assert_true(vxlan_encap(&t, &f.mbuf, 0xabcdef, entropy, 63));
		outer_len = builder_outer(inner, len, six, sport, want);
		if (!six)
			set_outer_df(want);
		assert_int_equal(f.mbuf.pkt_len, outer_len);
		assert_int_equal(f.mbuf.data_len, outer_len);
		assert_memory_equal(rte_pktmbuf_mtod(&f.mbuf, void *), want, outer_len);
		assert_int_equal(t.header_len, outer_len - len);
	}
}

static void test_a_new_mac_of_the_next_hop_is_in_the_next_frame(void **state)
{
	static struct fake_pkt f;
	const struct rte_ether_addr other = {{2, 9, 8, 7, 6, 5}};
	uint8_t inner[64] = {0};
	struct tunnel t;

	tunnel_make(&t, false);
	tunnel_set_mac(&t, &other);
	fake_pkt_raw(&f, inner, sizeof(inner), PKT_EGRESS);
	assert_true(vxlan_encap(&t, &f.mbuf, 1, 0, VXLAN_TTL));
	assert_memory_equal(rte_pktmbuf_mtod(&f.mbuf, void *), &other, 6);
	assert_memory_equal(rte_pktmbuf_mtod(&f.mbuf, char *) + 6, &own_mac, 6);
}

static void test_a_frame_without_headroom_is_refused_untouched(void **state)
{
	static struct fake_pkt f;
	uint8_t inner[64] = {0};
	struct tunnel t;

	for (int six = 0; six < 2; six++) {
		tunnel_make(&t, six);
		fake_pkt_raw(&f, inner, sizeof(inner), PKT_EGRESS);
		f.mbuf.data_off = t.header_len - 1;
		assert_false(vxlan_encap(&t, &f.mbuf, 1, 0, VXLAN_TTL));
		assert_int_equal(f.mbuf.pkt_len, sizeof(inner));
		f.mbuf.data_off = t.header_len;
		assert_true(vxlan_encap(&t, &f.mbuf, 1, 0, VXLAN_TTL));
	}
}

static void test_what_is_encapsulated_can_be_decapsulated_with_padding_off(void **state)
{
	static struct fake_pkt f;
	static uint8_t inner[FAKE_FRAME_MAX];
	struct fake_packet spec = {.payload_len = 1};
	size_t len = fake_packet_build(&spec, inner, sizeof(inner));
	struct vxlan_outer outer;
	struct tunnel t;

	for (int six = 0; six < 2; six++) {
		tunnel_make(&t, six);
		fake_pkt_raw(&f, inner, len, PKT_EGRESS);
		assert_true(vxlan_encap(&t, &f.mbuf, 0x123456, 0, 17));
		f.mbuf.data_len += 9; /* Ethernet padding */
		f.mbuf.pkt_len += 9;
		f.mbuf.ol_flags = RTE_MBUF_F_RX_L4_CKSUM_NONE; /* of the outer packet */
		assert_int_equal(vxlan_parse(&f.mbuf, VXLAN_PORT, true, &outer), DROP_NONE);
		assert_int_equal(outer.vni, 0x123456);
		assert_int_equal(outer.ttl, 17);
		assert_true(addr_equal(&outer.source, &t.source));
		assert_true(addr_equal(&outer.destination, &t.vtep));
		vxlan_decap(&f.mbuf, &outer);
		assert_int_equal(f.mbuf.pkt_len, len);
		assert_int_equal(f.mbuf.ol_flags, 0);
		assert_memory_equal(rte_pktmbuf_mtod(&f.mbuf, void *), inner, len);
	}
}

static enum drop_reason reason_of(const struct fake_vxlan *v)
{
	static struct fake_pkt f;
	static uint8_t frame[FAKE_FRAME_MAX];
	uint8_t inner[60] = {0};
	struct vxlan_outer outer;
	size_t len = fake_vxlan_build(v, inner, sizeof(inner), frame, sizeof(frame));

	fake_pkt_raw(&f, frame, len, PKT_INGRESS);
	return vxlan_parse(&f.mbuf, VXLAN_PORT, true, &outer);
}

static void test_reserved_bits_are_ignored_and_the_i_flag_is_not_a20(void **state)
{
	struct fake_vxlan v = {.vni = 11, .flags = 0xff, .reserved = 0xffffffff};

	assert_int_equal(reason_of(&v), DROP_NONE);
	v.flags = 0xf7;
	assert_int_equal(reason_of(&v), DROP_BAD_VXLAN);
	v.no_flags = true;
	assert_int_equal(reason_of(&v), DROP_BAD_VXLAN);
}

static void test_another_udp_port_is_not_ours_a20(void **state)
{
	struct fake_vxlan v = {.vni = 11, .dport = 4790};

	assert_int_equal(reason_of(&v), DROP_NOT_OURS);
}

static void test_outer_checksums_follow_rfc_7348(void **state)
{
	for (int six = 0; six < 2; six++) {
		struct fake_vxlan v = {.vni = 11,
			.src = six ? "2001:db8:ffff::3" : NULL,
			.dst = six ? "2001:db8:ffff::1" : NULL,
			.checksum = true};

		assert_int_equal(reason_of(&v), DROP_NONE);
		v.bad_l4_csum = true;
		assert_int_equal(reason_of(&v), DROP_OUTER_CSUM);
		v.bad_l4_csum = false;
		v.zero_l4_csum = true;
		assert_int_equal(reason_of(&v), six ? DROP_OUTER_CSUM : DROP_NONE);
	}
}

static void test_a_checksum_that_the_nic_found_good_is_not_computed_again(void **state)
{
	static struct fake_pkt f;
	static uint8_t frame[FAKE_FRAME_MAX];
	uint8_t inner[60] = {0};
	struct fake_vxlan v = {.checksum = true, .bad_l4_csum = true};
	struct vxlan_outer outer;
	size_t len = fake_vxlan_build(&v, inner, sizeof(inner), frame, sizeof(frame));

	fake_pkt_raw(&f, frame, len, PKT_INGRESS);
	assert_int_equal(vxlan_parse(&f.mbuf, VXLAN_PORT, false, &outer), DROP_NONE);
	f.mbuf.ol_flags = RTE_MBUF_F_RX_L4_CKSUM_GOOD;
	assert_int_equal(vxlan_parse(&f.mbuf, VXLAN_PORT, true, &outer), DROP_NONE);
}

static void test_outer_fragments_are_dropped_by_name(void **state)
{
	static struct fake_pkt f;
	static uint8_t frame[FAKE_FRAME_MAX], piece[FAKE_FRAME_MAX];
	uint8_t inner[600] = {0};
	struct vxlan_outer outer;

	for (int six = 0; six < 2; six++) {
		struct fake_vxlan v = {.src = six ? "2001:db8:ffff::3" : NULL,
			.dst = six ? "2001:db8:ffff::1" : NULL};
		size_t len = fake_vxlan_build(&v, inner, sizeof(inner), frame, sizeof(frame));

		for (uint16_t off = 0; off < 600; off += 304) {
			size_t n =
				fake_packet_fragment(frame, len, off, 304, 5, piece, sizeof(piece));

			fake_pkt_raw(&f, piece, n, PKT_INGRESS);
			assert_int_equal(
				vxlan_parse(&f.mbuf, VXLAN_PORT, true, &outer), DROP_OUTER_FRAG);
		}
	}
}

static void test_every_cut_of_an_outer_frame_is_a_named_drop(void **state)
{
	static struct fake_pkt f;
	static uint8_t frame[FAKE_FRAME_MAX];
	uint8_t inner[14] = {0};
	struct vxlan_outer outer;

	for (int six = 0; six < 2; six++) {
		struct fake_vxlan v = {.src = six ? "2001:db8:ffff::3" : NULL,
			.dst = six ? "2001:db8:ffff::1" : NULL};
		size_t len = fake_vxlan_build(&v, inner, sizeof(inner), frame, sizeof(frame));

		for (size_t cut = 0; cut < len; cut++) {
			enum drop_reason reason;

			fake_pkt_raw(&f, frame, cut, PKT_INGRESS);
			reason = vxlan_parse(&f.mbuf, VXLAN_PORT, true, &outer);
			assert_true(reason == DROP_SHORT || reason == DROP_BAD_IP);
		}
	}
}

static void test_an_inner_frame_without_an_ethernet_header_is_short(void **state)
{
	static struct fake_pkt f;
	static uint8_t frame[FAKE_FRAME_MAX];
	uint8_t inner[13] = {0};
	struct fake_vxlan v = {.vni = 1};
	struct vxlan_outer outer;
	size_t len = fake_vxlan_build(&v, inner, sizeof(inner), frame, sizeof(frame));

	fake_pkt_raw(&f, frame, len, PKT_INGRESS);
	assert_int_equal(vxlan_parse(&f.mbuf, VXLAN_PORT, true, &outer), DROP_SHORT);
}

static void test_other_traffic_of_the_uplink_is_not_ours(void **state)
{
	static struct fake_pkt f;
	static uint8_t frame[FAKE_FRAME_MAX];
	struct fake_packet others[] = {{.proto = IPPROTO_TCP},
		{.proto = IPPROTO_ICMP, .icmp_type = 8},
		{.ethertype = RTE_ETHER_TYPE_ARP, .payload_len = 20}, {.dport = 53},
		{.src = "fe80::1", .dst = "ff02::1", .proto = IPPROTO_ICMPV6, .icmp_type = 128}};
	struct vxlan_outer outer;

	for (size_t i = 0; i < RTE_DIM(others); i++) {
		fake_pkt_raw(&f, frame, fake_packet_build(&others[i], frame, sizeof(frame)), 1);
		assert_int_equal(vxlan_parse(&f.mbuf, VXLAN_PORT, true, &outer), DROP_NOT_OURS);
	}
	others[0].bad_ip_csum = true;
	fake_pkt_raw(&f, frame, fake_packet_build(&others[0], frame, sizeof(frame)), 1);
	assert_int_equal(vxlan_parse(&f.mbuf, VXLAN_PORT, true, &outer), DROP_BAD_IP);
}

/* Of all frames of a capture, how many come out of the tunnel with this VNI, and parse? */
static size_t decapsulated(const struct fake_capture *c, uint32_t vni, bool check_sum, size_t *bad)
{
	static struct fake_pkt f;
	size_t count = 0;

	for (size_t i = 0; i < c->count; i++) {
		struct vxlan_outer outer;
		enum drop_reason reason;

		fake_pkt_raw(&f, c->frame[i].bytes, c->frame[i].len, PKT_INGRESS);
		reason = vxlan_parse(&f.mbuf, VXLAN_PORT, check_sum, &outer);
		*bad += reason == DROP_OUTER_CSUM;
		if (reason != DROP_NONE)
			continue;
		vxlan_decap(&f.mbuf, &outer);
		parse_packet(&f.pkt, outer.vni);
		count += outer.vni == vni && f.pkt.drop == DROP_NONE;
	}
	return count;
}

static void test_capture_05_all_10_packets_are_decapsulated_a20(void **state)
{
	struct fake_capture c;
	size_t bad = 0;

	if (!fake_capture_load(&c, "05-vxlan-reserved-bits.pcap"))
		skip();
	assert_int_equal(decapsulated(&c, 11, true, &bad), 10);
	fake_capture_free(&c);
}

/* Tagged underlay; scapy, too, finds the outer checksum of 73 of the 127 packets wrong. */
static void test_capture_06_outer_checksums_are_verified_when_asked(void **state)
{
	struct fake_capture c;
	size_t bad = 0;

	if (!fake_capture_load(&c, "06-vxlan-dns-tls.pcap"))
		skip();
	assert_int_equal(decapsulated(&c, 0x457, false, &bad), 127);
	assert_int_equal(bad, 0);
	assert_int_equal(decapsulated(&c, 0x457, true, &bad), 54);
	assert_int_equal(bad, 73);
	fake_capture_free(&c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_encapsulation_equals_what_the_builder_makes),
		cmocka_unit_test(test_a_new_mac_of_the_next_hop_is_in_the_next_frame),
		cmocka_unit_test(test_a_frame_without_headroom_is_refused_untouched),
		cmocka_unit_test(test_what_is_encapsulated_can_be_decapsulated_with_padding_off),
		cmocka_unit_test(test_reserved_bits_are_ignored_and_the_i_flag_is_not_a20),
		cmocka_unit_test(test_another_udp_port_is_not_ours_a20),
		cmocka_unit_test(test_outer_checksums_follow_rfc_7348),
		cmocka_unit_test(test_a_checksum_that_the_nic_found_good_is_not_computed_again),
		cmocka_unit_test(test_outer_fragments_are_dropped_by_name),
		cmocka_unit_test(test_every_cut_of_an_outer_frame_is_a_named_drop),
		cmocka_unit_test(test_an_inner_frame_without_an_ethernet_header_is_short),
		cmocka_unit_test(test_other_traffic_of_the_uplink_is_not_ours),
		cmocka_unit_test(test_capture_05_all_10_packets_are_decapsulated_a20),
		cmocka_unit_test(test_capture_06_outer_checksums_are_verified_when_asked),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
