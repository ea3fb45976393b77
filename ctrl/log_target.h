/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Where lines of the log go. Used by the log's own thread only, which may be held up here.
 */
#ifndef CTRL_LOG_TARGET_H
#define CTRL_LOG_TARGET_H

#include <stddef.h>

#include "ctrl/log.h"

#define LOG_STAMP_BYTES 25 /* "2024-01-31T12:00:00.000Z " */

struct log_target_state {
	enum log_target kind;
	char *program, *path;
	int fd; /* -1: closed, opened at the next line */
	bool torn; /* the last line was cut */
};

/* 0 or -errno. */
int log_target_open(struct log_target_state *target, const struct log_options *options);
void log_target_close(struct log_target_state *target);

/* One line with its stamp and its newline. 0; -EAGAIN: the target takes nothing now, waited a tenth
 * of a second; -errno: the line is lost. */
int log_target_write(
	struct log_target_state *target, enum log_level level, const char *line, size_t len_bytes);

/* The file or socket is opened anew at the next line. */
void log_target_reopen(struct log_target_state *target);

#endif
