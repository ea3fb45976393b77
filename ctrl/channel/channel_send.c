/* SPDX-License-Identifier: BSD-3-Clause */
#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "ctrl/channel/channel_impl.h"

/* After a frame that LZ4 did not make smaller, so many go out as they are. */
#define LZ4_SKIP_FRAMES 16

static int send_failed(struct channel *channel, int ret)
{
	switch (ret) {
	case -ETIMEDOUT:
		return channel_fail(channel, CHANNEL_REASON_TIMEOUT,
			"the peer did not take our data before the deadline");
	case -ECANCELED:
		return channel_fail(channel, CHANNEL_REASON_CANCELLED, "cancelled");
	default:
		return channel_fail(channel, CHANNEL_REASON_RESET,
			"connection lost while sending: %s", strerror(-ret));
	}
}

static int send_bytes(
	struct channel *channel, const uint8_t *data, size_t len_bytes, uint64_t deadline_ns)
{
	const struct channel_cancel *cancel = channel->options.cancel;
	uint64_t since_ns;
	ssize_t n;
	int ret;

	while (len_bytes > 0) {
		n = link_send(&channel->link, data, len_bytes);
		if (n > 0) {
			data += n;
			len_bytes -= (size_t)n;
			continue;
		}
		if (n != -EAGAIN)
			return send_failed(channel, (int)n);
		since_ns = channel_now_ns(channel);
		ret = link_wait_send(&channel->link, deadline_ns, cancel);
		channel->counters.blocked_ns += channel_now_ns(channel) - since_ns;
		if (ret < 0)
			return send_failed(channel, ret);
	}
	return 0;
}

/* Waits until the cap lets len_bytes out. */
static int send_capped(struct channel *channel, size_t len_bytes, uint64_t deadline_ns)
{
	const struct channel_options *o = &channel->options;
	uint64_t since_ns, now_ns, wait_ns;
	int ret;

	if (o->bandwidth == NULL)
		return 0;
	since_ns = now_ns = channel_now_ns(channel);
	while ((wait_ns = bandwidth_take(o->bandwidth, o->bandwidth_class, len_bytes, now_ns)) >
		0) {
		if (now_ns >= deadline_ns)
			return channel_fail(channel, CHANNEL_REASON_TIMEOUT,
				"the bandwidth cap did not let our data out before the deadline");
		if (wait_ns > deadline_ns - now_ns)
			wait_ns = deadline_ns - now_ns;
		ret = channel_pause(channel, now_ns + wait_ns);
		if (ret < 0)
			return send_failed(channel, ret);
		now_ns = channel_now_ns(channel);
	}
	channel->counters.capped_ns += now_ns - since_ns;
	return 0;
}

static void frame_seal(
	struct channel *channel, struct frame_header *header, const void *payload, uint8_t *head)
{
	header->sequence = channel->tx.sequence;
	header->payload_crc = frame_crc32c(payload, header->wire_bytes);
	frame_header_put(head, header);
}

static void frame_sent(struct channel *channel, const struct frame_header *header)
{
	channel->tx.sequence++;
	channel->counters.sent_frames++;
	channel->counters.sent_bytes += FRAME_HEADER_BYTES + (size_t)header->wire_bytes;
	channel->counters.sent_raw_bytes += header->raw_bytes;
}

/* frame is header room and payload in one piece. */
static int frame_send(
	struct channel *channel, uint8_t *frame, struct frame_header *header, uint64_t deadline_ns)
{
	size_t len_bytes = FRAME_HEADER_BYTES + (size_t)header->wire_bytes;
	int ret = send_capped(channel, len_bytes, deadline_ns);

	if (ret < 0)
		return ret;
	frame_seal(channel, header, frame + FRAME_HEADER_BYTES, frame);
	ret = send_bytes(channel, frame, len_bytes, deadline_ns);
	if (ret == 0)
		frame_sent(channel, header);
	return ret;
}

static bool tx_ready(struct channel *channel)
{
	struct channel_tx *tx = &channel->tx;
	size_t room = FRAME_HEADER_BYTES + channel->options.frame_bytes;

	if (tx->frame == NULL)
		tx->frame = malloc(room);
	if (tx->packed == NULL && channel->options.lz4)
		tx->packed = malloc(room);
	return tx->frame != NULL && (tx->packed != NULL || !channel->options.lz4);
}

/* The buffer to send: the frame as built, or its smaller twin. */
static uint8_t *tx_pack(struct channel *channel, struct frame_header *header)
{
	struct channel_tx *tx = &channel->tx;
	size_t packed_bytes;

	if (!channel->options.lz4)
		return tx->frame;
	if (tx->lz4_skip > 0) {
		tx->lz4_skip--;
		return tx->frame;
	}
	packed_bytes = frame_compress(
		tx->frame + FRAME_HEADER_BYTES, header->raw_bytes, tx->packed + FRAME_HEADER_BYTES);
	if (packed_bytes == 0) {
		tx->lz4_skip = LZ4_SKIP_FRAMES;
		return tx->frame;
	}
	header->lz4 = true;
	header->wire_bytes = (uint32_t)packed_bytes;
	return tx->packed;
}

int channel_flush(struct channel *channel, uint64_t deadline_ns)
{
	struct channel_tx *tx = &channel->tx;
	struct frame_header header = {
		.kind = tx->kind,
		.wire_bytes = (uint32_t)tx->used_bytes,
		.raw_bytes = (uint32_t)tx->used_bytes,
	};
	int ret = channel_failed(channel);
	uint8_t *frame;

	if (ret < 0 || tx->used_bytes == 0)
		return ret;
	frame = tx_pack(channel, &header);
	ret = frame_send(channel, frame, &header, deadline_ns);
	tx->used_bytes = 0;
	return ret;
}

static bool kind_is(const struct frame_kind *a, const struct frame_kind *b)
{
	return a->type == b->type && a->section == b->section && a->stream == b->stream &&
	       a->mandatory == b->mandatory;
}

int channel_reserve(struct channel *channel, const struct frame_kind *kind, size_t len_bytes,
	uint64_t deadline_ns, uint8_t **room)
{
	struct channel_tx *tx = &channel->tx;
	int ret;

	if (tx->used_bytes == 0 || !kind_is(&tx->kind, kind) ||
		len_bytes > channel->options.frame_bytes - tx->used_bytes) {
		if (len_bytes > channel->options.frame_bytes)
			return -EMSGSIZE;
		ret = channel_flush(channel, deadline_ns);
		if (ret < 0)
			return ret;
		if (!tx_ready(channel))
			return channel_fail(channel, CHANNEL_REASON_MEMORY, "no memory to send");
		tx->kind = *kind;
	}
	*room = tx->frame + FRAME_HEADER_BYTES + tx->used_bytes;
	return 0;
}

void channel_commit(struct channel *channel, size_t len_bytes)
{
	assert(len_bytes <= channel->options.frame_bytes - channel->tx.used_bytes);
	channel->tx.used_bytes += len_bytes;
}

/* A frame that does not go through the batch buffer: header and payload are two sends. */
static int frame_send_apart(struct channel *channel, struct frame_header *header,
	const void *payload, uint64_t deadline_ns)
{
	uint8_t head[FRAME_HEADER_BYTES];
	int ret;

	frame_seal(channel, header, payload, head);
	ret = send_bytes(channel, head, sizeof(head), deadline_ns);
	if (ret == 0)
		ret = send_bytes(channel, payload, header->wire_bytes, deadline_ns);
	if (ret == 0)
		frame_sent(channel, header);
	return ret;
}

int channel_send(struct channel *channel, const struct frame_kind *kind, const void *payload,
	size_t len_bytes, uint64_t deadline_ns)
{
	struct frame_header header = {
		.kind = *kind,
		.wire_bytes = (uint32_t)len_bytes,
		.raw_bytes = (uint32_t)len_bytes,
	};
	uint8_t *room;
	int ret;

	if (len_bytes > FRAME_PAYLOAD_MAX_BYTES)
		return -EMSGSIZE;
	ret = channel_flush(channel, deadline_ns);
	if (ret < 0)
		return ret;
	if (len_bytes > 0 && len_bytes <= channel->options.frame_bytes) {
		ret = channel_reserve(channel, kind, len_bytes, deadline_ns, &room);
		if (ret < 0)
			return ret;
		memcpy(room, payload, len_bytes);
		channel_commit(channel, len_bytes);
		return channel_flush(channel, deadline_ns);
	}
	ret = send_capped(channel, FRAME_HEADER_BYTES + len_bytes, deadline_ns);
	return ret < 0 ? ret : frame_send_apart(channel, &header, payload, deadline_ns);
}

int channel_send_own(struct channel *channel, uint16_t type, const void *payload, size_t len_bytes,
	uint64_t deadline_ns)
{
	struct frame_header header = {
		.kind = {.type = type, .mandatory = true},
		.wire_bytes = (uint32_t)len_bytes,
		.raw_bytes = (uint32_t)len_bytes,
	};

	return frame_send_apart(channel, &header, payload, deadline_ns);
}

int channel_finish(struct channel *channel, uint64_t deadline_ns)
{
	int ret = channel_flush(channel, deadline_ns);

	if (ret == 0)
		ret = channel_send_own(channel, FRAME_TYPE_BYE, "", 0, deadline_ns);
	if (ret == 0)
		link_finish(&channel->link);
	return ret;
}
