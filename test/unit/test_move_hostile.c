/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A destination that does it wrong, at each word that it has to say: it says nothing more (and
 * keeps the connection alive), or something broken, or of a port that is not there. The VM serves
 * on, with every session; the move ends with a reason, or stands and says so where only the other
 * side could end it.
 */
#include <pthread.h>
#include <unistd.h>

#include "ctrl/migrate/mover_impl.h"
#include "test/fake/fake_trouble.h"
#include "test/unit/move_fixture.h"

#define SESSIONS 50

enum behaviour { MUTE, EMPTY, NOISE, WRONG_PORT, BEHAVIOURS };

static struct fake_trouble *trouble;
static char *before;

/* ---- h1, as it should not be ---- */

static struct {
	struct channel_host *host;
	struct channel_listener *listener;
	enum behaviour how;
	uint16_t at; /* the word it does not say right */
	_Atomic bool stop;
	_Atomic bool slow; /* to say that a round is taken */
} peer;

static int say(struct channel *channel, uint16_t type, uint32_t port, const struct wire_writer *w)
{
	struct frame_kind kind = {.type = type,
		.section = type == STREAM_ROUND_DONE || type == STREAM_VERIFIED
				   ? STREAM_SECTION_SESSIONS
				   : STREAM_SECTION_MOVE,
		.stream = port,
		.mandatory = type != STREAM_KEEPALIVE};
	uint8_t noise[300];
	bool wrong = type == peer.at;
	const void *bytes = w ? w->start : NULL;
	size_t len = w ? wire_writer_len(w) : 0;

	if (wrong && peer.how == MUTE)
		return 0;
	if (wrong && peer.how == EMPTY)
		len = 0;
	if (wrong && peer.how == NOISE) {
		memset(noise, 0xff, sizeof(noise));
		bytes = noise;
		len = sizeof(noise);
	}
	if (wrong && peer.how == WRONG_PORT)
		kind.stream = 4000000000u;
	if (channel_send(channel, &kind, bytes, len, channel_deadline_ns(channel, 1000)) != 0)
		return -EPIPE;
	return channel_flush(channel, channel_deadline_ns(channel, 1000));
}

static int answer(struct channel *channel, const struct frame *frame)
{
	struct stream_accept accept = {.n_ports = 1};
	struct stream_verified verified = {.ok = true};
	struct stream_offer offer;
	struct stream_final final;
	uint8_t payload[256];
	struct wire_reader r;
	struct wire_writer w;

	wire_writer_init(&w, payload, sizeof(payload));
	wire_reader_init(&r, frame->payload, frame->payload_bytes);
	switch (frame->kind.type) {
	case STREAM_OFFER:
		assert_int_equal(stream_get_offer(frame, &offer), 0);
		accept.n_sections = offer.n_sections;
		stream_put_accept(&w, &accept);
		return say(channel, STREAM_ACCEPT, 0, &w);
	case STREAM_PORT:
		wire_put_u8(&w, 0);
		return say(channel, STREAM_PORT_READY, 0, &w);
	case STREAM_ROUND:
		if (atomic_load(&peer.slow))
			usleep(40000);
		wire_put_varint(&w, wire_get_varint(&r));
		wire_put_varint(&w, SESSIONS);
		return say(channel, STREAM_ROUND_DONE, 0, &w);
	case STREAM_READY:
		return say(channel, STREAM_READY_DONE, 0, NULL);
	case STREAM_FINAL:
		assert_int_equal(stream_get_final(frame, &final), 0);
		verified.serial = final.serial;
		stream_put_verified(&w, &verified);
		return say(channel, STREAM_VERIFIED, 0, &w);
	case STREAM_THAWED:
		return say(channel, STREAM_THAW_DONE, 0, NULL);
	case STREAM_ABORT:
		return say(channel, STREAM_ABORTED, 0, NULL);
	default:
		return 0;
	}
}

static void peer_serve(void *arg, struct channel *channel)
{
	struct channel_options options = {.types = stream_types, .n_types = stream_types_count};
	int rc = channel_set_options(channel, &options);

	(void)arg;
	while (rc == 0 && !atomic_load(&peer.stop)) {
		struct frame frame;

		rc = channel_recv(channel, &frame, channel_deadline_ns(channel, 2));
		if (rc == 0)
			rc = answer(channel, &frame);
		else if (rc == -ETIMEDOUT)
			rc = say(channel, STREAM_KEEPALIVE, 0, NULL);
	}
	channel_close(channel);
}

static void peer_start(void)
{
	const struct in6_addr loopback = fake_addr("127.0.0.1");
	const struct channel_peer h0 = {
		.name = "h0", .port = lab.port[0], .addresses = &loopback, .n_addresses = 1};
	struct channel_host_config host = {
		.name = "h1", .insecure = true, .world = &channel_world_real};
	struct channel_listener_config config = {
		.endpoint = {.address = loopback, .port = lab.port[1]},
		.accept = {.plain = true, .purposes = CHANNEL_PURPOSE_BIT(CHANNEL_PURPOSE_MOVE)},
		.serve = peer_serve};
	struct channel_error error;

	memset(&peer, 0, sizeof(peer));
	assert_int_equal(channel_host_new(&host, &peer.host, &error), 0);
	assert_int_equal(channel_host_set_peers(peer.host, &h0, 1), 0);
	assert_int_equal(channel_listener_start(peer.host, &config, &peer.listener, &error), 0);
}

static void peer_end(void)
{
	atomic_store(&peer.stop, true);
	channel_listener_stop(peer.listener);
	channel_host_free(peer.host);
}

/* ---- the source ---- */

static int begin(void **state)
{
	(void)state;
	fake_lab_new(&lab, 2);
	lab.quiet = true;
	lab.vports[0] = FAKE_LAB_VM;
	lab.migrate = "announce_repeats: 1, announce_interval_ms: 1";
	trouble = fake_trouble_new(&lab);
	fake_lab_start(&lab, 0);
	fake_lab_rings(&lab, 0, "v", true);
	fake_lab_run_ms(&lab, 20);
	fake_lab_sessions(&lab, 0, "v", 1, SESSIONS);
	before = fake_lab_dump(&lab, 0, "v");
	peer_start();
	return 0;
}

static int finish(void **state)
{
	(void)state;
	fake_lab_free(&lab);
	peer_end();
	fake_trouble_free(trouble);
	free(before);
	return 0;
}

static void v_serves_with_all(void)
{
	char *after = fake_lab_dump(&lab, 0, "v");

	assert_int_equal(fake_lab_role(&lab, 0, "v"), ROLE_OWNER);
	assert_string_equal(after, before);
	free(after);
}

static struct mover_view view_of(const char *id)
{
	struct mover_view view;

	assert_int_equal(mover_view(lab.host[0].mover, id, &view), 0);
	return view;
}

/* Time passes, in steps that leave the living alive. False: the move is over before. */
static bool passes_s(const char *id, uint32_t seconds)
{
	for (uint32_t i = 0; i < seconds && !view_of(id).done; i++) {
		fake_trouble_warp(trouble, 1000000000ULL);
		fake_lab_run_ms(&lab, 10);
	}
	return !view_of(id).done;
}

static void goes_silent(uint16_t at, const char *step)
{
	char id[37], reason[128];

	peer.how = MUTE;
	peer.at = at;
	fake_lab_move(&lab, 0, 1, "v", id);
	fake_lab_run_ms(&lab, 50);
	assert_true(passes_s(id, 25));
	assert_false(passes_s(id, 10));
	assert_int_equal(view_of(id).phase, MOVER_FAILED);
	snprintf(reason, sizeof(reason), "step %s: h1 has not answered for 30000 ms", step);
	assert_string_equal(view_of(id).reason, reason);
	v_serves_with_all();
}

static void a_destination_that_goes_silent_is_given_up_after_the_limit_of_the_step(void **state)
{
	(void)state;
	goes_silent(STREAM_ACCEPT, "connect");
	goes_silent(STREAM_PORT_READY, "prepare");
	goes_silent(STREAM_ROUND_DONE, "follow");
	goes_silent(STREAM_READY_DONE, "follow");
}

static void after_the_freeze_a_silent_destination_is_late_and_nothing_is_given_up(void **state)
{
	struct mover_counts counts;
	char id[37], error[256];

	(void)state;
	peer.how = MUTE;
	peer.at = STREAM_VERIFIED;
	fake_lab_move(&lab, 0, 1, "v", id);
	assert_true(fake_lab_phase(&lab, 0, id, MOVER_READY, 5000));
	fake_lab_rings(&lab, 0, "v", false);
	assert_true(fake_lab_phase(&lab, 0, id, MOVER_FINAL, 5000));
	assert_false(view_of(id).late);
	/* pause_max_ms is 3 s; after minutes it still waits for the VM or for the other side. */
	assert_true(passes_s(id, 4));
	assert_true(view_of(id).late);
	assert_true(passes_s(id, 120));
	mover_counts(lab.host[0].mover, &counts);
	assert_int_equal(counts.alarms, 1);
	assert_int_equal(fake_lab_role(&lab, 0, "v"), ROLE_FROZEN);
	/* The VM goes on here: so does its switch. */
	fake_lab_rings(&lab, 0, "v", true);
	assert_true(fake_lab_phase(&lab, 0, id, MOVER_READY, 5000));
	assert_false(view_of(id).late);
	assert_int_equal(mover_abort(lab.host[0].mover, id, error, sizeof(error)), 0);
	fake_lab_run_ms(&lab, 100);
	v_serves_with_all();
}

static void speaks_nonsense(uint16_t at, enum behaviour how)
{
	char id[37];

	peer.how = how;
	peer.at = at;
	fake_lab_move(&lab, 0, 1, "v", id);
	for (int i = 0; i < 500 && !view_of(id).done; i++)
		fake_lab_run_ms(&lab, 5);
	/* What it need not have said at all ends no move. */
	if (!view_of(id).done)
		assert_int_equal(view_of(id).phase, MOVER_READY);
	else
		assert_true(view_of(id).reason[0] != '\0');
	if (!view_of(id).done) {
		char error[256];

		assert_int_equal(mover_abort(lab.host[0].mover, id, error, sizeof(error)), 0);
		for (int i = 0; i < 2000 && !view_of(id).done; i++)
			fake_lab_run_ms(&lab, 5);
		assert_true(view_of(id).done);
	}
	v_serves_with_all();
}

static void a_destination_that_speaks_nonsense_takes_nothing_from_the_vm(void **state)
{
	static const uint16_t words[] = {
		STREAM_ACCEPT, STREAM_PORT_READY, STREAM_ROUND_DONE, STREAM_READY_DONE};

	(void)state;
	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		for (enum behaviour how = EMPTY; how < BEHAVIOURS; how++)
			speaks_nonsense(words[i], how);
}

/* ---- memory yields to sessions ---- */

static const char *credit_id;

static bool memory_is_told_little(void *arg)
{
	uint64_t rate = view_of(credit_id).credit_bytes_per_s;

	(void)arg;
	return rate > 0 && rate <= 32 << 20;
}

static bool memory_is_free(void *arg)
{
	(void)arg;
	return view_of(credit_id).credit_bytes_per_s == 0;
}

static void the_memory_of_a_vm_is_told_less_while_its_sessions_get_through_slowly(void **state)
{
	struct mover_request request = {.vport = "v", .host = "h1", .mode = MOVER_AGENT};
	char id[37], error[256];

	(void)state;
	assert_int_equal(mover_start(lab.host[0].mover, &request, id, error, sizeof(error)), 0);
	credit_id = id;
	assert_true(fake_lab_phase(&lab, 0, id, MOVER_READY, 5000));
	assert_true(fake_lab_until(&lab, memory_is_free, NULL, 20000));
	atomic_store(&peer.slow, true);
	assert_true(fake_lab_until(&lab, memory_is_told_little, NULL, 20000));
	atomic_store(&peer.slow, false);
	assert_true(fake_lab_until(&lab, memory_is_free, NULL, 20000));
	assert_int_equal(mover_abort(lab.host[0].mover, id, error, sizeof(error)), 0);
	fake_lab_run_ms(&lab, 100);
	v_serves_with_all();
}

int main(void)
{
#define HOSTILE(name) cmocka_unit_test_setup_teardown(name, begin, finish)
	const struct CMUnitTest tests[] = {
		HOSTILE(a_destination_that_goes_silent_is_given_up_after_the_limit_of_the_step),
		HOSTILE(after_the_freeze_a_silent_destination_is_late_and_nothing_is_given_up),
		HOSTILE(a_destination_that_speaks_nonsense_takes_nothing_from_the_vm),
		HOSTILE(the_memory_of_a_vm_is_told_less_while_its_sessions_get_through_slowly),
	};

	return cmocka_run_group_tests(tests, move_setup, NULL);
}
