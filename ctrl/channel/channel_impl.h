/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The inside of a channel, shared by its three files: channel_new.c (life, options, what others may
 * ask), channel_send.c, channel_recv.c, and by open.c, which makes one.
 */
#ifndef CTRL_CHANNEL_CHANNEL_IMPL_H
#define CTRL_CHANNEL_CHANNEL_IMPL_H

#include <stdatomic.h>

#include "ctrl/channel/channel.h"
#include "ctrl/channel/hello.h"
#include "ctrl/channel/link.h"

#define CHANNEL_TYPES_MAX 64
/* The receive buffer of a channel that has not said hello yet. */
#define CHANNEL_RX_FIRST_BYTES (FRAME_HEADER_BYTES + HELLO_MAX_BYTES)

/* Written by the sending or the receiving thread, read by any. */
struct channel_counters {
	_Atomic uint64_t sent_bytes, sent_raw_bytes, sent_frames;
	_Atomic uint64_t received_bytes, received_raw_bytes, received_frames, skipped_frames;
	_Atomic uint64_t capped_ns, blocked_ns;
};

/* The frame being built: header room first, so that one send takes it all. */
struct channel_tx {
	uint8_t *frame; /* FRAME_HEADER_BYTES + frame_bytes; NULL until first needed */
	uint8_t *packed; /* the same, compressed */
	struct frame_kind kind;
	size_t used_bytes;
	uint64_t sequence;
	unsigned lz4_skip; /* frames not to try, as the last ones did not get smaller */
};

struct channel_rx {
	uint8_t *data;
	size_t room_bytes, start, end;
	struct frame_parser parser;
	bool drained; /* the last look at the wire found nothing more */
	bool ended; /* the peer has said so */
};

struct channel {
	struct channel_host *host;
	const struct channel_world *world;
	struct link link;
	struct channel_options options;
	uint16_t types[CHANNEL_TYPES_MAX]; /* the owner's and our own */
	struct channel_hello hello;
	uint16_t protocol;
	struct channel_tx tx;
	struct channel_rx rx;
	struct channel_counters counters;
	pthread_mutex_t error_lock; /* of error and failed, which either thread may set */
	int failed;
	struct channel_error error; /* the first failure; stable once failed is set */
};

/* Takes over the io, also when it fails. NULL without memory. */
struct channel *channel_new(struct channel_host *host, const struct channel_io *io,
	const struct channel_cancel *cancel);

/* Remembers the first failure, counts it, and returns its -errno. */
int channel_fail(struct channel *channel, enum channel_reason reason, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
/* 0 or the -errno the channel failed with. */
int channel_failed(struct channel *channel);

/* After the hellos: whole frames, the owner's types, sequences as agreed. */
int channel_begin(struct channel *channel, const struct channel_options *options,
	uint64_t send_from, uint64_t receive_from);

/* Sends one frame that is not capped or compressed: the channel's own. */
int channel_send_own(struct channel *channel, uint16_t type, const void *payload, size_t len_bytes,
	uint64_t deadline_ns);
/* Any frame, the channel's own too. */
int channel_recv_any(struct channel *channel, struct frame *frame, uint64_t deadline_ns);

#endif
