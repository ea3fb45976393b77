/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The addresses that an SCTP end names as its own when it sets an association up: parameters of its
 * INIT or INIT-ACK (RFC 9260 3.3.2, 3.3.3; RFC 5061 4.2.4). Where its own address is translated,
 * the one in the header is translated there as well, and any other, which means nothing outside or
 * is somebody else's there, becomes padding of the same length (RFC 4820: a receiver that does not
 * know it skips it). The packet's length stays.
 */
#include <string.h>

#include "dataplane/addr.h"
#include "dataplane/csum.h"
#include "dataplane/worker.h"

#define COMMON_LEN 12
#define CHUNK_INIT 1
#define CHUNK_INIT_ACK 2
#define CHUNK_FIXED_LEN 20 /* chunk header, tag, window, streams, TSN */
#define PARAM_HEADER_LEN 4
#define PARAM_IPV4 0x0005
#define PARAM_IPV6 0x0006
#define PARAM_PADDING 0x8005
#define PARAM_SET_PRIMARY 0xc004 /* a number, and an address parameter */
#define SET_PRIMARY_ADDRESS 8

static uint16_t get16(const uint8_t *at)
{
	return (uint16_t)(at[0] << 8 | at[1]);
}

/* Length of an address in a parameter of this type; 0: it has none. */
static uint16_t address_len(uint16_t type)
{
	return type == PARAM_IPV4 ? sizeof(rte_be32_t) : type == PARAM_IPV6 ? 16 : 0;
}

static bool names(const uint8_t *param, uint16_t len, const struct in6_addr *addr)
{
	uint16_t type = get16(param), bytes = address_len(type);

	return bytes && len >= PARAM_HEADER_LEN + bytes &&
	       addr_is_v4(addr) == (type == PARAM_IPV4) &&
	       memcmp(param + PARAM_HEADER_LEN, &addr->s6_addr[16 - bytes], bytes) == 0;
}

static void param_change(
	uint8_t *param, uint16_t len, const struct in6_addr *from, const struct in6_addr *to)
{
	uint16_t type = get16(param), inner = type == PARAM_SET_PRIMARY ? SET_PRIMARY_ADDRESS : 0;
	uint16_t bytes;

	if (!address_len(type) && type != PARAM_SET_PRIMARY)
		return;
	if (len >= inner + PARAM_HEADER_LEN && names(param + inner, len - inner, from)) {
		bytes = address_len(get16(param + inner));
		memcpy(param + inner + PARAM_HEADER_LEN, &to->s6_addr[16 - bytes], bytes);
		return;
	}
	param[0] = PARAM_PADDING >> 8;
	param[1] = PARAM_PADDING & 0xff;
	memset(param + PARAM_HEADER_LEN, 0, len - PARAM_HEADER_LEN);
}

static void names_change(
	uint8_t *chunk, uint32_t end, const struct in6_addr *from, const struct in6_addr *to)
{
	uint32_t at = CHUNK_FIXED_LEN;

	while (at + PARAM_HEADER_LEN <= end) {
		uint16_t len = get16(chunk + at + 2);

		if (len < PARAM_HEADER_LEN || at + len > end)
			break;
		param_change(chunk + at, len, from, to);
		at += RTE_ALIGN_CEIL((uint32_t)len, 4u);
	}
}

enum drop_reason translate_sctp_names(
	struct pkt *p, const struct in6_addr *from, const struct in6_addr *to)
{
	uint8_t *chunk = (uint8_t *)pkt_l4(p) + COMMON_LEN;
	uint32_t here = p->mbuf->data_len - (uint32_t)p->l4_off, end;
	rte_le32_t before;

	if (addr_equal(from, to) || p->flags & PKT_LATER_FRAGMENT ||
		p->payload_len < CHUNK_FIXED_LEN || here < COMMON_LEN + CHUNK_FIXED_LEN ||
		(chunk[0] != CHUNK_INIT && chunk[0] != CHUNK_INIT_ACK))
		return DROP_NONE;
	end = RTE_MIN(get16(chunk + 2), p->payload_len);
	/* A list that goes on where it cannot be seen. */
	if (p->flags & PKT_FRAGMENT || here < COMMON_LEN + end)
		return DROP_UNSUPPORTED;
	before = csum_sctp_of(p);
	names_change(chunk, end, from, to);
	csum_sctp_change(p, before);
	return DROP_NONE;
}
