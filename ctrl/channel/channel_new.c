/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ctrl/channel/channel_impl.h"

static const uint16_t own_types[] = {FRAME_TYPE_HELLO, FRAME_TYPE_REFUSE, FRAME_TYPE_BYE};
#define N_OWN_TYPES (sizeof(own_types) / sizeof(own_types[0]))

struct channel *channel_new(
	struct channel_host *host, const struct channel_io *io, const struct channel_cancel *cancel)
{
	struct channel *channel = calloc(1, sizeof(*channel));

	if (channel != NULL)
		channel->rx.data = malloc(CHANNEL_RX_FIRST_BYTES);
	if (channel == NULL || channel->rx.data == NULL) {
		free(channel);
		io->ops->close(io->ctx);
		return NULL;
	}
	channel->rx.room_bytes = CHANNEL_RX_FIRST_BYTES;
	channel->host = host;
	channel->world = channel_host_world(host);
	channel->options.cancel = cancel;
	pthread_mutex_init(&channel->error_lock, NULL);
	link_init(&channel->link, io);
	memcpy(channel->types, own_types, sizeof(own_types));
	frame_parser_init(&channel->rx.parser, HELLO_MAX_BYTES, channel->types, N_OWN_TYPES);
	return channel;
}

void channel_close(struct channel *channel)
{
	if (channel == NULL)
		return;
	link_fini(&channel->link);
	frame_parser_fini(&channel->rx.parser);
	pthread_mutex_destroy(&channel->error_lock);
	free(channel->rx.data);
	free(channel->tx.frame);
	free(channel->tx.packed);
	free(channel);
}

int channel_set_options(struct channel *channel, const struct channel_options *options)
{
	struct channel_options o = *options;

	if (o.frame_bytes == 0)
		o.frame_bytes = CHANNEL_FRAME_BYTES;
	if (o.max_payload_bytes == 0)
		o.max_payload_bytes = FRAME_PAYLOAD_MAX_BYTES;
	if (o.frame_bytes > FRAME_PAYLOAD_MAX_BYTES ||
		o.max_payload_bytes > FRAME_PAYLOAD_MAX_BYTES ||
		o.n_types > CHANNEL_TYPES_MAX - N_OWN_TYPES || channel->tx.frame != NULL)
		return -EINVAL;
	if (o.cancel == NULL)
		o.cancel = channel->options.cancel;
	channel->options = o;
	if (o.n_types > 0)
		memcpy(channel->types + N_OWN_TYPES, o.types, o.n_types * sizeof(o.types[0]));
	channel->rx.parser.n_types = N_OWN_TYPES + o.n_types;
	channel->rx.parser.max_payload_bytes = o.max_payload_bytes;
	return 0;
}

int channel_begin(struct channel *channel, const struct channel_options *options,
	uint64_t send_from, uint64_t receive_from)
{
	channel->tx.sequence = send_from;
	channel->rx.parser.next_sequence = receive_from;
	return channel_set_options(channel, options);
}

int channel_fail(struct channel *channel, enum channel_reason reason, const char *format, ...)
{
	va_list args;
	int ret;

	pthread_mutex_lock(&channel->error_lock);
	if (channel->failed == 0) {
		channel->failed = channel_reason_errno(reason);
		channel->error.reason = reason;
		va_start(args, format);
		vsnprintf(channel->error.text, sizeof(channel->error.text), format, args);
		va_end(args);
		channel_host_count(channel->host, reason);
	}
	ret = channel->failed;
	pthread_mutex_unlock(&channel->error_lock);
	return ret;
}

int channel_failed(struct channel *channel)
{
	int ret;

	pthread_mutex_lock(&channel->error_lock);
	ret = channel->failed;
	pthread_mutex_unlock(&channel->error_lock);
	return ret;
}

int channel_pause(struct channel *channel, uint64_t deadline_ns)
{
	int ret = channel->link.io.ops->wait(
		channel->link.io.ctx, 0, deadline_ns, channel->options.cancel);

	return ret == -ETIMEDOUT ? 0 : ret;
}

int channel_fd(struct channel *channel)
{
	return channel->link.io.ops->fd(channel->link.io.ctx);
}

void channel_set_cancel(struct channel *channel, const struct channel_cancel *cancel)
{
	channel->options.cancel = cancel;
}

const struct channel_hello *channel_hello(const struct channel *channel)
{
	return &channel->hello;
}

uint16_t channel_protocol(const struct channel *channel)
{
	return channel->protocol;
}

bool channel_is_plain(const struct channel *channel)
{
	return channel->link.ssl == NULL;
}

const struct channel_error *channel_error(const struct channel *channel)
{
	return &channel->error;
}

uint64_t channel_now_ns(const struct channel *channel)
{
	return channel_world_now_ns(channel->world);
}

uint64_t channel_deadline_ns(const struct channel *channel, uint64_t timeout_ms)
{
	return channel_world_deadline_ns(channel->world, timeout_ms);
}

void channel_stats(const struct channel *channel, struct channel_stats *stats)
{
	const struct channel_counters *c = &channel->counters;

	*stats = (struct channel_stats){
		.sent_bytes = c->sent_bytes,
		.sent_raw_bytes = c->sent_raw_bytes,
		.sent_frames = c->sent_frames,
		.received_bytes = c->received_bytes,
		.received_raw_bytes = c->received_raw_bytes,
		.received_frames = c->received_frames,
		.skipped_frames = c->skipped_frames,
		.capped_ns = c->capped_ns,
		.blocked_ns = c->blocked_ns,
	};
}
