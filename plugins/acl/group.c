/* SPDX-License-Identifier: BSD-3-Clause */
#include "plugins/acl/acl.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void acl_group_put(struct acl_group *group)
{
	if (!group || atomic_fetch_sub(&group->refs, 1) != 1)
		return;
	free(group->rules);
	free(group->hits);
	free(group);
}

uint64_t acl_group_hits(const struct acl_group *group, uint32_t rule)
{
	uint64_t sum = 0;

	for (size_t w = 0; w <= group->workers; w++)
		sum += atomic_load_explicit(
			&group->hits[w * group->rule_count + rule], memory_order_relaxed);
	return sum;
}

static struct acl_group *group_alloc(const char *name, uint32_t rule_count, uint16_t workers)
{
	struct acl_group *group = calloc(1, sizeof(*group));
	size_t rules = rule_count ? rule_count : 1;

	if (!group)
		return NULL;
	group->refs = 1;
	group->workers = workers;
	group->rule_count = rule_count;
	group->rules = calloc(rules, sizeof(*group->rules));
	group->hits = calloc(rules * (workers + 1u), sizeof(*group->hits));
	if (!group->rules || !group->hits) {
		acl_group_put(group);
		return NULL;
	}
	strcpy(group->name, name);
	return group;
}

static int group_rules(
	struct acl_group *group, const struct plugin_value *rules, struct plugin_error *error)
{
	char where[ACL_NAME_MAX + 32];

	for (uint32_t i = 0; i < group->rule_count; i++) {
		int rc;

		snprintf(where, sizeof(where), "group %s, rule %u", group->name, i + 1);
		rc = acl_rule_parse(&rules->item[i], where, &group->rules[i], error);
		if (rc != 0)
			return rc;
	}
	return 0;
}

static struct acl_group *group_make(
	const struct plugin_value *value, uint16_t workers, struct plugin_error *error)
{
	const struct plugin_value *name = acl_get(value, "name"), *rules = acl_get(value, "rules");
	struct acl_group *group;

	if (!name || name->kind != PLUGIN_SCALAR || !*name->text ||
		strlen(name->text) >= ACL_NAME_MAX || strpbrk(name->text, "\"\\\n\r\t")) {
		acl_fail(error, name ? name : value,
			"groups: name: expected up to %d characters without quotes",
			ACL_NAME_MAX - 1);
		return NULL;
	}
	if (rules && (rules->kind != PLUGIN_LIST || rules->count > ACL_RULES_MAX)) {
		acl_fail(error, rules, "group %s: rules: expected a list of up to %d rules",
			name->text, ACL_RULES_MAX);
		return NULL;
	}
	group = group_alloc(name->text, rules ? rules->count : 0, workers);
	if (!group) {
		acl_fail(error, NULL, "group %s: out of memory", name->text);
		return NULL;
	}
	if (group_rules(group, rules, error) != 0) {
		acl_group_put(group);
		return NULL;
	}
	return group;
}

static bool group_equal(const struct acl_group *a, const struct acl_group *b)
{
	return a->rule_count == b->rule_count &&
	       memcmp(a->rules, b->rules, a->rule_count * sizeof(*a->rules)) == 0;
}

static int by_name(const void *a, const void *b)
{
	return strcmp((*(struct acl_group *const *)a)->name, (*(struct acl_group *const *)b)->name);
}

struct acl_group *acl_policy_find(const struct acl_policy *policy, const char *name)
{
	uint32_t low = 0, high = policy ? policy->count : 0;

	while (low < high) {
		uint32_t mid = (low + high) / 2;
		int order = strcmp(policy->group[mid]->name, name);

		if (order == 0)
			return policy->group[mid];
		if (order < 0)
			low = mid + 1;
		else
			high = mid;
	}
	return NULL;
}

void acl_policy_put(struct acl_policy *policy)
{
	if (!policy || --policy->refs > 0)
		return;
	for (uint32_t i = 0; i < policy->count; i++)
		acl_group_put(policy->group[i]);
	free(policy);
}

/* Names are unique, and every remote_group is there. */
static int policy_check(const struct acl_policy *policy, const struct plugin_value *groups,
	struct plugin_error *error)
{
	for (uint32_t i = 0; i < policy->count; i++) {
		const struct acl_group *group = policy->group[i];

		if (i > 0 && strcmp(policy->group[i - 1]->name, group->name) == 0)
			return acl_fail(error, groups, "groups: %s: is there twice", group->name);
		for (uint32_t n = 0; n < group->rule_count; n++)
			if (group->rules[n].remote_group[0] &&
				!acl_policy_find(policy, group->rules[n].remote_group))
				return acl_fail(error, groups,
					"group %s, rule %u: remote_group: no group named %s",
					group->name, n + 1, group->rules[n].remote_group);
	}
	return 0;
}

static void policy_take_over(struct acl_policy *policy, const struct acl_policy *old)
{
	for (uint32_t i = 0; i < policy->count; i++) {
		struct acl_group *had = acl_policy_find(old, policy->group[i]->name);

		if (!had || !group_equal(had, policy->group[i]))
			continue;
		acl_group_put(policy->group[i]);
		atomic_fetch_add(&had->refs, 1);
		policy->group[i] = had;
	}
}

struct acl_policy *acl_policy_make(const struct plugin_value *groups, const struct acl_policy *old,
	uint16_t workers, struct plugin_error *error)
{
	uint32_t count = groups ? groups->count : 0;
	struct acl_policy *policy;

	if (groups && groups->kind != PLUGIN_LIST && count > 0) {
		acl_fail(error, groups, "groups: expected a list");
		return NULL;
	}
	policy = calloc(1, sizeof(*policy) + count * sizeof(policy->group[0]));
	if (!policy) {
		acl_fail(error, NULL, "groups: out of memory");
		return NULL;
	}
	policy->refs = 1;
	for (uint32_t i = 0; i < count; i++) {
		policy->group[i] = group_make(&groups->item[i], workers, error);
		if (!policy->group[i]) {
			acl_policy_put(policy);
			return NULL;
		}
		policy->count++;
	}
	qsort(policy->group, policy->count, sizeof(policy->group[0]), by_name);
	if (policy_check(policy, groups, error) != 0) {
		acl_policy_put(policy);
		return NULL;
	}
	policy_take_over(policy, old);
	return policy;
}
