/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The neighbour table. An entry is a next hop with the tunnels that go through it; it lives as long
 * as one is attached. Frames are read and made in neigh_frame.c.
 *
 * Life of an entry's MAC: asked for (to all) until answered; after NEIGH_REACHABLE_MS without a
 * sign of life asked again, NEIGH_PROBES times itself and as often all; then it is unknown and its
 * tunnels drop by name until it answers.
 *
 * Threads: workers (frames, tick), the engine's mutators (attach, detach), show; one spinlock. MACs
 * go into the tunnels under it; workers that encapsulate take no lock.
 */
#include "dataplane/neigh.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/queue.h>

#include <rte_spinlock.h>

#include "dataplane/neigh_frame.h"

#define NEIGH_PROBES 3
#define NS_PER_MS 1000000ull

struct neigh_entry {
	struct in6_addr addr;
	struct rte_ether_addr mac; /* last known, also while not resolved */
	bool resolved;
	bool fixed; /* an operator said the MAC: never asked, never learnt */
	uint8_t probes; /* unanswered since confirmed */
	uint64_t asked_ns; /* 0: never */
	uint64_t confirmed_ns;
	LIST_HEAD(, tunnel) tunnels;
};

struct neigh_table {
	rte_spinlock_t lock;
	struct neigh_params params;
	uint32_t count;
	uint32_t next; /* entry at which the next tick begins */
	struct neigh_entry **entry; /* those in use, any order */
};

struct neigh_table *neigh_create(const struct neigh_params *params)
{
	struct neigh_table *table = calloc(1, sizeof(*table));

	if (table == NULL)
		return NULL;
	rte_spinlock_init(&table->lock);
	table->params = *params;
	if (table->params.capacity == 0 || table->params.capacity > NEIGH_MAX)
		table->params.capacity = NEIGH_MAX;
	table->entry = calloc(table->params.capacity, sizeof(*table->entry));
	if (table->entry == NULL) {
		free(table);
		return NULL;
	}
	return table;
}

void neigh_free(struct neigh_table *table)
{
	if (table == NULL)
		return;
	for (uint32_t i = 0; i < table->count; i++)
		free(table->entry[i]);
	free(table->entry);
	free(table);
}

static bool is_none(const struct in6_addr *addr)
{
	static const struct in6_addr none;

	return addr_equal(addr, &none);
}

/* Our own end towards an address of this family; NULL: we have none. */
static const struct in6_addr *own_for(const struct neigh_table *table, const struct in6_addr *addr)
{
	for (int i = 0; i < 2; i++) {
		const struct in6_addr *own = &table->params.own[i];

		if (!is_none(own) && addr_is_v4(own) == addr_is_v4(addr))
			return own;
	}
	return NULL;
}

static bool is_own(const struct neigh_table *table, const struct in6_addr *addr)
{
	return !is_none(addr) &&
	       (addr_equal(addr, &table->params.own[0]) || addr_equal(addr, &table->params.own[1]));
}

static struct neigh_entry *find(struct neigh_table *table, const struct in6_addr *addr)
{
	for (uint32_t i = 0; i < table->count; i++)
		if (addr_equal(&table->entry[i]->addr, addr))
			return table->entry[i];
	return NULL;
}

int neigh_attach(struct neigh_table *table, struct tunnel *tunnel)
{
	struct neigh_entry *fresh, *entry;
	int rc = 0;

	if (own_for(table, &tunnel->next_hop) == NULL)
		return -EAFNOSUPPORT;
	fresh = calloc(1, sizeof(*fresh));
	if (fresh == NULL)
		return -ENOMEM;
	rte_spinlock_lock(&table->lock);
	entry = find(table, &tunnel->next_hop);
	if (entry == NULL && table->count == table->params.capacity) {
		rc = -ENOSPC;
	} else {
		if (entry == NULL) {
			entry = fresh;
			fresh = NULL;
			entry->addr = tunnel->next_hop;
			LIST_INIT(&entry->tunnels);
			table->entry[table->count++] = entry;
		}
		LIST_INSERT_HEAD(&entry->tunnels, tunnel, neigh_link);
		if (entry->resolved)
			tunnel_set_mac(tunnel, &entry->mac);
	}
	rte_spinlock_unlock(&table->lock);
	free(fresh);
	return rc;
}

void neigh_detach(struct neigh_table *table, struct tunnel *tunnel)
{
	struct neigh_entry *gone = NULL;

	rte_spinlock_lock(&table->lock);
	LIST_REMOVE(tunnel, neigh_link);
	for (uint32_t i = 0; i < table->count; i++) {
		if (!LIST_EMPTY(&table->entry[i]->tunnels))
			continue;
		gone = table->entry[i];
		table->entry[i] = table->entry[--table->count];
		break;
	}
	rte_spinlock_unlock(&table->lock);
	free(gone);
}

static void learn(struct neigh_table *table, const struct neigh_message *message, uint64_t now_ns)
{
	struct neigh_entry *entry = find(table, &message->sender);
	struct tunnel *tunnel;
	bool changed;

	if (entry == NULL || entry->fixed || rte_is_zero_ether_addr(&message->mac) ||
		rte_is_multicast_ether_addr(&message->mac))
		return;
	changed = !entry->resolved || !rte_is_same_ether_addr(&entry->mac, &message->mac);
	if (changed && entry->resolved && !message->override) /* RFC 4861 7.2.5 */
		return;
	entry->confirmed_ns = now_ns;
	entry->probes = 0;
	if (!changed)
		return;
	entry->mac = message->mac;
	entry->resolved = true;
	LIST_FOREACH (tunnel, &entry->tunnels, neigh_link)
		tunnel_set_mac(tunnel, &entry->mac);
}

/* Replace the request in m by its answer; NULL when there is no memory for it. */
static struct rte_mbuf *answer(
	struct neigh_table *table, struct rte_mbuf *m, const struct neigh_message *message)
{
	struct neigh_end own = {.addr = message->target, .mac = table->params.mac};
	struct neigh_end asker = {.addr = message->sender,
		.mac = rte_pktmbuf_mtod(m, const struct rte_ether_hdr *)->src_addr};
	struct rte_mbuf *reply = neigh_frame_reply(&own, &asker, table->params.pool);

	rte_pktmbuf_free(m);
	return reply;
}

uint16_t neigh_input(struct neigh_table *table, struct rte_mbuf *m, uint64_t now_ns,
	struct rte_mbuf **replies, enum drop_reason *reason)
{
	struct neigh_message message;
	bool own, known;

	neigh_frame_read(m, &message);
	own = is_own(table, &message.target);
	if (message.kind == NEIGH_ECHO && own) {
		neigh_frame_echo(m, &table->params.mac);
		*replies = m;
		*reason = DROP_CONSUMED;
		return 1;
	}
	rte_spinlock_lock(&table->lock);
	known = (message.kind == NEIGH_REQUEST || message.kind == NEIGH_REPLY) &&
		find(table, &message.sender) != NULL;
	if (known)
		learn(table, &message, now_ns);
	rte_spinlock_unlock(&table->lock);
	*reason = known || (own && message.kind == NEIGH_REQUEST) ? DROP_CONSUMED : DROP_NOT_OURS;
	if (own && message.kind == NEIGH_REQUEST) {
		*replies = answer(table, m, &message);
		return *replies != NULL;
	}
	rte_pktmbuf_free(m);
	return 0;
}

static bool is_due(const struct neigh_entry *entry, uint64_t now_ns)
{
	if (entry->fixed)
		return false;
	if (entry->asked_ns != 0 && now_ns - entry->asked_ns < NEIGH_RETRY_MS * NS_PER_MS)
		return false;
	return !entry->resolved || now_ns - entry->confirmed_ns >= NEIGH_REACHABLE_MS * NS_PER_MS;
}

static void forget_mac(struct neigh_entry *entry)
{
	struct tunnel *tunnel;

	entry->resolved = false;
	LIST_FOREACH (tunnel, &entry->tunnels, neigh_link)
		atomic_store_explicit(&tunnel->resolved, 0, memory_order_relaxed);
}

static struct rte_mbuf *ask(struct neigh_table *table, struct neigh_entry *entry, uint64_t now_ns)
{
	struct neigh_end own = {.addr = *own_for(table, &entry->addr), .mac = table->params.mac};
	struct neigh_end whom = {.addr = entry->addr};

	if (entry->resolved && entry->probes == 2 * NEIGH_PROBES)
		forget_mac(entry);
	if (entry->resolved && entry->probes < NEIGH_PROBES)
		whom.mac = entry->mac;
	if (entry->resolved)
		entry->probes++;
	entry->asked_ns = now_ns;
	return neigh_frame_request(&own, &whom, table->params.pool);
}

uint16_t neigh_tick(
	struct neigh_table *table, uint64_t now_ns, struct rte_mbuf **requests, uint16_t max)
{
	uint16_t count = 0;

	rte_spinlock_lock(&table->lock);
	for (uint32_t i = 0; i < table->count && count < max; i++) {
		struct neigh_entry *entry = table->entry[table->next++ % table->count];
		struct rte_mbuf *m;

		if (!is_due(entry, now_ns))
			continue;
		m = ask(table, entry, now_ns);
		if (m != NULL)
			requests[count++] = m;
	}
	rte_spinlock_unlock(&table->lock);
	return count;
}

int neigh_fix(
	struct neigh_table *table, const struct in6_addr *addr, const struct rte_ether_addr *mac)
{
	struct neigh_entry *entry;
	struct tunnel *tunnel;

	rte_spinlock_lock(&table->lock);
	entry = find(table, addr);
	if (entry) {
		entry->mac = *mac;
		entry->fixed = entry->resolved = true;
		LIST_FOREACH (tunnel, &entry->tunnels, neigh_link)
			tunnel_set_mac(tunnel, mac);
	}
	rte_spinlock_unlock(&table->lock);
	return entry ? 0 : -ENOENT;
}

uint32_t neigh_list(
	struct neigh_table *table, uint64_t now_ns, struct neigh_entry_info *out, uint32_t max)
{
	uint32_t count;

	rte_spinlock_lock(&table->lock);
	for (count = 0; count < table->count && count < max; count++) {
		const struct neigh_entry *entry = table->entry[count];

		out[count] = (struct neigh_entry_info){.addr = entry->addr,
			.mac = entry->mac,
			.resolved = entry->resolved,
			.age_ms = entry->confirmed_ns ? (now_ns - entry->confirmed_ns) / NS_PER_MS
						      : 0};
	}
	rte_spinlock_unlock(&table->lock);
	return count;
}
