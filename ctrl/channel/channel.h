/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A channel: an authenticated, framed connection to another host, for a move's stream, for location
 * updates between peers, or for the memory of a VM.
 *
 * Life: channel_connect() or channel_accept() (or a listener, listener.h) return it after TLS, the
 * check of the peer and the hello; then frames go both ways; channel_close() ends it. Both blocking
 * calls and data calls take an absolute deadline in ns of the world's monotonic clock
 * (channel_deadline_ns()), and end early with -ECANCELED when the channel's cancel is set.
 *
 * Threads: one thread may send (reserve, commit, flush, send) while one other receives. Counters
 * may be read by any thread. The channel's owner closes it when no other thread uses it.
 *
 * Errors: -ETIMEDOUT from a receive leaves the channel as it was, ask again. Any other error, and
 * every error of a send, is final: channel_error() tells, further calls return the same.
 */
#ifndef CTRL_CHANNEL_CHANNEL_H
#define CTRL_CHANNEL_CHANNEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "ctrl/channel/bandwidth.h"
#include "ctrl/channel/frame.h"
#include "ctrl/channel/host.h"
#include "ctrl/channel/io.h"
#include "ctrl/channel/reason.h"

#define CHANNEL_PROTOCOL_MIN 1
#define CHANNEL_PROTOCOL_MAX 1
#define CHANNEL_FRAME_BYTES (64u << 10) /* default size of batched payloads */

struct channel;

enum channel_purpose {
	CHANNEL_PURPOSE_MOVE = 1,
	CHANNEL_PURPOSE_PEER = 2,
	CHANNEL_PURPOSE_MEMORY = 3,
};
#define CHANNEL_PURPOSE_BIT(purpose) (1u << (purpose))

/* What the other end said in its hello, after it was checked. */
struct channel_hello {
	enum channel_purpose purpose;
	uint16_t protocol_min; /* range it speaks */
	uint16_t protocol_max;
	uint64_t features; /* bits of the purpose */
	char host[CHANNEL_NAME_BYTES];
	uint8_t boot_id[16];
	uint8_t move_id[16]; /* zero if the purpose has none */
	uint32_t index; /* which of several connections of one move; the main one is 0 */
};

/* How the channel is to work; zeros are the defaults. */
struct channel_options {
	const uint16_t *types; /* frame types the caller knows; borrowed, outlives the channel */
	unsigned n_types;
	size_t frame_bytes; /* batched payload: 0 CHANNEL_FRAME_BYTES, most FRAME_PAYLOAD_MAX_BYTES
			     */
	size_t max_payload_bytes; /* largest accepted; 0: FRAME_PAYLOAD_MAX_BYTES */
	bool lz4; /* compress frames that get smaller by it */
	struct bandwidth *bandwidth; /* borrowed; NULL: no cap */
	enum bandwidth_class bandwidth_class;
	const struct channel_cancel *cancel; /* borrowed; may be NULL */
};

struct channel_dial {
	const char *peer; /* name in the peer list */
	uint16_t port; /* 0: the peer's own */
	const char *unix_path; /* not NULL: connect here, the peer's names still count */
	bool plain; /* no TLS: only where host config and address allow it */
	enum channel_purpose purpose;
	uint64_t features;
	uint8_t move_id[16];
	uint32_t index;
	uint64_t deadline_ns; /* for all of it; 0: the host's handshake_ms from now */
	struct channel_options options;
};

struct channel_accept {
	bool plain;
	unsigned purposes; /* CHANNEL_PURPOSE_BITs served here */
	uint64_t features;
	uint64_t deadline_ns;
	struct channel_options options;
	/*
	 * Asked once the peer is known and its hello is good, before it is answered: is this move
	 * expected from this peer? Runs in the caller's thread. 0, or -errno with a reason the
	 * other side gets to read. NULL: all are welcome.
	 */
	int (*admit)(
		void *ctx, const struct channel_hello *hello, char *reason, size_t reason_bytes);
	void *ctx;
};

/* 0 and *channel, or -errno and *error (which says which side, whom, when). Blocks. */
int channel_connect(struct channel_host *host, const struct channel_dial *dial,
	struct channel **channel, struct channel_error *error);

/* The same for the other end of a connection. Owns io from the call on, also when it fails. */
int channel_accept(struct channel_host *host, struct channel_io *io,
	const struct channel_accept *accept, struct channel **channel, struct channel_error *error);

/* Closes at once, without a word to the peer, which sees a reset. NULL is fine. */
void channel_close(struct channel *channel);

/* Sends what is batched and the word that this is the end; the peer's receive gives -ESHUTDOWN. The
 * other direction goes on until the peer's own end. The channel must still be closed. */
int channel_finish(struct channel *channel, uint64_t deadline_ns);

/*
 * Batched sending. Reserve gives room for a record of up to len_bytes in the frame that is being
 * built, commit says how many were written. A frame that is full, or of another kind, is sent by
 * the reserve that doesn't fit, by a flush or by a send. len_bytes is at most the options'
 * frame_bytes
 * (-EMSGSIZE).
 */
int channel_reserve(struct channel *channel, const struct frame_kind *kind, size_t len_bytes,
	uint64_t deadline_ns, uint8_t **room);
void channel_commit(struct channel *channel, size_t len_bytes);
int channel_flush(struct channel *channel, uint64_t deadline_ns);

/* Sends what is batched, then one frame of its own; len_bytes at most FRAME_PAYLOAD_MAX_BYTES. */
int channel_send(struct channel *channel, const struct frame_kind *kind, const void *payload,
	size_t len_bytes, uint64_t deadline_ns);

/* The next frame of a known type; its payload stays until the next receive. deadline_ns 0 takes
 * only what is there already (-ETIMEDOUT). -ESHUTDOWN after the peer's channel_finish(). */
int channel_recv(struct channel *channel, struct frame *frame, uint64_t deadline_ns);

/* Sleeps on the channel, cancellable: 0 at deadline_ns, or -ECANCELED. */
int channel_pause(struct channel *channel, uint64_t deadline_ns);

/* For an owner that polls other things too: readable on this fd, or channel_has_input(), means that
 * channel_recv() may have something. -1 on a wire that has none. */
int channel_fd(struct channel *channel);
bool channel_has_input(struct channel *channel);

/* From here on another cancel counts (an accepted channel handed over to its move). */
void channel_set_cancel(struct channel *channel, const struct channel_cancel *cancel);
/* From here on these types are known, and these limits hold; before the first frame only. Without a
 * cancel the one it came with goes on to count. */
int channel_set_options(struct channel *channel, const struct channel_options *options);

const struct channel_hello *channel_hello(const struct channel *channel);
uint16_t channel_protocol(const struct channel *channel); /* agreed version */
bool channel_is_plain(const struct channel *channel);
const struct channel_error *channel_error(const struct channel *channel);
uint64_t channel_now_ns(const struct channel *channel);
uint64_t channel_deadline_ns(const struct channel *channel, uint64_t timeout_ms);

struct channel_stats {
	uint64_t sent_bytes; /* on the wire, with frame headers, without TLS */
	uint64_t sent_raw_bytes; /* before compression */
	uint64_t sent_frames;
	uint64_t received_bytes;
	uint64_t received_raw_bytes;
	uint64_t received_frames;
	uint64_t skipped_frames;
	uint64_t capped_ns; /* waited for the bandwidth cap */
	uint64_t blocked_ns; /* waited for the peer to take data */
};

void channel_stats(const struct channel *channel, struct channel_stats *stats);

#endif
