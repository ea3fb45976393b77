/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What plugins may ask of the engine: `struct plugin_host` of plugin.h. On control threads, but
 * log(), outside_free(), defer() and defer_free() on workers as well. The caller holds its plugin's
 * mutex and not the engine's. Loading is in plugin_load.c, the chain in plugin_chain.c.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <rte_cycles.h>

#include "dataplane/engine_parts.h"
#include "dataplane/session_table.h"
#include "dataplane/worker.h"

static void host_log(void *arg, enum plugin_log_level level, const char *format, ...)
{
	const struct engine *engine = arg;
	char text[256];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	engine_log(engine, level, "plugin", "%s", text);
}

static void host_defer_free(void *arg, void *memory)
{
	engine_defer(arg, memory, free);
}

static void host_defer(void *arg, void *memory, void (*release)(void *memory))
{
	engine_defer(arg, memory, release);
}

static struct vport *host_vport(struct engine *engine, const struct plugin_vport *view)
{
	return view && view->id < VPORT_MAX ? atomic_load(&engine->vport[view->id]) : NULL;
}

static void host_policy_changed(void *arg, const struct plugin_vport *view)
{
	struct engine *engine = arg;

	if (!view || host_vport(engine, view))
		engine_policy_changed(engine, host_vport(engine, view));
}

/* During vport_add the vport is in no slot yet: its view lies inside it. */
static struct vport *view_vport(const struct plugin_vport *view)
{
	return (struct vport *)((uintptr_t)view - offsetof(struct vport, plugin_view));
}

static struct vport_meter *host_meter(const struct plugin_vport *view, uint8_t number)
{
	return number < VPORT_METERS ? &view_vport(view)->meter[number] : NULL;
}

/* Tokens as of now: an empty packet is green and lets time pass. */
static void meter_refresh(struct vport_meter *meter, const struct vport *v)
{
	uint64_t now = vport_meter_time(meter, v, engine_now_ns(v->engine));

	rte_meter_trtcm_rfc4115_color_blind_check(&meter->state, &meter->profile, now, 0);
}

static void meter_fill(
	struct vport_meter *meter, const struct vport *v, const struct plugin_meter_level *level)
{
	meter->state.time_tc = meter->state.time_te = 0;
	meter->state.time_tc = meter->state.time_te =
		vport_meter_time(meter, v, engine_now_ns(v->engine));
	meter->state.tc = RTE_MIN(level->committed_bytes, meter->config.cbs_bytes);
	meter->state.te = RTE_MIN(level->excess_bytes, meter->config.ebs_bytes);
}

/* Full at first; a change of rates keeps what is left. */
static int host_meter_set(void *arg, const struct plugin_vport *view, uint8_t number,
	const struct plugin_meter *config)
{
	struct vport_meter *meter = host_meter(view, number);
	struct rte_meter_trtcm_rfc4115_params params = {.cir = config->cir_bytes_s,
		.eir = config->eir_bytes_s,
		.cbs = config->cbs_bytes,
		.ebs = config->ebs_bytes};
	struct plugin_meter_level level = {config->cbs_bytes, config->ebs_bytes};
	struct rte_meter_trtcm_rfc4115_profile profile;
	int rc = rte_meter_trtcm_rfc4115_profile_config(&profile, &params);

	(void)arg;
	if (!meter)
		return -ERANGE;
	if (rc != 0)
		return rc;
	rte_spinlock_lock(&meter->lock);
	meter->cycles_per_ns = (uint64_t)(((unsigned __int128)rte_get_tsc_hz() << 32) / 1000000000);
	if (meter->used) {
		meter_refresh(meter, view_vport(view));
		level.committed_bytes = meter->state.tc;
		level.excess_bytes = meter->state.te;
	}
	meter->profile = profile;
	meter->config = *config;
	meter_fill(meter, view_vport(view), &level);
	meter->used = true;
	rte_spinlock_unlock(&meter->lock);
	return 0;
}

static int host_meter_level(void *arg, const struct plugin_vport *view, uint8_t number,
	struct plugin_meter_level *level)
{
	struct vport_meter *meter = host_meter(view, number);

	(void)arg;
	if (!meter || !meter->used)
		return -ENOENT;
	rte_spinlock_lock(&meter->lock);
	meter_refresh(meter, view_vport(view));
	level->committed_bytes = meter->state.tc;
	level->excess_bytes = meter->state.te;
	rte_spinlock_unlock(&meter->lock);
	return 0;
}

static int host_meter_level_set(void *arg, const struct plugin_vport *view, uint8_t number,
	const struct plugin_meter_level *level)
{
	struct vport_meter *meter = host_meter(view, number);

	(void)arg;
	if (!meter || !meter->used)
		return -ENOENT;
	rte_spinlock_lock(&meter->lock);
	meter_fill(meter, view_vport(view), level);
	rte_spinlock_unlock(&meter->lock);
	return 0;
}

static bool identity_same(const struct plugin_identity *a, const struct plugin_identity *b)
{
	return a->vni == b->vni && addr_equal(&a->addr, &b->addr) &&
	       a->port_first == b->port_first && a->port_last == b->port_last;
}

/* Before a vport is in its slot, and after, its list is all there is of its identities. Under the
 * mutex. */
static bool vport_is_located(const struct engine *engine, const struct vport *v)
{
	return atomic_load(&engine->vport[v->id]) == v;
}

static int identity_del(
	struct engine *engine, struct vport *v, const struct plugin_identity *identity)
{
	struct vport_identity **at = &v->identities, *gone;

	while (*at && !identity_same(&(*at)->id, identity))
		at = &(*at)->next;
	gone = *at;
	if (!gone)
		return -ENOENT;
	*at = gone->next;
	free(gone);
	if (vport_is_located(engine, v))
		engine_identities_prune(engine, v);
	return 0;
}

static int host_identity_del(
	void *arg, const struct plugin_vport *view, const struct plugin_identity *identity)
{
	struct engine *engine = arg;
	int rc;

	pthread_mutex_lock(&engine->mutex);
	rc = identity_del(engine, view_vport(view), identity);
	pthread_mutex_unlock(&engine->mutex);
	return rc;
}

static int identity_add(
	struct engine *engine, struct vport *v, const struct plugin_identity *identity)
{
	struct vport_identity *entry;
	int rc;

	for (entry = v->identities; entry; entry = entry->next)
		if (identity_same(&entry->id, identity))
			return 0;
	entry = calloc(1, sizeof(*entry));
	if (!entry)
		return -ENOMEM;
	entry->id = *identity;
	entry->next = v->identities;
	v->identities = entry;
	if (!vport_is_located(engine, v))
		return 0;
	rc = engine_identities_add(engine, v);
	if (rc != 0) {
		v->identities = entry->next;
		free(entry);
		engine_identities_prune(engine, v);
	}
	return rc;
}

static int host_identity_add(
	void *arg, const struct plugin_vport *view, const struct plugin_identity *identity)
{
	struct engine *engine = arg;
	int rc;

	pthread_mutex_lock(&engine->mutex);
	rc = identity_add(engine, view_vport(view), identity);
	pthread_mutex_unlock(&engine->mutex);
	return rc;
}

static bool host_outside_free(void *arg, const struct plugin_tuple *outside)
{
	const struct engine *engine = arg;
	struct session_tuple tuple = {.local = outside->local,
		.remote = outside->remote,
		.vni = outside->vni,
		.local_port = rte_cpu_to_be_16(outside->local_port),
		.remote_port = rte_cpu_to_be_16(outside->remote_port),
		.proto = outside->proto};
	struct session_addresses6 a6;
	struct session_key key;
	unsigned int which;
	bool ipv6 = session_key_pack(&tuple, &key, &a6);

	return session_table_find(&engine->table, &key, ipv6 ? &a6 : NULL, &which) == NULL;
}

static bool host_reachable(void *arg, const struct plugin_tuple *tuple)
{
	return locate_reachable(arg, tuple->vni, &tuple->remote);
}

void plugin_host_fill(struct engine *engine, struct plugin_host *host)
{
	*host = (struct plugin_host){
		.engine = engine,
		.engine_name = engine->name,
		.workers = engine->worker_count,
		.log = host_log,
		.defer_free = host_defer_free,
		.defer = host_defer,
		.policy_changed = host_policy_changed,
		.meter_set = host_meter_set,
		.meter_level = host_meter_level,
		.meter_level_set = host_meter_level_set,
		.identity_add = host_identity_add,
		.identity_del = host_identity_del,
		.outside_free = host_outside_free,
		.reachable = host_reachable,
	};
}
