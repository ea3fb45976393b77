/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A mempool handler of this program's own: a stack under a mutex. That of DPDK is compiled without
 * ThreadSanitizer, which then does not see how an mbuf came from one thread to the next.
 */
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include <rte_mbuf_pool_ops.h>
#include <rte_mempool.h>

#include "test/race/race_world.h"

struct race_pool {
	pthread_mutex_t mutex;
	unsigned int count;
	void *object[];
};

static int pool_alloc(struct rte_mempool *mp)
{
	struct race_pool *pool = calloc(1, sizeof(*pool) + mp->size * sizeof(pool->object[0]));

	if (!pool)
		return -ENOMEM;
	pthread_mutex_init(&pool->mutex, NULL);
	mp->pool_data = pool;
	return 0;
}

static void pool_free(struct rte_mempool *mp)
{
	free(mp->pool_data);
}

static int pool_put(struct rte_mempool *mp, void *const *objects, unsigned int count)
{
	struct race_pool *pool = mp->pool_data;

	pthread_mutex_lock(&pool->mutex);
	memcpy(&pool->object[pool->count], objects, count * sizeof(*objects));
	pool->count += count;
	pthread_mutex_unlock(&pool->mutex);
	return 0;
}

static int pool_get(struct rte_mempool *mp, void **objects, unsigned int count)
{
	struct race_pool *pool = mp->pool_data;
	int rc = -ENOBUFS;

	pthread_mutex_lock(&pool->mutex);
	if (pool->count >= count) {
		pool->count -= count;
		memcpy(objects, &pool->object[pool->count], count * sizeof(*objects));
		rc = 0;
	}
	pthread_mutex_unlock(&pool->mutex);
	return rc;
}

static unsigned int pool_count(const struct rte_mempool *mp)
{
	struct race_pool *pool = mp->pool_data;
	unsigned int count;

	pthread_mutex_lock(&pool->mutex);
	count = pool->count;
	pthread_mutex_unlock(&pool->mutex);
	return count;
}

static const struct rte_mempool_ops race_pool_ops = {
	.name = "race",
	.alloc = pool_alloc,
	.free = pool_free,
	.enqueue = pool_put,
	.dequeue = pool_get,
	.get_count = pool_count,
};

RTE_MEMPOOL_REGISTER_OPS(race_pool_ops);

int race_pool_use(void)
{
	return rte_mbuf_set_user_mempool_ops(race_pool_ops.name);
}
