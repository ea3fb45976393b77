/* SPDX-License-Identifier: BSD-3-Clause */
/* Rules of RFC 9293, 5961, 7323 and 7413 beside the state table, and what a move asks for. */
#include "test/unit/track_fixture.h"

static void a_syn_ack_must_acknowledge_the_syn(void **unused)
{
	struct track_fixture f;

	fixture_init(&f, IPPROTO_TCP);
	PASS(&f, FROM_C, "S", .seq = 100);
	assert_int_equal(SEND(&f, FROM_V, "SA", .seq = 900, .ack = 100), DROP_TCP_WINDOW);
	assert_int_equal(SEND(&f, FROM_V, "SA", .seq = 900, .ack = 102), DROP_TCP_WINDOW);
	ASSERT_STATE(&f, "tcp-syn-sent");
	PASS(&f, FROM_V, "SA", .seq = 900, .ack = 101);
}

static void a_host_without_the_connection_may_refuse_a_repeated_syn(void **unused)
{
	struct track_fixture f;

	fixture_init(&f, IPPROTO_TCP);
	PASS(&f, FROM_C, "S", .seq = 100000);
	PASS(&f, FROM_V, "SA", .seq = 0x40000000, .ack = 100001);
	PASS(&f, FROM_C, "S", .seq = 100000);
	assert_int_equal(SEND(&f, FROM_V, "RA", .seq = 0, .ack = 99999), DROP_TCP_RST);
	PASS(&f, FROM_V, "RA", .seq = 0, .ack = 100001);
	ASSERT_STATE(&f, "tcp-syn-recv");
}

static void a_half_open_peer_is_found_out_by_challenge_and_rst(void **unused)
{
	struct track_fixture f;

	/* C lost its state and dials again; V still has the old connection (RFC 9293 3.5.1). */
	fixture_init(&f, IPPROTO_TCP);
	fixture_establish(&f);
	PASS(&f, FROM_C, "S", .seq = 0x50000000);
	assert_int_equal(f.opened, 1);
	ASSERT_STATE(&f, "tcp-established");
	PASS(&f, FROM_V, "A", .seq = 901, .ack = 101);
	PASS(&f, FROM_C, "R", .seq = 101);
	ASSERT_STATE(&f, "tcp-close");
	PASS(&f, FROM_C, "S", .seq = 0x50000000);
	assert_int_equal(f.opened, 2);

	/* The same where we never knew the old connection. */
	fixture_init(&f, IPPROTO_TCP);
	PASS(&f, FROM_C, "S", .seq = 0x50000000);
	PASS(&f, FROM_V, "A", .seq = 901, .ack = 101);
	PASS(&f, FROM_C, "R", .seq = 101);
	PASS(&f, FROM_C, "S", .seq = 0x50000000);
	PASS(&f, FROM_V, "SA", .seq = 4711, .ack = 0x50000001);
	assert_int_equal(f.opened, 1);
}

static void a_peer_without_the_connection_proves_it_by_its_answer_to_a_syn(void **unused)
{
	struct track_fixture f;

	for (int refuses = 0; refuses < 2; refuses++) {
		fixture_init(&f, IPPROTO_TCP);
		fixture_establish(&f);
		PASS(&f, FROM_C, "S", .seq = 0x50000000);
		assert_true(track_rejudges(&f.s, &f.packet.pkt));
		if (refuses)
			PASS(&f, FROM_V, "RA", .seq = 0, .ack = 0x50000001);
		else
			assert_int_equal(
				SEND(&f, FROM_V, "SA", .seq = 0x60000000, .ack = 0x50000001),
				DROP_TCP_FLAGS);
		ASSERT_STATE(&f, "tcp-close");
	}
	/* To another number than that of the SYN, they are forged, ... */
	fixture_init(&f, IPPROTO_TCP);
	fixture_establish(&f);
	PASS(&f, FROM_C, "S", .seq = 0x50000000);
	assert_int_equal(
		SEND(&f, FROM_V, "SA", .seq = 0x60000000, .ack = 0x50000002), DROP_TCP_WINDOW);
	ASSERT_STATE(&f, "tcp-established");
	/* ... and without that SYN too. */
	fixture_init(&f, IPPROTO_TCP);
	fixture_establish(&f);
	assert_int_equal(
		SEND(&f, FROM_V, "SA", .seq = 0x60000000, .ack = 0x50000001), DROP_TCP_WINDOW);
	assert_int_equal(
		SEND(&f, FROM_V, "RA", .seq = 0x60000000, .ack = 0x50000001), DROP_TCP_RST);
	ASSERT_STATE(&f, "tcp-established");
}

static void only_a_syn_into_a_living_session_is_judged_again(void **unused)
{
	struct track_fixture f;

	fixture_init(&f, IPPROTO_TCP);
	PASS(&f, FROM_C, "S", .seq = 100);
	fixture_packet(&f, FROM_C, (struct fake_packet){.tcp_flags = RTE_TCP_SYN_FLAG, .seq = 100});
	assert_false(track_rejudges(&f.s, &f.packet.pkt));
	fixture_packet(&f, FROM_V, (struct fake_packet){.tcp_flags = RTE_TCP_SYN_FLAG, .seq = 300});
	assert_false(track_rejudges(&f.s, &f.packet.pkt));
	PASS(&f, FROM_V, "SA", .seq = 900, .ack = 101);
	PASS(&f, FROM_C, "A", .seq = 101, .ack = 901);
	assert_false(track_rejudges(&f.s, &f.packet.pkt));
	fixture_packet(&f, FROM_C, (struct fake_packet){.tcp_flags = RTE_TCP_SYN_FLAG, .seq = 9});
	assert_true(track_rejudges(&f.s, &f.packet.pkt));
	assert_false(track_reopens(&f.s, &f.packet.pkt));
}

static void keepalives_and_zero_window_probes_pass(void **unused)
{
	struct track_fixture f;

	fixture_init(&f, IPPROTO_TCP);
	fixture_establish(&f);
	PASS(&f, FROM_C, "A", .seq = 100, .ack = 901);
	PASS(&f, FROM_C, "A", .seq = 100, .ack = 901, .payload_len = 1);
	PASS(&f, FROM_V, "A", .seq = 901, .ack = 101);
	/* C fills V's buffer; V closes its window. */
	f.window = 0;
	PASS(&f, FROM_C, "A", .seq = 101, .ack = 901, .payload_len = 1460, .window = 1000);
	PASS(&f, FROM_V, "A", .seq = 901, .ack = 1561);
	f.window = 1000;
	PASS(&f, FROM_C, "A", .seq = 1561, .ack = 901, .payload_len = 1);
	PASS(&f, FROM_V, "A", .seq = 901, .ack = 1562);
}

static void a_window_closed_from_the_start_lets_one_byte_through(void **unused)
{
	struct track_fixture f;

	fixture_init(&f, IPPROTO_TCP);
	PASS(&f, FROM_C, "S", .seq = 100);
	f.window = 0;
	PASS(&f, FROM_V, "SA", .seq = 900, .ack = 101);
	f.window = 64240;
	PASS(&f, FROM_C, "A", .seq = 101, .ack = 901);
	PASS(&f, FROM_C, "A", .seq = 101, .ack = 901, .payload_len = 1);
	assert_int_equal(
		SEND(&f, FROM_C, "A", .seq = 101, .ack = 901, .payload_len = 2), DROP_TCP_WINDOW);
}

static void duplicate_acks_with_sack_beyond_the_ack_pass(void **unused)
{
	struct track_fixture f;
	uint32_t seq = 901;

	fixture_init(&f, IPPROTO_TCP);
	fixture_establish(&f);
	fixture_transfer(&f, &seq, 101, 44);
	for (uint32_t edge = 901 + 2 * 1448; edge <= seq; edge += 1448) {
		PASS(&f, FROM_C, "A", .seq = 101, .ack = 901, .sack = {901 + 1448, edge});
		assert_int_equal(f.s.half[FROM_C].seq_limit, 901 + 64240);
	}
	PASS(&f, FROM_V, "A", .seq = 901, .ack = 101, .payload_len = 1448);
	PASS(&f, FROM_C, "A", .seq = 101, .ack = seq);
}

static void retransmissions_far_behind_pass_without_effect(void **unused)
{
	struct track_fixture f;
	uint32_t seq = 901;
	struct session before;

	fixture_init(&f, IPPROTO_TCP);
	fixture_establish(&f);
	for (int i = 0; i < 5; i++) {
		fixture_transfer(&f, &seq, 101, 40);
		PASS(&f, FROM_C, "A", .seq = 101, .ack = seq);
	}
	before = f.s;
	f.now_ms += 1000;
	PASS(&f, FROM_V, "A", .seq = seq - 200000, .ack = 101, .payload_len = 1448);
	PASS(&f, FROM_C, "A", .seq = 101, .ack = seq - 200000);
	assert_int_equal(f.s.last_ms, before.last_ms);
	assert_int_equal(f.s.half[FROM_V].seq_end, before.half[FROM_V].seq_end);
	assert_int_equal(f.s.half[FROM_C].seq_limit, before.half[FROM_C].seq_limit);
	assert_int_equal(SEND(&f, FROM_V, "A", .seq = seq - 300000, .ack = 101), DROP_TCP_WINDOW);
	assert_int_equal(SEND(&f, FROM_C, "A", .seq = 101, .ack = seq - 300000), DROP_TCP_WINDOW);
}

static void a_syn_ack_again_may_bring_a_larger_window(void **unused)
{
	struct track_fixture f;

	fixture_init(&f, IPPROTO_TCP);
	PASS(&f, FROM_C, "S", .seq = 100, .window = 500);
	PASS(&f, FROM_V, "SA", .seq = 900, .ack = 101, .window = 500);
	PASS(&f, FROM_C, "S", .seq = 100, .window = 2000);
	PASS(&f, FROM_V, "SA", .seq = 900, .ack = 101, .window = 1000);
	PASS(&f, FROM_C, "A", .seq = 101, .ack = 901, .payload_len = 1000, .window = 10);
	PASS(&f, FROM_V, "A", .seq = 901, .ack = 1101, .payload_len = 2000);
	assert_int_equal(
		SEND(&f, FROM_V, "A", .seq = 2901, .ack = 1101, .payload_len = 1), DROP_TCP_WINDOW);
}

static void of_two_answers_to_a_syn_the_one_that_is_acknowledged_counts(void **unused)
{
	static const uint32_t answers[2] = {900, 0x90000000};
	struct track_fixture f;

	for (int taken = 0; taken < 2; taken++) {
		fixture_init(&f, IPPROTO_TCP);
		PASS(&f, FROM_C, "S", .seq = 100);
		for (int i = 0; i < 4; i++)
			PASS(&f, FROM_V, "SA", .seq = answers[i & 1], .ack = 101);
		ASSERT_STATE(&f, "tcp-syn-recv");
		PASS(&f, FROM_C, "A", .seq = 101, .ack = answers[taken] + 1);
		ASSERT_STATE(&f, "tcp-established");
		PASS(&f, FROM_V, "A", .seq = answers[taken] + 1, .ack = 101, .payload_len = 10);
		PASS(&f, FROM_C, "A", .seq = 101, .ack = answers[taken] + 11);
		/* Known by now, and strict again. */
		assert_int_equal(SEND(&f, FROM_V, "A", .seq = answers[!taken] + 1, .ack = 101),
			DROP_TCP_WINDOW);
		assert_int_equal(SEND(&f, FROM_C, "A", .seq = 101, .ack = answers[taken] + 12),
			DROP_TCP_WINDOW);
	}
}

static void an_ack_of_data_never_sent_is_dropped(void **unused)
{
	struct track_fixture f;

	fixture_init(&f, IPPROTO_TCP);
	fixture_establish(&f);
	assert_int_equal(SEND(&f, FROM_C, "A", .seq = 101, .ack = 902), DROP_TCP_WINDOW);
	PASS(&f, FROM_V, "A", .seq = 901, .ack = 101, .payload_len = 1);
	PASS(&f, FROM_C, "A", .seq = 101, .ack = 902);
}

static void a_fin_may_stand_one_beyond_a_full_window(void **unused)
{
	struct track_fixture f;

	fixture_init(&f, IPPROTO_TCP);
	f.window = 1000;
	fixture_establish(&f);
	assert_int_equal(SEND(&f, FROM_C, "A", .seq = 101, .ack = 901, .payload_len = 1001),
		DROP_TCP_WINDOW);
	PASS(&f, FROM_C, "FA", .seq = 101, .ack = 901, .payload_len = 1000);
	ASSERT_STATE(&f, "tcp-fin-wait");
}

static void scaling_needs_both_sides_to_offer_it(void **unused)
{
	struct track_fixture f;

	fixture_init(&f, IPPROTO_TCP);
	PASS(&f, FROM_C, "S", .seq = 100, .wscale = FAKE_WSCALE(7));
	PASS(&f, FROM_V, "SA", .seq = 900, .ack = 101);
	PASS(&f, FROM_C, "A", .seq = 101, .ack = 901, .window = 1000);
	assert_int_equal(f.s.half[FROM_C].scale, 0);
	fixture_init(&f, IPPROTO_TCP);
	PASS(&f, FROM_C, "S", .seq = 100);
	PASS(&f, FROM_V, "SA", .seq = 900, .ack = 101, .wscale = FAKE_WSCALE(7));
	assert_int_equal(f.s.half[FROM_V].scale, 0);
	/* More than 14 counts as 14 (RFC 7323 2.3). */
	fixture_init(&f, IPPROTO_TCP);
	PASS(&f, FROM_C, "S", .seq = 100, .wscale = FAKE_WSCALE(77));
	PASS(&f, FROM_V, "SA", .seq = 900, .ack = 101, .wscale = FAKE_WSCALE(0));
	assert_int_equal(f.s.half[FROM_C].scale, 14);
	assert_int_equal(f.s.half[FROM_V].scale, 0);
}

static void broken_tcp_options_end_the_search(void **unused)
{
	static const struct {
		uint8_t bytes[8];
		uint8_t scale;
	} cases[] = {
		{{1, 1, 1, 3, 3, 5, 0, 0}, 5},
		{{0, 3, 3, 5, 1, 1, 1, 1}, 0}, /* after the end */
		{{8, 0, 3, 3, 5, 1, 1, 1}, 0}, /* length 0 */
		{{8, 1, 3, 3, 5, 1, 1, 1}, 0}, /* length 1 */
		{{8, 40, 3, 3, 5, 1, 1, 1}, 0}, /* beyond the header */
		{{3, 4, 5, 0, 1, 1, 1, 1}, 0}, /* wrong length of the option itself */
		{{1, 1, 1, 1, 1, 1, 3, 3}, 0}, /* cut by the header's end */
		{{1, 1, 1, 1, 1, 1, 1, 3}, 0},
	};
	struct track_fixture f;

	for (size_t i = 0; i < RTE_DIM(cases); i++) {
		fixture_init(&f, IPPROTO_TCP);
		PASS(&f, FROM_C, "S", .seq = 100, .tcp_options = cases[i].bytes,
			.tcp_options_len = 8);
		assert_int_equal(f.s.half[FROM_C].scale, cases[i].scale);
	}
}

static void liberal_sessions_pass_everything_but_keep_their_state(void **unused)
{
	struct track_fixture f;

	fixture_init(&f, IPPROTO_TCP);
	f.policy.tcp_liberal = true;
	fixture_establish(&f);
	f.policy.tcp_liberal = false; /* the session keeps its own mark */
	PASS(&f, FROM_C, "A", .seq = 50000000, .ack = 901, .payload_len = 100);
	PASS(&f, FROM_V, "A", .seq = 901, .ack = 77777777);
	f.now_ms += 5;
	PASS(&f, FROM_C, "R", .seq = 4000000000);
	ASSERT_STATE(&f, "tcp-established");
	PASS(&f, FROM_C, "FA", .seq = 50000100, .ack = 901);
	ASSERT_STATE(&f, "tcp-fin-wait");
	assert_int_equal(SEND(&f, FROM_C, "SF", .seq = 1), DROP_TCP_FLAGS);
}

static void a_resync_is_liberal_until_both_sides_are_heard(void **unused)
{
	struct track_fixture f;

	fixture_init(&f, IPPROTO_TCP);
	fixture_establish(&f);
	track_resync(&f.s);
	/* 10 MB went by on another host. */
	PASS(&f, FROM_C, "A", .seq = 101, .ack = 10000901);
	PASS(&f, FROM_V, "A", .seq = 10000901, .ack = 101, .payload_len = 1000);
	assert_int_equal(f.s.half[FROM_V].seq_end, 10001901);
	assert_int_equal(f.s.half[FROM_C].seq_limit, 10000901 + 64240);
	assert_int_equal(
		SEND(&f, FROM_V, "A", .seq = 901 + (1 << 30), .ack = 101), DROP_TCP_WINDOW);
	/* V may have sent what C had room for, and no more. */
	assert_int_equal(
		SEND(&f, FROM_C, "A", .seq = 101, .ack = 10000901 + 64242), DROP_TCP_WINDOW);
	PASS(&f, FROM_C, "A", .seq = 101, .ack = 10001901);
}

static void a_resync_completes_a_handshake_whose_syn_ack_went_by_elsewhere(void **unused)
{
	struct track_fixture f;

	fixture_init(&f, IPPROTO_TCP);
	PASS(&f, FROM_C, "S", .seq = 100);
	assert_int_equal(SEND(&f, FROM_C, "A", .seq = 101, .ack = 901), DROP_TCP_FLAGS);
	track_resync(&f.s);
	PASS(&f, FROM_C, "A", .seq = 101, .ack = 901);
	ASSERT_STATE(&f, "tcp-established");
	PASS(&f, FROM_V, "A", .seq = 901, .ack = 101, .payload_len = 10);
	PASS(&f, FROM_C, "A", .seq = 101, .ack = 911);
}

static void a_fragmented_segment_does_not_upset_the_windows(void **unused)
{
	static uint8_t whole[FAKE_FRAME_MAX], piece[FAKE_FRAME_MAX];
	struct track_fixture f;
	size_t whole_len, piece_len;
	struct fake_packet spec;

	fixture_init(&f, IPPROTO_TCP);
	fixture_establish(&f);
	spec = (struct fake_packet){.proto = IPPROTO_TCP,
		.src = "10.0.0.5",
		.dst = "198.51.100.10",
		.sport = 80,
		.dport = 40000,
		.tcp_flags = RTE_TCP_ACK_FLAG,
		.seq = 901,
		.ack = 101,
		.window = 64240,
		.payload_len = 3000};
	whole_len = fake_packet_build(&spec, whole, sizeof(whole));
	for (uint16_t offset = 0; offset < 3020; offset += 1480) {
		struct pkt *p;

		piece_len = fake_packet_fragment(
			whole, whole_len, offset, 1480, 1, piece, sizeof(piece));
		p = fake_pkt_wrap(&f.packet, piece, piece_len, FROM_V);
		assert_int_equal(fixture_track(&f, p), DROP_NONE);
	}
	assert_int_equal(f.s.half[FROM_V].packets, 1 + 3);
	PASS(&f, FROM_C, "A", .seq = 101, .ack = 3901);
	PASS(&f, FROM_V, "A", .seq = 3901, .ack = 101, .payload_len = 10);
	PASS(&f, FROM_C, "A", .seq = 101, .ack = 3911);
	assert_int_equal(SEND(&f, FROM_C, "A", .seq = 101, .ack = 3912), DROP_TCP_WINDOW);
}

static void time_is_stored_only_when_it_has_changed(void **unused)
{
	struct track_fixture f;

	fixture_init(&f, IPPROTO_TCP);
	f.now_ms = UINT32_MAX - 5; /* the clock wraps */
	fixture_establish(&f);
	f.now_ms += 10;
	PASS(&f, FROM_C, "A", .seq = 101, .ack = 901);
	assert_int_equal(f.s.last_ms, 4);
	assert_false(session_expired(&f.s, &f.timeouts, f.now_ms + 432000000));
	assert_true(session_expired(&f.s, &f.timeouts, f.now_ms + 432000001));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_syn_ack_must_acknowledge_the_syn),
		cmocka_unit_test(a_host_without_the_connection_may_refuse_a_repeated_syn),
		cmocka_unit_test(a_half_open_peer_is_found_out_by_challenge_and_rst),
		cmocka_unit_test(a_peer_without_the_connection_proves_it_by_its_answer_to_a_syn),
		cmocka_unit_test(only_a_syn_into_a_living_session_is_judged_again),
		cmocka_unit_test(keepalives_and_zero_window_probes_pass),
		cmocka_unit_test(a_window_closed_from_the_start_lets_one_byte_through),
		cmocka_unit_test(duplicate_acks_with_sack_beyond_the_ack_pass),
		cmocka_unit_test(retransmissions_far_behind_pass_without_effect),
		cmocka_unit_test(a_syn_ack_again_may_bring_a_larger_window),
		cmocka_unit_test(of_two_answers_to_a_syn_the_one_that_is_acknowledged_counts),
		cmocka_unit_test(an_ack_of_data_never_sent_is_dropped),
		cmocka_unit_test(a_fin_may_stand_one_beyond_a_full_window),
		cmocka_unit_test(scaling_needs_both_sides_to_offer_it),
		cmocka_unit_test(broken_tcp_options_end_the_search),
		cmocka_unit_test(liberal_sessions_pass_everything_but_keep_their_state),
		cmocka_unit_test(a_resync_is_liberal_until_both_sides_are_heard),
		cmocka_unit_test(a_resync_completes_a_handshake_whose_syn_ack_went_by_elsewhere),
		cmocka_unit_test(a_fragmented_segment_does_not_upset_the_windows),
		cmocka_unit_test(time_is_stored_only_when_it_has_changed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
