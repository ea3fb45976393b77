/* SPDX-License-Identifier: BSD-3-Clause */
#include "ctrl/replay/play.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ctrl/replay/play_impl.h"

#define STEP_NS 10000000ull /* of the clock, between frames */
#define STEPS_MAX 10000 /* of one gap */
#define TICK_NS 100000000ull
#define WARM_UP_NS 200000000ull
#define WARM_UPS 64

uint64_t play_clock_now(void *clock)
{
	return ((struct play_clock *)clock)->now_ns;
}

/* ---- life ---- */

static void host_init(struct play_host *host, struct setup *setup)
{
	const struct config_uplink *uplink = &setup_config(setup)->uplink;

	host->setup = setup;
	host->engine = setup_engine(setup);
	for (uint32_t i = 0; i < uplink->n_ips && i < 2; i++)
		host->vtep[i] = uplink->ips[i].addr;
}

int play_create(const struct play_params *params, struct play **out, char *error, size_t error_len)
{
	struct play *p = calloc(1, sizeof(*p));
	int rc;

	if (!p)
		return -ENOMEM;
	p->options = params->options;
	p->timeline = params->timeline;
	p->clock = params->clock;
	p->first_ns = params->first_ns;
	for (; p->hosts < PLAY_HOSTS && params->setup[p->hosts]; p->hosts++)
		host_init(&p->host[p->hosts], params->setup[p->hosts]);
	rc = play_ports_open(p, error, error_len);
	for (unsigned int i = 0; i < p->options->n_inputs && rc == 0; i++) {
		const char *name = p->options->inputs[i].port;

		p->input[i] = play_port_find(p, name);
		if (p->input[i] || strcmp(name, PLAY_BY_SOURCE) == 0)
			continue;
		rc = -ENOENT;
		snprintf(error, error_len, "--in %s=...: the config has no such port", name);
	}
	if (rc != 0) {
		play_destroy(p);
		return rc;
	}
	*out = p;
	return 0;
}

int play_destroy(struct play *p)
{
	int rc;

	if (!p)
		return 0;
	play_ports_close(p);
	rc = p->output_error;
	free(p);
	return rc;
}

void play_event_add(struct play *p, struct play_event *event)
{
	struct play_event **at = &p->events;

	while (*at && (*at)->at_ns <= event->at_ns)
		at = &(*at)->next;
	event->next = *at;
	*at = event;
}

/* ---- turns ---- */

void play_turn(struct play *p)
{
	for (unsigned int i = 0; i < p->hosts; i++)
		engine_poll(p->host[i].engine);
	play_collect(p);
}

/* Until nothing moves any more; two turns of rest, for what one host has sent to the other. */
static void settle(struct play *p)
{
	unsigned int resting = 0;

	while (resting < 2) {
		uint64_t carried = p->counts.carried + p->counts.resolved;
		uint32_t packets = 0;

		for (unsigned int i = 0; i < p->hosts; i++)
			packets += engine_poll(p->host[i].engine);
		play_collect(p);
		if (packets == 0 && carried == p->counts.carried + p->counts.resolved)
			resting++;
		else
			resting = 0;
	}
}

static void clock_set(struct play *p, uint64_t now_ns)
{
	p->clock->now_ns = now_ns;
	for (unsigned int i = 0; i < p->hosts; i++) {
		struct play_host *host = &p->host[i];

		if (now_ns < host->next_tick_ns)
			continue;
		host->next_tick_ns = now_ns + TICK_NS;
		engine_tick(host->engine);
	}
}

static void clock_run(struct play *p, uint64_t to_ns)
{
	uint64_t gap_ns = to_ns - p->clock->now_ns;
	uint64_t step_ns = RTE_MAX(STEP_NS, gap_ns / STEPS_MAX);

	while (p->clock->now_ns < to_ns) {
		clock_set(p, RTE_MIN(p->clock->now_ns + step_ns, to_ns));
		if (p->clock->now_ns < to_ns)
			settle(p);
	}
}

/* Go on to a time, by way of the events before it. */
static int advance(struct play *p, uint64_t at_ns, char *error)
{
	int rc = 0;

	while (rc == 0 && p->events && p->events->at_ns <= at_ns) {
		struct play_event *event = p->events;

		if (PLAY_START_NS + event->at_ns > p->clock->now_ns)
			clock_run(p, PLAY_START_NS + event->at_ns);
		settle(p);
		p->events = event->next;
		rc = event->run(p, event->arg, error);
		settle(p);
	}
	if (rc == 0)
		clock_run(p, PLAY_START_NS + at_ns);
	return rc;
}

/* Before the first frame: the uplinks learn who their next hops are. */
static void warm_up(struct play *p)
{
	uint64_t resolved;
	unsigned int i = 0;

	p->clock->now_ns = PLAY_START_NS - (WARM_UPS + 1) * WARM_UP_NS;
	do {
		resolved = p->counts.resolved;
		clock_set(p, p->clock->now_ns + WARM_UP_NS);
		settle(p);
	} while (++i < WARM_UPS && (p->counts.resolved > resolved || i < 2));
	clock_set(p, PLAY_START_NS);
	settle(p);
}

/* ---- frames ---- */

static int give(struct play *p, const struct timeline_frame *next, char *error)
{
	struct play_port *port = play_port_of(p, next);
	int rc;

	if (!port || !port->port[port->host]) {
		p->counts.homeless++;
		return 0;
	}
	if (next->frame.missing_bytes > 0) {
		if (p->options->skip_snapped) {
			p->counts.skipped++;
			return 0;
		}
		p->counts.padded++;
	}
	rc = play_inject(p, port, &next->frame);
	if (rc != 0) {
		snprintf(error, PLAY_ERROR_MAX,
			"%s: frame %u: no packet buffers for it (engine.mbufs)",
			p->options->inputs[next->capture].path, next->frame.number);
		return rc;
	}
	port->in++;
	p->counts.frames++;
	p->capture_frames[next->capture]++;
	settle(p);
	return 0;
}

/* A frame of a VM that does not run waits until it does, and so does all that comes behind. */
static uint64_t frame_time(struct play *p, const struct timeline_frame *next)
{
	uint64_t at_ns = next->at_ns + p->shift_ns;
	const struct play_port *port;

	if (at_ns >= p->paused_until_ns)
		return at_ns;
	port = play_port_of(p, next);
	if (!port || !port->paused)
		return at_ns;
	p->shift_ns += p->paused_until_ns - at_ns;
	p->counts.moved_ns = p->shift_ns;
	return p->paused_until_ns;
}

static int play_frames(struct play *p, char *error)
{
	struct timeline_frame next;
	char why[CAPTURE_ERROR_MAX] = "";
	uint64_t last_ns = 0;
	int rc;

	while ((rc = timeline_next(p->timeline, &next, why)) == 1) {
		/* Events on the way may pause a VM. */
		rc = advance(p, next.at_ns + p->shift_ns, error);
		if (rc == 0) {
			last_ns = frame_time(p, &next);
			rc = advance(p, last_ns, error);
		}
		if (rc == 0)
			rc = give(p, &next, error);
		if (rc != 0)
			return rc;
	}
	if (rc < 0) {
		snprintf(error, PLAY_ERROR_MAX, "%s", why);
		return rc;
	}
	last_ns = RTE_MAX(last_ns, p->paused_until_ns);
	rc = advance(p, last_ns + p->options->tail_ns, error);
	settle(p);
	return rc;
}

int play_run(struct play *p, char *error, size_t error_len)
{
	char why[PLAY_ERROR_MAX] = "";
	int rc;

	warm_up(p);
	rc = play_frames(p, why);
	if (rc == 0 && p->output_error) {
		rc = p->output_error;
		snprintf(why, sizeof(why), "output: %s", strerror(-rc));
	}
	if (rc != 0)
		snprintf(error, error_len, "%s", why);
	return rc;
}

/* ---- a VM's pause ---- */

int play_vm_pause(struct play *p, const char *vport, uint64_t until_ns)
{
	struct play_port *port = play_port_find(p, vport);

	if (!port)
		return -ENOENT;
	port->paused = true;
	p->paused_until_ns = until_ns;
	return 0;
}

void play_vm_run(struct play *p, unsigned int host)
{
	for (unsigned int i = 0; i < p->n_ports; i++) {
		if (!p->ports[i].paused)
			continue;
		p->ports[i].paused = false;
		p->ports[i].host = host;
	}
	p->paused_until_ns = 0;
}

void play_counts(const struct play *p, struct play_counts *counts)
{
	*counts = p->counts;
}

uint64_t play_capture_frames(const struct play *p, unsigned int capture)
{
	return p->capture_frames[capture];
}
