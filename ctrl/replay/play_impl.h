/* SPDX-License-Identifier: BSD-3-Clause */
/* What play.c and play_ports.c share; no one else includes it. */
#ifndef CTRL_REPLAY_PLAY_IMPL_H
#define CTRL_REPLAY_PLAY_IMPL_H

#include "ctrl/replay/output.h"
#include "ctrl/replay/play.h"
#include "dataplane/port.h"
#include "dataplane/vport.h"

#define PLAY_UPLINK "uplink"
#define PLAY_BY_SOURCE "*"

struct play_port {
	char name[VPORT_NAME_MAX];
	bool uplink;
	struct port *port[PLAY_HOSTS]; /* NULL: not on that host (now) */
	unsigned int host; /* where frames go in */
	bool paused; /* of a VM that does not run */
	struct output *output;
	uint64_t in;
};

struct play_host {
	struct setup *setup;
	struct engine *engine;
	struct in6_addr vtep[2];
	uint64_t next_tick_ns;
};

struct play {
	const struct replay_options *options;
	struct timeline *timeline;
	struct play_clock *clock;
	uint64_t first_ns;
	struct play_host host[PLAY_HOSTS];
	unsigned int hosts;
	struct play_port *ports;
	unsigned int n_ports;
	struct play_port *input[OPTIONS_INPUTS_MAX]; /* by capture; NULL: by source */
	uint64_t capture_frames[OPTIONS_INPUTS_MAX];
	struct play_event *events; /* in order of time */
	uint64_t paused_until_ns; /* 0: every VM runs */
	uint64_t shift_ns; /* what frames have waited so far */
	struct play_counts counts;
	int output_error;
};

int play_ports_open(struct play *play, char *error, size_t error_len);
void play_ports_close(struct play *play);
struct play_port *play_port_find(struct play *play, const char *name);
/* The port a frame goes in at; NULL: none. */
struct play_port *play_port_of(struct play *play, const struct timeline_frame *frame);
/* -ENOBUFS: no room for it now. */
int play_inject(struct play *play, struct play_port *port, const struct capture_frame *frame);
/* Take what the engines have sent. */
void play_collect(struct play *play);

#endif
