/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef FERRY_CSUM_H
#define FERRY_CSUM_H
/*
 * Checksums that guests left unfinished (virtio CSUM) are finished here before a frame leaves on a path that
 * does not carry the offload; incremental updates (RFC 1624) serve translation.
 */
#include "dataplane/pkt.h"

/* Finish IPv4 header and L4 checksums asked for by m->ol_flags; clears the flags. Offsets from p. */
void csum_finish(struct pkt *p);

/* RFC 1624 eqn 3: new checksum after a 16/32-bit word or an address changed. UDP zero stays zero. */
static inline uint16_t csum_fold(uint32_t sum)
{
	sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)((sum & 0xffff) + (sum >> 16));
}

static inline rte_be16_t csum_update16(rte_be16_t csum, rte_be16_t from, rte_be16_t to)
{
	uint32_t sum = (uint16_t)~csum + (uint32_t)(uint16_t)~from + to;

	return (rte_be16_t)~csum_fold(sum);
}

rte_be16_t csum_update(rte_be16_t csum, const void *from, const void *to, uint16_t len_bytes);

#endif
