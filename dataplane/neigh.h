/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef FERRY_NEIGH_H
#define FERRY_NEIGH_H
/*
 * The underlay neighbour table of the uplink: ARP (RFC 826) and ND (RFC 4861) for next hops and for
 * our own VTEP addresses. Small (hundreds of entries), under one lock that only uplink control
 * frames and misses take; resolved MACs are pushed into the tunnels, so that no packet looks
 * anything up.
 */
#include "dataplane/pkt.h"
#include "dataplane/vxlan.h"

#define NEIGH_MAX 1024
#define NEIGH_RETRY_MS 1000 /* between solicitations */
#define NEIGH_REACHABLE_MS 30000 /* then it is asked again, unicast, while used */

struct neigh_table;

struct neigh_params {
	struct in6_addr own[2]; /* VTEP addresses, v4-mapped or IPv6; all-zero: none */
	struct rte_ether_addr mac;
	struct rte_mempool *pool;
	uint32_t capacity;
};

struct neigh_table *neigh_create(const struct neigh_params *params);
void neigh_free(struct neigh_table *table);

/* Bind a tunnel to its next hop: its MAC is kept true from now on. Engine mutex. */
int neigh_attach(struct neigh_table *table, struct tunnel *tunnel);
void neigh_detach(struct neigh_table *table, struct tunnel *tunnel);

/*
 * A non-VXLAN frame from the uplink (any worker). Takes the mbuf in every case. Returns how many
 * frames were put into `replies` (0 or 1): answers to ARP/NS/ICMP echo for our own addresses.
 * Counts the rest as *reason (NOT_OURS or CONSUMED). Only solicited or already known next hops are
 * learnt from.
 */
uint16_t neigh_input(struct neigh_table *table, struct rte_mbuf *m, uint64_t now_ns,
	struct rte_mbuf **replies, enum drop_reason *reason);

/* Periodic (one worker, about each 100 ms): requests to send, up to `max`. */
uint16_t neigh_tick(
	struct neigh_table *table, uint64_t now_ns, struct rte_mbuf **requests, uint16_t max);

/* An operator's word for a next hop in use: no longer asked or learnt. -ENOENT: no tunnel uses it.
 */
int neigh_fix(
	struct neigh_table *table, const struct in6_addr *addr, const struct rte_ether_addr *mac);

struct neigh_entry_info {
	struct in6_addr addr;
	struct rte_ether_addr mac;
	bool resolved;
	uint64_t age_ms;
};
/* For show: up to max entries copied, returns the count. Any non-worker thread. */
uint32_t neigh_list(
	struct neigh_table *table, uint64_t now_ns, struct neigh_entry_info *out, uint32_t max);

#endif
