/* SPDX-License-Identifier: BSD-3-Clause */
/* Security groups compiled beside those in force: prepare, build, take, drop. No engine. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "test/fake/fake_eal.h"
#include "test/fake/fake_plugin_host.h"
#include "test/fake/fake_value.h"
#include "test/unit/acl_fixture.h"

#define TCP_80 "{groups: [{name: a, rules: [{direction: ingress, protocol: tcp, ports: [80]}]}]}"
#define TCP_81 "{groups: [{name: a, rules: [{direction: ingress, protocol: tcp, ports: [81]}]}]}"

static void *prepared(struct acl_fixture *f, const char *config)
{
	struct plugin_value *value = fake_value(config);
	struct plugin_error error = {0};
	void *made = NULL;

	if (f->plugin->prepare(f->instance, value, &made, &error) != 0)
		fail_msg("%s", error.text);
	fake_value_free(value);
	if (f->plugin->build(made, &error) != 0)
		fail_msg("%s", error.text);
	return made;
}

static void take(struct acl_fixture *f, void *made)
{
	struct plugin_error error = {0};

	if (f->plugin->take(f->instance, made, &error) != 0)
		fail_msg("%s", error.text);
}

static void drop(struct acl_fixture *f, void *made)
{
	f->plugin->drop(f->instance, made);
}

static uint32_t sets(struct acl_fixture *f)
{
	const char *at = strstr(acl_fixture_show(f), "\"sets\": ");

	assert_non_null(at);
	return (uint32_t)strtoul(at + strlen("\"sets\": "), NULL, 10);
}

static void what_is_prepared_judges_nobody_until_taken_and_can_be_gone_back_to(void **state)
{
	struct acl_fixture *f = *state;
	void *before, *after;

	acl_fixture_configure(f, TCP_80);
	acl_fixture_vport(f, 0, 100, "10.0.0.5", "a");
	before = prepared(f, TCP_80);
	after = prepared(f, TCP_81);
	memset(f->host.changed, 0, sizeof(f->host.changed));
	assert_true(acl_fixture_allows(f, 0, "in tcp 10.0.0.9 80"));
	assert_int_equal(sets(f), 1);
	for (int i = 0; i < 3; i++) {
		take(f, after);
		assert_false(acl_fixture_allows(f, 0, "in tcp 10.0.0.9 80"));
		assert_true(acl_fixture_allows(f, 0, "in tcp 10.0.0.9 81"));
		take(f, before);
		assert_true(acl_fixture_allows(f, 0, "in tcp 10.0.0.9 80"));
		assert_false(acl_fixture_allows(f, 0, "in tcp 10.0.0.9 81"));
	}
	assert_int_equal(f->host.changed[0], 6);
	drop(f, after);
	drop(f, before);
	assert_true(acl_fixture_allows(f, 0, "in tcp 10.0.0.9 80"));
	assert_int_equal(sets(f), 1);
}

static void what_is_dropped_untaken_leaves_nothing(void **state)
{
	struct acl_fixture *f = *state;

	acl_fixture_configure(f, TCP_80);
	acl_fixture_vport(f, 0, 100, "10.0.0.5", "a");
	drop(f, prepared(f, TCP_81));
	assert_true(acl_fixture_allows(f, 0, "in tcp 10.0.0.9 80"));
	assert_int_equal(sets(f), 1);
}

/* Sets are compiled in build alone: those that vports find were there before them. */
static void a_vport_that_was_told_of_finds_its_rules_compiled(void **state)
{
	static const char *const two =
		"{groups: [{name: a, rules: [{direction: ingress, protocol: tcp}]},"
		"{name: b, rules: [{direction: ingress, protocol: udp}]}],"
		"members: {a: {100: [10.0.0.5, 10.0.0.6]}, b: {100: [10.0.0.6]}},"
		"vport_groups: [[a], [b, a], [a, b], [nobody]]}";
	struct acl_fixture *f = *state;
	void *made;

	acl_fixture_configure(f, TCP_80);
	acl_fixture_vport(f, 0, 100, "10.0.0.5", "a");
	made = prepared(f, two);
	take(f, made);
	assert_int_equal(sets(f), 2);
	acl_fixture_vport(f, 1, 100, "10.0.0.6", "a,b");
	assert_int_equal(sets(f), 2);
	assert_true(acl_fixture_allows(f, 1, "in udp 10.0.0.9 53"));
	drop(f, made);
	assert_int_equal(sets(f), 2);
	acl_fixture_vport_del(f, 1);
	assert_int_equal(sets(f), 1);
}

static void a_vport_that_comes_in_between_is_judged_right_and_is_known_to_the_others(void **state)
{
	static const char *const config =
		"{groups: [{name: a, rules: [{direction: ingress, remote_group: b}]},"
		"{name: b, rules: [{direction: ingress, protocol: tcp, ports: [22]}]},"
		"{name: c, rules: []}]}";
	struct acl_fixture *f = *state;
	void *made;

	acl_fixture_configure(f, "{groups: [{name: a, rules: []}, {name: b, rules: []}, "
				 "{name: c, rules: []}]}");
	acl_fixture_vport(f, 0, 100, "10.0.0.5", "a");
	made = prepared(f, config);
	/* Nobody was in b and c together before: a kind that build knew nothing of. */
	acl_fixture_vport(f, 1, 100, "10.0.0.6", "b,c");
	assert_false(acl_fixture_allows(f, 0, "in tcp 10.0.0.6 80"));
	take(f, made);
	assert_true(acl_fixture_allows(f, 0, "in tcp 10.0.0.6 80"));
	assert_true(acl_fixture_allows(f, 1, "in tcp 10.0.0.5 22"));
	assert_false(acl_fixture_allows(f, 1, "in tcp 10.0.0.5 23"));
	drop(f, made);
	assert_true(acl_fixture_allows(f, 0, "in tcp 10.0.0.6 80"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, acl_fixture_start, acl_fixture_stop)
		T(what_is_prepared_judges_nobody_until_taken_and_can_be_gone_back_to),
		T(what_is_dropped_untaken_leaves_nothing),
		T(a_vport_that_was_told_of_finds_its_rules_compiled),
		T(a_vport_that_comes_in_between_is_judged_right_and_is_known_to_the_others),
	};

	if (fake_eal_start() != 0)
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
