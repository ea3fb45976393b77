/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef FERRY_ENGINE_PARTS_H
#define FERRY_ENGINE_PARTS_H
/* What the engine*.c and plugin_*.c files need of each other; no one else includes it. */
#include <stdbool.h>
#include <stddef.h>

#include "dataplane/engine_state.h"

/* Write the line for people (error may be NULL) and return rc. */
int engine_fail(char *error, size_t error_len, int rc, const char *format, ...)
	__attribute__((format(printf, 4, 5)));

/* Free what has waited long enough; force: wait now, until nothing is left. */
void engine_deferred_run(struct engine *engine, bool force);

void engine_net_destroy(struct engine *engine);
void engine_vpcs_destroy(struct engine *engine);
void engine_uplink_destroy(struct engine *engine);
void engine_plugins_unload(struct engine *engine);

/* Set a location whoever owns it; take one out. Under the mutex. */
int engine_location_apply(struct engine *engine, const struct location_spec *spec);
void engine_location_drop(
	struct engine *engine, uint32_t vni, const struct in6_addr *addr, uint16_t port_first);

/*
 * Own identities of a vport in and out of the location table; under the mutex. A location that
 * stays is the same object, for its neighbours' sessions point to it: so after a change add() what
 * is listed, then prune() what is not. After a failed add() some are in.
 */
int engine_identities_add(struct engine *engine, struct vport *v);
void engine_identities_prune(struct engine *engine, struct vport *v);
void engine_identities_del(struct engine *engine, struct vport *v);

/* Give v a hold, or open its old one; under the mutex. */
int engine_hold_make(struct vport *v);

struct engine_plugin *engine_plugin_find(struct engine *engine, const char *name);
/* Write what a plugin said, with its place, for people; returns rc. */
int engine_plugin_fail(
	const char *name, const struct plugin_error *fault, int rc, char *error, size_t error_len);
/* What this engine offers to plugins. */
void plugin_host_fill(struct engine *engine, struct plugin_host *host);

/* Plugins hear of vports; under vport_mutex, not the engine's. Undo is complete on failure of add.
 */
int plugin_host_vport_check(
	struct engine *engine, const struct plugin_value *settings, char *error, size_t error_len);
int plugin_host_vport_add(struct engine *engine, struct vport *v,
	const struct plugin_value *settings, char *error, size_t error_len);
int plugin_host_vport_change(struct engine *engine, struct vport *v,
	const struct plugin_value *settings, char *error, size_t error_len);
void plugin_host_vport_del(struct engine *engine, struct vport *v);

#endif
