/* SPDX-License-Identifier: BSD-3-Clause */
#include "ctrl/rpc/result_stream.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <event2/buffer.h>
#include <jansson.h>

static const struct json_frame_limits limits = {
	.message_bytes = 16 << 20,
	.string_bytes = 16 << 20,
	.depth = JSON_FRAME_DEPTH_MAX,
	.values = 65536,
};

int result_stream_init(struct result_stream *stream)
{
	memset(stream, 0, sizeof(*stream));
	stream->rest = evbuffer_new();
	return stream->rest ? 0 : -ENOMEM;
}

void result_stream_clear(struct result_stream *stream)
{
	evbuffer_free(stream->rest);
}

static void track_key(struct result_stream *stream, char c)
{
	if (stream->in_key) {
		if (!stream->frame.in_string)
			stream->in_key = false;
		else if (stream->n_key < sizeof(stream->key))
			stream->key[stream->n_key++] = c;
		return;
	}
	if (stream->frame.depth != 1)
		return;
	if (c == ':')
		stream->after_colon = true;
	else if (c == ',')
		stream->after_colon = false;
	else if (c == '"' && stream->frame.in_string && !stream->after_colon) {
		stream->in_key = true;
		stream->n_key = 0;
	} else if (c == '"' && stream->frame.in_string)
		stream->in_result = stream->n_key == 6 && memcmp(stream->key, "result", 6) == 0;
}

/* A byte outside the result. */
static int feed_byte(struct result_stream *stream, char c)
{
	bool was_string = stream->frame.in_string;
	size_t used_bytes;
	int ret = json_frame_feed(&stream->frame, &limits, &c, 1, &used_bytes);

	if (ret < 0)
		return ret;
	if (evbuffer_add(stream->rest, &c, 1) != 0)
		return -ENOMEM;
	/* Inside other strings nothing counts. */
	if (!was_string || stream->in_key)
		track_key(stream, c);
	return ret;
}

int result_stream_feed(
	struct result_stream *stream, const char *bytes, size_t len_bytes, struct evbuffer *to)
{
	size_t i = 0, used_bytes;
	int ret = 0;

	while (i < len_bytes && ret == 0) {
		if (!stream->in_result) {
			ret = feed_byte(stream, bytes[i++]);
			continue;
		}
		ret = json_decode(&stream->decoder, bytes + i, len_bytes - i, to, &used_bytes);
		if (ret < 0)
			break;
		i += used_bytes;
		if (ret == 1) {
			stream->in_result = false;
			ret = feed_byte(stream, '"');
		}
	}
	return ret;
}

int result_stream_end(struct result_stream *stream, char **error)
{
	size_t len_bytes = evbuffer_get_length(stream->rest);
	const char *text = (const char *)evbuffer_pullup(stream->rest, -1);
	json_t *root = json_loadb(text, len_bytes, 0, NULL), *fault, *result;
	int ret = -EPROTO;

	if (!root)
		return -EPROTO;
	fault = json_object_get(root, "error");
	result = json_object_get(root, "result");
	if (json_is_string(fault)) {
		*error = strdup(json_string_value(fault));
		ret = *error ? 0 : -ENOMEM;
	} else if (json_is_string(result) && (!fault || json_is_null(fault))) {
		*error = NULL;
		ret = 0;
	}
	json_decref(root);
	return ret;
}
