/* SPDX-License-Identifier: BSD-3-Clause */
/* The QMP client against everything QEMU and the kernel may do to its bytes (case C12). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "ctrl/vmagent/qmp.h"
#include "ctrl/vmagent/qmp_parse.h"
#include "test/fake/fake_qmp.h"

#define STOP "{\"timestamp\": {\"seconds\": 7, \"microseconds\": 5}, \"event\": \"STOP\"}\r\n"
#define MIGRATION(status) \
	"{\"timestamp\": {\"seconds\": 7, \"microseconds\": 6}, \"event\": \"MIGRATION\", " \
	"\"data\": " \
	"{\"status\": \"" status "\"}}\r\n"
#define RETURN(value) "{\"return\": " value ", \"id\": $ID}\r\n"

static uint64_t soon(void)
{
	return vmagent_now_ns() + 5000000000ull;
}

static struct fake_qmp *start(const struct fake_qmp_step *steps, size_t n, struct qmp **qmp)
{
	struct fake_qmp *fake;
	int fd;

	fake = fake_qmp_start(steps, n, &fd);
	assert_int_equal(qmp_open(fd, soon(), qmp), 0);
	return fake;
}

static void end(struct fake_qmp *fake, struct qmp *qmp)
{
	fake_qmp_join(fake);
	qmp_close(qmp);
}

static void expect_event(struct qmp *qmp, const char *name, const char *status)
{
	struct qmp_message message;

	assert_int_equal(qmp_next(qmp, soon(), &message), 0);
	assert_int_equal(message.kind, QMP_MESSAGE_EVENT);
	assert_string_equal(message.event, name);
	assert_int_equal(message.stamped_us / 1000000, 7);
	if (status != NULL)
		assert_string_equal(
			json_string_value(json_object_get(message.data, "status")), status);
}

static void parser_finds_objects_in_any_chunking(void **state)
{
	static const char text[] = " {\"a\": \"}{\\\"\\\\\"}\r\n{\"b\": [1, {\"c\": \"]\"}]}{}";
	struct qmp_parser parser;
	size_t piece, at, used, len, objects;
	json_t *value;

	for (piece = 1; piece <= sizeof(text); piece++) {
		qmp_parser_init(&parser, 1000);
		for (objects = 0, at = 0; at < sizeof(text) - 1; at += used) {
			len = sizeof(text) - 1 - at;
			len = len < piece ? len : piece;
			assert_int_equal(
				qmp_parser_feed(&parser, text + at, len, &used, &value), 0);
			if (value != NULL && objects++ == 0)
				assert_string_equal(
					json_string_value(json_object_get(value, "a")), "}{\"\\");
			json_decref(value);
		}
		assert_int_equal(objects, 3);
		qmp_parser_fini(&parser);
	}
}

static void parser_refuses_what_is_no_object(void **state)
{
	static const char *const bad[] = {"x", "[1]", "{]", "{\"a\":}", "12 {}", "\"{}\""};
	struct qmp_parser parser;
	size_t i, used;
	json_t *value;

	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		qmp_parser_init(&parser, 1000);
		assert_int_equal(
			qmp_parser_feed(&parser, bad[i], strlen(bad[i]), &used, &value), -EPROTO);
		assert_null(value);
		qmp_parser_fini(&parser);
	}
}

static void parser_refuses_an_object_over_the_limit(void **state)
{
	struct qmp_parser parser;
	size_t used;
	json_t *value;

	qmp_parser_init(&parser, 8);
	assert_int_equal(qmp_parser_feed(&parser, "{\"a\": \"", 7, &used, &value), 0);
	assert_int_equal(qmp_parser_feed(&parser, "aaaa", 4, &used, &value), -EMSGSIZE);
	qmp_parser_fini(&parser);
}

/* C12 (1), (4): events in the segment of the reply, before and after it; pieces that end inside
 * strings and escapes; a reply of 2 MiB. */
static void c12_events_around_a_reply_are_kept_in_order(void **state)
{
	static const size_t pieces[] = {0, 1, 7, 64};
	struct fake_qmp *fake;
	struct qmp *qmp;
	json_t *reply;
	size_t i;

	for (i = 0; i < sizeof(pieces) / sizeof(pieces[0]); i++) {
		struct fake_qmp_step steps[] = {
			{"query-status",
				STOP MIGRATION("pre-switchover")
					RETURN("{\"odd\": \"}\\\"{\\u00e9\"}") MIGRATION("device"),
				pieces[i], 0},
		};

		fake = start(steps, 1, &qmp);
		assert_int_equal(qmp_call(qmp, "query-status", NULL, soon(), &reply), 0);
		assert_string_equal(
			json_string_value(json_object_get(reply, "odd")), "}\"{\xc3\xa9");
		json_decref(reply);
		expect_event(qmp, "STOP", NULL);
		expect_event(qmp, "MIGRATION", "pre-switchover");
		expect_event(qmp, "MIGRATION", "device");
		end(fake, qmp);
	}
}

static void c12_a_reply_of_two_mebibytes_is_taken(void **state)
{
	struct fake_qmp_step steps[] = {
		{"query-qmp-schema", STOP RETURN("\"$FILL\""), 0, 2u << 20},
	};
	struct fake_qmp *fake;
	struct qmp *qmp;
	json_t *reply;

	fake = start(steps, 1, &qmp);
	assert_int_equal(qmp_call(qmp, "query-qmp-schema", NULL, soon(), &reply), 0);
	assert_int_equal(json_string_length(reply), 2u << 20);
	json_decref(reply);
	expect_event(qmp, "STOP", NULL);
	end(fake, qmp);
}

/* C12 (3): the query is never answered, the event that came before is heard all the same. */
static void c12_a_connection_that_closes_after_completed_still_brings_the_event(void **state)
{
	struct fake_qmp_step steps[] = {{"query-migrate", MIGRATION("completed"), 0, 0}};
	struct qmp_message message;
	struct fake_qmp *fake;
	struct qmp *qmp;
	json_t *reply;

	fake = start(steps, 1, &qmp);
	assert_int_equal(qmp_call(qmp, "query-migrate", NULL, soon(), &reply), -ECONNRESET);
	expect_event(qmp, "MIGRATION", "completed");
	assert_int_equal(qmp_next(qmp, soon(), &message), -ECONNRESET);
	end(fake, qmp);
}

static void a_late_reply_is_not_taken_for_anothers(void **state)
{
	struct fake_qmp_step steps[] = {
		{"stop", NULL, 0, 0},
		{"query-status", "{\"return\": {\"n\": 1}, \"id\": 2}\r\n" RETURN("{\"n\": 2}"), 0,
			0},
	};
	struct fake_qmp *fake;
	struct qmp *qmp;
	json_t *reply;

	fake = start(steps, 2, &qmp);
	assert_int_equal(
		qmp_call(qmp, "stop", NULL, vmagent_now_ns() + 20000000, &reply), -ETIMEDOUT);
	assert_int_equal(qmp_call(qmp, "query-status", NULL, soon(), &reply), 0);
	assert_int_equal(json_integer_value(json_object_get(reply, "n")), 2);
	json_decref(reply);
	end(fake, qmp);
}

static void a_refusal_brings_qemus_words(void **state)
{
	struct fake_qmp_step steps[] = {{"cont",
		"{\"id\": $ID, \"error\": {\"class\": \"GenericError\", \"desc\": \"no\"}}", 0, 0}};
	struct fake_qmp *fake;
	struct qmp *qmp;

	fake = start(steps, 1, &qmp);
	assert_int_equal(qmp_call(qmp, "cont", NULL, soon(), NULL), -EREMOTEIO);
	assert_string_equal(qmp_error(qmp), "no");
	end(fake, qmp);
}

static void a_reply_that_was_not_waited_for_comes_with_its_id(void **state)
{
	struct fake_qmp_step steps[] = {
		{"query-migrate", STOP RETURN("{\"status\": \"active\"}"), 0, 0}};
	struct qmp_message message;
	struct fake_qmp *fake;
	struct qmp *qmp;
	uint64_t id;

	fake = start(steps, 1, &qmp);
	assert_int_equal(qmp_send(qmp, "query-migrate", NULL, &id), 0);
	expect_event(qmp, "STOP", NULL);
	assert_int_equal(qmp_next(qmp, soon(), &message), 0);
	assert_int_equal(message.kind, QMP_MESSAGE_REPLY);
	assert_int_equal(message.id, id);
	end(fake, qmp);
}

static void somebody_who_is_not_qemu_is_refused(void **state)
{
	struct qmp *qmp;
	int fds[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
	assert_int_equal(send(fds[0], "SSH-2.0\r\n", 9, 0), 9);
	assert_int_equal(qmp_open(fds[1], soon(), &qmp), -EPROTO);
	close(fds[0]);
}

static void c12_an_unknown_status_word_is_unknown(void **state)
{
	assert_int_equal(qmp_status_parse("completed"), QMP_STATUS_COMPLETED);
	assert_int_equal(qmp_status_parse("pre-switchover"), QMP_STATUS_PRE_SWITCHOVER);
	assert_int_equal(qmp_status_parse("teleporting"), QMP_STATUS_UNKNOWN);
	assert_false(qmp_status_final(QMP_STATUS_UNKNOWN));
	assert_string_equal(qmp_status_name(QMP_STATUS_SETUP), "setup");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(parser_finds_objects_in_any_chunking),
		cmocka_unit_test(parser_refuses_what_is_no_object),
		cmocka_unit_test(parser_refuses_an_object_over_the_limit),
		cmocka_unit_test(c12_events_around_a_reply_are_kept_in_order),
		cmocka_unit_test(c12_a_reply_of_two_mebibytes_is_taken),
		cmocka_unit_test(
			c12_a_connection_that_closes_after_completed_still_brings_the_event),
		cmocka_unit_test(a_late_reply_is_not_taken_for_anothers),
		cmocka_unit_test(a_refusal_brings_qemus_words),
		cmocka_unit_test(a_reply_that_was_not_waited_for_comes_with_its_id),
		cmocka_unit_test(somebody_who_is_not_qemu_is_refused),
		cmocka_unit_test(c12_an_unknown_status_word_is_unknown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
