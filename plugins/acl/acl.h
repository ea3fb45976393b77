/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef FERRY_ACL_H
#define FERRY_ACL_H
/*
 * Security groups. What the files of this plugin share, from the written rule to the classifier:
 *
 *	rule.c     a rule as written -> struct acl_rule
 *	group.c    the `groups` section -> struct acl_policy, groups by name
 *	members.c  who is in which group -> a class per address, for rules with a remote_group
 *	set.c      the groups of a vport -> struct acl_set, a compiled classifier; vports with the
 *	           same groups share one
 *	prepare.c  a configuration, compiled beside what is in force
 *	change.c   from one policy to the next, whole and while workers run
 *	acl.c      the descriptor: vports, admission
 *	show.c     what plugin/show says
 *
 * Workers read binding -> set -> groups' counters and the members table. Those are never edited: a
 * new one is published by an atomic store and the old one deferred. All else belongs to the control
 * thread, but what acl_build() compiles is nobody else's yet.
 */
#include <stdatomic.h>

#include "dataplane/plugin.h"

#define ACL_NAME_MAX 64
#define ACL_PORTS_MAX 64 /* ranges of one rule */
#define ACL_GROUPS_MAX 16 /* of one vport */
#define ACL_RULES_MAX 65536 /* of one group */
#define ACL_FAMILIES 2 /* 0: IPv4, 1: IPv6 */

struct rte_acl_ctx;

/* ---- rules ---- */

struct acl_range {
	uint16_t first, last;
};

enum acl_family { ACL_ANY_FAMILY, ACL_IPV4, ACL_IPV6 };

/* As written, checked. No pointers and no gaps that matter: equal rules are equal bytes. */
struct acl_rule {
	struct in6_addr remote; /* mapped; all zero with remote_len 0: anyone */
	char remote_group[ACL_NAME_MAX]; /* "": none */
	struct acl_range ports[ACL_PORTS_MAX];
	uint16_t port_count; /* 0: all */
	uint16_t priority;
	int16_t icmp_type, icmp_code; /* -1: any */
	uint8_t remote_len; /* mapped: 10.0.0.0/8 has 104 */
	uint8_t family; /* enum acl_family; what protocol and remote imply is filled in */
	uint8_t proto; /* 0: any */
	uint8_t dir; /* enum plugin_dir */
	uint8_t deny;
	uint8_t has_remote;
};

/* `where`: who it is, for errors ("group web, rule 3"). 0 or -EINVAL. */
int acl_rule_parse(const struct plugin_value *value, const char *where, struct acl_rule *rule,
	struct plugin_error *error);

/* Fill error from what stands at `value`; returns -EINVAL. */
int acl_fail(struct plugin_error *error, const struct plugin_value *value, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
/* The entry of a map, or NULL. */
const struct plugin_value *acl_get(const struct plugin_value *map, const char *key);
/* A plain decimal number up to max. */
int acl_number(const char *text, uint32_t max, uint32_t *number);
/* "10.0.0.5", "fd00::5"; mapped. */
int acl_address(const char *text, struct in6_addr *addr);
static inline bool acl_is_v4(const struct in6_addr *addr)
{
	return IN6_IS_ADDR_V4MAPPED(addr);
}

/* ---- groups ---- */

struct acl_group {
	char name[ACL_NAME_MAX];
	_Atomic uint32_t refs; /* policy and sets */
	uint32_t rule_count;
	uint16_t workers; /* hits has workers + 1 rows */
	struct acl_rule *rules;
	_Atomic uint64_t
		*hits; /* admissions by [worker][rule]; the last row is the control threads' */
};

/* All groups of a configuration, sorted by name. */
struct acl_policy {
	uint32_t refs; /* the instance and what is prepared */
	uint32_t count;
	struct acl_group *group[];
};

/*
 * From the `groups` list (NULL: none). Groups that are as in `old` (may be NULL) are taken over,
 * counters and all. NULL: *error says why.
 */
struct acl_policy *acl_policy_make(const struct plugin_value *groups, const struct acl_policy *old,
	uint16_t workers, struct plugin_error *error);
void acl_policy_put(struct acl_policy *policy); /* NULL allowed */
struct acl_group *acl_policy_find(const struct acl_policy *policy, const char *name);
void acl_group_put(struct acl_group *group);
uint64_t acl_group_hits(const struct acl_group *group, uint32_t rule);

/* ---- members ---- */

/* One address of one group. Overlapping addresses of two VPCs are two members. */
struct acl_member {
	struct in6_addr addr;
	uint32_t vni;
	uint32_t name; /* number of the group's name, see acl_classes */
};

struct acl_member_list {
	struct acl_member *member;
	uint32_t count, room;
};

/*
 * Names of groups and sets of names ("classes") have numbers for the life of the instance, so that
 * a table and a classifier made at different times agree. Class 0: in no group.
 */
struct acl_class {
	uint32_t count;
	uint32_t *name; /* sorted */
};

struct acl_classes {
	char (*name)[ACL_NAME_MAX];
	uint32_t name_count, name_room;
	struct acl_class *class;
	uint32_t class_count, class_room;
};

/* The number of a name. -ENOMEM. */
int acl_classes_name(struct acl_classes *classes, const char *name, uint32_t *number);
bool acl_class_has(const struct acl_classes *classes, uint32_t class, uint32_t name);
void acl_classes_free(struct acl_classes *classes);

/* 0, or -ENOMEM and nothing made. */
int acl_classes_copy(const struct acl_classes *from, struct acl_classes *to);
int acl_member_add(struct acl_member_list *list, const struct acl_member *member);
/* The `members` map: {GROUP: {VNI: [ADDRESS, ...], ...}, ...}. */
int acl_members_parse(const struct plugin_value *value, struct acl_classes *classes,
	struct acl_member_list *list, struct plugin_error *error);

/* (VNI, address) -> class. A lookup looks at no more than ACL_PROBE_MAX places, whatever is asked.
 */
#define ACL_PROBE_MAX 16
struct acl_place {
	struct in6_addr addr;
	uint32_t vni;
	uint32_t class; /* 0: free */
};
struct acl_members {
	uint32_t mask; /* places - 1 */
	uint32_t count;
	uint64_t seed;
	struct acl_place place[];
};
/* Sorts the list; may make new classes. NULL: no memory. */
struct acl_members *acl_members_make(struct acl_classes *classes, struct acl_member_list *list);
uint32_t acl_members_class(
	const struct acl_members *members, uint32_t vni, const struct in6_addr *addr);

/* ---- sets ---- */

/* A rule in the order of precedence: the classifier's answer is an index + 1 here. */
struct acl_entry {
	struct acl_group *group;
	uint32_t rule; /* index in group */
	uint32_t remote; /* number of its remote_group's name, when it has one */
	uint8_t group_index; /* in the set */
	uint8_t deny;
};

struct acl_set {
	struct acl_set *next; /* in acl->sets */
	uint32_t refs; /* bindings and what is prepared */
	uint32_t number; /* unique in the instance: for DPDK's names */
	bool listed; /* in acl->sets */
	uint32_t classes_known; /* classes that were there when it was compiled */
	uint32_t *remote; /* numbers of the groups that rules name as remote side */
	uint32_t remote_count;
	uint16_t group_count;
	struct acl_group *group[ACL_GROUPS_MAX]; /* sorted by name */
	struct rte_acl_ctx *by_prefix[ACL_FAMILIES][2]; /* by direction; NULL: no such rules */
	struct rte_acl_ctx *by_class[2];
	uint32_t rule_count; /* as the classifier has them */
	uint32_t entry_count;
	struct acl_entry entry[];
};

/* Of groups sorted by name, each gets a reference; may make new names. NULL: no memory. */
struct acl_set *acl_set_new(
	struct acl_classes *classes, struct acl_group *const *group, uint16_t group_count);
/* Compile, which may take a second. `unique` starts names for DPDK: unique in the process. */
int acl_set_build(struct acl_set *set, const struct acl_classes *classes, const char *unique);
/* For host->defer(). */
void acl_set_free(void *set);
/* Is there a class that it does not know, with a group it names as remote side? */
bool acl_set_is_stale(const struct acl_set *set, const struct acl_classes *classes);
bool acl_set_names(const struct acl_set *set, uint32_t name);

/* Index + 1 of the entry that decides, 0: no rule. Any worker. */
uint32_t acl_set_classify(const struct acl_set *set, const struct acl_members *members,
	const struct plugin_request *request);

/* ---- the instance ---- */

/* What a vport is judged by: replaced whole. */
struct acl_binding {
	struct acl_set *set;
	uint8_t group_at[ACL_GROUPS_MAX]; /* of the set's group: index in vport->groups */
};

struct acl_vport {
	struct acl_vport *next;
	const struct plugin_vport *view;
	_Atomic(struct acl_binding *) binding;
};

struct acl {
	const struct plugin_host *host;
	_Atomic(struct acl_members *) members;
	_Atomic uint64_t *unruled; /* [worker][direction]: first packets that no rule was about */
	/* control */
	struct acl_policy *policy;
	struct acl_member_list configured; /* members that the configuration names */
	struct acl_classes classes;
	struct acl_vport *vports;
	struct acl_set *sets;
	uint32_t serial;
	char unique[20];
};

/* ---- changes ---- */

/* Fill the first four; make, then drop or publish, by which it is used up. */
struct acl_change {
	const struct acl_policy *policy;
	const struct acl_member_list *configured;
	const struct acl_vport *rebind; /* its groups or addresses may be others than before */
	const struct plugin_vport *without; /* leaves */
	/* made */
	struct acl_members *members;
	struct acl_binding **binding; /* by vport in the list; NULL: keeps what it has */
	bool *changed; /* by name: membership changed */
	uint32_t count;
};
/* 0 or -errno, with nothing left. */
int acl_change_make(struct acl *acl, struct acl_change *change);
void acl_change_drop(struct acl *acl, struct acl_change *change);
/* Tells the host of the vports whose judgement may differ. */
void acl_change_publish(struct acl *acl, struct acl_change *change);

/* From what is configured and from all vports but `without`; may make new classes. */
struct acl_members *acl_members_collect(struct acl *acl, const struct acl_member_list *configured,
	const struct plugin_vport *without);
/* A set of just these groups that knows all classes, or NULL. */
struct acl_set *acl_set_find(
	const struct acl *acl, struct acl_group *const *group, uint16_t group_count);
void acl_set_list(struct acl *acl, struct acl_set *set);
void acl_set_put(struct acl *acl, struct acl_set *set);

/*
 * The groups of a vport sorted as in a set, and where each stands in the vport's own list (room for
 * ACL_GROUPS_MAX + 1). Their number, or -ENOENT with the missing name.
 */
int acl_change_groups(const struct acl_policy *policy, const struct plugin_vport *view,
	struct acl_group **group, uint8_t *group_at, const char **missing);
void acl_binding_retire(struct acl *acl, struct acl_binding *binding);

/* ---- a configuration, step by step as in plugin.h (prepare.c) ---- */

int acl_prepare(void *instance, const struct plugin_value *config, void **prepared,
	struct plugin_error *error);
int acl_build(void *prepared, struct plugin_error *error);
int acl_take(void *instance, void *prepared, struct plugin_error *error);
void acl_drop(void *instance, void *prepared);
/* Check alone. */
int acl_check(struct acl *acl, const struct plugin_value *config, struct plugin_error *error);

int acl_show(void *instance, const struct plugin_vport *view, void *data, struct plugin_sink *sink);

#endif
