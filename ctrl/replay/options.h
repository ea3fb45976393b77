/* SPDX-License-Identifier: BSD-3-Clause */
/* The command line of ferry-replay. */
#ifndef CTRL_REPLAY_OPTIONS_H
#define CTRL_REPLAY_OPTIONS_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#define OPTIONS_INPUTS_MAX 256
#define OPTIONS_EVENTS_MAX 64

struct replay_input {
	const char *port; /* a vport's name, "uplink", or "*": by the frame's source */
	const char *path;
};

struct replay_reload {
	const char *path;
	uint64_t at_ns; /* since the first frame */
};

struct replay_migrate {
	const char *vport; /* NULL: no move */
	uint64_t at_ns; /* the VM pauses */
	uint64_t pause_ns;
	uint64_t copy_ns; /* the move starts so long before the pause */
};

struct replay_options {
	const char *config, *out_dir, *plugin_dir;
	struct replay_input inputs[OPTIONS_INPUTS_MAX];
	unsigned int n_inputs;
	struct replay_reload reloads[OPTIONS_EVENTS_MAX];
	unsigned int n_reloads;
	struct replay_migrate migrate;
	uint64_t max_gap_ns; /* 0: gaps stay */
	uint64_t tail_ns; /* the clock runs on behind the last frame */
	unsigned int loops;
	bool json, strict, no_resolve, skip_snapped;
};

void options_usage(FILE *out);
/* 0; 1: all is said (--help, --version); -EINVAL with a line on stderr. */
int options_parse(struct replay_options *options, int argc, char **argv);

/* "250ms", "1.5s", "2m", "10us", "7ns", "3" (seconds), "off" (0). 0 or -EINVAL. */
int options_duration(const char *text, uint64_t *duration_ns);

#endif
