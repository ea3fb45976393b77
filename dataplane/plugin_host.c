/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The other side of plugin.h: loads plugins, hands them configuration and vports, and gives them what they may ask of
 * the engine. All under the engine mutex but outside_free() and defer_free(), which workers call.
 */
#include <ctype.h>
#include <dlfcn.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <rte_cycles.h>

#include "dataplane/engine_parts.h"
#include "dataplane/session_table.h"

/* ---- what plugins may ask ---- */

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

static int host_meter_set(void *arg, const struct plugin_vport *view, uint8_t number,
	const struct plugin_meter *config)
{
	struct vport_meter *meter = host_meter(view, number);
	struct rte_meter_trtcm_rfc4115_params params = {.cir = config->cir_bytes_s,
		.eir = config->eir_bytes_s,
		.cbs = config->cbs_bytes,
		.ebs = config->ebs_bytes};
	int rc;

	(void)arg;
	if (!meter)
		return -ERANGE;
	rte_spinlock_lock(&meter->lock);
	rc = rte_meter_trtcm_rfc4115_profile_config(&meter->profile, &params);
	if (rc == 0 && (!meter->used || memcmp(&meter->config, config, sizeof(*config)) != 0))
		rc = rte_meter_trtcm_rfc4115_config(&meter->state, &meter->profile);
	if (rc == 0) {
		meter->config = *config;
		meter->used = true;
	}
	rte_spinlock_unlock(&meter->lock);
	return rc;
}

static int host_meter_level(void *arg, const struct plugin_vport *view, uint8_t number,
	struct plugin_meter_level *level)
{
	struct vport_meter *meter = host_meter(view, number);

	(void)arg;
	if (!meter || !meter->used)
		return -ENOENT;
	rte_spinlock_lock(&meter->lock);
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
	meter->state.tc = RTE_MIN(level->committed_bytes, meter->config.cbs_bytes);
	meter->state.te = RTE_MIN(level->excess_bytes, meter->config.ebs_bytes);
	meter->state.time_tc = meter->state.time_te = rte_rdtsc();
	rte_spinlock_unlock(&meter->lock);
	return 0;
}

static bool identity_same(const struct plugin_identity *a, const struct plugin_identity *b)
{
	return a->vni == b->vni && addr_equal(&a->addr, &b->addr) &&
	       a->port_first == b->port_first && a->port_last == b->port_last;
}

static int host_identity_del(
	void *arg, const struct plugin_vport *view, const struct plugin_identity *identity)
{
	struct engine *engine = arg;
	struct vport *v = view_vport(view);

	for (struct vport_identity **at = &v->identities; *at; at = &(*at)->next)
		if (identity_same(&(*at)->id, identity)) {
			struct vport_identity *gone = *at;

			*at = gone->next;
			free(gone);
			engine_identities_del(engine, v);
			return engine_identities_add(engine, v);
		}
	return -ENOENT;
}

static int host_identity_add(
	void *arg, const struct plugin_vport *view, const struct plugin_identity *identity)
{
	struct engine *engine = arg;
	struct vport *v = view_vport(view);
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
	/* Before the vport is in its slot its identities come with it. */
	if (atomic_load(&engine->vport[v->id]) != v)
		return 0;
	rc = engine_identities_add(engine, v);
	if (rc != 0) {
		v->identities = entry->next;
		free(entry);
		engine_identities_add(engine, v);
	}
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

static void host_fill(struct engine *engine, struct plugin_host *host)
{
	*host = (struct plugin_host){
		.engine = engine,
		.log = host_log,
		.defer_free = host_defer_free,
		.policy_changed = host_policy_changed,
		.meter_set = host_meter_set,
		.meter_level = host_meter_level,
		.meter_level_set = host_meter_level_set,
		.identity_add = host_identity_add,
		.identity_del = host_identity_del,
		.outside_free = host_outside_free,
	};
}

/* ---- loading ---- */

static const char *descriptor_fault(const struct plugin_descriptor *d)
{
	if (d->abi != PLUGIN_ABI_VERSION)
		return "built for another ABI version";
	if (!d->name || !islower((unsigned char)d->name[0]) ||
		strspn(d->name, "abcdefghijklmnopqrstuvwxyz0123456789-") != strlen(d->name) ||
		strlen(d->name) >= PLUGIN_NAME_MAX)
		return "bad name in its descriptor";
	if (!d->create || !d->destroy)
		return "no create or destroy in its descriptor";
	if (d->state_min_version > d->state_version)
		return "state_min_version is above state_version";
	return NULL;
}

static struct engine_plugin *plugin_find(struct engine *engine, const char *name)
{
	for (uint16_t i = 0; i < engine->plugin_count; i++)
		if (strcmp(engine->plugin[i].descriptor->name, name) == 0)
			return &engine->plugin[i];
	return NULL;
}

static int plugin_enter(
	struct engine *engine, void *handle, const char *path, char *error, size_t error_len)
{
	const struct plugin_descriptor *d = dlsym(handle, "ferry_plugin");
	struct engine_plugin *plugin = &engine->plugin[engine->plugin_count];
	const char *fault = d ? descriptor_fault(d) : "exports no ferry_plugin";
	int rc;

	if (fault && d && d->abi != PLUGIN_ABI_VERSION)
		return engine_fail(error, error_len, -EPROTO,
			"plugin %s: built for ABI version %u, this Ferry has %d", path, d->abi,
			PLUGIN_ABI_VERSION);
	if (fault)
		return engine_fail(error, error_len, -EINVAL, "plugin %s: %s", path, fault);
	if (plugin_find(engine, d->name))
		return engine_fail(error, error_len, -EEXIST, "plugin %s: %s is loaded already",
			path, d->name);
	if (d->after && !plugin_find(engine, d->after))
		return engine_fail(error, error_len, -ENOENT,
			"plugin %s: must come after %s, which is not loaded", path, d->after);
	host_fill(engine, &plugin->host);
	rc = d->create(&plugin->host, &plugin->instance);
	if (rc != 0)
		return engine_fail(
			error, error_len, rc, "plugin %s: create: %s", d->name, strerror(-rc));
	plugin->descriptor = d;
	plugin->handle = handle;
	engine->plugin_count++;
	return 0;
}

int engine_plugin_load(struct engine *engine, const char *path, char *error, size_t error_len)
{
	void *handle = dlopen(path, RTLD_NOW | RTLD_LOCAL);
	int rc;

	if (!handle)
		return engine_fail(error, error_len, -ENOENT, "plugin %s: %s", path, dlerror());
	pthread_mutex_lock(&engine->mutex);
	if (engine->plugin_count == ENGINE_PLUGINS_MAX)
		rc = engine_fail(error, error_len, -ENOSPC, "plugin %s: at most %d plugins", path,
			ENGINE_PLUGINS_MAX);
	else
		rc = plugin_enter(engine, handle, path, error, error_len);
	pthread_mutex_unlock(&engine->mutex);
	if (rc != 0)
		dlclose(handle);
	return rc;
}

void engine_plugins_unload(struct engine *engine)
{
	while (engine->plugin_count > 0) {
		struct engine_plugin *plugin = &engine->plugin[--engine->plugin_count];

		plugin->descriptor->destroy(plugin->instance);
		engine_deferred_run(engine, true);
		dlclose(plugin->handle);
	}
}

static int plugin_error_text(
	const char *name, const struct plugin_error *fault, int rc, char *error, size_t error_len)
{
	const char *text = fault->text[0] ? fault->text : strerror(-rc);

	if (fault->line)
		return engine_fail(error, error_len, rc, "%u:%u: plugin %s: %s", fault->line,
			fault->column, name, text);
	return engine_fail(error, error_len, rc, "plugin %s: %s", name, text);
}

int engine_plugin_configure(struct engine *engine, const char *name,
	const struct plugin_value *config, bool apply, char *error, size_t error_len)
{
	struct plugin_error fault = {0};
	struct engine_plugin *plugin;
	int rc = 0;

	pthread_mutex_lock(&engine->mutex);
	plugin = plugin_find(engine, name);
	if (!plugin)
		rc = -ENOENT;
	else if (plugin->descriptor->configure)
		rc = plugin->descriptor->configure(plugin->instance, config, apply, &fault);
	pthread_mutex_unlock(&engine->mutex);
	if (rc != 0)
		return plugin_error_text(name, &fault, rc, error, error_len);
	if (apply) {
		engine_grace(engine);
		engine_policy_changed(engine, NULL);
	}
	return 0;
}

int engine_plugin_foreach(struct engine *engine,
	int (*cb)(const struct plugin_descriptor *, void *, void *), void *arg)
{
	int rc = 0;

	pthread_mutex_lock(&engine->mutex);
	for (uint16_t i = 0; i < engine->plugin_count && rc == 0; i++)
		rc = cb(engine->plugin[i].descriptor, engine->plugin[i].instance, arg);
	pthread_mutex_unlock(&engine->mutex);
	return rc;
}

void engine_tick(struct engine *engine)
{
	uint64_t now_ns = engine_now_ns(engine);

	pthread_mutex_lock(&engine->mutex);
	for (uint16_t i = 0; i < engine->plugin_count; i++)
		if (engine->plugin[i].descriptor->tick)
			engine->plugin[i].descriptor->tick(engine->plugin[i].instance, now_ns);
	pthread_mutex_unlock(&engine->mutex);
	engine_deferred_run(engine, false);
}

/* ---- vports ---- */

static const struct plugin_value *settings_of(
	const struct plugin_value *settings, const char *plugin)
{
	for (uint32_t i = 0; settings && i < settings->count; i++)
		if (settings->item[i].key && strcmp(settings->item[i].key, plugin) == 0)
			return &settings->item[i];
	return NULL;
}

static void vport_del_upto(struct engine *engine, struct vport *v, uint16_t count)
{
	while (count-- > 0) {
		const struct plugin_descriptor *d = engine->plugin[count].descriptor;

		if (d->vport_del)
			d->vport_del(engine->plugin[count].instance, &v->plugin_view,
				v->plugin_data[count]);
		v->plugin_data[count] = NULL;
	}
}

int plugin_host_vport_add(struct engine *engine, struct vport *v,
	const struct plugin_value *settings, char *error, size_t error_len)
{
	for (uint16_t i = 0; i < engine->plugin_count; i++) {
		const struct plugin_descriptor *d = engine->plugin[i].descriptor;
		struct plugin_error fault = {0};
		int rc = 0;

		if (d->vport_add)
			rc = d->vport_add(engine->plugin[i].instance, &v->plugin_view,
				settings_of(settings, d->name), &v->plugin_data[i], &fault);
		if (rc != 0) {
			vport_del_upto(engine, v, i);
			return plugin_error_text(d->name, &fault, rc, error, error_len);
		}
	}
	return 0;
}

int plugin_host_vport_change(struct engine *engine, struct vport *v,
	const struct plugin_value *settings, char *error, size_t error_len)
{
	for (uint16_t i = 0; i < engine->plugin_count; i++) {
		const struct plugin_descriptor *d = engine->plugin[i].descriptor;
		struct plugin_error fault = {0};
		int rc = 0;

		if (d->vport_change)
			rc = d->vport_change(engine->plugin[i].instance, &v->plugin_view,
				settings_of(settings, d->name), &v->plugin_data[i], &fault);
		if (rc != 0)
			return plugin_error_text(d->name, &fault, rc, error, error_len);
	}
	return 0;
}

void plugin_host_vport_del(struct engine *engine, struct vport *v)
{
	vport_del_upto(engine, v, engine->plugin_count);
}
