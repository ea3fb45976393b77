/* SPDX-License-Identifier: BSD-3-Clause */
#include "ctrl/rpc/unix_socket.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#define BACKLOG 64
#define RETRY_MS 20 /* a full backlog gives no event to wait for */

int unix_lock(const char *path, int *fdp)
{
	int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	int ret;

	if (fd < 0)
		return -errno;
	if (flock(fd, LOCK_EX | LOCK_NB) != 0) {
		ret = -errno;
		close(fd);
		return ret;
	}
	*fdp = fd;
	return 0;
}

static int address_fill(const char *path, struct sockaddr_un *address)
{
	size_t len_bytes = strlen(path);

	if (len_bytes == 0)
		return -EINVAL;
	if (len_bytes > UNIX_SOCKET_PATH_MAX)
		return -ENAMETOOLONG;
	memset(address, 0, sizeof(*address));
	address->sun_family = AF_UNIX;
	memcpy(address->sun_path, path, len_bytes);
	return 0;
}

static int socket_open(void)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	return fd < 0 ? -errno : fd;
}

/* Makes the path free: 0 when nothing is there or a stale socket was removed. */
static int path_clear(const char *path, const struct sockaddr_un *address)
{
	struct stat st;
	int fd, ret;

	if (lstat(path, &st) != 0)
		return errno == ENOENT ? 0 : -errno;
	if (!S_ISSOCK(st.st_mode))
		return -EEXIST;
	fd = socket_open();
	if (fd < 0)
		return fd;
	ret = connect(fd, (const struct sockaddr *)address, sizeof(*address)) == 0 ? 0 : -errno;
	close(fd);
	if (ret != -ECONNREFUSED)
		return ret == 0 || ret == -EAGAIN ? -EADDRINUSE : ret;
	return unlink(path) == 0 || errno == ENOENT ? 0 : -errno;
}

static int group_find(const char *group, gid_t *gid)
{
	struct group entry, *found = NULL;
	char names[16384], *end;
	unsigned long number;

	if (getgrnam_r(group, &entry, names, sizeof(names), &found) == 0 && found) {
		*gid = found->gr_gid;
		return 0;
	}
	errno = 0;
	number = strtoul(group, &end, 10);
	if (errno || end == group || *end || group[0] == '-' || number >= (gid_t)-1)
		return -ENOENT;
	*gid = (gid_t)number;
	return 0;
}

/* The socket is born with the owner's rights only (mode of the socket at bind, see unix(7)), so
 * there is no moment at which others could connect. */
static int bind_owned(int fd, const struct unix_listen_options *options,
	const struct sockaddr_un *address, gid_t gid)
{
	int ret;

	if (fchmod(fd, 0600) != 0)
		return -errno;
	if (bind(fd, (const struct sockaddr *)address, sizeof(*address)) != 0)
		return -errno;
	if (gid != (gid_t)-1 && lchown(options->path, (uid_t)-1, gid) != 0)
		goto fail;
	if (chmod(options->path, options->mode ? options->mode : 0660) != 0)
		goto fail;
	if (listen(fd, options->backlog ? options->backlog : BACKLOG) != 0)
		goto fail;
	return 0;

fail:
	ret = -errno;
	unlink(options->path);
	return ret;
}

static int listen_steps(const struct unix_listen_options *options, int *fdp, const char **what)
{
	struct sockaddr_un address;
	gid_t gid = (gid_t)-1;
	int fd, ret;

	*what = NULL;
	ret = address_fill(options->path, &address);
	if (ret < 0)
		return ret;
	if (options->group) {
		*what = "no such group";
		ret = group_find(options->group, &gid);
		if (ret < 0)
			return ret;
		*what = NULL;
	}
	ret = path_clear(options->path, &address);
	if (ret < 0)
		return ret;
	fd = socket_open();
	if (fd < 0)
		return fd;
	ret = bind_owned(fd, options, &address, gid);
	if (ret < 0) {
		close(fd);
		return ret;
	}
	*fdp = fd;
	return 0;
}

static void explain(int error, const char *what, const struct unix_listen_options *options,
	char *why, size_t size)
{
	const char *path = options->path;

	if (error == -ENAMETOOLONG)
		snprintf(why, size, "%s: path has %zu bytes, a unix socket takes at most %d", path,
			strlen(path), UNIX_SOCKET_PATH_MAX);
	else if (error == -EADDRINUSE)
		snprintf(why, size, "%s: another process listens there", path);
	else if (error == -EEXIST)
		snprintf(why, size, "%s: exists and is no socket, left alone", path);
	else if (error == -ENOENT && what)
		snprintf(why, size, "%s: %s: \"%s\"", path, what, options->group);
	else
		snprintf(why, size, "%s: %s", path, strerror(-error));
}

int unix_listen(const struct unix_listen_options *options, struct unix_listener *listener,
	char *why, size_t why_size)
{
	const char *what;
	struct stat st;
	int fd = -1, ret;

	ret = listen_steps(options, &fd, &what);
	if (ret == 0 && lstat(options->path, &st) != 0) {
		ret = -errno;
		close(fd);
	}
	if (ret < 0) {
		explain(ret, what, options, why, why_size);
		return ret;
	}
	listener->fd = fd;
	strcpy(listener->path, options->path);
	listener->device = st.st_dev;
	listener->inode = st.st_ino;
	return 0;
}

void unix_listener_close(struct unix_listener *listener)
{
	struct stat st;

	if (lstat(listener->path, &st) == 0 && st.st_dev == listener->device &&
		st.st_ino == listener->inode)
		unlink(listener->path);
	close(listener->fd);
	listener->fd = -1;
}

static void sleep_ms(unsigned int time_ms)
{
	struct timespec time = {time_ms / 1000, time_ms % 1000 * 1000000L};

	nanosleep(&time, NULL);
}

int unix_connect(const char *path, unsigned int timeout_ms, int *fdp)
{
	struct sockaddr_un address;
	unsigned int waited_ms = 0;
	int fd, ret;

	ret = address_fill(path, &address);
	if (ret < 0)
		return ret;
	fd = socket_open();
	if (fd < 0)
		return fd;
	while (connect(fd, (struct sockaddr *)&address, sizeof(address)) != 0) {
		ret = -errno;
		if (ret == -EAGAIN && (!timeout_ms || waited_ms < timeout_ms)) {
			sleep_ms(RETRY_MS);
			waited_ms += RETRY_MS;
			continue;
		}
		close(fd);
		return ret == -EAGAIN ? -ETIMEDOUT : ret;
	}
	*fdp = fd;
	return 0;
}
