/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * VPCs with their routes: replaced whole, freed after a grace period.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <rte_errno.h>
#include <rte_rib6.h>

#include "dataplane/engine_parts.h"
#include "dataplane/location.h"

#define RIB_NAME_BYTES 64

static void vpc_free(void *memory)
{
	struct vpc *vpc = memory;

	if (!vpc)
		return;
	if (vpc->rib)
		rte_rib6_free(vpc->rib);
	for (uint32_t i = 0; vpc->route_location && i < vpc->route_count; i++)
		if (vpc->route_location[i] && location_unref(vpc->route_location[i]))
			free(vpc->route_location[i]);
	free(vpc->route_location);
	free(vpc->routes);
	free(vpc);
}

/* A route to a VTEP gets a location of its own, as sessions point to locations. */
static struct location *route_location(
	struct engine *engine, uint32_t vni, const struct route_spec *route)
{
	struct location *location = aligned_alloc(RTE_CACHE_LINE_SIZE, sizeof(*location));

	if (!location)
		return NULL;
	memset(location, 0, sizeof(*location));
	location->vni = vni;
	location->addr = route->prefix;
	location_link_set(
		location, &(struct location_link){.mac = route->mac, .plen = (uint8_t)route->plen});
	atomic_store(&location->refs, 1);
	atomic_store(&location->tunnel, engine_tunnel_get(engine, &route->next_hop));
	atomic_store(
		&location->kind, atomic_load(&location->tunnel) ? LOCATION_REMOTE : LOCATION_NONE);
	return location;
}

static int vpc_routes(struct engine *engine, struct vpc *vpc, const struct vpc_spec *spec)
{
	struct rte_rib6_conf conf = {.max_nodes = (int)spec->route_count * 2 + 2};
	char name[RIB_NAME_BYTES];

	if (spec->route_count == 0)
		return 0;
	vpc->routes = calloc(spec->route_count, sizeof(*vpc->routes));
	vpc->route_location = calloc(spec->route_count, sizeof(*vpc->route_location));
	snprintf(name, sizeof(name), "fy_%s_%x_%x", engine->name, spec->vni, engine->vpc_serial++);
	vpc->rib = rte_rib6_create(name, SOCKET_ID_ANY, &conf);
	if (!vpc->routes || !vpc->route_location || !vpc->rib)
		return -ENOMEM;
	vpc->route_count = spec->route_count;
	for (uint32_t i = 0; i < spec->route_count; i++) {
		struct rte_rib6_node *node = rte_rib6_insert(
			vpc->rib, spec->routes[i].prefix.s6_addr, spec->routes[i].plen);

		vpc->routes[i] = spec->routes[i];
		if (!node)
			return rte_errno == EEXIST ? -EEXIST : -ENOMEM;
		rte_rib6_set_nh(node, i);
		if (spec->routes[i].remote) {
			vpc->route_location[i] =
				route_location(engine, spec->vni, &spec->routes[i]);
			if (!vpc->route_location[i])
				return -ENOMEM;
		}
	}
	return 0;
}

static struct vpc *vpc_create(struct engine *engine, const struct vpc_spec *spec, int *rc)
{
	struct vpc *vpc = calloc(1, sizeof(*vpc));

	if (!vpc) {
		*rc = -ENOMEM;
		return NULL;
	}
	vpc->vni = spec->vni;
	snprintf(vpc->name, sizeof(vpc->name), "%s", spec->name);
	vpc->gateway_mac = spec->gateway_mac;
	vpc->flood_broadcast = spec->flood_broadcast;
	vpc->flood_multicast = spec->flood_multicast;
	vpc->anchor = spec->anchor;
	vpc->subnets = RTE_MIN(spec->subnets, (uint16_t)VPC_SUBNETS_MAX);
	memcpy(vpc->gateway, spec->gateway, sizeof(vpc->gateway));
	memcpy(vpc->subnet, spec->subnet, sizeof(vpc->subnet));
	memcpy(vpc->subnet_plen, spec->subnet_plen, sizeof(vpc->subnet_plen));
	for (uint8_t i = vpc->subnets; i-- > 0;) {
		if (addr_is_v4(&vpc->gateway[i]))
			vpc->gateway4 = i;
		else
			vpc->gateway6 = i;
	}
	*rc = vpc_routes(engine, vpc, spec);
	if (*rc == 0)
		return vpc;
	vpc_free(vpc);
	return NULL;
}

struct vpc *engine_vpc_find(const struct engine *engine, uint32_t vni)
{
	const struct vpc_set *set = atomic_load_explicit(&engine->vpcs, memory_order_acquire);
	uint32_t low = 0, high = set ? set->count : 0;

	while (low < high) {
		uint32_t mid = (low + high) / 2;

		if (set->vpc[mid]->vni == vni)
			return set->vpc[mid];
		if (set->vpc[mid]->vni < vni)
			low = mid + 1;
		else
			high = mid;
	}
	return NULL;
}

/* A copy of the set without `vni`, with `add` (may be NULL) in its place. */
static struct vpc_set *vpc_set_with(const struct vpc_set *old, uint32_t vni, struct vpc *add)
{
	uint32_t count = old ? old->count : 0;
	struct vpc_set *set = calloc(1, sizeof(*set) + (count + 1) * sizeof(struct vpc *));
	uint32_t at = 0;

	if (!set)
		return NULL;
	while (at < count && old->vpc[at]->vni < vni)
		set->vpc[set->count++] = old->vpc[at++];
	if (add)
		set->vpc[set->count++] = add;
	if (at < count && old->vpc[at]->vni == vni)
		at++;
	while (at < count)
		set->vpc[set->count++] = old->vpc[at++];
	return set;
}

/* Every vport that a worker may still have: those in slots, then the one that leaves. */
static struct vport *vport_at(const struct engine *engine, unsigned int i)
{
	return i < VPORT_MAX ? atomic_load(&engine->vport[i]) : engine->leaving;
}

static void vpc_publish(
	struct engine *engine, struct vpc_set *set, struct vpc *vpc, struct vpc *old)
{
	struct vpc_set *old_set = atomic_exchange(&engine->vpcs, set);

	for (unsigned int i = 0; old && vpc && i <= VPORT_MAX; i++) {
		struct vport *v = vport_at(engine, i);

		if (v && v->vpc == old)
			atomic_store_explicit(&v->vpc, vpc, memory_order_release);
	}
	engine_defer(engine, old_set, free);
	engine_defer(engine, old, vpc_free);
}

int engine_vpc_set(
	struct engine *engine, const struct vpc_spec *spec, char *error, size_t error_len)
{
	struct vpc_set *set;
	struct vpc *vpc;
	int rc;

	pthread_mutex_lock(&engine->mutex);
	vpc = vpc_create(engine, spec, &rc);
	if (!vpc) {
		pthread_mutex_unlock(&engine->mutex);
		return engine_fail(error, error_len, rc, "vpc %s: %s", spec->name,
			rc == -EEXIST ? "two routes with the same prefix" : strerror(-rc));
	}
	set = vpc_set_with(atomic_load(&engine->vpcs), spec->vni, vpc);
	if (set)
		vpc_publish(engine, set, vpc, engine_vpc_find(engine, spec->vni));
	else
		vpc_free(vpc);
	pthread_mutex_unlock(&engine->mutex);
	if (!set)
		return engine_fail(error, error_len, -ENOMEM, "out of memory");
	engine_grace(engine);
	engine_policy_changed(engine, NULL);
	return 0;
}

int engine_vpc_del(struct engine *engine, uint32_t vni)
{
	struct vpc *vpc;
	struct vpc_set *set;
	int rc = -ENOENT;

	pthread_mutex_lock(&engine->mutex);
	vpc = engine_vpc_find(engine, vni);
	for (unsigned int i = 0; vpc && i <= VPORT_MAX; i++) {
		const struct vport *v = vport_at(engine, i);

		if (v && v->vpc == vpc) {
			rc = -EBUSY;
			goto out;
		}
	}
	if (!vpc)
		goto out;
	set = vpc_set_with(atomic_load(&engine->vpcs), vni, NULL);
	rc = set ? 0 : -ENOMEM;
	if (set)
		vpc_publish(engine, set, NULL, vpc);
out:
	pthread_mutex_unlock(&engine->mutex);
	if (rc == 0)
		engine_grace(engine);
	return rc;
}

void engine_vpcs_destroy(struct engine *engine)
{
	struct vpc_set *set = atomic_exchange(&engine->vpcs, NULL);

	for (uint32_t i = 0; set && i < set->count; i++)
		vpc_free(set->vpc[i]);
	free(set);
}
