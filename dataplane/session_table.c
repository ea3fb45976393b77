/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The session table: see session_table.h for the shape and the rules. Reading order: where a key
 * may be (probe), find, insert, remove. What the packet path does is in session_table_fast.h.
 */
#include "dataplane/session_table.h"

#include <errno.h>
#include <string.h>

#include "dataplane/pages.h"
#include "dataplane/session_ext.h"
#include "dataplane/session_table_fast.h"

#define TABLE_LOAD_PERCENT 85

/* The walk over buckets for one hash: start by the high bits, step by the tag (never 0). */
struct probe {
	uint32_t at, step;
	uint16_t tag;
};

static inline struct probe probe_start(const struct session_table *table, uint32_t hash)
{
	struct probe probe = {.at = table_home(table, hash), .tag = table_tag(hash)};

	probe.step = 1 + probe.tag % (table->buckets > 1 ? table->buckets - 1 : 1);
	return probe;
}

static inline void probe_next(const struct session_table *table, struct probe *probe)
{
	probe->at += probe->step;
	if (probe->at >= table->buckets)
		probe->at -= table->buckets;
}

static inline uint64_t slot_make(const struct session *s, unsigned int which)
{
	return (uint64_t)(uintptr_t)s | which;
}

/* buckets must be prime to every step, else a walk could miss free buckets: take a prime. */
static uint32_t table_prime(uint32_t least)
{
	for (uint32_t n = least | 1;; n += 2) {
		uint32_t d = 3;

		while ((uint64_t)d * d <= n && n % d != 0)
			d += 2;
		if ((uint64_t)d * d > n)
			return n;
	}
}

int session_table_init(struct session_table *table, uint32_t sessions)
{
	uint64_t slots = (uint64_t)sessions * 2 * 100 / TABLE_LOAD_PERCENT;

	memset(table, 0, sizeof(*table));
	table->buckets = table_prime((uint32_t)(slots / TABLE_SLOTS + 8));
	table->bytes = (size_t)table->buckets * sizeof(struct table_bucket) +
		       TABLE_STRIPES * sizeof(rte_spinlock_t);
	table->bucket = pages_map(table->bytes);
	if (!table->bucket)
		return -ENOMEM;
	table->stripe = (rte_spinlock_t *)(table->bucket + table->buckets);
	table->keys_max = (uint64_t)sessions * 2;
	return 0;
}

void session_table_destroy(struct session_table *table)
{
	pages_unmap(table->bucket, table->bytes);
	table->bucket = NULL;
}

static inline const struct session_key *session_which_key(
	const struct session *s, unsigned int which)
{
	return which ? session_key2(s) : &s->key;
}

static inline bool session_matches(const struct session *s, unsigned int which,
	const struct session_key *key, const struct session_addresses6 *a6)
{
	const struct session_addresses6 *own;

	if (!session_key_equal(session_which_key(s, which), key) || s->is_ipv6 != (a6 != NULL))
		return false;
	if (likely(a6 == NULL))
		return true;
	own = which ? session_key2_a6(s) : &s->a6;
	return memcmp(own, a6, sizeof(*own)) == 0;
}

static inline bool session_is_dead(const struct session *s)
{
	return atomic_load_explicit(&s->state, memory_order_acquire) & SESSION_DEAD;
}

/* What the key's slot holds, or 0. */
static uint64_t table_seek(const struct session_table *table, uint32_t hash,
	const struct session_key *key, const struct session_addresses6 *a6)
{
	struct probe probe = probe_start(table, hash);

	for (uint32_t tries = 0; tries < table->buckets; tries++) {
		struct table_bucket *b = &table->bucket[probe.at];
		uint32_t match = table_match(b, probe.tag);

		for (; match; match &= match - 1, match &= match - 1) {
			uint64_t value = table_first(b, match);

			if (value && !session_is_dead(slot_session(value)) &&
				session_matches(slot_session(value), value & SLOT_WHICH, key, a6))
				return value;
		}
		if (atomic_load_explicit(&b->overflow, memory_order_acquire) == 0)
			return 0;
		probe_next(table, &probe);
	}
	return 0;
}

struct session *session_table_find(const struct session_table *table, const struct session_key *key,
	const struct session_addresses6 *a6, unsigned int *which)
{
	uint64_t value = table_seek(table, session_key_hash(key), key, a6);

	if (!value)
		return NULL;
	*which = value & SLOT_WHICH;
	return slot_session(value);
}

/* Claim a free slot on the way; count the full buckets that were passed by. */
static int table_place(struct session_table *table, uint32_t hash, uint64_t value)
{
	struct probe probe = probe_start(table, hash);

	for (uint32_t tries = 0; tries < table->buckets; tries++) {
		struct table_bucket *b = &table->bucket[probe.at];

		for (unsigned int i = 0; i < TABLE_SLOTS; i++) {
			uint64_t empty = 0;

			if (atomic_load_explicit(&b->slot[i], memory_order_relaxed) == 0 &&
				atomic_compare_exchange_strong_explicit(&b->slot[i], &empty, value,
					memory_order_acq_rel, memory_order_relaxed)) {
				atomic_store_explicit(&b->tag[i], probe.tag, memory_order_release);
				return 0;
			}
		}
		/* Before the key is placed further on: a reader that sees 0 would stop here. */
		atomic_fetch_add_explicit(&b->overflow, 1, memory_order_release);
		probe_next(table, &probe);
	}
	return -ENOSPC;
}

int session_table_insert(struct session_table *table, struct session *s, unsigned int which,
	struct session **existing)
{
	const struct session_key *key = session_which_key(s, which);
	const struct session_addresses6 *a6 = NULL;
	uint32_t hash = session_key_hash(key);
	rte_spinlock_t *lock = &table->stripe[hash % TABLE_STRIPES];
	uint64_t value;
	int rc = 0;

	if (s->is_ipv6)
		a6 = which ? session_key2_a6(s) : &s->a6;
	if (atomic_fetch_add_explicit(&table->keys, 1, memory_order_relaxed) >= table->keys_max) {
		atomic_fetch_sub_explicit(&table->keys, 1, memory_order_relaxed);
		return -ENOSPC;
	}
	rte_spinlock_lock(lock);
	value = table_seek(table, hash, key, a6);
	if (value) {
		*existing = slot_session(value);
		rc = -EEXIST;
	} else {
		rc = table_place(table, hash, slot_make(s, which));
	}
	rte_spinlock_unlock(lock);
	if (rc != 0)
		atomic_fetch_sub_explicit(&table->keys, 1, memory_order_relaxed);
	return rc;
}

bool session_table_remove(struct session_table *table, struct session *s, unsigned int which)
{
	uint32_t hash = session_key_hash(session_which_key(s, which));
	rte_spinlock_t *lock = &table->stripe[hash % TABLE_STRIPES];
	struct probe probe = probe_start(table, hash);
	uint64_t value = slot_make(s, which);
	uint32_t passed = 0, tries = 0;
	bool found = false;

	rte_spinlock_lock(lock);
	for (; tries < table->buckets && !found; tries++) {
		struct table_bucket *b = &table->bucket[probe.at];

		for (unsigned int i = 0; i < TABLE_SLOTS && !found; i++)
			if (atomic_load_explicit(&b->slot[i], memory_order_relaxed) == value) {
				atomic_store_explicit(&b->tag[i], 0, memory_order_relaxed);
				atomic_store_explicit(&b->slot[i], 0, memory_order_release);
				found = true;
			}
		if (!found && atomic_load_explicit(&b->overflow, memory_order_relaxed) == 0)
			break;
		passed += !found;
		probe_next(table, &probe);
	}
	/* Nobody needs to pass by for this key any more. */
	probe = probe_start(table, hash);
	for (uint32_t i = 0; found && i < passed; i++) {
		atomic_fetch_sub_explicit(
			&table->bucket[probe.at].overflow, 1, memory_order_release);
		probe_next(table, &probe);
	}
	rte_spinlock_unlock(lock);
	if (found)
		atomic_fetch_sub_explicit(&table->keys, 1, memory_order_relaxed);
	return found;
}
