/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * One connection of the control socket, without the socket: bytes in, requests to the handler,
 * bytes out, deadlines. The server feeds it and empties it; tests do the same with a clock of their
 * own.
 *
 * Life: create; input as it arrives; run after anything happened; destroy when the state says so.
 * All in the loop's thread. Time is handed in and only compared.
 */
#ifndef CTRL_RPC_CONN_H
#define CTRL_RPC_CONN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "ctrl/rpc/server.h"

struct evbuffer;
struct rpc_conn;

enum rpc_conn_state {
	RPC_CONN_OPEN,
	RPC_CONN_ENDING, /* no more input; close when the output is empty */
	RPC_CONN_EOF, /* close now: all is said */
	RPC_CONN_BAD_INPUT, /* close now (answers why, when there is an answer, are sent) */
	RPC_CONN_BAD_OUTPUT, /* close now: the client takes nothing, or too much was said */
};

struct rpc_conn_options {
	rpc_handler *handler;
	void *ctx;
	const struct rpc_limits *limits; /* no zeroes; outlives the connection */
	size_t *input_total; /* unfinished input of all connections, kept up to date */
	void (*wake)(void *shell); /* ask for rpc_conn_run soon; may come from within it */
	void *shell;
};

/* Puts the defaults where limits says 0, cuts depth to what the frame can do. */
void rpc_limits_fill(struct rpc_limits *limits);

/* NULL without memory. */
struct rpc_conn *rpc_conn_create(const struct rpc_conn_options *options);

/* A reply in progress learns that its client is gone. */
void rpc_conn_destroy(struct rpc_conn *conn);

/* Takes bytes. Runs handlers. */
void rpc_conn_input(struct rpc_conn *conn, const char *bytes, size_t len_bytes, uint64_t now_ms);

/* The client sends no more; what it asked is still answered. */
void rpc_conn_input_end(struct rpc_conn *conn, uint64_t now_ms);

/* Dispatches what waits, wakes a producer that waits for room, checks deadlines. True: call again
 * in the next round. */
bool rpc_conn_run(struct rpc_conn *conn, uint64_t now_ms);

enum rpc_conn_state rpc_conn_state(const struct rpc_conn *conn);
const char *rpc_conn_fault(const struct rpc_conn *conn); /* why the state is BAD_* */
bool rpc_conn_wants_input(const struct rpc_conn *conn);
bool rpc_conn_is_idle(const struct rpc_conn *conn); /* no request, no part of one, no output */
uint64_t rpc_conn_requests(const struct rpc_conn *conn);

/* When rpc_conn_run must be called at the latest; UINT64_MAX: whenever. */
uint64_t rpc_conn_deadline_ms(const struct rpc_conn *conn);

/* To be drained by the server. */
struct evbuffer *rpc_conn_output(struct rpc_conn *conn);

#endif
