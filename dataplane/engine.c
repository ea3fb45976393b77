/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Birth and death of an engine, its workers and its grace periods. What mutators change is in
 * engine_uplink.c (uplink, tunnels), engine_vpc.c, engine_net.c (peers, locations), engine_vport.c
 * and engine_role.c (roles, hold, relay); plugins in plugin_host.c. Threads: see engine.h.
 */
#include "dataplane/engine.h"

#include <errno.h>
#include <sched.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <rte_errno.h>
#include <rte_malloc.h>
#include <rte_ring.h>

#include "dataplane/engine_parts.h"
#include "dataplane/session_ext.h"
#include "dataplane/worker.h"

#define DEFAULT_MBUFS 16384
#define DEFAULT_LOCATIONS 65536
#define DEFAULT_ICMP_PER_SECOND 100
#define EXT_PER_SESSIONS 8 /* one extension for so many sessions, if nothing else is asked for */
#define EXT_MIN 1024
#define FRAG_DATAGRAMS 4096
#define FRAG_BYTES (8u << 20)
#define MBUF_CACHE 256
#define ANNOUNCEMENTS 4096

void engine_log(const struct engine *engine, enum plugin_log_level level, const char *object,
	const char *format, ...)
{
	const struct engine_callbacks *callbacks = &engine->params.callbacks;
	char text[256];
	va_list args;

	if (!callbacks->log)
		return;
	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	callbacks->log(callbacks->arg, level, object, text);
}

int engine_fail(char *error, size_t error_len, int rc, const char *format, ...)
{
	va_list args;

	if (!error)
		return rc;
	va_start(args, format);
	vsnprintf(error, error_len, format, args);
	va_end(args);
	return rc;
}

static void engine_frag_dropped(void *arg, const struct frag_drop *drop)
{
	struct engine *engine = arg;
	struct port_stats *stats;

	/* Control slots: other threads than the receiving worker may be here. */
	if (drop->vport && drop->dir == PKT_EGRESS)
		stats = &drop->vport->stats[engine->worker_count];
	else if (engine->uplink)
		stats = &engine->uplink->stats[engine->worker_count];
	else
		return;
	__atomic_fetch_add(&stats->drop[drop->reason], drop->packets, __ATOMIC_RELAXED);
	__atomic_fetch_add(&stats->unparked, drop->packets, __ATOMIC_RELAXED);
}

static int engine_create_pools(struct engine *engine, char *error, size_t error_len)
{
	const struct engine_params *params = &engine->params;
	uint32_t mbufs = params->mbufs ? params->mbufs : DEFAULT_MBUFS;
	uint32_t exts =
		params->session_exts ? params->session_exts : params->sessions / EXT_PER_SESSIONS;
	uint16_t room = params->mbuf_bytes ? params->mbuf_bytes : RTE_MBUF_DEFAULT_BUF_SIZE;
	char name[RTE_MEMPOOL_NAMESIZE];

	snprintf(name, sizeof(name), "fy_%s_mbuf", engine->name);
	engine->pool = rte_pktmbuf_pool_create(name, mbufs, MBUF_CACHE, 0, room, SOCKET_ID_ANY);
	if (!engine->pool)
		return engine_fail(error, error_len, -rte_errno,
			"packet pool of %u mbufs: %s (more dpdk.memory_mb?)", mbufs,
			rte_strerror(rte_errno));
	snprintf(name, sizeof(name), "fy_%s_ext", engine->name);
	engine->ext_pool = rte_mempool_create(name, RTE_MAX(exts, (uint32_t)EXT_MIN),
		sizeof(struct session_ext), 0, 0, NULL, NULL, NULL, NULL, SOCKET_ID_ANY, 0);
	if (!engine->ext_pool)
		return engine_fail(error, error_len, -rte_errno, "session extension pool: %s",
			rte_strerror(rte_errno));
	snprintf(name, sizeof(name), "fy_%s_ann", engine->name);
	engine->announcements =
		rte_ring_create(name, ANNOUNCEMENTS, SOCKET_ID_ANY, RING_F_SP_ENQ | RING_F_SC_DEQ);
	if (!engine->announcements)
		return engine_fail(error, error_len, -rte_errno, "ring of announcements: %s",
			rte_strerror(rte_errno));
	return 0;
}

static int engine_create_tables(struct engine *engine, char *error, size_t error_len)
{
	const struct engine_params *params = &engine->params;
	uint32_t datagrams = params->fragments ? params->fragments : FRAG_DATAGRAMS;
	struct frag_params frag = {.datagrams = datagrams,
		.bytes = FRAG_BYTES,
		.per_vport_datagrams = RTE_MAX(datagrams / 4, 1u),
		.dropped = engine_frag_dropped,
		.arg = engine};
	struct session_timeouts *timeouts = malloc(sizeof(*timeouts));

	if (!timeouts)
		return engine_fail(error, error_len, -ENOMEM, "out of memory");
	*timeouts = params->timeouts;
	session_timeouts_seal(timeouts);
	atomic_store(&engine->timeouts, timeouts);
	if (rcu_init(&engine->rcu) != 0)
		return engine_fail(error, error_len, -ENOMEM, "no memory for grace periods");
	if (slab_pool_init(&engine->slab_pool, params->sessions, 4u * params->workers + 64) != 0 ||
		session_table_init(&engine->table, params->sessions) != 0)
		return engine_fail(error, error_len, -ENOMEM,
			"session table of %u entries does not fit in memory", params->sessions);
	engine->locations = location_table_create(engine->name,
		params->locations ? params->locations : DEFAULT_LOCATIONS, &engine->rcu);
	engine->frags = frag_create(&frag);
	if (!engine->locations || !engine->frags)
		return engine_fail(error, error_len, -ENOMEM, "no memory for locations");
	return 0;
}

static struct worker *worker_create(struct engine *engine, uint16_t id)
{
	struct worker *w = rte_zmalloc("ferry_worker", sizeof(*w), RTE_CACHE_LINE_SIZE);

	if (!w)
		return NULL;
	w->out = calloc(VPORT_MAX, sizeof(*w->out));
	w->wake_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	if (!w->out || w->wake_fd < 0) {
		if (w->wake_fd >= 0)
			close(w->wake_fd);
		free(w->out);
		rte_free(w);
		return NULL;
	}
	w->engine = engine;
	w->id = id;
	w->core = engine->params.cores ? engine->params.cores[id] : -1;
	w->stats = &w->local_stats;
	w->rcu_reader = rcu_register(&engine->rcu);
	return w;
}

static void worker_destroy(struct worker *w)
{
	rcu_unregister(&w->engine->rcu, w->rcu_reader);
	free(atomic_load(&w->polls));
	close(w->wake_fd);
	free(w->out);
	rte_free(w);
}

int engine_create(
	const struct engine_params *params, struct engine **out, char *error, size_t error_len)
{
	struct engine *engine;
	int rc;

	if (params->workers == 0 || params->workers > VPORT_WORKERS_MAX || params->sessions == 0 ||
		strlen(params->name) > ENGINE_NAME_MAX)
		return engine_fail(error, error_len, -EINVAL,
			"engine wants 1-%d workers, sessions > 0 and a name of up to %d characters",
			VPORT_WORKERS_MAX, ENGINE_NAME_MAX);
	engine = rte_zmalloc("ferry_engine", sizeof(*engine), RTE_CACHE_LINE_SIZE);
	if (!engine)
		return engine_fail(error, error_len, -ENOMEM, "out of memory");
	engine->params = *params;
	snprintf(engine->name, sizeof(engine->name), "%s", params->name);
	engine->params.name = engine->name;
	engine->clock = params->clock;
	engine->worker_count = params->workers;
	engine->pickup = params->pickup;
	engine->rst_unknown = params->rst_unknown;
	engine->check_outer_sum = params->check_outer_sum;
	engine->policy_change = params->policy_change;
	engine->icmp_limit.per_second =
		params->icmp_per_second ? params->icmp_per_second : DEFAULT_ICMP_PER_SECOND;
	pthread_mutex_init(&engine->mutex, NULL);
	pthread_mutex_init(&engine->vport_mutex, NULL);
	rte_spinlock_init(&engine->deferred_lock);
	rc = engine_create_pools(engine, error, error_len);
	if (rc == 0)
		rc = engine_create_tables(engine, error, error_len);
	for (uint16_t i = 0; rc == 0 && i < params->workers; i++) {
		engine->worker[i] = worker_create(engine, i);
		if (!engine->worker[i])
			rc = engine_fail(error, error_len, -ENOMEM, "out of memory for workers");
	}
	if (rc != 0) {
		engine_destroy(engine);
		return rc;
	}
	*out = engine;
	return 0;
}

static int vport_delete(struct vport *v, void *arg)
{
	*(struct vport **)arg = v;
	return 1;
}

static void announcements_free(struct engine *engine)
{
	void *m;

	while (engine->announcements && rte_ring_dequeue(engine->announcements, &m) == 0)
		rte_pktmbuf_free(m);
	rte_ring_free(engine->announcements);
}

void engine_destroy(struct engine *engine)
{
	struct vport *v;

	if (!engine)
		return;
	engine_stop(engine);
	while (engine->rcu.qsbr && engine_vport_foreach(engine, vport_delete, &v) != 0)
		engine_vport_del(engine, v);
	engine_plugins_unload(engine);
	engine_net_destroy(engine);
	for (uint16_t i = 0; i < engine->worker_count; i++)
		if (engine->worker[i])
			worker_destroy(engine->worker[i]);
	engine_deferred_run(engine, true);
	frag_free(engine->frags);
	location_table_free(engine->locations);
	session_table_destroy(&engine->table);
	slab_pool_destroy(&engine->slab_pool);
	free(atomic_load(&engine->timeouts));
	rcu_destroy(&engine->rcu);
	announcements_free(engine);
	rte_mempool_free(engine->ext_pool);
	rte_mempool_free(engine->pool);
	pthread_mutex_destroy(&engine->mutex);
	pthread_mutex_destroy(&engine->vport_mutex);
	rte_free(engine);
}

static int worker_start(struct worker *w)
{
	pthread_attr_t attr;
	cpu_set_t cpus;
	int rc;

	pthread_attr_init(&attr);
	if (w->core >= 0) {
		CPU_ZERO(&cpus);
		CPU_SET(w->core, &cpus);
		pthread_attr_setaffinity_np(&attr, sizeof(cpus), &cpus);
	}
	atomic_store(&w->stop, false);
	rc = pthread_create(&w->thread, &attr, worker_main, w);
	pthread_attr_destroy(&attr);
	if (rc == 0) {
		char name[16];

		snprintf(name, sizeof(name), "ferry-w%u", w->id);
		pthread_setname_np(w->thread, name);
	}
	return -rc;
}

static void workers_join(struct engine *engine, uint16_t count)
{
	for (uint16_t i = 0; i < count; i++)
		atomic_store(&engine->worker[i]->stop, true);
	engine_wake(engine);
	for (uint16_t i = 0; i < count; i++)
		pthread_join(engine->worker[i]->thread, NULL);
}

int engine_start(struct engine *engine)
{
	for (uint16_t i = 0; i < engine->worker_count; i++) {
		int rc = worker_start(engine->worker[i]);

		if (rc != 0) {
			workers_join(engine, i);
			return rc;
		}
	}
	engine->running = true;
	return 0;
}

void engine_stop(struct engine *engine)
{
	if (!engine->running)
		return;
	workers_join(engine, engine->worker_count);
	engine->running = false;
}

uint32_t engine_poll(struct engine *engine)
{
	uint32_t packets = 0;

	for (uint16_t i = 0; i < engine->worker_count; i++) {
		struct worker *w = engine->worker[i];

		rcu_online(&engine->rcu, w->rcu_reader);
		packets += worker_round(w);
		rcu_offline(&engine->rcu, w->rcu_reader);
	}
	return packets;
}

void engine_wake(const struct engine *engine)
{
	for (uint16_t i = 0; i < engine->worker_count && engine->worker[i]; i++)
		eventfd_write(engine->worker[i]->wake_fd, 1);
}

void engine_grace(struct engine *engine)
{
	rcu_wait(&engine->rcu);
}

uint64_t engine_now_ns(const struct engine *engine)
{
	return clock_now_ns(&engine->clock);
}

struct rte_mempool *engine_pool(struct engine *engine)
{
	return engine->pool;
}

uint16_t engine_workers(const struct engine *engine)
{
	return engine->worker_count;
}

void engine_local_stats(struct engine *engine, struct port_stats *sum)
{
	memset(sum, 0, sizeof(*sum));
	for (uint16_t i = 0; i < engine->worker_count; i++)
		port_stats_add(sum, &engine->worker[i]->local_stats);
}

int engine_worker_info(struct engine *engine, uint16_t worker, struct worker_info *info)
{
	struct worker *w;

	if (worker >= engine->worker_count)
		return -ENOENT;
	w = engine->worker[worker];
	*info = (struct worker_info){
		.core = w->core,
		.rounds = atomic_load_explicit(&w->rounds, memory_order_relaxed),
		.rounds_idle = atomic_load_explicit(&w->rounds_idle, memory_order_relaxed),
		.sleeps = atomic_load_explicit(&w->sleeps, memory_order_relaxed),
		.packets = atomic_load_explicit(&w->packets, memory_order_relaxed),
		.now_ns = engine_now_ns(engine),
	};
	return 0;
}

/* ---- memory that waits ---- */

void engine_defer(struct engine *engine, void *memory, void (*release)(void *))
{
	struct engine_deferred *entry;

	if (!memory)
		return;
	entry = malloc(sizeof(*entry));
	if (!entry)
		return; /* leaked rather than freed under a reader */
	*entry = (struct engine_deferred){.release = release, .memory = memory};
	rte_spinlock_lock(&engine->deferred_lock);
	entry->next = engine->deferred_open;
	engine->deferred_open = entry;
	rte_spinlock_unlock(&engine->deferred_lock);
}

static void deferred_release(struct engine_deferred *list)
{
	while (list) {
		struct engine_deferred *next = list->next;

		list->release(list->memory);
		free(list);
		list = next;
	}
}

void engine_deferred_run(struct engine *engine, bool force)
{
	struct engine_deferred *done = NULL;

	if (force && engine->rcu.qsbr)
		rcu_wait(&engine->rcu);
	do {
		rte_spinlock_lock(&engine->deferred_lock);
		if (engine->deferred_wait &&
			(force || rcu_passed(&engine->rcu, engine->deferred_token))) {
			done = engine->deferred_wait;
			engine->deferred_wait = NULL;
		} else {
			done = NULL;
		}
		if (!engine->deferred_wait && engine->deferred_open) {
			engine->deferred_wait = engine->deferred_open;
			engine->deferred_open = NULL;
			engine->deferred_token = rcu_start(&engine->rcu);
		}
		rte_spinlock_unlock(&engine->deferred_lock);
		deferred_release(done);
	} while (force && (engine->deferred_wait || engine->deferred_open));
}

void engine_timeouts_set(struct engine *engine, const struct session_timeouts *timeouts)
{
	struct session_timeouts *copy = malloc(sizeof(*copy));

	if (!copy)
		return;
	*copy = *timeouts;
	session_timeouts_seal(copy);
	engine_defer(engine, atomic_exchange(&engine->timeouts, copy), free);
}

void engine_memory(struct engine *engine, struct engine_memory *memory)
{
	*memory = (struct engine_memory){
		.session_bytes = engine->slab_pool.bytes,
		.table_bytes = engine->table.bytes,
		.ext_bytes = (uint64_t)engine->ext_pool->size * sizeof(struct session_ext),
		.mbuf_bytes = (uint64_t)engine->pool->size *
			      (engine->pool->elt_size + engine->pool->header_size +
				      engine->pool->trailer_size),
		.sessions_max = engine->params.sessions,
		.chunks_free = engine->slab_pool.chunks_free,
		.keys = atomic_load(&engine->table.keys),
	};
	for (unsigned int i = 0; i < VPORT_MAX; i++) {
		struct vport *v = atomic_load(&engine->vport[i]);

		if (v)
			memory->sessions += atomic_load(&v->sessions);
	}
}
