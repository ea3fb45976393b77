/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The vhost library (22.11) can listen and connect, but so that one front end can hurt others:
 * its client retries once a second and corrupts its list when a server hangs up at once; its one
 * events thread blocks on half a message and on answers nobody reads; it leaks descriptors. So
 * the library only serves a private socket, whose name is removed as soon as it is bound. Ferry
 * holds the public path: when a front end is there, Ferry knocks at the private socket and lets
 * messages through a gate (vhost_gate.h). The rings are shared memory, no packet comes this way.
 *
 * A link waits for a front end (front < 0), then both sides are there, then one or both are gone.
 * It waits again when the library has told that its side has ended, so that no two connections of
 * a link overlap there. A front end that goes without its rings ever having come up costs the
 * next one a pause: a loop of bad connections gets little of the events thread.
 *
 * One thread serves the links of all ports, as the library's one events thread does behind it; so
 * it is process-wide too, and lives while a link does.
 *
 * Locks: hub.lock guards all of a link but what is marked, held over no wait; hub.users_lock is
 * held over start and stop of the thread.
 */
#include "dataplane/vhost_link.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/queue.h>
#include <unistd.h>

#include <rte_lcore.h>

#include "dataplane/clock.h"
#include "dataplane/port_impl.h"
#include "dataplane/vhost_gate.h"
#include "dataplane/vhost_library.h"
#include "dataplane/vhost_socket.h"

#define LINK_RETRY_MS 10
#define LINK_RETRY_MAX_MS 100
#define LINK_EAGER_MS 2000 /* retry at the short interval for so long */
#define LINK_SLACK_MS 2 /* what is due so soon is done now: fewer wake-ups */
#define LINK_USELESS_MAX 8 /* useless connections in a row before the pause */
#define LINK_ERROR_LEN 128
#define HUB_EVENTS 32

/* A descriptor in the epoll set, with the events it is there for (0: not in the set). */
struct link_watch {
	int fd;
	uint32_t events;
};

enum link_side { SIDE_LISTENER, SIDE_FRONT, SIDE_BACK, SIDE_COUNT };

struct vhost_link {
	LIST_ENTRY(vhost_link) next;
	struct vhost_link_params params;
	struct vhost_socket socket; /* the public path */
	struct vhost_library library; /* the connection to it */
	struct vhost_gate gate;
	struct link_watch watch[SIDE_COUNT];
	bool engaged; /* the library may know the connection */
	bool ended; /* it let go of it; the links' thread has not seen that yet */
	bool served; /* atomic; rings came up on this connection */
	unsigned int useless; /* connections in a row that did not serve */
	uint64_t since_ms, next_ms; /* waiting began; try not before */
	uint64_t connects, resyncs; /* atomic */
	uint64_t connected_at_ns; /* atomic; the last one */
	char error[LINK_ERROR_LEN];
};

static struct vhost_hub {
	pthread_mutex_t users_lock;
	pthread_mutex_t lock;
	pthread_cond_t idle; /* `calling`, or a link's `engaged`, changed */
	unsigned int users;
	pthread_t thread;
	int epoll, wake;
	bool stop; /* under lock */
	struct vhost_link *calling; /* whose status() runs on the links' thread */
	LIST_HEAD(, vhost_link) links;
} hub = {
	.users_lock = PTHREAD_MUTEX_INITIALIZER,
	.lock = PTHREAD_MUTEX_INITIALIZER,
	.idle = PTHREAD_COND_INITIALIZER,
};

static void hub_wake(void)
{
	eventfd_write(hub.wake, 1);
}

/* Callbacks of the library; see vhost_library.h. */

static void link_ended(void *owner)
{
	struct vhost_link *link = owner;

	link->params.ops->gone(link->params.owner);
	pthread_mutex_lock(&hub.lock);
	link->engaged = false;
	link->ended = true;
	pthread_cond_broadcast(&hub.idle);
	hub_wake(); /* under the lock: after it, link and thread may go */
	pthread_mutex_unlock(&hub.lock);
}

static void link_up(void *owner, int vid, uint64_t features)
{
	struct vhost_link *link = owner;
	unsigned int resyncs = vhost_guard_resyncs(&link->gate.guard, vid);

	__atomic_store_n(&link->served, true, __ATOMIC_RELAXED);
	__atomic_add_fetch(&link->resyncs, resyncs, __ATOMIC_RELAXED);
	link->params.ops->up(link->params.owner, vid, features);
}

static void link_down(void *owner, int vid)
{
	struct vhost_link *link = owner;

	link->params.ops->down(link->params.owner, vid);
}

static void link_ring(void *owner, int vid, uint16_t ring, bool ready)
{
	struct vhost_link *link = owner;

	link->params.ops->ring(link->params.owner, vid, ring, ready);
}

static void link_features(void *owner, uint64_t features)
{
	struct vhost_link *link = owner;

	link->params.ops->features(link->params.owner, features);
}

static const struct vhost_library_ops link_library_ops = {
	.ended = link_ended,
	.up = link_up,
	.down = link_down,
	.ring = link_ring,
	.features = link_features,
};

/* The links' thread. All under hub.lock. */

/* A changed error line is told once, outside the lock: the link may not go, others may. */
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

static bool link_waits(const struct vhost_link *link)
{
	return link->gate.front < 0 && link->gate.back < 0 && !link->engaged;
}

static void link_watch(struct vhost_link *link, enum link_side side, int fd, uint32_t events)
{
	struct link_watch *w = &link->watch[side];
	struct epoll_event event = {.events = events, .data.ptr = link};
	bool same = w->fd == fd && w->events;

	if (same && w->events == events)
		return;
	if (same)
		epoll_ctl(hub.epoll, events ? EPOLL_CTL_MOD : EPOLL_CTL_DEL, fd, &event);
	else if (events)
		epoll_ctl(hub.epoll, EPOLL_CTL_ADD, fd, &event);
	*w = (struct link_watch){fd, events};
}

/*
 * Keeps the epoll set as the link's state wants it. A closed descriptor has left the set by
 * itself.
 */
static void link_watch_all(struct vhost_link *link, uint64_t now_ms)
{
	const struct vhost_gate *gate = &link->gate;
	bool open = gate->front >= 0;
	bool listens = link->params.server && link_waits(link) && link->next_ms <= now_ms;

	link_watch(link, SIDE_FRONT, gate->front, open ? vhost_gate_front_events(gate) : 0);
	link_watch(link, SIDE_BACK, gate->back, open ? vhost_gate_back_events(gate) : 0);
	link_watch(link, SIDE_LISTENER, link->socket.fd, listens ? EPOLLIN : 0);
}

static void link_close_side(struct vhost_link *link, enum link_side side)
{
	if (side == SIDE_FRONT)
		vhost_gate_close_front(&link->gate);
	else
		vhost_gate_close_back(&link->gate);
	link->watch[side] = (struct link_watch){-1, 0};
}

static void link_wait(struct vhost_link *link, uint64_t now_ms)
{
	link->since_ms = now_ms;
	link->useless = __atomic_load_n(&link->served, __ATOMIC_RELAXED) ? 0 : link->useless + 1;
	link->next_ms = now_ms + (link->useless > LINK_USELESS_MAX ? LINK_RETRY_MAX_MS : 0);
}

static void link_retry_later(struct vhost_link *link, uint64_t now_ms)
{
	bool eager = now_ms - link->since_ms < LINK_EAGER_MS;

	link->next_ms = now_ms + (eager ? LINK_RETRY_MS : LINK_RETRY_MAX_MS);
}

/* A front end, if one is there. */
static void link_take(struct vhost_link *link, uint64_t now_ms)
{
	char error[LINK_ERROR_LEN];
	int front = vhost_socket_take(&link->socket, error, sizeof(error)), back;

	if (front < 0) {
		if (!link->params.server)
			link_retry_later(link, now_ms);
		if (!link->params.server || error[0])
			link_set_error(link, error);
		return;
	}
	back = vhost_library_connect(&link->library);
	if (back < 0) {
		close(front);
		link_retry_later(link, now_ms);
		link_set_error(link, "the vhost library takes no connection");
		return;
	}
	vhost_gate_init(&link->gate, front, back);
	vhost_guard_init(&link->gate.guard, link->params.features, link->params.pairs);
	link->engaged = true;
	__atomic_store_n(&link->served, false, __ATOMIC_RELAXED);
	__atomic_store_n(&link->connected_at_ns, clock_monotonic_ns(NULL), __ATOMIC_RELAXED);
	__atomic_add_fetch(&link->connects, 1, __ATOMIC_RELAXED);
	link_set_error(link, "");
}

/* One side has left, or must. */
static void link_part(struct vhost_link *link, uint64_t now_ms)
{
	link_close_side(link, SIDE_FRONT);
	link_close_side(link, SIDE_BACK);
	if (link->engaged && vhost_library_forget(&link->library)) {
		link->engaged = false;
		link_wait(link, now_ms);
	}
}

static void link_pass(struct vhost_link *link, uint64_t now_ms)
{
	char error[LINK_ERROR_LEN];
	const char *reason;

	if (vhost_gate_run(&link->gate, now_ms, &reason))
		return;
	link_part(link, now_ms);
	if (!reason)
		return;
	snprintf(error, sizeof(error), "front end cut off: %s", reason);
	link_set_error(link, error);
}

static void link_step(struct vhost_link *link, uint64_t now_ms)
{
	if (link->ended) {
		link->ended = false;
		link_part(link, now_ms);
		link_wait(link, now_ms);
	}
	if (link->gate.front >= 0)
		link_pass(link, now_ms);
	else if (link_waits(link) && now_ms + LINK_SLACK_MS >= link->next_ms)
		link_take(link, now_ms);
	link_watch_all(link, now_ms);
}

/* When a link wants to be looked at though nothing happens; UINT64_MAX: never. */
static uint64_t link_due_ms(const struct vhost_link *link)
{
	uint64_t deadline_ms = vhost_gate_deadline_ms(&link->gate);

	if (link_waits(link))
		return link->watch[SIDE_LISTENER].events ? UINT64_MAX : link->next_ms;
	if (link->gate.front >= 0 && deadline_ms)
		return deadline_ms;
	return UINT64_MAX;
}

static int hub_timeout_ms(void)
{
	uint64_t due_ms = UINT64_MAX, now_ms = vhost_socket_now_ms();
	struct vhost_link *link;

	LIST_FOREACH (link, &hub.links, next)
		due_ms = RTE_MIN(due_ms, link_due_ms(link));
	if (due_ms == UINT64_MAX)
		return -1;
	return due_ms > now_ms ? (int)(due_ms - now_ms) : 0;
}

/*
 * Links with an event, with a change told by the library, or due. `events` names links that may
 * have been closed meanwhile: only those in the list count.
 */
static void hub_step(const struct epoll_event *events, int count)
{
	uint64_t now_ms = vhost_socket_now_ms();
	struct vhost_link *link, *next;

	for (link = LIST_FIRST(&hub.links); link; link = next) {
		bool step = link->ended || (link->gate.front < 0 && link->gate.back >= 0) ||
			    link_due_ms(link) <= now_ms + LINK_SLACK_MS;

		for (int i = 0; i < count && !step; i++)
			step = events[i].data.ptr == link;
		if (step)
			link_step(link, now_ms);
		next = LIST_NEXT(link, next);
	}
}

static void *hub_run(void *arg)
{
	struct epoll_event events[HUB_EVENTS];
	eventfd_t value;
	int timeout_ms, n;

	(void)arg;
	pthread_mutex_lock(&hub.lock);
	while (!hub.stop) {
		timeout_ms = hub_timeout_ms();
		pthread_mutex_unlock(&hub.lock);
		n = epoll_wait(hub.epoll, events, HUB_EVENTS, timeout_ms);
		for (int i = 0; i < n; i++)
			if (!events[i].data.ptr)
				eventfd_read(hub.wake, &value);
		pthread_mutex_lock(&hub.lock);
		hub_step(events, n);
	}
	pthread_mutex_unlock(&hub.lock);
	return NULL;
}

static int hub_start(void)
{
	struct epoll_event event = {.events = EPOLLIN};
	int ret;

	hub.stop = false;
	hub.epoll = epoll_create1(EPOLL_CLOEXEC);
	hub.wake = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	ret = hub.epoll < 0 || hub.wake < 0 || epoll_ctl(hub.epoll, EPOLL_CTL_ADD, hub.wake, &event)
		      ? -errno
		      : rte_ctrl_thread_create(&hub.thread, "ferry-vhost", NULL, hub_run, NULL);
	if (ret) {
		close(hub.epoll);
		close(hub.wake);
	}
	return ret;
}

static int hub_get(void)
{
	int ret = 0;

	pthread_mutex_lock(&hub.users_lock);
	if (hub.users == 0)
		ret = hub_start();
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
		close(hub.epoll);
		close(hub.wake);
	}
	pthread_mutex_unlock(&hub.users_lock);
}

/* Into the list, which no two links with one path can be in. */
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
	hub_wake();
	return ret;
}

/* Returns when the library's events thread has let go of the link. */
static void link_leave(struct vhost_link *link)
{
	pthread_mutex_lock(&hub.lock);
	while (hub.calling == link)
		pthread_cond_wait(&hub.idle, &hub.lock);
	LIST_REMOVE(link, next);
	link_watch(link, SIDE_LISTENER, link->socket.fd, 0);
	link_part(link, 0);
	while (link->engaged)
		pthread_cond_wait(&hub.idle, &hub.lock);
	pthread_mutex_unlock(&hub.lock);
}

static struct vhost_link *link_new(const struct vhost_link_params *params)
{
	struct vhost_link *link = calloc(1, sizeof(*link));

	if (!link)
		return NULL;
	link->params = *params;
	link->library.ops = &link_library_ops;
	link->library.owner = link;
	link->served = true; /* nothing to punish yet */
	vhost_gate_init(&link->gate, -1, -1);
	for (int i = 0; i < SIDE_COUNT; i++)
		link->watch[i].fd = -1;
	link_wait(link, vhost_socket_now_ms());
	return link;
}

int vhost_link_open(const struct vhost_link_params *params, struct vhost_link **out, char *error,
	size_t error_len)
{
	struct vhost_link *link = link_new(params);
	int ret = link ? hub_get() : -ENOMEM;

	if (ret) {
		free(link);
		return port_fail(error, error_len, -ret, "%s: %s", params->path, strerror(-ret));
	}
	ret = vhost_library_open(error, error_len);
	if (ret)
		goto put;
	ret = vhost_socket_open(&link->socket, params, error, error_len);
	if (ret)
		goto put;
	/* Once entered, the hub's thread may tell the owner, and the owner asks the link back. */
	*out = link;
	ret = link_enter(link);
	if (ret) {
		port_fail(error, error_len, -ret, "%s: another port has this path", params->path);
		goto close_socket;
	}
	return 0;

close_socket:
	*out = NULL;
	vhost_socket_close(&link->socket);
put:
	hub_put();
	free(link);
	return ret;
}

void vhost_link_close(struct vhost_link *link)
{
	link_leave(link);
	vhost_socket_close(&link->socket);
	hub_put();
	free(link);
}

uint64_t vhost_link_connects(const struct vhost_link *link)
{
	return __atomic_load_n(&link->connects, __ATOMIC_RELAXED);
}

uint64_t vhost_link_connected_ns(const struct vhost_link *link)
{
	uint64_t at_ns = __atomic_load_n(&link->connected_at_ns, __ATOMIC_RELAXED);

	return at_ns ? clock_monotonic_ns(NULL) - at_ns : 0;
}

uint64_t vhost_link_resyncs(const struct vhost_link *link)
{
	return __atomic_load_n(&link->resyncs, __ATOMIC_RELAXED);
}

uint64_t vhost_link_features(const struct vhost_link *link)
{
	return link->params.features;
}

void vhost_link_error(const struct vhost_link *link, char *error, size_t len)
{
	pthread_mutex_lock(&hub.lock);
	snprintf(error, len, "%s", link->error);
	pthread_mutex_unlock(&hub.lock);
}
