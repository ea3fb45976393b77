/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef FERRY_CSUM_H
#define FERRY_CSUM_H
/*
 * Internet checksums (RFC 1071). Those that guests left unfinished (virtio CSUM) are finished here
 * before a frame leaves on a path that does not carry the offload; incremental updates (RFC 1624)
 * serve translation. Any worker; parsed packets only; nothing here allocates.
 *
 * "Unfinished" is what either DPDK form says: an L4 flag of the Tx kind (RTE_MBUF_F_TX_*_CKSUM), or
 * the Rx kind RTE_MBUF_F_RX_L4_CKSUM_NONE of a vhost port with compliant flags.
 */
#include <stdbool.h>
#include <stdint.h>

#include "dataplane/pkt.h"

/* Flags without which nothing is unfinished. */
#define CSUM_UNFINISHED_FLAGS (RTE_MBUF_F_TX_L4_MASK | RTE_MBUF_F_RX_L4_CKSUM_MASK)

static inline bool csum_unfinished(const struct rte_mbuf *m)
{
	return (m->ol_flags & RTE_MBUF_F_TX_L4_MASK) != 0 ||
	       (m->ol_flags & RTE_MBUF_F_RX_L4_CKSUM_MASK) == RTE_MBUF_F_RX_L4_CKSUM_NONE;
}

/*
 * Finish IPv4 header and L4 checksum (TCP, UDP, ICMPv6, SCTP) when m->ol_flags ask for it, then
 * clear the checksum flags. Offsets come from p, not from the mbuf. A frame without such flags is
 * not touched; nor are the bytes of a fragment, whose checksum no single piece can finish.
 */
void csum_finish(struct pkt *p);

static inline uint16_t csum_fold(uint32_t sum)
{
	sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)((sum & 0xffff) + (sum >> 16));
}

/*
 * Is the one's complement sum of a 20-byte IPv4 header right (RFC 1071)? The order of bytes and
 * words does not matter, and 2^16 is 1 modulo 65535: any sum of its words must be a multiple of
 * 65535 (it is not zero: the version is not). A multiple of an odd number d is what gives at most
 * (2^64 - 1) / d when it is multiplied by the inverse of d modulo 2^64.
 */
#define CSUM_INVERSE_65535 0xfffefffefffeffffULL

static __rte_always_inline bool csum_header4_ok(const uint8_t *l3)
{
	uint64_t sum = 0;
	uint32_t word;

	for (int i = 0; i < 20; i += 4) {
		__builtin_memcpy(&word, l3 + i, sizeof(word));
		sum += word;
	}
	return sum * CSUM_INVERSE_65535 <= UINT64_MAX / 65535;
}

/* RFC 1624 eqn 3: the checksum after one 16-bit word, or `len_bytes` (even) of them, changed. */
static inline rte_be16_t csum_update16(rte_be16_t csum, rte_be16_t from, rte_be16_t to)
{
	uint32_t sum = (uint16_t)~csum + (uint32_t)(uint16_t)~from + to;

	return (rte_be16_t)~csum_fold(sum);
}

rte_be16_t csum_update(rte_be16_t csum, const void *from, const void *to, uint16_t len_bytes);

/* The same for UDP: zero means "none" and stays; a result of zero is sent as 0xffff (RFC 768). */
rte_be16_t csum_update_udp(rte_be16_t csum, const void *from, const void *to, uint16_t len_bytes);

/*
 * Part of p changed in place from `from` to `to`: keep its L4 checksum true. `pseudo`: the bytes
 * are an address (they count only where a pseudo header does: not for ICMPv4 and SCTP); else they
 * are part of the L4 header. Does nothing for later fragments, unfinished checksums and protocols
 * without one. For SCTP see csum_sctp_change().
 */
struct csum_change {
	const void *from, *to;
	uint16_t len_bytes;
	bool pseudo;
};
void csum_l4_change(struct pkt *p, const struct csum_change *change);

/*
 * Is the L4 checksum of a whole, finished packet right? True without one (and for SCTP, which its
 * receiver checks). Reads all of the packet.
 */
bool csum_l4_ok(const struct pkt *p);

/* What the CRC32C field of a whole SCTP packet should hold (RFC 9260 appendix A). */
rte_le32_t csum_sctp_of(const struct pkt *p);
/* The packet has changed; `before`: csum_sctp_of() before it did. A wrong checksum stays wrong. */
void csum_sctp_change(struct pkt *p, rte_le32_t before);

/*
 * One's complement sum (not inverted, folded) of the pseudo header of p's IP header for `len_bytes`
 * of `proto`; network order as it lies in memory.
 */
uint16_t csum_pseudo(const void *ip, bool is_ipv6, uint8_t proto, uint32_t len_bytes);

/* Checksum of len_bytes from off with `initial` added: what a field that held zero must hold. */
rte_be16_t csum_mbuf(const struct rte_mbuf *m, uint32_t off, uint32_t len_bytes, uint16_t initial);

#endif
