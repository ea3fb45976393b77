/* SPDX-License-Identifier: BSD-3-Clause */
/* TCP trouble from the field, by its id. */
#include "test/unit/track_fixture.h"

/* What a move does for the tracker: the record becomes another session. */
static void move(struct track_fixture *f)
{
	struct session moved = f->s;

	moved.state |= SESSION_IMPORTED;
	f->s = moved;
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
		fixture_transfer(&f, &seq, 101, 44);
		assert_int_equal(SEND(&f, FROM_V, "A", .seq = seq, .ack = 101, .payload_len = 1448),
			DROP_TCP_WINDOW);
		PASS(&f, FROM_C, "A", .seq = 101, .ack = seq, .window = 2000);
		fixture_transfer(&f, &seq, 101, 170);
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
	fixture_transfer(&f, &seq, 101, 44);
	PASS(&f, FROM_C, "A", .seq = 101, .ack = seq, .window = 2000);
	fixture_transfer(&f, &seq, 101, 170);
	assert_int_equal(f.s.half[FROM_C].scale, SESSION_SCALE_UNKNOWN);
	/* Now both sides are known, so there is a limit again: 2000 << 14 beyond the ack. */
	assert_int_equal(
		SEND(&f, FROM_V, "A", .seq = seq + (2000u << 14), .ack = 101), DROP_TCP_WINDOW);
	assert_int_equal(
		SEND(&f, FROM_C, "A", .seq = 101, .ack = seq + (2000u << 14)), DROP_TCP_WINDOW);
}

/*
 * V had sent 3000 bytes before this host knew the session, and repeats only the first 1000, the ACK
 * having been lost: C's ACK is for all of it, and nothing else will ever let V go on.
 */
static void a01_data_on_their_way_at_a_mid_stream_pick_up_are_acknowledged(void **unused)
{
	struct track_fixture f;

	for (int resync = 0; resync < 2; resync++) {
		fixture_init(&f, IPPROTO_TCP);
		f.policy.pickup = true;
		if (resync) {
			fixture_establish(&f);
			track_resync(&f.s);
		}
		PASS(&f, FROM_V, "A", .seq = 901, .ack = 101, .payload_len = 1000);
		PASS(&f, FROM_C, "A", .seq = 101, .ack = 901, .window = 502);
		PASS(&f, FROM_V, "A", .seq = 901, .ack = 101, .payload_len = 1000);
		PASS(&f, FROM_C, "A", .seq = 101, .ack = 3901, .window = 502);
		assert_int_equal(f.s.half[FROM_V].seq_end, 3901);
		PASS(&f, FROM_V, "A", .seq = 3901, .ack = 101, .payload_len = 1000);
	}
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

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a01_window_scales_survive_a_move_and_bound_the_data),
		cmocka_unit_test(a01_a_mid_stream_pick_up_assumes_scale_14_and_drops_nothing),
		cmocka_unit_test(a01_data_on_their_way_at_a_mid_stream_pick_up_are_acknowledged),
		cmocka_unit_test(a03_a_new_syn_on_a_closed_connection_is_a_new_session),
		cmocka_unit_test(a03_an_older_syn_is_an_old_duplicate),
		cmocka_unit_test(a04_syn_and_syn_ack_again_never_promote),
		cmocka_unit_test(a04_only_an_ack_of_the_very_syn_promotes),
		cmocka_unit_test(a07_a_rst_outside_the_window_is_dropped),
		cmocka_unit_test(a07_a_rst_in_the_window_but_not_exact_is_watched),
		cmocka_unit_test(a07_an_exact_rst_closes),
		cmocka_unit_test(
			a_rst_at_what_its_receiver_has_acknowledged_closes_though_more_was_sent),
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
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
