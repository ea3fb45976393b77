/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The library serves one private socket for all ports, registered once and for good: registering
 * more of them (22.11) would leave each deaf for up to a second, and taking them away spins
 * against the events thread. The socket's name is removed as soon as it is bound, so that only we
 * can connect.
 *
 * Which connection is whose: the first message on each is ours, a hello with a token, of a type
 * that the library does not know and leaves to library_message(). From there on the library's
 * device number stands for the connection. The callbacks carry that number and nothing of ours:
 * that forces the process-wide table below, which is all that is global here.
 *
 * Locks: start_lock is held over the start, table.lock guards the list; by_vid belongs to the
 * events thread.
 */
#include "dataplane/vhost_library.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <rte_log.h>
#include <rte_vhost.h>

#include "dataplane/port_impl.h"
#include "dataplane/vhost_socket.h"

#define LIBRARY_VIDS_MAX 1024 /* RTE_MAX_VHOST_DEVICE of the library */
#define LIBRARY_START_MS 3000
#define LIBRARY_HELLO 0x46657279u /* a request number that no specification has */
#define LIBRARY_VERSION 1u

/* What the net device needs; no slave channel, whose replies would be waited for. */
#define LIBRARY_PROTOCOL_FEATURES \
	(UINT64_C(1) << 0 /* MQ */ | UINT64_C(1) << 1 /* LOG_SHMFD */ | \
		UINT64_C(1) << 2 /* RARP */ | UINT64_C(1) << 3 /* REPLY_ACK */ | \
		UINT64_C(1) << 4 /* NET_MTU */ | UINT64_C(1) << 16 /* STATUS */)

/* How a vhost-user message begins, in the library's context too. */
struct library_hello {
	uint32_t request, flags, size;
	uint64_t token;
} __attribute__((packed));

static struct {
	pthread_mutex_t start_lock, lock;
	bool started; /* under start_lock */
	struct vhost_door door; /* constant once started */
	uint64_t tokens; /* given out */
	LIST_HEAD(, vhost_library) connecting;
	struct vhost_library *by_vid[LIBRARY_VIDS_MAX];
} table = {.start_lock = PTHREAD_MUTEX_INITIALIZER, .lock = PTHREAD_MUTEX_INITIALIZER};

static struct vhost_library *library_by_vid(int vid)
{
	return vid >= 0 && vid < LIBRARY_VIDS_MAX ? table.by_vid[vid] : NULL;
}

/* Takes the connection with this token off the list; NULL: forgotten. */
static struct vhost_library *library_take(uint64_t token)
{
	struct vhost_library *library;

	pthread_mutex_lock(&table.lock);
	LIST_FOREACH (library, &table.connecting, next)
		if (library->token == token)
			break;
	if (library) {
		LIST_REMOVE(library, next);
		library->token = 0;
	}
	pthread_mutex_unlock(&table.lock);
	return library;
}

static enum rte_vhost_msg_result library_message(int vid, void *msg)
{
	const struct library_hello *hello = msg;

	if (table.by_vid[vid])
		return RTE_VHOST_MSG_RESULT_NOT_HANDLED;
	if (hello->request == LIBRARY_HELLO && hello->size == sizeof(hello->token))
		table.by_vid[vid] = library_take(hello->token);
	return table.by_vid[vid] ? RTE_VHOST_MSG_RESULT_OK : RTE_VHOST_MSG_RESULT_ERR;
}

static const struct rte_vhost_user_extern_ops library_extern_ops = {
	.pre_msg_handle = library_message,
};

static int library_new_connection(int vid)
{
	if (vid >= LIBRARY_VIDS_MAX)
		return -1;
	table.by_vid[vid] = NULL;
	return rte_vhost_extern_callback_register(vid, &library_extern_ops, NULL);
}

static void library_destroy_connection(int vid)
{
	struct vhost_library *library = library_by_vid(vid);

	if (!library)
		return;
	table.by_vid[vid] = NULL;
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

/* All ports offer part of PORT_FEATURES, each port's gate says which. */
static int library_register(const char *path, char *error, size_t len)
{
	uint64_t known = 0;

	if (rte_vhost_driver_register(path, RTE_VHOST_USER_NET_COMPLIANT_OL_FLAGS) ||
		rte_vhost_driver_get_features(path, &known))
		return port_fail(error, len, EIO, "the vhost library does not register");
	if (PORT_FEATURES & ~known)
		return port_fail(error, len, EINVAL, "virtio features unknown to the library: %#jx",
			(uintmax_t)(PORT_FEATURES & ~known));
	if (rte_vhost_driver_disable_features(path, known & ~PORT_FEATURES) ||
		rte_vhost_driver_set_protocol_features(path, LIBRARY_PROTOCOL_FEATURES) ||
		rte_vhost_driver_callback_register(path, &library_callbacks) ||
		rte_vhost_driver_start(path))
		return port_fail(error, len, EIO, "the vhost library does not start");
	return 0;
}

/* The events thread may be in a poll() that began before its socket was there: up to a second. */
static int library_await(void)
{
	const struct library_hello nobody = {LIBRARY_HELLO, LIBRARY_VERSION, 8, 0};
	struct pollfd pfd = {.fd = vhost_door_knock(&table.door), .events = POLLIN};
	int ret = -EIO;

	if (pfd.fd < 0)
		return -errno;
	if (send(pfd.fd, &nobody, sizeof(nobody), MSG_NOSIGNAL) == sizeof(nobody))
		ret = poll(&pfd, 1, LIBRARY_START_MS) == 1 ? 0 : -ETIMEDOUT;
	close(pfd.fd);
	return ret;
}

static int library_start(char *error, size_t len)
{
	int ret = vhost_door_make(&table.door, error, len);

	if (ret)
		return ret;
	/* Guests can drive the library's lines: only what is fatal to it, until told otherwise. */
	rte_log_set_level_pattern("lib.vhost.*", RTE_LOG_CRIT);
	ret = library_register(table.door.path, error, len);
	if (ret)
		goto unregister;
	ret = vhost_door_hide(&table.door);
	if (!ret)
		ret = library_await();
	if (!ret)
		return 0;
	port_fail(error, len, -ret, "the vhost library does not answer: %s", strerror(-ret));

unregister:
	rte_vhost_driver_unregister(table.door.path);
	vhost_door_remove(&table.door);
	return ret;
}

int vhost_library_open(char *error, size_t len)
{
	int ret = 0;

	pthread_mutex_lock(&table.start_lock);
	if (!table.started)
		ret = library_start(error, len);
	table.started = ret == 0;
	pthread_mutex_unlock(&table.start_lock);
	return ret;
}

void vhost_library_close(void)
{
	pthread_mutex_lock(&table.start_lock);
	if (table.started) {
		rte_vhost_driver_unregister(table.door.path); /* waits for a callback that runs */
		vhost_door_remove(&table.door);
	}
	table.started = false;
	pthread_mutex_unlock(&table.start_lock);
}

int vhost_library_connect(struct vhost_library *library)
{
	struct library_hello hello = {LIBRARY_HELLO, LIBRARY_VERSION, sizeof(hello.token), 0};
	int fd = vhost_door_knock(&table.door);

	if (fd < 0)
		return -1;
	pthread_mutex_lock(&table.lock);
	library->token = ++table.tokens;
	LIST_INSERT_HEAD(&table.connecting, library, next);
	pthread_mutex_unlock(&table.lock);
	hello.token = library->token;
	if (send(fd, &hello, sizeof(hello), MSG_NOSIGNAL) == sizeof(hello))
		return fd;
	vhost_library_forget(library);
	close(fd);
	return -1;
}

bool vhost_library_forget(struct vhost_library *library)
{
	bool forgotten;

	pthread_mutex_lock(&table.lock);
	forgotten = library->token != 0;
	if (forgotten)
		LIST_REMOVE(library, next);
	library->token = 0;
	pthread_mutex_unlock(&table.lock);
	return forgotten;
}
