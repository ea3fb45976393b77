/* SPDX-License-Identifier: BSD-3-Clause */
#include "ctrl/rpc/message.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <event2/buffer.h>

#include "ctrl/rpc/json_text.h"

static const char *request_fault(json_t *root)
{
	json_t *id = json_object_get(root, "id");

	if (json_object_get(root, "result") || json_is_string(json_object_get(root, "error")))
		return "an answer where a request was expected";
	if (!json_is_string(json_object_get(root, "method")))
		return "no \"method\" string";
	if (!json_is_array(json_object_get(root, "params")))
		return "no \"params\" array";
	if (!id || json_is_null(id))
		return "no \"id\": notifications are not taken";
	return NULL;
}

int rpc_message_parse(
	const char *text, size_t len_bytes, struct rpc_message *message, char *why, size_t why_size)
{
	json_error_t error;
	const char *fault;
	json_t *root = json_loadb(text, len_bytes, JSON_REJECT_DUPLICATES, &error);

	if (!root) {
		snprintf(why, why_size, "not JSON: %s at byte %d", error.text, error.position);
		return -EPROTO;
	}
	fault = request_fault(root);
	if (fault) {
		snprintf(why, why_size, "not a JSON-RPC request: %s", fault);
		json_decref(root);
		return -EPROTO;
	}
	message->id_text = json_dumps(json_object_get(root, "id"), JSON_ENCODE_ANY | JSON_COMPACT);
	if (!message->id_text) {
		snprintf(why, why_size, "not a JSON-RPC request: unusable \"id\"");
		json_decref(root);
		return -EPROTO;
	}
	message->root = root;
	message->method = json_string_value(json_object_get(root, "method"));
	message->params = json_object_get(root, "params");
	return 0;
}

void rpc_message_clear(struct rpc_message *message)
{
	free(message->id_text);
	json_decref(message->root);
}

int rpc_message_strings(const struct rpc_message *message, const char ***argsp, size_t *n_args)
{
	size_t n = json_array_size(message->params);
	const char **args = malloc((n + 1) * sizeof(*args));

	if (!args)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++) {
		args[i] = json_string_value(json_array_get(message->params, i));
		if (!args[i]) {
			free(args);
			return -EINVAL;
		}
	}
	args[n] = NULL;
	*argsp = args;
	*n_args = n;
	return 0;
}

static int put_string(const char *text, struct evbuffer *to)
{
	struct json_encoder encoder = {0};

	if (evbuffer_add(to, "\"", 1) != 0 || json_encode(&encoder, text, strlen(text), to) < 0 ||
		json_encode_end(&encoder, to) < 0 || evbuffer_add(to, "\"", 1) != 0)
		return -ENOMEM;
	return 0;
}

int rpc_message_error_tail(const char *error, struct evbuffer *to)
{
	struct json_encoder encoder = {0};
	size_t len_bytes = strlen(error);
	bool ends_line = len_bytes > 0 && error[len_bytes - 1] == '\n';

	if (evbuffer_add_printf(to, "\"result\":null,\"error\":\"") < 0 ||
		json_encode(&encoder, error, len_bytes, to) < 0 ||
		json_encode_end(&encoder, to) < 0 ||
		evbuffer_add_printf(to, "%s\"}", ends_line ? "" : "\\n") < 0)
		return -ENOMEM;
	return 0;
}

int rpc_message_error(const char *id_text, const char *error, struct evbuffer *to)
{
	if (evbuffer_add_printf(to, "{\"id\":%s,", id_text ? id_text : "null") < 0)
		return -ENOMEM;
	return rpc_message_error_tail(error, to);
}

int rpc_message_echo(const struct rpc_message *message, struct evbuffer *to)
{
	char *params = json_dumps(message->params, JSON_COMPACT);
	int ret = params ? evbuffer_add_printf(to, "{\"id\":%s,\"result\":%s,\"error\":null}",
				   message->id_text, params)
			 : -1;

	free(params);
	return ret < 0 ? -ENOMEM : 0;
}

int rpc_message_request(
	const char *method, const char *const *args, size_t n_args, struct evbuffer *to)
{
	if (evbuffer_add_printf(to, "{\"id\":0,\"method\":") < 0 || put_string(method, to) < 0 ||
		evbuffer_add_printf(to, ",\"params\":[") < 0)
		return -ENOMEM;
	for (size_t i = 0; i < n_args; i++) {
		if (i > 0 && evbuffer_add(to, ",", 1) != 0)
			return -ENOMEM;
		if (put_string(args[i], to) < 0)
			return -ENOMEM;
	}
	return evbuffer_add(to, "]}", 2) == 0 ? 0 : -ENOMEM;
}
