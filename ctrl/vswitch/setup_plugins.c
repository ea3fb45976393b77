/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What all plugins make of a config: checked alone, or prepared beside what is in force, taken
 * (again, too) and dropped.
 */
#include <errno.h>
#include <stdlib.h>

#include "ctrl/vswitch/plugin_config.h"
#include "ctrl/vswitch/setup_impl.h"

struct setup_plugins {
	uint32_t count;
	struct engine_plugin_prepared item[];
};

int setup_plugins_check(
	const struct setup *setup, const struct config *config, char *error, size_t error_len)
{
	for (uint32_t i = 0; i < config->n_plugins; i++) {
		struct plugin_value *value = plugin_config_make(config, &config->plugins[i]);
		const struct engine_plugin_config change = {
			.plugin = config->plugins[i].name, .value = value, .apply = false};
		int rc = value ? engine_plugin_configure(setup->engine, &change, error, error_len)
			       : -ENOMEM;

		plugin_config_free(value);
		if (rc != 0)
			return rc;
	}
	return 0;
}

void setup_plugins_drop(const struct setup *setup, struct setup_plugins *plugins)
{
	for (uint32_t i = 0; plugins && i < plugins->count; i++) {
		engine_plugin_drop(setup->engine, &plugins->item[i]);
		plugin_config_free((struct plugin_value *)(uintptr_t)plugins->item[i].value);
	}
	free(plugins);
}

int setup_plugins_prepare(const struct setup *setup, const struct config *config,
	struct setup_plugins **out, char *error, size_t error_len)
{
	struct setup_plugins *plugins =
		calloc(1, sizeof(*plugins) + config->n_plugins * sizeof(plugins->item[0]));
	int rc = plugins ? 0 : -ENOMEM;

	for (uint32_t i = 0; rc == 0 && i < config->n_plugins; i++) {
		struct engine_plugin_prepared *item = &plugins->item[i];

		item->plugin = config->plugins[i].name;
		item->value = plugin_config_make(config, &config->plugins[i]);
		plugins->count++;
		rc = item->value ? engine_plugin_prepare(setup->engine, item, error, error_len)
				 : -ENOMEM;
	}
	if (rc == 0)
		*out = plugins;
	else
		setup_plugins_drop(setup, plugins);
	return rc;
}

int setup_plugins_take(const struct setup *setup, const struct setup_plugins *plugins, char *error,
	size_t error_len)
{
	int rc = 0;

	for (uint32_t i = 0; i < plugins->count && rc == 0; i++)
		rc = engine_plugin_take(setup->engine, &plugins->item[i], error, error_len);
	return rc;
}
