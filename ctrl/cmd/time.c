/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * time/stop, time/start and time/warp, in test builds only.
 */
#include "ctrl/cmd/time.h"

#include "ctrl/cmd/daemon.h"
#include "dataplane/clock.h"

#define WARP_MS_MAX (400ULL * 24 * 3600 * 1000)

uint64_t clock_warp_now(void *arg)
{
	struct clock_warp *warp = arg;
	uint64_t stopped = atomic_load(&warp->stopped_ns);

	return stopped ? stopped : clock_monotonic_ns(NULL) + atomic_load(&warp->ahead_ns);
}

static int time_stop(struct cmd *cmd)
{
	struct daemon *d = cmd->ctx;

	atomic_store(&d->warp->stopped_ns, clock_warp_now(d->warp));
	out_note(cmd_out(cmd), "stopped");
	return 0;
}

static int time_start(struct cmd *cmd)
{
	struct daemon *d = cmd->ctx;
	uint64_t now = clock_warp_now(d->warp);

	/* In this order: who sees it run sees where it stood. */
	atomic_store(&d->warp->ahead_ns, now - clock_monotonic_ns(NULL));
	atomic_store(&d->warp->stopped_ns, 0);
	out_note(cmd_out(cmd), "running");
	return 0;
}

static int time_warp(struct cmd *cmd)
{
	struct daemon *d = cmd->ctx;
	uint64_t ms;
	int rc = cmd_number(cmd, "milliseconds", cmd->args[0], WARP_MS_MAX, &ms);

	if (rc != 0)
		return rc;
	if (atomic_load(&d->warp->stopped_ns))
		atomic_fetch_add(&d->warp->stopped_ns, ms * 1000000);
	else
		atomic_fetch_add(&d->warp->ahead_ns, ms * 1000000);
	out_note(cmd_out(cmd), "warped");
	return 0;
}

static const struct cmd_row rows[] = {
	{"time/start", "", 0, 0, NULL, 0, time_start, "Let the engine's clock run on."},
	{"time/stop", "", 0, 0, NULL, 0, time_stop,
		"Stop the engine's clock: nothing ages until time/warp."},
	{"time/warp", "MS", 1, 1, NULL, 0, time_warp,
		"Move the engine's clock on by so many milliseconds."},
};

CMD_NOUN(time, rows);
