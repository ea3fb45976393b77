/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Sessions of a vport out of the engine and into it. A reader is online only inside one call
 * (export) or between begin and end (import), so that no grace period waits for a stream that
 * stands.
 */
#include <errno.h>
#include <stdlib.h>

#include "ctrl/vswitch/ferry_impl.h"
#include "dataplane/session_walk.h"

#define JOURNAL_CAPACITY \
	65536 /* changed sessions per worker and round before it falls back to a walk */

struct vswitch_export {
	struct vport *v;
	struct engine *engine;
	int reader;
	uint64_t now_ns; /* of the running slice */
	bool follows;
	struct session_walk walk;
	bool walking;
	/* the closed round */
	uint32_t closed;
	uint16_t list, dead_list;
	uint32_t at, dead_at;
	bool overflow;
};

static const struct session_journal *export_journal(const struct vswitch_export *x)
{
	return atomic_load_explicit(&x->v->journal, memory_order_acquire);
}

int ferry_export_open(
	void *ctx, struct vswitch_port *port, bool follow, struct vswitch_export **out)
{
	struct vswitch_ferry *ferry = ctx;
	struct vswitch_export *x = calloc(1, sizeof(*x));
	int rc = 0;

	if (!x)
		return -ENOMEM;
	x->v = ferry_vport(port);
	x->engine = ferry->engine;
	x->follows = follow;
	x->reader = engine_reader_register(x->engine);
	if (x->reader < 0)
		rc = x->reader;
	if (rc == 0 && follow) {
		rc = session_journal_attach(x->v, JOURNAL_CAPACITY);
		if (rc != 0)
			engine_reader_unregister(x->engine, x->reader);
	}
	if (rc != 0) {
		free(x);
		return rc;
	}
	ferry_export_rewind(x);
	*out = x;
	return 0;
}

static void walk_stop(struct vswitch_export *x)
{
	if (x->walking)
		session_walk_end(&x->walk);
	x->walking = false;
}

static void walk_start(struct vswitch_export *x, uint32_t min_round)
{
	walk_stop(x);
	session_walk_begin(&x->walk, x->v, min_round);
	x->walking = true;
}

void ferry_export_close(struct vswitch_export *x)
{
	if (!x)
		return;
	walk_stop(x);
	if (x->follows)
		session_journal_detach(x->v);
	engine_reader_unregister(x->engine, x->reader);
	free(x);
}

void ferry_export_rewind(struct vswitch_export *x)
{
	walk_start(x, 0);
}

static bool session_lives(const struct vswitch_export *x, const struct session *s)
{
	return s->vport == x->v &&
	       !(atomic_load_explicit(&s->state, memory_order_acquire) & SESSION_DEAD) &&
	       session_state(s) != SESSION_NONE;
}

/* Its memory may be given to another while it is read: looked at before and after. */
static bool session_read(
	const struct vswitch_export *x, struct session *s, bool renew, struct session_record *out)
{
	if (!session_lives(x, s))
		return false;
	if (renew)
		s->version++;
	session_walk_read_at(s, x->now_ns, out);
	return session_lives(x, s) && out->birth_id == s->birth_id;
}

static uint32_t walk_slice(
	struct vswitch_export *x, struct session_record *out, bool renew, bool *end)
{
	struct session *living[SLAB_CHUNK_SESSIONS];
	uint32_t count, kept = 0;

	*end = false;
	x->now_ns = engine_now_ns(x->engine);
	engine_reader_online(x->engine, x->reader);
	count = session_walk_next(&x->walk, living, end);
	for (uint32_t i = 0; i < count; i++) {
		if (i + 2 < count)
			rte_prefetch0(&living[i + 2]->half[0]);
		kept += session_read(x, living[i], renew, &out[kept]);
	}
	engine_reader_offline(x->engine, x->reader);
	if (*end)
		walk_stop(x);
	return kept;
}

uint32_t ferry_export_walk(struct vswitch_export *x, struct session_record *out, bool *end)
{
	return walk_slice(x, out, true, end);
}

uint32_t ferry_export_look(struct vswitch_export *x, struct session_record *out, bool *end)
{
	return walk_slice(x, out, false, end);
}

void ferry_export_round(struct vswitch_export *x, bool *deaths_lost)
{
	struct session_journal *journal = atomic_load(&x->v->journal);

	x->closed = session_journal_close(journal);
	engine_grace(x->engine);
	x->list = x->dead_list = 0;
	x->at = x->dead_at = 0;
	x->overflow = *deaths_lost = false;
	for (uint16_t i = 0; i < journal->lists; i++) {
		const struct journal_list *list = &journal->list[x->closed & 1][i];

		x->overflow = x->overflow || list->overflow;
		*deaths_lost = *deaths_lost || list->tombstone_overflow;
	}
	if (x->overflow)
		walk_start(x, x->closed);
}

uint32_t ferry_export_changed(struct vswitch_export *x, struct session_record *out, bool *end)
{
	const struct session_journal *journal = export_journal(x);
	uint32_t kept = 0;

	if (x->overflow)
		return walk_slice(x, out, true, end);
	x->now_ns = engine_now_ns(x->engine);
	engine_reader_online(x->engine, x->reader);
	while (x->list < journal->lists && kept < VSWITCH_EXPORT_BATCH) {
		const struct journal_list *list = &journal->list[x->closed & 1][x->list];

		if (x->at == list->count) {
			x->list++;
			x->at = 0;
			continue;
		}
		if (x->at + 3 < list->count) {
			rte_prefetch0(list->session[x->at + 3]);
			rte_prefetch0(&list->session[x->at + 3]->half[0]);
			rte_prefetch0(&list->session[x->at + 3]->birth_id);
		}
		kept += session_read(x, list->session[x->at++], true, &out[kept]);
	}
	engine_reader_offline(x->engine, x->reader);
	*end = x->list == journal->lists;
	return kept;
}

uint32_t ferry_export_dead(struct vswitch_export *x, struct journal_tombstone *out, uint32_t max)
{
	const struct session_journal *journal = export_journal(x);
	uint32_t count = 0;

	while (x->dead_list < journal->lists && count < max) {
		const struct journal_list *list = &journal->list[x->closed & 1][x->dead_list];

		if (x->dead_at == list->tombstones) {
			x->dead_list++;
			x->dead_at = 0;
		} else {
			out[count++] = list->tombstone[x->dead_at++];
		}
	}
	return count;
}

void ferry_export_round_done(struct vswitch_export *x)
{
	session_journal_clear(atomic_load(&x->v->journal), x->closed);
}

/* ---- in ---- */

struct vswitch_import {
	struct import_context context;
	struct engine *engine;
	struct session *installed;
	uint16_t state_versions[VSWITCH_SECTIONS_MAX];
	int reader;
};

int ferry_import_open(void *ctx, struct vswitch_port *port, const uint16_t *state_versions,
	bool by_operator, struct vswitch_import **out)
{
	struct vswitch_ferry *ferry = ctx;
	struct vswitch_import *m = calloc(1, sizeof(*m));

	if (!m)
		return -ENOMEM;
	m->engine = ferry->engine;
	m->reader = engine_reader_register(m->engine);
	if (m->reader < 0) {
		int rc = m->reader;

		free(m);
		return rc;
	}
	memcpy(m->state_versions, state_versions, sizeof(m->state_versions));
	m->context = (struct import_context){.vport = ferry_vport(port),
		.state_versions = m->state_versions,
		.by_operator = by_operator,
		.installed = &m->installed};
	*out = m;
	return 0;
}

void ferry_import_close(struct vswitch_import *m)
{
	if (!m)
		return;
	engine_reader_unregister(m->engine, m->reader);
	free(m);
}

void ferry_import_begin(struct vswitch_import *m)
{
	m->context.now_ns = engine_now_ns(m->engine);
	engine_reader_online(m->engine, m->reader);
}

void ferry_import_end(struct vswitch_import *m)
{
	engine_reader_offline(m->engine, m->reader);
}

void ferry_import_soon(const struct vswitch_import *m, const struct session_record *record)
{
	session_walk_prefetch(m->engine, &record->tuple);
}

enum import_outcome ferry_import_record(struct vswitch_import *m,
	const struct session_record *record, enum drop_reason *reason, bool *as_sent)
{
	enum import_outcome outcome = session_import(&m->context, record, reason);

	if (as_sent && (outcome == IMPORT_INSTALLED || outcome == IMPORT_UPDATED))
		*as_sent = session_record_stands(m->installed, record);
	return outcome;
}

bool ferry_import_dead(struct vswitch_import *m, const struct journal_tombstone *dead)
{
	return session_import_tombstone(&m->context, dead->birth_id, &dead->tuple);
}

bool ferry_import_find(
	struct vswitch_import *m, const struct session_tuple *tuple, struct session_record *record)
{
	return session_import_find(&m->context, tuple, record);
}

uint32_t ferry_import_sweep(
	struct vswitch_import *m, bool (*keep)(void *arg, uint64_t birth_id), void *arg)
{
	struct session *living[SLAB_CHUNK_SESSIONS];
	struct journal_tombstone dead;
	struct session_walk walk;
	uint32_t killed = 0;
	bool end = false;

	session_walk_begin(&walk, m->context.vport, 0);
	while (!end) {
		uint32_t count;

		ferry_import_begin(m);
		count = session_walk_next(&walk, living, &end);
		for (uint32_t i = 0; i < count; i++) {
			const struct session *s = living[i];

			if (keep(arg, s->birth_id))
				continue;
			dead.birth_id = s->birth_id;
			session_key_unpack(&s->key, s->is_ipv6 ? &s->a6 : NULL, &dead.tuple);
			killed += ferry_import_dead(m, &dead);
		}
		ferry_import_end(m);
	}
	session_walk_end(&walk);
	return killed;
}
