/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Unix sockets and who owns them. Ownership is a held lock and a listening socket, never a number
 * in a file: a stale file of either kind does not keep a daemon from starting.
 */
#ifndef CTRL_RPC_UNIX_SOCKET_H
#define CTRL_RPC_UNIX_SOCKET_H

#include <stddef.h>
#include <sys/types.h>

#define UNIX_SOCKET_PATH_MAX 107 /* bytes, without the NUL: sun_path of unix(7) */

struct unix_listen_options {
	const char *path;
	mode_t mode; /* 0: 0660 */
	const char *group; /* name or number, NULL: leave it */
	int backlog; /* 0: 64 */
};

/* What the listener put into the file system, to take it away again and nothing else. */
struct unix_listener {
	int fd;
	char path[UNIX_SOCKET_PATH_MAX + 1];
	dev_t device;
	ino_t inode;
};

/*
 * Takes the lock file for this process until the descriptor is closed or the process ends, however
 * it ends. The file stays, its content means nothing. 0, or -EWOULDBLOCK when another process
 * holds it, or -errno.
 */
int unix_lock(const char *path, int *fd);

/*
 * A non-blocking listening socket at path. A socket file nobody listens on is replaced.
 * 0, or -ENAMETOOLONG, -EADDRINUSE (somebody listens), -EEXIST (it is not a socket, left alone),
 * -ENOENT (no such directory; or with errno text in `why`, no such group), -errno.
 * why gets a sentence for the operator on failure.
 */
int unix_listen(const struct unix_listen_options *options, struct unix_listener *listener,
	char *why, size_t why_size);

/* Closes it and removes the file, if the file is still the one that was made. */
void unix_listener_close(struct unix_listener *listener);

/* A non-blocking connected socket, within timeout_ms. 0, -ETIMEDOUT (full backlog), -errno. */
int unix_connect(const char *path, unsigned int timeout_ms, int *fd);

#endif
