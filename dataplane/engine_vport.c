/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Vports: birth, change, death, and what each worker polls. A vport becomes visible to workers when
 * its id slot and the poll sets are published, and is freed one grace period after it left both.
 * One vport is made, changed or removed at a time (vport_mutex); plugins are asked meanwhile,
 * without the engine mutex, so that however long they take no role change waits. Order:
 * vport_mutex, a plugin's mutex, engine mutex.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <rte_malloc.h>

#include "dataplane/engine_parts.h"
#include "dataplane/hold.h"
#include "dataplane/session_import.h"
#include "dataplane/session_journal.h"
#include "dataplane/worker.h"

#define QUOTA_SHARE 5 /* default quota: a fifth of the table */
#define DEFAULT_MTU 1500
#define DEFAULT_HOLD_BYTES (4u << 20)
#define DEFAULT_HOLD_AGE_NS 2000000000ULL

struct error_line {
	char *text; /* may be NULL */
	size_t len;
};

/* ---- poll sets ---- */

static void poll_add(struct poll_set *set, struct vport *v, struct port *port, uint16_t queue)
{
	set->entry[set->count++] = (struct poll_entry){.vport = v, .port = port, .queue = queue};
}

/* Queues are dealt round robin, starting at a different worker for each port. */
static struct poll_set *poll_set_make(const struct engine *engine, uint16_t worker)
{
	struct poll_set *set = calloc(
		1, sizeof(*set) + (VPORT_MAX + 1u) * PORT_QUEUES_MAX * sizeof(struct poll_entry));

	if (!set)
		return NULL;
	if (engine->uplink)
		for (uint16_t q = 0; q < engine->uplink->params.port.queues; q++)
			if (q % engine->worker_count == worker)
				poll_add(set, NULL, engine->uplink->port, q);
	for (unsigned int i = 0; i < VPORT_MAX; i++) {
		struct vport *v = atomic_load(&engine->vport[i]);

		for (uint16_t q = 0; v && v->port && q < v->queues; q++)
			if ((q + i) % engine->worker_count == worker)
				poll_add(set, v, v->port, q);
	}
	return set;
}

int engine_poll_sets(struct engine *engine)
{
	struct poll_set *set[VPORT_WORKERS_MAX] = {NULL};
	int rc = 0;

	for (uint16_t i = 0; i < engine->worker_count && rc == 0; i++) {
		set[i] = poll_set_make(engine, i);
		rc = set[i] ? 0 : -ENOMEM;
	}
	for (uint16_t i = 0; i < engine->worker_count; i++) {
		if (rc == 0)
			engine_defer(
				engine, atomic_exchange(&engine->worker[i]->polls, set[i]), free);
		else
			free(set[i]);
	}
	engine_wake(engine);
	return rc;
}

/* ---- ring events ---- */

static void vport_port_event(void *arg, struct port *port, enum port_event event)
{
	struct vport *v = arg;
	struct engine *engine = v->engine;
	bool up = event == PORT_RINGS_UP;
	struct port_info info;

	if (event == PORT_STATUS) {
		port_info(port, &info);
		engine_log(engine, info.last_error[0] ? PLUGIN_LOG_WARN : PLUGIN_LOG_INFO, v->name,
			"port: %s", info.last_error[0] ? info.last_error : "works again");
		return;
	}

	if (engine->params.callbacks.rings_heard)
		engine->params.callbacks.rings_heard(engine->params.callbacks.arg, v, up);
	engine_role_event(v, up ? ROLE_RINGS_UP : ROLE_RINGS_DOWN, 0);
	if (up)
		engine_wake(engine);
	/* The library takes the rings apart next: no worker may be inside, whatever the role. */
	if (!up)
		engine_grace(engine);
	if (engine->params.callbacks.rings)
		engine->params.callbacks.rings(engine->params.callbacks.arg, v, up);
}

/* ---- birth ---- */

static struct vport_addresses *addresses_make(const struct vport_spec *spec)
{
	struct vport_addresses *own = calloc(1, sizeof(*own));

	if (!own)
		return NULL;
	own->ip_count = RTE_MIN(spec->ip_count, (uint16_t)VPORT_IPS_MAX);
	own->allowed_count = RTE_MIN(spec->allowed_count, (uint16_t)VPORT_IPS_MAX);
	own->group_count = RTE_MIN(spec->group_count, (uint16_t)VPORT_GROUPS_MAX);
	memcpy(own->ip, spec->ips, own->ip_count * sizeof(*own->ip));
	if (own->allowed_count > 0) {
		memcpy(own->allowed, spec->allowed, own->allowed_count * sizeof(*own->allowed));
		memcpy(own->allowed_plen, spec->allowed_plen, own->allowed_count);
	}
	for (uint16_t i = 0; i < own->allowed_count; i++) {
		own->allowed_mac[i] = spec->mac;
		if (spec->allowed_mac && !rte_is_zero_ether_addr(&spec->allowed_mac[i]))
			own->allowed_mac[i] = spec->allowed_mac[i];
	}
	for (uint16_t i = 0; i < VPORT_GROUPS_MAX; i++)
		own->group_name[i] = own->group[i];
	for (uint16_t i = 0; i < own->group_count; i++)
		snprintf(own->group[i], sizeof(own->group[i]), "%s", spec->groups[i]);
	return own;
}

static bool has_pair_macs(const struct vport_addresses *own, const struct rte_ether_addr *mac)
{
	for (uint16_t i = 0; i < own->allowed_count; i++)
		if (!rte_is_same_ether_addr(&own->allowed_mac[i], mac))
			return true;
	return false;
}

static void plugin_view_fill(struct vport *v, const struct vport_addresses *own)
{
	v->plugin_view = (struct plugin_vport){
		.name = v->name,
		.id = v->id,
		.vni = v->vni,
		.ips = own->ip,
		.ip_count = own->ip_count,
		.groups = own->group_name,
		.group_count = own->group_count,
	};
	memcpy(v->plugin_view.mac, &v->mac, sizeof(v->plugin_view.mac));
}

/*
 * Workers may be in a plugin that reads the view: it sees old and new mixed for a moment, each of
 * them whole, and no entry beyond a count is anything but empty.
 */
static void plugin_view_change(struct vport *v, const struct vport_addresses *own)
{
	struct plugin_vport *view = &v->plugin_view;

	__atomic_store_n(&view->ips, own->ip, __ATOMIC_RELEASE);
	__atomic_store_n(&view->ip_count, own->ip_count, __ATOMIC_RELAXED);
	__atomic_store_n(&view->groups, own->group_name, __ATOMIC_RELEASE);
	__atomic_store_n(&view->group_count, own->group_count, __ATOMIC_RELAXED);
}

static struct vport *vport_alloc(struct engine *engine, const struct vport_spec *spec)
{
	struct vport *v = rte_zmalloc("ferry_vport", sizeof(*v), RTE_CACHE_LINE_SIZE);
	struct vport_addresses *own = addresses_make(spec);
	struct session_slab from = {.pool = &engine->slab_pool,
		.rcu = &engine->rcu,
		.vport = v,
		.ext_pool = engine->ext_pool};

	if (v)
		v->stats = rte_zmalloc("ferry_stats",
			sizeof(*v->stats) * (engine->worker_count + 1u), RTE_CACHE_LINE_SIZE);
	if (!v || !own || !v->stats) {
		if (v)
			rte_free(v->stats);
		rte_free(v);
		free(own);
		return NULL;
	}
	for (uint16_t i = 0; i <= engine->worker_count; i++)
		session_slab_init(&v->slab[i], &from);
	for (unsigned int i = 0; i < VPORT_METERS; i++)
		rte_spinlock_init(&v->meter[i].lock);
	atomic_store(&v->addresses, own);
	atomic_store(&v->pair_macs, has_pair_macs(own, &spec->mac));
	v->engine = engine;
	return v;
}

static void vport_free(struct vport *v)
{
	struct vport_identity *identity, *next;

	for (uint16_t i = 0; i <= v->engine->worker_count; i++)
		session_slab_destroy(&v->slab[i]);
	for (identity = v->identities; identity; identity = next) {
		next = identity->next;
		free(identity);
	}
	hold_free(atomic_load(&v->hold));
	free(atomic_load(&v->addresses));
	rte_free(v->stats);
	rte_free(v);
}

static void vport_settings(struct engine *engine, struct vport *v, const struct vport_spec *spec)
{
	v->quota = spec->quota ? spec->quota : RTE_MAX(engine->params.sessions / QUOTA_SHARE, 1u);
	v->track.tcp_liberal = spec->tcp_liberal;
	v->track.pickup = engine->pickup;
	v->hold_any = spec->hold_any;
	v->hold_bytes = spec->hold_bytes ? spec->hold_bytes : DEFAULT_HOLD_BYTES;
	v->hold_age_ns = spec->hold_age_ns ? spec->hold_age_ns : DEFAULT_HOLD_AGE_NS;
}

static void vport_fill(struct engine *engine, struct vport *v, const struct vport_spec *spec)
{
	v->vni = spec->vni;
	v->mac = spec->mac;
	v->mtu = spec->mtu ? spec->mtu : DEFAULT_MTU;
	v->queues = spec->port.queues ? spec->port.queues : 1;
	snprintf(v->name, sizeof(v->name), "%s", spec->name);
	snprintf(v->uuid, sizeof(v->uuid), "%s", spec->uuid ? spec->uuid : "");
	snprintf(v->vm, sizeof(v->vm), "%s", spec->vm ? spec->vm : "");
	vport_settings(engine, v, spec);
	atomic_store(&v->role, (uint8_t)spec->role);
	atomic_store(&v->epoch, spec->epoch);
	atomic_store(&v->next_birth_id, 1);
	vport_clock_init(v, engine_now_ns(engine));
	if (role_duty(spec->role) != ROLE_DUTY_FORWARD)
		vport_clock_stop(v, engine_now_ns(engine));
}

/* Under the mutex. The id is free for everybody since a grace period. */
static int vport_place(struct engine *engine, struct vport *v)
{
	for (uint16_t i = 0; i < VPORT_MAX; i++)
		if (!atomic_load(&engine->vport[i])) {
			v->id = i;
			return 0;
		}
	return -ENOSPC;
}

static struct vport *vport_by_name(const struct engine *engine, const char *name)
{
	for (unsigned int i = 0; i < VPORT_MAX; i++) {
		struct vport *v = atomic_load(&engine->vport[i]);

		if (v && (strcmp(v->name, name) == 0 || (v->uuid[0] && strcmp(v->uuid, name) == 0)))
			return v;
	}
	return NULL;
}

/* Under the mutex: a name and an id of its own. The id stays free for it while vport_mutex is held.
 */
static int vport_settle(struct engine *engine, struct vport *v, const struct vport_spec *spec,
	char *error, size_t error_len)
{
	int rc;

	if (vport_by_name(engine, spec->name) ||
		(spec->uuid && spec->uuid[0] && vport_by_name(engine, spec->uuid)))
		return engine_fail(error, error_len, -EEXIST, "vport %s: exists", spec->name);
	rc = vport_place(engine, v);
	if (rc != 0)
		return engine_fail(
			error, error_len, rc, "vport %s: at most %d vports", spec->name, VPORT_MAX);
	return 0;
}

/* Under the mutex, plugins know it: into its slot. */
static int vport_publish(struct engine *engine, struct vport *v, const struct vport_spec *spec,
	char *error, size_t error_len)
{
	int rc = 0;

	v->vpc = engine_vpc_find(engine, spec->vni);
	if (!v->vpc)
		return engine_fail(error, error_len, -ENOENT, "vport %s: no vpc with vni %u",
			spec->name, spec->vni);
	if (role_duty(spec->role) == ROLE_DUTY_HOLD || role_duty(spec->role) == ROLE_DUTY_ASK)
		rc = engine_hold_make(v);
	if (rc == 0)
		rc = engine_identities_add(engine, v);
	if (rc != 0) {
		engine_identities_del(engine, v);
		return engine_fail(error, error_len, rc, "vport %s: identity in use", spec->name);
	}
	atomic_store_explicit(&engine->vport[v->id], v, memory_order_release);
	return 0;
}

/* Under vport_mutex: everything but the port. */
static int vport_enter(struct engine *engine, struct vport *v, const struct vport_spec *spec,
	char *error, size_t error_len)
{
	int rc;

	pthread_mutex_lock(&engine->mutex);
	rc = vport_settle(engine, v, spec, error, error_len);
	pthread_mutex_unlock(&engine->mutex);
	if (rc != 0)
		return rc;
	plugin_view_fill(v, atomic_load(&v->addresses));
	rc = plugin_host_vport_check(engine, spec->plugins, error, error_len);
	if (rc == 0)
		rc = plugin_host_vport_add(engine, v, spec->plugins, error, error_len);
	if (rc != 0)
		return rc;
	pthread_mutex_lock(&engine->mutex);
	rc = vport_publish(engine, v, spec, error, error_len);
	pthread_mutex_unlock(&engine->mutex);
	if (rc != 0)
		plugin_host_vport_del(engine, v);
	return rc;
}

/*
 * Nobody finds it by its identities any more. By its sessions it is found until they are dead: a
 * SYN that ends one would open the next, behind the back of whoever ends them all.
 */
static void vport_leave(struct engine *engine, struct vport *v)
{
	atomic_store(&v->gone, true);
	pthread_mutex_lock(&engine->mutex);
	engine_identities_del(engine, v);
	atomic_store_explicit(&engine->vport[v->id], NULL, memory_order_release);
	engine->leaving = v;
	engine_poll_sets(engine);
	pthread_mutex_unlock(&engine->mutex);
	engine_grace(engine);
}

/*
 * Everything that neighbours and its VM have made of it goes, then itself. Also of one whose port
 * did not open: it was found by its identities by then. Under vport_mutex.
 */
static void vport_end(struct engine *engine, struct vport *v)
{
	struct in6_addr any = IN6ADDR_ANY_INIT;

	vport_leave(engine, v);
	if (v->port)
		port_close(v->port);
	session_kill_all(
		v, vport_role(v) == ROLE_MOVED ? PLUGIN_CLOSE_MOVED : PLUGIN_CLOSE_OPERATOR);
	engine_grace(engine);
	/* Now no worker has it; what fragments of its sessions left behind goes last. */
	frag_flush(engine->frags, v, v->vni, &any);
	engine_grace(engine);
	pthread_mutex_lock(&engine->mutex);
	engine->leaving = NULL;
	pthread_mutex_unlock(&engine->mutex);
	plugin_host_vport_del(engine, v);
}

/* Under vport_mutex. */
static int vport_add(struct engine *engine, const struct vport_spec *spec, struct vport **out,
	char *error, size_t error_len)
{
	struct port_params port = spec->port;
	struct port *opened;
	struct vport *v;
	int rc;

	if (spec->ip_count > VPORT_IPS_MAX || spec->allowed_count > VPORT_IPS_MAX ||
		spec->group_count > VPORT_GROUPS_MAX)
		return engine_fail(error, error_len, -E2BIG,
			"vport %s: at most %d addresses and %d groups", spec->name, VPORT_IPS_MAX,
			VPORT_GROUPS_MAX);
	v = vport_alloc(engine, spec);
	if (!v)
		return engine_fail(error, error_len, -ENOMEM, "out of memory");
	vport_fill(engine, v, spec);
	rc = vport_enter(engine, v, spec, error, error_len);
	if (rc != 0) {
		vport_free(v);
		return rc;
	}
	port.name = v->name;
	port.pool = engine->pool;
	port.queues = v->queues;
	port.tx_queues = engine->worker_count;
	port.mtu = v->mtu;
	port.listener = (struct port_listener){.event = vport_port_event, .arg = v};
	rc = port_open(&port, &opened, error, error_len);
	if (rc != 0) {
		vport_end(engine, v);
		vport_free(v);
		return rc;
	}
	atomic_store(&v->port, opened);
	pthread_mutex_lock(&engine->mutex);
	rc = engine_poll_sets(engine);
	pthread_mutex_unlock(&engine->mutex);
	*out = v;
	return rc;
}

int engine_vport_add(struct engine *engine, const struct vport_spec *spec, struct vport **out,
	char *error, size_t error_len)
{
	struct vport *v = NULL;
	int rc;

	pthread_mutex_lock(&engine->vport_mutex);
	rc = vport_add(engine, spec, &v, error, error_len);
	pthread_mutex_unlock(&engine->vport_mutex);
	if (!v)
		return rc;
	/* The port may have been up before anyone listened. */
	if (port_rings_up(v->port))
		engine_role_event(v, ROLE_RINGS_UP, 0);
	*out = v;
	return rc;
}

/* ---- change and death ---- */

/* Plugins read views of vports, each under its own mutex: none does while all are held. */
static void plugins_hold(struct engine *engine)
{
	for (uint16_t i = 0; i < engine->plugin_count; i++)
		pthread_mutex_lock(&engine->plugin[i].mutex);
}

static void plugins_let_go(struct engine *engine)
{
	for (uint16_t i = engine->plugin_count; i-- > 0;)
		pthread_mutex_unlock(&engine->plugin[i].mutex);
}

/* Its addresses become `own` in the view, the slot and the location table; returns those before. */
static struct vport_addresses *vport_readdress(
	struct engine *engine, struct vport *v, struct vport_addresses *own, int *rc)
{
	struct vport_addresses *old;

	plugins_hold(engine);
	pthread_mutex_lock(&engine->mutex);
	old = atomic_exchange(&v->addresses, own);
	atomic_store(&v->pair_macs, has_pair_macs(own, &v->mac));
	plugin_view_change(v, own);
	*rc = engine_identities_add(engine, v);
	if (*rc == 0)
		engine_identities_prune(engine, v);
	pthread_mutex_unlock(&engine->mutex);
	plugins_let_go(engine);
	return old;
}

/* Under vport_mutex. *unused: the addresses that are not the vport's, to be freed after a grace
 * period. */
static int vport_change(struct engine *engine, struct vport *v, const struct vport_spec *spec,
	struct vport_addresses **unused, struct error_line *error)
{
	struct vport_addresses *own = *unused;
	int rc = plugin_host_vport_check(engine, spec->plugins, error->text, error->len), ignored;

	if (rc != 0)
		return rc;
	*unused = vport_readdress(engine, v, own, &rc);
	if (rc == 0)
		rc = plugin_host_vport_change(engine, v, spec->plugins, error->text, error->len);
	else
		engine_fail(error->text, error->len, rc, "vport %s: identity in use", v->name);
	if (rc != 0) {
		*unused = vport_readdress(engine, v, *unused, &ignored);
		return rc;
	}
	pthread_mutex_lock(&engine->mutex);
	vport_settings(engine, v, spec);
	pthread_mutex_unlock(&engine->mutex);
	return 0;
}

static bool pair_in(const struct vport_addresses *own, const struct in6_addr *addr, uint8_t plen)
{
	for (uint16_t i = 0; i < own->allowed_count; i++)
		if (own->allowed_plen[i] == plen && addr_equal(&own->allowed[i], addr))
			return true;
	return false;
}

/* Is there one before that is not there now? */
static bool addresses_lost(const struct vport_addresses *before, const struct vport_addresses *now)
{
	uint16_t same = 0;

	for (uint16_t i = 0; i < before->ip_count; i++)
		for (uint16_t n = 0; n < now->ip_count; n++)
			same += addr_equal(&before->ip[i], &now->ip[n]);
	for (uint16_t i = 0; i < before->allowed_count; i++)
		if (!pair_in(now, &before->allowed[i], before->allowed_plen[i]))
			return true;
	return same < before->ip_count;
}

int engine_vport_change(struct engine *engine, struct vport *v, const struct vport_spec *spec,
	char *error, size_t error_len)
{
	struct vport_addresses *unused = addresses_make(spec);
	struct error_line line = {.text = error, .len = error_len};
	bool lost;
	int rc;

	if (!unused)
		return engine_fail(error, error_len, -ENOMEM, "out of memory");
	pthread_mutex_lock(&engine->vport_mutex);
	rc = vport_change(engine, v, spec, &unused, &line);
	lost = rc == 0 && addresses_lost(unused, atomic_load(&v->addresses));
	pthread_mutex_unlock(&engine->vport_mutex);
	engine_grace(engine);
	if (lost)
		session_import_disown(v);
	free(unused);
	if (rc == 0)
		engine_policy_changed(engine, v);
	return rc;
}

int engine_vport_del(struct engine *engine, struct vport *v)
{
	pthread_mutex_lock(&engine->vport_mutex);
	vport_end(engine, v);
	pthread_mutex_unlock(&engine->vport_mutex);
	engine_deferred_run(engine, false);
	vport_free(v);
	return 0;
}

/* ---- looking ---- */

struct vport *engine_vport_find(struct engine *engine, const char *name)
{
	struct vport *v;

	pthread_mutex_lock(&engine->mutex);
	v = vport_by_name(engine, name);
	pthread_mutex_unlock(&engine->mutex);
	return v;
}

struct vport *engine_vport_at(struct engine *engine, unsigned int id)
{
	return id < VPORT_MAX ? atomic_load_explicit(&engine->vport[id], memory_order_acquire)
			      : NULL;
}

int engine_vport_foreach(struct engine *engine, int (*cb)(struct vport *, void *), void *arg)
{
	int rc = 0;

	pthread_mutex_lock(&engine->mutex);
	for (unsigned int i = 0; i < VPORT_MAX && rc == 0; i++) {
		struct vport *v = atomic_load(&engine->vport[i]);

		if (v)
			rc = cb(v, arg);
	}
	pthread_mutex_unlock(&engine->mutex);
	return rc;
}

void engine_vport_stats(const struct vport *v, struct port_stats *sum)
{
	memset(sum, 0, sizeof(*sum));
	for (uint16_t i = 0; i <= v->engine->worker_count; i++)
		port_stats_add(sum, &v->stats[i]);
	if (v->port)
		sum->rx_missed = port_rx_missed(v->port);
}

void engine_policy_changed(struct engine *engine, struct vport *vport)
{
	for (unsigned int i = 0; i < VPORT_MAX; i++) {
		struct vport *v = atomic_load(&engine->vport[i]);

		if (v && (!vport || v == vport))
			atomic_fetch_add(&v->policy_gen, 1);
	}
}
