/* SPDX-License-Identifier: BSD-3-Clause */
/* Trouble from the field, by its id; and the rules of RFC 5961, 7323 and 7413 next to it. */
#include "test/unit/track_fixture.h"

/* What a move does for the tracker: the record becomes another session. */
static void move(struct track_fixture *f)
{
	struct session moved = f->s;

	moved.state |= SESSION_IMPORTED;
	f->s = moved;
}

static void transfer(struct track_fixture *f, uint32_t *seq, uint32_t ack, int segments)
{
	for (int i = 0; i < segments; i++, *seq += 1448)
		PASS(f, FROM_V, "A", .seq = *seq, .ack = ack, .payload_len = 1448, .window = 509);
}

static void a01_window_scales_survive_a_move_and_bound_the_data(void **unused)
{
	struct track_fixture f;
	uint32_t seq = 901;

	for (int ipv6 = 0; ipv6 < 2; ipv6++, seq = 901) {
		fixture_init(&f, IPPROTO_TCP);
		f.ipv6 = ipv6;
		PASS(&f, FROM_C, "S", .seq = 100, .window = 64240, .wscale = FAKE_WSCALE(7));
		PASS(&f, FROM_V, "SA", .seq = 900, .ack = 101, .window = 65160,
			.wscale = FAKE_WSCALE(9));
		PASS(&f, FROM_C, "A", .seq = 101, .ack = 901, .window = 502);
		move(&f);
		transfer(&f, &seq, 101, 44);
		assert_int_equal(SEND(&f, FROM_V, "A", .seq = seq, .ack = 101, .payload_len = 1448),
			DROP_TCP_WINDOW);
		PASS(&f, FROM_C, "A", .seq = 101, .ack = seq, .window = 2000);
		transfer(&f, &seq, 101, 170);
		assert_int_equal(f.s.half[FROM_C].scale, 7);
		assert_int_equal(f.s.half[FROM_V].scale, 9);
		assert_int_equal(f.s.half[FROM_V].packets, 1 + 44 + 170);
	}
}

static void a01_a_mid_stream_pick_up_assumes_scale_14_and_drops_nothing(void **unused)
{
	struct track_fixture f;
	uint32_t seq = 901;

	fixture_init(&f, IPPROTO_TCP);
	assert_int_equal(SEND(&f, FROM_C, "A", .seq = 101, .ack = 901), DROP_NO_SESSION);
	f.policy.pickup = true;
	PASS(&f, FROM_C, "A", .seq = 101, .ack = 901, .window = 502);
	assert_true(f.s.state & SESSION_PICKUP);
	ASSERT_STATE(&f, "tcp-established");
	transfer(&f, &seq, 101, 44);
	PASS(&f, FROM_C, "A", .seq = 101, .ack = seq, .window = 2000);
	transfer(&f, &seq, 101, 170);
	assert_int_equal(f.s.half[FROM_C].scale, SESSION_SCALE_UNKNOWN);
	/* Now both sides are known, so there is a limit again: 2000 << 14 beyond the ack. */
	assert_int_equal(
		SEND(&f, FROM_V, "A", .seq = seq + (2000u << 14), .ack = 101), DROP_TCP_WINDOW);
	assert_int_equal(SEND(&f, FROM_C, "A", .seq = 101, .ack = seq + 1), DROP_TCP_WINDOW);
}

static void a03_a_new_syn_on_a_closed_connection_is_a_new_session(void **unused)
{
	struct track_fixture f;

	for (int v_first = 0; v_first < 2; v_first++) {
		enum pkt_dir x = v_first ? FROM_V : FROM_C, y = !x;
		uint32_t next[2] = {[FROM_C] = 101, [FROM_V] = 901};

		fixture_init(&f, IPPROTO_TCP);
		fixture_establish(&f);
		PASS(&f, FROM_C, "A", .seq = 101, .ack = 901, .payload_len = 8898);
		PASS(&f, FROM_V, "A", .seq = 901, .ack = 8999);
		next[FROM_C] = 8999;
		PASS(&f, x, "FA", .seq = next[x], .ack = next[y]);
		PASS(&f, y, "FA", .seq = next[y], .ack = next[x] + 1);
		PASS(&f, x, "A", .seq = next[x] + 1, .ack = next[y] + 1);
		ASSERT_STATE(&f, "tcp-time-wait");
		f.now_ms += 5000;
		PASS(&f, FROM_C, "S", .seq = 20000);
		assert_int_equal(f.opened, 2);
		PASS(&f, FROM_V, "SA", .seq = 77, .ack = 20001);
		PASS(&f, FROM_C, "A", .seq = 20001, .ack = 78);
		ASSERT_STATE(&f, "tcp-established");
		assert_int_equal(fixture_idle_ms(&f), 432000000);
		f.now_ms += 300000;
		PASS(&f, FROM_C, "A", .seq = 20001, .ack = 78, .payload_len = 100);
		assert_int_equal(f.opened, 2);
	}
}

static void a03_an_older_syn_is_an_old_duplicate(void **unused)
{
	struct track_fixture f;
	struct session before;

	fixture_init(&f, IPPROTO_TCP);
	fixture_establish(&f);
	PASS(&f, FROM_C, "FA", .seq = 101, .ack = 901, .payload_len = 8898);
	PASS(&f, FROM_V, "FA", .seq = 901, .ack = 9000);
	PASS(&f, FROM_C, "A", .seq = 9000, .ack = 902);
	before = f.s;
	f.now_ms += 5000;
	PASS(&f, FROM_C, "S", .seq = 8000);
	assert_int_equal(f.opened, 1);
	ASSERT_STATE(&f, "tcp-time-wait");
	assert_int_equal(f.s.last_ms, before.last_ms);
	assert_int_equal(f.s.half[FROM_C].seq_end, 9000);
	/* If V takes it all the same (RFC 6191), the retransmission of the SYN is admitted anew. */
	assert_int_equal(SEND(&f, FROM_V, "SA", .seq = 5000000, .ack = 8001), DROP_TCP_FLAGS);
	assert_true(f.changed);
	PASS(&f, FROM_C, "S", .seq = 8000);
	assert_int_equal(f.opened, 2);
	PASS(&f, FROM_V, "SA", .seq = 5000000, .ack = 8001);
}

static void a04_syn_and_syn_ack_again_never_promote(void **unused)
{
	struct track_fixture f;

	fixture_init(&f, IPPROTO_TCP);
	for (int i = 0; i < 10; i++) {
		PASS(&f, FROM_C, "S", .seq = 100);
		PASS(&f, FROM_V, "SA", .seq = 900, .ack = 101);
		ASSERT_STATE(&f, "tcp-syn-recv");
		assert_false(f.s.state & SESSION_ASSURED);
		assert_int_equal(fixture_idle_ms(&f), 30000);
	}
	assert_int_equal(f.opened, 1);
	f.now_ms += 30001;
	assert_true(session_expired(&f.s, &f.timeouts, f.now_ms));
}

static void a04_only_an_ack_of_the_very_syn_promotes(void **unused)
{
	static const uint32_t wrong[] = {899, 900, 902, 901 - 66000, 901 + 64240, 0, 0x80000000};
	struct track_fixture f;

	fixture_init(&f, IPPROTO_TCP);
	PASS(&f, FROM_C, "S", .seq = 100);
	PASS(&f, FROM_V, "SA", .seq = 900, .ack = 101);
	for (size_t i = 0; i < RTE_DIM(wrong); i++) {
		assert_int_equal(
			SEND(&f, FROM_C, "A", .seq = 101, .ack = wrong[i]), DROP_TCP_WINDOW);
		assert_int_equal(
			SEND(&f, FROM_C, "FA", .seq = 101, .ack = wrong[i]), DROP_TCP_WINDOW);
	}
	assert_int_equal(SEND(&f, FROM_C, "A", .seq = 99, .ack = 901), DROP_TCP_WINDOW);
	PASS(&f, FROM_C, "A", .seq = 100, .ack = 901); /* a keepalive, V will answer */
	ASSERT_STATE(&f, "tcp-syn-recv");
	PASS(&f, FROM_C, "A", .seq = 101, .ack = 901);
	ASSERT_STATE(&f, "tcp-established");
}

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

/* C's next is 5000, V's 901; C may send up to 901 + 64000. */
static void establish_a07(struct track_fixture *f)
{
	fixture_init(f, IPPROTO_TCP);
	f->window = 64000;
	fixture_establish(f);
	PASS(f, FROM_C, "A", .seq = 101, .ack = 901, .payload_len = 4899);
	PASS(f, FROM_V, "A", .seq = 901, .ack = 5000);
}

static void a07_a_rst_outside_the_window_is_dropped(void **unused)
{
	struct track_fixture f;
	struct session before;

	establish_a07(&f);
	before = f.s;
	assert_int_equal(SEND(&f, FROM_C, "R", .seq = 5000000), DROP_TCP_RST);
	assert_int_equal(SEND(&f, FROM_C, "RA", .seq = 5000 + 64001, .ack = 901), DROP_TCP_RST);
	assert_memory_equal(&before, &f.s, sizeof(before));
	PASS(&f, FROM_C, "A", .seq = 5000, .ack = 901, .payload_len = 10);
}

static void a07_a_rst_in_the_window_but_not_exact_is_watched(void **unused)
{
	struct track_fixture f;

	/* Nobody speaks for 10 s: over. */
	establish_a07(&f);
	f.now_ms += 60000;
	PASS(&f, FROM_C, "R", .seq = 30000);
	ASSERT_STATE(&f, "tcp-established");
	f.now_ms += 10000;
	assert_false(session_expired(&f.s, &f.timeouts, f.now_ms));
	f.now_ms += 1;
	assert_true(session_expired(&f.s, &f.timeouts, f.now_ms));

	/* The challenge is answered by a RST where it belongs. */
	establish_a07(&f);
	PASS(&f, FROM_C, "R", .seq = 30000);
	PASS(&f, FROM_V, "A", .seq = 901, .ack = 5000);
	ASSERT_STATE(&f, "tcp-established");
	PASS(&f, FROM_C, "R", .seq = 5000);
	ASSERT_STATE(&f, "tcp-close");
	assert_int_equal(fixture_idle_ms(&f), 10000);

	/* C speaks on: the RST was none of its own. */
	establish_a07(&f);
	PASS(&f, FROM_C, "R", .seq = 30000);
	PASS(&f, FROM_V, "A", .seq = 901, .ack = 5000);
	assert_int_equal(fixture_idle_ms(&f), 10000);
	PASS(&f, FROM_C, "A", .seq = 5000, .ack = 901, .payload_len = 1);
	assert_int_equal(fixture_idle_ms(&f), 432000000);
}

static void a07_an_exact_rst_closes(void **unused)
{
	struct track_fixture f;

	establish_a07(&f);
	PASS(&f, FROM_C, "R", .seq = 5000);
	ASSERT_STATE(&f, "tcp-close");
	assert_true(f.changed);
	assert_int_equal(fixture_idle_ms(&f), 10000);
	/* V has data on their way that C will answer with a RST again. */
	PASS(&f, FROM_V, "A", .seq = 901, .ack = 5000, .payload_len = 100);
	PASS(&f, FROM_C, "R", .seq = 5000);
}

static void a_rst_at_what_its_receiver_has_acknowledged_closes_though_more_was_sent(void **unused)
{
	struct track_fixture f;

	establish_a07(&f);
	/* These were lost behind us; V still expects 5000. */
	PASS(&f, FROM_C, "A", .seq = 5000, .ack = 901, .payload_len = 1000);
	PASS(&f, FROM_V, "A", .seq = 901, .ack = 5000);
	PASS(&f, FROM_C, "R", .seq = 5500);
	ASSERT_STATE(&f, "tcp-established");
	PASS(&f, FROM_C, "R", .seq = 5000);
	ASSERT_STATE(&f, "tcp-close");
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

static void a09_simultaneous_open_is_one_session(void **unused)
{
	struct track_fixture f;

	for (int v_first = 0; v_first < 2; v_first++) {
		enum pkt_dir x = v_first ? FROM_V : FROM_C, y = !x;

		fixture_init(&f, IPPROTO_TCP);
		PASS(&f, x, "S", .seq = 100, .wscale = FAKE_WSCALE(7));
		PASS(&f, y, "S", .seq = 300, .wscale = FAKE_WSCALE(3));
		ASSERT_STATE(&f, "tcp-simultaneous-open");
		PASS(&f, x, "SA", .seq = 100, .ack = 301, .wscale = FAKE_WSCALE(7));
		PASS(&f, y, "SA", .seq = 300, .ack = 101, .wscale = FAKE_WSCALE(3));
		ASSERT_STATE(&f, "tcp-established");
		assert_int_equal(f.opened, 1);
		assert_int_equal(f.s.half[x].scale, 7);
		assert_int_equal(f.s.half[y].scale, 3);
		PASS(&f, x, "A", .seq = 101, .ack = 301, .payload_len = 100);
		PASS(&f, y, "A", .seq = 301, .ack = 201, .payload_len = 100);
	}
}

static void a09_split_handshakes_of_four_and_five_steps_are_valid(void **unused)
{
	struct track_fixture f;

	for (int steps = 4; steps <= 5; steps++) {
		fixture_init(&f, IPPROTO_TCP);
		PASS(&f, FROM_C, "S", .seq = 1000);
		if (steps == 5)
			PASS(&f, FROM_V, "A", .seq = 3000, .ack = 1001);
		ASSERT_STATE(&f, "tcp-syn-sent");
		PASS(&f, FROM_V, "S", .seq = 3000);
		PASS(&f, FROM_C, "SA", .seq = 1000, .ack = 3001);
		ASSERT_STATE(&f, "tcp-syn-recv");
		PASS(&f, FROM_V, "A", .seq = 3001, .ack = 1001);
		ASSERT_STATE(&f, "tcp-established");
		PASS(&f, FROM_C, "A", .seq = 1001, .ack = 3001, .payload_len = 4);
		PASS(&f, FROM_V, "A", .seq = 3001, .ack = 1005);
		PASS(&f, FROM_C, "R", .seq = 1005);
		ASSERT_STATE(&f, "tcp-close");
	}
}

static void a10_data_on_a_syn_may_be_refused(void **unused)
{
	struct track_fixture f;

	fixture_init(&f, IPPROTO_TCP);
	PASS(&f, FROM_C, "S", .seq = 100, .payload_len = 517);
	PASS(&f, FROM_V, "SA", .seq = 900, .ack = 101);
	PASS(&f, FROM_C, "A", .seq = 101, .ack = 901, .payload_len = 517);
	ASSERT_STATE(&f, "tcp-established");
	assert_int_equal(f.s.half[FROM_C].seq_end, 618);
	PASS(&f, FROM_V, "A", .seq = 901, .ack = 618);
}

static void a10_data_on_a_syn_may_be_taken(void **unused)
{
	struct track_fixture f;

	fixture_init(&f, IPPROTO_TCP);
	PASS(&f, FROM_C, "S", .seq = 100, .payload_len = 517);
	assert_int_equal(SEND(&f, FROM_V, "SA", .seq = 900, .ack = 619), DROP_TCP_WINDOW);
	PASS(&f, FROM_V, "SA", .seq = 900, .ack = 618);
	PASS(&f, FROM_V, "A", .seq = 901, .ack = 618, .payload_len = 1000);
	ASSERT_STATE(&f, "tcp-syn-recv");
	PASS(&f, FROM_C, "A", .seq = 618, .ack = 901, .payload_len = 20);
	ASSERT_STATE(&f, "tcp-established");
	assert_int_equal(f.s.half[FROM_C].seq_end, 638);
}

static void a10_a_syn_again_without_its_data_changes_nothing(void **unused)
{
	struct track_fixture f;

	fixture_init(&f, IPPROTO_TCP);
	PASS(&f, FROM_C, "S", .seq = 100, .payload_len = 517, .wscale = FAKE_WSCALE(5));
	PASS(&f, FROM_C, "S", .seq = 100);
	assert_int_equal(f.opened, 1);
	assert_int_equal(f.s.half[FROM_C].seq_end, 618);
	assert_int_equal(f.s.half[FROM_C].scale, 5);
	PASS(&f, FROM_V, "SA", .seq = 900, .ack = 618, .wscale = FAKE_WSCALE(8));
	PASS(&f, FROM_C, "S", .seq = 100);
	ASSERT_STATE(&f, "tcp-syn-recv");
	PASS(&f, FROM_C, "A", .seq = 618, .ack = 901);
	ASSERT_STATE(&f, "tcp-established");
	assert_int_equal(f.s.half[FROM_C].scale, 5);
	assert_int_equal(f.s.half[FROM_V].scale, 8);
}

static void a11_a_half_closed_connection_lives_while_the_other_side_sends(void **unused)
{
	struct track_fixture f;
	uint32_t seq = 901;

	fixture_init(&f, IPPROTO_TCP);
	f.timeouts.idle_ms[SESSION_TCP_CLOSE_WAIT] = 60000;
	fixture_establish(&f);
	PASS(&f, FROM_C, "FA", .seq = 101, .ack = 901);
	PASS(&f, FROM_V, "A", .seq = 901, .ack = 102);
	ASSERT_STATE(&f, "tcp-close-wait");
	for (int second = 0; second < 600; second += 45, seq += 1000) {
		f.now_ms += 45000;
		PASS(&f, FROM_V, "A", .seq = seq, .ack = 102, .payload_len = 1000);
		PASS(&f, FROM_C, "A", .seq = 102, .ack = seq + 1000);
		ASSERT_STATE(&f, "tcp-close-wait");
	}
	PASS(&f, FROM_V, "FA", .seq = seq, .ack = 102);
	PASS(&f, FROM_C, "A", .seq = 102, .ack = seq + 1);
	ASSERT_STATE(&f, "tcp-time-wait");
	assert_int_equal(f.opened, 1);
}

static void a11_a_silent_half_closed_connection_ends_after_an_hour(void **unused)
{
	struct track_fixture f;

	fixture_init(&f, IPPROTO_TCP);
	fixture_establish(&f);
	PASS(&f, FROM_C, "FA", .seq = 101, .ack = 901);
	PASS(&f, FROM_V, "A", .seq = 901, .ack = 102);
	f.now_ms += 3600000;
	assert_false(session_expired(&f.s, &f.timeouts, f.now_ms));
	f.now_ms += 1;
	assert_true(session_expired(&f.s, &f.timeouts, f.now_ms));
}

static void a22_ethernet_padding_is_no_data(void **unused)
{
	struct track_fixture f;

	fixture_init(&f, IPPROTO_TCP);
	fixture_establish(&f);
	for (int i = 0; i < 100; i++) {
		PASS(&f, FROM_C, "A", .seq = 101, .ack = 901, .pad_to = 60);
		PASS(&f, FROM_C, "A", .seq = 101, .ack = 901, .pad_to = 64);
	}
	assert_int_equal(f.s.half[FROM_C].seq_end, 101);
	PASS(&f, FROM_C, "A", .seq = 101, .ack = 901, .payload_len = 1);
	assert_int_equal(f.s.half[FROM_C].seq_end, 102);
}

static void b16_a_fresh_syn_on_a_moved_half_open_session_takes_the_new_numbers(void **unused)
{
	struct track_fixture f;

	for (int answered = 0; answered < 2; answered++) {
		fixture_init(&f, IPPROTO_TCP);
		PASS(&f, FROM_C, "S", .seq = 100);
		if (answered)
			PASS(&f, FROM_V, "SA", .seq = 900, .ack = 101);
		move(&f);
		PASS(&f, FROM_C, "S", .seq = 7000);
		PASS(&f, FROM_V, "SA", .seq = 5000, .ack = 7001);
		PASS(&f, FROM_C, "A", .seq = 7001, .ack = 5001);
		ASSERT_STATE(&f, "tcp-established");
		PASS(&f, FROM_C, "A", .seq = 7001, .ack = 5001, .payload_len = 100);
		PASS(&f, FROM_V, "A", .seq = 5001, .ack = 7101, .payload_len = 100);
		assert_int_equal(f.s.half[FROM_C].seq_end, 7101);
		assert_int_equal(f.s.half[FROM_V].seq_end, 5101);
	}
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
	/* Without that SYN, such answers are forged. */
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
	transfer(&f, &seq, 101, 44);
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
		transfer(&f, &seq, 101, 40);
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
	assert_int_equal(SEND(&f, FROM_C, "A", .seq = 101, .ack = 10001902), DROP_TCP_WINDOW);
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
		cmocka_unit_test(a01_window_scales_survive_a_move_and_bound_the_data),
		cmocka_unit_test(a01_a_mid_stream_pick_up_assumes_scale_14_and_drops_nothing),
		cmocka_unit_test(a03_a_new_syn_on_a_closed_connection_is_a_new_session),
		cmocka_unit_test(a03_an_older_syn_is_an_old_duplicate),
		cmocka_unit_test(a04_syn_and_syn_ack_again_never_promote),
		cmocka_unit_test(a04_only_an_ack_of_the_very_syn_promotes),
		cmocka_unit_test(a_syn_ack_must_acknowledge_the_syn),
		cmocka_unit_test(a07_a_rst_outside_the_window_is_dropped),
		cmocka_unit_test(a07_a_rst_in_the_window_but_not_exact_is_watched),
		cmocka_unit_test(a07_an_exact_rst_closes),
		cmocka_unit_test(
			a_rst_at_what_its_receiver_has_acknowledged_closes_though_more_was_sent),
		cmocka_unit_test(a_host_without_the_connection_may_refuse_a_repeated_syn),
		cmocka_unit_test(a09_simultaneous_open_is_one_session),
		cmocka_unit_test(a09_split_handshakes_of_four_and_five_steps_are_valid),
		cmocka_unit_test(a10_data_on_a_syn_may_be_refused),
		cmocka_unit_test(a10_data_on_a_syn_may_be_taken),
		cmocka_unit_test(a10_a_syn_again_without_its_data_changes_nothing),
		cmocka_unit_test(a11_a_half_closed_connection_lives_while_the_other_side_sends),
		cmocka_unit_test(a11_a_silent_half_closed_connection_ends_after_an_hour),
		cmocka_unit_test(a22_ethernet_padding_is_no_data),
		cmocka_unit_test(
			b16_a_fresh_syn_on_a_moved_half_open_session_takes_the_new_numbers),
		cmocka_unit_test(a_half_open_peer_is_found_out_by_challenge_and_rst),
		cmocka_unit_test(a_peer_without_the_connection_proves_it_by_its_answer_to_a_syn),
		cmocka_unit_test(only_a_syn_into_a_living_session_is_judged_again),
		cmocka_unit_test(keepalives_and_zero_window_probes_pass),
		cmocka_unit_test(a_window_closed_from_the_start_lets_one_byte_through),
		cmocka_unit_test(duplicate_acks_with_sack_beyond_the_ack_pass),
		cmocka_unit_test(retransmissions_far_behind_pass_without_effect),
		cmocka_unit_test(a_syn_ack_again_may_bring_a_larger_window),
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
