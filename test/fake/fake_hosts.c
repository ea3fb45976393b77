/* SPDX-License-Identifier: BSD-3-Clause */
#include "test/fake/fake_hosts.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <ucontext.h>

#define MS 1000000ull
#define STACK_BYTES (256u << 10)
#define EVENTS_MAX 256
#define INPUTS_MAX 64
#define PEER_MS 1000
#define LAST_MS 20000

enum event_kind {
	EVENT_INPUT, /* reaches a live agent */
	EVENT_WORD, /* reaches an agent, or is answered from the record */
	EVENT_RESTART,
	EVENT_CONNECT,
	EVENT_PEER_LOST,
	EVENT_DISK_WORKS,
	EVENT_QEMU_STOP, /* vCPUs of S stop for the switch */
	EVENT_QEMU_GATE,
	EVENT_QEMU_LOADED,
	EVENT_QEMU_DONE,
	EVENT_USER_STOP,
};

struct event {
	uint64_t at_ns;
	unsigned int serial;
	enum event_kind kind;
	enum handover_side side;
	struct handover_input input;
	unsigned int link; /* connection it travels on; another one now: it is lost */
};

struct host {
	struct hosts *hosts;
	enum handover_side side;
	struct handover handover;
	ucontext_t context;
	char *stack;
	bool exists, live, ended;
	struct handover_input inputs[INPUTS_MAX];
	unsigned int n_inputs;
	uint64_t deadline_ns;
	unsigned int calls;
	enum handover_mark record;
	bool disk_broken;
	bool held; /* QEMU, by a low max-bandwidth */
	/* QEMU */
	bool qemu, vcpus, incoming;
	enum qmp_status status;
};

struct hosts {
	const struct hosts_plan *plan;
	struct hosts_result *result;
	struct host host[2];
	ucontext_t scheduler;
	uint64_t now_ns;
	struct event events[EVENTS_MAX];
	unsigned int n_events, serial;
	unsigned int link; /* number of the present connection */
	bool link_up, stream_whole, fault_done;
	size_t phases_len;
};

static struct host *other(struct host *host)
{
	return &host->hosts->host[host->side == HANDOVER_SOURCE ? HANDOVER_DEST : HANDOVER_SOURCE];
}

static void schedule(
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

static void give(struct host *host, const struct handover_input *input)
{
	if (!host->live)
		return;
	if (host->n_inputs == INPUTS_MAX)
		abort();
	host->inputs[host->n_inputs++] = *input;
}

static void give_status(struct host *host, enum qmp_status status, bool event)
{
	struct handover_input input = {
		.kind = INPUT_QMP_STATUS, .status = status, .heard_ns = host->hosts->now_ns};

	host->status = status;
	if (event && !host->hosts->plan->events_lost)
		give(host, &input);
}

static void set_vcpus(struct host *host, bool run)
{
	struct handover_input input = {
		.kind = INPUT_VCPUS, .vcpus_run = run, .heard_ns = host->hosts->now_ns};

	host->vcpus = run;
	give(host, &input);
}

static void qemu_dies(struct host *host)
{
	struct handover_input input = {.kind = INPUT_QEMU_DEAD};

	if (!host->qemu)
		return;
	host->qemu = false;
	host->vcpus = false;
	give(host, &input);
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
		qemu_dies(dest); /* a failed incoming QEMU exits */
	if (!source->qemu || source->status < QMP_STATUS_SETUP || qmp_status_final(source->status))
		return;
	give(source, &lost);
	if (source->status == QMP_STATUS_PRE_SWITCHOVER)
		return; /* writes nothing, notices nothing */
	if (loaded && !hosts->plan->shut_lost) {
		give_status(source, QMP_STATUS_COMPLETED, true);
		return;
	}
	give_status(source, QMP_STATUS_FAILED, true);
	if (source->handover.was_running)
		set_vcpus(source, true);
}

static void link_breaks(struct hosts *hosts, uint64_t for_ns)
{
	unsigned int i;

	hosts->link_up = false;
	hosts->link++;
	stream_breaks(hosts);
	for (i = 0; i < 2; i++)
		schedule(&hosts->host[i], PEER_MS * MS, EVENT_PEER_LOST, NULL);
	if (for_ns != 0)
		schedule(&hosts->host[HANDOVER_SOURCE], for_ns, EVENT_CONNECT, NULL);
}

static void agent_dies(struct host *host)
{
	host->live = false;
	host->n_inputs = 0;
	stream_breaks(host->hosts);
	host->hosts->link_up = false;
	host->hosts->link++;
	if (other(host)->live)
		schedule(other(host), PEER_MS * MS, EVENT_PEER_LOST, NULL);
	schedule(host, 100 * MS, EVENT_RESTART, NULL);
	swapcontext(&host->context, &host->hosts->scheduler);
	abort(); /* nobody comes back here */
}

static void fault_strikes(struct host *host)
{
	struct handover_input failed = {.kind = INPUT_SWITCH, .view = {.state = SWITCH_FAILED}};
	struct handover_input stop = {.kind = INPUT_ABORT, .reason = "test"};

	switch (host->hosts->plan->fault) {
	case FAULT_QEMU_DIES:
		qemu_dies(host);
		stream_breaks(host->hosts);
		break;
	case FAULT_LINK_BLINKS:
		link_breaks(host->hosts, 500 * MS);
		break;
	case FAULT_LINK_DIES:
		link_breaks(host->hosts, 0);
		break;
	case FAULT_FERRYD_FAILS:
		give(host, &failed);
		break;
	case FAULT_DISK_FAILS:
		host->disk_broken = true;
		schedule(host, 3000 * MS, EVENT_DISK_WORKS, NULL);
		break;
	case FAULT_ABORT:
		give(host, &stop);
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

	give_status(host, QMP_STATUS_ACTIVE, true);
	if (!hosts->link_up) {
		hosts->stream_whole = true;
		stream_breaks(hosts);
		return;
	}
	hosts->stream_whole = true;
	if (hosts->plan->stopped_by_user)
		schedule(host, 20 * MS, EVENT_USER_STOP, NULL);
	schedule(host, hosts->plan->stopped_by_user ? 800 * MS : 100 * MS, EVENT_QEMU_STOP, NULL);
}

static void qemu_continue(struct host *host)
{
	if (host->status != QMP_STATUS_PRE_SWITCHOVER)
		return;
	give_status(host, QMP_STATUS_DEVICE, true);
	if (!host->hosts->stream_whole) {
		host->hosts->stream_whole = true;
		stream_breaks(host->hosts);
	} else if (!host->hosts->plan->stalls) {
		schedule(other(host), 5 * MS, EVENT_QEMU_LOADED, NULL);
	}
}

static void qemu_cancel(struct host *host)
{
	if (host->status < QMP_STATUS_SETUP || qmp_status_final(host->status))
		return;
	give_status(host, QMP_STATUS_CANCELLED, true);
	if (host->handover.was_running)
		set_vcpus(host, true);
	qemu_dies(other(host));
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
		set_vcpus(host, false);
	else if (strcmp(command, "cont") == 0 && host->side == HANDOVER_DEST &&
		 host->hosts->plan->cont_refused)
		return snprintf(error, 128, "no"), -EREMOTEIO;
	else if (strcmp(command, "cont") == 0)
		set_vcpus(host, true);
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
		schedule(other(host), MS, EVENT_WORD, &word);
	after_call(host);
	return 0;
}

static void ferryd_says(struct host *host, uint64_t in_ns, enum switch_state state)
{
	struct handover_input input = {.kind = INPUT_SWITCH, .view = {.state = state}};

	schedule(host, in_ns, EVENT_INPUT, &input);
}

static void ferryd_behind(struct host *host, uint64_t in_ns, bool behind)
{
	struct handover_input input = {
		.kind = INPUT_SWITCH, .view = {.state = SWITCH_READY, .behind = behind}};

	schedule(host, in_ns, EVENT_INPUT, &input);
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
	if (strcmp(phase, "copy") == 0 && host->hosts->plan->behind) {
		ferryd_behind(host, 20 * MS, true);
		ferryd_behind(host, 320 * MS, false);
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

static const struct handover_world fake_world = {
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

/* ---- agents and their clock ---- */

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

	*handover = (struct handover){.world = &fake_world,
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
			host->handover.was_running = other(host)->handover.was_running;
		give(host, word);
	} else if (!host->exists && word->mark == MARK_PREPARE) {
		agent_start(host);
		give(host, &up);
		give(host, word);
	} else if (host->ended || !host->exists) {
		if (host->record != MARK_SILENT)
			answer.mark = host->record;
		schedule(other(host), MS, EVENT_WORD, &answer);
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
		give(&hosts->host[i], &up);
		word.mark =
			hosts->host[i].live ? hosts->host[i].handover.mark : hosts->host[i].record;
		if (word.mark != MARK_SILENT)
			schedule(other(&hosts->host[i]), MS, EVENT_WORD, &word);
	}
}

static void agent_restarts(struct host *host)
{
	agent_start(host);
	/* without a record there is nothing to take up */
	if (host->record == MARK_SILENT)
		host->live = false, host->exists = false;
	schedule(&host->hosts->host[HANDOVER_SOURCE], 10 * MS, EVENT_CONNECT, NULL);
}

static void qemu_gate(struct host *source)
{
	const struct hosts_plan *plan = source->hosts->plan;

	if (source->status != QMP_STATUS_ACTIVE)
		return;
	if (plan->strange_status) {
		struct handover_input input = {
			.kind = INPUT_QMP_STATUS, .status = QMP_STATUS_UNKNOWN};

		give(source, &input);
	}
	if (plan->no_pause) {
		schedule(other(source), 5 * MS, EVENT_QEMU_LOADED, NULL);
		return;
	}
	give_status(source, QMP_STATUS_PRE_SWITCHOVER, true);
}

static void qemu_loaded(struct host *dest)
{
	struct host *source = other(dest);

	if (!dest->qemu || !dest->incoming || !dest->hosts->stream_whole)
		return;
	if (dest->hosts->plan->end_status != NULL) {
		give_status(source, qmp_status_parse(dest->hosts->plan->end_status), true);
		set_vcpus(source, source->handover.was_running);
		qemu_dies(dest);
		return;
	}
	give_status(dest, QMP_STATUS_COMPLETED, true);
	if (dest->hosts->plan->no_stop_flag)
		set_vcpus(dest, true);
	schedule(source, MS, EVENT_QEMU_DONE, NULL);
}

static void event_happens(struct hosts *hosts, const struct event *event)
{
	struct host *host = &hosts->host[event->side];
	struct handover_input lost = {.kind = INPUT_PEER_LOST};

	switch (event->kind) {
	case EVENT_INPUT:
		give(host, &event->input);
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
			give(host, &lost);
		break;
	case EVENT_DISK_WORKS:
		host->disk_broken = false;
		break;
	case EVENT_USER_STOP:
		if (host->status == QMP_STATUS_ACTIVE)
			set_vcpus(host, false);
		break;
	case EVENT_QEMU_STOP:
		if (host->held) {
			schedule(host, 10 * MS, EVENT_QEMU_STOP, NULL);
			break;
		}
		if (host->status == QMP_STATUS_ACTIVE && host->vcpus)
			set_vcpus(host, false);
		schedule(host, MS / 10, EVENT_QEMU_GATE, NULL);
		break;
	case EVENT_QEMU_GATE:
		qemu_gate(host);
		break;
	case EVENT_QEMU_LOADED:
		qemu_loaded(host);
		break;
	case EVENT_QEMU_DONE:
		if (host->qemu && hosts->stream_whole && !qmp_status_final(host->status))
			give_status(host, QMP_STATUS_COMPLETED, true);
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
		give(host, &input);
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
	agent_start(&hosts.host[HANDOVER_SOURCE]);
	give(&hosts.host[HANDOVER_SOURCE], &up);
	while (hosts.now_ns < LAST_MS * MS &&
		(hosts.host[0].live || hosts.host[1].live || hosts.n_events != 0)) {
		run_agents(&hosts);
		time_passes(&hosts);
	}
	fill_result(&hosts);
	free(hosts.host[0].stack);
	free(hosts.host[1].stack);
}
