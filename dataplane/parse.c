/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The parse stage. Two paths give the same answer: parse_fast() takes what nearly all packets are
 * (untagged IPv4 without options, not a fragment, TCP or UDP, headers in one segment) and says so;
 * all else, and all that is wrong, goes through parse_frame(), which finds the reason. Only
 * parse_frame() drops.
 *
 * Any worker; no state of its own.
 */
#include "dataplane/parse.h"

#include <netinet/in.h>

#include <rte_branch_prediction.h>
#include <rte_ip.h>
#include <rte_tcp.h>
#include <rte_udp.h>

#include "dataplane/addr.h"
#include "dataplane/csum.h"
#include "dataplane/parse_ip.h"

#define ETH_LEN ((uint16_t)sizeof(struct rte_ether_hdr))
#define IPV4_LEN ((uint16_t)sizeof(struct rte_ipv4_hdr))
#define TCP_LEN ((uint16_t)sizeof(struct rte_tcp_hdr))
#define UDP_LEN ((uint16_t)sizeof(struct rte_udp_hdr))
#define FAST_LEN (ETH_LEN + IPV4_LEN + TCP_LEN)

/* Headers are gathered up to here: frame, extensions, ICMP, quoted packet with its own extensions.
 */
#define GATHER_LEN 1280

#define QUOTED_L4_LEN 8 /* RFC 792: what an error quotes at least */

struct parse_ports {
	rte_be16_t source, destination;
};

static inline uint16_t load16(const uint8_t *b)
{
	uint16_t v;

	__builtin_memcpy(&v, b, sizeof(v));
	return v;
}

static inline uint32_t load32(const uint8_t *b)
{
	uint32_t v;

	__builtin_memcpy(&v, b, sizeof(v));
	return v;
}

static inline uint64_t load64(const uint8_t *b)
{
	uint64_t v;

	__builtin_memcpy(&v, b, sizeof(v));
	return v;
}

/* The key is made in registers: words read back from smaller stores would stall the hash. */
static __rte_always_inline void put_key(
	struct pkt *p, uint32_t vni_proto, uint32_t ports, uint64_t addresses)
{
	const struct session_key key = {.word = {vni_proto | (uint64_t)ports << 32, addresses}};

	p->key = key;
	p->hash = session_key_hash(&key);
}

/*
 * In memory order (source, destination) is (local, remote) of an egress packet; the other direction
 * is the same turned by half its width.
 */
static __rte_always_inline uint32_t turn_ports(uint32_t ports, unsigned int dir)
{
	unsigned int turn = dir * 16;

	return ports << turn | ports >> (-turn & 31);
}

static __rte_always_inline void key4(struct pkt *p, uint32_t vni_proto, const uint8_t *addresses,
	uint32_t ports, unsigned int dir)
{
	uint64_t pair = load64(addresses);
	unsigned int turn = dir * 32;

	pair = pair << turn | pair >> (-turn & 63);
	put_key(p, vni_proto, turn_ports(ports, dir), pair);
}

static void key6(struct pkt *p, uint32_t vni_proto, const uint8_t *addresses, uint32_t ports,
	unsigned int dir)
{
	struct in6_addr pair[2];

	memcpy(pair, addresses, sizeof(pair));
	put_key(p, vni_proto, turn_ports(ports, dir), session_key_fold6(&pair[dir], &pair[!dir]));
}

static void set_key(struct pkt *p, uint32_t vni_proto, const uint8_t *l3, struct parse_ports ports,
	unsigned int dir)
{
	uint32_t both = (uint32_t)ports.destination << 16 | ports.source;

	if (l3[0] >> 4 == 6)
		key6(p, vni_proto, l3 + offsetof(struct rte_ipv6_hdr, src_addr), both, dir);
	else
		key4(p, vni_proto, l3 + offsetof(struct rte_ipv4_hdr, src_addr), both, dir);
}

/* Copy the first `want` bytes of a chain together in its first segment, where it has the room. */
static void gather(struct rte_mbuf *m, uint32_t want)
{
	struct rte_mbuf *next = m->next;

	if (want > m->pkt_len)
		want = m->pkt_len;
	if (!RTE_MBUF_DIRECT(m) || rte_mbuf_refcnt_read(m) != 1 || want <= m->data_len ||
		want - m->data_len > rte_pktmbuf_tailroom(m))
		return;
	while (m->data_len < want && next != NULL) {
		uint16_t n = (uint16_t)RTE_MIN(want - m->data_len, next->data_len);

		memcpy(rte_pktmbuf_mtod_offset(m, uint8_t *, m->data_len),
			rte_pktmbuf_mtod(next, const uint8_t *), n);
		m->data_len += n;
		next->data_off += n;
		next->data_len -= n;
		if (next->data_len == 0) {
			m->next = next->next;
			m->nb_segs--;
			next->next = NULL;
			next->nb_segs = 1;
			rte_pktmbuf_free_seg(next);
			next = m->next;
		}
	}
}

/* The least length of the L4 header of a protocol that parse knows; 0: any other. */
static uint32_t header_need(uint8_t proto, bool is_ipv6)
{
	switch (proto) {
	case IPPROTO_TCP:
		return sizeof(struct rte_tcp_hdr);
	case IPPROTO_UDP:
		return sizeof(struct rte_udp_hdr);
	case IPPROTO_SCTP:
		return 12;
	case IPPROTO_ICMP:
		return is_ipv6 ? 0 : 8;
	case IPPROTO_ICMPV6:
		return is_ipv6 ? 8 : 0;
	default:
		return 0;
	}
}

/* False for an error about an error, which must not be (RFC 1122 3.2.2). */
static bool quoted_icmp_ports(bool is_ipv6, const uint8_t *l4, struct parse_ports *ports)
{
	switch (parse_icmp_kind(is_ipv6, l4[0])) {
	case PARSE_ICMP_ERROR:
		return false;
	case PARSE_ICMP_QUERY:
		ports->source = load16(l4 + 4);
		break;
	case PARSE_ICMP_REPLY:
		ports->destination = load16(l4 + 4);
		break;
	default:
		break;
	}
	return true;
}

/* Was the quoted packet sent by whom the error is for? */
static bool quoted_is_of(const struct pkt *p, const uint8_t *quoted_l3)
{
	const uint8_t *l3 = pkt_l3(p);

	if (p->flags & PKT_IPV6)
		return memcmp(l3 + offsetof(struct rte_ipv6_hdr, dst_addr),
			       quoted_l3 + offsetof(struct rte_ipv6_hdr, src_addr),
			       sizeof(struct in6_addr)) == 0;
	return memcmp(l3 + offsetof(struct rte_ipv4_hdr, dst_addr),
		       quoted_l3 + offsetof(struct rte_ipv4_hdr, src_addr),
		       sizeof(rte_be32_t)) == 0;
}

/* The packet quoted in an ICMP error names the session; it went the other way. */
static enum drop_reason parse_quoted(struct pkt *p, uint32_t vni, const uint8_t *l3, uint32_t avail)
{
	struct parse_ports ports = {0, 0};
	struct parse_ip ip;
	const uint8_t *l4;
	bool is_ipv6 = p->flags & PKT_IPV6;

	if (parse_ip_quoted(l3, avail, &ip) != DROP_NONE || (ip.flags ^ p->flags) & PKT_IPV6)
		return DROP_BAD_L4;
	if (!quoted_is_of(p, l3))
		return DROP_BAD_L4;
	l4 = l3 + ip.header_len;
	if (!(ip.flags & PKT_LATER_FRAGMENT) && header_need(ip.proto, is_ipv6) != 0) {
		if (avail < ip.header_len + QUOTED_L4_LEN)
			return DROP_BAD_L4;
		if (ip.proto != (is_ipv6 ? IPPROTO_ICMPV6 : IPPROTO_ICMP))
			ports = (struct parse_ports){load16(l4), load16(l4 + 2)};
		else if (!quoted_icmp_ports(is_ipv6, l4, &ports))
			return DROP_BAD_L4;
	}
	p->flags |= PKT_ICMP_ERROR;
	set_key(p, vni << 8 | ip.proto, l3, ports, p->dir == PKT_EGRESS ? PKT_INGRESS : PKT_EGRESS);
	return DROP_NONE;
}

static enum drop_reason parse_icmp(struct pkt *p, uint32_t vni, uint32_t avail)
{
	const uint8_t *l4 = pkt_l4(p);
	struct parse_ports ports = {0, 0};

	switch (parse_icmp_kind(p->flags & PKT_IPV6, l4[0])) {
	case PARSE_ICMP_ERROR:
		if (p->flags & PKT_FRAGMENT)
			return DROP_BAD_L4;
		return parse_quoted(p, vni, l4 + 8, RTE_MIN(avail, p->payload_len + 8u) - 8);
	case PARSE_ICMP_QUERY:
		p->flags |= PKT_ICMP_QUERY;
		ports.source = load16(l4 + 4);
		break;
	case PARSE_ICMP_REPLY:
		ports.destination = load16(l4 + 4);
		break;
	default:
		break;
	}
	set_key(p, vni << 8 | p->proto, pkt_l3(p), ports, p->dir);
	return DROP_NONE;
}

static enum drop_reason split_header(struct pkt *p, uint32_t vni, uint32_t len)
{
	if (!(p->flags & PKT_FRAGMENT) || p->flags & PKT_IPV6)
		return DROP_BAD_L4;
	p->flags |= PKT_SPLIT_HEADER;
	p->payload_len = (uint16_t)len;
	set_key(p, vni << 8 | p->proto, pkt_l3(p), (struct parse_ports){0, 0}, p->dir);
	return DROP_NONE;
}

/* `len`: bytes of L4 by the IP length; `avail`: those that may be read. */
static enum drop_reason parse_l4(struct pkt *p, uint32_t vni, uint32_t len, uint32_t avail)
{
	bool is_ipv6 = p->flags & PKT_IPV6;
	uint32_t need = header_need(p->proto, is_ipv6);
	struct parse_ports ports = {0, 0};
	const uint8_t *l4 = pkt_l4(p);

	if (p->flags & PKT_LATER_FRAGMENT)
		need = 0;
	if (need != 0) {
		if (len < need)
			return split_header(p, vni, len);
		if (avail < need)
			return DROP_SHORT;
		if (p->proto == IPPROTO_TCP) {
			need = (l4[12] >> 4) * 4u;
			if (need < sizeof(struct rte_tcp_hdr))
				return DROP_BAD_L4;
			if (len < need)
				return split_header(p, vni, len);
			if (avail < need)
				return DROP_SHORT;
			p->tcp_flags = l4[13];
		}
		if (p->proto == IPPROTO_UDP) {
			uint32_t udp_len = rte_be_to_cpu_16(load16(l4 + 4));

			if (udp_len < need || (udp_len > len && !(p->flags & PKT_FRAGMENT)))
				return DROP_BAD_L4;
			len = RTE_MIN(len, udp_len);
		}
	}
	p->payload_len = (uint16_t)(len - need);
	if (need != 0 && p->proto == (is_ipv6 ? IPPROTO_ICMPV6 : IPPROTO_ICMP))
		return parse_icmp(p, vni, avail);
	if (need != 0)
		ports = (struct parse_ports){load16(l4), load16(l4 + 2)};
	set_key(p, vni << 8 | p->proto, pkt_l3(p), ports, p->dir);
	return DROP_NONE;
}

/* No session's key, but it says in which VPC the frame is. */
static enum drop_reason not_ip(struct pkt *p, const struct rte_mbuf *m, uint32_t vni)
{
	if (m->data_len < ETH_LEN + 28) /* RFC 826 for Ethernet and IPv4; RARP is alike */
		return DROP_SHORT;
	p->flags |= PKT_NOT_IP;
	p->key.word[0] = 0;
	p->key.word[1] = 0;
	p->key.vni_proto = vni << 8;
	p->hash = 0;
	return DROP_NONE;
}

static enum drop_reason parse_frame(struct pkt *p, uint32_t vni)
{
	struct rte_mbuf *m = p->mbuf;
	struct parse_ip_input in;
	struct parse_ip ip;
	const uint8_t *d;
	enum drop_reason reason;

	if (unlikely(m->nb_segs > 1))
		gather(m, GATHER_LEN);
	if (m->data_len < ETH_LEN)
		return DROP_SHORT;
	p->l3_off = p->l4_off = ETH_LEN;
	p->payload_len = 0;
	p->ip_len = 0;
	p->proto = 0;
	p->tcp_flags = 0;
	d = rte_pktmbuf_mtod(m, const uint8_t *);
	if (d[0] & 1)
		p->flags |= PKT_MULTICAST;
	in = (struct parse_ip_input){.l3 = d + ETH_LEN,
		.avail = m->data_len - (uint32_t)ETH_LEN,
		.total = m->pkt_len - ETH_LEN};
	switch (load16(d + 12)) {
	case RTE_BE16(RTE_ETHER_TYPE_IPV4):
		reason = parse_ip4(&in, &ip);
		break;
	case RTE_BE16(RTE_ETHER_TYPE_IPV6):
		reason = parse_ip6(&in, &ip);
		break;
	case RTE_BE16(RTE_ETHER_TYPE_ARP):
	case RTE_BE16(RTE_ETHER_TYPE_RARP):
		return not_ip(p, m, vni);
	default:
		return DROP_BAD_ETHER;
	}
	if (reason != DROP_NONE)
		return reason;
	p->l4_off = (uint16_t)(ETH_LEN + ip.header_len);
	p->ip_len = (uint16_t)RTE_MIN(ip.header_len + ip.payload_len, (uint32_t)UINT16_MAX);
	p->proto = ip.proto;
	p->flags |= ip.flags;
	return parse_l4(p, vni, ip.payload_len, in.avail - ip.header_len);
}

/*
 * False: not the common case, nothing decided. TCP and UDP are told apart by a mask and not by a
 * branch, for traffic mixes both; all that may be too short is a difference that must not be
 * negative, and one test looks at all signs together. All of the packet is in the first segment. A
 * UDP packet needs its 8 bytes only, but frames shorter than FAST_LEN are rare enough for the other
 * path.
 */
static __rte_always_inline bool parse_fast(struct pkt *p, uint32_t vni, enum pkt_dir dir)
{
	const struct rte_mbuf *m = p->mbuf;
	const uint8_t *d = rte_pktmbuf_mtod(m, const uint8_t *);
	const uint8_t *l3 = d + ETH_LEN, *l4 = l3 + IPV4_LEN;
	int32_t tcp, total, header, least, end;
	uint8_t proto;

	if (unlikely(m->data_len < FAST_LEN))
		return false;
	/* EtherType, version and header length in one word; fragment offset and MF in another */
	if (unlikely((load32(d + 12) & RTE_BE32(0xffffff00)) != RTE_BE32(0x08004500) ||
		     (load16(l3 + 6) & RTE_BE16(0x3fff)) != 0))
		return false;
	proto = l3[9];
	if (unlikely(proto != IPPROTO_TCP && proto != IPPROTO_UDP))
		return false;
	tcp = -(proto == IPPROTO_TCP);
	total = rte_be_to_cpu_16(load16(l3 + 2));
	least = UDP_LEN + (tcp & (TCP_LEN - UDP_LEN));
	header = UDP_LEN + (tcp & ((l4[12] >> 2 & 0x3c) - UDP_LEN));
	end = rte_be_to_cpu_16(load16(l4 + 4)); /* of UDP; by the IP length for TCP */
	end += tcp & (total - IPV4_LEN - end);
	if (unlikely(((header - least) | (end - header) | (total - IPV4_LEN - end) |
			     (m->data_len - ETH_LEN - total)) < 0 ||
		     !csum_header4_ok(l3)))
		return false;
	if (unlikely(d[0] & 1))
		p->flags |= PKT_MULTICAST;
	p->drop = DROP_NONE;
	p->l3_off = ETH_LEN;
	p->l4_off = ETH_LEN + IPV4_LEN;
	p->ip_len = (uint16_t)total;
	p->payload_len = (uint16_t)(end - header);
	p->proto = proto;
	p->tcp_flags = l4[13] & (uint8_t)tcp;
	key4(p, vni << 8 | proto, l3 + offsetof(struct rte_ipv4_hdr, src_addr), load32(l4), dir);
	return true;
}

void parse_packet(struct pkt *p, uint32_t vni)
{
	if (!parse_fast(p, vni, p->dir))
		p->drop = parse_frame(p, vni);
}

bool parse_egress(struct pkt **pkts, uint16_t count, uint32_t vni)
{
	bool dropped = false;

	for (uint16_t i = 0; i < count; i++) {
		if (likely(parse_fast(pkts[i], vni, PKT_EGRESS)))
			continue;
		pkts[i]->drop = parse_frame(pkts[i], vni);
		dropped |= pkts[i]->drop != DROP_NONE;
	}
	return dropped;
}

bool parse_ingress(struct pkt **pkts, uint16_t count, const uint32_t *vni)
{
	bool dropped = false;

	for (uint16_t i = 0; i < count; i++) {
		if (likely(parse_fast(pkts[i], vni[i], PKT_INGRESS)))
			continue;
		pkts[i]->drop = parse_frame(pkts[i], vni[i]);
		dropped |= pkts[i]->drop != DROP_NONE;
	}
	return dropped;
}

void parse_addresses(const struct pkt *p, struct in6_addr *source, struct in6_addr *destination)
{
	if (p->flags & PKT_IPV6) {
		const struct rte_ipv6_hdr *ip = pkt_l3(p);

		memcpy(source, ip->src_addr, sizeof(*source));
		memcpy(destination, ip->dst_addr, sizeof(*destination));
	} else {
		const struct rte_ipv4_hdr *ip = pkt_l3(p);

		*source = addr_from_v4(ip->src_addr);
		*destination = addr_from_v4(ip->dst_addr);
	}
}

void parse_addresses6(const struct pkt *p, struct session_addresses6 *a6)
{
	bool error = p->flags & PKT_ICMP_ERROR;
	const uint8_t *l3 = error ? (const uint8_t *)pkt_l4(p) + 8 : pkt_l3(p);
	unsigned int dir = error ? !p->dir : p->dir;
	struct in6_addr pair[2];

	memcpy(pair, l3 + offsetof(struct rte_ipv6_hdr, src_addr), sizeof(pair));
	a6->local = pair[dir];
	a6->remote = pair[!dir];
}

void parse_tuple(const struct pkt *p, struct session_tuple *tuple)
{
	struct session_addresses6 a6;

	if (p->flags & PKT_IPV6)
		parse_addresses6(p, &a6);
	session_key_unpack(&p->key, p->flags & PKT_IPV6 ? &a6 : NULL, tuple);
}

uint16_t parse_fragment6_off(const struct pkt *p)
{
	struct parse_ip_input in = {
		.l3 = pkt_l3(p), .avail = p->mbuf->data_len - (uint32_t)p->l3_off, .quoted = true};
	struct parse_ip ip;

	if (!(p->flags & PKT_IPV6) || parse_ip6(&in, &ip) != DROP_NONE || ip.fragment_off == 0)
		return 0;
	return p->l3_off + ip.fragment_off;
}
