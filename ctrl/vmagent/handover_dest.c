/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The destination's steps. Up to "run" every failure ends in dest_refuse(): the receiving QEMU is
 * ended and REFUSED recorded before it is said. A lost link alone decides nothing once the VM is
 * loaded: the source may have given it.
 */
#include "ctrl/vmagent/handover_steps.h"

#include <stdio.h>
#include <string.h>

#define BEFORE_LOADED \
	(TROUBLE_ABORT | TROUBLE_PEER_LOST | TROUBLE_PEER_REFUSED | TROUBLE_QEMU_DEAD | \
		TROUBLE_SWITCH | TROUBLE_QEMU_FAILED)
#define BEFORE_RUN (TROUBLE_ABORT | TROUBLE_PEER_REFUSED | TROUBLE_QEMU_DEAD | TROUBLE_SWITCH)

static int arm(struct handover *handover)
{
	const struct handover_policy *policy = &handover->policy;
	int err = handover_set_capabilities(
		handover, json_pack("{s:b, s:b, s:b, s:b, s:b}", "events", 1, "return-path", 1,
				  "multifd", policy->multifd_channels != 0, "late-block-activate",
				  1, "postcopy-ram", 0));
	json_t *args;

	if (err)
		return err;
	args = json_pack("{s:s, s:s}", "tls-creds", "", "tls-hostname", "");
	if (policy->multifd_channels)
		json_object_set_new(
			args, "multifd-channels", json_integer(policy->multifd_channels));
	return handover_qmp(handover, "migrate-set-parameters", args, NULL);
}

static int must_wait_for_memory(struct handover *handover)
{
	json_t *reply = NULL;
	const char *state;
	int err = handover_qmp(handover, "query-status", NULL, &reply);

	if (err)
		return err;
	state = json_string_value(json_object_get(reply, "status"));
	if (state == NULL || strcmp(state, "inmigrate") != 0)
		err = handover_fail(handover, -EBUSY,
			"the receiving QEMU does not wait for memory but is '%s'", state);
	json_decref(reply);
	return err;
}

static int accept_enter(struct handover *handover)
{
	char error[128] = "";
	int err = handover_declare(handover, MARK_INCOMING);

	if (err)
		return err;
	handover->world->switch_phase(handover->ctx, "incoming", NULL);
	err = handover->world->qemu_start(handover->ctx, error);
	if (err)
		return handover_fail(
			handover, err, "receiving QEMU: %s", error[0] ? error : strerror(-err));
	err = must_wait_for_memory(handover);
	handover->started = err == 0; /* from here on it is ours to end */
	if (err == 0)
		err = arm(handover);
	if (err == 0)
		err = handover_qmp(handover, "migrate-incoming",
			json_pack("{s:s}", "uri", handover->world->carry_uri(handover->ctx)), NULL);
	if (err == 0)
		err = handover->world->carry(handover->ctx, CARRY_OPEN);
	if (err)
		return handover_fail(handover, err, "receiving QEMU: %s", strerror(-err));
	handover->mark = MARK_PREPARED;
	handover->world->peer_say(handover->ctx, MARK_PREPARED, "");
	return 0;
}

static bool accept_until(const struct handover *handover)
{
	return handover->peer == MARK_COPY || handover->status >= QMP_STATUS_ACTIVE;
}

static int nothing_to_do(struct handover *handover)
{
	return 0;
}

static bool load_until(const struct handover *handover)
{
	return handover->status == QMP_STATUS_COMPLETED;
}

/* A QEMU without -S would have set the VM going by itself the moment it was loaded. */
static int must_stand_still(struct handover *handover)
{
	int err = handover_learn(handover);

	if (err || !handover->vcpus_run)
		return err;
	handover_qmp(handover, "stop", NULL, NULL);
	handover->world->alarm(handover->ctx,
		"the receiving QEMU ran the VM before it was given; it must be started with -S");
	return handover_fail(handover, -EBUSY, "the receiving QEMU was not started with -S");
}

static int verify_enter(struct handover *handover)
{
	int err = must_stand_still(handover);

	if (err)
		return err;
	handover->mark = MARK_LOADED;
	handover->world->peer_say(handover->ctx, MARK_LOADED, "");
	handover->world->switch_phase(handover->ctx, "loaded", NULL);
	return 0;
}

static bool verify_until(const struct handover *handover)
{
	return handover->resolved_run || handover->resolved_drop ||
	       (handover->peer == MARK_GAVE && (handover->view.state == SWITCH_VERIFIED ||
						       handover->view.state == SWITCH_COMMITTED));
}

/* QEMU's own refusal is certain knowledge that the VM has not run here. */
static int run_enter(struct handover *handover)
{
	char error[128] = "";
	int err;

	if (handover->resolved_drop)
		return handover_fail(handover, -ECANCELED, "an operator has the VM not run here");
	err = handover_declare(handover, MARK_RUN);
	if (err || !handover->was_running)
		return err;
	err = handover->world->qmp(handover->ctx, "cont", NULL, NULL, error);
	if (err == -EREMOTEIO && !handover->vcpus_run)
		return handover_fail(handover, err, "cont: %s", error);
	return 0; /* no answer: it may run; the wait asks again */
}

static bool run_until(const struct handover *handover)
{
	return handover->vcpus_run || !handover->was_running || handover->qemu_dead;
}

static void run_tick(struct handover *handover)
{
	uint64_t now = handover->world->now_ns(handover->ctx);
	char error[128];

	if (handover->vcpus_run || handover->qemu_dead ||
		now - handover->looked_at_ns < 1000000000ull)
		return;
	handover->looked_at_ns = now;
	if (handover_learn(handover) == 0 && !handover->vcpus_run)
		handover->world->qmp(handover->ctx, "cont", NULL, NULL, error);
	handover->reason[0] = '\0';
}

static int done_enter(struct handover *handover)
{
	if (handover->qemu_dead) {
		handover->world->alarm(handover->ctx, "QEMU died when it had taken the VM over");
		return handover_fail(handover, -EPIPE, "QEMU died when it had taken the VM over");
	}
	handover->done_ns = handover->world->now_ns(handover->ctx);
	handover->world->switch_phase(handover->ctx, "running",
		json_pack("{s:I, s:b}", "at_ns", (json_int_t)handover->resumed_ns, "vcpus",
			(int)handover->vcpus_run));
	if (handover_record_surely(handover, MARK_RUNNING))
		return -ESHUTDOWN;
	handover->world->peer_say(handover->ctx, MARK_RUNNING, "");
	return 0;
}

static bool at_once(const struct handover *handover)
{
	return true;
}

enum { ACCEPT, LOAD, VERIFY, RUN, DONE, N_STEPS };

static const struct handover_step dest_steps[N_STEPS] = {
	[ACCEPT] = {"accept", accept_enter, accept_until, NULL, BEFORE_LOADED, 0, false},
	[LOAD] = {"load", nothing_to_do, load_until, NULL, BEFORE_LOADED, 0, false},
	[VERIFY] = {"verify", verify_enter, verify_until, NULL, BEFORE_RUN, DEADLINE(pause_max_ms),
		true},
	[RUN] = {"run", run_enter, run_until, run_tick, 0, DEADLINE(pause_max_ms), true},
	[DONE] = {"done", done_enter, at_once, NULL, 0, 0, false},
};

static enum handover_outcome dest_refuse(struct handover *handover)
{
	/* On disk before QEMU is ended, said only after: then S may take its disks back. */
	if (handover_record_surely(handover, MARK_REFUSED))
		return OUTCOME_NONE;
	handover_start_stamp(handover, "refuse");
	handover->world->carry(handover->ctx, CARRY_CLOSE);
	if (handover->started)
		handover->world->qemu_stop(handover->ctx);
	handover->world->peer_say(handover->ctx, MARK_REFUSED, handover->reason);
	handover->world->switch_phase(
		handover->ctx, "refused", json_pack("{s:s}", "reason", handover->reason));
	handover->done_ns = handover->world->now_ns(handover->ctx);
	handover_start_stamp(handover, NULL);
	return OUTCOME_REFUSED;
}

/* Where to go on after a restart of the agent: -1 means refuse. */
static int dest_reattach(struct handover *handover, enum handover_mark mark)
{
	handover->mark = mark;
	handover->started = true;
	if (!handover->qemu_dead)
		handover_learn(handover);
	handover->reason[0] = '\0';
	if (mark == MARK_RUNNING)
		return DONE;
	if (mark == MARK_RUN)
		return handover->vcpus_run || handover->qemu_dead ? DONE : RUN;
	if (mark == MARK_INCOMING && handover->vcpus_run) {
		/* Not our doing. It runs: to end it or to deny it would both be worse. */
		handover->world->alarm(
			handover->ctx, "somebody set the VM going before it was given");
		return DONE;
	}
	if (mark == MARK_INCOMING && !handover->qemu_dead &&
		handover->status == QMP_STATUS_COMPLETED)
		return VERIFY;
	handover_fail(handover, 0, "the agent restarted before the VM was loaded");
	return -1;
}

enum handover_outcome handover_run_dest(struct handover *handover, enum handover_mark mark)
{
	int from = ACCEPT, err;

	handover->side = HANDOVER_DEST;
	if (mark != MARK_SILENT)
		from = dest_reattach(handover, mark);
	if (from < 0)
		return dest_refuse(handover);
	err = handover_steps_run(handover, dest_steps, N_STEPS, from);
	if (err == -ESHUTDOWN)
		return OUTCOME_NONE;
	handover_start_stamp(handover, NULL);
	if (err == 0)
		return OUTCOME_MOVED;
	return handover->step == DONE ? OUTCOME_LOST : dest_refuse(handover);
}
