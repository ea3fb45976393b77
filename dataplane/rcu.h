/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef FERRY_RCU_H
#define FERRY_RCU_H
/*
 * Grace periods (librte_rcu, QSBR) of one engine. A reader takes a slot, is online while it may
 * hold pointers and reports quiescent between bursts; a writer unlinks, waits (or keeps a token and
 * looks later), frees. A worker goes offline before it sleeps, so that no grace period waits for
 * it.
 */
#include <stdbool.h>
#include <stdint.h>

#include <rte_pause.h>
#include <rte_rcu_qsbr.h>

#define RCU_READERS_MAX 128

struct rcu {
	struct rte_rcu_qsbr *qsbr;
	_Atomic uint64_t taken[RCU_READERS_MAX / 64]; /* reader slots in use */
};

int rcu_init(struct rcu *rcu); /* needs EAL; -ENOMEM */
void rcu_destroy(struct rcu *rcu);

/* A reader slot, offline at first; negative errno when all are taken. */
int rcu_register(struct rcu *rcu);
void rcu_unregister(struct rcu *rcu, int reader);

static inline void rcu_online(struct rcu *rcu, int reader)
{
	rte_rcu_qsbr_thread_online(rcu->qsbr, (unsigned int)reader);
}

static inline void rcu_offline(struct rcu *rcu, int reader)
{
	rte_rcu_qsbr_thread_offline(rcu->qsbr, (unsigned int)reader);
}

static inline void rcu_quiescent(struct rcu *rcu, int reader)
{
	rte_rcu_qsbr_quiescent(rcu->qsbr, (unsigned int)reader);
}

/* A token now; rcu_passed() becomes true one grace period later. Any thread. */
static inline uint64_t rcu_start(struct rcu *rcu)
{
	return rte_rcu_qsbr_start(rcu->qsbr);
}

bool rcu_passed(const struct rcu *rcu, uint64_t token);

/*
 * Wait for a grace period (bounded by one burst of the slowest worker). The caller must not be an
 * online reader; it may be offline or no reader at all.
 */
void rcu_wait(struct rcu *rcu);

#endif
