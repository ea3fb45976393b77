/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <event2/buffer.h>

#include "ctrl/cmd/out_impl.h"
#include "ctrl/rpc/json_text.h"

struct json {
	bool begun;
	bool some[OUT_DEPTH_MAX + 1]; /* something is in the bracket of this depth */
	unsigned int depth;
};

static int put(struct evbuffer *to, const char *text)
{
	return evbuffer_add(to, text, strlen(text)) == 0 ? 0 : -ENOMEM;
}

static int put_string(struct evbuffer *to, const char *text)
{
	struct json_encoder encoder = {0};

	if (put(to, "\"") < 0 || json_encode(&encoder, text, strlen(text), to) < 0 ||
		json_encode_end(&encoder, to) < 0)
		return -ENOMEM;
	return put(to, "\"");
}

/* What stands before the value: the outermost bracket, a comma, a key. */
static int lead(struct json *json, struct evbuffer *to, const char *key)
{
	int ret = 0;

	if (!json->begun)
		ret = put(to, "{");
	json->begun = true;
	if (ret == 0 && json->some[json->depth])
		ret = put(to, ",");
	json->some[json->depth] = true;
	if (ret == 0 && key)
		ret = put_string(to, key);
	if (ret == 0 && key)
		ret = put(to, ":");
	return ret;
}

static int json_begin(void *state, struct evbuffer *to, enum out_kind kind, const char *key)
{
	static const char *const brackets[] = {
		[OUT_OBJECT] = "{", [OUT_LIST] = "[", [OUT_TABLE] = "[", [OUT_ROW] = "\n{"};
	struct json *json = state;

	if (lead(json, to, key) < 0)
		return -ENOMEM;
	json->some[++json->depth] = false;
	return put(to, brackets[kind]);
}

static int json_end(void *state, struct evbuffer *to, enum out_kind kind)
{
	struct json *json = state;
	bool some = json->some[json->depth--];

	if (kind == OUT_TABLE)
		return put(to, some ? "\n]" : "]");
	return put(to, kind == OUT_LIST ? "]" : "}");
}

static int json_value(
	void *state, struct evbuffer *to, enum out_value kind, const char *key, const char *text)
{
	if (lead(state, to, key) < 0)
		return -ENOMEM;
	return kind == OUT_STRING ? put_string(to, text) : put(to, text);
}

static int json_note(void *state, struct evbuffer *to, const char *text)
{
	return 0;
}

static int json_finish(void *state, struct evbuffer *to)
{
	struct json *json = state;

	return put(to, json->begun ? "}\n" : "{}\n");
}

static int json_create(void **state)
{
	*state = calloc(1, sizeof(struct json));
	return *state ? 0 : -ENOMEM;
}

const struct out_rendering out_rendering_json = {
	.create = json_create,
	.destroy = free,
	.begin = json_begin,
	.end = json_end,
	.value = json_value,
	.note = json_note,
	.finish = json_finish,
};
