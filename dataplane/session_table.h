/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef FERRY_SESSION_TABLE_H
#define FERRY_SESSION_TABLE_H
/*
 * Keys to sessions. Open addressing in buckets of one cache line: seven slots of {tag 16, pointer
 * 48} and an overflow count, the number of keys that passed by this bucket when it was full (as in
 * F14 tables): a reader stops at the first bucket that nobody passed by. Entries never move, so
 * lock-free readers never miss a living key. A slot's lowest bit says which key of the session it
 * stands for.
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

#define TABLE_SLOTS 7
#define TABLE_STRIPES 256

struct table_bucket {
	_Atomic uint64_t slot[TABLE_SLOTS];
	_Atomic uint32_t overflow;
	uint32_t spare;
} __rte_cache_aligned;

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

/*
 * Find the sessions of a burst by p->key: fills p->hash and p->session (NULL: none); `second` gets
 * a bit per packet that matched by key2. Non-IP packets and later fragments are left at NULL.
 */
void session_table_lookup_burst(
	const struct session_table *table, struct pkt **pkts, uint16_t count, uint32_t *second);

#endif
