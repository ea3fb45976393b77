/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef FERRY_ADDR_H
#define FERRY_ADDR_H
/*
 * IP addresses outside the per-packet structs: `struct in6_addr`, IPv4 as v4-mapped
 * (::ffff:a.b.c.d, RFC 4291 2.5.5.2), so that one code serves both families.
 * A prefix length counts in the 128 bits: 10.0.0.0/8 is ::ffff:10.0.0.0/104.
 */
#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include <rte_byteorder.h>

#define ADDR_V4_BITS 96 /* prefix bits in front of a v4-mapped address */

static inline struct in6_addr addr_from_v4(rte_be32_t v4)
{
	struct in6_addr a = {.s6_addr = {[10] = 0xff, [11] = 0xff}};

	memcpy(&a.s6_addr[12], &v4, sizeof(v4));
	return a;
}

static inline bool addr_is_v4(const struct in6_addr *a)
{
	uint64_t high;
	uint32_t mid;

	memcpy(&high, a->s6_addr, sizeof(high));
	memcpy(&mid, &a->s6_addr[8], sizeof(mid));
	return high == 0 && mid == RTE_BE32(0x0000ffff);
}

static inline rte_be32_t addr_to_v4(const struct in6_addr *a)
{
	rte_be32_t v4;

	memcpy(&v4, &a->s6_addr[12], sizeof(v4));
	return v4;
}

static inline bool addr_equal(const struct in6_addr *a, const struct in6_addr *b)
{
	return memcmp(a, b, sizeof(*a)) == 0;
}

/* Is `a` inside prefix/len (len 0-128 in the mapped sense)? */
static inline bool addr_in_prefix(
	const struct in6_addr *a, const struct in6_addr *prefix, unsigned int len)
{
	unsigned int bytes = len / 8, bits = len % 8;

	if (memcmp(a->s6_addr, prefix->s6_addr, bytes) != 0)
		return false;
	return bits == 0 ||
	       ((a->s6_addr[bytes] ^ prefix->s6_addr[bytes]) & (uint8_t)(0xff00 >> bits)) == 0;
}

#endif
