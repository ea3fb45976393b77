/* SPDX-License-Identifier: BSD-3-Clause */
#include <string.h>

#include "config/config.h"

#define FIND_BY_NAME(NOUN, LIST) \
	const struct config_##NOUN *config_##NOUN##_find( \
		const struct config *config, const char *name) \
	{ \
		for (uint32_t i = 0; i < config->n_##LIST; i++) \
			if (strcmp(config->LIST[i].name, name) == 0) \
				return &config->LIST[i]; \
		return NULL; \
	}

FIND_BY_NAME(vport, vports)
FIND_BY_NAME(vpc, vpcs)
FIND_BY_NAME(group, groups)
FIND_BY_NAME(peer, peers)
FIND_BY_NAME(plugin, plugins)

const struct config_vpc *config_vpc_find_vni(const struct config *config, uint32_t vni)
{
	for (uint32_t i = 0; i < config->n_vpcs; i++)
		if (config->vpcs[i].vni == vni)
			return &config->vpcs[i];
	return NULL;
}
