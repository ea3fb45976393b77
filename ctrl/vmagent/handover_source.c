/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The source's steps. Up to "give" every failure ends in source_keep(): the VM runs on here. From
 * GAVE on only the destination's REFUSED, or an operator, leads there.
 */
#include "ctrl/vmagent/handover_steps.h"

#include <stdio.h>
#include <string.h>

/* QEMU takes less than 10 B/s for "no limit"; this lets one page through per time slice. */
#define HOLD_BYTES_PER_S 4096
/* A stop that no switch-over follows for so long was not QEMU's own. */
#define FOREIGN_STOP_NS 200000000ull

#define BEFORE_COPY \
	(TROUBLE_ABORT | TROUBLE_PEER_LOST | TROUBLE_PEER_REFUSED | TROUBLE_PEER_UNKNOWN | \
		TROUBLE_QEMU_DEAD)
#define IN_COPY \
	(BEFORE_COPY | TROUBLE_SWITCH | TROUBLE_QEMU_FAILED | TROUBLE_CARRY | TROUBLE_QEMU_SILENT)
/* QEMU's word decides now, not the path: it knows whether the other end has taken it all. */
#define IN_PAUSE (TROUBLE_ABORT | TROUBLE_PEER_REFUSED | TROUBLE_SWITCH | TROUBLE_QEMU_FAILED)

static bool at_once(const struct handover *handover)
{
	return true;
}

static int admit_enter(struct handover *handover)
{
	json_t *reply = NULL;
	const char *state;
	bool usable;
	int err = handover_qmp(handover, "query-status", NULL, &reply);

	if (err)
		return err;
	state = json_string_value(json_object_get(reply, "status"));
	handover->was_running = json_is_true(json_object_get(reply, "running"));
	handover->vcpus_run = handover->was_running;
	usable = handover->was_running || (state != NULL && strcmp(state, "paused") == 0);
	if (!usable)
		handover_fail(handover, -EBUSY, "the VM cannot be moved while it is '%s'", state);
	json_decref(reply);
	if (!usable)
		return -EBUSY;

	err = handover_qmp(handover, "query-migrate", NULL, &reply);
	if (err)
		return err;
	state = json_string_value(json_object_get(reply, "status"));
	usable = state == NULL || qmp_status_parse(state) == QMP_STATUS_NONE ||
		 qmp_status_final(qmp_status_parse(state));
	if (!usable)
		handover_fail(handover, -EBUSY, "somebody else is migrating this VM (%s)", state);
	json_decref(reply);
	return usable ? 0 : -EBUSY;
}

static int prepare_enter(struct handover *handover)
{
	/* On disk, so that a restarted agent ends what its ferryd and the other agent know of. */
	return handover_declare(handover, MARK_PREPARE);
}

static bool prepare_until(const struct handover *handover)
{
	return handover->peer_up && handover->peer == MARK_PREPARED;
}

static int sessions_enter(struct handover *handover)
{
	int err = handover->world->switch_phase(handover->ctx, "start", NULL);

	return err ? handover_fail(handover, err, "ferryd: %s", strerror(-err)) : 0;
}

static bool sessions_until(const struct handover *handover)
{
	return handover->view.state >= SWITCH_READY && handover->view.state != SWITCH_FAILED &&
	       !handover->view.behind;
}

static int set_parameters(struct handover *handover)
{
	const struct handover_policy *policy = &handover->policy;
	/* TLS is between the agents; what an earlier migration left set would break this one */
	json_t *args = json_pack("{s:I, s:I, s:s, s:s}", "downtime-limit",
		(json_int_t)policy->downtime_limit_ms, "max-bandwidth", (json_int_t)0, "tls-creds",
		"", "tls-hostname", "");

	if (policy->multifd_channels)
		json_object_set_new(
			args, "multifd-channels", json_integer(policy->multifd_channels));
	return handover_qmp(handover, "migrate-set-parameters", args, NULL);
}

static int arm(struct handover *handover)
{
	const struct handover_policy *policy = &handover->policy;
	int err = handover_set_capabilities(
		handover, json_pack("{s:b, s:b, s:b, s:b, s:b, s:b}", "events", 1, "return-path", 1,
				  "pause-before-switchover", (int)policy->pause_before_switchover,
				  "multifd", policy->multifd_channels != 0, "auto-converge",
				  (int)policy->auto_converge, "postcopy-ram", 0));

	return err ? err : set_parameters(handover);
}

static int copy_enter(struct handover *handover)
{
	int err = arm(handover);

	if (err)
		return err;
	err = handover->world->carry(handover->ctx, CARRY_OPEN);
	if (err)
		return handover_fail(handover, err, "carry: %s", strerror(-err));
	handover->world->switch_phase(handover->ctx, "copy", NULL);
	err = handover_declare(handover, MARK_COPY);
	if (err)
		return err;
	handover->status = QMP_STATUS_NONE;
	handover->started = true;
	err = handover_qmp(handover, "migrate",
		json_pack("{s:s}", "uri", handover->world->carry_uri(handover->ctx)), NULL);
	if (err == -EREMOTEIO)
		handover->started = false;
	return err;
}

/* The guest was stopped or continued by somebody: D must leave it in the state it has at the end.
 * QEMU's own stop is followed by pre-switchover within a millisecond. */
static void notice_foreign_stop(struct handover *handover)
{
	json_t *reply = NULL;
	const char *state;
	char error[128];

	if (handover->vcpus_run) {
		handover->was_running = true;
		return;
	}
	if (!handover->was_running || handover->looked_at_ns == handover->stopped_ns ||
		handover->status >= QMP_STATUS_PRE_SWITCHOVER ||
		handover->world->now_ns(handover->ctx) - handover->stopped_ns < FOREIGN_STOP_NS)
		return;
	handover->looked_at_ns = handover->stopped_ns;
	if (handover->world->qmp(handover->ctx, "query-status", NULL, &reply, error))
		return;
	state = json_string_value(json_object_get(reply, "status"));
	if (state != NULL && strcmp(state, "paused") == 0)
		handover->was_running = false;
	json_decref(reply);
}

static void report_vcpus(struct handover *handover)
{
	bool paused = !handover->vcpus_run;

	if (paused == handover->paused_reported)
		return;
	handover->paused_reported = paused;
	handover->world->carry(handover->ctx, paused ? CARRY_FINAL_PASS : CARRY_RUNNING);
	handover->world->switch_phase(handover->ctx, paused ? "stopped" : "resumed",
		json_pack("{s:I}", "at_ns",
			(json_int_t)(paused ? handover->stopped_ns : handover->resumed_ns)));
}

/* Holds QEMU while the sessions are behind, lets it go when not. Never once vCPUs stand. */
static void hold_or_release(struct handover *handover)
{
	bool hold = handover->view.behind && handover->vcpus_run;
	char error[128];

	if (handover->vcpus_run)
		handover->world->carry_rate(handover->ctx, handover->view.credit_bytes_per_s,
			hold && handover->ram_remaining_bytes >
					handover->policy.hold_remaining_bytes);
	if (hold == handover->holding)
		return;
	if (handover->world->qmp(handover->ctx, "migrate-set-parameters",
		    json_pack("{s:I}", "max-bandwidth", (json_int_t)(hold ? HOLD_BYTES_PER_S : 0)),
		    NULL, error) == 0)
		handover->holding = hold;
}

static void copy_tick(struct handover *handover)
{
	report_vcpus(handover);
	notice_foreign_stop(handover);
	if (handover->status < QMP_STATUS_PRE_SWITCHOVER)
		hold_or_release(handover);
}

static bool copy_until(const struct handover *handover)
{
	return handover->status == QMP_STATUS_PRE_SWITCHOVER ||
	       handover->status == QMP_STATUS_DEVICE || handover->status == QMP_STATUS_COMPLETED;
}

static int gate_enter(struct handover *handover)
{
	if (handover->vcpus_run) { /* the event was lost: QEMU stops them before it says this */
		handover->vcpus_run = false;
		handover->stopped_ns = handover->world->now_ns(handover->ctx);
	}
	report_vcpus(handover);
	if (handover->status != QMP_STATUS_PRE_SWITCHOVER)
		return 0;
	if (handover->view.away) /* QEMU took the link down, and would take that along */
		return handover_fail(handover, -EAGAIN,
			"gate: ferryd is away, the VM would come without a link");
	return handover_qmp(
		handover, "migrate-continue", json_pack("{s:s}", "state", "pre-switchover"), NULL);
}

static bool finish_until(const struct handover *handover)
{
	/* A dead QEMU will not run the VM again: when D has it all, the VM lives on there. */
	return handover->status == QMP_STATUS_COMPLETED ||
	       (handover->qemu_dead && handover->peer == MARK_LOADED);
}

static int nothing_to_do(struct handover *handover)
{
	report_vcpus(handover);
	return 0;
}

static bool offer_until(const struct handover *handover)
{
	return handover->peer_up && handover->peer == MARK_LOADED;
}

static int give_enter(struct handover *handover)
{
	int err = handover_declare(handover, MARK_GAVE);

	if (err == 0)
		handover->world->switch_phase(handover->ctx, "gave", NULL);
	return err;
}

static bool give_until(const struct handover *handover)
{
	return handover->peer == MARK_RUNNING || handover->resolved_drop || handover->resolved_run;
}

static int done_enter(struct handover *handover)
{
	int err;

	if (handover->resolved_run)
		return handover_fail(handover, -ECANCELED, "an operator has the VM run here");
	handover->done_ns = handover->world->now_ns(handover->ctx);
	err = handover_declare(handover, MARK_DONE);
	handover->world->switch_phase(handover->ctx, "moved", NULL);
	handover->world->qemu_stop(handover->ctx);
	return err == -ESHUTDOWN ? err : 0;
}

enum { ADMIT, PREPARE, SESSIONS, COPY, GATE, FINISH, OFFER, GIVE, DONE, N_STEPS };

static const struct handover_step source_steps[N_STEPS] = {
	[ADMIT] = {"admit", admit_enter, at_once, NULL, 0, 0, false},
	[PREPARE] = {"prepare", prepare_enter, prepare_until, NULL, BEFORE_COPY,
		DEADLINE(prepare_ms), false},
	[SESSIONS] = {"sessions", sessions_enter, sessions_until, NULL,
		BEFORE_COPY | TROUBLE_SWITCH, DEADLINE(sessions_ms), false},
	[COPY] = {"copy", copy_enter, copy_until, copy_tick, IN_COPY, DEADLINE(copy_ms), false},
	[GATE] = {"gate", gate_enter, at_once, NULL, IN_PAUSE, DEADLINE(pause_max_ms), false},
	[FINISH] = {"finish", nothing_to_do, finish_until, report_vcpus, IN_PAUSE,
		DEADLINE(pause_max_ms), false},
	[OFFER] = {"offer", nothing_to_do, offer_until, NULL,
		TROUBLE_ABORT | TROUBLE_PEER_LOST | TROUBLE_PEER_REFUSED | TROUBLE_PEER_UNKNOWN |
			TROUBLE_SWITCH,
		DEADLINE(pause_max_ms), false},
	[GIVE] = {"give", give_enter, give_until, NULL, TROUBLE_PEER_REFUSED,
		DEADLINE(pause_max_ms), true},
	[DONE] = {"done", done_enter, at_once, NULL, 0, 0, false},
};

/* Ends a migration that may be under way, by asking and then by cutting the stream: in the final
 * pass QEMU holds its main lock while it writes and cannot hear. */
static int source_stop_migration(struct handover *handover)
{
	char error[128];
	int err = -ETIMEDOUT;

	if (!handover->started || handover_status_final(handover))
		return 0;
	if (handover->status != QMP_STATUS_DEVICE) {
		handover->world->qmp(handover->ctx, "migrate_cancel", NULL, NULL, error);
		err = handover_await(handover, handover_status_final, handover->policy.cancel_ms);
	}
	if (err == -ETIMEDOUT) {
		handover->world->carry(handover->ctx, CARRY_CLOSE);
		err = handover_await(handover, handover_status_final, handover->policy.cancel_ms);
	}
	return err;
}

static bool is_dead(const struct handover *handover)
{
	return handover->qemu_dead;
}

/* It may have died before anything was asked of it. */
static void source_look(struct handover *handover)
{
	char error[128];

	if (!handover->started && !handover->qemu_dead &&
		handover->world->qmp(handover->ctx, "query-status", NULL, NULL, error) == -ENOTCONN)
		handover_await(handover, is_dead, 300);
}

static bool runs_or_dead(const struct handover *handover)
{
	return handover->vcpus_run || handover->qemu_dead;
}

/* QEMU starts the vCPUs again itself after a failed migration; after a completed one we do. */
static int source_run_again(struct handover *handover)
{
	char error[128];
	int err = -ETIMEDOUT;

	if (!handover->started || !handover->was_running)
		return 0;
	if (handover->qemu_silent)
		handover->vcpus_run = false; /* for all that was heard */
	if (handover->status != QMP_STATUS_COMPLETED)
		err = handover_await(handover, runs_or_dead, 200);
	while (err == -ETIMEDOUT) {
		handover_learn(handover);
		if (runs_or_dead(handover))
			return 0;
		handover->world->qmp(handover->ctx, "cont", NULL, NULL, error);
		err = handover_await(handover, runs_or_dead, 1000);
		if (err == -ETIMEDOUT)
			handover->world->alarm(
				handover->ctx, "QEMU does not set the VM going again");
	}
	return err;
}

/* QEMU's own words for a failed migration, behind ours. */
static void source_explain(struct handover *handover)
{
	size_t len = strlen(handover->reason);
	json_t *reply = NULL;
	const char *text;
	char error[128];

	if (handover->status != QMP_STATUS_FAILED || handover->qemu_dead ||
		handover->world->qmp(handover->ctx, "query-migrate", NULL, &reply, error))
		return;
	text = json_string_value(json_object_get(reply, "error-desc"));
	if (text != NULL)
		snprintf(handover->reason + len, sizeof(handover->reason) - len, " (%s)", text);
	json_decref(reply);
}

static enum handover_outcome source_keep(struct handover *handover)
{
	int err;

	source_explain(handover);
	source_look(handover);
	/* A GAVE on disk, also one whose write seemed to fail, is overwritten before S runs. */
	if (handover->mark == MARK_GAVE || handover->step == GIVE) {
		if (handover_record_surely(handover, MARK_KEPT))
			return OUTCOME_NONE;
	} else if (handover->world->record(handover->ctx, MARK_KEPT, handover->reason) == 0) {
		handover->mark = MARK_KEPT;
	}
	handover->world->peer_say(handover->ctx, MARK_KEPT, handover->reason);
	handover_start_stamp(handover, "keep");
	err = source_stop_migration(handover);
	handover->world->carry(handover->ctx, CARRY_CLOSE);
	if (err != -ESHUTDOWN)
		err = source_run_again(handover);
	if (err == -ESHUTDOWN)
		return OUTCOME_NONE;
	handover->world->switch_phase(handover->ctx, "kept",
		json_pack("{s:s, s:b}", "reason", handover->reason, "runs",
			(int)handover->vcpus_run));
	handover->done_ns = handover->world->now_ns(handover->ctx);
	handover_start_stamp(handover, NULL);
	return handover->qemu_dead ? OUTCOME_LOST : OUTCOME_KEPT;
}

/* Where to go on after a restart of the agent: -1 means keep. */
static int source_reattach(struct handover *handover, enum handover_mark mark)
{
	handover->mark = mark;
	handover->started = mark != MARK_PREPARE;
	if (!handover->qemu_dead)
		handover_learn(handover);
	handover->reason[0] = '\0';
	handover->paused_reported = !handover->vcpus_run;
	if (mark == MARK_DONE)
		return DONE;
	if (mark == MARK_GAVE)
		return GIVE;
	if (mark == MARK_COPY && !handover->vcpus_run &&
		(handover->status == QMP_STATUS_COMPLETED || handover->qemu_dead))
		return handover->qemu_dead ? FINISH : OFFER;
	handover_fail(handover, 0, "the agent restarted %s the memory was being copied",
		mark == MARK_PREPARE ? "before" : "while");
	return -1;
}

enum handover_outcome handover_run_source(struct handover *handover, enum handover_mark mark)
{
	int from = ADMIT, err;

	handover->side = HANDOVER_SOURCE;
	if (mark != MARK_SILENT)
		from = source_reattach(handover, mark);
	if (from < 0)
		return source_keep(handover);
	err = handover_steps_run(handover, source_steps, N_STEPS, from);
	if (err == -ESHUTDOWN)
		return OUTCOME_NONE;
	if (err)
		return source_keep(handover);
	handover_start_stamp(handover, NULL);
	return handover->resolved_drop ? OUTCOME_DROPPED : OUTCOME_MOVED;
}
