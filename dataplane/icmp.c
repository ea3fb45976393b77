/* SPDX-License-Identifier: BSD-3-Clause */
#include "dataplane/icmp.h"

#include <errno.h>
#include <netinet/icmp6.h>
#include <netinet/ip_icmp.h>

#include <rte_ip.h>
#include <rte_tcp.h>

#include "dataplane/addr.h"
#include "dataplane/csum.h"
#include "dataplane/parse.h"
#include "dataplane/parse_ip.h"

#define ETH_LEN ((uint16_t)sizeof(struct rte_ether_hdr))
#define ICMP_LEN 8
#define ICMP_MAX_V4 576 /* RFC 1812 4.3.2.3: the whole error */
#define ICMP_MAX_V6 1280 /* RFC 4443 2.4 c */
#define ANSWER_TTL 64
#define ANSWER_TOS 0xc0 /* RFC 1812 4.3.2.5: precedence 6 */

/* An answer under construction: Ethernet and IP header in front of `l4_len` bytes. */
struct answer {
	struct in6_addr source, destination;
	struct rte_ether_addr source_mac, destination_mac;
	uint16_t l4_len;
	uint8_t proto;
	uint8_t tos;
	bool is_ipv6;
};

static const uint8_t icmp_codes[][2][2] = {
	/* IPv4 type and code, IPv6 type and code */
	[ICMP_ANSWER_TOO_BIG] = {{ICMP_DEST_UNREACH, ICMP_FRAG_NEEDED}, {ICMP6_PACKET_TOO_BIG, 0}},
	[ICMP_ANSWER_TTL] = {{ICMP_TIME_EXCEEDED, 0}, {ICMP6_TIME_EXCEEDED, 0}},
	[ICMP_ANSWER_PROHIBITED] = {{ICMP_DEST_UNREACH, ICMP_PKT_FILTERED}, {ICMP6_DST_UNREACH, 1}},
	[ICMP_ANSWER_HOST_UNREACH] = {{ICMP_DEST_UNREACH, ICMP_HOST_UNREACH},
		{ICMP6_DST_UNREACH, 0}},
};

static uint16_t ip_total_len(const struct pkt *p)
{
	if (p->flags & PKT_IPV6)
		return sizeof(struct rte_ipv6_hdr) +
		       rte_be_to_cpu_16(((const struct rte_ipv6_hdr *)pkt_l3(p))->payload_len);
	return rte_be_to_cpu_16(((const struct rte_ipv4_hdr *)pkt_l3(p))->total_length);
}

/* One host, to which an answer may go? */
static bool is_unicast(const struct in6_addr *a)
{
	static const struct in6_addr none;

	if (addr_is_v4(a))
		return a->s6_addr[12] != 0 && a->s6_addr[12] != 127 && a->s6_addr[12] < 224;
	return a->s6_addr[0] != 0xff && !addr_equal(a, &none) && !addr_equal(a, &in6addr_loopback);
}

static void answer_ip(const struct answer *a, uint8_t *l3)
{
	if (a->is_ipv6) {
		struct rte_ipv6_hdr *ip = (struct rte_ipv6_hdr *)l3;

		ip->vtc_flow = rte_cpu_to_be_32(0x60000000 | (uint32_t)a->tos << 20);
		ip->payload_len = rte_cpu_to_be_16(a->l4_len);
		ip->proto = a->proto;
		ip->hop_limits = ANSWER_TTL;
		memcpy(ip->src_addr, &a->source, sizeof(ip->src_addr));
		memcpy(ip->dst_addr, &a->destination, sizeof(ip->dst_addr));
	} else {
		struct rte_ipv4_hdr *ip = (struct rte_ipv4_hdr *)l3;

		memset(ip, 0, sizeof(*ip));
		ip->version_ihl = RTE_IPV4_VHL_DEF;
		ip->type_of_service = a->tos;
		ip->total_length = rte_cpu_to_be_16((uint16_t)(sizeof(*ip) + a->l4_len));
		ip->fragment_offset = RTE_BE16(RTE_IPV4_HDR_DF_FLAG);
		ip->time_to_live = ANSWER_TTL;
		ip->next_proto_id = a->proto;
		ip->src_addr = addr_to_v4(&a->source);
		ip->dst_addr = addr_to_v4(&a->destination);
		ip->hdr_checksum = rte_ipv4_cksum(ip);
	}
}

/* A frame with all but the L4 part, whose place is returned; NULL when the pool cannot give it. */
static struct rte_mbuf *answer_new(const struct answer *a, struct rte_mempool *pool, uint8_t **l4)
{
	uint16_t ip_len = a->is_ipv6 ? sizeof(struct rte_ipv6_hdr) : sizeof(struct rte_ipv4_hdr);
	struct rte_mbuf *m = rte_pktmbuf_alloc(pool);
	struct rte_ether_hdr *eth;

	if (m == NULL)
		return NULL;
	eth = (struct rte_ether_hdr *)rte_pktmbuf_append(m, ETH_LEN + ip_len + a->l4_len);
	if (eth == NULL) {
		rte_pktmbuf_free(m);
		return NULL;
	}
	eth->src_addr = a->source_mac;
	eth->dst_addr = a->destination_mac;
	eth->ether_type =
		a->is_ipv6 ? RTE_BE16(RTE_ETHER_TYPE_IPV6) : RTE_BE16(RTE_ETHER_TYPE_IPV4);
	answer_ip(a, (uint8_t *)(eth + 1));
	*l4 = (uint8_t *)(eth + 1) + ip_len;
	return m;
}

static uint16_t answer_sum(const struct answer *a, const struct rte_mbuf *m, bool pseudo)
{
	uint16_t l4_off = (uint16_t)(m->pkt_len - a->l4_len);
	const uint8_t *l3 = rte_pktmbuf_mtod_offset(m, const uint8_t *, ETH_LEN);

	return csum_mbuf(m, l4_off, a->l4_len,
		pseudo ? csum_pseudo(l3, a->is_ipv6, a->proto, a->l4_len) : 0);
}

static bool may_answer(const struct pkt *p, struct in6_addr *source, struct in6_addr *destination)
{
	if (p->flags & (PKT_NOT_IP | PKT_ICMP_ERROR | PKT_LATER_FRAGMENT | PKT_SPLIT_HEADER |
			       PKT_MULTICAST))
		return false;
	parse_addresses(p, source, destination);
	return is_unicast(source) && is_unicast(destination);
}

struct rte_mbuf *icmp_error(const struct pkt *p, enum icmp_answer what, uint16_t mtu,
	const struct icmp_origin *origin, struct rte_mempool *pool)
{
	bool is_ipv6 = p->flags & PKT_IPV6;
	const struct rte_ether_hdr *eth = rte_pktmbuf_mtod(p->mbuf, const struct rte_ether_hdr *);
	struct answer a = {.source = origin->addr,
		.source_mac = origin->mac,
		.destination_mac = eth->src_addr,
		.tos = ANSWER_TOS,
		.is_ipv6 = is_ipv6,
		.proto = is_ipv6 ? IPPROTO_ICMPV6 : IPPROTO_ICMP};
	struct in6_addr about;
	struct rte_mbuf *m;
	const void *quoted;
	uint16_t quote, room;
	uint8_t *l4;

	if (!may_answer(p, &a.destination, &about) || addr_is_v4(&origin->addr) == is_ipv6)
		return NULL;
	room = is_ipv6 ? ICMP_MAX_V6 - sizeof(struct rte_ipv6_hdr) - ICMP_LEN
		       : ICMP_MAX_V4 - sizeof(struct rte_ipv4_hdr) - ICMP_LEN;
	quote = RTE_MIN(ip_total_len(p), room);
	a.l4_len = ICMP_LEN + quote;
	m = answer_new(&a, pool, &l4);
	if (m == NULL)
		return NULL;
	memset(l4, 0, ICMP_LEN);
	l4[0] = icmp_codes[what][is_ipv6][0];
	l4[1] = icmp_codes[what][is_ipv6][1];
	if (what == ICMP_ANSWER_TOO_BIG) { /* low half of a 32-bit word in both families */
		l4[6] = (uint8_t)(mtu >> 8);
		l4[7] = (uint8_t)mtu;
	}
	quoted = rte_pktmbuf_read(p->mbuf, p->l3_off, quote, l4 + ICMP_LEN);
	if (quoted == NULL) {
		rte_pktmbuf_free(m);
		return NULL;
	}
	if (quoted != l4 + ICMP_LEN)
		memcpy(l4 + ICMP_LEN, quoted, quote);
	*(unaligned_uint16_t *)(l4 + 2) = answer_sum(&a, m, is_ipv6);
	return m;
}

struct rte_mbuf *icmp_tcp_reset(const struct pkt *p, struct rte_mempool *pool)
{
	const struct rte_ether_hdr *eth = rte_pktmbuf_mtod(p->mbuf, const struct rte_ether_hdr *);
	const struct rte_tcp_hdr *tcp = pkt_l4(p);
	struct answer a = {.source_mac = eth->dst_addr,
		.destination_mac = eth->src_addr,
		.l4_len = sizeof(struct rte_tcp_hdr),
		.is_ipv6 = p->flags & PKT_IPV6,
		.proto = IPPROTO_TCP};
	struct rte_tcp_hdr rst = {.data_off = 5 << 4, .tcp_flags = RTE_TCP_RST_FLAG};
	struct rte_mbuf *m;
	uint8_t *l4;

	if (!may_answer(p, &a.destination, &a.source) || p->flags & PKT_FRAGMENT ||
		p->proto != IPPROTO_TCP || p->tcp_flags & RTE_TCP_RST_FLAG)
		return NULL;
	m = answer_new(&a, pool, &l4);
	if (m == NULL)
		return NULL;
	rst.src_port = tcp->dst_port;
	rst.dst_port = tcp->src_port;
	if (p->tcp_flags & RTE_TCP_ACK_FLAG) {
		rst.sent_seq = tcp->recv_ack;
	} else {
		uint32_t len = p->payload_len + !!(p->tcp_flags & RTE_TCP_SYN_FLAG) +
			       !!(p->tcp_flags & RTE_TCP_FIN_FLAG);

		rst.recv_ack = rte_cpu_to_be_32(rte_be_to_cpu_32(tcp->sent_seq) + len);
		rst.tcp_flags |= RTE_TCP_ACK_FLAG;
	}
	memcpy(l4, &rst, sizeof(rst));
	((struct rte_tcp_hdr *)l4)->cksum = answer_sum(&a, m, true);
	return m;
}

void icmp_echo_answer(struct pkt *p)
{
	struct rte_ether_hdr *ether = rte_pktmbuf_mtod(p->mbuf, struct rte_ether_hdr *);
	struct csum_change change = {.len_bytes = sizeof(rte_be16_t)};
	struct rte_ether_addr mac = ether->src_addr;
	bool is_ipv6 = p->flags & PKT_IPV6;
	uint8_t *l4 = pkt_l4(p), from[2], to[2];

	ether->src_addr = ether->dst_addr;
	ether->dst_addr = mac;
	/* Addresses change places: no sum changes by that. */
	if (is_ipv6) {
		struct rte_ipv6_hdr *ip = pkt_l3(p);
		uint8_t addr[sizeof(ip->src_addr)];

		memcpy(addr, ip->src_addr, sizeof(addr));
		memcpy(ip->src_addr, ip->dst_addr, sizeof(addr));
		memcpy(ip->dst_addr, addr, sizeof(addr));
		ip->hop_limits = ANSWER_TTL;
	} else {
		struct rte_ipv4_hdr *ip = pkt_l3(p);
		rte_be32_t addr = ip->src_addr;

		ip->src_addr = ip->dst_addr;
		ip->dst_addr = addr;
		ip->time_to_live = ANSWER_TTL;
		ip->hdr_checksum = 0;
		ip->hdr_checksum = rte_ipv4_cksum(ip);
	}
	memcpy(from, l4, sizeof(from));
	memcpy(to, l4, sizeof(to));
	to[0] = is_ipv6 ? ICMP6_ECHO_REPLY : ICMP_ECHOREPLY;
	change.from = from;
	change.to = to;
	memcpy(l4, to, sizeof(to));
	csum_l4_change(p, &change);
}

bool icmp_limit_allow(struct icmp_limit *limit, uint64_t now_ns)
{
	uint64_t interval, burst, due, from;

	if (limit->per_second == 0)
		return false;
	interval = 1000000000ull / limit->per_second;
	burst = RTE_MAX(limit->per_second / 10, 1u);
	due = atomic_load_explicit(&limit->state, memory_order_relaxed);
	do {
		from = RTE_MAX(due, now_ns);
		if (from - now_ns > (burst - 1) * interval)
			return false;
	} while (!atomic_compare_exchange_weak_explicit(
		&limit->state, &due, from + interval, memory_order_relaxed, memory_order_relaxed));
	return true;
}
