/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Reload: compare, check and build everything that can be without touching the engine, which is the
 * plan; then apply what differs. Objects that are equal are not touched; a vport that only changes
 * its policy keeps its port and its sessions.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ctrl/vswitch/setup_impl.h"
#include "dataplane/vport.h"

/* One way between two configs. */
struct way {
	const struct config *to;
	struct config_diff diff;
	struct setup_plugins *plugins; /* of to */
};

struct setup_plan {
	struct way there, back;
};

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

/* What goes: the removed, and what must be made anew. */
static bool goes(const struct config_change *change)
{
	return change->before && (!change->after || change->effect == CONFIG_EFFECT_RECREATE);
}

/* A vport that a move holds stays as it is until the move is over. */
static int check_vport_free(const struct setup *setup, const struct config_change *change,
	char *error, size_t error_len)
{
	const struct config_vport *before = change->before;

	if (!goes(change) || !setup->options.vport_free ||
		!engine_vport_find(setup->engine, before->name))
		return 0;
	return setup->options.vport_free(setup->options.birth_arg, before->name, error, error_len);
}

static int check_vports(const struct setup *setup, const struct config *next,
	const struct config_diff *diff, char *error, size_t error_len)
{
	int rc = 0;

	for (uint32_t i = 0; i < diff->n_changes && rc == 0; i++) {
		const struct config_change *change = &diff->changes[i];

		if (change->object != CONFIG_OBJECT_VPORT)
			continue;
		rc = check_vport_free(setup, change, error, error_len);
		if (rc == 0 && change->after)
			rc = setup_vport_check(setup, next, change->after, error, error_len);
	}
	return rc;
}

/* What can be said before anything is touched, but for plugins. */
static int check_all(const struct setup *setup, const struct config *next,
	const struct config_diff *diff, char *error, size_t error_len)
{
	int rc = check_restart(diff, error, error_len);

	return rc == 0 ? check_vports(setup, next, diff, error, error_len) : rc;
}

int setup_reload_check(
	const struct setup *setup, const struct config *next, char *error, size_t error_len)
{
	struct config_diff diff;
	int rc = config_diff(setup->config, next, &diff);

	if (rc != 0)
		return rc;
	rc = check_all(setup, next, &diff, error, error_len);
	if (rc == 0)
		rc = setup_plugins_check(setup, next, error, error_len);
	config_diff_free(&diff);
	return rc;
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

static bool has_address(const struct config_vport *vport, const struct in6_addr *addr)
{
	for (uint32_t i = 0; i < vport->n_ips; i++)
		if (addr_equal(&vport->ips[i], addr))
			return true;
	return false;
}

/* A vport lets go of what is not its own any more, before another one gets it. */
static int vport_narrow(struct setup *setup, const struct config *next,
	const struct config_change *change, char *error, size_t error_len)
{
	const struct config_vport *before = change->before;
	struct vport *v = engine_vport_find(setup->engine, before->name);
	struct setup_vport kept = {.config = next, .vport = change->after};
	struct in6_addr ips[VPORT_IPS_MAX];
	uint16_t count = 0;
	int rc;

	for (uint32_t i = 0; i < before->n_ips && i < RTE_DIM(ips); i++)
		if (has_address(change->after, &before->ips[i]))
			ips[count++] = before->ips[i];
	if (!v || count == before->n_ips)
		return 0;
	rc = setup_vport_fill(setup, &kept, error, error_len);
	kept.spec.ips = ips;
	kept.spec.ip_count = count;
	if (rc == 0)
		rc = engine_vport_change(setup->engine, v, &kept.spec, error, error_len);
	setup_vport_clear(&kept);
	return rc;
}

static bool settings_differ(const struct vport *v, const struct vport_spec *spec)
{
	return atomic_load(&v->quota) != spec->quota || v->track.tcp_liberal != spec->tcp_liberal ||
	       v->hold_bytes != spec->hold_bytes || v->hold_age_ns != spec->hold_age_ns ||
	       v->hold_any != spec->hold_any;
}

/* Vports whose own entry is as it was, but not what follows for them from groups and limits. */
static int vports_settle(
	struct setup *setup, const struct config *next, char *error, size_t error_len)
{
	int rc = 0;

	for (uint32_t i = 0; i < next->n_vports && rc == 0; i++) {
		struct setup_vport wanted = {.config = next, .vport = &next->vports[i]};
		struct vport *v = engine_vport_find(setup->engine, wanted.vport->name);

		if (!v)
			continue;
		rc = setup_vport_fill(setup, &wanted, error, error_len);
		if (rc == 0 && settings_differ(v, &wanted.spec))
			rc = setup_vport_apply(setup, next, wanted.vport, error, error_len);
		setup_vport_clear(&wanted);
	}
	return rc;
}

/* `back` by the same functions undoes what has been done. */
static int way_go(struct setup *setup, const struct way *way, char *error, size_t error_len)
{
	const struct config_diff *diff = &way->diff;
	int rc;

	for (size_t o = RTE_DIM(order); o-- > 0;)
		for (uint32_t i = 0; i < diff->n_changes; i++)
			if (diff->changes[i].object == order[o] && goes(&diff->changes[i]))
				object_remove(setup, &diff->changes[i]);
	rc = setup_plugins_take(setup, way->plugins, error, error_len);
	for (uint32_t i = 0; i < diff->n_changes && rc == 0; i++)
		if (diff->changes[i].object == CONFIG_OBJECT_VPORT && diff->changes[i].before &&
			diff->changes[i].after && !goes(&diff->changes[i]))
			rc = vport_narrow(setup, way->to, &diff->changes[i], error, error_len);
	for (size_t o = 0; o < RTE_DIM(order) && rc == 0; o++)
		for (uint32_t i = 0; i < diff->n_changes && rc == 0; i++)
			if (diff->changes[i].object == order[o] && diff->changes[i].after)
				rc = object_apply(
					setup, way->to, &diff->changes[i], error, error_len);
	return rc == 0 ? vports_settle(setup, way->to, error, error_len) : rc;
}

/* ---- the plan ---- */

static void way_end(const struct setup *setup, struct way *way)
{
	setup_plugins_drop(setup, way->plugins);
	config_diff_free(&way->diff);
}

int setup_plan_make(const struct setup *setup, const struct config *next, struct setup_plan **out,
	char *error, size_t error_len)
{
	const struct config *before = setup->config;
	struct setup_plan *plan = calloc(1, sizeof(*plan));
	int rc;

	if (!plan)
		return -ENOMEM;
	plan->there.to = next;
	plan->back.to = before;
	rc = config_diff(before, next, &plan->there.diff);
	if (rc == 0)
		rc = config_diff(next, before, &plan->back.diff);
	if (rc == 0)
		rc = check_all(setup, next, &plan->there.diff, error, error_len);
	if (rc == 0)
		rc = setup_plugins_prepare(setup, before, &plan->back.plugins, error, error_len);
	if (rc == 0)
		rc = setup_plugins_prepare(setup, next, &plan->there.plugins, error, error_len);
	if (rc == 0)
		*out = plan;
	else
		setup_plan_free(setup, plan);
	return rc;
}

void setup_plan_free(const struct setup *setup, struct setup_plan *plan)
{
	if (!plan)
		return;
	way_end(setup, &plan->there);
	way_end(setup, &plan->back);
	free(plan);
}

/* A move may have begun since the plan was made. */
static int check_moves(
	const struct setup *setup, const struct config_diff *diff, char *error, size_t error_len)
{
	int rc = 0;

	for (uint32_t i = 0; i < diff->n_changes && rc == 0; i++)
		if (diff->changes[i].object == CONFIG_OBJECT_VPORT)
			rc = check_vport_free(setup, &diff->changes[i], error, error_len);
	return rc;
}

int setup_plan_apply(
	struct setup *setup, const struct setup_plan *plan, char *error, size_t error_len)
{
	struct session_timeouts timeouts;
	char ignored[ENGINE_ERROR_MAX];
	int rc = check_moves(setup, &plan->there.diff, error, error_len);

	if (rc != 0)
		return rc;
	rc = way_go(setup, &plan->there, error, error_len);
	if (rc != 0) {
		way_go(setup, &plan->back, ignored, sizeof(ignored));
		return rc;
	}
	setup_timeouts(plan->there.to, &timeouts);
	engine_timeouts_set(setup->engine, &timeouts);
	setup->config = plan->there.to;
	return 0;
}

int setup_reload(struct setup *setup, const struct config *next, char *error, size_t error_len)
{
	struct setup_plan *plan;
	int rc = setup_plan_make(setup, next, &plan, error, error_len);

	if (rc != 0)
		return rc;
	rc = setup_plan_apply(setup, plan, error, error_len);
	setup_plan_free(setup, plan);
	return rc;
}
