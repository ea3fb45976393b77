/* SPDX-License-Identifier: BSD-3-Clause */
#include "dataplane/location.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include <rte_errno.h>
#include <rte_hash.h>
#include <rte_hash_crc.h>

#include "dataplane/rcu.h"

struct location_key {
	uint32_t vni;
	struct in6_addr addr;
};

/* One hash entry per (VNI, address); port ranges of one address hang on its first location. */
struct location_table {
	struct rte_hash *hash;
};

struct location_table *location_table_create(const char *name, uint32_t capacity, struct rcu *rcu)
{
	struct location_table *table = calloc(1, sizeof(*table));
	char hash_name[RTE_HASH_NAMESIZE];
	struct rte_hash_parameters params = {.name = hash_name,
		.entries = capacity,
		.key_len = sizeof(struct location_key),
		.hash_func = rte_hash_crc,
		.socket_id = SOCKET_ID_ANY,
		.extra_flag =
			RTE_HASH_EXTRA_FLAGS_RW_CONCURRENCY_LF | RTE_HASH_EXTRA_FLAGS_EXT_TABLE};
	struct rte_hash_rcu_config config = {.v = rcu->qsbr, .mode = RTE_HASH_QSBR_MODE_DQ};

	if (!table)
		return NULL;
	snprintf(hash_name, sizeof(hash_name), "fy_%s_loc", name);
	table->hash = rte_hash_create(&params);
	if (!table->hash || rte_hash_rcu_qsbr_add(table->hash, &config) != 0) {
		location_table_free(table);
		return NULL;
	}
	return table;
}

void location_table_free(struct location_table *table)
{
	const void *key;
	uint32_t at = 0;
	void *data;

	if (!table)
		return;
	while (table->hash && rte_hash_iterate(table->hash, &key, &data, &at) >= 0) {
		struct location *location = data, *next;

		for (; location; location = next) {
			next = atomic_load(&location->next);
			free(location);
		}
	}
	rte_hash_free(table->hash);
	free(table);
}

static struct location *location_head(
	const struct location_table *table, uint32_t vni, const struct in6_addr *addr)
{
	struct location_key key = {.vni = vni, .addr = *addr};
	void *data;

	if (rte_hash_lookup_data(table->hash, &key, &data) < 0)
		return NULL;
	/* Pairs with location_fill(), whatever the hash promises: all of it is there. */
	atomic_load_explicit(&((struct location *)data)->kind, memory_order_acquire);
	return data;
}

struct location *location_find(const struct location_table *table, uint32_t vni,
	const struct in6_addr *addr, uint16_t port)
{
	struct location *location = location_head(table, vni, addr);

	for (; location; location = atomic_load_explicit(&location->next, memory_order_acquire)) {
		if (location->port_last == 0 ||
			(port >= rte_be_to_cpu_16(location->port_first) &&
				port <= rte_be_to_cpu_16(location->port_last)))
			return location;
	}
	return NULL;
}

struct location *location_exact(const struct location_table *table, uint32_t vni,
	const struct in6_addr *addr, uint16_t port_first)
{
	struct location *location = location_head(table, vni, addr);

	while (location && location->port_first != rte_cpu_to_be_16(port_first))
		location = atomic_load_explicit(&location->next, memory_order_acquire);
	return location;
}

bool location_is_shared(
	const struct location_table *table, uint32_t vni, const struct in6_addr *addr)
{
	const struct location *location = location_head(table, vni, addr);

	return location && location->port_last != 0;
}

/* A config entry never replaces what was learned; among the same source the epoch decides. */
static bool location_is_older(const struct location *known, const struct location_spec *spec)
{
	if (spec->source == LOCATION_CONFIG && location_link(known).source != LOCATION_CONFIG)
		return spec->epoch <= atomic_load(&known->epoch);
	return spec->epoch < atomic_load(&known->epoch);
}

static void location_fill(
	struct location *location, const struct location_spec *spec, struct tunnel *tunnel)
{
	struct location_link link = location_link(location);

	link.source = (uint8_t)spec->source;
	if (!rte_is_zero_ether_addr(&spec->mac))
		link.mac = spec->mac;
	location_link_set(location, &link);
	atomic_store_explicit(&location->epoch, spec->epoch, memory_order_relaxed);
	/* A reader takes kind first: what the new kind needs is there before it. */
	if (spec->vport || spec->kind == LOCATION_LOCAL)
		atomic_store_explicit(&location->vport, spec->vport, memory_order_release);
	if (tunnel)
		atomic_store_explicit(&location->tunnel, tunnel, memory_order_release);
	atomic_store_explicit(&location->kind, spec->kind, memory_order_release);
}

static int location_enter(struct location_table *table, struct location *location)
{
	struct location_key key = {.vni = location->vni, .addr = location->addr};
	struct location *head = location_head(table, location->vni, &location->addr);

	if (!head)
		return rte_hash_add_key_data(table->hash, &key, location) == 0 ? 0 : -ENOSPC;
	/* Behind the head, so that the hash entry stays. */
	atomic_store(&location->next, atomic_load(&head->next));
	atomic_store_explicit(&head->next, location, memory_order_release);
	return 0;
}

int location_set(struct location_table *table, const struct location_spec *spec,
	struct tunnel *tunnel, struct location **out)
{
	struct location *location = location_exact(table, spec->vni, &spec->addr, spec->port_first);
	int rc;

	if (location) {
		if (location_is_older(location, spec))
			return -ESTALE;
		location_fill(location, spec, tunnel);
		*out = location;
		return 0;
	}
	location = aligned_alloc(RTE_CACHE_LINE_SIZE, sizeof(*location));
	if (!location)
		return -ENOMEM;
	memset(location, 0, sizeof(*location));
	location->vni = spec->vni;
	location->addr = spec->addr;
	location_link_set(location, &(struct location_link){.plen = 128});
	location->port_first = rte_cpu_to_be_16(spec->port_first);
	location->port_last = rte_cpu_to_be_16(spec->port_last);
	atomic_store(&location->refs, 1);
	location_fill(location, spec, tunnel);
	rc = location_enter(table, location);
	if (rc != 0) {
		free(location);
		return rc;
	}
	*out = location;
	return 0;
}

/* Take `location` out of its address's list; the hash entry follows the head. */
static void location_unlink(struct location_table *table, struct location *location)
{
	struct location_key key = {.vni = location->vni, .addr = location->addr};
	struct location *next = atomic_load(&location->next);
	struct location *at = location_head(table, location->vni, &location->addr);

	if (at == location) {
		if (next)
			rte_hash_add_key_data(table->hash, &key, next);
		else
			rte_hash_del_key(table->hash, &key);
		return;
	}
	while (atomic_load(&at->next) != location)
		at = atomic_load(&at->next);
	atomic_store_explicit(&at->next, next, memory_order_release);
}

struct location *location_remove(struct location_table *table, uint32_t vni,
	const struct in6_addr *addr, uint16_t port_first)
{
	struct location *location = location_exact(table, vni, addr, port_first);

	if (!location)
		return NULL;
	location_unlink(table, location);
	/* Sessions that still point here find it nowhere. */
	atomic_store_explicit(&location->kind, LOCATION_NONE, memory_order_release);
	return location;
}

int location_foreach(struct location_table *table, int (*cb)(struct location *, void *), void *arg)
{
	const void *key;
	uint32_t at = 0;
	void *data;
	int rc = 0;

	while (rc == 0 && rte_hash_iterate(table->hash, &key, &data, &at) >= 0)
		for (struct location *l = data; l && rc == 0; l = atomic_load(&l->next))
			rc = cb(l, arg);
	return rc;
}
