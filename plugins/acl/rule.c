/* SPDX-License-Identifier: BSD-3-Clause */
#include "plugins/acl/acl.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#define PROTO_MAX 255
#define PRIORITY_MAX 65535
#define V4_LEN_OFFSET 96

int acl_fail(struct plugin_error *error, const struct plugin_value *value, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(error->text, sizeof(error->text), format, args);
	va_end(args);
	if (value) {
		error->line = value->line;
		error->column = value->column;
	}
	return -EINVAL;
}

const struct plugin_value *acl_get(const struct plugin_value *map, const char *key)
{
	for (uint32_t i = 0; map && map->kind == PLUGIN_MAP && i < map->count; i++)
		if (map->item[i].key && strcmp(map->item[i].key, key) == 0)
			return &map->item[i];
	return NULL;
}

int acl_number(const char *text, uint32_t max, uint32_t *number)
{
	uint64_t n = 0;

	if (!*text)
		return -EINVAL;
	for (; *text; text++) {
		if (*text < '0' || *text > '9')
			return -EINVAL;
		n = n * 10 + (uint64_t)(*text - '0');
		if (n > max)
			return -ERANGE;
	}
	*number = (uint32_t)n;
	return 0;
}

int acl_address(const char *text, struct in6_addr *addr)
{
	struct in6_addr v6 = IN6ADDR_ANY_INIT;

	if (inet_pton(AF_INET, text, &v6.s6_addr[12]) == 1) {
		v6.s6_addr[10] = v6.s6_addr[11] = 0xff;
	} else if (inet_pton(AF_INET6, text, &v6) != 1) {
		return -EINVAL;
	}
	*addr = v6;
	return 0;
}

/* ---- one key each ---- */

struct parse {
	const struct plugin_value *value;
	const char *where, *key;
	struct plugin_error *error;
	struct acl_rule *rule;
};

static int expected(const struct parse *p, const char *what)
{
	return acl_fail(p->error, p->value, "%s: %s: expected %s, found \"%s\"", p->where, p->key,
		what, p->value->kind == PLUGIN_SCALAR ? p->value->text : "a list or map");
}

static int word(const struct parse *p, const char *const *words, uint8_t *index, const char *expect)
{
	for (uint8_t i = 0; words[i]; i++)
		if (strcmp(p->value->text, words[i]) == 0) {
			*index = i;
			return 0;
		}
	return expected(p, expect);
}

static int parse_direction(const struct parse *p)
{
	static const char *const words[] = {"egress", "ingress", NULL};

	return word(p, words, &p->rule->dir, "ingress or egress");
}

static int parse_family(const struct parse *p)
{
	static const char *const words[] = {"any", "ipv4", "ipv6", NULL};

	return word(p, words, &p->rule->family, "any, ipv4 or ipv6");
}

static int parse_action(const struct parse *p)
{
	static const char *const words[] = {"allow", "deny", NULL};

	return word(p, words, &p->rule->deny, "allow or deny");
}

static int parse_protocol(const struct parse *p)
{
	static const struct {
		const char *name;
		uint8_t proto;
	} names[] = {{"any", 0}, {"icmp", IPPROTO_ICMP}, {"tcp", IPPROTO_TCP}, {"udp", IPPROTO_UDP},
		{"icmpv6", IPPROTO_ICMPV6}, {"sctp", IPPROTO_SCTP}};
	uint32_t number;

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (strcmp(p->value->text, names[i].name) == 0) {
			p->rule->proto = names[i].proto;
			return 0;
		}
	if (acl_number(p->value->text, PROTO_MAX, &number) != 0 || number == 0)
		return expected(p, "any, tcp, udp, sctp, icmp, icmpv6 or a number from 1 to 255");
	p->rule->proto = (uint8_t)number;
	return 0;
}

static int parse_range(const struct parse *p, const char *text)
{
	struct acl_range *range = &p->rule->ports[p->rule->port_count];
	char copy[16];
	char *dash;
	uint32_t first, last;

	if (strlen(text) >= sizeof(copy))
		return expected(p, "a port or a range of ports");
	strcpy(copy, text);
	dash = strpbrk(copy, "-:");
	if (dash)
		*dash = '\0';
	if (acl_number(copy, UINT16_MAX, &first) != 0 ||
		acl_number(dash ? dash + 1 : copy, UINT16_MAX, &last) != 0 || first > last)
		return expected(p, "a port or a range of ports");
	*range = (struct acl_range){.first = (uint16_t)first, .last = (uint16_t)last};
	p->rule->port_count++;
	return 0;
}

static int parse_ports(const struct parse *p)
{
	struct parse one = *p;

	if (p->value->kind == PLUGIN_SCALAR)
		return parse_range(p, p->value->text);
	if (p->value->kind != PLUGIN_LIST || p->value->count > ACL_PORTS_MAX)
		return expected(p, "a list of up to 64 ports and ranges");
	for (uint32_t i = 0; i < p->value->count; i++) {
		int rc;

		one.value = &p->value->item[i];
		rc = one.value->kind == PLUGIN_SCALAR
			     ? parse_range(&one, one.value->text)
			     : expected(&one, "a port or a range of ports");
		if (rc != 0)
			return rc;
	}
	return 0;
}

static int parse_icmp(const struct parse *p, int16_t *out)
{
	uint32_t number;

	if (strcmp(p->value->text, "-1") == 0)
		return 0;
	if (acl_number(p->value->text, UINT8_MAX, &number) != 0)
		return expected(p, "a number from 0 to 255, or -1");
	*out = (int16_t)number;
	return 0;
}

static int parse_icmp_type(const struct parse *p)
{
	return parse_icmp(p, &p->rule->icmp_type);
}

static int parse_icmp_code(const struct parse *p)
{
	return parse_icmp(p, &p->rule->icmp_code);
}

static int parse_priority(const struct parse *p)
{
	uint32_t number;

	if (acl_number(p->value->text, PRIORITY_MAX, &number) != 0)
		return expected(p, "a number from 0 to 65535");
	p->rule->priority = (uint16_t)number;
	return 0;
}

static bool host_bits(const struct in6_addr *addr, uint32_t len)
{
	for (uint32_t bit = len; bit < 128; bit++)
		if (addr->s6_addr[bit / 8] & 0x80 >> bit % 8)
			return true;
	return false;
}

static int parse_remote(const struct parse *p)
{
	char copy[INET6_ADDRSTRLEN + 4];
	struct in6_addr addr;
	uint32_t len, max, offset;
	char *slash;

	if (strlen(p->value->text) >= sizeof(copy))
		return expected(p, "a prefix");
	strcpy(copy, p->value->text);
	slash = strchr(copy, '/');
	if (slash)
		*slash = '\0';
	if (acl_address(copy, &addr) != 0)
		return expected(p, "a prefix");
	offset = acl_is_v4(&addr) ? V4_LEN_OFFSET : 0;
	max = 128 - offset;
	len = max;
	if (slash && acl_number(slash + 1, max, &len) != 0)
		return expected(p, "a prefix");
	if (host_bits(&addr, len + offset))
		return expected(p, "a prefix without host bits");
	p->rule->remote = addr;
	p->rule->remote_len = (uint8_t)(len + offset);
	p->rule->has_remote = true;
	return 0;
}

static int parse_remote_group(const struct parse *p)
{
	if (strlen(p->value->text) >= ACL_NAME_MAX || !*p->value->text)
		return expected(p, "the name of a group");
	strcpy(p->rule->remote_group, p->value->text);
	return 0;
}

static const struct {
	const char *key;
	int (*parse)(const struct parse *p);
	bool not_scalar; /* may be a list */
} keys[] = {
	{"action", parse_action, false},
	{"direction", parse_direction, false},
	{"family", parse_family, false},
	{"icmp_code", parse_icmp_code, false},
	{"icmp_type", parse_icmp_type, false},
	{"ports", parse_ports, true},
	{"priority", parse_priority, false},
	{"protocol", parse_protocol, false},
	{"remote", parse_remote, false},
	{"remote_group", parse_remote_group, false},
};

static int parse_key(struct parse *p)
{
	for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
		if (!p->key || strcmp(p->key, keys[i].key) != 0)
			continue;
		if (p->value->kind != PLUGIN_SCALAR && !keys[i].not_scalar)
			return expected(p, "one value");
		return keys[i].parse(p);
	}
	return acl_fail(p->error, p->value, "%s: %s: unknown key", p->where, p->key ? p->key : "?");
}

/* ---- the whole rule ---- */

static uint8_t implied_family(const struct acl_rule *rule)
{
	if (rule->proto == IPPROTO_ICMP)
		return ACL_IPV4;
	return rule->proto == IPPROTO_ICMPV6 ? ACL_IPV6 : ACL_ANY_FAMILY;
}

static bool families_differ(uint8_t a, uint8_t b)
{
	return a != ACL_ANY_FAMILY && b != ACL_ANY_FAMILY && a != b;
}

/* What one key says must fit what the others say. */
static const char *rule_fault(struct acl_rule *rule)
{
	bool has_ports = rule->proto == IPPROTO_TCP || rule->proto == IPPROTO_UDP ||
			 rule->proto == IPPROTO_SCTP;
	uint8_t implied = implied_family(rule);
	uint8_t remote = ACL_ANY_FAMILY;

	if (rule->port_count > 0 && !has_ports)
		return "ports: only tcp, udp and sctp have them";
	if (rule->icmp_type >= 0 && implied == ACL_ANY_FAMILY)
		return "icmp_type: only icmp and icmpv6 have one";
	if (rule->icmp_code >= 0 && rule->icmp_type < 0)
		return "icmp_code: goes with icmp_type";
	if (rule->has_remote && rule->remote_group[0])
		return "remote_group: not together with remote";
	if (rule->has_remote)
		remote = acl_is_v4(&rule->remote) ? ACL_IPV4 : ACL_IPV6;
	if (families_differ(rule->family, implied))
		return "family: the protocol is of the other one";
	if (families_differ(rule->family, remote) || families_differ(implied, remote))
		return "remote: is of another family than the rule";
	if (rule->family == ACL_ANY_FAMILY)
		rule->family = implied != ACL_ANY_FAMILY ? implied : remote;
	return NULL;
}

int acl_rule_parse(const struct plugin_value *value, const char *where, struct acl_rule *rule,
	struct plugin_error *error)
{
	const char *fault;

	memset(rule, 0, sizeof(*rule));
	rule->icmp_type = rule->icmp_code = -1;
	if (value->kind != PLUGIN_MAP)
		return acl_fail(error, value, "%s: expected a map", where);
	for (uint32_t i = 0; i < value->count; i++) {
		struct parse p = {.value = &value->item[i],
			.key = value->item[i].key,
			.where = where,
			.error = error,
			.rule = rule};
		int rc = parse_key(&p);

		if (rc != 0)
			return rc;
	}
	if (!acl_get(value, "direction"))
		return acl_fail(error, value, "%s: direction: is missing", where);
	fault = rule_fault(rule);
	return fault ? acl_fail(error, value, "%s: %s", where, fault) : 0;
}
