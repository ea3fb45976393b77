/* SPDX-License-Identifier: BSD-3-Clause */
/* What a reload has to do. */
#include "test/unit/config_case.h"

#define START \
	"peers: [{name: p, vteps: 192.0.2.2}]\n" \
	"vpcs: [{name: a, vni: 1}, {name: b, vni: 2, subnets: 10.0.0.0/8}]\n" \
	"groups: [{name: g}, {name: h, rules: [{direction: egress}]}]\n" \
	"plugins: [{name: acl}, {name: nat, config: {x: [1, 2]}}]\n" \
	"external_networks: [{name: n, vni: 9, gateway_vtep: 192.0.2.9}]\n" \
	"locations: [{vpc: a, ip: 10.0.0.9, vtep: 192.0.2.2}]\n" \
	"vports:\n" \
	"  - {name: v, vpc: a, mac: 02:00:00:00:00:01, ips: 10.0.0.1, port: {path: /v}," \
	" groups: g}\n" \
	"  - {name: w, vpc: b, mac: 02:00:00:00:00:02, ips: 10.0.0.2, port: {path: /w}}\n" \
	"nat_leases: [{vport: v, network: n, kind: snat, address: 203.0.113.7, ports: " \
	"1000-2000}]\n"

/* START with the first `from` replaced by `to`. */
static struct config *changed(const char *from, const char *to)
{
	static char text[4096];
	const char *at = strstr(START, from);

	assert_non_null(at);
	snprintf(text, sizeof(text), "%.*s%s%s", (int)(at - START), START, to, at + strlen(from));
	return case_load(text);
}

/* The changes from START, one a line: "+ 14 name", "- 14 name", "~ 14 name: fields (effect)". */
static void assert_changes(const char *from, const char *to, const char *expected)
{
	struct config *before = case_load(START), *after = changed(from, to);
	char text[1024] = "", fields[256];
	struct config_diff diff;

	assert_int_equal(config_diff(before, after, &diff), 0);
	for (uint32_t i = 0; i < diff.n_changes; i++) {
		const struct config_change *change = &diff.changes[i];
		size_t len = strlen(text);

		config_change_fields(change, fields, sizeof(fields));
		if (change->before == NULL || change->after == NULL)
			snprintf(text + len, sizeof(text) - len, "%c %s\n",
				change->before == NULL ? '+' : '-', change->name);
		else
			snprintf(text + len, sizeof(text) - len, "~ %s: %s (%d)\n", change->name,
				fields, change->effect);
	}
	assert_string_equal(text, expected);
	assert_int_equal(config_equal(before, after), diff.n_changes == 0);
	config_diff_free(&diff);
	config_free(before);
	config_free(after);
}

static void the_same_file_written_otherwise_changes_nothing(void **state)
{
	assert_changes("peers", "peers", "");
	assert_changes("vports:\n", "vports:\n\n# a comment\n", "");
	assert_changes("02:00:00:00:00:01", "'02:00:00:00:00:01'", "");
	assert_changes("x: [1, 2]", "\"x\": [\"1\", 2]", "");
	assert_changes("peers:", "engine: {workers: 1}\nlog:\npeers:", "");
	assert_changes("ips: 10.0.0.1,", "ips: [10.0.0.1],", "");
	assert_changes("groups: g}", "groups: g, plugins: {}}", "");
}

static void a_changed_option_is_named_with_what_it_takes(void **state)
{
	assert_changes("groups: g}", "groups: [g, h]}", "~ v: groups (0)\n");
	assert_changes(
		"groups: g}", "groups: g, tcp: liberal, sessions: 9}", "~ v: tcp, sessions (0)\n");
	assert_changes("ips: 10.0.0.1,", "ips: [10.0.0.1, fd00::1],", "~ v: ips (0)\n");
	assert_changes("02:00:00:00:00:01", "02:00:00:00:00:03", "~ v: mac (1)\n");
	assert_changes("{path: /v}", "{path: /v, queues: 2}", "~ v: port (1)\n");
	assert_changes("x: [1, 2]", "x: [1, 3]", "~ nat: config (0)\n");
	assert_changes(
		"{direction: egress}", "{direction: egress, priority: 1}", "~ h: rules (0)\n");
	assert_changes(
		"{direction: egress}", "{direction: egress, remote: '::/0'}", "~ h: rules (0)\n");
	assert_changes("vteps: 192.0.2.2", "vteps: 192.0.2.3", "~ p: vteps (1)\n");
	assert_changes("vtep: 192.0.2.2", "vtep: 192.0.2.3", "~ 10.0.0.9 in VNI 1: vtep (0)\n");
	assert_changes("peers:", "engine: {mbufs: 2048}\ntimeouts: {udp: {new: 7}}\npeers:",
		"~ engine: mbufs (2)\n~ timeouts: udp (0)\n");
	assert_changes(
		"peers:", "timeouts: {icmp: {new: 7}}\nhost: {control: {mode: 0600}}\npeers:",
		"~ host: control (2)\n~ timeouts: icmp (0)\n");
}

static void added_and_removed_objects_come_in_an_order_that_works(void **state)
{
	assert_changes("groups: [{name: g}, ", "groups: [{name: k}, {name: g}, ", "+ k\n");
	assert_changes("  - {name: w, vpc: b", "  - {name: x, vpc: b", "- w\n+ x\n");
	assert_changes(
		"{name: b, vni: 2, ", "{name: b, vni: 3, ", "+ VNI 3\n~ w: vpc (1)\n- VNI 2\n");
	assert_changes("ports: 1000-2000", "ports: 1000-1999",
		"- 203.0.113.7 in n ports 1000-2000 protocol 0\n"
		"+ 203.0.113.7 in n ports 1000-1999 protocol 0\n");
	assert_changes("ip: 10.0.0.9,", "ip: 10.0.0.8, ports: 7,",
		"- 10.0.0.9 in VNI 1\n+ 10.0.0.8 in VNI 1 ports 7-7\n");
	assert_changes("[{name: p, vteps: 192.0.2.2}]", "[]", "- p\n");
}

static void a_renamed_vpc_keeps_its_vports(void **state)
{
	struct config *before =
		case_load("vpcs: [{name: a, vni: 1}]\nlocations: "
			  "[{vpc: a, ip: 10.0.0.9, vtep: 192.0.2.2}]\nvports: [{name: v, "
			  "vpc: a, mac: 02:00:00:00:00:01, ips: 10.0.0.1, port: {path: /v}}]\n");
	struct config *after =
		case_load("vpcs: [{name: z, vni: 1}]\nlocations: "
			  "[{vni: 1, ip: 10.0.0.9, vtep: 192.0.2.2}]\nvports: [{name: v, "
			  "vpc: z, mac: 02:00:00:00:00:01, ips: 10.0.0.1, port: {path: /v}}]\n");
	struct config_diff diff;

	assert_int_equal(config_diff(before, after, &diff), 0);
	assert_int_equal(diff.n_changes, 1);
	assert_int_equal(diff.changes[0].object, CONFIG_OBJECT_VPC);
	assert_int_equal(diff.changes[0].effect, CONFIG_EFFECT_LIVE);
	assert_true(config_change_has(&diff.changes[0], "name"));
	assert_false(config_change_has(&diff.changes[0], "vni"));
	assert_ptr_equal(diff.changes[0].before, &before->vpcs[0]);
	assert_ptr_equal(diff.changes[0].after, &after->vpcs[0]);
	config_diff_free(&diff);
	config_free(before);
	config_free(after);
}

static void plugins_in_another_order_are_a_change(void **state)
{
	assert_changes("[{name: acl}, {name: nat, config: {x: [1, 2]}}]",
		"[{name: nat, config: {x: [1, 2]}}, {name: acl}]",
		"~ nat: name (2)\n~ acl: name (2)\n");
}

static void a_list_of_fields_that_does_not_fit_is_cut(void **state)
{
	struct config *before = case_load(START);
	struct config *after = changed("groups: g}", "groups: h, tcp: liberal}");
	struct config_diff diff;
	char small[8];

	assert_int_equal(config_diff(before, after, &diff), 0);
	assert_int_equal(config_change_fields(&diff.changes[0], small, sizeof(small)), 11);
	assert_string_equal(small, "groups,");
	config_diff_free(&diff);
	config_free(before);
	config_free(after);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_same_file_written_otherwise_changes_nothing),
		cmocka_unit_test(a_changed_option_is_named_with_what_it_takes),
		cmocka_unit_test(added_and_removed_objects_come_in_an_order_that_works),
		cmocka_unit_test(a_renamed_vpc_keeps_its_vports),
		cmocka_unit_test(plugins_in_another_order_are_a_change),
		cmocka_unit_test(a_list_of_fields_that_does_not_fit_is_cut),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
