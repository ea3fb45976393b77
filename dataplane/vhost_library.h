/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef FERRY_VHOST_LIBRARY_H
#define FERRY_VHOST_LIBRARY_H
/*
 * Connections to the vhost library, and its callbacks brought to whom they concern. For
 * vhost_link.c, and for who ends EAL.
 *
 * Threads: open on mutator threads, the rest on the links' thread; the owner's functions run on
 * the library's events thread.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>

struct vhost_library_ops {
	void (*ended)(void *owner); /* the library let go of the connection: the last call for it */
	void (*up)(void *owner, int vid, uint64_t features);
	void (*down)(void *owner, int vid);
	void (*ring)(void *owner, int vid, uint16_t ring, bool ready);
	void (*features)(void *owner, uint64_t features);
};

/* One connection at a time. Lives in the owner, who sets ops and owner. */
struct vhost_library {
	LIST_ENTRY(vhost_library) next; /* until the library takes the connection up */
	const struct vhost_library_ops *ops;
	void *owner;
	uint64_t token; /* of a connection not taken up yet; 0: none, or it was */
};

/* Starts the library, once for the process; takes up to a second then. */
int vhost_library_open(char *error, size_t len);
/*
 * After the last port is closed and before EAL ends, whose memory the library's devices are in: its
 * events thread says that a connection has ended before it frees the device, and this waits for it.
 */
void vhost_library_close(void);

/*
 * A connection to the library, non-blocking, on which vhost-user can be spoken; -1: it takes none.
 * To end it, close it, then forget it.
 */
int vhost_library_connect(struct vhost_library *library);
/* True: the library never saw it, no function is called for it. False: ended() comes, or came. */
bool vhost_library_forget(struct vhost_library *library);

#endif
