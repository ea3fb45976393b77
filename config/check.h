/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What options mean to each other: references that lead somewhere, identities used once, pairs
 * that exclude each other. Called once by config_check(), in the order below: objects come before
 * those that name them. Private to config/.
 */
#ifndef CONFIG_CHECK_H
#define CONFIG_CHECK_H

#include "config/value.h"

/* Things by key, each once: a balanced tree, so that no file makes it slow. */
struct config_index {
	void *root;
};

struct config_check {
	struct config_loader *loader;
	struct config *config;
	struct config_index vpc_names, vpc_vnis, group_names, plugin_names, peer_names, vport_names,
		network_names;
};

/* A place that is taken: a key, and of it the numbers first..last. */
struct config_span {
	const char *key;
	struct config_range range;
	const struct config_tree *node; /* of its object */
	uint32_t index; /* in its list */
	const char *owner; /* spans of one owner with different protocols may overlap */
	uint32_t protocol; /* 0: excludes all */
};

/* An error at `key` of the map `node` (at the map when the key is absent), or at entry `index` of
 * the list under `key`. -EINVAL. */
int config_fail_key(struct config_loader *loader, const struct config_tree *node, const char *key,
	const char *format, ...) __attribute__((format(printf, 4, 5)));
int config_fail_entry(struct config_loader *loader, const struct config_tree *list, uint32_t index,
	const char *format, ...) __attribute__((format(printf, 4, 5)));

/* Set the path to "list[index]"; returns what config_path_back() wants. */
size_t config_path_object(struct config_loader *loader, const char *list, uint32_t index);

/* Put a key in; `what` is said when it is there already: "expected WHAT used once, found ...". `at`
 * is where the key stands. */
struct config_claim {
	const char *what;
	const char *key; /* must live as long as the index */
	const struct config_tree *at;
	const void *object; /* for config_index_find() */
};
int config_index_add(
	struct config_loader *loader, struct config_index *index, const struct config_claim *claim);
/* The same for entry `number` of a list; `at` is set here. */
int config_index_add_entry(struct config_loader *loader, struct config_index *index,
	struct config_claim *claim, const struct config_tree *list, uint32_t number);
const void *config_index_find(const struct config_index *index, const char *key);
void config_index_clear(struct config_index *index);

/* No two spans of the same key overlap. Sorts them. `list` is the name of their list. */
int config_check_spans(
	struct config_loader *loader, struct config_span *spans, uint32_t count, const char *list);

/* Text that lives as long as the config; NULL when memory is out. */
const char *config_keep(struct config_loader *loader, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

bool config_is_ipv4(const struct in6_addr *address);
bool config_is_set(const struct in6_addr *address);
bool config_same_family(const struct in6_addr *a, const struct in6_addr *b);
bool config_prefix_has(const struct config_prefix *prefix, const struct in6_addr *address);

int config_check_host(struct config_check *check); /* host, engine, log */
int config_check_uplink(struct config_check *check);
int config_check_tls(struct config_check *check); /* and who listens */
int config_check_peers(struct config_check *check);
int config_check_vpcs(struct config_check *check);
int config_check_plugins(struct config_check *check);
int config_check_groups(struct config_check *check);
int config_check_networks(struct config_check *check);
int config_check_vports(struct config_check *check);
int config_check_leases(struct config_check *check);
int config_check_locations(struct config_check *check);

#endif
