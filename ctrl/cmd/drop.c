/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * drop/show: what was dropped, by port and reason. Each reason is explained by drop/reasons.
 */
#include "ctrl/cmd/daemon.h"
#include "ctrl/cmd/text.h"
#include "dataplane/drop.h"
#include "dataplane/vport.h"

static int show_vport(struct vport *v, void *arg)
{
	struct port_stats stats;

	engine_vport_stats(v, &stats);
	text_drop_rows(arg, v->name, "from", stats.drop);
	text_drop_rows(arg, v->name, "towards", stats.in_drop);
	return 0;
}

static int drop_show(struct cmd *cmd)
{
	struct daemon *d = cmd->ctx;
	struct out *out = cmd_out(cmd);
	struct port_stats stats;
	struct vport *v = NULL;

	if (cmd->n_args > 0) {
		v = engine_vport_find(d->engine, cmd->args[0]);
		if (!v)
			return cmd_fail(cmd, "no vport named \"%s\"", cmd->args[0]);
	}
	out_table(out, "drops");
	if (v) {
		show_vport(v, out);
	} else {
		engine_vport_foreach(d->engine, show_vport, out);
		if (engine_uplink_stats(d->engine, &stats))
			text_drop_rows(out, "uplink", "from", stats.drop);
		engine_local_stats(d->engine, &stats);
		text_drop_rows(out, "local", "from", stats.drop);
	}
	out_table_end(out);
	return 0;
}

static int drop_reasons(struct cmd *cmd)
{
	struct out *out = cmd_out(cmd);

	out_table(out, "reasons");
	for (int i = 1; i < DROP_COUNT; i++) {
		out_row(out);
		out_str(out, "reason", drop_name((enum drop_reason)i));
		out_str(out, "meaning", drop_text((enum drop_reason)i));
	}
	out_table_end(out);
	return 0;
}

static const struct cmd_row rows[] = {
	{"drop/reasons", "", 0, 0, NULL, CMD_JSON, drop_reasons, "Explain every drop reason."},
	{"drop/show", "[VPORT]", 0, 1, NULL, CMD_JSON, drop_show,
		"Show dropped packets by port and reason.\n"
		"\"from\": received from that port; \"towards\": on the way to that vport. The "
		"port\n"
		"\"local\" is traffic between vports of this host."},
};

CMD_NOUN(drop, rows);
