/* SPDX-License-Identifier: BSD-3-Clause */
/* The agents of the two hosts and their clock. */
#include "test/fake/fake_hosts_impl.h"

#include <stdio.h>
#include <stdlib.h>

static struct host *starting; /* makecontext() passes no pointers */

static void agent_main(void)
{
	struct host *host = starting;
	struct handover *handover = &host->handover;

	handover->outcome = host->side == HANDOVER_SOURCE
				    ? handover_run_source(handover, host->record)
				    : handover_run_dest(handover, host->record);
	host->live = false;
	host->ended = true;
	swapcontext(&host->context, &host->hosts->scheduler);
}

static void agent_start(struct host *host)
{
	struct handover *handover = &host->handover;
	bool was_running = handover->was_running || host->side == HANDOVER_DEST;

	*handover = (struct handover){.world = &hosts_world,
		.ctx = host,
		.was_running = was_running,
		.qemu_dead = host->record != MARK_SILENT && !host->qemu,
		.side = host->side,
		.mark = host->record,
		.policy = {.pause_before_switchover = !host->hosts->plan->no_pause,
			.prepare_ms = 5000,
			.sessions_ms = 5000,
			.copy_ms = 20000,
			.pause_max_ms = 2000,
			.cancel_ms = 500,
			.alarm_ms = 5000}};
	if (host->side == HANDOVER_DEST && host->hosts->plan->was_paused)
		handover->was_running = false;
	host->exists = host->live = true;
	host->n_inputs = 0;
	free(host->stack);
	host->stack = malloc(STACK_BYTES);
	getcontext(&host->context);
	host->context.uc_stack.ss_sp = host->stack;
	host->context.uc_stack.ss_size = STACK_BYTES;
	host->context.uc_link = &host->hosts->scheduler;
	makecontext(&host->context, agent_main, 0);
	starting = host;
	host->deadline_ns = host->hosts->now_ns;
	swapcontext(&host->hosts->scheduler, &host->context);
}

static void word_arrives(struct host *host, const struct handover_input *word)
{
	struct handover_input up = {.kind = INPUT_PEER_UP};
	struct handover_input answer = {.kind = INPUT_PEER, .mark = MARK_UNKNOWN};

	if (host->live) {
		if (host->side == HANDOVER_DEST)
			host->handover.was_running = hosts_other(host)->handover.was_running;
		hosts_give(host, word);
	} else if (!host->exists && word->mark == MARK_PREPARE) {
		agent_start(host);
		hosts_give(host, &up);
		hosts_give(host, word);
	} else if (host->ended || !host->exists) {
		if (host->record != MARK_SILENT)
			answer.mark = host->record;
		hosts_schedule(hosts_other(host), MS, EVENT_WORD, &answer);
	}
}

/* A new connection: both say what they stand for. */
static void connect_hosts(struct hosts *hosts)
{
	struct handover_input up = {.kind = INPUT_PEER_UP}, word = {.kind = INPUT_PEER};
	unsigned int i;

	if (!hosts->host[HANDOVER_SOURCE].live)
		return;
	hosts->link_up = true;
	for (i = 0; i < 2; i++) {
		hosts_give(&hosts->host[i], &up);
		word.mark =
			hosts->host[i].live ? hosts->host[i].handover.mark : hosts->host[i].record;
		if (word.mark != MARK_SILENT)
			hosts_schedule(hosts_other(&hosts->host[i]), MS, EVENT_WORD, &word);
	}
}

static void agent_restarts(struct host *host)
{
	agent_start(host);
	/* without a record there is nothing to take up */
	if (host->record == MARK_SILENT)
		host->live = false, host->exists = false;
	hosts_schedule(&host->hosts->host[HANDOVER_SOURCE], 10 * MS, EVENT_CONNECT, NULL);
}

static void qemu_gate(struct host *source)
{
	const struct hosts_plan *plan = source->hosts->plan;

	if (source->status != QMP_STATUS_ACTIVE)
		return;
	if (plan->strange_status) {
		struct handover_input input = {
			.kind = INPUT_QMP_STATUS, .status = QMP_STATUS_UNKNOWN};

		hosts_give(source, &input);
	}
	if (plan->no_pause) {
		hosts_schedule(hosts_other(source), 5 * MS, EVENT_QEMU_LOADED, NULL);
		return;
	}
	hosts_give_status(source, QMP_STATUS_PRE_SWITCHOVER, true);
}

static void qemu_loaded(struct host *dest)
{
	struct host *source = hosts_other(dest);

	if (!dest->qemu || !dest->incoming || !dest->hosts->stream_whole)
		return;
	if (dest->hosts->plan->end_status != NULL) {
		hosts_give_status(source, qmp_status_parse(dest->hosts->plan->end_status), true);
		hosts_set_vcpus(source, source->handover.was_running);
		hosts_qemu_dies(dest);
		return;
	}
	hosts_give_status(dest, QMP_STATUS_COMPLETED, true);
	if (dest->hosts->plan->no_stop_flag)
		hosts_set_vcpus(dest, true);
	hosts_schedule(source, MS, EVENT_QEMU_DONE, NULL);
}

static void operator_resolves(struct hosts *hosts)
{
	struct host *source = &hosts->host[HANDOVER_SOURCE], *dest = &hosts->host[HANDOVER_DEST];
	struct handover_input run = {.kind = INPUT_RESOLVE_RUN};
	struct handover_input drop = {.kind = INPUT_RESOLVE_DROP};

	hosts_give(source, dest->vcpus ? &drop : &run);
	if (!dest->vcpus)
		hosts_give(dest, &drop);
}

static void event_happens(struct hosts *hosts, const struct event *event)
{
	struct host *host = &hosts->host[event->side];
	struct handover_input lost = {.kind = INPUT_PEER_LOST};

	switch (event->kind) {
	case EVENT_INPUT:
		hosts_give(host, &event->input);
		break;
	case EVENT_WORD:
		if (event->link == hosts->link && hosts->link_up)
			word_arrives(host, &event->input);
		break;
	case EVENT_RESTART:
		agent_restarts(host);
		break;
	case EVENT_CONNECT:
		connect_hosts(hosts);
		break;
	case EVENT_PEER_LOST:
		if (event->link == hosts->link && !hosts->link_up)
			hosts_give(host, &lost);
		break;
	case EVENT_DISK_WORKS:
		host->disk_broken = false;
		break;
	case EVENT_OPERATOR:
		operator_resolves(hosts);
		break;
	case EVENT_USER_STOP:
		if (host->status == QMP_STATUS_ACTIVE)
			hosts_set_vcpus(host, false);
		break;
	case EVENT_QEMU_STOP:
		if (host->held) {
			hosts_schedule(host, 10 * MS, EVENT_QEMU_STOP, NULL);
			break;
		}
		if (host->status == QMP_STATUS_ACTIVE && host->vcpus)
			hosts_set_vcpus(host, false);
		hosts_schedule(host, MS / 10, EVENT_QEMU_GATE, NULL);
		break;
	case EVENT_QEMU_GATE:
		qemu_gate(host);
		break;
	case EVENT_QEMU_LOADED:
		qemu_loaded(host);
		break;
	case EVENT_QEMU_DONE:
		if (host->qemu && hosts->stream_whole && !qmp_status_final(host->status))
			hosts_give_status(host, QMP_STATUS_COMPLETED, true);
		break;
	}
}

static void watch(struct hosts *hosts)
{
	struct host *source = &hosts->host[HANDOVER_SOURCE], *dest = &hosts->host[HANDOVER_DEST];
	const char **violation = &hosts->result->violation;

	if (*violation != NULL || hosts->plan->no_stop_flag)
		return;
	if (source->vcpus && dest->vcpus)
		*violation = "two VMs run";
	else if (dest->vcpus && dest->record != MARK_RUN && dest->record != MARK_RUNNING)
		*violation = "D runs without having recorded it";
	else if (source->vcpus && (source->record == MARK_GAVE || source->record == MARK_DONE))
		*violation = "S runs a VM it gave away";
	else if (source->vcpus && (dest->record == MARK_RUN || dest->record == MARK_RUNNING))
		*violation = "S runs although D recorded that it does";
}

/* Queries tell what lost events did not: the real world asks now and then. */
static void query(struct host *host)
{
	struct handover_input input = {.kind = INPUT_QMP_STATUS, .status = host->status};

	if (host->live && host->qemu && host->handover.started &&
		!qmp_status_final(host->handover.status))
		hosts_give(host, &input);
}

static bool pop_event(struct hosts *hosts, uint64_t until_ns, struct event *event)
{
	unsigned int i, first = 0;

	for (i = 1; i < hosts->n_events; i++)
		if (hosts->events[i].at_ns < hosts->events[first].at_ns ||
			(hosts->events[i].at_ns == hosts->events[first].at_ns &&
				hosts->events[i].serial < hosts->events[first].serial))
			first = i;
	if (hosts->n_events == 0 || hosts->events[first].at_ns > until_ns)
		return false;
	*event = hosts->events[first];
	hosts->events[first] = hosts->events[--hosts->n_events];
	return true;
}

static void run_agents(struct hosts *hosts)
{
	struct host *host;
	bool busy = true;
	unsigned int i;

	while (busy) {
		busy = false;
		for (i = 0; i < 2; i++) {
			host = &hosts->host[i];
			if (!host->live ||
				(host->n_inputs == 0 && hosts->now_ns < host->deadline_ns))
				continue;
			host->deadline_ns = UINT64_MAX;
			swapcontext(&hosts->scheduler, &host->context);
			watch(hosts);
			busy = true;
		}
	}
}

static void time_passes(struct hosts *hosts)
{
	uint64_t until_ns = hosts->now_ns + 50 * MS;
	struct event event;
	unsigned int i;

	for (i = 0; i < 2; i++)
		if (hosts->host[i].live && hosts->host[i].deadline_ns < until_ns)
			until_ns = hosts->host[i].deadline_ns;
	if (pop_event(hosts, until_ns, &event)) {
		hosts->now_ns = event.at_ns;
		event_happens(hosts, &event);
	} else {
		hosts->now_ns = until_ns;
		for (i = 0; i < 2; i++)
			query(&hosts->host[i]);
	}
	watch(hosts);
}

static void fill_result(struct hosts *hosts)
{
	struct host *source = &hosts->host[HANDOVER_SOURCE], *dest = &hosts->host[HANDOVER_DEST];
	struct hosts_result *result = hosts->result;

	result->source = source->ended ? source->handover.outcome : OUTCOME_NONE;
	result->dest = dest->ended ? dest->handover.outcome : OUTCOME_NONE;
	result->source_runs = source->vcpus;
	result->dest_runs = dest->vcpus;
	result->source_dead = !source->qemu;
	result->source_recorded = source->record != MARK_SILENT;
	result->dest_dead = !dest->qemu;
	result->source_calls = source->calls;
	result->dest_calls = dest->calls;
	result->took_ms = hosts->now_ns / MS;
	snprintf(result->source_reason, sizeof(result->source_reason), "%s",
		source->handover.reason);
	result->source_report = handover_report(&source->handover);
}

void hosts_run(const struct hosts_plan *plan, struct hosts_result *result)
{
	struct hosts hosts = {.plan = plan, .result = result, .now_ns = MS, .link_up = true};
	struct handover_input up = {.kind = INPUT_PEER_UP};
	unsigned int i;

	*result = (struct hosts_result){0};
	for (i = 0; i < 2; i++) {
		hosts.host[i].hosts = &hosts;
		hosts.host[i].side = i;
	}
	hosts.host[HANDOVER_SOURCE].qemu = true;
	hosts.host[HANDOVER_SOURCE].vcpus = !plan->was_paused;
	if (plan->operator_comes)
		hosts_schedule(&hosts.host[HANDOVER_SOURCE], 15000 * MS, EVENT_OPERATOR, NULL);
	agent_start(&hosts.host[HANDOVER_SOURCE]);
	hosts_give(&hosts.host[HANDOVER_SOURCE], &up);
	while (hosts.now_ns < LAST_MS * MS &&
		(hosts.host[0].live || hosts.host[1].live || hosts.n_events != 0)) {
		run_agents(&hosts);
		time_passes(&hosts);
	}
	fill_result(&hosts);
	free(hosts.host[0].stack);
	free(hosts.host[1].stack);
}
