/* SPDX-License-Identifier: BSD-3-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "ctrl/cmd/suggest.h"

static const char *const words[] = {
	"migrate/abort", "migrate/start", "version", "vport/add", "vport/del", "vport/show", NULL};

static const char *word_at(void *ctx, size_t i)
{
	return words[i];
}

static void assert_suggests(const char *wrong, const char *wanted)
{
	const char *found = suggest(wrong, word_at, NULL);

	if (wanted)
		assert_string_equal(found, wanted);
	else
		assert_null(found);
}

static void typing_errors_are_seen_through(void **state)
{
	assert_suggests("vport/shwo", "vport/show");
	assert_suggests("vprt/show", "vport/show");
	assert_suggests("vport/shoow", "vport/show");
	assert_suggests("vpxrt/dek", "vport/del");
	assert_suggests("versoin", "version");
	assert_suggests("migrate/start", "migrate/start");
}

static void a_begun_word_is_completed_when_it_is_the_only_one(void **state)
{
	assert_suggests("migrate/st", "migrate/start");
	assert_suggests("v", NULL);
}

static void what_is_like_nothing_brings_nothing(void **state)
{
	char long_word[300];

	assert_suggests("", NULL);
	assert_suggests("flow/dump", NULL);
	assert_suggests("xy", NULL);
	memset(long_word, 'v', sizeof(long_word) - 1);
	long_word[sizeof(long_word) - 1] = '\0';
	assert_suggests(long_word, NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(typing_errors_are_seen_through),
		cmocka_unit_test(a_begun_word_is_completed_when_it_is_the_only_one),
		cmocka_unit_test(what_is_like_nothing_brings_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
