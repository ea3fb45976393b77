/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef FERRY_CLOCK_H
#define FERRY_CLOCK_H
/*
 * The engine's time: nanoseconds that never go back, read once per burst and passed on. Real
 * engines run on CLOCK_MONOTONIC, replay and tests on a clock they set; `time/stop|warp` changes a
 * real one in test builds.
 */
#include <stdint.h>

struct clock_source {
	uint64_t (*now_ns)(void *arg);
	void *arg;
};

uint64_t clock_monotonic_ns(void *arg); /* CLOCK_MONOTONIC; arg unused */
uint64_t clock_wall_ms(void); /* for epochs only */

static inline uint64_t clock_now_ns(const struct clock_source *source)
{
	return source->now_ns(source->arg);
}

#endif
