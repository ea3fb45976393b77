/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Loads plugins and hands them what people and movers have for them: configuration, vports,
 * sections. Errors name the plugin, the key and, where it came from a file, line and column. The
 * list of plugins is made before the first vport and stands until the end; each call is made under
 * the mutex of its plugin, never under the engine's.
 */
#include <ctype.h>
#include <dlfcn.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "dataplane/engine_parts.h"

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
	if (!d->prepare != !d->build || !d->prepare != !d->take || !d->prepare != !d->drop)
		return "only some of prepare, build, take and drop in its descriptor";
	return NULL;
}

struct engine_plugin *engine_plugin_find(struct engine *engine, const char *name)
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
	if (engine_plugin_find(engine, d->name))
		return engine_fail(error, error_len, -EEXIST, "plugin %s: %s is loaded already",
			path, d->name);
	for (uint16_t i = 0; i < engine->plugin_count; i++) {
		const struct plugin_descriptor *before = engine->plugin[i].descriptor;

		if (before->after && strcmp(before->after, d->name) == 0)
			return engine_fail(error, error_len, -EINVAL,
				"plugin %s: must come before %s", d->name, before->name);
	}
	plugin_host_fill(engine, &plugin->host);
	rc = d->create(&plugin->host, &plugin->instance);
	if (rc != 0)
		return engine_fail(
			error, error_len, rc, "plugin %s: create: %s", d->name, strerror(-rc));
	pthread_mutex_init(&plugin->mutex, NULL);
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
		pthread_mutex_destroy(&plugin->mutex);
		dlclose(plugin->handle);
	}
}

int engine_plugin_fail(
	const char *name, const struct plugin_error *fault, int rc, char *error, size_t error_len)
{
	const char *text = fault->text[0] ? fault->text : strerror(-rc);

	if (fault->line)
		return engine_fail(error, error_len, rc, "%u:%u: plugin %s: %s", fault->line,
			fault->column, name, text);
	return engine_fail(error, error_len, rc, "plugin %s: %s", name, text);
}

int engine_plugin_foreach(struct engine *engine,
	int (*cb)(const struct plugin_descriptor *, void *, void *), void *arg)
{
	int rc = 0;

	for (uint16_t i = 0; i < engine->plugin_count && rc == 0; i++) {
		struct engine_plugin *plugin = &engine->plugin[i];

		pthread_mutex_lock(&plugin->mutex);
		rc = cb(plugin->descriptor, plugin->instance, arg);
		pthread_mutex_unlock(&plugin->mutex);
	}
	return rc;
}

void engine_tick(struct engine *engine)
{
	uint64_t now_ns = engine_now_ns(engine);

	for (uint16_t i = 0; i < engine->plugin_count; i++) {
		struct engine_plugin *plugin = &engine->plugin[i];

		if (!plugin->descriptor->tick)
			continue;
		pthread_mutex_lock(&plugin->mutex);
		plugin->descriptor->tick(plugin->instance, now_ns);
		pthread_mutex_unlock(&plugin->mutex);
	}
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

/* One plugin and one vport: what both add and change are. */
typedef int (*vport_call)(void *instance, const struct plugin_vport *vport,
	const struct plugin_value *settings, void **data, struct plugin_error *error);

static int vport_tell(struct vport *v, uint16_t i, vport_call call,
	const struct plugin_value *settings, struct plugin_error *fault)
{
	struct engine_plugin *plugin = &v->engine->plugin[i];
	int rc = 0;

	pthread_mutex_lock(&plugin->mutex);
	if (call)
		rc = call(plugin->instance, &v->plugin_view,
			settings_of(settings, plugin->descriptor->name), &v->plugin_data[i], fault);
	pthread_mutex_unlock(&plugin->mutex);
	return rc;
}

static void vport_del_upto(struct engine *engine, struct vport *v, uint16_t count)
{
	while (count-- > 0) {
		struct engine_plugin *plugin = &engine->plugin[count];

		pthread_mutex_lock(&plugin->mutex);
		if (plugin->descriptor->vport_del)
			plugin->descriptor->vport_del(
				plugin->instance, &v->plugin_view, v->plugin_data[count]);
		pthread_mutex_unlock(&plugin->mutex);
		v->plugin_data[count] = NULL;
	}
}

int plugin_host_vport_check(
	struct engine *engine, const struct plugin_value *settings, char *error, size_t error_len)
{
	for (uint16_t i = 0; i < engine->plugin_count; i++) {
		struct engine_plugin *plugin = &engine->plugin[i];
		const struct plugin_descriptor *d = plugin->descriptor;
		struct plugin_error fault = {0};
		int rc;

		if (!d->vport_check)
			continue;
		pthread_mutex_lock(&plugin->mutex);
		rc = d->vport_check(plugin->instance, settings_of(settings, d->name), &fault);
		pthread_mutex_unlock(&plugin->mutex);
		if (rc != 0)
			return engine_plugin_fail(d->name, &fault, rc, error, error_len);
	}
	return 0;
}

int plugin_host_vport_add(struct engine *engine, struct vport *v,
	const struct plugin_value *settings, char *error, size_t error_len)
{
	for (uint16_t i = 0; i < engine->plugin_count; i++) {
		const struct plugin_descriptor *d = engine->plugin[i].descriptor;
		struct plugin_error fault = {0};
		int rc = vport_tell(v, i, d->vport_add, settings, &fault);

		if (rc != 0) {
			vport_del_upto(engine, v, i);
			return engine_plugin_fail(d->name, &fault, rc, error, error_len);
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
		int rc = vport_tell(v, i, d->vport_change, settings, &fault);

		if (rc != 0)
			return engine_plugin_fail(d->name, &fault, rc, error, error_len);
	}
	return 0;
}

void plugin_host_vport_del(struct engine *engine, struct vport *v)
{
	vport_del_upto(engine, v, engine->plugin_count);
}

int engine_plugin_vport_check(
	struct engine *engine, const struct plugin_value *settings, char *error, size_t error_len)
{
	return plugin_host_vport_check(engine, settings, error, error_len);
}

/* ---- sections ---- */

int engine_section_save(struct vport *v, const char *name, struct plugin_sink *sink)
{
	struct engine_plugin *plugin = engine_plugin_find(v->engine, name);
	int rc = 0;

	if (!plugin)
		return -ENOENT;
	pthread_mutex_lock(&plugin->mutex);
	if (plugin->descriptor->section_save)
		rc = plugin->descriptor->section_save(plugin->instance, &v->plugin_view,
			v->plugin_data[plugin - v->engine->plugin], sink);
	pthread_mutex_unlock(&plugin->mutex);
	return rc;
}

static int vport_section_load(struct vport *v, struct engine_plugin *plugin,
	const struct plugin_section *section, struct plugin_error *fault)
{
	int rc;

	pthread_mutex_lock(&plugin->mutex);
	rc = plugin->descriptor->section_load(plugin->instance, &v->plugin_view,
		v->plugin_data[plugin - v->engine->plugin], section, fault);
	pthread_mutex_unlock(&plugin->mutex);
	return rc;
}

int engine_section_load(struct vport *v, const char *name, const struct plugin_section *section,
	char *error, size_t error_len)
{
	struct engine_plugin *plugin = engine_plugin_find(v->engine, name);
	const struct plugin_descriptor *d;
	struct plugin_error fault = {0};
	int rc = -EPROTO;

	if (!plugin)
		return engine_fail(error, error_len, -ENOENT, "plugin %s: is not loaded", name);
	d = plugin->descriptor;
	if (!d->section_load)
		snprintf(fault.text, sizeof(fault.text), "state of version %u, this one reads none",
			section->version);
	else if (section->version < d->state_min_version || section->version > d->state_version)
		snprintf(fault.text, sizeof(fault.text),
			"state of version %u, this one reads %u to %u", section->version,
			d->state_min_version, d->state_version);
	else
		rc = vport_section_load(v, plugin, section, &fault);
	return rc == 0 ? 0 : engine_plugin_fail(name, &fault, rc, error, error_len);
}

void engine_sections_forget(struct vport *v)
{
	for (uint16_t i = 0; i < v->engine->plugin_count; i++) {
		struct engine_plugin *plugin = &v->engine->plugin[i];

		if (!plugin->descriptor->section_forget)
			continue;
		pthread_mutex_lock(&plugin->mutex);
		plugin->descriptor->section_forget(
			plugin->instance, &v->plugin_view, v->plugin_data[i]);
		pthread_mutex_unlock(&plugin->mutex);
	}
	engine_deferred_run(v->engine, false);
}
