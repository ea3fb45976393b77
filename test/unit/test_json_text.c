/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <event2/buffer.h>
#include <jansson.h>

#include "ctrl/rpc/json_text.h"

static char *take(struct evbuffer *buffer)
{
	size_t len = evbuffer_get_length(buffer);
	char *text = malloc(len + 1);

	evbuffer_remove(buffer, text, len);
	text[len] = '\0';
	evbuffer_free(buffer);
	return text;
}

/* Encodes in two pieces, cut at `cut`. */
static char *encode(const char *text, size_t len, size_t cut)
{
	struct evbuffer *to = evbuffer_new();
	struct json_encoder encoder = {0};

	assert_int_equal(json_encode(&encoder, text, cut, to), 0);
	assert_int_equal(json_encode(&encoder, text + cut, len - cut, to), 0);
	assert_int_equal(json_encode_end(&encoder, to), 0);
	return take(to);
}

static void assert_encodes(const char *text, size_t len, const char *wanted)
{
	for (size_t cut = 0; cut <= len; cut++) {
		char *found = encode(text, len, cut);

		assert_string_equal(found, wanted);
		free(found);
	}
}

static void text_is_escaped_wherever_it_is_split(void **state)
{
	const char text[] = "a\"b\\c\n\r\t\b\f\x01\x1f\x7f\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80/";

	assert_encodes(text, sizeof(text) - 1,
		"a\\\"b\\\\c\\n\\r\\t\\b\\f\\u0001\\u001f\x7f\xc3\xa4\xe2\x82\xac"
		"\xf0\x9f\x98\x80/");
}

static void what_is_not_utf8_becomes_a_replacement_character(void **state)
{
#define R "\xef\xbf\xbd"
	assert_encodes("a\0b", 3, "a" R "b");
	assert_encodes("\x80", 1, R);
	assert_encodes("\xff.", 2, R ".");
	assert_encodes("\xc3", 1, R);
	assert_encodes("\xc3.", 2, R ".");
	assert_encodes("\xe2\x82", 2, R);
	assert_encodes("\xe2\x82\"", 3, R "\\\"");
	assert_encodes("\xc0\xaf", 2, R R);
	assert_encodes("\xe0\x80\x80", 3, R R R);
	assert_encodes("\xed\xa0\x80", 3, R R R);
	assert_encodes("\xf4\x90\x80\x80", 4, R R R R);
	assert_encodes("\xc3\xc3\xa4", 3, R "\xc3\xa4");
}

static void every_byte_string_becomes_json_that_a_parser_takes(void **state)
{
	char bytes[3];

	for (unsigned int i = 0; i < 65536; i++) {
		struct evbuffer *json = evbuffer_new();
		struct json_encoder encoder = {0};
		json_t *parsed;
		char *text;

		bytes[0] = (char)(i >> 8);
		bytes[1] = (char)i;
		bytes[2] = (char)(i * 31);
		evbuffer_add(json, "\"", 1);
		json_encode(&encoder, bytes, 3, json);
		json_encode_end(&encoder, json);
		evbuffer_add(json, "\"", 1);
		text = take(json);
		parsed = json_loads(text, JSON_DECODE_ANY, NULL);
		assert_non_null(parsed);
		json_decref(parsed);
		free(text);
	}
}

static int decode(const char *text, size_t cut, char **decoded)
{
	struct evbuffer *to = evbuffer_new();
	struct json_decoder decoder = {0};
	size_t used;
	int ret = json_decode(&decoder, text, cut, to, &used);

	if (ret == 0) {
		assert_int_equal(used, cut);
		ret = json_decode(&decoder, text + cut, strlen(text + cut), to, &used);
	}
	*decoded = take(to);
	return ret;
}

static void escapes_are_undone_wherever_they_are_split(void **state)
{
	static const char text[] = "a\\\"\\\\\\/\\b\\f\\n\\r\\t\\u00e4\\u20AC\\ud83d\\ude00z\"rest";
	char *found;

	for (size_t cut = 0; cut < sizeof(text) - 1; cut++) {
		assert_int_equal(decode(text, cut, &found), 1);
		assert_string_equal(found, "a\"\\/\b\f\n\r\t\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80z");
		free(found);
	}
}

static void broken_escapes_are_refused(void **state)
{
	static const char *const bad[] = {"\\x\"", "\\u12g4\"", "\\ude00\"", "\\ud83dx\"",
		"\\ud83d\\n\"", "\\ud83d\\u0041\"", "a\nb\""};
	char *found;

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		assert_int_equal(decode(bad[i], 0, &found), -EPROTO);
		free(found);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(text_is_escaped_wherever_it_is_split),
		cmocka_unit_test(what_is_not_utf8_becomes_a_replacement_character),
		cmocka_unit_test(every_byte_string_becomes_json_that_a_parser_takes),
		cmocka_unit_test(escapes_are_undone_wherever_they_are_split),
		cmocka_unit_test(broken_escapes_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
