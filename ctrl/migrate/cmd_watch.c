/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Who waits for a move does so on a timer. A watcher takes what happened since its last look from
 * the move's ring of events; one that does not read is given nothing until it has room again, and
 * is told how much it missed. (The control socket drops it when it takes nothing for long.)
 */
#include "ctrl/migrate/cmd_watch.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <event2/event.h>

#include "ctrl/migrate/mover.h"

#define AGENT_TICK_US 500 /* how soon a change of a move is told to a waiting agent */
#define WATCH_TICK_US 20000
#define WAIT_MAX_MS 60000
#define ALIVE_US 2000000 /* a watcher hears something so often */
#define LINE_BYTES 1024 /* room that a line may take */

struct waiting {
	struct cmd *cmd;
	struct event *tick;
	uint64_t tick_us;
	/* agent-wait */
	uint64_t serial, left_us;
	/* watch */
	uint64_t seen; /* number of the last event shown */
	uint64_t quiet_us; /* since the last line */
};

static void waiting_end(struct waiting *waiting, int result)
{
	struct cmd *cmd = waiting->cmd;

	event_free(waiting->tick);
	free(waiting);
	cmd_finish(cmd, result);
}

static void waiting_gone(struct cmd *cmd)
{
	waiting_end(cmd->state, -ECANCELED);
}

static void waiting_again(struct waiting *waiting)
{
	struct timeval again = {.tv_usec = (suseconds_t)waiting->tick_us};

	event_add(waiting->tick, &again);
}

static int waiting_start(struct cmd *cmd, uint64_t tick_us, event_callback_fn tick)
{
	struct waiting *waiting = calloc(1, sizeof(*waiting));
	struct timeval now = {0};

	if (!waiting)
		return -ENOMEM;
	waiting->cmd = cmd;
	waiting->tick_us = tick_us;
	waiting->tick = event_new(loop_base(mover_loop(cmd->ctx)), -1, 0, tick, waiting);
	if (!waiting->tick || event_add(waiting->tick, &now) != 0) {
		if (waiting->tick)
			event_free(waiting->tick);
		free(waiting);
		return -ENOMEM;
	}
	cmd->state = waiting;
	return cmd_defer(cmd, waiting_gone);
}

/* ---- for the VM's agent ---- */

int migrate_agent_view(struct cmd *cmd)
{
	/* An incoming move that is not here yet is being prepared. */
	struct mover_view view = {.serial = 1, .phase = MOVER_PREPARING};

	mover_view(cmd->ctx, cmd->args[0], &view);
	for (char *c = view.reason; *c; c++)
		if (*c == '"' || *c == '\\' || (unsigned char)*c < ' ')
			*c = '\'';
	out_note(cmd_out(cmd),
		"{\"state\": \"%s\", \"behind\": %s, \"credit_bytes_per_s\": %llu, \"reason\": "
		"\"%s\", \"serial\": %llu}",
		mover_phase_name(view.phase), view.behind ? "true" : "false",
		(unsigned long long)view.credit_bytes_per_s, view.reason,
		(unsigned long long)view.serial);
	return 0;
}

static void agent_tick(evutil_socket_t fd, short what, void *arg)
{
	struct waiting *waiting = arg;
	struct mover_view view = {.serial = 1};

	(void)fd;
	(void)what;
	mover_view(waiting->cmd->ctx, waiting->cmd->args[0], &view);
	if (waiting->left_us <= waiting->tick_us || view.serial != waiting->serial) {
		migrate_agent_view(waiting->cmd);
		waiting_end(waiting, 0);
		return;
	}
	waiting->left_us -= waiting->tick_us;
	waiting_again(waiting);
}

int migrate_agent_wait(struct cmd *cmd)
{
	uint64_t serial, timeout_ms;
	struct waiting *waiting;
	int rc;

	if (cmd_number(cmd, "serial", cmd->args[1], UINT64_MAX, &serial) != 0 ||
		cmd_number(cmd, "timeout", cmd->args[2], WAIT_MAX_MS, &timeout_ms) != 0)
		return -EINVAL;
	rc = waiting_start(cmd, AGENT_TICK_US, agent_tick);
	if (rc != CMD_LATER)
		return rc;
	waiting = cmd->state;
	waiting->serial = serial;
	waiting->left_us = timeout_ms * 1000;
	return rc;
}

/* ---- for people ---- */

static void line_event(struct out *out, const struct mover_event *event)
{
	bool sessions = event->kind == MOVER_EVENT_WALK || event->kind == MOVER_EVENT_ROUND;

	out_real(out, "at_ms", (double)event->at_ns / 1e6, 3);
	out_str(out, "event", mover_event_name(event->kind));
	out_str(out, "step", event->kind == MOVER_EVENT_END ? NULL : event->step);
	out_str(out, "phase", mover_phase_name(event->phase));
	out_bool(out, "behind", event->behind);
	if (sessions) {
		out_str(out, "vport", event->port);
		out_u64(out, "round", event->round);
		out_u64(out, "changed", event->changed);
		out_u64(out, "sessions", event->sessions);
	}
	if (event->reason[0])
		out_str(out, "reason", event->reason);
}

/* Something, while nothing happens. */
static int line_alive(struct cmd *cmd, const struct mover_view *view)
{
	uint64_t age_ns = mover_now_ns(cmd->ctx) - view->started_ns;
	struct out *out = cmd_line(cmd);

	if (!out)
		return -ENOMEM;
	out_real(out, "at_ms", (double)age_ns / 1e6, 3);
	out_str(out, "event", "waiting");
	out_str(out, "step", view->step);
	out_str(out, "phase", mover_phase_name(view->phase));
	out_bool(out, "behind", view->behind);
	out_str(out, "waits_for", view->waits_for[0] ? view->waits_for : NULL);
	if (view->reason[0])
		out_str(out, "reason", view->reason);
	cmd_line_end(cmd);
	return 0;
}

/* 1: the move is over. */
static int lines_show(struct waiting *waiting)
{
	struct cmd *cmd = waiting->cmd;
	struct mover_event event;

	while (cmd_room(cmd) > LINE_BYTES) {
		int rc = mover_event_next(cmd->ctx, cmd->args[0], waiting->seen, &event);
		struct out *out;

		if (rc == -ENOENT)
			return cmd_fail(
				cmd, "move \"%s\" is not remembered any more", cmd->args[0]);
		if (rc != 0)
			return 0;
		out = cmd_line(cmd);
		if (!out)
			return -ENOMEM;
		line_event(out, &event);
		if (event.number > waiting->seen + 1)
			out_u64(out, "missed", event.number - waiting->seen - 1);
		cmd_line_end(cmd);
		waiting->seen = event.number;
		waiting->quiet_us = 0;
		if (event.kind == MOVER_EVENT_END)
			return 1;
	}
	return 0;
}

static void watch_tick(evutil_socket_t fd, short what, void *arg)
{
	struct waiting *waiting = arg;
	struct mover_view view;
	int rc = lines_show(waiting);

	(void)fd;
	(void)what;
	waiting->quiet_us += waiting->tick_us;
	if (rc == 0 && waiting->quiet_us >= ALIVE_US && cmd_room(waiting->cmd) > LINE_BYTES &&
		mover_view(waiting->cmd->ctx, waiting->cmd->args[0], &view) == 0) {
		rc = line_alive(waiting->cmd, &view);
		waiting->quiet_us = 0;
	}
	if (rc != 0)
		waiting_end(waiting, rc);
	else
		waiting_again(waiting);
}

int migrate_watch(struct cmd *cmd)
{
	struct mover_view view;
	int rc;

	if (mover_view(cmd->ctx, cmd->args[0], &view) != 0)
		return cmd_fail(cmd, "no move \"%s\" (migrate/history lists them)", cmd->args[0]);
	rc = waiting_start(cmd, WATCH_TICK_US, watch_tick);
	/* Of one that is over the end alone. */
	if (rc == CMD_LATER && view.done)
		((struct waiting *)cmd->state)->seen = view.events - 1;
	return rc;
}
