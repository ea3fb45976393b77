/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The noun migrate: for operators (start, show, watch, abort, commit, report, history) and for the
 * VM's agent (agent-start, agent-phase; see ctrl/vmagent/README.md). All idempotent. Those that
 * wait are in cmd_watch.c.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ctrl/cmd/cmd.h"
#include "ctrl/migrate/cmd_watch.h"
#include "ctrl/migrate/mover.h"
#include "ctrl/migrate/report.h"

/* ---- operators ---- */

static int mode_read(struct cmd *cmd, enum mover_mode *mode)
{
	static const struct {
		const char *name;
		enum mover_mode mode;
	} modes[] = {
		{"rings", MOVER_RINGS},
		{"agent", MOVER_AGENT},
		{"explicit", MOVER_EXPLICIT},
	};
	const char *text = cmd_option(cmd, "mode");

	*mode = MOVER_RINGS;
	for (size_t i = 0; text && i < sizeof(modes) / sizeof(modes[0]); i++)
		if (strcmp(modes[i].name, text) == 0) {
			*mode = modes[i].mode;
			return 0;
		}
	return text ? cmd_fail(cmd, "--mode is rings, agent or explicit, not \"%s\"", text) : 0;
}

static int migrate_start(struct cmd *cmd)
{
	struct mover_request request = {
		.vport = cmd->args[0], .host = cmd->args[1], .caller_id = cmd_option(cmd, "id")};
	char id[37], error[256];

	if (mode_read(cmd, &request.mode) != 0)
		return -EINVAL;
	if (mover_start(cmd->ctx, &request, id, error, sizeof(error)) != 0)
		return cmd_fail(cmd, "%s", error);
	out_str(cmd_out(cmd), "id", id);
	return 0;
}

static int migrate_show(struct cmd *cmd)
{
	struct mover_view view;
	struct out *out = cmd_out(cmd);

	if (cmd->n_args == 0) {
		report_list(out, cmd->ctx, true);
		return 0;
	}
	if (mover_view(cmd->ctx, cmd->args[0], &view) != 0)
		return cmd_fail(cmd, "no move \"%s\" (migrate/history lists them)", cmd->args[0]);
	out_str(out, "id", view.id);
	out_str(out, "vm", view.vm);
	out_str(out, "side", view.source ? "source" : "destination");
	out_str(out, "peer", view.peer);
	out_str(out, "phase", mover_phase_name(view.phase));
	out_str(out, "step", view.step);
	out_bool(out, "behind", view.behind);
	out_bool(out, "late", view.late);
	if (view.source)
		out_u64(out, "credit_bytes_per_s", view.credit_bytes_per_s);
	out_bool(out, "done", view.done);
	out_str(out, "waits_for", view.waits_for[0] ? view.waits_for : NULL);
	out_str(out, "reason", view.reason[0] ? view.reason : NULL);
	out_progress(out, "progress", view.done ? MOVER_COMMITTED : view.phase, MOVER_COMMITTED);
	return 0;
}

static int migrate_history(struct cmd *cmd)
{
	report_list(cmd_out(cmd), cmd->ctx, false);
	return 0;
}

static int migrate_report(struct cmd *cmd)
{
	bool found;

	report_move(cmd_out(cmd), cmd->ctx, cmd->args[0], &found);
	return found ? 0 : cmd_fail(cmd, "no move \"%s\"", cmd->args[0]);
}

static int migrate_abort(struct cmd *cmd)
{
	char error[256];

	if (mover_abort(cmd->ctx, cmd->args[0], error, sizeof(error)) != 0)
		return cmd_fail(cmd, "%s", error);
	return 0;
}

static int migrate_commit(struct cmd *cmd)
{
	char error[256];

	if (mover_commit(cmd->ctx, cmd->args[0], error, sizeof(error)) != 0)
		return cmd_fail(cmd, "%s", error);
	return 0;
}

/* ---- the VM's agent ---- */

static int agent_start(struct cmd *cmd)
{
	struct mover_request request = {.vport = cmd->args[1],
		.host = cmd->args[2],
		.caller_id = cmd->args[0],
		.mode = MOVER_AGENT};
	char id[37], error[256];

	if (strcmp(cmd->args[3], "destination") == 0)
		return migrate_agent_view(cmd);
	if (strcmp(cmd->args[3], "source") != 0)
		return cmd_fail(cmd, "ROLE is source or destination");
	if (mover_start(cmd->ctx, &request, id, error, sizeof(error)) != 0)
		return cmd_fail(cmd, "%s", error);
	return migrate_agent_view(cmd);
}

static int agent_phase(struct cmd *cmd)
{
	mover_agent_phase(
		cmd->ctx, cmd->args[0], cmd->args[1], cmd->n_args > 2 ? cmd->args[2] : "");
	return migrate_agent_view(cmd);
}

static const struct cmd_row rows[] = {
	{"migrate/abort", "ID", 1, 1, NULL, 0, migrate_abort, "Cancel a move, while that is safe."},
	{"migrate/agent-phase", "ID PHASE [JSON]", 2, 3, NULL, 0, agent_phase,
		"For ferry-vmagent: where the VM is in its move."},
	{"migrate/agent-start", "ID VM PEER ROLE", 4, 4, NULL, 0, agent_start,
		"For ferry-vmagent: start, or find, the move of a VM's vports."},
	{"migrate/agent-wait", "ID SERIAL TIMEOUT_MS", 3, 3, NULL, 0, migrate_agent_wait,
		"For ferry-vmagent: answer when the move has changed."},
	{"migrate/commit", "ID", 1, 1, NULL, 0, migrate_commit,
		"At the destination: the VM runs here (for VMs that say so by no ring)."},
	{"migrate/history", "", 0, 0, NULL, CMD_JSON, migrate_history,
		"Show all moves, under way and over."},
	{"migrate/report", "ID", 1, 1, NULL, CMD_JSON, migrate_report,
		"Show where each millisecond of a move went, and what became of sessions and "
		"packets."},
	{"migrate/show", "[ID]", 0, 1, NULL, CMD_JSON, migrate_show,
		"Show the moves under way, or one move."},
	{"migrate/start", "VPORT HOST [--id=ID] [--mode=rings|agent|explicit]", 2, 2,
		"id= mode=", CMD_JSON, migrate_start,
		"Move a VM (all its vports) to a peer.\n"
		"rings: follow the VM, whoever moves it; explicit: migrate/commit says when it "
		"runs\n"
		"there. A repeated start with the same --id is the same move. (ferryctl --socket "
		"AGENT\n"
		"vm move does it all, memory included.)"},
	{"migrate/watch", "ID", 1, 1, NULL, CMD_JSON, migrate_watch,
		"Show each step, round and change of a move as it comes, until it is over.\n"
		"One line each (one JSON object with --json); a line at least every 2 s. A stock\n"
		"ovs-appctl prints them at the end."},
};

CMD_NOUN(migrate, rows);
