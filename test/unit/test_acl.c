/* SPDX-License-Identifier: BSD-3-Clause */
/* Security groups: what a rule means, which rule decides, who is asked again. No engine. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>
#include <rte_cycles.h>

#include "test/fake/fake_eal.h"
#include "test/fake/fake_plugin_host.h"
#include "test/fake/fake_value.h"
#include "test/unit/acl_fixture.h"

static void without_groups_nothing_comes_in_and_everything_goes_out(void **state)
{
	struct acl_fixture *f = *state;

	acl_fixture_vport(f, 0, 100, "10.0.0.5", "");
	assert_false(acl_fixture_allows(f, 0, "in tcp 10.0.0.9 80"));
	assert_false(acl_fixture_allows(f, 0, "in icmp 10.0.0.9 8/0"));
	assert_true(acl_fixture_allows(f, 0, "out tcp 10.0.0.9 80"));
	assert_true(acl_fixture_allows(f, 0, "out icmpv6 fd00::9 128/0"));
	assert_int_equal(f->answer.rule, 0);
	assert_int_equal(f->answer.group, 0);
}

static void a_rule_says_what_its_keys_say(void **state)
{
	static const struct {
		const char *rule, *packet;
		bool matches;
	} rows[] = {
		{"protocol: tcp, ports: [80]", "in tcp 10.0.0.9 80", true},
		{"protocol: tcp, ports: [80]", "in tcp 10.0.0.9 81", false},
		{"protocol: tcp, ports: [80]", "in udp 10.0.0.9 80", false},
		{"protocol: tcp, ports: [80]", "in tcp fd00::9 80", true},
		{"protocol: tcp, ports: [22, 8000-8100]", "in tcp 10.0.0.9 8100", true},
		{"protocol: tcp, ports: [22, 8000-8100]", "in tcp 10.0.0.9 22", true},
		{"protocol: tcp, ports: [22, 8000-8100]", "in tcp 10.0.0.9 8101", false},
		{"protocol: udp", "in udp 10.0.0.9 65535", true},
		{"protocol: udp", "in udp 10.0.0.9 0", true},
		{"protocol: any, family: ipv4", "in tcp 10.0.0.9 1", true},
		{"protocol: any, family: ipv4", "in tcp fd00::9 1", false},
		{"family: ipv6", "in tcp 10.0.0.9 1", false},
		{"family: ipv6", "in tcp fd00::9 1", true},
		{"protocol: 47", "in 47 10.0.0.9 0", true},
		{"protocol: 47", "in 50 10.0.0.9 0", false},
		{"protocol: icmp", "in icmp 10.0.0.9 8/0", true},
		{"protocol: icmp, icmp_type: 8", "in icmp 10.0.0.9 8/3", true},
		{"protocol: icmp, icmp_type: 8", "in icmp 10.0.0.9 13/0", false},
		{"protocol: icmp, icmp_type: 8, icmp_code: 0", "in icmp 10.0.0.9 8/0", true},
		{"protocol: icmp, icmp_type: 8, icmp_code: 0", "in icmp 10.0.0.9 8/1", false},
		{"protocol: icmp, icmp_type: 255, icmp_code: 255", "in icmp 10.0.0.9 255/255",
			true},
		{"protocol: icmpv6, icmp_type: 128", "in icmpv6 fd00::9 128/0", true},
		{"protocol: icmpv6, icmp_type: 128", "in icmpv6 fd00::9 129/0", false},
		{"remote: 10.0.0.0/24", "in tcp 10.0.0.255 1", true},
		{"remote: 10.0.0.0/24", "in tcp 10.0.1.0 1", false},
		{"remote: 10.0.0.9", "in tcp 10.0.0.9 1", true},
		{"remote: 10.0.0.9", "in tcp 10.0.0.8 1", false},
		{"remote: 0.0.0.0/0", "in tcp 203.0.113.1 1", true},
		{"remote: 0.0.0.0/0", "in tcp fd00::9 1", false},
		{"remote: fd00::/64", "in tcp fd00::1:2:3:4 1", true},
		{"remote: fd00::/64", "in tcp fd00:0:0:1::1 1", false},
		{"remote: 8000::/1", "in tcp 7fff::1 1", false},
		{"remote: 8000::/1", "in tcp fd00::1 1", true},
		{"remote: ::/0", "in tcp fd00::9 1", true},
		{"remote: fd00::9", "in tcp fd00::9 1", true},
		{"remote: fd00::8/127", "in tcp fd00::9 1", true},
		{"remote: fd00::8/127", "in tcp fd00::a 1", false},
		{"protocol: any", "out tcp 10.0.0.9 1", true},
	};
	struct acl_fixture *f = *state;
	char config[256];

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		bool egress = rows[i].packet[0] == 'o';

		snprintf(config, sizeof(config),
			"{groups: [{name: g, rules: [{direction: %s, %s}]}]}",
			egress ? "egress" : "ingress", rows[i].rule);
		acl_fixture_configure(f, config);
		if (i == 0)
			acl_fixture_vport(f, 0, 100, "10.0.0.5", "g");
		if (acl_fixture_allows(f, 0, rows[i].packet) != rows[i].matches)
			fail_msg("{%s} on %s", rows[i].rule, rows[i].packet);
		assert_int_equal(f->answer.rule, rows[i].matches ? 1 : 0);
	}
}

static void the_highest_priority_decides_and_deny_among_equals(void **state)
{
	struct acl_fixture *f = *state;

	acl_fixture_configure(f,
		"{groups: [{name: g, rules: ["
		"{direction: ingress, protocol: tcp, ports: [80]},"
		"{direction: ingress, protocol: tcp, remote: 10.0.0.0/8, action: deny},"
		"{direction: ingress, protocol: tcp, remote: 10.1.0.0/16, priority: 7},"
		"{direction: ingress, remote: 10.1.1.0/24, priority: 8, action: deny},"
		"{direction: egress, protocol: udp, ports: [53], action: deny}]}]}");
	acl_fixture_vport(f, 0, 100, "10.0.0.5", "g");
	assert_true(acl_fixture_allows(f, 0, "in tcp 192.0.2.1 80"));
	assert_int_equal(f->answer.rule, 1);
	assert_false(acl_fixture_allows(f, 0, "in tcp 10.2.0.1 80"));
	assert_int_equal(f->answer.rule, 2);
	assert_true(acl_fixture_allows(f, 0, "in tcp 10.1.0.1 80"));
	assert_int_equal(f->answer.rule, 3);
	assert_false(acl_fixture_allows(f, 0, "in tcp 10.1.1.1 80"));
	assert_int_equal(f->answer.rule, 4);
	assert_false(acl_fixture_allows(f, 0, "out udp 10.9.9.9 53"));
	assert_int_equal(f->answer.rule, 5);
	assert_true(acl_fixture_allows(f, 0, "out udp 10.9.9.9 54"));
}

static void several_groups_add_up_and_the_answer_names_the_one(void **state)
{
	struct acl_fixture *f = *state;

	acl_fixture_configure(f,
		"{groups: ["
		"{name: web, rules: [{direction: ingress, protocol: tcp, ports: [80]}]},"
		"{name: ssh, rules: [{direction: ingress, protocol: udp},"
		"{direction: ingress, protocol: tcp, ports: [22]}]}]}");
	acl_fixture_vport(f, 0, 100, "10.0.0.5", "web,ssh");
	acl_fixture_vport(f, 1, 100, "10.0.0.6", "ssh,web");
	for (uint16_t id = 0; id < 2; id++) {
		assert_true(acl_fixture_allows(f, id, "in tcp 10.0.0.9 22"));
		assert_int_equal(f->answer.rule, 2);
		assert_string_equal(f->vport[id].groups[f->answer.group - 1], "ssh");
		assert_true(acl_fixture_allows(f, id, "in tcp 10.0.0.9 80"));
		assert_string_equal(f->vport[id].groups[f->answer.group - 1], "web");
		assert_false(acl_fixture_allows(f, id, "in tcp 10.0.0.9 23"));
	}
	/* The same groups in another order are the same set. */
	assert_non_null(strstr(acl_fixture_show(f), "\"sets\": 1,"));
}

static void a_remote_group_is_whoever_is_in_it_now(void **state)
{
	struct acl_fixture *f = *state;

	acl_fixture_configure(f,
		"{groups: [{name: web, rules: []}, {name: db, rules: ["
		"{direction: ingress, protocol: tcp, ports: [5432], remote_group: web}]}],"
		"members: {web: {100: [10.0.0.77, fd00::77]}}}");
	acl_fixture_vport(f, 0, 100, "10.0.0.5", "db");
	assert_true(acl_fixture_allows(f, 0, "in tcp 10.0.0.77 5432"));
	assert_true(acl_fixture_allows(f, 0, "in tcp fd00::77 5432"));
	assert_false(acl_fixture_allows(f, 0, "in tcp 10.0.0.77 5433"));
	assert_false(acl_fixture_allows(f, 0, "in tcp 10.0.0.9 5432"));
	/* A neighbour joins and leaves; db is asked again, each time. */
	memset(f->host.changed, 0, sizeof(f->host.changed));
	acl_fixture_vport(f, 1, 100, "10.0.0.9", "web");
	assert_true(acl_fixture_allows(f, 0, "in tcp 10.0.0.9 5432"));
	assert_int_equal(f->answer.rule, 1);
	assert_int_equal(f->host.changed[0], 1);
	acl_fixture_vport_del(f, 1);
	assert_false(acl_fixture_allows(f, 0, "in tcp 10.0.0.9 5432"));
	assert_int_equal(f->host.changed[0], 2);
	/* The same address of another VPC, or of the world outside, is somebody else. */
	acl_fixture_vport(f, 1, 200, "10.0.0.9", "web");
	assert_false(acl_fixture_allows(f, 0, "in tcp 10.0.0.9 5432"));
	f->public_side = true;
	assert_false(acl_fixture_allows(f, 0, "in tcp 10.0.0.77 5432"));
	f->public_side = false;
}

static void a_remote_group_of_one_family_leaves_the_other_alone(void **state)
{
	struct acl_fixture *f = *state;

	acl_fixture_configure(f, "{groups: [{name: g, rules: ["
				 "{direction: ingress, family: ipv6, remote_group: g},"
				 "{direction: egress, remote_group: g, action: deny, priority: 1},"
				 "{direction: egress, remote: 10.0.0.0/8, priority: 2}]}]}");
	acl_fixture_vport(f, 0, 100, "10.0.0.5,fd00::5", "g");
	acl_fixture_vport(f, 1, 100, "10.0.0.6,fd00::6", "g");
	assert_true(acl_fixture_allows(f, 0, "in tcp fd00::6 1"));
	assert_false(acl_fixture_allows(f, 0, "in tcp 10.0.0.6 1"));
	/* Two classifiers, one order: the prefix outbids the group. */
	assert_false(acl_fixture_allows(f, 0, "out tcp fd00::6 1"));
	assert_int_equal(f->answer.rule, 2);
	assert_true(acl_fixture_allows(f, 0, "out tcp 10.0.0.6 1"));
	assert_int_equal(f->answer.rule, 3);
}

static void a_member_of_a_known_kind_costs_no_new_classifier(void **state)
{
	struct acl_fixture *f = *state;
	char before[64];

	acl_fixture_configure(
		f, "{groups: [{name: g, rules: [{direction: ingress, remote_group: g}]}]}");
	acl_fixture_vport(f, 0, 100, "10.0.0.5", "g");
	snprintf(before, sizeof(before), "%.40s", acl_fixture_show(f));
	for (uint16_t id = 1; id < 6; id++) {
		char ip[16];

		snprintf(ip, sizeof(ip), "10.0.0.%u", id + 5);
		acl_fixture_vport(f, id, 100, ip, "g");
	}
	assert_memory_equal(acl_fixture_show(f), before, 35);
	assert_true(acl_fixture_allows(f, 3, "in udp 10.0.0.10 9"));
}

static void only_vports_whose_rules_changed_are_asked_again(void **state)
{
	static const char *const before =
		"{groups: [{name: a, rules: [{direction: ingress, protocol: tcp}]},"
		"{name: b, rules: [{direction: ingress, protocol: udp}]}]}";
	struct acl_fixture *f = *state;

	acl_fixture_configure(f, before);
	acl_fixture_vport(f, 0, 100, "10.0.0.5", "a");
	acl_fixture_vport(f, 1, 100, "10.0.0.6", "b");
	assert_true(acl_fixture_allows(f, 0, "in tcp 10.0.0.9 80"));
	memset(f->host.changed, 0, sizeof(f->host.changed));
	acl_fixture_configure(f, before);
	assert_int_equal(f->host.changed[0] + f->host.changed[1], 0);
	acl_fixture_configure(f,
		"{groups: [{name: a, rules: [{direction: ingress, protocol: tcp}]},"
		"{name: b, rules: [{direction: ingress, protocol: udp, ports: [53]}]}]}");
	assert_int_equal(f->host.changed[0], 0);
	assert_int_equal(f->host.changed[1], 1);
	assert_false(acl_fixture_allows(f, 1, "in udp 10.0.0.9 54"));
	/* Counters of a group that stayed as it was go on. */
	assert_non_null(strstr(acl_fixture_show(f), "\"a\": {\"rules\": 1, \"hits\": [1]}"));
}

static void a_check_changes_nothing(void **state)
{
	struct acl_fixture *f = *state;
	struct plugin_value *value = fake_value("{groups: [{name: a, rules: []}]}");
	struct plugin_error error = {0};

	acl_fixture_configure(f, "{groups: [{name: a, rules: [{direction: ingress}]}]}");
	acl_fixture_vport(f, 0, 100, "10.0.0.5", "a");
	memset(f->host.changed, 0, sizeof(f->host.changed));
	assert_int_equal(f->plugin->configure(f->instance, value, false, &error), 0);
	fake_value_free(value);
	assert_true(acl_fixture_allows(f, 0, "in tcp 10.0.0.9 80"));
	assert_int_equal(f->host.changed[0], 0);
}

static void a_vport_whose_group_is_gone_keeps_its_policy_until_it_is_changed(void **state)
{
	struct acl_fixture *f = *state;
	struct plugin_error error = {0};
	void *data;

	acl_fixture_configure(f, "{groups: [{name: a, rules: [{direction: ingress, protocol: tcp},"
				 "{direction: egress, protocol: udp, action: deny}]}]}");
	acl_fixture_vport(f, 0, 100, "10.0.0.5", "a");
	acl_fixture_configure(f, "{groups: [{name: b, rules: []}]}");
	assert_true(acl_fixture_allows(f, 0, "in tcp 10.0.0.9 80"));
	assert_false(acl_fixture_allows(f, 0, "out udp 10.0.0.9 80"));
	/* Nobody new may name it. */
	data = f->data[0];
	assert_int_equal(
		f->plugin->vport_change(f->instance, &f->vport[0], NULL, &data, &error), -ENOENT);
	assert_string_equal(error.text, "vport v0: groups: no group named a");
	f->vport[0].groups = (const char *const[]){"b"};
	assert_int_equal(
		f->plugin->vport_change(f->instance, &f->vport[0], NULL, &data, &error), 0);
	assert_false(acl_fixture_allows(f, 0, "in tcp 10.0.0.9 80"));
	assert_true(acl_fixture_allows(f, 0, "out udp 10.0.0.9 80"));
	f->vport[0].group_count = 0;
}

static void a_question_and_a_second_judgement_are_no_hits(void **state)
{
	struct acl_fixture *f = *state;

	acl_fixture_configure(f, "{groups: [{name: a, rules: [{direction: ingress}]}]}");
	acl_fixture_vport(f, 0, 100, "10.0.0.5", "a");
	f->dry = true;
	assert_true(acl_fixture_allows(f, 0, "in tcp 10.0.0.9 80"));
	f->dry = false;
	f->recheck = true;
	assert_true(acl_fixture_allows(f, 0, "in tcp 10.0.0.9 80"));
	f->recheck = false;
	assert_non_null(strstr(acl_fixture_show(f), "\"hits\": [0]"));
	assert_true(acl_fixture_allows(f, 0, "in tcp 10.0.0.9 80"));
	f->worker = 2; /* a control thread */
	assert_true(acl_fixture_allows(f, 0, "in tcp 10.0.0.9 80"));
	f->worker = 0;
	assert_non_null(strstr(acl_fixture_show(f), "\"hits\": [2]"));
}

/* Where `at` begins in the text: what the error must point at. */
static void place_of(const char *text, const char *at, uint32_t *line, uint32_t *column)
{
	const char *end = strstr(text, at);

	*line = *column = 1;
	for (; text < end; text++) {
		*column = *text == '\n' ? 1 : *column + 1;
		*line += *text == '\n';
	}
}

static void what_is_wrong_is_named_with_its_place(void **state)
{
	static const struct {
		const char *config, *error, *at;
	} rows[] = {
#define RULE(text) "{groups: [{name: web, rules: [\n{direction: ingress}, {" text "}]}]}"
#define PROTOCOLS "any, tcp, udp, sctp, icmp, icmpv6 or a number from 1 to 255"
#define WEB2 "group web, rule 2: "
		{RULE("direction: sideways"),
			WEB2 "direction: expected ingress or egress, found \"sideways\"",
			"sideways"},
		{RULE("protocol: tcp"), WEB2 "direction: is missing", "{protocol"},
		{RULE("direction: egress, protocol: tcpp"),
			WEB2 "protocol: expected " PROTOCOLS ", found \"tcpp\"", "tcpp"},
		{RULE("direction: egress, protocol: 256"),
			WEB2 "protocol: expected " PROTOCOLS ", found \"256\"", "256"},
		{RULE("direction: egress, protocol: tcp, ports: [80, 90-80]"),
			WEB2 "ports: expected a port or a range of ports, found \"90-80\"",
			"90-80"},
		{RULE("direction: egress, protocol: tcp, ports: [65536]"),
			WEB2 "ports: expected a port or a range of ports, found \"65536\"",
			"65536"},
		{RULE("direction: egress, ports: [80]"),
			WEB2 "ports: only tcp, udp and sctp have them", "{direction: egress"},
		{RULE("direction: egress, icmp_code: 3, protocol: icmp"),
			WEB2 "icmp_code: goes with icmp_type", "{direction: egress"},
		{RULE("direction: egress, remote: 10.0.0.1/24"),
			WEB2 "remote: expected a prefix without host bits, found \"10.0.0.1/24\"",
			"10.0.0.1"},
		{RULE("direction: egress, remote: 10.0.0.0/33"),
			WEB2 "remote: expected a prefix, found \"10.0.0.0/33\"", "10.0.0.0"},
		{RULE("direction: egress, family: ipv6, remote: 10.0.0.0/24"),
			WEB2 "remote: is of another family than the rule", "{direction: egress"},
		{RULE("direction: egress, protocol: icmp, remote: fd00::/64"),
			WEB2 "remote: is of another family than the rule", "{direction: egress"},
		{RULE("direction: egress, family: ipv6, protocol: icmp"),
			WEB2 "family: the protocol is of the other one", "{direction: egress"},
		{RULE("direction: egress, remote_group: db"),
			WEB2 "remote_group: no group named db", "[{name"},
		{RULE("direction: egress, remote: 10.0.0.0/8, remote_group: web"),
			WEB2 "remote_group: not together with remote", "{direction: egress"},
		{RULE("direction: egress, prio: 3"), WEB2 "prio: unknown key", "3}"},
		{RULE("direction: egress, priority: -3"),
			WEB2 "priority: expected a number from 0 to 65535, found \"-3\"", "-3"},
		{"{groups: [{name: web}, {name: web}]}", "groups: web: is there twice", "[{"},
		{"{groups: [{rules: []}]}",
			"groups: name: expected up to 63 characters without quotes", "{rules"},
		{"{groups: {a: b}}", "groups: expected a list", "{a"},
		{"{grups: []}", "grups: unknown key", "[]"},
		{"{members: {web: [10.0.0.1]}}", "members: web: expected a map of VNI to addresses",
			"[10"},
		{"{members: {web: {x: [10.0.0.1]}}}", "members: web: expected a VNI, found \"x\"",
			"[10"},
		{"{members: {web: {100: [10.0.0]}}}",
			"members: web: expected an address, found \"10.0.0\"", "10.0.0]"},
	};
	struct acl_fixture *f = *state;
	uint32_t line, column;

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct plugin_value *value = fake_value(rows[i].config);
		struct plugin_error error = {0};

		assert_int_equal(f->plugin->configure(f->instance, value, true, &error), -EINVAL);
		assert_string_equal(error.text, rows[i].error);
		place_of(rows[i].config, rows[i].at, &line, &column);
		if (line != error.line || column != error.column)
			fail_msg("%s: at %u:%u", error.text, error.line, error.column);
		fake_value_free(value);
	}
}

/* ---- what an attacker can make of it ---- */

#define MASKS 24 /* prefixes of /9 to /32 */
#define MASK_PORTS 16
#define LATENCIES 1001
#define HOSTILE 32 /* questions of the attacker between two of the victim */

static char *every_mask(char *text, size_t room)
{
	size_t at = (size_t)snprintf(text, room, "{groups: [{name: web, rules: [");

	for (unsigned int plen = 9; plen < 9 + MASKS; plen++)
		for (unsigned int i = 0; i < MASK_PORTS; i++) {
			uint32_t net = (10u << 24 | plen << 19 | i << 9) & (~0u << (32 - plen));

			at += (size_t)snprintf(text + at, room - at,
				"{direction: ingress, protocol: %s, remote: %u.%u.%u.%u/%u, ports: "
				"[%u-%u], action: %s}, ",
				i % 2 ? "tcp" : "udp", net >> 24, net >> 16 & 255, net >> 8 & 255,
				net & 255, plen, 1u << i, (2u << i) - 1, i % 3 ? "allow" : "deny");
		}
	snprintf(text + at, room - at,
		"{direction: ingress, protocol: tcp, ports: [80], remote: 192.0.2.0/24}]}]}");
	return text;
}

static int by_value(const void *a, const void *b)
{
	const uint64_t *x = a, *y = b;

	return (*x > *y) - (*x < *y);
}

/* Median of what a new connection of the victim costs, with so many questions of others before. */
static uint64_t victim_cycles(struct acl_fixture *f, unsigned int hostile)
{
	struct plugin_tuple victim = {.remote = acl_fixture_addr("192.0.2.7"),
		.local = acl_fixture_addr("10.0.0.5"),
		.proto = IPPROTO_TCP,
		.local_port = 80};
	struct plugin_tuple other = victim;
	static uint64_t cycles[LATENCIES];
	uint64_t start;

	for (unsigned int i = 0; i < LATENCIES; i++) {
		for (unsigned int n = 0; n < hostile; n++) {
			other.remote = acl_fixture_addr("10.0.0.1");
			other.remote.s6_addr[13] = (uint8_t)rand();
			other.remote.s6_addr[14] = (uint8_t)rand();
			other.local_port = (uint16_t)rand();
			other.proto = rand() % 2 ? IPPROTO_TCP : IPPROTO_UDP;
			acl_fixture_asks(f, 1, &other, PLUGIN_INGRESS);
		}
		start = rte_rdtsc_precise();
		assert_true(acl_fixture_asks(f, 0, &victim, PLUGIN_INGRESS));
		cycles[i] = rte_rdtsc_precise() - start;
	}
	qsort(cycles, LATENCIES, sizeof(cycles[0]), by_value);
	return cycles[LATENCIES / 2];
}

static void an_attacker_who_tries_every_mask_slows_nobody_F03(void **state)
{
	static char text[MASKS * MASK_PORTS * 128 + 256];
	struct acl_fixture *f = *state;
	uint64_t quiet, attacked;

	acl_fixture_configure(f, every_mask(text, sizeof(text)));
	acl_fixture_vport(f, 0, 100, "10.0.0.5", "web");
	acl_fixture_vport(f, 1, 100, "10.0.0.6", "web");
	quiet = victim_cycles(f, 0);
	attacked = victim_cycles(f, HOSTILE);
	print_message("# victim: %llu cycles alone, %llu beside an attacker\n",
		(unsigned long long)quiet, (unsigned long long)attacked);
	assert_true(attacked < 3 * quiet);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, acl_fixture_start, acl_fixture_stop)
		T(without_groups_nothing_comes_in_and_everything_goes_out),
		T(a_rule_says_what_its_keys_say),
		T(the_highest_priority_decides_and_deny_among_equals),
		T(several_groups_add_up_and_the_answer_names_the_one),
		T(a_remote_group_is_whoever_is_in_it_now),
		T(a_remote_group_of_one_family_leaves_the_other_alone),
		T(a_member_of_a_known_kind_costs_no_new_classifier),
		T(only_vports_whose_rules_changed_are_asked_again),
		T(a_check_changes_nothing),
		T(a_vport_whose_group_is_gone_keeps_its_policy_until_it_is_changed),
		T(a_question_and_a_second_judgement_are_no_hits),
		T(what_is_wrong_is_named_with_its_place),
		T(an_attacker_who_tries_every_mask_slows_nobody_F03),
	};

	if (fake_eal_start() != 0)
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
