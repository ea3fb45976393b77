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

/*
 * By each reader's own counter, and not rte_rcu_qsbr_check(): that one believes the counter of the
 * last check that any thread made, by a relaxed load, which orders nothing between the readers and
 * who frees now.
 */
bool rcu_passed(const struct rcu *rcu, uint64_t token)
{
	for (unsigned int word = 0; word < RCU_READERS_MAX / 64; word++) {
		uint64_t taken = atomic_load(&rcu->taken[word]);

		for (; taken; taken &= taken - 1) {
			unsigned int reader = word * 64 + (unsigned int)__builtin_ctzll(taken);
			uint64_t seen =
				__atomic_load_n(&rcu->qsbr->qsbr_cnt[reader].cnt, __ATOMIC_ACQUIRE);

			if (seen != __RTE_QSBR_CNT_THR_OFFLINE && seen < token)
				return false;
		}
	}
	return true;
}

void rcu_wait(struct rcu *rcu)
{
	uint64_t token = rcu_start(rcu);

	while (!rcu_passed(rcu, token))
		rte_pause();
}
