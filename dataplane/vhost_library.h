/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef FERRY_VHOST_LIBRARY_H
#define FERRY_VHOST_LIBRARY_H
/*
 * A private socket that the vhost library serves, and the library's callbacks brought to whom they
 * concern. For vhost_link.c only. Register and unregister on mutator threads; callbacks on the
 * library's events thread, `down` also inside vhost_library_unregister().
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>

#include "dataplane/vhost_socket.h"

struct vhost_library_ops {
	void (*connected)(void *owner); /* the library took up a knock */
	void (*ended)(void *owner); /* that connection's device is gone */
	void (*up)(void *owner, int vid, uint64_t features);
	void (*down)(void *owner, int vid);
	void (*ring)(void *owner, int vid, uint16_t ring, bool ready);
	void (*features)(void *owner, uint64_t features);
};

struct vhost_library {
	LIST_ENTRY(vhost_library) next;
	const struct vhost_library_ops *ops;
	void *owner;
	struct vhost_door door;
	int vid; /* of the one connection's device; -1: none */
};

/* ops and owner are set by the caller; `features` are the virtio features to offer. */
int vhost_library_register(
	struct vhost_library *library, uint64_t features, char *error, size_t len);
/* No callback runs any more when this returns, and the device is gone. */
void vhost_library_unregister(struct vhost_library *library);

#endif
