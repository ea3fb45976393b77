/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef FERRY_ICMP_H
#define FERRY_ICMP_H
/*
 * ICMP and TCP answers that Ferry makes itself towards a VM or back into the VPC, and changes to
 * addresses inside ICMP errors. Functions make new frames from a received one; the caller applies
 * the rate limit.
 */
#include <stdatomic.h>

#include "dataplane/pkt.h"

enum icmp_answer {
	ICMP_ANSWER_TOO_BIG, /* 3/4 with next-hop MTU (RFC 1191), or ICMPv6 type 2 (RFC 8201) */
	ICMP_ANSWER_TTL, /* 11/0, ICMPv6 3/0 */
	ICMP_ANSWER_PROHIBITED, /* 3/13, ICMPv6 1/1 */
	ICMP_ANSWER_HOST_UNREACH, /* 3/1, ICMPv6 1/0 */
};

/* Who speaks in an error: the virtual gateway. */
struct icmp_origin {
	struct in6_addr addr; /* of p's family */
	struct rte_ether_addr mac;
};

/*
 * The error about `p` (RFC 1812 4.3.2: never about errors, later fragments, multicast), addressed
 * back to its sender's IP and MAC. mtu: for TOO_BIG. NULL when none may be sent or the pool is
 * empty.
 */
struct rte_mbuf *icmp_error(const struct pkt *p, enum icmp_answer what, uint16_t mtu,
	const struct icmp_origin *origin, struct rte_mempool *pool);

/* Turn an echo request (whole, parsed) into its answer, in place, checksums included. */
void icmp_echo_answer(struct pkt *p);

/* A RST that answers `p` as its receiver would (RFC 9293 3.10.7.1; padding does not count). */
struct rte_mbuf *icmp_tcp_reset(const struct pkt *p, struct rte_mempool *pool);

/*
 * `p` is an ICMP error (PKT_ICMP_ERROR) of a translated session. Rewrite the quoted packet in place
 * to the tuple `to`: the network side for egress, the vport side for ingress. Addresses, ports (or
 * echo identifier), the quoted IPv4 header checksum, the quoted L4 checksum where it was quoted,
 * and the error's own checksum come out right (a wrong one stays wrong). The error's own IP header
 * is the caller's. -EINVAL when the families differ.
 */
int icmp_quoted_rewrite(struct pkt *p, const struct session_tuple *to);

/* The MTU told by a too-big message; 0: it is none, or tells none (RFC 1191 3). */
uint32_t icmp_mtu_told(const struct pkt *p);

/* Lower the MTU told by a too-big message to at most `mtu`; checksum kept true. Was it changed? */
bool icmp_mtu_clamp(struct pkt *p, uint16_t mtu);

/* Generic cell rate: at most `per_second` answers, in a burst at most a tenth of that. Any worker.
 */
struct icmp_limit {
	_Atomic uint64_t state;
	uint32_t per_second;
};
bool icmp_limit_allow(struct icmp_limit *limit, uint64_t now_ns);

#endif
