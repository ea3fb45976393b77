/* SPDX-License-Identifier: BSD-3-Clause */
#include "ctrl/replay/capture_link.h"

#include <errno.h>
#include <string.h>

#include <pcap/pcap.h>
#include <rte_byteorder.h>
#include <rte_ether.h>

#define SLL_LEN 16
#define SLL2_LEN 20
#define SLL_BROADCAST 1
#define SLL_ADDR_MAX 8

int link_supported(int type)
{
	switch (type) {
	case DLT_EN10MB:
	case DLT_LINUX_SLL:
	case DLT_LINUX_SLL2:
	case DLT_RAW:
	case DLT_IPV4:
	case DLT_IPV6:
	case DLT_NULL:
	case DLT_LOOP:
		return 0;
	default:
		return -EPROTONOSUPPORT;
	}
}

static void ether_make(struct rte_ether_hdr *ether, const uint8_t *source, rte_be16_t type)
{
	memset(ether, 0, sizeof(*ether));
	if (source)
		memcpy(&ether->src_addr, source, sizeof(ether->src_addr));
	ether->ether_type = type;
}

/* Linux cooked, both versions: the sender's address, the protocol, and whether it was a broadcast.
 */
static int cooked_to_ether(int type, const uint8_t *data, size_t len, struct rte_ether_hdr *ether)
{
	bool first = type == DLT_LINUX_SLL;
	const size_t header = first ? SLL_LEN : SLL2_LEN;
	rte_be16_t protocol;
	unsigned int kind, addr_len;

	if (len < header)
		return -EBADMSG;
	memcpy(&protocol, data + (first ? 14 : 0), sizeof(protocol));
	kind = first ? (unsigned int)(data[0] << 8 | data[1]) : data[10];
	addr_len = first ? (unsigned int)(data[4] << 8 | data[5]) : data[11];
	ether_make(
		ether, addr_len == RTE_ETHER_ADDR_LEN ? data + (first ? 6 : 12) : NULL, protocol);
	if (kind == SLL_BROADCAST)
		memset(&ether->dst_addr, 0xff, sizeof(ether->dst_addr));
	return (int)header;
}

static int bare_to_ether(
	const uint8_t *data, size_t len, size_t header, struct rte_ether_hdr *ether)
{
	unsigned int version;

	if (len <= header)
		return -EBADMSG;
	version = data[header] >> 4;
	if (version != 4 && version != 6)
		return -EBADMSG;
	ether_make(ether, NULL,
		version == 4 ? RTE_BE16(RTE_ETHER_TYPE_IPV4) : RTE_BE16(RTE_ETHER_TYPE_IPV6));
	return (int)header;
}

int link_to_ether(int type, const uint8_t *data, size_t len, uint8_t *ether)
{
	struct rte_ether_hdr header;
	int taken;

	if (type == DLT_LINUX_SLL || type == DLT_LINUX_SLL2)
		taken = cooked_to_ether(type, data, len, &header);
	else
		taken = bare_to_ether(
			data, len, type == DLT_NULL || type == DLT_LOOP ? 4 : 0, &header);
	if (taken >= 0)
		memcpy(ether, &header, LINK_ETHER_LEN);
	return taken;
}
