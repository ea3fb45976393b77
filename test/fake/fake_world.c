/* SPDX-License-Identifier: BSD-3-Clause */
#include <arpa/inet.h>
#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "test/fake/fake_wire_impl.h"

#define NS_PER_S 1000000000u
/* A cancel comes from outside of the world: how often, in real time, a wait looks for it. */
#define CANCEL_LOOK_NS 2000000

struct fake_world *fake_world_new(int64_t wall_s)
{
	struct fake_world *world = calloc(1, sizeof(*world));

	assert(world != NULL);
	pthread_mutex_init(&world->lock, NULL);
	pthread_cond_init(&world->changed, NULL);
	world->now_ns = NS_PER_S;
	world->wall_offset_s = wall_s - 1;
	return world;
}

void fake_world_free(struct fake_world *world)
{
	struct fake_listener *listener;
	struct fake_view *view;

	assert(world->n_waiters == 0);
	while ((listener = LIST_FIRST(&world->listeners)) != NULL) {
		LIST_REMOVE(listener, entry);
		free(listener);
	}
	while ((view = LIST_FIRST(&world->views)) != NULL) {
		LIST_REMOVE(view, entry);
		free(view);
	}
	pthread_cond_destroy(&world->changed);
	pthread_mutex_destroy(&world->lock);
	free(world);
}

static bool waiter_is_met(const struct fake_world *world, const struct fake_waiter *waiter)
{
	if (channel_cancel_is_set(waiter->cancel) || world->now_ns >= waiter->deadline_ns)
		return true;
	return waiter->end != NULL && (fake_end_ready(waiter->end) & waiter->want) != 0;
}

/* Everybody waits and nobody can go on: on to the next moment at which somebody can. */
static void world_try_advance(struct fake_world *world)
{
	uint64_t next_ns = UINT64_MAX, due_ns;
	const struct fake_waiter *waiter;

	if (world->n_waiters == 0 || world->n_waiters < world->n_threads)
		return;
	LIST_FOREACH (waiter, &world->waiters, entry) {
		if (waiter_is_met(world, waiter))
			return;
		due_ns = waiter->deadline_ns;
		if (waiter->end != NULL && fake_end_due_ns(waiter->end) < due_ns)
			due_ns = fake_end_due_ns(waiter->end);
		if (due_ns < next_ns)
			next_ns = due_ns;
	}
	if (next_ns <= world->now_ns || next_ns == UINT64_MAX)
		return;
	world->now_ns = next_ns;
	pthread_cond_broadcast(&world->changed);
}

static void world_look_later(struct fake_world *world)
{
	struct timespec until;

	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_nsec += CANCEL_LOOK_NS;
	if (until.tv_nsec >= (long)NS_PER_S) {
		until.tv_nsec -= NS_PER_S;
		until.tv_sec++;
	}
	pthread_cond_timedwait(&world->changed, &world->lock, &until);
}

int fake_world_wait(struct fake_world *world, const struct fake_waiter *how)
{
	struct fake_waiter waiter = *how;
	unsigned ready;
	int ret;

	pthread_mutex_lock(&world->lock);
	LIST_INSERT_HEAD(&world->waiters, &waiter, entry);
	world->n_waiters++;
	world_try_advance(world);
	while (!waiter_is_met(world, &waiter))
		world_look_later(world);
	LIST_REMOVE(&waiter, entry);
	world->n_waiters--;
	ready = waiter.end == NULL ? 0 : fake_end_ready(waiter.end) & waiter.want;
	if (channel_cancel_is_set(waiter.cancel))
		ret = -ECANCELED;
	else
		ret = ready != 0 ? (int)ready : -ETIMEDOUT;
	pthread_mutex_unlock(&world->lock);
	return ret;
}

void fake_world_join(struct fake_world *world)
{
	pthread_mutex_lock(&world->lock);
	world->n_threads++;
	pthread_mutex_unlock(&world->lock);
}

void fake_world_leave(struct fake_world *world)
{
	pthread_mutex_lock(&world->lock);
	assert(world->n_threads > 0);
	world->n_threads--;
	world_try_advance(world);
	pthread_mutex_unlock(&world->lock);
}

uint64_t fake_world_now_ns(struct fake_world *world)
{
	uint64_t now_ns;

	pthread_mutex_lock(&world->lock);
	now_ns = world->now_ns;
	pthread_mutex_unlock(&world->lock);
	return now_ns;
}

void fake_world_advance(struct fake_world *world, uint64_t by_ns)
{
	pthread_mutex_lock(&world->lock);
	world->now_ns += by_ns;
	pthread_cond_broadcast(&world->changed);
	pthread_mutex_unlock(&world->lock);
}

void fake_world_set_wall(struct fake_world *world, int64_t wall_s)
{
	pthread_mutex_lock(&world->lock);
	world->wall_offset_s = wall_s - (int64_t)(world->now_ns / NS_PER_S);
	pthread_mutex_unlock(&world->lock);
}

void fake_world_sleep_until(struct fake_world *world, uint64_t until_ns)
{
	const struct fake_waiter how = {.deadline_ns = until_ns};

	fake_world_wait(world, &how);
}

static uint64_t view_now_ns(void *ctx)
{
	struct fake_view *view = ctx;

	return fake_world_now_ns(view->world);
}

static int64_t view_wall_s(void *ctx)
{
	const struct fake_view *view = ctx;
	struct fake_world *world = view->world;
	int64_t wall_s;

	pthread_mutex_lock(&world->lock);
	wall_s = view->ahead_s + world->wall_offset_s + (int64_t)(world->now_ns / NS_PER_S);
	pthread_mutex_unlock(&world->lock);
	return wall_s;
}

static struct fake_listener *listener_find(
	struct fake_world *world, const struct in6_addr *address, uint16_t port)
{
	struct fake_listener *found;

	pthread_mutex_lock(&world->lock);
	LIST_FOREACH (found, &world->listeners, entry) {
		if (IN6_ARE_ADDR_EQUAL(&found->address, address) && found->port == port)
			break;
	}
	pthread_mutex_unlock(&world->lock);
	return found;
}

static int view_connect(void *ctx, const struct channel_endpoint *to, uint64_t deadline_ns,
	const struct channel_cancel *cancel, struct channel_io *io)
{
	struct fake_view *view = ctx;
	const struct fake_listener *listener = listener_find(view->world, &to->address, to->port);
	const struct fake_ends ends = {
		.client = view->address, .server = to->address, .is_local = true};
	struct channel_io client, server;
	struct fake_wire *wire;
	int ret;

	if (channel_cancel_is_set(cancel))
		return -ECANCELED;
	if (listener == NULL)
		return -ECONNREFUSED;
	wire = fake_wire_pair(view->world, &ends, &client, &server);
	ret = listener->accept(listener->ctx, wire, &server);
	fake_wire_put(wire);
	if (ret == 0) {
		*io = client;
		return 0;
	}
	client.ops->close(client.ctx);
	server.ops->close(server.ctx);
	if (ret == -ETIMEDOUT)
		fake_world_sleep_until(view->world, deadline_ns);
	return ret;
}

static const struct channel_world_ops view_ops = {
	.now_ns = view_now_ns,
	.wall_s = view_wall_s,
	.connect = view_connect,
};

const struct channel_world *fake_world_host(
	struct fake_world *world, const struct in6_addr *address)
{
	struct fake_view *view = calloc(1, sizeof(*view));

	assert(view != NULL);
	view->world = world;
	view->address = *address;
	view->channel_world = (struct channel_world){.ops = &view_ops, .ctx = view};
	pthread_mutex_lock(&world->lock);
	LIST_INSERT_HEAD(&world->views, view, entry);
	pthread_mutex_unlock(&world->lock);
	return &view->channel_world;
}

void fake_world_host_set_ahead(const struct channel_world *host, int64_t ahead_s)
{
	struct fake_view *view = host->ctx;

	pthread_mutex_lock(&view->world->lock);
	view->ahead_s = ahead_s;
	pthread_mutex_unlock(&view->world->lock);
}

int fake_world_listen(struct fake_world *world, const struct in6_addr *address, uint16_t port,
	fake_accept accept, void *ctx)
{
	struct fake_listener *listener;

	if (listener_find(world, address, port) != NULL)
		return -EADDRINUSE;
	listener = calloc(1, sizeof(*listener));
	assert(listener != NULL);
	*listener = (struct fake_listener){
		.address = *address, .port = port, .accept = accept, .ctx = ctx};
	pthread_mutex_lock(&world->lock);
	LIST_INSERT_HEAD(&world->listeners, listener, entry);
	pthread_mutex_unlock(&world->lock);
	return 0;
}

struct in6_addr fake_address(const char *text)
{
	struct in6_addr address = {.s6_addr = {[10] = 0xff, [11] = 0xff}};

	if (inet_pton(AF_INET, text, &address.s6_addr[12]) != 1)
		assert(inet_pton(AF_INET6, text, &address) == 1);
	return address;
}
