/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef FERRY_SESSION_SLAB_H
#define FERRY_SESSION_SLAB_H
/*
 * Memory of sessions. One pool per engine, cut into 16 KiB chunks of 84 sessions; a chunk belongs
 * to one slab, a slab to one (vport, worker). So a walk, a quota, a free and an account cost by the
 * vport's own sessions. The pool is mapped at start and never unmapped before the engine goes: a
 * stale session pointer reads old or foreign data, never a fault, and is checked against vport and
 * birth id.
 *
 * A chunk's header keeps for each session a lower bound of when to look at it again, so that ageing
 * reads three header lines for 84 sessions and a session only when it may have expired.
 *
 * Threads: alloc and retire by any thread (one spinlock per slab, contended only at admission); a
 * walk without lock by any RCU reader, bracketed by session_slab_walk_begin/end, during which
 * chunks stay in their slab.
 */
#include <stdatomic.h>
#include <stdint.h>
#include <sys/queue.h>

#include <rte_mempool.h>
#include <rte_spinlock.h>

#include "dataplane/rcu.h"
#include "dataplane/session.h"

#define SLAB_CHUNK_BYTES 16384
#define SLAB_CHUNK_SESSIONS 84
#define SLAB_HINT_MS 1024 /* unit of the expiry hints */

struct session_slab;

#define SLAB_REAP_SESSIONS 256 /* given back at once: about 30 us, out of the caches */

struct slab_chunk {
	_Atomic(struct slab_chunk *) next; /* in the slab; walkers follow it */
	struct slab_chunk *previous;
	struct session_slab *slab; /* NULL while in the pool */
	_Atomic uint64_t used[2]; /* bit set: session allocated */
	_Atomic uint64_t open[2]; /* bit set: and made, so that a walk may look at it */
	uint16_t count;
	uint16_t spare[3];
	uint16_t check_at[SLAB_CHUNK_SESSIONS]; /* vport clock / SLAB_HINT_MS, wraps */
	struct session session[SLAB_CHUNK_SESSIONS] __rte_aligned(256);
} __rte_aligned(256);

_Static_assert(sizeof(struct slab_chunk) == SLAB_CHUNK_BYTES, "a chunk is 16 KiB");

struct slab_pool {
	uint8_t *memory; /* mapped, chunk-aligned */
	size_t bytes;
	uint32_t chunks;
	_Atomic uint32_t chunks_free;
	struct slab_chunk *free; /* by next */
	rte_spinlock_t lock;
};

/* Room for `sessions` plus one partly used chunk per slab for `slabs`. -ENOMEM. */
int slab_pool_init(struct slab_pool *pool, uint32_t sessions, uint32_t slabs);
void slab_pool_destroy(struct slab_pool *pool);

struct session_slab {
	rte_spinlock_t lock;
	uint16_t worker;
	struct slab_pool *pool;
	struct rcu *rcu;
	struct vport *vport;
	struct rte_mempool *ext_pool; /* extensions go back with their session */
	_Atomic(struct slab_chunk *) first;
	_Atomic uint32_t walkers; /* > 0: keep empty chunks */
	bool emptied; /* one was kept so */
	uint32_t chunks;
	_Atomic uint32_t sessions; /* allocated and not retired */
	struct slab_chunk *partial; /* where to look for a free slot first */
	struct slab_chunk *age_at; /* next chunk to age */
	struct slab_chunk *evict_at; /* next chunk to look for a half-open one */
	struct session *limbo_open, *limbo_wait; /* retired, by limbo_next */
	uint64_t limbo_token;
} __rte_cache_aligned;

/* Memory zeroed by the caller; sets pool, rcu, vport and ext_pool. */
void session_slab_init(struct session_slab *slab, const struct session_slab *from);

/* A zeroed session with vport and slot set, or NULL when the pool is empty. No walk sees it. */
struct session *session_slab_alloc(struct session_slab *slab);
/* It is made: walks see it, and may end it. */
void session_slab_publish(struct session *s);
/* Never visible to anyone: back at once. */
void session_slab_cancel(struct session *s);
/* Unlinked from the table: memory is reused after a grace period. */
void session_slab_retire(struct session *s);
/* Give back a slice of what has waited for its grace period. True: more of it could go now. */
bool session_slab_reap(struct session_slab *slab);
/* All of it: the caller has just waited. No worker. */
void session_slab_reap_all(struct session_slab *slab);
/* Slab is going: all sessions must have been retired and a grace period waited. */
void session_slab_destroy(struct session_slab *slab);

static inline struct slab_chunk *session_chunk(const struct session *s)
{
	return (struct slab_chunk *)((uintptr_t)s & ~(uintptr_t)(SLAB_CHUNK_BYTES - 1));
}

/* Is there a session that has been made (living or dead)? */
static inline bool slab_chunk_open(const struct slab_chunk *chunk, unsigned int i)
{
	return atomic_load_explicit(&chunk->open[i / 64], memory_order_acquire) >> (i % 64) & 1;
}

void session_slab_walk_begin(struct session_slab *slab);
void session_slab_walk_end(struct session_slab *slab);
/* chunk NULL: the first one. NULL at the end. */
struct slab_chunk *session_slab_next(struct session_slab *slab, struct slab_chunk *chunk);

#endif
