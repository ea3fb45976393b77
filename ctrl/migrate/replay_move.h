/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A move between two engines of one process, for ferry-replay and tests: two movers joined over
 *loopback, the stream as between hosts (plain). The engines may run on a virtual clock and be
 *polled by the caller: while these calls wait (in real time, for the stream's threads), virtual
 *time stands still.
 *
 *	replay_move_create(&options, &move, error, len);	both setups made with its callbacks
 *	replay_move_start(move, "vm1")				bulk copy; traffic may go on at S
 *	replay_move_ready(move, 5000)
 *	replay_move_pause(move)					rings of S down: frozen, final,
 *verified
 *	... warp the clock by the pause, feed packets to either host ...
 *	replay_move_resume(move)				rings of D up: active, committed
 *
 * Threads: one caller, which is also the one that polls the engines.
 */
#ifndef CTRL_MIGRATE_REPLAY_MOVE_H
#define CTRL_MIGRATE_REPLAY_MOVE_H

#include "ctrl/migrate/mover.h"

struct replay_move;

struct replay_move_host {
	const struct config *config; /* its peers name the other host; migrate.listen is not used */
	const char *name; /* host name */
	struct clock_source clock;
	const char *plugin_dir; /* NULL: the installed one */
	const char *engine_name; /* unique, <= 8 characters */
};
struct replay_move_options {
	struct replay_move_host source, destination;
	const char *run_dir; /* a scratch directory; two stores are made below it */
	/* Called again and again while a call waits, so that the caller can poll engines; may be
	 * NULL. */
	void (*idle)(void *arg);
	void *idle_arg;
};

/* Engines with ring ports; the destination's vport, if its config has it, is born with rings down.
 */
int replay_move_create(const struct replay_move_options *options, struct replay_move **out,
	char *error, size_t error_len);
void replay_move_destroy(struct replay_move *move);

struct setup *replay_move_setup(struct replay_move *move, bool destination);
struct mover *replay_move_mover(struct replay_move *move, bool destination);

/* Each: 0, or -errno with the reason in the error of the view. */
int replay_move_start(struct replay_move *move, const char *vport);
int replay_move_ready(struct replay_move *move, uint32_t timeout_ms);
int replay_move_pause(struct replay_move *move, uint32_t timeout_ms);
int replay_move_resume(struct replay_move *move, uint32_t timeout_ms);
const char *replay_move_reason(const struct replay_move *move);
const char *replay_move_id(const struct replay_move *move); /* for the movers' views and reports */

#endif
