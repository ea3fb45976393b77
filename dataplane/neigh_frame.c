/* SPDX-License-Identifier: BSD-3-Clause */
#include "dataplane/neigh_frame.h"

#include <netinet/icmp6.h>
#include <netinet/in.h>
#include <netinet/ip_icmp.h>

#include <rte_arp.h>
#include <rte_ip.h>

#include "dataplane/csum.h"

#define ETH_LEN ((uint16_t)sizeof(struct rte_ether_hdr))
#define ND_HOP_LIMIT 255
#define ECHO_TTL 64
#define ND_LEN 24 /* type .. target, RFC 4861 4.3 and 4.4 */
#define ND_OPTION_LEN 8 /* with a MAC */
#define ND_SOLICITED_OVERRIDE RTE_BE32(0x60000000)
#define ND_OVERRIDE RTE_BE32(0x20000000)

static const struct in6_addr all_nodes = {{{0xff, 2, [15] = 1}}};

/* Neighbour solicitation or advertisement with one link-layer option, as Ferry sends them. */
struct nd_message {
	uint8_t type, code;
	rte_be16_t cksum;
	rte_be32_t flags;
	struct in6_addr target;
	uint8_t option, option_len;
	struct rte_ether_addr mac;
};

_Static_assert(sizeof(struct nd_message) == ND_LEN + ND_OPTION_LEN, "as on the wire");

static bool is_zero(const struct in6_addr *a)
{
	static const struct in6_addr zero;

	return addr_equal(a, &zero);
}

static void read_arp(const struct rte_mbuf *m, struct neigh_message *message)
{
	const struct rte_arp_hdr *arp;

	if (m->data_len < ETH_LEN + sizeof(*arp))
		return;
	arp = rte_pktmbuf_mtod_offset(m, const struct rte_arp_hdr *, ETH_LEN);
	if (arp->arp_hardware != RTE_BE16(RTE_ARP_HRD_ETHER) ||
		arp->arp_protocol != RTE_BE16(RTE_ETHER_TYPE_IPV4) || arp->arp_hlen != 6 ||
		arp->arp_plen != 4)
		return;
	if (arp->arp_opcode == RTE_BE16(RTE_ARP_OP_REQUEST))
		message->kind = NEIGH_REQUEST;
	else if (arp->arp_opcode == RTE_BE16(RTE_ARP_OP_REPLY))
		message->kind = NEIGH_REPLY;
	else
		return;
	if (arp->arp_data.arp_sip != 0)
		message->sender = addr_from_v4(arp->arp_data.arp_sip);
	message->target = addr_from_v4(arp->arp_data.arp_tip);
	message->mac = arp->arp_data.arp_sha;
	message->override = true;
}

static void read_ipv4(const struct rte_mbuf *m, struct neigh_message *message)
{
	const struct rte_ipv4_hdr *ip;
	const uint8_t *icmp;
	uint32_t total;

	if (m->data_len < ETH_LEN + sizeof(*ip) + 8)
		return;
	ip = rte_pktmbuf_mtod_offset(m, const struct rte_ipv4_hdr *, ETH_LEN);
	icmp = (const uint8_t *)(ip + 1);
	total = rte_be_to_cpu_16(ip->total_length);
	if (ip->version_ihl != RTE_IPV4_VHL_DEF || ip->next_proto_id != IPPROTO_ICMP ||
		total < sizeof(*ip) + 8 || total + ETH_LEN > m->pkt_len ||
		(ip->fragment_offset & RTE_BE16(0x3fff)) != 0 || icmp[0] != ICMP_ECHO)
		return;
	message->kind = NEIGH_ECHO;
	message->sender = addr_from_v4(ip->src_addr);
	message->target = addr_from_v4(ip->dst_addr);
}

/* The link-layer address option of an ND message; false when the options are malformed. */
static bool read_option(const uint8_t *at, uint32_t len, uint8_t wanted, struct rte_ether_addr *mac)
{
	while (len > 0) {
		uint32_t step = len < 2 ? 0 : at[1] * 8u;

		if (step == 0 || step > len)
			return false;
		if (at[0] == wanted && step == ND_OPTION_LEN)
			memcpy(mac, at + 2, sizeof(*mac));
		at += step;
		len -= step;
	}
	return true;
}

/* RFC 4861 7.1.1, 7.1.2: what a valid message is. */
static void read_nd(const struct rte_ipv6_hdr *ip, uint32_t len, struct neigh_message *message)
{
	const uint8_t *nd = (const uint8_t *)(ip + 1);
	bool request = nd[0] == ND_NEIGHBOR_SOLICIT;
	struct in6_addr target, sender;
	rte_be32_t flags;

	if (len < ND_LEN || ip->hop_limits != ND_HOP_LIMIT || nd[1] != 0 || nd[8] == 0xff)
		return;
	if (!read_option(nd + ND_LEN, len - ND_LEN,
		    request ? ND_OPT_SOURCE_LINKADDR : ND_OPT_TARGET_LINKADDR, &message->mac))
		return;
	memcpy(&target, nd + 8, sizeof(target));
	memcpy(&sender, ip->src_addr, sizeof(sender));
	memcpy(&flags, nd + 4, sizeof(flags));
	message->kind = request ? NEIGH_REQUEST : NEIGH_REPLY;
	message->target = target;
	message->sender = request ? sender : target;
	message->override = request || (flags & ND_OVERRIDE);
}

static void read_ipv6(const struct rte_mbuf *m, struct neigh_message *message)
{
	const struct rte_ipv6_hdr *ip;
	const uint8_t *icmp;
	uint16_t len;

	if (m->data_len < ETH_LEN + sizeof(*ip) + 8)
		return;
	ip = rte_pktmbuf_mtod_offset(m, const struct rte_ipv6_hdr *, ETH_LEN);
	icmp = (const uint8_t *)(ip + 1);
	len = rte_be_to_cpu_16(ip->payload_len);
	if (ip->proto != IPPROTO_ICMPV6 || len < 8 || len + ETH_LEN + sizeof(*ip) > m->pkt_len)
		return;
	if (icmp[0] == ICMP6_ECHO_REQUEST) {
		message->kind = NEIGH_ECHO;
		memcpy(&message->sender, ip->src_addr, sizeof(message->sender));
		memcpy(&message->target, ip->dst_addr, sizeof(message->target));
		return;
	}
	if ((icmp[0] != ND_NEIGHBOR_SOLICIT && icmp[0] != ND_NEIGHBOR_ADVERT) ||
		len + ETH_LEN + sizeof(*ip) > m->data_len ||
		csum_mbuf(m, ETH_LEN + sizeof(*ip), len,
			csum_pseudo(ip, true, IPPROTO_ICMPV6, len)) != 0)
		return;
	read_nd(ip, len, message);
}

void neigh_frame_read(const struct rte_mbuf *m, struct neigh_message *message)
{
	memset(message, 0, sizeof(*message));
	if (m->data_len < ETH_LEN)
		return;
	switch (rte_pktmbuf_mtod(m, const struct rte_ether_hdr *)->ether_type) {
	case RTE_BE16(RTE_ETHER_TYPE_ARP):
		read_arp(m, message);
		break;
	case RTE_BE16(RTE_ETHER_TYPE_IPV4):
		read_ipv4(m, message);
		break;
	case RTE_BE16(RTE_ETHER_TYPE_IPV6):
		read_ipv6(m, message);
		break;
	}
}

static void *frame_new(struct rte_mempool *pool, const struct rte_ether_addr *from, uint16_t type,
	uint16_t len, struct rte_mbuf **m)
{
	struct rte_ether_hdr *eth;

	*m = rte_pktmbuf_alloc(pool);
	if (*m == NULL)
		return NULL;
	eth = (struct rte_ether_hdr *)rte_pktmbuf_append(*m, ETH_LEN + len);
	memset(eth, 0, ETH_LEN + len);
	eth->src_addr = *from;
	eth->ether_type = rte_cpu_to_be_16(type);
	return eth + 1;
}

static struct rte_ether_hdr *frame_ether(struct rte_mbuf *m)
{
	return rte_pktmbuf_mtod(m, struct rte_ether_hdr *);
}

static struct rte_mbuf *arp_frame(const struct neigh_end *from, const struct neigh_end *to,
	uint16_t opcode, struct rte_mempool *pool)
{
	struct rte_mbuf *m;
	struct rte_arp_hdr *arp = frame_new(pool, &from->mac, RTE_ETHER_TYPE_ARP, sizeof(*arp), &m);

	if (arp == NULL)
		return NULL;
	arp->arp_hardware = RTE_BE16(RTE_ARP_HRD_ETHER);
	arp->arp_protocol = RTE_BE16(RTE_ETHER_TYPE_IPV4);
	arp->arp_hlen = 6;
	arp->arp_plen = 4;
	arp->arp_opcode = rte_cpu_to_be_16(opcode);
	arp->arp_data.arp_sha = from->mac;
	arp->arp_data.arp_sip = addr_to_v4(&from->addr);
	arp->arp_data.arp_tha = to->mac;
	arp->arp_data.arp_tip = addr_to_v4(&to->addr);
	frame_ether(m)->dst_addr = to->mac;
	if (rte_is_zero_ether_addr(&to->mac))
		memset(&frame_ether(m)->dst_addr, 0xff, sizeof(to->mac));
	return m;
}

/* `nd` has type, flags, target and option; to->mac zero: by the multicast address. */
static struct rte_mbuf *nd_frame(const struct neigh_end *from, const struct neigh_end *to,
	const struct nd_message *nd, struct rte_mempool *pool)
{
	struct rte_mbuf *m;
	struct rte_ipv6_hdr *ip =
		frame_new(pool, &from->mac, RTE_ETHER_TYPE_IPV6, sizeof(*ip) + sizeof(*nd), &m);
	struct nd_message out = *nd;
	struct rte_ether_hdr *eth;

	if (ip == NULL)
		return NULL;
	eth = frame_ether(m);
	eth->dst_addr = to->mac;
	if (to->addr.s6_addr[0] == 0xff) { /* RFC 2464 7 */
		eth->dst_addr.addr_bytes[0] = eth->dst_addr.addr_bytes[1] = 0x33;
		memcpy(&eth->dst_addr.addr_bytes[2], &to->addr.s6_addr[12], 4);
	}
	ip->vtc_flow = RTE_BE32(0x60000000);
	ip->payload_len = rte_cpu_to_be_16(sizeof(*nd));
	ip->proto = IPPROTO_ICMPV6;
	ip->hop_limits = ND_HOP_LIMIT;
	memcpy(ip->src_addr, &from->addr, sizeof(ip->src_addr));
	memcpy(ip->dst_addr, &to->addr, sizeof(ip->dst_addr));
	out.option_len = 1;
	out.mac = from->mac;
	memcpy(ip + 1, &out, sizeof(out));
	out.cksum = csum_mbuf(m, ETH_LEN + sizeof(*ip), sizeof(out),
		csum_pseudo(ip, true, IPPROTO_ICMPV6, sizeof(out)));
	memcpy(ip + 1, &out, sizeof(out));
	return m;
}

struct rte_mbuf *neigh_frame_request(
	const struct neigh_end *from, const struct neigh_end *to, struct rte_mempool *pool)
{
	struct nd_message nd = {
		.type = ND_NEIGHBOR_SOLICIT, .target = to->addr, .option = ND_OPT_SOURCE_LINKADDR};
	struct neigh_end whom = *to;

	if (addr_is_v4(&to->addr))
		return arp_frame(from, to, RTE_ARP_OP_REQUEST, pool);
	if (rte_is_zero_ether_addr(&to->mac)) { /* solicited-node, RFC 4291 2.7.1 */
		whom.addr = (struct in6_addr){{{0xff, 2, [11] = 1, [12] = 0xff}}};
		memcpy(&whom.addr.s6_addr[13], &to->addr.s6_addr[13], 3);
	}
	return nd_frame(from, &whom, &nd, pool);
}

struct rte_mbuf *neigh_frame_reply(
	const struct neigh_end *from, const struct neigh_end *to, struct rte_mempool *pool)
{
	struct nd_message nd = {.type = ND_NEIGHBOR_ADVERT,
		.flags = ND_SOLICITED_OVERRIDE,
		.target = from->addr,
		.option = ND_OPT_TARGET_LINKADDR};
	struct neigh_end whom = *to;

	if (addr_is_v4(&from->addr))
		return arp_frame(from, to, RTE_ARP_OP_REPLY, pool);
	if (is_zero(&to->addr)) {
		nd.flags = ND_OVERRIDE;
		whom.addr = all_nodes;
	}
	return nd_frame(from, &whom, &nd, pool);
}

void neigh_frame_echo(struct rte_mbuf *m, const struct rte_ether_addr *mac)
{
	struct rte_ether_hdr *eth = frame_ether(m);
	struct rte_ipv4_hdr *ip4 = (struct rte_ipv4_hdr *)(eth + 1);
	struct rte_ipv6_hdr *ip6 = (struct rte_ipv6_hdr *)(eth + 1);
	bool is_ipv6 = eth->ether_type == RTE_BE16(RTE_ETHER_TYPE_IPV6);
	uint8_t *icmp = is_ipv6 ? (uint8_t *)(ip6 + 1) : (uint8_t *)(ip4 + 1);
	uint8_t addr[16];
	rte_be16_t from, to, sum;

	eth->dst_addr = eth->src_addr;
	eth->src_addr = *mac;
	if (is_ipv6) {
		memcpy(addr, ip6->src_addr, sizeof(addr));
		memcpy(ip6->src_addr, ip6->dst_addr, sizeof(addr));
		memcpy(ip6->dst_addr, addr, sizeof(addr));
		ip6->hop_limits = ECHO_TTL;
	} else {
		rte_be32_t source = ip4->src_addr;

		ip4->src_addr = ip4->dst_addr;
		ip4->dst_addr = source;
		ip4->time_to_live = ECHO_TTL;
		ip4->hdr_checksum = 0;
		ip4->hdr_checksum = rte_ipv4_cksum(ip4);
	}
	memcpy(&from, icmp, sizeof(from));
	icmp[0] = is_ipv6 ? ICMP6_ECHO_REPLY : ICMP_ECHOREPLY;
	memcpy(&to, icmp, sizeof(to));
	memcpy(&sum, icmp + 2, sizeof(sum));
	sum = csum_update16(sum, from, to);
	memcpy(icmp + 2, &sum, sizeof(sum));
	m->ol_flags = 0;
}
