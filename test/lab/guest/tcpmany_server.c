/* SPDX-License-Identifier: BSD-3-Clause */
/* The answering role: checks that each stream is the messages 0, 1, 2 ... of one connection. */
#include "test/lab/guest/tcpmany.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

struct served {
	int fd;
	uint32_t connection, next_number;
	struct tcpmany_input input;
};

struct server {
	struct tcpmany *options;
	int listener;
	uint64_t accepted, open, broken, requests, report_ns;
};

static void server_report(const struct server *s, bool running)
{
	FILE *report = program_report_begin(s->options->json);

	if (!report)
		return;
	fprintf(report,
		"{\"running\": %s, \"connections\": %lu, \"open\": %lu, \"broken\": %lu, "
		"\"requests\": %lu}\n",
		running ? "true" : "false", s->accepted, s->open, s->broken, s->requests);
	program_report_end(report, s->options->json);
}

static void served_close(struct server *s, struct served *c, bool broken)
{
	s->open--;
	s->broken += broken;
	close(c->fd);
	free(c);
}

static void server_accept(struct server *s)
{
	struct epoll_event event = {.events = EPOLLIN};
	struct served *c;
	int fd;

	while ((fd = accept4(s->listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0) {
		c = calloc(1, sizeof(*c));
		event.data.ptr = c;
		if (!c || epoll_ctl(s->options->epoll, EPOLL_CTL_ADD, fd, &event)) {
			free(c);
			close(fd);
			continue;
		}
		c->fd = fd;
		s->accepted++;
		s->open++;
	}
}

/* False when the stream is not what it has to be, or the answer does not fit the socket. */
static bool served_answer(struct server *s, struct served *c)
{
	struct tcpmany_message m;
	enum tcpmany_verdict verdict;

	while ((verdict = tcpmany_message_read(c->input.bytes, c->input.length_bytes, &m)) ==
		TCPMANY_WHOLE) {
		if (m.number != c->next_number || (m.number && m.connection != c->connection))
			return false;
		c->connection = m.connection;
		c->next_number++;
		s->requests++;
		if (send(c->fd, c->input.bytes, m.length_bytes, MSG_DONTWAIT | MSG_NOSIGNAL) !=
			(ssize_t)m.length_bytes)
			return false;
		tcpmany_input_take(&c->input, m.length_bytes);
	}
	return verdict == TCPMANY_MORE;
}

static void served_event(struct server *s, struct served *c)
{
	int n = tcpmany_input_fill(&c->input, c->fd);

	if (n == -EAGAIN)
		return;
	if (n <= 0)
		served_close(s, c, n < 0 || c->input.length_bytes);
	else if (!served_answer(s, c))
		served_close(s, c, true);
}

static int server_listen(struct server *s)
{
	struct epoll_event event = {.events = EPOLLIN};
	struct sockaddr_in6 local;
	int on = 1, off = 0;

	if (program_address(s->options->bind_to, (uint16_t)s->options->port, &local))
		return -EINVAL;
	s->listener = socket(AF_INET6, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (s->listener < 0)
		return -errno;
	setsockopt(s->listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	setsockopt(s->listener, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof(off));
	if (bind(s->listener, (struct sockaddr *)&local, sizeof(local)) ||
		listen(s->listener, 4096) ||
		epoll_ctl(s->options->epoll, EPOLL_CTL_ADD, s->listener, &event))
		return -errno;
	return 0;
}

int tcpmany_server(struct tcpmany *t)
{
	struct server s = {.options = t};
	struct epoll_event events[256];
	int rc = server_listen(&s), n, i;

	while (!rc && !program_stopped()) {
		n = epoll_wait(t->epoll, events, 256, 200);
		for (i = 0; i < n; i++) {
			if (events[i].data.ptr)
				served_event(&s, events[i].data.ptr);
			else
				server_accept(&s);
		}
		if (t->json && program_now_ns() >= s.report_ns) {
			server_report(&s, true);
			s.report_ns = program_now_ns() + NS_PER_S;
		}
	}
	if (!rc)
		server_report(&s, false);
	return rc;
}
