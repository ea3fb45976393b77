/* SPDX-License-Identifier: BSD-3-Clause */
#include "ctrl/replay/move.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "ctrl/migrate/replay_move.h"
#include "ctrl/migrate/report.h"
#include "ctrl/replay/underlay.h"
#include "dataplane/addr.h"

#define HOST_NAME "replay-destination"
#define STEP_MS 20000 /* of real time, for one step */
#define EVENTS 3

struct move {
	const struct replay_migrate *migrate;
	struct config *source;
	struct config destination;
	struct config_peer peers[2]; /* the other host, as each sees it */
	struct config_peer *peer_lists[2];
	struct config_location *locations; /* the destination's */
	struct config_prefix vtep[2]; /* the destination's */
	struct replay_move *replay;
	struct play *play;
	struct play_event events[EVENTS];
	char run_dir[64];
	bool failed;
};

/* ---- the second host ---- */

static bool vtep_taken(const struct config *config, const struct in6_addr *addr)
{
	for (uint32_t i = 0; i < config->uplink.n_ips; i++)
		if (addr_equal(&config->uplink.ips[i].addr, addr))
			return true;
	for (uint32_t i = 0; i < config->uplink.n_gateways; i++)
		if (addr_equal(&config->uplink.gateways[i], addr))
			return true;
	for (uint32_t i = 0; i < config->n_peers; i++)
		for (uint32_t n = 0; n < config->peers[i].n_vteps; n++)
			if (addr_equal(&config->peers[i].vteps[n], addr))
				return true;
	return false;
}

/* Next to the first host's, free. */
static struct config_prefix vtep_free(const struct config *config, const struct config_prefix *own)
{
	struct config_prefix vtep = *own;

	do
		vtep.addr.s6_addr[15]++;
	while (vtep_taken(config, &vtep.addr));
	return vtep;
}

/* A host's peers and one more. */
static int peer_add(struct move *m, unsigned int which, struct config *config)
{
	struct config_peer *list = calloc(config->n_peers + 1u, sizeof(*list));

	if (!list)
		return -ENOMEM;
	if (config->n_peers > 0)
		memcpy(list, config->peers, config->n_peers * sizeof(*list));
	list[config->n_peers] = m->peers[which];
	config->peers = m->peer_lists[which] = list;
	config->n_peers++;
	return 0;
}

/* What is at the first host, seen from the second: remote. */
static int locations_make(struct move *m)
{
	const struct config *s = m->source;
	uint32_t count = s->n_locations;

	for (uint32_t i = 0; i < s->n_vports; i++)
		count += s->vports[i].n_ips;
	m->locations = calloc(count ? count : 1, sizeof(*m->locations));
	if (!m->locations)
		return -ENOMEM;
	if (s->n_locations > 0)
		memcpy(m->locations, s->locations, s->n_locations * sizeof(*m->locations));
	count = s->n_locations;
	for (uint32_t i = 0; i < s->n_vports; i++)
		for (uint32_t n = 0; n < s->vports[i].n_ips; n++) {
			struct config_location *location = &m->locations[count++];

			location->vpc = s->vports[i].vpc;
			location->vni = s->vports[i].vni;
			location->ip = s->vports[i].ips[n];
			location->vtep = s->uplink.ips[0].addr;
			memcpy(location->mac, s->vports[i].mac, sizeof(location->mac));
			location->groups = s->vports[i].groups;
			location->n_groups = s->vports[i].n_groups;
		}
	m->destination.locations = m->locations;
	m->destination.n_locations = count;
	return 0;
}

static int hosts_make(struct move *m)
{
	struct config *s = m->source, *d = &m->destination;
	struct rte_ether_addr mac;
	int rc;

	if (!s->host.name)
		s->host.name = "replay";
	*d = *s;
	d->host.name = HOST_NAME;
	d->vports = NULL;
	d->n_vports = 0;
	d->nat_leases = NULL;
	d->n_nat_leases = 0;
	for (uint32_t i = 0; i < s->uplink.n_ips && i < 2; i++)
		m->vtep[i] = vtep_free(s, &s->uplink.ips[i]);
	d->uplink.ips = m->vtep;
	mac = underlay_mac(&m->vtep[0].addr);
	memcpy(d->uplink.mac, &mac, sizeof(d->uplink.mac));
	m->peers[0] =
		(struct config_peer){.name = HOST_NAME, .vteps = &m->vtep[0].addr, .n_vteps = 1};
	m->peers[1] = (struct config_peer){
		.name = s->host.name, .vteps = &s->uplink.ips[0].addr, .n_vteps = 1};
	rc = locations_make(m);
	if (rc == 0)
		rc = peer_add(m, 1, d);
	return rc == 0 ? peer_add(m, 0, s) : rc;
}

/* ---- life ---- */

static void idle(void *arg)
{
	struct move *m = arg;

	if (m->play)
		play_turn(m->play);
}

static int replay_create(
	struct move *m, const struct move_params *params, char *error, size_t error_len)
{
	struct clock_source clock = {.now_ns = play_clock_now, .arg = params->clock};
	struct replay_move_options options = {
		.source = {.config = m->source,
			.name = m->source->host.name,
			.clock = clock,
			.plugin_dir = params->plugin_dir,
			.engine_name = "source"},
		.destination = {.config = &m->destination,
			.name = HOST_NAME,
			.clock = clock,
			.plugin_dir = params->plugin_dir,
			.engine_name = "dest"},
		.run_dir = m->run_dir,
		.idle = idle,
		.idle_arg = m,
	};

	return replay_move_create(&options, &m->replay, error, error_len);
}

int move_create(const struct move_params *params, struct move **out, char *error, size_t error_len)
{
	const char *vport = params->migrate->vport;
	struct move *m = calloc(1, sizeof(*m));
	int rc;

	if (!m)
		return -ENOMEM;
	m->migrate = params->migrate;
	m->source = params->config;
	if (!config_vport_find(params->config, vport) || params->config->uplink.n_ips == 0) {
		snprintf(error, error_len, "--migrate %s: the config has no such vport%s", vport,
			params->config->uplink.n_ips == 0 ? " or no uplink" : "");
		move_destroy(m);
		return -ENOENT;
	}
	snprintf(m->run_dir, sizeof(m->run_dir), "/tmp/ferry-replay-XXXXXX");
	rc = mkdtemp(m->run_dir) ? hosts_make(m) : -errno;
	if (rc == 0)
		rc = replay_create(m, params, error, error_len);
	else
		snprintf(error, error_len, "%s: %s", m->run_dir, strerror(-rc));
	if (rc != 0) {
		move_destroy(m);
		return rc;
	}
	*out = m;
	return 0;
}

/* The stores below it, and itself. */
static void run_dir_remove(const char *dir)
{
	char command[128];

	snprintf(command, sizeof(command), "rm -rf '%s'", dir);
	if (system(command) != 0)
		fprintf(stderr, "ferry-replay: %s stays\n", dir);
}

void move_destroy(struct move *m)
{
	if (!m)
		return;
	replay_move_destroy(m->replay);
	if (m->run_dir[0])
		run_dir_remove(m->run_dir);
	free(m->peer_lists[0]);
	free(m->peer_lists[1]);
	free(m->locations);
	free(m);
}

struct setup *move_setup(const struct move *m, unsigned int host)
{
	return replay_move_setup(m->replay, host == 1);
}

/* ---- the steps ---- */

static int step_end(struct move *m, const char *step, int rc, char *error)
{
	if (rc == 0)
		return 0;
	m->failed = true;
	snprintf(error, PLAY_ERROR_MAX, "the move failed: %s: %s", step,
		replay_move_reason(m->replay)[0] ? replay_move_reason(m->replay) : strerror(-rc));
	return rc;
}

static int step_copy(struct play *play, void *arg, char *error)
{
	struct move *m = arg;
	int rc = replay_move_start(m->replay, m->migrate->vport);

	if (rc == 0)
		rc = replay_move_ready(m->replay, STEP_MS);
	if (rc == 0)
		rc = play_ports_refresh(play, error, PLAY_ERROR_MAX);
	return step_end(m, "copy", rc, error);
}

/* All vports of the VM stand still. */
static int step_pause(struct play *play, void *arg, char *error)
{
	struct move *m = arg;
	const struct config_vport *moving = config_vport_find(m->source, m->migrate->vport);
	const char *vm = moving->vm ? moving->vm : moving->name;

	for (uint32_t i = 0; i < m->source->n_vports; i++) {
		const struct config_vport *v = &m->source->vports[i];

		if (strcmp(v->vm ? v->vm : v->name, vm) == 0)
			play_vm_pause(play, v->name, m->migrate->at_ns + m->migrate->pause_ns);
	}
	return step_end(m, "pause", replay_move_pause(m->replay, STEP_MS), error);
}

static int step_resume(struct play *play, void *arg, char *error)
{
	struct move *m = arg;
	int rc = replay_move_resume(m->replay, STEP_MS);

	if (rc == 0)
		play_vm_run(play, 1);
	return step_end(m, "resume", rc, error);
}

void move_schedule(struct move *m, struct play *play)
{
	const struct replay_migrate *at = m->migrate;
	const struct play_event events[EVENTS] = {
		{.at_ns = at->at_ns > at->copy_ns ? at->at_ns - at->copy_ns : 0,
			.run = step_copy,
			.arg = m},
		{.at_ns = at->at_ns, .run = step_pause, .arg = m},
		{.at_ns = at->at_ns + at->pause_ns, .run = step_resume, .arg = m},
	};

	m->play = play;
	for (unsigned int i = 0; i < EVENTS; i++) {
		m->events[i] = events[i];
		play_event_add(play, &m->events[i]);
	}
}

bool move_failed(const struct move *m)
{
	return m->failed;
}

void move_show(const struct move *m, struct out *out)
{
	bool found;

	out_object(out, "move");
	report_move(out, replay_move_mover(m->replay, false), replay_move_id(m->replay), &found);
	out_object_end(out);
}
