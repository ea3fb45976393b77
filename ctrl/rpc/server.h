/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The control socket: JSON-RPC 1.0 on a unix stream socket, as the stock ovs-appctl speaks it.
 *
 *	-> {"id":0,"method":"vport/show","params":["vm1","--json"]}
 *	<- {"id":0,"result":"text","error":null}	or "result":null and the error's text
 *
 * Values follow each other without framing. Requests may be pipelined; one connection's requests
 * run one after the other, in order. "echo" is answered here.
 *
 * The server knows no commands: it hands each request to one handler together with a reply, to be
 * filled now or later. Everything here runs in the loop's thread; other threads use loop_post.
 *
 * No client can hold the loop up or make memory grow: a started message must end within
 * `message_ms`, size, depth, strings and values are limited, output above the high-water mark asks
 * the producer to wait, and a client that does not take its output within `drain_ms` is dropped.
 */
#ifndef CTRL_RPC_SERVER_H
#define CTRL_RPC_SERVER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "ctrl/log.h"
#include "ctrl/rpc/loop.h"
#include "ctrl/rpc/unix_socket.h"

struct rpc_server;
struct rpc_reply;

struct rpc_request {
	const char *method;
	const char *const *args;
	size_t n_args;
};

/* Must lead to exactly one rpc_reply_finish or rpc_reply_fail, in this call or later. request is
 * valid during the call only. */
typedef void rpc_handler(void *ctx, const struct rpc_request *request, struct rpc_reply *reply);

/* Each 0 means the default in brackets. */
struct rpc_limits {
	size_t message_bytes; /* one request [8 MiB] */
	size_t string_bytes; /* one string in it, as sent [1 MiB] */
	unsigned int depth; /* brackets within brackets [64] */
	unsigned int values; /* values in one message [65536] */
	size_t input_bytes; /* unfinished input of all connections together [32 MiB] */
	size_t output_high_bytes; /* above it a producer should wait [256 KiB] */
	size_t output_max_bytes; /* above it the connection is dropped [64 MiB] */
	unsigned int message_ms; /* from the first byte of a message to its last [2000] */
	unsigned int drain_ms; /* from waiting output to all of it taken [10000] */
	unsigned int connections; /* at once; beyond, the longest idle one is closed [64] */
};

struct rpc_server_options {
	struct loop *loop;
	struct unix_listen_options listen;
	rpc_handler *handler;
	void *ctx;
	struct rpc_limits limits;
	struct log_module *log; /* NULL: silent */
};

struct rpc_server_stats {
	unsigned int connections; /* now */
	uint64_t accepted, requests, refused; /* refused: no place for the connection */
	uint64_t dropped_input; /* closed for broken, too large or unfinished input */
	uint64_t dropped_output; /* closed for output not taken */
};

/* 0 or -errno with a sentence in why (see unix_listen). */
int rpc_server_create(const struct rpc_server_options *options, struct rpc_server **server,
	char *why, size_t why_size);

/* Sends what the sockets take at once, closes all, removes the socket file. Replies still open stay
 * valid (and "gone") until they are finished. NULL allowed. */
void rpc_server_destroy(struct rpc_server *server);

void rpc_server_stats(const struct rpc_server *server, struct rpc_server_stats *stats);

/* Adds text to the result. Any bytes: what is no valid UTF-8 is sent as U+FFFD. */
void rpc_reply_append(struct rpc_reply *reply, const char *text, size_t len_bytes);

/* Ends the reply, which is then freed. A missing last newline is added, as OVS does. */
void rpc_reply_finish(struct rpc_reply *reply);

/* The same with an error. Text appended before goes out in a "result" that a second "result": null
 * and the error override, so every client sees a failure. */
void rpc_reply_fail(struct rpc_reply *reply, const char *text);

/* Bytes that may be appended before the high-water mark; 0: wait for on_drain. */
size_t rpc_reply_room(const struct rpc_reply *reply);

/* Calls fn(ctx) once from the loop, when there is room; at once (next round) if there is already.
 * Called too when the client is gone, unless on_gone is set. */
void rpc_reply_on_drain(struct rpc_reply *reply, loop_fn *fn, void *ctx);

/* The client hung up; appended text goes nowhere. on_gone: called once when that happens. */
bool rpc_reply_gone(const struct rpc_reply *reply);
void rpc_reply_on_gone(struct rpc_reply *reply, loop_fn *fn, void *ctx);

#endif
