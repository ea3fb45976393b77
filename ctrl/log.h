/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The log of a control process: lines of (level, module, object, text) to one target.
 *
 * A caller never waits for the target. A line is put in a bounded ring in memory; a thread of the
 * log's own carries it to stderr, a file or syslog. When the target takes no more (full disk,
 * stopped reader) lines are lost and counted, and the next line that gets through says how many.
 *
 * Two ways to log: log_err/warn/info/debug for what people and the control plane do, and
 * log_limited for what traffic, peers or guests can cause: at most one line a second (or as many as
 * log_set_rate() says) for each (module, object, reason), with the number of suppressed ones.
 *
 * Threads: any, but never a worker (workers count; they do not log). A NULL module swallows lines,
 * so code under test needs no log. log_open and log_close belong to the main thread.
 */
#ifndef CTRL_LOG_H
#define CTRL_LOG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum log_level { LOG_LEVEL_OFF, LOG_LEVEL_ERR, LOG_LEVEL_WARN, LOG_LEVEL_INFO, LOG_LEVEL_DEBUG };

enum log_target { LOG_TO_STDERR, LOG_TO_FILE, LOG_TO_SYSLOG };

struct log;
struct log_module;

struct log_options {
	const char *program; /* for syslog and the start of a line on stderr; copied */
	enum log_target target;
	const char
		*path; /* LOG_TO_FILE: the file, made 0640, appended; else the syslog socket, NULL:
			     /dev/log. Copied. */
	enum log_level level; /* of every module at first; 0 (off) means info */
	size_t ring_bytes; /* 0: 256 KiB */
	uint64_t (*now_ms)(void *ctx); /* clock of the rate limit, NULL: monotonic */
	void *now_ctx;
};

/* What has happened to lines; `lost` never got to the target, `suppressed` fell to the limit. */
struct log_stats {
	uint64_t written, lost, suppressed;
	int target_error; /* errno of the last failed write or open, 0 when the target works */
};

/* 0 or -errno (the file cannot be opened: -errno and nothing is left). */
int log_open(const struct log_options *options, struct log **log);

/* Carries what is in the ring as far as the target takes it within a second, stops the thread and
 * frees log and modules. NULL is allowed. */
void log_close(struct log *log);

/* Waits until the ring is empty or timeout_ms passed; true when it is empty. */
bool log_flush(struct log *log, unsigned int timeout_ms);

/* Opens the file again at the next line (after rotation). */
void log_reopen(struct log *log);

/* The module of that name, made on first use; lives as long as the log. NULL when log is NULL or
 * there are 64 modules already. */
struct log_module *log_module(struct log *log, const char *name);

/* Sets the level of one module, or of all, present and to come, with module NULL. -ENOENT: none of
 * that name. */
int log_set_level(struct log *log, const char *module, enum log_level level);

/* For the commands: name and level of the i-th module; false past the last. */
bool log_module_at(struct log *log, size_t i, const char **name, enum log_level *level);
/* Lines a second for each (module, object, reason) of log_limited(), 1 to 1000; 1 at first. */
void log_set_rate(struct log *log, uint32_t per_s);
void log_stats(struct log *log, struct log_stats *stats);

const char *log_level_name(enum log_level level);
/* 0 or -EINVAL. Takes off, err(or), warn(ing), info, debug (dbg). */
int log_level_parse(const char *text, enum log_level *level);

bool log_enabled(const struct log_module *module, enum log_level level);

/* One line; object may be NULL. */
void log_put(struct log_module *module, enum log_level level, const char *object,
	const char *format, ...) __attribute__((format(printf, 4, 5)));

/* Limited for each (module, object, reason). The reason is a short fixed text
 * ("frame larger than the MTU") and part of the line; format adds detail and may be NULL. */
void log_limited(struct log_module *module, enum log_level level, const char *object,
	const char *reason, const char *format, ...) __attribute__((format(printf, 5, 6)));

#define log_err(module, object, ...) log_put(module, LOG_LEVEL_ERR, object, __VA_ARGS__)
#define log_warn(module, object, ...) log_put(module, LOG_LEVEL_WARN, object, __VA_ARGS__)
#define log_info(module, object, ...) log_put(module, LOG_LEVEL_INFO, object, __VA_ARGS__)
#define log_debug(module, object, ...) \
	do { \
		if (log_enabled(module, LOG_LEVEL_DEBUG)) \
			log_put(module, LOG_LEVEL_DEBUG, object, __VA_ARGS__); \
	} while (0)

#endif
