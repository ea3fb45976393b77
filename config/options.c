/* SPDX-License-Identifier: BSD-3-Clause */
#include "config/options.h"

#define OPTION_OBJECTS(FIELD, SECTION, ...) \
	{ \
		.key = #FIELD, .type = CONFIG_TYPE_SECTION, .list = true, \
		.offset = offsetof(struct config, FIELD), \
		.count_offset = offsetof(struct config, n_##FIELD), \
		.size = sizeof(*((struct config *)0)->FIELD), .section = SECTION, __VA_ARGS__ \
	}

static const struct config_option root[] = {
	OPTION_SECTION(config, host, &config_section_host),
	OPTION_SECTION(config, dpdk, &config_section_dpdk),
	OPTION_SECTION(config, engine, &config_section_engine),
	OPTION_SECTION(config, uplink, &config_section_uplink),
	OPTION_OBJECTS(peers, &config_section_peer),
	OPTION_SECTION(config, tls, &config_section_tls),
	OPTION_OBJECTS(vpcs, &config_section_vpc),
	OPTION_OBJECTS(vports, &config_section_vport, .entries_max = 1024),
	OPTION_OBJECTS(locations, &config_section_location),
	OPTION_OBJECTS(groups, &config_section_group),
	OPTION_OBJECTS(plugins, &config_section_plugin, .entries_max = 16),
	OPTION_OBJECTS(external_networks, &config_section_external_network),
	OPTION_OBJECTS(nat_leases, &config_section_nat_lease),
	OPTION_SECTION(config, timeouts, &config_section_timeouts),
	OPTION_SECTION(config, migrate, &config_section_migrate),
	OPTION_SECTION(config, vmagent, &config_section_vmagent),
	OPTION_SECTION(config, log, &config_section_log),
};

const struct config_section config_section_root = SECTION(struct config, root,
	.help = "One file describes one host: what it runs, whom it knows, what its VMs may do.");
