/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef FERRY_FRAG_H
#define FERRY_FRAG_H
/*
 * Fragments of the VMs' packets (inner). A later fragment is judged by its first: the store
 * remembers, per (direction, VNI, addresses, id, and for IPv4 protocol: RFC 791, RFC 8200 4.5), the
 * session key of the first fragment and what became of it, parks later fragments that came before
 * that is known, and forwards each fragment by itself. Nothing is reassembled, with one exception:
 * an IPv4 datagram whose first fragment is too short for its L4 header (RFC 1858) is put together
 * when all of it is there, and goes on as one packet. In IPv6 such a fragment is dropped (RFC
 * 7112).
 *
 * An overlap ends the datagram (RFC 5722, 8900): all its fragments from then on are dropped. An
 * exact duplicate is dropped alone; a duplicate of a judged first one is a new datagram under an
 * old id.
 *
 * How a worker uses it, after parse:
 *  1. each PKT_FRAGMENT goes through frag_input();
 *  2. a first fragment that was kept goes through all stages; when its fate is known,
 * frag_verdict();
 *  3. what frag_verdict() returns is parsed and given to frag_input() again, like new packets: the
 * store knows them as released and answers with the key, or with FRAG_DENIED, so that the worker
 * counts every drop in the one usual place. A later fragment may find its session gone: it opens
 * none (drop FRAG_NO_FIRST).
 *
 * One store per engine behind a spinlock: fragments are the slow path. Bounded in datagrams (in all
 * and per vport), parked buffer bytes, pieces and time. Parked frames are owned by the store.
 */
#include "dataplane/pkt.h"

#define FRAG_LIFE_MS 30000
#define FRAG_PIECES_MAX 64 /* per datagram: 64 KiB in pieces of 1024 and more */

struct frag_store;

/*
 * Parked packets that will not come back, to be counted by the caller's owner of drops: given up,
 * or become part of another packet (DROP_CONSUMED).
 */
struct frag_drop {
	struct vport *vport; /* p->vport when they were parked; may be NULL */
	uint8_t dir; /* enum pkt_dir */
	enum drop_reason reason;
	uint32_t packets;
};

struct frag_params {
	uint32_t datagrams; /* capacity, at most 65535 */
	uint32_t bytes; /* of mbuf buffers, parked at most, all together */
	uint32_t per_vport_datagrams;
	/* Called under the store's lock, from any caller of the functions below; may be NULL. */
	void (*dropped)(void *arg, const struct frag_drop *drop);
	void *arg;
};

struct frag_store *frag_create(const struct frag_params *params);
/* Frees what is parked without counting it. */
void frag_free(struct frag_store *store);

/*
 * A parsed fragment (PKT_FRAGMENT) of direction p->dir. Result:
 *  DROP_NONE and p kept: forward it now; for a later fragment p's key, hash, protocol and ICMP
 * flags are those of its first. p may have become a whole packet (no PKT_FRAGMENT any more).
 *  DROP_NONE and p->mbuf == NULL: parked.
 *  a reason: drop (also in p->drop); the mbuf stays with the caller.
 */
enum drop_reason frag_input(struct frag_store *store, struct pkt *p, uint32_t now_ms);

/*
 * What became of a kept first fragment. Reads first->frag only, so `first` may have been sent or
 * freed. Returns parked mbufs in order of arrival, to be parsed anew; call again while it returns
 * `max`.
 */
uint16_t frag_verdict(struct frag_store *store, const struct pkt *first, enum drop_reason verdict,
	struct rte_mbuf **out, uint16_t max);

/* Periodic: frees what is too old; returns how many packets were dropped. */
uint32_t frag_expire(struct frag_store *store, uint32_t now_ms);

/*
 * Forget all that `vport` sent or was sent, by its pointer and by (vni, local): it is removed or
 * frozen. Call for each of its addresses before the vport is freed. Returns packets dropped.
 */
uint32_t frag_flush(struct frag_store *store, const struct vport *vport, uint32_t vni,
	const struct in6_addr *local);

struct frag_stats {
	uint32_t datagrams, packets, bytes;
};
void frag_stats(struct frag_store *store, struct frag_stats *stats);

/*
 * Split an IPv4 packet without DF so that no piece exceeds `mtu` bytes of IP; the Ethernet header
 * goes in front of each. Header checksums are right, L4 checksums must be finished before. Returns
 * the count in out (the original is freed; the pieces share its data), 0 on failure (original
 * kept): DF, IPv6 (never fragmented in transit, RFC 8200 4.5), pool empty, more than `max` pieces.
 */
uint16_t frag_split(struct rte_mbuf *m, uint16_t mtu, struct rte_mempool *pool,
	struct rte_mbuf **out, uint16_t max);

#endif
