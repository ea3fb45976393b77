/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "ctrl/channel/io.h"

#define NS_PER_S 1000000000u
/* A peer that takes nothing off the wire for so long is gone, whatever our own deadlines. */
#define TCP_DEAD_MS 30000

struct socket_io {
	int fd;
};

int channel_cancel_init(struct channel_cancel *cancel)
{
	int fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);

	if (fd < 0)
		return -errno;
	cancel->fd = fd;
	atomic_init(&cancel->is_set, false);
	return 0;
}

void channel_cancel_fini(struct channel_cancel *cancel)
{
	close(cancel->fd);
	cancel->fd = -1;
}

void channel_cancel_set(struct channel_cancel *cancel)
{
	atomic_store(&cancel->is_set, true);
	/* It only fails when the count is full, and then it is readable too. */
	(void)eventfd_write(cancel->fd, 1);
}

void channel_cancel_reset(struct channel_cancel *cancel)
{
	eventfd_t count;

	atomic_store(&cancel->is_set, false);
	(void)eventfd_read(cancel->fd, &count);
}

bool channel_cancel_is_set(const struct channel_cancel *cancel)
{
	return cancel != NULL && atomic_load(&cancel->is_set);
}

static uint64_t real_now_ns(void *ctx)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * NS_PER_S + (uint64_t)ts.tv_nsec;
}

static int64_t real_wall_s(void *ctx)
{
	return (int64_t)time(NULL);
}

static ssize_t socket_recv(void *ctx, void *buf, size_t len_bytes)
{
	struct socket_io *s = ctx;
	ssize_t n = recv(s->fd, buf, len_bytes, 0);

	return n < 0 ? -errno : n;
}

static ssize_t socket_send(void *ctx, const void *buf, size_t len_bytes)
{
	struct socket_io *s = ctx;
	ssize_t n = send(s->fd, buf, len_bytes, MSG_NOSIGNAL);

	return n < 0 ? -errno : n;
}

static unsigned events_to_want(short events)
{
	unsigned want = 0;

	if (events & (POLLIN | POLLHUP | POLLERR))
		want |= CHANNEL_IO_READ;
	if (events & (POLLOUT | POLLHUP | POLLERR))
		want |= CHANNEL_IO_WRITE;
	return want;
}

/* One poll up to the deadline. fd < 0 is left out. */
static int poll_until(
	int fd, short events, uint64_t deadline_ns, const struct channel_cancel *cancel)
{
	struct pollfd fds[2] = {
		{.fd = fd, .events = events},
		{.fd = cancel == NULL ? -1 : cancel->fd, .events = POLLIN},
	};
	struct timespec left = {};
	uint64_t now_ns = real_now_ns(NULL);
	int n;

	if (deadline_ns > now_ns) {
		left.tv_sec = (time_t)((deadline_ns - now_ns) / NS_PER_S);
		left.tv_nsec = (long)((deadline_ns - now_ns) % NS_PER_S);
	}
	n = ppoll(fds, 2, &left, NULL);
	if (n < 0)
		return -errno;
	if (channel_cancel_is_set(cancel))
		return -ECANCELED;
	if (n == 0)
		return -ETIMEDOUT;
	return fds[0].revents;
}

static int socket_wait(
	void *ctx, unsigned want, uint64_t deadline_ns, const struct channel_cancel *cancel)
{
	struct socket_io *s = ctx;
	short events = 0;
	unsigned ready;
	int ret;

	if (want & CHANNEL_IO_READ)
		events |= POLLIN;
	if (want & CHANNEL_IO_WRITE)
		events |= POLLOUT;
	do {
		ret = poll_until(want == 0 ? -1 : s->fd, events, deadline_ns, cancel);
		if (ret == -EINTR)
			continue;
		if (ret < 0)
			return ret;
		ready = events_to_want((short)ret) & want;
	} while (ret == -EINTR || ready == 0);
	return (int)ready;
}

static void socket_finish(void *ctx)
{
	struct socket_io *s = ctx;

	shutdown(s->fd, SHUT_WR);
}

static int socket_fd(void *ctx)
{
	struct socket_io *s = ctx;

	return s->fd;
}

static void socket_close(void *ctx)
{
	struct socket_io *s = ctx;

	close(s->fd);
	free(s);
}

static const struct channel_io_ops socket_io_ops = {
	.recv = socket_recv,
	.send = socket_send,
	.wait = socket_wait,
	.finish = socket_finish,
	.fd = socket_fd,
	.close = socket_close,
};

static bool address_is_loopback(const struct in6_addr *address)
{
	if (IN6_IS_ADDR_V4MAPPED(address))
		return address->s6_addr[12] == 127;
	return IN6_IS_ADDR_LOOPBACK(address);
}

static bool peer_is_own_user(int fd)
{
	struct ucred who;
	socklen_t who_bytes = sizeof(who);

	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &who, &who_bytes) < 0)
		return false;
	return who.uid == 0 || who.uid == geteuid();
}

static void address_of(const struct sockaddr_storage *from, struct channel_io *io)
{
	const struct sockaddr_in *in = (const struct sockaddr_in *)from;
	const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)from;

	io->has_address = true;
	if (from->ss_family == AF_INET6) {
		io->address = in6->sin6_addr;
	} else if (from->ss_family == AF_INET) {
		io->address.s6_addr[10] = io->address.s6_addr[11] = 0xff;
		memcpy(&io->address.s6_addr[12], &in->sin_addr, 4);
	} else {
		io->has_address = false;
	}
	io->is_local = !io->has_address || address_is_loopback(&io->address);
}

static void socket_tune(int fd)
{
	int on = 1, dead_ms = TCP_DEAD_MS;

	/* Not there on unix sockets; a channel works without them. */
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on));
	setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &dead_ms, sizeof(dead_ms));
}

int channel_io_socket(int fd, struct channel_io *io)
{
	struct channel_io made = {.ops = &socket_io_ops};
	struct sockaddr_storage from = {};
	socklen_t from_bytes = sizeof(from);
	int flags = fcntl(fd, F_GETFL);
	struct socket_io *s;

	if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0)
		return -errno;
	if (getpeername(fd, (struct sockaddr *)&from, &from_bytes) < 0)
		return -errno;
	s = malloc(sizeof(*s));
	if (s == NULL)
		return -ENOMEM;
	s->fd = fd;
	socket_tune(fd);
	address_of(&from, &made);
	made.is_own_user = !made.has_address && peer_is_own_user(fd);
	made.ctx = s;
	*io = made;
	return 0;
}

int channel_endpoint_sockaddr(
	const struct channel_endpoint *endpoint, struct sockaddr_storage *to, socklen_t *to_bytes)
{
	struct sockaddr_un *un = (struct sockaddr_un *)to;
	struct sockaddr_in *in = (struct sockaddr_in *)to;
	struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)to;

	memset(to, 0, sizeof(*to));
	if (endpoint->unix_path != NULL) {
		if (strlen(endpoint->unix_path) >= sizeof(un->sun_path))
			return -ENAMETOOLONG;
		un->sun_family = AF_UNIX;
		strcpy(un->sun_path, endpoint->unix_path);
		*to_bytes = sizeof(*un);
	} else if (IN6_IS_ADDR_V4MAPPED(&endpoint->address)) {
		in->sin_family = AF_INET;
		in->sin_port = htons(endpoint->port);
		memcpy(&in->sin_addr, &endpoint->address.s6_addr[12], 4);
		*to_bytes = sizeof(*in);
	} else {
		in6->sin6_family = AF_INET6;
		in6->sin6_port = htons(endpoint->port);
		in6->sin6_addr = endpoint->address;
		*to_bytes = sizeof(*in6);
	}
	return 0;
}

/* Waits for a connect under way. */
static int connect_wait(int fd, uint64_t deadline_ns, const struct channel_cancel *cancel)
{
	socklen_t len = sizeof(int);
	int code = 0, ret;

	do {
		ret = poll_until(fd, POLLOUT, deadline_ns, cancel);
	} while (ret == -EINTR);
	if (ret < 0)
		return ret;
	if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &code, &len) < 0)
		return -errno;
	return -code;
}

static int real_connect(void *ctx, const struct channel_endpoint *to, uint64_t deadline_ns,
	const struct channel_cancel *cancel, struct channel_io *io)
{
	struct sockaddr_storage address;
	socklen_t address_bytes;
	int fd, ret;

	ret = channel_endpoint_sockaddr(to, &address, &address_bytes);
	if (ret < 0)
		return ret;
	fd = socket(address.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	if (connect(fd, (struct sockaddr *)&address, address_bytes) < 0)
		ret = errno == EINPROGRESS ? connect_wait(fd, deadline_ns, cancel) : -errno;
	if (ret == 0)
		ret = channel_io_socket(fd, io);
	if (ret < 0)
		close(fd);
	return ret;
}

static const struct channel_world_ops real_ops = {
	.now_ns = real_now_ns,
	.wall_s = real_wall_s,
	.connect = real_connect,
};

const struct channel_world channel_world_real = {.ops = &real_ops};
