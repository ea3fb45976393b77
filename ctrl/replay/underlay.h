/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The network between hosts, as far as a replay needs it: it answers ARP and neighbour discovery of
 * the uplinks for any next hop, with a MAC made from the address. One thread.
 */
#ifndef CTRL_REPLAY_UNDERLAY_H
#define CTRL_REPLAY_UNDERLAY_H

#include <stdbool.h>
#include <netinet/in.h>

#include <rte_ether.h>
#include <rte_mbuf.h>

#include "dataplane/port.h"

/* 02:00:a.b.c.d for IPv4; 02:01 and the last four bytes for IPv6. */
struct rte_ether_addr underlay_mac(const struct in6_addr *addr);

/*
 * A frame that left an uplink: when it asks for a next hop, the answer is given to the uplink, m is
 * freed and true is returned.
 */
bool underlay_answer(struct port *uplink, struct rte_mempool *pool, struct rte_mbuf *m);

/* The outer destination address of a frame that left an uplink; false: not IP. */
bool underlay_destination(const struct rte_mbuf *m, struct in6_addr *addr);

#endif
