/* SPDX-License-Identifier: BSD-3-Clause */
#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "plugins/nat/nat.h"

#define VNI_MAX 0xffffff

static const char *const kind_names[NAT_KINDS] = {
	[NAT_FLOATING] = "floating",
	[NAT_SNAT] = "snat",
	[NAT_DNAT] = "dnat",
};

const char *nat_kind_name(uint8_t kind)
{
	return kind < NAT_KINDS ? kind_names[kind] : "?";
}

int nat_fail(struct plugin_error *error, const struct plugin_value *value, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(error->text, sizeof(error->text), format, args);
	va_end(args);
	error->line = value ? value->line : 0;
	error->column = value ? value->column : 0;
	return -EINVAL;
}

bool nat_addr_is_v4(const struct in6_addr *addr)
{
	return IN6_IS_ADDR_V4MAPPED(addr);
}

bool nat_addr_same(const struct in6_addr *a, const struct in6_addr *b)
{
	return memcmp(a, b, sizeof(*a)) == 0;
}

bool nat_addr_any(const struct in6_addr *addr)
{
	return IN6_IS_ADDR_UNSPECIFIED(addr);
}

void nat_lease_text(const struct nat_lease *lease, char *text, size_t len)
{
	char addr[INET6_ADDRSTRLEN];

	if (nat_addr_is_v4(&lease->address))
		inet_ntop(AF_INET, &lease->address.s6_addr[12], addr, sizeof(addr));
	else
		inet_ntop(AF_INET6, &lease->address, addr, sizeof(addr));
	if (lease->last == 0)
		snprintf(text, len, "%s", addr);
	else
		snprintf(text, len, "%s:%u-%u", addr, lease->first, lease->last);
}

bool nat_lease_same(const struct nat_lease *a, const struct nat_lease *b)
{
	return a->kind == b->kind && a->vni == b->vni && a->first == b->first &&
	       a->last == b->last && a->proto == b->proto &&
	       nat_addr_same(&a->address, &b->address);
}

bool nat_lease_clash(const struct nat_lease *a, const struct nat_lease *b, bool same_vport)
{
	bool whole = a->last == 0 || b->last == 0;

	if (a->vni != b->vni || !nat_addr_same(&a->address, &b->address))
		return false;
	if (!whole && (a->last < b->first || b->last < a->first))
		return false;
	/*
	 * Where packets go is decided by address and port alone: other protocols of the same ports
	 * only at one vport.
	 */
	return !(same_vport && a->kind == NAT_DNAT && b->kind == NAT_DNAT && a->first == b->first &&
		 a->last == b->last && a->proto != b->proto && a->proto != 0 && b->proto != 0);
}

bool nat_lease_holds(const struct nat_lease *lease, const struct plugin_tuple *outside)
{
	if (lease->vni != outside->vni || !nat_addr_same(&lease->address, &outside->local))
		return false;
	if (lease->kind == NAT_FLOATING)
		return true;
	if (outside->local_port < lease->first || outside->local_port > lease->last)
		return false;
	if (lease->kind == NAT_SNAT)
		return true;
	return lease->proto ? outside->proto == lease->proto
			    : outside->proto == IPPROTO_TCP || outside->proto == IPPROTO_UDP;
}

/* ---- as written ---- */

static const struct plugin_value *member(const struct plugin_value *map, const char *key)
{
	for (uint32_t i = 0; map && map->kind == PLUGIN_MAP && i < map->count; i++)
		if (map->item[i].key && strcmp(map->item[i].key, key) == 0)
			return &map->item[i];
	return NULL;
}

static const char *text_of(const struct plugin_value *map, const char *key)
{
	const struct plugin_value *value = member(map, key);

	return value && value->kind == PLUGIN_SCALAR ? value->text : NULL;
}

/* A number up to `max` at *text, which is moved behind it. */
static bool number_at(const char **text, unsigned long max, unsigned long *out)
{
	char *end;

	if (**text < '0' || **text > '9')
		return false;
	errno = 0;
	*out = strtoul(*text, &end, 10);
	*text = end;
	return errno == 0 && *out <= max;
}

static bool take_number(const char *text, unsigned long max, unsigned long *out)
{
	return text && number_at(&text, max, out) && *text == '\0';
}

static bool take_address(const char *text, struct in6_addr *addr)
{
	struct in6_addr out = {.s6_addr = {[10] = 0xff, [11] = 0xff}};

	if (!text || (inet_pton(AF_INET, text, &out.s6_addr[12]) != 1 &&
			     inet_pton(AF_INET6, text, &out) != 1))
		return false;
	*addr = out;
	return true;
}

static bool take_ports(const char *text, struct nat_lease *lease)
{
	unsigned long first, last;

	if (!text || !number_at(&text, UINT16_MAX, &first))
		return false;
	last = first;
	if (*text == '-') {
		text++;
		if (!number_at(&text, UINT16_MAX, &last))
			return false;
	}
	if (*text != '\0' || first == 0 || last < first)
		return false;
	lease->first = (uint16_t)first;
	lease->last = (uint16_t)last;
	return true;
}

static bool take_kind(const char *text, struct nat_lease *lease)
{
	for (uint8_t kind = 0; text && kind < NAT_KINDS; kind++)
		if (strcmp(text, kind_names[kind]) == 0) {
			lease->kind = kind;
			return true;
		}
	return false;
}

static bool take_protocol(const char *text, struct nat_lease *lease)
{
	unsigned long number = 0;

	if (!text || strcmp(text, "any") == 0)
		return true;
	if (strcmp(text, "tcp") == 0)
		number = IPPROTO_TCP;
	else if (strcmp(text, "udp") == 0)
		number = IPPROTO_UDP;
	else if (strcmp(text, "sctp") == 0)
		number = IPPROTO_SCTP;
	lease->proto = (uint8_t)number;
	return number != 0;
}

static bool take_network(
	const struct plugin_value *networks, const char *name, struct nat_lease *lease)
{
	unsigned long vni;

	for (uint32_t i = 0; name && networks && i < networks->count; i++) {
		const char *own = text_of(&networks->item[i], "name");

		if (!own || strcmp(own, name) != 0)
			continue;
		if (!take_number(text_of(&networks->item[i], "vni"), VNI_MAX, &vni) || vni == 0)
			return false;
		lease->vni = (uint32_t)vni;
		return true;
	}
	return false;
}

/* DNAT: the ports behind fit as well. */
static bool take_inside(const struct plugin_value *value, struct nat_lease *lease)
{
	const char *inside = text_of(value, "inside"), *port = text_of(value, "inside_port");
	unsigned long number = 0;

	if (inside && (!take_address(inside, &lease->inside) ||
			      nat_addr_is_v4(&lease->inside) != nat_addr_is_v4(&lease->address)))
		return false;
	if (port && !take_number(port, UINT16_MAX, &number))
		return false;
	lease->inside_port = (uint16_t)number;
	return number == 0 ||
	       (lease->kind == NAT_DNAT && number + lease->last - lease->first <= UINT16_MAX);
}

static int row_parse(const struct plugin_value *value, const struct plugin_value *networks,
	struct nat_row *row, struct plugin_error *error)
{
	const char *vport = text_of(value, "vport");
	struct nat_lease *lease = &row->lease;

	*row = (struct nat_row){0};
	if (!vport || strlen(vport) >= sizeof(row->vport))
		return nat_fail(error, value, "nat_leases: vport: expected a name");
	snprintf(row->vport, sizeof(row->vport), "%s", vport);
	if (!take_network(networks, text_of(value, "network"), lease))
		return nat_fail(
			error, value, "nat_leases: network: expected a name of external_networks");
	if (!take_kind(text_of(value, "kind"), lease))
		return nat_fail(error, value, "nat_leases: kind: expected floating, snat or dnat");
	if (!take_address(text_of(value, "address"), &lease->address))
		return nat_fail(error, value, "nat_leases: address: expected an address");
	if (lease->kind == NAT_FLOATING ? text_of(value, "ports") != NULL
					: !take_ports(text_of(value, "ports"), lease))
		return nat_fail(error, value, "nat_leases: ports: expected %s",
			lease->kind == NAT_FLOATING ? "none: a floating address has all"
						    : "a port or a range, as in 1024-2047");
	if (!take_protocol(text_of(value, "protocol"), lease) ||
		(lease->proto && lease->kind != NAT_DNAT))
		return nat_fail(error, value,
			"nat_leases: protocol: expected tcp, udp, sctp or any, for dnat");
	if (!take_inside(value, lease))
		return nat_fail(error, value,
			"nat_leases: inside: expected an address of the same family, and ports "
			"that fit");
	return 0;
}

static int rows_check(
	const struct plugin_value *leases, const struct nat_rows *rows, struct plugin_error *error)
{
	for (uint32_t i = 0; i < rows->count; i++)
		for (uint32_t n = 0; n < i; n++) {
			const struct nat_row *a = &rows->row[i], *b = &rows->row[n];
			char text[80];

			if (!nat_lease_clash(&a->lease, &b->lease, strcmp(a->vport, b->vport) == 0))
				continue;
			nat_lease_text(&a->lease, text, sizeof(text));
			return nat_fail(error, &leases->item[i],
				"nat_leases: ports: %s of %s overlaps a lease of %s", text,
				a->vport, b->vport);
		}
	return 0;
}

static int keys_check(const struct plugin_value *config, struct plugin_error *error)
{
	for (uint32_t i = 0; config && i < config->count; i++) {
		const struct plugin_value *value = &config->item[i];
		const char *key = value->key ? value->key : "?";

		if (strcmp(key, "external_networks") != 0 && strcmp(key, "nat_leases") != 0)
			return nat_fail(error, value, "%s: unknown key", key);
		if (value->kind != PLUGIN_LIST)
			return nat_fail(error, value, "%s: expected a list", key);
	}
	return 0;
}

int nat_rows_parse(
	const struct plugin_value *config, struct nat_rows *rows, struct plugin_error *error)
{
	const struct plugin_value *networks = member(config, "external_networks");
	const struct plugin_value *leases = member(config, "nat_leases");
	struct nat_rows out = {0};
	int rc = keys_check(config, error);

	if (rc != 0)
		return rc;
	out.row = calloc(leases && leases->count ? leases->count : 1, sizeof(*out.row));
	if (!out.row)
		return nat_fail(error, leases, "nat_leases: out of memory");
	while (rc == 0 && leases && out.count < leases->count) {
		rc = row_parse(&leases->item[out.count], networks, &out.row[out.count], error);
		out.count++;
	}
	if (rc == 0)
		rc = rows_check(leases, &out, error);
	if (rc != 0)
		free(out.row);
	else
		*rows = out;
	return rc;
}
