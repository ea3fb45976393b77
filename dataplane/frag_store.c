/* SPDX-License-Identifier: BSD-3-Clause */
#include "dataplane/frag_store.h"

#include <stdlib.h>

#include <rte_hash_crc.h>

#include "dataplane/addr.h"

#define NONE UINT32_MAX

struct frag_store *frag_create(const struct frag_params *params)
{
	struct frag_store *store;
	uint32_t buckets = rte_align32pow2(params->datagrams * 2);

	if (params->datagrams == 0 || params->datagrams > UINT16_MAX)
		return NULL;
	store = calloc(1, sizeof(*store));
	if (store == NULL)
		return NULL;
	store->buckets = malloc(buckets * sizeof(*store->buckets));
	store->owners = calloc(FRAG_OWNERS, sizeof(*store->owners));
	store->datagrams = calloc(params->datagrams, sizeof(*store->datagrams));
	if (store->buckets == NULL || store->owners == NULL || store->datagrams == NULL) {
		frag_free(store);
		return NULL;
	}
	rte_spinlock_init(&store->lock);
	store->params = *params;
	store->mask = buckets - 1;
	TAILQ_INIT(&store->ages);
	memset(store->buckets, 0xff, buckets * sizeof(*store->buckets));
	for (uint32_t i = 0; i < params->datagrams; i++)
		store->datagrams[i].next = i + 1 < params->datagrams ? i + 1 : NONE;
	return store;
}

static uint32_t buffer_bytes(const struct rte_mbuf *m)
{
	uint32_t bytes = 0;

	for (; m != NULL; m = m->next)
		bytes += m->buf_len;
	return bytes;
}

bool frag_park(
	struct frag_store *store, struct frag_datagram *d, struct frag_piece *piece, struct pkt *p)
{
	uint32_t bytes = buffer_bytes(p->mbuf);
	struct frag_owner *owner = &store->owners[d->owner];

	if (store->stats.bytes + bytes > store->params.bytes ||
		owner->bytes + bytes > store->params.bytes / FRAG_OWNER_SHARE)
		return false;
	owner->bytes += bytes;
	store->stats.bytes += bytes;
	store->stats.packets++;
	piece->parked = p->mbuf;
	p->mbuf = NULL;
	d->waiting++;
	return true;
}

struct rte_mbuf *frag_unpark(
	struct frag_store *store, struct frag_datagram *d, struct frag_piece *piece)
{
	struct rte_mbuf *m = piece->parked;
	uint32_t bytes = buffer_bytes(m);

	if (m == NULL)
		return NULL;
	store->owners[d->owner].bytes -= bytes;
	store->stats.bytes -= bytes;
	store->stats.packets--;
	piece->parked = NULL;
	d->waiting--;
	return m;
}

void frag_report(const struct frag_store *store, const struct frag_datagram *d,
	enum drop_reason reason, uint32_t packets)
{
	struct frag_drop drop = {
		.vport = d->vport, .dir = d->key.kind & 1, .reason = reason, .packets = packets};

	if (packets > 0 && store->params.dropped)
		store->params.dropped(store->params.arg, &drop);
}

uint32_t frag_drop_parked(
	struct frag_store *store, struct frag_datagram *d, enum drop_reason reason)
{
	uint32_t packets = 0;

	for (uint16_t i = 0; i < d->pieces; i++) {
		struct rte_mbuf *m = frag_unpark(store, d, &d->piece[i]);

		if (m == NULL)
			continue;
		rte_pktmbuf_free(m);
		packets++;
	}
	frag_report(store, d, reason, packets);
	return packets;
}

static uint32_t *bucket_of(struct frag_store *store, const struct frag_key *key)
{
	return &store->buckets[rte_hash_crc(key, sizeof(*key), 0) & store->mask];
}

void frag_datagram_free(struct frag_store *store, struct frag_datagram *d)
{
	uint32_t index = (uint32_t)(d - store->datagrams);
	uint32_t *link = bucket_of(store, &d->key);

	while (*link != index)
		link = &store->datagrams[*link].next;
	*link = d->next;
	TAILQ_REMOVE(&store->ages, d, age);
	store->owners[d->owner].datagrams--;
	store->stats.datagrams--;
	d->serial++;
	d->next = store->free;
	store->free = index;
}

void frag_free(struct frag_store *store)
{
	struct frag_datagram *d;

	if (store == NULL)
		return;
	store->params.dropped = NULL;
	while (store->datagrams && (d = TAILQ_FIRST(&store->ages)) != NULL) {
		frag_drop_parked(store, d, DROP_NONE);
		frag_datagram_free(store, d);
	}
	free(store->datagrams);
	free(store->owners);
	free(store->buckets);
	free(store);
}

struct frag_datagram *frag_datagram_find(struct frag_store *store, const struct frag_key *key)
{
	for (uint32_t i = *bucket_of(store, key); i != NONE; i = store->datagrams[i].next)
		if (memcmp(&store->datagrams[i].key, key, sizeof(*key)) == 0)
			return &store->datagrams[i];
	return NULL;
}

/* Whose quota: the vport's, or as long as the vport is not known, the local address'. */
static uint16_t owner_of(const struct pkt *p, const struct frag_key *key)
{
	uint32_t len = p->flags & PKT_IPV6 ? 16 : 4;
	const uint8_t *local = key->addresses + (p->dir == PKT_EGRESS ? 0 : len);
	uint32_t hash;

	if (p->vport != NULL)
		hash = rte_hash_crc_8byte((uintptr_t)p->vport, 0);
	else
		hash = rte_hash_crc(local, len, key->vni_proto >> 8);
	return hash & (FRAG_OWNERS - 1);
}

struct frag_datagram *frag_datagram_make(
	struct frag_store *store, const struct pkt *p, const struct frag_key *key, uint32_t now_ms)
{
	uint16_t owner = owner_of(p, key), serial;
	uint32_t index = store->free, *bucket;
	struct frag_datagram *d;

	if (index == NONE || store->owners[owner].datagrams >= store->params.per_vport_datagrams)
		return NULL;
	d = &store->datagrams[index];
	store->free = d->next;
	serial = d->serial;
	memset(d, 0, offsetof(struct frag_datagram, piece));
	d->serial = serial;
	d->owner = owner;
	d->key = *key;
	d->vport = p->vport;
	d->born_ms = now_ms;
	bucket = bucket_of(store, key);
	d->next = *bucket;
	*bucket = index;
	store->owners[owner].datagrams++;
	store->stats.datagrams++;
	TAILQ_INSERT_TAIL(&store->ages, d, age);
	return d;
}

void frag_datagram_restart(struct frag_store *store, struct frag_datagram *d, uint32_t now_ms)
{
	TAILQ_REMOVE(&store->ages, d, age);
	TAILQ_INSERT_TAIL(&store->ages, d, age);
	d->born_ms = now_ms;
	d->state = FRAG_WAIT_FIRST;
	d->pieces = d->waiting = 0;
	d->seen = d->end = d->top = 0;
	d->serial++;
}

bool frag_datagram_of(const struct frag_datagram *d, const struct vport *vport, uint32_t vni,
	const struct in6_addr *local)
{
	bool egress = (d->key.kind & 1) == PKT_EGRESS;

	if (vport != NULL && d->vport == vport)
		return true;
	if (d->key.vni_proto >> 8 != vni || addr_is_v4(local) == !!(d->key.kind & FRAG_KEY_IPV6))
		return false;
	if (d->key.kind & FRAG_KEY_IPV6)
		return memcmp(d->key.addresses + (egress ? 0 : 16), local, 16) == 0;
	return memcmp(d->key.addresses + (egress ? 0 : 4), &local->s6_addr[12], 4) == 0;
}
