/* SPDX-License-Identifier: BSD-3-Clause */
/* QEMU, disk, cable and ferryd of the two hosts, and the faults. */
#include "test/fake/fake_hosts_impl.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct host *hosts_other(struct host *host)
{
	return &host->hosts->host[host->side == HANDOVER_SOURCE ? HANDOVER_DEST : HANDOVER_SOURCE];
}

void hosts_schedule(
	struct host *host, uint64_t in_ns, enum event_kind kind, const struct handover_input *input)
{
	struct hosts *hosts = host->hosts;
	struct event *event = &hosts->events[hosts->n_events++];

	if (hosts->n_events > EVENTS_MAX)
		abort();
	*event = (struct event){.at_ns = hosts->now_ns + in_ns,
		.serial = hosts->serial++,
		.kind = kind,
		.side = host->side,
		.link = hosts->link};
	if (input != NULL)
		event->input = *input;
}

void hosts_give(struct host *host, const struct handover_input *input)
{
	if (!host->live)
		return;
	if (host->n_inputs == INPUTS_MAX)
		abort();
	host->inputs[host->n_inputs++] = *input;
}

void hosts_give_status(struct host *host, enum qmp_status status, bool event)
{
	struct handover_input input = {
		.kind = INPUT_QMP_STATUS, .status = status, .heard_ns = host->hosts->now_ns};

	host->status = status;
	if (event && !host->hosts->plan->events_lost)
		hosts_give(host, &input);
}

void hosts_set_vcpus(struct host *host, bool run)
{
	struct handover_input input = {
		.kind = INPUT_VCPUS, .vcpus_run = run, .heard_ns = host->hosts->now_ns};

	host->vcpus = run;
	hosts_give(host, &input);
}

void hosts_qemu_dies(struct host *host)
{
	struct handover_input input = {.kind = INPUT_QEMU_DEAD};

	if (!host->qemu)
		return;
	host->qemu = false;
	host->vcpus = false;
	hosts_give(host, &input);
}

/* The memory path is cut: what each QEMU makes of it. */
static void stream_breaks(struct hosts *hosts)
{
	struct host *source = &hosts->host[HANDOVER_SOURCE], *dest = &hosts->host[HANDOVER_DEST];
	struct handover_input lost = {.kind = INPUT_CARRY_LOST};
	bool loaded = dest->status == QMP_STATUS_COMPLETED;

	if (!hosts->stream_whole)
		return;
	hosts->stream_whole = false;
	if (dest->qemu && dest->incoming && !loaded)
		hosts_qemu_dies(dest); /* a failed incoming QEMU exits */
	if (!source->qemu || source->status < QMP_STATUS_SETUP || qmp_status_final(source->status))
		return;
	hosts_give(source, &lost);
	if (source->status == QMP_STATUS_PRE_SWITCHOVER)
		return; /* writes nothing, notices nothing */
	if (loaded && !hosts->plan->shut_lost) {
		hosts_give_status(source, QMP_STATUS_COMPLETED, true);
		return;
	}
	hosts_give_status(source, QMP_STATUS_FAILED, true);
	if (source->handover.was_running)
		hosts_set_vcpus(source, true);
}

static void link_breaks(struct hosts *hosts, uint64_t for_ns)
{
	unsigned int i;

	hosts->link_up = false;
	hosts->link++;
	stream_breaks(hosts);
	for (i = 0; i < 2; i++)
		hosts_schedule(&hosts->host[i], PEER_MS * MS, EVENT_PEER_LOST, NULL);
	if (for_ns != 0)
		hosts_schedule(&hosts->host[HANDOVER_SOURCE], for_ns, EVENT_CONNECT, NULL);
}

static void agent_dies(struct host *host)
{
	host->live = false;
	host->n_inputs = 0;
	stream_breaks(host->hosts);
	host->hosts->link_up = false;
	host->hosts->link++;
	if (hosts_other(host)->live)
		hosts_schedule(hosts_other(host), PEER_MS * MS, EVENT_PEER_LOST, NULL);
	hosts_schedule(host, 100 * MS, EVENT_RESTART, NULL);
	swapcontext(&host->context, &host->hosts->scheduler);
	abort(); /* nobody comes back here */
}

static void fault_strikes(struct host *host)
{
	struct handover_input failed = {.kind = INPUT_SWITCH, .view = {.state = SWITCH_FAILED}};
	struct handover_input stop = {.kind = INPUT_ABORT, .reason = "test"};

	switch (host->hosts->plan->fault) {
	case FAULT_QEMU_DIES:
		hosts_qemu_dies(host);
		stream_breaks(host->hosts);
		break;
	case FAULT_LINK_BLINKS:
		link_breaks(host->hosts, 500 * MS);
		break;
	case FAULT_LINK_DIES:
		link_breaks(host->hosts, 0);
		break;
	case FAULT_FERRYD_FAILS:
		hosts_give(host, &failed);
		break;
	case FAULT_DISK_FAILS:
		host->disk_broken = true;
		hosts_schedule(host, 3000 * MS, EVENT_DISK_WORKS, NULL);
		break;
	case FAULT_ABORT:
		hosts_give(host, &stop);
		break;
	default:
		break;
	}
}

static bool fault_here(struct host *host)
{
	const struct hosts_plan *plan = host->hosts->plan;

	return !host->hosts->fault_done && plan->fault != FAULT_NONE && plan->side == host->side &&
	       plan->call == host->calls;
}

static void before_call(struct host *host)
{
	host->calls++;
	if (!fault_here(host) || host->hosts->plan->fault == FAULT_AGENT_DIES_AFTER)
		return;
	host->hosts->fault_done = true;
	if (host->hosts->plan->fault == FAULT_AGENT_DIES_BEFORE)
		agent_dies(host);
	fault_strikes(host);
}

static void after_call(struct host *host)
{
	if (!fault_here(host) || host->hosts->plan->fault != FAULT_AGENT_DIES_AFTER)
		return;
	host->hosts->fault_done = true;
	agent_dies(host);
}

/* ---- the world of one agent ---- */

static uint64_t world_now(void *ctx)
{
	struct host *host = ctx;

	return host->hosts->now_ns;
}

static int world_next(void *ctx, uint64_t deadline_ns, struct handover_input *input)
{
	struct host *host = ctx;

	if (host->n_inputs == 0) {
		host->deadline_ns = deadline_ns;
		swapcontext(&host->context, &host->hosts->scheduler);
	}
	if (host->n_inputs == 0)
		return -ETIMEDOUT;
	*input = host->inputs[0];
	memmove(host->inputs, host->inputs + 1, --host->n_inputs * sizeof(*input));
	return 0;
}

static void qemu_migrate(struct host *host)
{
	struct hosts *hosts = host->hosts;

	hosts_give_status(host, QMP_STATUS_ACTIVE, true);
	if (!hosts->link_up) {
		hosts->stream_whole = true;
		stream_breaks(hosts);
		return;
	}
	hosts->stream_whole = true;
	if (hosts->plan->stopped_by_user)
		hosts_schedule(host, 20 * MS, EVENT_USER_STOP, NULL);
	hosts_schedule(
		host, hosts->plan->stopped_by_user ? 800 * MS : 100 * MS, EVENT_QEMU_STOP, NULL);
}

static void qemu_continue(struct host *host)
{
	if (host->status != QMP_STATUS_PRE_SWITCHOVER)
		return;
	hosts_give_status(host, QMP_STATUS_DEVICE, true);
	if (!host->hosts->stream_whole) {
		host->hosts->stream_whole = true;
		stream_breaks(host->hosts);
	} else if (!host->hosts->plan->stalls) {
		hosts_schedule(hosts_other(host), 5 * MS, EVENT_QEMU_LOADED, NULL);
	}
}

static void qemu_cancel(struct host *host)
{
	if (host->status < QMP_STATUS_SETUP || qmp_status_final(host->status))
		return;
	hosts_give_status(host, QMP_STATUS_CANCELLED, true);
	if (host->handover.was_running)
		hosts_set_vcpus(host, true);
	hosts_qemu_dies(hosts_other(host));
	host->hosts->stream_whole = false;
}

static json_t *qemu_status(const struct host *host)
{
	const char *word = host->vcpus ? "running" : "paused";

	if (host->side == HANDOVER_DEST && host->status == QMP_STATUS_NONE)
		word = "inmigrate";
	return json_pack("{s:b, s:s}", "running", (int)host->vcpus, "status", word);
}

static int qemu_command(struct host *host, const char *command, json_t **reply, char *error)
{
	if (strcmp(command, "query-status") == 0)
		*reply = qemu_status(host);
	else if (strcmp(command, "query-migrate") == 0)
		*reply = json_pack("{s:s}", "status", qmp_status_name(host->status));
	else if (strcmp(command, "migrate") == 0)
		qemu_migrate(host);
	else if (strcmp(command, "migrate-continue") == 0)
		qemu_continue(host);
	else if (strcmp(command, "migrate_cancel") == 0)
		qemu_cancel(host);
	else if (strcmp(command, "migrate-incoming") == 0)
		host->incoming = true;
	else if (strcmp(command, "stop") == 0)
		hosts_set_vcpus(host, false);
	else if (strcmp(command, "cont") == 0 && host->side == HANDOVER_DEST &&
		 host->hosts->plan->cont_refused)
		return snprintf(error, 128, "no"), -EREMOTEIO;
	else if (strcmp(command, "cont") == 0)
		hosts_set_vcpus(host, true);
	return 0;
}

static void qemu_bandwidth(struct host *host, json_t *args)
{
	bool hold = json_integer_value(json_object_get(args, "max-bandwidth")) != 0;

	if (hold && !host->held)
		host->hosts->result->holds++;
	if (!hold && host->held)
		host->hosts->result->releases++;
	host->held = hold;
}

static int world_qmp(void *ctx, const char *command, json_t *args, json_t **reply, char *error)
{
	struct host *host = ctx;
	json_t *answer = NULL;
	int err;

	if (strcmp(command, "migrate-set-parameters") == 0)
		qemu_bandwidth(host, args);
	json_decref(args);
	before_call(host);
	if (!host->qemu)
		return -ENOTCONN;
	err = qemu_command(host, command, &answer, error);
	if (fault_here(host))
		json_decref(answer);
	after_call(host);
	if (reply != NULL)
		*reply = answer;
	else
		json_decref(answer);
	return err;
}

static int world_qemu_start(void *ctx, char *error)
{
	struct host *host = ctx;

	before_call(host);
	host->qemu = true;
	host->vcpus = false;
	host->status = QMP_STATUS_NONE;
	after_call(host);
	return 0;
}

static void world_qemu_stop(void *ctx)
{
	struct host *host = ctx;

	before_call(host);
	host->qemu = false;
	host->vcpus = false;
	after_call(host);
}

static int world_record(void *ctx, enum handover_mark mark, const char *reason)
{
	struct host *host = ctx;

	before_call(host);
	if (host->disk_broken)
		return -EIO;
	host->record = mark;
	after_call(host);
	return 0;
}

static int world_peer_say(void *ctx, enum handover_mark mark, const char *reason)
{
	struct host *host = ctx;
	struct handover_input word = {.kind = INPUT_PEER, .mark = host->handover.mark};

	before_call(host);
	if (host->hosts->link_up)
		hosts_schedule(hosts_other(host), MS, EVENT_WORD, &word);
	after_call(host);
	return 0;
}

static void ferryd_says(struct host *host, uint64_t in_ns, enum switch_state state)
{
	struct handover_input input = {.kind = INPUT_SWITCH, .view = {.state = state}};

	hosts_schedule(host, in_ns, EVENT_INPUT, &input);
}

static void ferryd_behind(struct host *host, uint64_t in_ns, bool behind, bool away)
{
	struct handover_input input = {.kind = INPUT_SWITCH,
		.view = {.state = SWITCH_READY, .behind = behind, .away = away}};

	hosts_schedule(host, in_ns, EVENT_INPUT, &input);
}

static int world_switch_phase(void *ctx, const char *phase, json_t *facts)
{
	struct host *host = ctx;
	struct hosts_result *result = host->hosts->result;

	json_decref(facts);
	before_call(host);
	host->hosts->phases_len += snprintf(result->phases + host->hosts->phases_len,
		sizeof(result->phases) - host->hosts->phases_len, "%c:%s ",
		host->side == HANDOVER_SOURCE ? 'S' : 'D', phase);
	if (host->hosts->phases_len >= sizeof(result->phases))
		host->hosts->phases_len = sizeof(result->phases) - 1;
	if (strcmp(phase, "start") == 0)
		ferryd_says(host, 30 * MS, SWITCH_READY);
	if (strcmp(phase, "stopped") == 0 && host->hosts->plan->ferryd_goes)
		ferryd_behind(host, 0, true, true);
	if (strcmp(phase, "copy") == 0 && host->hosts->plan->behind) {
		ferryd_behind(host, 20 * MS, true, false);
		ferryd_behind(host, 320 * MS, false, false);
	}
	if (strcmp(phase, "loaded") == 0)
		ferryd_says(host, 2 * MS,
			host->hosts->plan->never_verified ? SWITCH_FAILED : SWITCH_VERIFIED);
	after_call(host);
	return 0;
}

static int world_carry(void *ctx, enum carry_order order)
{
	struct host *host = ctx;

	before_call(host);
	if (order == CARRY_CLOSE)
		stream_breaks(host->hosts);
	after_call(host);
	return 0;
}

static void world_carry_rate(void *ctx, uint64_t bytes_per_s, bool hold)
{
	struct host *host = ctx;

	host->hosts->result->held_in_pause |= hold && !host->vcpus;
}

static void world_carried(void *ctx, uint64_t *memory_bytes, uint64_t *wire_bytes)
{
	*memory_bytes = *wire_bytes = 0;
}

static const char *world_carry_uri(void *ctx)
{
	return "unix:/none";
}

static void world_alarm(void *ctx, const char *text)
{
	struct host *host = ctx;

	host->hosts->result->alarms++;
}

const struct handover_world hosts_world = {
	.now_ns = world_now,
	.next = world_next,
	.qmp = world_qmp,
	.qemu_start = world_qemu_start,
	.qemu_stop = world_qemu_stop,
	.record = world_record,
	.peer_say = world_peer_say,
	.switch_phase = world_switch_phase,
	.carry = world_carry,
	.carry_rate = world_carry_rate,
	.carried = world_carried,
	.carry_uri = world_carry_uri,
	.alarm = world_alarm,
};
