/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The channel's only access to the world: time, connecting, and a byte pipe. The real one is made
 * of sockets (io_socket.c); tests put a fault-injecting wire and a warped clock in its place
 * (test/fake/fake_wire.h).
 */
#ifndef CTRL_CHANNEL_IO_H
#define CTRL_CHANNEL_IO_H

#include <netinet/in.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/types.h>

/* Makes blocking calls end with -ECANCELED. Owned by the caller, may outlive channels and serve
 * several of them (one per move). Any thread may set it; it stays set until reset. */
struct channel_cancel {
	atomic_bool is_set;
	int fd; /* eventfd, readable while set */
};

int channel_cancel_init(struct channel_cancel *cancel);
void channel_cancel_fini(struct channel_cancel *cancel);
void channel_cancel_set(struct channel_cancel *cancel);
/* Only while no call uses it. */
void channel_cancel_reset(struct channel_cancel *cancel);
/* NULL is never set. */
bool channel_cancel_is_set(const struct channel_cancel *cancel);

#define CHANNEL_IO_READ 0x1u
#define CHANNEL_IO_WRITE 0x2u

/* Deadlines are absolute, ns of the world's monotonic clock. */
struct channel_io_ops {
	/* Never block. Bytes moved, 0 at the end of the stream (recv), -EAGAIN or another -errno.
	 * One thread may recv while another sends. */
	ssize_t (*recv)(void *ctx, void *buf, size_t len_bytes);
	ssize_t (*send)(void *ctx, const void *buf, size_t len_bytes);
	/* Blocks until one of want is possible: returns the possible ones, -ETIMEDOUT or
	 * -ECANCELED. want 0 is a sleep that can be cancelled. cancel may be NULL. Several threads
	 * may wait at once. */
	int (*wait)(void *ctx, unsigned want, uint64_t deadline_ns,
		const struct channel_cancel *cancel);
	/* No more will be sent. */
	void (*finish)(void *ctx);
	/* For poll(2) by an owner with other things to wait for; -1 if there is none. */
	int (*fd)(void *ctx);
	void (*close)(void *ctx);
};

/* A connected pipe. Whoever gets one owns it and ends it with ops->close(ctx). */
struct channel_io {
	const struct channel_io_ops *ops;
	void *ctx;
	struct in6_addr address; /* of the other end; unspecified for a unix socket */
	bool is_local; /* unix socket or loopback: plain transport may be allowed */
	bool has_address; /* false for a unix socket */
	bool is_own_user; /* unix socket: the other end runs as root or as we do */
};

struct channel_endpoint {
	struct in6_addr address; /* IPv4 as ::ffff:a.b.c.d */
	uint16_t port;
	const char *unix_path; /* not NULL: this instead of address and port */
};

struct channel_world_ops {
	uint64_t (*now_ns)(void *ctx); /* monotonic */
	int64_t (*wall_s)(void *ctx); /* seconds since 1970, for certificates */
	/* 0, -ECONNREFUSED, -ETIMEDOUT, -ECANCELED or another -errno. */
	int (*connect)(void *ctx, const struct channel_endpoint *to, uint64_t deadline_ns,
		const struct channel_cancel *cancel, struct channel_io *io);
};

struct channel_world {
	const struct channel_world_ops *ops;
	void *ctx;
};

/* The real world. */
extern const struct channel_world channel_world_real;

/* Takes a connected stream socket, which it makes non-blocking and owns from then on (on failure it
 * stays the caller's). */
int channel_io_socket(int fd, struct channel_io *io);

/* For socket calls: -ENAMETOOLONG or 0. */
int channel_endpoint_sockaddr(
	const struct channel_endpoint *endpoint, struct sockaddr_storage *to, socklen_t *to_bytes);

static inline uint64_t channel_world_now_ns(const struct channel_world *world)
{
	return world->ops->now_ns(world->ctx);
}

static inline int64_t channel_world_wall_s(const struct channel_world *world)
{
	return world->ops->wall_s(world->ctx);
}

static inline uint64_t channel_world_deadline_ns(
	const struct channel_world *world, uint64_t timeout_ms)
{
	return channel_world_now_ns(world) + timeout_ms * 1000000u;
}

#endif
