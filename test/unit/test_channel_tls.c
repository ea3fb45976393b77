/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Who may connect, and what each refusal says and is counted as. Real TLS and real files over the
 * fake wire, where the clock that judges certificates is the test's.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "test/fake/fake_channel.h"

#define DAY 86400

static struct fake_ca ca;

static int issue_all(void **state)
{
	fake_ca_new(&ca);
	fake_ca_issue(&ca, "source");
	fake_ca_issue(&ca, "dest,ip=192.0.2.2,dns=dest");
	return 0;
}

static int remove_all(void **state)
{
	fake_ca_free(&ca);
	return 0;
}

/* Puts another certificate in the place of a host's, for one test. */
static void with_certificate(const char *spec)
{
	fake_ca_issue(&ca, spec);
}

static int restore(void **state)
{
	fake_ca_issue(&ca, "source");
	fake_ca_issue(&ca, "dest,ip=192.0.2.2,dns=dest");
	return 0;
}

static void assert_says(const char *text, const char *part)
{
	if (strstr(text, part) == NULL)
		fail_msg("\"%s\" does not say \"%s\"", text, part);
}

static void assert_counted(struct channel_host *host, enum channel_reason reason)
{
	struct channel_host_status status;

	channel_host_status(host, &status);
	for (int i = 1; i < CHANNEL_REASON_COUNT; i++)
		assert_int_equal(status.by_reason[i], i == (int)reason);
}

/* Opens once with fresh hosts; the reasons are what each end must find. */
static void expect(
	struct fake_channel *pair, enum channel_reason client, enum channel_reason server)
{
	fake_channel_open(pair);
	assert_string_equal(channel_reason_name(pair->client_ret == 0 ? CHANNEL_REASON_NONE
								      : pair->client_error.reason),
		channel_reason_name(client));
	assert_int_equal(pair->client_ret, channel_reason_errno(client));
	assert_counted(pair->source, client);
	if (pair->wire == NULL)
		return;
	assert_string_equal(channel_reason_name(pair->server_ret == 0 ? CHANNEL_REASON_NONE
								      : pair->server_error.reason),
		channel_reason_name(server));
	assert_counted(pair->dest, server);
}

static void both_certificates_good_opens_a_channel(void **state)
{
	struct channel_host_status status;
	struct fake_channel pair;
	struct frame frame;

	fake_channel_new(&pair, &ca);
	expect(&pair, CHANNEL_REASON_NONE, CHANNEL_REASON_NONE);
	assert_false(channel_is_plain(pair.client));
	assert_int_equal(channel_send(pair.client, &fake_channel_kind, "hello", 5, UINT64_MAX), 0);
	assert_int_equal(channel_recv(pair.server, &frame, UINT64_MAX), 0);
	assert_memory_equal(frame.payload, "hello", 5);
	assert_int_equal(channel_finish(pair.server, UINT64_MAX), 0);
	assert_int_equal(channel_recv(pair.client, &frame, UINT64_MAX), -ESHUTDOWN);
	channel_host_status(pair.source, &status);
	assert_int_equal(status.connects, 1);
	assert_false(status.insecure);
	assert_string_equal(status.subject, "CN=source");
	assert_string_equal(status.problem, "");
	fake_channel_free(&pair);
}

static void f07_a_source_that_is_not_in_the_peer_list_is_refused_before_tls(void **state)
{
	struct fake_channel pair;

	fake_channel_new(&pair, &ca);
	pair.from = fake_address("192.0.2.66");
	expect(&pair, CHANNEL_REASON_RESET, CHANNEL_REASON_ADDRESS);
	assert_says(pair.server_error.text, "from 192.0.2.66");
	assert_int_equal(fake_wire_sent(pair.wire, FAKE_SERVER), 0);
	fake_channel_free(&pair);
}

static void f07_a_certificate_of_another_ca_is_refused_on_either_side(void **state)
{
	struct fake_channel pair;

	with_certificate("source,ca=other");
	fake_channel_new(&pair, &ca);
	expect(&pair, CHANNEL_REASON_OWN_REFUSED, CHANNEL_REASON_UNKNOWN_CA);
	assert_says(pair.server_error.text, "the peer's certificate (CN=source) is not signed by");
	assert_says(pair.client_error.text, "refused our certificate (CN=source");
	fake_channel_free(&pair);

	with_certificate("source");
	with_certificate("dest,ca=other");
	fake_channel_new(&pair, &ca);
	expect(&pair, CHANNEL_REASON_UNKNOWN_CA, CHANNEL_REASON_OWN_REFUSED);
	assert_says(pair.client_error.text, "to dest at 192.0.2.2 port 4790");
	fake_channel_free(&pair);
}

static void f07_a_good_certificate_of_another_host_is_refused(void **state)
{
	struct fake_channel pair;

	with_certificate("tenant,file=source");
	fake_channel_new(&pair, &ca);
	expect(&pair, CHANNEL_REASON_PEER_REFUSED, CHANNEL_REASON_PEER_NAME);
	assert_says(pair.server_error.text, "it has DNS:tenant");
	assert_says(pair.client_error.text, "peer-name");
	fake_channel_free(&pair);

	with_certificate("source");
	with_certificate("tenant,ip=192.0.2.2,file=dest");
	fake_channel_new(&pair, &ca);
	expect(&pair, CHANNEL_REASON_PEER_NAME, CHANNEL_REASON_PEER_REFUSED);
	assert_says(pair.client_error.text, "no name allowed for dest; it has IP:192.0.2.2");
	fake_channel_free(&pair);
}

static void f07_a_peer_without_the_key_of_its_certificate_is_refused_by_itself(void **state)
{
	char key[160], other[160];
	struct fake_channel pair;

	/* Its own OpenSSL would not even take them, so it says so before it connects. */
	rename(fake_ca_path(&ca, "dest.key", other, sizeof(other)),
		fake_ca_path(&ca, "source.key", key, sizeof(key)));
	fake_channel_new(&pair, &ca);
	expect(&pair, CHANNEL_REASON_OWN_FILES, CHANNEL_REASON_NONE);
	assert_says(pair.client_error.text, "our key file");
	assert_null(pair.wire);
	fake_channel_free(&pair);
}

static int refuse_move(void *ctx, const struct channel_hello *hello, char *reason, size_t size)
{
	assert_string_equal(hello->host, "source");
	snprintf(reason, size, "no move %02x was announced", hello->move_id[0]);
	return -ENOENT;
}

static void f07_a_move_nobody_announced_is_refused_in_words_the_other_side_reads(void **state)
{
	struct fake_channel pair;

	fake_channel_new(&pair, &ca);
	pair.dial.move_id[0] = 0x42;
	pair.accept.admit = refuse_move;
	expect(&pair, CHANNEL_REASON_PEER_REFUSED, CHANNEL_REASON_ADMISSION);
	assert_says(pair.client_error.text, "no move 42 was announced");
	fake_channel_free(&pair);
}

static void f07_a_purpose_that_is_not_served_is_refused(void **state)
{
	struct fake_channel pair;

	fake_channel_new(&pair, &ca);
	pair.dial.purpose = CHANNEL_PURPOSE_MEMORY;
	expect(&pair, CHANNEL_REASON_PEER_REFUSED, CHANNEL_REASON_PURPOSE);
	fake_channel_free(&pair);
}

/* Sends what a client once sent to a fresh connection of the same server. */
static void replay(struct fake_channel *pair, const void *recorded, size_t len_bytes)
{
	const struct fake_ends ends = {.client = fake_address("192.0.2.1"),
		.server = fake_address("192.0.2.2"),
		.is_local = true};
	struct channel_io client, server;
	struct frame frame;
	struct fake_wire *wire = fake_wire_pair(pair->world, &ends, &client, &server);

	assert_int_equal(client.ops->send(client.ctx, recorded, len_bytes), len_bytes);
	client.ops->finish(client.ctx);
	pair->server_ret = channel_accept(
		pair->dest, &server, &pair->accept, &pair->server, &pair->server_error);
	if (pair->server_ret == 0) {
		pair->server_ret = channel_recv(pair->server, &frame, UINT64_MAX);
		pair->server_error = *channel_error(pair->server);
	}
	client.ops->close(client.ctx);
	fake_wire_put(wire);
}

static void f07_a_recorded_stream_played_again_is_refused_before_its_first_record(void **state)
{
	static uint8_t recorded[64 << 10];
	struct fake_channel pair;
	struct frame frame;
	size_t len_bytes;

	for (int plain = 0; plain < 2; plain++) {
		fake_channel_new(&pair, plain ? NULL : &ca);
		assert_int_equal(fake_channel_open(&pair), 0);
		assert_int_equal(
			channel_send(pair.client, &fake_channel_kind, "hole", 4, UINT64_MAX), 0);
		assert_int_equal(channel_recv(pair.server, &frame, UINT64_MAX), 0);
		len_bytes = fake_wire_recorded(pair.wire, FAKE_CLIENT, recorded, sizeof(recorded));
		fake_channel_close(&pair);
		replay(&pair, recorded, len_bytes);
		/* TLS already fails; a plain stream has the sequences of another connection. */
		assert_int_equal(pair.server_error.reason,
			plain ? CHANNEL_REASON_SEQUENCE : CHANNEL_REASON_TLS);
		fake_channel_free(&pair);
	}
}

static void f07_plain_needs_insecure_in_the_file_and_a_local_wire(void **state)
{
	const struct fake_ends ends = {.client = fake_address("192.0.2.1"),
		.server = fake_address("192.0.2.2"),
		.is_local = false};
	struct channel_io client, server;
	struct fake_channel pair;
	struct fake_wire *wire;

	fake_channel_new(&pair, &ca);
	pair.dial.plain = pair.accept.plain = true;
	expect(&pair, CHANNEL_REASON_INSECURE, CHANNEL_REASON_INSECURE);
	fake_channel_free(&pair);

	fake_channel_new(&pair, NULL);
	wire = fake_wire_pair(pair.world, &ends, &client, &server);
	assert_int_equal(
		channel_accept(pair.dest, &server, &pair.accept, &pair.server, &pair.server_error),
		-EPERM);
	assert_says(pair.server_error.text, "only unix sockets and loopback");
	client.ops->close(client.ctx);
	fake_wire_put(wire);
	fake_channel_free(&pair);
}

static void f07_plain_still_asks_who_it_is(void **state)
{
	struct fake_channel pair;

	fake_channel_new(&pair, NULL);
	pair.from = fake_address("192.0.2.2"); /* listed, but not as "source" */
	expect(&pair, CHANNEL_REASON_PEER_REFUSED, CHANNEL_REASON_HOST_NAME);
	fake_channel_free(&pair);
}

static void f08_an_expired_peer_is_refused_with_side_subject_and_date(void **state)
{
	struct fake_channel pair;

	with_certificate("dest,from=2020-01-01,until=2020-02-03 04:05:06Z");
	fake_channel_new(&pair, &ca);
	expect(&pair, CHANNEL_REASON_PEER_EXPIRED, CHANNEL_REASON_OWN_REFUSED);
	assert_says(pair.client_error.text,
		"to dest at 192.0.2.2 port 4790: the peer's certificate "
		"(CN=dest) expired on 2020-02-03 04:05:06Z");
	assert_says(pair.server_error.text,
		"the peer refused our certificate (CN=dest, valid "
		"2020-01-01 00:00:00Z to 2020-02-03 04:05:06Z) as expired");
	fake_channel_free(&pair);
}

static void f08_a_peer_that_finds_its_own_certificate_expired_says_so(void **state)
{
	struct fake_channel pair;

	/* By S's clock D's certificate is good still. */
	with_certificate("dest,until=1 hour");
	with_certificate("source,until=3 days");
	fake_channel_new(&pair, &ca);
	fake_world_host_set_ahead(channel_host_world(pair.dest), DAY);
	expect(&pair, CHANNEL_REASON_PEER_REFUSED, CHANNEL_REASON_OWN_EXPIRED);
	assert_says(
		pair.client_error.text, "own-expired: our own certificate (CN=dest) expired on 2");
	fake_channel_free(&pair);
}

static void f08_a_day_between_the_clocks_is_named_by_both_sides(void **state)
{
	struct fake_channel pair;

	/* S's certificate has an hour left by S's clock, and ended yesterday by D's. */
	with_certificate("source,until=1 hour");
	fake_channel_new(&pair, &ca);
	fake_world_host_set_ahead(channel_host_world(pair.dest), DAY);
	expect(&pair, CHANNEL_REASON_OWN_REFUSED, CHANNEL_REASON_PEER_EXPIRED);
	assert_says(pair.server_error.text, "the peer's certificate (CN=source) expired on 2");
	assert_says(pair.client_error.text, "the peer refused our certificate (CN=source, valid 2");
	assert_says(pair.client_error.text, "as expired");
	fake_channel_free(&pair);

	/* And one that is an hour old, for a D a day behind. */
	with_certificate("source,from=1 hour ago");
	fake_channel_new(&pair, &ca);
	fake_world_host_set_ahead(channel_host_world(pair.dest), -DAY);
	with_certificate("dest,ip=192.0.2.2,dns=dest,from=3 days ago");
	expect(&pair, CHANNEL_REASON_OWN_REFUSED, CHANNEL_REASON_PEER_NOT_YET);
	assert_says(
		pair.server_error.text, "the peer's certificate (CN=source) is not valid before 2");
	fake_channel_free(&pair);
}

static void f08_our_own_expired_or_early_certificate_is_found_before_we_connect(void **state)
{
	struct fake_channel pair;

	with_certificate("source,from=10 days ago,until=1 day ago");
	fake_channel_new(&pair, &ca);
	expect(&pair, CHANNEL_REASON_OWN_EXPIRED, CHANNEL_REASON_NONE);
	assert_says(pair.client_error.text, "our own certificate (CN=source) expired on 2");
	assert_null(pair.wire);
	fake_channel_free(&pair);
	with_certificate("source,from=1 day,until=9 days");
	fake_channel_new(&pair, &ca);
	expect(&pair, CHANNEL_REASON_OWN_NOT_YET, CHANNEL_REASON_NONE);
	assert_null(pair.wire);
	fake_channel_free(&pair);
}

static void f08_new_files_count_from_the_next_connection_on(void **state)
{
	struct channel_host_status status;
	struct fake_channel pair;
	struct channel *client, *server;
	struct frame frame;

	fake_channel_new(&pair, &ca);
	assert_int_equal(fake_channel_open(&pair), 0);
	client = pair.client;
	server = pair.server;
	pair.client = pair.server = NULL;
	fake_channel_close(&pair);

	with_certificate(
		"tenant,file=source"); /* the next one is refused, the running one is not */
	assert_true(fake_channel_open(&pair) < 0);
	assert_int_equal(pair.server_error.reason, CHANNEL_REASON_PEER_NAME);
	fake_channel_close(&pair);
	assert_int_equal(channel_send(client, &fake_channel_kind, "on", 2, UINT64_MAX), 0);
	assert_int_equal(channel_recv(server, &frame, UINT64_MAX), 0);

	with_certificate("source");
	assert_int_equal(fake_channel_open(&pair), 0);
	channel_host_status(pair.source, &status);
	assert_int_equal(status.reloads, 3);
	channel_close(client);
	channel_close(server);
	fake_channel_free(&pair);
}

static void f08_a_rotation_caught_in_the_middle_keeps_the_old_certificate(void **state)
{
	char from[160], to[160];
	struct channel_host_status status;
	struct fake_channel pair;

	fake_channel_new(&pair, &ca);
	assert_int_equal(fake_channel_open(&pair), 0);
	fake_channel_close(&pair);
	with_certificate("source,file=next");
	rename(fake_ca_path(&ca, "next.pem", from, sizeof(from)),
		fake_ca_path(&ca, "source.pem", to, sizeof(to)));
	assert_int_equal(fake_channel_open(&pair), 0);
	fake_channel_close(&pair);
	channel_host_status(pair.source, &status);
	assert_true(status.warn);
	assert_says(status.problem, "source.key");
	rename(fake_ca_path(&ca, "next.key", from, sizeof(from)),
		fake_ca_path(&ca, "source.key", to, sizeof(to)));
	assert_int_equal(fake_channel_open(&pair), 0);
	channel_host_status(pair.source, &status);
	assert_false(status.warn);
	assert_string_equal(status.problem, "");
	assert_int_equal(status.reloads, 2);
	fake_channel_free(&pair);
}

static void f08_status_warns_fourteen_days_ahead(void **state)
{
	struct channel_host_status status;
	struct fake_channel pair;
	int64_t now_s = time(NULL);

	fake_channel_new(&pair, &ca);
	channel_host_status(pair.source, &status);
	assert_in_range(status.days_left, 29, 30);
	assert_false(status.warn);
	assert_string_equal(status.ca_subject, "CN=Ferry test ca");
	channel_host_set_warn_days(pair.source, 31);
	channel_host_status(pair.source, &status);
	assert_true(status.warn);
	channel_host_set_warn_days(pair.source, 14);
	fake_world_set_wall(pair.world, now_s + 17 * DAY);
	channel_host_status(pair.source, &status);
	assert_in_range(status.days_left, 12, 13);
	assert_true(status.warn);
	assert_says(status.problem, "our certificate (CN=source) expires on 2");
	fake_world_set_wall(pair.world, now_s + 31 * DAY);
	channel_host_status(pair.source, &status);
	assert_in_range(status.days_left, -2, -1);
	assert_says(status.problem, "expired on");
	fake_channel_free(&pair);
}

static void a_missing_file_is_named_and_found_by_status(void **state)
{
	char path[160];
	struct channel_host_status status;
	struct fake_channel pair;

	unlink(fake_ca_path(&ca, "source.pem", path, sizeof(path)));
	fake_channel_new(&pair, &ca);
	channel_host_status(pair.source, &status);
	assert_true(status.warn);
	assert_says(status.problem, path);
	assert_says(status.problem, "No such file");
	expect(&pair, CHANNEL_REASON_OWN_FILES, CHANNEL_REASON_NONE);
	fake_channel_free(&pair);
}

static void a_handshake_cut_or_stalled_anywhere_ends_in_time_on_both_sides(void **state)
{
	struct fake_channel pair;
	uint64_t since_ns;

	for (int kind = 0; kind < 3; kind++) {
		for (uint64_t at = 0; at < 2500; at += 97) {
			fake_channel_new(&pair, &ca);
			pair.faults[0] = (struct fake_fault){
				.kind = kind == 0   ? FAKE_FAULT_CUT
					: kind == 1 ? FAKE_FAULT_STALL
						    : FAKE_FAULT_FLIP,
				.from = at % 2 ? FAKE_CLIENT : FAKE_SERVER,
				.at_byte = at,
			};
			pair.n_faults = 1;
			since_ns = fake_world_now_ns(pair.world);
			fake_channel_open(&pair);
			assert_in_range(fake_world_now_ns(pair.world) - since_ns, 0, 5400000000ull);
			/* The fault was met, or came too late to matter. */
			if (pair.client_ret == 0)
				assert_true(at >= fake_wire_sent(pair.wire, pair.faults[0].from) ||
					    pair.server_ret < 0);
			fake_channel_free(&pair);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_teardown(name, restore)
		TEST(both_certificates_good_opens_a_channel),
		TEST(f07_a_source_that_is_not_in_the_peer_list_is_refused_before_tls),
		TEST(f07_a_certificate_of_another_ca_is_refused_on_either_side),
		TEST(f07_a_good_certificate_of_another_host_is_refused),
		TEST(f07_a_peer_without_the_key_of_its_certificate_is_refused_by_itself),
		TEST(f07_a_move_nobody_announced_is_refused_in_words_the_other_side_reads),
		TEST(f07_a_purpose_that_is_not_served_is_refused),
		TEST(f07_a_recorded_stream_played_again_is_refused_before_its_first_record),
		TEST(f07_plain_needs_insecure_in_the_file_and_a_local_wire),
		TEST(f07_plain_still_asks_who_it_is),
		TEST(f08_an_expired_peer_is_refused_with_side_subject_and_date),
		TEST(f08_a_peer_that_finds_its_own_certificate_expired_says_so),
		TEST(f08_a_day_between_the_clocks_is_named_by_both_sides),
		TEST(f08_our_own_expired_or_early_certificate_is_found_before_we_connect),
		TEST(f08_new_files_count_from_the_next_connection_on),
		TEST(f08_a_rotation_caught_in_the_middle_keeps_the_old_certificate),
		TEST(f08_status_warns_fourteen_days_ahead),
		TEST(a_missing_file_is_named_and_found_by_status),
		TEST(a_handshake_cut_or_stalled_anywhere_ends_in_time_on_both_sides),
	};

	return cmocka_run_group_tests(tests, issue_all, remove_all);
}
