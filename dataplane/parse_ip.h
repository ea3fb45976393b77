/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef FERRY_PARSE_IP_H
#define FERRY_PARSE_IP_H
/*
 * One IPv4 or IPv6 header with all that belongs to it (options, extension headers), wherever it
 * lies: in a frame or quoted in an ICMP error. Used by parse, icmp and frag; reads only, any
 * thread.
 */
#include <stdbool.h>
#include <stdint.h>

#include "dataplane/drop.h"

struct parse_ip {
	uint32_t header_len; /* up to L4, or to the data of a later fragment */
	uint32_t payload_len; /* what follows, by the IP length */
	uint16_t flags; /* PKT_IPV6, PKT_FRAGMENT, PKT_LATER_FRAGMENT */
	uint16_t fragment_off; /* of the IPv6 Fragment header from the IP header; 0: none */
	uint8_t proto;
};

/*
 * `avail`: bytes at l3 that may be read. `total`: bytes of the whole IP packet present (>= avail;
 * the rest lies in other segments). `quoted`: the packet may be cut and its checksum is not looked
 * at.
 */
struct parse_ip_input {
	const uint8_t *l3;
	uint32_t avail;
	uint32_t total;
	bool quoted;
};

enum drop_reason parse_ip4(const struct parse_ip_input *in, struct parse_ip *ip);
enum drop_reason parse_ip6(const struct parse_ip_input *in, struct parse_ip *ip);

/* By version nibble, for a quoted packet. */
enum drop_reason parse_ip_quoted(const uint8_t *l3, uint32_t avail, struct parse_ip *ip);

/* What an ICMP type is, by the protocol it belongs to. */
enum parse_icmp_kind { PARSE_ICMP_OTHER, PARSE_ICMP_ERROR, PARSE_ICMP_QUERY, PARSE_ICMP_REPLY };
enum parse_icmp_kind parse_icmp_kind(bool is_ipv6, uint8_t type);

#endif
