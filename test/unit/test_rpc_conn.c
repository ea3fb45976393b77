/* SPDX-License-Identifier: BSD-3-Clause */
/* A connection of the control socket with no socket and a clock of our own. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <event2/buffer.h>

#include "ctrl/rpc/conn.h"

struct fixture {
	struct rpc_conn *conn;
	struct rpc_limits limits;
	size_t input_total;
	uint64_t now_ms;
	unsigned int wakes, requests, gone, drained;
	char log[4096]; /* methods and arguments as they came */
	struct rpc_reply *later; /* of the method "later" */
};

static void on_gone(void *ctx)
{
	((struct fixture *)ctx)->gone++;
}

static void on_drained(void *ctx)
{
	((struct fixture *)ctx)->drained++;
}

static void write_down(struct fixture *fixture, const char *text)
{
	size_t at = strlen(fixture->log);

	snprintf(fixture->log + at, sizeof(fixture->log) - at, "%s", text);
}

static void handle(void *ctx, const struct rpc_request *request, struct rpc_reply *reply)
{
	struct fixture *fixture = ctx;

	fixture->requests++;
	write_down(fixture, request->method);
	write_down(fixture, "(");
	for (size_t i = 0; i < request->n_args; i++) {
		write_down(fixture, i ? "," : "");
		write_down(fixture, request->args[i]);
	}
	write_down(fixture, ")");
	if (strcmp(request->method, "later") == 0) {
		fixture->later = reply;
	} else if (strcmp(request->method, "fail") == 0) {
		rpc_reply_fail(reply, "no");
	} else {
		rpc_reply_append(reply, "done", 4);
		rpc_reply_finish(reply);
	}
}

static void on_wake(void *ctx)
{
	((struct fixture *)ctx)->wakes++;
}

static void connect_with(struct fixture *fixture, const struct rpc_limits *limits)
{
	memset(fixture, 0, sizeof(*fixture));
	fixture->now_ms = 1000;
	if (limits)
		fixture->limits = *limits;
	rpc_limits_fill(&fixture->limits);
	fixture->conn = rpc_conn_create(&(struct rpc_conn_options){
		handle, fixture, &fixture->limits, &fixture->input_total, on_wake, fixture});
	assert_non_null(fixture->conn);
}

static void hang_up(struct fixture *fixture)
{
	rpc_conn_destroy(fixture->conn);
	assert_int_equal(fixture->input_total, 0);
}

static void say(struct fixture *fixture, const char *text)
{
	rpc_conn_input(fixture->conn, text, strlen(text), fixture->now_ms);
	rpc_conn_run(fixture->conn, fixture->now_ms);
}

/* All the client has got since the last time; valid until the next. */
static const char *hear(struct fixture *fixture)
{
	static char text[65536];
	struct evbuffer *output = rpc_conn_output(fixture->conn);
	int n = evbuffer_remove(output, text, sizeof(text) - 1);

	text[n > 0 ? n : 0] = '\0';
	rpc_conn_run(fixture->conn, fixture->now_ms);
	return text;
}

#define REQUEST(id, method, params) \
	"{\"id\":" id ",\"method\":\"" method "\",\"params\":[" params "]}"

static void a_request_is_answered_as_ovs_does(void **state)
{
	struct fixture fixture;

	connect_with(&fixture, NULL);
	say(&fixture, REQUEST("0", "show", "\"a\",\"b c\""));
	assert_string_equal(fixture.log, "show(a,b c)");
	assert_string_equal(hear(&fixture), "{\"id\":0,\"result\":\"done\\n\",\"error\":null}");
	say(&fixture, REQUEST("\"x\"", "fail", ""));
	assert_string_equal(hear(&fixture), "{\"id\":\"x\",\"result\":null,\"error\":\"no\\n\"}");
	assert_true(rpc_conn_is_idle(fixture.conn));
	hang_up(&fixture);
}

static void echo_comes_back(void **state)
{
	struct fixture fixture;

	connect_with(&fixture, NULL);
	say(&fixture, REQUEST("\"echo\"", "echo", "1,{\"a\":null}"));
	assert_string_equal(
		hear(&fixture), "{\"id\":\"echo\",\"result\":[1,{\"a\":null}],\"error\":null}");
	assert_int_equal(fixture.requests, 0);
	hang_up(&fixture);
}

static void requests_are_the_same_wherever_they_are_split(void **state)
{
	static const char text[] =
		REQUEST("1", "a", "\"}\"") " \n" REQUEST("2", "fail", "") REQUEST("3", "c", "");
	static const char wanted[] = "{\"id\":1,\"result\":\"done\\n\",\"error\":null}"
				     "{\"id\":2,\"result\":null,\"error\":\"no\\n\"}"
				     "{\"id\":3,\"result\":\"done\\n\",\"error\":null}";
	struct fixture fixture;

	for (size_t cut = 0; cut < sizeof(text); cut++) {
		connect_with(&fixture, NULL);
		rpc_conn_input(fixture.conn, text, cut, fixture.now_ms);
		say(&fixture, text + cut);
		assert_string_equal(fixture.log, "a(})fail()c()");
		assert_string_equal(hear(&fixture), wanted);
		hang_up(&fixture);
	}
	connect_with(&fixture, NULL);
	for (size_t i = 0; i < sizeof(text) - 1; i++)
		rpc_conn_input(fixture.conn, text + i, 1, fixture.now_ms);
	assert_string_equal(hear(&fixture), wanted);
	hang_up(&fixture);
}

static void requests_of_one_connection_wait_for_each_other(void **state)
{
	struct fixture fixture;

	connect_with(&fixture, NULL);
	say(&fixture, REQUEST("1", "later", "") REQUEST("2", "b", "") REQUEST("3", "c", ""));
	assert_string_equal(fixture.log, "later()");
	assert_string_equal(hear(&fixture), "");
	fixture.wakes = 0;
	rpc_reply_append(fixture.later, "now\n", 4);
	rpc_reply_finish(fixture.later);
	assert_true(fixture.wakes > 0);
	rpc_conn_run(fixture.conn, fixture.now_ms);
	assert_string_equal(fixture.log, "later()b()c()");
	assert_string_equal(hear(&fixture), "{\"id\":1,\"result\":\"now\\n\",\"error\":null}"
					    "{\"id\":2,\"result\":\"done\\n\",\"error\":null}"
					    "{\"id\":3,\"result\":\"done\\n\",\"error\":null}");
	hang_up(&fixture);
}

static void many_requests_at_once_take_turns_with_others(void **state)
{
	struct fixture fixture;
	char text[25 * 64] = "";

	for (int i = 0; i < 25; i++)
		strcat(text, REQUEST("1", "a", ""));
	connect_with(&fixture, NULL);
	rpc_conn_input(fixture.conn, text, strlen(text), fixture.now_ms);
	assert_int_equal(fixture.requests, 10);
	assert_true(fixture.wakes > 0);
	assert_true(rpc_conn_run(fixture.conn, fixture.now_ms));
	assert_int_equal(fixture.requests, 20);
	assert_false(rpc_conn_run(fixture.conn, fixture.now_ms));
	assert_int_equal(fixture.requests, 25);
	hang_up(&fixture);
}

static void reading_stops_while_a_request_runs_and_much_waits(void **state)
{
	struct fixture fixture;
	char blanks[1025];

	memset(blanks, ' ', 1024);
	blanks[1024] = '\0';
	connect_with(&fixture, NULL);
	say(&fixture, REQUEST("1", "later", ""));
	for (int i = 0; i < 64; i++) {
		assert_true(rpc_conn_wants_input(fixture.conn));
		say(&fixture, blanks);
	}
	assert_false(rpc_conn_wants_input(fixture.conn));
	rpc_reply_finish(fixture.later);
	rpc_conn_run(fixture.conn, fixture.now_ms);
	assert_true(rpc_conn_wants_input(fixture.conn));
	hang_up(&fixture);
}

static void D01_a_half_message_is_ended_after_two_seconds(void **state)
{
	struct fixture fixture;

	connect_with(&fixture, NULL);
	say(&fixture, "{\"id\":");
	assert_int_equal(rpc_conn_deadline_ms(fixture.conn), 3000);
	fixture.now_ms = 2999;
	say(&fixture, "0,");
	assert_int_equal(rpc_conn_state(fixture.conn), RPC_CONN_OPEN);
	fixture.now_ms = 3000;
	rpc_conn_run(fixture.conn, fixture.now_ms);
	assert_int_equal(rpc_conn_state(fixture.conn), RPC_CONN_BAD_INPUT);
	assert_string_equal(rpc_conn_fault(fixture.conn), "message not finished in time");
	assert_string_equal(hear(&fixture),
		"{\"id\":null,\"result\":null,\"error\":\"message not finished in time\\n\"}");
	hang_up(&fixture);
}

static void a_half_message_behind_a_running_request_does_not_age(void **state)
{
	struct fixture fixture;

	connect_with(&fixture, NULL);
	say(&fixture, REQUEST("1", "later", "") "{\"id\":2,");
	fixture.now_ms += 100000;
	rpc_conn_run(fixture.conn, fixture.now_ms);
	assert_int_equal(rpc_conn_state(fixture.conn), RPC_CONN_OPEN);
	rpc_reply_finish(fixture.later);
	rpc_conn_run(fixture.conn, fixture.now_ms);
	assert_int_equal(rpc_conn_deadline_ms(fixture.conn), fixture.now_ms + 2000);
	say(&fixture, "\"method\":\"b\",\"params\":[]}");
	assert_string_equal(fixture.log, "later()b()");
	hang_up(&fixture);
}

static void an_idle_connection_has_no_deadline(void **state)
{
	struct fixture fixture;

	connect_with(&fixture, NULL);
	say(&fixture, " \n" REQUEST("1", "a", "") "\n");
	hear(&fixture);
	assert_int_equal(rpc_conn_deadline_ms(fixture.conn), UINT64_MAX);
	assert_true(rpc_conn_is_idle(fixture.conn));
	hang_up(&fixture);
}

static void what_is_no_request_ends_the_connection_with_a_reason(void **state)
{
	static const char *const bad[] = {
		"x",
		"{\"id\":0}",
		"{\"id\":0,\"method\":1,\"params\":[]}",
		"{\"id\":0,\"method\":\"a\",\"params\":{}}",
		"{\"id\":null,\"method\":\"a\",\"params\":[]}",
		"{\"method\":\"a\",\"params\":[]}",
		"{\"id\":0,\"result\":\"a\",\"error\":null}",
		"{\"id\":0,\"method\":\"a\",\"method\":\"b\",\"params\":[]}",
		"{\"id\":0,\"method\":\"a\\u0000b\",\"params\":[]}",
		"{\"id\":0,\"method\":\"\xff\",\"params\":[]}",
		"{,}",
	};
	struct fixture fixture;

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		connect_with(&fixture, NULL);
		say(&fixture, bad[i]);
		assert_int_equal(rpc_conn_state(fixture.conn), RPC_CONN_BAD_INPUT);
		assert_int_equal(fixture.requests, 0);
		assert_non_null(strstr(hear(&fixture), "\"id\":null,\"result\":null,\"error\":\""));
		hang_up(&fixture);
	}
}

static void arguments_that_are_no_strings_are_an_error_only(void **state)
{
	struct fixture fixture;

	connect_with(&fixture, NULL);
	say(&fixture, REQUEST("5", "a", "\"b\",1"));
	assert_string_equal(hear(&fixture),
		"{\"id\":5,\"result\":null,\"error\":\"arguments must be strings\\n\"}");
	assert_int_equal(fixture.requests, 0);
	assert_int_equal(rpc_conn_state(fixture.conn), RPC_CONN_OPEN);
	hang_up(&fixture);
}

static void input_is_limited_per_message_and_for_all_together(void **state)
{
	struct rpc_limits limits = {.message_bytes = 100};
	struct fixture fixture;
	char text[9000];

	memset(text, '1', sizeof(text));
	memcpy(text, "{\"a\":", 5);
	text[sizeof(text) - 1] = '\0';
	connect_with(&fixture, &limits);
	say(&fixture, text);
	assert_string_equal(rpc_conn_fault(fixture.conn), "message or string too long");
	hang_up(&fixture);

	connect_with(&fixture, &(struct rpc_limits){.input_bytes = 8192});
	say(&fixture, text);
	assert_non_null(strstr(rpc_conn_fault(fixture.conn), "all connections together"));
	hang_up(&fixture);
}

static void memory_of_a_large_message_is_given_back(void **state)
{
	struct fixture fixture;
	char *text = malloc(1 << 20);

	memset(text, 'a', 1 << 20);
	text[(1 << 20) - 1] = '\0';
	connect_with(&fixture, NULL);
	say(&fixture, "{\"id\":0,\"method\":\"a\",\"params\":[\"");
	rpc_conn_input(fixture.conn, text, 1000000, fixture.now_ms);
	assert_true(fixture.input_total >= 1000000);
	say(&fixture, "\"]}");
	assert_int_equal(fixture.requests, 1);
	assert_int_equal(fixture.input_total, 0);
	free(text);
	hang_up(&fixture);
}

static void a_producer_waits_for_room_and_is_called_when_there_is(void **state)
{
	struct rpc_limits limits = {.output_high_bytes = 1000};
	struct fixture fixture;
	char text[900] = "";

	connect_with(&fixture, &limits);
	say(&fixture, REQUEST("1", "later", ""));
	assert_int_equal(rpc_reply_room(fixture.later), 1000);
	memset(text, 'x', sizeof(text));
	rpc_reply_on_drain(fixture.later, on_drained, &fixture);
	assert_true(rpc_conn_run(fixture.conn, fixture.now_ms) || fixture.drained);
	assert_int_equal(fixture.drained, 1);
	rpc_reply_append(fixture.later, text, sizeof(text));
	rpc_reply_append(fixture.later, text, sizeof(text));
	assert_int_equal(rpc_reply_room(fixture.later), 0);
	rpc_reply_on_drain(fixture.later, on_drained, &fixture);
	assert_false(rpc_conn_run(fixture.conn, fixture.now_ms));
	assert_int_equal(fixture.drained, 1);
	evbuffer_drain(rpc_conn_output(fixture.conn), 1000);
	rpc_conn_run(fixture.conn, fixture.now_ms);
	assert_int_equal(fixture.drained, 2);
	rpc_reply_finish(fixture.later);
	hang_up(&fixture);
}

static void output_that_nobody_takes_ends_the_connection(void **state)
{
	struct fixture fixture;

	connect_with(&fixture, NULL);
	say(&fixture, REQUEST("1", "a", ""));
	rpc_conn_run(fixture.conn, fixture.now_ms);
	assert_int_equal(rpc_conn_deadline_ms(fixture.conn), 11000);
	fixture.now_ms = 11000;
	rpc_conn_run(fixture.conn, fixture.now_ms);
	assert_int_equal(rpc_conn_state(fixture.conn), RPC_CONN_BAD_OUTPUT);
	hang_up(&fixture);
}

static void a_slow_reader_of_an_endless_answer_is_left_alone(void **state)
{
	struct fixture fixture;
	char text[1000];

	memset(text, 'x', sizeof(text));
	connect_with(&fixture, NULL);
	say(&fixture, REQUEST("1", "later", ""));
	for (int i = 0; i < 100; i++) {
		rpc_reply_append(fixture.later, text, sizeof(text));
		rpc_conn_run(fixture.conn, fixture.now_ms);
		/* The reader is always behind, but takes as much as comes. */
		if (i > 0)
			evbuffer_drain(rpc_conn_output(fixture.conn), 1000);
		fixture.now_ms += 3000;
		rpc_conn_run(fixture.conn, fixture.now_ms);
		assert_int_equal(rpc_conn_state(fixture.conn), RPC_CONN_OPEN);
	}
	for (int i = 0; i < 5; i++) {
		fixture.now_ms += 3000;
		rpc_reply_append(fixture.later, text, sizeof(text));
		rpc_conn_run(fixture.conn, fixture.now_ms);
	}
	assert_int_equal(rpc_conn_state(fixture.conn), RPC_CONN_BAD_OUTPUT);
	rpc_reply_finish(fixture.later);
	hang_up(&fixture);
}

static void an_answer_beyond_all_bounds_ends_the_connection(void **state)
{
	struct rpc_limits limits = {.output_max_bytes = 5000};
	struct fixture fixture;
	char text[6000];

	memset(text, 'x', sizeof(text));
	connect_with(&fixture, &limits);
	say(&fixture, REQUEST("1", "later", ""));
	rpc_reply_append(fixture.later, text, sizeof(text));
	assert_int_equal(rpc_conn_state(fixture.conn), RPC_CONN_BAD_OUTPUT);
	rpc_reply_append(fixture.later, text, sizeof(text));
	assert_true(evbuffer_get_length(rpc_conn_output(fixture.conn)) < 7000);
	rpc_reply_finish(fixture.later);
	hang_up(&fixture);
}

static void an_answer_that_fails_half_way_is_an_error(void **state)
{
	struct fixture fixture;

	connect_with(&fixture, NULL);
	say(&fixture, REQUEST("1", "later", ""));
	rpc_reply_append(fixture.later, "half\xc3", 5);
	rpc_reply_fail(fixture.later, "gone\n");
	assert_string_equal(hear(&fixture), "{\"id\":1,\"result\":\"half\xef\xbf\xbd\","
					    "\"result\":null,\"error\":\"gone\\n\"}");
	hang_up(&fixture);
}

static void an_empty_answer_is_an_empty_string(void **state)
{
	struct fixture fixture;

	connect_with(&fixture, NULL);
	say(&fixture, REQUEST("1", "later", ""));
	rpc_reply_finish(fixture.later);
	assert_string_equal(hear(&fixture), "{\"id\":1,\"result\":\"\",\"error\":null}");
	hang_up(&fixture);
}

static void a_reply_outlives_its_client(void **state)
{
	struct fixture fixture;

	connect_with(&fixture, NULL);
	say(&fixture, REQUEST("1", "later", ""));
	rpc_reply_on_gone(fixture.later, on_gone, &fixture);
	rpc_reply_append(fixture.later, "a", 1);
	hang_up(&fixture);
	assert_int_equal(fixture.gone, 1);
	assert_true(rpc_reply_gone(fixture.later));
	rpc_reply_append(fixture.later, "b", 1);
	rpc_reply_finish(fixture.later);
	assert_int_equal(fixture.gone, 1);
}

static void a_waiting_producer_learns_that_its_client_is_gone(void **state)
{
	struct fixture fixture;

	connect_with(&fixture, NULL);
	say(&fixture, REQUEST("1", "later", ""));
	rpc_reply_on_drain(fixture.later, on_drained, &fixture);
	hang_up(&fixture);
	assert_int_equal(fixture.drained, 1);
	rpc_reply_fail(fixture.later, "nobody hears");
}

static void a_client_that_only_stopped_sending_gets_its_answers(void **state)
{
	struct fixture fixture;

	connect_with(&fixture, NULL);
	say(&fixture, REQUEST("1", "later", "") REQUEST("2", "b", ""));
	rpc_conn_input_end(fixture.conn, fixture.now_ms);
	assert_int_equal(rpc_conn_state(fixture.conn), RPC_CONN_ENDING);
	assert_false(rpc_conn_wants_input(fixture.conn));
	rpc_reply_finish(fixture.later);
	rpc_conn_run(fixture.conn, fixture.now_ms);
	assert_string_equal(fixture.log, "later()b()");
	assert_int_equal(rpc_conn_state(fixture.conn), RPC_CONN_ENDING);
	hear(&fixture);
	assert_int_equal(rpc_conn_state(fixture.conn), RPC_CONN_EOF);
	hang_up(&fixture);
}

static void an_end_within_a_message_is_a_fault(void **state)
{
	struct fixture fixture;

	connect_with(&fixture, NULL);
	say(&fixture, "{\"id\"");
	rpc_conn_input_end(fixture.conn, fixture.now_ms);
	assert_int_equal(rpc_conn_state(fixture.conn), RPC_CONN_BAD_INPUT);
	hang_up(&fixture);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_request_is_answered_as_ovs_does),
		cmocka_unit_test(echo_comes_back),
		cmocka_unit_test(requests_are_the_same_wherever_they_are_split),
		cmocka_unit_test(requests_of_one_connection_wait_for_each_other),
		cmocka_unit_test(many_requests_at_once_take_turns_with_others),
		cmocka_unit_test(reading_stops_while_a_request_runs_and_much_waits),
		cmocka_unit_test(D01_a_half_message_is_ended_after_two_seconds),
		cmocka_unit_test(a_half_message_behind_a_running_request_does_not_age),
		cmocka_unit_test(an_idle_connection_has_no_deadline),
		cmocka_unit_test(what_is_no_request_ends_the_connection_with_a_reason),
		cmocka_unit_test(arguments_that_are_no_strings_are_an_error_only),
		cmocka_unit_test(input_is_limited_per_message_and_for_all_together),
		cmocka_unit_test(memory_of_a_large_message_is_given_back),
		cmocka_unit_test(a_producer_waits_for_room_and_is_called_when_there_is),
		cmocka_unit_test(output_that_nobody_takes_ends_the_connection),
		cmocka_unit_test(a_slow_reader_of_an_endless_answer_is_left_alone),
		cmocka_unit_test(an_answer_beyond_all_bounds_ends_the_connection),
		cmocka_unit_test(an_answer_that_fails_half_way_is_an_error),
		cmocka_unit_test(an_empty_answer_is_an_empty_string),
		cmocka_unit_test(a_reply_outlives_its_client),
		cmocka_unit_test(a_waiting_producer_learns_that_its_client_is_gone),
		cmocka_unit_test(a_client_that_only_stopped_sending_gets_its_answers),
		cmocka_unit_test(an_end_within_a_message_is_a_fault),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
