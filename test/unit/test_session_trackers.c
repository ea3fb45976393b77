/* SPDX-License-Identifier: BSD-3-Clause */
/* UDP, ICMP with its errors, SCTP, and protocols that nobody knows. */
#include <errno.h>

#include "dataplane/addr.h"
#include "dataplane/session_record.h"
#include "test/unit/track_fixture.h"

static void an_answer_makes_a_udp_session_live_longer(void **unused)
{
	struct track_fixture f;

	for (int v_first = 0; v_first < 2; v_first++) {
		enum pkt_dir x = v_first ? FROM_V : FROM_C, y = !x;

		fixture_init(&f, IPPROTO_UDP);
		PASS(&f, x, "", .payload_len = 10);
		PASS(&f, x, "", .payload_len = 10);
		ASSERT_STATE(&f, "udp-new");
		assert_int_equal(fixture_idle_ms(&f), 30000);
		PASS(&f, y, "", .payload_len = 10);
		ASSERT_STATE(&f, "udp-stream");
		assert_true(f.changed && (f.s.state & SESSION_ASSURED));
		assert_int_equal(fixture_idle_ms(&f), 300000);
		f.now_ms += 77;
		PASS(&f, x, "", .payload_len = 10);
		assert_false(f.changed);
		assert_int_equal(f.s.last_ms, f.now_ms);
		assert_int_equal(f.s.half[x].packets, 3);
		assert_int_equal(f.s.half[x].bytes, 3 * 38);
		assert_int_equal(f.opened, 1);
	}
}

static void other_protocols_have_two_states(void **unused)
{
	struct track_fixture f;

	fixture_init(&f, 47);
	PASS(&f, FROM_V, "", .payload_len = 10);
	ASSERT_STATE(&f, "generic-new");
	PASS(&f, FROM_C, "", .payload_len = 10);
	ASSERT_STATE(&f, "generic-stream");
}

static void only_an_echo_request_opens_a_ping(void **unused)
{
	struct track_fixture f;

	for (int ipv6 = 0; ipv6 < 2; ipv6++) {
		uint8_t request = ipv6 ? 128 : 8, reply = ipv6 ? 129 : 0;

		fixture_init(&f, ipv6 ? IPPROTO_ICMPV6 : IPPROTO_ICMP);
		f.ipv6 = ipv6;
		assert_int_equal(
			SEND(&f, FROM_V, "", .icmp_type = reply, .icmp_id = 7), DROP_NO_SESSION);
		assert_int_equal(
			SEND(&f, FROM_V, "", .icmp_type = ipv6 ? 133 : 13), DROP_NO_SESSION);
		PASS(&f, FROM_C, "", .icmp_type = request, .icmp_id = 7);
		ASSERT_STATE(&f, "icmp-new");
		PASS(&f, FROM_V, "", .icmp_type = reply, .icmp_id = 7);
		ASSERT_STATE(&f, "icmp-replied");
		assert_true(f.s.state & SESSION_FIRST_INGRESS);
	}
}

/* An error of a router about a packet that C or V sent; quoted by `len` bytes. */
static struct pkt *error_about(
	struct track_fixture *f, enum pkt_dir sender, struct fake_packet quoted, uint16_t len)
{
	struct fake_packet error = {.quoted = &quoted, .quoted_len = len, .icmp_mtu = 1280};

	fixture_packet(f, sender, quoted); /* fills nothing of ours, but checks the numbers */
	quoted.proto = f->proto;
	quoted.src = sender == FROM_C ? (f->ipv6 ? "2001:db8::10" : "198.51.100.10")
				      : (f->ipv6 ? "2001:db8:5::5" : "10.0.0.5");
	quoted.dst = sender == FROM_C ? (f->ipv6 ? "2001:db8:5::5" : "10.0.0.5")
				      : (f->ipv6 ? "2001:db8::10" : "198.51.100.10");
	quoted.sport = sender == FROM_C ? 40000 : 80;
	quoted.dport = sender == FROM_C ? 80 : 40000;
	error.proto = f->ipv6 ? IPPROTO_ICMPV6 : IPPROTO_ICMP;
	error.icmp_type = f->ipv6 ? 2 : 3;
	error.icmp_code = f->ipv6 ? 0 : 4;
	error.src = f->ipv6 ? "2001:db8:1::1" : "198.51.100.1";
	error.dst = quoted.src;
	error.pad_to = 128; /* what lies behind the IP packet is not quoted */
	return fake_pkt_make(&f->packet, &error, sender == FROM_V ? FROM_C : FROM_V);
}

static void an_error_belongs_to_a_session_only_if_it_quotes_data_on_their_way(void **unused)
{
	static const struct {
		uint32_t seq;
		enum drop_reason reason;
	} cases[] = {
		{901, DROP_NONE},
		{900, DROP_NONE}, /* the SYN-ACK */
		{2300, DROP_NONE},
		{2349, DROP_NONE},
		{2350, DROP_TCP_WINDOW}, /* not sent yet */
		{2349 - 66001, DROP_TCP_WINDOW},
		{0x80000000, DROP_TCP_WINDOW},
	};
	struct track_fixture f;
	struct session before;

	for (int ipv6 = 0; ipv6 < 2; ipv6++) {
		fixture_init(&f, IPPROTO_TCP);
		f.ipv6 = ipv6;
		fixture_establish(&f);
		PASS(&f, FROM_V, "A", .seq = 901, .ack = 101, .payload_len = 1448);
		before = f.s;
		for (size_t i = 0; i < RTE_DIM(cases); i++) {
			struct fake_packet quoted = {
				.seq = cases[i].seq, .ack = 101, .payload_len = 1448};
			struct pkt *p = error_about(&f, FROM_V, quoted, 0);

			assert_true(p->flags & PKT_ICMP_ERROR);
			assert_true(session_key_equal(&p->key, &f.s.key));
			assert_int_equal(track_related(&f.s, p), cases[i].reason);
			assert_int_equal(track_may_open(&f.policy, p), DROP_RELATED_NONE);
		}
		assert_memory_equal(&before, &f.s, sizeof(before));
	}
}

static void an_error_about_a_side_that_has_sent_nothing_is_forged(void **unused)
{
	struct track_fixture f;

	fixture_init(&f, IPPROTO_TCP);
	PASS(&f, FROM_C, "S", .seq = 100);
	assert_int_equal(
		track_related(&f.s, error_about(&f, FROM_V, (struct fake_packet){.seq = 900}, 0)),
		DROP_RELATED_NONE);
	assert_int_equal(
		track_related(&f.s, error_about(&f, FROM_C, (struct fake_packet){.seq = 100}, 0)),
		DROP_NONE);
}

static void an_error_must_quote_eight_bytes_behind_the_ip_header(void **unused)
{
	struct track_fixture f;

	fixture_init(&f, IPPROTO_TCP);
	fixture_establish(&f);
	assert_int_equal(
		track_related(&f.s, error_about(&f, FROM_V, (struct fake_packet){.seq = 900}, 28)),
		DROP_NONE);
	assert_int_equal(
		track_related(&f.s, error_about(&f, FROM_V, (struct fake_packet){.seq = 900}, 27)),
		DROP_RELATED_NONE);
}

static void an_error_may_quote_ipv6_extension_headers(void **unused)
{
	static const uint8_t options[16] = {
		IPPROTO_DSTOPTS, 0, 1, 4, 0, 0, 0, 0, IPPROTO_TCP, 0, 1, 4};
	struct track_fixture f;
	struct fake_packet quoted = {
		.seq = 900, .ext = options, .ext_len = 16, .ext_first = IPPROTO_HOPOPTS};

	fixture_init(&f, IPPROTO_TCP);
	f.ipv6 = true;
	fixture_establish(&f);
	assert_int_equal(track_related(&f.s, error_about(&f, FROM_V, quoted, 64)), DROP_NONE);
	quoted.seq = 0x40000000;
	assert_int_equal(track_related(&f.s, error_about(&f, FROM_V, quoted, 64)), DROP_TCP_WINDOW);
}

static void errors_about_udp_need_only_the_session(void **unused)
{
	struct track_fixture f;

	fixture_init(&f, IPPROTO_UDP);
	PASS(&f, FROM_V, "", .payload_len = 10);
	assert_int_equal(
		track_related(&f.s, error_about(&f, FROM_V, (struct fake_packet){.ttl = 3}, 0)),
		DROP_NONE);
}

/* SCTP chunks by name. */
enum {
	DATA,
	INIT,
	INIT_ACK,
	SACK,
	HEARTBEAT,
	HEARTBEAT_ACK,
	ABORT,
	SHUTDOWN,
	SHUTDOWN_ACK,
	ERROR,
	COOKIE_ECHO,
	COOKIE_ACK,
	COMPLETE = 14
};

#define T_FLAG 1

static enum drop_reason sctp(
	struct track_fixture *f, enum pkt_dir dir, uint32_t tag, int chunk, uint32_t word)
{
	uint8_t bytes[64];
	size_t len = chunk == INIT || chunk == INIT_ACK
			     ? fake_sctp_init(bytes, (uint8_t)chunk, word)
			     : fake_sctp_chunk(bytes, (uint8_t)chunk, (uint8_t)word, 12);

	return SEND(f, dir, "", .sctp_tag = tag, .payload = bytes, .payload_len = (uint16_t)len,
		.sport = dir == FROM_C ? 5000 : 3868, .dport = dir == FROM_C ? 3868 : 5000);
}

#define SCTP_PASS(f, dir, tag, chunk, word) \
	assert_int_equal(sctp(f, dir, tag, chunk, word), DROP_NONE)
#define SCTP_DROP(f, dir, tag, chunk, word) \
	assert_int_equal(sctp(f, dir, tag, chunk, word), DROP_SCTP_TAG)

/* C wants to see 0xc1, V 0xb1. */
static void sctp_establish(struct track_fixture *f)
{
	fixture_init(f, IPPROTO_SCTP);
	SCTP_PASS(f, FROM_C, 0, INIT, 0xc1);
	ASSERT_STATE(f, "sctp-init");
	SCTP_DROP(f, FROM_V, 0xc2, INIT_ACK, 0xb1);
	SCTP_PASS(f, FROM_V, 0xc1, INIT_ACK, 0xb1);
	ASSERT_STATE(f, "sctp-init-ack");
	SCTP_DROP(f, FROM_C, 0xb2, COOKIE_ECHO, 0);
	SCTP_PASS(f, FROM_C, 0xb1, COOKIE_ECHO, 0);
	ASSERT_STATE(f, "sctp-cookie");
	SCTP_DROP(f, FROM_V, 0xc2, COOKIE_ACK, 0);
	SCTP_PASS(f, FROM_V, 0xc1, COOKIE_ACK, 0);
	ASSERT_STATE(f, "sctp-established");
}

static void sctp_data_both_ways(struct track_fixture *f, uint32_t c_sends, uint32_t v_sends)
{
	SCTP_PASS(f, FROM_C, c_sends, DATA, 0);
	SCTP_PASS(f, FROM_V, v_sends, SACK, 0);
	SCTP_PASS(f, FROM_V, v_sends, HEARTBEAT, 0);
	SCTP_PASS(f, FROM_C, c_sends, HEARTBEAT_ACK, 0);
	SCTP_DROP(f, FROM_C, c_sends ^ 0x100, DATA, 0);
	SCTP_DROP(f, FROM_V, v_sends ^ 0x100, SACK, 0);
	ASSERT_STATE(f, "sctp-established");
}

static void a19_an_association_moves_and_its_ends_may_restart_it(void **unused)
{
	struct track_fixture f;

	sctp_establish(&f);
	f.s.state |= SESSION_IMPORTED;
	sctp_data_both_ways(&f, 0xb1, 0xc1);
	SCTP_PASS(&f, FROM_C, 0, INIT, 0xc9);
	assert_int_equal(f.opened, 1);
	assert_true(track_rejudges(&f.s, &f.packet.pkt));
	ASSERT_STATE(&f, "sctp-init");
	SCTP_PASS(&f, FROM_V, 0xc9, INIT_ACK, 0xb9);
	assert_int_equal(f.s.half[FROM_C].seq_end, 0xb1);
	SCTP_PASS(&f, FROM_C, 0xb9, COOKIE_ECHO, 0);
	assert_int_equal(f.s.half[FROM_C].seq_end, 0xb9);
	SCTP_DROP(&f, FROM_V, 0xc1, COOKIE_ACK, 0);
	SCTP_PASS(&f, FROM_V, 0xc9, COOKIE_ACK, 0);
	sctp_data_both_ways(&f, 0xb9, 0xc9);
	SCTP_DROP(&f, FROM_C, 0xb1, DATA, 0);
}

static void a19_an_abort_with_a_wrong_tag_ends_nothing(void **unused)
{
	struct track_fixture f;

	sctp_establish(&f);
	SCTP_DROP(&f, FROM_C, 0xb2, ABORT, 0);
	SCTP_DROP(&f, FROM_C, 0xc1, ABORT, 0); /* reflected, yet without T */
	SCTP_DROP(&f, FROM_V, 0xb2, ABORT, T_FLAG);
	SCTP_DROP(&f, FROM_V, 0, ABORT, 0);
	sctp_data_both_ways(&f, 0xb1, 0xc1);
	SCTP_PASS(&f, FROM_C, 0xb1, ABORT, 0);
	ASSERT_STATE(&f, "sctp-closed");
	sctp_establish(&f);
	SCTP_PASS(&f, FROM_C, 0xc1, ABORT, T_FLAG);
	ASSERT_STATE(&f, "sctp-closed");
	SCTP_PASS(&f, FROM_C, 0, INIT, 0xc5);
	assert_int_equal(f.opened, 2);
}

static void a_forged_init_does_an_association_no_harm(void **unused)
{
	struct track_fixture f;

	sctp_establish(&f);
	SCTP_PASS(&f, FROM_C, 0, INIT, 0x666);
	ASSERT_STATE(&f, "sctp-init");
	assert_int_equal(fixture_idle_ms(&f), 432000000);
	SCTP_DROP(&f, FROM_C, 0x666, DATA, 0);
	sctp_data_both_ways(&f, 0xb1, 0xc1);
	/* The peer's refusal of that set-up is not the end of the old one either. */
	SCTP_PASS(&f, FROM_C, 0, INIT, 0x666);
	SCTP_PASS(&f, FROM_V, 0x666, ABORT, 0);
	sctp_data_both_ways(&f, 0xb1, 0xc1);
}

static void inits_that_cross_set_up_one_association(void **unused)
{
	struct track_fixture f;

	fixture_init(&f, IPPROTO_SCTP);
	SCTP_PASS(&f, FROM_C, 0, INIT, 0xc1);
	SCTP_PASS(&f, FROM_V, 0, INIT, 0xb1);
	SCTP_PASS(&f, FROM_V, 0xc1, INIT_ACK, 0xb1);
	SCTP_PASS(&f, FROM_C, 0xb1, INIT_ACK, 0xc1);
	SCTP_PASS(&f, FROM_C, 0xb1, COOKIE_ECHO, 0);
	SCTP_PASS(&f, FROM_V, 0xc1, COOKIE_ECHO, 0);
	SCTP_PASS(&f, FROM_V, 0xc1, COOKIE_ACK, 0);
	SCTP_PASS(&f, FROM_C, 0xb1, COOKIE_ACK, 0);
	assert_int_equal(f.opened, 1);
	sctp_data_both_ways(&f, 0xb1, 0xc1);
}

static void sctp_set_up_packets_may_come_again(void **unused)
{
	struct track_fixture f;

	fixture_init(&f, IPPROTO_SCTP);
	for (int i = 0; i < 3; i++) {
		SCTP_PASS(&f, FROM_C, 0, INIT, 0xc1);
		SCTP_PASS(&f, FROM_V, 0xc1, INIT_ACK, 0xb1 + (uint32_t)i);
	}
	for (int i = 0; i < 3; i++)
		SCTP_PASS(&f, FROM_C, 0xb3, COOKIE_ECHO, 0);
	SCTP_PASS(&f, FROM_V, 0xc1, COOKIE_ACK, 0);
	SCTP_PASS(&f, FROM_C, 0xb3, COOKIE_ECHO, 0);
	sctp_data_both_ways(&f, 0xb3, 0xc1);
}

static void an_sctp_shutdown_closes(void **unused)
{
	struct track_fixture f;

	sctp_establish(&f);
	SCTP_PASS(&f, FROM_C, 0xb1, COMPLETE, 0); /* RFC 9260 8.5.1: not in this state */
	ASSERT_STATE(&f, "sctp-established");
	SCTP_PASS(&f, FROM_C, 0xb1, SHUTDOWN, 0);
	ASSERT_STATE(&f, "sctp-shutdown");
	SCTP_PASS(&f, FROM_V, 0xc1, DATA, 0);
	SCTP_PASS(&f, FROM_V, 0xc1, SHUTDOWN_ACK, 0);
	SCTP_DROP(&f, FROM_C, 0xb7, COMPLETE, 0);
	SCTP_PASS(&f, FROM_C, 0xb1, COMPLETE, 0);
	ASSERT_STATE(&f, "sctp-closed");
}

static void sctp_without_its_init_is_picked_up_only_where_allowed(void **unused)
{
	struct track_fixture f;

	fixture_init(&f, IPPROTO_SCTP);
	assert_int_equal(sctp(&f, FROM_C, 0xb1, DATA, 0), DROP_NO_SESSION);
	f.policy.pickup = true;
	assert_int_equal(sctp(&f, FROM_C, 0xb1, ABORT, 0), DROP_NO_SESSION);
	assert_int_equal(sctp(&f, FROM_C, 0, DATA, 0), DROP_NO_SESSION);
	SCTP_PASS(&f, FROM_C, 0xb1, DATA, 0);
	SCTP_DROP(&f, FROM_V, 0xc1, ABORT, 0);
	SCTP_PASS(&f, FROM_V, 0xc1, SACK, 0);
	sctp_data_both_ways(&f, 0xb1, 0xc1);
}

static void a_resync_learns_the_tags_of_an_association_anew(void **unused)
{
	struct track_fixture f;

	sctp_establish(&f);
	track_resync(&f.s);
	SCTP_PASS(&f, FROM_C, 0xb5, DATA, 0);
	SCTP_PASS(&f, FROM_V, 0xc5, SACK, 0);
	sctp_data_both_ways(&f, 0xb5, 0xc5);
}

static void broken_sctp_chunks_are_bad_packets(void **unused)
{
	static const uint8_t init_alone[] = {
		INIT, 0, 0, 20, 0, 0, 0, 0, 0, 1, 0, 0, 0, 1, 0, 1, 0, 0, 0, 0};
	static const struct {
		uint32_t tag;
		uint8_t bytes[20];
		uint16_t len;
	} cases[] = {
		{0, {0}, 0}, /* no chunk */
		{0, {INIT, 0, 0, 20}, 4}, /* longer than the packet */
		{0, {INIT, 0, 0, 4}, 4}, /* too short for its tag */
		{7, {INIT, 0, 0, 20, 0, 0, 0, 9}, 20}, /* INIT with a tag of its own */
		{0, {INIT_ACK, 0, 0, 20, 0, 0, 0, 9}, 20}, /* INIT-ACK without */
		{7, {DATA, 0, 0, 0}, 4}, /* length 0 */
		{7, {DATA, 0, 0, 3}, 4},
	};
	struct track_fixture f;

	fixture_init(&f, IPPROTO_SCTP);
	f.policy.pickup = true;
	assert_int_equal(
		SEND(&f, FROM_C, "", .payload = init_alone, .payload_len = 20), DROP_BAD_L4);
	for (size_t i = 0; i < RTE_DIM(cases); i++)
		assert_int_equal(SEND(&f, FROM_C, "", .sctp_tag = cases[i].tag,
					 .payload = cases[i].bytes, .payload_len = cases[i].len),
			DROP_BAD_L4);
	assert_false(f.exists);
}

static void a_chunk_behind_data_ends_the_association_too(void **unused)
{
	uint8_t bytes[64];
	size_t len = fake_sctp_chunk(bytes, DATA, 0, 13);
	struct track_fixture f;

	len += fake_sctp_chunk(bytes + len, ABORT, 0, 0);
	sctp_establish(&f);
	PASS(&f, FROM_C, "", .sctp_tag = 0xb1, .payload = bytes, .payload_len = (uint16_t)len,
		.sport = 5000, .dport = 3868);
	ASSERT_STATE(&f, "sctp-closed");
}

static void an_error_about_sctp_must_quote_its_tag(void **unused)
{
	struct track_fixture f;

	sctp_establish(&f);
	assert_int_equal(track_related(&f.s, error_about(&f, FROM_V,
						     (struct fake_packet){.sctp_tag = 0xc1}, 0)),
		DROP_NONE);
	assert_int_equal(track_related(&f.s, error_about(&f, FROM_V,
						     (struct fake_packet){.sctp_tag = 0xb1}, 0)),
		DROP_SCTP_TAG);
	assert_int_equal(
		track_related(&f.s, error_about(&f, FROM_V, (struct fake_packet){.ttl = 1}, 0)),
		DROP_SCTP_TAG);
}

static void each_state_belongs_to_one_protocol(void **unused)
{
	static const uint8_t protos[] = {IPPROTO_TCP, IPPROTO_UDP, IPPROTO_ICMP, IPPROTO_SCTP, 47};
	int owners;

	for (int state = 0; state < SESSION_STATE_COUNT + 3; state++) {
		owners = 0;
		for (size_t i = 0; i < RTE_DIM(protos); i++)
			owners += track_state_valid(protos[i], (enum session_state)state);
		assert_int_equal(owners, state > 0 && state < SESSION_STATE_COUNT);
		assert_int_equal(track_state_valid(IPPROTO_ICMP, (enum session_state)state),
			track_state_valid(IPPROTO_ICMPV6, (enum session_state)state));
	}
	assert_true(track_state_valid(IPPROTO_TCP, SESSION_TCP_CLOSE));
	assert_true(track_state_valid(IPPROTO_SCTP, SESSION_SCTP_INIT));
}

/* Trackers look into tables by the state. */
static void a_record_in_a_state_of_another_protocol_is_malformed(void **unused)
{
	static const uint8_t protos[] = {IPPROTO_TCP, IPPROTO_UDP, IPPROTO_ICMP, IPPROTO_SCTP, 47};
	struct session_record record = {
		.tuple = {.local = addr_from_v4(1), .remote = addr_from_v4(2), .vni = 100},
		.birth_id = 1};
	uint8_t bytes[SESSION_RECORD_MAX];

	for (size_t i = 0; i < RTE_DIM(protos); i++)
		for (int state = 0; state < SESSION_STATE_COUNT + 3; state++) {
			struct session_record out;
			int len;

			record.tuple.proto = protos[i];
			record.state = (uint64_t)state;
			len = session_record_pack(&record, bytes, sizeof(bytes), NULL);
			assert_true(len > 0);
			assert_int_equal(session_record_unpack(bytes, (size_t)len, &out, NULL),
				track_state_valid(protos[i], (enum session_state)state) ? len
											: -EBADMSG);
		}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_answer_makes_a_udp_session_live_longer),
		cmocka_unit_test(other_protocols_have_two_states),
		cmocka_unit_test(only_an_echo_request_opens_a_ping),
		cmocka_unit_test(an_error_belongs_to_a_session_only_if_it_quotes_data_on_their_way),
		cmocka_unit_test(an_error_about_a_side_that_has_sent_nothing_is_forged),
		cmocka_unit_test(an_error_must_quote_eight_bytes_behind_the_ip_header),
		cmocka_unit_test(an_error_may_quote_ipv6_extension_headers),
		cmocka_unit_test(errors_about_udp_need_only_the_session),
		cmocka_unit_test(a19_an_association_moves_and_its_ends_may_restart_it),
		cmocka_unit_test(a19_an_abort_with_a_wrong_tag_ends_nothing),
		cmocka_unit_test(a_forged_init_does_an_association_no_harm),
		cmocka_unit_test(inits_that_cross_set_up_one_association),
		cmocka_unit_test(sctp_set_up_packets_may_come_again),
		cmocka_unit_test(an_sctp_shutdown_closes),
		cmocka_unit_test(sctp_without_its_init_is_picked_up_only_where_allowed),
		cmocka_unit_test(a_resync_learns_the_tags_of_an_association_anew),
		cmocka_unit_test(broken_sctp_chunks_are_bad_packets),
		cmocka_unit_test(a_chunk_behind_data_ends_the_association_too),
		cmocka_unit_test(an_error_about_sctp_must_quote_its_tag),
		cmocka_unit_test(each_state_belongs_to_one_protocol),
		cmocka_unit_test(a_record_in_a_state_of_another_protocol_is_malformed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
