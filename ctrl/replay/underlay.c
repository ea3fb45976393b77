/* SPDX-License-Identifier: BSD-3-Clause */
#include "ctrl/replay/underlay.h"

#include <string.h>

#include <rte_ip.h>

#include "dataplane/addr.h"
#include "dataplane/neigh_frame.h"

struct rte_ether_addr underlay_mac(const struct in6_addr *addr)
{
	struct rte_ether_addr mac = {{0x02, addr_is_v4(addr) ? 0x00 : 0x01}};

	memcpy(&mac.addr_bytes[2], &addr->s6_addr[12], 4);
	return mac;
}

bool underlay_answer(struct port *uplink, struct rte_mempool *pool, struct rte_mbuf *m)
{
	struct neigh_message message;
	struct rte_mbuf *reply;

	neigh_frame_read(m, &message);
	if (message.kind != NEIGH_REQUEST)
		return false;
	{
		const struct neigh_end from = {
			.addr = message.target, .mac = underlay_mac(&message.target)};
		const struct neigh_end to = {.addr = message.sender, .mac = message.mac};

		reply = neigh_frame_reply(&from, &to, pool);
	}
	rte_pktmbuf_free(m);
	if (reply && port_ring_inject(uplink, reply) != 0)
		rte_pktmbuf_free(reply);
	return true;
}

bool underlay_destination(const struct rte_mbuf *m, struct in6_addr *addr)
{
	const struct rte_ether_hdr *ether = rte_pktmbuf_mtod(m, const struct rte_ether_hdr *);
	const struct rte_ipv4_hdr *v4 = (const struct rte_ipv4_hdr *)(ether + 1);
	const struct rte_ipv6_hdr *v6 = (const struct rte_ipv6_hdr *)(ether + 1);

	if (rte_pktmbuf_data_len(m) < sizeof(*ether) + sizeof(*v6))
		return false;
	if (ether->ether_type == RTE_BE16(RTE_ETHER_TYPE_IPV4))
		*addr = addr_from_v4(v4->dst_addr);
	else if (ether->ether_type == RTE_BE16(RTE_ETHER_TYPE_IPV6))
		memcpy(addr, v6->dst_addr, sizeof(*addr));
	else
		return false;
	return true;
}
