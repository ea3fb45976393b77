/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The noun relay: identities that moved away and what still comes for them; forgetting one.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "ctrl/cmd/cmd.h"
#include "ctrl/cmd/text.h"
#include "ctrl/migrate/mover.h"
#include "dataplane/location.h"
#include "dataplane/vport.h"
#include "dataplane/vxlan.h"

static int show_location(const struct location *location, void *arg)
{
	struct out *out = arg;
	struct tunnel *tunnel = atomic_load(&location->tunnel);
	struct vport *v = atomic_load(&location->vport);
	char addr[64], vtep[64];

	if (atomic_load(&location->kind) != LOCATION_MOVED)
		return 0;
	out_row(out);
	out_u64(out, "vni", location->vni);
	out_str(out, "ip", text_addr(&location->addr, addr, sizeof(addr)));
	out_str(out, "to", tunnel ? text_addr(&tunnel->vtep, vtep, sizeof(vtep)) : NULL);
	out_str(out, "vport", v ? v->name : NULL);
	out_u64(out, "epoch", atomic_load(&location->epoch));
	return 0;
}

static int relay_show(struct cmd *cmd)
{
	struct engine *engine = mover_engine(cmd->ctx);
	struct port_stats stats;

	out_table(cmd_out(cmd), "relays");
	engine_location_foreach(engine, show_location, cmd_out(cmd));
	out_table_end(cmd_out(cmd));
	if (engine_uplink_stats(engine, &stats))
		out_u64(cmd_out(cmd), "relayed_packets", stats.relayed);
	return 0;
}

static int relay_forget(struct cmd *cmd)
{
	struct in6_addr addr;
	uint64_t vni;
	int rc;

	if (cmd_number(cmd, "VNI", cmd->args[0], 0xffffff, &vni) != 0)
		return -EINVAL;
	if (text_parse_addr(cmd->args[1], &addr) != 0)
		return cmd_fail(cmd, "\"%s\" is no IP address", cmd->args[1]);
	rc = engine_location_del(mover_engine(cmd->ctx), (uint32_t)vni, &addr, 0);
	if (rc == -ENOENT)
		return cmd_fail(cmd, "no relay for that address");
	if (rc == -EBUSY)
		return cmd_fail(cmd, "a vport of this host owns that address");
	return rc;
}

static const struct cmd_row rows[] = {
	{"relay/forget", "VNI IP", 2, 2, NULL, 0, relay_forget,
		"Relay no more for an address that moved away."},
	{"relay/show", "", 0, 0, NULL, CMD_JSON, relay_show,
		"Show addresses that moved away and where their late packets go."},
};

CMD_NOUN(relay, rows);
