/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef FERRY_VXLAN_H
#define FERRY_VXLAN_H
/*
 * VXLAN (RFC 7348): the outer header as a template per tunnel, and decapsulation; vxlan_encap.h
 * puts the header on. The template is bytes that only need lengths, UDP source port, IPv4 checksum
 * and TTL per packet.
 */
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

#include <rte_ether.h>
#include <rte_ip.h>
#include <rte_mbuf.h>
#include <rte_udp.h>
#include <rte_vxlan.h>

#include "dataplane/addr.h"
#include "dataplane/pkt.h"

#define VXLAN_PORT 4789
#define VXLAN_OVERHEAD_V4 50
#define VXLAN_OVERHEAD_V6 70
#define VXLAN_TTL 64

/*
 * One remote VTEP as seen from one of our own. Shared by all locations behind it; written under the
 * engine mutex and by neigh (MAC), read by workers.
 */
struct tunnel {
	uint8_t header[VXLAN_OVERHEAD_V6 + 2]; /* Ethernet, IP, UDP, VXLAN; VNI field zero */
	uint8_t header_len; /* 50 or 70 */
	uint8_t is_ipv6;
	_Atomic uint8_t resolved; /* destination MAC in header is valid (release after the MAC) */
	uint16_t mtu; /* of the underlay: inner IP size allowed = mtu - overhead */
	struct in6_addr vtep; /* remote */
	struct in6_addr source; /* own */
	struct in6_addr next_hop; /* vtep, or the gateway */
	_Atomic uint32_t refs;
	LIST_ENTRY(tunnel) neigh_link; /* others with this next hop; neigh.c's, under its lock */
} __rte_cache_aligned;

void tunnel_init(struct tunnel *tunnel, const struct in6_addr *source, const struct in6_addr *vtep,
	const struct rte_ether_addr *source_mac, uint16_t udp_port);
void tunnel_set_mac(struct tunnel *tunnel, const struct rte_ether_addr *next_hop_mac);

struct vxlan_outer {
	struct in6_addr source, destination;
	uint32_t vni;
	uint16_t inner_off; /* where the inner frame begins */
	uint16_t inner_len; /* by the UDP length: what comes after it is padding */
	uint8_t ttl;
};

/*
 * Look at an uplink frame without changing it (its outer headers lie in the first segment).
 * DROP_NONE: VXLAN for udp_port, `outer` is filled. NOT_OURS: no VXLAN (ARP, ND, ICMP, other UDP:
 * the caller hands it to neigh). Else the reason: BAD_VXLAN (I bit clear), OUTER_FRAG, OUTER_CSUM
 * (wrong when present; zero on IPv6), SHORT, BAD_IP. Reserved bits are ignored; so is one VLAN tag
 * of the underlay. `check_sum`: verify a non-zero outer UDP checksum in software.
 */
enum drop_reason vxlan_parse(
	const struct rte_mbuf *m, uint16_t udp_port, bool check_sum, struct vxlan_outer *outer);

/* Take the outer header and padding off a frame that vxlan_parse() accepted; clears Rx offload
 * flags. */
static inline void vxlan_decap(struct rte_mbuf *m, const struct vxlan_outer *outer)
{
	m->data_off += outer->inner_off;
	m->data_len -= outer->inner_off;
	m->pkt_len -= outer->inner_off;
	m->ol_flags &= ~(RTE_MBUF_F_RX_IP_CKSUM_MASK | RTE_MBUF_F_RX_L4_CKSUM_MASK);
	m->packet_type = 0;
	pkt_truncate(m, outer->inner_len);
}

#endif
