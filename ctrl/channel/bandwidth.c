/* SPDX-License-Identifier: BSD-3-Clause */
#include <pthread.h>
#include <stdlib.h>

#include "ctrl/channel/bandwidth.h"

#define NS_PER_S 1000000000u
#define BURST_MIN_BYTES (64 << 10)
/* How long who has no claim at all (held, sessions wait) sleeps before it asks again. */
#define RETRY_NS 2000000u
/* A refused sessions request keeps memory off this much longer than it was told to wait. */
#define YIELD_SLACK_NS 1000000u

struct bandwidth {
	pthread_mutex_t lock;
	uint64_t rate;
	int64_t burst;
	int64_t tokens; /* below zero: overdrawn */
	uint64_t filled_ns;
	uint64_t sessions_due_ns; /* until then memory yields; 0: nobody waits */
	bool memory_held;
	struct bandwidth_stats stats;
};

static int64_t burst_of(uint64_t rate)
{
	int64_t burst = (int64_t)(rate / 100);

	return burst < BURST_MIN_BYTES ? BURST_MIN_BYTES : burst;
}

static int64_t reserve_of(const struct bandwidth *bw, enum bandwidth_class class)
{
	return class == BANDWIDTH_MEMORY ? bw->burst / 4 : 0;
}

struct bandwidth *bandwidth_new(uint64_t rate_bytes_per_s)
{
	struct bandwidth *bw = calloc(1, sizeof(*bw));

	if (bw == NULL)
		return NULL;
	pthread_mutex_init(&bw->lock, NULL);
	bw->rate = rate_bytes_per_s;
	bw->burst = burst_of(rate_bytes_per_s);
	bw->tokens = bw->burst;
	return bw;
}

void bandwidth_free(struct bandwidth *bw)
{
	if (bw == NULL)
		return;
	pthread_mutex_destroy(&bw->lock);
	free(bw);
}

void bandwidth_set_rate(struct bandwidth *bw, uint64_t rate_bytes_per_s)
{
	pthread_mutex_lock(&bw->lock);
	bw->rate = rate_bytes_per_s;
	bw->burst = burst_of(rate_bytes_per_s);
	if (bw->tokens > bw->burst)
		bw->tokens = bw->burst;
	pthread_mutex_unlock(&bw->lock);
}

static void bucket_fill(struct bandwidth *bw, uint64_t now_ns)
{
	uint64_t room, elapsed_ns, full_ns, added;

	if (bw->rate == 0 || now_ns <= bw->filled_ns)
		return;
	elapsed_ns = now_ns - bw->filled_ns;
	room = (uint64_t)(bw->burst - bw->tokens);
	full_ns = (uint64_t)((double)room * NS_PER_S / (double)bw->rate);
	if (elapsed_ns > full_ns) {
		bw->tokens = bw->burst;
		bw->filled_ns = now_ns;
		return;
	}
	added = (uint64_t)((double)elapsed_ns * (double)bw->rate / NS_PER_S);
	bw->tokens += (int64_t)added;
	/* Only by the time that gave whole bytes, so that small steps add up. */
	bw->filled_ns += (uint64_t)((double)added * NS_PER_S / (double)bw->rate);
}

/* Bytes a class may begin to take now: any number above zero allows one whole request. */
static int64_t bucket_left(const struct bandwidth *bw, enum bandwidth_class class)
{
	return bw->rate == 0 ? INT64_MAX : bw->tokens - reserve_of(bw, class);
}

static uint64_t bucket_wait_ns(const struct bandwidth *bw, enum bandwidth_class class)
{
	int64_t missing = 1 - bucket_left(bw, class);

	if (missing <= 0)
		return 0;
	return (uint64_t)((double)missing * NS_PER_S / (double)bw->rate) + 1;
}

static bool memory_must_yield(const struct bandwidth *bw, uint64_t now_ns)
{
	return bw->memory_held || now_ns < bw->sessions_due_ns;
}

static void bucket_draw(struct bandwidth *bw, enum bandwidth_class class, size_t len_bytes)
{
	if (bw->rate != 0)
		bw->tokens -= (int64_t)len_bytes;
	bw->stats.taken_bytes[class] += len_bytes;
}

uint64_t bandwidth_take(
	struct bandwidth *bw, enum bandwidth_class class, size_t len_bytes, uint64_t now_ns)
{
	bool memory = class == BANDWIDTH_MEMORY;
	uint64_t wait_ns;

	pthread_mutex_lock(&bw->lock);
	bucket_fill(bw, now_ns);
	wait_ns = bucket_wait_ns(bw, class);
	if (memory && memory_must_yield(bw, now_ns))
		wait_ns = wait_ns < RETRY_NS ? RETRY_NS : wait_ns;
	if (wait_ns == 0) {
		bucket_draw(bw, class, len_bytes);
		if (!memory)
			bw->sessions_due_ns = 0;
	} else {
		bw->stats.refused[class]++;
		if (!memory)
			bw->sessions_due_ns = now_ns + wait_ns + YIELD_SLACK_NS;
	}
	pthread_mutex_unlock(&bw->lock);
	return wait_ns;
}

void bandwidth_hold_memory(struct bandwidth *bw, bool hold)
{
	pthread_mutex_lock(&bw->lock);
	bw->memory_held = hold;
	pthread_mutex_unlock(&bw->lock);
}

void bandwidth_stats(struct bandwidth *bw, struct bandwidth_stats *stats)
{
	pthread_mutex_lock(&bw->lock);
	*stats = bw->stats;
	stats->rate_bytes_per_s = bw->rate;
	stats->memory_held = bw->memory_held;
	pthread_mutex_unlock(&bw->lock);
}
