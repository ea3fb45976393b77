/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef FERRY_VHOST_SOCKET_H
#define FERRY_VHOST_SOCKET_H
/*
 * Unix sockets of a vhost link: the public one, where front ends are, and the door, the library's
 * private one. For vhost_link.c only; no locks, no waits.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "dataplane/port.h"

#define VHOST_DOOR_PATH_MAX (PORT_PATH_MAX + 1)

struct vhost_link_params;

struct vhost_socket {
	char path[PORT_PATH_MAX + 1];
	bool server;
	int fd; /* of a server, else -1 */
	dev_t dev; /* of the socket file made by a server */
	ino_t ino;
};

/* A server listens when this returns. A stale socket file is replaced, anything else refused. */
int vhost_socket_open(
	struct vhost_socket *s, const struct vhost_link_params *params, char *error, size_t len);
/* Removes the file if it is still ours. */
void vhost_socket_close(struct vhost_socket *s);
/*
 * One connection of a front end, non-blocking, or -1: none now, with *error set if that is a
 * fault ("" otherwise).
 */
int vhost_socket_take(struct vhost_socket *s, char *error, size_t len);

struct vhost_door {
	char path[VHOST_DOOR_PATH_MAX]; /* the name the library knows; gone from disk after hide */
	char dir[VHOST_DOOR_PATH_MAX];
	int file; /* O_PATH, what is left of the name */
};

int vhost_door_make(struct vhost_door *door, char *error, size_t len); /* a name to bind */
int vhost_door_hide(struct vhost_door *door); /* bound: take the name off the disk */
void vhost_door_remove(struct vhost_door *door);
int vhost_door_knock(const struct vhost_door *door); /* a connection to the library, or -1 */

uint64_t vhost_socket_now_ms(void);

#endif
