/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What hosts tell each other about who owns what, and what each believes. An owner tells everybody
 * at once when a vport becomes its own, and on every new connection. A claim of a lower epoch is
 * never believed; one of a higher epoch is when it comes from the host that was thought owner, or
 * after asking that host.
 */
#include "ctrl/migrate/peer_impl.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "dataplane/addr.h"

const uint16_t peer_types[] = {
#define PEER_TYPE_VALUE(name, value) value,
	PEER_TYPES(PEER_TYPE_VALUE)
#undef PEER_TYPE_VALUE
};
const unsigned peer_types_count = sizeof(peer_types) / sizeof(peer_types[0]);

void put_identity(struct wire_writer *w, const struct vswitch_identity *id)
{
	wire_put_u32(w, id->vni);
	wire_put_bytes(w, &id->addr, 16);
	wire_put_u16(w, id->port_first);
	wire_put_u16(w, id->port_last);
	wire_put_bytes(w, id->mac, 6);
}

void get_identity(struct wire_reader *r, struct vswitch_identity *id)
{
	id->vni = wire_get_u32(r);
	wire_get_bytes(r, &id->addr, 16);
	id->port_first = wire_get_u16(r);
	id->port_last = wire_get_u16(r);
	wire_get_bytes(r, id->mac, 6);
}

struct local {
	struct mover *mover;
	const struct vswitch_identity *id;
	struct vswitch_port *found;
};

struct ports {
	struct vswitch_port *port[1024];
	uint32_t count;
};

static int ports_add(struct vswitch_port *port, void *arg)
{
	struct ports *ports = arg;

	if (ports->count < 1024)
		ports->port[ports->count++] = port;
	return 0;
}

struct vswitch_port *peer_local(struct mover *mover, const struct vswitch_identity *id)
{
	const struct vswitch *v = &mover->vswitch;
	struct vswitch_identity own[VSWITCH_IDENTITIES_MAX];
	struct ports ports = {.count = 0};

	v->ops->foreach(v->ctx, ports_add, &ports);
	for (uint32_t i = 0; i < ports.count; i++) {
		uint32_t n = v->ops->identities(v->ctx, ports.port[i], own, VSWITCH_IDENTITIES_MAX);

		for (uint32_t k = 0; k < n; k++)
			if (peer_same_identity(&own[k], id))
				return ports.port[i];
	}
	return NULL;
}

/* ---- belief ---- */

/* A peer says that it owns something. */
struct owner_word {
	const char *host;
	const struct in6_addr *vtep;
	const struct vswitch_identity *id;
	uint64_t epoch;
};

/* A vport of ours: what the new owner's word means for it. */
static void local_take(
	struct mover *mover, struct vswitch_port *port, const struct owner_word *word)
{
	const struct in6_addr *vtep = word->vtep;
	const char *host = word->host;
	uint64_t epoch = word->epoch;
	const struct vswitch *v = &mover->vswitch;
	struct vswitch_port_info info;

	v->ops->info(v->ctx, port, &info);
	if (epoch < info.epoch)
		return;
	switch (info.role) {
	case ROLE_OWNER:
		if (epoch == info.epoch)
			return;
		if (info.rings_up) {
			mover_log(mover, PLUGIN_LOG_ERROR, info.name,
				"%s says that it owns it, but its rings are up here", host);
			return;
		}
		v->ops->relay_to(v->ctx, port, vtep);
		mover_store_owner(mover, info.name, host, vtep, "");
		v->ops->event(v->ctx, port, ROLE_CLAIMED_AWAY, 0);
		v->ops->event(v->ctx, port, ROLE_COMMIT, epoch);
		v->ops->purge(v->ctx, port, true);
		break;
	case ROLE_FROZEN: {
		struct store_entry entry;

		/* A move under way hears it by its own stream, with more to compare. */
		pthread_mutex_lock(&mover->lock);
		bool moving = mover_of_vport(mover, info.name) != NULL;
		pthread_mutex_unlock(&mover->lock);
		if (moving || !store_get(mover->store, info.name, &entry) ||
			strcmp(entry.owner, host) != 0)
			return;
		v->ops->relay_to(v->ctx, port, vtep);
		v->ops->event(v->ctx, port, ROLE_COMMIT, epoch);
		break;
	}
	case ROLE_MOVED:
		/* It has gone on: relay there at once, in one hop. */
		v->ops->relay_to(v->ctx, port, vtep);
		mover_store_owner(mover, info.name, host, vtep, "");
		break;
	case ROLE_PASSIVE:
		/* It waits here for a VM that others of this host talk to. */
		v->ops->located(v->ctx, word->id, vtep, epoch);
		break;
	default:
		break;
	}
}

void peer_take(
	struct mover *mover, const char *host, const struct vswitch_identity *id, uint64_t epoch)
{
	const struct vswitch *v = &mover->vswitch;
	struct vswitch_port *port = peer_local(mover, id);
	struct in6_addr vtep;

	if (!mover_peer_vtep(mover, host, &vtep))
		return;
	if (port)
		local_take(mover, port, &(struct owner_word){host, &vtep, id, epoch});
	else
		v->ops->located(v->ctx, id, &vtep, epoch);
}

void peer_believe(
	struct mover *mover, const char *host, const struct vswitch_identity *id, uint64_t epoch)
{
	struct exchange *peers = mover->exchange;
	struct peer_known *known;
	struct peer_doubt *doubt;
	bool take = true, full = false;

	if (!mover_peer_vni(mover, host, id->vni))
		return;
	pthread_mutex_lock(&peers->lock);
	known = peer_known_find(peers, id);
	if (known && epoch < known->epoch) {
		take = false;
	} else if (known && strcmp(known->host, host) != 0) {
		take = false;
		for (doubt = peers->doubts; doubt; doubt = doubt->next)
			if (peer_same_identity(&doubt->id, id))
				break;
		if (!doubt) {
			doubt = calloc(1, sizeof(*doubt));
			if (doubt) {
				doubt->next = peers->doubts;
				peers->doubts = doubt;
			}
		}
		if (doubt && epoch > doubt->epoch) {
			doubt->id = *id;
			doubt->epoch = epoch;
			doubt->settled = false;
			doubt->since_ns = channel_world_now_ns(&mover->world);
			snprintf(doubt->host, sizeof(doubt->host), "%s", host);
			snprintf(doubt->owner, sizeof(doubt->owner), "%s", known->host);
		}
		pthread_cond_broadcast(&peers->wake);
	} else {
		take = peer_known_set(peers, host, id, epoch);
		full = !take;
	}
	pthread_mutex_unlock(&peers->lock);
	if (full)
		mover_log(mover, PLUGIN_LOG_ERROR, host,
			"says that it owns more than is kept of all peers: %u addresses",
			PEER_KNOWN_MAX);
	if (take)
		peer_take(mover, host, id, epoch);
}

void exchange_look_again(struct mover *mover, const char *vport)
{
	struct exchange *peers = mover->exchange;
	const struct vswitch *v = &mover->vswitch;
	struct vswitch_port *port = v->ops->find(v->ctx, vport);
	struct vswitch_identity own[VSWITCH_IDENTITIES_MAX];
	uint32_t n = port ? v->ops->identities(v->ctx, port, own, VSWITCH_IDENTITIES_MAX) : 0;

	for (uint32_t i = 0; peers && i < n; i++) {
		struct peer_known *known, copy = {0};

		pthread_mutex_lock(&peers->lock);
		known = peer_known_find(peers, &own[i]);
		if (known)
			copy = *known;
		pthread_mutex_unlock(&peers->lock);
		if (copy.host[0])
			peer_take(mover, copy.host, &copy.id, copy.epoch);
	}
}

bool exchange_owned_later(struct mover *mover, struct vswitch_port *port, const char *host,
	uint64_t epoch, char owner[64])
{
	struct exchange *peers = mover->exchange;
	const struct vswitch *v = &mover->vswitch;
	struct vswitch_identity own[VSWITCH_IDENTITIES_MAX];
	uint32_t n = v->ops->identities(v->ctx, port, own, VSWITCH_IDENTITIES_MAX);
	bool found = false;

	if (!peers)
		return false;
	pthread_mutex_lock(&peers->lock);
	for (uint32_t i = 0; i < n && !found; i++) {
		const struct peer_known *known = peer_known_find(peers, &own[i]);

		found = known && known->epoch > epoch && strcmp(known->host, host) != 0;
		if (found)
			snprintf(owner, 64, "%s", known->host);
	}
	pthread_mutex_unlock(&peers->lock);
	return found;
}

/* ---- telling ---- */

uint64_t exchange_tell(struct mover *mover)
{
	struct exchange *peers = mover->exchange;
	uint64_t serial;

	if (!peers)
		return 0;
	pthread_mutex_lock(&peers->lock);
	serial = ++peers->told;
	for (struct peer_link *link = peers->links; link; link = link->next)
		atomic_store(&link->tell, true);
	pthread_cond_broadcast(&peers->wake);
	pthread_mutex_unlock(&peers->lock);
	return serial;
}

void exchange_told(struct mover *mover)
{
	struct exchange *peers = mover->exchange;
	uint64_t serial;

	if (!peers)
		return;
	pthread_mutex_lock(&peers->lock);
	serial = peers->told;
	for (struct peer_link *link = peers->links; link; link = link->next)
		if (atomic_load(&link->up) && link->told < serial)
			serial = link->told;
	pthread_mutex_unlock(&peers->lock);
	mover_told(mover, serial);
}

/* Worker: leaves a note for the link's thread, no more. */
void exchange_correct(
	struct mover *mover, uint32_t vni, const struct in6_addr *addr, const struct in6_addr *vtep)
{
	struct exchange *peers = mover->exchange;
	char name[64];

	if (!peers || !mover_peer_by_vtep(mover, vtep, name, sizeof(name)))
		return;
	pthread_mutex_lock(&peers->lock);
	for (struct peer_link *link = peers->links; link; link = link->next) {
		if (strcmp(link->name, name) != 0 || link->notes == PEER_NOTES_MAX)
			continue;
		link->note[link->notes] = (struct peer_note){.id = {.vni = vni, .addr = *addr}};
		link->notes++;
		pthread_cond_broadcast(&peers->wake);
	}
	pthread_mutex_unlock(&peers->lock);
}

void exchange_ask_move(struct mover *mover, const char *peer)
{
	struct exchange *peers = mover->exchange;

	if (!peers)
		return;
	pthread_mutex_lock(&peers->lock);
	for (struct peer_link *link = peers->links; link; link = link->next)
		if (strcmp(link->name, peer) == 0)
			atomic_store(&link->asks, true);
	/* One that waits before it dials again does so now: its host is there. */
	pthread_cond_broadcast(&peers->wake);
	pthread_mutex_unlock(&peers->lock);
}

bool exchange_move_unknown(struct mover *mover, const char *peer, const char *move_id)
{
	struct exchange *peers = mover->exchange;
	bool unknown = false;

	if (!peers)
		return false;
	pthread_mutex_lock(&peers->lock);
	for (struct peer_link *link = peers->links; link; link = link->next)
		if (strcmp(link->name, peer) == 0)
			unknown = strcmp(link->unknown_move, move_id) == 0;
	pthread_mutex_unlock(&peers->lock);
	return unknown;
}

/* ---- claims ---- */

/* Under peers->lock: who is thought to own one of these. */
static const char *owner_of(
	const struct exchange *peers, const struct vswitch_identity *ids, uint32_t count)
{
	const struct peer_known *known = NULL;

	for (uint32_t i = 0; i < count && !known; i++)
		known = peer_known_find(peers, &ids[i]);
	return known ? known->host : NULL;
}

bool exchange_claim(struct mover *mover, const char *vport)
{
	struct exchange *peers = mover->exchange;
	const struct vswitch *v = &mover->vswitch;
	struct vswitch_identity own[VSWITCH_IDENTITIES_MAX];
	struct store_entry entry = {0};
	struct peer_claim *claim;
	struct vswitch_port *port;
	const char *owner = NULL;
	uint32_t n = 0;

	if (!peers)
		return false;
	port = v->ops->find(v->ctx, vport);
	if (port)
		n = v->ops->identities(v->ctx, port, own, VSWITCH_IDENTITIES_MAX);
	store_get(mover->store, vport, &entry);
	pthread_mutex_lock(&peers->lock);
	owner = entry.owner[0] ? entry.owner : owner_of(peers, own, n);
	if (!owner && !(entry.suspect && peers->links)) {
		pthread_mutex_unlock(&peers->lock);
		return false;
	}
	claim = calloc(1, sizeof(*claim));
	if (claim) {
		snprintf(claim->vport, sizeof(claim->vport), "%s", vport);
		snprintf(claim->owner, sizeof(claim->owner), "%s", owner ? owner : "");
		claim->since_ns = channel_world_now_ns(&mover->world);
		claim->next = peers->claims;
		peers->claims = claim;
		mover->claims_waiting++;
	}
	pthread_cond_broadcast(&peers->wake);
	pthread_mutex_unlock(&peers->lock);
	return claim != NULL;
}

void peer_claim_result(
	struct mover *mover, const char *vport, enum role_event event, const char *why)
{
	const struct vswitch *v = &mover->vswitch;
	struct vswitch_port *port = v->ops->find(v->ctx, vport);

	mover_log(mover, event == ROLE_CLAIM_GRANTED ? PLUGIN_LOG_INFO : PLUGIN_LOG_ERROR, vport,
		"%s: %s", role_event_name(event), why);
	if (port)
		v->ops->event(v->ctx, port, event, 0);
	if (event != ROLE_CLAIM_REFUSED)
		exchange_tell(mover);
}
