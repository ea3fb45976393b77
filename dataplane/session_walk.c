/* SPDX-License-Identifier: BSD-3-Clause */
#include "dataplane/session_walk.h"

#include "dataplane/engine_state.h"
#include "dataplane/session_record.h"
#include "dataplane/session_table_fast.h"

int engine_reader_register(struct engine *engine)
{
	return rcu_register(&engine->rcu);
}

void engine_reader_unregister(struct engine *engine, int reader)
{
	rcu_unregister(&engine->rcu, reader);
}

void engine_reader_online(struct engine *engine, int reader)
{
	rcu_online(&engine->rcu, reader);
}

void engine_reader_offline(struct engine *engine, int reader)
{
	rcu_offline(&engine->rcu, reader);
}

void session_walk_begin(struct session_walk *walk, struct vport *vport, uint32_t min_round)
{
	*walk = (struct session_walk){
		.vport = vport, .slabs = vport->engine->worker_count + 1, .min_round = min_round};
	for (uint16_t i = 0; i < walk->slabs; i++)
		session_slab_walk_begin(&vport->slab[i]);
}

static uint32_t chunk_living(
	const struct session_walk *walk, struct slab_chunk *chunk, struct session **out)
{
	uint32_t count = 0;

	for (unsigned int i = 0; i < SLAB_CHUNK_SESSIONS; i++) {
		struct session *s = &chunk->session[i];

		if (!slab_chunk_open(chunk, i) ||
			atomic_load_explicit(&s->state, memory_order_acquire) & SESSION_DEAD ||
			SESSION_GET(s->round) < walk->min_round)
			continue;
		out[count++] = s;
	}
	return count;
}

uint32_t session_walk_next(struct session_walk *walk, struct session **out, bool *end)
{
	*end = false;
	while (walk->slab < walk->slabs) {
		walk->chunk = session_slab_next(&walk->vport->slab[walk->slab], walk->chunk);
		if (walk->chunk)
			return chunk_living(walk, walk->chunk, out);
		walk->slab++;
	}
	*end = true;
	return 0;
}

void session_walk_end(struct session_walk *walk)
{
	for (uint16_t i = 0; i < walk->slabs; i++)
		session_slab_walk_end(&walk->vport->slab[i]);
}

void session_walk_read(const struct session *s, struct session_record *record)
{
	session_walk_read_at(s, clock_now_ns(&s->vport->engine->clock), record);
}

void session_walk_read_at(const struct session *s, uint64_t now_ns, struct session_record *record)
{
	const struct engine *engine = s->vport->engine;
	uint16_t plugin = s->verdict_by;

	session_record_read(s, atomic_load_explicit(&engine->timeouts, memory_order_acquire),
		vport_clock_ms(s->vport, now_ns), record);
	record->imported = atomic_load_explicit(&s->state, memory_order_relaxed) & SESSION_IMPORTED;
	if (plugin < engine->plugin_count)
		record->verdict_by = engine->plugin[plugin].descriptor->name;
}

void session_walk_prefetch(const struct engine *engine, const struct session_tuple *tuple)
{
	struct session_addresses6 a6;
	struct session_key key;

	session_key_pack(tuple, &key, &a6);
	session_table_prefetch(&engine->table, session_key_hash(&key));
}

struct session *session_walk_find(struct engine *engine, const struct session_tuple *tuple)
{
	struct session_addresses6 a6;
	struct session_key key;
	unsigned int which;
	bool ipv6 = session_key_pack(tuple, &key, &a6);

	return session_table_find(&engine->table, &key, ipv6 ? &a6 : NULL, &which);
}
