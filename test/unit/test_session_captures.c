/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Real captures through the trackers, where they are there. Each tuple has a session of its own;
 * the first sender of a tuple is the remote side.
 */
#include "test/fake/fake_capture.h"
#include "test/unit/track_fixture.h"

#define TUPLES_MAX 8
#define FRAMES_MAX 128

struct run {
	struct track_fixture tuple[TUPLES_MAX];
	struct session_key key[TUPLES_MAX];
	int tuples;
	int frames;
	enum drop_reason reason[FRAMES_MAX]; /* of each frame, in order */
	uint8_t state[FRAMES_MAX]; /* after it */
};

static int find_tuple(
	struct run *run, struct fake_pkt *packet, const uint8_t *frame, size_t len, bool pickup)
{
	for (enum pkt_dir dir = 0; dir < 2; dir++) {
		fake_pkt_wrap(packet, frame, len, dir);
		for (int i = 0; i < run->tuples; i++) {
			if (session_key_equal(&run->key[i], &packet->pkt.key))
				return i;
		}
	}
	/* Wrapped as ingress at last: a new tuple's first sender is remote. */
	assert_true(run->tuples < TUPLES_MAX);
	fixture_init(&run->tuple[run->tuples], packet->pkt.proto);
	run->tuple[run->tuples].policy.pickup = pickup;
	run->key[run->tuples] = packet->pkt.key;
	return run->tuples++;
}

/* Captures without a link layer get one. Returns the frame's length. */
static size_t with_ethernet(const struct fake_frame *in, uint8_t out[FAKE_FRAME_MAX])
{
	size_t header = in->bytes[0] == 0x45 && in->bytes[12] != 0x08 ? RTE_ETHER_HDR_LEN : 0;

	memset(out, 0, RTE_ETHER_HDR_LEN);
	out[12] = 0x08;
	memcpy(out + header, in->bytes, in->len);
	return header + in->len;
}

/* False: the capture is not there. 10 ms from frame to frame. */
static bool run_capture(struct run *run, const char *name, bool pickup)
{
	static uint8_t frame[FAKE_FRAME_MAX];
	static struct fake_pkt packet;
	struct fake_capture capture;

	memset(run, 0, sizeof(*run));
	if (!fake_capture_load(&capture, name))
		return false;
	assert_true(capture.count <= FRAMES_MAX);
	for (size_t n = 0; n < capture.count; n++) {
		size_t len = with_ethernet(&capture.frame[n], frame);
		int i = find_tuple(run, &packet, frame, len, pickup);
		struct track_fixture *f = &run->tuple[i];

		f->now_ms = 1000 + (uint32_t)n * 10;
		run->reason[n] = fixture_track(f, &packet.pkt);
		run->state[n] = f->exists ? session_state(&f->s) : SESSION_NONE;
	}
	run->frames = (int)capture.count;
	fake_capture_free(&capture);
	return true;
}

static void assert_all_pass(const struct run *run)
{
	for (int i = 0; i < run->frames; i++) {
		if (run->reason[i] != DROP_NONE)
			fail_msg("frame %d: %s", i + 1, drop_name(run->reason[i]));
	}
}

static struct run run;

static void a09_captured_split_handshakes_pass(void **unused)
{
	static const char *const names[] = {
		"07-split-handshake-4whs.pcap", "08-split-handshake-5whs.pcap"};

	for (int i = 0; i < 2; i++) {
		if (!run_capture(&run, names[i], false))
			skip();
		assert_int_equal(run.frames, 7 + i);
		assert_all_pass(&run);
		assert_int_equal(run.tuples, 1);
		assert_int_equal(run.tuple[0].opened, 1);
		assert_int_equal(run.state[2 + i], SESSION_TCP_SYN_RECV);
		assert_int_equal(run.state[3 + i], SESSION_TCP_ESTABLISHED);
		assert_int_equal(run.state[6 + i], SESSION_TCP_CLOSE);
	}
}

static void a10_captured_fast_open_with_data_refused_passes(void **unused)
{
	if (!run_capture(&run, "09-fastopen-data-ignored.pcap", false))
		skip();
	/*
	 * Two servers answer with numbers of their own; which one counts, the client says in
	 * frame 18. The other asks a last time after the end.
	 */
	assert_int_equal(run.frames, 52);
	assert_int_equal(run.reason[--run.frames], DROP_TCP_WINDOW);
	assert_all_pass(&run);
	assert_int_equal(run.tuple[0].opened, 1);
	for (int i = 1; i < 17; i++)
		assert_int_equal(run.state[i], SESSION_TCP_SYN_RECV);
	assert_int_equal(run.state[17], SESSION_TCP_ESTABLISHED);
	assert_int_equal(run.tuple[0].s.half[FROM_C].scale, 5);
	assert_int_equal(run.tuple[0].s.half[FROM_V].scale, 8);
}

static void a10_captured_fast_open_around_a_nat_passes(void **unused)
{
	if (!run_capture(&run, "10-fastopen-nat.pcap", false))
		skip();
	assert_int_equal(run.frames, 14);
	assert_int_equal(run.tuples, 3);
	for (int i = 0; i < 13; i++)
		assert_int_equal(run.reason[i], DROP_NONE);
	for (int i = 0; i < 2; i++)
		assert_string_equal(
			session_state_name(session_state(&run.tuple[i].s)), "tcp-time-wait");
	/* FIN with ack 0 before any answer acknowledges what nobody sent. */
	assert_int_equal(run.reason[13], DROP_TCP_FLAGS);
}

static void a19_a_captured_sctp_set_up_and_its_data_pass(void **unused)
{
	if (!run_capture(&run, "22-sctp-setup.pcap", false))
		skip();
	for (int i = 0; i < 16; i++)
		assert_int_equal(run.reason[i], DROP_NONE);
	assert_int_equal(run.state[3], SESSION_SCTP_ESTABLISHED);
	/* The last three are of an association whose start is not in the file. */
	for (int i = 16; i < 19; i++)
		assert_int_equal(run.reason[i], DROP_NO_SESSION);
	assert_true(run_capture(&run, "22-sctp-setup.pcap", true));
	assert_int_equal(run.frames, 19);
	assert_all_pass(&run);
}

static void a01_captured_data_beyond_the_window_do_not_pass(void **unused)
{
	if (!run_capture(&run, "25-out-of-window.pcap", false))
		skip();
	assert_int_equal(run.frames, 3);
	assert_int_equal(run.reason[0], DROP_NONE);
	assert_int_equal(run.reason[1], DROP_NONE);
	assert_int_equal(run.reason[2], DROP_TCP_WINDOW);
}

static void a01_a_captured_mid_stream_passes_only_by_pickup(void **unused)
{
	if (!run_capture(&run, "26-midstream.pcap", false))
		skip();
	for (int i = 0; i < run.frames; i++)
		assert_int_equal(run.reason[i], DROP_NO_SESSION);
	assert_true(run_capture(&run, "26-midstream.pcap", true));
	assert_int_equal(run.frames, 3);
	assert_all_pass(&run);
	assert_int_equal(run.state[2], SESSION_TCP_ESTABLISHED);
}

static void a07_a_captured_rst_with_data_closes(void **unused)
{
	if (!run_capture(&run, "27-rst-with-data.pcap", false))
		skip();
	assert_int_equal(run.frames, 8);
	assert_all_pass(&run);
	assert_int_equal(run.tuple[0].s.half[FROM_C].scale, 14);
	assert_int_equal(run.state[6], SESSION_TCP_ESTABLISHED);
	assert_int_equal(run.state[7], SESSION_TCP_CLOSE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a09_captured_split_handshakes_pass),
		cmocka_unit_test(a10_captured_fast_open_with_data_refused_passes),
		cmocka_unit_test(a10_captured_fast_open_around_a_nat_passes),
		cmocka_unit_test(a19_a_captured_sctp_set_up_and_its_data_pass),
		cmocka_unit_test(a01_captured_data_beyond_the_window_do_not_pass),
		cmocka_unit_test(a01_a_captured_mid_stream_passes_only_by_pickup),
		cmocka_unit_test(a07_a_captured_rst_with_data_closes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
