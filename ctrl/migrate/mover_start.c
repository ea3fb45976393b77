/* SPDX-License-Identifier: BSD-3-Clause */
/* A move is started: its ports collected, what forbids it, its thread. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>

#include "ctrl/migrate/mover_impl.h"

struct collect {
	struct mover *mover;
	struct move *move;
	char vm[64];
	bool overflow;
};

static int collect_port(struct vswitch_port *port, void *arg)
{
	struct collect *collect = arg;
	struct move *move = collect->move;
	struct vswitch_port_info info;
	struct move_port *p;

	collect->mover->vswitch.ops->info(collect->mover->vswitch.ctx, port, &info);
	if (strcmp(info.vm, collect->vm) != 0)
		return 0;
	if (move->n_ports == MOVE_PORTS_MAX) {
		collect->overflow = true;
		return 1;
	}
	p = &move->port[move->n_ports];
	p->move = move;
	p->index = move->n_ports++;
	p->port = port;
	snprintf(p->name, sizeof(p->name), "%s", info.name);
	return 0;
}

/* All vports of the VM that `vport` names or belongs to. */
static int move_collect(struct move *move, const char *vport, char *error, size_t error_len)
{
	struct mover *mover = move->mover;
	const struct vswitch *v = &mover->vswitch;
	struct collect collect = {.mover = mover, .move = move};
	struct vswitch_port *port = v->ops->find(v->ctx, vport);
	struct vswitch_port_info info;

	snprintf(collect.vm, sizeof(collect.vm), "%s", vport);
	if (port) {
		v->ops->info(v->ctx, port, &info);
		memcpy(collect.vm, info.vm, sizeof(collect.vm));
	}
	v->ops->foreach(v->ctx, collect_port, &collect);
	if (move->n_ports == 0) {
		snprintf(error, error_len, "no vport or VM \"%s\" here", vport);
		return -ENOENT;
	}
	if (collect.overflow) {
		snprintf(error, error_len, "VM %s has more than %d vports", collect.vm,
			MOVE_PORTS_MAX);
		return -E2BIG;
	}
	memcpy(move->vm, collect.vm, sizeof(move->vm));
	return 0;
}

/* Under the lock. */
static int start_allowed(
	struct mover *mover, const struct move *move, char *error, size_t error_len)
{
	for (uint32_t i = 0; i < move->n_ports; i++) {
		const struct move *other = mover_of_vport(mover, move->port[i].name);

		if (!other)
			continue;
		snprintf(error, error_len, "vport %s: move %s %s %s is under way",
			move->port[i].name, other->id, other->source ? "to" : "from", other->peer);
		return -EBUSY;
	}
	if (mover->counts.running >= mover->limits.max_moves) {
		snprintf(error, error_len,
			"%u moves are under way, as many as migrate.max_moves "
			"allows",
			mover->counts.running);
		return -EBUSY;
	}
	return 0;
}

static int start_check(
	struct mover *mover, const struct mover_request *request, char *error, size_t error_len)
{
	struct mover_peer peer;

	if (!atomic_load(&mover->attached)) {
		snprintf(error, error_len, "not ready yet");
		return -EAGAIN;
	}
	if (strcmp(request->host, mover->name) == 0) {
		snprintf(error, error_len, "%s is this host", request->host);
		return -EINVAL;
	}
	if (!mover_peer_get(mover, request->host, &peer)) {
		snprintf(error, error_len, "no peer \"%s\" in the configuration", request->host);
		return -ENOENT;
	}
	if (!peer.port) {
		snprintf(error, error_len, "peer %s has no address for moves in the configuration",
			request->host);
		return -EOPNOTSUPP;
	}
	return 0;
}

/* A start that was asked for before. */
static bool start_known(struct mover *mover, const struct mover_request *request, char *id)
{
	struct move *move = NULL;

	if (!request->caller_id)
		return false;
	pthread_mutex_lock(&mover->lock);
	move = mover_find(mover, request->caller_id);
	if (move && move->source)
		memcpy(id, move->id, sizeof(move->id));
	pthread_mutex_unlock(&mover->lock);
	return move && move->source;
}

static int mover_launch(struct mover *mover, const struct mover_request *request, char *id,
	char *error, size_t error_len)
{
	uint8_t bytes[16];
	struct move *move;
	int rc;

	if (getrandom(bytes, sizeof(bytes), 0) != sizeof(bytes))
		return -EIO;
	move = move_new(mover, bytes);
	if (!move)
		return -ENOMEM;
	move->source = true;
	move->claim = request->claim;
	move->mode = request->mode;
	snprintf(move->peer, sizeof(move->peer), "%s", request->host);
	snprintf(move->caller_id, sizeof(move->caller_id), "%s",
		request->caller_id ? request->caller_id : "");
	rc = move_collect(move, request->vport, error, error_len);
	pthread_mutex_lock(&mover->lock);
	if (rc == 0)
		rc = start_allowed(mover, move, error, error_len);
	if (rc == 0)
		mover_enter(mover, move);
	pthread_mutex_unlock(&mover->lock);
	if (rc != 0) {
		move_free(move);
		return rc;
	}
	memcpy(id, move->id, sizeof(move->id));
	return move_launch(move, move_source_steps);
}

int mover_start(struct mover *mover, const struct mover_request *request, char *id, char *error,
	size_t error_len)
{
	int rc = start_check(mover, request, error, error_len);

	if (rc != 0)
		return rc;
	if (start_known(mover, request, id))
		return 0;
	return mover_launch(mover, request, id, error, error_len);
}

int mover_give(
	struct mover *mover, const char *vport, const char *host, char *error, size_t error_len)
{
	struct mover_request request = {.vport = vport, .host = host, .claim = true};
	char id[37];

	return mover_launch(mover, &request, id, error, error_len);
}
