/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * worker/show: how the workers are doing.
 */
#include "ctrl/cmd/daemon.h"

static int worker_show(struct cmd *cmd)
{
	struct daemon *d = cmd->ctx;
	struct out *out = cmd_out(cmd);
	struct worker_info info;

	out_table(out, "workers");
	for (uint16_t i = 0; engine_worker_info(d->engine, i, &info) == 0; i++) {
		out_row(out);
		out_u64(out, "worker", i);
		out_i64(out, "core", info.core);
		out_u64(out, "packets", info.packets);
		out_u64(out, "rounds", info.rounds);
		out_real(out, "idle_percent",
			info.rounds ? 100.0 * (double)info.rounds_idle / (double)info.rounds : 0,
			1);
		out_u64(out, "sleeps", info.sleeps);
	}
	out_table_end(out);
	return 0;
}

static const struct cmd_row rows[] = {
	{"worker/show", "", 0, 0, NULL, CMD_JSON, worker_show,
		"Show the workers: core, packets, rounds, how many were idle, sleeps."},
};

CMD_NOUN(worker, rows);
