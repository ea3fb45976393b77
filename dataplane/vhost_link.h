/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef FERRY_VHOST_LINK_H
#define FERRY_VHOST_LINK_H
/*
 * How a front end's connection reaches the vhost library: Ferry listens and connects itself, and
 * hands each connection over when it stands. For port_vhost.c only; why it is so stands in
 * vhost_link.c.
 *
 * Threads: open and close on mutator threads. The links' thread (one per process, there while a
 * link is) accepts and connects. The owner's functions run on the library's events thread, which
 * serves all
 * ports: they must be short. `down` may also run on the thread inside vhost_link_close().
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct vhost_link;

struct vhost_owner_ops {
	void (*up)(void *owner, int vid, uint64_t features); /* rings may be used */
	void (*down)(void *owner, int vid); /* when it returns, nobody uses them */
	void (*ring)(void *owner, int vid, uint16_t ring, bool ready); /* the ring's lock is held */
	void (*features)(
		void *owner, uint64_t features); /* changed while up: dirty log on or off */
	void (*gone)(void *owner); /* the connection ended; all rings count as not ready */
	void (*status)(void *owner); /* links' thread: vhost_link_error() changed */
};

struct vhost_link_params {
	const char *path;
	bool server;
	uint32_t mode, group; /* of the socket file; 0: leave */
	uint64_t features; /* virtio features to offer */
	uint16_t pairs; /* queue pairs to offer */
	const struct vhost_owner_ops *ops;
	void *owner;
};

int vhost_link_open(const struct vhost_link_params *params, struct vhost_link **out, char *error,
	size_t error_len);

/* When this returns the connection is cut, the library's device gone and no callback running. */
void vhost_link_close(struct vhost_link *link);

/* Any thread. */
uint64_t vhost_link_connects(const struct vhost_link *link);
/* How long ago the last one was made; 0: never. */
uint64_t vhost_link_connected_ns(const struct vhost_link *link);
uint64_t vhost_link_resyncs(const struct vhost_link *link); /* see vhost_guard_resyncs() */
uint64_t vhost_link_features(const struct vhost_link *link); /* offered */
void vhost_link_error(const struct vhost_link *link, char *error, size_t len);

#endif
