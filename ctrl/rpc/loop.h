/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The control loop: a libevent base, and the door by which other threads hand it work.
 *
 * Timers, signals and sockets are plain libevent on loop_base(). All callbacks run in the thread
 * that calls loop_run, and none may wait.
 */
#ifndef CTRL_RPC_LOOP_H
#define CTRL_RPC_LOOP_H

#include <event2/event.h>

struct loop;

typedef void loop_fn(void *ctx);

/* 0 or -errno. Any thread; from then on the base belongs to the thread that runs it. */
int loop_create(struct loop **loop);

/* Runs what was posted and not run yet, then frees. No thread may post any more. NULL allowed. */
void loop_destroy(struct loop *loop);

struct event_base *loop_base(struct loop *loop);

/* Runs until loop_stop. 0 or -errno. */
int loop_run(struct loop *loop);

/* Any thread. loop_run returns when the callback it is in (and those already due) are over. */
void loop_stop(struct loop *loop);

/*
 * Any thread (move threads, the vhost events thread, the loop itself): fn(ctx) runs once in the
 * loop's thread, in the order of posting, never inside this call. Does not wait. What a closure
 * posts runs in the next round, so posting cannot starve sockets. 0 or -ENOMEM.
 */
int loop_post(struct loop *loop, loop_fn *fn, void *ctx);

#endif
