/* SPDX-License-Identifier: BSD-3-Clause */
#include "dataplane/vxlan.h"

#include <netinet/in.h>

#include <rte_branch_prediction.h>

#include "dataplane/csum.h"
#include "dataplane/vxlan_encap.h"

#define ETH_LEN ((uint16_t)sizeof(struct rte_ether_hdr))
#define UDP_VXLAN_LEN VXLAN_UDP_LEN

static void init_ipv4(struct tunnel *tunnel)
{
	struct rte_ipv4_hdr *ip = (struct rte_ipv4_hdr *)(tunnel->header + ETH_LEN);

	ip->version_ihl = RTE_IPV4_VHL_DEF;
	ip->fragment_offset = RTE_BE16(RTE_IPV4_HDR_DF_FLAG);
	ip->next_proto_id = IPPROTO_UDP;
	ip->src_addr = addr_to_v4(&tunnel->source);
	ip->dst_addr = addr_to_v4(&tunnel->vtep);
	/* Length and TTL are zero here and added per packet; the field keeps the sum, not inverted.
	 */
	ip->hdr_checksum = rte_raw_cksum(ip, sizeof(*ip));
}

static void init_ipv6(struct tunnel *tunnel)
{
	struct rte_ipv6_hdr *ip = (struct rte_ipv6_hdr *)(tunnel->header + ETH_LEN);

	ip->vtc_flow = RTE_BE32(0x60000000);
	ip->proto = IPPROTO_UDP;
	memcpy(ip->src_addr, &tunnel->source, sizeof(ip->src_addr));
	memcpy(ip->dst_addr, &tunnel->vtep, sizeof(ip->dst_addr));
}

void tunnel_init(struct tunnel *tunnel, const struct in6_addr *source, const struct in6_addr *vtep,
	const struct rte_ether_addr *source_mac, uint16_t udp_port)
{
	struct rte_ether_hdr *eth = (struct rte_ether_hdr *)tunnel->header;
	struct rte_udp_hdr *udp;
	struct rte_vxlan_hdr *vxlan;

	memset(tunnel->header, 0, sizeof(tunnel->header));
	tunnel->source = *source;
	tunnel->vtep = *vtep;
	tunnel->is_ipv6 = !addr_is_v4(vtep);
	tunnel->header_len = tunnel->is_ipv6 ? VXLAN_OVERHEAD_V6 : VXLAN_OVERHEAD_V4;
	atomic_store_explicit(&tunnel->resolved, 0, memory_order_relaxed);
	eth->src_addr = *source_mac;
	eth->ether_type =
		tunnel->is_ipv6 ? RTE_BE16(RTE_ETHER_TYPE_IPV6) : RTE_BE16(RTE_ETHER_TYPE_IPV4);
	if (tunnel->is_ipv6)
		init_ipv6(tunnel);
	else
		init_ipv4(tunnel);
	udp = (struct rte_udp_hdr *)(tunnel->header + tunnel->header_len - UDP_VXLAN_LEN);
	udp->dst_port = rte_cpu_to_be_16(udp_port);
	vxlan = (struct rte_vxlan_hdr *)(udp + 1);
	vxlan->vx_flags = RTE_BE32(0x08000000);
}

void tunnel_set_mac(struct tunnel *tunnel, const struct rte_ether_addr *next_hop_mac)
{
	uint64_t word = __atomic_load_n(tunnel_word(tunnel), __ATOMIC_RELAXED);

	memcpy(&word, next_hop_mac, sizeof(*next_hop_mac));
	__atomic_store_n(tunnel_word(tunnel), word, __ATOMIC_RELAXED);
	atomic_store_explicit(&tunnel->resolved, 1, memory_order_release);
}

/* RFC 6935 allows zero over IPv6 by agreement only; Linux and RFC 8200 drop it: so it is computed.
 */
static void udp6_checksum(const struct rte_mbuf *m, struct rte_udp_hdr *udp, uint16_t udp_len)
{
	const uint8_t *ip = (const uint8_t *)udp - sizeof(struct rte_ipv6_hdr);
	uint16_t sum = csum_pseudo(ip, true, IPPROTO_UDP, udp_len);

	sum = csum_mbuf(m, VXLAN_OVERHEAD_V6 - UDP_VXLAN_LEN, udp_len, sum);
	udp->dgram_cksum = sum ? sum : 0xffff;
}

void vxlan_encap_ipv6(
	const struct tunnel *tunnel, struct rte_mbuf *m, uint16_t udp_len, uint8_t ttl)
{
	uint8_t *d = rte_pktmbuf_mtod(m, uint8_t *);
	struct rte_ipv6_hdr *ip = (struct rte_ipv6_hdr *)(d + ETH_LEN);

	memcpy(d + 40, tunnel->header + 40, VXLAN_OVERHEAD_V6 - 40);
	ip->payload_len = rte_cpu_to_be_16(udp_len);
	ip->hop_limits = ttl;
}

void vxlan_encap_ipv6_checksum(const struct rte_mbuf *m, uint16_t udp_len)
{
	udp6_checksum(m,
		rte_pktmbuf_mtod_offset(m, struct rte_udp_hdr *, VXLAN_OVERHEAD_V6 - UDP_VXLAN_LEN),
		udp_len);
}

/* Where outer IP (l3) and UDP (l4) begin, and how much of L4 there is by the IP length. */
struct outer_ip {
	uint16_t l3, l4;
	uint32_t len;
	uint8_t proto;
	bool fragment;
};

static enum drop_reason outer_ipv4(
	const uint8_t *l3, uint32_t total, struct outer_ip *ip, struct vxlan_outer *outer)
{
	const struct rte_ipv4_hdr *h = (const struct rte_ipv4_hdr *)l3;
	uint32_t ihl = (h->version_ihl & 0xf) * 4u;
	uint32_t len = rte_be_to_cpu_16(h->total_length);

	if (h->version_ihl >> 4 != 4 || ihl < sizeof(*h) || len < ihl || len > total ||
		rte_raw_cksum(h, ihl) != 0xffff)
		return DROP_BAD_IP;
	ip->l4 = (uint16_t)(ip->l3 + ihl);
	ip->len = len - ihl;
	ip->proto = h->next_proto_id;
	ip->fragment =
		h->fragment_offset & RTE_BE16(RTE_IPV4_HDR_OFFSET_MASK | RTE_IPV4_HDR_MF_FLAG);
	outer->source = addr_from_v4(h->src_addr);
	outer->destination = addr_from_v4(h->dst_addr);
	outer->ttl = h->time_to_live;
	return DROP_NONE;
}

static enum drop_reason outer_ipv6(
	const uint8_t *l3, uint32_t total, struct outer_ip *ip, struct vxlan_outer *outer)
{
	const struct rte_ipv6_hdr *h = (const struct rte_ipv6_hdr *)l3;

	ip->l4 = (uint16_t)(ip->l3 + sizeof(*h));
	ip->len = rte_be_to_cpu_16(h->payload_len);
	ip->proto = h->proto;
	ip->fragment = false;
	if (l3[0] >> 4 != 6 || ip->len + sizeof(*h) > total)
		return DROP_BAD_IP;
	if (h->proto == IPPROTO_FRAGMENT && ip->len > 8) {
		ip->proto = l3[sizeof(*h)];
		ip->fragment = true;
	}
	memcpy(&outer->source, h->src_addr, sizeof(outer->source));
	memcpy(&outer->destination, h->dst_addr, sizeof(outer->destination));
	outer->ttl = h->hop_limits;
	return DROP_NONE;
}

/* RFC 7348 4.1, RFC 6935: zero is "none" over IPv4 and forbidden over IPv6. */
static bool outer_sum_ok(
	const struct rte_mbuf *m, const struct outer_ip *ip, const struct rte_udp_hdr *udp)
{
	const uint8_t *l3 = rte_pktmbuf_mtod_offset(m, const uint8_t *, ip->l3);
	uint16_t len = rte_be_to_cpu_16(udp->dgram_len);
	bool is_ipv6 = l3[0] >> 4 == 6;

	if ((m->ol_flags & RTE_MBUF_F_RX_L4_CKSUM_MASK) == RTE_MBUF_F_RX_L4_CKSUM_GOOD)
		return true;
	return csum_mbuf(m, ip->l4, len, csum_pseudo(l3, is_ipv6, IPPROTO_UDP, len)) == 0;
}

/* Ethernet, with or without one VLAN tag of the underlay (RFC 7348 figure 1), then IP. */
static enum drop_reason parse_outer_ip(
	const struct rte_mbuf *m, struct outer_ip *ip, struct vxlan_outer *outer)
{
	const uint8_t *d = rte_pktmbuf_mtod(m, const uint8_t *), *l3;
	uint32_t have = m->data_len;
	rte_be16_t type;

	if (unlikely(have < ETH_LEN))
		return DROP_SHORT;
	ip->l3 = ETH_LEN;
	type = ((const struct rte_ether_hdr *)d)->ether_type;
	if (unlikely(type == RTE_BE16(RTE_ETHER_TYPE_VLAN))) {
		ip->l3 += sizeof(struct rte_vlan_hdr);
		if (have < ip->l3)
			return DROP_SHORT;
		type = ((const struct rte_vlan_hdr *)(d + ETH_LEN))->eth_proto;
	}
	l3 = d + ip->l3;
	have -= ip->l3;
	switch (type) {
	case RTE_BE16(RTE_ETHER_TYPE_IPV4):
		if (have < sizeof(struct rte_ipv4_hdr) || have < (l3[0] & 15) * 4u)
			return DROP_SHORT;
		return outer_ipv4(l3, m->pkt_len - ip->l3, ip, outer);
	case RTE_BE16(RTE_ETHER_TYPE_IPV6):
		if (have < sizeof(struct rte_ipv6_hdr) + sizeof(struct rte_udp_hdr))
			return DROP_SHORT;
		return outer_ipv6(l3, m->pkt_len - ip->l3, ip, outer);
	default:
		return DROP_NOT_OURS;
	}
}

/*
 * What nearly all frames are: untagged IPv4 without options, whole, for our port, without an outer
 * checksum or with one that the device has verified. False: nothing decided.
 */
static __rte_always_inline bool vxlan_parse_fast(
	const struct rte_mbuf *m, uint16_t udp_port, struct vxlan_outer *outer)
{
	const uint8_t *d = rte_pktmbuf_mtod(m, const uint8_t *);
	const struct rte_ether_hdr *ether = (const struct rte_ether_hdr *)d;
	const struct rte_ipv4_hdr *ip = (const struct rte_ipv4_hdr *)(ether + 1);
	const struct rte_udp_hdr *udp = (const struct rte_udp_hdr *)(ip + 1);
	const struct rte_vxlan_hdr *vxlan = (const struct rte_vxlan_hdr *)(udp + 1);
	uint32_t total, udp_len;

	if (unlikely(m->data_len < VXLAN_OVERHEAD_V4 + ETH_LEN))
		return false;
	total = rte_be_to_cpu_16(ip->total_length);
	udp_len = rte_be_to_cpu_16(udp->dgram_len);
	if (unlikely(ether->ether_type != RTE_BE16(RTE_ETHER_TYPE_IPV4) ||
		     ip->version_ihl != RTE_IPV4_VHL_DEF || ip->next_proto_id != IPPROTO_UDP ||
		     (ip->fragment_offset & RTE_BE16(0x3fff)) != 0 ||
		     udp->dst_port != rte_cpu_to_be_16(udp_port) ||
		     !(vxlan->vx_flags & RTE_BE32(0x08000000))))
		return false;
	if (unlikely(udp->dgram_cksum != 0 &&
		     (m->ol_flags & RTE_MBUF_F_RX_L4_CKSUM_MASK) != RTE_MBUF_F_RX_L4_CKSUM_GOOD))
		return false;
	if (unlikely(total > m->pkt_len - ETH_LEN || udp_len + sizeof(*ip) > total ||
		     udp_len < UDP_VXLAN_LEN + ETH_LEN || !csum_header4_ok((const uint8_t *)ip)))
		return false;
	outer->source = addr_from_v4(ip->src_addr);
	outer->destination = addr_from_v4(ip->dst_addr);
	outer->vni = rte_be_to_cpu_32(vxlan->vx_vni) >> 8;
	outer->inner_off = VXLAN_OVERHEAD_V4;
	outer->inner_len = (uint16_t)(udp_len - UDP_VXLAN_LEN);
	outer->ttl = ip->time_to_live;
	return true;
}

static enum drop_reason vxlan_parse_any(
	const struct rte_mbuf *m, uint16_t udp_port, bool check_sum, struct vxlan_outer *outer)
{
	const uint8_t *d = rte_pktmbuf_mtod(m, const uint8_t *);
	const struct rte_udp_hdr *udp;
	const struct rte_vxlan_hdr *vxlan;
	struct vxlan_outer found;
	struct outer_ip ip;
	enum drop_reason reason = parse_outer_ip(m, &ip, &found);
	uint16_t udp_len;

	if (unlikely(reason != DROP_NONE))
		return reason;
	if (ip.proto != IPPROTO_UDP)
		return DROP_NOT_OURS;
	if (ip.fragment)
		return DROP_OUTER_FRAG;
	if (ip.len < sizeof(*udp) || m->data_len < ip.l4 + sizeof(*udp))
		return DROP_SHORT;
	udp = (const struct rte_udp_hdr *)(d + ip.l4);
	if (udp->dst_port != rte_cpu_to_be_16(udp_port))
		return DROP_NOT_OURS;
	udp_len = rte_be_to_cpu_16(udp->dgram_len);
	if (udp_len > ip.len || udp_len < UDP_VXLAN_LEN + ETH_LEN ||
		m->data_len < ip.l4 + UDP_VXLAN_LEN)
		return DROP_SHORT;
	if (udp->dgram_cksum == 0 ? d[ip.l3] >> 4 == 6 : check_sum && !outer_sum_ok(m, &ip, udp))
		return DROP_OUTER_CSUM;
	vxlan = (const struct rte_vxlan_hdr *)(udp + 1);
	if (!(vxlan->vx_flags & RTE_BE32(0x08000000)))
		return DROP_BAD_VXLAN;
	found.vni = rte_be_to_cpu_32(vxlan->vx_vni) >> 8;
	found.inner_off = ip.l4 + UDP_VXLAN_LEN;
	found.inner_len = udp_len - UDP_VXLAN_LEN;
	*outer = found;
	return DROP_NONE;
}

enum drop_reason vxlan_parse(
	const struct rte_mbuf *m, uint16_t udp_port, bool check_sum, struct vxlan_outer *outer)
{
	if (likely(vxlan_parse_fast(m, udp_port, outer)))
		return DROP_NONE;
	return vxlan_parse_any(m, udp_port, check_sum, outer);
}
