/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <search.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "config/check.h"

static const struct config_tree *entry_at(const struct config_tree *list, uint32_t index)
{
	const struct config_tree *entry = list->kind == CONFIG_LIST ? list->first : NULL;

	while (entry != NULL && index-- > 0)
		entry = entry->next;
	return entry != NULL ? entry : list;
}

int config_fail_key(struct config_loader *loader, const struct config_tree *node, const char *key,
	const char *format, ...)
{
	const struct config_tree *entry = config_tree_get(node, key);
	char text[256];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	config_path_key(loader, key);
	return config_fail(loader, entry != NULL ? entry : node, "%s", text);
}

int config_fail_entry(struct config_loader *loader, const struct config_tree *list, uint32_t index,
	const char *format, ...)
{
	char text[256];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	config_path_key(loader, list->key);
	config_path_index(loader, index);
	return config_fail(loader, entry_at(list, index), "%s", text);
}

size_t config_path_object(struct config_loader *loader, const char *list, uint32_t index)
{
	size_t before = config_path_key(loader, list);

	config_path_index(loader, index);
	return before;
}

static int compare_claims(const void *a, const void *b)
{
	return strcmp(((const struct config_claim *)a)->key, ((const struct config_claim *)b)->key);
}

int config_index_add(
	struct config_loader *loader, struct config_index *index, const struct config_claim *claim)
{
	struct config_claim *copy = config_arena_alloc(loader->arena, sizeof(*copy));
	struct config_claim **found;
	char text[96];

	if (copy == NULL || claim->key == NULL)
		return config_no_memory(loader);
	*copy = *claim;
	found = tsearch(copy, &index->root, compare_claims);
	if (found == NULL)
		return config_no_memory(loader);
	if (*found == copy)
		return 0;
	if (claim->at->key != NULL)
		config_path_key(loader, claim->at->key);
	return config_fail(loader, claim->at,
		"expected %s used once, found \"%s\" again (first in line %u)", claim->what,
		config_printable(claim->key, text, sizeof(text)), (*found)->at->line);
}

int config_index_add_entry(struct config_loader *loader, struct config_index *index,
	struct config_claim *claim, const struct config_tree *list, uint32_t number)
{
	size_t before = config_path_object(loader, list->key, number);
	int rc;

	claim->at = entry_at(list, number);
	/* A list of one may be written without brackets: its key is in the path already. */
	if (claim->at == list)
		config_path_back(loader, before);
	rc = config_index_add(loader, index, claim);
	if (rc == 0)
		config_path_back(loader, before);
	return rc;
}

const void *config_index_find(const struct config_index *index, const char *key)
{
	struct config_claim wanted = {.key = key};
	struct config_claim **found = tfind(&wanted, &index->root, compare_claims);

	return found != NULL ? (*found)->object : NULL;
}

static void keep_claim(void *claim)
{
	/* It belongs to the arena. */
	(void)claim;
}

void config_index_clear(struct config_index *index)
{
	tdestroy(index->root, keep_claim);
	index->root = NULL;
}

static int compare_spans(const void *a, const void *b)
{
	const struct config_span *x = a, *y = b;
	int order = strcmp(x->key, y->key);

	if (order == 0)
		order = (x->range.first > y->range.first) - (x->range.first < y->range.first);
	return order != 0 ? order : (x->index > y->index) - (x->index < y->index);
}

static bool spans_clash(const struct config_span *a, const struct config_span *b)
{
	bool apart = a->owner != NULL && b->owner != NULL && strcmp(a->owner, b->owner) == 0 &&
		     a->protocol != b->protocol && a->protocol != 0 && b->protocol != 0;

	return !apart && b->range.first <= a->range.last;
}

int config_check_spans(
	struct config_loader *loader, struct config_span *spans, uint32_t count, const char *list)
{
	qsort(spans, count, sizeof(*spans), compare_spans);
	for (uint32_t i = 0; i < count; i++)
		for (uint32_t j = i + 1; j < count && strcmp(spans[i].key, spans[j].key) == 0 &&
					 spans[j].range.first <= spans[i].range.last;
			j++) {
			const struct config_span *one = &spans[i], *two = &spans[j];

			if (!spans_clash(one, two))
				continue;
			if (one->index > two->index) {
				one = &spans[j];
				two = &spans[i];
			}
			config_path_object(loader, list, two->index);
			return config_fail(loader, two->node,
				"expected addresses and ports used once, found %s again (first in "
				"line %u)",
				two->key, one->node->line);
		}
	return 0;
}

const char *config_keep(struct config_loader *loader, const char *format, ...)
{
	char text[256];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	return config_arena_text(loader->arena, text, strlen(text));
}

bool config_is_ipv4(const struct in6_addr *address)
{
	return IN6_IS_ADDR_V4MAPPED(address);
}

bool config_is_set(const struct in6_addr *address)
{
	return !IN6_IS_ADDR_UNSPECIFIED(address);
}

bool config_same_family(const struct in6_addr *a, const struct in6_addr *b)
{
	return config_is_ipv4(a) == config_is_ipv4(b);
}

bool config_prefix_has(const struct config_prefix *prefix, const struct in6_addr *address)
{
	unsigned bytes = prefix->len / 8, bits = prefix->len % 8;
	uint8_t mask = 0xff00 >> bits;

	/* ::/0 does not have 10.0.0.1: the families are apart although the bits would match. */
	return config_same_family(&prefix->addr, address) &&
	       memcmp(&prefix->addr, address, bytes) == 0 &&
	       (bits == 0 || ((prefix->addr.s6_addr[bytes] ^ address->s6_addr[bytes]) & mask) == 0);
}

int config_check(struct config_loader *loader, struct config *config)
{
	static int (*const steps[])(struct config_check *) = {
		config_check_host,
		config_check_uplink,
		config_check_tls,
		config_check_peers,
		config_check_vpcs,
		config_check_plugins,
		config_check_groups,
		config_check_networks,
		config_check_vports,
		config_check_leases,
		config_check_locations,
	};
	struct config_check check = {.loader = loader, .config = config};
	struct config_index *all[] = {&check.vpc_names, &check.vpc_vnis, &check.group_names,
		&check.plugin_names, &check.peer_names, &check.vport_names, &check.network_names};
	int rc = 0;

	for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]) && rc == 0; i++)
		rc = steps[i](&check);
	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++)
		config_index_clear(all[i]);
	return rc;
}
