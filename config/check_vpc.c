/* SPDX-License-Identifier: BSD-3-Clause */
/* VPCs, external networks, leases and locations. */
#include <errno.h>
#include <string.h>

#include "config/check.h"

static bool in_subnets(const struct config_vpc *vpc, const struct in6_addr *address)
{
	for (uint32_t i = 0; i < vpc->n_subnets; i++)
		if (config_prefix_has(&vpc->subnets[i], address))
			return true;
	return false;
}

static int check_route(struct config_loader *loader, const struct config_route *route)
{
	bool via = config_is_set(&route->via), vtep = config_is_set(&route->vtep);
	static const uint8_t none[6];

	if (via == vtep)
		return config_fail(loader, route->node,
			"expected exactly one of `via` and `vtep`, found %s",
			via ? "both" : "neither");
	if (via && !config_same_family(&route->prefix.addr, &route->via))
		return config_fail_key(loader, route->node, "via",
			"expected a next hop of the prefix's family, found one of the other");
	if (via && memcmp(route->mac, none, sizeof(none)) != 0)
		return config_fail_key(loader, route->node, "mac",
			"expected a MAC only together with `vtep`, found one with `via`");
	return 0;
}

static int check_routes(struct config_check *check, const struct config_vpc *vpc)
{
	struct config_index prefixes = {0};
	int rc = 0;

	for (uint32_t i = 0; i < vpc->n_routes && rc == 0; i++) {
		const struct config_route *route = &vpc->routes[i];
		size_t before = config_path_object(check->loader, "routes", i);
		char text[CONFIG_VALUE_TEXT_MAX];
		struct config_claim claim = {
			"a prefix", NULL, config_tree_get(route->node, "prefix"), route};

		value_prefix_show(NULL, &route->prefix, text);
		claim.key = config_keep(check->loader, "%s", text);
		rc = config_index_add(check->loader, &prefixes, &claim);
		if (rc == 0)
			rc = check_route(check->loader, route);
		if (rc == 0)
			config_path_back(check->loader, before);
	}
	config_index_clear(&prefixes);
	return rc;
}

static int check_gateways(struct config_check *check, const struct config_vpc *vpc)
{
	const struct config_tree *list = config_tree_get(vpc->node, "gateway_ips");

	for (uint32_t i = 0; i < vpc->n_gateway_ips; i++)
		if (!in_subnets(vpc, &vpc->gateway_ips[i]))
			return config_fail_entry(check->loader, list, i,
				"expected an address in a subnet of the VPC, found one outside");
	return 0;
}

static int claim_vni(struct config_check *check, const struct config_tree *node, uint32_t vni,
	const void *object)
{
	struct config_claim claim = {"a VNI", config_keep(check->loader, "%u", vni),
		config_tree_get(node, "vni"), object};

	return config_index_add(check->loader, &check->vpc_vnis, &claim);
}

int config_check_vpcs(struct config_check *check)
{
	const struct config *config = check->config;
	int rc = 0;

	for (uint32_t i = 0; i < config->n_vpcs && rc == 0; i++) {
		const struct config_vpc *vpc = &config->vpcs[i];
		size_t before = config_path_object(check->loader, "vpcs", i);
		struct config_claim claim = {
			"a name", vpc->name, config_tree_get(vpc->node, "name"), vpc};

		rc = config_index_add(check->loader, &check->vpc_names, &claim);
		if (rc == 0)
			rc = claim_vni(check, vpc->node, vpc->vni, vpc);
		if (rc == 0)
			rc = check_gateways(check, vpc);
		if (rc == 0)
			rc = check_routes(check, vpc);
		if (rc == 0)
			config_path_back(check->loader, before);
	}
	return rc;
}

static int check_network(struct config_check *check, const struct config_external_network *network)
{
	struct config_claim claim = {
		"a name", network->name, config_tree_get(network->node, "name"), network};
	const char *self = check->config->host.name;
	int rc = config_index_add(check->loader, &check->network_names, &claim);

	if (rc == 0)
		rc = claim_vni(check, network->node, network->vni, network);
	if (rc != 0)
		return rc;
	/* Without a name of our own it may be us. */
	if (network->anchor != NULL && self != NULL && strcmp(network->anchor, self) != 0 &&
		config_index_find(&check->peer_names, network->anchor) == NULL)
		return config_fail_key(check->loader, network->node, "anchor",
			"expected this host or a peer, found \"%s\"", network->anchor);
	return 0;
}

int config_check_networks(struct config_check *check)
{
	const struct config *config = check->config;
	int rc = 0;

	for (uint32_t i = 0; i < config->n_external_networks && rc == 0; i++) {
		size_t before = config_path_object(check->loader, "external_networks", i);

		rc = check_network(check, &config->external_networks[i]);
		if (rc == 0)
			config_path_back(check->loader, before);
	}
	return rc;
}

static int check_lease_inside(struct config_check *check, const struct config_nat_lease *lease,
	const struct config_vport *vport)
{
	bool any = false, same = false;

	for (uint32_t i = 0; i < vport->n_ips; i++) {
		any |= config_same_family(&vport->ips[i], &lease->address);
		same |= IN6_ARE_ADDR_EQUAL(&vport->ips[i], &lease->inside);
	}
	if (config_is_set(&lease->inside) &&
		(!same || !config_same_family(&lease->inside, &lease->address)))
		return config_fail_key(check->loader, lease->node, "inside",
			"expected an address of vport \"%s\" of the public one's family, found "
			"another",
			vport->name);
	if (!any)
		return config_fail_key(check->loader, lease->node, "address",
			"expected a family that vport \"%s\" has an address of, found the other",
			vport->name);
	return 0;
}

static int check_lease_kind(struct config_check *check, const struct config_nat_lease *lease)
{
	bool dnat = lease->kind == CONFIG_NAT_DNAT;

	if ((lease->ports.last != 0) != (lease->kind != CONFIG_NAT_FLOATING))
		return config_fail_key(check->loader, lease->node, "ports",
			"expected ports for snat and dnat, not for floating, found %s",
			lease->ports.last != 0 ? "ports" : "none");
	if (lease->protocol != 0 && lease->protocol != IPPROTO_TCP &&
		lease->protocol != IPPROTO_UDP)
		return config_fail_key(check->loader, lease->node, "protocol",
			"expected any, tcp or udp, found another protocol");
	if (!dnat && lease->protocol != 0)
		return config_fail_key(check->loader, lease->node, "protocol",
			"expected it only for dnat, found it for another kind");
	if (!dnat && lease->inside_port != 0)
		return config_fail_key(check->loader, lease->node, "inside_port",
			"expected it only for dnat, found it for another kind");
	if (lease->inside_port != 0 &&
		lease->inside_port + (lease->ports.last - lease->ports.first) > 65535)
		return config_fail_key(check->loader, lease->node, "inside_port",
			"expected a port with room for the whole range, found %u",
			lease->inside_port);
	return 0;
}

static int check_lease(struct config_check *check, const struct config_nat_lease *lease)
{
	const struct config_vport *vport = config_index_find(&check->vport_names, lease->vport);
	int rc;

	if (vport == NULL)
		return config_fail_key(check->loader, lease->node, "vport",
			"expected the name of a vport, found \"%s\"", lease->vport);
	if (config_index_find(&check->network_names, lease->network) == NULL)
		return config_fail_key(check->loader, lease->node, "network",
			"expected the name of an external network, found \"%s\"", lease->network);
	if (config_index_find(&check->plugin_names, "nat") == NULL)
		return config_fail(check->loader, lease->node,
			"expected the plugin \"nat\" under `plugins` for a lease, found none");
	rc = check_lease_inside(check, lease, vport);
	return rc != 0 ? rc : check_lease_kind(check, lease);
}

int config_check_leases(struct config_check *check)
{
	const struct config *config = check->config;
	struct config_span *spans = config_arena_alloc(
		check->loader->arena, (config->n_nat_leases + 1) * sizeof(*spans));
	int rc = spans != NULL ? 0 : config_no_memory(check->loader);

	for (uint32_t i = 0; i < config->n_nat_leases && rc == 0; i++) {
		const struct config_nat_lease *lease = &config->nat_leases[i];
		size_t before = config_path_object(check->loader, "nat_leases", i);
		char text[CONFIG_VALUE_TEXT_MAX];

		value_address_show(NULL, &lease->address, text);
		spans[i] = (struct config_span){
			.key = config_keep(check->loader, "%s in %s", text, lease->network),
			.range = lease->ports,
			.node = lease->node,
			.index = i,
			.owner = lease->vport,
			.protocol = lease->protocol,
		};
		if (lease->kind == CONFIG_NAT_FLOATING)
			spans[i].range.last = 65535;
		rc = spans[i].key == NULL ? config_no_memory(check->loader)
					  : check_lease(check, lease);
		if (rc == 0)
			config_path_back(check->loader, before);
	}
	return rc != 0 ? rc
		       : config_check_spans(
				 check->loader, spans, config->n_nat_leases, "nat_leases");
}

/* Name and number say the same VPC; the number is filled in. */
static int check_location(struct config_check *check, struct config_location *location)
{
	const struct config_vpc *vpc = NULL;

	if (location->vpc == NULL && location->vni == 0)
		return config_fail(check->loader, location->node,
			"expected one of `vpc` and `vni`, found neither");
	for (uint32_t i = 0; i < location->n_groups; i++)
		if (config_group_find(check->config, location->groups[i]) == NULL)
			return config_fail_entry(check->loader,
				config_tree_get(location->node, "groups"), i,
				"expected the name of a group, found \"%s\"", location->groups[i]);
	if (location->vpc == NULL)
		return 0;
	vpc = config_index_find(&check->vpc_names, location->vpc);
	if (vpc == NULL)
		return config_fail_key(check->loader, location->node, "vpc",
			"expected the name of a VPC, found \"%s\"", location->vpc);
	if (location->vni != 0 && location->vni != vpc->vni)
		return config_fail_key(check->loader, location->node, "vni",
			"expected %u, the VNI of VPC \"%s\", found %u", vpc->vni, vpc->name,
			location->vni);
	location->vni = vpc->vni;
	return 0;
}

int config_check_locations(struct config_check *check)
{
	const struct config *config = check->config;
	struct config_span *spans = config_arena_alloc(
		check->loader->arena, (config->n_locations + 1) * sizeof(*spans));
	int rc = spans != NULL ? 0 : config_no_memory(check->loader);

	for (uint32_t i = 0; i < config->n_locations && rc == 0; i++) {
		struct config_location *location = &config->locations[i];
		size_t before = config_path_object(check->loader, "locations", i);
		char text[CONFIG_VALUE_TEXT_MAX];

		value_address_show(NULL, &location->ip, text);
		rc = check_location(check, location);
		if (rc != 0)
			break;
		spans[i] = (struct config_span){
			.key = config_keep(check->loader, "%s in VNI %u", text, location->vni),
			.range = location->ports,
			.node = location->node,
			.index = i,
		};
		if (spans[i].key == NULL)
			rc = config_no_memory(check->loader);
		else
			config_path_back(check->loader, before);
	}
	return rc != 0 ? rc
		       : config_check_spans(check->loader, spans, config->n_locations, "locations");
}
