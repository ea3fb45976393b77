/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef FERRY_FRAG_STORE_H
#define FERRY_FRAG_STORE_H
/*
 * The memory of the fragment store: datagrams, parked frames, quotas. For frag.c only; all
 * functions want the store's lock, which frag.c takes.
 */
#include <sys/queue.h>

#include <rte_spinlock.h>

#include "dataplane/frag.h"

#define FRAG_OWNERS 4096 /* counters of datagrams per vport, by hash: power of two */
#define FRAG_OWNER_SHARE 4 /* one vport parks at most this part of all bytes */
#define FRAG_DATAGRAM_MAX 65535 /* bytes of IP payload */

enum frag_state {
	FRAG_WAIT_FIRST,
	FRAG_WAIT_VERDICT,
	FRAG_ALLOWED,
	FRAG_DENIED,
	FRAG_BROKEN,
	FRAG_ASSEMBLE,
};

#define FRAG_KEY_IPV6 2

/* What names a datagram; compared and hashed as bytes. */
struct frag_key {
	uint8_t addresses[32]; /* source, destination; IPv4 in the first 8 */
	uint32_t id; /* network order */
	uint32_t vni_proto; /* VNI << 8 | protocol (IPv4; zero for IPv6) */
	uint32_t kind; /* enum pkt_dir, FRAG_KEY_IPV6 */
};

struct frag_piece {
	uint16_t begin, len;
	bool released; /* came out of frag_verdict() and is expected once more */
	struct rte_mbuf *parked;
};

struct frag_datagram {
	TAILQ_ENTRY(frag_datagram) age;
	uint32_t next; /* in the hash chain or the free list */
	uint16_t serial; /* of this life of the slot */
	uint16_t owner; /* index in store->owners */
	struct frag_key key;
	enum frag_state state;
	uint32_t born_ms;
	uint32_t end; /* bytes in all; 0: last piece not seen */
	uint32_t seen; /* bytes seen */
	uint32_t top; /* end of the furthest piece seen */
	uint16_t pieces, waiting; /* waiting: parked or released */
	enum drop_reason broken;
	struct vport *vport;
	/* from the first piece */
	struct session_key session;
	uint32_t hash;
	uint16_t flags;
	uint8_t proto;
	struct frag_piece piece[FRAG_PIECES_MAX];
};

/* What one vport (by hash) has in the store. */
struct frag_owner {
	uint32_t datagrams, bytes;
};

struct frag_store {
	rte_spinlock_t lock;
	struct frag_params params;
	struct frag_stats stats;
	TAILQ_HEAD(, frag_datagram) ages;
	uint32_t mask;
	uint32_t free; /* first free datagram */
	uint32_t *buckets;
	struct frag_owner *owners;
	struct frag_datagram *datagrams;
};

struct frag_datagram *frag_datagram_find(struct frag_store *store, const struct frag_key *key);
/* A new datagram in FRAG_WAIT_FIRST; NULL when the store or the vport's share is full. */
struct frag_datagram *frag_datagram_make(
	struct frag_store *store, const struct pkt *p, const struct frag_key *key, uint32_t now_ms);
/* Nothing may be parked in it any more. */
void frag_datagram_free(struct frag_store *store, struct frag_datagram *d);
/* The same datagram with nothing seen, as if it were made now. */
void frag_datagram_restart(struct frag_store *store, struct frag_datagram *d, uint32_t now_ms);

/* Take p->mbuf. False: no room for it. */
bool frag_park(
	struct frag_store *store, struct frag_datagram *d, struct frag_piece *piece, struct pkt *p);
/* Give it back; the caller owns it. NULL when the piece has none. */
struct rte_mbuf *frag_unpark(
	struct frag_store *store, struct frag_datagram *d, struct frag_piece *piece);
/* Tell the owner of drops that `packets` of d's parked ones will not come back. */
void frag_report(const struct frag_store *store, const struct frag_datagram *d,
	enum drop_reason reason, uint32_t packets);
/* Drop, report and count what is parked. */
uint32_t frag_drop_parked(
	struct frag_store *store, struct frag_datagram *d, enum drop_reason reason);

/* Is this a datagram that `vport`, or (vni, local), sent or is sent? */
bool frag_datagram_of(const struct frag_datagram *d, const struct vport *vport, uint32_t vni,
	const struct in6_addr *local);

#endif
