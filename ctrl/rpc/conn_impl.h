/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What conn.c (input, requests, clocks) and reply.c (answers) share. For these two files only.
 */
#ifndef CTRL_RPC_CONN_IMPL_H
#define CTRL_RPC_CONN_IMPL_H

#include "ctrl/rpc/conn.h"
#include "ctrl/rpc/json_frame.h"
#include "ctrl/rpc/json_text.h"

struct rpc_reply {
	struct rpc_conn *conn; /* NULL: the client is gone */
	char *id_text;
	struct json_encoder encoder;
	bool started, ends_line;
	loop_fn *drain, *gone;
	void *drain_ctx, *gone_ctx;
};

struct rpc_conn {
	struct rpc_conn_options options;
	enum rpc_conn_state state;
	char fault[160];

	char *input;
	size_t start, scanned, end, size; /* of input, see above */
	struct json_frame frame;
	struct json_frame_limits frame_limits;
	uint64_t started_ms; /* of the half message, 0: none */

	struct rpc_reply *reply; /* in progress */
	uint64_t requests;

	struct evbuffer *output;
	uint64_t queued_bytes; /* ever appended to output */
	uint64_t mark_bytes; /* value of queued_bytes to be reached by what has left ... */
	uint64_t mark_ms; /* ... drain_ms after this, 0: no mark */
};

static inline bool rpc_conn_is_dead(const struct rpc_conn *conn)
{
	return conn->state >= RPC_CONN_EOF;
}

/* The connection is to be closed; the first reason stands. */
void rpc_conn_fail(struct rpc_conn *conn, enum rpc_conn_state state, const char *fault);

/* Output was appended, its length was before_bytes before. */
void rpc_conn_queued(struct rpc_conn *conn, size_t before_bytes);

/* The connection goes before the reply. */
void rpc_reply_orphan(struct rpc_reply *reply);

#endif
