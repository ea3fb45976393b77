/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What differs between two configs, by the options table. Lists of objects are matched by identity:
 * both sides sorted, then walked together.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "config/equal.h"
#include "config/value.h"

struct listing {
	enum config_object object;
	const char *key; /* in the root section */
	const char *(*identity)(struct config_arena *arena, const void *entry);
	/* Drop from `fields` what differs in form only, or add what differs behind a name. */
	void (*refine)(const void *before, const void *after, uint64_t *fields);
};

static const char *identity_text(struct config_arena *arena, const char *text)
{
	return config_arena_text(arena, text, strlen(text));
}

/* Peers, vports, groups and networks start with node and name. */
struct named {
	const struct config_tree *node;
	const char *name;
};

static const char *identity_name(struct config_arena *arena, const void *entry)
{
	return ((const struct named *)entry)->name;
}

static const char *identity_vpc(struct config_arena *arena, const void *entry)
{
	char text[32];

	snprintf(text, sizeof(text), "VNI %u", ((const struct config_vpc *)entry)->vni);
	return identity_text(arena, text);
}

static const char *identity_location(struct config_arena *arena, const void *entry)
{
	const struct config_location *location = entry;
	char ip[CONFIG_VALUE_TEXT_MAX], text[256];
	int len;

	value_address_show(NULL, &location->ip, ip);
	len = snprintf(text, sizeof(text), "%s in VNI %u", ip, location->vni);
	if (location->ports.last != 0)
		snprintf(text + len, sizeof(text) - len, " ports %u-%u", location->ports.first,
			location->ports.last);
	return identity_text(arena, text);
}

static const char *identity_lease(struct config_arena *arena, const void *entry)
{
	const struct config_nat_lease *lease = entry;
	char ip[CONFIG_VALUE_TEXT_MAX], text[256];

	value_address_show(NULL, &lease->address, ip);
	snprintf(text, sizeof(text), "%s in %s ports %u-%u protocol %u", ip, lease->network,
		lease->ports.first, lease->ports.last, lease->protocol);
	return identity_text(arena, text);
}

static void refine_option(
	const struct config_section *section, const char *key, bool changed, uint64_t *fields)
{
	for (unsigned i = 0; i < section->n_options; i++)
		if (strcmp(section->options[i].key, key) == 0)
			*fields = changed ? *fields | UINT64_C(1) << i
					  : *fields & ~(UINT64_C(1) << i);
}

static void refine_vport(const void *before, const void *after, uint64_t *fields)
{
	refine_option(&config_section_vport, "vpc",
		((const struct config_vport *)before)->vni !=
			((const struct config_vport *)after)->vni,
		fields);
}

/* Its identity is the VNI, however the file says it. */
static void refine_location(const void *before, const void *after, uint64_t *fields)
{
	refine_option(&config_section_location, "vpc", false, fields);
	refine_option(&config_section_location, "vni", false, fields);
}

/* By enum config_object from CONFIG_OBJECT_PEER on. */
static const struct listing listings[] = {
	{CONFIG_OBJECT_PEER, "peers", identity_name, NULL},
	{CONFIG_OBJECT_VPC, "vpcs", identity_vpc, NULL},
	{CONFIG_OBJECT_GROUP, "groups", identity_name, NULL},
	{CONFIG_OBJECT_PLUGIN, "plugins", identity_name, NULL},
	{CONFIG_OBJECT_EXTERNAL_NETWORK, "external_networks", identity_name, NULL},
	{CONFIG_OBJECT_VPORT, "vports", identity_name, refine_vport},
	{CONFIG_OBJECT_NAT_LEASE, "nat_leases", identity_lease, NULL},
	{CONFIG_OBJECT_LOCATION, "locations", identity_location, refine_location},
};
#define LISTINGS (sizeof(listings) / sizeof(listings[0]))

/* By enum config_object up to CONFIG_OBJECT_LOG. */
static const char *const sections[] = {
	[CONFIG_OBJECT_HOST] = "host",
	[CONFIG_OBJECT_DPDK] = "dpdk",
	[CONFIG_OBJECT_ENGINE] = "engine",
	[CONFIG_OBJECT_UPLINK] = "uplink",
	[CONFIG_OBJECT_TLS] = "tls",
	[CONFIG_OBJECT_TIMEOUTS] = "timeouts",
	[CONFIG_OBJECT_MIGRATE] = "migrate",
	[CONFIG_OBJECT_VMAGENT] = "vmagent",
	[CONFIG_OBJECT_LOG] = "log",
};
#define SECTIONS (sizeof(sections) / sizeof(sections[0]))

static const struct config_option *root_option(const char *key)
{
	const struct config_option *option = config_section_root.options;

	while (strcmp(option->key, key) != 0)
		option++;
	return option;
}

static const struct config_option *object_option(enum config_object object)
{
	return root_option(object < SECTIONS ? sections[object] : listings[object - SECTIONS].key);
}

struct item {
	const char *identity;
	const char *entry;
	uint32_t index;
};

static int compare_items(const void *a, const void *b)
{
	return strcmp(((const struct item *)a)->identity, ((const struct item *)b)->identity);
}

/* The entries of one list, sorted by identity. NULL when memory is out. */
static struct item *sorted_items(struct config_arena *arena, const struct listing *listing,
	const struct config *config, uint32_t *count)
{
	const struct config_option *option = root_option(listing->key);
	const char *entries = config_entries(option, config, count);
	struct item *items = config_arena_alloc(arena, (*count + 1) * sizeof(*items));

	for (uint32_t i = 0; i < *count && items != NULL; i++) {
		items[i].entry = entries + (size_t)i * option->size;
		items[i].identity = listing->identity(arena, items[i].entry);
		items[i].index = i;
		if (items[i].identity == NULL)
			return NULL;
	}
	if (items != NULL)
		qsort(items, *count, sizeof(*items), compare_items);
	return items;
}

/* A change and its place in the order of config.h. */
struct ordered {
	struct config_change change;
	int phase; /* 0 frees names, 1 makes and changes, 2 takes what was shared away */
	int rank; /* of the object within the phase */
	uint32_t index; /* in its list */
};

struct collector {
	struct ordered *ordered;
	uint32_t count, room;
};

static int collect(struct collector *all, const struct config_change *change, uint32_t index)
{
	struct ordered *one;

	if (all->count == all->room) {
		uint32_t room = all->room ? all->room * 2 : 64;
		struct ordered *more = realloc(all->ordered, room * sizeof(*more));

		if (more == NULL)
			return -ENOMEM;
		all->ordered = more;
		all->room = room;
	}
	one = &all->ordered[all->count++];
	*one = (struct ordered){
		.change = *change, .phase = 1, .rank = change->object, .index = index};
	if (change->after == NULL) {
		one->phase = change->object >= CONFIG_OBJECT_VPORT ? 0 : 2;
		one->rank = -(int)change->object;
	}
	return 0;
}

static int compare_ordered(const void *a, const void *b)
{
	const struct ordered *x = a, *y = b;

	if (x->phase != y->phase)
		return x->phase - y->phase;
	if (x->rank != y->rank)
		return x->rank - y->rank;
	return (x->index > y->index) - (x->index < y->index);
}

static int collect_both(struct collector *all, const struct listing *listing,
	const struct item *before, const struct item *after)
{
	const struct config_section *section = root_option(listing->key)->section;
	struct config_change change = {.object = listing->object,
		.name = before != NULL ? before->identity : after->identity,
		.before = before != NULL ? before->entry : NULL,
		.after = after != NULL ? after->entry : NULL};

	if (before != NULL && after != NULL) {
		config_section_effect(section, before->entry, after->entry, &change.fields);
		/* Plugins are asked in the order of the list. */
		if (listing->object == CONFIG_OBJECT_PLUGIN && before->index != after->index)
			refine_option(section, "name", true, &change.fields);
		if (listing->refine != NULL)
			listing->refine(before->entry, after->entry, &change.fields);
		if (change.fields == 0)
			return 0;
		for (unsigned i = 0; i < section->n_options; i++)
			if ((change.fields >> i & 1) != 0 &&
				section->options[i].effect > change.effect)
				change.effect = section->options[i].effect;
	}
	return collect(all, &change, after != NULL ? after->index : before->index);
}

static int diff_listing(struct collector *all, struct config_arena *arena,
	const struct listing *listing, const struct config *before, const struct config *after)
{
	uint32_t n_old, n_new, i = 0, j = 0;
	const struct item *old = sorted_items(arena, listing, before, &n_old);
	const struct item *new = sorted_items(arena, listing, after, &n_new);
	int rc = old != NULL && new != NULL ? 0 : -ENOMEM;

	while (rc == 0 && (i < n_old || j < n_new)) {
		int order = i == n_old ? 1 : j == n_new ? -1 : compare_items(&old[i], &new[j]);

		rc = collect_both(
			all, listing, order <= 0 ? &old[i] : NULL, order >= 0 ? &new[j] : NULL);
		i += order <= 0;
		j += order >= 0;
	}
	return rc;
}

static int diff_section(struct collector *all, enum config_object object,
	const struct config *before, const struct config *after)
{
	const struct config_option *option = object_option(object);
	struct config_change change = {.object = object,
		.name = option->key,
		.before = config_field(option, before),
		.after = config_field(option, after)};

	change.effect =
		config_section_effect(option->section, change.before, change.after, &change.fields);
	return change.fields != 0 ? collect(all, &change, 0) : 0;
}

int config_diff(const struct config *before, const struct config *after, struct config_diff *out)
{
	struct config_arena *arena = config_arena_new();
	struct collector all = {0};
	struct config_change *changes = NULL;
	int rc = arena != NULL ? 0 : -ENOMEM;

	for (unsigned i = 0; i < SECTIONS && rc == 0; i++)
		rc = diff_section(&all, i, before, after);
	for (unsigned i = 0; i < LISTINGS && rc == 0; i++)
		rc = diff_listing(&all, arena, &listings[i], before, after);
	if (rc == 0) {
		changes = config_arena_alloc(arena, (all.count + 1) * sizeof(*changes));
		rc = changes != NULL ? 0 : -ENOMEM;
	}
	if (rc == 0) {
		if (all.count != 0)
			qsort(all.ordered, all.count, sizeof(*all.ordered), compare_ordered);
		for (uint32_t i = 0; i < all.count; i++)
			changes[i] = all.ordered[i].change;
		*out = (struct config_diff){changes, all.count, arena};
	} else {
		config_arena_free(arena);
	}
	free(all.ordered);
	return rc;
}

void config_diff_free(struct config_diff *diff)
{
	config_arena_free(diff->arena);
	*diff = (struct config_diff){0};
}

bool config_change_has(const struct config_change *change, const char *key)
{
	const struct config_section *section = object_option(change->object)->section;

	for (unsigned i = 0; i < section->n_options; i++)
		if ((change->fields >> i & 1) != 0 && strcmp(section->options[i].key, key) == 0)
			return true;
	return false;
}

int config_change_fields(const struct config_change *change, char *buffer, size_t size_bytes)
{
	const struct config_section *section = object_option(change->object)->section;
	int len = 0;

	if (size_bytes > 0)
		buffer[0] = '\0';
	for (unsigned i = 0; i < section->n_options; i++)
		if ((change->fields >> i & 1) != 0)
			len += snprintf(
				buffer + ((size_t)len < size_bytes ? (size_t)len : size_bytes),
				(size_t)len < size_bytes ? size_bytes - len : 0, "%s%s",
				len != 0 ? ", " : "", section->options[i].key);
	return len;
}
