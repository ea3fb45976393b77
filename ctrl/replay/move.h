/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A vport's move in a replay: a second host with the same VPCs, groups and peers as the config's,
 * and the real movers and stream between the two. While those work (in real time, in threads of
 * their own) the virtual clock stands.
 *
 * Frames for the vport go on arriving at the first host, which relays them: as from peers that
 * never learn.
 *
 * Threads: one, the one that plays.
 */
#ifndef CTRL_REPLAY_MOVE_H
#define CTRL_REPLAY_MOVE_H

#include "ctrl/cmd/out.h"
#include "ctrl/replay/play.h"

struct move;

struct move_params {
	const struct replay_migrate *migrate;
	struct config *config; /* of the first host; gets the second as a peer */
	struct play_clock *clock;
	const char *plugin_dir;
};

/* Makes both hosts; EAL runs. -errno and one line. */
int move_create(const struct move_params *params, struct move **out, char *error, size_t error_len);
void move_destroy(struct move *move); /* NULL allowed */
struct setup *move_setup(const struct move *move, unsigned int host);

/* Has the steps happen in their time. */
void move_schedule(struct move *move, struct play *play);
/* A step failed; play_run() has said why. */
bool move_failed(const struct move *move);
/* The move's own report, as migrate/report shows it at the first host. */
void move_show(const struct move *move, struct out *out);

#endif
