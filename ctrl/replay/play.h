/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The run: frames of the timeline go into the ports of one engine (or two, when a vport moves), the
 * clock goes with them, and what the engines send is collected.
 *
 * The clock only goes forward; between two frames the engine gets its turns (ageing, timers) in
 * steps. After each frame it runs until nothing moves, so that a result does not depend on the
 * speed of the machine.
 *
 * Threads: one; it is also the engines' worker (engine_poll).
 */
#ifndef CTRL_REPLAY_PLAY_H
#define CTRL_REPLAY_PLAY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "ctrl/replay/options.h"
#include "ctrl/replay/timeline.h"
#include "ctrl/vswitch/setup.h"

#define PLAY_HOSTS 2
#define PLAY_ERROR_MAX 512

struct play;

/* A clock that play sets; give it to setup_create() as {play_clock_now, clock}. */
struct play_clock {
	uint64_t now_ns;
};
#define PLAY_START_NS 1000000000000ull /* engine time of the first frame */
uint64_t play_clock_now(void *clock);

/* What happens at a time, besides frames. Owner: whoever adds it. */
struct play_event {
	struct play_event *next; /* play's */
	uint64_t at_ns; /* since the first frame */
	/* 0 or -errno with a line in error (PLAY_ERROR_MAX): the run ends. */
	int (*run)(struct play *play, void *arg, char *error);
	void *arg;
};

struct play_params {
	const struct replay_options *options;
	struct timeline *timeline;
	struct play_clock *clock;
	struct setup *setup[PLAY_HOSTS]; /* [1] NULL: one host; stay the caller's */
	uint64_t first_ns; /* wall time of the first frame, for the outputs */
};

/* Opens the outputs. -errno and one line. */
int play_create(const struct play_params *params, struct play **out, char *error, size_t error_len);
/* Closes the outputs: -errno when not all of it got to the disk. NULL allowed. */
int play_destroy(struct play *play);

/* Before play_run(), or from an event for later ones. */
void play_event_add(struct play *play, struct play_event *event);

/* All of it. -errno and one line. */
int play_run(struct play *play, char *error, size_t error_len);

/* For events. Ports are looked up again: after vports came or went. */
int play_ports_refresh(struct play *play, char *error, size_t error_len);
/* One turn of all engines, and what they send collected; the clock stands. */
void play_turn(struct play *play);
/*
 * The VM behind this vport does not run until play_vm_run(): its next frame, and all frames behind
 * it, wait for that; frames that come before go on arriving. It runs again on `host`.
 */
int play_vm_pause(struct play *play, const char *vport, uint64_t until_ns);
void play_vm_run(struct play *play, unsigned int host);

/* ---- for the summary ---- */

struct play_port_view {
	const char *name;
	uint64_t in, out;
};
/* By index; false: no such port. */
bool play_port_view(const struct play *play, unsigned int index, struct play_port_view *view);

struct play_counts {
	uint64_t frames; /* given to ports */
	uint64_t padded, skipped; /* snapped frames */
	uint64_t homeless; /* by `*`: from no port */
	uint64_t resolved; /* questions of uplinks answered */
	uint64_t carried; /* from one host's uplink to the other's */
	uint64_t moved_ns; /* what frames waited for a paused VM */
};
void play_counts(const struct play *play, struct play_counts *counts);
/* Frames of the capture that were given to a port. */
uint64_t play_capture_frames(const struct play *play, unsigned int capture);

#endif
