/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The noun in this file: where identities live; flow/dump: everything the SDN control programmed,
 * by VPC; neigh/show.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "ctrl/cmd/daemon.h"
#include "ctrl/cmd/text.h"
#include "dataplane/location.h"
#include "dataplane/neigh.h"
#include "dataplane/vport.h"
#include "dataplane/vxlan.h"

static const char *kind_name(uint32_t kind)
{
	static const char *const names[] = {
		[LOCATION_NONE] = "nowhere",
		[LOCATION_LOCAL] = "local",
		[LOCATION_REMOTE] = "remote",
		[LOCATION_MOVED] = "moved",
	};

	return kind < RTE_DIM(names) ? names[kind] : "unknown";
}

static const char *source_name(uint8_t source)
{
	static const char *const names[] = {
		[LOCATION_CONFIG] = "config",
		[LOCATION_LEARNED] = "learned",
		[LOCATION_OWN] = "own",
	};

	return source < RTE_DIM(names) ? names[source] : "unknown";
}

struct listing {
	struct out *out;
	uint32_t vni; /* 0: all */
};

static int list_location(const struct location *location, void *arg)
{
	const struct location_link link = location_link(location);
	const struct listing *listing = arg;
	struct out *out = listing->out;
	char addr[INET6_ADDRSTRLEN], vtep[INET6_ADDRSTRLEN], mac[24];
	struct tunnel *tunnel = atomic_load(&location->tunnel);
	struct vport *v = atomic_load(&location->vport);
	uint32_t kind = atomic_load(&location->kind);

	if (listing->vni && listing->vni != location->vni)
		return 0;
	out_row(out);
	out_u64(out, "vni", location->vni);
	out_str(out, "ip", text_addr(&location->addr, addr, sizeof(addr)));
	if (location->port_last)
		out_fmt(out, "ports", "%u-%u", rte_be_to_cpu_16(location->port_first),
			rte_be_to_cpu_16(location->port_last));
	else
		out_str(out, "ports", NULL);
	out_str(out, "kind", kind_name(kind));
	out_str(out, "vport", v ? v->name : NULL);
	out_str(out, "vtep",
		tunnel && kind != LOCATION_LOCAL ? text_addr(&tunnel->vtep, vtep, sizeof(vtep))
						 : NULL);
	out_str(out, "mac",
		rte_is_zero_ether_addr(&link.mac) ? NULL : text_mac(&link.mac, mac, sizeof(mac)));
	out_str(out, "source", source_name(link.source));
	out_u64(out, "epoch", atomic_load(&location->epoch));
	return 0;
}

static int location_show(struct cmd *cmd)
{
	struct listing listing = {.out = cmd_out(cmd)};
	struct daemon *d = cmd->ctx;
	uint64_t vni = 0;

	if (cmd->n_args > 0 && cmd_number(cmd, "VNI", cmd->args[0], 0xffffff, &vni) != 0)
		return -EINVAL;
	listing.vni = (uint32_t)vni;
	out_table(listing.out, "locations");
	engine_location_foreach(d->engine, list_location, &listing);
	out_table_end(listing.out);
	return 0;
}

static int read_identity(struct cmd *cmd, uint32_t *vni, struct in6_addr *addr)
{
	uint64_t number;
	int rc = cmd_number(cmd, "VNI", cmd->args[0], 0xffffff, &number);

	if (rc != 0)
		return rc;
	*vni = (uint32_t)number;
	if (number == 0)
		return cmd_fail(cmd, "VNI: 0 is nobody's");
	if (text_parse_addr(cmd->args[1], addr) != 0)
		return cmd_fail(cmd, "\"%s\" is no IP address", cmd->args[1]);
	return 0;
}

static int location_set_command(struct cmd *cmd)
{
	struct location_spec spec = {.kind = LOCATION_REMOTE, .source = LOCATION_LEARNED};
	const char *mac = cmd_option(cmd, "mac"), *epoch = cmd_option(cmd, "epoch");
	struct daemon *d = cmd->ctx;
	int rc = read_identity(cmd, &spec.vni, &spec.addr);

	if (rc != 0)
		return rc;
	if (text_parse_addr(cmd->args[2], &spec.vtep) != 0)
		return cmd_fail(cmd, "\"%s\" is no IP address of a VTEP", cmd->args[2]);
	if (mac && text_parse_mac(mac, &spec.mac) != 0)
		return cmd_fail(cmd, "\"%s\" is no MAC address", mac);
	if (epoch && cmd_number(cmd, "epoch", epoch, UINT64_MAX, &spec.epoch) != 0)
		return -EINVAL;
	rc = engine_location_set(d->engine, &spec);
	if (rc == -ESTALE)
		return cmd_fail(cmd, "a newer location is known (location/show); give a higher "
				     "--epoch=N to overrule it");
	if (rc == -EBUSY)
		return cmd_fail(cmd, "a vport of this host owns that address");
	if (rc == -EAFNOSUPPORT)
		return cmd_fail(cmd, "this host has no VTEP address of that family");
	return rc;
}

static int location_del_command(struct cmd *cmd)
{
	struct daemon *d = cmd->ctx;
	struct in6_addr addr;
	uint32_t vni;
	int rc = read_identity(cmd, &vni, &addr);

	if (rc != 0)
		return rc;
	rc = engine_location_del(d->engine, vni, &addr, 0);
	if (rc == -ENOENT)
		return cmd_fail(cmd, "no such location");
	if (rc == -EBUSY)
		return cmd_fail(cmd, "a vport of this host owns that address");
	return rc;
}

static int neigh_show(struct cmd *cmd)
{
	static struct neigh_entry_info entries[NEIGH_MAX];
	struct daemon *d = cmd->ctx;
	struct neigh_table *table = engine_neigh(d->engine);
	struct out *out = cmd_out(cmd);
	char text[INET6_ADDRSTRLEN], mac[24];
	uint32_t count = 0;

	if (table)
		count = neigh_list(table, engine_now_ns(d->engine), entries, NEIGH_MAX);
	out_table(out, "neighbours");
	for (uint32_t i = 0; i < count; i++) {
		out_row(out);
		out_str(out, "ip", text_addr(&entries[i].addr, text, sizeof(text)));
		out_bool(out, "resolved", entries[i].resolved);
		out_str(out, "mac",
			entries[i].resolved ? text_mac(&entries[i].mac, mac, sizeof(mac)) : NULL);
		out_u64(out, "age_ms", entries[i].age_ms);
	}
	out_table_end(out);
	return 0;
}

static int neigh_set(struct cmd *cmd)
{
	struct daemon *d = cmd->ctx;
	struct neigh_table *table = engine_neigh(d->engine);
	struct rte_ether_addr mac;
	struct in6_addr addr;

	if (text_parse_addr(cmd->args[0], &addr) != 0)
		return cmd_fail(cmd, "\"%s\" is no IP address", cmd->args[0]);
	if (text_parse_mac(cmd->args[1], &mac) != 0)
		return cmd_fail(cmd, "\"%s\" is no MAC address", cmd->args[1]);
	if (!table || neigh_fix(table, &addr, &mac) != 0)
		return cmd_fail(cmd, "no tunnel has its next hop there (neigh/show)");
	return 0;
}

static const struct cmd_row rows[] = {
	{"location/del", "VNI IP", 2, 2, NULL, 0, location_del_command,
		"Forget where an address lives."},
	{"location/set", "VNI IP VTEP [--mac=MAC] [--epoch=N]", 3, 3, "mac= epoch=", 0,
		location_set_command,
		"Say behind which VTEP an address lives. Living sessions follow at once."},
	{"location/show", "[VNI]", 0, 1, NULL, CMD_JSON, location_show,
		"Show where addresses live: local vports, remote VTEPs, moved away."},
	{"neigh/set", "IP MAC", 2, 2, NULL, 0, neigh_set,
		"Fix the MAC of a next hop: it is not asked for any more."},
	{"neigh/show", "", 0, 0, NULL, CMD_JSON, neigh_show,
		"Show the underlay's next hops and their MACs."},
};

CMD_NOUN(location, rows);
