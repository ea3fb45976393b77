/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Roles in the engine: an event goes through the table of role.c, the new role is stored by the
 * owner of the engine, then takes effect together with the vport's clock, hold and locations, and
 * one grace period later no worker acts on the old one. Also the mover's levers: hold, relay,
 * facts.
 */
#include <errno.h>

#include "dataplane/engine_parts.h"
#include "dataplane/hold.h"
#include "dataplane/location.h"

#define HOLD_PACKETS_MAX 65536

/* ---- where the vport's identities are ---- */

static void identity_spec(const struct vport *v, struct location_spec *spec)
{
	struct tunnel *to = atomic_load(&v->relay_to), *from = atomic_load(&v->relay_from);

	spec->vport = (struct vport *)(uintptr_t)v;
	spec->epoch = atomic_load(&v->epoch);
	spec->source = LOCATION_OWN;
	spec->mac = v->mac;
	switch (vport_role(v)) {
	case ROLE_PASSIVE:
		spec->kind = from ? LOCATION_REMOTE : LOCATION_NONE;
		if (from)
			spec->vtep = from->vtep;
		break;
	case ROLE_MOVED:
		spec->kind = to ? LOCATION_MOVED : LOCATION_NONE;
		if (to)
			spec->vtep = to->vtep;
		break;
	default:
		spec->kind = LOCATION_LOCAL;
	}
}

static int identity_set(struct engine *engine, const struct vport *v, struct location_spec *spec)
{
	struct location *known =
		location_exact(engine->locations, spec->vni, &spec->addr, spec->port_first);
	struct vport *other = known ? atomic_load(&known->vport) : NULL;

	if (other && other != v && atomic_load(&known->kind) == LOCATION_LOCAL)
		return -EEXIST;
	/* A passive vport knows nothing better than what is known (but may not be here before). */
	if (vport_role(v) == ROLE_PASSIVE && known && (!other || other == v) &&
		(spec->kind == LOCATION_NONE || spec->epoch < atomic_load(&known->epoch))) {
		atomic_store(&known->vport, spec->vport);
		return 0;
	}
	return engine_location_apply(engine, spec);
}

int engine_identities_add(struct engine *engine, struct vport *v)
{
	const struct vport_addresses *own = atomic_load(&v->addresses);
	struct location_spec spec = {0};
	int rc = 0;

	identity_spec(v, &spec);
	spec.vni = v->vni;
	for (uint16_t i = 0; i < own->ip_count && rc == 0; i++) {
		spec.addr = own->ip[i];
		rc = identity_set(engine, v, &spec);
	}
	/* Whole addresses among the allowed pairs: whoever comes first answers for them. */
	for (uint16_t i = 0; i < own->allowed_count && rc == 0; i++) {
		spec.addr = own->allowed[i];
		spec.mac = own->allowed_mac[i];
		if (own->allowed_plen[i] == 128)
			identity_set(engine, v, &spec);
	}
	spec.mac = v->mac;
	for (struct vport_identity *id = v->identities; id && rc == 0; id = id->next) {
		spec.vni = id->id.vni;
		spec.addr = id->id.addr;
		spec.port_first = id->id.port_first;
		spec.port_last = id->id.port_last;
		rc = identity_set(engine, v, &spec);
	}
	return rc;
}

struct forget {
	const struct vport *vport;
	bool all; /* else: what is not among its lists any more */
	struct location *found;
};

static bool is_listed(const struct vport *v, const struct location *location)
{
	const struct vport_addresses *own = atomic_load(&v->addresses);
	uint16_t port_first = rte_be_to_cpu_16(location->port_first);

	for (uint16_t i = 0; i < own->ip_count && location->vni == v->vni; i++)
		if (addr_equal(&own->ip[i], &location->addr))
			return true;
	for (uint16_t i = 0; i < own->allowed_count && location->vni == v->vni; i++)
		if (own->allowed_plen[i] == 128 && addr_equal(&own->allowed[i], &location->addr))
			return true;
	for (const struct vport_identity *id = v->identities; id; id = id->next)
		if (id->id.vni == location->vni && id->id.port_first == port_first &&
			addr_equal(&id->id.addr, &location->addr))
			return true;
	return false;
}

static int location_of_vport(struct location *location, void *arg)
{
	struct forget *forget = arg;

	if (atomic_load(&location->vport) != forget->vport ||
		(!forget->all && is_listed(forget->vport, location)))
		return 0;
	forget->found = location;
	return 1;
}

/* What was the vport's own goes; where it moved to (or waits to come from) stays known. */
static void identities_forget(struct engine *engine, struct forget forget)
{
	while (location_foreach(engine->locations, location_of_vport, &forget) != 0) {
		struct location *location = forget.found;

		atomic_store(&location->vport, NULL);
		if (atomic_load(&location->kind) == LOCATION_LOCAL ||
			atomic_load(&location->kind) == LOCATION_NONE)
			engine_location_drop(engine, location->vni, &location->addr,
				rte_be_to_cpu_16(location->port_first));
	}
}

void engine_identities_del(struct engine *engine, struct vport *v)
{
	identities_forget(engine, (struct forget){.vport = v, .all = true});
}

void engine_identities_prune(struct engine *engine, struct vport *v)
{
	identities_forget(engine, (struct forget){.vport = v});
}

/* ---- hold and relay ---- */

int engine_hold_make(struct vport *v)
{
	struct hold_params params = {.bytes_max = v->hold_bytes,
		.packets_max = HOLD_PACKETS_MAX,
		.age_ns = v->hold_age_ns};
	struct hold *hold = atomic_load(&v->hold);

	if (hold) {
		hold_reopen(hold);
		return 0;
	}
	hold = hold_create(&params);
	if (!hold)
		return -ENOMEM;
	atomic_store_explicit(&v->hold, hold, memory_order_release);
	return 0;
}

int engine_hold_open(struct vport *v)
{
	int rc;

	pthread_mutex_lock(&v->engine->mutex);
	rc = engine_hold_make(v);
	pthread_mutex_unlock(&v->engine->mutex);
	return rc;
}

int engine_hold_park(struct vport *v, bool on)
{
	int rc = 0;

	pthread_mutex_lock(&v->engine->mutex);
	if (on)
		rc = engine_hold_make(v);
	if (rc == 0) {
		atomic_store(&v->parking, on);
		if (on || atomic_load(&v->hold))
			atomic_store(&v->hold_draining, true);
	}
	pthread_mutex_unlock(&v->engine->mutex);
	engine_wake(v->engine);
	return rc;
}

uint32_t engine_hold_return(struct vport *v)
{
	struct hold *hold = atomic_load(&v->hold);
	struct hold_stats stats = {0};

	if (hold)
		hold_stats(hold, &stats);
	atomic_store(&v->returning, stats.packets > 0);
	engine_wake(v->engine);
	return stats.packets;
}

void engine_hold_stats(const struct vport *v, struct hold_stats *stats)
{
	struct hold *hold = atomic_load(&v->hold);

	*stats = (struct hold_stats){0};
	if (hold)
		hold_stats(hold, stats);
}

static int relay_set(struct vport *v, _Atomic(struct tunnel *) *place, const struct in6_addr *vtep)
{
	static const struct in6_addr none;
	struct engine *engine = v->engine;
	struct tunnel *tunnel = NULL;
	int rc = 0;

	pthread_mutex_lock(&engine->mutex);
	if (!addr_equal(vtep, &none)) {
		tunnel = engine_tunnel_get(engine, vtep);
		rc = tunnel ? 0 : -EAFNOSUPPORT;
	}
	if (rc == 0) {
		engine_tunnel_put(engine, atomic_exchange(place, tunnel));
		rc = engine_identities_add(engine, v);
	}
	pthread_mutex_unlock(&engine->mutex);
	return rc;
}

int engine_relay_to(struct vport *v, const struct in6_addr *vtep)
{
	return relay_set(v, &v->relay_to, vtep);
}

int engine_relay_from(struct vport *v, const struct in6_addr *vtep)
{
	return relay_set(v, &v->relay_from, vtep);
}

/* ---- events ---- */

void engine_vport_facts(struct vport *v, const struct role_facts *facts)
{
	pthread_mutex_lock(&v->engine->mutex);
	v->facts = *facts;
	/* An owner's hold is empty; it is there for what its rings do not take when they stop. */
	atomic_store(&v->leaving, facts->move_out && engine_hold_make(v) == 0);
	pthread_mutex_unlock(&v->engine->mutex);
}

/* Everything that goes with a role, in an order in which no packet falls between. Under the mutex.
 */
static void role_take(struct vport *v, enum role to, uint64_t epoch)
{
	struct engine *engine = v->engine;
	uint64_t now_ns = engine_now_ns(engine);
	enum role_duty duty = role_duty(to);

	atomic_store(&v->epoch, epoch);
	atomic_store(&v->returning, false);
	if (duty == ROLE_DUTY_HOLD || duty == ROLE_DUTY_ASK)
		engine_hold_make(v);
	if (duty == ROLE_DUTY_FORWARD) {
		vport_clock_run(v, now_ns);
		atomic_store(&v->activated_ns, now_ns);
		v->pace = (struct drain_pace){.took_ns = now_ns, .room_ns = now_ns};
		/* Later arrivals queue behind the hold until it is empty. */
		atomic_store(&v->hold_draining, atomic_load(&v->hold) != NULL);
	} else {
		vport_clock_stop(v, now_ns);
		atomic_store(&v->parking, false);
		/* What waited here for the destination follows it. */
		if (duty == ROLE_DUTY_RELAY)
			atomic_store(&v->hold_draining, atomic_load(&v->hold) != NULL);
	}
	atomic_store_explicit(&v->role, (uint8_t)to, memory_order_release);
	engine_identities_add(engine, v);
}

static uint64_t role_epoch(const struct vport *v, const struct role_step *step, uint64_t heard)
{
	uint64_t known = atomic_load(&v->epoch);

	if (heard > known)
		known = heard;
	if (!(step->effects & ROLE_EFFECT_EPOCH))
		return known;
	return RTE_MAX(known + 1, clock_wall_ms());
}

int engine_role_event(struct vport *v, enum role_event event, uint64_t epoch)
{
	struct engine *engine = v->engine;
	const struct engine_callbacks *callbacks = &engine->params.callbacks;
	struct role_facts facts;
	struct role_step step;
	enum role from;
	int rc = 0;

	pthread_mutex_lock(&engine->mutex);
	from = vport_role(v);
	facts = v->facts;
	facts.rings_up = v->port && port_rings_up(v->port);
	step = role_next(from, event, &facts);
	if (epoch != 0 && epoch < atomic_load(&v->epoch)) {
		rc = -ESTALE;
	} else if (step.next != from) {
		uint64_t taken = role_epoch(v, &step, epoch);

		if (callbacks->role_store)
			rc = callbacks->role_store(callbacks->arg, v, step.next, taken);
		if (rc == 0)
			role_take(v, step.next, taken);
	}
	pthread_mutex_unlock(&engine->mutex);
	if (rc != 0)
		return rc;
	if (step.next != from) {
		engine_wake(engine);
		engine_grace(engine);
	}
	if (callbacks->role_changed && !(step.effects & ROLE_EFFECT_STAY))
		callbacks->role_changed(callbacks->arg, v, from, step.next, step.effects);
	return 0;
}

void engine_epoch_heard(struct vport *v, uint64_t epoch)
{
	pthread_mutex_lock(&v->engine->mutex);
	if (epoch > atomic_load(&v->epoch))
		atomic_store(&v->epoch, epoch);
	pthread_mutex_unlock(&v->engine->mutex);
}

int engine_role_restore(struct vport *v, enum role role, uint64_t epoch)
{
	pthread_mutex_lock(&v->engine->mutex);
	role_take(v, role, epoch);
	pthread_mutex_unlock(&v->engine->mutex);
	engine_wake(v->engine);
	engine_grace(v->engine);
	return 0;
}
