/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/err.h>

#include "ctrl/channel/channel_impl.h"
#include "ctrl/channel/host_impl.h"

/* How much more than one frame a buffer that had to grow holds. */
#define RX_AHEAD_BYTES (16 << 10)

/* Makes room for need_bytes from start on. need_bytes has been checked against the limit. */
static int rx_make_room(struct channel *channel, size_t need_bytes)
{
	struct channel_rx *rx = &channel->rx;
	size_t room = need_bytes + RX_AHEAD_BYTES;
	uint8_t *grown;

	if (rx->room_bytes - rx->start >= need_bytes && rx->end < rx->room_bytes)
		return 0;
	if (rx->start > 0) {
		memmove(rx->data, rx->data + rx->start, rx->end - rx->start);
		rx->end -= rx->start;
		rx->start = 0;
	}
	if (rx->room_bytes >= need_bytes && rx->end < rx->room_bytes)
		return 0;
	grown = realloc(rx->data, room);
	if (grown == NULL)
		return channel_fail(channel, CHANNEL_REASON_MEMORY, "no memory to receive");
	rx->data = grown;
	rx->room_bytes = room;
	return 0;
}

/* The wire gave an end or an error. */
static int recv_failed(struct channel *channel, ssize_t n)
{
	struct channel_error error;

	if (n == 0)
		return channel_fail(
			channel, CHANNEL_REASON_RESET, "the peer's end broke off without a word");
	if (n == -EPROTO) {
		link_error(&channel->link, ERR_peek_error(), 0, &error);
		return channel_fail(channel, error.reason, "%s", error.text);
	}
	return channel_fail(
		channel, CHANNEL_REASON_RESET, "connection lost: %s", strerror((int)-n));
}

/* Reads what there is, or waits for it. 0: look again. */
static int rx_fill(struct channel *channel, size_t need_bytes, uint64_t deadline_ns)
{
	struct channel_rx *rx = &channel->rx;
	int ret = rx_make_room(channel, need_bytes);
	ssize_t n;

	if (ret < 0)
		return ret;
	n = link_recv(&channel->link, rx->data + rx->end, rx->room_bytes - rx->end);
	if (n > 0) {
		rx->end += (size_t)n;
		return 0;
	}
	if (n != -EAGAIN)
		return recv_failed(channel, n);
	rx->drained = true;
	if (deadline_ns == 0)
		return -ETIMEDOUT;
	ret = link_wait_recv(&channel->link, deadline_ns, channel->options.cancel);
	if (ret == -ECANCELED)
		return channel_fail(channel, CHANNEL_REASON_CANCELLED, "cancelled");
	return ret;
}

static int rx_bad_frame(struct channel *channel)
{
	const struct frame_parser *parser = &channel->rx.parser;

	return channel_fail(channel, parser->reason, "frame %llu from the peer: %s",
		(unsigned long long)parser->next_sequence, channel_reason_meaning(parser->reason));
}

static void rx_count(struct channel *channel, const struct frame *frame, size_t used_bytes)
{
	struct channel_counters *c = &channel->counters;

	c->received_frames++;
	c->received_bytes += used_bytes;
	c->received_raw_bytes += frame->payload_bytes;
	if (frame->payload == NULL) {
		c->skipped_frames++;
		channel_host_note_skipped(channel->host);
	}
}

int channel_recv_any(struct channel *channel, struct frame *frame, uint64_t deadline_ns)
{
	struct channel_rx *rx = &channel->rx;
	size_t need_bytes;
	long used;
	int ret = rx->ended ? -ESHUTDOWN : channel_failed(channel);

	while (ret == 0) {
		used = frame_parse(
			&rx->parser, rx->data + rx->start, rx->end - rx->start, frame, &need_bytes);
		if (used < 0)
			return rx_bad_frame(channel);
		if (used == 0) {
			ret = rx_fill(channel, need_bytes, deadline_ns);
			continue;
		}
		rx->start += (size_t)used;
		rx->drained = false;
		rx_count(channel, frame, (size_t)used);
		if (frame->payload != NULL)
			return 0;
		/* However many frames a peer sends to be skipped, the deadline holds. */
		if (channel_now_ns(channel) >= deadline_ns)
			ret = -ETIMEDOUT;
	}
	return ret;
}

/* Nothing more will come. That is no failure: what we have to say can still be said. */
static int rx_end(struct channel *channel)
{
	channel->rx.ended = true;
	pthread_mutex_lock(&channel->error_lock);
	if (channel->failed == 0)
		channel_error_set(
			&channel->error, CHANNEL_REASON_CLOSED, "the peer ended the stream");
	pthread_mutex_unlock(&channel->error_lock);
	return -ESHUTDOWN;
}

int channel_recv(struct channel *channel, struct frame *frame, uint64_t deadline_ns)
{
	struct frame got;
	int ret = channel_recv_any(channel, &got, deadline_ns);

	if (ret < 0)
		return ret;
	if (got.kind.type == FRAME_TYPE_BYE)
		return rx_end(channel);
	if (got.kind.type < FRAME_TYPE_FIRST_FREE)
		return channel_fail(
			channel, CHANNEL_REASON_HELLO, "the peer sent a second hello or refusal");
	*frame = got;
	return 0;
}

bool channel_has_input(struct channel *channel)
{
	return !channel->rx.drained;
}
