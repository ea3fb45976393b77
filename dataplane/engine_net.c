/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Who and what is elsewhere: peers and locations. Peers are replaced whole and freed after a grace
 * period.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "dataplane/engine_parts.h"
#include "dataplane/location.h"

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
	engine_vpcs_destroy(engine);
	for (unsigned int i = 0; i < PEERS_MAX; i++) {
		struct peer *peer = atomic_exchange(&engine->peer[i], NULL);

		if (peer)
			peer_free(peer);
	}
	engine_uplink_destroy(engine);
}
