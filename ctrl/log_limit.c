/* SPDX-License-Identifier: BSD-3-Clause */
#include "ctrl/log_limit.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SETS 256 /* a power of two */
#define WAYS 4

struct entry {
	uint64_t hash; /* 0: free */
	uint64_t passed_ms;
	uint64_t suppressed; /* since the last line */
	int level;
	char key[LOG_LIMIT_KEY_MAX];
};

struct log_limit {
	log_limit_report *report;
	void *ctx;
	unsigned int pending; /* entries with suppressed > 0 */
	uint64_t apart_ms; /* lines of one key */
	struct entry entries[SETS][WAYS];
};

struct log_limit *log_limit_create(log_limit_report *report, void *ctx)
{
	struct log_limit *limit = calloc(1, sizeof(*limit));

	if (!limit)
		return NULL;
	limit->report = report;
	limit->ctx = ctx;
	limit->apart_ms = LOG_LIMIT_MS;
	return limit;
}

void log_limit_destroy(struct log_limit *limit)
{
	free(limit);
}

void log_limit_rate(struct log_limit *limit, uint32_t per_s)
{
	limit->apart_ms = 1000 / per_s;
}

/* FNV-1a of what is kept of the key, never 0. */
static uint64_t key_hash(const char *key)
{
	uint64_t hash = UINT64_C(0xcbf29ce484222325);

	for (int i = 0; key[i] && i < LOG_LIMIT_KEY_MAX - 1; i++)
		hash = (hash ^ (unsigned char)key[i]) * UINT64_C(0x100000001b3);
	return hash | 1;
}

static void tell(struct log_limit *limit, struct entry *entry)
{
	if (entry->suppressed == 0)
		return;
	limit->report(limit->ctx, entry->level, entry->key, entry->suppressed);
	entry->suppressed = 0;
	limit->pending--;
}

/* The entry of the key, or the one to take: free or longest without a line. */
static struct entry *find(struct log_limit *limit, const char *key, uint64_t hash)
{
	struct entry *set = limit->entries[hash >> 32 & (SETS - 1)], *oldest = set;

	for (int i = 0; i < WAYS; i++) {
		if (set[i].hash == hash && strncmp(set[i].key, key, LOG_LIMIT_KEY_MAX - 1) == 0)
			return &set[i];
		if (set[i].passed_ms < oldest->passed_ms || !set[i].hash)
			oldest = &set[i];
		if (!oldest->hash)
			break;
	}
	return oldest;
}

bool log_limit_pass(
	struct log_limit *limit, int level, const char *key, uint64_t now_ms, uint64_t *suppressed)
{
	uint64_t hash = key_hash(key);
	struct entry *entry = find(limit, key, hash);

	if (entry->hash != hash || strncmp(entry->key, key, LOG_LIMIT_KEY_MAX - 1) != 0) {
		tell(limit, entry);
		entry->hash = hash;
		snprintf(entry->key, sizeof(entry->key), "%s", key);
	} else if (now_ms - entry->passed_ms < limit->apart_ms) {
		if (entry->suppressed++ == 0)
			limit->pending++;
		return false;
	}
	if (entry->suppressed)
		limit->pending--;
	*suppressed = entry->suppressed;
	entry->suppressed = 0;
	entry->passed_ms = now_ms;
	entry->level = level;
	return true;
}

bool log_limit_expire(struct log_limit *limit, uint64_t now_ms)
{
	for (int i = 0; limit->pending && i < SETS * WAYS; i++) {
		struct entry *entry = &limit->entries[i / WAYS][i % WAYS];

		if (now_ms - entry->passed_ms < LOG_LIMIT_MS || !entry->suppressed)
			continue;
		tell(limit, entry);
		entry->passed_ms = now_ms; /* what was told counts as a line */
	}
	return limit->pending > 0;
}
