/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Waits for channels of other hosts. One thread accepts; each connection that comes from a listed
 * address gets a thread of its own, where TLS and hello run under a deadline and the channel is
 * then served. A half-open handshake holds nothing but its own thread and counts against the
 * limits.
 */
#ifndef CTRL_CHANNEL_LISTENER_H
#define CTRL_CHANNEL_LISTENER_H

#include "ctrl/channel/channel.h"

struct channel_listener;

struct channel_listener_config {
	struct channel_endpoint endpoint; /* where to listen; port 0 takes a free one */
	unsigned max_pending; /* handshakes at once; 0: 32 */
	unsigned max_per_source; /* handshakes of one source address at once; 0: 8 */
	unsigned max_open; /* channels served at once; 0: 256 */
	/* As for channel_accept(); its deadline and cancel are the listener's. */
	struct channel_accept accept;
	/*
	 * Serves the channel, which is the callee's from then on, in the connection's own thread.
	 * If it lasts, it must end soon after the stop of the listener sets the cancel the channel
	 * came with (or be ended by the owner before).
	 */
	void (*serve)(void *ctx, struct channel *channel);
	/* Told of each refusal, for the log; any thread of the listener. May be NULL. */
	void (*refused)(void *ctx, const struct channel_error *error);
	void *ctx;
};

/* Listens and starts the thread. 0 or -errno with *error. */
int channel_listener_start(struct channel_host *host, const struct channel_listener_config *config,
	struct channel_listener **listener, struct channel_error *error);

/* Cancels what runs, waits for all threads, closes. */
void channel_listener_stop(struct channel_listener *listener);

uint16_t channel_listener_port(const struct channel_listener *listener);

struct channel_listener_status {
	bool plain;
	unsigned pending;
	unsigned open;
	uint64_t accepted; /* connections taken from the kernel */
	uint64_t refused;
};

void channel_listener_status(
	struct channel_listener *listener, struct channel_listener_status *status);

#endif
