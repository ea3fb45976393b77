/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef FERRY_FRAG_H
#define FERRY_FRAG_H
/*
 * Fragments of the VMs' packets (inner). A later fragment is judged by its first: the store remembers, per
 * (vport-side key: VNI, addresses, id, protocol), the ports and verdict of the first fragment, parks later
 * fragments that came before it, and forwards each fragment by itself once the verdict is known, in the
 * order of arrival. Overlaps drop the datagram (RFC 5722, 8900); bounded in datagrams, bytes and time
 * (30 s); a first fragment too short for its L4 header (RFC 1858, 7112) is parked/reassembled only as far
 * as the header needs, else dropped.
 * One store per engine behind a lock: fragments are the slow path. All frames are owned by the store while
 * parked.
 */
#include "dataplane/pkt.h"

#define FRAG_LIFE_MS 30000
#define FRAG_PIECES_MAX 64

struct frag_store;

struct frag_params {
	uint32_t datagrams; /* capacity */
	uint32_t bytes; /* parked at most, all together */
	uint32_t per_vport_datagrams;
};

struct frag_store *frag_create(const struct frag_params *params);
void frag_free(struct frag_store *store);

/*
 * A parsed fragment (PKT_FRAGMENT) of direction p->dir. Result:
 *  DROP_NONE and p kept: forward it now; for a later fragment p->key has the ports of its first.
 *  DROP_NONE and p->mbuf == NULL: parked.
 *  a reason: drop.
 * After the first fragment's verdict is known, the worker calls frag_verdict(): up to `max` parked
 * fragments come back in `out` to be forwarded (or are freed and counted when denied).
 */
enum drop_reason frag_input(struct frag_store *store, struct pkt *p, uint32_t now_ms);
uint16_t frag_verdict(struct frag_store *store, const struct pkt *first, enum drop_reason verdict,
	struct rte_mbuf **out, uint16_t max);

/* Periodic: frees what is too old; returns how many packets were dropped (FRAG_TIMEOUT). */
uint32_t frag_expire(struct frag_store *store, uint32_t now_ms);
/* Forget everything of a vport's VNI+address (vport removed or frozen). Returns packets dropped. */
uint32_t frag_flush(struct frag_store *store, uint32_t vni, const struct in6_addr *local);

struct frag_stats {
	uint32_t datagrams, packets, bytes;
};
void frag_stats(struct frag_store *store, struct frag_stats *stats);

/*
 * Split an IPv4 packet without DF (or an IPv6 one when the config says so) so that no piece exceeds
 * `mtu` bytes of IP. Returns the count in out (the original is freed), 0 on failure (original kept).
 */
uint16_t frag_split(struct rte_mbuf *m, uint16_t l3_off, uint16_t mtu, struct rte_mempool *pool,
	struct rte_mbuf **out, uint16_t max);

#endif
