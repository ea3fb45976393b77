/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Setting an engine up from a config: engine, plugins, uplink, peers, VPCs, locations, vports, in
 * this order, and taking it down in the reverse one. Reload is in setup_reload.c; what one object
 * of the config becomes is in setup_spec.c.
 */
#include "ctrl/vswitch/setup.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "ctrl/vswitch/setup_impl.h"

static const char *setup_plugin_dir(const struct setup *setup)
{
	return setup->options.plugin_dir ? setup->options.plugin_dir : FERRY_PLUGIN_DIR;
}

static int setup_plugins_load(struct setup *setup, char *error, size_t error_len)
{
	const struct config *config = setup->config;
	char path[512];
	int rc = 0;

	for (uint32_t i = 0; i < config->n_plugins && rc == 0; i++) {
		const struct config_plugin *plugin = &config->plugins[i];

		if (plugin->path)
			snprintf(path, sizeof(path), "%s", plugin->path);
		else
			snprintf(path, sizeof(path), "%s/%s.so", setup_plugin_dir(setup),
				plugin->name);
		rc = engine_plugin_load(setup->engine, path, error, error_len);
	}
	return rc;
}

static int setup_engine_make(struct setup *setup, char *error, size_t error_len)
{
	const struct config_engine *from = &setup->config->engine;
	int cores[64];
	struct engine_params params = {
		.name = setup->options.engine_name ? setup->options.engine_name : "ferry",
		.clock = setup->options.clock,
		.callbacks = setup->options.callbacks,
		.workers = (uint16_t)from->workers,
		.cores = from->n_cores ? cores : NULL,
		.polling = from->polling == CONFIG_POLLING_BUSY ? ENGINE_POLL_BUSY
								: ENGINE_POLL_ADAPTIVE,
		.sessions = from->sessions,
		.session_exts = from->session_extensions,
		.locations = from->locations,
		.mbufs = from->mbufs,
		.mbuf_bytes =
			from->mbuf_bytes ? (uint16_t)(from->mbuf_bytes + RTE_PKTMBUF_HEADROOM) : 0,
		.pickup = from->pickup,
		.rst_unknown = from->rst_for_unknown,
		.policy_change = from->policy_change == CONFIG_POLICY_CUT ? ENGINE_POLICY_CUT
									  : ENGINE_POLICY_FINISH,
		.icmp_per_second = from->icmp_per_s,
		.check_outer_sum = from->check_outer_checksum,
		.fragments = from->fragments,
	};

	for (uint32_t i = 0; i < from->n_cores && i < RTE_DIM(cores); i++)
		cores[i] = (int)from->cores[i];
	setup_timeouts(setup->config, &params.timeouts);
	return engine_create(&params, &setup->engine, error, error_len);
}

static int setup_net(struct setup *setup, char *error, size_t error_len)
{
	const struct config *config = setup->config;
	struct uplink_params uplink;
	char device[256];
	int rc = 0;

	if (setup_uplink_spec(setup, config, &uplink, device, sizeof(device)))
		rc = engine_uplink_open(setup->engine, &uplink, error, error_len);
	for (uint32_t i = 0; i < config->n_peers && rc == 0; i++)
		rc = setup_peer_apply(setup, &config->peers[i], error, error_len);
	for (uint32_t i = 0; i < config->n_vpcs && rc == 0; i++)
		rc = setup_vpc_apply(setup, config, &config->vpcs[i], error, error_len);
	for (uint32_t i = 0; i < config->n_external_networks && rc == 0; i++)
		rc = setup_external_apply(
			setup, config, &config->external_networks[i], error, error_len);
	for (uint32_t i = 0; i < config->n_locations && rc == 0; i++)
		rc = setup_location_apply(setup, &config->locations[i], error, error_len);
	return rc;
}

int setup_create(const struct config *config, const struct setup_options *options,
	struct setup **out, char *error, size_t error_len)
{
	struct setup *setup = calloc(1, sizeof(*setup));
	struct setup_plugins *plugins = NULL;
	int rc;

	if (!setup)
		return -ENOMEM;
	setup->config = config;
	setup->options = *options;
	if (!setup->options.clock.now_ns)
		setup->options.clock.now_ns = clock_monotonic_ns;
	rc = setup_engine_make(setup, error, error_len);
	if (rc == 0)
		rc = setup_plugins_load(setup, error, error_len);
	if (rc == 0)
		rc = setup_plugins_prepare(setup, config, &plugins, error, error_len);
	if (rc == 0)
		rc = setup_plugins_take(setup, plugins, error, error_len);
	if (rc == 0)
		rc = setup_net(setup, error, error_len);
	for (uint32_t i = 0; i < config->n_vports && rc == 0; i++)
		rc = setup_vport_apply(setup, config, &config->vports[i], error, error_len);
	setup_plugins_drop(setup, plugins);
	if (rc != 0) {
		setup_destroy(setup);
		return rc;
	}
	*out = setup;
	return 0;
}

/* Enough for plugins to stand in. */
static const struct config_engine least_engine = {
	.workers = 1, .sessions = 1024, .locations = 1024, .mbufs = 1024, .fragments = 16};

int setup_check(const struct config *config, const char *plugin_dir, char *error, size_t error_len)
{
	struct config least = *config;
	struct setup *setup = calloc(1, sizeof(*setup));
	int rc;

	if (!setup)
		return -ENOMEM;
	least.engine = least_engine;
	setup->config = &least;
	setup->options = (struct setup_options){
		.plugin_dir = plugin_dir, .clock = {.now_ns = clock_monotonic_ns}};
	rc = setup_engine_make(setup, error, error_len);
	if (rc == 0)
		rc = setup_plugins_load(setup, error, error_len);
	if (rc == 0)
		rc = setup_plugins_check(setup, config, error, error_len);
	for (uint32_t i = 0; i < config->n_vports && rc == 0; i++)
		rc = setup_vport_check(setup, config, &config->vports[i], error, error_len);
	setup_destroy(setup);
	return rc;
}

void setup_destroy(struct setup *setup)
{
	if (!setup)
		return;
	engine_destroy(setup->engine);
	free(setup);
}

struct engine *setup_engine(const struct setup *setup)
{
	return setup->engine;
}

const struct config *setup_config(const struct setup *setup)
{
	return setup->config;
}
