/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the engine tells the mover: roles to be stored, roles that changed, rings. These run on the
 * thread where it happened (the vhost events thread inside the VM's pause, at worst): they set
 * flags, wake a move, and no more.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "ctrl/migrate/mover_impl.h"
#include "dataplane/vport.h"

/* ---- birth ---- */

/*
 * What is in the file and was never heard of is PASSIVE: its first rings make it ask, and with
 * nobody known it serves at once. So a file that names a VM on several hosts makes no second owner.
 */
void mover_birth(void *arg, const struct config_vport *vport, struct setup_birth *birth)
{
	struct mover *mover = arg;
	struct store_entry entry;

	*birth = (struct setup_birth){.role = ROLE_PASSIVE};
	if (!store_get(mover->store, vport->name, &entry) || entry.suspect)
		return;
	birth->epoch = entry.epoch;
	if (entry.role == ROLE_OWNER || entry.role == ROLE_FROZEN || entry.role == ROLE_MOVED)
		birth->role = entry.role;
}

struct role_change {
	const struct vport *vport;
	enum role role;
	uint64_t epoch;
};

static void entry_role(struct store_entry *entry, void *arg)
{
	const struct role_change *change = arg;

	entry->role = change->role;
	entry->epoch = change->epoch;
	entry->suspect = false;
	snprintf(entry->uuid, sizeof(entry->uuid), "%s", change->vport->uuid);
	if (change->role == ROLE_OWNER) {
		entry->owner[0] = '\0';
		memset(&entry->vtep, 0, sizeof(entry->vtep));
	}
}

int mover_role_store(void *arg, const struct vport *vport, enum role role, uint64_t epoch)
{
	struct mover *mover = arg;
	struct role_change change = {.vport = vport, .role = role, .epoch = epoch};
	struct store_entry entry;

	/* Damaged, and nobody has answered yet: it keeps asking after a restart. */
	if (role == ROLE_CLAIM && store_get(mover->store, vport->name, &entry) && entry.suspect)
		return 0;
	return store_change(mover->store, vport->name, entry_role, &change);
}

struct owner_change {
	const char *owner, *move_id;
	const struct in6_addr *vtep;
};

static void entry_owner(struct store_entry *entry, void *arg)
{
	const struct owner_change *change = arg;

	snprintf(entry->owner, sizeof(entry->owner), "%s", change->owner);
	snprintf(entry->move_id, sizeof(entry->move_id), "%s", change->move_id);
	entry->vtep = *change->vtep;
	/* A new entry is of a vport that is prepared, or owned since before there was a store. */
}

static void entry_know(struct store_entry *entry, void *arg)
{
	const struct vswitch_port_info *info = arg;

	entry->role = info->role;
	entry->epoch = info->epoch;
	memcpy(entry->uuid, info->uuid, sizeof(entry->uuid));
}

void mover_store_owner(struct mover *mover, const char *vport, const char *owner,
	const struct in6_addr *vtep, const char *move_id)
{
	struct owner_change change = {.owner = owner, .move_id = move_id, .vtep = vtep};
	const struct vswitch *v = &mover->vswitch;
	struct vswitch_port *port = v->ops->find(v->ctx, vport);
	struct vswitch_port_info info;
	struct store_entry entry;

	if (port && !store_get(mover->store, vport, &entry)) {
		v->ops->info(v->ctx, port, &info);
		store_change(mover->store, vport, entry_know, &info);
	}
	if (store_change(mover->store, vport, entry_owner, &change) != 0)
		mover_log(mover, PLUGIN_LOG_ERROR, vport, "the runtime store cannot be written");
}

/* A moved-in vport made again at start gets the role it had. */
int mover_role_restore(
	struct mover *mover, struct vswitch_port *port, const struct store_entry *entry)
{
	struct vport *v = (struct vport *)port;

	(void)mover;
	return engine_role_restore(v, entry->role, entry->epoch);
}

/* ---- changes ---- */

static struct move_port *port_of_move(struct mover *mover, const struct vport *vport)
{
	struct move *move = mover_of_vport(mover, vport->name);

	for (uint32_t i = 0; move && i < move->n_ports; i++)
		if (strcmp(move->port[i].name, vport->name) == 0)
			return &move->port[i];
	return NULL;
}

static void port_noted(struct move_port *p, enum role to, uint64_t now_ns)
{
	atomic_store(&p->role, (uint8_t)to);
	if (to == ROLE_FROZEN) {
		p->stamp[MOMENT_FROZEN] = now_ns;
		atomic_store(&p->frozen_ns, now_ns);
	}
	if (to == ROLE_OWNER) {
		p->stamp[MOMENT_ACTIVE] = now_ns;
		atomic_store(&p->active_ns, now_ns);
	}
	move_wake(p->move);
}

/* It has gone up without a move: somebody may know better. */
static void claim(struct mover *mover, struct vport *vport)
{
	if (atomic_load(&mover->attached)) {
		if (exchange_claim(mover, vport->name))
			return;
	} else {
		struct store_entry entry;

		/* Asked once the peers can be reached. */
		if (store_get(mover->store, vport->name, &entry) &&
			(entry.owner[0] || entry.suspect))
			return;
	}
	engine_role_event(vport, ROLE_CLAIM_GRANTED, 0);
	/* So that the host where it comes up next knows whom to ask. */
	exchange_tell(mover);
}

void mover_role_changed(
	void *arg, struct vport *vport, enum role from, enum role to, uint32_t effects)
{
	struct mover *mover = arg;
	uint64_t now_ns = channel_world_now_ns(&mover->world);
	struct move_port *p;

	if (effects & (ROLE_EFFECT_PARK | ROLE_EFFECT_FOLLOW))
		engine_hold_park(vport, true);
	pthread_mutex_lock(&mover->lock);
	p = port_of_move(mover, vport);
	if (p && from != to)
		port_noted(p, to, now_ns);
	if (effects & ROLE_EFFECT_ALARM)
		mover->counts.alarms++;
	pthread_mutex_unlock(&mover->lock);
	/* Nobody follows the take-back: the VM runs here and that is all. */
	if ((effects & ROLE_EFFECT_FOLLOW) && !p)
		engine_hold_park(vport, false);
	if (effects & ROLE_EFFECT_ALARM)
		mover_log(mover, PLUGIN_LOG_ERROR, vport->name, "%s after %s: look at both hosts",
			role_name(to), role_name(from));
	else if (from != to)
		mover_log(mover, PLUGIN_LOG_INFO, vport->name, "%s after %s", role_name(to),
			role_name(from));
	/* It may have run elsewhere; a move has its own announcement. */
	if (from == ROLE_CLAIM && to == ROLE_OWNER)
		engine_announce(vport);
	if (to == ROLE_CLAIM && (effects & ROLE_EFFECT_ASK))
		claim(mover, vport);
}

/* The moment at which the VM went, or came: what is done about it takes part of the pause. */
void mover_rings_heard(void *arg, struct vport *vport, bool up)
{
	struct mover *mover = arg;
	uint64_t now_ns = channel_world_now_ns(&mover->world);
	struct move_port *p;

	pthread_mutex_lock(&mover->lock);
	p = port_of_move(mover, vport);
	if (p) {
		atomic_store(up ? &p->rings_up_ns : &p->rings_down_ns, now_ns);
		p->stamp[up ? MOMENT_RINGS_UP : MOMENT_RINGS_DOWN] = now_ns;
	}
	pthread_mutex_unlock(&mover->lock);
}

void mover_rings(void *arg, struct vport *vport, bool up)
{
	struct mover *mover = arg;
	struct move_port *p;

	if (up && atomic_load(&vport->parking) && vport_role(vport) == ROLE_OWNER) {
		pthread_mutex_lock(&mover->lock);
		p = port_of_move(mover, vport);
		pthread_mutex_unlock(&mover->lock);
		/* Was down before the destination was ready. A take-back ends by itself. */
		if (!p || atomic_load(&p->frozen_ns) == 0)
			engine_hold_park(vport, false);
	}
	pthread_mutex_lock(&mover->lock);
	p = port_of_move(mover, vport);
	if (p) {
		atomic_store(&p->rings_up, up);
		move_wake(p->move);
	}
	pthread_mutex_unlock(&mover->lock);
}

void mover_relayed_from(
	void *arg, uint32_t vni, const struct in6_addr *addr, const struct in6_addr *vtep)
{
	struct mover *mover = arg;

	if (atomic_load(&mover->attached))
		exchange_correct(mover, vni, addr, vtep);
}

void mover_told(struct mover *mover, uint64_t serial)
{
	uint64_t now_ns = channel_world_now_ns(&mover->world);

	pthread_mutex_lock(&mover->lock);
	for (struct move *move = mover->moves; move; move = move->next)
		for (uint32_t i = 0; i < move->n_ports; i++) {
			struct move_port *p = &move->port[i];

			if (p->told_serial && p->told_serial <= serial &&
				!p->stamp[MOMENT_PEERS_TOLD])
				p->stamp[MOMENT_PEERS_TOLD] = now_ns;
		}
	pthread_mutex_unlock(&mover->lock);
}

bool mover_vport_known(struct mover *mover, const char *vport, struct mover_vport *known)
{
	struct store_entry entry;

	if (!store_get(mover->store, vport, &entry))
		return false;
	*known = (struct mover_vport){
		.role = entry.role, .epoch = entry.epoch, .moved_in = entry.moved_in};
	memcpy(known->owner, entry.owner, sizeof(known->owner));
	return entry.moved_in || entry.role == ROLE_MOVED || entry.role == ROLE_FROZEN ||
	       entry.move_id[0];
}

/* Claims that were made before anybody could be asked. */
static int claim_again(struct vswitch_port *port, void *arg)
{
	struct vswitch_port_info info;
	struct mover *mover = arg;

	mover->vswitch.ops->info(mover->vswitch.ctx, port, &info);
	if (info.role == ROLE_CLAIM && info.rings_up)
		exchange_claim(mover, info.name);
	return 0;
}

void mover_claims_again(struct mover *mover)
{
	mover->vswitch.ops->foreach(mover->vswitch.ctx, claim_again, mover);
}
