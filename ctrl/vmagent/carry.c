/* SPDX-License-Identifier: BSD-3-Clause */
#include "ctrl/vmagent/carry.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "ctrl/vmagent/pump.h"
#include "ctrl/vmagent/qmp.h"

#define MAIN_TAKEN_MS 5000
#define SOCKET_BYTES (1 << 20)
#define FINISH_MS 2000
#define ACCEPT_PAUSE_US 10000
#define CONNECT_PAUSE_US 1000

struct stream_thread {
	struct carry *carry;
	unsigned int stream;
	int qemu_fd;
	pthread_t thread;
};

struct carry {
	struct carry_options options;
	char *path;
	struct bandwidth *bandwidth; /* S: of all streams */
	struct channel_cancel cancel; /* set: all is cut */
	int listen_fd;
	_Atomic uint64_t memory_bytes, wire_bytes;
	pthread_mutex_t lock; /* over what follows */
	pthread_cond_t changed;
	bool cut; /* by order, not by a stream that broke */
	bool open, main_taken, lost_told, final_pass;
	uint64_t rate_bytes_per_s;
	bool hold;
	unsigned int n_threads;
	struct stream_thread threads[CARRY_STREAMS_MAX];
	bool accepting;
	pthread_t acceptor;
};

int carry_create(const struct carry_options *options, struct carry **out)
{
	struct carry *carry;
	struct sockaddr_un address;

	if (strlen(options->path) >= sizeof(address.sun_path))
		return -ENAMETOOLONG;
	carry = calloc(1, sizeof(*carry));
	if (carry == NULL)
		return -ENOMEM;
	carry->options = *options;
	carry->listen_fd = -1;
	pthread_mutex_init(&carry->lock, NULL);
	pthread_cond_init(&carry->changed, NULL);
	if (channel_cancel_init(&carry->cancel)) {
		free(carry);
		return -EMFILE;
	}
	carry->path = strdup(options->path);
	carry->bandwidth = bandwidth_new(0);
	if (carry->path == NULL || carry->bandwidth == NULL) {
		carry_destroy(carry);
		return -ENOMEM;
	}
	*out = carry;
	return 0;
}

static void carry_tell_lost(struct carry *carry, int err)
{
	bool tell;

	pthread_mutex_lock(&carry->lock);
	tell = !carry->lost_told && !carry->cut;
	carry->lost_told = true;
	pthread_cond_broadcast(&carry->changed);
	pthread_mutex_unlock(&carry->lock);
	if (tell)
		carry->options.lost(carry->options.ctx, err);
}

static int carry_pump(struct carry *carry, int qemu_fd, struct channel *channel)
{
	struct pump_options options = {
		.qemu_fd = qemu_fd,
		.channel = channel,
		.cancel = &carry->cancel,
		.zstd_level = carry->options.source ? carry->options.zstd_level : 0,
		.memory_bytes = &carry->memory_bytes,
		.wire_bytes = &carry->wire_bytes,
	};
	int size = SOCKET_BYTES, err;

	setsockopt(qemu_fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
	err = pump_run(&options);
	if (err == 0)
		channel_finish(channel, channel_deadline_ns(channel, FINISH_MS));
	return err;
}

static void *stream_main(void *arg)
{
	struct stream_thread *self = arg;
	struct carry *carry = self->carry;
	struct channel *channel = NULL;
	const struct channel_options options = {
		.types = vmagent_frame_types,
		.n_types = 4,
		.frame_bytes = PUMP_CHUNK_BYTES,
		.bandwidth = carry->bandwidth,
		.bandwidth_class = BANDWIDTH_MEMORY,
		.cancel = &carry->cancel,
	};
	int err;

	err = carry->options.dial(carry->options.ctx, self->stream, &options, &channel);
	if (err == 0)
		err = carry_pump(carry, self->qemu_fd, channel);
	if (err)
		carry_tell_lost(carry, err);
	channel_close(channel);
	close(self->qemu_fd);
	return NULL;
}

static void stream_start(struct carry *carry, int qemu_fd)
{
	struct stream_thread *self;
	int err = -EMFILE;

	if (carry->n_threads < CARRY_STREAMS_MAX) {
		self = &carry->threads[carry->n_threads];
		*self = (struct stream_thread){carry, carry->n_threads, qemu_fd};
		err = -pthread_create(&self->thread, NULL, stream_main, self);
		if (err == 0)
			carry->n_threads++;
	}
	if (err) {
		close(qemu_fd);
		carry_tell_lost(carry, err);
	}
}

static void *acceptor_main(void *arg)
{
	struct carry *carry = arg;
	struct pollfd fds[] = {
		{.fd = carry->listen_fd, .events = POLLIN},
		{.fd = carry->cancel.fd, .events = POLLIN},
	};
	int fd;

	while (!channel_cancel_is_set(&carry->cancel)) {
		poll(fds, 2, -1);
		if (!(fds[0].revents & POLLIN))
			continue;
		fd = accept4(carry->listen_fd, NULL, NULL, SOCK_CLOEXEC);
		if (fd >= 0)
			stream_start(carry, fd);
		else
			usleep(ACCEPT_PAUSE_US); /* no file left, perhaps: it stays readable */
	}
	return NULL;
}

static int carry_listen(struct carry *carry)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	mode_t old;
	int err = 0;

	strcpy(address.sun_path, carry->path);
	unlink(carry->path);
	carry->listen_fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (carry->listen_fd < 0)
		return -errno;
	old = umask(0117);
	if (bind(carry->listen_fd, (struct sockaddr *)&address, sizeof(address)) ||
		listen(carry->listen_fd, CARRY_STREAMS_MAX))
		err = -errno;
	umask(old);
	if (err == 0)
		err = -pthread_create(&carry->acceptor, NULL, acceptor_main, carry);
	carry->accepting = err == 0;
	return err;
}

int carry_open(struct carry *carry)
{
	if (carry->options.source)
		return carry_listen(carry);
	pthread_mutex_lock(&carry->lock);
	carry->open = true;
	pthread_cond_broadcast(&carry->changed);
	pthread_mutex_unlock(&carry->lock);
	return 0;
}

void carry_cut(struct carry *carry)
{
	pthread_mutex_lock(&carry->lock);
	carry->cut = true;
	channel_cancel_set(&carry->cancel);
	pthread_cond_broadcast(&carry->changed);
	pthread_mutex_unlock(&carry->lock);
}

static void apply_rate(struct carry *carry)
{
	bandwidth_set_rate(carry->bandwidth, carry->final_pass ? 0 : carry->rate_bytes_per_s);
	bandwidth_hold_memory(carry->bandwidth, carry->hold && !carry->final_pass);
}

void carry_rate(struct carry *carry, uint64_t bytes_per_s, bool hold)
{
	pthread_mutex_lock(&carry->lock);
	carry->rate_bytes_per_s = bytes_per_s;
	carry->hold = hold;
	apply_rate(carry);
	pthread_mutex_unlock(&carry->lock);
}

void carry_final(struct carry *carry, bool final_pass)
{
	pthread_mutex_lock(&carry->lock);
	carry->final_pass = final_pass;
	apply_rate(carry);
	pthread_mutex_unlock(&carry->lock);
}

void carry_count(const struct carry *carry, uint64_t *memory_bytes, uint64_t *wire_bytes)
{
	*memory_bytes = carry->memory_bytes;
	*wire_bytes = carry->wire_bytes;
}

/* To QEMU, which may be slow to accept: then its backlog is full and a plain connect() hangs. */
static int carry_connect(struct carry *carry)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), err;

	if (fd < 0)
		return -errno;
	strcpy(address.sun_path, carry->path);
	while (connect(fd, (struct sockaddr *)&address, sizeof(address))) {
		err = errno == EAGAIN && channel_cancel_is_set(&carry->cancel) ? -ECANCELED
									       : -errno;
		if (err != -EAGAIN && err != -EINTR) {
			close(fd);
			return err;
		}
		usleep(CONNECT_PAUSE_US);
	}
	return fd;
}

/*
 * True while QEMU has not accepted every connection to its socket. A connection that waits in the
 * backlog has no struct socket yet, which /proc/net/unix shows as state 02.
 */
static bool backlog_waits(const char *path)
{
	FILE *file = fopen("/proc/net/unix", "re");
	char line[512], found[256];
	unsigned int state;
	bool waits = false;

	while (file != NULL && fgets(line, sizeof(line), file) != NULL)
		if (sscanf(line, "%*s %*s %*s %*s %*s %x %*s %255s", &state, found) == 2 &&
			state == 2 && strcmp(found, path) == 0)
			waits = true;
	if (file != NULL)
		fclose(file);
	return waits;
}

static void main_wait_taken(struct carry *carry)
{
	uint64_t deadline_ns = vmagent_now_ns() + MAIN_TAKEN_MS * 1000000ull;

	while (backlog_waits(carry->path) && !channel_cancel_is_set(&carry->cancel) &&
		vmagent_now_ns() < deadline_ns)
		usleep(500);
	pthread_mutex_lock(&carry->lock);
	carry->main_taken = true;
	pthread_cond_broadcast(&carry->changed);
	pthread_mutex_unlock(&carry->lock);
}

int carry_take(struct carry *carry, unsigned int stream, struct channel *channel)
{
	int fd = -ECANCELED, err;

	channel_set_cancel(channel, &carry->cancel);
	pthread_mutex_lock(&carry->lock);
	while (!channel_cancel_is_set(&carry->cancel) &&
		(!carry->open || (stream != 0 && !carry->main_taken)))
		pthread_cond_wait(&carry->changed, &carry->lock);
	pthread_mutex_unlock(&carry->lock);
	if (!channel_cancel_is_set(&carry->cancel))
		fd = carry_connect(carry);
	if (fd >= 0 && stream == 0)
		main_wait_taken(carry);
	err = fd < 0 ? fd : carry_pump(carry, fd, channel);
	if (err)
		carry_tell_lost(carry, err);
	channel_close(channel);
	if (fd >= 0)
		close(fd);
	return err;
}

void carry_destroy(struct carry *carry)
{
	unsigned int i;

	if (carry == NULL)
		return;
	carry_cut(carry);
	if (carry->accepting)
		pthread_join(carry->acceptor, NULL);
	for (i = 0; i < carry->n_threads; i++)
		pthread_join(carry->threads[i].thread, NULL);
	if (carry->listen_fd >= 0) {
		close(carry->listen_fd);
		unlink(carry->path);
	}
	bandwidth_free(carry->bandwidth);
	channel_cancel_fini(&carry->cancel);
	pthread_cond_destroy(&carry->changed);
	pthread_mutex_destroy(&carry->lock);
	free(carry->path);
	free(carry);
}
