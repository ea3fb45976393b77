/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef FERRY_SESSION_JOURNAL_H
#define FERRY_SESSION_JOURNAL_H
/*
 * Which sessions of a vport changed since the mover last looked. One per vport under way. Rounds:
 * the mover bumps the round, waits one grace period, then reads the closed round's lists while
 * workers fill the next round's. A worker appends a session when session.round is not the round it
 * sees. Two sets of lists by the round's parity, one list per worker (the last for control threads,
 * under a lock that also covers the bump, since no grace period waits for them).
 *
 * A session in a list may be dead, freed or reused when it is read: the reader checks vport, slot
 * and state (session memory is never unmapped). Deaths are told apart by tombstones. Overflow of a
 * list is a flag, not a loss: the mover then walks the slabs for sessions with round >= closed;
 * overflow of tombstones makes it walk in a new colour (the destination drops what was not seen
 * again).
 */
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include <rte_spinlock.h>

#include "dataplane/session.h"
#include "dataplane/vport.h"

/* A death: whose, and under which key the other side finds it. */
struct journal_tombstone {
	uint64_t birth_id;
	struct session_tuple tuple;
};

struct journal_list {
	uint32_t count, tombstones;
	bool overflow, tombstone_overflow;
	struct session **session; /* capacity entries */
	struct journal_tombstone *tombstone; /* capacity entries */
} __rte_cache_aligned;

struct session_journal {
	_Atomic uint32_t round; /* starts at 1; written by the mover */
	uint32_t capacity; /* per list */
	uint16_t lists; /* workers + 1 */
	struct journal_list *list[2]; /* by round & 1 */
	rte_spinlock_t control; /* the last list, and the round while it is bumped */
};

/* capacity: sessions per worker and round. NULL when out of memory. */
struct session_journal *session_journal_create(uint16_t workers, uint32_t capacity);
void session_journal_free(struct session_journal *journal);

/* Worker `worker` forwarded a packet of s (or changed it). Cheap when s is already in this round.
 */
static inline void session_journal_touch(
	struct session_journal *journal, struct session *s, uint16_t worker)
{
	uint32_t round = atomic_load_explicit(&journal->round, memory_order_acquire);
	struct journal_list *list = &journal->list[round & 1][worker];

	if (SESSION_GET(s->round) == round)
		return;
	SESSION_SET(s->round, round);
	if (list->count == journal->capacity)
		list->overflow = true;
	else
		list->session[list->count++] = s;
}

/* From a thread that is no worker. */
void session_journal_touch_control(struct session_journal *journal, struct session *s);
/* s was killed; `worker` is the list: the caller's own, or the last for control threads. */
void session_journal_bury(
	struct session_journal *journal, const struct session *s, uint16_t worker);

/*
 * Mover: close the current round and open the next; the closed round's number. The caller waits a
 * grace period before it reads journal->list[closed & 1], and clears it with
 * session_journal_clear() before the next close.
 */
uint32_t session_journal_close(struct session_journal *journal);
void session_journal_clear(struct session_journal *journal, uint32_t closed);

/*
 * Start and stop journalling a vport's changes. attach waits for a grace period, so that after it
 * every change is seen; detach too, then frees. Any thread but a worker. -EBUSY, -ENOMEM.
 */
int session_journal_attach(struct vport *vport, uint32_t capacity);
void session_journal_detach(struct vport *vport);

#endif
