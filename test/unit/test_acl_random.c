/* SPDX-License-Identifier: BSD-3-Clause */
/* Random rules and packets: the classifier says what a plain loop over the rules says. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "test/fake/fake_eal.h"
#include "test/unit/acl_fixture.h"

#define WORLDS 40
#define RULES_MAX 60
#define PACKETS 3000
#define GROUPS 3
#define MEMBERS 12

static uint64_t seed = 20260101;

static uint32_t dice(uint32_t sides)
{
	seed = seed * 6364136223846793005ULL + 1442695040888963407ULL;
	return (uint32_t)(seed >> 33) % sides;
}

/* A rule in the test's own words. -1: any. */
struct naive_rule {
	int dir, family, proto, first, last, type, code, group, plen, priority, deny;
	struct in6_addr remote;
	bool has_remote;
};

struct world {
	struct naive_rule rule[GROUPS][RULES_MAX];
	int rules[GROUPS];
	struct in6_addr member[MEMBERS];
	int member_group[MEMBERS];
};

static const int protos[] = {-1, IPPROTO_TCP, IPPROTO_UDP, IPPROTO_ICMP, IPPROTO_ICMPV6, 47};

/* Few addresses and ports, so that rules and packets meet. */
static struct in6_addr some_address(bool v6)
{
	struct in6_addr addr = acl_fixture_addr(v6 ? "fd00::" : "10.0.0.0");

	addr.s6_addr[13] = (uint8_t)dice(2);
	addr.s6_addr[14] = (uint8_t)(v6 ? dice(4) : dice(2));
	addr.s6_addr[15] = (uint8_t)dice(8);
	if (v6)
		addr.s6_addr[dice(12)] ^= (uint8_t)(dice(2) << dice(8));
	return addr;
}

static bool in_prefix(const struct in6_addr *addr, const struct in6_addr *prefix, int plen)
{
	for (int bit = 0; bit < plen; bit++)
		if ((addr->s6_addr[bit / 8] ^ prefix->s6_addr[bit / 8]) & 0x80 >> bit % 8)
			return false;
	return true;
}

static void make_remote(struct naive_rule *r)
{
	bool v6 = r->family == 6 || (r->family < 0 && dice(2));

	r->remote = some_address(v6);
	r->plen = v6 ? (int)dice(129) : 96 + (int)dice(33);
	r->family = v6 ? 6 : 4;
	r->has_remote = true;
	for (int bit = r->plen; bit < 128; bit++)
		r->remote.s6_addr[bit / 8] &= (uint8_t) ~(0x80 >> bit % 8);
}

static struct naive_rule make_rule(void)
{
	struct naive_rule r = {.dir = (int)dice(2),
		.family = -1,
		.proto = protos[dice(6)],
		.first = -1,
		.type = -1,
		.code = -1,
		.group = -1,
		.priority = (int)dice(5),
		.deny = (int)dice(2)};

	if (r.proto == IPPROTO_ICMP)
		r.family = 4;
	else if (r.proto == IPPROTO_ICMPV6)
		r.family = 6;
	else if (dice(3) == 0)
		r.family = dice(2) ? 4 : 6;
	if ((r.proto == IPPROTO_TCP || r.proto == IPPROTO_UDP) && dice(2)) {
		r.first = (int)dice(30);
		r.last = r.first + (int)dice(10);
	}
	if ((r.proto == IPPROTO_ICMP || r.proto == IPPROTO_ICMPV6) && dice(2)) {
		r.type = (int)dice(4);
		r.code = dice(2) ? (int)dice(3) : -1;
	}
	switch (dice(3)) {
	case 0:
		make_remote(&r);
		break;
	case 1:
		r.group = (int)dice(GROUPS);
		break;
	}
	return r;
}

static size_t write_rule(char *out, size_t room, const struct naive_rule *r)
{
	char remote[INET6_ADDRSTRLEN] = "", proto[16];
	bool v4 = IN6_IS_ADDR_V4MAPPED(&r->remote);
	int n = 0;

	snprintf(proto, sizeof(proto), "%d", r->proto);
	n += snprintf(out + n, room - (size_t)n,
		"{direction: %s, protocol: %s, priority: %d, action: %s",
		r->dir == PLUGIN_INGRESS ? "ingress" : "egress", r->proto < 0 ? "any" : proto,
		r->priority, r->deny ? "deny" : "allow");
	if (r->family > 0)
		n += snprintf(out + n, room - (size_t)n, ", family: ipv%d", r->family);
	if (r->first >= 0)
		n += snprintf(out + n, room - (size_t)n, ", ports: [%d-%d]", r->first, r->last);
	if (r->type >= 0)
		n += snprintf(out + n, room - (size_t)n, ", icmp_type: %d", r->type);
	if (r->code >= 0)
		n += snprintf(out + n, room - (size_t)n, ", icmp_code: %d", r->code);
	if (r->group >= 0)
		n += snprintf(out + n, room - (size_t)n, ", remote_group: g%d", r->group);
	if (r->has_remote) {
		inet_ntop(v4 ? AF_INET : AF_INET6, &r->remote.s6_addr[v4 ? 12 : 0], remote,
			sizeof(remote));
		n += snprintf(out + n, room - (size_t)n, ", remote: %s/%d", remote,
			v4 ? r->plen - 96 : r->plen);
	}
	return (size_t)n + (size_t)snprintf(out + n, room - (size_t)n, "}");
}

static void make_world(struct world *w, char *config, size_t room)
{
	size_t n = (size_t)snprintf(config, room, "{groups: [");
	char text[INET6_ADDRSTRLEN];

	for (int g = 0; g < GROUPS; g++) {
		w->rules[g] = (int)dice(RULES_MAX);
		n += (size_t)snprintf(config + n, room - n, "{name: g%d, rules: [", g);
		for (int i = 0; i < w->rules[g]; i++) {
			w->rule[g][i] = make_rule();
			n += write_rule(config + n, room - n, &w->rule[g][i]);
			n += (size_t)snprintf(config + n, room - n, ",");
		}
		n += (size_t)snprintf(config + n, room - n, "]},");
	}
	n += (size_t)snprintf(config + n, room - n, "], members: {");
	for (int i = 0; i < MEMBERS; i++) {
		bool v4;

		w->member[i] = some_address(dice(2));
		w->member_group[i] = (int)dice(GROUPS);
		v4 = IN6_IS_ADDR_V4MAPPED(&w->member[i]);
		inet_ntop(v4 ? AF_INET : AF_INET6, &w->member[i].s6_addr[v4 ? 12 : 0], text,
			sizeof(text));
		n += (size_t)snprintf(
			config + n, room - n, "g%d: {100: [%s]},", w->member_group[i], text);
	}
	snprintf(config + n, room - n, "}}");
}

static bool naive_is_member(const struct world *w, int group, const struct in6_addr *addr)
{
	for (int i = 0; i < MEMBERS; i++)
		if (w->member_group[i] == group && memcmp(&w->member[i], addr, sizeof(*addr)) == 0)
			return true;
	return false;
}

static bool naive_matches(const struct world *w, const struct naive_rule *r,
	const struct plugin_tuple *t, enum plugin_dir dir)
{
	int port = dir == PLUGIN_INGRESS ? t->local_port : t->remote_port;
	int family = IN6_IS_ADDR_V4MAPPED(&t->remote) ? 4 : 6;

	return r->dir == (int)dir && (r->family < 0 || r->family == family) &&
	       (r->proto < 0 || r->proto == t->proto) &&
	       (r->first < 0 || (port >= r->first && port <= r->last)) &&
	       (r->type < 0 || r->type == t->icmp_type) &&
	       (r->code < 0 || r->code == t->icmp_code) &&
	       (!r->has_remote || in_prefix(&t->remote, &r->remote, r->plen)) &&
	       (r->group < 0 || naive_is_member(w, r->group, &t->remote));
}

static bool naive_allows(
	const struct world *w, int groups, const struct plugin_tuple *t, enum plugin_dir dir)
{
	const struct naive_rule *best = NULL;

	for (int g = 0; g < groups; g++)
		for (int i = 0; i < w->rules[g]; i++) {
			const struct naive_rule *r = &w->rule[g][i];

			if (!naive_matches(w, r, t, dir))
				continue;
			if (!best || r->priority > best->priority ||
				(r->priority == best->priority && r->deny > best->deny))
				best = r;
		}
	return best ? !best->deny : dir == PLUGIN_EGRESS;
}

static struct plugin_tuple make_packet(void)
{
	bool v6 = dice(2);
	struct plugin_tuple t = {.local = some_address(v6),
		.remote = some_address(v6),
		.vni = 100,
		.local_port = (uint16_t)dice(45),
		.remote_port = (uint16_t)dice(45)};
	int proto = protos[dice(6)];

	t.proto = proto < 0 ? 132 : (uint8_t)proto;
	if (t.proto == IPPROTO_ICMP || t.proto == IPPROTO_ICMPV6) {
		t.icmp_type = (uint8_t)dice(5);
		t.icmp_code = (uint8_t)dice(4);
	}
	return t;
}

static void the_classifier_agrees_with_a_plain_loop(void **state)
{
	static const char *const sets[GROUPS + 1] = {"", "g0", "g0,g1", "g2,g0,g1"};
	static char config[1 << 16];
	static struct world w;
	struct acl_fixture *f = *state;
	unsigned int allowed = 0;

	for (int world = 0; world < WORLDS; world++) {
		make_world(&w, config, sizeof(config));
		acl_fixture_configure(f, config);
		for (uint16_t id = 0; world == 0 && id <= GROUPS; id++)
			acl_fixture_vport(f, id, 100, "192.0.2.1", sets[id]);
		for (int i = 0; i < PACKETS; i++) {
			struct plugin_tuple t = make_packet();
			enum plugin_dir dir = (enum plugin_dir)dice(2);
			uint16_t id = (uint16_t)dice(GROUPS + 1);
			bool said = acl_fixture_asks(f, id, &t, dir);

			allowed += said;
			if (said != naive_allows(&w, id, &t, dir))
				fail_msg("world %d, packet %d: says %s", world, i,
					said ? "allow" : "deny");
		}
	}
	/* The dice were worth throwing. */
	assert_in_range(allowed, WORLDS * PACKETS / 5, WORLDS * PACKETS * 4 / 5);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(the_classifier_agrees_with_a_plain_loop,
			acl_fixture_start, acl_fixture_stop),
	};

	if (fake_eal_start() != 0)
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
