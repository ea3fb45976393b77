/* SPDX-License-Identifier: BSD-3-Clause */
#include "ctrl/rpc/conn_impl.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <event2/buffer.h>

#include "ctrl/rpc/message.h"

void rpc_reply_orphan(struct rpc_reply *reply)
{
	loop_fn *drain = reply->drain, *gone = reply->gone;
	void *drain_ctx = reply->drain_ctx, *gone_ctx = reply->gone_ctx;

	reply->conn = NULL;
	reply->drain = NULL;
	reply->gone = NULL;
	/* Either may end the reply, so only one is called. */
	if (gone)
		gone(gone_ctx);
	else if (drain)
		drain(drain_ctx);
}

static int begin(struct rpc_reply *reply)
{
	if (reply->started)
		return 0;
	reply->started = true;
	return evbuffer_add_printf(
		       reply->conn->output, "{\"id\":%s,\"result\":\"", reply->id_text) < 0
		       ? -ENOMEM
		       : 0;
}

static int put_text(struct rpc_reply *reply, const char *text, size_t len_bytes)
{
	int ret = begin(reply);

	if (ret == 0)
		ret = json_encode(&reply->encoder, text, len_bytes, reply->conn->output);
	reply->ends_line = text[len_bytes - 1] == '\n';
	return ret;
}

static int put_end(struct rpc_reply *reply)
{
	struct evbuffer *output = reply->conn->output;
	int ret = begin(reply);

	if (ret == 0)
		ret = json_encode_end(&reply->encoder, output);
	return ret == 0 && evbuffer_add_printf(output, "\",\"error\":null}") >= 0 ? 0 : -ENOMEM;
}

static int put_error(struct rpc_reply *reply, const char *text)
{
	struct evbuffer *output = reply->conn->output;

	if (!reply->started)
		return rpc_message_error(reply->id_text, text, output);
	if (json_encode_end(&reply->encoder, output) < 0 || evbuffer_add(output, "\",", 2) != 0)
		return -ENOMEM;
	return rpc_message_error_tail(text, output);
}

void rpc_reply_append(struct rpc_reply *reply, const char *text, size_t len_bytes)
{
	struct rpc_conn *conn = reply->conn;
	size_t before_bytes;

	if (!conn || rpc_conn_is_dead(conn) || len_bytes == 0)
		return;
	before_bytes = evbuffer_get_length(conn->output);
	if (put_text(reply, text, len_bytes) < 0)
		rpc_conn_fail(conn, RPC_CONN_BAD_OUTPUT, "out of memory");
	rpc_conn_queued(conn, before_bytes);
}

/* Ends the answer, well when error is NULL. */
static void reply_end(struct rpc_reply *reply, const char *error)
{
	struct rpc_conn *conn = reply->conn;
	size_t before_bytes;
	int ret = 0;

	if (conn && !rpc_conn_is_dead(conn)) {
		before_bytes = evbuffer_get_length(conn->output);
		if (error)
			ret = put_error(reply, error);
		else if (reply->started && !reply->ends_line)
			ret = put_text(reply, "\n", 1);
		if (ret == 0 && !error)
			ret = put_end(reply);
		if (ret < 0)
			rpc_conn_fail(conn, RPC_CONN_BAD_OUTPUT, "out of memory");
		rpc_conn_queued(conn, before_bytes);
	}
	if (conn)
		conn->reply = NULL;
	free(reply->id_text);
	free(reply);
}

void rpc_reply_finish(struct rpc_reply *reply)
{
	reply_end(reply, NULL);
}

void rpc_reply_fail(struct rpc_reply *reply, const char *text)
{
	reply_end(reply, text);
}

size_t rpc_reply_room(const struct rpc_reply *reply)
{
	size_t used_bytes, high_bytes;

	if (!reply->conn || rpc_conn_is_dead(reply->conn))
		return 0;
	used_bytes = evbuffer_get_length(reply->conn->output);
	high_bytes = reply->conn->options.limits->output_high_bytes;
	return used_bytes < high_bytes ? high_bytes - used_bytes : 0;
}

void rpc_reply_on_drain(struct rpc_reply *reply, loop_fn *fn, void *ctx)
{
	reply->drain = fn;
	reply->drain_ctx = ctx;
	if (reply->conn)
		reply->conn->options.wake(reply->conn->options.shell);
}

bool rpc_reply_gone(const struct rpc_reply *reply)
{
	return !reply->conn;
}

void rpc_reply_on_gone(struct rpc_reply *reply, loop_fn *fn, void *ctx)
{
	reply->gone = fn;
	reply->gone_ctx = ctx;
}
