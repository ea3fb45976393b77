/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * One accept thread, one thread a connection. A connection is counted as pending from accept to the
 * end of its hello and as open while it is served; the counts are the limits. Threads are detached
 * and leave through connection_end(), on which channel_listener_stop() waits.
 */
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <sys/socket.h>
#include <unistd.h>

#include "ctrl/channel/host_impl.h"
#include "ctrl/channel/listener.h"
#include "ctrl/channel/opening.h"
#include "ctrl/rpc/unix_socket.h"

#define PENDING_DEFAULT 32
#define PER_SOURCE_DEFAULT 8
#define OPEN_DEFAULT 256
#define BACKLOG 64
/* Out of descriptors: how long until the next try. */
#define ACCEPT_RETRY_MS 100

struct connection {
	LIST_ENTRY(connection) entry;
	struct channel_listener *listener;
	struct channel_io io;
	struct in6_addr address;
	bool pending;
};

struct channel_listener {
	struct channel_host *host;
	struct channel_listener_config config;
	struct unix_listener at_path; /* if it listens on a path */
	int fd;
	uint16_t port;
	struct channel_cancel cancel;
	pthread_t thread;
	pthread_mutex_t lock; /* of all below */
	pthread_cond_t ended;
	LIST_HEAD(, connection) connections;
	unsigned n_pending, n_open;
	uint64_t accepted, refused;
};

static void listener_refused(struct channel_listener *l, const struct channel_error *error)
{
	pthread_mutex_lock(&l->lock);
	l->refused++;
	pthread_mutex_unlock(&l->lock);
	if (l->config.refused != NULL)
		l->config.refused(l->config.ctx, error);
}

static void connection_end(struct connection *c)
{
	struct channel_listener *l = c->listener;

	pthread_mutex_lock(&l->lock);
	LIST_REMOVE(c, entry);
	if (c->pending)
		l->n_pending--;
	else
		l->n_open--;
	pthread_cond_signal(&l->ended);
	pthread_mutex_unlock(&l->lock);
	free(c);
}

/* From pending to open, if there is room. */
static bool connection_opened(struct connection *c)
{
	struct channel_listener *l = c->listener;
	bool room;

	pthread_mutex_lock(&l->lock);
	room = l->n_open < l->config.max_open;
	if (room) {
		c->pending = false;
		l->n_pending--;
		l->n_open++;
	}
	pthread_mutex_unlock(&l->lock);
	return room;
}

/* The last question before the hello is answered: room first, then the owner of the purpose. */
static int connection_admit(
	void *ctx, const struct channel_hello *hello, char *reason, size_t reason_bytes)
{
	struct connection *c = ctx;
	const struct channel_listener_config *config = &c->listener->config;

	if (!connection_opened(c)) {
		snprintf(reason, reason_bytes, "%u channels are open already, which is the limit",
			config->max_open);
		return -EBUSY;
	}
	if (config->accept.admit == NULL)
		return 0;
	return config->accept.admit(config->accept.ctx, hello, reason, reason_bytes);
}

static void *connection_run(void *arg)
{
	struct connection *c = arg;
	struct channel_listener *l = c->listener;
	struct channel_accept accept = l->config.accept;
	struct channel_error error;
	struct channel *channel;

	accept.admit = connection_admit;
	accept.ctx = c;
	if (channel_accept(l->host, &c->io, &accept, &channel, &error) < 0)
		listener_refused(l, &error);
	else
		l->config.serve(l->config.ctx, channel);
	connection_end(c);
	return NULL;
}

/* Whether one more handshake may begin; the lock is held. */
static enum channel_reason limits_check(
	const struct channel_listener *l, const struct in6_addr *address)
{
	const struct connection *c;
	unsigned same = 0;

	if (l->n_pending >= l->config.max_pending)
		return CHANNEL_REASON_LIMIT_PENDING;
	LIST_FOREACH (c, &l->connections, entry)
		same += c->pending && IN6_ARE_ADDR_EQUAL(&c->address, address);
	return same >= l->config.max_per_source ? CHANNEL_REASON_LIMIT_SOURCE : CHANNEL_REASON_NONE;
}

static int thread_start(void *(*run)(void *), void *arg, pthread_t *thread)
{
	pthread_attr_t attributes;
	sigset_t all, before;
	pthread_t started;
	int ret;

	pthread_attr_init(&attributes);
	if (thread == NULL)
		pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
	/* Signals are the main thread's. */
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	ret = -pthread_create(&started, &attributes, run, arg);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	pthread_attr_destroy(&attributes);
	if (ret == 0 && thread != NULL)
		*thread = started;
	return ret;
}

static void connection_refuse(
	struct channel_listener *l, const struct channel_io *io, enum channel_reason reason)
{
	char where[INET6_ADDRSTRLEN];
	struct channel_error error;

	channel_io_text(io, where, sizeof(where));
	channel_error_set(&error, reason, "from %s: %s", where, channel_reason_meaning(reason));
	channel_host_count(l->host, reason);
	io->ops->close(io->ctx);
	listener_refused(l, &error);
}

/* Before a thread is spent on it: is the address one of ours, are there too many already? */
static void connection_begin(struct channel_listener *l, const struct channel_io *io)
{
	const struct peers_claim claim = {.address = &io->address};
	enum channel_reason reason = CHANNEL_REASON_NONE;
	struct connection *c = NULL;

	if (io->has_address && !channel_host_find(l->host, &claim, NULL)) {
		connection_refuse(l, io, CHANNEL_REASON_ADDRESS);
		return;
	}
	pthread_mutex_lock(&l->lock);
	reason = limits_check(l, &io->address);
	if (reason == CHANNEL_REASON_NONE) {
		c = calloc(1, sizeof(*c));
		if (c == NULL)
			reason = CHANNEL_REASON_MEMORY;
	}
	if (c != NULL) {
		*c = (struct connection){
			.listener = l, .io = *io, .address = io->address, .pending = true};
		LIST_INSERT_HEAD(&l->connections, c, entry);
		l->n_pending++;
	}
	pthread_mutex_unlock(&l->lock);
	if (c == NULL) {
		connection_refuse(l, io, reason);
	} else if (thread_start(connection_run, c, NULL) < 0) {
		connection_refuse(l, io, CHANNEL_REASON_MEMORY);
		connection_end(c);
	}
}

static void listener_accept(struct channel_listener *l)
{
	int fd = accept4(l->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
	struct pollfd pause = {.fd = l->cancel.fd, .events = POLLIN};
	struct channel_io io;

	if (fd < 0) {
		if (errno == EMFILE || errno == ENFILE || errno == ENOMEM || errno == ENOBUFS)
			poll(&pause, 1, ACCEPT_RETRY_MS);
		return;
	}
	pthread_mutex_lock(&l->lock);
	l->accepted++;
	pthread_mutex_unlock(&l->lock);
	/* It fails when the peer is gone again already. */
	if (channel_io_socket(fd, &io) < 0)
		close(fd);
	else
		connection_begin(l, &io);
}

static void *listener_run(void *arg)
{
	struct channel_listener *l = arg;
	struct pollfd fds[2] = {
		{.fd = l->fd, .events = POLLIN},
		{.fd = l->cancel.fd, .events = POLLIN},
	};

	while (!channel_cancel_is_set(&l->cancel)) {
		if (poll(fds, 2, -1) > 0 && (fds[0].revents & POLLIN))
			listener_accept(l);
	}
	return NULL;
}

/* A socket for listen(2) at an address; the port it got is stored. */
static int listener_bind(struct channel_listener *l)
{
	struct sockaddr_storage address;
	socklen_t address_bytes;
	int on = 1, ret;

	ret = channel_endpoint_sockaddr(&l->config.endpoint, &address, &address_bytes);
	if (ret < 0)
		return ret;
	l->fd = socket(address.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (l->fd < 0)
		return -errno;
	setsockopt(l->fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	if (address.ss_family == AF_INET6)
		setsockopt(l->fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof(on));
	if (bind(l->fd, (struct sockaddr *)&address, address_bytes) < 0 ||
		listen(l->fd, BACKLOG) < 0 ||
		getsockname(l->fd, (struct sockaddr *)&address, &address_bytes) < 0)
		return -errno;
	l->port =
		ntohs(address.ss_family == AF_INET ? ((struct sockaddr_in *)&address)->sin_port
						   : ((struct sockaddr_in6 *)&address)->sin6_port);
	return 0;
}

static int listener_listen(struct channel_listener *l, char *why, size_t why_bytes)
{
	const struct unix_listen_options options = {.path = l->config.endpoint.unix_path};
	int ret;

	if (options.path == NULL) {
		ret = listener_bind(l);
		if (ret < 0)
			snprintf(why, why_bytes, "%s", strerror(-ret));
		return ret;
	}
	ret = unix_listen(&options, &l->at_path, why, why_bytes);
	if (ret == 0)
		l->fd = l->at_path.fd;
	return ret;
}

static void listener_free(struct channel_listener *l)
{
	if (l->config.endpoint.unix_path != NULL && l->fd >= 0)
		unix_listener_close(&l->at_path);
	else if (l->fd >= 0)
		close(l->fd);
	channel_cancel_fini(&l->cancel);
	pthread_cond_destroy(&l->ended);
	pthread_mutex_destroy(&l->lock);
	free(l);
}

static void config_defaults(struct channel_listener_config *config)
{
	if (config->max_pending == 0)
		config->max_pending = PENDING_DEFAULT;
	if (config->max_per_source == 0)
		config->max_per_source = PER_SOURCE_DEFAULT;
	if (config->max_open == 0)
		config->max_open = OPEN_DEFAULT;
	config->accept.deadline_ns = 0; /* the host's handshake_ms, for each from its start */
}

/* Listener of defaults, not listening yet. */
static struct channel_listener *listener_new(
	struct channel_host *host, const struct channel_listener_config *config)
{
	struct channel_listener *l = calloc(1, sizeof(*l));

	if (l == NULL)
		return NULL;
	l->host = host;
	l->config = *config;
	l->fd = -1;
	if (channel_cancel_init(&l->cancel) < 0) {
		free(l);
		return NULL;
	}
	pthread_mutex_init(&l->lock, NULL);
	pthread_cond_init(&l->ended, NULL);
	config_defaults(&l->config);
	l->config.accept.options.cancel = &l->cancel;
	return l;
}

int channel_listener_start(struct channel_host *host, const struct channel_listener_config *config,
	struct channel_listener **listener, struct channel_error *error)
{
	struct channel_listener *l;
	char why[200] = "";
	int ret;

	if (config->accept.plain && !channel_host_is_insecure(host))
		return channel_error_set(error, CHANNEL_REASON_INSECURE,
			"a plain listener is refused: the config does not say insecure");
	l = listener_new(host, config);
	if (l == NULL)
		return channel_error_set(error, CHANNEL_REASON_MEMORY, "no memory");
	ret = listener_listen(l, why, sizeof(why));
	if (ret == 0)
		ret = thread_start(listener_run, l, &l->thread);
	if (ret < 0) {
		listener_free(l);
		channel_error_set(error, CHANNEL_REASON_UNREACHABLE, "cannot listen: %s",
			why[0] != '\0' ? why : strerror(-ret));
		return ret;
	}
	*listener = l;
	return 0;
}

void channel_listener_stop(struct channel_listener *listener)
{
	if (listener == NULL)
		return;
	channel_cancel_set(&listener->cancel);
	pthread_join(listener->thread, NULL);
	pthread_mutex_lock(&listener->lock);
	while (!LIST_EMPTY(&listener->connections))
		pthread_cond_wait(&listener->ended, &listener->lock);
	pthread_mutex_unlock(&listener->lock);
	listener_free(listener);
}

uint16_t channel_listener_port(const struct channel_listener *listener)
{
	return listener->port;
}

void channel_listener_status(
	struct channel_listener *listener, struct channel_listener_status *status)
{
	pthread_mutex_lock(&listener->lock);
	*status = (struct channel_listener_status){
		.plain = listener->config.accept.plain,
		.pending = listener->n_pending,
		.open = listener->n_open,
		.accepted = listener->accepted,
		.refused = listener->refused,
	};
	pthread_mutex_unlock(&listener->lock);
}
