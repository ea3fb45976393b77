/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The section of a vport: its leases, and what was counted.
 *
 *	count (2) { kind, protocol (1 each), vni (4), address (16), first, last (2 each), inside
 *(16), inside port (2) } opened, exhausted, unsolicited (8 each)
 *
 * Big-endian. A destination whose configuration names a lease itself keeps its own word about what
 * lies behind it.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "plugins/nat/nat.h"

#define LEASE_BYTES 44 /* 1 + 1 + 4 + 16 + 2 + 2 + 16 + 2 */
#define VNI_MAX 0xffffff

static uint64_t counted(const struct nat *nat, const struct nat_vport *v, enum nat_count what)
{
	uint64_t sum = v->moved_counts[what];

	for (uint32_t i = 0; i <= nat->host->workers; i++)
		sum += atomic_load_explicit(&v->counters[i].n[what], memory_order_relaxed);
	return sum;
}

static uint8_t *put(uint8_t *at, uint64_t value, int bytes)
{
	for (int i = 0; i < bytes; i++)
		*at++ = (uint8_t)(value >> 8 * (bytes - 1 - i));
	return at;
}

static uint64_t get(const uint8_t **at, int bytes)
{
	uint64_t value = 0;

	for (int i = 0; i < bytes; i++)
		value = value << 8 | *(*at)++;
	return value;
}

static void put_lease(const struct nat_lease *lease, uint8_t *at)
{
	at = put(at, lease->kind, 1);
	at = put(at, lease->proto, 1);
	at = put(at, lease->vni, 4);
	memcpy(at, &lease->address, sizeof(lease->address));
	at = put(at + sizeof(lease->address), lease->first, 2);
	at = put(at, lease->last, 2);
	memcpy(at, &lease->inside, sizeof(lease->inside));
	put(at + sizeof(lease->inside), lease->inside_port, 2);
}

static void get_lease(const uint8_t *at, struct nat_lease *lease)
{
	lease->kind = (uint8_t)get(&at, 1);
	lease->proto = (uint8_t)get(&at, 1);
	lease->vni = (uint32_t)get(&at, 4);
	memcpy(&lease->address, at, sizeof(lease->address));
	at += sizeof(lease->address);
	lease->first = (uint16_t)get(&at, 2);
	lease->last = (uint16_t)get(&at, 2);
	memcpy(&lease->inside, at, sizeof(lease->inside));
	at += sizeof(lease->inside);
	lease->inside_port = (uint16_t)get(&at, 2);
}

int nat_section_save(
	void *instance, const struct plugin_vport *view, void *data, struct plugin_sink *sink)
{
	const struct nat_vport *v = data;
	const struct nat_binding *binding = atomic_load(&v->binding);
	uint8_t bytes[LEASE_BYTES];
	int rc;

	(void)view;
	put(bytes, binding->count, 2);
	rc = sink->put(sink, bytes, 2);
	for (uint32_t i = 0; i < binding->count && rc == 0; i++) {
		put_lease(&binding->lease[i], bytes);
		rc = sink->put(sink, bytes, LEASE_BYTES);
	}
	for (int what = 0; what < NAT_COUNTS && rc == 0; what++) {
		put(bytes, counted(instance, v, (enum nat_count)what), 8);
		rc = sink->put(sink, bytes, 8);
	}
	return rc;
}

static bool is_own(const struct plugin_vport *view, const struct in6_addr *addr)
{
	for (uint16_t i = 0; i < view->ip_count; i++)
		if (nat_addr_same(&view->ips[i], addr))
			return true;
	return false;
}

static bool row_has(
	const struct nat_rows *rows, const struct plugin_vport *view, const struct nat_lease *lease)
{
	for (uint32_t i = 0; i < rows->count; i++)
		if (strcmp(rows->row[i].vport, view->name) == 0 &&
			nat_lease_same(&rows->row[i].lease, lease))
			return true;
	return false;
}

static bool lease_sane(const struct plugin_vport *view, const struct nat_lease *lease)
{
	bool ports = lease->first > 0 && lease->first <= lease->last;

	if (lease->kind >= NAT_KINDS || lease->vni == 0 || lease->vni > VNI_MAX ||
		nat_addr_any(&lease->address))
		return false;
	if (lease->kind == NAT_FLOATING ? lease->first || lease->last : !ports)
		return false;
	if (lease->inside_port &&
		(lease->kind != NAT_DNAT ||
			lease->inside_port + (lease->last - lease->first) > UINT16_MAX))
		return false;
	if (nat_addr_any(&lease->inside))
		return lease->kind == NAT_SNAT;
	return is_own(view, &lease->inside) &&
	       nat_addr_is_v4(&lease->inside) == nat_addr_is_v4(&lease->address);
}

/* Those of the section that no row names. Their number, or -errno. */
static int take_leases(const struct nat *nat, const struct nat_vport *v, const uint8_t *at,
	struct nat_lease *out, struct plugin_error *error)
{
	uint32_t count = (uint32_t)get(&at, 2);
	int kept = 0;

	for (uint32_t i = 0; i < count; i++, at += LEASE_BYTES) {
		struct nat_lease *lease = &out[kept];
		const char *holder;
		char text[80];

		get_lease(at, lease);
		if (row_has(&nat->rows, v->view, lease))
			continue;
		nat_lease_text(lease, text, sizeof(text));
		if (!lease_sane(v->view, lease)) {
			nat_fail(error, NULL, "lease %s of %s makes no sense here", text,
				v->view->name);
			return -EBADMSG;
		}
		holder = nat_bind_holder(nat, v, lease);
		if (holder) {
			nat_fail(error, NULL, "lease %s of %s is granted to %s here", text,
				v->view->name, holder);
			return -EEXIST;
		}
		kept++;
	}
	return kept;
}

static int bad_length(struct plugin_error *error, size_t len)
{
	nat_fail(error, NULL, "leases: a section of %zu bytes", len);
	return -EBADMSG;
}

int nat_section_load(void *instance, const struct plugin_vport *view, void *data,
	const struct plugin_section *section, struct plugin_error *error)
{
	struct nat *nat = instance;
	struct nat_vport *v = data;
	struct nat_lease *had = v->moved, *leases;
	uint32_t had_count = v->moved_count, count;
	const uint8_t *at = section->bytes;
	int rc;

	(void)view;
	if (section->len_bytes < 2)
		return bad_length(error, section->len_bytes);
	count = (uint32_t)(at[0] << 8 | at[1]);
	if (count > NAT_LEASES_MAX ||
		section->len_bytes != 2 + (size_t)count * LEASE_BYTES + 8 * NAT_COUNTS)
		return bad_length(error, section->len_bytes);
	leases = calloc(count + 1, sizeof(*leases));
	if (!leases)
		return -ENOMEM;
	rc = take_leases(nat, v, at, leases, error);
	if (rc >= 0) {
		v->moved = leases;
		v->moved_count = (uint32_t)rc;
		rc = nat_bind_vport(nat, v, error);
	}
	if (rc != 0) {
		v->moved = had;
		v->moved_count = had_count;
		free(leases);
		return rc;
	}
	free(had);
	at += 2 + (size_t)count * LEASE_BYTES;
	/* What was counted here in an earlier life is in these numbers already. */
	for (int what = 0; what < NAT_COUNTS; what++)
		v->moved_counts[what] += get(&at, 8) - counted(nat, v, (enum nat_count)what);
	return 0;
}

/* Sessions went before: nothing here uses a lease that goes. Fewer leases always fit. */
void nat_section_forget(void *instance, const struct plugin_vport *view, void *data)
{
	struct nat_vport *v = data;
	struct nat_lease *had = v->moved;
	uint32_t had_count = v->moved_count;
	struct plugin_error error;

	(void)view;
	v->moved = NULL;
	v->moved_count = 0;
	if (nat_bind_vport(instance, v, &error) != 0) {
		/* No memory: they stay, and are known. */
		v->moved = had;
		v->moved_count = had_count;
		return;
	}
	memset(v->moved_counts, 0, sizeof(v->moved_counts));
	free(had);
}

static int show_leases(const struct nat_binding *binding, struct plugin_sink *sink)
{
	int rc = 0;

	for (uint32_t i = 0; i < binding->count && rc == 0; i++) {
		const struct nat_lease *lease = &binding->lease[i];
		char text[160], where[80];
		int len;

		nat_lease_text(lease, where, sizeof(where));
		len = snprintf(text, sizeof(text),
			"%s{\"kind\": \"%s\", \"vni\": %u, \"lease\": \"%s\"}", i ? ", " : "",
			nat_kind_name(lease->kind), lease->vni, where);
		rc = sink->put(sink, text, (size_t)len);
	}
	return rc;
}

int nat_show(void *instance, const struct plugin_vport *view, void *data, struct plugin_sink *sink)
{
	const struct nat *nat = instance;
	const struct nat_vport *v = data;
	char text[160];
	int len, rc;

	if (!view) {
		len = snprintf(text, sizeof(text), "{\"leases\": %u}", nat->rows.count);
		return sink->put(sink, text, (size_t)len);
	}
	rc = sink->put(sink, "{\"leases\": [", 12);
	if (rc == 0)
		rc = show_leases(atomic_load(&v->binding), sink);
	len = snprintf(text, sizeof(text),
		"], \"opened\": %llu, \"exhausted\": %llu, \"unsolicited\": %llu}",
		(unsigned long long)counted(nat, v, NAT_OPENED),
		(unsigned long long)counted(nat, v, NAT_EXHAUSTED),
		(unsigned long long)counted(nat, v, NAT_UNSOLICITED));
	return rc == 0 ? sink->put(sink, text, (size_t)len) : rc;
}
