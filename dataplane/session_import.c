/* SPDX-License-Identifier: BSD-3-Clause */
#include "dataplane/session_import.h"

#include <string.h>

#include "dataplane/addr.h"
#include "dataplane/plugin_chain.h"
#include "dataplane/session_ext.h"
#include "dataplane/session_journal.h"
#include "dataplane/session_walk.h"
#include "dataplane/worker.h"

const char *import_outcome_name(enum import_outcome outcome)
{
	static const char *const names[] = {
		[IMPORT_INSTALLED] = "installed",
		[IMPORT_UPDATED] = "updated",
		[IMPORT_OLD] = "old",
		[IMPORT_REFUSED] = "refused",
		[IMPORT_CONFLICT] = "conflict",
		[IMPORT_FOREIGN] = "foreign",
	};

	return (unsigned int)outcome < RTE_DIM(names) ? names[outcome] : "unknown";
}

struct filling {
	const struct session_record *record;
	uint32_t now_ms;
	uint64_t now_vport_ns;
};

/* What moves with each version: all but keys, location and actions. */
static void session_take(struct session *s, const struct filling *filling)
{
	const struct session_record *record = filling->record;
	const struct engine *engine = s->vport->engine;
	const struct session_timeouts *timeouts =
		atomic_load_explicit(&engine->timeouts, memory_order_acquire);
	uint32_t idle_ms;

	for (int dir = 0; dir < 2; dir++) {
		const struct session_half *from = &record->half[dir];
		struct session_half *to = &s->half[dir];

		SESSION_SET(to->packets, from->packets);
		SESSION_SET(to->bytes, from->bytes);
		SESSION_SET(to->seq_end, from->seq_end);
		SESSION_SET(to->seq_limit, from->seq_limit);
		SESSION_SET(to->window_max, from->window_max);
		SESSION_SET(to->scale, from->scale);
		SESSION_SET(to->flags, from->flags);
		SESSION_SET(to->ack_low, from->ack_low);
	}
	SESSION_SET(s->syn_seq, record->syn_seq);
	s->version = record->version;
	s->opened_ms = filling->now_ms - record->age_ms;
	atomic_store_explicit(&s->state, record->state | SESSION_IMPORTED, memory_order_release);
	/* Remaining life under our own timeouts, never more than they allow. */
	idle_ms = timeouts->idle_ms[session_idle_state(s)];
	SESSION_SET(s->last_ms, filling->now_ms - (idle_ms - RTE_MIN(record->life_ms, idle_ms)));
}

static void fill_from_record(struct session *s, void *arg)
{
	session_take(s, arg);
}

static bool record_is_ours(const struct vport *v, const struct session_record *record)
{
	if (record->tuple.vni != v->vni)
		return false;
	return vport_owns(v, &record->tuple.local);
}

static enum import_outcome import_update(
	const struct import_context *context, struct session *s, const struct filling *filling)
{
	struct session_journal *journal =
		atomic_load_explicit(&context->vport->journal, memory_order_acquire);
	const struct session_record *record = filling->record;

	if (record->version <= s->version)
		return IMPORT_OLD;
	session_take(s, filling);
	if (s->ext && s->ext->state_bytes == record->ext_bytes)
		memcpy(s->ext->state, record->ext, record->ext_bytes);
	if (journal)
		session_journal_touch_control(journal, s);
	if (context->installed)
		*context->installed = s;
	return IMPORT_UPDATED;
}

static enum import_outcome import_new(const struct import_context *context,
	const struct filling *filling, enum drop_reason *reason)
{
	const struct session_record *record = filling->record;
	struct vport *v = context->vport;
	struct session_journal *journal = atomic_load_explicit(&v->journal, memory_order_acquire);
	uint16_t control = v->engine->worker_count;
	struct session_origin origin = {
		.tuple = record->tuple,
		.outside = record->outside,
		.translate = record->has_key2,
		.action = record->action,
		.birth_id = record->birth_id,
		.ext_state = record->ext,
		.ext_bytes = record->ext_bytes,
		.fill = fill_from_record,
		.fill_arg = (void *)(uintptr_t)filling,
		.verdict_by = CHAIN_NOBODY,
	};
	struct session *s, *existing;

	*reason = session_open(v, control, &origin, &s, &existing);
	if (*reason != DROP_NONE)
		return existing ? IMPORT_CONFLICT : IMPORT_REFUSED;
	*reason = plugin_chain_adopt(s, context->state_versions, filling->now_vport_ns);
	if (*reason == DROP_NONE) {
		if (journal)
			session_journal_touch_control(journal, s);
		if (context->installed)
			*context->installed = s;
		return IMPORT_INSTALLED;
	}
	session_kill(s, control, PLUGIN_CLOSE_POLICY);
	return IMPORT_REFUSED;
}

/* What comes with a move goes where nobody serves yet, an operator's where somebody does. */
static bool role_takes(const struct import_context *context, enum role role)
{
	if (context->by_operator)
		return role_duty(role) == ROLE_DUTY_FORWARD;
	return role == ROLE_PASSIVE || role == ROLE_CLAIM;
}

/* A vport's next own birth id is above every imported one. */
static void birth_id_seen(struct vport *v, uint64_t id)
{
	uint64_t next = atomic_load_explicit(&v->next_birth_id, memory_order_relaxed);

	while (next <= id && !atomic_compare_exchange_weak(&v->next_birth_id, &next, id + 1))
		;
}

enum import_outcome session_import(const struct import_context *context,
	const struct session_record *record, enum drop_reason *reason)
{
	struct vport *v = context->vport;
	uint64_t now_ns = context->now_ns ? context->now_ns : engine_now_ns(v->engine);
	struct filling filling = {.record = record,
		.now_ms = vport_clock_ms(v, now_ns),
		.now_vport_ns = vport_clock_ns(v, now_ns)};
	struct session *s;

	*reason = DROP_NONE;
	if (!role_takes(context, vport_role(v))) {
		*reason = DROP_PASSIVE;
		return IMPORT_REFUSED;
	}
	if (!record_is_ours(v, record)) {
		*reason = DROP_SPOOF_IP;
		return IMPORT_FOREIGN;
	}
	birth_id_seen(v, record->birth_id);
	s = session_walk_find(v->engine, &record->tuple);
	if (s && s->vport != v)
		return IMPORT_CONFLICT;
	if (s && s->birth_id > record->birth_id)
		return IMPORT_OLD;
	if (s && s->birth_id == record->birth_id)
		return import_update(context, s, &filling);
	if (s)
		session_kill(s, v->engine->worker_count, PLUGIN_CLOSE_REPLACED);
	return import_new(context, &filling, reason);
}

bool session_import_find(const struct import_context *context, const struct session_tuple *tuple,
	struct session_record *record)
{
	struct vport *v = context->vport;
	const struct session *s = session_walk_find(v->engine, tuple);

	if (!s || s->vport != v)
		return false;
	session_walk_read(s, record);
	/* Not by its network side. */
	return addr_equal(&record->tuple.local, &tuple->local) &&
	       addr_equal(&record->tuple.remote, &tuple->remote) &&
	       record->tuple.local_port == tuple->local_port;
}

bool session_import_tombstone(
	const struct import_context *context, uint64_t birth_id, const struct session_tuple *tuple)
{
	struct vport *v = context->vport;
	struct session *s = session_walk_find(v->engine, tuple);

	return s && s->vport == v && SESSION_GET(s->birth_id) == birth_id &&
	       session_kill(s, v->engine->worker_count,
		       context->by_operator ? PLUGIN_CLOSE_OPERATOR : PLUGIN_CLOSE_MOVED);
}

bool session_import_kill(struct vport *vport, struct session *s)
{
	return session_kill(s, vport->engine->worker_count, PLUGIN_CLOSE_OPERATOR);
}

uint32_t session_import_purge(struct vport *vport, bool moved)
{
	uint32_t killed =
		session_kill_all(vport, moved ? PLUGIN_CLOSE_MOVED : PLUGIN_CLOSE_OPERATOR);

	engine_grace(vport->engine);
	for (uint16_t i = 0; i <= vport->engine->worker_count; i++)
		session_slab_reap_all(&vport->slab[i]);
	return killed;
}

static uint32_t disown(struct vport *vport, struct session *const *living, uint32_t count)
{
	struct session_record record;
	uint32_t killed = 0;

	for (uint32_t i = 0; i < count; i++) {
		session_walk_read(living[i], &record);
		if (!vport_owns(vport, &record.tuple.local))
			killed += session_kill(
				living[i], vport->engine->worker_count, PLUGIN_CLOSE_OPERATOR);
	}
	return killed;
}

uint32_t session_import_disown(struct vport *vport)
{
	int reader = engine_reader_register(vport->engine);
	struct session *living[SLAB_CHUNK_SESSIONS];
	struct session_walk walk;
	uint32_t killed = 0;
	bool end = reader < 0 || role_duty(vport_role(vport)) != ROLE_DUTY_FORWARD;

	session_walk_begin(&walk, vport, 0);
	while (!end) {
		engine_reader_online(vport->engine, reader);
		killed += disown(vport, living, session_walk_next(&walk, living, &end));
		engine_reader_offline(vport->engine, reader);
	}
	session_walk_end(&walk);
	if (reader >= 0)
		engine_reader_unregister(vport->engine, reader);
	return killed;
}

void session_import_resync(struct vport *vport)
{
	struct session *living[SLAB_CHUNK_SESSIONS];
	struct session_walk walk;
	bool end = false;

	session_walk_begin(&walk, vport, 0);
	while (!end) {
		uint32_t count = session_walk_next(&walk, living, &end);

		for (uint32_t i = 0; i < count; i++)
			track_resync(living[i]);
	}
	session_walk_end(&walk);
}
