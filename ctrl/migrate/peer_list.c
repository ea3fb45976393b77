/* SPDX-License-Identifier: BSD-3-Clause */
/* Links to the Ferry hosts of the peer list: made at start and on a reload, ended when a host is
 * listed no more. */
#include <rte_random.h>

#include "ctrl/migrate/peer_impl.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct peer_link *link_make(struct mover *mover, const char *name)
{
	struct peer_link *link = calloc(1, sizeof(*link));

	if (!link)
		return NULL;
	link->mover = mover;
	link->down_ns = channel_world_now_ns(&mover->world);
	snprintf(link->name, sizeof(link->name), "%s", name);
	link->buffer = malloc(FRAME_PAYLOAD_MAX_BYTES);
	if (!link->buffer || channel_cancel_init(&link->cancel) != 0) {
		free(link->buffer);
		free(link);
		return NULL;
	}
	if (pthread_create(&link->thread, NULL, peer_link_main, link) != 0) {
		channel_cancel_fini(&link->cancel);
		free(link->buffer);
		free(link);
		return NULL;
	}
	pthread_setname_np(link->thread, "ferry-peer");
	return link;
}

/* Its thread is told to end; it may still ask or wait for an answer. */
static void link_stop(struct peer_link *link)
{
	atomic_store(&link->stop, true);
	channel_cancel_set(&link->cancel);
}

static void link_free(struct peer_link *link)
{
	pthread_join(link->thread, NULL);
	channel_cancel_fini(&link->cancel);
	free(link->buffer);
	free(link);
}

/* Links to hosts that are peers no more, out of the list. */
static struct peer_link *links_unlisted(struct mover *mover)
{
	struct exchange *peers = mover->exchange;
	struct peer_link **at = &peers->links, *gone = NULL;
	struct mover_peer peer;

	pthread_mutex_lock(&peers->lock);
	while (*at) {
		struct peer_link *link = *at;

		if (mover_peer_get(mover, link->name, &peer) && peer.port) {
			at = &link->next;
			continue;
		}
		*at = link->next;
		link->next = gone;
		gone = link;
		link_stop(link);
	}
	pthread_cond_broadcast(&peers->wake);
	pthread_mutex_unlock(&peers->lock);
	return gone;
}

static bool link_there(struct exchange *peers, const char *name)
{
	struct peer_link *link;

	pthread_mutex_lock(&peers->lock);
	for (link = peers->links; link; link = link->next)
		if (strcmp(link->name, name) == 0)
			break;
	pthread_mutex_unlock(&peers->lock);
	return link != NULL;
}

int exchange_peers(struct mover *mover)
{
	struct exchange *peers = mover->exchange;
	struct peer_link *gone, *link;
	struct mover_peer peer;

	if (!peers)
		return 0;
	gone = links_unlisted(mover);
	while (gone) {
		link = gone;
		gone = gone->next;
		link_free(link);
	}
	for (uint32_t i = 0; mover_peer_at(mover, i, &peer); i++) {
		if (!peer.port || strcmp(peer.name, mover->name) == 0 ||
			link_there(peers, peer.name))
			continue;
		link = link_make(mover, peer.name);
		if (!link)
			return -ENOMEM;
		pthread_mutex_lock(&peers->lock);
		link->next = peers->links;
		peers->links = link;
		pthread_mutex_unlock(&peers->lock);
	}
	return 0;
}

int exchange_start(struct mover *mover)
{
	struct exchange *peers = calloc(1, sizeof(*peers));
	pthread_condattr_t attr;

	if (!peers)
		return -ENOMEM;
	peers->known_seed = (uint32_t)rte_rand();
	pthread_mutex_init(&peers->lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&peers->wake, &attr);
	pthread_condattr_destroy(&attr);
	mover->exchange = peers;
	return exchange_peers(mover);
}

#define FREE_LIST(list) \
	while (list) { \
		void *gone = (list); \
		(list) = (list)->next; \
		free(gone); \
	}

void exchange_stop(struct mover *mover)
{
	struct exchange *peers = mover->exchange;

	if (!peers)
		return;
	pthread_mutex_lock(&peers->lock);
	for (struct peer_link *link = peers->links; link; link = link->next)
		link_stop(link);
	pthread_cond_broadcast(&peers->wake);
	pthread_mutex_unlock(&peers->lock);
	while (peers->links) {
		struct peer_link *link = peers->links;

		peers->links = link->next;
		link_free(link);
	}
}

/* After the listener has ended: nobody asks any more. */
void exchange_free(struct mover *mover)
{
	struct exchange *peers = mover->exchange;

	if (!peers)
		return;
	peer_known_free(peers);
	FREE_LIST(peers->claims);
	FREE_LIST(peers->doubts);
	pthread_cond_destroy(&peers->wake);
	pthread_mutex_destroy(&peers->lock);
	free(peers);
	mover->exchange = NULL;
}
