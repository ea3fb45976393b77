/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Who is in which group. An address is in a set of groups, its class; there are few classes (VMs
 * come in kinds), so a rule about a group costs one classifier rule per class and not one per
 * member, and a VM that joins a known kind changes this table only. Tables are built by the control
 * thread and never edited.
 */
#include "plugins/acl/acl.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <rte_branch_prediction.h>

#define VNI_MAX 0xffffff
#define CLASS_NAMES_MAX 256 /* groups of one address */
#define SEED_STEP 0x9e3779b97f4a7c15ULL

/* ---- names and classes ---- */

static int room_for_one(void **array, uint32_t count, uint32_t *room, size_t size)
{
	uint32_t more = *room ? *room * 2 : 16;
	void *grown;

	if (count < *room)
		return 0;
	grown = realloc(*array, more * size);
	if (!grown)
		return -ENOMEM;
	*array = grown;
	*room = more;
	return 0;
}

int acl_classes_name(struct acl_classes *classes, const char *name, uint32_t *number)
{
	for (uint32_t i = 0; i < classes->name_count; i++)
		if (strcmp(classes->name[i], name) == 0) {
			*number = i;
			return 0;
		}
	if (room_for_one((void **)&classes->name, classes->name_count, &classes->name_room,
		    sizeof(*classes->name)) != 0)
		return -ENOMEM;
	strcpy(classes->name[classes->name_count], name);
	*number = classes->name_count++;
	return 0;
}

bool acl_class_has(const struct acl_classes *classes, uint32_t class, uint32_t name)
{
	const struct acl_class *c = &classes->class[class];

	for (uint32_t i = 0; i < c->count; i++)
		if (c->name[i] == name)
			return true;
	return false;
}

/* The number of a class by its sorted names. Class 0 is the empty one. */
static int class_number(
	struct acl_classes *classes, const uint32_t *name, uint32_t count, uint32_t *number)
{
	struct acl_class fresh = {.count = count};

	for (uint32_t i = 0; i < classes->class_count; i++)
		if (classes->class[i].count == count &&
			memcmp(classes->class[i].name, name, count * sizeof(*name)) == 0) {
			*number = i;
			return 0;
		}
	if (room_for_one((void **)&classes->class, classes->class_count, &classes->class_room,
		    sizeof(*classes->class)) != 0)
		return -ENOMEM;
	fresh.name = malloc((count ? count : 1) * sizeof(*name));
	if (!fresh.name)
		return -ENOMEM;
	memcpy(fresh.name, name, count * sizeof(*name));
	*number = classes->class_count;
	classes->class[classes->class_count++] = fresh;
	return 0;
}

void acl_classes_free(struct acl_classes *classes)
{
	for (uint32_t i = 0; i < classes->class_count; i++)
		free(classes->class[i].name);
	free(classes->class);
	free(classes->name);
}

int acl_classes_copy(const struct acl_classes *from, struct acl_classes *to)
{
	uint32_t number;
	int rc = 0;

	*to = (struct acl_classes){0};
	for (uint32_t i = 0; i < from->name_count && rc == 0; i++) {
		rc = room_for_one(
			(void **)&to->name, to->name_count, &to->name_room, sizeof(*to->name));
		if (rc == 0)
			memcpy(to->name[to->name_count++], from->name[i], sizeof(*to->name));
	}
	for (uint32_t i = 0; i < from->class_count && rc == 0; i++)
		rc = class_number(to, from->class[i].name, from->class[i].count, &number);
	if (rc != 0) {
		acl_classes_free(to);
		*to = (struct acl_classes){0};
	}
	return rc;
}

/* ---- lists ---- */

int acl_member_add(struct acl_member_list *list, const struct acl_member *member)
{
	if (room_for_one((void **)&list->member, list->count, &list->room, sizeof(*member)) != 0)
		return -ENOMEM;
	list->member[list->count++] = *member;
	return 0;
}

static int parse_addresses(const struct plugin_value *list, const char *group,
	struct acl_member *member, struct acl_member_list *out, struct plugin_error *error)
{
	if (list->kind != PLUGIN_LIST)
		return acl_fail(error, list, "members: %s: expected a list of addresses", group);
	for (uint32_t i = 0; i < list->count; i++) {
		const struct plugin_value *item = &list->item[i];

		if (item->kind != PLUGIN_SCALAR || acl_address(item->text, &member->addr) != 0)
			return acl_fail(error, item,
				"members: %s: expected an address, found \"%s\"", group,
				item->kind == PLUGIN_SCALAR ? item->text : "a list or map");
		if (acl_member_add(out, member) != 0)
			return -ENOMEM;
	}
	return 0;
}

static int parse_group(const struct plugin_value *group, struct acl_classes *classes,
	struct acl_member_list *list, struct plugin_error *error)
{
	struct acl_member member;
	int rc = 0;

	if (group->kind != PLUGIN_MAP || !group->key || strlen(group->key) >= ACL_NAME_MAX)
		return acl_fail(error, group, "members: %s: expected a map of VNI to addresses",
			group->key ? group->key : "?");
	if (acl_classes_name(classes, group->key, &member.name) != 0)
		return -ENOMEM;
	for (uint32_t i = 0; i < group->count && rc == 0; i++) {
		const struct plugin_value *vpc = &group->item[i];

		if (!vpc->key || acl_number(vpc->key, VNI_MAX, &member.vni) != 0)
			return acl_fail(error, vpc, "members: %s: expected a VNI, found \"%s\"",
				group->key, vpc->key ? vpc->key : "?");
		rc = parse_addresses(vpc, group->key, &member, list, error);
	}
	return rc;
}

int acl_members_parse(const struct plugin_value *value, struct acl_classes *classes,
	struct acl_member_list *list, struct plugin_error *error)
{
	int rc = 0;

	if (value->kind != PLUGIN_MAP && value->count > 0)
		return acl_fail(error, value, "members: expected a map");
	for (uint32_t i = 0; i < value->count && rc == 0; i++)
		rc = parse_group(&value->item[i], classes, list, error);
	return rc;
}

/* ---- the table ---- */

static int by_address(const void *a, const void *b)
{
	const struct acl_member *x = a, *y = b;
	int order = memcmp(&x->addr, &y->addr, sizeof(x->addr));

	if (order == 0)
		order = (x->vni > y->vni) - (x->vni < y->vni);
	return order ? order : (x->name > y->name) - (x->name < y->name);
}

static inline uint64_t fold(uint64_t a, uint64_t b)
{
	__uint128_t product = (__uint128_t)a * b;

	return (uint64_t)product ^ (uint64_t)(product >> 64);
}

static inline uint32_t place_of(uint64_t seed, uint32_t vni, const struct in6_addr *addr)
{
	uint64_t w[2];

	memcpy(w, addr, sizeof(w));
	return (uint32_t)fold(fold(w[0] ^ seed, w[1] ^ SEED_STEP) ^ vni, seed | 1);
}

static inline bool place_is(
	const struct acl_place *place, uint32_t vni, const struct in6_addr *addr)
{
	return place->vni == vni && memcmp(&place->addr, addr, sizeof(*addr)) == 0;
}

uint32_t acl_members_class(
	const struct acl_members *members, uint32_t vni, const struct in6_addr *addr)
{
	uint32_t at = place_of(members->seed, vni, addr);

	for (unsigned int i = 0; i < ACL_PROBE_MAX; i++) {
		const struct acl_place *place = &members->place[(at + i) & members->mask];

		if (place->class == 0 || place_is(place, vni, addr))
			return place->class;
	}
	return 0;
}

/* False: the probe limit was met, try another seed or size. */
static bool table_put(struct acl_members *members, const struct acl_place *entry)
{
	uint32_t at = place_of(members->seed, entry->vni, &entry->addr);

	for (unsigned int i = 0; i < ACL_PROBE_MAX; i++) {
		struct acl_place *place = &members->place[(at + i) & members->mask];

		if (place->class != 0)
			continue;
		*place = *entry;
		members->count++;
		return true;
	}
	return false;
}

/* Addresses with their classes, one entry each; *count < 0: no memory. */
static struct acl_place *entries_make(
	struct acl_classes *classes, struct acl_member_list *list, uint32_t *count)
{
	struct acl_place *entry = calloc(list->count ? list->count : 1, sizeof(*entry));
	uint32_t name[CLASS_NAMES_MAX] = {0}, names, number;

	if (!entry || class_number(classes, name, 0, &number) != 0)
		goto fail;
	if (list->count > 0)
		qsort(list->member, list->count, sizeof(*list->member), by_address);
	*count = 0;
	for (uint32_t i = 0, next; i < list->count; i = next) {
		const struct acl_member *first = &list->member[i];

		names = 0;
		for (next = i; next < list->count; next++) {
			const struct acl_member *m = &list->member[next];

			if (m->vni != first->vni ||
				memcmp(&m->addr, &first->addr, sizeof(m->addr)) != 0)
				break;
			if ((names == 0 || name[names - 1] != m->name) && names < CLASS_NAMES_MAX)
				name[names++] = m->name;
		}
		if (class_number(classes, name, names, &number) != 0)
			goto fail;
		entry[(*count)++] =
			(struct acl_place){.addr = first->addr, .vni = first->vni, .class = number};
	}
	return entry;
fail:
	free(entry);
	return NULL;
}

static struct acl_members *table_make(
	const struct acl_place *entry, uint32_t count, uint32_t places, uint64_t seed)
{
	struct acl_members *members =
		calloc(1, sizeof(*members) + places * sizeof(members->place[0]));

	if (!members)
		return NULL;
	members->mask = places - 1;
	members->seed = seed;
	for (uint32_t i = 0; i < count; i++)
		if (!table_put(members, &entry[i]))
			break;
	return members;
}

struct acl_members *acl_members_make(struct acl_classes *classes, struct acl_member_list *list)
{
	struct acl_members *members = NULL;
	uint64_t seed = SEED_STEP ^ (uintptr_t)list->member;
	uint32_t count, places = ACL_PROBE_MAX;
	struct acl_place *entry = entries_make(classes, list, &count);

	if (!entry)
		return NULL;
	while (places < count * 2)
		places *= 2;
	for (;; places *= 2) {
		seed = seed * 6364136223846793005ULL + 1442695040888963407ULL;
		members = table_make(entry, count, places, seed);
		if (!members || members->count == count)
			break;
		free(members);
	}
	free(entry);
	return members;
}
