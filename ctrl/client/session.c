/* SPDX-License-Identifier: BSD-3-Clause */
#include "ctrl/client/ferryctl.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <event2/buffer.h>

static uint64_t now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

/* A little less than the limit, so that the process as a whole keeps within it. */
static uint64_t deadline_ms(const struct settings *settings)
{
	if (!settings->timeout_ms)
		return UINT64_MAX;
	return now_ms() + settings->timeout_ms - settings->timeout_ms / 25;
}

int session_open(const struct settings *settings, struct session *session)
{
	int ret;

	session->settings = settings;
	session->deadline_ms = deadline_ms(settings);
	ret = rpc_client_connect(settings->socket, settings->timeout_ms, &session->client);
	if (ret == 0)
		return EXIT_OK;
	if (ret == -ETIMEDOUT) {
		fprintf(stderr, "ferryctl: %s: the daemon takes no connection (%u ms)\n",
			settings->socket, settings->timeout_ms);
		return EXIT_TIMEOUT;
	}
	fprintf(stderr, "ferryctl: %s: cannot connect: %s\n", settings->socket, strerror(-ret));
	if (ret == -ENOENT || ret == -ECONNREFUSED)
		fprintf(stderr, "ferryctl: is the daemon running? --socket or FERRY_SOCKET name "
				"another socket\n");
	return EXIT_CONNECT;
}

void session_close(struct session *session)
{
	rpc_client_close(session->client);
}

static int explain(const struct session *session, int error)
{
	const char *socket = session->settings->socket;

	switch (error) {
	case -ETIMEDOUT:
		fprintf(stderr, "ferryctl: %s: no answer within %g s\n", socket,
			session->settings->timeout_ms / 1000.0);
		return EXIT_TIMEOUT;
	case -ECONNRESET:
	case -EPIPE:
		fprintf(stderr, "ferryctl: %s: the daemon closed the connection\n", socket);
		return EXIT_BROKEN;
	case -EPROTO:
		fprintf(stderr, "ferryctl: %s: the answer is no JSON-RPC\n", socket);
		return EXIT_BROKEN;
	case -EIO: /* of the sink */
		return EXIT_OUTPUT;
	default:
		fprintf(stderr, "ferryctl: %s: %s\n", socket, strerror(-error));
		return EXIT_INTERNAL;
	}
}

int session_call(struct session *session, struct rpc_call *call, struct rpc_answer *answer)
{
	uint64_t now = now_ms();
	int ret = -ETIMEDOUT;

	call->timeout_ms = 0;
	if (session->deadline_ms != UINT64_MAX)
		call->timeout_ms =
			session->deadline_ms > now ? (unsigned int)(session->deadline_ms - now) : 0;
	if (session->deadline_ms == UINT64_MAX || call->timeout_ms)
		ret = rpc_client_call(session->client, call, answer);
	return ret == 0 ? EXIT_OK : explain(session, ret);
}

/* --- printing: a reader that is slow (a pager) must not hold up the daemon, so what stdout does
 * not take at once waits here --- */

static int write_some(struct evbuffer *waiting, bool wait)
{
	struct pollfd fd = {.fd = STDOUT_FILENO, .events = POLLOUT};
	size_t len_bytes;
	ssize_t n;

	while ((len_bytes = evbuffer_get_length(waiting)) > 0) {
		if (poll(&fd, 1, wait ? -1 : 0) == 0)
			return 0;
		if (len_bytes > PIPE_BUF)
			len_bytes = PIPE_BUF; /* a pipe that is ready takes so much */
		n = write(STDOUT_FILENO, evbuffer_pullup(waiting, (ssize_t)len_bytes), len_bytes);
		if (n < 0 && errno != EINTR && errno != EAGAIN) {
			fprintf(stderr, "ferryctl: stdout: %s\n", strerror(errno));
			return -EIO;
		}
		if (n > 0)
			evbuffer_drain(waiting, (size_t)n);
	}
	return 0;
}

static int to_stdout(void *ctx, const char *text, size_t len_bytes)
{
	struct evbuffer *waiting = ctx;

	if (evbuffer_add(waiting, text, len_bytes) != 0)
		return -ENOMEM;
	return write_some(waiting, false);
}

static void print_error(const char *method, const struct rpc_answer *answer)
{
	bool ends_line = answer->len_bytes > 0 && answer->text[answer->len_bytes - 1] == '\n';

	fprintf(stderr, "ferryctl: %s: %s%s", method, answer->text, ends_line ? "" : "\n");
}

int session_print(struct session *session, const char *method, char **args, size_t n_args)
{
	struct evbuffer *waiting = evbuffer_new();
	struct rpc_call call = {.method = method,
		.args = (const char *const *)args,
		.n_args = n_args,
		.sink = to_stdout,
		.sink_ctx = waiting};
	struct rpc_answer answer;
	int ret;

	if (!waiting)
		return EXIT_INTERNAL;
	ret = session_call(session, &call, &answer);
	if (ret != EXIT_OUTPUT && write_some(waiting, true) < 0)
		ret = EXIT_OUTPUT;
	evbuffer_free(waiting);
	if (ret == EXIT_OUTPUT || ret != EXIT_OK)
		return ret;
	if (answer.failed) {
		print_error(method, &answer);
		ret = EXIT_FAILED;
	}
	rpc_answer_free(&answer);
	return ret;
}

/* On a terminal the picture is drawn over the last one, line by line, so that nothing flickers. */
static void draw(const char *method, unsigned int every_ms, const char *text)
{
	char stamp[32];
	time_t now = time(NULL);
	struct tm parts;

	localtime_r(&now, &parts);
	strftime(stamp, sizeof(stamp), "%T", &parts);
	if (!isatty(STDOUT_FILENO)) {
		printf("%s", text);
		fflush(stdout);
		return;
	}
	printf("\033[HEvery %g s: %s  %s\033[K\n\033[K\n", every_ms / 1000.0, method, stamp);
	for (; *text; text++) {
		if (*text == '\n')
			printf("\033[K");
		putchar(*text);
	}
	printf("\033[J");
	fflush(stdout);
}

static int watch_once(struct session *session, struct rpc_call *call)
{
	struct rpc_answer answer;
	int ret;

	session->deadline_ms = deadline_ms(session->settings);
	ret = session_call(session, call, &answer);
	if (ret != EXIT_OK)
		return ret;
	if (answer.failed) {
		print_error(call->method, &answer);
		ret = EXIT_FAILED;
	} else {
		draw(call->method, session->settings->watch_ms, answer.text);
		if (ferror(stdout))
			ret = EXIT_OUTPUT;
	}
	rpc_answer_free(&answer);
	return ret;
}

int session_watch(struct session *session, const char *method, char **args, size_t n_args)
{
	unsigned int every_ms = session->settings->watch_ms;
	struct timespec pause = {every_ms / 1000, every_ms % 1000 * 1000000L};
	struct rpc_call call = {
		.method = method, .args = (const char *const *)args, .n_args = n_args};
	int ret;

	if (isatty(STDOUT_FILENO))
		printf("\033[2J");
	while ((ret = watch_once(session, &call)) == EXIT_OK)
		nanosleep(&pause, NULL);
	return ret;
}
