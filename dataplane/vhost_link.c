/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The vhost library (22.11) can listen and connect, but in a way that lets one front end hurt others: its
 * client retries once a second and corrupts its list when a server hangs up at once; its one events thread
 * blocks in read() and sendmsg() on a half message or a peer that does not read; it keeps each
 * descriptor to itself, so no time limit can be set from outside. So the library only ever serves a
 * private socket, whose name is removed as soon as it is bound. Ferry holds the public path: when a
 * front end is there, Ferry knocks at the private socket, and inside new_connection() (events thread,
 * descriptor not yet watched) puts the front end's connection in the place of the knock with dup2(). From
 * then on library and front end speak directly, with no hop and no copy between.
 *
 * A link's states: WAIT (for a front end) -> HANDING (knocked) -> CONNECTED -> WAIT. A front end that
 * goes without its rings ever having come up costs the next one a pause, so that a loop of bad
 * connections cannot keep the events thread busy.
 *
 * The library's callbacks carry a device number or a private path and nothing of ours: that forces the
 * process-wide table below. It holds what is needed to find the link and the links' thread, nothing more.
 *
 * Locks: hub.lock guards states and the list, held over no wait; hub.users_lock is held over start and stop
 * of the thread. by_vid is written under hub.lock and read by the events thread without it.
 */
#include "dataplane/vhost_link.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/queue.h>
#include <unistd.h>

#include <rte_lcore.h>
#include <rte_log.h>
#include <rte_vhost.h>

#include "dataplane/port_impl.h"
#include "dataplane/vhost_guard.h"
#include "dataplane/vhost_socket.h"

#define LINK_VIDS_MAX 1024 /* RTE_MAX_VHOST_DEVICE of the library */
#define LINK_RETRY_MS 10
#define LINK_RETRY_MAX_MS 100
#define LINK_EAGER_MS 2000 /* retry at the short interval for so long */
#define LINK_SLACK_MS 2 /* what is due so soon is done now: fewer wake-ups */
#define LINK_USELESS_MAX 8 /* useless connections in a row before the pause */
#define LINK_ERROR_LEN 128

/* What the net device needs; no slave channel, whose replies would be waited for. */
#define LINK_PROTOCOL_FEATURES \
	(UINT64_C(1) << 0 /* MQ */ | UINT64_C(1) << 1 /* LOG_SHMFD */ | \
		UINT64_C(1) << 2 /* RARP */ | UINT64_C(1) << 3 /* REPLY_ACK */ | \
		UINT64_C(1) << 4 /* NET_MTU */ | UINT64_C(1) << 16 /* STATUS */)

enum link_state { LINK_WAIT, LINK_HANDING, LINK_CONNECTED };

struct vhost_link {
	LIST_ENTRY(vhost_link) next;
	struct vhost_link_params params;
	struct vhost_socket socket; /* the public path */
	struct vhost_door door; /* the library's private socket */
	struct vhost_guard guard;
	enum link_state state;
	int knock; /* our end of the private connection while HANDING */
	int front; /* the front end's connection while HANDING */
	int vid; /* while CONNECTED */
	bool served; /* rings came up on this connection */
	unsigned int useless; /* connections in a row that did not serve */
	uint64_t since_ms, next_ms; /* WAIT began; try not before */
	uint64_t connects, resyncs; /* atomic */
	uint64_t features;
	char error[LINK_ERROR_LEN];
};

static struct vhost_hub {
	pthread_mutex_t users_lock;
	pthread_mutex_t lock;
	pthread_cond_t idle; /* `calling` changed */
	unsigned int users;
	pthread_t thread;
	int wake;
	bool stop; /* under lock */
	struct vhost_link *calling; /* whose status() runs on the links' thread */
	LIST_HEAD(, vhost_link) links;
	struct vhost_link *by_vid[LINK_VIDS_MAX];
} hub = {
	.users_lock = PTHREAD_MUTEX_INITIALIZER,
	.lock = PTHREAD_MUTEX_INITIALIZER,
	.idle = PTHREAD_COND_INITIALIZER,
};

static void hub_wake(void)
{
	eventfd_write(hub.wake, 1);
}

static struct vhost_link *link_by_vid(int vid)
{
	return vid >= 0 && vid < LINK_VIDS_MAX ? __atomic_load_n(&hub.by_vid[vid], __ATOMIC_ACQUIRE)
					       : NULL;
}

/* Under hub.lock. */
static struct vhost_link *link_by_door(const char *path)
{
	struct vhost_link *link;

	LIST_FOREACH (link, &hub.links, next)
		if (!strcmp(link->door.path, path))
			return link;
	return NULL;
}

/* Under hub.lock. */
static void link_wait(struct vhost_link *link, uint64_t now_ms)
{
	link->state = LINK_WAIT;
	link->since_ms = now_ms;
	link->useless = link->served ? 0 : link->useless + 1;
	link->next_ms = now_ms + (link->useless > LINK_USELESS_MAX ? LINK_RETRY_MAX_MS : 0);
}

/*
 * Callbacks of the library, all on its events thread, except that destroy_device may come from
 * vhost_link_close().
 */
static int events_new_connection(int vid)
{
	char path[VHOST_DOOR_PATH_MAX];
	struct vhost_link *link = NULL;
	int fd = -1;

	if (vid >= LINK_VIDS_MAX || rte_vhost_get_ifname(vid, path, sizeof(path)))
		return -1;
	pthread_mutex_lock(&hub.lock);
	link = link_by_door(path);
	if (link && link->state == LINK_HANDING)
		fd = vhost_door_replace(&link->door, link->front);
	if (fd >= 0) {
		close(link->front);
		close(link->knock);
		link->state = LINK_CONNECTED;
		link->vid = vid;
		link->served = false;
		link->guard = (struct vhost_guard){.fd = fd, .rings = 2 * link->params.pairs};
		__atomic_add_fetch(&link->connects, 1, __ATOMIC_RELAXED);
		__atomic_store_n(&hub.by_vid[vid], link, __ATOMIC_RELEASE);
	}
	pthread_mutex_unlock(&hub.lock);
	return fd < 0 ? -1 : 0;
}

static enum rte_vhost_msg_result events_message(int vid, void *msg)
{
	struct vhost_link *link = link_by_vid(vid);

	return link ? vhost_guard_check(&link->guard, msg) : RTE_VHOST_MSG_RESULT_NOT_HANDLED;
}

static const struct rte_vhost_user_extern_ops events_extern_ops = {
	.pre_msg_handle = events_message,
};

static int events_connected(int vid)
{
	if (events_new_connection(vid))
		return -1;
	return rte_vhost_extern_callback_register(vid, &events_extern_ops, NULL);
}

static void events_destroy_connection(int vid)
{
	struct vhost_link *link = link_by_vid(vid);

	if (!link)
		return;
	link->params.ops->gone(link->params.owner);
	pthread_mutex_lock(&hub.lock);
	__atomic_store_n(&hub.by_vid[vid], NULL, __ATOMIC_RELEASE);
	link->vid = -1;
	link_wait(link, vhost_socket_now_ms());
	pthread_mutex_unlock(&hub.lock);
	hub_wake();
}

static int events_new_device(int vid)
{
	struct vhost_link *link = link_by_vid(vid);
	uint64_t features = 0;

	if (!link || rte_vhost_get_negotiated_features(vid, &features))
		return -1;
	link->served = true;
	__atomic_add_fetch(
		&link->resyncs, vhost_guard_resyncs(&link->guard, vid), __ATOMIC_RELAXED);
	link->params.ops->up(link->params.owner, vid, features);
	return 0;
}

static void events_destroy_device(int vid)
{
	struct vhost_link *link = link_by_vid(vid);

	if (link)
		link->params.ops->down(link->params.owner, vid);
}

static int events_ring(int vid, uint16_t ring, int ready)
{
	struct vhost_link *link = link_by_vid(vid);

	if (link)
		link->params.ops->ring(link->params.owner, vid, ring, ready != 0);
	return 0;
}

static int events_features(int vid, uint64_t features)
{
	struct vhost_link *link = link_by_vid(vid);

	if (link)
		link->params.ops->features(link->params.owner, features);
	return 0;
}

static const struct rte_vhost_device_ops events_ops = {
	.new_connection = events_connected,
	.destroy_connection = events_destroy_connection,
	.new_device = events_new_device,
	.destroy_device = events_destroy_device,
	.vring_state_changed = events_ring,
	.features_changed = events_features,
};

/* The links' thread. All under hub.lock unless said otherwise. */

/* A changed error line is told once, outside the lock. */
static void link_set_error(struct vhost_link *link, const char *error)
{
	if (!strcmp(link->error, error))
		return;
	snprintf(link->error, sizeof(link->error), "%s", error);
	hub.calling = link;
	pthread_mutex_unlock(&hub.lock);
	link->params.ops->status(link->params.owner);
	pthread_mutex_lock(&hub.lock);
	hub.calling = NULL;
	pthread_cond_broadcast(&hub.idle);
}

static void link_retry_later(struct vhost_link *link, uint64_t now_ms)
{
	bool eager = now_ms - link->since_ms < LINK_EAGER_MS;

	link->next_ms = now_ms + (eager ? LINK_RETRY_MS : LINK_RETRY_MAX_MS);
}

static void link_hand_over(struct vhost_link *link, int front, uint64_t now_ms)
{
	link->front = front;
	link->knock = vhost_door_knock(&link->door);
	if (link->knock >= 0) {
		link->state = LINK_HANDING;
		return;
	}
	close(front);
	link_retry_later(link, now_ms);
}

/* The library hung up on the knock: no more devices or memory. The front end sees its connection close. */
static void link_check_knock(struct vhost_link *link, uint64_t now_ms)
{
	if (!vhost_door_hung_up(link->knock))
		return;
	close(link->knock);
	close(link->front);
	link->served = false;
	link_wait(link, now_ms);
	link_retry_later(link, now_ms);
}

static void link_step(struct vhost_link *link, uint64_t now_ms)
{
	char error[LINK_ERROR_LEN] = "";
	int fd;

	if (link->state == LINK_HANDING)
		link_check_knock(link, now_ms);
	if (link->state != LINK_WAIT || now_ms + LINK_SLACK_MS < link->next_ms)
		return;
	fd = vhost_socket_take(&link->socket, error, sizeof(error));
	if (fd >= 0)
		link_hand_over(link, fd, now_ms);
	else if (!link->params.server)
		link_retry_later(link, now_ms);
	link_set_error(link, error);
}

/*
 * What to sleep on: a listener only while it may be served. Returns the count; *timeout_ms is when the
 * next link is due.
 */
static nfds_t hub_collect(struct pollfd *fds, nfds_t max, int *timeout_ms)
{
	uint64_t now_ms = vhost_socket_now_ms(), due_ms = UINT64_MAX;
	struct vhost_link *link;
	nfds_t n = 0;

	fds[n++] = (struct pollfd){.fd = hub.wake, .events = POLLIN};
	LIST_FOREACH (link, &hub.links, next) {
		bool wait = link->state == LINK_WAIT;
		bool listening = wait && link->params.server && link->next_ms <= now_ms;

		if (wait && !listening)
			due_ms = RTE_MIN(due_ms, link->next_ms);
		if (listening && n < max)
			fds[n++] = (struct pollfd){.fd = link->socket.fd, .events = POLLIN};
		if (link->state == LINK_HANDING && n < max)
			fds[n++] = (struct pollfd){.fd = link->knock, .events = POLLIN};
	}
	*timeout_ms = due_ms == UINT64_MAX ? -1 : due_ms > now_ms ? (int)(due_ms - now_ms) : 0;
	return n;
}

static void hub_step_all(void)
{
	uint64_t now_ms = vhost_socket_now_ms();
	struct vhost_link *link, *next;

	/* link_set_error() lets go of the lock: `next` may leave the list, `link` may not. */
	for (link = LIST_FIRST(&hub.links); link; link = next) {
		link_step(link, now_ms);
		next = LIST_NEXT(link, next);
	}
}

static void *hub_run(void *arg)
{
	struct pollfd fds[1 + LINK_VIDS_MAX];
	eventfd_t value;
	int timeout_ms;
	nfds_t n;

	(void)arg;
	pthread_mutex_lock(&hub.lock);
	while (!hub.stop) {
		n = hub_collect(fds, RTE_DIM(fds), &timeout_ms);
		pthread_mutex_unlock(&hub.lock);
		poll(fds, n, timeout_ms);
		if (fds[0].revents)
			eventfd_read(hub.wake, &value);
		pthread_mutex_lock(&hub.lock);
		hub_step_all();
	}
	pthread_mutex_unlock(&hub.lock);
	return NULL;
}

/* The library's logs can be driven by guests, line by line: only what is fatal to it, until asked for. */
static void hub_quiet_library(void)
{
	rte_log_set_level_pattern("lib.vhost.*", RTE_LOG_CRIT);
}

static int hub_get(void)
{
	int ret = 0;

	pthread_mutex_lock(&hub.users_lock);
	if (hub.users == 0) {
		hub_quiet_library();
		hub.stop = false;
		hub.wake = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
		ret = hub.wake < 0 ? -errno
				   : rte_ctrl_thread_create(
					     &hub.thread, "ferry-vhost", NULL, hub_run, NULL);
		if (ret && hub.wake >= 0)
			close(hub.wake);
	}
	if (!ret)
		hub.users++;
	pthread_mutex_unlock(&hub.users_lock);
	return ret;
}

static void hub_put(void)
{
	pthread_mutex_lock(&hub.users_lock);
	if (--hub.users == 0) {
		pthread_mutex_lock(&hub.lock);
		hub.stop = true;
		pthread_mutex_unlock(&hub.lock);
		hub_wake();
		pthread_join(hub.thread, NULL);
		close(hub.wake);
	}
	pthread_mutex_unlock(&hub.users_lock);
}

/* Under no lock: registers the private socket with the library. */
static int link_register(struct vhost_link *link, char *error, size_t len)
{
	const char *path = link->door.path;
	uint64_t known = 0;
	int ret;

	if (rte_vhost_driver_register(path, RTE_VHOST_USER_NET_COMPLIANT_OL_FLAGS))
		return port_fail(error, len, ENOSPC, "the vhost library takes no more sockets");
	rte_vhost_driver_get_features(path, &known);
	if (link->params.features & ~known) {
		ret = port_fail(error, len, EINVAL, "virtio features unknown to the library: %#jx",
			(uintmax_t)(link->params.features & ~known));
		goto unregister;
	}
	if (rte_vhost_driver_disable_features(path, known & ~link->params.features) ||
		rte_vhost_driver_set_protocol_features(path, LINK_PROTOCOL_FEATURES) ||
		rte_vhost_driver_callback_register(path, &events_ops) ||
		rte_vhost_driver_start(path)) {
		ret = port_fail(error, len, EIO, "the vhost library does not start");
		goto unregister;
	}
	return 0;

unregister:
	rte_vhost_driver_unregister(path);
	return ret;
}

/* Takes the list's place for the path, so that no second link can have it. */
static int link_enter(struct vhost_link *link)
{
	struct vhost_link *other;
	int ret = 0;

	pthread_mutex_lock(&hub.lock);
	LIST_FOREACH (other, &hub.links, next)
		if (!strcmp(other->socket.path, link->socket.path))
			ret = -EEXIST;
	if (!ret)
		LIST_INSERT_HEAD(&hub.links, link, next);
	pthread_mutex_unlock(&hub.lock);
	return ret;
}

static void link_leave(struct vhost_link *link)
{
	pthread_mutex_lock(&hub.lock);
	while (hub.calling == link)
		pthread_cond_wait(&hub.idle, &hub.lock);
	LIST_REMOVE(link, next);
	if (link->state == LINK_HANDING) {
		close(link->knock);
		close(link->front);
		link->state = LINK_WAIT;
	}
	pthread_mutex_unlock(&hub.lock);
}

int vhost_link_open(const struct vhost_link_params *params, struct vhost_link **out, char *error,
	size_t error_len)
{
	struct vhost_link *link = calloc(1, sizeof(*link));
	int ret = link ? hub_get() : -ENOMEM;

	if (ret) {
		free(link);
		return port_fail(error, error_len, -ret, "%s: %s", params->path, strerror(-ret));
	}
	link->params = *params;
	link->vid = -1;
	link->served = true;
	link->features = params->features;
	ret = vhost_door_make(&link->door, error, error_len);
	if (ret)
		goto put;
	ret = link_register(link, error, error_len);
	if (ret)
		goto remove_door;
	ret = vhost_door_hide(&link->door);
	if (ret) {
		port_fail(error, error_len, -ret, "private socket: %s", strerror(-ret));
		goto unregister;
	}
	ret = vhost_socket_open(&link->socket, params, error, error_len);
	if (ret)
		goto unregister;
	link_wait(link, vhost_socket_now_ms());
	ret = link_enter(link);
	if (ret) {
		port_fail(error, error_len, -ret, "%s: another port has this path", params->path);
		goto close_socket;
	}
	hub_wake();
	*out = link;
	return 0;

close_socket:
	vhost_socket_close(&link->socket);
unregister:
	rte_vhost_driver_unregister(link->door.path);
remove_door:
	vhost_door_remove(&link->door);
put:
	hub_put();
	free(link);
	return ret;
}

void vhost_link_close(struct vhost_link *link)
{
	int vid;

	link_leave(link);
	rte_vhost_driver_unregister(link->door.path); /* waits for callbacks of this path */
	vhost_door_remove(&link->door);
	vhost_socket_close(&link->socket);
	pthread_mutex_lock(&hub.lock);
	vid = link->vid;
	/* The number may be another link's by now. */
	if (vid >= 0 && hub.by_vid[vid] == link)
		__atomic_store_n(&hub.by_vid[vid], NULL, __ATOMIC_RELEASE);
	pthread_mutex_unlock(&hub.lock);
	hub_put();
	free(link);
}

uint64_t vhost_link_connects(const struct vhost_link *link)
{
	return __atomic_load_n(&link->connects, __ATOMIC_RELAXED);
}

uint64_t vhost_link_resyncs(const struct vhost_link *link)
{
	return __atomic_load_n(&link->resyncs, __ATOMIC_RELAXED);
}

uint64_t vhost_link_features(const struct vhost_link *link)
{
	return link->features;
}

void vhost_link_error(const struct vhost_link *link, char *error, size_t len)
{
	pthread_mutex_lock(&hub.lock);
	snprintf(error, len, "%s", link->error);
	pthread_mutex_unlock(&hub.lock);
}
