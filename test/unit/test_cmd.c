/* SPDX-License-Identifier: BSD-3-Clause */
/* The command frame on a connection without a socket. */
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
#include <jansson.h>

#include "ctrl/cmd/cmd.h"
#include "ctrl/rpc/conn.h"

struct fixture {
	struct loop *loop;
	struct cmd_registry *registry;
	struct rpc_conn *conn;
	struct rpc_limits limits;
	size_t input_total;
	char *answer, *error; /* of the last call */
	struct cmd *deferred;
	unsigned int gone, ended, steps;
};

static int run_args(struct cmd *cmd)
{
	struct out *out = cmd_out(cmd);

	for (size_t i = 0; i < cmd->n_args; i++) {
		char key[2] = {(char)('0' + i)};

		out_str(out, key, cmd->args[i]);
	}
	out_str(out, "limit", cmd_option(cmd, "limit"));
	out_str(out, "all", cmd_option(cmd, "all"));
	return 0;
}

static int run_errno(struct cmd *cmd)
{
	out_str(cmd_out(cmd), "never", "seen");
	return -ENODEV;
}

static void on_gone(struct cmd *cmd)
{
	struct fixture *fixture = cmd->ctx;

	fixture->gone++;
	cmd_finish(cmd, -ECANCELED);
}

static int run_defer(struct cmd *cmd)
{
	struct fixture *fixture = cmd->ctx;

	fixture->deferred = cmd;
	return cmd_defer(cmd, on_gone);
}

static int step(struct cmd *cmd)
{
	struct fixture *fixture = cmd->ctx;

	fixture->steps++;
	out_row(cmd_out(cmd));
	out_fmt(cmd_out(cmd), "text", "%*u", 9000, fixture->steps);
	return fixture->steps < 100 ? CMD_MORE : 0;
}

static void on_end(struct cmd *cmd)
{
	struct fixture *fixture = cmd->ctx;

	fixture->ended++;
}

static int run_stream(struct cmd *cmd)
{
	out_table(cmd_out(cmd), "rows");
	return cmd_stream(cmd, step, on_end);
}

static const struct cmd_row rows[] = {
	{"t/args", "A [B] [--limit=N] [--all]", 1, 2, "limit= all", CMD_JSON, run_args, "Args."},
	{"t/defer", "", 0, 0, NULL, 0, run_defer, "Defer."},
	{"t/errno", "", 0, 0, NULL, 0, run_errno, "Errno."},
	{"t/stream", "", 0, 0, NULL, CMD_JSON, run_stream, "Stream.\nIn slices."},
};

static const struct cmd_noun noun = {"t", rows, sizeof(rows) / sizeof(rows[0])};

static void on_wake(void *ctx)
{
}

static int setup(void **state)
{
	struct fixture *fixture = calloc(1, sizeof(*fixture));

	assert_int_equal(loop_create(&fixture->loop), 0);
	assert_int_equal(
		cmd_registry_create(&(struct cmd_registry_options){"prog", "1.2", fixture->loop},
			&fixture->registry),
		0);
	assert_int_equal(cmd_registry_add(fixture->registry, &noun, fixture), 0);
	fixture->limits.output_high_bytes = 50000;
	rpc_limits_fill(&fixture->limits);
	fixture->conn = rpc_conn_create(&(struct rpc_conn_options){cmd_registry_handle,
		fixture->registry, &fixture->limits, &fixture->input_total, on_wake, NULL});
	assert_non_null(fixture->conn);
	*state = fixture;
	return 0;
}

static void forget_answer(struct fixture *fixture)
{
	free(fixture->answer);
	free(fixture->error);
	fixture->answer = NULL;
	fixture->error = NULL;
}

static int teardown(void **state)
{
	struct fixture *fixture = *state;

	if (fixture->conn)
		rpc_conn_destroy(fixture->conn);
	loop_destroy(fixture->loop);
	cmd_registry_destroy(fixture->registry);
	forget_answer(fixture);
	free(fixture);
	return 0;
}

static void ask(struct fixture *fixture, const char *method, const char *params)
{
	char text[512];

	snprintf(
		text, sizeof(text), "{\"id\":0,\"method\":\"%s\",\"params\":[%s]}", method, params);
	rpc_conn_input(fixture->conn, text, strlen(text), 1);
}

/* False: there is no answer yet. */
static bool hear(struct fixture *fixture)
{
	struct evbuffer *output = rpc_conn_output(fixture->conn);
	size_t len = evbuffer_get_length(output);
	const char *text = (const char *)evbuffer_pullup(output, -1);
	json_t *root = len ? json_loadb(text, len, 0, NULL) : NULL;
	const char *found;

	forget_answer(fixture);
	if (!root)
		return false;
	evbuffer_drain(output, len);
	found = json_string_value(json_object_get(root, "result"));
	fixture->answer = found ? strdup(found) : NULL;
	found = json_string_value(json_object_get(root, "error"));
	fixture->error = found ? strdup(found) : NULL;
	json_decref(root);
	return true;
}

static void assert_answers(
	struct fixture *fixture, const char *method, const char *params, const char *wanted)
{
	ask(fixture, method, params);
	assert_true(hear(fixture));
	assert_null(fixture->error);
	assert_string_equal(fixture->answer, wanted);
}

static void assert_fails(
	struct fixture *fixture, const char *method, const char *params, const char *wanted)
{
	ask(fixture, method, params);
	assert_true(hear(fixture));
	assert_null(fixture->answer);
	assert_string_equal(fixture->error, wanted);
}

static void options_stand_anywhere_and_are_told_from_arguments(void **state)
{
	struct fixture *fixture = *state;

	assert_answers(fixture, "t/args", "\"a\"", "0      a\nlimit  -\nall    -\n");
	assert_answers(fixture, "t/args", "\"--limit=5\",\"a\",\"--all\",\"b\"",
		"0      a\n1      b\nlimit  5\nall    \n");
	assert_answers(fixture, "t/args", "\"--limit=5\",\"--limit=6\",\"--\",\"--all\"",
		"0      --all\nlimit  6\nall    -\n");
	assert_answers(fixture, "t/args", "\"--json\",\"-x\",\"--limit=\"",
		"{\"0\":\"-x\",\"limit\":\"\",\"all\":null}\n");
}

static void wrong_options_and_counts_say_what_is_right(void **state)
{
	struct fixture *fixture = *state;

	assert_fails(fixture, "t/args", "\"a\",\"--limits=5\"",
		"\"t/args\" has no option \"--limits=5\"\n");
	assert_fails(fixture, "t/args", "\"a\",\"--limit\"",
		"option --limit of \"t/args\" takes a value\n");
	assert_fails(fixture, "t/args", "\"a\",\"--all=1\"",
		"option --all of \"t/args\" takes no value\n");
	assert_fails(fixture, "t/args", "",
		"\"t/args\" takes at least 1 argument, 0 given\n"
		"usage: t/args A [B] [--limit=N] [--all] [--json]\n");
	assert_fails(fixture, "t/args", "\"1\",\"2\",\"3\"",
		"\"t/args\" takes at most 2 arguments, 3 given\n"
		"usage: t/args A [B] [--limit=N] [--all] [--json]\n");
	assert_fails(fixture, "t/errno", "\"--json\"", "\"t/errno\" has no option \"--json\"\n");
	assert_fails(fixture, "t/agrs", "",
		"\"t/agrs\" is not a valid command, did you mean \"t/args\"? "
		"(\"list-commands\" lists them)\n");
	assert_fails(
		fixture, "", "", "\"\" is not a valid command (\"list-commands\" lists them)\n");
}

static void an_errno_is_put_into_words_and_the_output_dropped(void **state)
{
	assert_fails(*state, "t/errno", "", "No such device\n");
}

static void list_commands_is_what_ovs_prints(void **state)
{
	assert_answers(*state, "list-commands", "",
		"The available commands are:\n"
		"  exit                    \n"
		"  help                    [COMMAND | NOUN] [--json]\n"
		"  list-commands           [--json]\n"
		"  t/args                  A [B] [--limit=N] [--all] [--json]\n"
		"  t/defer                 \n"
		"  t/errno                 \n"
		"  t/stream                [--json]\n"
		"  version                 [--json]\n");
	assert_answers(*state, "version", "", "prog (Ferry) 1.2\n");
	assert_answers(
		*state, "version", "\"--json\"", "{\"program\":\"prog\",\"version\":\"1.2\"}\n");
}

static void help_is_for_all_for_a_noun_and_for_one(void **state)
{
	assert_answers(*state, "help", "\"t\"",
		"COMMAND   HELP\nt/args    Args.\nt/defer   Defer.\nt/errno   Errno.\n"
		"t/stream  Stream.\n");
	assert_answers(
		*state, "help", "\"t/stream\"", "usage: t/stream [--json]\nStream.\nIn slices.\n");
	assert_fails(*state, "help", "\"t/strem\"",
		"no command or noun \"t/strem\"; did you mean \"t/stream\"?\n");
}

static void a_deferred_command_is_finished_later(void **state)
{
	struct fixture *fixture = *state;

	ask(fixture, "t/defer", "");
	assert_false(hear(fixture));
	out_u64(cmd_out(fixture->deferred), "n", 1);
	cmd_finish(fixture->deferred, 0);
	assert_true(hear(fixture));
	assert_string_equal(fixture->answer, "n  1\n");
	ask(fixture, "t/defer", "");
	cmd_finish(fixture->deferred, cmd_fail(fixture->deferred, "at last: %d", 2));
	assert_true(hear(fixture));
	assert_string_equal(fixture->error, "at last: 2\n");
	assert_int_equal(fixture->gone, 0);
}

static void stop(void *loop)
{
	loop_stop(loop);
}

static void a_verdict_from_another_thread_is_applied_in_the_loop(void **state)
{
	struct fixture *fixture = *state;

	ask(fixture, "t/defer", "");
	assert_int_equal(cmd_post_finish(fixture->deferred, EIO, "broke"), 0);
	assert_false(hear(fixture));
	assert_int_equal(loop_post(fixture->loop, stop, fixture->loop), 0);
	loop_run(fixture->loop);
	assert_true(hear(fixture));
	assert_string_equal(fixture->error, "broke\n");
}

static void a_deferred_command_learns_that_its_client_is_gone(void **state)
{
	struct fixture *fixture = *state;

	ask(fixture, "t/defer", "");
	rpc_conn_destroy(fixture->conn);
	fixture->conn = NULL;
	assert_int_equal(fixture->gone, 1);
}

static void a_stream_goes_on_as_the_client_takes_it(void **state)
{
	struct fixture *fixture = *state;
	struct evbuffer *output = rpc_conn_output(fixture->conn);
	unsigned int rounds = 0;

	ask(fixture, "t/stream", "\"--json\"");
	while (fixture->steps < 100 && rounds++ < 1000) {
		while (rpc_conn_run(fixture->conn, 1))
			;
		assert_true(evbuffer_get_length(output) < 50000 + 2 * 16384 + 9100);
		evbuffer_drain(output, 30000);
	}
	assert_int_equal(fixture->steps, 100);
	assert_true(rounds > 10);
	assert_int_equal(fixture->ended, 1);
	assert_int_equal(fixture->gone, 0);
}

static void a_stream_ends_when_its_client_is_gone(void **state)
{
	struct fixture *fixture = *state;

	ask(fixture, "t/stream", "");
	while (rpc_conn_run(fixture->conn, 1))
		;
	rpc_conn_destroy(fixture->conn);
	fixture->conn = NULL;
	assert_true(fixture->steps < 100);
	assert_int_equal(fixture->ended, 1);
}

static void exit_stops_the_loop(void **state)
{
	struct fixture *fixture = *state;

	assert_answers(fixture, "exit", "", "");
	assert_int_equal(loop_run(fixture->loop), 0);
}

static void broken_rows_are_refused(void **state)
{
	struct fixture *fixture = *state;
	struct cmd_row row = {"x", "", 0, 0, NULL, 0, run_errno, "X."};
	struct cmd_row twice[2] = {row, row};

	assert_int_equal(cmd_registry_add(fixture->registry, &noun, fixture), -EEXIST);
	assert_int_equal(
		cmd_registry_add(fixture->registry, &(struct cmd_noun){"x", twice, 2}, NULL),
		-EEXIST);
	row.max_args = -2;
	row.min_args = -1;
	assert_int_equal(
		cmd_registry_add(fixture->registry, &(struct cmd_noun){"x", &row, 1}, NULL),
		-EINVAL);
	assert_fails(
		fixture, "x", "", "\"x\" is not a valid command (\"list-commands\" lists them)\n");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(options_stand_anywhere_and_are_told_from_arguments),
		TEST(wrong_options_and_counts_say_what_is_right),
		TEST(an_errno_is_put_into_words_and_the_output_dropped),
		TEST(list_commands_is_what_ovs_prints),
		TEST(help_is_for_all_for_a_noun_and_for_one),
		TEST(a_deferred_command_is_finished_later),
		TEST(a_verdict_from_another_thread_is_applied_in_the_loop),
		TEST(a_deferred_command_learns_that_its_client_is_gone),
		TEST(a_stream_goes_on_as_the_client_takes_it),
		TEST(a_stream_ends_when_its_client_is_gone),
		TEST(exit_stops_the_loop),
		TEST(broken_rows_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
