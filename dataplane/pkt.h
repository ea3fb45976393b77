/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef FERRY_PKT_H
#define FERRY_PKT_H
/*
 * One packet on its way through the stages: what parse found and what the later stages decided. It
 * lives in the worker's burst (hot in L1), never in the mbuf, and is valid for one burst only.
 * Offsets count from the start of the mbuf's data and are those of the VM's frame (inner, after
 * decap). Each stage takes a burst and leaves every packet either kept (drop == DROP_NONE) or
 * dropped with a reason; the worker sweeps the dropped ones out between the stages.
 */
#include <stdint.h>

#include <rte_ether.h>
#include <rte_mbuf.h>

#include "dataplane/drop.h"
#include "dataplane/session_key.h"

#define PKT_BURST 32 /* packets a worker takes at once */

struct session;
struct vport;
struct location;
struct peer;

enum pkt_dir {
	PKT_EGRESS = 0, /* from the vport */
	PKT_INGRESS = 1, /* to the vport */
};

enum pkt_flag {
	PKT_IPV6 = 1 << 0,
	PKT_FRAGMENT = 1 << 1, /* any fragment */
	PKT_LATER_FRAGMENT = 1 << 2, /* not the first: no L4 header */
	PKT_ICMP_ERROR = 1 << 3, /* key is that of the quoted packet */
	PKT_ICMP_QUERY = 1 << 4, /* echo request (not reply) */
	PKT_MULTICAST = 1 << 5, /* Ethernet group bit set */
	PKT_TO_GATEWAY = 1 << 6, /* destination MAC is the VPC's virtual gateway */
	PKT_NOT_IP = 1 << 7, /* ARP, RARP, others: no key */
	PKT_FROM_UPLINK = 1 << 8, /* came through the tunnel */
	PKT_RELAYED = 1 << 9, /* from the source of a move of this vport */
	PKT_HELD = 1 << 10, /* comes out of a hold buffer */
	PKT_NEW = 1 << 11, /* its session was made by this packet */
	PKT_SECOND_KEY = 1 << 13, /* found by its session's network-side key */
	PKT_ASIDE = 1 << 14, /* for hold or relay: its vport does not serve here now */
	PKT_ANSWER = 1 << 15, /* made by Ferry about a neighbour's packet: no session, no policy */
	PKT_SPLIT_HEADER = 1 << 12, /* first fragment without its whole L4 header: no ports */
};

struct pkt {
	struct rte_mbuf *mbuf;
	struct session *session; /* session, admit */
	struct vport *vport; /* whose session it is; from the port, the session or the location */
	struct session_key key; /* parse, for the direction at hand */
	uint32_t hash;
	uint16_t flags; /* enum pkt_flag */
	uint8_t dir; /* enum pkt_dir */
	uint8_t drop; /* enum drop_reason */
	uint8_t l3_off; /* Ethernet and tags: at most 22 */
	uint8_t outer_ttl; /* PKT_FROM_UPLINK */
	uint16_t l4_off;
	uint16_t payload_len; /* behind the L4 header (TCP options are header; ICMP 8, SCTP 12
				 bytes), from the IP length: Ethernet padding does not count */
	uint8_t proto; /* IP protocol after extension headers */
	uint8_t tcp_flags; /* TCP only */
	uint16_t peer; /* PKT_FROM_UPLINK: id of the outer source in the engine's peers; else 0 */
	uint16_t ip_len; /* of IP, header included, as the header says: Ethernet padding does not
			    count; at most 65535; 0: not IP */
	uint32_t frag; /* frag_input, first fragments: names the datagram for frag_verdict */
} __rte_cache_aligned;

_Static_assert(sizeof(struct pkt) == RTE_CACHE_LINE_SIZE, "one line");

static inline void *pkt_at(const struct pkt *p, uint16_t off)
{
	return rte_pktmbuf_mtod_offset(p->mbuf, void *, off);
}

static inline void *pkt_l3(const struct pkt *p)
{
	return pkt_at(p, p->l3_off);
}

static inline void *pkt_l4(const struct pkt *p)
{
	return pkt_at(p, p->l4_off);
}

/* Cut a frame to its first `len` bytes (at most pkt_len), through segments: padding goes. */
static inline void pkt_truncate(struct rte_mbuf *m, uint32_t len)
{
	struct rte_mbuf *seg = m;
	uint16_t segments = 1;

	if (m->pkt_len == len)
		return;
	m->pkt_len = len;
	for (; len > seg->data_len; seg = seg->next, segments++)
		len -= seg->data_len;
	seg->data_len = (uint16_t)len;
	m->nb_segs = segments;
	rte_pktmbuf_free(seg->next);
	seg->next = NULL;
}

#endif
