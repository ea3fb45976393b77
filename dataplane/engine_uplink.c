/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The uplink and the tunnels behind it: one per remote VTEP, shared and counted, freed a grace
 * period after its last user let go.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <rte_hash_crc.h>
#include <rte_malloc.h>

#include "dataplane/engine_parts.h"

#define NO_ADDR IN6ADDR_ANY_INIT

static bool addr_is_any(const struct in6_addr *addr)
{
	static const struct in6_addr any = NO_ADDR;

	return addr_equal(addr, &any);
}

/* A MAC of this host's own for what it routes: its VTEPs are its own too. */
static struct rte_ether_addr gateway_mac_of(const struct in6_addr vtep[2])
{
	struct rte_ether_addr mac = {.addr_bytes = {0x02, 0x66}};
	uint32_t hash = rte_hash_crc(vtep, 2 * sizeof(*vtep), 0);

	memcpy(&mac.addr_bytes[2], &hash, sizeof(hash));
	return mac;
}

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
	if (rte_is_zero_ether_addr(&uplink->params.gateway_mac))
		uplink->params.gateway_mac = gateway_mac_of(params->vtep);
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

void engine_uplink_destroy(struct engine *engine)
{
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
