/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The asking role. A connection goes IDLE (not opened yet) -> OPENING -> READY <-> WAITING, and to
 * BROKEN from each of the last three. Connections are opened in order, few at a time, so that the
 * server's queue does not overflow.
 */
#include "test/lab/guest/tcpmany.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#define OPENING_MAX 64
#define TICK_MS 5

enum client_state { CLIENT_IDLE, CLIENT_OPENING, CLIENT_READY, CLIENT_WAITING, CLIENT_BROKEN };

/* Why connections broke; the names are the report's. */
enum client_reason { REASON_OPEN, REASON_RESET, REASON_END, REASON_BYTES, REASON_SILENCE, REASONS };

static const char *const reason_names[REASONS] = {
	[REASON_OPEN] = "not_opened",
	[REASON_RESET] = "reset",
	[REASON_END] = "closed",
	[REASON_BYTES] = "wrong_bytes",
	[REASON_SILENCE] = "no_answer",
};

struct asking {
	int fd;
	enum client_state state;
	uint32_t id, number;
	uint64_t since_ns; /* OPENING, WAITING: since when */
	uint64_t next_ns; /* READY: when the next request is due */
	struct tcpmany_input input;
};

struct client {
	struct tcpmany *options;
	struct asking *all;
	uint64_t opened, opening, begun, waiting, answers, longest_wait_ns, report_ns;
	uint64_t broken[REASONS];
	bool ending;
};

static void client_report(const struct client *c, bool running)
{
	FILE *report = program_report_begin(c->options->json);
	uint64_t sum = 0;
	size_t i;

	if (!report)
		return;
	for (i = 0; i < REASONS; i++)
		sum += c->broken[i];
	fprintf(report,
		"{\"running\": %s, \"connections\": %lu, \"opened\": %lu, \"broken\": %lu, "
		"\"answers\": %lu, \"longest_wait_ms\": %.3f, \"reasons\": {",
		running ? "true" : "false", c->options->connections, c->opened, sum, c->answers,
		(double)c->longest_wait_ns / NS_PER_MS);
	for (i = 0; i < REASONS; i++)
		fprintf(report, "%s\"%s\": %lu", i ? ", " : "", reason_names[i], c->broken[i]);
	fprintf(report, "}}\n");
	program_report_end(report, c->options->json);
}

static void asking_break(struct client *c, struct asking *a, enum client_reason reason)
{
	c->opening -= a->state == CLIENT_OPENING;
	c->waiting -= a->state == CLIENT_WAITING;
	c->broken[reason]++;
	a->state = CLIENT_BROKEN;
	if (a->fd >= 0)
		close(a->fd);
	a->fd = -1;
}

/* Socket, own address, epoll, connect. 0 or -errno. */
static int asking_connect(struct client *c, struct asking *a)
{
	struct tcpmany *t = c->options;
	struct epoll_event event = {.events = EPOLLIN | EPOLLOUT | EPOLLET, .data.ptr = a};
	struct sockaddr_in6 local;

	if (program_address(t->bind_to, 0, &local))
		return -EINVAL;
	a->fd = socket(AF_INET6, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (a->fd < 0)
		return -errno;
	if (strcmp(t->bind_to, "any") && bind(a->fd, (struct sockaddr *)&local, sizeof(local)))
		return -errno;
	if (epoll_ctl(t->epoll, EPOLL_CTL_ADD, a->fd, &event))
		return -errno;
	if (connect(a->fd, (struct sockaddr *)&t->peer, sizeof(t->peer)) && errno != EINPROGRESS)
		return -errno;
	return 0;
}

static void asking_open(struct client *c, struct asking *a, uint64_t now_ns)
{
	a->state = CLIENT_OPENING;
	a->since_ns = now_ns;
	c->begun++;
	c->opening++;
	if (asking_connect(c, a))
		asking_break(c, a, REASON_OPEN);
}

static void asking_opened(struct client *c, struct asking *a, uint64_t now_ns)
{
	socklen_t length = sizeof(int);
	int error = 0;

	getsockopt(a->fd, SOL_SOCKET, SO_ERROR, &error, &length);
	if (error) {
		asking_break(c, a, REASON_OPEN);
		return;
	}
	c->opening--;
	c->opened++;
	a->state = CLIENT_READY;
	a->next_ns = now_ns;
}

static void asking_ask(struct client *c, struct asking *a, uint64_t now_ns)
{
	unsigned char buffer[TCPMANY_MESSAGE_MAX];
	size_t length_bytes =
		tcpmany_message_make(buffer, a->id, a->number, (uint32_t)c->options->size);

	if (send(a->fd, buffer, length_bytes, MSG_NOSIGNAL) != (ssize_t)length_bytes) {
		asking_break(c, a, REASON_RESET);
		return;
	}
	c->waiting++;
	a->state = CLIENT_WAITING;
	a->since_ns = now_ns;
	a->next_ns += c->options->interval_ns;
}

/* False when the bytes are not the answer that is due. */
static bool asking_answered(struct client *c, struct asking *a, uint64_t now_ns)
{
	struct tcpmany_message m;
	enum tcpmany_verdict verdict =
		tcpmany_message_read(a->input.bytes, a->input.length_bytes, &m);

	if (verdict != TCPMANY_WHOLE)
		return verdict == TCPMANY_MORE;
	if (a->state != CLIENT_WAITING || m.connection != a->id || m.number != a->number)
		return false;
	tcpmany_input_take(&a->input, m.length_bytes);
	if (now_ns - a->since_ns > c->longest_wait_ns)
		c->longest_wait_ns = now_ns - a->since_ns;
	c->answers++;
	c->waiting--;
	a->number++;
	a->state = CLIENT_READY;
	if (a->next_ns < now_ns)
		a->next_ns = now_ns;
	return !a->input.length_bytes;
}

static void asking_event(struct client *c, struct asking *a, uint32_t events, uint64_t now_ns)
{
	int n;

	if (a->state == CLIENT_OPENING && events & (EPOLLOUT | EPOLLERR | EPOLLHUP))
		asking_opened(c, a, now_ns);
	while (a->fd >= 0 && a->state != CLIENT_OPENING) {
		n = tcpmany_input_fill(&a->input, a->fd);
		if (n == -EAGAIN)
			return;
		if (n <= 0)
			asking_break(c, a, n ? REASON_RESET : REASON_END);
		else if (!asking_answered(c, a, now_ns))
			asking_break(c, a, REASON_BYTES);
	}
}

static void client_tick(struct client *c, uint64_t now_ns)
{
	struct tcpmany *t = c->options;
	struct asking *a;

	for (a = c->all; a < c->all + t->connections; a++) {
		if (a->state == CLIENT_IDLE && !c->ending && c->opening < OPENING_MAX)
			asking_open(c, a, now_ns);
		else if (a->state == CLIENT_READY && !c->ending && a->next_ns <= now_ns)
			asking_ask(c, a, now_ns);
		else if (a->state == CLIENT_OPENING && now_ns - a->since_ns > t->patience_ns)
			asking_break(c, a, REASON_OPEN);
		else if (a->state == CLIENT_WAITING && now_ns - a->since_ns > t->patience_ns)
			asking_break(c, a, REASON_SILENCE);
	}
	if (t->json && now_ns >= c->report_ns) {
		client_report(c, true);
		c->report_ns = now_ns + NS_PER_S;
	}
}

static void client_run(struct client *c)
{
	struct epoll_event events[256];
	uint64_t now_ns = program_now_ns(), start_ns = now_ns;
	int n, i;

	while (!c->ending || c->waiting || c->opening) {
		c->ending = program_stopped() ||
			    (c->options->seconds &&
				    now_ns >= start_ns + c->options->seconds * NS_PER_S);
		client_tick(c, now_ns);
		n = epoll_wait(c->options->epoll, events, 256, TICK_MS);
		now_ns = program_now_ns();
		for (i = 0; i < n; i++)
			asking_event(c, events[i].data.ptr, events[i].events, now_ns);
	}
	c->broken[REASON_OPEN] += c->options->connections - c->begun;
}

int tcpmany_client(struct tcpmany *t)
{
	struct client c = {.options = t, .all = calloc(t->connections, sizeof(*c.all))};
	uint32_t i;

	if (!c.all)
		return -ENOMEM;
	for (i = 0; i < t->connections; i++) {
		c.all[i].id = i;
		c.all[i].fd = -1;
	}
	client_run(&c);
	client_report(&c, false);
	for (i = 0; i < t->connections; i++)
		if (c.all[i].fd >= 0)
			close(c.all[i].fd);
	free(c.all);
	return 0;
}
