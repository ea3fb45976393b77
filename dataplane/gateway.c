/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The virtual gateway as a host: it answers the ping of a local vport, whatever the vport's policy
 * (as it answers ARP), as often as ICMP answers are allowed. There is nothing else to talk to.
 */
#include <rte_ip.h>

#include "dataplane/icmp.h"
#include "dataplane/parse.h"
#include "dataplane/worker.h"

/* No host need take a path for narrower (RFC 791 3.2, RFC 8200 5). */
#define MTU_LEAST_V4 68
#define MTU_LEAST_V6 1280

bool gateway_owns(const struct vpc *vpc, const struct in6_addr *addr)
{
	for (uint16_t i = 0; i < vpc->subnets; i++)
		if (addr_equal(&vpc->gateway[i], addr))
			return true;
	return false;
}

bool gateway_asked(const struct pkt *p)
{
	struct session_tuple tuple;

	if (p->dir != PKT_EGRESS || !(p->flags & PKT_ICMP_QUERY) ||
		p->flags & (PKT_FRAGMENT | PKT_ICMP_ERROR))
		return false;
	parse_tuple(p, &tuple);
	return gateway_owns(p->vport->vpc, &tuple.remote);
}

bool gateway_input(struct worker *w, struct pkt *p)
{
	const struct rte_ether_hdr *ether = rte_pktmbuf_mtod(p->mbuf, const struct rte_ether_hdr *);
	struct session_tuple tuple;

	if (!gateway_asked(p))
		return false;
	parse_tuple(p, &tuple);
	if (role_duty(vport_role(p->vport)) != ROLE_DUTY_FORWARD)
		p->drop = DROP_PASSIVE;
	else
		p->drop = vport_speaks(p->vport, &ether->src_addr, &tuple.local);
	if (p->drop == DROP_NONE && !icmp_limit_allow(&w->engine->icmp_limit, w->now_ns))
		p->drop = DROP_ICMP_LIMIT;
	if (p->drop != DROP_NONE)
		return true;
	icmp_echo_answer(p);
	worker_count_drop(w, DROP_CONSUMED);
	deliver_vport(w, p->vport, p->mbuf);
	p->mbuf = NULL;
	p->drop = DROP_CONSUMED;
	return true;
}

/* Who made an error: its key is that of the quoted packet. */
static struct in6_addr packet_source(const struct pkt *p)
{
	struct in6_addr source;

	if (!(p->flags & PKT_IPV6))
		return addr_from_v4(((const struct rte_ipv4_hdr *)pkt_l3(p))->src_addr);
	memcpy(&source, ((const struct rte_ipv6_hdr *)pkt_l3(p))->src_addr, sizeof(source));
	return source;
}

void gateway_related(const struct worker *w, struct pkt *p)
{
	uint32_t told = icmp_mtu_told(p), overhead, most;
	uint16_t least = p->flags & PKT_IPV6 ? MTU_LEAST_V6 : MTU_LEAST_V4;
	const struct peer *peer = pkt_peer(w, p);
	struct in6_addr source;

	if (!peer || p->dir != PKT_INGRESS)
		return;
	source = packet_source(p);
	if (gateway_owns(p->vport->vpc, &source))
		return; /* another host's: it has counted the tunnel */
	overhead = peer->tunnel->header_len;
	most = peer->tunnel->mtu - overhead;
	if (told > overhead)
		most = RTE_MIN(most, told - overhead);
	icmp_mtu_clamp(p, (uint16_t)RTE_MAX(most, least));
}
