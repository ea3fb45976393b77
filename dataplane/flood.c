/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Broadcast and multicast inside a VPC, a setting each. Off: dropped by name. On: a copy to each
 * serving local vport of the VNI and, when it came from a local vport, to each peer of the VNI
 * (head-end replication); never back to where it came from.
 */
#include "dataplane/parse.h"
#include "dataplane/vxlan_encap.h"
#include "dataplane/worker.h"

static void flood_local(
	struct worker *w, const struct vport *from, uint32_t vni, struct rte_mbuf *m)
{
	for (unsigned int i = 0; i < VPORT_MAX; i++) {
		struct vport *v = atomic_load_explicit(&w->engine->vport[i], memory_order_acquire);
		struct rte_mbuf *copy;

		if (!v || v == from || v->vni != vni ||
			role_duty(vport_role(v)) != ROLE_DUTY_FORWARD)
			continue;
		copy = rte_pktmbuf_copy(m, w->engine->pool, 0, UINT32_MAX);
		if (copy)
			deliver_vport(w, v, copy);
	}
}

static bool peer_uses(const struct peer *peer, uint32_t vni)
{
	for (uint32_t i = 0; i < peer->vni_count; i++)
		if (peer->vni[i] == vni)
			return true;
	return peer->vni_count == 0;
}

static void flood_peers(struct worker *w, uint32_t vni, uint32_t entropy, struct rte_mbuf *m)
{
	for (unsigned int i = 1; i < PEERS_MAX; i++) {
		struct peer *peer = atomic_load_explicit(&w->engine->peer[i], memory_order_acquire);
		struct rte_mbuf *copy;

		if (!peer || peer->second || !peer_uses(peer, vni) ||
			!atomic_load_explicit(&peer->tunnel->resolved, memory_order_acquire))
			continue;
		copy = rte_pktmbuf_copy(m, w->engine->pool, 0, UINT32_MAX);
		if (copy && vxlan_encap(peer->tunnel, copy, vni, entropy, VXLAN_TTL))
			deliver_uplink(w, copy);
		else
			rte_pktmbuf_free(copy);
	}
}

void flood_frame(struct worker *w, const struct vport *from, uint32_t vni, struct rte_mbuf *m)
{
	flood_local(w, from, vni, m);
	if (from && w->engine->uplink)
		flood_peers(w, vni, vni, m);
}

static enum drop_reason flood_source_ok(const struct pkt *p)
{
	const struct rte_ether_hdr *ether = rte_pktmbuf_mtod(p->mbuf, const struct rte_ether_hdr *);
	static const struct in6_addr any;
	struct session_tuple tuple;

	if (p->dir != PKT_EGRESS)
		return DROP_NONE;
	if (role_duty(vport_role(p->vport)) != ROLE_DUTY_FORWARD)
		return DROP_PASSIVE;
	parse_tuple(p, &tuple);
	/* DHCP and duplicate address detection speak from the unspecified address. */
	if (addr_equal(&tuple.local, &any) ||
		(addr_is_v4(&tuple.local) && addr_to_v4(&tuple.local) == 0))
		return vport_has_mac(p->vport, &ether->src_addr) ? DROP_NONE : DROP_SPOOF_MAC;
	return vport_speaks(p->vport, &ether->src_addr, &tuple.local);
}

static bool flood_allowed(const struct vpc *vpc, const struct pkt *p)
{
	const struct rte_ether_hdr *ether = rte_pktmbuf_mtod(p->mbuf, const struct rte_ether_hdr *);

	return rte_is_broadcast_ether_addr(&ether->dst_addr) ? vpc->flood_broadcast
							     : vpc->flood_multicast;
}

void flood_packet(struct worker *w, struct pkt *p)
{
	uint32_t vni = session_key_vni(&p->key);
	const struct vpc *vpc = engine_vpc_find(w->engine, vni);

	p->drop = flood_source_ok(p);
	if (p->drop != DROP_NONE)
		return;
	if (!vpc || !flood_allowed(vpc, p)) {
		p->drop = vpc ? DROP_MULTICAST : DROP_UNKNOWN_VNI;
		return;
	}
	flood_frame(w, p->dir == PKT_EGRESS ? p->vport : NULL, vni, p->mbuf);
	port_count(&w->stats->delivered, 1);
	rte_pktmbuf_free(p->mbuf);
	p->mbuf = NULL;
}
