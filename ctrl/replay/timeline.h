/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Several captures as one line of frames in time order, and their times as one that only goes
 * forward:
 *
 * - frames of equal time come in the order of the captures;
 * - a step back is no step (0 ns, counted), and what comes behind keeps its distance to it;
 * - a gap longer than max_gap_ns is that long (counted);
 * - a further loop begins where the one before ended.
 *
 * Threads: one.
 */
#ifndef CTRL_REPLAY_TIMELINE_H
#define CTRL_REPLAY_TIMELINE_H

#include "ctrl/replay/capture.h"

struct timeline;

struct timeline_frame {
	struct capture_frame frame;
	unsigned int capture; /* index, in the order of timeline_add() */
	uint64_t at_ns; /* since the first frame */
};

struct timeline_stats {
	uint64_t frames, backwards, gaps_shortened;
	uint64_t longest_gap_ns; /* as the captures have it */
	uint64_t shortened_ns; /* taken out of all gaps together */
	uint64_t span_ns; /* of the line */
};

/* max_gap_ns 0: gaps stay as they are. loops >= 1. NULL: no memory. */
struct timeline *timeline_create(uint64_t max_gap_ns, unsigned int loops);
void timeline_destroy(struct timeline *timeline);
int timeline_add(struct timeline *timeline, const char *path); /* kept, not copied; 0 or -ENOMEM */

/* 1: a frame; 0: the end; -errno with a line in error (CAPTURE_ERROR_MAX). A cut file ends at its
 * cut. */
int timeline_next(struct timeline *timeline, struct timeline_frame *next, char *error);
void timeline_stats(const struct timeline *timeline, struct timeline_stats *stats);

#endif
