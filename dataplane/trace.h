/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef FERRY_TRACE_H
#define FERRY_TRACE_H
/*
 * What would happen to this packet: the stages of worker.c asked without a side effect. Nothing is
 * counted, opened, sent or changed; plugins are asked as in a re-check. Any thread but a worker; an
 * online RCU reader (session_walk.h).
 */
#include <stddef.h>
#include <stdint.h>

struct engine;
struct vport;

struct trace_sink {
	/* One line: which stage, what it found. */
	void (*line)(void *arg, const char *stage, const char *text);
	void *arg;
};

/*
 * A frame as `vport` would send it, or (vport NULL) as it would come from the uplink, outer header
 * included. Returns 0, or -EINVAL for a frame that does not fit a buffer.
 */
int trace_packet(struct engine *engine, struct vport *vport, const void *frame, size_t len,
	const struct trace_sink *sink);

#endif
