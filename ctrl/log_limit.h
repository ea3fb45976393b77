/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * So many lines a second for each key (one at first), with a bounded memory of keys. Part of the
 * log; no lock of its own, the caller holds one.
 */
#ifndef CTRL_LOG_LIMIT_H
#define CTRL_LOG_LIMIT_H

#include <stdbool.h>
#include <stdint.h>

#define LOG_LIMIT_MS 1000 /* silence after which a key's count is told */
#define LOG_LIMIT_KEY_MAX 160 /* bytes of a key that are told apart */

struct log_limit;

/* A key falls silent, or makes room for another, with lines suppressed that no line told of yet. */
typedef void log_limit_report(void *ctx, int level, const char *key, uint64_t suppressed);

struct log_limit *log_limit_create(log_limit_report *report, void *ctx);
void log_limit_destroy(struct log_limit *limit);
/* per_s: 1 to 1000. */
void log_limit_rate(struct log_limit *limit, uint32_t per_s);

/* True: the line goes out, and tells of *suppressed ones before it. */
bool log_limit_pass(
	struct log_limit *limit, int level, const char *key, uint64_t now_ms, uint64_t *suppressed);

/* Reports the keys silent since LOG_LIMIT_MS. True: others still have something to report. */
bool log_limit_expire(struct log_limit *limit, uint64_t now_ms);

#endif
