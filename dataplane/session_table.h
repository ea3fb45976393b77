/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef FERRY_SESSION_TABLE_H
#define FERRY_SESSION_TABLE_H
/*
 * Keys to sessions. Open addressing in buckets of one cache line: six slots, a tag of 16 bits of
 * the hash for each, and an overflow count, the number of keys that passed by this bucket when it
 * was full (as in F14 tables): a reader stops at the first bucket that nobody passed by. Entries
 * never move, so lock-free readers never miss a living key. A slot's lowest bit says which key of
 * the session it stands for.
 *
 * A slot is claimed by compare-and-swap and its tag written after it; it is given up the other way
 * round. So a reader may find a tag whose slot is empty or another key's, which the key itself
 * tells, but never a slot of its key without the tag.
 *
 * Why not rte_hash: its entry keeps a copy of the key in a third line; here the session's own line
 * is the key. Fixed capacity, chosen at start; at most 85 % full with two keys per session.
 *
 * Threads: lookup by any RCU reader; insert and remove by any thread (a striped lock orders writers
 * of one key; slots are claimed by compare-and-swap). A removed session may be read until a grace
 * period passed.
 */
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include <rte_spinlock.h>

#include "dataplane/pkt.h"
#include "dataplane/session.h"

#define TABLE_SLOTS 6
#define TABLE_STRIPES 256

struct table_bucket {
	_Atomic uint16_t tag[TABLE_SLOTS]; /* 0: none */
	_Atomic uint32_t overflow;
	_Atomic uint64_t slot[TABLE_SLOTS]; /* struct session *, lowest bit: which key; 0: free */
} __rte_cache_aligned;

_Static_assert(sizeof(struct table_bucket) == RTE_CACHE_LINE_SIZE, "one line");

struct session_table {
	struct table_bucket *bucket;
	uint32_t buckets;
	size_t bytes;
	_Atomic uint64_t keys; /* entered now */
	uint64_t keys_max;
	rte_spinlock_t *stripe; /* TABLE_STRIPES */
};

/* Room for two keys of each of `sessions`. -ENOMEM. */
int session_table_init(struct session_table *table, uint32_t sessions);
void session_table_destroy(struct session_table *table);

/*
 * Enter one key of s (0: key, 1: key2). 0, -EEXIST (*existing is the other session; a dead one
 * never counts), or -ENOSPC.
 */
int session_table_insert(struct session_table *table, struct session *s, unsigned int which,
	struct session **existing);
/* Take it out; false when it was not in. */
bool session_table_remove(struct session_table *table, struct session *s, unsigned int which);

/*
 * Find by key; a6 non-NULL for IPv6. *which tells the key that matched. Any RCU reader.
 */
struct session *session_table_find(const struct session_table *table, const struct session_key *key,
	const struct session_addresses6 *a6, unsigned int *which);

#endif
