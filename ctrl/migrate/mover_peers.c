/* SPDX-License-Identifier: BSD-3-Clause */
/* The peers of the config as the mover needs them; replaced whole on a reload. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ctrl/migrate/mover_impl.h"
#include "dataplane/addr.h"

static void list_free(struct mover_peer *peers, uint32_t count)
{
	for (uint32_t i = 0; i < count; i++)
		free(peers[i].vnis);
	free(peers);
}

void mover_peers_free(struct mover *mover)
{
	list_free(mover->peers, mover->n_peers);
	mover->peers = NULL;
	mover->n_peers = 0;
}

static int peer_copy(const struct config_peer *from, struct mover_peer *to)
{
	snprintf(to->name, sizeof(to->name), "%s", from->name);
	to->n_vteps = from->n_vteps < 2 ? from->n_vteps : 2;
	memcpy(to->vtep, from->vteps, to->n_vteps * sizeof(*to->vtep));
	to->port = from->address.port;
	to->n_vnis = from->n_vnis;
	if (!from->n_vnis)
		return 0;
	to->vnis = malloc(from->n_vnis * sizeof(*to->vnis));
	if (!to->vnis)
		return -ENOMEM;
	memcpy(to->vnis, from->vnis, from->n_vnis * sizeof(*to->vnis));
	return 0;
}

static int peers_to_channels(struct mover *mover, const struct config *config)
{
	struct channel_peer *list = calloc(config->n_peers + 1u, sizeof(*list));
	struct in6_addr(*from)[3] = calloc(config->n_peers + 1u, sizeof(*from));
	unsigned n = 0;
	int rc = -ENOMEM;

	for (uint32_t i = 0; list && from && i < config->n_peers; i++) {
		const struct config_peer *peer = &config->peers[i];
		unsigned n_from = 0;

		if (!peer->address.port)
			continue;
		/* It connects from the address of its ferryd, or from a VTEP. */
		from[i][n_from++] = peer->address.addr;
		for (uint32_t v = 0; v < peer->n_vteps && v < 2; v++)
			from[i][n_from++] = peer->vteps[v];
		list[n++] = (struct channel_peer){.name = peer->name,
			.port = peer->address.port,
			.addresses = from[i],
			.n_addresses = n_from,
			.certificate_names = peer->tls_names,
			.n_certificate_names = peer->n_tls_names};
	}
	if (list && from)
		rc = channel_host_set_peers(mover->channel_host, list, n);
	free(list);
	free(from);
	return rc;
}

static int mover_limits(struct mover *mover, const struct config *config)
{
	uint64_t rate = (uint64_t)config->migrate.bandwidth_mbit * 1000000 / 8;

	mover->limits = config->migrate;
	/* Secrecy is never switched off by switching off the check of who it is: only without
	 * files. */
	mover->insecure = config->tls.insecure && !config->tls.cert;
	memset(mover->own_vtep, 0, sizeof(mover->own_vtep));
	for (uint32_t i = 0; i < config->uplink.n_ips && i < 2; i++)
		mover->own_vtep[i] = config->uplink.ips[i].addr;
	if (!mover->bandwidth)
		mover->bandwidth = bandwidth_new(rate);
	else
		bandwidth_set_rate(mover->bandwidth, rate);
	return mover->bandwidth ? 0 : -ENOMEM;
}

/*
 * May links be plain (they leave no loopback then)? Said by the file; and without anybody to move
 * VMs from or to there is nothing to secure.
 */
bool mover_insecure(const struct config *config)
{
	for (uint32_t i = 0; i < config->n_peers; i++)
		if (config->peers[i].address.port != 0)
			return config->tls.insecure;
	return config->tls.insecure || config->migrate.listen.port == 0;
}

int mover_reload(struct mover *mover, const struct config *config, char *error, size_t error_len)
{
	struct mover_peer *peers = calloc(config->n_peers + 1u, sizeof(*peers)), *old;
	uint32_t n_old;
	int rc = peers ? 0 : -ENOMEM;

	for (uint32_t i = 0; i < config->n_peers && rc == 0; i++)
		rc = peer_copy(&config->peers[i], &peers[i]);
	if (rc == 0)
		rc = peers_to_channels(mover, config);
	if (rc == 0)
		rc = channel_host_set_files(mover->channel_host, config->tls.cert, config->tls.key,
			config->tls.ca, mover_insecure(config));
	if (rc != 0) {
		list_free(peers, peers ? config->n_peers : 0);
		snprintf(error, error_len, "peers: %s", strerror(-rc));
		return rc;
	}
	channel_host_set_warn_days(mover->channel_host, config->tls.warn_days);
	pthread_mutex_lock(&mover->lock);
	old = mover->peers;
	n_old = mover->n_peers;
	mover->peers = peers;
	mover->n_peers = config->n_peers;
	rc = mover_limits(mover, config);
	pthread_mutex_unlock(&mover->lock);
	list_free(old, n_old);
	if (rc == 0)
		rc = exchange_peers(mover);
	if (rc == 0 && mover->ferry)
		rc = vswitch_ferry_reload(mover->ferry, error, error_len);
	return rc;
}

/* Under the lock. */
static const struct mover_peer *peer_find(const struct mover *mover, const char *name)
{
	for (uint32_t i = 0; i < mover->n_peers; i++)
		if (strcmp(mover->peers[i].name, name) == 0)
			return &mover->peers[i];
	return NULL;
}

static void peer_show(const struct mover_peer *from, struct mover_peer *to)
{
	*to = *from;
	to->vnis = NULL;
	to->n_vnis = 0;
}

bool mover_peer_get(struct mover *mover, const char *name, struct mover_peer *peer)
{
	const struct mover_peer *found;

	pthread_mutex_lock(&mover->lock);
	found = peer_find(mover, name);
	if (found)
		peer_show(found, peer);
	pthread_mutex_unlock(&mover->lock);
	return found != NULL;
}

bool mover_peer_at(struct mover *mover, uint32_t index, struct mover_peer *peer)
{
	bool found;

	pthread_mutex_lock(&mover->lock);
	found = index < mover->n_peers;
	if (found)
		peer_show(&mover->peers[index], peer);
	pthread_mutex_unlock(&mover->lock);
	return found;
}

bool mover_peer_vni(struct mover *mover, const char *name, uint32_t vni)
{
	const struct mover_peer *peer;
	bool may = false;

	pthread_mutex_lock(&mover->lock);
	peer = peer_find(mover, name);
	if (peer) {
		may = peer->n_vnis == 0;
		for (uint32_t i = 0; i < peer->n_vnis && !may; i++)
			may = vni >= peer->vnis[i].first && vni <= peer->vnis[i].last;
	}
	pthread_mutex_unlock(&mover->lock);
	return may;
}

bool mover_peer_by_vtep(struct mover *mover, const struct in6_addr *vtep, char *name, size_t size)
{
	bool found = false;

	pthread_mutex_lock(&mover->lock);
	for (uint32_t i = 0; i < mover->n_peers && !found; i++)
		for (uint32_t v = 0; v < mover->peers[i].n_vteps && !found; v++)
			if (addr_equal(&mover->peers[i].vtep[v], vtep)) {
				snprintf(name, size, "%s", mover->peers[i].name);
				found = true;
			}
	pthread_mutex_unlock(&mover->lock);
	return found;
}

bool mover_peer_vtep(struct mover *mover, const char *name, struct in6_addr *vtep)
{
	static const struct in6_addr none;
	const struct mover_peer *peer;
	bool found = false;

	pthread_mutex_lock(&mover->lock);
	peer = peer_find(mover, name);
	for (uint32_t i = 0; peer && i < peer->n_vteps && !found; i++)
		for (int own = 0; own < 2 && !found; own++)
			if (!addr_equal(&mover->own_vtep[own], &none) &&
				addr_is_v4(&mover->own_vtep[own]) == addr_is_v4(&peer->vtep[i])) {
				*vtep = peer->vtep[i];
				found = true;
			}
	pthread_mutex_unlock(&mover->lock);
	return found;
}
