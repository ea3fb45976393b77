/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The log as its callers see it: levels, lines, the limit. What happens to a finished line is
 * log_carrier.c's.
 */
#include "ctrl/log.h"

#include <errno.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ctrl/log_carrier.h"
#include "ctrl/log_limit.h"
#include "ctrl/log_target.h"

#define MODULES_MAX 64

struct log_module {
	struct log *log;
	char name[24];
	atomic_int level;
};

struct log {
	uint64_t (*now_ms)(void *ctx);
	void *now_ctx;
	struct log_carrier *carrier;

	pthread_mutex_t lock; /* guards all below; levels are read without it */
	struct log_module modules[MODULES_MAX];
	size_t n_modules;
	int first_level; /* of modules to come */
	struct log_limit *limit;
	uint64_t suppressed;
};

static const char *const level_names[] = {"off", "err", "warn", "info", "debug"};

const char *log_level_name(enum log_level level)
{
	return level_names[level];
}

int log_level_parse(const char *text, enum log_level *level)
{
	static const struct {
		const char *name;
		enum log_level level;
	} others[] = {
		{"error", LOG_LEVEL_ERR}, {"warning", LOG_LEVEL_WARN}, {"dbg", LOG_LEVEL_DEBUG}};

	for (int i = LOG_LEVEL_OFF; i <= LOG_LEVEL_DEBUG; i++) {
		if (strcmp(text, level_names[i]) == 0) {
			*level = i;
			return 0;
		}
	}
	for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
		if (strcmp(text, others[i].name) == 0) {
			*level = others[i].level;
			return 0;
		}
	}
	return -EINVAL;
}

/* --- lines --- */

static size_t line_begin(char *line)
{
	log_carrier_stamp(line);
	return LOG_STAMP_BYTES;
}

static size_t line_add(char *line, size_t at, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

static size_t line_vadd(char *line, size_t at, const char *format, va_list args)
{
	int n = vsnprintf(line + at, LOG_LINE_BYTES - 1 - at, format, args);

	if (n < 0)
		return at;
	return at + (size_t)n < LOG_LINE_BYTES - 2 ? at + (size_t)n : LOG_LINE_BYTES - 2;
}

static size_t line_add(char *line, size_t at, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	at = line_vadd(line, at, format, args);
	va_end(args);
	return at;
}

static size_t line_end(char *line, size_t at)
{
	for (size_t i = 0; i < at; i++)
		if ((unsigned char)line[i] < 0x20 || line[i] == 0x7f)
			line[i] = '?';
	line[at++] = '\n';
	return at;
}

static size_t line_head(
	char *line, const struct log_module *module, enum log_level level, const char *object)
{
	size_t at = line_begin(line);

	at = line_add(line, at, "%-5s %s: ", log_level_name(level), module->name);
	if (object)
		at = line_add(line, at, "%s: ", object);
	return at;
}

bool log_enabled(const struct log_module *module, enum log_level level)
{
	return module && (int)level <= atomic_load_explicit(&module->level, memory_order_relaxed);
}

void log_put(struct log_module *module, enum log_level level, const char *object,
	const char *format, ...)
{
	char line[LOG_LINE_BYTES];
	va_list args;
	size_t at;

	if (!log_enabled(module, level))
		return;
	at = line_head(line, module, level, object);
	va_start(args, format);
	at = line_vadd(line, at, format, args);
	va_end(args);
	log_carrier_put(module->log->carrier, level, line, line_end(line, at));
}

/* May the line of this key go out now? */
static bool limit_pass(struct log *log, enum log_level level, const char *key, uint64_t *suppressed)
{
	bool pass;

	pthread_mutex_lock(&log->lock);
	pass = log_limit_pass(log->limit, level, key, log->now_ms(log->now_ctx), suppressed);
	if (!pass)
		log->suppressed++;
	pthread_mutex_unlock(&log->lock);
	if (!pass)
		log_carrier_arm(log->carrier);
	return pass;
}

void log_set_rate(struct log *log, uint32_t per_s)
{
	pthread_mutex_lock(&log->lock);
	log_limit_rate(log->limit, per_s);
	pthread_mutex_unlock(&log->lock);
}

void log_limited(struct log_module *module, enum log_level level, const char *object,
	const char *reason, const char *format, ...)
{
	char line[LOG_LINE_BYTES], key[LOG_LIMIT_KEY_MAX];
	uint64_t suppressed;
	va_list args;
	size_t at;

	if (!log_enabled(module, level))
		return;
	snprintf(key, sizeof(key), "%s: %s: %s", module->name, object ? object : "", reason);
	if (!limit_pass(module->log, level, key, &suppressed))
		return;
	at = line_head(line, module, level, object);
	at = line_add(line, at, "%s", reason);
	if (format) {
		at = line_add(line, at, ": ");
		va_start(args, format);
		at = line_vadd(line, at, format, args);
		va_end(args);
	}
	if (suppressed)
		at = line_add(
			line, at, " (%llu like it suppressed)", (unsigned long long)suppressed);
	log_carrier_put(module->log->carrier, level, line, line_end(line, at));
}

/* From log_limit, lock held. */
static void report_suppressed(void *ctx, int level, const char *key, uint64_t suppressed)
{
	struct log *log = ctx;
	char line[LOG_LINE_BYTES];
	size_t at = line_begin(line);

	at = line_add(line, at, "%-5s %s: %llu more suppressed", log_level_name(level), key,
		(unsigned long long)suppressed);
	log_carrier_put(log->carrier, level, line, line_end(line, at));
}

/* From the carrier's thread, every second while armed. */
static bool tell_suppressed(void *ctx)
{
	struct log *log = ctx;
	bool more;

	pthread_mutex_lock(&log->lock);
	more = log_limit_expire(log->limit, log->now_ms(log->now_ctx));
	pthread_mutex_unlock(&log->lock);
	return more;
}

/* --- life --- */

static uint64_t monotonic_ms(void *ctx)
{
	return log_carrier_now_ms();
}

static void log_free(struct log *log)
{
	pthread_mutex_destroy(&log->lock);
	log_limit_destroy(log->limit);
	free(log);
}

int log_open(const struct log_options *options, struct log **logp)
{
	struct log *log = calloc(1, sizeof(*log));
	int ret = -ENOMEM;

	if (!log)
		return -ENOMEM;
	log->now_ms = options->now_ms ? options->now_ms : monotonic_ms;
	log->now_ctx = options->now_ctx;
	log->first_level = options->level ? (int)options->level : LOG_LEVEL_INFO;
	pthread_mutex_init(&log->lock, NULL);
	log->limit = log_limit_create(report_suppressed, log);
	if (log->limit)
		ret = log_carrier_open(options, tell_suppressed, log, &log->carrier);
	if (ret < 0) {
		log_free(log);
		return ret;
	}
	*logp = log;
	return 0;
}

void log_close(struct log *log)
{
	if (log && log_carrier_close(log->carrier))
		log_free(log);
}

bool log_flush(struct log *log, unsigned int timeout_ms)
{
	return log_carrier_flush(log->carrier, timeout_ms);
}

void log_reopen(struct log *log)
{
	log_carrier_reopen(log->carrier);
}

/* --- modules --- */

static struct log_module *module_find(struct log *log, const char *name)
{
	for (size_t i = 0; i < log->n_modules; i++)
		if (strcmp(log->modules[i].name, name) == 0)
			return &log->modules[i];
	return NULL;
}

struct log_module *log_module(struct log *log, const char *name)
{
	struct log_module *module = NULL;

	if (!log)
		return NULL;
	pthread_mutex_lock(&log->lock);
	module = module_find(log, name);
	if (!module && log->n_modules < MODULES_MAX) {
		module = &log->modules[log->n_modules++];
		module->log = log;
		snprintf(module->name, sizeof(module->name), "%s", name);
		atomic_init(&module->level, log->first_level);
	}
	pthread_mutex_unlock(&log->lock);
	return module;
}

int log_set_level(struct log *log, const char *name, enum log_level level)
{
	struct log_module *module;
	int ret = 0;

	pthread_mutex_lock(&log->lock);
	if (!name) {
		log->first_level = level;
		for (size_t i = 0; i < log->n_modules; i++)
			atomic_store(&log->modules[i].level, (int)level);
	} else if ((module = module_find(log, name)) != NULL) {
		atomic_store(&module->level, (int)level);
	} else {
		ret = -ENOENT;
	}
	pthread_mutex_unlock(&log->lock);
	return ret;
}

bool log_module_at(struct log *log, size_t i, const char **name, enum log_level *level)
{
	bool there;

	pthread_mutex_lock(&log->lock);
	there = i < log->n_modules;
	if (there) {
		*name = log->modules[i].name;
		*level = (enum log_level)atomic_load(&log->modules[i].level);
	}
	pthread_mutex_unlock(&log->lock);
	return there;
}

void log_stats(struct log *log, struct log_stats *stats)
{
	log_carrier_stats(log->carrier, stats);
	pthread_mutex_lock(&log->lock);
	stats->suppressed = log->suppressed;
	pthread_mutex_unlock(&log->lock);
}
