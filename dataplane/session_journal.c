/* SPDX-License-Identifier: BSD-3-Clause */
#include "dataplane/session_journal.h"

#include <errno.h>
#include <stdlib.h>

#include "dataplane/engine_state.h"

void session_journal_free(struct session_journal *journal)
{
	if (!journal)
		return;
	for (unsigned int side = 0; side < 2; side++) {
		for (uint16_t i = 0; journal->list[side] && i < journal->lists; i++) {
			free(journal->list[side][i].session);
			free(journal->list[side][i].tombstone);
		}
		free(journal->list[side]);
	}
	free(journal);
}

struct session_journal *session_journal_create(uint16_t workers, uint32_t capacity)
{
	struct session_journal *journal = calloc(1, sizeof(*journal));

	if (!journal)
		return NULL;
	journal->capacity = capacity;
	journal->lists = workers + 1;
	rte_spinlock_init(&journal->control);
	atomic_store(&journal->round, 1);
	for (unsigned int side = 0; side < 2; side++) {
		struct journal_list *list = aligned_alloc(
			RTE_CACHE_LINE_SIZE, journal->lists * sizeof(struct journal_list));

		journal->list[side] = list;
		if (!list)
			goto fail;
		memset(list, 0, journal->lists * sizeof(*list));
		for (uint16_t i = 0; i < journal->lists; i++) {
			list[i].session = calloc(capacity, sizeof(*list[i].session));
			list[i].tombstone = calloc(capacity, sizeof(*list[i].tombstone));
			if (!list[i].session || !list[i].tombstone)
				goto fail;
		}
	}
	return journal;
fail:
	session_journal_free(journal);
	return NULL;
}

void session_journal_touch_control(struct session_journal *journal, struct session *s)
{
	rte_spinlock_lock(&journal->control);
	session_journal_touch(journal, s, journal->lists - 1);
	rte_spinlock_unlock(&journal->control);
}

static void list_bury(struct session_journal *journal, const struct session *s, uint16_t worker)
{
	uint32_t round = atomic_load_explicit(&journal->round, memory_order_acquire);
	struct journal_list *list = &journal->list[round & 1][worker];

	struct journal_tombstone *tombstone;

	if (list->tombstones == journal->capacity) {
		list->tombstone_overflow = true;
		return;
	}
	tombstone = &list->tombstone[list->tombstones++];
	tombstone->birth_id = s->birth_id;
	session_key_unpack(&s->key, s->is_ipv6 ? &s->a6 : NULL, &tombstone->tuple);
}

void session_journal_bury(struct session_journal *journal, const struct session *s, uint16_t worker)
{
	bool control = worker == journal->lists - 1;

	if (control)
		rte_spinlock_lock(&journal->control);
	list_bury(journal, s, worker);
	if (control)
		rte_spinlock_unlock(&journal->control);
}

uint32_t session_journal_close(struct session_journal *journal)
{
	uint32_t closed;

	rte_spinlock_lock(&journal->control);
	closed = atomic_fetch_add_explicit(&journal->round, 1, memory_order_acq_rel);
	rte_spinlock_unlock(&journal->control);
	return closed;
}

void session_journal_clear(struct session_journal *journal, uint32_t closed)
{
	struct journal_list *list = journal->list[closed & 1];

	for (uint16_t i = 0; i < journal->lists; i++) {
		list[i].count = list[i].tombstones = 0;
		list[i].overflow = list[i].tombstone_overflow = false;
	}
}

int session_journal_attach(struct vport *vport, uint32_t capacity)
{
	struct session_journal *none = NULL, *journal;

	journal = session_journal_create(vport->engine->worker_count, capacity);
	if (!journal)
		return -ENOMEM;
	if (!atomic_compare_exchange_strong(&vport->journal, &none, journal)) {
		session_journal_free(journal);
		return -EBUSY;
	}
	engine_grace(vport->engine);
	return 0;
}

void session_journal_detach(struct vport *vport)
{
	struct session_journal *journal = atomic_exchange(&vport->journal, NULL);

	if (!journal)
		return;
	engine_grace(vport->engine);
	session_journal_free(journal);
}
