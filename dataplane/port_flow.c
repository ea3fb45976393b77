/* SPDX-License-Identifier: BSD-3-Clause */
#include "dataplane/port_flow.h"

#include <netinet/in.h>
#include <string.h>

#include <rte_ether.h>
#include <rte_hash_crc.h>
#include <rte_ip.h>

#define FLOW_MIX 0x9e3779b1u /* spreads to the high bits, which pick the ring */

static bool flow_has_ports(uint8_t proto)
{
	return proto == IPPROTO_TCP || proto == IPPROTO_UDP || proto == IPPROTO_SCTP;
}

/* Headers sit at odd places in a frame: the words to hash are copied out first. */
static uint32_t flow_crc(const void *bytes, uint32_t len, uint32_t seed)
{
	uint64_t words[4];

	memcpy(words, bytes, len);
	return rte_hash_crc(words, len, seed);
}

/* Fragments have ports in the first only: they go by addresses. */
static uint32_t flow_hash_ipv4(const struct rte_ipv4_hdr *ip, uint32_t len)
{
	uint32_t hash = flow_crc(&ip->src_addr, 8, ip->next_proto_id);
	uint32_t header = rte_ipv4_hdr_len(ip);
	rte_be16_t fragment =
		ip->fragment_offset & rte_cpu_to_be_16((uint16_t)~RTE_IPV4_HDR_DF_FLAG);

	if (!fragment && flow_has_ports(ip->next_proto_id) && len >= header + 4)
		hash = flow_crc((const uint8_t *)ip + header, 4, hash);
	return hash;
}

static uint32_t flow_hash_ipv6(const struct rte_ipv6_hdr *ip, uint32_t len)
{
	uint32_t hash = flow_crc(ip->src_addr, 32, ip->proto);

	if (flow_has_ports(ip->proto) && len >= sizeof(*ip) + 4)
		hash = flow_crc(ip + 1, 4, hash);
	return hash;
}

uint32_t port_flow_hash(const struct rte_mbuf *m)
{
	const struct rte_ether_hdr *eth = rte_pktmbuf_mtod(m, const struct rte_ether_hdr *);
	uint32_t len = rte_pktmbuf_data_len(m), hash = 0;

	if (m->ol_flags & RTE_MBUF_F_RX_RSS_HASH)
		return m->hash.rss * FLOW_MIX;
	if (len < sizeof(*eth))
		return 0;
	len -= sizeof(*eth);
	if (eth->ether_type == rte_cpu_to_be_16(RTE_ETHER_TYPE_IPV4) &&
		len >= sizeof(struct rte_ipv4_hdr))
		hash = flow_hash_ipv4((const struct rte_ipv4_hdr *)(eth + 1), len);
	else if (eth->ether_type == rte_cpu_to_be_16(RTE_ETHER_TYPE_IPV6) &&
		 len >= sizeof(struct rte_ipv6_hdr))
		hash = flow_hash_ipv6((const struct rte_ipv6_hdr *)(eth + 1), len);
	return hash * FLOW_MIX;
}
