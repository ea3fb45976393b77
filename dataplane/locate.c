/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Where things are: from (VNI, address) to a location, by identity first, by the VPC's routes then.
 * Admission only.
 */
#include <rte_rib6.h>

#include "dataplane/location.h"
#include "dataplane/parse.h"
#include "dataplane/session_ext.h"
#include "dataplane/worker.h"

static struct location *locate_route(
	const struct engine *engine, const struct vpc *vpc, const struct in6_addr *addr)
{
	struct rte_rib6_node *node = vpc->rib ? rte_rib6_lookup(vpc->rib, addr->s6_addr) : NULL;
	const struct route_spec *route;
	uint64_t index;

	if (!node || rte_rib6_get_nh(node, &index) != 0 || index >= vpc->route_count)
		return NULL;
	route = &vpc->routes[index];
	if (route->remote)
		return vpc->route_location[index];
	return location_find(engine->locations, vpc->vni, &route->next_hop, 0);
}

bool locate_reachable(const struct engine *engine, uint32_t vni, const struct in6_addr *addr)
{
	const struct vpc *vpc = engine_vpc_find(engine, vni);
	uint64_t index;
	struct rte_rib6_node *node;

	if (location_find(engine->locations, vni, addr, 0))
		return true;
	for (uint16_t i = 0; vpc && i < vpc->subnets; i++)
		if (addr_in_prefix(addr, &vpc->subnet[i], vpc->subnet_plen[i]))
			return true;
	node = vpc && vpc->rib ? rte_rib6_lookup(vpc->rib, addr->s6_addr) : NULL;
	return node && rte_rib6_get_nh(node, &index) == 0;
}

enum drop_reason locate_destination(struct worker *w, const struct vport *v,
	const struct session_tuple *network, struct location **out)
{
	const struct engine *engine = w->engine;
	const struct vpc *vpc =
		network->vni == v->vni ? v->vpc : engine_vpc_find(engine, network->vni);
	struct location *location;

	location = location_find(engine->locations, network->vni, &network->remote,
		rte_be_to_cpu_16(network->remote_port));
	if (!location && vpc)
		location = locate_route(engine, vpc, &network->remote);
	if (!location ||
		atomic_load_explicit(&location->kind, memory_order_acquire) == LOCATION_NONE)
		return DROP_NO_ROUTE;
	*out = location;
	return DROP_NONE;
}

enum drop_reason locate_session(struct worker *w, struct session *s)
{
	struct session_tuple network;
	struct location *location;
	enum drop_reason reason;

	if (s->has_key2)
		session_key_unpack(session_key2(s), session_key2_a6(s), &network);
	else
		session_key_unpack(&s->key, s->is_ipv6 ? &s->a6 : NULL, &network);
	reason = locate_destination(w, s->vport, &network, &location);
	if (reason != DROP_NONE)
		return reason;
	if (!location_ref(location))
		return DROP_NO_ROUTE;
	/* Two workers may race here: the loser gives its reference back. */
	if (!__sync_bool_compare_and_swap(&s->location, NULL, location))
		location_unref(location);
	return DROP_NONE;
}

bool locate_anchored(const struct worker *w, const struct pkt *p, const struct location *location)
{
	const struct rte_ether_hdr *ether = rte_pktmbuf_mtod(p->mbuf, const struct rte_ether_hdr *);

	return location->port_last != 0 && p->flags & PKT_FROM_UPLINK &&
	       vpc_anchor_mac(engine_vpc_find(w->engine, location->vni), w->engine->uplink,
		       &ether->dst_addr);
}

/*
 * A vport that waits here takes what its source sends through the tunnel into its hold. But what
 * comes to this host as an anchor is nobody's copy: the source, which serves or relays, must get
 * it.
 */
static bool waits_for(const struct worker *w, const struct pkt *p, const struct location *location)
{
	const struct peer *peer = pkt_peer(w, p);

	if (!p->vport || !(p->flags & PKT_FROM_UPLINK) ||
		role_duty(vport_role(p->vport)) != ROLE_DUTY_HOLD)
		return false;
	return !locate_anchored(w, p, location) ||
	       (peer && peer->tunnel ==
				atomic_load_explicit(&p->vport->relay_from, memory_order_acquire));
}

struct location *locate_owner(const struct engine *engine, const struct session_tuple *tuple)
{
	struct location *location = location_find(
		engine->locations, tuple->vni, &tuple->local, rte_be_to_cpu_16(tuple->local_port));
	const struct vpc *vpc = location ? NULL : engine_vpc_find(engine, tuple->vni);
	const struct vport *v;

	if (!vpc)
		return location;
	/* A VM that a route of the VPC leads to, if it may have that address. */
	location = locate_route(engine, vpc, &tuple->local);
	v = location ? atomic_load_explicit(&location->vport, memory_order_acquire) : NULL;
	return v && vport_owns(v, &tuple->local) ? location : NULL;
}

enum drop_reason locate_vport(struct worker *w, struct pkt *p)
{
	struct session_tuple tuple;
	struct location *location;

	parse_tuple(p, &tuple);
	location = locate_owner(w->engine, &tuple);
	if (!location)
		return engine_vpc_find(w->engine, tuple.vni) ? DROP_NO_ROUTE : DROP_UNKNOWN_VNI;
	switch (atomic_load_explicit(&location->kind, memory_order_acquire)) {
	case LOCATION_LOCAL:
		p->vport = atomic_load_explicit(&location->vport, memory_order_acquire);
		return p->vport ? DROP_NONE : DROP_NO_ROUTE;
	case LOCATION_MOVED:
	case LOCATION_REMOTE:
		p->vport = atomic_load_explicit(&location->vport, memory_order_acquire);
		if (waits_for(w, p, location))
			return DROP_NONE;
		p->vport = NULL;
		/* Known to be elsewhere: passed on from uplink to uplink, or from a neighbour. */
		return deliver_elsewhere(w, p, location);
	default:
		return DROP_NO_ROUTE;
	}
}
