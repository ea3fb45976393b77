/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Birth, death and ageing of sessions. session_open() is the only constructor: a packet and a
 * record of the stream differ in `fill` alone. Death has one winner (the DEAD bit); memory comes
 * back through the slab one grace period later.
 */
#include "dataplane/session.h"

#include <stdlib.h>
#include <string.h>

#include <rte_branch_prediction.h>

#include "dataplane/location.h"
#include "dataplane/plugin_chain.h"
#include "dataplane/session_ext.h"
#include "dataplane/session_journal.h"
#include "dataplane/worker.h"

#define EVICT_CHUNKS 2 /* looked at per slab for a half-open session */
#define AGE_LOOK_UNITS 8 /* a session is looked at again after so many SLAB_HINT_MS at most */

/* Keys and, where needed, the extension. -ENOMEM when the pool is empty. */
static int session_fill_keys(struct session *s, const struct session_origin *origin)
{
	struct session_addresses6 a6, a6_2;
	struct session_key key2;
	bool v6 = session_key_pack(&origin->tuple, &s->key, &a6);
	bool v6_2 = origin->translate && session_key_pack(&origin->outside, &key2, &a6_2);

	/* No translation between families or protocols. */
	if (origin->translate && (v6 != v6_2 || origin->tuple.proto != origin->outside.proto))
		return -EINVAL;
	s->is_ipv6 = v6;
	s->has_key2 = origin->translate;
	if (v6)
		s->a6 = a6;
	else if (origin->translate)
		s->key2 = key2;
	if (!(v6 && origin->translate) && origin->ext_bytes == 0)
		return 0;
	if (origin->ext_bytes > SESSION_EXT_STATE_BYTES ||
		rte_mempool_get(s->vport->engine->ext_pool, (void **)&s->ext) != 0)
		return -ENOMEM;
	s->ext->state_bytes = origin->ext_bytes;
	memcpy(s->ext->state, origin->ext_state, origin->ext_bytes);
	if (v6 && origin->translate) {
		s->ext->key2 = key2;
		s->ext->a6_2 = a6_2;
	}
	return 0;
}

static enum drop_reason session_reserve(struct vport *v, uint16_t slab, struct session **out)
{
	uint32_t living;

	if (unlikely(atomic_load_explicit(&v->gone, memory_order_relaxed)))
		return DROP_SESSION_CLOSED;
	living = atomic_fetch_add_explicit(&v->sessions, 1, memory_order_relaxed);
	if (unlikely(living >= v->quota) && !session_evict(v, slab)) {
		atomic_fetch_sub_explicit(&v->sessions, 1, memory_order_relaxed);
		return DROP_QUOTA;
	}
	*out = session_slab_alloc(&v->slab[slab]);
	if (unlikely(!*out)) {
		/* The next one finds what this one makes free. */
		session_evict(v, slab);
		atomic_fetch_sub_explicit(&v->sessions, 1, memory_order_relaxed);
		return DROP_TABLE_FULL;
	}
	return DROP_NONE;
}

/* Several control threads share a slot. */
static void session_count(const struct vport *v, uint16_t slab, uint64_t *counter)
{
	if (slab == v->engine->worker_count)
		__atomic_fetch_add(counter, 1, __ATOMIC_RELAXED);
	else
		port_count(counter, 1);
}

static void session_location_put(struct session *s)
{
	struct location *location = __atomic_exchange_n(&s->location, NULL, __ATOMIC_ACQ_REL);

	if (location && location_unref(location))
		engine_defer(s->vport->engine, location, free);
}

void session_location_lost(struct session *s, struct location *was)
{
	if (__sync_bool_compare_and_swap(&s->location, was, NULL) && location_unref(was))
		engine_defer(s->vport->engine, was, free);
}

/* Was never seen by the table under its first key. */
static void session_cancel(struct session *s)
{
	struct vport *v = s->vport;

	session_location_put(s);
	session_slab_cancel(s);
	atomic_fetch_sub_explicit(&v->sessions, 1, memory_order_relaxed);
}

enum drop_reason session_open(struct vport *v, uint16_t slab, const struct session_origin *origin,
	struct session **out, struct session **existing)
{
	struct session_table *table = &v->engine->table;
	struct session *s = NULL;
	enum drop_reason reason = session_reserve(v, slab, &s);
	int rc;

	*existing = NULL;
	if (unlikely(reason != DROP_NONE))
		return reason;
	s->action = origin->action;
	s->verdict_by = origin->verdict_by;
	s->policy_gen = origin->policy_gen;
	/* One that has just gone is looked for again by the next packet. */
	if (origin->location && location_ref(origin->location))
		s->location = origin->location;
	s->birth_id = origin->birth_id;
	if (s->birth_id == 0)
		s->birth_id = atomic_fetch_add_explicit(&v->next_birth_id, 1, memory_order_relaxed);
	rc = session_fill_keys(s, origin);
	if (unlikely(rc != 0)) {
		session_cancel(s);
		return rc == -EINVAL ? DROP_PLUGIN : DROP_TABLE_FULL;
	}
	origin->fill(s, origin->fill_arg);
	rc = session_table_insert(table, s, 0, existing);
	if (unlikely(rc != 0)) {
		session_cancel(s);
		return DROP_TABLE_FULL;
	}
	if (unlikely(s->has_key2) && session_table_insert(table, s, 1, existing) != 0) {
		s->verdict_by = CHAIN_NOBODY; /* the caller abandons it */
		*existing = NULL; /* another connection, whoever it is */
		session_kill(s, slab, PLUGIN_CLOSE_REPLACED);
		return DROP_NO_NAT_PORT;
	}
	/* Found by its first key and ended meanwhile: the second may have been missed. */
	if (unlikely(s->has_key2 && atomic_load(&s->state) & SESSION_DEAD))
		session_table_remove(table, s, 1);
	session_slab_publish(s);
	session_count(v, slab, &v->stats[slab].sessions_opened);
	*out = s;
	return DROP_NONE;
}

bool session_kill(struct session *s, uint16_t slab, enum plugin_close_reason reason)
{
	struct vport *v = s->vport;
	struct session_table *table = &v->engine->table;
	struct session_journal *journal = atomic_load_explicit(&v->journal, memory_order_acquire);
	uint64_t state = atomic_fetch_or_explicit(&s->state, SESSION_DEAD, memory_order_acq_rel);

	if (state & SESSION_DEAD)
		return false;
	session_table_remove(table, s, 0);
	if (s->has_key2)
		session_table_remove(table, s, 1);
	plugin_chain_closed(s, slab, reason);
	if (journal)
		session_journal_bury(journal, s, slab);
	session_location_put(s);
	atomic_fetch_sub_explicit(&v->sessions, 1, memory_order_relaxed);
	session_count(v, slab, &v->stats[slab].sessions_closed);
	session_slab_retire(s);
	return true;
}

static bool chunk_evict(struct slab_chunk *chunk, uint16_t slab)
{
	for (unsigned int i = 0; i < SLAB_CHUNK_SESSIONS; i++) {
		struct session *s = &chunk->session[i];
		uint64_t state;

		if (!slab_chunk_open(chunk, i))
			continue;
		state = atomic_load_explicit(&s->state, memory_order_relaxed);
		if (!(state & (SESSION_DEAD | SESSION_ASSURED)) &&
			session_state_class(state & SESSION_STATE_MASK) == SESSION_HALF_OPEN &&
			session_kill(s, slab, PLUGIN_CLOSE_EVICTED))
			return true;
	}
	return false;
}

/* The next chunk of a cursor, round and round; NULL when the slab is empty. Keeps it from going
 * away. */
static struct slab_chunk *slab_cursor(struct session_slab *slab, struct slab_chunk **cursor)
{
	struct slab_chunk *chunk;

	rte_spinlock_lock(&slab->lock);
	chunk = *cursor ? *cursor : atomic_load_explicit(&slab->first, memory_order_relaxed);
	if (chunk)
		*cursor = atomic_load_explicit(&chunk->next, memory_order_relaxed);
	rte_spinlock_unlock(&slab->lock);
	return chunk;
}

bool session_evict(struct vport *v, uint16_t slab)
{
	uint16_t slabs = v->engine->worker_count + 1;
	bool done = false;

	for (uint16_t i = 0; i < slabs && !done; i++) {
		struct session_slab *at = &v->slab[(slab + i) % slabs];

		session_slab_walk_begin(at);
		for (unsigned int n = 0; n < EVICT_CHUNKS && !done; n++) {
			struct slab_chunk *chunk = slab_cursor(at, &at->evict_at);

			done = chunk && chunk_evict(chunk, slab);
		}
		session_slab_walk_end(at);
	}
	return done;
}

static enum plugin_close_reason session_end_reason(const struct session *s)
{
	return session_state_class(session_state(s)) == SESSION_CLOSING ? PLUGIN_CLOSE_END
									: PLUGIN_CLOSE_IDLE;
}

static void chunk_age(struct worker *w, struct slab_chunk *chunk, uint32_t now_ms)
{
	uint16_t now_unit = (uint16_t)(now_ms / SLAB_HINT_MS);

	for (unsigned int i = 0; i < SLAB_CHUNK_SESSIONS; i++) {
		struct session *s = &chunk->session[i];
		uint32_t left_units, idle_ms;

		if ((int16_t)(now_unit - chunk->check_at[i]) < 0 || !slab_chunk_open(chunk, i))
			continue;
		if (atomic_load_explicit(&s->state, memory_order_relaxed) & SESSION_DEAD)
			continue;
		idle_ms = w->timeouts->idle_ms[session_state(s)];
		if (session_expired(s, w->timeouts, now_ms)) {
			session_kill(s, w->id, session_end_reason(s));
			continue;
		}
		left_units = (SESSION_GET(s->last_ms) + idle_ms - now_ms) / SLAB_HINT_MS + 1;
		chunk->check_at[i] =
			(uint16_t)(now_unit + RTE_MIN(left_units, (uint32_t)AGE_LOOK_UNITS));
	}
}

static void slab_age(struct worker *w, struct session_slab *slab, uint32_t chunks, uint32_t now_ms)
{
	session_slab_walk_begin(slab);
	for (uint32_t i = 0; i < chunks; i++) {
		struct slab_chunk *chunk = slab_cursor(slab, &slab->age_at);

		if (!chunk)
			break;
		chunk_age(w, chunk, now_ms);
		if (!slab->age_at)
			break; /* once round */
	}
	session_slab_walk_end(slab);
}

bool session_age(struct worker *w, struct vport *v, uint32_t chunks)
{
	uint32_t now_ms = vport_clock_ms(v, w->now_ns);
	bool forwards = role_duty(vport_role(v)) == ROLE_DUTY_FORWARD;
	/* Worker 0 also ages what control threads and imports made. */
	uint16_t mine[2] = {w->id, w->engine->worker_count};
	bool more = false;

	for (unsigned int n = 0; n < (w->id == 0 ? 2u : 1u); n++) {
		struct session_slab *slab = &v->slab[mine[n]];

		if (forwards)
			slab_age(w, slab, chunks, now_ms);
		more = session_slab_reap(slab) || more;
	}
	return more;
}

uint32_t session_kill_all(struct vport *v, enum plugin_close_reason reason)
{
	uint16_t control = v->engine->worker_count;
	uint32_t killed = 0;

	for (uint16_t i = 0; i <= control; i++) {
		struct session_slab *slab = &v->slab[i];
		struct slab_chunk *chunk = NULL;

		session_slab_walk_begin(slab);
		while ((chunk = session_slab_next(slab, chunk)) != NULL)
			for (unsigned int n = 0; n < SLAB_CHUNK_SESSIONS; n++)
				killed += slab_chunk_open(chunk, n) &&
					  session_kill(&chunk->session[n], control, reason);
		session_slab_walk_end(slab);
	}
	return killed;
}
