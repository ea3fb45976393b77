/* SPDX-License-Identifier: BSD-3-Clause */
#include "dataplane/session_icmp.h"

#include <string.h>

#include <rte_ip.h>

#define ICMP_HEADER_LEN 8
#define QUOTED_EXTENSIONS_MAX 8
#define IPV6_FRAGMENT_LEN 8

enum drop_reason session_icmp_may_open(const struct track_policy *policy, const struct pkt *p)
{
	if (p->flags & PKT_ICMP_ERROR)
		return DROP_RELATED_NONE;
	return p->flags & PKT_ICMP_QUERY ? DROP_NONE : DROP_NO_SESSION;
}

static bool read_bytes(const struct pkt *p, uint32_t off, uint32_t len, void *copy)
{
	const void *at = rte_pktmbuf_read(p->mbuf, off, len, copy);

	if (at && at != copy)
		memcpy(copy, at, len);
	return at;
}

/* Behind the extension headers of a quoted IPv6 packet; 0: broken or too many. */
static uint32_t skip_extensions(const struct pkt *p, uint8_t next, uint32_t off)
{
	uint8_t header[2];

	for (int i = 0; i < QUOTED_EXTENSIONS_MAX; i++) {
		if (next != IPPROTO_HOPOPTS && next != IPPROTO_ROUTING && next != IPPROTO_DSTOPTS &&
			next != IPPROTO_FRAGMENT)
			return off;
		if (!read_bytes(p, off, sizeof(header), header))
			return 0;
		off += next == IPPROTO_FRAGMENT ? IPV6_FRAGMENT_LEN : (header[1] + 1u) * 8;
		next = header[0];
	}
	return 0;
}

bool session_icmp_quoted_l4(const struct pkt *p, uint8_t l4[8])
{
	uint32_t off = p->l4_off + ICMP_HEADER_LEN;
	uint32_t end = off + p->payload_len;
	struct rte_ipv6_hdr v6;
	uint8_t first;

	if (p->flags & PKT_IPV6) {
		if (!read_bytes(p, off, sizeof(v6), &v6))
			return false;
		off = skip_extensions(p, v6.proto, off + sizeof(v6));
	} else {
		if (!read_bytes(p, off, 1, &first))
			return false;
		off += (first & RTE_IPV4_HDR_IHL_MASK) * RTE_IPV4_IHL_MULTIPLIER;
	}
	return off != 0 && off + 8 <= end && read_bytes(p, off, 8, l4);
}
