/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <netinet/icmp6.h>
#include <netinet/ip_icmp.h>

#include <rte_ip.h>
#include <rte_tcp.h>
#include <rte_udp.h>

#include "dataplane/addr.h"
#include "dataplane/csum.h"
#include "dataplane/icmp.h"
#include "dataplane/parse_ip.h"

#define ICMP_LEN 8

/* The packet quoted in an error, and where its checksums are (NULL: not quoted, or none). */
struct quoted {
	struct pkt *error;
	uint8_t *l3, *l4;
	struct parse_ip ip;
	uint8_t *ip_sum;
	uint8_t *l4_sum;
	bool sum_has_pseudo;
	bool sum_is_udp;
};

static void find_l4_sum(struct quoted *q, uint32_t l4_avail)
{
	uint32_t off;

	if (q->ip.flags & PKT_LATER_FRAGMENT)
		return;
	switch (q->ip.proto) {
	case IPPROTO_TCP:
		off = offsetof(struct rte_tcp_hdr, cksum);
		break;
	case IPPROTO_UDP:
		off = offsetof(struct rte_udp_hdr, dgram_cksum);
		break;
	case IPPROTO_ICMP:
	case IPPROTO_ICMPV6:
		off = 2;
		break;
	default:
		return;
	}
	if (l4_avail < off + 2)
		return;
	q->l4_sum = q->l4 + off;
	q->sum_has_pseudo = q->ip.proto != IPPROTO_ICMP;
	q->sum_is_udp = q->ip.proto == IPPROTO_UDP;
}

static int find_quoted(struct pkt *p, struct quoted *q)
{
	uint32_t avail = p->mbuf->data_len - (uint32_t)p->l4_off;

	avail = RTE_MIN(avail, (uint32_t)p->payload_len + ICMP_LEN) - ICMP_LEN;
	*q = (struct quoted){.error = p, .l3 = (uint8_t *)pkt_l4(p) + ICMP_LEN};
	if (parse_ip_quoted(q->l3, avail, &q->ip) != DROP_NONE)
		return -EINVAL;
	q->l4 = q->l3 + q->ip.header_len;
	if (!(q->ip.flags & PKT_IPV6))
		q->ip_sum = q->l3 + offsetof(struct rte_ipv4_hdr, hdr_checksum);
	find_l4_sum(q, avail - q->ip.header_len);
	return 0;
}

/* Replace bytes of the quoted packet; the error's checksum follows. */
static void replace(struct quoted *q, uint8_t *at, const void *to, uint16_t len)
{
	struct csum_change change = {.from = at, .to = to, .len_bytes = len};

	csum_l4_change(q->error, &change);
	memcpy(at, to, len);
}

static void replace_sum(
	struct quoted *q, uint8_t *sum, const void *from, const void *to, uint16_t len)
{
	bool is_udp = sum == q->l4_sum && q->sum_is_udp;
	uint16_t value;

	memcpy(&value, sum, sizeof(value));
	value = is_udp ? csum_update_udp(value, from, to, len) : csum_update(value, from, to, len);
	replace(q, sum, &value, sizeof(value));
}

static void replace_addr(struct quoted *q, bool destination, const struct in6_addr *to)
{
	bool is_ipv6 = q->ip.flags & PKT_IPV6;
	uint16_t len = is_ipv6 ? sizeof(*to) : sizeof(rte_be32_t);
	const uint8_t *bytes = is_ipv6 ? to->s6_addr : &to->s6_addr[12];
	uint8_t *at = q->l3 + (is_ipv6 ? offsetof(struct rte_ipv6_hdr, src_addr)
				       : offsetof(struct rte_ipv4_hdr, src_addr));

	at += destination ? len : 0;
	if (q->ip_sum)
		replace_sum(q, q->ip_sum, at, bytes, len);
	if (q->l4_sum && q->sum_has_pseudo)
		replace_sum(q, q->l4_sum, at, bytes, len);
	replace(q, at, bytes, len);
}

static void replace_port(struct quoted *q, uint8_t *at, rte_be16_t to)
{
	if (q->l4_sum)
		replace_sum(q, q->l4_sum, at, &to, sizeof(to));
	replace(q, at, &to, sizeof(to));
}

/* Only protocols whose first 8 bytes parse has found to be quoted. */
static void replace_ports(struct quoted *q, rte_be16_t source, rte_be16_t destination)
{
	bool is_ipv6 = q->ip.flags & PKT_IPV6;
	enum parse_icmp_kind kind;

	if (q->ip.flags & PKT_LATER_FRAGMENT)
		return;
	if (q->ip.proto == IPPROTO_TCP || q->ip.proto == IPPROTO_UDP ||
		q->ip.proto == IPPROTO_SCTP) {
		replace_port(q, q->l4, source);
		replace_port(q, q->l4 + 2, destination);
	} else if (q->ip.proto == (is_ipv6 ? IPPROTO_ICMPV6 : IPPROTO_ICMP)) {
		kind = parse_icmp_kind(is_ipv6, q->l4[0]);
		if (kind == PARSE_ICMP_QUERY)
			replace_port(q, q->l4 + 4, source);
		else if (kind == PARSE_ICMP_REPLY)
			replace_port(q, q->l4 + 4, destination);
	}
}

int icmp_quoted_rewrite(struct pkt *p, const struct session_tuple *to)
{
	bool local_sent = p->dir == PKT_INGRESS; /* the quoted packet went the other way */
	struct quoted q;

	if (!(p->flags & PKT_ICMP_ERROR) || find_quoted(p, &q) != 0 ||
		addr_is_v4(&to->local) == !!(q.ip.flags & PKT_IPV6) ||
		addr_is_v4(&to->remote) != addr_is_v4(&to->local))
		return -EINVAL;
	replace_addr(&q, false, local_sent ? &to->local : &to->remote);
	replace_addr(&q, true, local_sent ? &to->remote : &to->local);
	replace_ports(&q, local_sent ? to->local_port : to->remote_port,
		local_sent ? to->remote_port : to->local_port);
	return 0;
}

static bool is_too_big(const struct pkt *p)
{
	const uint8_t *l4 = pkt_l4(p);

	return p->flags & PKT_ICMP_ERROR &&
	       (p->flags & PKT_IPV6 ? l4[0] == ICMP6_PACKET_TOO_BIG
				    : l4[0] == ICMP_DEST_UNREACH && l4[1] == ICMP_FRAG_NEEDED);
}

uint32_t icmp_mtu_told(const struct pkt *p)
{
	rte_be32_t told;

	if (!is_too_big(p))
		return 0;
	memcpy(&told, (const uint8_t *)pkt_l4(p) + 4, sizeof(told));
	return rte_be_to_cpu_32(told) & (p->flags & PKT_IPV6 ? UINT32_MAX : UINT16_MAX);
}

bool icmp_mtu_clamp(struct pkt *p, uint16_t mtu)
{
	uint8_t *l4 = pkt_l4(p);
	bool is_ipv6 = p->flags & PKT_IPV6;
	rte_be32_t now, then = rte_cpu_to_be_32(mtu);
	struct csum_change change = {.from = &now, .to = &then, .len_bytes = sizeof(then)};

	if (!is_too_big(p))
		return false;
	memcpy(&now, l4 + 4, sizeof(now));
	if (!is_ipv6) /* the upper half is unused, or a length of RFC 4884: it stays */
		then |= now & RTE_BE32(0xffff0000);
	if (rte_be_to_cpu_32(now) <= rte_be_to_cpu_32(then) &&
		(is_ipv6 || (now & RTE_BE32(0xffff)) != 0))
		return false;
	csum_l4_change(p, &change);
	memcpy(l4 + 4, &then, sizeof(then));
	return true;
}
