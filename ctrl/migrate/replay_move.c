/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Two movers in one process on a loopback port each, plain: the real stream, drivers and store.
 * While a call waits for the stream's threads the caller's idle() polls the engines; their clock
 * stands unless the caller moves it.
 */
#include "ctrl/migrate/replay_move.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "dataplane/port.h"
#include "dataplane/vport.h"

struct replay_side {
	struct config config; /* the caller's, with our transport in it */
	struct config_peer peer;
	struct setup *setup;
	struct mover *mover;
	uint16_t port;
};

struct replay_move {
	struct replay_move_options options;
	struct replay_side side[2]; /* source, destination */
	char id[37], vm[64], reason[256];
};

static int fail(struct replay_move *move, int rc, const char *reason)
{
	snprintf(move->reason, sizeof(move->reason), "%s", reason);
	return rc;
}

/* A free port of loopback: taken and let go. */
static int port_find(uint16_t *port)
{
	struct sockaddr_in addr = {
		.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t len = sizeof(addr);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), rc = 0;

	if (fd < 0)
		return -errno;
	if (bind(fd, (struct sockaddr *)&addr, len) != 0 ||
		getsockname(fd, (struct sockaddr *)&addr, &len) != 0)
		rc = -errno;
	*port = ntohs(addr.sin_port);
	close(fd);
	return rc;
}

static struct in6_addr loopback(void)
{
	return (struct in6_addr){.s6_addr = {[10] = 0xff, [11] = 0xff, [12] = 127, [15] = 1}};
}

/* The caller's config, but for how the two hosts reach each other. */
static int side_config(struct replay_move *move, int which)
{
	const struct replay_move_host *own =
		which ? &move->options.destination : &move->options.source;
	const struct replay_move_host *other =
		which ? &move->options.source : &move->options.destination;
	const struct config_peer *peer = config_peer_find(own->config, other->name);
	struct replay_side *side = &move->side[which];

	if (!peer)
		return -ENOENT;
	side->config = *own->config;
	side->peer = *peer;
	side->peer.address =
		(struct config_endpoint){.addr = loopback(), .port = move->side[!which].port};
	side->config.peers = &side->peer;
	side->config.n_peers = 1;
	side->config.tls = (struct config_tls){.insecure = true};
	side->config.migrate.listen =
		(struct config_endpoint){.addr = loopback(), .port = side->port};
	return 0;
}

static int side_create(struct replay_move *move, int which, char *error, size_t error_len)
{
	const struct replay_move_host *host =
		which ? &move->options.destination : &move->options.source;
	struct replay_side *side = &move->side[which];
	char run_dir[256];
	struct mover_options options = {
		.config = &side->config, .host_name = host->name, .run_dir = run_dir};
	struct setup_options setup = {.clock = host->clock,
		.plugin_dir = host->plugin_dir,
		.ring_ports = true,
		.paused = which == 1,
		.engine_name = host->engine_name,
		.birth = mover_birth};
	int rc;

	snprintf(run_dir, sizeof(run_dir), "%s/%s", move->options.run_dir,
		which ? "destination" : "source");
	rc = mover_create(&options, &side->mover, error, error_len);
	if (rc != 0)
		return rc;
	setup.birth_arg = side->mover;
	setup.callbacks = (struct engine_callbacks){.role_store = mover_role_store,
		.role_changed = mover_role_changed,
		.rings_heard = mover_rings_heard,
		.rings = mover_rings,
		.relayed_from = mover_relayed_from,
		.arg = side->mover};
	/* The setup keeps the caller's config: peers' VTEPs and all else are the same there. */
	rc = setup_create(host->config, &setup, &side->setup, error, error_len);
	if (rc == 0)
		rc = mover_attach(side->mover, side->setup, error, error_len);
	return rc;
}

int replay_move_create(const struct replay_move_options *options, struct replay_move **out,
	char *error, size_t error_len)
{
	struct replay_move *move = calloc(1, sizeof(*move));
	int rc;

	if (!move)
		return -ENOMEM;
	move->options = *options;
	rc = port_find(&move->side[0].port);
	if (rc == 0)
		rc = port_find(&move->side[1].port);
	for (int i = 0; i < 2 && rc == 0; i++) {
		rc = side_config(move, i);
		if (rc != 0)
			snprintf(error, error_len, "the two hosts are not peers of each other");
		else
			rc = side_create(move, i, error, error_len);
	}
	if (rc != 0) {
		replay_move_destroy(move);
		return rc;
	}
	*out = move;
	return 0;
}

void replay_move_destroy(struct replay_move *move)
{
	if (!move)
		return;
	for (int i = 0; i < 2; i++)
		if (move->side[i].mover)
			mover_detach(move->side[i].mover);
	for (int i = 0; i < 2; i++) {
		setup_destroy(move->side[i].setup);
		mover_destroy(move->side[i].mover);
	}
	free(move);
}

struct setup *replay_move_setup(struct replay_move *move, bool destination)
{
	return move->side[destination].setup;
}

struct mover *replay_move_mover(struct replay_move *move, bool destination)
{
	return move->side[destination].mover;
}

const char *replay_move_reason(const struct replay_move *move)
{
	return move->reason;
}

const char *replay_move_id(const struct replay_move *move)
{
	return move->id;
}

int replay_move_start(struct replay_move *move, const char *vport)
{
	struct mover_request request = {
		.vport = vport, .host = move->options.destination.name, .mode = MOVER_EXPLICIT};
	struct vport *v = engine_vport_find(setup_engine(move->side[0].setup), vport);

	snprintf(move->vm, sizeof(move->vm), "%s", v && v->vm[0] ? v->vm : vport);
	return mover_start(
		move->side[0].mover, &request, move->id, move->reason, sizeof(move->reason));
}

static uint64_t real_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

/* Until the move is at `phase` or beyond, as the source sees it. */
static int phase_wait(struct replay_move *move, enum mover_phase phase, uint32_t timeout_ms)
{
	uint64_t until_ms = real_ms() + timeout_ms;
	struct mover_view view = {.serial = 0};

	for (;;) {
		int rc = mover_wait(move->side[0].mover, move->id, view.serial, 1, &view);

		if (rc != 0)
			return rc;
		if (view.phase == MOVER_FAILED)
			return fail(move, -ECANCELED, view.reason);
		if (view.phase >= phase)
			return 0;
		if (real_ms() > until_ms)
			return fail(move, -ETIMEDOUT, "the move does not get on");
		if (move->options.idle)
			move->options.idle(move->options.idle_arg);
	}
}

int replay_move_ready(struct replay_move *move, uint32_t timeout_ms)
{
	return phase_wait(move, MOVER_READY, timeout_ms);
}

struct vm_ports {
	const char *vm;
	struct port *port[16];
	uint32_t count;
};

static int vm_port(struct vport *v, void *arg)
{
	struct vm_ports *ports = arg;

	if (strcmp(v->vm, ports->vm) == 0 && ports->count < 16)
		ports->port[ports->count++] = v->port;
	return 0;
}

static void vm_rings(struct replay_move *move, int which, bool up)
{
	struct vm_ports ports = {.vm = move->vm};

	engine_vport_foreach(setup_engine(move->side[which].setup), vm_port, &ports);
	for (uint32_t i = 0; i < ports.count; i++) {
		if (up)
			port_resume(ports.port[i]);
		else
			port_pause(ports.port[i]);
	}
}

int replay_move_pause(struct replay_move *move, uint32_t timeout_ms)
{
	vm_rings(move, 0, false);
	return phase_wait(move, MOVER_VERIFIED, timeout_ms);
}

int replay_move_resume(struct replay_move *move, uint32_t timeout_ms)
{
	vm_rings(move, 1, true);
	return phase_wait(move, MOVER_COMMITTED, timeout_ms);
}
