/* SPDX-License-Identifier: BSD-3-Clause */
/* What a replay says at its end, as text or JSON. One thread, after play_run(). */
#ifndef CTRL_REPLAY_SUMMARY_H
#define CTRL_REPLAY_SUMMARY_H

#include "ctrl/cmd/out.h"
#include "ctrl/replay/move.h"
#include "ctrl/replay/play.h"

struct summary {
	const struct replay_options *options;
	const struct capture_summary *captures; /* one per input */
	const struct timeline *timeline;
	const struct play *play;
	struct setup *setup[PLAY_HOSTS]; /* as in play_params */
	const struct move *move; /* NULL: none */
};

void summary_show(const struct summary *summary, struct out *out);

#endif
