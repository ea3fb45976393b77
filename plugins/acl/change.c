/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * From one policy to the next: what vports are judged by is made beside what is in force, then
 * published or dropped as a whole. Control thread; what workers may still read is deferred.
 */
#include "plugins/acl/acl.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* ---- sets and bindings ---- */

void acl_set_list(struct acl *acl, struct acl_set *set)
{
	set->next = acl->sets;
	acl->sets = set;
	set->listed = true;
}

void acl_set_put(struct acl *acl, struct acl_set *set)
{
	struct acl_set **at = &acl->sets;

	if (!set || --set->refs > 0)
		return;
	while (*at != set)
		at = &(*at)->next;
	*at = set->next;
	acl->host->defer(acl->host->engine, set, acl_set_free);
}

struct acl_set *acl_set_find(
	const struct acl *acl, struct acl_group *const *group, uint16_t group_count)
{
	struct acl_set *set = acl->sets;

	while (set && (set->group_count != group_count ||
			      memcmp(set->group, group, group_count * sizeof(*group)) != 0 ||
			      acl_set_is_stale(set, &acl->classes)))
		set = set->next;
	return set;
}

/* Shared or new; one more reference. */
static struct acl_set *set_get(
	struct acl *acl, struct acl_group *const *group, uint16_t group_count, int *rc)
{
	struct acl_set *set = acl_set_find(acl, group, group_count);

	if (!set) {
		set = acl_set_new(&acl->classes, group, group_count);
		*rc = -ENOMEM;
		if (!set)
			return NULL;
		set->number = acl->serial++;
		*rc = acl_set_build(set, &acl->classes, acl->unique);
		if (*rc != 0) {
			acl_set_free(set);
			return NULL;
		}
		acl_set_list(acl, set);
	}
	set->refs++;
	return set;
}

static void binding_free(struct acl *acl, struct acl_binding *binding)
{
	if (binding)
		acl_set_put(acl, binding->set);
	free(binding);
}

void acl_binding_retire(struct acl *acl, struct acl_binding *binding)
{
	if (!binding)
		return;
	acl_set_put(acl, binding->set);
	acl->host->defer_free(acl->host->engine, binding);
}

/* The groups of a vport in the order of a set; their number, or -ENOENT with the missing name. */
int acl_change_groups(const struct acl_policy *policy, const struct plugin_vport *view,
	struct acl_group **group, uint8_t *group_at, const char **missing)
{
	uint16_t count = 0;

	for (uint16_t i = 0; i < view->group_count && i < ACL_GROUPS_MAX; i++) {
		struct acl_group *found = acl_policy_find(policy, view->groups[i]);
		uint16_t at = 0;

		if (!found) {
			*missing = view->groups[i];
			return -ENOENT;
		}
		while (at < count && strcmp(group[at]->name, found->name) < 0)
			at++;
		if (at < count && group[at] == found)
			continue;
		memmove(&group[at + 1], &group[at], (size_t)(count - at) * sizeof(*group));
		memmove(&group_at[at + 1], &group_at[at], count - at);
		group[at] = found;
		group_at[at] = (uint8_t)i;
		count++;
	}
	return count;
}

static struct acl_binding *binding_make(struct acl *acl, const struct acl_policy *policy,
	const struct plugin_vport *view, int *rc, const char **missing)
{
	struct acl_group *group[ACL_GROUPS_MAX + 1];
	uint8_t group_at[ACL_GROUPS_MAX + 1] = {0};
	struct acl_binding *binding;
	int groups = acl_change_groups(policy, view, group, group_at, missing);

	if (groups < 0) {
		*rc = groups;
		return NULL;
	}
	binding = calloc(1, sizeof(*binding));
	*rc = -ENOMEM;
	if (!binding)
		return NULL;
	memcpy(binding->group_at, group_at, sizeof(binding->group_at));
	binding->set = set_get(acl, group, (uint16_t)groups, rc);
	if (!binding->set) {
		free(binding);
		return NULL;
	}
	return binding;
}

/* ---- members ---- */

static int members_of_vport(
	struct acl *acl, const struct plugin_vport *view, struct acl_member_list *list)
{
	struct acl_member member = {.vni = view->vni};

	for (uint16_t g = 0; g < view->group_count; g++) {
		if (acl_classes_name(&acl->classes, view->groups[g], &member.name) != 0)
			return -ENOMEM;
		for (uint16_t i = 0; i < view->ip_count; i++) {
			member.addr = view->ips[i];
			if (acl_member_add(list, &member) != 0)
				return -ENOMEM;
		}
	}
	return 0;
}

struct acl_members *acl_members_collect(struct acl *acl, const struct acl_member_list *configured,
	const struct plugin_vport *without)
{
	struct acl_member_list list = {0};
	struct acl_members *members = NULL;
	int rc = 0;

	for (uint32_t i = 0; i < configured->count && rc == 0; i++)
		rc = acl_member_add(&list, &configured->member[i]);
	for (struct acl_vport *v = acl->vports; v && rc == 0; v = v->next)
		if (v->view != without)
			rc = members_of_vport(acl, v->view, &list);
	if (rc == 0)
		members = acl_members_make(&acl->classes, &list);
	free(list.member);
	return members;
}

/* Mark the groups of which an address in `from` is not the same in `to`. */
static void members_compare(const struct acl *acl, const struct acl_members *from,
	const struct acl_members *to, bool *changed)
{
	for (uint32_t i = 0; i <= from->mask; i++) {
		const struct acl_place *place = &from->place[i];
		const struct acl_class *class = &acl->classes.class[place->class];

		if (place->class == acl_members_class(to, place->vni, &place->addr))
			continue;
		for (uint32_t n = 0; n < class->count; n++)
			changed[class->name[n]] = true;
	}
}

/* ---- the change ---- */

void acl_change_drop(struct acl *acl, struct acl_change *change)
{
	for (uint32_t i = 0; change->binding && i < change->count; i++)
		binding_free(acl, change->binding[i]);
	free(change->binding);
	free(change->changed);
	free(change->members);
}

/*
 * A new binding where v needs one. A vport whose groups are not all there is about to be changed or
 * removed by the same reload: it keeps its policy until then, so that no moment is more open than
 * both before and after.
 */
static int change_vport(struct acl *acl, const struct acl_change *change, struct acl_vport *v,
	struct acl_binding **out)
{
	const struct acl_binding *had = atomic_load(&v->binding);
	struct acl_binding *fresh;
	const char *missing;
	int rc = 0;

	if (v->view == change->without ||
		(had && v != change->rebind && change->policy == acl->policy &&
			!acl_set_is_stale(had->set, &acl->classes)))
		return 0;
	fresh = binding_make(acl, change->policy, v->view, &rc, &missing);
	if (!fresh)
		return rc == -ENOENT && had && v != change->rebind ? 0 : rc;
	if (had && had->set == fresh->set &&
		memcmp(had->group_at, fresh->group_at, sizeof(had->group_at)) == 0) {
		binding_free(acl, fresh);
		return 0;
	}
	*out = fresh;
	return 0;
}

int acl_change_make(struct acl *acl, struct acl_change *change)
{
	uint32_t count = 0;
	int rc = 0;

	for (struct acl_vport *v = acl->vports; v; v = v->next)
		count++;
	change->binding = calloc(count ? count : 1, sizeof(change->binding[0]));
	change->members = acl_members_collect(acl, change->configured, change->without);
	if (!change->members || !change->binding)
		rc = -ENOMEM;
	for (struct acl_vport *v = acl->vports; v && rc == 0; v = v->next)
		rc = change_vport(acl, change, v, &change->binding[change->count++]);
	/* By now all names are known. */
	change->changed = calloc(acl->classes.name_count + 1, sizeof(*change->changed));
	if (rc == 0 && !change->changed)
		rc = -ENOMEM;
	if (rc != 0)
		acl_change_drop(acl, change);
	return rc;
}

static bool set_concerned(const struct acl_set *set, const bool *changed)
{
	for (uint32_t i = 0; i < set->remote_count; i++)
		if (changed[set->remote[i]])
			return true;
	return false;
}

/* New bindings first: they know the classes of the new members table, the old ones may not. */
void acl_change_publish(struct acl *acl, struct acl_change *change)
{
	struct acl_members *before = atomic_load(&acl->members);
	struct acl_vport *v = acl->vports;

	members_compare(acl, before, change->members, change->changed);
	members_compare(acl, change->members, before, change->changed);
	for (uint32_t i = 0; i < change->count; i++, v = v->next)
		if (change->binding[i])
			acl_binding_retire(acl, atomic_exchange(&v->binding, change->binding[i]));
	atomic_store_explicit(&acl->members, change->members, memory_order_release);
	acl->host->defer_free(acl->host->engine, before);
	v = acl->vports;
	for (uint32_t i = 0; i < change->count; i++, v = v->next)
		if (v->view != change->without &&
			(change->binding[i] ||
				set_concerned(atomic_load(&v->binding)->set, change->changed)))
			acl->host->policy_changed(acl->host->engine, v->view);
	free(change->binding);
	free(change->changed);
}
