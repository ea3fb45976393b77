/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Life of a door: make names a socket in a directory of its own, the library binds it, hide
 * removes both names and keeps an O_PATH descriptor, through which knock connects. So nothing
 * stays on disk, and nobody else can reach the library.
 *
 * Threads: see vhost_link.h.
 */
#include "dataplane/vhost_socket.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "dataplane/port_impl.h"
#include "dataplane/vhost_link.h"

#define SOCKET_BACKLOG 16

uint64_t vhost_socket_now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

static socklen_t socket_address(struct sockaddr_un *addr, const char *path)
{
	memset(addr, 0, sizeof(*addr));
	addr->sun_family = AF_UNIX;
	memcpy(addr->sun_path, path, strlen(path));
	return sizeof(*addr);
}

/*
 * 0: nobody listens at this socket file; -EADDRINUSE: somebody does. A datagram socket asks: the
 * kernel refuses it either way, and the listener sees nothing.
 */
static int socket_probe(const char *path)
{
	struct sockaddr_un addr;
	socklen_t len = socket_address(&addr, path);
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	int ret;

	if (fd < 0)
		return -errno;
	ret = connect(fd, (struct sockaddr *)&addr, len) ? errno : 0;
	close(fd);
	return ret == ECONNREFUSED || ret == ENOENT ? 0 : -EADDRINUSE;
}

/* Makes the path free for bind(). */
static int socket_clear(const char *path, char *error, size_t len)
{
	struct stat st;

	if (lstat(path, &st))
		return errno == ENOENT
			       ? 0
			       : port_fail(error, len, errno, "%s: %s", path, strerror(errno));
	if (!S_ISSOCK(st.st_mode))
		return port_fail(error, len, EEXIST, "%s: exists and is no socket", path);
	if (socket_probe(path))
		return port_fail(error, len, EADDRINUSE, "%s: another program listens", path);
	if (unlink(path) && errno != ENOENT)
		return port_fail(
			error, len, errno, "%s: stale socket stays: %s", path, strerror(errno));
	return 0;
}

/* Mode and group are set before listen(), so nobody connects under other ones. */
static int socket_listen(struct vhost_socket *s, const struct vhost_link_params *params)
{
	struct sockaddr_un addr;
	socklen_t len = socket_address(&addr, s->path);
	struct stat st;

	if (bind(s->fd, (struct sockaddr *)&addr, len))
		return -errno;
	if ((params->mode && chmod(s->path, params->mode)) ||
		(params->group && chown(s->path, (uid_t)-1, params->group)) || stat(s->path, &st) ||
		listen(s->fd, SOCKET_BACKLOG)) {
		int ret = -errno;

		unlink(s->path);
		return ret;
	}
	s->dev = st.st_dev;
	s->ino = st.st_ino;
	return 0;
}

int vhost_socket_open(
	struct vhost_socket *s, const struct vhost_link_params *params, char *error, size_t len)
{
	int ret;

	s->server = params->server;
	s->fd = -1;
	snprintf(s->path, sizeof(s->path), "%s", params->path);
	if (!s->server)
		return 0;
	ret = socket_clear(s->path, error, len);
	if (ret)
		return ret;
	s->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	ret = s->fd < 0 ? -errno : socket_listen(s, params);
	if (!ret)
		return 0;
	port_fail(error, len, -ret, "%s: %s", s->path, strerror(-ret));
	if (s->fd >= 0)
		close(s->fd);
	return ret;
}

void vhost_socket_close(struct vhost_socket *s)
{
	struct stat st;

	if (!s->server)
		return;
	close(s->fd);
	if (!lstat(s->path, &st) && st.st_dev == s->dev && st.st_ino == s->ino)
		unlink(s->path);
}

static int socket_connect(const struct vhost_socket *s)
{
	struct sockaddr_un addr;
	socklen_t len = socket_address(&addr, s->path);
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	if (fd >= 0 && connect(fd, (struct sockaddr *)&addr, len)) {
		int err = errno;

		close(fd);
		errno = err;
		return -1;
	}
	return fd;
}

int vhost_socket_take(struct vhost_socket *s, char *error, size_t len)
{
	int fd = s->server ? accept4(s->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)
			   : socket_connect(s);

	error[0] = '\0';
	if (fd < 0 && errno != EAGAIN && errno != ECONNABORTED && errno != EINTR)
		snprintf(error, len, "%s: %s", s->path, strerror(errno));
	return fd;
}

int vhost_door_make(struct vhost_door *door, char *error, size_t len)
{
	const char *base = getenv("RUNTIME_DIRECTORY");

	if (!base || strchr(base, ':') || strlen(base) > sizeof(door->dir) - 32)
		base = "/tmp";
	door->file = -1;
	snprintf(door->dir, sizeof(door->dir), "%s/ferry-XXXXXX", base);
	if (!mkdtemp(door->dir))
		return port_fail(error, len, errno, "%s: %s", door->dir, strerror(errno));
	snprintf(door->path, sizeof(door->path), "%.*s/vhost", (int)sizeof(door->path) - 8,
		door->dir);
	return 0;
}

int vhost_door_hide(struct vhost_door *door)
{
	door->file = open(door->path, O_PATH | O_CLOEXEC);
	if (door->file < 0)
		return -errno;
	unlink(door->path);
	rmdir(door->dir);
	return 0;
}

void vhost_door_remove(struct vhost_door *door)
{
	if (door->file >= 0) {
		close(door->file);
		return;
	}
	unlink(door->path);
	rmdir(door->dir);
}

int vhost_door_knock(const struct vhost_door *door)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	struct sockaddr_un addr;
	char path[32];
	socklen_t len;

	snprintf(path, sizeof(path), "/proc/self/fd/%d", door->file);
	len = socket_address(&addr, path);
	if (fd >= 0 && connect(fd, (struct sockaddr *)&addr, len)) {
		close(fd);
		return -1;
	}
	return fd;
}
