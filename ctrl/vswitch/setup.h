/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * From a config to a running engine, and from one config to the next. The only place where config's
 * structs become the dataplane's. Used by ferryd, ferry-replay and tests.
 *
 * Threads: one control thread (the loop's), but for a reload's plan.
 */
#ifndef CTRL_VSWITCH_SETUP_H
#define CTRL_VSWITCH_SETUP_H

#include <stdbool.h>
#include <stddef.h>

#include "config/config.h"
#include "dataplane/engine.h"

struct setup;

/* What a vport starts as; asked before each vport is made (the runtime store knows better than
 * YAML). */
struct setup_birth {
	enum role role;
	uint64_t epoch;
	bool skip; /* moved away, or not ours any more: do not make it */
};

struct setup_options {
	struct clock_source clock; /* now_ns NULL: the monotonic clock */
	struct engine_callbacks callbacks;
	const char *plugin_dir; /* NULL: the installed one */
	bool ring_ports; /* all ports, the uplink's too, are PORT_RING (replay, tests) */
	bool paused; /* ring ports are born with rings down */
	const char *engine_name; /* NULL: from the host name */
	/* NULL: OWNER for what is in the config and has never moved */
	void (*birth)(void *arg, const struct config_vport *vport, struct setup_birth *birth);
	/* May this vport go, or be made anew, by a reload? -EBUSY and why. NULL: always. */
	int (*vport_free)(void *arg, const char *vport, char *error, size_t error_len);
	void *birth_arg; /* of both */
};

/*
 * Engine, plugins, uplink, peers, VPCs, locations, vports; workers are not started. The config must
 * outlive the setup or be replaced by setup_reload(). -errno and one line in error; nothing is left
 * on failure.
 */
int setup_create(const struct config *config, const struct setup_options *options,
	struct setup **out, char *error, size_t error_len);
void setup_destroy(struct setup *setup);

/*
 * What a load cannot see of a config: are its plugins there, and do they take what it says? EAL
 * runs; no device, socket or file is touched.
 */
int setup_check(const struct config *config, const char *plugin_dir, char *error, size_t error_len);

struct engine *setup_engine(const struct setup *setup);
const struct config *setup_config(const struct setup *setup);

/*
 * Go over to another config. First everything is checked and built that can fail or takes long,
 * without touching anything (restart-only changes, plugins' configurations, ports); then what
 * differs is applied. On failure the old config is in force and *error says why. On success the
 * setup uses `next` and the caller frees the old one, after the plan.
 *
 * make and free: any thread registered with EAL, beside all other calls but another reload;
 * apply: the control thread. One plan at a time; both configs outlive it.
 */
struct setup_plan;
int setup_plan_make(const struct setup *setup, const struct config *next, struct setup_plan **out,
	char *error, size_t error_len);
int setup_plan_apply(
	struct setup *setup, const struct setup_plan *plan, char *error, size_t error_len);
void setup_plan_free(const struct setup *setup, struct setup_plan *plan); /* NULL allowed */
/* All three, for who may wait. */
int setup_reload(struct setup *setup, const struct config *next, char *error, size_t error_len);
/* The checks alone; as make. -EBUSY: good, as far as can be seen before a restart; *error says for
 * what. */
int setup_reload_check(
	const struct setup *setup, const struct config *next, char *error, size_t error_len);

/*
 * One vport of a config as the engine wants it (vport/add, a move's prepare). The caller sets
 * `config` and `vport`, which must outlive it: the spec points into them, and into this.
 */
struct setup_vport {
	const struct config *config;
	const struct config_vport *vport;
	struct vport_spec spec;
	struct in6_addr allowed[64];
	uint8_t allowed_plen[64];
	struct rte_ether_addr allowed_mac[64];
	struct plugin_value *plugins;
};
int setup_vport_fill(
	const struct setup *setup, struct setup_vport *made, char *error, size_t error_len);
void setup_vport_clear(struct setup_vport *made); /* also after a failed fill */

/* A config tree as plugins see it; free with setup_value_free(). NULL: empty or out of memory. */
struct plugin_value *setup_value(const struct config_tree *tree);
void setup_value_free(struct plugin_value *value);
/* What it holds, but not the value itself. */
void setup_value_clear(struct plugin_value *value);

#endif
