/* SPDX-License-Identifier: BSD-3-Clause */
/* What peers have said they own, by identity. All of it under peers->lock. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <rte_jhash.h>

#include "ctrl/migrate/peer_impl.h"
#include "dataplane/addr.h"

bool peer_same_identity(const struct vswitch_identity *a, const struct vswitch_identity *b)
{
	return a->vni == b->vni && a->port_first == b->port_first && addr_equal(&a->addr, &b->addr);
}

static uint32_t known_bucket(const struct exchange *peers, const struct vswitch_identity *id)
{
	uint32_t words[6];

	memcpy(words, &id->addr, sizeof(id->addr));
	words[4] = id->vni;
	words[5] = id->port_first;
	return rte_jhash_32b(words, RTE_DIM(words), peers->known_seed) % PEER_KNOWN_BUCKETS;
}

struct peer_known *peer_known_find(const struct exchange *peers, const struct vswitch_identity *id)
{
	struct peer_known *known = peers->known[known_bucket(peers, id)];

	while (known && !peer_same_identity(&known->id, id))
		known = known->next;
	return known;
}

bool peer_known_set(
	struct exchange *peers, const char *host, const struct vswitch_identity *id, uint64_t epoch)
{
	struct peer_known *known = peer_known_find(peers, id);
	struct peer_known **bucket = &peers->known[known_bucket(peers, id)];

	if (!known) {
		if (peers->known_count >= PEER_KNOWN_MAX)
			return false;
		known = calloc(1, sizeof(*known));
		if (!known)
			return false;
		known->id = *id;
		known->next = *bucket;
		*bucket = known;
		peers->known_count++;
	}
	known->epoch = epoch;
	snprintf(known->host, sizeof(known->host), "%s", host);
	return true;
}

void peer_known_free(struct exchange *peers)
{
	for (uint32_t i = 0; i < PEER_KNOWN_BUCKETS; i++)
		while (peers->known[i]) {
			struct peer_known *known = peers->known[i];

			peers->known[i] = known->next;
			free(known);
		}
}
