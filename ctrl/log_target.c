/* SPDX-License-Identifier: BSD-3-Clause */
#include "ctrl/log_target.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <syslog.h>
#include <time.h>
#include <unistd.h>

#define WAIT_MS 100

static int open_file(const struct log_target_state *target)
{
	int fd = open(target->path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOCTTY, 0640);

	return fd < 0 ? -errno : fd;
}

static int open_syslog(const struct log_target_state *target)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd, ret;

	if (strlen(target->path) >= sizeof(address.sun_path))
		return -ENAMETOOLONG;
	strcpy(address.sun_path, target->path);
	fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return -errno;
	if (connect(fd, (struct sockaddr *)&address, sizeof(address)) != 0) {
		ret = -errno;
		close(fd);
		return ret;
	}
	return fd;
}

static int open_fd(struct log_target_state *target)
{
	int fd = STDERR_FILENO;

	if (target->kind == LOG_TO_FILE)
		fd = open_file(target);
	else if (target->kind == LOG_TO_SYSLOG)
		fd = open_syslog(target);
	if (fd < 0)
		return fd;
	target->fd = fd;
	return 0;
}

int log_target_open(struct log_target_state *target, const struct log_options *options)
{
	const char *path = options->path;
	int ret;

	if (options->target == LOG_TO_FILE && !path)
		return -EINVAL;
	memset(target, 0, sizeof(*target));
	target->kind = options->target;
	target->fd = -1;
	target->path = strdup(path ? path : "/dev/log");
	target->program = strdup(options->program);
	ret = target->path && target->program ? open_fd(target) : -ENOMEM;
	/* Syslog may come later than we do, and come back. */
	if (ret < 0 && (ret == -ENOMEM || options->target == LOG_TO_FILE)) {
		log_target_close(target);
		return ret;
	}
	return 0;
}

void log_target_reopen(struct log_target_state *target)
{
	if (target->kind != LOG_TO_STDERR && target->fd >= 0)
		close(target->fd);
	target->fd = -1;
}

void log_target_close(struct log_target_state *target)
{
	log_target_reopen(target);
	free(target->path);
	free(target->program);
}

static int syslog_priority(enum log_level level)
{
	static const int priorities[] = {
		[LOG_LEVEL_ERR] = LOG_ERR,
		[LOG_LEVEL_WARN] = LOG_WARNING,
		[LOG_LEVEL_INFO] = LOG_INFO,
		[LOG_LEVEL_DEBUG] = LOG_DEBUG,
	};

	return LOG_DAEMON | priorities[level];
}

static int send_syslog(
	struct log_target_state *target, enum log_level level, const char *line, size_t len_bytes)
{
	char message[2048], stamp[32];
	time_t now = time(NULL);
	struct tm parts;
	int n;

	localtime_r(&now, &parts);
	strftime(stamp, sizeof(stamp), "%b %e %T", &parts);
	n = snprintf(message, sizeof(message), "<%d>%s %s[%d]: %.*s", syslog_priority(level), stamp,
		target->program, (int)getpid(), (int)(len_bytes - LOG_STAMP_BYTES - 1),
		line + LOG_STAMP_BYTES);
	if (n >= (int)sizeof(message))
		n = sizeof(message) - 1;
	if (send(target->fd, message, (size_t)n, MSG_NOSIGNAL) >= 0)
		return 0;
	n = -errno;
	if (n != -EAGAIN && n != -ENOBUFS)
		log_target_reopen(target); /* the daemon went away */
	return n == -ENOBUFS ? -EAGAIN : n;
}

static int write_bytes(struct log_target_state *target, const char *bytes, size_t len_bytes)
{
	ssize_t n = write(target->fd, bytes, len_bytes);

	if (n < 0)
		return errno == EINTR ? -EAGAIN : -errno;
	target->torn = (size_t)n < len_bytes;
	return target->torn ? -ENOSPC : 0;
}

/* A line is at most PIPE_BUF bytes, so a pipe that is ready takes it whole without waiting. */
int log_target_write(
	struct log_target_state *target, enum log_level level, const char *line, size_t len_bytes)
{
	struct pollfd ready;
	int ret;

	if (target->fd < 0) {
		ret = open_fd(target);
		if (ret < 0)
			return ret;
	}
	ready = (struct pollfd){.fd = target->fd, .events = POLLOUT};
	if (poll(&ready, 1, WAIT_MS) == 0)
		return -EAGAIN;
	if (target->kind == LOG_TO_SYSLOG)
		return send_syslog(target, level, line, len_bytes);
	if (target->torn) {
		ret = write_bytes(target, "\n", 1);
		if (ret < 0)
			return ret;
	}
	return write_bytes(target, line, len_bytes);
}
