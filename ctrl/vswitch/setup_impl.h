/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the setup*.c files share; no one else includes it. apply functions make or change one object
 * in the engine; a line for people goes to error on failure.
 */
#ifndef CTRL_VSWITCH_SETUP_IMPL_H
#define CTRL_VSWITCH_SETUP_IMPL_H

#include "ctrl/vswitch/setup.h"

struct setup {
	_Atomic(const struct config *) config; /* the control thread's; moves read it */
	struct setup_options options;
	struct engine *engine;
};

void setup_timeouts(const struct config *config, struct session_timeouts *timeouts);
/* False: the config has no uplink. */
bool setup_uplink_spec(const struct setup *setup, const struct config *config,
	struct uplink_params *params, char *device, size_t device_len);

int setup_peer_apply(
	struct setup *setup, const struct config_peer *peer, char *error, size_t error_len);
int setup_peer_remove(struct setup *setup, const struct config_peer *peer);
int setup_vpc_apply(struct setup *setup, const struct config *config, const struct config_vpc *vpc,
	char *error, size_t error_len);
/* config: this host's, whether the network is in it or came with a vport. */
int setup_external_apply(struct setup *setup, const struct config *config,
	const struct config_external_network *network, char *error, size_t error_len);
int setup_location_apply(
	struct setup *setup, const struct config_location *location, char *error, size_t error_len);
int setup_location_remove(struct setup *setup, const struct config_location *location);
int setup_vport_apply(struct setup *setup, const struct config *config,
	const struct config_vport *vport, char *error, size_t error_len);
/* Do plugins take its settings, is there its socket's group? */
int setup_vport_check(const struct setup *setup, const struct config *config,
	const struct config_vport *vport, char *error, size_t error_len);

/* ---- setup_plugins.c; any thread ---- */

struct setup_plugins;

int setup_plugins_check(
	const struct setup *setup, const struct config *config, char *error, size_t error_len);
/* All that may fail or takes long; config stays until the drop. */
int setup_plugins_prepare(const struct setup *setup, const struct config *config,
	struct setup_plugins **out, char *error, size_t error_len);
/* In force; again after others were. */
int setup_plugins_take(const struct setup *setup, const struct setup_plugins *plugins, char *error,
	size_t error_len);
/* When the vports that came or changed with it know. NULL allowed. */
void setup_plugins_drop(const struct setup *setup, struct setup_plugins *plugins);

#endif
