/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * ARP and neighbour discovery in a VPC never cross it: a local vport's question is answered from
 * what the config and the moves know; a question through the tunnel is answered only for a local
 * vport that serves (for anybody else's address it would capture the MAC), and by the anchor of an
 * external network for addresses shared by port ranges, whoever has them. Announcements are
 * consumed: identities are not learnt from data.
 */
#include <rte_arp.h>
#include <rte_ip.h>

#include "dataplane/arp_nd.h"
#include "dataplane/location.h"
#include "dataplane/worker.h"

#define ND_SOLICITATION 135
#define ND_ADVERTISEMENT 136
#define ND_TARGET_OFF 8 /* behind type, code, checksum, reserved */

/* Who asks for whom, whatever the family. */
struct question {
	struct in6_addr target, sender; /* sender all-zero (or 0.0.0.0): a probe */
	struct rte_ether_addr sender_mac;
};

static bool addr_unspecified(const struct in6_addr *addr)
{
	static const struct in6_addr any;

	return addr_equal(addr, &any) || (addr_is_v4(addr) && addr_to_v4(addr) == 0);
}

/* What kind of frame is it? */
enum proxy_kind { PROXY_OTHER, PROXY_QUESTION, PROXY_STATEMENT, PROXY_BROKEN };

static enum proxy_kind read_arp(const struct pkt *p, struct question *q)
{
	const struct rte_ether_hdr *ether = rte_pktmbuf_mtod(p->mbuf, const struct rte_ether_hdr *);
	const struct rte_arp_hdr *arp = (const struct rte_arp_hdr *)(ether + 1);

	if (ether->ether_type == RTE_BE16(RTE_ETHER_TYPE_RARP))
		return PROXY_STATEMENT;
	if (ether->ether_type != RTE_BE16(RTE_ETHER_TYPE_ARP))
		return PROXY_OTHER;
	if (rte_pktmbuf_data_len(p->mbuf) < sizeof(*ether) + sizeof(*arp) ||
		arp->arp_hardware != RTE_BE16(RTE_ARP_HRD_ETHER) ||
		arp->arp_protocol != RTE_BE16(RTE_ETHER_TYPE_IPV4) ||
		arp->arp_hlen != RTE_ETHER_ADDR_LEN || arp->arp_plen != sizeof(rte_be32_t))
		return PROXY_BROKEN;
	q->sender = addr_from_v4(arp->arp_data.arp_sip);
	q->target = addr_from_v4(arp->arp_data.arp_tip);
	q->sender_mac = arp->arp_data.arp_sha;
	if (arp->arp_opcode != RTE_BE16(RTE_ARP_OP_REQUEST) || addr_equal(&q->sender, &q->target))
		return PROXY_STATEMENT;
	return PROXY_QUESTION;
}

static enum proxy_kind read_nd(const struct pkt *p, struct question *q)
{
	const struct rte_ether_hdr *ether = rte_pktmbuf_mtod(p->mbuf, const struct rte_ether_hdr *);
	const struct rte_ipv6_hdr *ip = pkt_l3(p);
	const uint8_t *nd = pkt_l4(p);

	if (p->flags & PKT_FRAGMENT || (nd[0] != ND_SOLICITATION && nd[0] != ND_ADVERTISEMENT))
		return PROXY_OTHER;
	if (p->payload_len < sizeof(q->target) || ip->hop_limits != 255 ||
		rte_pktmbuf_data_len(p->mbuf) < p->l4_off + ND_TARGET_OFF + sizeof(q->target))
		return PROXY_BROKEN;
	memcpy(&q->target, nd + ND_TARGET_OFF, sizeof(q->target));
	memcpy(&q->sender, ip->src_addr, sizeof(q->sender));
	q->sender_mac = ether->src_addr;
	return nd[0] == ND_SOLICITATION ? PROXY_QUESTION : PROXY_STATEMENT;
}

/* The MAC a local vport is told for an address of its VPC; false: nobody knows it. */
static bool known_mac(const struct worker *w, const struct vport *v, const struct in6_addr *target,
	struct rte_ether_addr *mac)
{
	const struct vpc *vpc = v->vpc;
	const struct location *location;

	*mac = vpc->gateway_mac;
	for (uint16_t i = 0; i < vpc->subnets; i++)
		if (addr_equal(&vpc->gateway[i], target))
			return true;
	location = location_find(w->engine->locations, v->vni, target, 0);
	if (!location ||
		atomic_load_explicit(&location->kind, memory_order_acquire) == LOCATION_NONE)
		return false;
	*mac = location_mac(location);
	if (rte_is_zero_ether_addr(mac))
		*mac = vpc->gateway_mac;
	return true;
}

static enum drop_reason answer_vport(struct worker *w, struct pkt *p, const struct question *q)
{
	const struct rte_ether_hdr *ether = rte_pktmbuf_mtod(p->mbuf, const struct rte_ether_hdr *);
	const struct vport *v = p->vport;
	enum drop_reason reason = DROP_NONE;
	struct rte_ether_addr mac;
	struct rte_mbuf *m;

	if (role_duty(vport_role(v)) != ROLE_DUTY_FORWARD)
		return DROP_PASSIVE;
	if (!vport_has_mac(v, &ether->src_addr) || !vport_has_mac(v, &q->sender_mac))
		return DROP_SPOOF_MAC;
	/* A probe for an own address asks whether someone else has it: nobody has. */
	if (vport_owns(v, &q->target))
		return DROP_CONSUMED;
	if (!addr_unspecified(&q->sender))
		reason = vport_speaks(v, &q->sender_mac, &q->sender);
	if (reason != DROP_NONE)
		return reason;
	if (!known_mac(w, v, &q->target, &mac))
		return DROP_NO_ROUTE;
	m = arp_nd_answer(w->engine->pool, &q->target, &mac, &q->sender, &q->sender_mac);
	if (!m)
		return DROP_NO_MBUF;
	deliver_vport(w, p->vport, m);
	return DROP_CONSUMED;
}

static enum drop_reason answer_back(
	struct worker *w, struct pkt *p, const struct question *q, const struct rte_ether_addr *mac)
{
	struct rte_mbuf *m =
		arp_nd_answer(w->engine->pool, &q->target, mac, &q->sender, &q->sender_mac);

	if (!m)
		return DROP_NO_MBUF;
	deliver_back(w, p, m);
	return DROP_CONSUMED;
}

static enum drop_reason answer_tunnel(struct worker *w, struct pkt *p, const struct question *q)
{
	uint32_t vni = session_key_vni(&p->key);
	const struct location *location = location_find(w->engine->locations, vni, &q->target, 0);
	const struct vpc *vpc = engine_vpc_find(w->engine, vni);
	struct rte_ether_addr mac;
	const struct vport *v;

	if (vpc && vpc->anchor && location_is_shared(w->engine->locations, vni, &q->target))
		return answer_back(w, p, q, &w->engine->uplink->params.mac);
	v = location ? atomic_load_explicit(&location->vport, memory_order_acquire) : NULL;
	if (!v || atomic_load_explicit(&location->kind, memory_order_acquire) != LOCATION_LOCAL)
		return DROP_CONSUMED;
	if (role_duty(vport_role(v)) != ROLE_DUTY_FORWARD)
		return DROP_PASSIVE;
	mac = vport_mac_of(v, &q->target);
	return answer_back(w, p, q, &mac);
}

static enum drop_reason statement_ok(const struct pkt *p)
{
	const struct rte_ether_hdr *ether = rte_pktmbuf_mtod(p->mbuf, const struct rte_ether_hdr *);

	return p->dir == PKT_EGRESS && !vport_has_mac(p->vport, &ether->src_addr) ? DROP_SPOOF_MAC
										  : DROP_CONSUMED;
}

bool proxy_input(struct worker *w, struct pkt *p)
{
	struct question q;
	enum proxy_kind kind = p->flags & PKT_NOT_IP ? read_arp(p, &q) : read_nd(p, &q);

	switch (kind) {
	case PROXY_QUESTION:
		p->drop = p->dir == PKT_EGRESS ? answer_vport(w, p, &q) : answer_tunnel(w, p, &q);
		return true;
	case PROXY_STATEMENT:
		p->drop = statement_ok(p);
		return true;
	case PROXY_BROKEN:
		p->drop = DROP_SHORT;
		return true;
	default:
		return false;
	}
}
