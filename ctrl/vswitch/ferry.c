/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Our own engine behind struct vswitch_ops: ports, levers and sections here; describing and
 * preparing ports in ferry_describe.c; sessions in ferry_sessions.c. A vswitch_port is a struct
 * vport.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <rte_lcore.h>

#include "ctrl/vswitch/ferry_impl.h"
#include "dataplane/hold.h"

static struct engine *engine_of(void *ctx)
{
	return ((struct vswitch_ferry *)ctx)->engine;
}

static uint64_t ferry_now_ns(void *ctx)
{
	return engine_now_ns(engine_of(ctx));
}

/* Mempools and rings want a thread they know; one that could not be registered only has no cache.
 */
static void ferry_thread_enter(void *ctx)
{
	(void)ctx;
	rte_thread_register();
}

static void ferry_thread_leave(void *ctx)
{
	(void)ctx;
	rte_thread_unregister();
}

/* ---- ports ---- */

static struct vswitch_port *ferry_find(void *ctx, const char *name)
{
	return ferry_port(engine_vport_find(engine_of(ctx), name));
}

struct each {
	int (*cb)(struct vswitch_port *, void *);
	void *arg;
};

static int each_vport(struct vport *v, void *arg)
{
	const struct each *each = arg;

	return each->cb(ferry_port(v), each->arg);
}

static int ferry_foreach(void *ctx, int (*cb)(struct vswitch_port *, void *), void *arg)
{
	struct each each = {.cb = cb, .arg = arg};

	return engine_vport_foreach(engine_of(ctx), each_vport, &each);
}

static void ferry_info(void *ctx, struct vswitch_port *port, struct vswitch_port_info *info)
{
	const struct vport *v = ferry_vport(port);
	struct port_info device;

	(void)ctx;
	memset(info, 0, sizeof(*info));
	memcpy(info->name, v->name, sizeof(info->name));
	memcpy(info->uuid, v->uuid, sizeof(info->uuid));
	memcpy(info->vm, v->vm[0] ? v->vm : v->name, sizeof(info->vm));
	memcpy(info->mac, &v->mac, sizeof(info->mac));
	info->vni = v->vni;
	info->role = vport_role(v);
	info->epoch = atomic_load(&v->epoch);
	info->ran = atomic_load(&v->activated_ns) != 0;
	info->sessions = atomic_load(&v->sessions);
	info->hold_bytes = v->hold_bytes;
	info->queues = v->queues;
	if (!v->port)
		return;
	info->rings_up = port_rings_up(v->port);
	memset(&device, 0, sizeof(device));
	port_info(v->port, &device);
	info->connected_ns = device.connected_ns;
	info->features = device.features;
	info->features_offered = device.features_offered;
}

struct identities {
	const struct vport *v;
	struct vswitch_identity *out;
	uint32_t count, max;
};

static int identity_of(const struct location *location, void *arg)
{
	struct identities *found = arg;
	struct vswitch_identity *id = &found->out[found->count];

	if (atomic_load(&location->vport) != found->v)
		return 0;
	*id = (struct vswitch_identity){.vni = location->vni,
		.addr = location->addr,
		.port_first = rte_be_to_cpu_16(location->port_first),
		.port_last = rte_be_to_cpu_16(location->port_last)};
	memcpy(id->mac, &found->v->mac, sizeof(id->mac));
	return ++found->count == found->max;
}

static uint32_t ferry_identities(
	void *ctx, struct vswitch_port *port, struct vswitch_identity *out, uint32_t max)
{
	struct identities found = {.v = ferry_vport(port), .out = out, .max = max};

	if (max > 0)
		engine_location_foreach(engine_of(ctx), identity_of, &found);
	return found.count;
}

static void ferry_counts(void *ctx, struct vswitch_port *port, struct vswitch_counts *counts)
{
	struct port_stats stats;
	struct hold_stats hold;

	(void)ctx;
	engine_vport_stats(ferry_vport(port), &stats);
	engine_hold_stats(ferry_vport(port), &hold);
	*counts = (struct vswitch_counts){.relayed = stats.in_relayed,
		.held = hold.held,
		.drained = hold.drained,
		.dropped_hold = hold.overflow,
		.stale = hold.stale + stats.in_drop[DROP_STALE]};
}

static void ferry_room(void *ctx, struct vswitch_port *port, struct vswitch_room *room)
{
	struct vswitch_ferry *ferry = ctx;
	const struct vport *v = ferry_vport(port);
	struct engine_memory memory;

	engine_memory(ferry->engine, &memory);
	room->sessions_max = memory.sessions_max;
	room->sessions_free =
		memory.sessions < memory.sessions_max ? memory.sessions_max - memory.sessions : 0;
	pthread_mutex_lock(&ferry->lock);
	ferry_guest_limits(setup_config(ferry->setup), room);
	pthread_mutex_unlock(&ferry->lock);
	if (!v)
		return;
	room->quota = atomic_load(&v->quota);
	room->hold_bytes = v->hold_bytes;
}

/* ---- levers ---- */

static void ferry_facts(void *ctx, struct vswitch_port *port, const struct role_facts *facts)
{
	(void)ctx;
	engine_vport_facts(ferry_vport(port), facts);
}

static int ferry_event(void *ctx, struct vswitch_port *port, enum role_event event, uint64_t epoch)
{
	(void)ctx;
	return engine_role_event(ferry_vport(port), event, epoch);
}

static void ferry_epoch_heard(void *ctx, struct vswitch_port *port, uint64_t epoch)
{
	(void)ctx;
	engine_epoch_heard(ferry_vport(port), epoch);
}

static int ferry_hold(void *ctx, struct vswitch_port *port)
{
	(void)ctx;
	return engine_hold_open(ferry_vport(port));
}

static int ferry_hold_return(void *ctx, struct vswitch_port *port, uint32_t *left)
{
	(void)ctx;
	*left = engine_hold_return(ferry_vport(port));
	return 0;
}

static int ferry_park(void *ctx, struct vswitch_port *port, bool on)
{
	(void)ctx;
	return engine_hold_park(ferry_vport(port), on);
}

static int ferry_relay_to(void *ctx, struct vswitch_port *port, const struct in6_addr *vtep)
{
	(void)ctx;
	return engine_relay_to(ferry_vport(port), vtep);
}

static int ferry_relay_from(void *ctx, struct vswitch_port *port, const struct in6_addr *vtep)
{
	(void)ctx;
	return engine_relay_from(ferry_vport(port), vtep);
}

static int ferry_announce(void *ctx, struct vswitch_port *port)
{
	(void)ctx;
	return engine_announce(ferry_vport(port));
}

static int ferry_located(void *ctx, const struct vswitch_identity *identity,
	const struct in6_addr *vtep, uint64_t epoch)
{
	struct location_spec spec = {.addr = identity->addr,
		.vtep = *vtep,
		.vni = identity->vni,
		.port_first = identity->port_first,
		.port_last = identity->port_last,
		.epoch = epoch,
		.kind = LOCATION_REMOTE,
		.source = LOCATION_LEARNED};

	memcpy(&spec.mac, identity->mac, sizeof(spec.mac));
	return engine_location_set(engine_of(ctx), &spec);
}

/* ---- sections ---- */

struct sections {
	struct vswitch_section *out;
	uint32_t count, max;
};

static int section_of(const struct plugin_descriptor *d, void *instance, void *arg)
{
	struct sections *found = arg;
	struct vswitch_section *section = &found->out[found->count];

	(void)instance;
	memset(section, 0, sizeof(*section));
	snprintf(section->name, sizeof(section->name), "%s", d->name);
	section->version = d->state_version;
	section->min_version = d->state_min_version;
	section->optional = d->state_optional;
	return ++found->count == found->max;
}

static uint32_t ferry_sections(void *ctx, struct vswitch_section *out, uint32_t max)
{
	struct sections found = {.out = out, .max = max};

	engine_plugin_foreach(engine_of(ctx), section_of, &found);
	return found.count;
}

static int writer_put(struct plugin_sink *sink, const void *data, size_t len_bytes)
{
	struct wire_writer *w = sink->arg;

	wire_put_bytes(w, data, len_bytes);
	return wire_writer_ok(w) ? 0 : -ENOMEM;
}

static int ferry_section_save(
	void *ctx, struct vswitch_port *port, const char *name, struct wire_writer *w)
{
	struct plugin_sink sink = {.put = writer_put, .arg = w};

	(void)ctx;
	return engine_section_save(ferry_vport(port), name, &sink);
}

static int ferry_section_load(void *ctx, struct vswitch_port *port,
	const struct vswitch_state *state, char *error, size_t error_len)
{
	const struct plugin_section section = {
		.version = state->version, .bytes = state->bytes, .len_bytes = state->len_bytes};

	(void)ctx;
	return engine_section_load(ferry_vport(port), state->name, &section, error, error_len);
}

static void ferry_sections_forget(void *ctx, struct vswitch_port *port)
{
	(void)ctx;
	engine_sections_forget(ferry_vport(port));
}

static uint32_t ferry_purge(void *ctx, struct vswitch_port *port, bool moved)
{
	(void)ctx;
	return session_import_purge(ferry_vport(port), moved);
}

static void ferry_resync(void *ctx, struct vswitch_port *port)
{
	(void)ctx;
	session_import_resync(ferry_vport(port));
}

static const struct vswitch_ops ferry_ops = {
	.now_ns = ferry_now_ns,
	.thread_enter = ferry_thread_enter,
	.thread_leave = ferry_thread_leave,
	.find = ferry_find,
	.foreach = ferry_foreach,
	.info = ferry_info,
	.identities = ferry_identities,
	.counts = ferry_counts,
	.room = ferry_room,
	.describe = ferry_describe,
	.prepare = ferry_prepare,
	.discard = ferry_discard,
	.facts = ferry_facts,
	.event = ferry_event,
	.epoch_heard = ferry_epoch_heard,
	.hold = ferry_hold,
	.hold_return = ferry_hold_return,
	.park = ferry_park,
	.relay_to = ferry_relay_to,
	.relay_from = ferry_relay_from,
	.announce = ferry_announce,
	.located = ferry_located,
	.sections = ferry_sections,
	.section_save = ferry_section_save,
	.section_load = ferry_section_load,
	.sections_forget = ferry_sections_forget,
	.export_open = ferry_export_open,
	.export_close = ferry_export_close,
	.export_rewind = ferry_export_rewind,
	.export_walk = ferry_export_walk,
	.export_round = ferry_export_round,
	.export_changed = ferry_export_changed,
	.export_dead = ferry_export_dead,
	.export_round_done = ferry_export_round_done,
	.export_look = ferry_export_look,
	.import_open = ferry_import_open,
	.import_close = ferry_import_close,
	.import_begin = ferry_import_begin,
	.import_end = ferry_import_end,
	.import_soon = ferry_import_soon,
	.import_record = ferry_import_record,
	.import_dead = ferry_import_dead,
	.import_find = ferry_import_find,
	.import_sweep = ferry_import_sweep,
	.purge = ferry_purge,
	.resync = ferry_resync,
};

int vswitch_ferry_create(struct setup *setup, struct vswitch_ferry **out)
{
	struct vswitch_ferry *ferry = calloc(1, sizeof(*ferry));
	int rc;

	if (!ferry)
		return -ENOMEM;
	ferry->setup = setup;
	ferry->engine = setup_engine(setup);
	pthread_mutex_init(&ferry->lock, NULL);
	rc = config_load_text("{}", 2, "defaults", &ferry->blank, NULL);
	if (rc != 0) {
		vswitch_ferry_destroy(ferry);
		return rc;
	}
	*out = ferry;
	return 0;
}

void vswitch_ferry_destroy(struct vswitch_ferry *ferry)
{
	if (!ferry)
		return;
	while (ferry->guests) {
		struct ferry_guest *guest = ferry->guests;

		ferry->guests = guest->next;
		config_free(guest->config);
		free(guest);
	}
	config_free(ferry->blank);
	pthread_mutex_destroy(&ferry->lock);
	free(ferry);
}

int vswitch_ferry_reload(struct vswitch_ferry *ferry, char *error, size_t error_len)
{
	int rc = 0;

	pthread_mutex_lock(&ferry->lock);
	if (ferry->guests)
		rc = ferry_configure(ferry, error, error_len);
	pthread_mutex_unlock(&ferry->lock);
	return rc;
}

struct vswitch vswitch_ferry_ops(struct vswitch_ferry *ferry)
{
	return (struct vswitch){.ops = &ferry_ops, .ctx = ferry};
}
