/* SPDX-License-Identifier: BSD-3-Clause */
/* The destination's ports: made or adopted, emptied, undone. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ctrl/migrate/dest_impl.h"
#include "dataplane/port.h"

void dest_port_empty(struct move_port *p)
{
	const struct vswitch *v = vswitch_of(p->move);

	v->ops->import_close(p->import);
	p->import = NULL;
	if (p->tallied)
		tally_fini(&p->tally);
	p->tallied = false;
}

/*
 * What the guest has agreed to with the source has to be there, or QEMU would fail inside the
 * pause.
 */
static int port_fits(struct move_port *p, struct vswitch_prepared *made)
{
	const struct vswitch *v = vswitch_of(p->move);
	struct vswitch_port_info info;
	uint64_t missing;

	v->ops->info(v->ctx, p->port, &info);
	missing = info.features_offered ? p->offered.features & ~info.features_offered : 0;
	if (missing) {
		unsigned int bit = (unsigned int)__builtin_ctzll(missing);
		const char *name = port_feature_name(bit);

		snprintf(made->error, sizeof(made->error),
			"vport %s: its guest uses %s (virtio feature %u), not offered here",
			p->name, name ? name : "a feature", bit);
		return -EOPNOTSUPP;
	}
	if (p->offered.queues > info.queues) {
		snprintf(made->error, sizeof(made->error),
			"vport %s: %u queue pairs there, %u here", p->name, p->offered.queues,
			info.queues);
		return -EOPNOTSUPP;
	}
	return 0;
}

static int port_make(struct move *move, struct move_port *p, const struct frame *frame,
	struct vswitch_prepared *made)
{
	const struct vswitch *v = vswitch_of(move);
	int rc;

	rc = v->ops->prepare(v->ctx, frame->payload, frame->payload_bytes, made);
	if (rc != 0)
		return rc;
	p->port = made->port;
	/* A second prepare finds what the first one made. */
	if (!p->prepared) {
		p->adopted = made->adopted;
		memcpy(p->notes, made->notes, sizeof(p->notes));
	}
	p->prepared = true;
	rc = port_fits(p, made);
	if (rc != 0)
		return rc;
	rc = tally_init(&p->tally, (uint32_t)(p->offered.sessions + p->offered.sessions / 4));
	if (rc != 0)
		return rc;
	p->tallied = true;
	v->ops->epoch_heard(v->ctx, p->port, p->offered.epoch);
	rc = v->ops->import_open(v->ctx, p->port, move->sections.state_versions, false, &p->import);
	if (rc == 0)
		rc = v->ops->relay_from(v->ctx, p->port, &move->peer_vtep);
	if (rc == 0)
		rc = v->ops->hold(v->ctx, p->port);
	if (rc != 0)
		snprintf(made->error, sizeof(made->error), "vport %s: %s", p->name, strerror(-rc));
	return rc;
}

int dest_on_port(struct move *move, struct move_port *p, const struct frame *frame)
{
	struct vswitch_prepared made = {0};
	struct wire_writer w;
	char owner[64], why[STREAM_REASON_MAX];
	char *text;
	int rc;

	if (p->port && p->prepared && port_role(p) == ROLE_OWNER)
		return dest_look(move);
	p->final_loaded = p->verified = p->walked = p->again = false;
	if (p->port && p->prepared)
		dest_facts(move, p, false);
	dest_port_empty(p);
	rc = port_make(move, p, frame, &made);
	if (rc != 0)
		return dest_refuse(
			move, rc, MOVER_REFUSED_PORT, made.error[0] ? made.error : strerror(-rc));
	if (exchange_owned_later(move->mover, p->port, move->peer, p->offered.epoch, owner)) {
		snprintf(why, sizeof(why), "vport %s: %s says that it has owned it since", p->name,
			owner);
		return dest_refuse(move, -EPERM, MOVER_REFUSED_OWNED, why);
	}
	mover_store_owner(move->mover, p->name, move->peer, &move->peer_vtep, move->id);
	if (!p->adopted) {
		text = strndup((const char *)frame->payload, frame->payload_bytes);
		rc = text ? store_describe(move->mover->store, p->name, text) : -ENOMEM;
		free(text);
		if (rc != 0)
			return dest_refuse(move, rc, MOVER_REFUSED_PORT,
				"the runtime store cannot be written");
	}
	dest_port_look(move, p);
	vswitch_of(move)->ops->counts(vswitch_of(move)->ctx, p->port, &p->before);
	dest_facts(move, p, false);
	w = move_writer(move);
	wire_put_u8(&w, p->adopted);
	return move_send(move, STREAM_PORT_READY, STREAM_SECTION_MOVE, p->index, &w);
}

/* All that was made goes; what was here before lives on at the source. */
void dest_undo(struct move *move)
{
	const struct vswitch *v = vswitch_of(move);
	char reason[STREAM_REASON_MAX];

	pthread_mutex_lock(&move->mover->lock);
	memcpy(reason, move->reason, sizeof(reason));
	pthread_mutex_unlock(&move->mover->lock);
	for (uint32_t i = 0; i < move->n_ports; i++) {
		struct move_port *p = &move->port[i];

		if (!p->port || !p->prepared)
			continue;
		move->undone = true;
		dest_facts(move, p, false);
		dest_port_look(move, p);
		if (!port_waits(p))
			continue;
		dest_port_empty(p);
		if (p->adopted) {
			v->ops->purge(v->ctx, p->port, true);
			v->ops->sections_forget(v->ctx, p->port);
			v->ops->relay_to(v->ctx, p->port, &move->peer_vtep);
			v->ops->event(v->ctx, p->port, ROLE_ABORTED, 0);
		} else {
			v->ops->discard(v->ctx, p->port);
			store_remove(move->mover->store, p->name);
			p->port = NULL;
		}
		p->prepared = false;
	}
	move->undone = true;
	if (move->channel && !move->peer_done)
		move_send_text(move, STREAM_FAILED, reason);
}
