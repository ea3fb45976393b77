/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Loads plugins and hands them what people and movers have for them: configuration, vports, sections. Errors name the
 * plugin, the key and, where it came from a file, line and column. All under the engine mutex.
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

int engine_plugin_configure(struct engine *engine, const struct engine_plugin_config *config,
	char *error, size_t error_len)
{
	struct plugin_error fault = {0};
	struct engine_plugin *plugin;
	int rc = 0;

	pthread_mutex_lock(&engine->mutex);
	plugin = plugin_find(engine, config->plugin);
	if (plugin && plugin->descriptor->configure)
		rc = plugin->descriptor->configure(
			plugin->instance, config->value, config->apply, &fault);
	pthread_mutex_unlock(&engine->mutex);
	if (!plugin)
		return engine_fail(
			error, error_len, -ENOENT, "plugin %s: is not loaded", config->plugin);
	if (rc != 0)
		return plugin_error_text(config->plugin, &fault, rc, error, error_len);
	if (config->apply)
		engine_deferred_run(engine, false);
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

int plugin_host_vport_check(
	struct engine *engine, const struct plugin_value *settings, char *error, size_t error_len)
{
	for (uint16_t i = 0; i < engine->plugin_count; i++) {
		const struct plugin_descriptor *d = engine->plugin[i].descriptor;
		struct plugin_error fault = {0};
		int rc = 0;

		if (d->vport_check)
			rc = d->vport_check(
				engine->plugin[i].instance, settings_of(settings, d->name), &fault);
		if (rc != 0)
			return plugin_error_text(d->name, &fault, rc, error, error_len);
	}
	return 0;
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

int engine_plugin_vport_check(
	struct engine *engine, const struct plugin_value *settings, char *error, size_t error_len)
{
	int rc;

	pthread_mutex_lock(&engine->mutex);
	rc = plugin_host_vport_check(engine, settings, error, error_len);
	pthread_mutex_unlock(&engine->mutex);
	return rc;
}

/* ---- sections ---- */

static int plugin_index(struct engine *engine, const char *name)
{
	struct engine_plugin *plugin = plugin_find(engine, name);

	return plugin ? (int)(plugin - engine->plugin) : -ENOENT;
}

int engine_section_save(struct vport *v, const char *name, struct plugin_sink *sink)
{
	struct engine *engine = v->engine;
	int i, rc = 0;

	pthread_mutex_lock(&engine->mutex);
	i = plugin_index(engine, name);
	if (i < 0)
		rc = i;
	else if (engine->plugin[i].descriptor->section_save)
		rc = engine->plugin[i].descriptor->section_save(
			engine->plugin[i].instance, &v->plugin_view, v->plugin_data[i], sink);
	pthread_mutex_unlock(&engine->mutex);
	return rc;
}

static int section_load(
	struct vport *v, int i, const struct plugin_section *section, struct plugin_error *fault)
{
	const struct engine_plugin *plugin = &v->engine->plugin[i];
	const struct plugin_descriptor *d = plugin->descriptor;

	if (d->section_load && section->version >= d->state_min_version &&
		section->version <= d->state_version)
		return d->section_load(
			plugin->instance, &v->plugin_view, v->plugin_data[i], section, fault);
	snprintf(fault->text, sizeof(fault->text),
		d->section_load ? "state of version %u, this one reads %u to %u"
				: "state of version %u, this one reads none",
		section->version, d->state_min_version, d->state_version);
	return -EPROTO;
}

int engine_section_load(struct vport *v, const char *name, const struct plugin_section *section,
	char *error, size_t error_len)
{
	struct engine *engine = v->engine;
	struct plugin_error fault = {0};
	int i, rc;

	pthread_mutex_lock(&engine->mutex);
	i = plugin_index(engine, name);
	rc = i < 0 ? i : section_load(v, i, section, &fault);
	pthread_mutex_unlock(&engine->mutex);
	if (i < 0)
		return engine_fail(error, error_len, rc, "plugin %s: is not loaded", name);
	return rc == 0 ? 0 : plugin_error_text(name, &fault, rc, error, error_len);
}
