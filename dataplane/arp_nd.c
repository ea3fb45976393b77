/* SPDX-License-Identifier: BSD-3-Clause */
#include "dataplane/arp_nd.h"

#include <rte_arp.h>
#include <rte_ip.h>

#define ND_ADVERTISEMENT 136
#define ND_FLAG_SOLICITED 0x40000000u
#define ND_FLAG_OVERRIDE 0x20000000u
#define ND_OPTION_TARGET_LINK 2
#define ND_HOP_LIMIT 255
#define FRAME_MIN 60

struct nd_advertisement {
	uint8_t type, code;
	rte_be16_t checksum;
	rte_be32_t flags;
	struct in6_addr target;
	uint8_t option, option_len; /* in 8 bytes */
	struct rte_ether_addr mac;
};

_Static_assert(sizeof(struct nd_advertisement) == 32, "no padding");

static const struct rte_ether_addr broadcast = {{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}};

/* A zeroed frame of at least the Ethernet minimum with its Ethernet header. */
static struct rte_mbuf *frame(struct rte_mempool *pool, uint16_t len,
	const struct rte_ether_addr *source, const struct rte_ether_addr *destination,
	uint16_t ether_type)
{
	struct rte_mbuf *m = rte_pktmbuf_alloc(pool);
	struct rte_ether_hdr *ether;

	if (!m)
		return NULL;
	len = RTE_MAX(len, (uint16_t)FRAME_MIN);
	ether = (struct rte_ether_hdr *)rte_pktmbuf_append(m, len);
	if (!ether) {
		rte_pktmbuf_free(m);
		return NULL;
	}
	memset(ether, 0, len);
	ether->src_addr = *source;
	ether->dst_addr = *destination;
	ether->ether_type = rte_cpu_to_be_16(ether_type);
	return m;
}

struct arp_fields {
	uint16_t opcode;
	rte_be32_t sender_ip, target_ip;
	struct rte_ether_addr sender_mac, target_mac;
};

static struct rte_mbuf *arp_frame(struct rte_mempool *pool, uint16_t ether_type,
	const struct rte_ether_addr *destination, const struct arp_fields *fields)
{
	struct rte_mbuf *m = frame(pool, sizeof(struct rte_ether_hdr) + sizeof(struct rte_arp_hdr),
		&fields->sender_mac, destination, ether_type);
	struct rte_arp_hdr *arp;

	if (!m)
		return NULL;
	arp = rte_pktmbuf_mtod_offset(m, struct rte_arp_hdr *, sizeof(struct rte_ether_hdr));
	arp->arp_hardware = RTE_BE16(RTE_ARP_HRD_ETHER);
	arp->arp_protocol = RTE_BE16(RTE_ETHER_TYPE_IPV4);
	arp->arp_hlen = RTE_ETHER_ADDR_LEN;
	arp->arp_plen = sizeof(rte_be32_t);
	arp->arp_opcode = rte_cpu_to_be_16(fields->opcode);
	arp->arp_data.arp_sha = fields->sender_mac;
	arp->arp_data.arp_sip = fields->sender_ip;
	arp->arp_data.arp_tha = fields->target_mac;
	arp->arp_data.arp_tip = fields->target_ip;
	return m;
}

struct nd_to {
	struct in6_addr ip;
	struct rte_ether_addr mac;
	uint32_t flags;
};

static struct rte_mbuf *nd_frame(struct rte_mempool *pool, const struct in6_addr *ip,
	const struct rte_ether_addr *mac, const struct nd_to *to)
{
	uint16_t len = sizeof(struct rte_ether_hdr) + sizeof(struct rte_ipv6_hdr) +
		       sizeof(struct nd_advertisement);
	struct rte_mbuf *m = frame(pool, len, mac, &to->mac, RTE_ETHER_TYPE_IPV6);
	struct nd_advertisement *nd;
	struct rte_ipv6_hdr *ip6;

	if (!m)
		return NULL;
	ip6 = rte_pktmbuf_mtod_offset(m, struct rte_ipv6_hdr *, sizeof(struct rte_ether_hdr));
	nd = (struct nd_advertisement *)(ip6 + 1);
	ip6->vtc_flow = RTE_BE32(6u << 28);
	ip6->payload_len = RTE_BE16(sizeof(*nd));
	ip6->proto = IPPROTO_ICMPV6;
	ip6->hop_limits = ND_HOP_LIMIT;
	memcpy(ip6->src_addr, ip, sizeof(*ip));
	memcpy(ip6->dst_addr, &to->ip, sizeof(to->ip));
	nd->type = ND_ADVERTISEMENT;
	nd->flags = rte_cpu_to_be_32(to->flags);
	nd->target = *ip;
	nd->option = ND_OPTION_TARGET_LINK;
	nd->option_len = 1;
	nd->mac = *mac;
	nd->checksum = rte_ipv6_udptcp_cksum(ip6, nd);
	return m;
}

struct rte_mbuf *arp_nd_answer(struct rte_mempool *pool, const struct in6_addr *ip,
	const struct rte_ether_addr *mac, const struct in6_addr *to_ip,
	const struct rte_ether_addr *to_mac)
{
	struct arp_fields arp = {
		.opcode = RTE_ARP_OP_REPLY, .sender_mac = *mac, .target_mac = *to_mac};
	struct nd_to nd = {
		.ip = *to_ip, .mac = *to_mac, .flags = ND_FLAG_SOLICITED | ND_FLAG_OVERRIDE};

	if (!addr_is_v4(ip))
		return nd_frame(pool, ip, mac, &nd);
	arp.sender_ip = addr_to_v4(ip);
	arp.target_ip = addr_to_v4(to_ip);
	return arp_frame(pool, RTE_ETHER_TYPE_ARP, to_mac, &arp);
}

struct rte_mbuf *arp_nd_announce(
	struct rte_mempool *pool, const struct in6_addr *ip, const struct rte_ether_addr *mac)
{
	static const struct nd_to all_nodes = {
		.ip = {.s6_addr = {0xff, 0x02, [15] = 0x01}},
		.mac = {{0x33, 0x33, 0, 0, 0, 1}},
		.flags = ND_FLAG_OVERRIDE,
	};
	struct arp_fields arp = {.opcode = RTE_ARP_OP_REQUEST, .sender_mac = *mac};

	if (!addr_is_v4(ip))
		return nd_frame(pool, ip, mac, &all_nodes);
	arp.sender_ip = arp.target_ip = addr_to_v4(ip);
	return arp_frame(pool, RTE_ETHER_TYPE_ARP, &broadcast, &arp);
}

struct rte_mbuf *arp_nd_rarp(struct rte_mempool *pool, const struct rte_ether_addr *mac)
{
	struct arp_fields rarp = {
		.opcode = RTE_ARP_OP_REVREQUEST, .sender_mac = *mac, .target_mac = *mac};

	return arp_frame(pool, RTE_ETHER_TYPE_RARP, &broadcast, &rarp);
}
