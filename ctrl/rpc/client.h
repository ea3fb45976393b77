/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A client of the control socket: plain blocking calls under deadlines, for programs without the
 * loop and for threads beside it. One rpc_client per thread, or the callers' own lock around it.
 * Speaks to ferryd, ferry-vmagent and any OVS daemon.
 */
#ifndef CTRL_RPC_CLIENT_H
#define CTRL_RPC_CLIENT_H

#include <stdbool.h>
#include <stddef.h>

struct rpc_client;

/* What one call brought. text is the result, or the error when failed; owned by the caller, freed
 * with rpc_answer_free. */
struct rpc_answer {
	bool failed; /* the server answered with an error */
	char *text;
	size_t len_bytes;
};

/* Takes a piece of the result as it arrives, decoded. 0, or negative to give up: the call returns
 * it. */
typedef int rpc_sink(void *ctx, const char *text, size_t len_bytes);

struct rpc_call {
	const char *method;
	const char *const *args;
	size_t n_args;
	unsigned int
		timeout_ms; /* 0: none. Without sink for the whole call; with one, for silence */
	rpc_sink *sink; /* NULL: the result is collected in the answer */
	void *sink_ctx;
};

/* timeout_ms 0: wait as long as it takes. 0, -ETIMEDOUT, -ENAMETOOLONG, or the errno of connect. */
int rpc_client_connect(const char *path, unsigned int timeout_ms, struct rpc_client **client);
void rpc_client_close(struct rpc_client *client);

/*
 * 0 when the server answered (answer->failed tells how). -ETIMEDOUT, -ECANCELED, -EPIPE or
 * -ECONNRESET (closed before the end), -EPROTO (no JSON-RPC), -EMSGSIZE (more than 256 MiB without
 * a sink), or what the sink returned. After an error only close is allowed, answer is untouched.
 */
int rpc_client_call(
	struct rpc_client *client, const struct rpc_call *call, struct rpc_answer *answer);
void rpc_answer_free(struct rpc_answer *answer);

/* Any thread: the call that runs, or the next one, returns -ECANCELED. */
void rpc_client_cancel(struct rpc_client *client);

#endif
