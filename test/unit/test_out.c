/* SPDX-License-Identifier: BSD-3-Clause */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <jansson.h>

#include "ctrl/cmd/out.h"

struct page {
	char *text;
	size_t len, n_pieces;
};

static void to_page(void *ctx, const char *text, size_t len)
{
	struct page *page = ctx;

	page->text = realloc(page->text, page->len + len + 1);
	memcpy(page->text + page->len, text, len);
	page->len += len;
	page->text[page->len] = '\0';
	page->n_pieces++;
}

static void assert_shows(void (*show)(struct out *out), enum out_format format, const char *wanted)
{
	struct page page = {0};
	struct out *out = out_open(format, to_page, &page);

	show(out);
	assert_int_equal(out_error(out), 0);
	out_close(out);
	assert_string_equal(page.text ? page.text : "", wanted);
	free(page.text);
}

static void show_vports(struct out *out)
{
	out_table(out, "vports");
	out_row(out);
	out_str(out, "name", "vm1");
	out_list(out, "ips");
	out_str(out, NULL, "10.0.0.5");
	out_str(out, NULL, "2001:db8::5");
	out_list_end(out);
	out_object(out, "rx");
	out_u64(out, "packets", 7);
	out_u64(out, "bytes", UINT64_MAX);
	out_object_end(out);
	out_bool(out, "up", true);
	out_row(out);
	out_str(out, "name", "a \"long\" name");
	out_list(out, "ips");
	out_list_end(out);
	out_object(out, "rx");
	out_u64(out, "packets", 123456);
	out_u64(out, "bytes", 0);
	out_object_end(out);
	out_bool(out, "up", false);
	out_row(out);
	out_str(out, "name", NULL);
	out_bool(out, "up", false);
	out_table_end(out);
}

static void a_table_is_aligned_text_and_json_objects(void **state)
{
	assert_shows(show_vports, OUT_TEXT,
		"NAME           IPS                   RX.PACKETS              RX.BYTES  UP\n"
		"vm1            10.0.0.5,2001:db8::5           7  18446744073709551615  yes\n"
		"a \"long\" name  -                         123456                     0  no\n"
		"-              -                              -                     -  no\n");
	assert_shows(show_vports, OUT_JSON,
		"{\"vports\":[\n"
		"{\"name\":\"vm1\",\"ips\":[\"10.0.0.5\",\"2001:db8::5\"],"
		"\"rx\":{\"packets\":7,\"bytes\":18446744073709551615},\"up\":true},\n"
		"{\"name\":\"a \\\"long\\\" name\",\"ips\":[],"
		"\"rx\":{\"packets\":123456,\"bytes\":0},\"up\":false},\n"
		"{\"name\":null,\"up\":false}\n"
		"]}\n");
}

static void show_fields(struct out *out)
{
	out_str(out, "vni", "100");
	out_fmt(out, "a_longer_key", "%d-%d", 1, 2);
	out_object(out, "uplink");
	out_i64(out, "mtu", -1);
	out_list(out, "peers");
	out_str(out, NULL, "p1");
	out_str(out, NULL, "p2");
	out_list_end(out);
	out_table(out, "locations");
	out_row(out);
	out_str(out, "ip", "10.0.0.9");
	out_table_end(out);
	out_table(out, "routes");
	out_table_end(out);
	out_object_end(out);
	out_real(out, "load", 0.125, 2);
	out_real(out, "none", NAN, 2);
	out_note(out, "And a note.");
	out_ns(out, "pause_ns", 12345678);
	out_progress(out, "bulk", 1, 3);
}

static void fields_nest_in_both_forms(void **state)
{
	assert_shows(show_fields, OUT_TEXT,
		"vni           100\n"
		"a_longer_key  1-2\n"
		"uplink:\n"
		"  mtu    -1\n"
		"  peers  p1, p2\n"
		"  locations:\n"
		"    IP\n"
		"    10.0.0.9\n"
		"  routes:\n"
		"    (none)\n"
		"load  0.12\n"
		"none  -\n"
		"And a note.\n"
		"pause  12.3 ms\n"
		"bulk   [######--------------]  33% (1/3)\n");
	assert_shows(show_fields, OUT_JSON,
		"{\"vni\":\"100\",\"a_longer_key\":\"1-2\",\"uplink\":{\"mtu\":-1,"
		"\"peers\":[\"p1\",\"p2\"],\"locations\":[\n{\"ip\":\"10.0.0.9\"}\n],"
		"\"routes\":[]},\"load\":0.12,\"none\":null,\"pause_ns\":12345678,"
		"\"bulk\":{\"done\":1,\"total\":3}}\n");
}

static void show_nothing(struct out *out)
{
}

static void nothing_is_an_empty_object(void **state)
{
	assert_shows(show_nothing, OUT_TEXT, "");
	assert_shows(show_nothing, OUT_JSON, "{}\n");
}

static void show_open(struct out *out)
{
	out_table(out, "t");
	out_row(out);
	out_object(out, "o");
	out_u64(out, "a", 1);
}

static void what_was_left_open_is_closed(void **state)
{
	assert_shows(show_open, OUT_JSON, "{\"t\":[\n{\"o\":{\"a\":1}}\n]}\n");
	assert_shows(show_open, OUT_TEXT, "O.A\n  1\n");
}

static void show_control_characters(struct out *out)
{
	out_str(out, "name", "a\033[2J\nb");
}

static void control_characters_do_not_reach_a_terminal(void **state)
{
	assert_shows(show_control_characters, OUT_TEXT, "name  a?[2J?b\n");
	assert_shows(show_control_characters, OUT_JSON, "{\"name\":\"a\\u001b[2J\\nb\"}\n");
}

static void show_wide_characters(struct out *out)
{
	out_table(out, "t");
	for (int i = 0; i < 2; i++) {
		out_row(out);
		out_str(out, "name", i ? "m\xc3\xbcller" : "mueller");
		out_u64(out, "n", 1);
	}
}

static void columns_are_as_wide_as_characters_not_bytes(void **state)
{
	assert_shows(show_wide_characters, OUT_TEXT, "NAME     N\nmueller  1\nm\xc3\xbcller   1\n");
}

static void a_long_table_goes_out_piece_by_piece(void **state)
{
	struct page page = {0};
	struct out *out = out_open(OUT_TEXT, to_page, &page);
	size_t n_lines = 0;

	out_table(out, "rows");
	for (int i = 0; i < 100000; i++) {
		out_row(out);
		out_i64(out, "number", i);
		out_str(out, "text", i == 99999 ? "wider than all before" : "x");
		if (i == 2000)
			assert_true(page.n_pieces > 0);
	}
	out_close(out);
	for (size_t i = 0; i < page.len; i++)
		n_lines += page.text[i] == '\n';
	assert_int_equal(n_lines, 100001);
	assert_non_null(strstr(page.text, "\n   255  x\n   256  x\n"));
	assert_non_null(strstr(page.text, "\n 99998  x\n 99999  wider than all before\n"));
	assert_true(page.n_pieces > 50);
	free(page.text);
}

static void an_abandoned_output_sends_nothing_more(void **state)
{
	struct page page = {0};
	struct out *out = out_open(OUT_JSON, to_page, &page);

	out_table(out, "t");
	out_row(out);
	out_str(out, "a", "b");
	out_abandon(out);
	assert_int_equal(page.len, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_table_is_aligned_text_and_json_objects),
		cmocka_unit_test(fields_nest_in_both_forms),
		cmocka_unit_test(nothing_is_an_empty_object),
		cmocka_unit_test(what_was_left_open_is_closed),
		cmocka_unit_test(control_characters_do_not_reach_a_terminal),
		cmocka_unit_test(columns_are_as_wide_as_characters_not_bytes),
		cmocka_unit_test(a_long_table_goes_out_piece_by_piece),
		cmocka_unit_test(an_abandoned_output_sends_nothing_more),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
