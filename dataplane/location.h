/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef FERRY_LOCATION_H
#define FERRY_LOCATION_H
/*
 * Where an identity (VNI, IP[, port range]) lives. One line, found at admission by the location
 * table and pointed to by sessions; its fields are replaced in place (each a single aligned word)
 * so that one update moves a million sessions. An identity with a port range (NAT lease) is found
 * by address and port.
 *
 * Threads: made, changed and freed under the engine mutex; workers read. Freed after a grace period
 * and only when no session points to it (refcount kept by sessions' constructor and destructor).
 */
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include <rte_ether.h>

#include "dataplane/addr.h"

struct engine;
struct rcu;
struct tunnel;
struct vport;

enum location_kind {
	LOCATION_NONE, /* known, but nowhere: drop */
	LOCATION_LOCAL, /* a vport of this engine */
	LOCATION_REMOTE, /* behind a tunnel */
	LOCATION_MOVED, /* REMOTE, and it was ours: late packets are relayed */
};

enum location_source { LOCATION_CONFIG, LOCATION_LEARNED, LOCATION_OWN };

/* What is known of the VM behind it: one word. */
struct location_link {
	struct rte_ether_addr mac; /* of the VM; zero: unknown, use the gateway's */
	uint8_t source; /* enum location_source */
	uint8_t plen; /* 128, or shorter for a route's VTEP next hop */
};

struct location {
	_Atomic(struct tunnel *) tunnel; /* REMOTE, MOVED */
	_Atomic(struct vport *)
		vport; /* LOCAL; REMOTE: it waits here (PASSIVE); MOVED: it was here */
	_Atomic uint64_t epoch;
	_Atomic uint32_t kind; /* enum location_kind; stored last (release) */
	uint32_t vni;
	uint64_t link; /* struct location_link, replaced whole */
	rte_be16_t port_first, port_last; /* 0, 0: all ports */
	struct in6_addr addr;
	_Atomic(struct location *) next; /* same address, other port range */
	_Atomic uint32_t refs; /* sessions, plus one while it is in the table */
} __rte_cache_aligned;

_Static_assert(sizeof(struct location_link) == sizeof(uint64_t), "one word");

struct location_spec {
	struct in6_addr addr;
	struct in6_addr vtep; /* REMOTE, MOVED */
	struct vport *vport; /* LOCAL, or one that waits or was here; NULL: as before */
	uint64_t epoch;
	uint32_t vni;
	uint16_t port_first, port_last; /* host order; 0, 0: all */
	struct rte_ether_addr mac;
	enum location_kind kind;
	enum location_source source;
};

struct location_table;

/* capacity: identities; name: unique in the process; rcu: readers' grace periods. */
struct location_table *location_table_create(const char *name, uint32_t capacity, struct rcu *rcu);
void location_table_free(struct location_table *table);

/* Worker or mutator; NULL when unknown. port: host order, 0 when the protocol has none. */
struct location *location_find(const struct location_table *table, uint32_t vni,
	const struct in6_addr *addr, uint16_t port);
/* The one that was made with this first port (0: of the whole address), or NULL. */
struct location *location_exact(const struct location_table *table, uint32_t vni,
	const struct in6_addr *addr, uint16_t port_first);
/* Known, and shared by port ranges: only with a port is it somebody's. */
bool location_is_shared(
	const struct location_table *table, uint32_t vni, const struct in6_addr *addr);

/*
 * Make or change, under the engine mutex. A lower epoch than the known one is refused (-ESTALE), a
 * config entry never beats a learned one of a higher epoch. `tunnel` is the one of spec->vtep, NULL
 * for LOCAL.
 */
int location_set(struct location_table *table, const struct location_spec *spec,
	struct tunnel *tunnel, struct location **out);

/*
 * Take it out of the table; NULL when it was not in. The table's reference goes to the caller, who
 * drops it with location_unref().
 */
struct location *location_remove(struct location_table *table, uint32_t vni,
	const struct in6_addr *addr, uint16_t port_first);

/* One reference more; false: the last one has gone, it is not to be kept beyond this burst. */
static inline bool location_ref(struct location *location)
{
	uint32_t refs = atomic_load_explicit(&location->refs, memory_order_relaxed);

	while (refs != 0 && !atomic_compare_exchange_weak_explicit(&location->refs, &refs, refs + 1,
				    memory_order_relaxed, memory_order_relaxed))
		;
	return refs != 0;
}

static inline struct location_link location_link(const struct location *location)
{
	uint64_t word = __atomic_load_n(&location->link, __ATOMIC_RELAXED);
	struct location_link link;

	memcpy(&link, &word, sizeof(link));
	return link;
}

static inline void location_link_set(struct location *location, const struct location_link *link)
{
	uint64_t word;

	memcpy(&word, link, sizeof(word));
	__atomic_store_n(&location->link, word, __ATOMIC_RELAXED);
}

static inline struct rte_ether_addr location_mac(const struct location *location)
{
	return location_link(location).mac;
}

/* The destination MAC of a frame that goes there, where the VM's is known. */
static inline void location_put_mac(const struct location *location, struct rte_ether_hdr *ether)
{
	uint64_t word = __atomic_load_n(&location->link, __ATOMIC_RELAXED);
	uint8_t *to = ether->dst_addr.addr_bytes;

	if ((word & 0xffffffffffffULL) == 0)
		return;
	__builtin_memcpy(to, &word, 4);
	word >>= 32;
	__builtin_memcpy(to + 4, &word, 2);
}

/* Any thread. True when that was the last reference: free() it after a grace period. */
static inline bool location_unref(struct location *location)
{
	return atomic_fetch_sub_explicit(&location->refs, 1, memory_order_acq_rel) == 1;
}

/* Under the engine mutex. Stops when cb returns non-zero and returns that. */
int location_foreach(struct location_table *table, int (*cb)(struct location *, void *), void *arg);

#endif
