/* SPDX-License-Identifier: BSD-3-Clause */
#include "dataplane/parse_ip.h"

#include <netinet/icmp6.h>
#include <netinet/in.h>
#include <netinet/ip_icmp.h>

#include <rte_ip.h>

#include "dataplane/csum.h"
#include "dataplane/parse.h"
#include "dataplane/pkt.h"

#define IPV4_OPT_END 0
#define IPV4_OPT_NOP 1
#define IPV4_OPT_LSRR 131
#define IPV4_OPT_SSRR 137

static uint16_t be16_at(const uint8_t *b)
{
	return (uint16_t)(b[0] << 8 | b[1]);
}

static enum drop_reason check_options4(const uint8_t *opt, uint32_t len)
{
	while (len > 0 && opt[0] != IPV4_OPT_END) {
		uint32_t step = 1;

		if (opt[0] != IPV4_OPT_NOP) {
			if (len < 2 || opt[1] < 2 || opt[1] > len)
				return DROP_BAD_IP;
			if (opt[0] == IPV4_OPT_LSRR || opt[0] == IPV4_OPT_SSRR)
				return DROP_IP_OPTIONS;
			step = opt[1];
		}
		opt += step;
		len -= step;
	}
	return DROP_NONE;
}

/* A fragment's place in its datagram (offset in bytes, more to come), alike in both families. */
static enum drop_reason check_fragment(struct parse_ip *ip, uint32_t offset, bool more, bool quoted)
{
	if (offset == 0 && !more)
		return DROP_NONE;
	ip->flags |= PKT_FRAGMENT | (offset ? PKT_LATER_FRAGMENT : 0);
	if (quoted)
		return DROP_NONE;
	if (ip->payload_len == 0 || (more && ip->payload_len % 8 != 0))
		return DROP_BAD_IP;
	return DROP_NONE;
}

enum drop_reason parse_ip4(const struct parse_ip_input *in, struct parse_ip *ip)
{
	const uint8_t *l3 = in->l3;
	uint32_t ihl, total;
	uint16_t fragment;
	enum drop_reason reason;

	if (in->avail < sizeof(struct rte_ipv4_hdr))
		return DROP_SHORT;
	ihl = (l3[0] & 0xf) * 4u;
	total = be16_at(l3 + 2);
	if (l3[0] >> 4 != 4 || ihl < sizeof(struct rte_ipv4_hdr) || total < ihl)
		return DROP_BAD_IP;
	if (in->avail < ihl)
		return DROP_SHORT;
	if (!in->quoted) {
		if (total > in->total || rte_raw_cksum(l3, ihl) != 0xffff)
			return DROP_BAD_IP;
		reason = check_options4(l3 + sizeof(struct rte_ipv4_hdr),
			ihl - (uint32_t)sizeof(struct rte_ipv4_hdr));
		if (reason != DROP_NONE)
			return reason;
	}
	ip->header_len = ihl;
	ip->payload_len = total - ihl;
	ip->flags = 0;
	ip->fragment_off = 0;
	ip->proto = l3[9];
	fragment = be16_at(l3 + 6);
	return check_fragment(ip, (fragment & RTE_IPV4_HDR_OFFSET_MASK) * 8u,
		fragment & RTE_IPV4_HDR_MF_FLAG, in->quoted);
}

static bool is_extension(uint8_t proto)
{
	return proto == IPPROTO_HOPOPTS || proto == IPPROTO_DSTOPTS || proto == IPPROTO_ROUTING ||
	       proto == IPPROTO_FRAGMENT;
}

/* One extension header at ip->header_len, of type ip->proto: step over it. */
static enum drop_reason skip_extension(const struct parse_ip_input *in, struct parse_ip *ip)
{
	const uint8_t *h = in->l3 + ip->header_len;
	uint32_t len = 8;
	uint8_t type = ip->proto;

	if (ip->payload_len < 8)
		return DROP_BAD_IP;
	if (in->avail < ip->header_len + 8)
		return DROP_SHORT;
	if (type != IPPROTO_FRAGMENT)
		len += h[1] * 8u;
	if (len > ip->payload_len || (type == IPPROTO_HOPOPTS && ip->header_len != 40))
		return DROP_BAD_IP;
	if (type == IPPROTO_ROUTING && h[3] != 0 && !in->quoted)
		return DROP_IP_OPTIONS;
	if (type == IPPROTO_FRAGMENT && ip->fragment_off != 0)
		return DROP_BAD_IP;
	if (in->avail < ip->header_len + len)
		return DROP_SHORT;
	ip->proto = h[0];
	ip->payload_len -= len;
	if (type == IPPROTO_FRAGMENT) {
		uint16_t field = be16_at(h + 2);

		ip->fragment_off = (uint16_t)ip->header_len;
		ip->header_len += len;
		return check_fragment(ip, field & 0xfff8, field & 1, in->quoted);
	}
	ip->header_len += len;
	return DROP_NONE;
}

enum drop_reason parse_ip6(const struct parse_ip_input *in, struct parse_ip *ip)
{
	const uint8_t *l3 = in->l3;
	unsigned int count = 0;

	if (in->avail < sizeof(struct rte_ipv6_hdr))
		return DROP_SHORT;
	ip->header_len = sizeof(struct rte_ipv6_hdr);
	ip->payload_len = be16_at(l3 + 4);
	ip->flags = PKT_IPV6;
	ip->fragment_off = 0;
	ip->proto = l3[6];
	if (l3[0] >> 4 != 6)
		return DROP_BAD_IP;
	if (!in->quoted && ip->header_len + ip->payload_len > in->total)
		return DROP_BAD_IP;
	while (is_extension(ip->proto) && !(ip->flags & PKT_LATER_FRAGMENT)) {
		enum drop_reason reason;

		if (count++ == PARSE_EXTENSIONS_MAX)
			return DROP_BAD_IP;
		reason = skip_extension(in, ip);
		if (reason != DROP_NONE)
			return reason;
		if (ip->header_len > sizeof(struct rte_ipv6_hdr) + PARSE_EXTENSIONS_BYTES)
			return DROP_BAD_IP;
	}
	return DROP_NONE;
}

enum drop_reason parse_ip_quoted(const uint8_t *l3, uint32_t avail, struct parse_ip *ip)
{
	struct parse_ip_input in = {.l3 = l3, .avail = avail, .total = avail, .quoted = true};

	if (avail == 0)
		return DROP_SHORT;
	return l3[0] >> 4 == 6 ? parse_ip6(&in, ip) : parse_ip4(&in, ip);
}

enum parse_icmp_kind parse_icmp_kind(bool is_ipv6, uint8_t type)
{
	static const uint8_t v4[19] = {
		[ICMP_DEST_UNREACH] = PARSE_ICMP_ERROR,
		[ICMP_SOURCE_QUENCH] = PARSE_ICMP_ERROR,
		[ICMP_REDIRECT] = PARSE_ICMP_ERROR,
		[ICMP_TIME_EXCEEDED] = PARSE_ICMP_ERROR,
		[ICMP_PARAMETERPROB] = PARSE_ICMP_ERROR,
		[ICMP_ECHO] = PARSE_ICMP_QUERY,
		[ICMP_TIMESTAMP] = PARSE_ICMP_QUERY,
		[ICMP_INFO_REQUEST] = PARSE_ICMP_QUERY,
		[ICMP_ADDRESS] = PARSE_ICMP_QUERY,
		[ICMP_ECHOREPLY] = PARSE_ICMP_REPLY,
		[ICMP_TIMESTAMPREPLY] = PARSE_ICMP_REPLY,
		[ICMP_INFO_REPLY] = PARSE_ICMP_REPLY,
		[ICMP_ADDRESSREPLY] = PARSE_ICMP_REPLY,
	};

	if (!is_ipv6)
		return type < RTE_DIM(v4) ? (enum parse_icmp_kind)v4[type] : PARSE_ICMP_OTHER;
	if (type >= ICMP6_DST_UNREACH && type <= ICMP6_PARAM_PROB)
		return PARSE_ICMP_ERROR;
	if (type == ICMP6_ECHO_REQUEST)
		return PARSE_ICMP_QUERY;
	return type == ICMP6_ECHO_REPLY ? PARSE_ICMP_REPLY : PARSE_ICMP_OTHER;
}
