/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef FERRY_VXLAN_ENCAP_H
#define FERRY_VXLAN_ENCAP_H
/*
 * Encapsulation (RFC 7348), inlined into the deliver stage: a tunnel's template and what differs
 * per packet.
 */
#include <rte_branch_prediction.h>

#include "dataplane/csum.h"
#include "dataplane/vxlan.h"

#define VXLAN_UDP_LEN ((uint16_t)(sizeof(struct rte_udp_hdr) + sizeof(struct rte_vxlan_hdr)))
#define ENTROPY_PORT_BASE 0xc000 /* 49152: 14 bits are left for the flow */
#define ENTROPY_PORT_BITS 14

/*
 * The header's first 8 bytes hold the next hop's MAC and may change under the workers: they are
 * read and written as one aligned word. All else is constant after tunnel_init().
 */
static __rte_always_inline uint64_t *tunnel_word(const struct tunnel *tunnel)
{
	return (uint64_t *)(uintptr_t)tunnel->header;
}

/* The parts that only IPv6 has: the rest of the header; at last the checksum over all of it. */
void vxlan_encap_ipv6(
	const struct tunnel *tunnel, struct rte_mbuf *m, uint16_t udp_len, uint8_t ttl);
void vxlan_encap_ipv6_checksum(const struct rte_mbuf *m, uint16_t udp_len);

static __rte_always_inline void vxlan_encap_ipv4(
	const struct tunnel *tunnel, uint8_t *d, uint16_t udp_len, uint8_t ttl)
{
	const uint8_t *from = tunnel->header + sizeof(struct rte_ether_hdr);
	struct rte_ipv4_hdr *ip = (struct rte_ipv4_hdr *)(d + sizeof(struct rte_ether_hdr));
	rte_be16_t total = rte_cpu_to_be_16((uint16_t)(udp_len + sizeof(*ip)));
	uint32_t sum = ((const struct rte_ipv4_hdr *)from)->hdr_checksum;

	ip->total_length = total;
	ip->time_to_live = ttl;
	ip->hdr_checksum = (rte_be16_t)~csum_fold(sum + total + RTE_BE16(ttl << 8));
}

/*
 * Put the outer header on a complete inner frame (checksums finished, no offload flags left).
 * entropy: inner flow hash, becomes the UDP source port 49152-65535 (RFC 7348 5, RFC 6335).
 * ttl: VXLAN_TTL, or the received one minus one for a relayed packet.
 * Over IPv4 the UDP checksum is zero and DF is set (VTEPs never fragment, RFC 7348 4.3); over IPv6
 * the checksum is computed, which reads the whole frame. Returns false when there is no headroom or
 * the frame is too long (the caller drops NO_MBUF).
 */
static __rte_always_inline bool vxlan_encap(const struct tunnel *tunnel, struct rte_mbuf *m,
	uint32_t vni, uint32_t entropy, uint8_t ttl)
{
	uint16_t header_len = tunnel->header_len, data_off = m->data_off;
	uint32_t len = m->pkt_len;
	uint16_t udp_len = (uint16_t)(len + VXLAN_UDP_LEN);
	uint64_t word = __atomic_load_n(tunnel_word(tunnel), __ATOMIC_RELAXED);
	struct rte_udp_hdr *udp;
	uint8_t *d;

	if (unlikely(data_off < header_len || len > UINT16_MAX - VXLAN_OVERHEAD_V6))
		return false;
	m->data_off = data_off - header_len;
	m->data_len += header_len;
	m->pkt_len = len + header_len;
	d = (uint8_t *)m->buf_addr + (uint16_t)(data_off - header_len);
	memcpy(d, &word, sizeof(word));
	/* Two wide copies with constant lengths that overlap: 8-40 and 34-50. */
	memcpy(d + 8, tunnel->header + 8, 32);
	memcpy(d + 34, tunnel->header + 34, 16);
	if (likely(!tunnel->is_ipv6))
		vxlan_encap_ipv4(tunnel, d, udp_len, ttl);
	else
		vxlan_encap_ipv6(tunnel, m, udp_len, ttl);
	udp = (struct rte_udp_hdr *)(d + header_len - VXLAN_UDP_LEN);
	udp->src_port = rte_cpu_to_be_16(
		(uint16_t)(ENTROPY_PORT_BASE | entropy >> (32 - ENTROPY_PORT_BITS)));
	udp->dgram_len = rte_cpu_to_be_16(udp_len);
	((struct rte_vxlan_hdr *)(udp + 1))->vx_vni = rte_cpu_to_be_32(vni << 8);
	if (unlikely(tunnel->is_ipv6))
		vxlan_encap_ipv6_checksum(m, udp_len);
	return true;
}

#endif
