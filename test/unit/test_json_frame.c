/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "ctrl/rpc/json_frame.h"

static const struct json_frame_limits wide = {1000, 100, 64, 100};

static const char message[] =
	"{\"id\":0,\"method\":\"a{}[]\\\"\\\\\",\"params\":[\"}\",[{}],-1.5e3]}";

/* The result of feeding all of text at once; *used as stored, or untouched. */
static int feed(const struct json_frame_limits *limits, const char *text, size_t *used)
{
	struct json_frame frame = {0};

	return json_frame_feed(&frame, limits, text, strlen(text), used);
}

static void a_message_is_found_wherever_it_is_split(void **state)
{
	size_t len = strlen(message), used;

	for (size_t a = 0; a <= len; a++) {
		for (size_t b = a; b <= len; b++) {
			struct json_frame frame = {0};
			int ret = json_frame_feed(&frame, &wide, message, a, &used);

			assert_int_equal(used, a);
			if (a < len)
				assert_int_equal(ret, 0);
			if (ret == 0)
				ret = json_frame_feed(&frame, &wide, message + a, b - a, &used);
			if (ret == 0)
				ret = json_frame_feed(&frame, &wide, message + b, len - b, &used);
			assert_int_equal(ret, 1);
			assert_false(json_frame_started(&frame));
		}
	}
}

static void the_next_message_is_left_alone(void **state)
{
	size_t used;

	assert_int_equal(feed(&wide, " \n\t{} {\"b\"", &used), 1);
	assert_int_equal(used, 5);
}

static void blanks_start_no_message(void **state)
{
	struct json_frame frame = {0};
	size_t used;

	assert_int_equal(json_frame_feed(&frame, &wide, " \r\n", 3, &used), 0);
	assert_int_equal(used, 3);
	assert_false(json_frame_started(&frame));
}

static void what_is_no_object_is_refused(void **state)
{
	static const char *const bad[] = {"[1]", "\"text\"", "1", "x", "}", "{]", "{\"a\":[}",
		"{\"a\nb\":1}", "{\001}", "{\"a\":\x80}", "GET / HTTP/1.1", "{\x7f}"};
	size_t used = 77;

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		assert_int_equal(feed(&wide, bad[i], &used), -EPROTO);
		assert_int_equal(used, 77);
	}
}

static void each_limit_has_its_error_and_takes_what_is_just_within(void **state)
{
	size_t used;

	assert_int_equal(feed(&(struct json_frame_limits){10, 9, 64, 9}, "{\"a\":1234}", &used), 1);
	assert_int_equal(
		feed(&(struct json_frame_limits){9, 9, 64, 9}, "{\"a\":1234}", &used), -EMSGSIZE);
	assert_int_equal(feed(&(struct json_frame_limits){99, 4, 64, 9}, "{\"abcd\":1}", &used), 1);
	assert_int_equal(
		feed(&(struct json_frame_limits){99, 3, 64, 9}, "{\"abcd\":1}", &used), -EMSGSIZE);
	assert_int_equal(feed(&(struct json_frame_limits){99, 9, 3, 9}, "{\"a\":[[]]}", &used), 1);
	assert_int_equal(
		feed(&(struct json_frame_limits){99, 9, 2, 9}, "{\"a\":[[]]}", &used), -ELOOP);
	assert_int_equal(feed(&(struct json_frame_limits){99, 9, 9, 3}, "{\"a\":[1,2]}", &used), 1);
	assert_int_equal(
		feed(&(struct json_frame_limits){99, 9, 9, 2}, "{\"a\":[1,2]}", &used), -E2BIG);
}

static void depth_ends_at_64_whatever_the_limits_say(void **state)
{
	struct json_frame_limits limits = {1000, 100, 1000, 1000};
	char text[200] = "{";
	size_t used;

	memset(text + 1, '[', 63);
	memset(text + 64, ']', 63);
	strcpy(text + 127, "}");
	assert_int_equal(feed(&limits, text, &used), 1);
	memset(text + 1, '[', 64);
	assert_int_equal(feed(&limits, text, &used), -ELOOP);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_message_is_found_wherever_it_is_split),
		cmocka_unit_test(the_next_message_is_left_alone),
		cmocka_unit_test(blanks_start_no_message),
		cmocka_unit_test(what_is_no_object_is_refused),
		cmocka_unit_test(each_limit_has_its_error_and_takes_what_is_just_within),
		cmocka_unit_test(depth_ends_at_64_whatever_the_limits_say),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
