/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The oracle is the packet builder: it computes checksums with loops of its own. A frame is spoilt
 * as a guest with checksum offload leaves it, finished by the product, and must be what the builder
 * made.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <arpa/inet.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <rte_ip.h>

#include "dataplane/csum.h"
#include "dataplane/parse.h"
#include "test/fake/fake_packet.h"

static const struct {
	uint8_t proto;
	bool six;
	uint16_t off; /* of the checksum in the L4 header */
	uint16_t len;
	uint64_t tx_flag;
} kinds[] = {
	{IPPROTO_TCP, false, 16, 2, RTE_MBUF_F_TX_TCP_CKSUM},
	{IPPROTO_TCP, true, 16, 2, RTE_MBUF_F_TX_TCP_CKSUM},
	{IPPROTO_UDP, false, 6, 2, RTE_MBUF_F_TX_UDP_CKSUM},
	{IPPROTO_UDP, true, 6, 2, RTE_MBUF_F_TX_UDP_CKSUM},
	{IPPROTO_SCTP, false, 8, 4, RTE_MBUF_F_TX_SCTP_CKSUM},
	{IPPROTO_SCTP, true, 8, 4, RTE_MBUF_F_TX_SCTP_CKSUM},
	{IPPROTO_ICMP, false, 2, 2, 0},
	{IPPROTO_ICMPV6, true, 2, 2, 0},
};

static struct fake_packet packet_of(size_t kind, uint16_t payload_len)
{
	struct fake_packet spec = {.proto = kinds[kind].proto,
		.sport = 40000,
		.dport = 80,
		.payload_len = payload_len};

	if (kinds[kind].six) {
		spec.src = "2001:db8::1";
		spec.dst = "2001:db8::2";
	}
	if (spec.proto == IPPROTO_ICMP || spec.proto == IPPROTO_ICMPV6)
		spec.icmp_type = kinds[kind].six ? 128 : 8;
	return spec;
}

static struct pkt *raw_parsed(struct fake_pkt *f, const uint8_t *frame, size_t len)
{
	struct pkt *p = fake_pkt_raw(f, frame, len, PKT_EGRESS);

	parse_packet(p, 1);
	assert_int_equal(p->drop, DROP_NONE);
	return p;
}

/* Does the frame in f equal `frame`? */
static void assert_frame(const struct fake_pkt *f, const uint8_t *frame, size_t len)
{
	assert_int_equal(f->mbuf.pkt_len, len);
	assert_memory_equal(rte_pktmbuf_mtod(&f->mbuf, const void *), frame, len);
}

static void test_unfinished_checksums_are_finished_in_every_protocol_and_length(void **state)
{
	static struct fake_pkt f;
	static uint8_t frame[FAKE_FRAME_MAX];

	for (size_t kind = 0; kind < RTE_DIM(kinds); kind++) {
		for (uint16_t extra = 0; extra < 9; extra++) {
			struct fake_packet spec = packet_of(kind, extra);
			size_t len = fake_packet_build(&spec, frame, sizeof(frame));
			struct pkt *p = raw_parsed(&f, frame, len);

			memset((uint8_t *)pkt_l4(p) + kinds[kind].off, 0x5a, kinds[kind].len);
			f.mbuf.ol_flags = extra % 2 && kinds[kind].tx_flag
						  ? kinds[kind].tx_flag
						  : RTE_MBUF_F_RX_L4_CKSUM_NONE;
			csum_finish(p);
			assert_frame(&f, frame, len);
			assert_int_equal(f.mbuf.ol_flags, 0);
		}
	}
}

static void test_a_frame_without_flags_is_left_as_it_is(void **state)
{
	static struct fake_pkt f;
	static uint8_t frame[FAKE_FRAME_MAX];
	struct fake_packet spec = {.bad_l4_csum = true, .payload_len = 7};
	size_t len = fake_packet_build(&spec, frame, sizeof(frame));

	csum_finish(raw_parsed(&f, frame, len));
	assert_frame(&f, frame, len);
}

static void test_padding_and_udp_length_do_not_enter_the_sum(void **state)
{
	static struct fake_pkt f;
	static uint8_t frame[FAKE_FRAME_MAX];
	struct fake_packet spec = {.payload_len = 3, .pad_to = 60};
	size_t len = fake_packet_build(&spec, frame, sizeof(frame));
	struct pkt *p;

	memset(frame + 45, 0xee, len - 45);
	p = raw_parsed(&f, frame, len);
	memset((uint8_t *)pkt_l4(p) + 6, 0, 2);
	f.mbuf.ol_flags = RTE_MBUF_F_TX_UDP_CKSUM;
	csum_finish(p);
	assert_frame(&f, frame, len);
}

static void test_a_udp_sum_of_zero_is_sent_as_all_ones(void **state)
{
	static struct fake_pkt f;
	static uint8_t frame[FAKE_FRAME_MAX];
	struct fake_packet spec = {.payload_len = 2, .payload = "\0\0"};
	size_t len = fake_packet_build(&spec, frame, sizeof(frame));
	struct pkt *p;

	memcpy(frame + 42, frame + 40, 2); /* payload = old sum: the new sum is zero */
	p = raw_parsed(&f, frame, len);
	f.mbuf.ol_flags = RTE_MBUF_F_TX_UDP_CKSUM;
	csum_finish(p);
	assert_memory_equal((uint8_t *)pkt_l4(p) + 6, "\xff\xff", 2);
}

static void test_sums_run_across_odd_segments(void **state)
{
	static struct fake_pkt f;
	static uint8_t frame[FAKE_FRAME_MAX], rest[2][FAKE_FRAME_MAX];

	for (size_t kind = 0; kind < RTE_DIM(kinds); kind++) {
		struct fake_packet spec = packet_of(kind, 301);
		size_t len = fake_packet_build(&spec, frame, sizeof(frame));
		struct rte_mbuf seg[2] = {{.buf_addr = rest[0], .nb_segs = 1, .data_len = 33},
			{.buf_addr = rest[1], .nb_segs = 1}};
		struct pkt *p = raw_parsed(&f, frame, len);
		uint16_t first = (uint16_t)(p->l4_off + 33);

		memcpy(rest[0], frame + first, 33);
		memcpy(rest[1], frame + first + 33, len - first - 33);
		seg[1].data_len = (uint16_t)(len - first - 33);
		seg[0].next = &seg[1];
		f.mbuf.next = &seg[0];
		f.mbuf.nb_segs = 3;
		f.mbuf.data_len = first;
		memset((uint8_t *)pkt_l4(p) + kinds[kind].off, 0, kinds[kind].len);
		f.mbuf.ol_flags = RTE_MBUF_F_RX_L4_CKSUM_NONE;
		csum_finish(p);
		assert_memory_equal(rte_pktmbuf_mtod(&f.mbuf, const void *), frame, first);
	}
}

static void test_extension_headers_do_not_enter_the_sum(void **state)
{
	static struct fake_pkt f;
	static uint8_t frame[FAKE_FRAME_MAX];
	static const uint8_t ext[8] = {IPPROTO_TCP};
	struct fake_packet spec = packet_of(1, 20);
	struct pkt *p;
	size_t len;

	spec.ext = ext;
	spec.ext_len = sizeof(ext);
	spec.ext_first = IPPROTO_DSTOPTS;
	len = fake_packet_build(&spec, frame, sizeof(frame));
	p = raw_parsed(&f, frame, len);
	memset((uint8_t *)pkt_l4(p) + 16, 0, 2);
	f.mbuf.ol_flags = RTE_MBUF_F_TX_TCP_CKSUM;
	csum_finish(p);
	assert_frame(&f, frame, len);
}

static void test_an_ip_header_sum_is_finished_when_asked_for(void **state)
{
	static struct fake_pkt f;
	static uint8_t frame[FAKE_FRAME_MAX];
	static const uint8_t alert[4] = {148, 4, 0, 0};
	struct fake_packet spec = {.ip_options = alert, .ip_options_len = 4};
	size_t len = fake_packet_build(&spec, frame, sizeof(frame));
	struct pkt *p = raw_parsed(&f, frame, len);

	memset((uint8_t *)pkt_l3(p) + 10, 0, 2);
	f.mbuf.ol_flags = RTE_MBUF_F_TX_IP_CKSUM | RTE_MBUF_F_TX_IPV4;
	csum_finish(p);
	assert_frame(&f, frame, len);
}

static void test_the_bytes_of_a_fragment_stay_but_its_flags_go(void **state)
{
	static struct fake_pkt f;
	static uint8_t whole[FAKE_FRAME_MAX], frame[FAKE_FRAME_MAX];
	struct fake_packet spec = {.payload_len = 100};
	size_t len = fake_packet_build(&spec, whole, sizeof(whole));

	len = fake_packet_fragment(whole, len, 0, 64, 1, frame, sizeof(frame));
	raw_parsed(&f, frame, len);
	f.mbuf.ol_flags = RTE_MBUF_F_TX_UDP_CKSUM;
	csum_finish(&f.pkt);
	assert_frame(&f, frame, len);
	assert_int_equal(f.mbuf.ol_flags, 0);
}

/* Translate source address and port of a random packet; the builder says what must come out. */
static void test_incremental_updates_equal_a_new_sum(void **state)
{
	static struct fake_pkt f;
	static uint8_t before[FAKE_FRAME_MAX], after[FAKE_FRAME_MAX];

	srandom(1);
	for (int round = 0; round < 2000; round++) {
		size_t kind = (size_t)round % 4;
		struct fake_packet spec = packet_of(kind, (uint16_t)(random() % 50));
		char text[64];
		size_t len = fake_packet_build(&spec, before, sizeof(before)), alen;
		struct pkt *p = raw_parsed(&f, before, len);
		uint16_t off = kinds[kind].six ? 8 : 12;
		struct csum_change change = {.from = (uint8_t *)pkt_l3(p) + off,
			.to = after + 14 + off,
			.len_bytes = kinds[kind].six ? 16 : 4,
			.pseudo = true};

		snprintf(text, sizeof(text),
			kinds[kind].six ? "2001:db8::%lx:%lx" : "203.0.%ld.%ld", random() % 256,
			random() % 256);
		spec.src = text;
		spec.sport = (uint16_t)random();
		alen = fake_packet_build(&spec, after, sizeof(after));
		assert_int_equal(alen, len);
		csum_l4_change(p, &change);
		memcpy((uint8_t *)pkt_l3(p) + off, change.to, change.len_bytes);
		change = (struct csum_change){
			.from = pkt_l4(p), .to = after + p->l4_off, .len_bytes = 2};
		csum_l4_change(p, &change);
		memcpy(pkt_l4(p), change.to, 2);
		assert_memory_equal(pkt_l4(p), after + p->l4_off, len - p->l4_off);
	}
}

static void test_an_absent_udp_checksum_stays_absent(void **state)
{
	static struct fake_pkt f;
	static uint8_t frame[FAKE_FRAME_MAX];
	struct fake_packet spec = {.zero_l4_csum = true};
	size_t len = fake_packet_build(&spec, frame, sizeof(frame));
	struct pkt *p = raw_parsed(&f, frame, len);
	struct csum_change change = {.from = "\1\2", .to = "\3\4", .len_bytes = 2};

	csum_l4_change(p, &change);
	assert_frame(&f, frame, len);
}

static void test_addresses_do_not_enter_sums_without_a_pseudo_header(void **state)
{
	static struct fake_pkt f;
	static uint8_t frame[FAKE_FRAME_MAX];
	struct fake_packet spec = packet_of(6, 4);
	size_t len = fake_packet_build(&spec, frame, sizeof(frame));
	struct pkt *p = raw_parsed(&f, frame, len);
	struct csum_change change = {
		.from = "\1\2\3\4", .to = "\5\6\7\7", .len_bytes = 4, .pseudo = true};

	csum_l4_change(p, &change);
	assert_frame(&f, frame, len);
}

/* ICMPv6 in IPv4 is a protocol of which nothing is known, not even that it has a header. */
static void test_icmp_of_the_other_family_is_left_as_it_is(void **state)
{
	static struct fake_pkt f;
	static uint8_t frame[FAKE_FRAME_MAX];
	struct fake_packet spec = {.payload_len = 0};
	size_t len = fake_packet_build(&spec, frame, sizeof(frame)) - 8;
	struct rte_ipv4_hdr *ip = (struct rte_ipv4_hdr *)(frame + 14);

	ip->next_proto_id = IPPROTO_ICMPV6;
	ip->total_length = RTE_BE16(20);
	ip->hdr_checksum = 0;
	ip->hdr_checksum = rte_ipv4_cksum(ip);
	memset(frame + len, 0x5a, 8);
	raw_parsed(&f, frame, len);
	memset(rte_pktmbuf_mtod(&f.mbuf, uint8_t *) + len, 0x5a, 8);
	f.mbuf.ol_flags = RTE_MBUF_F_RX_L4_CKSUM_NONE;
	csum_finish(&f.pkt);
	assert_memory_equal(rte_pktmbuf_mtod(&f.mbuf, void *), frame, len + 8);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(
			test_unfinished_checksums_are_finished_in_every_protocol_and_length),
		cmocka_unit_test(test_a_frame_without_flags_is_left_as_it_is),
		cmocka_unit_test(test_padding_and_udp_length_do_not_enter_the_sum),
		cmocka_unit_test(test_a_udp_sum_of_zero_is_sent_as_all_ones),
		cmocka_unit_test(test_sums_run_across_odd_segments),
		cmocka_unit_test(test_extension_headers_do_not_enter_the_sum),
		cmocka_unit_test(test_an_ip_header_sum_is_finished_when_asked_for),
		cmocka_unit_test(test_the_bytes_of_a_fragment_stay_but_its_flags_go),
		cmocka_unit_test(test_incremental_updates_equal_a_new_sum),
		cmocka_unit_test(test_an_absent_udp_checksum_stays_absent),
		cmocka_unit_test(test_addresses_do_not_enter_sums_without_a_pseudo_header),
		cmocka_unit_test(test_icmp_of_the_other_family_is_left_as_it_is),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
