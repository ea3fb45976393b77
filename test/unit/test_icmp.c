/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Oracle: the packet builder. What the product makes or rewrites must be, byte for byte, what the
 * builder makes of the same description.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <arpa/inet.h>
#include <cmocka.h>
#include <errno.h>
#include <string.h>

#include <rte_ip.h>

#include "dataplane/addr.h"
#include "dataplane/icmp.h"
#include "dataplane/parse.h"
#include "test/fake/fake_eal.h"
#include "test/fake/fake_packet.h"

static struct rte_mempool *pool;

static struct in6_addr address(const char *text)
{
	struct in6_addr a;

	if (inet_pton(AF_INET6, text, &a) != 1)
		a = addr_from_v4(inet_addr(text));
	return a;
}

static struct pkt *parsed(struct fake_pkt *f, const struct fake_packet *spec, enum pkt_dir dir)
{
	static uint8_t frame[FAKE_FRAME_MAX];
	struct pkt *p = fake_pkt_raw(f, frame, fake_packet_build(spec, frame, sizeof(frame)), dir);

	parse_packet(p, 100);
	assert_int_equal(p->drop, DROP_NONE);
	return p;
}

static void assert_frame(const struct rte_mbuf *m, const struct fake_packet *spec)
{
	static uint8_t frame[FAKE_FRAME_MAX];
	size_t len = fake_packet_build(spec, frame, sizeof(frame));

	assert_int_equal(m->pkt_len, len);
	assert_memory_equal(rte_pktmbuf_mtod(m, const void *), frame, len);
}

/* ---- quoted packets ---- */

/* A14: 3/4 for N:45001 -> C:25 with only 8 bytes of TCP comes to V as if it had sent the packet. */
static void test_frag_needed_with_8_bytes_is_translated_to_the_vport_a14(void **state)
{
	static struct fake_pkt f;
	struct fake_packet quoted = {.src = "203.0.113.7",
		.dst = "198.51.100.10",
		.sport = 45001,
		.dport = 25,
		.proto = IPPROTO_TCP,
		.seq = 1000,
		.payload_len = 1400,
		.dont_fragment = true};
	struct fake_packet error = {.src = "198.51.100.1",
		.dst = "203.0.113.7",
		.proto = IPPROTO_ICMP,
		.icmp_type = 3,
		.icmp_code = 4,
		.icmp_mtu = 1492,
		.quoted = &quoted};
	struct session_tuple inside = {.local = address("10.0.0.5"),
		.remote = address("198.51.100.10"),
		.local_port = htons(1470),
		.remote_port = htons(25),
		.proto = IPPROTO_TCP};
	struct pkt *p = parsed(&f, &error, PKT_INGRESS);

	assert_int_equal(p->key.local_port, htons(45001));
	assert_int_equal(icmp_quoted_rewrite(p, &inside), 0);
	quoted.src = "10.0.0.5";
	quoted.sport = 1470;
	assert_frame(p->mbuf, &error);
}

/* Every protocol, both families, both directions, quoted whole and cut. */
static void test_quoted_packets_of_all_kinds_equal_what_the_other_side_sent(void **state)
{
	static const struct {
		const char *local[2], *remote, *router; /* local: network side, vport side */
		uint8_t icmp, unreachable, echo;
	} family[] = {
		{{"203.0.113.7", "10.0.0.5"}, "198.51.100.10", "192.0.2.99", IPPROTO_ICMP, 3, 8},
		{{"2001:db8:7::7", "fd00::5"}, "2001:db8::10", "2001:db8::99", IPPROTO_ICMPV6, 1,
			128}};
	const uint8_t protos[] = {IPPROTO_TCP, IPPROTO_UDP, IPPROTO_SCTP, 0};

	for (size_t i = 0; i < 2 * 4 * 2 * 3; i++) {
		static struct fake_pkt f;
		const int v6 = i & 1, dir = (i >> 1) & 1, what = (i >> 2) & 3;
		const uint16_t lens[] = {0, (uint16_t)((v6 ? 40 : 20) + 19), 500};
		struct fake_packet quoted = {.proto = protos[what] ? protos[what] : family[v6].icmp,
			.icmp_type = family[v6].echo,
			.payload_len = 31};
		struct fake_packet error = {.src = family[v6].router,
			.proto = family[v6].icmp,
			.icmp_type = family[v6].unreachable,
			.quoted = &quoted,
			.quoted_len = lens[i / 16]};
		struct session_tuple to = {.local = address(family[v6].local[dir]),
			.remote = address(family[v6].remote),
			.proto = quoted.proto};
		struct pkt *p;

		if (error.quoted_len == 500)
			error.quoted_len = (uint16_t)((v6 ? 40 : 20) + 8 + 31 +
						      (quoted.proto == IPPROTO_TCP ? 12 : 0) +
						      (quoted.proto == IPPROTO_SCTP ? 4 : 0));
		/* From the other side's view first: network side for ingress. */
		quoted.src = dir == PKT_INGRESS ? family[v6].local[!dir] : family[v6].remote;
		quoted.dst = dir == PKT_INGRESS ? family[v6].remote : family[v6].local[!dir];
		error.dst = quoted.src;
		quoted.sport = dir == PKT_INGRESS ? 45001 : 25;
		quoted.dport = dir == PKT_INGRESS ? 25 : 1470;
		quoted.icmp_id = 45001;
		p = parsed(&f, &error, dir);
		to.local_port = htons(dir == PKT_INGRESS ? 1470 : 45001);
		to.remote_port = htons(25);
		if (protos[what] == 0) { /* the asker's side holds the identifier */
			to.local_port = dir == PKT_INGRESS ? htons(1470) : 0;
			to.remote_port = dir == PKT_INGRESS ? 0 : htons(1470);
			quoted.icmp_id = 1470;
		}
		assert_int_equal(icmp_quoted_rewrite(p, &to), 0);
		quoted.src = dir == PKT_INGRESS ? family[v6].local[dir] : family[v6].remote;
		quoted.dst = dir == PKT_INGRESS ? family[v6].remote : family[v6].local[dir];
		quoted.sport = dir == PKT_INGRESS ? 1470 : 25;
		quoted.dport = dir == PKT_INGRESS ? 25 : 45001;
		if (quoted.proto == IPPROTO_SCTP) /* its CRC is not ours to know when cut */
			assert_memory_equal(rte_pktmbuf_mtod_offset(p->mbuf, char *, 42),
				rte_pktmbuf_mtod_offset(p->mbuf, char *, 42), 8);
		else
			assert_frame(p->mbuf, &error);
	}
}

static void test_a_wrong_quoted_checksum_stays_wrong(void **state)
{
	static struct fake_pkt f;
	struct fake_packet quoted = {.src = "10.0.0.5", .dst = "198.51.100.10", .payload_len = 9};
	struct fake_packet error = {.dst = "10.0.0.5",
		.src = "192.0.2.9",
		.proto = IPPROTO_ICMP,
		.icmp_type = 3,
		.quoted = &quoted,
		.quoted_len = 37,
		.bad_l4_csum = true};
	struct session_tuple to = {
		.local = address("10.0.0.6"), .remote = address("198.51.100.11")};
	struct pkt *p = parsed(&f, &error, PKT_INGRESS);

	assert_int_equal(icmp_quoted_rewrite(p, &to), 0);
	assert_int_not_equal(rte_raw_cksum(pkt_l4(p), 8 + 37), 0xffff);
}

static void test_families_do_not_mix_in_a_rewrite(void **state)
{
	static struct fake_pkt f;
	struct fake_packet quoted = {.src = "10.0.0.5", .dst = "198.51.100.10"};
	struct fake_packet error = {
		.dst = "10.0.0.5", .proto = IPPROTO_ICMP, .icmp_type = 3, .quoted = &quoted};
	struct session_tuple six = {.local = address("fd00::1"), .remote = address("fd00::2")};
	struct session_tuple four = {.local = address("10.0.0.1"), .remote = address("10.0.0.2")};
	struct pkt *p = parsed(&f, &error, PKT_INGRESS);

	assert_int_equal(icmp_quoted_rewrite(p, &six), -EINVAL);
	six.local = four.local;
	assert_int_equal(icmp_quoted_rewrite(p, &six), -EINVAL);
	assert_frame(p->mbuf, &error);
	assert_int_equal(icmp_quoted_rewrite(parsed(&f, &quoted, PKT_INGRESS), &four), -EINVAL);
}

static void test_a_told_mtu_is_lowered_never_raised(void **state)
{
	static struct fake_pkt f;
	struct fake_packet quoted = {.src = "10.0.0.5", .dst = "198.51.100.10"};
	struct fake_packet quoted6 = {.src = "fd00::5", .dst = "2001:db8::10"};
	struct fake_packet errors[] = {{.dst = "10.0.0.5",
					       .proto = IPPROTO_ICMP,
					       .icmp_type = 3,
					       .icmp_code = 4,
					       .icmp_mtu = 1492,
					       .quoted = &quoted},
		{.src = "2001:db8::99",
			.dst = "fd00::5",
			.proto = IPPROTO_ICMPV6,
			.icmp_type = 2,
			.icmp_mtu = 1492,
			.quoted = &quoted6}};

	for (int i = 0; i < 2; i++) {
		struct pkt *p = parsed(&f, &errors[i], PKT_INGRESS);

		assert_false(icmp_mtu_clamp(p, 1500));
		assert_false(icmp_mtu_clamp(p, 1492));
		assert_true(icmp_mtu_clamp(p, 1442));
		errors[i].icmp_mtu = 1442;
		assert_frame(p->mbuf, &errors[i]);
	}
	errors[0].icmp_mtu = 0; /* a router before RFC 1191 */
	assert_true(icmp_mtu_clamp(parsed(&f, &errors[0], PKT_INGRESS), 1400));
	errors[0].icmp_code = 1;
	assert_false(icmp_mtu_clamp(parsed(&f, &errors[0], PKT_INGRESS), 1000));
}

/* ---- answers ---- */

static struct rte_mbuf *error_about(const struct fake_packet *about, enum icmp_answer what)
{
	static struct fake_pkt f;
	bool six = about->src && strchr(about->src, ':');
	struct icmp_origin gateway = {
		.addr = address(six ? "fd00::1" : "10.0.0.1"), .mac = {{2, 0, 0, 0, 0, 0xfe}}};

	return icmp_error(parsed(&f, about, PKT_EGRESS), what, 1450, &gateway, pool);
}

static void test_errors_equal_what_the_builder_makes(void **state)
{
	static const struct {
		enum icmp_answer what;
		uint8_t type[2], code[2];
	} rows[] = {{ICMP_ANSWER_TOO_BIG, {3, 2}, {4, 0}}, {ICMP_ANSWER_TTL, {11, 3}, {0, 0}},
		{ICMP_ANSWER_PROHIBITED, {3, 1}, {13, 1}},
		{ICMP_ANSWER_HOST_UNREACH, {3, 1}, {1, 0}}};

	for (size_t i = 0; i < RTE_DIM(rows) * 2 * 2; i++) {
		const int v6 = i & 1;
		bool big = i & 2;
		struct fake_packet about = {.src = v6 ? "fd00::5" : "10.0.0.5",
			.dst = v6 ? "2001:db8::10" : "198.51.100.10",
			.dont_fragment = true,
			.proto = IPPROTO_TCP,
			.payload_len = big ? 1440 : 4};
		struct fake_packet want = {.src = v6 ? "fd00::1" : "10.0.0.1",
			.dst = about.src,
			.src_mac = "02:00:00:00:00:fe",
			.dst_mac = "02:00:00:00:00:01",
			.tos = 0xc0,
			.dont_fragment = true,
			.proto = v6 ? IPPROTO_ICMPV6 : IPPROTO_ICMP,
			.icmp_type = rows[i / 4].type[v6],
			.icmp_code = rows[i / 4].code[v6],
			.icmp_mtu = rows[i / 4].what == ICMP_ANSWER_TOO_BIG ? 1450 : 0,
			.quoted = &about,
			.quoted_len = big ? (v6 ? 1232 : 548) : (v6 ? 64 : 44)};
		struct rte_mbuf *m = error_about(&about, rows[i / 4].what);

		assert_non_null(m);
		assert_frame(m, &want);
		rte_pktmbuf_free(m);
	}
}

static void test_no_error_about_errors_multicast_or_from_nobody(void **state)
{
	struct fake_packet sent = {.src = "10.0.0.5", .dst = "198.51.100.10"};
	struct fake_packet got = {.src = "198.51.100.10", .dst = "10.0.0.5"};
	struct fake_packet about[] = {
		{.src = "10.0.0.5",
			.dst = "198.51.100.10",
			.proto = IPPROTO_ICMP,
			.icmp_type = 3,
			.quoted = &got},
		{.src = "10.0.0.5", .dst = "224.0.0.5"},
		{.src = "10.0.0.5", .dst = "255.255.255.255"},
		{.src = "0.0.0.0", .dst = "198.51.100.10"},
		{.src = "127.0.0.1", .dst = "198.51.100.10"},
		{.src = "239.1.1.1", .dst = "198.51.100.10"},
		{.src = "10.0.0.5", .dst = "198.51.100.10", .dst_mac = "ff:ff:ff:ff:ff:ff"},
		{.src = "fd00::5", .dst = "ff02::1"},
		{.src = "::", .dst = "2001:db8::1"},
	};

	assert_non_null(error_about(&sent, ICMP_ANSWER_TTL));
	for (size_t i = 0; i < RTE_DIM(about); i++)
		assert_null(error_about(&about[i], ICMP_ANSWER_TTL));
}

static void test_no_error_about_a_later_fragment(void **state)
{
	static struct fake_pkt f;
	static uint8_t whole[FAKE_FRAME_MAX], frame[FAKE_FRAME_MAX];
	struct fake_packet spec = {.payload_len = 100};
	struct icmp_origin gateway = {.addr = address("10.0.0.1")};
	size_t len = fake_packet_build(&spec, whole, sizeof(whole)), n;

	n = fake_packet_fragment(whole, len, 64, 64, 1, frame, sizeof(frame));
	parse_packet(fake_pkt_raw(&f, frame, n, PKT_EGRESS), 1);
	assert_null(icmp_error(&f.pkt, ICMP_ANSWER_TTL, 0, &gateway, pool));
}

/* A22: padding does not count. */
static void test_a_reset_of_a_padded_syn_acks_isn_plus_one_a22(void **state)
{
	static struct fake_pkt f;
	struct fake_packet syn = {.proto = IPPROTO_TCP,
		.tcp_flags = RTE_TCP_SYN_FLAG,
		.seq = 0xffffffff,
		.sport = 1,
		.dport = 2,
		.pad_to = 60};
	struct fake_packet want = {.src = "10.0.0.5",
		.dst = "198.51.100.10",
		.src_mac = "02:00:00:00:00:02",
		.dst_mac = "02:00:00:00:00:01",
		.dont_fragment = true,
		.proto = IPPROTO_TCP,
		.tcp_flags = RTE_TCP_RST_FLAG | RTE_TCP_ACK_FLAG,
		.sport = 2,
		.dport = 1,
		.ack = 0};
	struct rte_mbuf *m = icmp_tcp_reset(parsed(&f, &syn, PKT_INGRESS), pool);

	assert_non_null(m);
	assert_frame(m, &want);
	rte_pktmbuf_free(m);
}

static void test_a_reset_of_an_acking_segment_takes_its_ack_as_sequence(void **state)
{
	static struct fake_pkt f;
	struct fake_packet data = {.src = "fd00::1",
		.dst = "fd00::2",
		.proto = IPPROTO_TCP,
		.tcp_flags = RTE_TCP_ACK_FLAG | RTE_TCP_FIN_FLAG,
		.seq = 5,
		.ack = 777,
		.payload_len = 10};
	struct fake_packet want = {.src = "fd00::2",
		.dst = "fd00::1",
		.src_mac = "02:00:00:00:00:02",
		.dst_mac = "02:00:00:00:00:01",
		.proto = IPPROTO_TCP,
		.tcp_flags = RTE_TCP_RST_FLAG,
		.seq = 777};
	struct rte_mbuf *m = icmp_tcp_reset(parsed(&f, &data, PKT_INGRESS), pool);

	assert_non_null(m);
	assert_frame(m, &want);
	rte_pktmbuf_free(m);
	data.tcp_flags |= RTE_TCP_RST_FLAG;
	assert_null(icmp_tcp_reset(parsed(&f, &data, PKT_INGRESS), pool));
}

static void test_answers_are_limited_in_rate_and_burst(void **state)
{
	struct icmp_limit limit = {.per_second = 100};
	uint64_t now = 5000000000ull;
	int allowed = 0;

	for (int i = 0; i < 1000; i++)
		allowed += icmp_limit_allow(&limit, now);
	assert_int_equal(allowed, 10);
	for (int i = 0; i < 1000; i++)
		allowed += icmp_limit_allow(&limit, now += 1000000);
	assert_in_range(allowed, 109, 111);
	now += 60 * 1000000000ull; /* saves nothing beyond the burst */
	for (allowed = 0; icmp_limit_allow(&limit, now); allowed++)
		;
	assert_int_equal(allowed, 10);
	limit.per_second = 0;
	assert_false(icmp_limit_allow(&limit, now));
}

static int setup(void **state)
{
	if (fake_eal_start() != 0)
		return -1;
	pool = fake_eal_pool("icmp", 255);
	return pool ? 0 : -1;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_frag_needed_with_8_bytes_is_translated_to_the_vport_a14),
		cmocka_unit_test(test_quoted_packets_of_all_kinds_equal_what_the_other_side_sent),
		cmocka_unit_test(test_a_wrong_quoted_checksum_stays_wrong),
		cmocka_unit_test(test_families_do_not_mix_in_a_rewrite),
		cmocka_unit_test(test_a_told_mtu_is_lowered_never_raised),
		cmocka_unit_test(test_errors_equal_what_the_builder_makes),
		cmocka_unit_test(test_no_error_about_errors_multicast_or_from_nobody),
		cmocka_unit_test(test_no_error_about_a_later_fragment),
		cmocka_unit_test(test_a_reset_of_a_padded_syn_acks_isn_plus_one_a22),
		cmocka_unit_test(test_a_reset_of_an_acking_segment_takes_its_ack_as_sequence),
		cmocka_unit_test(test_answers_are_limited_in_rate_and_burst),
	};

	return cmocka_run_group_tests(tests, setup, NULL);
}
