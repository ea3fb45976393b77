/* SPDX-License-Identifier: BSD-3-Clause */
#include "dataplane/rcu.h"

#include <errno.h>
#include <stdatomic.h>

#include <rte_malloc.h>

int rcu_init(struct rcu *rcu)
{
	size_t size = rte_rcu_qsbr_get_memsize(RCU_READERS_MAX);

	rcu->qsbr = rte_zmalloc("ferry_rcu", size, RTE_CACHE_LINE_SIZE);
	if (!rcu->qsbr)
		return -ENOMEM;
	for (unsigned int i = 0; i < RCU_READERS_MAX / 64; i++)
		atomic_store(&rcu->taken[i], 0);
	return rte_rcu_qsbr_init(rcu->qsbr, RCU_READERS_MAX) == 0 ? 0 : -EINVAL;
}

void rcu_destroy(struct rcu *rcu)
{
	rte_free(rcu->qsbr);
	rcu->qsbr = NULL;
}

int rcu_register(struct rcu *rcu)
{
	for (unsigned int word = 0; word < RCU_READERS_MAX / 64; word++) {
		uint64_t taken = atomic_load(&rcu->taken[word]);

		while (taken != UINT64_MAX) {
			unsigned int bit = (unsigned int)__builtin_ctzll(~taken);

			if (!atomic_compare_exchange_weak(
				    &rcu->taken[word], &taken, taken | 1ULL << bit))
				continue;
			rte_rcu_qsbr_thread_register(rcu->qsbr, word * 64 + bit);
			return (int)(word * 64 + bit);
		}
	}
	return -EUSERS;
}

void rcu_unregister(struct rcu *rcu, int reader)
{
	rte_rcu_qsbr_thread_unregister(rcu->qsbr, (unsigned int)reader);
	atomic_fetch_and(&rcu->taken[reader / 64], ~(1ULL << (reader % 64)));
}

void rcu_wait(struct rcu *rcu)
{
	/* rte_rcu_qsbr_synchronize() does the same inside the library, where sanitizers cannot see
	 * it. */
	rte_rcu_qsbr_check(rcu->qsbr, rte_rcu_qsbr_start(rcu->qsbr), true);
}
