/* SPDX-License-Identifier: BSD-3-Clause */
#include "dataplane/csum.h"

#include <netinet/in.h>

#include <rte_hash_crc.h>
#include <rte_ip.h>
#include <rte_sctp.h>
#include <rte_tcp.h>
#include <rte_udp.h>

#define CSUM_FLAGS \
	(RTE_MBUF_F_TX_L4_MASK | RTE_MBUF_F_TX_IP_CKSUM | RTE_MBUF_F_TX_IPV4 | \
		RTE_MBUF_F_TX_IPV6 | RTE_MBUF_F_RX_L4_CKSUM_MASK | RTE_MBUF_F_RX_IP_CKSUM_MASK)

/* Where the checksum lies in the L4 header, and whether it covers a pseudo header. */
struct csum_place {
	uint8_t off;
	bool pseudo;
	bool optional; /* UDP: zero is "none" */
};

/* False for a protocol without a checksum that parse has found to be there. */
static bool csum_place(const struct pkt *p, struct csum_place *place)
{
	switch (p->proto) {
	case IPPROTO_TCP:
		*place = (struct csum_place){offsetof(struct rte_tcp_hdr, cksum), true, false};
		return true;
	case IPPROTO_UDP:
		*place = (struct csum_place){offsetof(struct rte_udp_hdr, dgram_cksum), true, true};
		return true;
	case IPPROTO_ICMP:
		*place = (struct csum_place){2, false, false};
		return !(p->flags & PKT_IPV6); /* of the other family it is any protocol */
	case IPPROTO_ICMPV6:
		*place = (struct csum_place){2, true, false};
		return p->flags & PKT_IPV6;
	default:
		return false;
	}
}

/* Bytes of L4 by the IP header: payload_len of UDP leaves out what its own length leaves out. */
static uint32_t l4_len(const struct pkt *p)
{
	const uint8_t *l3 = pkt_l3(p);
	uint32_t total;

	if (p->proto == IPPROTO_UDP)
		return sizeof(struct rte_udp_hdr) + p->payload_len;
	if (p->flags & PKT_IPV6)
		total = sizeof(struct rte_ipv6_hdr) +
			rte_be_to_cpu_16(((const struct rte_ipv6_hdr *)l3)->payload_len);
	else
		total = rte_be_to_cpu_16(((const struct rte_ipv4_hdr *)l3)->total_length);
	return total - (p->l4_off - p->l3_off);
}

uint16_t csum_pseudo(const void *ip, bool is_ipv6, uint8_t proto, uint32_t len_bytes)
{
	uint32_t tail[2] = {rte_cpu_to_be_32(len_bytes), rte_cpu_to_be_32(proto)};
	uint32_t sum = __rte_raw_cksum(tail, sizeof(tail), 0);

	if (is_ipv6)
		sum = __rte_raw_cksum(((const struct rte_ipv6_hdr *)ip)->src_addr, 32, sum);
	else
		sum = __rte_raw_cksum(&((const struct rte_ipv4_hdr *)ip)->src_addr, 8, sum);
	return __rte_raw_cksum_reduce(sum);
}

/*
 * Not rte_raw_cksum_mbuf(): in DPDK 22.11 it loses the carries of a segment that begins at an odd
 * byte. Beyond the end, which parse has excluded, bytes count as zero.
 */
rte_be16_t csum_mbuf(const struct rte_mbuf *m, uint32_t off, uint32_t len_bytes, uint16_t initial)
{
	uint32_t sum = initial, done = 0;

	for (; m != NULL && done < len_bytes; m = m->next) {
		uint32_t n;
		uint16_t part;

		if (off >= m->data_len) {
			off -= m->data_len;
			continue;
		}
		n = RTE_MIN(len_bytes - done, m->data_len - off);
		part = rte_raw_cksum(rte_pktmbuf_mtod_offset(m, const void *, off), n);
		sum += done & 1 ? rte_bswap16(part) : part;
		done += n;
		off = 0;
	}
	return (rte_be16_t)~csum_fold((sum & 0xffff) + (sum >> 16));
}

static void set16(uint8_t *at, uint16_t value)
{
	memcpy(at, &value, sizeof(value));
}

static uint16_t get16(const uint8_t *at)
{
	uint16_t value;

	memcpy(&value, at, sizeof(value));
	return value;
}

/* rte_hash_crc() wants aligned bytes, which a packet does not promise. */
static uint32_t crc_bytes(const uint8_t *bytes, uint32_t len, uint32_t crc)
{
	uint64_t word;

	for (; len >= sizeof(word); bytes += sizeof(word), len -= sizeof(word)) {
		memcpy(&word, bytes, sizeof(word));
		crc = rte_hash_crc_8byte(word, crc);
	}
	while (len-- > 0)
		crc = rte_hash_crc_1byte(*bytes++, crc);
	return crc;
}

/* CRC32C of a part of a chain, the register passed along. */
static uint32_t crc_mbuf(const struct rte_mbuf *m, uint32_t off, uint32_t len, uint32_t crc)
{
	for (; m != NULL && len > 0; m = m->next) {
		uint32_t n;

		if (off >= m->data_len) {
			off -= m->data_len;
			continue;
		}
		n = RTE_MIN(len, m->data_len - off);
		crc = crc_bytes(rte_pktmbuf_mtod_offset(m, const uint8_t *, off), n, crc);
		len -= n;
		off = 0;
	}
	return crc;
}

/* With the field itself as zeros; the register's bytes go out lowest first. */
rte_le32_t csum_sctp_of(const struct pkt *p)
{
	const uint16_t field = offsetof(struct rte_sctp_hdr, cksum);
	const uint16_t header = sizeof(struct rte_sctp_hdr);
	uint32_t crc = crc_bytes(pkt_l4(p), field, 0xffffffff);

	crc = rte_hash_crc_4byte(0, crc);
	return rte_cpu_to_le_32(~crc_mbuf(p->mbuf, p->l4_off + header, l4_len(p) - header, crc));
}

void csum_sctp_change(struct pkt *p, rte_le32_t before)
{
	struct rte_sctp_hdr *sctp = pkt_l4(p);

	sctp->cksum ^= before ^ csum_sctp_of(p);
}

static void finish_l4(struct pkt *p)
{
	uint32_t len = l4_len(p);
	struct csum_place place;
	uint8_t *field;
	uint16_t sum;

	if (p->proto == IPPROTO_SCTP) {
		((struct rte_sctp_hdr *)pkt_l4(p))->cksum = csum_sctp_of(p);
		return;
	}
	if (!csum_place(p, &place))
		return;
	field = (uint8_t *)pkt_l4(p) + place.off;
	set16(field, 0);
	sum = place.pseudo ? csum_pseudo(pkt_l3(p), p->flags & PKT_IPV6, p->proto, len) : 0;
	sum = csum_mbuf(p->mbuf, p->l4_off, len, sum);
	set16(field, place.optional && sum == 0 ? 0xffff : sum);
}

static void finish_ip(struct pkt *p)
{
	struct rte_ipv4_hdr *ip = pkt_l3(p);

	if (!(p->mbuf->ol_flags & RTE_MBUF_F_TX_IP_CKSUM) || p->flags & PKT_IPV6)
		return;
	ip->hdr_checksum = 0;
	ip->hdr_checksum = (rte_be16_t)~rte_raw_cksum(ip, (size_t)(p->l4_off - p->l3_off));
}

static bool has_whole_l4(const struct pkt *p)
{
	return !(p->flags & (PKT_NOT_IP | PKT_FRAGMENT));
}

void csum_finish(struct pkt *p)
{
	if (likely((p->mbuf->ol_flags & CSUM_FLAGS) == 0))
		return;
	if (!(p->flags & PKT_NOT_IP))
		finish_ip(p);
	if (csum_unfinished(p->mbuf) && has_whole_l4(p))
		finish_l4(p);
	p->mbuf->ol_flags &= ~CSUM_FLAGS;
}

rte_be16_t csum_update(rte_be16_t csum, const void *from, const void *to, uint16_t len_bytes)
{
	const uint8_t *a = from, *b = to;
	uint32_t sum = (uint16_t)~csum;

	for (uint16_t i = 0; i < len_bytes; i += 2)
		sum += (uint32_t)(uint16_t)~get16(a + i) + get16(b + i);
	return (rte_be16_t)~csum_fold(sum);
}

rte_be16_t csum_update_udp(rte_be16_t csum, const void *from, const void *to, uint16_t len_bytes)
{
	if (csum == 0)
		return 0;
	csum = csum_update(csum, from, to, len_bytes);
	return csum ? csum : 0xffff;
}

void csum_l4_change(struct pkt *p, const struct csum_change *change)
{
	struct csum_place place;
	uint8_t *field;
	uint16_t sum;

	if (p->flags & (PKT_NOT_IP | PKT_LATER_FRAGMENT | PKT_SPLIT_HEADER) ||
		csum_unfinished(p->mbuf) || !csum_place(p, &place) ||
		(change->pseudo && !place.pseudo))
		return;
	field = (uint8_t *)pkt_l4(p) + place.off;
	sum = get16(field);
	if (place.optional)
		sum = csum_update_udp(sum, change->from, change->to, change->len_bytes);
	else
		sum = csum_update(sum, change->from, change->to, change->len_bytes);
	set16(field, sum);
}

bool csum_l4_ok(const struct pkt *p)
{
	uint32_t len = l4_len(p);
	struct csum_place place;
	uint16_t pseudo;

	if (!csum_place(p, &place))
		return true;
	pseudo = place.pseudo ? csum_pseudo(pkt_l3(p), p->flags & PKT_IPV6, p->proto, len) : 0;
	return csum_mbuf(p->mbuf, p->l4_off, len, pseudo) == 0;
}
