/* SPDX-License-Identifier: BSD-3-Clause */
#include "test/fake/fake_trouble.h"

#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct trouble_io {
	struct trouble_io *next;
	struct fake_trouble *trouble;
	struct trouble_host *host;
	struct channel_io inner;
	bool of_move;
	_Atomic int broken; /* enum fake_trouble_kind */
};

struct trouble_host {
	struct fake_trouble *trouble;
	uint32_t host;
	uint64_t ahead_ns;
	struct channel_world world;
};

struct fake_trouble {
	struct fake_lab *lab;
	struct trouble_host host[2];
	_Atomic uint64_t warp_ns;
	pthread_mutex_t lock; /* the list */
	struct trouble_io *ios;
	/* armed before the move begins */
	enum fake_trouble_kind kind;
	bool at_source;
	const char *step, *id;
	_Atomic bool armed, struck, go;
};

const char *fake_trouble_name(enum fake_trouble_kind kind)
{
	static const char *const names[FAKE_TROUBLE_KINDS] = {
		"none", "cut", "end", "stall", "kill source", "kill destination"};

	return names[kind];
}

/* How far a host's clock is from the real one. */
static uint64_t off_ns(const struct trouble_host *host)
{
	return host->ahead_ns + atomic_load(&host->trouble->warp_ns);
}

/* ---- connections ---- */

static ssize_t io_recv(void *ctx, void *buf, size_t len_bytes)
{
	struct trouble_io *io = ctx;
	uint8_t sink[4096];

	switch (atomic_load(&io->broken)) {
	case FAKE_TROUBLE_CUT:
		return -ECONNRESET;
	case FAKE_TROUBLE_END:
		return 0;
	case FAKE_TROUBLE_STALL:
		while (io->inner.ops->recv(io->inner.ctx, sink, sizeof(sink)) > 0)
			;
		return -EAGAIN;
	default:
		return io->inner.ops->recv(io->inner.ctx, buf, len_bytes);
	}
}

static ssize_t io_send(void *ctx, const void *buf, size_t len_bytes)
{
	struct trouble_io *io = ctx;

	switch (atomic_load(&io->broken)) {
	case FAKE_TROUBLE_CUT:
		return -ECONNRESET;
	case FAKE_TROUBLE_END:
		return -EPIPE;
	case FAKE_TROUBLE_STALL:
		return (ssize_t)len_bytes;
	default:
		return io->inner.ops->send(io->inner.ctx, buf, len_bytes);
	}
}

static int io_wait(
	void *ctx, unsigned want, uint64_t deadline_ns, const struct channel_cancel *cancel)
{
	struct trouble_io *io = ctx;
	uint64_t off = off_ns(io->host);

	return io->inner.ops->wait(
		io->inner.ctx, want, deadline_ns > off ? deadline_ns - off : 0, cancel);
}

static void io_finish(void *ctx)
{
	struct trouble_io *io = ctx;

	if (!atomic_load(&io->broken))
		io->inner.ops->finish(io->inner.ctx);
}

static int io_fd(void *ctx)
{
	struct trouble_io *io = ctx;

	return io->inner.ops->fd(io->inner.ctx);
}

static void io_close(void *ctx)
{
	struct trouble_io *io = ctx, **at;

	pthread_mutex_lock(&io->trouble->lock);
	for (at = &io->trouble->ios; *at != io; at = &(*at)->next)
		;
	*at = io->next;
	pthread_mutex_unlock(&io->trouble->lock);
	io->inner.ops->close(io->inner.ctx);
	free(io);
}

static const struct channel_io_ops io_ops = {
	.recv = io_recv,
	.send = io_send,
	.wait = io_wait,
	.finish = io_finish,
	.fd = io_fd,
	.close = io_close,
};

static void wires_break(struct fake_trouble *trouble)
{
	pthread_mutex_lock(&trouble->lock);
	for (struct trouble_io *io = trouble->ios; io; io = io->next) {
		/* A host that dies says nothing more either. */
		atomic_store(&io->broken,
			trouble->kind > FAKE_TROUBLE_STALL ? FAKE_TROUBLE_CUT : (int)trouble->kind);
		/* The other end, and who waits, hear of it. */
		if (trouble->kind != FAKE_TROUBLE_STALL)
			shutdown(io->inner.ops->fd(io->inner.ctx), SHUT_RDWR);
	}
	pthread_mutex_unlock(&trouble->lock);
}

/* ---- the moment ---- */

static bool connected(struct fake_trouble *trouble)
{
	bool found = false;

	pthread_mutex_lock(&trouble->lock);
	for (struct trouble_io *io = trouble->ios; io; io = io->next)
		found = found || io->of_move;
	pthread_mutex_unlock(&trouble->lock);
	return found;
}

static bool thread_of_move(bool source)
{
	char name[16] = "";

	pthread_getname_np(pthread_self(), name, sizeof(name));
	return strcmp(name, source ? "ferry-move-out" : "ferry-move-in") == 0;
}

static void strike(struct fake_trouble *trouble)
{
	bool kills = trouble->kind == FAKE_TROUBLE_KILL_SOURCE ||
		     trouble->kind == FAKE_TROUBLE_KILL_DEST;

	if (!atomic_exchange(&trouble->armed, false))
		return;
	wires_break(trouble);
	atomic_store(&trouble->struck, true);
	while (kills && !atomic_load(&trouble->go))
		usleep(100);
}

static void look(struct trouble_host *host)
{
	struct fake_trouble *trouble = host->trouble;
	struct mover_view view;
	bool wire = trouble->kind == FAKE_TROUBLE_CUT || trouble->kind == FAKE_TROUBLE_END ||
		    trouble->kind == FAKE_TROUBLE_STALL;

	if (!atomic_load(&trouble->armed) || trouble->at_source != (host->host == 0) ||
		!thread_of_move(trouble->at_source))
		return;
	if (mover_view(trouble->lab->host[host->host].mover, trouble->id, &view) != 0 ||
		strcmp(view.step, trouble->step) != 0)
		return;
	if (!wire || connected(trouble) || strcmp(trouble->step, "admit") == 0)
		strike(trouble);
}

/* ---- the world ---- */

static uint64_t world_now(void *ctx)
{
	struct trouble_host *host = ctx;

	look(host);
	return channel_world_now_ns(&channel_world_real) + off_ns(host);
}

static int64_t world_wall(void *ctx)
{
	(void)ctx;
	return channel_world_wall_s(&channel_world_real);
}

static int world_connect(void *ctx, const struct channel_endpoint *to, uint64_t deadline_ns,
	const struct channel_cancel *cancel, struct channel_io *io)
{
	struct trouble_host *host = ctx;
	struct fake_trouble *trouble = host->trouble;
	struct trouble_io *made = calloc(1, sizeof(*made));
	uint64_t off = off_ns(host);
	int rc;

	assert(made);
	rc = channel_world_real.ops->connect(channel_world_real.ctx, to,
		deadline_ns > off ? deadline_ns - off : 0, cancel, &made->inner);
	if (rc != 0) {
		free(made);
		return rc;
	}
	made->trouble = trouble;
	made->host = host;
	made->of_move = thread_of_move(true);
	*io = made->inner;
	io->ops = &io_ops;
	io->ctx = made;
	pthread_mutex_lock(&trouble->lock);
	made->next = trouble->ios;
	trouble->ios = made;
	pthread_mutex_unlock(&trouble->lock);
	return 0;
}

static const struct channel_world_ops world_ops = {
	.now_ns = world_now, .wall_s = world_wall, .connect = world_connect};

struct fake_trouble *fake_trouble_new(struct fake_lab *lab)
{
	struct fake_trouble *trouble = calloc(1, sizeof(*trouble));

	assert(trouble);
	trouble->lab = lab;
	pthread_mutex_init(&trouble->lock, NULL);
	for (uint32_t i = 0; i < 2; i++) {
		trouble->host[i] = (struct trouble_host){.trouble = trouble, .host = i};
		trouble->host[i].world.ops = &world_ops;
		trouble->host[i].world.ctx = &trouble->host[i];
		lab->world[i] = &trouble->host[i].world;
	}
	return trouble;
}

void fake_trouble_free(struct fake_trouble *trouble)
{
	assert(!trouble->ios);
	pthread_mutex_destroy(&trouble->lock);
	free(trouble);
}

void fake_trouble_arm(struct fake_trouble *trouble, enum fake_trouble_kind kind, bool at_source,
	const char *step, const char *id)
{
	trouble->kind = kind;
	trouble->at_source = at_source;
	trouble->step = step;
	trouble->id = id;
	atomic_store(&trouble->struck, false);
	atomic_store(&trouble->go, false);
	atomic_store(&trouble->armed, kind != FAKE_TROUBLE_NONE);
}

bool fake_trouble_struck(struct fake_trouble *trouble)
{
	return atomic_load(&trouble->struck);
}

void fake_trouble_go(struct fake_trouble *trouble)
{
	atomic_store(&trouble->go, true);
}

void fake_trouble_warp(struct fake_trouble *trouble, uint64_t by_ns)
{
	atomic_fetch_add(&trouble->warp_ns, by_ns);
}

void fake_trouble_ahead(struct fake_trouble *trouble, uint32_t host, uint64_t ahead_ns)
{
	trouble->host[host].ahead_ns = ahead_ns;
}
