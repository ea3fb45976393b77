/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Reload: compare, check everything that can be checked without touching the engine, then apply
 * what differs. Objects that are equal are not touched; a vport that only changes its policy keeps
 * its port and its sessions.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "ctrl/vswitch/setup_impl.h"

/* Applied in this order after removals went the other way. */
static const enum config_object order[] = {
	CONFIG_OBJECT_PEER,
	CONFIG_OBJECT_VPC,
	CONFIG_OBJECT_EXTERNAL_NETWORK,
	CONFIG_OBJECT_LOCATION,
	CONFIG_OBJECT_VPORT,
};

static int check_restart(const struct config_diff *diff, char *error, size_t error_len)
{
	char fields[128];

	for (uint32_t i = 0; i < diff->n_changes; i++) {
		const struct config_change *change = &diff->changes[i];

		if (change->effect != CONFIG_EFFECT_RESTART || !change->before || !change->after)
			continue;
		config_change_fields(change, fields, sizeof(fields));
		snprintf(error, error_len, "%s: a change of %s needs a restart", change->name,
			fields);
		return -EBUSY;
	}
	return 0;
}

/* A vport that a move holds, or that lives elsewhere, is the runtime store's, not the file's. */
static int check_vports(
	const struct setup *setup, const struct config_diff *diff, char *error, size_t error_len)
{
	for (uint32_t i = 0; i < diff->n_changes; i++) {
		const struct config_change *change = &diff->changes[i];
		const struct config_vport *after = change->after;
		struct setup_vport made = {.config = setup->config, .vport = after};
		int rc;

		if (change->object != CONFIG_OBJECT_VPORT || !after)
			continue;
		rc = setup_vport_fill(setup, &made, error, error_len);
		if (rc == 0)
			rc = engine_plugin_vport_check(
				setup->engine, made.plugins, error, error_len);
		setup_vport_clear(&made);
		if (rc != 0)
			return rc;
	}
	return 0;
}

static int object_remove(struct setup *setup, const struct config_change *change)
{
	const struct config_vport *vport = change->before;
	struct vport *v;

	switch (change->object) {
	case CONFIG_OBJECT_PEER:
		return setup_peer_remove(setup, change->before);
	case CONFIG_OBJECT_VPC:
		return engine_vpc_del(
			setup->engine, ((const struct config_vpc *)change->before)->vni);
	case CONFIG_OBJECT_EXTERNAL_NETWORK:
		return engine_vpc_del(setup->engine,
			((const struct config_external_network *)change->before)->vni);
	case CONFIG_OBJECT_LOCATION:
		return setup_location_remove(setup, change->before);
	case CONFIG_OBJECT_VPORT:
		v = engine_vport_find(setup->engine, vport->name);
		return v ? engine_vport_del(setup->engine, v) : 0;
	default:
		return 0;
	}
}

static int object_apply(struct setup *setup, const struct config *next,
	const struct config_change *change, char *error, size_t error_len)
{
	switch (change->object) {
	case CONFIG_OBJECT_PEER:
		return setup_peer_apply(setup, change->after, error, error_len);
	case CONFIG_OBJECT_VPC:
		return setup_vpc_apply(setup, next, change->after, error, error_len);
	case CONFIG_OBJECT_EXTERNAL_NETWORK:
		return setup_external_apply(setup, next, change->after, error, error_len);
	case CONFIG_OBJECT_LOCATION:
		return setup_location_apply(setup, change->after, error, error_len);
	case CONFIG_OBJECT_VPORT:
		return setup_vport_apply(setup, next, change->after, error, error_len);
	default:
		return 0;
	}
}

/* What goes: the removed, and what must be made anew. */
static bool goes(const struct config_change *change)
{
	return change->before && (!change->after || change->effect == CONFIG_EFFECT_RECREATE);
}

/* From `diff` applied backwards: what has been done is undone by the same functions. */
static int apply_all(struct setup *setup, const struct config *next, const struct config_diff *diff,
	char *error, size_t error_len)
{
	int rc = 0;

	for (size_t o = RTE_DIM(order); o-- > 0;)
		for (uint32_t i = 0; i < diff->n_changes; i++)
			if (diff->changes[i].object == order[o] && goes(&diff->changes[i]))
				object_remove(setup, &diff->changes[i]);
	rc = setup_plugin_configure(setup, next, true, error, error_len);
	for (size_t o = 0; o < RTE_DIM(order) && rc == 0; o++)
		for (uint32_t i = 0; i < diff->n_changes && rc == 0; i++)
			if (diff->changes[i].object == order[o] && diff->changes[i].after)
				rc = object_apply(setup, next, &diff->changes[i], error, error_len);
	return rc;
}

int setup_reload(struct setup *setup, const struct config *next, char *error, size_t error_len)
{
	const struct config *before = setup->config;
	struct session_timeouts timeouts;
	struct config_diff diff, back;
	char ignored[ENGINE_ERROR_MAX];
	int rc = config_diff(before, next, &diff);

	if (rc != 0)
		return rc;
	rc = check_restart(&diff, error, error_len);
	if (rc == 0)
		rc = check_vports(setup, &diff, error, error_len);
	if (rc == 0)
		rc = setup_plugin_configure(setup, next, false, error, error_len);
	if (rc == 0) {
		rc = apply_all(setup, next, &diff, error, error_len);
		if (rc != 0 && config_diff(next, before, &back) == 0) {
			apply_all(setup, before, &back, ignored, sizeof(ignored));
			config_diff_free(&back);
		}
	}
	config_diff_free(&diff);
	if (rc != 0)
		return rc;
	setup_timeouts(next, &timeouts);
	engine_timeouts_set(setup->engine, &timeouts);
	setup->config = next;
	return 0;
}
