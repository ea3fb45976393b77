/* SPDX-License-Identifier: BSD-3-Clause */
/* Many replays in one process: their command lines come one after the other. */
#ifndef CTRL_REPLAY_BATCH_H
#define CTRL_REPLAY_BATCH_H

#include <stdio.h>

#define BATCH_ARGUMENTS_MAX 1024

typedef int batch_fn(void *arg, int argc, char **argv);

/*
 * Reads arguments from `in`, one a line; an empty line (or the end) behind each command line: then
 * run(arg, argc, argv) with argv[0] the program's name, and "= CODE" to `out`, flushed, after all
 * that run printed. 0 at the end of `in`; 2: a command line was too long, and nothing after it ran.
 */
int batch_run(FILE *in, FILE *out, batch_fn *run, void *arg);

#endif
