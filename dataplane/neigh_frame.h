/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef FERRY_NEIGH_FRAME_H
#define FERRY_NEIGH_FRAME_H
/*
 * ARP (RFC 826), neighbour discovery (RFC 4861) and echo as frames of the underlay: read, made,
 * answered. For neigh.c; no state.
 */
#include <stdbool.h>
#include <stdint.h>

#include <rte_ether.h>
#include <rte_mbuf.h>

#include "dataplane/addr.h"

enum neigh_message_kind {
	NEIGH_OTHER,
	NEIGH_REQUEST, /* who has `target`? */
	NEIGH_REPLY, /* `sender` is at `mac` */
	NEIGH_ECHO, /* echo request to `target` */
};

struct neigh_message {
	enum neigh_message_kind kind;
	struct in6_addr sender; /* all-zero in a probe for duplicate addresses */
	struct in6_addr target;
	struct rte_ether_addr mac; /* the sender's, zero when it does not say */
	bool override; /* a reply that may replace a known MAC */
};

/* NEIGH_OTHER for what is none of these, or malformed. */
void neigh_frame_read(const struct rte_mbuf *m, struct neigh_message *message);

/* One end of a message. */
struct neigh_end {
	struct in6_addr addr;
	struct rte_ether_addr mac;
};

/*
 * A request by `from` for to->addr; a zero to->mac asks all (broadcast, solicited-node multicast).
 * A reply by `from` to `to`; all-zero to->addr: to all nodes. NULL when the pool is empty.
 */
struct rte_mbuf *neigh_frame_request(
	const struct neigh_end *from, const struct neigh_end *to, struct rte_mempool *pool);
struct rte_mbuf *neigh_frame_reply(
	const struct neigh_end *from, const struct neigh_end *to, struct rte_mempool *pool);

/* Turn an echo request that neigh_frame_read() knew into its answer. */
void neigh_frame_echo(struct rte_mbuf *m, const struct rte_ether_addr *mac);

#endif
