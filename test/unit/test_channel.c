/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Channels over a wire that breaks. The stream is 60 frames of records that say who they are;
 * whatever happens to the wire, the receiver gets a prefix of them, in order, unchanged, and then
 * an error.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include "ctrl/channel/wire.h"
#include "test/fake/fake_channel.h"

#define RECORDS 6000
#define FRAME_BYTES 4096

struct receiver {
	struct fake_channel *pair;
	uint64_t got;
	int ret;
};

static void *receiver_run(void *arg)
{
	struct receiver *r = arg;
	struct channel *channel = r->pair->server;
	struct wire_reader reader;
	struct frame frame;

	while ((r->ret = channel_recv(channel, &frame, channel_deadline_ns(channel, 5000))) == 0) {
		wire_reader_init(&reader, frame.payload, frame.payload_bytes);
		while (wire_reader_left(&reader) > 0) {
			assert_true(wire_get_u64(&reader) == r->got);
			for (unsigned i = 0; i < 4; i++)
				assert_true(wire_get_u64(&reader) == r->got * 2654435761u + i);
			assert_true(wire_reader_ok(&reader));
			r->got++;
		}
	}
	fake_world_leave(r->pair->world);
	return NULL;
}

static int send_records(struct channel *channel)
{
	uint64_t deadline_ns = channel_deadline_ns(channel, 5000);
	struct wire_writer w;
	uint8_t *room;
	int ret = 0;

	for (uint64_t i = 0; i < RECORDS && ret == 0; i++) {
		ret = channel_reserve(channel, &fake_channel_kind, 40, deadline_ns, &room);
		if (ret < 0)
			break;
		wire_writer_init(&w, room, 40);
		wire_put_u64(&w, i);
		for (unsigned j = 0; j < 4; j++)
			wire_put_u64(&w, i * 2654435761u + j);
		channel_commit(channel, wire_writer_len(&w));
	}
	return ret == 0 ? channel_finish(channel, deadline_ns) : ret;
}

/* Sends all through the pair; both ends' results. */
static struct receiver transfer(struct fake_channel *pair, int *send_ret)
{
	struct receiver r = {.pair = pair};
	pthread_t thread;

	fake_world_join(pair->world);
	assert_int_equal(pthread_create(&thread, NULL, receiver_run, &r), 0);
	*send_ret = send_records(pair->client);
	if (*send_ret < 0) { /* as its owner does */
		channel_close(pair->client);
		pair->client = NULL;
	}
	fake_world_leave(pair->world);
	pthread_join(thread, NULL);
	fake_world_join(pair->world);
	return r;
}

static void pair_init(struct fake_channel *pair)
{
	fake_channel_new(pair, NULL);
	pair->dial.options.frame_bytes = FRAME_BYTES;
}

static void all_records_arrive_in_order_and_the_end_is_told(void **state)
{
	struct fake_channel pair;
	struct channel_stats sent, received;
	struct receiver r;
	int send_ret;

	pair_init(&pair);
	assert_int_equal(fake_channel_open(&pair), 0);
	assert_int_equal(pair.server_ret, 0);
	r = transfer(&pair, &send_ret);
	assert_int_equal(send_ret, 0);
	assert_int_equal(r.ret, -ESHUTDOWN);
	assert_int_equal(r.got, RECORDS);
	channel_stats(pair.client, &sent);
	channel_stats(pair.server, &received);
	assert_int_equal(sent.sent_bytes, received.received_bytes);
	assert_int_equal(sent.sent_frames, received.received_frames);
	assert_in_range(
		sent.sent_frames, RECORDS * 40 / FRAME_BYTES, RECORDS * 40 / FRAME_BYTES + 4);
	fake_channel_free(&pair);
}

static void after_the_end_of_one_direction_the_other_goes_on(void **state)
{
	struct fake_channel pair;
	struct frame frame;

	pair_init(&pair);
	assert_int_equal(fake_channel_open(&pair), 0);
	assert_int_equal(channel_finish(pair.client, UINT64_MAX), 0);
	assert_int_equal(channel_recv(pair.server, &frame, UINT64_MAX), -ESHUTDOWN);
	assert_int_equal(channel_recv(pair.server, &frame, UINT64_MAX), -ESHUTDOWN);
	assert_int_equal(channel_error(pair.server)->reason, CHANNEL_REASON_CLOSED);
	assert_int_equal(channel_send(pair.server, &fake_channel_kind, "sum", 3, UINT64_MAX), 0);
	assert_int_equal(channel_finish(pair.server, UINT64_MAX), 0);
	assert_int_equal(channel_recv(pair.client, &frame, UINT64_MAX), 0);
	assert_memory_equal(frame.payload, "sum", 3);
	assert_int_equal(channel_recv(pair.client, &frame, UINT64_MAX), -ESHUTDOWN);
	fake_channel_free(&pair);
}

static void hellos_tell_each_side_about_the_other(void **state)
{
	struct fake_channel pair;
	const struct channel_hello *hello;

	pair_init(&pair);
	memset(pair.dial.move_id, 0x5a, sizeof(pair.dial.move_id));
	pair.dial.index = 3;
	pair.dial.features = 0x11;
	pair.accept.features = 0x22;
	assert_int_equal(fake_channel_open(&pair), 0);
	hello = channel_hello(pair.server);
	assert_string_equal(hello->host, "source");
	assert_int_equal(hello->purpose, CHANNEL_PURPOSE_MOVE);
	assert_int_equal(hello->index, 3);
	assert_int_equal(hello->features, 0x11);
	assert_memory_equal(hello->move_id, pair.dial.move_id, 16);
	assert_string_equal(channel_hello(pair.client)->host, "dest");
	assert_int_equal(channel_hello(pair.client)->features, 0x22);
	assert_int_equal(channel_protocol(pair.client), 1);
	assert_true(channel_is_plain(pair.server));
	fake_channel_free(&pair);
}

/* Sets one fault on what the client sends, lets all through, and checks the promise. */
static struct receiver transfer_with(struct fake_fault fault, bool lz4, int *send_ret)
{
	struct fake_channel pair;
	struct receiver r = {};

	pair_init(&pair);
	pair.dial.options.lz4 = lz4;
	pair.faults[0] = fault;
	pair.n_faults = 1;
	*send_ret = -1;
	if (fake_channel_open(&pair) == 0 && pair.server_ret == 0)
		r = transfer(&pair, send_ret);
	else
		r.ret = pair.server_ret;
	fake_channel_free(&pair);
	return r;
}

static void every_harmful_fault_at_every_place_ends_in_an_error_after_a_good_prefix(void **state)
{
	static const struct {
		enum fake_fault_kind kind;
		uint64_t value;
	} faults[] = {
		{FAKE_FAULT_CUT, 0},
		{FAKE_FAULT_END, 0},
		{FAKE_FAULT_STALL, 0},
		{FAKE_FAULT_DROP, 1},
		{FAKE_FAULT_DROP, 4136},
		{FAKE_FAULT_FLIP, 3},
		{FAKE_FAULT_DUPLICATE, 1},
		{FAKE_FAULT_DUPLICATE, 500},
	};
	uint64_t step;
	int send_ret;

	for (size_t i = 0; i < sizeof(faults) / sizeof(faults[0]); i++) {
		/* Every byte of hello and first header, then odd steps through the rest. */
		for (uint64_t at = 1; at < 230000; at += step) {
			struct receiver r =
				transfer_with((struct fake_fault){.kind = faults[i].kind,
						      .at_byte = at,
						      .value = faults[i].value},
					at % 2, &send_ret);

			assert_true(r.ret < 0);
			/* A fault after the hello lets the first frames through. */
			if (at > 5000)
				assert_true(r.got > 0);
			/* With LZ4 the stream may be over before byte `at`. */
			if (r.got == RECORDS)
				assert_int_equal(at % 2, 1);
			else
				assert_int_not_equal(r.ret, -ESHUTDOWN);
			step = at < 160 ? 1 : 12347;
		}
	}
}

static void odd_chunks_delays_and_small_windows_change_nothing(void **state)
{
	static const struct fake_fault faults[] = {
		{.kind = FAKE_FAULT_SPLIT, .value = 1},
		{.kind = FAKE_FAULT_SPLIT, .value = 7},
		{.kind = FAKE_FAULT_SPLIT, .at_byte = 100, .value = 4099},
		{.kind = FAKE_FAULT_DELAY, .at_byte = 5000, .value = 50000000},
	};
	int send_ret;

	for (size_t i = 0; i < sizeof(faults) / sizeof(faults[0]); i++) {
		for (int lz4 = 0; lz4 < 2; lz4++) {
			struct receiver r = transfer_with(faults[i], lz4, &send_ret);

			assert_int_equal(send_ret, 0);
			assert_int_equal(r.ret, -ESHUTDOWN);
			assert_int_equal(r.got, RECORDS);
		}
	}
}

static void a_receiver_that_sleeps_stops_the_sender_at_its_deadline(void **state)
{
	struct fake_channel pair;
	uint64_t since_ns;

	pair_init(&pair);
	assert_int_equal(fake_channel_open(&pair), 0);
	fake_wire_set_window(pair.wire, 10000);
	since_ns = channel_now_ns(pair.client);
	assert_int_equal(send_records(pair.client), -ETIMEDOUT);
	assert_int_equal(channel_now_ns(pair.client) - since_ns, 5000000000ull);
	assert_int_equal(channel_error(pair.client)->reason, CHANNEL_REASON_TIMEOUT);
	/* It is final, as half a frame may be out. */
	assert_int_equal(channel_flush(pair.client, UINT64_MAX), -ETIMEDOUT);
	fake_channel_free(&pair);
}

static void a_receive_that_timed_out_can_be_repeated(void **state)
{
	struct fake_channel pair;
	struct frame frame;

	pair_init(&pair);
	assert_int_equal(fake_channel_open(&pair), 0);
	assert_int_equal(channel_recv(pair.server, &frame, 0), -ETIMEDOUT);
	assert_false(channel_has_input(pair.server));
	assert_int_equal(channel_recv(pair.server, &frame, channel_deadline_ns(pair.server, 10)),
		-ETIMEDOUT);
	assert_int_equal(channel_send(pair.client, &fake_channel_kind, "hello", 5, UINT64_MAX), 0);
	assert_int_equal(channel_send(pair.client, &fake_channel_kind, "", 0, UINT64_MAX), 0);
	assert_int_equal(channel_recv(pair.server, &frame, 0), 0);
	assert_int_equal(frame.payload_bytes, 5);
	assert_true(channel_has_input(pair.server));
	assert_int_equal(channel_recv(pair.server, &frame, 0), 0);
	assert_int_equal(frame.payload_bytes, 0);
	assert_non_null(frame.payload);
	assert_int_equal(channel_recv(pair.server, &frame, 0), -ETIMEDOUT);
	fake_channel_free(&pair);
}

static void *cancel_soon(void *cancel)
{
	channel_cancel_set(cancel);
	return NULL;
}

static void another_thread_cancels_a_wait_of_any_length(void **state)
{
	struct channel_cancel cancel;
	struct fake_channel pair;
	struct frame frame;
	pthread_t thread;

	assert_int_equal(channel_cancel_init(&cancel), 0);
	pair_init(&pair);
	assert_int_equal(fake_channel_open(&pair), 0);
	fake_world_join(pair.world); /* so that time stands still */
	channel_set_cancel(pair.server, &cancel);
	pthread_create(&thread, NULL, cancel_soon, &cancel);
	assert_int_equal(channel_recv(pair.server, &frame, UINT64_MAX - 1), -ECANCELED);
	pthread_join(thread, NULL);
	assert_int_equal(channel_pause(pair.server, UINT64_MAX - 1), -ECANCELED);
	channel_cancel_reset(&cancel);
	assert_false(channel_cancel_is_set(&cancel));
	fake_world_leave(pair.world);
	fake_channel_free(&pair);
	channel_cancel_fini(&cancel);
}

static void unknown_optional_frames_are_skipped_and_the_deadline_holds(void **state)
{
	const struct frame_kind unknown = {.type = 0x0777};
	struct fake_channel pair;
	struct channel_stats stats;
	struct frame frame;

	pair_init(&pair);
	assert_int_equal(fake_channel_open(&pair), 0);
	for (int i = 0; i < 3; i++)
		assert_int_equal(channel_send(pair.client, &unknown, "?", 1, UINT64_MAX), 0);
	assert_int_equal(channel_send(pair.client, &fake_channel_kind, "!", 1, UINT64_MAX), 0);
	assert_int_equal(channel_recv(pair.server, &frame, channel_deadline_ns(pair.server, 1)), 0);
	assert_memory_equal(frame.payload, "!", 1);
	channel_stats(pair.server, &stats);
	assert_int_equal(stats.skipped_frames, 3);
	/* Frames to be skipped, without an end: no reason to miss a deadline that has passed. */
	assert_int_equal(channel_send(pair.client, &unknown, "?", 1, UINT64_MAX), 0);
	assert_int_equal(channel_send(pair.client, &unknown, "?", 1, UINT64_MAX), 0);
	assert_int_equal(channel_recv(pair.server, &frame, 0), -ETIMEDOUT);
	assert_true(channel_has_input(pair.server));
	fake_channel_free(&pair);
}

static void a_mandatory_frame_of_an_unknown_type_ends_the_channel(void **state)
{
	const struct frame_kind unknown = {.type = 0x0777, .mandatory = true};
	struct channel_host_status status;
	struct fake_channel pair;
	struct frame frame;

	pair_init(&pair);
	assert_int_equal(fake_channel_open(&pair), 0);
	assert_int_equal(channel_send(pair.client, &unknown, "?", 1, UINT64_MAX), 0);
	assert_int_equal(channel_recv(pair.server, &frame, UINT64_MAX), -EOPNOTSUPP);
	assert_int_equal(channel_recv(pair.server, &frame, UINT64_MAX), -EOPNOTSUPP);
	channel_host_status(pair.dest, &status);
	assert_int_equal(status.by_reason[CHANNEL_REASON_UNKNOWN_TYPE], 1);
	assert_true(status.insecure);
	fake_channel_free(&pair);
}

static void frames_of_a_megabyte_pass_and_longer_ones_are_not_even_sent(void **state)
{
	struct fake_channel pair;
	struct frame frame;
	uint8_t *payload = calloc(1, FRAME_PAYLOAD_MAX_BYTES + 1), *room;

	pair_init(&pair);
	assert_int_equal(fake_channel_open(&pair), 0);
	fake_wire_set_window(pair.wire, 4 << 20);
	payload[FRAME_PAYLOAD_MAX_BYTES - 1] = 0x77;
	assert_int_equal(channel_send(pair.client, &fake_channel_kind, payload,
				 FRAME_PAYLOAD_MAX_BYTES + 1, UINT64_MAX),
		-EMSGSIZE);
	assert_int_equal(channel_reserve(pair.client, &fake_channel_kind, FRAME_BYTES + 1,
				 UINT64_MAX, &room),
		-EMSGSIZE);
	assert_int_equal(channel_send(pair.client, &fake_channel_kind, payload,
				 FRAME_PAYLOAD_MAX_BYTES, UINT64_MAX),
		0);
	assert_int_equal(channel_recv(pair.server, &frame, UINT64_MAX), 0);
	assert_int_equal(frame.payload_bytes, FRAME_PAYLOAD_MAX_BYTES);
	assert_int_equal(frame.payload[FRAME_PAYLOAD_MAX_BYTES - 1], 0x77);
	/* A receiver may want less. */
	fake_channel_close(&pair);
	pair.accept.options.max_payload_bytes = 1000;
	assert_int_equal(fake_channel_open(&pair), 0);
	assert_int_equal(
		channel_send(pair.client, &fake_channel_kind, payload, 1001, UINT64_MAX), 0);
	assert_int_equal(channel_recv(pair.server, &frame, UINT64_MAX), -EMSGSIZE);
	fake_channel_free(&pair);
	free(payload);
}

static void a_cap_paces_what_is_sent(void **state)
{
	struct fake_channel pair;
	struct channel_stats stats;
	struct receiver r;
	uint64_t since_ns;
	int send_ret;

	pair_init(&pair);
	pair.dial.options.bandwidth = bandwidth_new(100000);
	assert_int_equal(fake_channel_open(&pair), 0);
	since_ns = channel_now_ns(pair.client);
	r = transfer(&pair, &send_ret);
	assert_int_equal(send_ret, 0);
	assert_int_equal(r.got, RECORDS);
	/* 242 kB, 64 kB of them saved up. */
	channel_stats(pair.client, &stats);
	assert_in_range(channel_now_ns(pair.client) - since_ns, 1700000000ull, 1850000000ull);
	assert_in_range(stats.capped_ns, 1700000000ull, 1850000000ull);
	bandwidth_free(pair.dial.options.bandwidth);
	fake_channel_free(&pair);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(all_records_arrive_in_order_and_the_end_is_told),
		cmocka_unit_test(after_the_end_of_one_direction_the_other_goes_on),
		cmocka_unit_test(hellos_tell_each_side_about_the_other),
		cmocka_unit_test(
			every_harmful_fault_at_every_place_ends_in_an_error_after_a_good_prefix),
		cmocka_unit_test(odd_chunks_delays_and_small_windows_change_nothing),
		cmocka_unit_test(a_receiver_that_sleeps_stops_the_sender_at_its_deadline),
		cmocka_unit_test(a_receive_that_timed_out_can_be_repeated),
		cmocka_unit_test(another_thread_cancels_a_wait_of_any_length),
		cmocka_unit_test(unknown_optional_frames_are_skipped_and_the_deadline_holds),
		cmocka_unit_test(a_mandatory_frame_of_an_unknown_type_ends_the_channel),
		cmocka_unit_test(frames_of_a_megabyte_pass_and_longer_ones_are_not_even_sent),
		cmocka_unit_test(a_cap_paces_what_is_sent),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
