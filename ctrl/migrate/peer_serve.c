/* SPDX-License-Identifier: BSD-3-Clause */
/* The answering side of the peers' exchange: in the listener's thread of the connection. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "ctrl/migrate/peer_impl.h"

#define WAIT_MS 500

static int answer(struct channel *channel, uint16_t type, const struct wire_writer *w)
{
	struct frame_kind kind = {.type = type, .mandatory = true};

	return channel_send(channel, &kind, w ? w->start : NULL, w ? wire_writer_len(w) : 0,
		channel_deadline_ns(channel, WAIT_MS));
}

static int serve_owned(struct mover *mover, const char *host, struct wire_reader *r)
{
	while (wire_reader_left(r) > 0) {
		struct vswitch_identity id;
		uint64_t epoch;

		get_identity(r, &id);
		epoch = wire_get_u64(r);
		if (!wire_reader_ok(r))
			return -EBADMSG;
		peer_believe(mover, host, &id, epoch);
	}
	return 0;
}

/* From the host we think owner: it has gone there. Anybody else's word about a third host counts
 * nothing. */
static int serve_located(struct mover *mover, const char *host, struct wire_reader *r)
{
	struct exchange *peers = mover->exchange;
	struct vswitch_identity id;
	struct peer_known *known;
	bool from_owner = true;
	char at[64];
	uint64_t epoch;

	get_identity(r, &id);
	epoch = wire_get_u64(r);
	wire_get_string(r, at, sizeof(at));
	if (!wire_reader_ok(r))
		return -EBADMSG;
	if (!mover_peer_vni(mover, host, id.vni) || strcmp(at, mover->name) == 0)
		return 0;
	pthread_mutex_lock(&peers->lock);
	known = peer_known_find(peers, &id);
	if (known) {
		from_owner = epoch >= known->epoch && strcmp(known->host, host) == 0;
		if (from_owner) {
			snprintf(known->host, sizeof(known->host), "%s", at);
			known->epoch = epoch;
		}
	}
	pthread_mutex_unlock(&peers->lock);
	if (from_owner)
		peer_take(mover, at, &id, epoch);
	return 0;
}

struct claim {
	const char *host; /* who asks */
	struct vswitch_port *port;
	uint64_t epoch; /* it knows of */
	char elsewhere[64]; /* answer: CLAIM_ELSEWHERE is there */
};

/* What we say to a host at which a vport's rings came up without a move. */
static uint8_t claim_judge(struct mover *mover, struct claim *claim)
{
	const struct vswitch *v = &mover->vswitch;
	struct vswitch_port_info info;
	struct store_entry entry = {0};
	char error[256];
	bool moving;

	v->ops->info(v->ctx, claim->port, &info);
	store_get(mover->store, info.name, &entry);
	pthread_mutex_lock(&mover->lock);
	moving = mover_of_vport(mover, info.name) != NULL;
	pthread_mutex_unlock(&mover->lock);
	if (info.rings_up && info.role != ROLE_MOVED) {
		mover_log(mover, PLUGIN_LOG_ERROR, info.name,
			"its rings are up here and on %s: two copies of the VM", claim->host);
		return CLAIM_RUNNING;
	}
	switch (info.role) {
	case ROLE_OWNER:
		if (moving)
			return CLAIM_COMING;
		return mover_give(mover, info.name, claim->host, error, sizeof(error)) == 0
			       ? CLAIM_COMING
			       : CLAIM_FREE;
	case ROLE_FROZEN:
		return moving && strcmp(entry.owner, claim->host) == 0 ? CLAIM_COMING : CLAIM_FREE;
	case ROLE_MOVED:
		if (!entry.owner[0] || strcmp(entry.owner, claim->host) == 0 ||
			info.epoch < claim->epoch)
			return CLAIM_FREE;
		snprintf(claim->elsewhere, sizeof(claim->elsewhere), "%s", entry.owner);
		return CLAIM_ELSEWHERE;
	default:
		return CLAIM_UNKNOWN;
	}
}

static int serve_claim(
	struct mover *mover, const char *host, struct wire_reader *r, struct wire_writer *w)
{
	const struct vswitch *v = &mover->vswitch;
	char name[VSWITCH_NAME_MAX], uuid[37];
	struct claim claim = {.host = host};
	struct vswitch_identity id;
	uint8_t verdict = CLAIM_UNKNOWN;

	wire_get_string(r, name, sizeof(name));
	wire_get_string(r, uuid, sizeof(uuid));
	get_identity(r, &id);
	claim.epoch = wire_get_u64(r);
	if (!wire_reader_ok(r))
		return -EBADMSG;
	if (mover_peer_vni(mover, host, id.vni)) {
		if (uuid[0])
			claim.port = v->ops->find(v->ctx, uuid);
		if (!claim.port)
			claim.port = peer_local(mover, &id);
	}
	if (claim.port)
		verdict = claim_judge(mover, &claim);
	wire_put_u8(w, verdict);
	wire_put_string(w, claim.elsewhere);
	return 0;
}

static int serve_move(
	struct mover *mover, const char *host, struct wire_reader *r, struct wire_writer *w)
{
	uint8_t id[16];
	bool known = false;

	wire_get_bytes(r, id, sizeof(id));
	if (!wire_reader_ok(r))
		return -EBADMSG;
	pthread_mutex_lock(&mover->lock);
	for (struct move *move = mover->moves; move; move = move->next)
		known = known || (move->source && !move->done && strcmp(move->peer, host) == 0 &&
					 memcmp(move->id_bytes, id, sizeof(id)) == 0);
	pthread_mutex_unlock(&mover->lock);
	wire_put_u8(w, known);
	return 0;
}

static int serve_owner(struct mover *mover, struct wire_reader *r, struct wire_writer *w)
{
	const struct vswitch *v = &mover->vswitch;
	struct vswitch_identity id;
	struct vswitch_port *port;
	struct vswitch_port_info info = {.role = ROLE_MOVED};

	get_identity(r, &id);
	if (!wire_reader_ok(r))
		return -EBADMSG;
	port = peer_local(mover, &id);
	if (port)
		v->ops->info(v->ctx, port, &info);
	wire_put_u8(w, info.role == ROLE_OWNER);
	wire_put_u64(w, info.epoch);
	return 0;
}

static int serve_one(struct mover *mover, struct channel *channel, const struct frame *frame)
{
	const char *host = channel_hello(channel)->host;
	struct mover_peer listed;
	uint8_t buffer[256];
	struct wire_writer w;
	struct wire_reader r;
	int rc;

	/* It was when it came; a reload may have taken it off the list since. */
	if (!mover_peer_get(mover, host, &listed))
		return -EACCES;
	wire_reader_init(&r, frame->payload, frame->payload_bytes);
	wire_writer_init(&w, buffer, sizeof(buffer));
	switch (frame->kind.type) {
	case PEER_OWNED:
		rc = serve_owned(mover, host, &r);
		return rc == 0 ? answer(channel, PEER_OK, NULL) : rc;
	case PEER_LOCATED:
		rc = serve_located(mover, host, &r);
		return rc == 0 ? answer(channel, PEER_OK, NULL) : rc;
	case PEER_CLAIM:
		rc = serve_claim(mover, host, &r, &w);
		return rc == 0 ? answer(channel, PEER_CLAIM_ANSWER, &w) : rc;
	case PEER_ASK_MOVE:
		rc = serve_move(mover, host, &r, &w);
		return rc == 0 ? answer(channel, PEER_MOVE, &w) : rc;
	case PEER_ASK_OWNER:
		rc = serve_owner(mover, &r, &w);
		return rc == 0 ? answer(channel, PEER_OWNER, &w) : rc;
	case PEER_PING:
		return answer(channel, PEER_OK, NULL);
	default:
		return -EBADMSG;
	}
}

void exchange_serve(struct mover *mover, struct channel *channel)
{
	struct channel_options options = {.types = peer_types, .n_types = peer_types_count};
	int rc = channel_set_options(channel, &options);

	while (rc == 0 && atomic_load(&mover->attached)) {
		struct frame frame;

		rc = channel_recv(channel, &frame, channel_deadline_ns(channel, WAIT_MS));
		if (rc == -ETIMEDOUT)
			rc = 0;
		else if (rc == 0)
			rc = serve_one(mover, channel, &frame);
	}
	channel_close(channel);
}
