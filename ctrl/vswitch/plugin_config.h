/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What a plugin is configured with: its own `config:` map, and for some plugins sections of the
 * file that are theirs by nature (groups for acl; external_networks and nat_leases for nat). acl
 * also learns who is in each group: members: {GROUP: {VNI: [ADDRESS, ...], ...}}, from the file's
 * vports, be they here or moved away, and from the locations that name a group; and which groups
 * vports have together, to compile them early: vport_groups: [[GROUP, ...], ...].
 */
#ifndef CTRL_VSWITCH_PLUGIN_CONFIG_H
#define CTRL_VSWITCH_PLUGIN_CONFIG_H

#include "config/config.h"
#include "dataplane/plugin.h"

/* Free with plugin_config_free(). NULL: out of memory. */
struct plugin_value *plugin_config_make(
	const struct config *config, const struct config_plugin *plugin);
void plugin_config_free(struct plugin_value *value);

#endif
