/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A record at the start, at changes of state and at the end of a session. Configuration of the
 * plugin:
 *
 *	plugins: [{name: flowlog, config: {collector: 192.0.2.9:4739, file:
 * /var/log/ferry/flows.json, events: [start, end], sample: 1, rate: 10000, domain: 0,
 *template_seconds: 60}}]
 *
 * Which sessions are sampled is decided by their id alone: all records of one, on whichever host,
 * are there or none is. Of a session that moved away nothing is said here; its id, its age and its
 * counters went along, and its end is told where it ends.
 *
 * Threads: plugin.h. Workers write into rings, the control thread reads them (tick).
 */
#include "plugins/flowlog/flowlog.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <rte_cycles.h>
#include <rte_ring_elem.h>

/* ---- workers ---- */

static bool wanted(const struct flowlog *log, enum flow_event event, uint64_t session_id)
{
	uint32_t events = atomic_load_explicit(&log->events, memory_order_relaxed);
	uint32_t sample = atomic_load_explicit(&log->sample, memory_order_relaxed);

	if (!(events & 1u << event))
		return false;
	return sample <= 1 || (session_id * 0x9e3779b97f4a7c15ULL >> 32) % sample == 0;
}

/* In the direction of who opened it, before and after translation. */
static void put_ends(const struct plugin_session *session, struct flow_record *r)
{
	bool out = session->dir == PLUGIN_EGRESS;
	const struct plugin_tuple *view[2] = {out ? &session->tuple : &session->outside,
		out ? &session->outside : &session->tuple};

	for (int i = 0; i < 2; i++) {
		struct flow_end local = {view[i]->local, view[i]->local_port};
		struct flow_end remote = {view[i]->remote, view[i]->remote_port};

		r->from[i] = out ? local : remote;
		r->to[i] = out ? remote : local;
		r->vni[i] = view[i]->vni;
	}
}

static void record(struct flowlog *log, const struct plugin_session *session, enum flow_event event,
	int reason)
{
	struct flow_counters *own = &log->worker[session->worker];
	struct flow_record r = {.session_id = session->session_id,
		.cycles = rte_rdtsc(),
		.age_ms = (session->now_ns - session->opened_ns) / 1000000,
		.idle_ms = (session->now_ns - session->last_ns) / 1000000,
		.event = (uint8_t)event,
		.proto = session->tuple.proto,
		.dir = (uint8_t)session->dir,
		.reason = (uint8_t)reason};

	if (!wanted(log, event, session->session_id))
		return;
	for (int i = 0; i < 2; i++) {
		int dir = i ^ (session->dir == PLUGIN_INGRESS);

		r.packets[i] = session->packets[dir];
		r.bytes[i] = session->bytes[dir];
	}
	put_ends(session, &r);
	strncpy(r.state, session->state, sizeof(r.state) - 1);
	strncpy(r.vport, session->vport->name, sizeof(r.vport) - 1);
	if (rte_ring_enqueue_elem(own->ring, &r, sizeof(r)) == 0)
		atomic_fetch_add_explicit(&own->recorded, 1, memory_order_relaxed);
	else
		atomic_fetch_add_explicit(&own->lost, 1, memory_order_relaxed);
}

static enum plugin_verdict flow_admit(
	void *instance, const struct plugin_request *request, struct plugin_answer *answer)
{
	const struct flowlog *log = instance;

	(void)request;
	if (atomic_load_explicit(&log->events, memory_order_relaxed) & 1u << FLOW_CHANGE)
		answer->report = true;
	return PLUGIN_ALLOW;
}

static void flow_opened(void *instance, const struct plugin_session *session)
{
	record(instance, session, FLOW_START, 0);
}

static void flow_state_changed(void *instance, const struct plugin_session *session)
{
	record(instance, session, FLOW_CHANGE, 0);
}

static void flow_closed(
	void *instance, const struct plugin_session *session, enum plugin_close_reason reason)
{
	if (reason != PLUGIN_CLOSE_MOVED)
		record(instance, session, FLOW_END, reason);
}

/* ---- control ---- */

static void ways_close(struct flowlog *log)
{
	if (log->socket >= 0)
		close(log->socket);
	if (log->file >= 0)
		close(log->file);
	log->socket = log->file = -1;
}

/* -errno of what cannot be opened; a collector need not be there. */
static int ways_open(
	const struct flow_config *config, int *sock, int *file, struct plugin_error *error)
{
	*sock = *file = -1;
	if (config->file[0]) {
		*file = open(config->file, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0640);
		if (*file < 0)
			return flow_fail(
				error, NULL, "file: %s: %s", config->file, strerror(errno));
	}
	if (config->collector.ss_family) {
		*sock = socket(
			config->collector.ss_family, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
		if (*sock < 0) {
			flow_fail(error, NULL, "collector: %s", strerror(errno));
			if (*file >= 0)
				close(*file);
			return -EINVAL;
		}
	}
	return 0;
}

static int flow_configure(
	void *instance, const struct plugin_value *value, bool apply, struct plugin_error *error)
{
	struct flowlog *log = instance;
	struct flow_config config;
	int sock, file, rc = flow_config_parse(value, &config, error);
	bool reports;

	if (rc != 0 || !apply)
		return rc;
	rc = ways_open(&config, &sock, &file, error);
	if (rc != 0)
		return rc;
	flow_flush(log);
	ways_close(log);
	log->socket = sock;
	log->file = file;
	reports = (log->config.events ^ config.events) & 1u << FLOW_CHANGE;
	log->config = config;
	log->ipfix.templates_ns = 0; /* another collector, perhaps */
	atomic_store(&log->sample, config.sample);
	atomic_store(&log->events, sock >= 0 || file >= 0 ? config.events : 0);
	if (reports)
		log->host->policy_changed(log->host->engine, NULL);
	return 0;
}

static int flow_show(
	void *instance, const struct plugin_vport *view, void *data, struct plugin_sink *sink)
{
	const struct flowlog *log = instance;
	uint64_t recorded = 0, lost = 0;
	char text[256];
	int len;

	(void)data;
	if (view)
		return sink->put(sink, "{}", 2);
	for (uint32_t i = 0; i <= log->host->workers; i++) {
		recorded += atomic_load(&log->worker[i].recorded);
		lost += atomic_load(&log->worker[i].lost);
	}
	len = snprintf(text, sizeof(text),
		"{\"recorded\": %llu, \"lost\": %llu, \"sent\": %llu, \"unsent\": %llu, "
		"\"written\": %llu, \"unwritten\": %llu}",
		(unsigned long long)recorded, (unsigned long long)lost,
		(unsigned long long)log->sent, (unsigned long long)log->unsent,
		(unsigned long long)log->written, (unsigned long long)log->unwritten);
	return sink->put(sink, text, (size_t)len);
}

/* Control threads share the last ring. */
static struct rte_ring *ring_make(bool shared)
{
	ssize_t size = rte_ring_get_memsize_elem(sizeof(struct flow_record), FLOW_RING);
	unsigned int flags = RING_F_SC_DEQ | (shared ? 0 : RING_F_SP_ENQ);
	struct rte_ring *ring = aligned_alloc(RTE_CACHE_LINE_SIZE, (size_t)size);

	if (ring && rte_ring_init(ring, "flowlog", FLOW_RING, flags) == 0)
		return ring;
	free(ring);
	return NULL;
}

static void flow_destroy(void *instance)
{
	struct flowlog *log = instance;

	if (log->worker && log->text)
		flow_flush(log);
	ways_close(log);
	for (uint32_t i = 0; log->worker && i <= log->host->workers; i++)
		free(log->worker[i].ring);
	free(log->worker);
	free(log->text);
	free(log);
}

static int flow_create(const struct plugin_host *host, void **instance)
{
	struct flowlog *log = calloc(1, sizeof(*log));
	size_t size = (host->workers + 1u) * sizeof(*log->worker);
	bool good;

	if (!log)
		return -ENOMEM;
	log->host = host;
	log->socket = log->file = -1;
	log->config.rate = 1;
	log->worker = aligned_alloc(64, size);
	log->text = malloc(FLOW_TEXT_MAX);
	good = log->worker && log->text;
	if (log->worker)
		memset(log->worker, 0, size);
	for (uint32_t i = 0; good && i <= host->workers; i++) {
		log->worker[i].ring = ring_make(i == host->workers);
		good = log->worker[i].ring != NULL;
	}
	if (!good) {
		free(log->text);
		log->text = NULL; /* nothing to flush */
		flow_destroy(log);
		return -ENOMEM;
	}
	*instance = log;
	return 0;
}

FERRY_PLUGIN(.name = "flowlog", .version = "1.0", .summary = "records of sessions", .after = "nat",
	.state_optional = true, .create = flow_create, .destroy = flow_destroy,
	.configure = flow_configure, .admit = flow_admit, .opened = flow_opened,
	.closed = flow_closed, .state_changed = flow_state_changed, .show = flow_show,
	.tick = flow_tick);
