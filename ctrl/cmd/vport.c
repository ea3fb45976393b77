/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The noun in this file: add, delete, show, pause, resume.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ctrl/cmd/daemon.h"
#include "ctrl/cmd/reload.h"
#include "ctrl/cmd/text.h"
#include "ctrl/migrate/mover.h"
#include "dataplane/hold.h"
#include "dataplane/vport.h"

static struct vport *vport_named(struct cmd *cmd, const char *name)
{
	struct daemon *d = cmd->ctx;

	return engine_vport_find(d->engine, name);
}

static int vport_unknown(struct cmd *cmd, const char *name)
{
	return cmd_fail(cmd, "no vport named \"%s\" (vport/show lists them)", name);
}

static void show_addresses(struct out *out, const struct vport *v)
{
	const struct vport_addresses *own = atomic_load(&v->addresses);
	char text[INET6_ADDRSTRLEN + 4];

	out_list(out, "ips");
	for (uint16_t i = 0; i < own->ip_count; i++)
		out_str(out, NULL, text_addr(&own->ip[i], text, sizeof(text)));
	out_list_end(out);
	out_list(out, "groups");
	for (uint16_t i = 0; i < own->group_count; i++)
		out_str(out, NULL, own->group[i]);
	out_list_end(out);
}

static int show_row(struct vport *v, void *arg)
{
	struct out *out = arg;
	struct port_info info;
	char mac[24];

	out_row(out);
	out_str(out, "name", v->name);
	out_str(out, "role", role_name(vport_role(v)));
	memset(&info, 0, sizeof(info));
	if (v->port)
		port_info(v->port, &info);
	out_str(out, "rings", info.rings_up ? "up" : "down");
	out_u64(out, "vni", v->vni);
	out_str(out, "mac", text_mac(&v->mac, mac, sizeof(mac)));
	show_addresses(out, v);
	out_u64(out, "sessions", atomic_load(&v->sessions));
	out_u64(out, "quota", v->quota);
	out_str(out, "error", info.last_error[0] ? info.last_error : NULL);
	return 0;
}

static void show_port(struct out *out, const struct vport *v)
{
	struct port_info info;

	port_info(v->port, &info);
	out_object(out, "port");
	out_str(out, "peer", info.peer);
	out_str(out, "ifname", info.ifname[0] ? info.ifname : NULL);
	out_bool(out, "rings_up", info.rings_up);
	out_u64(out, "queues_rx", info.queues_rx);
	out_u64(out, "queues_tx", info.queues_tx);
	out_fmt(out, "features", "0x%llx", (unsigned long long)info.features);
	out_fmt(out, "features_offered", "0x%llx", (unsigned long long)info.features_offered);
	text_features(out, "feature_names", info.features);
	out_u64(out, "reconnects", info.reconnects);
	out_u64(out, "ring_resyncs", info.ring_resyncs);
	out_str(out, "last_error", info.last_error[0] ? info.last_error : NULL);
	out_object_end(out);
}

static void show_hold(struct out *out, const struct vport *v)
{
	struct hold_stats hold;

	engine_hold_stats(v, &hold);
	out_object(out, "hold");
	out_u64(out, "packets", hold.packets);
	out_u64(out, "bytes", hold.bytes);
	out_u64(out, "held", hold.held);
	out_u64(out, "drained", hold.drained);
	out_u64(out, "stale", hold.stale);
	out_u64(out, "overflow", hold.overflow);
	out_object_end(out);
}

static int show_one(struct cmd *cmd, const struct vport *v)
{
	struct out *out = cmd_out(cmd);
	struct port_stats stats;
	char mac[24];

	out_str(out, "name", v->name);
	out_str(out, "uuid", v->uuid[0] ? v->uuid : NULL);
	out_str(out, "vm", v->vm);
	out_str(out, "role", role_name(vport_role(v)));
	out_u64(out, "epoch", atomic_load(&v->epoch));
	out_u64(out, "vni", v->vni);
	out_str(out, "mac", text_mac(&v->mac, mac, sizeof(mac)));
	out_u64(out, "mtu", v->mtu);
	show_addresses(out, v);
	out_u64(out, "sessions", atomic_load(&v->sessions));
	out_u64(out, "quota", v->quota);
	show_port(out, v);
	show_hold(out, v);
	engine_vport_stats(v, &stats);
	text_port_stats(out, "counters", &stats);
	return 0;
}

static int vport_show(struct cmd *cmd)
{
	struct daemon *d = cmd->ctx;
	struct vport *v;

	if (cmd->n_args == 0) {
		out_table(cmd_out(cmd), "vports");
		engine_vport_foreach(d->engine, show_row, cmd_out(cmd));
		out_table_end(cmd_out(cmd));
		return 0;
	}
	v = vport_named(cmd, cmd->args[0]);
	return v ? show_one(cmd, v) : vport_unknown(cmd, cmd->args[0]);
}

/*
 * vport/add takes a vport as ferry.yaml writes it. The running config with it in place is loaded
 * like a file, so that every check of a file is made.
 */
static int vport_add(struct cmd *cmd)
{
	struct daemon *d = cmd->ctx;

	if (strchr(cmd->args[0], '\n'))
		return cmd_fail(cmd, "a vport is written in one line, as {name: ..., vpc: ...}");
	return reloader_ask(d->reloader, RELOAD_VPORT_ADD, cmd->args[0], cmd);
}

static int vport_del(struct cmd *cmd)
{
	struct vport *v = vport_named(cmd, cmd->args[0]);
	struct daemon *d = cmd->ctx;
	char why[ENGINE_ERROR_MAX];

	if (!v)
		return vport_unknown(cmd, cmd->args[0]);
	if (d->mover && mover_vport_free(d->mover, v->name, why, sizeof(why)) != 0)
		return cmd_fail(cmd, "%s", why);
	/* One that came with a move is in no config to leave out of. */
	if (d->mover && !config_vport_find(d->config, v->name))
		return mover_vport_discard(d->mover, v->name, why, sizeof(why)) == 0
			       ? 0
			       : cmd_fail(cmd, "%s", why);
	return reloader_ask(d->reloader, RELOAD_VPORT_DEL, v->name, cmd);
}

static int vport_set_rings(struct cmd *cmd, int (*set)(struct port *))
{
	struct vport *v = vport_named(cmd, cmd->args[0]);
	int rc;

	if (!v)
		return vport_unknown(cmd, cmd->args[0]);
	rc = set(v->port);
	if (rc == -EOPNOTSUPP)
		return cmd_fail(cmd, "vport %s: its VMM says when its rings run", v->name);
	return rc;
}

static int vport_pause(struct cmd *cmd)
{
	return vport_set_rings(cmd, port_pause);
}

static int vport_resume(struct cmd *cmd)
{
	return vport_set_rings(cmd, port_resume);
}

static int vport_own(struct cmd *cmd)
{
	struct vport *v = vport_named(cmd, cmd->args[0]);

	if (!v)
		return vport_unknown(cmd, cmd->args[0]);
	return engine_role_event(v, ROLE_OPERATOR_OWN, 0);
}

static int vport_announce(struct cmd *cmd)
{
	struct vport *v = vport_named(cmd, cmd->args[0]);
	int rc;

	if (!v)
		return vport_unknown(cmd, cmd->args[0]);
	rc = engine_announce(v);
	return rc == -EPERM ? cmd_fail(cmd, "vport %s is %s: nothing to announce", v->name,
				      role_name(vport_role(v)))
			    : rc;
}

static const struct cmd_row rows[] = {
	{"vport/add", "YAML", 1, 1, NULL, 0, vport_add,
		"Add a vport, written as an entry of vports in ferry.yaml.\n"
		"Example: vport/add '{name: vm2, vpc: blue, mac: \"02:00:00:00:00:06\", ips: "
		"[10.0.0.6],"
		" port: {path: /run/vm2.sock}}'\n"
		"It lasts until the next reload or restart; put it into the file to keep it."},
	{"vport/announce", "VPORT", 1, 1, NULL, 0, vport_announce,
		"Tell the VPC where the vport is: GARP, NA and RARP."},
	{"vport/del", "VPORT", 1, 1, NULL, 0, vport_del, "Delete a vport and its sessions."},
	{"vport/own", "VPORT", 1, 1, NULL, 0, vport_own,
		"Operator's word: this host owns the vport now, whatever its role.\n"
		"Only when you know that the VM runs nowhere else."},
	{"vport/pause", "VPORT", 1, 1, NULL, 0, vport_pause,
		"Stop the rings of a port without a VMM, as a VMM does when its VM pauses."},
	{"vport/resume", "VPORT", 1, 1, NULL, 0, vport_resume,
		"Start the rings of a port without a VMM."},
	{"vport/show", "[VPORT]", 0, 1, NULL, CMD_JSON, vport_show,
		"Show all vports, or one with its port, hold and counters."},
};

CMD_NOUN(vport, rows);
