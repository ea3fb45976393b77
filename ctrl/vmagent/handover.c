/* SPDX-License-Identifier: BSD-3-Clause */
/* The driver of both sides, the facts, and what both sides do the same way. */
#include "ctrl/vmagent/handover_steps.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static const char *const mark_names[] = {
	[MARK_SILENT] = "silent",
	[MARK_UNKNOWN] = "unknown",
	[MARK_PREPARE] = "prepare",
	[MARK_COPY] = "copy",
	[MARK_GAVE] = "gave",
	[MARK_KEPT] = "kept",
	[MARK_DONE] = "done",
	[MARK_INCOMING] = "incoming",
	[MARK_PREPARED] = "prepared",
	[MARK_LOADED] = "loaded",
	[MARK_REFUSED] = "refused",
	[MARK_RUN] = "run",
	[MARK_RUNNING] = "running",
};

const char *handover_mark_name(enum handover_mark mark)
{
	return mark_names[mark];
}

enum handover_mark handover_mark_parse(const char *name)
{
	unsigned int i;

	for (i = 0; name != NULL && i < sizeof(mark_names) / sizeof(mark_names[0]); i++)
		if (strcmp(name, mark_names[i]) == 0)
			return i;
	return MARK_SILENT;
}

int handover_fail(struct handover *handover, int err, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	if (handover->reason[0] ==
		'\0') /* the first reason is the cause, later ones follow from it */
		vsnprintf(handover->reason, sizeof(handover->reason), format, args);
	va_end(args);
	return err;
}

/* Status only goes forward within one migration: late answers to old queries come after events. */
static void facts_status(struct handover *handover, const struct handover_input *input)
{
	if (input->ram_total_bytes != 0) {
		handover->ram_total_bytes = input->ram_total_bytes;
		handover->ram_remaining_bytes = input->ram_remaining_bytes;
	}
	if (input->status == QMP_STATUS_UNKNOWN) {
		handover->world->alarm(handover->ctx,
			"QEMU says a migration status this agent does not know; waiting on");
		return;
	}
	if (!qmp_status_final(handover->status) && input->status > handover->status)
		handover->status = input->status;
}

static void facts_vcpus(struct handover *handover, const struct handover_input *input)
{
	handover->vcpus_run = input->vcpus_run;
	if (input->vcpus_run) {
		handover->resumed_ns = input->heard_ns;
		if (handover->stopped_ns != 0)
			handover->paused_ns += input->heard_ns - handover->stopped_ns;
		handover->stopped_ns = 0;
	} else {
		handover->stopped_ns = input->heard_ns;
	}
}

static void facts_take(struct handover *handover, const struct handover_input *input)
{
	switch (input->kind) {
	case INPUT_QMP_STATUS:
		facts_status(handover, input);
		break;
	case INPUT_VCPUS:
		facts_vcpus(handover, input);
		break;
	case INPUT_QEMU_DEAD:
		handover->qemu_dead = true;
		break;
	case INPUT_QEMU_SILENT:
		handover->qemu_silent = true;
		break;
	case INPUT_PEER:
		handover->peer = input->mark;
		snprintf(handover->peer_reason, sizeof(handover->peer_reason), "%s", input->reason);
		break;
	case INPUT_PEER_UP:
		handover->peer_up = true;
		handover->peer_lost = false;
		break;
	case INPUT_PEER_LOST:
		handover->peer_up = false;
		handover->peer_lost = true;
		snprintf(handover->peer_reason, sizeof(handover->peer_reason), "%s", input->reason);
		break;
	case INPUT_SWITCH:
		handover->view = input->view;
		break;
	case INPUT_CARRY_LOST:
		handover->carry_lost = true;
		break;
	case INPUT_ABORT:
		handover->aborted = true;
		snprintf(handover->abort_reason, sizeof(handover->abort_reason), "%s",
			input->reason);
		break;
	case INPUT_RESOLVE_RUN:
		handover->resolved_run = true;
		break;
	case INPUT_RESOLVE_DROP:
		handover->resolved_drop = true;
		break;
	case INPUT_SHUTDOWN:
		break;
	}
}

static int facts_next(struct handover *handover, uint64_t deadline_ns)
{
	struct handover_input input = {0};
	int err = handover->world->next(handover->ctx, deadline_ns, &input);

	if (err)
		return err;
	facts_take(handover, &input);
	return input.kind == INPUT_SHUTDOWN ? -ESHUTDOWN : 0;
}

static const struct {
	unsigned int bit;
	const char *text;
} trouble_texts[] = {
	{TROUBLE_QEMU_DEAD, "QEMU died"},
	{TROUBLE_QEMU_FAILED, "QEMU gave the migration up"},
	{TROUBLE_QEMU_SILENT, "QEMU does not answer any more"},
	{TROUBLE_PEER_REFUSED, "the other side refused"},
	{TROUBLE_PEER_UNKNOWN, "the other agent does not know this move"},
	{TROUBLE_SWITCH, "ferryd gave up"},
	{TROUBLE_CARRY, "the path of the memory broke"},
	{TROUBLE_PEER_LOST, "the other agent cannot be reached"},
	{TROUBLE_ABORT, "aborted"},
};

static unsigned int troubles_now(const struct handover *handover)
{
	enum handover_mark no = handover->side == HANDOVER_SOURCE ? MARK_REFUSED : MARK_KEPT;
	unsigned int set = 0;

	set |= handover->aborted ? TROUBLE_ABORT : 0;
	set |= handover->peer_lost ? TROUBLE_PEER_LOST : 0;
	set |= handover->peer == no ? TROUBLE_PEER_REFUSED : 0;
	set |= handover->peer == MARK_UNKNOWN ? TROUBLE_PEER_UNKNOWN : 0;
	set |= handover->view.state == SWITCH_FAILED ? TROUBLE_SWITCH : 0;
	set |= handover->status == QMP_STATUS_FAILED || handover->status == QMP_STATUS_CANCELLED
		       ? TROUBLE_QEMU_FAILED
		       : 0;
	set |= handover->qemu_dead ? TROUBLE_QEMU_DEAD : 0;
	set |= handover->qemu_silent ? TROUBLE_QEMU_SILENT : 0;
	set |= handover->carry_lost ? TROUBLE_CARRY : 0;
	return set;
}

static int trouble_fail(struct handover *handover, const char *step, unsigned int troubles)
{
	const char *detail = "";
	unsigned int i = 0;

	while (!(trouble_texts[i].bit & troubles))
		i++;
	if (trouble_texts[i].bit & (TROUBLE_PEER_REFUSED | TROUBLE_PEER_LOST))
		detail = handover->peer_reason;
	else if (trouble_texts[i].bit == TROUBLE_SWITCH)
		detail = handover->view.reason;
	else if (trouble_texts[i].bit == TROUBLE_ABORT)
		detail = handover->abort_reason;
	return handover_fail(handover, -ECANCELED, "%s: %s%s%s", step, trouble_texts[i].text,
		detail[0] ? ": " : "", detail);
}

void handover_start_stamp(struct handover *handover, const char *step)
{
	struct handover_stamp *stamp;

	if (handover->n_stamps > 0) {
		stamp = &handover->stamps[handover->n_stamps - 1];
		stamp->to_ns = handover->world->now_ns(handover->ctx);
		handover->world->carried(handover->ctx, &stamp->memory_bytes, &stamp->wire_bytes);
	}
	handover->step_ns = handover->world->now_ns(handover->ctx);
	if (step == NULL || handover->n_stamps == sizeof(handover->stamps) / sizeof(*stamp))
		return;
	stamp = &handover->stamps[handover->n_stamps++];
	*stamp = (struct handover_stamp){.step = step, .from_ns = handover->step_ns};
}

static bool passed(uint64_t now, uint64_t since_ns, uint32_t limit_ms)
{
	return limit_ms != 0 && since_ns != 0 && now - since_ns >= limit_ms * 1000000ull;
}

static void step_alarm(struct handover *handover, uint64_t now)
{
	char text[HANDOVER_REASON_MAX + 128];

	if (handover->alarmed_ns != 0 &&
		!passed(now, handover->alarmed_ns, handover->policy.alarm_ms))
		return;
	handover->alarmed_ns = now;
	snprintf(text, sizeof(text),
		"the VM is paused and only the other side's word can set it going; resolve it%s%s",
		handover->peer_reason[0] ? "; it says: " : "", handover->peer_reason);
	handover->world->alarm(handover->ctx, text);
}

/* Returns 0 to wait on, or the failure. The pause counts from the stop of the vCPUs. */
static int step_overdue(struct handover *handover, const struct handover_step *step, uint64_t now)
{
	const struct handover_policy *policy = &handover->policy;
	uint32_t limit_ms = 0;
	bool pause = handover->started && handover->was_running &&
		     passed(now, handover->stopped_ns, policy->pause_max_ms);

	if (step->deadline != 0)
		limit_ms = *(const uint32_t *)((const char *)policy + step->deadline - 1);
	if (!pause && !passed(now, handover->step_ns, limit_ms))
		return 0;
	if (step->only_alarms) {
		step_alarm(handover, now);
		return 0;
	}
	return handover_fail(handover, -ETIMEDOUT, "%s: not done %u ms after its %s", step->name,
		pause ? policy->pause_max_ms : limit_ms, pause ? "VM was paused" : "begin");
}

static int step_run(struct handover *handover, const struct handover_step *step)
{
	unsigned int troubles;
	uint64_t now;
	int err;

	handover_start_stamp(handover, step->name);
	troubles = troubles_now(handover) & step->troubles;
	err = troubles ? trouble_fail(handover, step->name, troubles) : step->enter(handover);
	while (err == 0 && !step->until(handover)) {
		troubles = troubles_now(handover) & step->troubles;
		if (troubles)
			return trouble_fail(handover, step->name, troubles);
		now = handover->world->now_ns(handover->ctx);
		err = step_overdue(handover, step, now);
		if (err)
			return err;
		err = facts_next(handover, now + HANDOVER_TICK_NS);
		if (err == -ETIMEDOUT)
			err = 0;
		if (err == 0 && step->tick != NULL)
			step->tick(handover);
	}
	return err;
}

int handover_steps_run(struct handover *handover, const struct handover_step *steps, unsigned int n,
	unsigned int from)
{
	int err = 0;

	for (handover->step = from; handover->step < n && err == 0;)
		if ((err = step_run(handover, &steps[handover->step])) == 0)
			handover->step++;
	if (err && handover->reason[0] == '\0')
		handover_fail(handover, err, "%s: %s", steps[handover->step].name, strerror(-err));
	return err;
}

int handover_await(struct handover *handover, bool (*met)(const struct handover *handover),
	uint32_t timeout_ms)
{
	uint64_t now = handover->world->now_ns(handover->ctx);
	uint64_t deadline_ns = now + timeout_ms * 1000000ull;
	uint64_t wait_ns;
	int err;

	while (!met(handover)) {
		now = handover->world->now_ns(handover->ctx);
		if (now >= deadline_ns)
			return -ETIMEDOUT;
		wait_ns =
			deadline_ns - now < HANDOVER_TICK_NS ? deadline_ns : now + HANDOVER_TICK_NS;
		err = facts_next(handover, wait_ns);
		if (err && err != -ETIMEDOUT)
			return err;
	}
	return 0;
}

int handover_declare(struct handover *handover, enum handover_mark mark)
{
	int err = handover->world->record(handover->ctx, mark, handover->reason);

	if (err)
		return handover_fail(handover, err, "cannot record '%s': %s",
			handover_mark_name(mark), strerror(-err));
	handover->mark = mark;
	handover->world->peer_say(handover->ctx, mark, handover->reason);
	return 0;
}

static bool never(const struct handover *handover)
{
	return false;
}

int handover_record_surely(struct handover *handover, enum handover_mark mark)
{
	int err;

	while (handover->world->record(handover->ctx, mark, handover->reason)) {
		handover->world->alarm(handover->ctx, "the state directory cannot be written");
		err = handover_await(handover, never, handover->policy.alarm_ms);
		if (err != -ETIMEDOUT)
			return err;
	}
	handover->mark = mark;
	return 0;
}

const char *handover_qmp_error(int err)
{
	if (err == -ENOTCONN || err == -ECONNRESET)
		return "QEMU has gone from its QMP socket";
	return err == -ETIMEDOUT ? "QEMU does not answer" : strerror(-err);
}

int handover_qmp(struct handover *handover, const char *command, json_t *args, json_t **reply)
{
	char error[128] = "";
	int err = handover->world->qmp(handover->ctx, command, args, reply, error);

	if (err)
		handover_fail(handover, err, "%s: %s", command,
			err == -EREMOTEIO ? error : handover_qmp_error(err));
	return err;
}

int handover_set_capabilities(struct handover *handover, json_t *wanted)
{
	json_t *list = json_array(), *state;
	const char *name;

	json_object_foreach (wanted, name, state)
		json_array_append_new(
			list, json_pack("{s:s, s:O}", "capability", name, "state", state));
	json_decref(wanted);
	return handover_qmp(handover, "migrate-set-capabilities",
		json_pack("{s:o}", "capabilities", list), NULL);
}

int handover_learn(struct handover *handover)
{
	struct handover_input input = {.kind = INPUT_QMP_STATUS};
	json_t *reply = NULL;
	int err = handover_qmp(handover, "query-status", NULL, &reply);

	if (err)
		return err;
	handover->vcpus_run = json_is_true(json_object_get(reply, "running"));
	json_decref(reply);
	err = handover_qmp(handover, "query-migrate", NULL, &reply);
	if (err)
		return err;
	input.status = qmp_status_parse(json_string_value(json_object_get(reply, "status")));
	facts_status(handover, &input);
	json_decref(reply);
	return 0;
}

bool handover_status_final(const struct handover *handover)
{
	return qmp_status_final(handover->status) || handover->qemu_dead;
}
