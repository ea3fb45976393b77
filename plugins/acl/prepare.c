/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A configuration on its way: read and noted (prepare), compiled (build), in force (take), let go
 * (drop). Only build takes long, and it runs beside everything else: until take, nobody but it
 * knows of the sets it compiles, and of names and classes it has a copy. Sets that are there
 * already are held, so that going back to a configuration compiles nothing. What comes between
 * prepare and take (a vport of a move with groups of its own) makes a set stale or was not thought
 * of; take and vport_add then compile what is missing.
 */
#include "plugins/acl/acl.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct acl_prepared {
	struct acl_policy *policy;
	struct acl_member_list configured;
	struct acl_classes classes; /* as they were: for build */
	struct acl_set **set; /* a reference to each */
	uint32_t count;
	char unique[sizeof(((struct acl *)0)->unique)];
};

/* ---- what is written ---- */

static int read_keys(struct acl *acl, const struct plugin_value *config,
	struct acl_member_list *list, struct plugin_error *error)
{
	for (uint32_t i = 0; config && i < config->count; i++) {
		const struct plugin_value *value = &config->item[i];
		const char *key = value->key ? value->key : "?";
		int rc = 0;

		if (strcmp(key, "members") == 0)
			rc = acl_members_parse(value, &acl->classes, list, error);
		else if (strcmp(key, "groups") != 0 && strcmp(key, "vport_groups") != 0)
			rc = acl_fail(error, value, "%s: unknown key", key);
		if (rc != 0)
			return rc;
	}
	return 0;
}

static int read_config(struct acl *acl, const struct plugin_value *config,
	struct acl_prepared *prepared, struct plugin_error *error)
{
	prepared->policy =
		acl_policy_make(acl_get(config, "groups"), acl->policy, acl->host->workers, error);
	return prepared->policy ? read_keys(acl, config, &prepared->configured, error) : -EINVAL;
}

int acl_check(struct acl *acl, const struct plugin_value *config, struct plugin_error *error)
{
	struct acl_prepared prepared = {0};
	int rc = read_config(acl, config, &prepared, error);

	acl_policy_put(prepared.policy);
	free(prepared.configured.member);
	return rc;
}

/* ---- which sets ---- */

static bool is_set_of(
	const struct acl_set *set, struct acl_group *const *group, uint16_t group_count)
{
	return set->group_count == group_count &&
	       memcmp(set->group, group, group_count * sizeof(*group)) == 0;
}

/* One for a vport of these groups: held if it is there, else to be built. */
static int want_set(struct acl *acl, struct acl_prepared *prepared, const struct plugin_vport *view)
{
	struct acl_group *group[ACL_GROUPS_MAX + 1];
	uint8_t group_at[ACL_GROUPS_MAX + 1];
	const char *missing;
	int count = acl_change_groups(prepared->policy, view, group, group_at, &missing);
	struct acl_set *set, **grown;

	for (uint32_t i = 0; count >= 0 && i < prepared->count; i++)
		if (is_set_of(prepared->set[i], group, (uint16_t)count))
			return 0;
	if (count < 0)
		return 0; /* goes, or is refused where it is told of */
	grown = realloc(prepared->set, (prepared->count + 1) * sizeof(struct acl_set *));
	if (!grown)
		return -ENOMEM;
	prepared->set = grown;
	set = acl_set_find(acl, group, (uint16_t)count);
	if (!set) {
		set = acl_set_new(&acl->classes, group, (uint16_t)count);
		if (!set)
			return -ENOMEM;
		set->number = acl->serial++;
	}
	set->refs++;
	prepared->set[prepared->count++] = set;
	return 0;
}

static int want_listed(
	struct acl *acl, struct acl_prepared *prepared, const struct plugin_value *list)
{
	const char *name[ACL_GROUPS_MAX];
	struct plugin_vport view = {.groups = name};

	if (list->kind != PLUGIN_LIST || list->count > ACL_GROUPS_MAX)
		return 0;
	for (uint32_t i = 0; i < list->count; i++) {
		if (list->item[i].kind != PLUGIN_SCALAR)
			return 0;
		name[view.group_count++] = list->item[i].text;
	}
	return want_set(acl, prepared, &view);
}

/* For the vports that are here, and for those that the configuration says will be. */
static int want_sets(
	struct acl *acl, struct acl_prepared *prepared, const struct plugin_value *vport_groups)
{
	int rc = 0;

	for (uint32_t i = 0; vport_groups && i < vport_groups->count && rc == 0; i++)
		rc = want_listed(acl, prepared, &vport_groups->item[i]);
	for (const struct acl_vport *v = acl->vports; v && rc == 0; v = v->next)
		rc = want_set(acl, prepared, v->view);
	return rc;
}

/* ---- the steps ---- */

int acl_prepare(
	void *instance, const struct plugin_value *config, void **out, struct plugin_error *error)
{
	struct acl *acl = instance;
	struct acl_prepared *prepared = calloc(1, sizeof(*prepared));
	struct acl_members *members;
	int rc;

	if (!prepared)
		return -ENOMEM;
	*out = prepared;
	memcpy(prepared->unique, acl->unique, sizeof(prepared->unique));
	rc = read_config(acl, config, prepared, error);
	if (rc != 0)
		return rc;
	/* For the classes it makes: rules about groups are compiled for those. */
	members = acl_members_collect(acl, &prepared->configured, NULL);
	if (!members)
		return -ENOMEM;
	free(members);
	rc = want_sets(acl, prepared, acl_get(config, "vport_groups"));
	return rc == 0 ? acl_classes_copy(&acl->classes, &prepared->classes) : rc;
}

int acl_build(void *arg, struct plugin_error *error)
{
	struct acl_prepared *prepared = arg;

	for (uint32_t i = 0; i < prepared->count; i++) {
		struct acl_set *set = prepared->set[i];
		int rc = set->listed ? 0 : acl_set_build(set, &prepared->classes, prepared->unique);

		if (rc != 0)
			return acl_fail(error, NULL, "groups: do not compile: %s", strerror(-rc));
	}
	return 0;
}

static int members_copy(const struct acl_member_list *from, struct acl_member_list *to)
{
	int rc = 0;

	*to = (struct acl_member_list){0};
	for (uint32_t i = 0; i < from->count && rc == 0; i++)
		rc = acl_member_add(to, &from->member[i]);
	if (rc != 0)
		free(to->member);
	return rc;
}

int acl_take(void *instance, void *arg, struct plugin_error *error)
{
	struct acl *acl = instance;
	struct acl_prepared *prepared = arg;
	struct acl_member_list configured;
	struct acl_change change = {.policy = prepared->policy, .configured = &configured};
	int rc = members_copy(&prepared->configured, &configured);

	if (rc != 0)
		return rc;
	for (uint32_t i = 0; i < prepared->count; i++)
		if (!prepared->set[i]->listed)
			acl_set_list(acl, prepared->set[i]);
	rc = acl_change_make(acl, &change);
	if (rc != 0) {
		free(configured.member);
		return acl_fail(error, NULL, "groups: do not compile: %s", strerror(-rc));
	}
	acl_change_publish(acl, &change);
	prepared->policy->refs++;
	acl_policy_put(acl->policy);
	free(acl->configured.member);
	acl->policy = prepared->policy;
	acl->configured = configured;
	return 0;
}

void acl_drop(void *instance, void *arg)
{
	struct acl_prepared *prepared = arg;

	if (!prepared)
		return;
	for (uint32_t i = 0; i < prepared->count; i++) {
		if (prepared->set[i]->listed)
			acl_set_put(instance, prepared->set[i]);
		else
			acl_set_free(prepared->set[i]);
	}
	acl_policy_put(prepared->policy);
	acl_classes_free(&prepared->classes);
	free(prepared->configured.member);
	free(prepared->set);
	free(prepared);
}
