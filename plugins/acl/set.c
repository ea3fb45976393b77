/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The groups of a vport as classifiers. The rules of all groups are put in order of precedence
 * (priority, then deny before allow, then as written); that order is the classifier's priority and
 * its answer, so that the answers of two classifiers compare as numbers. Rules about prefixes and
 * rules about groups have a classifier each, by direction and, for prefixes, family: the remote
 * address is looked at either as bits or as its class (members.c).
 *
 * Work per question: at most two walks of fixed depth through tries that DPDK has built (24 bytes
 * of key, at most 8 tries each) and one look into the members table. What a packet says chooses the
 * branch and not the depth.
 *
 * A set is made by the control thread, read by workers, and freed a grace period after the last
 * binding left it.
 */
#include "plugins/acl/acl.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <rte_acl.h>
#include <rte_branch_prediction.h>
#include <rte_byteorder.h>

#define MAX_BYTES (64u << 20) /* of one classifier */
#define FIELDS_MAX 7

/* What is classified. Rules for IPv4 look at the last word of the address alone. */
struct key {
	uint8_t proto;
	uint8_t pad[3];
	union {
		rte_be32_t addr[4];
		rte_be32_t class;
	};
	rte_be16_t port; /* destination's */
	rte_be16_t icmp; /* type << 8 | code */
};

enum kind { KIND_IPV4, KIND_IPV6, KIND_CLASS };

/* Classes by family: a rule about a group and IPv6 says nothing of its members' IPv4. */
#define CLASS_KEY(class, is_ipv6) ((class) << 1 | (uint32_t)(is_ipv6))

RTE_ACL_RULE_DEF(rule_slot, FIELDS_MAX);

/* ---- rules into slots ---- */

struct slots {
	enum kind kind;
	uint8_t dir;
	uint32_t precedence;
	struct rule_slot *slot; /* NULL: only count */
	uint32_t count;
};

static void slot_emit(struct slots *slots, const struct acl_rule *rule, const uint32_t *words,
	const struct acl_range *ports)
{
	bool icmp = rule->icmp_type >= 0;
	uint16_t first = icmp ? (uint16_t)(rule->icmp_type << 8) : 0;
	struct rule_slot *slot;
	unsigned int n = 0;

	if (icmp && rule->icmp_code >= 0)
		first |= (uint16_t)rule->icmp_code;
	if (!slots->slot) {
		slots->count++;
		return;
	}
	slot = &slots->slot[slots->count++];
	memset(slot, 0, sizeof(*slot));
	slot->data = (struct rte_acl_rule_data){.category_mask = 1,
		.priority = (int32_t)slots->precedence,
		.userdata = slots->precedence};
	slot->field[n].value.u8 = rule->proto;
	slot->field[n++].mask_range.u8 = rule->proto ? 8 : 0;
	/* words: value and length in turn. */
	for (unsigned int i = 0; i < (slots->kind == KIND_IPV6 ? 4u : 1u); i++) {
		slot->field[n].value.u32 = words[i * 2];
		slot->field[n++].mask_range.u32 = words[i * 2 + 1];
	}
	slot->field[n].value.u16 = ports->first;
	slot->field[n++].mask_range.u16 = ports->last;
	slot->field[n].value.u16 = first;
	slot->field[n].mask_range.u16 =
		icmp ? rule->icmp_code >= 0 ? first : first | 0xff : UINT16_MAX;
}

static void slots_ports(struct slots *slots, const struct acl_rule *rule, const uint32_t *words)
{
	static const struct acl_range all = {0, UINT16_MAX};

	if (rule->port_count == 0)
		slot_emit(slots, rule, words, &all);
	for (uint16_t i = 0; i < rule->port_count; i++)
		slot_emit(slots, rule, words, &rule->ports[i]);
}

static void slots_prefix(struct slots *slots, const struct acl_rule *rule)
{
	unsigned int start = slots->kind == KIND_IPV4 ? 3 : 0;
	uint32_t words[8];

	for (unsigned int i = start; i < 4; i++) {
		int left = (int)rule->remote_len - (int)i * 32;
		uint32_t word;

		memcpy(&word, &rule->remote.s6_addr[i * 4], sizeof(word));
		words[(i - start) * 2] = rte_be_to_cpu_32(word);
		words[(i - start) * 2 + 1] = left <= 0 ? 0 : left > 32 ? 32 : (uint32_t)left;
	}
	slots_ports(slots, rule, words);
}

static void slots_classes(struct slots *slots, const struct acl_rule *rule,
	const struct acl_classes *classes, uint32_t name)
{
	for (uint32_t class = 1; class < classes->class_count; class ++) {
		if (!acl_class_has(classes, class, name))
			continue;
		for (unsigned int is_ipv6 = 0; is_ipv6 < ACL_FAMILIES; is_ipv6++) {
			uint32_t words[2] = {CLASS_KEY(class, is_ipv6), 32};

			if (rule->family == (is_ipv6 ? ACL_IPV4 : ACL_IPV6))
				continue;
			slots_ports(slots, rule, words);
		}
	}
}

/* Everything of the set that belongs into one classifier. */
static void slots_fill(
	struct slots *slots, const struct acl_set *set, const struct acl_classes *classes)
{
	uint8_t other = slots->kind == KIND_IPV4 ? ACL_IPV6 : ACL_IPV4;

	for (uint32_t i = 0; i < set->entry_count; i++) {
		const struct acl_entry *entry = &set->entry[i];
		const struct acl_rule *rule = &entry->group->rules[entry->rule];

		slots->precedence = i + 1;
		if (rule->dir != slots->dir)
			continue;
		if (slots->kind == KIND_CLASS) {
			if (rule->remote_group[0])
				slots_classes(slots, rule, classes, entry->remote);
		} else if (!rule->remote_group[0] && rule->family != other) {
			slots_prefix(slots, rule);
		}
	}
}

/* ---- slots into a classifier ---- */

static uint32_t config_fill(struct rte_acl_config *config, enum kind kind)
{
	static const struct rte_acl_field_def proto = {
		.type = RTE_ACL_FIELD_TYPE_MASK, .size = 1, .offset = offsetof(struct key, proto)};
	unsigned int words = kind == KIND_IPV6 ? 4 : 1, n = 0;
	uint32_t at =
		kind == KIND_IPV4 ? offsetof(struct key, addr[3]) : offsetof(struct key, addr[0]);

	*config = (struct rte_acl_config){.num_categories = 1, .max_size = MAX_BYTES};
	config->defs[n++] = proto;
	for (unsigned int i = 0; i < words; i++, n++)
		config->defs[n] = (struct rte_acl_field_def){.type = RTE_ACL_FIELD_TYPE_MASK,
			.size = 4,
			.field_index = (uint8_t)n,
			.input_index = (uint8_t)n,
			.offset = at + i * 4};
	for (unsigned int i = 0; i < 2; i++)
		config->defs[n + i] = (struct rte_acl_field_def){.type = RTE_ACL_FIELD_TYPE_RANGE,
			.size = 2,
			.field_index = (uint8_t)(n + i),
			.input_index = (uint8_t)n, /* one word for both */
			.offset = i ? offsetof(struct key, icmp) : offsetof(struct key, port)};
	config->num_fields = n + 2;
	return config->num_fields;
}

/* One by one: a slot has room for more fields than this kind has. */
static int context_add(struct rte_acl_ctx *ctx, const struct slots *slots)
{
	int rc = 0;

	for (uint32_t i = 0; i < slots->count && rc == 0; i++)
		rc = rte_acl_add_rules(ctx, (const struct rte_acl_rule *)&slots->slot[i], 1);
	return rc;
}

struct compile {
	struct acl_set *set;
	const struct acl_classes *classes;
	const char *unique;
};

static int context_make(
	const struct compile *compile, struct slots *slots, struct rte_acl_ctx **out)
{
	struct rte_acl_config config;
	uint32_t num_fields = config_fill(&config, slots->kind);
	char name[RTE_ACL_NAMESIZE];
	struct rte_acl_param param = {.name = name,
		.socket_id = -1, /* any */
		.rule_size = RTE_ACL_RULE_SZ(num_fields)};
	struct rte_acl_ctx *ctx = NULL;
	int rc = -ENOMEM;

	slots_fill(slots, compile->set, compile->classes); /* counts */
	if (slots->count == 0)
		return 0;
	param.max_rule_num = slots->count;
	snprintf(name, sizeof(name), "%s%x.%u", compile->unique, compile->set->number,
		(unsigned int)slots->kind << 1 | slots->dir);
	slots->slot = calloc(slots->count, sizeof(*slots->slot));
	slots->count = 0;
	if (slots->slot) {
		slots_fill(slots, compile->set, compile->classes);
		ctx = rte_acl_create(&param);
	}
	if (ctx)
		rc = context_add(ctx, slots);
	if (rc == 0)
		rc = rte_acl_build(ctx, &config);
	free(slots->slot);
	if (rc == 0)
		*out = ctx;
	else
		rte_acl_free(ctx);
	return rc;
}

/* ---- sets ---- */

static int by_precedence(const void *a, const void *b)
{
	const struct acl_entry *x = a, *y = b;
	const struct acl_rule *rx = &x->group->rules[x->rule], *ry = &y->group->rules[y->rule];

	if (rx->priority != ry->priority)
		return rx->priority < ry->priority ? -1 : 1;
	if (rx->deny != ry->deny)
		return rx->deny ? 1 : -1;
	if (x->group_index != y->group_index)
		return x->group_index > y->group_index ? -1 : 1;
	return x->rule > y->rule ? -1 : 1;
}

/* Numbers for the groups that rules name as the remote side, in the entries and, each once, in the
 * set. */
static int set_remotes(struct acl_set *set, struct acl_classes *classes)
{
	for (uint32_t i = 0; i < set->entry_count; i++) {
		struct acl_entry *entry = &set->entry[i];
		const char *name = entry->group->rules[entry->rule].remote_group;
		uint32_t *grown;

		if (!*name)
			continue;
		if (acl_classes_name(classes, name, &entry->remote) != 0)
			return -ENOMEM;
		if (acl_set_names(set, entry->remote))
			continue;
		grown = realloc(set->remote, (set->remote_count + 1) * sizeof(*grown));
		if (!grown)
			return -ENOMEM;
		set->remote = grown;
		set->remote[set->remote_count++] = entry->remote;
	}
	return 0;
}

static struct acl_set *set_alloc(struct acl_group *const *group, uint16_t group_count)
{
	uint32_t rules = 0;
	struct acl_set *set;

	for (uint16_t i = 0; i < group_count; i++)
		rules += group[i]->rule_count;
	set = calloc(1, sizeof(*set) + rules * sizeof(set->entry[0]));
	if (!set)
		return NULL;
	set->group_count = group_count;
	for (uint16_t i = 0; i < group_count; i++) {
		set->group[i] = group[i];
		atomic_fetch_add(&group[i]->refs, 1);
		for (uint32_t n = 0; n < group[i]->rule_count; n++)
			set->entry[set->entry_count++] = (struct acl_entry){.group = group[i],
				.rule = n,
				.group_index = (uint8_t)i,
				.deny = group[i]->rules[n].deny};
	}
	qsort(set->entry, set->entry_count, sizeof(set->entry[0]), by_precedence);
	return set;
}

struct acl_set *acl_set_new(
	struct acl_classes *classes, struct acl_group *const *group, uint16_t group_count)
{
	struct acl_set *set = set_alloc(group, group_count);

	if (set && set_remotes(set, classes) != 0) {
		acl_set_free(set);
		return NULL;
	}
	return set;
}

int acl_set_build(struct acl_set *set, const struct acl_classes *classes, const char *unique)
{
	const struct compile compile = {.set = set, .classes = classes, .unique = unique};
	int rc = 0;

	for (uint8_t dir = 0; dir < 2 && rc == 0; dir++)
		for (int kind = KIND_IPV4; kind <= KIND_CLASS && rc == 0; kind++) {
			struct slots slots = {.kind = (enum kind)kind, .dir = dir};

			rc = context_make(&compile, &slots,
				kind == KIND_CLASS ? &set->by_class[dir]
						   : &set->by_prefix[kind][dir]);
			set->rule_count += slots.count;
		}
	set->classes_known = classes->class_count;
	return rc;
}

void acl_set_free(void *arg)
{
	struct acl_set *set = arg;

	if (!set)
		return;
	for (int dir = 0; dir < 2; dir++) {
		for (int family = 0; family < ACL_FAMILIES; family++)
			rte_acl_free(set->by_prefix[family][dir]);
		rte_acl_free(set->by_class[dir]);
	}
	for (uint16_t i = 0; i < set->group_count; i++)
		acl_group_put(set->group[i]);
	free(set->remote);
	free(set);
}

bool acl_set_names(const struct acl_set *set, uint32_t name)
{
	for (uint32_t i = 0; i < set->remote_count; i++)
		if (set->remote[i] == name)
			return true;
	return false;
}

bool acl_set_is_stale(const struct acl_set *set, const struct acl_classes *classes)
{
	for (uint32_t class = set->classes_known; class < classes->class_count; class ++)
		for (uint32_t i = 0; i < classes->class[class].count; i++)
			if (acl_set_names(set, classes->class[class].name[i]))
				return true;
	return false;
}

/* ---- workers ---- */

static inline uint32_t ask(const struct rte_acl_ctx *ctx, const struct key *key)
{
	const uint8_t *data = (const uint8_t *)key;
	uint32_t answer = 0;

	if (ctx)
		rte_acl_classify(ctx, &data, &answer, 1, 1);
	return answer;
}

uint32_t acl_set_classify(const struct acl_set *set, const struct acl_members *members,
	const struct plugin_request *request)
{
	const struct plugin_tuple *tuple = &request->tuple;
	bool is_ipv6 = !acl_is_v4(&tuple->remote);
	uint32_t best, other;
	struct key key = {.proto = tuple->proto};
	const struct rte_acl_ctx *by_class = set->by_class[request->dir];

	memcpy(key.addr, &tuple->remote, sizeof(key.addr));
	if (tuple->proto == IPPROTO_ICMP || tuple->proto == IPPROTO_ICMPV6)
		key.icmp = rte_cpu_to_be_16((uint16_t)(tuple->icmp_type << 8 | tuple->icmp_code));
	else
		key.port = rte_cpu_to_be_16(
			request->dir == PLUGIN_INGRESS ? tuple->local_port : tuple->remote_port);
	best = ask(set->by_prefix[is_ipv6][request->dir], &key);
	/* Members are the VPC's: an address of another network is nobody here. */
	if (!by_class || request->public_side)
		return best;
	other = acl_members_class(members, request->vport->vni, &tuple->remote);
	if (other == 0)
		return best;
	key.class = rte_cpu_to_be_32(CLASS_KEY(other, is_ipv6));
	other = ask(by_class, &key);
	return other > best ? other : best;
}
