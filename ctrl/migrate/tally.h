/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What one side of a move knows of the sessions that have crossed: birth id -> hash of the record
 * as sent, and the sum of all of them, kept incrementally. Source and destination keep one each per
 * vport; the sums must be equal in the end. One thread.
 *
 * Open addressing in lanes: sixteen neighbours among the ids are neighbours in memory (ids are
 * serials, walks go roughly by age), and a collision steps by sixteen, so each lane is a linear
 * probe of its own.
 */
#ifndef CTRL_MIGRATE_TALLY_H
#define CTRL_MIGRATE_TALLY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum tally_mark { TALLY_INSTALLED, TALLY_REFUSED, TALLY_CONFLICT };

struct tally_entry {
	uint64_t id; /* 0: free */
	uint64_t hash;
};

struct tally {
	struct tally_entry *entry;
	uint8_t *mark; /* enum tally_mark | colour << 4 */
	uint32_t room, used; /* used: living and deleted places */
	uint32_t count; /* living */
	uint64_t digest; /* sum of their hashes */
	uint8_t colour; /* 0..15, of what is put now */
};

/* Room for `expected` at once; grows. -ENOMEM. */
int tally_init(struct tally *tally, uint32_t expected);
void tally_fini(struct tally *tally);
/* Put or replace. -ENOMEM. */
int tally_put(struct tally *tally, uint64_t id, uint64_t hash, enum tally_mark mark);
/* It will be put soon. */
void tally_prefetch(const struct tally *tally, uint64_t id);
/* False: not there. */
bool tally_remove(struct tally *tally, uint64_t id);
/* The hash, or false. */
bool tally_find(const struct tally *tally, uint64_t id, uint64_t *hash);
/* From here on puts are of the next colour; tally_current() tells them from older ones. */
void tally_recolour(struct tally *tally);
bool tally_current(const struct tally *tally, uint64_t id);
/* Remove all that is not of the current colour; returns how many. */
uint32_t tally_sweep(struct tally *tally);
uint32_t tally_marked(const struct tally *tally, enum tally_mark mark);

#endif
