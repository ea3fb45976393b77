/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The network around the vports: uplink, tunnels, VPCs with their routes, peers, locations. Objects
 * that workers read are replaced whole and freed after a grace period; tunnels are shared and
 * counted.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <rte_errno.h>
#include <rte_malloc.h>
#include <rte_rib6.h>

#include "dataplane/engine_parts.h"
#include "dataplane/location.h"

#define NO_ADDR IN6ADDR_ANY_INIT
#define RIB_NAME_BYTES 64

static bool addr_is_any(const struct in6_addr *addr)
{
	static const struct in6_addr any = NO_ADDR;

	return addr_equal(addr, &any);
}

/* ---- uplink and tunnels ---- */

int engine_uplink_open(
	struct engine *engine, const struct uplink_params *params, char *error, size_t error_len)
{
	struct neigh_params neigh = {.capacity = NEIGH_MAX};
	struct uplink *uplink;
	struct port_info info;
	int rc;

	if (engine->uplink)
		return engine_fail(error, error_len, -EBUSY, "the uplink is open already");
	uplink = calloc(1, sizeof(*uplink));
	if (!uplink)
		return engine_fail(error, error_len, -ENOMEM, "out of memory");
	uplink->params = *params;
	uplink->params.port.name = "uplink";
	uplink->params.port.pool = engine->pool;
	if (uplink->params.udp_port == 0)
		uplink->params.udp_port = VXLAN_PORT;
	rc = port_open(&uplink->params.port, &uplink->port, error, error_len);
	if (rc != 0) {
		free(uplink);
		return rc;
	}
	port_info(uplink->port, &info);
	if (rte_is_zero_ether_addr(&uplink->params.mac))
		uplink->params.mac = info.mac;
	memcpy(neigh.own, params->vtep, sizeof(neigh.own));
	neigh.mac = uplink->params.mac;
	neigh.pool = engine->pool;
	uplink->neigh = neigh_create(&neigh);
	uplink->stats = rte_zmalloc("ferry_stats",
		sizeof(*uplink->stats) * (engine->worker_count + 1u), RTE_CACHE_LINE_SIZE);
	if (!uplink->neigh || !uplink->stats) {
		neigh_free(uplink->neigh);
		rte_free(uplink->stats);
		port_close(uplink->port);
		free(uplink);
		return engine_fail(error, error_len, -ENOMEM, "out of memory");
	}
	pthread_mutex_lock(&engine->mutex);
	engine->uplink = uplink;
	rc = engine_poll_sets(engine);
	pthread_mutex_unlock(&engine->mutex);
	return rc;
}

bool engine_is_vtep(const struct engine *engine, const struct in6_addr *addr)
{
	const struct uplink *uplink = engine->uplink;

	return addr_equal(addr, &uplink->params.vtep[0]) ||
	       addr_equal(addr, &uplink->params.vtep[1]);
}

struct port *engine_uplink_port(struct engine *engine)
{
	return engine->uplink ? engine->uplink->port : NULL;
}

struct neigh_table *engine_neigh(struct engine *engine)
{
	return engine->uplink ? engine->uplink->neigh : NULL;
}

bool engine_uplink_stats(struct engine *engine, struct port_stats *sum)
{
	memset(sum, 0, sizeof(*sum));
	if (!engine->uplink)
		return false;
	for (uint16_t i = 0; i <= engine->worker_count; i++)
		port_stats_add(sum, &engine->uplink->stats[i]);
	sum->rx_missed = port_rx_missed(engine->uplink->port);
	return true;
}

static int uplink_family(const struct uplink *uplink, const struct in6_addr *vtep)
{
	for (int i = 0; i < 2; i++)
		if (!addr_is_any(&uplink->params.vtep[i]) &&
			addr_is_v4(&uplink->params.vtep[i]) == addr_is_v4(vtep))
			return i;
	return -1;
}

struct tunnel *engine_tunnel_get(struct engine *engine, const struct in6_addr *vtep)
{
	struct uplink *uplink = engine->uplink;
	struct tunnel *tunnel, **grown;
	int family;

	for (uint32_t i = 0; i < engine->tunnel_count; i++)
		if (addr_equal(&engine->tunnels[i]->vtep, vtep)) {
			atomic_fetch_add(&engine->tunnels[i]->refs, 1);
			return engine->tunnels[i];
		}
	family = uplink ? uplink_family(uplink, vtep) : -1;
	if (family < 0)
		return NULL;
	tunnel = aligned_alloc(RTE_CACHE_LINE_SIZE, sizeof(*tunnel));
	grown = realloc(engine->tunnels, (engine->tunnel_count + 1) * sizeof(*grown));
	if (!tunnel || !grown) {
		free(tunnel);
		return NULL;
	}
	engine->tunnels = grown;
	memset(tunnel, 0, sizeof(*tunnel));
	tunnel_init(tunnel, &uplink->params.vtep[family], vtep, &uplink->params.mac,
		uplink->params.udp_port);
	tunnel->mtu = uplink->params.mtu;
	tunnel->next_hop = *vtep;
	if (!addr_in_prefix(vtep, &uplink->params.vtep[family], uplink->params.plen[family]) &&
		!addr_is_any(&uplink->params.gateway[family]))
		tunnel->next_hop = uplink->params.gateway[family];
	atomic_store(&tunnel->refs, 1);
	if (neigh_attach(uplink->neigh, tunnel) != 0) {
		free(tunnel);
		return NULL;
	}
	engine->tunnels[engine->tunnel_count++] = tunnel;
	return tunnel;
}

void engine_tunnel_put(struct engine *engine, struct tunnel *tunnel)
{
	if (!tunnel || atomic_fetch_sub(&tunnel->refs, 1) != 1)
		return;
	for (uint32_t i = 0; i < engine->tunnel_count; i++)
		if (engine->tunnels[i] == tunnel)
			engine->tunnels[i] = engine->tunnels[--engine->tunnel_count];
	neigh_detach(engine->uplink->neigh, tunnel);
	engine_defer(engine, tunnel, free);
}

/* ---- VPCs ---- */

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
	location->plen = route->plen;
	location->mac = route->mac;
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
	vpc->flood = spec->flood;
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

static void vpc_publish(
	struct engine *engine, struct vpc_set *set, struct vpc *vpc, struct vpc *old)
{
	struct vpc_set *old_set = atomic_exchange(&engine->vpcs, set);

	for (unsigned int i = 0; old && vpc && i < VPORT_MAX; i++) {
		struct vport *v = atomic_load(&engine->vport[i]);

		if (v && v->vpc == old)
			__atomic_store_n(&v->vpc, vpc, __ATOMIC_RELEASE);
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
	for (unsigned int i = 0; vpc && i < VPORT_MAX; i++) {
		struct vport *v = atomic_load(&engine->vport[i]);

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

/* ---- peers ---- */

static void peer_free(void *memory)
{
	struct peer *peer = memory;

	free(peer->vni);
	free(peer);
}

static struct peer *peer_by_vtep(const struct engine *engine, const struct in6_addr *vtep)
{
	for (unsigned int i = 1; i < PEERS_MAX; i++) {
		struct peer *peer = atomic_load_explicit(&engine->peer[i], memory_order_acquire);

		if (peer && addr_equal(&peer->vtep, vtep))
			return peer;
	}
	return NULL;
}

struct peer *engine_peer_find(
	const struct engine *engine, const struct in6_addr *vtep, uint32_t vni)
{
	struct peer *peer = peer_by_vtep(engine, vtep);

	if (!peer || peer->vni_count == 0)
		return peer;
	for (uint32_t i = 0; i < peer->vni_count; i++)
		if (peer->vni[i] == vni)
			return peer;
	return NULL;
}

static uint16_t peer_free_id(const struct engine *engine)
{
	for (uint16_t i = 1; i < PEERS_MAX; i++)
		if (!atomic_load(&engine->peer[i]))
			return i;
	return 0;
}

int engine_peer_set(struct engine *engine, const struct peer_spec *spec)
{
	const struct in6_addr *vtep = &spec->vtep;
	uint32_t vni_count = spec->vni_count;
	struct peer *peer = calloc(1, sizeof(*peer)), *old;
	int rc = -ENOMEM;

	if (!peer)
		return rc;
	pthread_mutex_lock(&engine->mutex);
	old = peer_by_vtep(engine, vtep);
	peer->id = old ? old->id : peer_free_id(engine);
	peer->vtep = *vtep;
	peer->vni_count = vni_count;
	peer->second = spec->second;
	peer->vni = vni_count ? calloc(vni_count, sizeof(*peer->vni)) : NULL;
	peer->tunnel = engine_tunnel_get(engine, vtep);
	if (peer->id == 0 || !peer->tunnel || (vni_count && !peer->vni)) {
		rc = peer->id == 0 ? -ENOSPC : peer->tunnel ? -ENOMEM : -EAFNOSUPPORT;
		engine_tunnel_put(engine, peer->tunnel);
		peer_free(peer);
	} else {
		if (vni_count)
			memcpy(peer->vni, spec->vnis, vni_count * sizeof(*spec->vnis));
		atomic_store_explicit(&engine->peer[peer->id], peer, memory_order_release);
		atomic_fetch_add(&engine->peer_gen, 1);
		if (old) {
			engine_tunnel_put(engine, old->tunnel);
			engine_defer(engine, old, peer_free);
		}
		rc = 0;
	}
	pthread_mutex_unlock(&engine->mutex);
	return rc;
}

int engine_peer_del(struct engine *engine, const struct in6_addr *vtep)
{
	struct peer *peer;

	pthread_mutex_lock(&engine->mutex);
	peer = peer_by_vtep(engine, vtep);
	if (peer) {
		atomic_store_explicit(&engine->peer[peer->id], NULL, memory_order_release);
		atomic_fetch_add(&engine->peer_gen, 1);
		engine_tunnel_put(engine, peer->tunnel);
		engine_defer(engine, peer, peer_free);
	}
	pthread_mutex_unlock(&engine->mutex);
	if (!peer)
		return -ENOENT;
	engine_grace(engine);
	return 0;
}

/* ---- locations ---- */

int engine_location_apply(struct engine *engine, const struct location_spec *spec)
{
	struct location *location = NULL;
	struct tunnel *tunnel = NULL, *old = NULL;
	int rc;

	if (spec->kind == LOCATION_REMOTE || spec->kind == LOCATION_MOVED) {
		tunnel = engine_tunnel_get(engine, &spec->vtep);
		if (!tunnel)
			return -EAFNOSUPPORT;
	}
	location = location_exact(engine->locations, spec->vni, &spec->addr, spec->port_first);
	if (location)
		old = atomic_load(&location->tunnel);
	rc = location_set(engine->locations, spec, tunnel, &location);
	if (rc == 0 && tunnel)
		engine_tunnel_put(engine, old);
	else if (rc != 0)
		engine_tunnel_put(engine, tunnel);
	return rc;
}

int engine_location_set(struct engine *engine, const struct location_spec *spec)
{
	struct location *known;
	int rc;

	pthread_mutex_lock(&engine->mutex);
	known = location_exact(engine->locations, spec->vni, &spec->addr, spec->port_first);
	/* What a vport here owns is not moved from outside: roles decide that. */
	if (known && atomic_load(&known->kind) == LOCATION_LOCAL && spec->kind != LOCATION_LOCAL)
		rc = -EBUSY;
	else
		rc = engine_location_apply(engine, spec);
	pthread_mutex_unlock(&engine->mutex);
	return rc;
}

void engine_location_drop(
	struct engine *engine, uint32_t vni, const struct in6_addr *addr, uint16_t port_first)
{
	struct location *location = location_remove(engine->locations, vni, addr, port_first);

	if (!location)
		return;
	engine_tunnel_put(engine, atomic_exchange(&location->tunnel, NULL));
	if (location_unref(location))
		engine_defer(engine, location, free);
}

int engine_location_del(
	struct engine *engine, uint32_t vni, const struct in6_addr *addr, uint16_t port_first)
{
	struct location *known;
	int rc = 0;

	pthread_mutex_lock(&engine->mutex);
	known = location_exact(engine->locations, vni, addr, port_first);
	if (!known)
		rc = -ENOENT;
	else if (atomic_load(&known->kind) == LOCATION_LOCAL)
		rc = -EBUSY;
	else
		engine_location_drop(engine, vni, addr, port_first);
	pthread_mutex_unlock(&engine->mutex);
	if (rc == 0)
		engine_grace(engine);
	return rc;
}

struct location_visit {
	int (*cb)(const struct location *, void *);
	void *arg;
};

static int location_visit(struct location *location, void *arg)
{
	const struct location_visit *visit = arg;

	return visit->cb(location, visit->arg);
}

int engine_location_foreach(
	struct engine *engine, int (*cb)(const struct location *, void *), void *arg)
{
	struct location_visit visit = {cb, arg};
	int rc;

	pthread_mutex_lock(&engine->mutex);
	rc = location_foreach(engine->locations, location_visit, &visit);
	pthread_mutex_unlock(&engine->mutex);
	return rc;
}

void engine_net_destroy(struct engine *engine)
{
	struct vpc_set *set = atomic_exchange(&engine->vpcs, NULL);

	for (uint32_t i = 0; set && i < set->count; i++)
		vpc_free(set->vpc[i]);
	free(set);
	for (unsigned int i = 0; i < PEERS_MAX; i++) {
		struct peer *peer = atomic_exchange(&engine->peer[i], NULL);

		if (peer)
			peer_free(peer);
	}
	if (engine->uplink) {
		port_close(engine->uplink->port);
		for (uint32_t i = 0; i < engine->tunnel_count; i++) {
			neigh_detach(engine->uplink->neigh, engine->tunnels[i]);
			free(engine->tunnels[i]);
		}
		neigh_free(engine->uplink->neigh);
		rte_free(engine->uplink->stats);
		free(engine->uplink);
	}
	free(engine->tunnels);
}
