/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The control socket: accepts, moves bytes between sockets and connections (conn.h), keeps their
 * timers, and closes what is over.
 *
 * Each connection has three events: read, write, and a tick. The tick is the only place where a
 * connection is run, written out and closed, so nothing is freed below a caller: everything else
 * activates it. A tick that finds more to do comes back in the next round of the loop, after other
 * sockets had their turn.
 */
#include "ctrl/rpc/server.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#include <event2/buffer.h>
#include <event2/listener.h>

#include "ctrl/rpc/conn.h"

#define READ_BYTES (64 * 1024)
#define ACCEPT_PAUSE_MS 100 /* after accept failed: no descriptors, say */

struct peer {
	TAILQ_ENTRY(peer) next; /* the longest without a word first */
	struct rpc_server *server;
	struct rpc_conn *conn;
	int fd;
	struct event *read, *write, *tick;
	bool ticking; /* in on_tick, which looks for more to do by itself */
	char name[48];
};

struct rpc_server {
	struct rpc_server_options options;
	struct unix_listener listener;
	struct evconnlistener *accepter;
	struct event *accept_again;
	TAILQ_HEAD(, peer) peers;
	size_t input_total;
	uint64_t gone_requests; /* of connections that are closed */
	struct rpc_server_stats stats;
	char *buffer; /* READ_BYTES, for one read at a time */
};

static uint64_t now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

static void after_ms(struct event *event, uint64_t time_ms)
{
	struct timeval time = {(time_t)(time_ms / 1000), (suseconds_t)(time_ms % 1000 * 1000)};

	event_add(event, &time);
}

static void peer_wake(void *ctx)
{
	struct peer *peer = ctx;

	if (!peer->ticking)
		event_active(peer->tick, EV_TIMEOUT, 0);
}

static void peer_close(struct peer *peer)
{
	struct rpc_server *server = peer->server;

	TAILQ_REMOVE(&server->peers, peer, next);
	server->stats.connections--;
	server->gone_requests += rpc_conn_requests(peer->conn);
	rpc_conn_destroy(peer->conn);
	event_free(peer->read);
	event_free(peer->write);
	event_free(peer->tick);
	close(peer->fd);
	free(peer);
}

/* Writes what the socket takes. False: it is broken. Not evbuffer_write: that raises SIGPIPE. */
static bool peer_flush(struct peer *peer)
{
	struct evbuffer *output = rpc_conn_output(peer->conn);
	struct evbuffer_iovec pieces[8];
	ssize_t sent;
	int n;

	while ((n = evbuffer_peek(output, -1, NULL, pieces, 8)) > 0) {
		struct msghdr message = {.msg_iov = pieces, .msg_iovlen = n < 8 ? (size_t)n : 8};

		sent = sendmsg(peer->fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
		if (sent < 0)
			return errno == EAGAIN || errno == EINTR;
		evbuffer_drain(output, (size_t)sent);
	}
	return true;
}

/* The end of input may be half a close (shutdown) or a whole one, told apart by the hang-up. */
static bool peer_hung_up(const struct peer *peer)
{
	struct pollfd fd = {.fd = peer->fd};

	return poll(&fd, 1, 0) == 1 && (fd.revents & (POLLHUP | POLLERR));
}

/* False: the client is gone altogether. */
static bool peer_fill(struct peer *peer)
{
	ssize_t n;

	if (!rpc_conn_wants_input(peer->conn))
		return true;
	n = read(peer->fd, peer->server->buffer, READ_BYTES);
	if (n < 0)
		return errno == EAGAIN || errno == EINTR;
	if (n == 0) {
		rpc_conn_input_end(peer->conn, now_ms());
		return !peer_hung_up(peer);
	}
	TAILQ_REMOVE(&peer->server->peers, peer, next);
	TAILQ_INSERT_TAIL(&peer->server->peers, peer, next);
	rpc_conn_input(peer->conn, peer->server->buffer, (size_t)n, now_ms());
	return true;
}

/* True: the connection is over and freed. */
static bool peer_settle(struct peer *peer)
{
	struct rpc_server *server = peer->server;
	enum rpc_conn_state state = rpc_conn_state(peer->conn);

	if (state < RPC_CONN_EOF)
		return false;
	if (state == RPC_CONN_BAD_INPUT)
		server->stats.dropped_input++;
	else if (state == RPC_CONN_BAD_OUTPUT)
		server->stats.dropped_output++;
	if (state != RPC_CONN_EOF)
		log_limited(server->options.log, LOG_LEVEL_WARN, peer->name,
			rpc_conn_fault(peer->conn), "connection closed");
	peer_close(peer);
	return true;
}

static void peer_interest(struct peer *peer, bool again)
{
	uint64_t deadline_ms = rpc_conn_deadline_ms(peer->conn), now = now_ms();

	if (rpc_conn_wants_input(peer->conn))
		event_add(peer->read, NULL);
	else
		event_del(peer->read);
	if (evbuffer_get_length(rpc_conn_output(peer->conn)) > 0)
		event_add(peer->write, NULL);
	else
		event_del(peer->write);
	if (again)
		after_ms(peer->tick, 0);
	else if (deadline_ms != UINT64_MAX)
		after_ms(peer->tick, deadline_ms > now ? deadline_ms - now : 0);
	else
		event_del(peer->tick);
}

/*
 * Reads and writes come before the deadlines are looked at, so that a loop (or host) that stood
 * still does not blame its clients. False: the socket is broken.
 */
static bool peer_turn(struct peer *peer, bool *again)
{
	if (!peer_fill(peer) || !peer_flush(peer))
		return false;
	rpc_conn_run(peer->conn, now_ms());
	if (!peer_flush(peer))
		return false;
	/* The flush may have made room for a producer, or sent the last there was to say. */
	*again = rpc_conn_run(peer->conn, now_ms());
	return true;
}

static void on_tick(evutil_socket_t fd, short what, void *ctx)
{
	struct peer *peer = ctx;
	bool again = false, whole;

	peer->ticking = true;
	whole = peer_turn(peer, &again);
	peer->ticking = false;
	if (!whole)
		peer_close(peer);
	else if (!peer_settle(peer))
		peer_interest(peer, again);
}

static void on_ready(evutil_socket_t fd, short what, void *ctx)
{
	peer_wake(ctx);
}

static void peer_name(struct peer *peer)
{
	struct ucred who;
	socklen_t len = sizeof(who);

	if (getsockopt(peer->fd, SOL_SOCKET, SO_PEERCRED, &who, &len) == 0)
		snprintf(peer->name, sizeof(peer->name), "client uid %u", (unsigned int)who.uid);
	else
		snprintf(peer->name, sizeof(peer->name), "client");
}

static int peer_create(struct rpc_server *server, int fd)
{
	struct event_base *base = loop_base(server->options.loop);
	struct peer *peer = calloc(1, sizeof(*peer));
	struct rpc_conn_options options = {server->options.handler, server->options.ctx,
		&server->options.limits, &server->input_total, peer_wake, peer};

	if (!peer)
		return -ENOMEM;
	peer->server = server;
	peer->fd = fd;
	peer_name(peer);
	peer->conn = rpc_conn_create(&options);
	peer->read = event_new(base, fd, EV_READ | EV_PERSIST, on_ready, peer);
	peer->write = event_new(base, fd, EV_WRITE | EV_PERSIST, on_ready, peer);
	peer->tick = evtimer_new(base, on_tick, peer);
	if (!peer->conn || !peer->read || !peer->write || !peer->tick ||
		event_add(peer->read, NULL) != 0)
		goto fail;
	TAILQ_INSERT_TAIL(&server->peers, peer, next);
	server->stats.connections++;
	server->stats.accepted++;
	return 0;

fail:
	if (peer->conn)
		rpc_conn_destroy(peer->conn);
	if (peer->read)
		event_free(peer->read);
	if (peer->write)
		event_free(peer->write);
	if (peer->tick)
		event_free(peer->tick);
	free(peer);
	return -ENOMEM;
}

/* True when there is a place for one more, if need be that of the longest idle one. */
static bool make_room(struct rpc_server *server)
{
	struct peer *peer;

	if (server->stats.connections < server->options.limits.connections)
		return true;
	TAILQ_FOREACH (peer, &server->peers, next) {
		if (!rpc_conn_is_idle(peer->conn))
			continue;
		log_limited(server->options.log, LOG_LEVEL_WARN, peer->name, "too many connections",
			"an idle one is closed");
		peer_close(peer);
		return true;
	}
	return false;
}

static void on_accept(struct evconnlistener *accepter, evutil_socket_t fd, struct sockaddr *address,
	int len, void *ctx)
{
	static const char busy[] =
		"{\"id\":null,\"result\":null,\"error\":\"too many connections\\n\"}";
	struct rpc_server *server = ctx;

	if (make_room(server) && peer_create(server, fd) == 0)
		return;
	server->stats.refused++;
	log_limited(server->options.log, LOG_LEVEL_WARN, server->listener.path,
		"connection refused", "too many are open");
	(void)!send(fd, busy, sizeof(busy) - 1, MSG_NOSIGNAL | MSG_DONTWAIT);
	close(fd);
}

static void on_accept_error(struct evconnlistener *accepter, void *ctx)
{
	struct rpc_server *server = ctx;

	log_limited(server->options.log, LOG_LEVEL_ERR, server->listener.path, "accept failed",
		"%s", strerror(errno));
	evconnlistener_disable(accepter);
	after_ms(server->accept_again, ACCEPT_PAUSE_MS);
}

static void on_accept_again(evutil_socket_t fd, short what, void *ctx)
{
	struct rpc_server *server = ctx;

	evconnlistener_enable(server->accepter);
}

int rpc_server_create(const struct rpc_server_options *options, struct rpc_server **serverp,
	char *why, size_t why_size)
{
	struct event_base *base = loop_base(options->loop);
	struct rpc_server *server = calloc(1, sizeof(*server));
	int ret = -ENOMEM;

	if (!server)
		goto fail;
	server->options = *options;
	rpc_limits_fill(&server->options.limits);
	TAILQ_INIT(&server->peers);
	server->buffer = malloc(READ_BYTES);
	server->accept_again = evtimer_new(base, on_accept_again, server);
	if (!server->buffer || !server->accept_again)
		goto fail_parts;
	ret = unix_listen(&options->listen, &server->listener, why, why_size);
	if (ret < 0)
		goto fail_listen;
	server->accepter = evconnlistener_new(
		base, on_accept, server, LEV_OPT_CLOSE_ON_EXEC, 0, server->listener.fd);
	if (!server->accepter) {
		unix_listener_close(&server->listener);
		ret = -ENOMEM;
		goto fail_parts;
	}
	evconnlistener_set_error_cb(server->accepter, on_accept_error);
	*serverp = server;
	return 0;

fail_parts:
	snprintf(why, why_size, "%s: out of memory", options->listen.path);
fail_listen:
	if (server->accept_again)
		event_free(server->accept_again);
	free(server->buffer);
fail:
	free(server);
	return ret;
}

void rpc_server_destroy(struct rpc_server *server)
{
	struct peer *peer;

	if (!server)
		return;
	evconnlistener_free(server->accepter);
	unix_listener_close(&server->listener);
	while ((peer = TAILQ_FIRST(&server->peers)) != NULL) {
		peer_flush(peer);
		peer_close(peer);
	}
	event_free(server->accept_again);
	free(server->buffer);
	free(server);
}

void rpc_server_stats(const struct rpc_server *server, struct rpc_server_stats *stats)
{
	const struct peer *peer;

	*stats = server->stats;
	stats->requests = server->gone_requests;
	TAILQ_FOREACH (peer, &server->peers, next)
		stats->requests += rpc_conn_requests(peer->conn);
}
