/* SPDX-License-Identifier: BSD-3-Clause */
#include "dataplane/session_slab.h"

#include <errno.h>
#include <string.h>

#include <rte_branch_prediction.h>

#include "dataplane/pages.h"
#include "dataplane/poison.h"

#define FIRST_WORD_BITS 64

int slab_pool_init(struct slab_pool *pool, uint32_t sessions, uint32_t slabs)
{
	pool->chunks = (sessions + SLAB_CHUNK_SESSIONS - 1) / SLAB_CHUNK_SESSIONS + slabs;
	pool->bytes = (size_t)pool->chunks * SLAB_CHUNK_BYTES;
	pool->memory = pages_map(pool->bytes);
	if (!pool->memory)
		return -ENOMEM;
	rte_spinlock_init(&pool->lock);
	pool->free = NULL;
	for (uint32_t i = pool->chunks; i-- > 0;) {
		struct slab_chunk *chunk = (void *)(pool->memory + (size_t)i * SLAB_CHUNK_BYTES);

		atomic_store_explicit(&chunk->next, pool->free, memory_order_relaxed);
		pool->free = chunk;
		poison(chunk->session, sizeof(chunk->session));
	}
	pool->chunks_free = pool->chunks;
	return 0;
}

void slab_pool_destroy(struct slab_pool *pool)
{
	if (!pool->memory)
		return;
	unpoison(pool->memory, pool->bytes);
	pages_unmap(pool->memory, pool->bytes);
	pool->memory = NULL;
}

void session_slab_init(struct session_slab *slab, const struct session_slab *from)
{
	rte_spinlock_init(&slab->lock);
	slab->pool = from->pool;
	slab->rcu = from->rcu;
	slab->vport = from->vport;
	slab->ext_pool = from->ext_pool;
}

/* Under slab->lock. */
static struct slab_chunk *slab_grow(struct session_slab *slab)
{
	struct slab_pool *pool = slab->pool;
	struct slab_chunk *chunk, *first;

	rte_spinlock_lock(&pool->lock);
	chunk = pool->free;
	if (chunk) {
		pool->free = atomic_load_explicit(&chunk->next, memory_order_relaxed);
		pool->chunks_free--;
	}
	rte_spinlock_unlock(&pool->lock);
	if (!chunk)
		return NULL;
	first = atomic_load_explicit(&slab->first, memory_order_relaxed);
	chunk->slab = slab;
	chunk->count = 0;
	chunk->previous = NULL;
	atomic_store_explicit(&chunk->used[0], 0, memory_order_relaxed);
	atomic_store_explicit(&chunk->used[1], 0, memory_order_relaxed);
	atomic_store_explicit(&chunk->open[0], 0, memory_order_relaxed);
	atomic_store_explicit(&chunk->open[1], 0, memory_order_relaxed);
	atomic_store_explicit(&chunk->next, first, memory_order_relaxed);
	if (first)
		first->previous = chunk;
	atomic_store_explicit(&slab->first, chunk, memory_order_release);
	slab->chunks++;
	return chunk;
}

/* Under slab->lock: an empty chunk goes back to the pool, unless somebody walks the slab. */
static void slab_shrink(struct session_slab *slab, struct slab_chunk *chunk)
{
	struct slab_chunk *next = atomic_load_explicit(&chunk->next, memory_order_relaxed);
	struct slab_pool *pool = slab->pool;

	if (atomic_load_explicit(&slab->walkers, memory_order_acquire) > 0) {
		slab->emptied = true;
		return;
	}
	if (next)
		next->previous = chunk->previous;
	if (chunk->previous)
		atomic_store_explicit(&chunk->previous->next, next, memory_order_release);
	else
		atomic_store_explicit(&slab->first, next, memory_order_release);
	if (slab->partial == chunk)
		slab->partial = NULL;
	if (slab->age_at == chunk)
		slab->age_at = next;
	if (slab->evict_at == chunk)
		slab->evict_at = next;
	slab->chunks--;
	rte_spinlock_lock(&pool->lock);
	chunk->slab = NULL;
	atomic_store_explicit(&chunk->next, pool->free, memory_order_relaxed);
	pool->free = chunk;
	pool->chunks_free++;
	rte_spinlock_unlock(&pool->lock);
}

/* Under slab->lock. A few chunks are tried before a new one is taken: dense, yet O(1). */
static struct slab_chunk *slab_room(struct session_slab *slab)
{
	struct slab_chunk *chunk = slab->partial;

	for (int tries = 0; chunk && tries < 4; tries++) {
		if (chunk->count < SLAB_CHUNK_SESSIONS)
			return chunk;
		chunk = atomic_load_explicit(&chunk->next, memory_order_relaxed);
	}
	chunk = slab_grow(slab);
	if (chunk)
		return chunk;
	/* The pool is empty: any free slot of ours will do. */
	for (chunk = atomic_load(&slab->first); chunk; chunk = atomic_load(&chunk->next))
		if (chunk->count < SLAB_CHUNK_SESSIONS)
			return chunk;
	return NULL;
}

static unsigned int chunk_take(struct slab_chunk *chunk)
{
	uint64_t low = atomic_load_explicit(&chunk->used[0], memory_order_relaxed);
	uint64_t high = atomic_load_explicit(&chunk->used[1], memory_order_relaxed);

	chunk->count++;
	if (~low)
		return (unsigned int)__builtin_ctzll(~low);
	return FIRST_WORD_BITS + (unsigned int)__builtin_ctzll(~high);
}

struct session *session_slab_alloc(struct session_slab *slab)
{
	struct session *s = NULL;
	struct slab_chunk *chunk;
	unsigned int i;

	rte_spinlock_lock(&slab->lock);
	chunk = slab_room(slab);
	if (likely(chunk != NULL)) {
		slab->partial = chunk;
		i = chunk_take(chunk);
		s = &chunk->session[i];
		unpoison(s, sizeof(*s));
		memset(s, 0, sizeof(*s));
		s->vport = slab->vport;
		s->slot = (uint16_t)i;
		chunk->check_at[i] = 0;
		atomic_store_explicit(&s->state, SESSION_DEAD, memory_order_relaxed);
		atomic_fetch_or_explicit(
			&chunk->used[i / 64], 1ULL << (i % 64), memory_order_release);
		atomic_fetch_add_explicit(&slab->sessions, 1, memory_order_relaxed);
	}
	rte_spinlock_unlock(&slab->lock);
	return s;
}

void session_slab_publish(struct session *s)
{
	atomic_fetch_or_explicit(&session_chunk(s)->open[s->slot / 64], 1ULL << (s->slot % 64),
		memory_order_release);
}

/* Under slab->lock. */
static void slab_free(struct session_slab *slab, struct session *s)
{
	struct slab_chunk *chunk = session_chunk(s);
	unsigned int i = s->slot;

	if (s->ext)
		rte_mempool_put(slab->ext_pool, s->ext);
	atomic_fetch_and_explicit(&chunk->open[i / 64], ~(1ULL << (i % 64)), memory_order_release);
	atomic_fetch_and_explicit(&chunk->used[i / 64], ~(1ULL << (i % 64)), memory_order_release);
	poison(s, sizeof(*s));
	chunk->count--;
	if (chunk->count == 0)
		slab_shrink(slab, chunk);
	else if (!slab->partial)
		slab->partial = chunk;
}

void session_slab_cancel(struct session *s)
{
	struct session_slab *slab = session_chunk(s)->slab;

	rte_spinlock_lock(&slab->lock);
	atomic_fetch_sub_explicit(&slab->sessions, 1, memory_order_relaxed);
	slab_free(slab, s);
	rte_spinlock_unlock(&slab->lock);
}

void session_slab_retire(struct session *s)
{
	struct session_slab *slab = session_chunk(s)->slab;

	rte_spinlock_lock(&slab->lock);
	atomic_fetch_sub_explicit(&slab->sessions, 1, memory_order_relaxed);
	SESSION_SET(s->limbo_next, slab->limbo_open); /* readers may still take it for birth_id */
	slab->limbo_open = s;
	rte_spinlock_unlock(&slab->lock);
}

/* Up to `max` of them; how many. */
static uint32_t slab_free_list(struct session_slab *slab, struct session **list, uint32_t max)
{
	uint32_t count = 0;

	while (*list && count < max) {
		struct session *s = *list;

		*list = s->limbo_next;
		slab_free(slab, s);
		count++;
	}
	return count;
}

bool session_slab_reap(struct session_slab *slab)
{
	bool more = false;

	rte_spinlock_lock(&slab->lock);
	if (slab->limbo_wait && rcu_passed(slab->rcu, slab->limbo_token)) {
		slab_free_list(slab, &slab->limbo_wait, SLAB_REAP_SESSIONS);
		more = slab->limbo_wait != NULL;
	}
	if (!slab->limbo_wait && slab->limbo_open) {
		slab->limbo_wait = slab->limbo_open;
		slab->limbo_open = NULL;
		slab->limbo_token = rcu_start(slab->rcu);
	}
	rte_spinlock_unlock(&slab->lock);
	return more;
}

void session_slab_reap_all(struct session_slab *slab)
{
	uint32_t count;

	do {
		rte_spinlock_lock(&slab->lock);
		count = slab_free_list(slab, &slab->limbo_wait, SLAB_REAP_SESSIONS);
		count += slab_free_list(slab, &slab->limbo_open, SLAB_REAP_SESSIONS - count);
		rte_spinlock_unlock(&slab->lock);
	} while (count > 0);
}

void session_slab_destroy(struct session_slab *slab)
{
	struct slab_chunk *chunk, *next;

	session_slab_reap_all(slab);
	rte_spinlock_lock(&slab->lock);
	for (chunk = atomic_load(&slab->first); chunk; chunk = next) {
		next = atomic_load(&chunk->next);
		if (chunk->count == 0)
			slab_shrink(slab, chunk);
	}
	rte_spinlock_unlock(&slab->lock);
}

void session_slab_walk_begin(struct session_slab *slab)
{
	/* Under the lock, so that no chunk is on its way out when the walk starts. */
	rte_spinlock_lock(&slab->lock);
	atomic_fetch_add_explicit(&slab->walkers, 1, memory_order_acq_rel);
	rte_spinlock_unlock(&slab->lock);
}

void session_slab_walk_end(struct session_slab *slab)
{
	struct slab_chunk *chunk, *next;

	rte_spinlock_lock(&slab->lock);
	if (atomic_fetch_sub_explicit(&slab->walkers, 1, memory_order_acq_rel) == 1 &&
		slab->emptied) {
		slab->emptied = false;
		for (chunk = atomic_load(&slab->first); chunk; chunk = next) {
			next = atomic_load(&chunk->next);
			if (chunk->count == 0)
				slab_shrink(slab, chunk);
		}
	}
	rte_spinlock_unlock(&slab->lock);
}

struct slab_chunk *session_slab_next(struct session_slab *slab, struct slab_chunk *chunk)
{
	return chunk ? atomic_load_explicit(&chunk->next, memory_order_acquire)
		     : atomic_load_explicit(&slab->first, memory_order_acquire);
}
