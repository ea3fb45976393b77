/* SPDX-License-Identifier: BSD-3-Clause */
#include "ctrl/cmd/out.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <event2/buffer.h>

#include "ctrl/cmd/out_impl.h"

#define FLUSH_BYTES (16 * 1024)
#define BAR_WIDTH 20

struct out {
	enum out_format format;
	const struct out_rendering *rendering;
	void *state;
	out_sink *sink;
	void *ctx;
	struct evbuffer *pending;
	enum out_kind stack[OUT_DEPTH_MAX]; /* what is open within the outermost object */
	unsigned int depth;
	int error;
};

struct out *out_open(enum out_format format, out_sink *sink, void *ctx)
{
	static const struct out_rendering *const renderings[] = {
		[OUT_TEXT] = &out_rendering_text,
		[OUT_JSON] = &out_rendering_json,
		[OUT_LINE] = &out_rendering_line,
	};
	struct out *out = calloc(1, sizeof(*out));

	if (!out)
		return NULL;
	out->format = format;
	out->rendering = renderings[format];
	out->sink = sink;
	out->ctx = ctx;
	out->pending = evbuffer_new();
	if (!out->pending)
		goto fail;
	if (out->rendering->create(&out->state) < 0)
		goto fail_state;
	return out;

fail_state:
	evbuffer_free(out->pending);
fail:
	free(out);
	return NULL;
}

static void note_result(struct out *out, int ret)
{
	if (ret < 0 && !out->error)
		out->error = ret;
}

static void flush(struct out *out, size_t keep_bytes)
{
	size_t len_bytes = evbuffer_get_length(out->pending);

	if (len_bytes <= keep_bytes)
		return;
	out->sink(out->ctx, (const char *)evbuffer_pullup(out->pending, -1), len_bytes);
	evbuffer_drain(out->pending, len_bytes);
}

void out_abandon(struct out *out)
{
	if (!out)
		return;
	out->rendering->destroy(out->state);
	evbuffer_free(out->pending);
	free(out);
}

static enum out_kind inner(const struct out *out)
{
	return out->depth ? out->stack[out->depth - 1] : OUT_OBJECT;
}

static void begin(struct out *out, enum out_kind kind, const char *key)
{
	assert(out->depth < OUT_DEPTH_MAX);
	assert(inner(out) != OUT_LIST);
	assert((kind == OUT_ROW) == (inner(out) == OUT_TABLE));
	out->stack[out->depth++] = kind;
	if (!out->error)
		note_result(out, out->rendering->begin(out->state, out->pending, kind, key));
}

static void end(struct out *out, enum out_kind kind)
{
	assert(out->depth && inner(out) == kind);
	out->depth--;
	if (!out->error)
		note_result(out, out->rendering->end(out->state, out->pending, kind));
	flush(out, FLUSH_BYTES);
}

void out_close(struct out *out)
{
	while (out->depth)
		end(out, inner(out));
	if (!out->error)
		note_result(out, out->rendering->finish(out->state, out->pending));
	flush(out, 0);
	out_abandon(out);
}

int out_error(const struct out *out)
{
	return out->error;
}

void out_object(struct out *out, const char *key)
{
	begin(out, OUT_OBJECT, key);
}

void out_object_end(struct out *out)
{
	end(out, OUT_OBJECT);
}

void out_list(struct out *out, const char *key)
{
	begin(out, OUT_LIST, key);
}

void out_list_end(struct out *out)
{
	end(out, OUT_LIST);
}

void out_table(struct out *out, const char *key)
{
	assert(inner(out) == OUT_OBJECT);
	begin(out, OUT_TABLE, key);
}

void out_row(struct out *out)
{
	if (inner(out) == OUT_ROW)
		end(out, OUT_ROW);
	begin(out, OUT_ROW, NULL);
}

void out_table_end(struct out *out)
{
	if (inner(out) == OUT_ROW)
		end(out, OUT_ROW);
	end(out, OUT_TABLE);
}

static void value(struct out *out, enum out_value kind, const char *key, const char *text)
{
	assert((inner(out) == OUT_LIST) == (key == NULL));
	assert(inner(out) != OUT_TABLE);
	if (!out->error)
		note_result(out, out->rendering->value(out->state, out->pending, kind, key, text));
}

void out_str(struct out *out, const char *key, const char *text)
{
	if (text)
		value(out, OUT_STRING, key, text);
	else
		value(out, OUT_WORD, key, out->format == OUT_JSON ? "null" : "-");
}

void out_fmt(struct out *out, const char *key, const char *format, ...)
{
	va_list args;
	char *text;
	int n;

	va_start(args, format);
	n = vasprintf(&text, format, args);
	va_end(args);
	if (n < 0) {
		note_result(out, -ENOMEM);
		return;
	}
	value(out, OUT_STRING, key, text);
	free(text);
}

void out_u64(struct out *out, const char *key, uint64_t number)
{
	char text[24];

	snprintf(text, sizeof(text), "%" PRIu64, number);
	value(out, OUT_NUMBER, key, text);
}

void out_i64(struct out *out, const char *key, int64_t number)
{
	char text[24];

	snprintf(text, sizeof(text), "%" PRId64, number);
	value(out, OUT_NUMBER, key, text);
}

void out_real(struct out *out, const char *key, double number, int decimals)
{
	char text[352]; /* DBL_MAX has 309 digits */

	if (!isfinite(number)) {
		out_str(out, key, NULL);
		return;
	}
	snprintf(text, sizeof(text), "%.*f", decimals < 17 ? decimals : 17, number);
	value(out, OUT_NUMBER, key, text);
}

void out_bool(struct out *out, const char *key, bool yes)
{
	if (out->format == OUT_JSON)
		value(out, OUT_WORD, key, yes ? "true" : "false");
	else
		value(out, OUT_WORD, key, yes ? "yes" : "no");
}

static void format_time(char *text, size_t size, uint64_t time_ns)
{
	if (time_ns < 1000)
		snprintf(text, size, "%" PRIu64 " ns", time_ns);
	else if (time_ns < 1000000)
		snprintf(text, size, "%.1f us", (double)time_ns / 1e3);
	else if (time_ns < 1000000000)
		snprintf(text, size, "%.1f ms", (double)time_ns / 1e6);
	else
		snprintf(text, size, "%.2f s", (double)time_ns / 1e9);
}

void out_ns(struct out *out, const char *key, uint64_t time_ns)
{
	size_t len_bytes = key ? strlen(key) : 0;
	char text[32], name[64];

	if (out->format == OUT_JSON) {
		out_u64(out, key, time_ns);
		return;
	}
	if (len_bytes > 3 && strcmp(key + len_bytes - 3, "_ns") == 0) {
		snprintf(name, sizeof(name), "%.*s", (int)len_bytes - 3, key);
		key = name;
	}
	format_time(text, sizeof(text), time_ns);
	value(out, OUT_NUMBER, key, text);
}

void out_progress(struct out *out, const char *key, uint64_t done, uint64_t total)
{
	char bar[BAR_WIDTH + 1];
	double part = total == 0 || done >= total ? 1.0 : (double)done / (double)total;
	int filled = (int)(part * BAR_WIDTH);

	if (out->format == OUT_JSON) {
		out_object(out, key);
		out_u64(out, "done", done);
		out_u64(out, "total", total);
		out_object_end(out);
		return;
	}
	memset(bar, '-', BAR_WIDTH);
	memset(bar, '#', (size_t)filled);
	bar[BAR_WIDTH] = '\0';
	out_fmt(out, key, "[%s] %3d%% (%" PRIu64 "/%" PRIu64 ")", bar, (int)(part * 100), done,
		total);
}

void out_note(struct out *out, const char *format, ...)
{
	va_list args;
	char *text;
	int n;

	va_start(args, format);
	n = vasprintf(&text, format, args);
	va_end(args);
	if (n < 0) {
		note_result(out, -ENOMEM);
		return;
	}
	if (!out->error)
		note_result(out, out->rendering->note(out->state, out->pending, text));
	free(text);
}
