/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The noun migrate: for operators (start, show, watch, abort, commit, report, history) and for the
 * VM's agent (agent-start, agent-phase, agent-wait; see ctrl/vmagent/README.md). All idempotent.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ctrl/cmd/cmd.h"
#include "ctrl/migrate/mover.h"
#include "ctrl/migrate/report.h"

#define WAIT_TICK_US 500 /* how soon a change of a move is told to a waiting agent */
#define WAIT_MAX_MS 60000

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

/* ---- waiting without holding up the loop ---- */

/* A command that answers when a move's serial changes, or it is done, or the time is over. */
struct waiting {
	struct cmd *cmd;
	struct event *tick;
	char id[64];
	uint64_t serial, left_us;
	bool until_done; /* migrate/watch */
	bool gone;
};

static const char *agent_state(const struct mover_view *view)
{
	static const char *const states[] = {
		[MOVER_PREPARING] = "preparing",
		[MOVER_READY] = "ready",
		[MOVER_FINAL] = "final",
		[MOVER_VERIFIED] = "verified",
		[MOVER_COMMITTED] = "committed",
		[MOVER_FAILED] = "failed",
	};

	return states[view->phase];
}

/* As ctrl/vmagent/README.md says. An incoming move that is not here yet is being prepared. */
static void agent_view(struct mover *mover, const char *id, char *text, size_t size)
{
	struct mover_view view = {.serial = 1, .phase = MOVER_PREPARING};
	size_t at;

	mover_view(mover, id, &view);
	for (char *c = view.reason; *c; c++)
		if (*c == '"' || *c == '\\' || (unsigned char)*c < ' ')
			*c = '\'';
	at = (size_t)snprintf(text, size,
		"{\"state\": \"%s\", \"behind\": %s, \"credit_bytes_per_s\": 0, \"reason\": "
		"\"%s\", ",
		agent_state(&view), view.behind ? "true" : "false", view.reason);
	snprintf(text + at, size - at, "\"serial\": %llu}", (unsigned long long)view.serial);
}

static void waiting_end(struct waiting *waiting, int result)
{
	struct cmd *cmd = waiting->cmd;

	event_free(waiting->tick);
	free(waiting);
	cmd_finish(cmd, result);
}

static void waiting_answer(struct waiting *waiting, const struct mover_view *view)
{
	char text[1024];

	if (waiting->until_done) {
		out_str(cmd_out(waiting->cmd), "phase", mover_phase_name(view->phase));
		out_str(cmd_out(waiting->cmd), "reason", view->reason[0] ? view->reason : NULL);
	} else {
		agent_view(waiting->cmd->ctx, waiting->id, text, sizeof(text));
		out_note(cmd_out(waiting->cmd), "%s", text);
	}
	waiting_end(waiting, 0);
}

static void waiting_tick(evutil_socket_t fd, short what, void *arg)
{
	struct waiting *waiting = arg;
	struct mover_view view = {.serial = 1};
	bool known = mover_view(waiting->cmd->ctx, waiting->id, &view) == 0;
	struct timeval again = {.tv_usec = WAIT_TICK_US};

	(void)fd;
	(void)what;
	if (waiting->gone) {
		waiting_end(waiting, -ECANCELED);
		return;
	}
	if (waiting->left_us <= WAIT_TICK_US || (known && view.done && waiting->until_done) ||
		(!waiting->until_done && view.serial != waiting->serial)) {
		waiting_answer(waiting, &view);
		return;
	}
	waiting->left_us -= WAIT_TICK_US;
	event_add(waiting->tick, &again);
}

static void waiting_gone(struct cmd *cmd)
{
	((struct waiting *)cmd->state)->gone = true;
}

static int waiting_start(struct cmd *cmd, uint64_t serial, uint64_t timeout_ms, bool until_done)
{
	struct waiting *waiting = calloc(1, sizeof(*waiting));
	struct timeval now = {0};

	if (!waiting)
		return -ENOMEM;
	waiting->cmd = cmd;
	waiting->serial = serial;
	waiting->left_us = timeout_ms * 1000;
	waiting->until_done = until_done;
	snprintf(waiting->id, sizeof(waiting->id), "%s", cmd->args[0]);
	waiting->tick = event_new(loop_base(mover_loop(cmd->ctx)), -1, 0, waiting_tick, waiting);
	if (!waiting->tick || event_add(waiting->tick, &now) != 0) {
		free(waiting);
		return -ENOMEM;
	}
	cmd->state = waiting;
	return cmd_defer(cmd, waiting_gone);
}

static int migrate_watch(struct cmd *cmd)
{
	struct mover_view view;

	if (mover_view(cmd->ctx, cmd->args[0], &view) != 0)
		return cmd_fail(cmd, "no move \"%s\"", cmd->args[0]);
	return waiting_start(cmd, 0, UINT32_MAX, true);
}

/* ---- the VM's agent ---- */

static int agent_answer(struct cmd *cmd)
{
	char text[1024];

	agent_view(cmd->ctx, cmd->args[0], text, sizeof(text));
	out_note(cmd_out(cmd), "%s", text);
	return 0;
}

static int agent_start(struct cmd *cmd)
{
	struct mover_request request = {.vport = cmd->args[1],
		.host = cmd->args[2],
		.caller_id = cmd->args[0],
		.mode = MOVER_AGENT};
	char id[37], error[256];

	if (strcmp(cmd->args[3], "destination") == 0)
		return agent_answer(cmd);
	if (strcmp(cmd->args[3], "source") != 0)
		return cmd_fail(cmd, "ROLE is source or destination");
	if (mover_start(cmd->ctx, &request, id, error, sizeof(error)) != 0)
		return cmd_fail(cmd, "%s", error);
	return agent_answer(cmd);
}

static int agent_phase(struct cmd *cmd)
{
	mover_agent_phase(
		cmd->ctx, cmd->args[0], cmd->args[1], cmd->n_args > 2 ? cmd->args[2] : "");
	return agent_answer(cmd);
}

static int agent_wait(struct cmd *cmd)
{
	uint64_t serial, timeout_ms;

	if (cmd_number(cmd, "serial", cmd->args[1], UINT64_MAX, &serial) != 0 ||
		cmd_number(cmd, "timeout", cmd->args[2], WAIT_MAX_MS, &timeout_ms) != 0)
		return -EINVAL;
	return waiting_start(cmd, serial, timeout_ms, false);
}

static const struct cmd_row rows[] = {
	{"migrate/abort", "ID", 1, 1, NULL, 0, migrate_abort, "Cancel a move, while that is safe."},
	{"migrate/agent-phase", "ID PHASE [JSON]", 2, 3, NULL, 0, agent_phase,
		"For ferry-vmagent: where the VM is in its move."},
	{"migrate/agent-start", "ID VM PEER ROLE", 4, 4, NULL, 0, agent_start,
		"For ferry-vmagent: start, or find, the move of a VM's vports."},
	{"migrate/agent-wait", "ID SERIAL TIMEOUT_MS", 3, 3, NULL, 0, agent_wait,
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
		"Answer when the move is over."},
};

CMD_NOUN(migrate, rows);
