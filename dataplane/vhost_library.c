/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The library's callbacks carry a device number or a path and nothing of ours: that forces the
 * process-wide table below, by which they find their registration. It is all that is global here.
 *
 * Locks: start_lock keeps the library (22.11) from starting two events threads when two ports are
 * its first at the same time; each would then handle, and close, what is the other's. table.lock
 * guards the list and writes of by_vid. The events thread reads by_vid without it: an entry goes
 * only in its own destroy_connection(), or after rte_vhost_driver_unregister() has waited for
 * callbacks of that path.
 */
#include "dataplane/vhost_library.h"

#include <errno.h>
#include <pthread.h>
#include <string.h>

#include <rte_log.h>
#include <rte_vhost.h>

#include "dataplane/port_impl.h"

#define LIBRARY_VIDS_MAX 1024 /* RTE_MAX_VHOST_DEVICE of the library */

/* What the net device needs; no slave channel, whose replies would be waited for. */
#define LIBRARY_PROTOCOL_FEATURES \
	(UINT64_C(1) << 0 /* MQ */ | UINT64_C(1) << 1 /* LOG_SHMFD */ | \
		UINT64_C(1) << 2 /* RARP */ | UINT64_C(1) << 3 /* REPLY_ACK */ | \
		UINT64_C(1) << 4 /* NET_MTU */ | UINT64_C(1) << 16 /* STATUS */)

static struct {
	pthread_mutex_t lock;
	LIST_HEAD(, vhost_library) list;
	struct vhost_library *by_vid[LIBRARY_VIDS_MAX];
} table = {.lock = PTHREAD_MUTEX_INITIALIZER};

static pthread_mutex_t start_lock = PTHREAD_MUTEX_INITIALIZER;

static struct vhost_library *library_by_vid(int vid)
{
	return vid >= 0 && vid < LIBRARY_VIDS_MAX
		       ? __atomic_load_n(&table.by_vid[vid], __ATOMIC_ACQUIRE)
		       : NULL;
}

static void library_set_vid(struct vhost_library *library, int vid)
{
	/* The old number may be another's by now. */
	if (library->vid >= 0 && table.by_vid[library->vid] == library)
		__atomic_store_n(&table.by_vid[library->vid], NULL, __ATOMIC_RELEASE);
	if (vid >= 0)
		__atomic_store_n(&table.by_vid[vid], library, __ATOMIC_RELEASE);
	library->vid = vid;
}

static int library_new_connection(int vid)
{
	struct vhost_library *library;
	char path[VHOST_DOOR_PATH_MAX];

	if (vid >= LIBRARY_VIDS_MAX || rte_vhost_get_ifname(vid, path, sizeof(path)))
		return -1;
	pthread_mutex_lock(&table.lock);
	LIST_FOREACH (library, &table.list, next)
		if (!strcmp(library->door.path, path))
			break;
	if (library)
		library_set_vid(library, vid);
	pthread_mutex_unlock(&table.lock);
	if (!library)
		return -1;
	library->ops->connected(library->owner);
	return 0;
}

static void library_destroy_connection(int vid)
{
	struct vhost_library *library = library_by_vid(vid);

	if (!library)
		return;
	pthread_mutex_lock(&table.lock);
	library_set_vid(library, -1);
	pthread_mutex_unlock(&table.lock);
	library->ops->ended(library->owner);
}

static int library_new_device(int vid)
{
	struct vhost_library *library = library_by_vid(vid);
	uint64_t features = 0;

	if (!library || rte_vhost_get_negotiated_features(vid, &features))
		return -1;
	library->ops->up(library->owner, vid, features);
	return 0;
}

static void library_destroy_device(int vid)
{
	struct vhost_library *library = library_by_vid(vid);

	if (library)
		library->ops->down(library->owner, vid);
}

static int library_ring(int vid, uint16_t ring, int ready)
{
	struct vhost_library *library = library_by_vid(vid);

	if (library)
		library->ops->ring(library->owner, vid, ring, ready != 0);
	return 0;
}

static int library_features(int vid, uint64_t features)
{
	struct vhost_library *library = library_by_vid(vid);

	if (library)
		library->ops->features(library->owner, features);
	return 0;
}

static const struct rte_vhost_device_ops library_callbacks = {
	.new_connection = library_new_connection,
	.destroy_connection = library_destroy_connection,
	.new_device = library_new_device,
	.destroy_device = library_destroy_device,
	.vring_state_changed = library_ring,
	.features_changed = library_features,
};

static int library_start_events(const char *path)
{
	int ret;

	pthread_mutex_lock(&start_lock);
	ret = rte_vhost_driver_start(path);
	pthread_mutex_unlock(&start_lock);
	return ret;
}

static int library_start(const char *path, uint64_t features, char *error, size_t len)
{
	uint64_t known = 0;

	if (rte_vhost_driver_get_features(path, &known))
		return port_fail(error, len, EIO, "the vhost library forgot its socket");
	if (features & ~known)
		return port_fail(error, len, EINVAL, "virtio features unknown to the library: %#jx",
			(uintmax_t)(features & ~known));
	if (rte_vhost_driver_disable_features(path, known & ~features) ||
		rte_vhost_driver_set_protocol_features(path, LIBRARY_PROTOCOL_FEATURES) ||
		rte_vhost_driver_callback_register(path, &library_callbacks) ||
		library_start_events(path))
		return port_fail(error, len, EIO, "the vhost library does not start");
	return 0;
}

/* The library's lines can be driven by guests: only what is fatal to it, until somebody asks for
 * more. */
static void library_quiet(void)
{
	rte_log_set_level_pattern("lib.vhost.*", RTE_LOG_CRIT);
}

static void library_enter(struct vhost_library *library)
{
	pthread_mutex_lock(&table.lock);
	if (LIST_EMPTY(&table.list))
		library_quiet();
	LIST_INSERT_HEAD(&table.list, library, next);
	pthread_mutex_unlock(&table.lock);
}

static void library_leave(struct vhost_library *library)
{
	pthread_mutex_lock(&table.lock);
	LIST_REMOVE(library, next);
	pthread_mutex_unlock(&table.lock);
}

int vhost_library_register(
	struct vhost_library *library, uint64_t features, char *error, size_t len)
{
	const char *path = library->door.path;
	int ret = vhost_door_make(&library->door, error, len);

	if (ret)
		return ret;
	library->vid = -1;
	library_enter(library);
	ret = rte_vhost_driver_register(path, RTE_VHOST_USER_NET_COMPLIANT_OL_FLAGS);
	if (ret) {
		ret = port_fail(error, len, ENOSPC, "the vhost library takes no more sockets");
		goto remove;
	}
	ret = library_start(path, features, error, len);
	if (ret)
		goto unregister;
	ret = vhost_door_hide(&library->door);
	if (ret) {
		port_fail(error, len, -ret, "%s: %s", path, strerror(-ret));
		goto unregister;
	}
	return 0;

unregister:
	rte_vhost_driver_unregister(path);
remove:
	library_leave(library);
	vhost_door_remove(&library->door);
	return ret;
}

void vhost_library_unregister(struct vhost_library *library)
{
	library_leave(library);
	rte_vhost_driver_unregister(library->door.path); /* waits for callbacks of this path */
	vhost_door_remove(&library->door);
	pthread_mutex_lock(&table.lock);
	library_set_vid(library, -1);
	pthread_mutex_unlock(&table.lock);
}
