/* SPDX-License-Identifier: BSD-3-Clause */
#include "ctrl/rpc/client.h"

#include <errno.h>
#include <poll.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <event2/buffer.h>

#include "ctrl/rpc/message.h"
#include "ctrl/rpc/result_stream.h"
#include "ctrl/rpc/unix_socket.h"

#define READ_BYTES (64 * 1024)
#define COLLECT_MAX_BYTES (256u << 20)

struct rpc_client {
	int fd;
	int cancel_fd; /* readable: cancelled */
	char buffer[READ_BYTES];
};

/* One call in progress. */
struct exchange {
	struct rpc_client *client;
	const struct rpc_call *call;
	struct evbuffer *request; /* still to be sent */
	struct evbuffer *result; /* decoded, not handed on yet; or all of it */
	struct result_stream stream;
	uint64_t deadline_ms; /* UINT64_MAX: none */
};

static uint64_t now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

int rpc_client_connect(const char *path, unsigned int timeout_ms, struct rpc_client **clientp)
{
	struct rpc_client *client = malloc(sizeof(*client));
	int ret;

	if (!client)
		return -ENOMEM;
	client->cancel_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (client->cancel_fd < 0) {
		ret = -errno;
		goto fail;
	}
	ret = unix_connect(path, timeout_ms, &client->fd);
	if (ret < 0)
		goto fail_connect;
	*clientp = client;
	return 0;

fail_connect:
	close(client->cancel_fd);
fail:
	free(client);
	return ret;
}

void rpc_client_close(struct rpc_client *client)
{
	if (!client)
		return;
	close(client->fd);
	close(client->cancel_fd);
	free(client);
}

void rpc_client_cancel(struct rpc_client *client)
{
	uint64_t one = 1;

	(void)!write(client->cancel_fd, &one, sizeof(one));
}

static void deadline_set(struct exchange *exchange)
{
	unsigned int timeout_ms = exchange->call->timeout_ms;

	exchange->deadline_ms = timeout_ms ? now_ms() + timeout_ms : UINT64_MAX;
}

/* Waits until the socket can be read or written. The events, or -errno. */
static int wait_ready(struct exchange *exchange)
{
	bool sending = evbuffer_get_length(exchange->request) > 0;
	struct pollfd fds[2] = {
		{.fd = exchange->client->fd, .events = sending ? POLLIN | POLLOUT : POLLIN},
		{.fd = exchange->client->cancel_fd, .events = POLLIN},
	};
	uint64_t now;
	int left_ms = -1, n;

	do {
		if (exchange->deadline_ms != UINT64_MAX) {
			now = now_ms();
			if (now >= exchange->deadline_ms)
				return -ETIMEDOUT;
			left_ms = (int)(exchange->deadline_ms - now);
		}
		n = poll(fds, 2, left_ms);
	} while (n == 0 || (n < 0 && errno == EINTR));
	if (n < 0)
		return -errno;
	if (fds[1].revents) {
		uint64_t count;

		(void)!read(fds[1].fd, &count, sizeof(count));
		return -ECANCELED;
	}
	return fds[0].revents;
}

static int send_some(struct exchange *exchange)
{
	size_t len_bytes = evbuffer_get_contiguous_space(exchange->request);
	ssize_t n = send(exchange->client->fd,
		evbuffer_pullup(exchange->request, (ssize_t)len_bytes), len_bytes, MSG_NOSIGNAL);

	if (n >= 0) {
		evbuffer_drain(exchange->request, (size_t)n);
	} else if (errno == EPIPE) {
		/* The server closed; it may have said why. */
		evbuffer_drain(exchange->request, evbuffer_get_length(exchange->request));
	} else if (errno != EAGAIN && errno != EINTR) {
		return -errno;
	}
	return 0;
}

static int hand_on(struct exchange *exchange)
{
	size_t len_bytes = evbuffer_get_length(exchange->result);
	int ret;

	if (!exchange->call->sink)
		return len_bytes > COLLECT_MAX_BYTES ? -EMSGSIZE : 0;
	deadline_set(exchange);
	if (len_bytes == 0)
		return 0;
	ret = exchange->call->sink(exchange->call->sink_ctx,
		(const char *)evbuffer_pullup(exchange->result, -1), len_bytes);
	evbuffer_drain(exchange->result, len_bytes);
	return ret;
}

/* 1: the answer is complete. */
static int receive_some(struct exchange *exchange)
{
	struct rpc_client *client = exchange->client;
	ssize_t n = read(client->fd, client->buffer, sizeof(client->buffer));
	int done, ret;

	if (n < 0)
		return errno == EAGAIN || errno == EINTR ? 0 : -errno;
	if (n == 0)
		return -ECONNRESET;
	done = result_stream_feed(&exchange->stream, client->buffer, (size_t)n, exchange->result);
	if (done < 0)
		return done;
	ret = hand_on(exchange);
	return ret ? ret : done;
}

static int exchange_run(struct exchange *exchange)
{
	int ready, ret = 0;

	deadline_set(exchange);
	while (ret == 0) {
		ready = wait_ready(exchange);
		if (ready < 0)
			return ready;
		if (ready & POLLOUT)
			ret = send_some(exchange);
		if (ret == 0 && (ready & ~POLLOUT))
			ret = receive_some(exchange);
	}
	return ret;
}

static int answer_make(struct exchange *exchange, struct rpc_answer *answer)
{
	size_t len_bytes = evbuffer_get_length(exchange->result);
	char *text = NULL;
	bool failed;
	int ret = result_stream_end(&exchange->stream, &text);

	if (ret < 0)
		return ret;
	failed = text != NULL;
	if (failed) {
		len_bytes = strlen(text);
	} else {
		text = malloc(len_bytes + 1);
		if (!text)
			return -ENOMEM;
		evbuffer_remove(exchange->result, text, len_bytes);
		text[len_bytes] = '\0';
	}
	*answer = (struct rpc_answer){.failed = failed, .text = text, .len_bytes = len_bytes};
	return 0;
}

int rpc_client_call(
	struct rpc_client *client, const struct rpc_call *call, struct rpc_answer *answer)
{
	struct exchange exchange = {.client = client, .call = call};
	int ret = -ENOMEM;

	exchange.request = evbuffer_new();
	exchange.result = evbuffer_new();
	if (!exchange.request || !exchange.result)
		goto out;
	if (rpc_message_request(call->method, call->args, call->n_args, exchange.request) < 0)
		goto out;
	ret = result_stream_init(&exchange.stream);
	if (ret < 0)
		goto out;
	ret = exchange_run(&exchange);
	if (ret == 1)
		ret = answer_make(&exchange, answer);
	result_stream_clear(&exchange.stream);
out:
	if (exchange.request)
		evbuffer_free(exchange.request);
	if (exchange.result)
		evbuffer_free(exchange.result);
	return ret;
}

void rpc_answer_free(struct rpc_answer *answer)
{
	free(answer->text);
	answer->text = NULL;
}
