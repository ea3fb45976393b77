/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef FERRY_LOCATION_H
#define FERRY_LOCATION_H
/*
 * Where an identity (VNI, IP[, port range]) lives. One line, found at admission by the location table and
 * pointed to by sessions; its fields are replaced in place (each a single aligned word) so that one update
 * moves a million sessions. An identity with a port range (NAT lease) is found by address and port.
 *
 * Threads: made, changed and freed under the engine mutex; workers read. Freed after a grace period and
 * only when no session points to it (refcount kept by sessions' constructor and destructor).
 */
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include <rte_ether.h>

#include "dataplane/addr.h"

struct engine;
struct tunnel;
struct vport;

enum location_kind {
	LOCATION_NONE, /* known, but nowhere: drop */
	LOCATION_LOCAL, /* a vport of this engine */
	LOCATION_REMOTE, /* behind a tunnel */
	LOCATION_MOVED, /* REMOTE, and it was ours: late packets are relayed */
};

enum location_source { LOCATION_CONFIG, LOCATION_LEARNED, LOCATION_OWN };

struct location {
	_Atomic(struct tunnel *) tunnel; /* REMOTE, MOVED */
	_Atomic(struct vport *) vport; /* LOCAL; also kept for MOVED */
	_Atomic uint64_t epoch;
	_Atomic uint32_t kind; /* enum location_kind; stored last (release) */
	uint32_t vni;
	struct rte_ether_addr mac; /* of the VM; zero: unknown, use the peer's gateway MAC */
	uint8_t source; /* enum location_source */
	uint8_t plen; /* 128, or shorter for a route's VTEP next hop */
	rte_be16_t port_first, port_last; /* 0, 0: all ports */
	struct in6_addr addr;
	_Atomic uint32_t refs;
} __rte_cache_aligned;

struct location_spec {
	struct in6_addr addr;
	struct in6_addr vtep; /* REMOTE, MOVED */
	struct vport *vport; /* LOCAL */
	uint64_t epoch;
	uint32_t vni;
	uint16_t port_first, port_last; /* host order; 0, 0: all */
	struct rte_ether_addr mac;
	enum location_kind kind;
	enum location_source source;
};

struct location_table;

/* capacity: identities; name: unique in the process. */
struct location_table *location_table_create(const char *name, uint32_t capacity);
void location_table_free(struct location_table *table);

/* Worker or mutator; NULL when unknown. port: host order, 0 when the protocol has none. */
struct location *location_find(const struct location_table *table, uint32_t vni,
	const struct in6_addr *addr, uint16_t port);

/*
 * Make or change, under the engine mutex. A lower epoch than the known one is refused (-ESTALE), a config
 * entry never beats a learned one of a higher epoch. `tunnel` is the one of spec->vtep, NULL for LOCAL.
 */
int location_set(struct location_table *table, const struct location_spec *spec,
	struct tunnel *tunnel, struct location **out);

/* Remove; the caller frees with location_release() after a grace period. */
struct location *location_remove(struct location_table *table, uint32_t vni,
	const struct in6_addr *addr, uint16_t port_first);
void location_release(struct location *location);

/* Under the engine mutex. Stops when cb returns non-zero and returns that. */
int location_foreach(struct location_table *table, int (*cb)(struct location *, void *), void *arg);

#endif
