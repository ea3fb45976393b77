/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * One connection. See conn.h for its place; in here:
 *
 * Input is one growing piece of memory: [start, scanned) has been seen by the frame, the rest
 * waits. While a request is being answered nothing behind it is looked at, and reading stops when a
 * few kilobytes wait. The clock of a half message starts when its first byte is looked at.
 *
 * Output is an evbuffer. The drain clock runs per mark: all that was queued when the mark was set
 * must have left within drain_ms, then the mark moves. So a slow reader of an endless dump is not
 * mistaken for a stuck one, nor a stuck one for a slow one.
 */
#include "ctrl/rpc/conn_impl.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <event2/buffer.h>

#include "ctrl/rpc/message.h"

#define PIPELINE_BYTES (64 * 1024) /* read ahead while a request is being answered */
#define DISPATCH_BURST 10 /* requests of one connection per round */

void rpc_limits_fill(struct rpc_limits *limits)
{
#define FILL(field, value) limits->field = limits->field ? limits->field : (value)
	FILL(message_bytes, 8 << 20);
	FILL(string_bytes, 1 << 20);
	FILL(depth, JSON_FRAME_DEPTH_MAX);
	FILL(values, 65536);
	FILL(input_bytes, 32 << 20);
	FILL(output_high_bytes, 256 << 10);
	FILL(output_max_bytes, 64 << 20);
	FILL(message_ms, 2000);
	FILL(drain_ms, 10000);
	FILL(connections, 64);
#undef FILL
	if (limits->depth > JSON_FRAME_DEPTH_MAX)
		limits->depth = JSON_FRAME_DEPTH_MAX;
}

struct rpc_conn *rpc_conn_create(const struct rpc_conn_options *options)
{
	struct rpc_conn *conn = calloc(1, sizeof(*conn));

	if (!conn)
		return NULL;
	conn->options = *options;
	conn->frame_limits = (struct json_frame_limits){options->limits->message_bytes,
		options->limits->string_bytes, options->limits->depth, options->limits->values};
	conn->output = evbuffer_new();
	if (!conn->output) {
		free(conn);
		return NULL;
	}
	return conn;
}

void rpc_conn_destroy(struct rpc_conn *conn)
{
	*conn->options.input_total -= conn->size;
	if (conn->reply)
		rpc_reply_orphan(conn->reply);
	evbuffer_free(conn->output);
	free(conn->input);
	free(conn);
}

void rpc_conn_fail(struct rpc_conn *conn, enum rpc_conn_state state, const char *fault)
{
	if (rpc_conn_is_dead(conn))
		return;
	conn->state = state;
	snprintf(conn->fault, sizeof(conn->fault), "%s", fault);
	conn->options.wake(conn->options.shell);
}

void rpc_conn_queued(struct rpc_conn *conn, size_t before_bytes)
{
	conn->queued_bytes += evbuffer_get_length(conn->output) - before_bytes;
	if (evbuffer_get_length(conn->output) > conn->options.limits->output_max_bytes)
		rpc_conn_fail(conn, RPC_CONN_BAD_OUTPUT, "answer too large to be kept");
	conn->options.wake(conn->options.shell);
}

/* A broken stream: say why as far as the socket takes it, then close. */
static void fail_input(struct rpc_conn *conn, const char *fault)
{
	if (!conn->reply) /* else the client would take it for the end of that answer */
		rpc_message_error(NULL, fault, conn->output);
	rpc_conn_fail(conn, RPC_CONN_BAD_INPUT, fault);
}

static const char *frame_fault(int error)
{
	switch (error) {
	case -EMSGSIZE:
		return "message or string too long";
	case -ELOOP:
		return "message nested too deep";
	case -E2BIG:
		return "too many values in a message";
	default:
		return "not JSON";
	}
}

/* --- requests --- */

static void answer_error(struct rpc_conn *conn, const char *id_text, const char *error)
{
	size_t before_bytes = evbuffer_get_length(conn->output);

	if (rpc_message_error(id_text, error, conn->output) < 0)
		rpc_conn_fail(conn, RPC_CONN_BAD_OUTPUT, "out of memory");
	rpc_conn_queued(conn, before_bytes);
}

static void hand_over(
	struct rpc_conn *conn, struct rpc_message *message, const char **args, size_t n_args)
{
	struct rpc_request request = {message->method, args, n_args};
	struct rpc_reply *reply = calloc(1, sizeof(*reply));

	if (!reply) {
		answer_error(conn, message->id_text, "out of memory");
		return;
	}
	reply->conn = conn;
	reply->id_text = message->id_text;
	message->id_text = NULL;
	conn->reply = reply;
	conn->options.handler(conn->options.ctx, &request, reply);
}

static void dispatch(struct rpc_conn *conn, const char *text, size_t len_bytes)
{
	struct rpc_message message;
	const char **args;
	char why[128];
	size_t n_args, before_bytes;
	int ret = rpc_message_parse(text, len_bytes, &message, why, sizeof(why));

	if (ret < 0) {
		fail_input(conn, why);
		return;
	}
	conn->requests++;
	if (strcmp(message.method, "echo") == 0) {
		before_bytes = evbuffer_get_length(conn->output);
		if (rpc_message_echo(&message, conn->output) < 0)
			rpc_conn_fail(conn, RPC_CONN_BAD_OUTPUT, "out of memory");
		rpc_conn_queued(conn, before_bytes);
	} else if ((ret = rpc_message_strings(&message, &args, &n_args)) < 0) {
		answer_error(conn, message.id_text,
			ret == -EINVAL ? "arguments must be strings" : "out of memory");
	} else {
		hand_over(conn, &message, args, n_args);
		free(args);
	}
	rpc_message_clear(&message);
}

/* Lets the next message be found; a piece of memory used for a large one is given back. */
static void input_trim(struct rpc_conn *conn)
{
	size_t left_bytes = conn->end - conn->start;

	if (left_bytes == 0) {
		*conn->options.input_total -= conn->size;
		free(conn->input);
		conn->input = NULL;
		conn->size = 0;
	} else {
		memmove(conn->input, conn->input + conn->start, left_bytes);
	}
	conn->scanned -= conn->start;
	conn->start = 0;
	conn->end = left_bytes;
}

/* Looks at what has come. True: a request was taken out. */
static bool take_message(struct rpc_conn *conn, uint64_t now_ms)
{
	size_t used_bytes, from;
	int ret = json_frame_feed(&conn->frame, &conn->frame_limits, conn->input + conn->scanned,
		conn->end - conn->scanned, &used_bytes);

	if (ret < 0) {
		fail_input(conn, frame_fault(ret));
		return false;
	}
	conn->scanned += used_bytes;
	if (ret == 1) {
		from = conn->start + strspn(conn->input + conn->start, " \t\r\n");
		conn->start = conn->scanned;
		conn->started_ms = 0;
		dispatch(conn, conn->input + from, conn->scanned - from);
		return true;
	}
	if (!json_frame_started(&conn->frame))
		conn->start = conn->scanned; /* blanks between messages */
	else if (!conn->started_ms)
		conn->started_ms = now_ms;
	return false;
}

/* True: more messages may wait. */
static bool take_messages(struct rpc_conn *conn, uint64_t now_ms)
{
	for (int i = 0; i < DISPATCH_BURST; i++) {
		if (rpc_conn_is_dead(conn) || conn->reply || conn->scanned == conn->end)
			break;
		if (!take_message(conn, now_ms))
			break;
	}
	if (conn->start > 0)
		input_trim(conn);
	return !rpc_conn_is_dead(conn) && !conn->reply && conn->scanned < conn->end;
}

static int input_reserve(struct rpc_conn *conn, size_t len_bytes)
{
	size_t size = conn->size ? conn->size : 4096;
	char *input;

	while (size - conn->end < len_bytes)
		size *= 2;
	if (size == conn->size)
		return 0;
	if (*conn->options.input_total + size - conn->size > conn->options.limits->input_bytes)
		return -ENOBUFS;
	input = realloc(conn->input, size);
	if (!input)
		return -ENOMEM;
	*conn->options.input_total += size - conn->size;
	conn->input = input;
	conn->size = size;
	return 0;
}

void rpc_conn_input(struct rpc_conn *conn, const char *bytes, size_t len_bytes, uint64_t now_ms)
{
	if (conn->state != RPC_CONN_OPEN || len_bytes == 0)
		return;
	if (input_reserve(conn, len_bytes) < 0) {
		fail_input(conn, "too much unfinished input on all connections together");
		return;
	}
	memcpy(conn->input + conn->end, bytes, len_bytes);
	conn->end += len_bytes;
	if (take_messages(conn, now_ms))
		conn->options.wake(conn->options.shell);
}

void rpc_conn_input_end(struct rpc_conn *conn, uint64_t now_ms)
{
	if (conn->state == RPC_CONN_OPEN)
		conn->state = RPC_CONN_ENDING;
	rpc_conn_run(conn, now_ms);
}

/* --- clocks --- */

static void check_deadlines(struct rpc_conn *conn, uint64_t now_ms)
{
	const struct rpc_limits *limits = conn->options.limits;
	size_t waiting_bytes = evbuffer_get_length(conn->output);

	if (conn->started_ms && now_ms - conn->started_ms >= limits->message_ms)
		fail_input(conn, "message not finished in time");
	if (waiting_bytes == 0) {
		conn->mark_ms = 0;
	} else if (!conn->mark_ms || conn->queued_bytes - waiting_bytes >= conn->mark_bytes) {
		conn->mark_ms = now_ms;
		conn->mark_bytes = conn->queued_bytes;
	} else if (now_ms - conn->mark_ms >= limits->drain_ms) {
		rpc_conn_fail(conn, RPC_CONN_BAD_OUTPUT, "answer not taken in time");
	}
}

static void wake_producer(struct rpc_conn *conn)
{
	struct rpc_reply *reply = conn->reply;
	loop_fn *drain;

	if (!reply || !reply->drain || rpc_reply_room(reply) == 0)
		return;
	drain = reply->drain;
	reply->drain = NULL;
	drain(reply->drain_ctx);
}

bool rpc_conn_run(struct rpc_conn *conn, uint64_t now_ms)
{
	bool again;

	if (rpc_conn_is_dead(conn))
		return false;
	check_deadlines(conn, now_ms);
	if (rpc_conn_is_dead(conn))
		return false;
	wake_producer(conn);
	again = take_messages(conn, now_ms);
	if (conn->state == RPC_CONN_ENDING && !conn->reply && !again) {
		if (json_frame_started(&conn->frame))
			rpc_conn_fail(conn, RPC_CONN_BAD_INPUT, "closed within a message");
		else if (evbuffer_get_length(conn->output) == 0)
			conn->state = RPC_CONN_EOF;
	}
	return again || (conn->reply && conn->reply->drain && rpc_reply_room(conn->reply) > 0);
}

uint64_t rpc_conn_deadline_ms(const struct rpc_conn *conn)
{
	uint64_t deadline_ms = UINT64_MAX;

	if (conn->started_ms)
		deadline_ms = conn->started_ms + conn->options.limits->message_ms;
	if (conn->mark_ms && conn->mark_ms + conn->options.limits->drain_ms < deadline_ms)
		deadline_ms = conn->mark_ms + conn->options.limits->drain_ms;
	return deadline_ms;
}

enum rpc_conn_state rpc_conn_state(const struct rpc_conn *conn)
{
	return conn->state;
}

const char *rpc_conn_fault(const struct rpc_conn *conn)
{
	return conn->fault;
}

bool rpc_conn_wants_input(const struct rpc_conn *conn)
{
	return conn->state == RPC_CONN_OPEN &&
	       (conn->end - conn->scanned < PIPELINE_BYTES || json_frame_started(&conn->frame));
}

bool rpc_conn_is_idle(const struct rpc_conn *conn)
{
	return !conn->reply && conn->end == 0 && evbuffer_get_length(conn->output) == 0;
}

uint64_t rpc_conn_requests(const struct rpc_conn *conn)
{
	return conn->requests;
}

struct evbuffer *rpc_conn_output(struct rpc_conn *conn)
{
	return conn->output;
}
