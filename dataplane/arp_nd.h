/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef FERRY_ARP_ND_H
#define FERRY_ARP_ND_H
/*
 * Frames of ARP (RFC 826, 5227), RARP (RFC 903) and neighbour discovery (RFC 4861) made by Ferry
 * for the VMs' side: answers and announcements. Any thread; NULL when the pool is empty.
 */
#include <rte_ether.h>
#include <rte_mbuf.h>

#include "dataplane/addr.h"

/* "ip is at mac": an ARP reply or a neighbour advertisement, to one host. */
struct rte_mbuf *arp_nd_answer(struct rte_mempool *pool, const struct in6_addr *ip,
	const struct rte_ether_addr *mac, const struct in6_addr *to_ip,
	const struct rte_ether_addr *to_mac);

/* The same to everybody: gratuitous ARP request (RFC 5227 2.3), or unsolicited NA with override. */
struct rte_mbuf *arp_nd_announce(
	struct rte_mempool *pool, const struct in6_addr *ip, const struct rte_ether_addr *mac);

/* A RARP request for mac, as QEMU sends it: switches learn where the MAC is. */
struct rte_mbuf *arp_nd_rarp(struct rte_mempool *pool, const struct rte_ether_addr *mac);

#endif
