/* SPDX-License-Identifier: BSD-3-Clause */
#include "dataplane/frag.h"

#include <rte_ip.h>
#include <rte_ip_frag.h>

#define ETH_LEN ((uint16_t)sizeof(struct rte_ether_hdr))

/* What rte_ipv4_fragment_packet() leaves to its caller: header checksum and Ethernet. */
static void finish_piece(struct rte_mbuf *piece, const uint8_t *l2, uint16_t l2_len)
{
	struct rte_ipv4_hdr *ip = rte_pktmbuf_mtod(piece, struct rte_ipv4_hdr *);

	ip->hdr_checksum = 0;
	ip->hdr_checksum = (rte_be16_t)~rte_raw_cksum(ip, rte_ipv4_hdr_len(ip));
	memcpy(rte_pktmbuf_prepend(piece, l2_len), l2, l2_len);
}

uint16_t frag_split(struct rte_mbuf *m, uint16_t mtu, struct rte_mempool *pool,
	struct rte_mbuf **out, uint16_t max)
{
	const uint8_t *l2 = rte_pktmbuf_mtod(m, const uint8_t *);
	const struct rte_ipv4_hdr *ip = (const struct rte_ipv4_hdr *)(l2 + ETH_LEN);
	int32_t count;

	if (ip->version_ihl >> 4 != 4)
		return 0;
	pkt_truncate(m, ETH_LEN + rte_be_to_cpu_16(ip->total_length));
	rte_pktmbuf_adj(m, ETH_LEN);
	/* Each piece: a header of its own and references to m's data. Refuses DF. */
	count = rte_ipv4_fragment_packet(m, out, max, mtu, pool, pool);
	if (count <= 0) {
		rte_pktmbuf_prepend(m, ETH_LEN);
		return 0;
	}
	for (int32_t i = 0; i < count; i++)
		finish_piece(out[i], l2, ETH_LEN);
	rte_pktmbuf_free(m);
	return (uint16_t)count;
}
