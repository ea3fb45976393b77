/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * flow/dump: what the SDN control programmed for the vports: VPCs with subnets and routes, peers,
 * security groups by vport. (Locations have a command of their own, as there may be many.)
 */
#include <stdio.h>

#include "ctrl/cmd/daemon.h"
#include "ctrl/cmd/text.h"
#include "dataplane/vport.h"

static void dump_vpc(struct out *out, const struct config_vpc *vpc)
{
	char text[64], via[64], mac[24];
	struct rte_ether_addr gateway;

	memcpy(&gateway, vpc->gateway_mac, sizeof(gateway));
	for (uint32_t i = 0; i < vpc->n_subnets; i++) {
		out_row(out);
		out_str(out, "vpc", vpc->name);
		out_u64(out, "vni", vpc->vni);
		out_str(out, "prefix",
			text_prefix(
				&vpc->subnets[i].addr, vpc->subnets[i].len, text, sizeof(text)));
		out_str(out, "kind", "subnet");
		out_fmt(out, "next_hop", "gateway %s", text_mac(&gateway, mac, sizeof(mac)));
	}
	for (uint32_t i = 0; i < vpc->n_routes; i++) {
		const struct config_route *route = &vpc->routes[i];
		bool remote = !IN6_IS_ADDR_UNSPECIFIED(&route->vtep);

		out_row(out);
		out_str(out, "vpc", vpc->name);
		out_u64(out, "vni", vpc->vni);
		out_str(out, "prefix",
			text_prefix(&route->prefix.addr, route->prefix.len, text, sizeof(text)));
		out_str(out, "kind", "route");
		out_fmt(out, "next_hop", "%s %s", remote ? "vtep" : "via",
			text_addr(remote ? &route->vtep : &route->via, via, sizeof(via)));
	}
}

static int dump_vport(struct vport *v, void *arg)
{
	const struct vport_addresses *own = atomic_load(&v->addresses);
	struct out *out = arg;
	char text[64];

	out_row(out);
	out_str(out, "vport", v->name);
	out_u64(out, "vni", v->vni);
	out_list(out, "ips");
	for (uint16_t i = 0; i < own->ip_count; i++)
		out_str(out, NULL, text_addr(&own->ip[i], text, sizeof(text)));
	out_list_end(out);
	out_list(out, "allowed");
	for (uint16_t i = 0; i < own->allowed_count; i++)
		out_str(out, NULL,
			text_prefix(&own->allowed[i], own->allowed_plen[i], text, sizeof(text)));
	out_list_end(out);
	out_list(out, "groups");
	for (uint16_t i = 0; i < own->group_count; i++)
		out_str(out, NULL, own->group[i]);
	out_list_end(out);
	out_list(out, "leases");
	for (const struct vport_identity *id = v->identities; id; id = id->next) {
		char lease[96];

		text_addr(&id->id.addr, text, sizeof(text));
		snprintf(lease, sizeof(lease), "%u/%s:%u-%u", id->id.vni, text, id->id.port_first,
			id->id.port_last);
		out_str(out, NULL, lease);
	}
	out_list_end(out);
	return 0;
}

static int flow_dump(struct cmd *cmd)
{
	struct daemon *d = cmd->ctx;
	struct out *out = cmd_out(cmd);
	char text[64];

	out_table(out, "routes");
	for (uint32_t i = 0; i < d->config->n_vpcs; i++)
		dump_vpc(out, &d->config->vpcs[i]);
	out_table_end(out);
	out_table(out, "peers");
	for (uint32_t i = 0; i < d->config->n_peers; i++)
		for (uint32_t n = 0; n < d->config->peers[i].n_vteps; n++) {
			out_row(out);
			out_str(out, "peer", d->config->peers[i].name);
			out_str(out, "vtep",
				text_addr(&d->config->peers[i].vteps[n], text, sizeof(text)));
			out_bool(out, "ferry", d->config->peers[i].address.port != 0);
		}
	out_table_end(out);
	out_table(out, "vports");
	engine_vport_foreach(d->engine, dump_vport, out);
	out_table_end(out);
	return 0;
}

static const struct cmd_row rows[] = {
	{"flow/dump", "", 0, 0, NULL, CMD_JSON, flow_dump,
		"Show what is programmed: subnets, routes, peers, vports with addresses and "
		"groups."},
};

CMD_NOUN(flow, rows);
