/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A clock that can be stopped and moved on, for test builds (meson option time_commands): the
 * engine's, so that sessions age and meters fill in no time. Other clocks (log, moves, the loop)
 * stay real.
 */
#ifndef CTRL_CMD_TIME_H
#define CTRL_CMD_TIME_H

#include <stdatomic.h>
#include <stdint.h>

/* Written by the loop, read by any thread. Zeroed: the real time. */
struct clock_warp {
	_Atomic uint64_t stopped_ns; /* != 0: it stands here */
	_Atomic uint64_t ahead_ns; /* of the monotonic clock */
};

/* For struct clock_source; arg is the warp. */
uint64_t clock_warp_now(void *warp);

#endif
