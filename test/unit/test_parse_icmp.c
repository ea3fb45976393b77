/* SPDX-License-Identifier: BSD-3-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <arpa/inet.h>
#include <cmocka.h>
#include <string.h>

#include "dataplane/parse.h"
#include "test/fake/fake_capture.h"
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

static void test_an_echo_identifier_is_the_port_of_the_side_that_asked(void **state)
{
	static struct fake_pkt f;
	struct fake_packet ping = {.proto = IPPROTO_ICMP, .icmp_type = 8, .icmp_id = 77};
	struct fake_packet pong = {.proto = IPPROTO_ICMP, .icmp_type = 0, .icmp_id = 77};
	struct pkt *p = parse_spec(&f, &ping, PKT_EGRESS);

	assert_int_equal(p->key.local_port, htons(77));
	assert_int_equal(p->key.remote_port, 0);
	assert_true(p->flags & PKT_ICMP_QUERY);
	p = parse_spec(&f, &pong, PKT_EGRESS);
	assert_int_equal(p->key.local_port, 0);
	assert_int_equal(p->key.remote_port, htons(77));
	assert_false(p->flags & PKT_ICMP_QUERY);
	assert_as_fake(&ping);
	assert_as_fake(&pong);
}

static void test_an_icmp_error_has_the_key_of_the_packet_it_quotes(void **state)
{
	const char *families[][3] = {{"10.0.0.5", "198.51.100.10", "192.0.2.99"},
		{"2001:db8::5", "2001:db8::10", "2001:db8::99"}};
	const uint8_t protos[] = {IPPROTO_TCP, IPPROTO_UDP};

	for (int i = 0; i < 4; i++) {
		static struct fake_pkt f, g;
		const char **a = families[i / 2];
		struct fake_packet sent = {.src = a[0],
			.dst = a[1],
			.sport = 1470,
			.dport = 25,
			.proto = protos[i % 2],
			.payload_len = 100};
		struct fake_packet error = {.src = a[2],
			.dst = a[0],
			.proto = i / 2 ? IPPROTO_ICMPV6 : IPPROTO_ICMP,
			.icmp_type = i / 2 ? 2 : 3,
			.icmp_code = i / 2 ? 0 : 4,
			.icmp_mtu = 1492,
			.quoted = &sent};
		struct pkt *p = parse_spec(&f, &error, PKT_INGRESS);

		assert_int_equal(p->drop, DROP_NONE);
		assert_true(p->flags & PKT_ICMP_ERROR);
		assert_true(session_key_equal(&p->key, &fake_pkt_make(&g, &sent, PKT_EGRESS)->key));
		assert_as_fake(&error);
	}
}

static void test_an_icmp_error_about_an_echo_finds_the_side_that_asked(void **state)
{
	static struct fake_pkt f, g;
	struct fake_packet ping = {.src = "10.0.0.5",
		.dst = "198.51.100.10",
		.proto = IPPROTO_ICMP,
		.icmp_type = 8,
		.icmp_id = 5};
	struct fake_packet error = {.src = "192.0.2.99",
		.dst = "10.0.0.5",
		.proto = IPPROTO_ICMP,
		.icmp_type = 11,
		.quoted = &ping};

	assert_true(session_key_equal(&parse_spec(&f, &error, PKT_INGRESS)->key,
		&fake_pkt_make(&g, &ping, PKT_EGRESS)->key));
}

static void test_errors_about_errors_and_broken_quotes_are_bad_l4(void **state)
{
	struct fake_packet sent = {.src = "10.0.0.5", .dst = "198.51.100.10"};
	struct fake_packet six = {.src = "2001:db8::5", .dst = "2001:db8::10"};
	struct fake_packet inner = {.proto = IPPROTO_ICMP, .icmp_type = 3, .quoted = &sent};
	struct fake_packet error = {.proto = IPPROTO_ICMP, .icmp_type = 3, .quoted = &inner};

	assert_int_equal(reason_of(&inner), DROP_NONE);
	assert_int_equal(reason_of(&error), DROP_BAD_L4);
	inner.quoted_len = 27;
	assert_int_equal(reason_of(&inner), DROP_BAD_L4);
	inner.quoted_len = 3;
	assert_int_equal(reason_of(&inner), DROP_BAD_L4);
	error.quoted = &six; /* of the other family */
	assert_int_equal(reason_of(&error), DROP_BAD_L4);
}

static void load_or_skip(struct fake_capture *c, const char *name)
{
	if (!fake_capture_load(c, name))
		skip();
}

static void test_capture_13_frag_needed_belongs_to_the_mail_session_a14(void **state)
{
	static struct fake_pkt f;
	struct fake_capture c;
	struct session_key key = {0};
	int errors = 0;

	load_or_skip(&c, "13-smtp-fragneeded.pcap");
	/* Between a DNS question and another host's broadcast; V is 10.10.1.4. */
	for (size_t i = 2; i < c.count - 1; i++) {
		enum pkt_dir dir = c.frame[i].bytes[26] == 10 ? PKT_EGRESS : PKT_INGRESS;
		struct pkt *p = parse_frame_bytes(&f, c.frame[i].bytes, c.frame[i].len, dir);

		assert_int_equal(p->drop, DROP_NONE);
		if (i == 2)
			key = p->key;
		assert_true(session_key_equal(&p->key, &key));
		errors += !!(p->flags & PKT_ICMP_ERROR);
	}
	assert_int_equal(errors, 4);
	fake_capture_free(&c);
}

static void test_capture_20_tagged_pings_are_dropped_by_name(void **state)
{
	static struct fake_pkt f;
	struct fake_capture c;

	load_or_skip(&c, "20-vlan-1-2-3.pcap");
	assert_int_equal(c.count, 3);
	for (size_t i = 0; i < c.count; i++)
		assert_int_equal(
			parse_frame_bytes(&f, c.frame[i].bytes, c.frame[i].len, PKT_EGRESS)->drop,
			DROP_BAD_ETHER);
	fake_capture_free(&c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_an_echo_identifier_is_the_port_of_the_side_that_asked),
		cmocka_unit_test(test_an_icmp_error_has_the_key_of_the_packet_it_quotes),
		cmocka_unit_test(test_an_icmp_error_about_an_echo_finds_the_side_that_asked),
		cmocka_unit_test(test_errors_about_errors_and_broken_quotes_are_bad_l4),
		cmocka_unit_test(test_capture_13_frag_needed_belongs_to_the_mail_session_a14),
		cmocka_unit_test(test_capture_20_tagged_pings_are_dropped_by_name),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
