/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Security groups as a plugin: who may open a session. Without a rule that says otherwise, nothing
 * comes in and everything may go out. The highest priority decides; among equals, deny.
 *
 * Life cycle: prepare() makes groups and members anew beside the old ones, build() compiles sets
 * for all vports that are here or will be, and take() publishes it: first each vport's binding,
 * then the members table, then the word that the policy changed for those vports whose judgement
 * may differ. A vport's groups and addresses come with vport_add(); its addresses are members of
 * its groups, beside those that the configuration names (VMs on other hosts).
 *
 * Threads: plugin.h. Here the control thread owns everything but what admit() reads (acl.h).
 */
#include "plugins/acl/acl.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- admission ---- */

static void count(_Atomic uint64_t *counter, bool shared)
{
	if (shared)
		atomic_fetch_add_explicit(counter, 1, memory_order_relaxed);
	else
		atomic_store_explicit(counter,
			atomic_load_explicit(counter, memory_order_relaxed) + 1,
			memory_order_relaxed);
}

static enum plugin_verdict acl_admit(
	void *instance, const struct plugin_request *request, struct plugin_answer *answer)
{
	struct acl *acl = instance;
	struct acl_vport *vport = request->data;
	const struct acl_binding *binding =
		atomic_load_explicit(&vport->binding, memory_order_acquire);
	const struct acl_members *members =
		atomic_load_explicit(&acl->members, memory_order_acquire);
	uint32_t found = acl_set_classify(binding->set, members, request);
	bool counts = !request->recheck && !request->dry;
	bool shared = request->worker >= acl->host->workers;
	const struct acl_entry *entry;

	if (found == 0) {
		if (counts)
			count(&acl->unruled[request->worker * 2u + request->dir], shared);
		return request->dir == PLUGIN_INGRESS ? PLUGIN_DENY : PLUGIN_ALLOW;
	}
	entry = &binding->set->entry[found - 1];
	if (counts)
		count(&entry->group->hits[(size_t)request->worker * entry->group->rule_count +
					  entry->rule],
			shared);
	answer->rule = entry->rule + 1;
	answer->group = binding->group_at[entry->group_index] + 1u;
	return entry->deny ? PLUGIN_DENY : PLUGIN_ALLOW;
}

/* ---- configuration ---- */

static int acl_configure(
	void *instance, const struct plugin_value *config, bool apply, struct plugin_error *error)
{
	void *prepared = NULL;
	int rc;

	if (!apply)
		return acl_check(instance, config, error);
	rc = acl_prepare(instance, config, &prepared, error);
	if (rc == 0)
		rc = acl_build(prepared, error);
	if (rc == 0)
		rc = acl_take(instance, prepared, error);
	acl_drop(instance, prepared);
	return rc;
}

/* ---- vports ---- */

/* The vport is in the list: bind it, and let the others know its addresses. */
static int vport_bind(struct acl *acl, struct acl_vport *v, struct plugin_error *error)
{
	struct acl_change change = {
		.policy = acl->policy, .configured = &acl->configured, .rebind = v};
	struct acl_group *group[ACL_GROUPS_MAX + 1];
	uint8_t group_at[ACL_GROUPS_MAX + 1];
	const char *missing;
	int rc;

	rc = acl_change_groups(acl->policy, v->view, group, group_at, &missing);
	if (rc < 0) {
		acl_fail(
			error, NULL, "vport %s: groups: no group named %s", v->view->name, missing);
		return rc;
	}
	rc = acl_change_make(acl, &change);
	if (rc != 0) {
		acl_fail(error, NULL, "vport %s: groups do not compile: %s", v->view->name,
			strerror(-rc));
		return rc;
	}
	acl_change_publish(acl, &change);
	return 0;
}

static int acl_vport_check(
	void *instance, const struct plugin_value *settings, struct plugin_error *error)
{
	(void)instance;
	if (settings && settings->count > 0)
		return acl_fail(error, settings, "acl: a vport has no settings but its groups");
	return 0;
}

static int acl_vport_add(void *instance, const struct plugin_vport *view,
	const struct plugin_value *settings, void **data, struct plugin_error *error)
{
	struct acl *acl = instance;
	struct acl_vport *v = calloc(1, sizeof(*v));
	int rc;

	(void)settings;
	if (!v)
		return -ENOMEM;
	v->view = view;
	v->next = acl->vports;
	acl->vports = v;
	rc = vport_bind(acl, v, error);
	if (rc != 0) {
		acl->vports = v->next;
		free(v);
		return rc;
	}
	*data = v;
	return 0;
}

static int acl_vport_change(void *instance, const struct plugin_vport *view,
	const struct plugin_value *settings, void **data, struct plugin_error *error)
{
	(void)view;
	(void)settings;
	return vport_bind(instance, *data, error);
}

static void acl_vport_del(void *instance, const struct plugin_vport *view, void *data)
{
	struct acl *acl = instance;
	struct acl_vport *v = data, **at = &acl->vports;
	struct acl_change change = {
		.policy = acl->policy, .configured = &acl->configured, .without = view};

	if (acl_change_make(acl, &change) == 0)
		acl_change_publish(acl, &change);
	else
		acl->host->log(acl->host->engine, PLUGIN_LOG_WARN,
			"acl: no memory to forget that %s was in its groups", view->name);
	while (*at != v)
		at = &(*at)->next;
	*at = v->next;
	acl_binding_retire(acl, atomic_load(&v->binding));
	acl->host->defer_free(acl->host->engine, v);
}

/* ---- birth and death ---- */

static void acl_destroy(void *instance)
{
	struct acl *acl = instance;

	acl_policy_put(acl->policy);
	acl_classes_free(&acl->classes);
	free(acl->configured.member);
	free(atomic_load(&acl->members));
	free(acl->unruled);
	free(acl);
}

static int acl_create(const struct plugin_host *host, void **instance)
{
	struct acl *acl = calloc(1, sizeof(*acl));
	struct plugin_error ignored;

	if (!acl)
		return -ENOMEM;
	acl->host = host;
	snprintf(acl->unique, sizeof(acl->unique), "acl_%s_", host->engine_name);
	acl->unruled = calloc((host->workers + 1u) * 2, sizeof(*acl->unruled));
	acl->policy = acl_policy_make(NULL, NULL, host->workers, &ignored);
	atomic_store(&acl->members, acl_members_make(&acl->classes, &acl->configured));
	if (!acl->unruled || !acl->policy || !atomic_load(&acl->members)) {
		acl_destroy(acl);
		return -ENOMEM;
	}
	*instance = acl;
	return 0;
}

FERRY_PLUGIN(.name = "acl", .version = "1.0", .summary = "security groups", .after = "nat",
	.create = acl_create, .destroy = acl_destroy, .configure = acl_configure,
	.prepare = acl_prepare, .build = acl_build, .take = acl_take, .drop = acl_drop,
	.vport_check = acl_vport_check, .vport_add = acl_vport_add,
	.vport_change = acl_vport_change, .vport_del = acl_vport_del, .admit = acl_admit,
	.show = acl_show);
