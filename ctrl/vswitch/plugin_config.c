/* SPDX-License-Identifier: BSD-3-Clause */
#include "ctrl/vswitch/plugin_config.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ctrl/vswitch/setup.h"

#define PARTS_MAX 8
#define VNI_TEXT_MAX 12

/*
 * Sections of the config that belong to a plugin. An entry is taken as it was written, and the
 * array says which there are: a config with what vports brought has more of them than the file.
 */
#define SECTION(owner, array) \
	{ \
		owner, #array, offsetof(struct config, array), offsetof(struct config, n_##array), \
			sizeof(*((struct config *)0)->array) \
	}
static const struct owned_section {
	const char *plugin, *section;
	size_t array_at, count_at, entry_bytes; /* an entry begins with its node */
} owned_sections[] = {
	SECTION("acl", groups),
	SECTION("nat", external_networks),
	SECTION("nat", nat_leases),
};
_Static_assert(offsetof(struct config_group, node) == 0 &&
		       offsetof(struct config_external_network, node) == 0 &&
		       offsetof(struct config_nat_lease, node) == 0,
	"an entry begins with its node");

/* The value given to a plugin is a map of parts; each part is a tree of its own. */
struct parts {
	struct plugin_value *part[PARTS_MAX];
	uint32_t count;
};

static struct plugin_value *value_new(enum plugin_value_kind kind, const char *key, uint32_t room)
{
	struct plugin_value *value = calloc(1, sizeof(*value));

	if (!value)
		return NULL;
	value->kind = kind;
	value->key = key;
	if (kind != PLUGIN_SCALAR) {
		value->item = calloc(room ? room : 1, sizeof(*value->item));
		if (!value->item) {
			free(value);
			return NULL;
		}
	}
	return value;
}

static struct plugin_value *item_at(struct plugin_value *list, uint32_t i)
{
	return (struct plugin_value *)(uintptr_t)&list->item[i];
}

static void member_add(struct plugin_value *list, const struct in6_addr *addr)
{
	struct plugin_value *item = item_at(list, list->count);
	char *text = malloc(INET6_ADDRSTRLEN);

	if (!text)
		return;
	if (IN6_IS_ADDR_V4MAPPED(addr))
		inet_ntop(AF_INET, &addr->s6_addr[12], text, INET6_ADDRSTRLEN);
	else
		inet_ntop(AF_INET6, addr, text, INET6_ADDRSTRLEN);
	*item = (struct plugin_value){.kind = PLUGIN_SCALAR, .text = text};
	list->count++;
}

/* Addresses under the VNI of their VPC. */
static int member_list(
	uint32_t number, const struct in6_addr *ips, uint32_t count, struct plugin_value *group)
{
	struct plugin_value *list = item_at(group, group->count);
	struct plugin_value *items = calloc(count + 1, sizeof(*items));
	char *vni = malloc(VNI_TEXT_MAX);

	if (!items || !vni) {
		free(items);
		free(vni);
		return -1;
	}
	snprintf(vni, VNI_TEXT_MAX, "%u", number);
	*list = (struct plugin_value){.kind = PLUGIN_LIST, .key = vni, .item = items};
	group->count++;
	for (uint32_t n = 0; n < count; n++)
		member_add(list, &ips[n]);
	return 0;
}

static bool names_group(const char *const *groups, uint32_t count, const char *name)
{
	for (uint32_t i = 0; i < count; i++)
		if (strcmp(groups[i], name) == 0)
			return true;
	return false;
}

static int group_members(const struct config *config, const char *name, struct plugin_value *group)
{
	struct plugin_value *items =
		calloc(config->n_vports + config->n_locations + 1, sizeof(*items));
	int rc = 0;

	if (!items)
		return -1;
	*group = (struct plugin_value){.kind = PLUGIN_MAP, .key = name, .item = items};
	for (uint32_t i = 0; i < config->n_vports && rc == 0; i++) {
		const struct config_vport *v = &config->vports[i];
		const struct config_vpc *vpc = config_vpc_find(config, v->vpc);

		if (vpc && names_group((const char *const *)v->groups, v->n_groups, name))
			rc = member_list(vpc->vni, v->ips, v->n_ips, group);
	}
	for (uint32_t i = 0; i < config->n_locations && rc == 0; i++) {
		const struct config_location *l = &config->locations[i];

		if (names_group((const char *const *)l->groups, l->n_groups, name))
			rc = member_list(l->vni, &l->ip, 1, group);
	}
	return rc;
}

static struct plugin_value *members_make(const struct config *config)
{
	struct plugin_value *members = value_new(PLUGIN_MAP, "members", config->n_groups);

	for (uint32_t i = 0; members && i < config->n_groups; i++)
		if (group_members(config, config->groups[i].name, item_at(members, i)) == 0)
			members->count++;
	return members;
}

static void members_free(struct plugin_value *members)
{
	for (uint32_t i = 0; i < members->count; i++) {
		struct plugin_value *group = item_at(members, i);

		for (uint32_t n = 0; n < group->count; n++) {
			struct plugin_value *list = item_at(group, n);

			for (uint32_t m = 0; m < list->count; m++)
				free((void *)(uintptr_t)list->item[m].text);
			free((void *)(uintptr_t)list->item);
			free((void *)(uintptr_t)list->key);
		}
		free((void *)(uintptr_t)group->item);
	}
	free((void *)(uintptr_t)members->item);
}

/* Which groups vports are judged by together. */
static struct plugin_value *vport_groups_make(const struct config *config)
{
	struct plugin_value *all = value_new(PLUGIN_LIST, "vport_groups", config->n_vports);

	for (uint32_t i = 0; all && i < config->n_vports; i++) {
		const struct config_vport *v = &config->vports[i];
		struct plugin_value *items = calloc(v->n_groups + 1u, sizeof(*items));

		if (!items) {
			setup_value_free(all);
			return NULL;
		}
		for (uint32_t g = 0; g < v->n_groups; g++)
			items[g] =
				(struct plugin_value){.kind = PLUGIN_SCALAR, .text = v->groups[g]};
		*item_at(all, all->count++) = (struct plugin_value){
			.kind = PLUGIN_LIST, .item = items, .count = v->n_groups};
	}
	return all;
}

static int part_add(struct plugin_value *all, struct plugin_value *part, const char *key)
{
	if (!part)
		return -1;
	part->key = key;
	*item_at(all, all->count++) = *part;
	free(part); /* its items live on in the copy */
	return 0;
}

static struct plugin_value *section_make(
	const struct config *config, const struct owned_section *section)
{
	const char *entry = *(const char *const *)((const char *)config + section->array_at);
	uint32_t count = *(const uint32_t *)((const char *)config + section->count_at);
	struct plugin_value *list = value_new(PLUGIN_LIST, section->section, count);

	for (uint32_t i = 0; list && i < count; i++, entry += section->entry_bytes) {
		struct plugin_value *value = setup_value(*(const struct config_tree *const *)entry);

		if (!value) {
			setup_value_free(list);
			return NULL;
		}
		*item_at(list, list->count++) = *value;
		free(value); /* its items live on in the copy */
	}
	return list;
}

struct plugin_value *plugin_config_make(
	const struct config *config, const struct config_plugin *plugin)
{
	uint32_t own = plugin->config ? plugin->config->count : 0;
	struct plugin_value *all = value_new(PLUGIN_MAP, NULL, own + PARTS_MAX);
	int rc = 0;

	if (!all)
		return NULL;
	for (size_t i = 0; i < sizeof(owned_sections) / sizeof(owned_sections[0]); i++) {
		const struct owned_section *section = &owned_sections[i];

		if (rc == 0 && strcmp(section->plugin, plugin->name) == 0)
			rc = part_add(all, section_make(config, section), section->section);
	}
	if (rc == 0 && strcmp(plugin->name, "acl") == 0)
		rc = part_add(all, members_make(config), "members");
	if (rc == 0 && strcmp(plugin->name, "acl") == 0)
		rc = part_add(all, vport_groups_make(config), "vport_groups");
	if (plugin->config && rc == 0) {
		all->line = plugin->config->line;
		all->column = plugin->config->column;
		CONFIG_TREE_FOREACH(entry, plugin->config)
		if (rc == 0)
			rc = part_add(all, setup_value(entry), entry->key);
	}
	if (rc == 0)
		return all;
	plugin_config_free(all);
	return NULL;
}

void plugin_config_free(struct plugin_value *value)
{
	if (!value)
		return;
	for (uint32_t i = 0; i < value->count; i++) {
		struct plugin_value *part = item_at(value, i);

		if (strcmp(part->key, "members") == 0 && part->line == 0)
			members_free(part);
		else
			setup_value_clear(part);
	}
	free((void *)(uintptr_t)value->item);
	free(value);
}
