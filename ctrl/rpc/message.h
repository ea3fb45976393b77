/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * JSON-RPC 1.0 messages as OVS writes them (ovs lib/jsonrpc.c; RFC 7047 section 4 describes the
 * same use): one complete object of text into a request, and the begin and end of an answer.
 */
#ifndef CTRL_RPC_MESSAGE_H
#define CTRL_RPC_MESSAGE_H

#include <stddef.h>

#include <jansson.h>

struct evbuffer;

/* A parsed request. id_text is the id as JSON, to be sent back; params any JSON. */
struct rpc_message {
	json_t *root;
	const char *method;
	json_t *params; /* an array, borrowed from root */
	char *id_text;
};

/* 0, or -EPROTO with a sentence in why. message_clear after 0 only. */
int rpc_message_parse(const char *text, size_t len_bytes, struct rpc_message *message, char *why,
	size_t why_size);
void rpc_message_clear(struct rpc_message *message);

/* The params as strings, borrowed from the message; the array itself is to be freed. -EINVAL: a
 * param is no string. */
int rpc_message_strings(const struct rpc_message *message, const char ***args, size_t *n_args);

/* Whole answers; an id of NULL is sent as null; a missing last newline is added. 0 or -ENOMEM. */
int rpc_message_error(const char *id_text, const char *error, struct evbuffer *to);
/* Its part from "result" on. */
int rpc_message_error_tail(const char *error, struct evbuffer *to);
int rpc_message_echo(const struct rpc_message *message, struct evbuffer *to);

/* A complete request. 0 or -ENOMEM. */
int rpc_message_request(
	const char *method, const char *const *args, size_t n_args, struct evbuffer *to);

#endif
