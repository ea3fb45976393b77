/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Takes finished lines of the log from any thread without waiting, and carries them to the target
 * in a thread of its own. Part of the log, see log.h.
 */
#ifndef CTRL_LOG_CARRIER_H
#define CTRL_LOG_CARRIER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "ctrl/log.h"

#define LOG_LINE_BYTES 1024 /* with the newline; longer ones are cut by whoever makes them */

struct log_carrier;

/* Called from the thread, no lock held, while armed: about once a second until it returns false. */
typedef bool log_carrier_idle(void *ctx);

int log_carrier_open(const struct log_options *options, log_carrier_idle *idle, void *ctx,
	struct log_carrier **carrier);

/* False: the thread is stuck in the kernel, its memory (and ctx) must stay. */
bool log_carrier_close(struct log_carrier *carrier);

void log_carrier_put(
	struct log_carrier *carrier, enum log_level level, const char *line, size_t len_bytes);
void log_carrier_arm(struct log_carrier *carrier);
bool log_carrier_flush(struct log_carrier *carrier, unsigned int timeout_ms);
void log_carrier_reopen(struct log_carrier *carrier);
void log_carrier_stats(struct log_carrier *carrier, struct log_stats *stats);
uint64_t log_carrier_now_ms(void);

/* "2024-01-31T12:00:00.000Z " and a NUL. */
void log_carrier_stamp(char *stamp);

#endif
