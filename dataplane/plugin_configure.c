/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A plugin's configuration, checked and taken in one step or in two (prepare, take). Each call but
 * build is made under the mutex of its plugin.
 */
#include <errno.h>
#include <string.h>

#include "dataplane/engine_parts.h"

/* One call of configure. */
static int plugin_configure(struct engine_plugin *plugin, const struct plugin_value *value,
	bool apply, struct plugin_error *fault)
{
	int rc = 0;

	pthread_mutex_lock(&plugin->mutex);
	if (plugin->descriptor->configure)
		rc = plugin->descriptor->configure(plugin->instance, value, apply, fault);
	pthread_mutex_unlock(&plugin->mutex);
	return rc;
}

static int plugin_prepare(struct engine_plugin *plugin, struct engine_plugin_prepared *prepared,
	struct plugin_error *fault)
{
	const struct plugin_descriptor *d = plugin->descriptor;
	int rc;

	prepared->prepared = NULL;
	if (!d->prepare)
		return plugin_configure(plugin, prepared->value, false, fault);
	pthread_mutex_lock(&plugin->mutex);
	rc = d->prepare(plugin->instance, prepared->value, &prepared->prepared, fault);
	pthread_mutex_unlock(&plugin->mutex);
	return rc == 0 ? d->build(prepared->prepared, fault) : rc;
}

int engine_plugin_prepare(struct engine *engine, struct engine_plugin_prepared *prepared,
	char *error, size_t error_len)
{
	struct engine_plugin *plugin = engine_plugin_find(engine, prepared->plugin);
	struct plugin_error fault = {0};
	int rc;

	prepared->prepared = NULL;
	if (!plugin)
		return engine_fail(
			error, error_len, -ENOENT, "plugin %s: is not loaded", prepared->plugin);
	rc = plugin_prepare(plugin, prepared, &fault);
	if (rc == 0)
		return 0;
	engine_plugin_drop(engine, prepared);
	return engine_plugin_fail(prepared->plugin, &fault, rc, error, error_len);
}

int engine_plugin_take(struct engine *engine, const struct engine_plugin_prepared *prepared,
	char *error, size_t error_len)
{
	struct engine_plugin *plugin = engine_plugin_find(engine, prepared->plugin);
	struct plugin_error fault = {0};
	int rc;

	if (!plugin)
		return -ENOENT;
	if (prepared->prepared) {
		pthread_mutex_lock(&plugin->mutex);
		rc = plugin->descriptor->take(plugin->instance, prepared->prepared, &fault);
		pthread_mutex_unlock(&plugin->mutex);
	} else {
		rc = plugin_configure(plugin, prepared->value, true, &fault);
	}
	if (rc != 0)
		return engine_plugin_fail(prepared->plugin, &fault, rc, error, error_len);
	engine_deferred_run(engine, false);
	return 0;
}

void engine_plugin_drop(struct engine *engine, struct engine_plugin_prepared *prepared)
{
	struct engine_plugin *plugin =
		prepared->prepared ? engine_plugin_find(engine, prepared->plugin) : NULL;

	if (!plugin)
		return;
	pthread_mutex_lock(&plugin->mutex);
	plugin->descriptor->drop(plugin->instance, prepared->prepared);
	pthread_mutex_unlock(&plugin->mutex);
	prepared->prepared = NULL;
	engine_deferred_run(engine, false);
}

int engine_plugin_configure(struct engine *engine, const struct engine_plugin_config *config,
	char *error, size_t error_len)
{
	struct engine_plugin_prepared prepared = {.plugin = config->plugin, .value = config->value};
	struct engine_plugin *plugin = engine_plugin_find(engine, config->plugin);
	struct plugin_error fault = {0};
	int rc;

	if (plugin && config->apply && plugin->descriptor->prepare) {
		rc = engine_plugin_prepare(engine, &prepared, error, error_len);
		if (rc == 0)
			rc = engine_plugin_take(engine, &prepared, error, error_len);
		engine_plugin_drop(engine, &prepared);
		return rc;
	}
	if (!plugin)
		return engine_fail(
			error, error_len, -ENOENT, "plugin %s: is not loaded", config->plugin);
	rc = plugin_configure(plugin, config->value, config->apply, &fault);
	if (rc != 0)
		return engine_plugin_fail(config->plugin, &fault, rc, error, error_len);
	if (config->apply)
		engine_deferred_run(engine, false);
	return 0;
}
