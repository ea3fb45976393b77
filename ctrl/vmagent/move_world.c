/* SPDX-License-Identifier: BSD-3-Clause */
/* The hand-over's world as it really is. */
#include "ctrl/vmagent/move_impl.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

static uint64_t world_now(void *ctx)
{
	return vmagent_now_ns();
}

/* What may be said again when nobody knows whether it was heard. */
static bool repeatable(const char *command)
{
	static const char *const once[] = {"migrate", "migrate-incoming", "quit"};
	size_t i;

	for (i = 0; i < sizeof(once) / sizeof(once[0]); i++)
		if (strcmp(command, once[i]) == 0)
			return false;
	return true;
}

static int call_once(struct move *move, const char *command, json_t *args, json_t **reply)
{
	if (move->qmp == NULL && (!move->qmp_expected || move_qmp_again(move)))
		return -ENOTCONN;
	return qmp_call(move->qmp, command, json_incref(args),
		vmagent_now_ns() + MOVE_QMP_MS * 1000000ull, reply);
}

/* A connection that broke is made again at once. */
static int world_qmp(void *ctx, const char *command, json_t *args, json_t **reply, char *error)
{
	struct move *move = ctx;
	int err = call_once(move, command, args, reply);

	if (err == -ECONNRESET && repeatable(command)) {
		move_qmp_lost(move);
		err = call_once(move, command, args, reply);
	}
	json_decref(args);
	if (err == -EREMOTEIO)
		snprintf(error, 128, "%s", qmp_error(move->qmp));
	if (err)
		log_warn(move->options.log, move->record.vm, "%s: %s", command,
			err == -EREMOTEIO ? error : strerror(-err));
	return err;
}

static int world_record(void *ctx, enum handover_mark mark, const char *reason)
{
	struct move *move = ctx;
	struct record fresh = move->record;
	int err;

	fresh.mark = mark;
	fresh.was_running = move->handover.was_running;
	snprintf(fresh.reason, sizeof(fresh.reason), "%s", reason);
	err = record_save(move->options.agent->state_dir, &fresh);
	if (err == 0)
		move->record = fresh;
	log_info(move->options.log, move->record.vm, "move %s: %s%s%s", move->record.id,
		handover_mark_name(mark), err ? " could not be recorded: " : "",
		err ? strerror(-err) : "");
	return err;
}

static int world_peer_say(void *ctx, enum handover_mark mark, const char *reason)
{
	struct move *move = ctx;

	move_peer_say(move); /* mark and reason are the hand-over's own by now */
	return move->peer != NULL ? 0 : -ENOTCONN;
}

static int world_switch_phase(void *ctx, const char *phase, json_t *facts)
{
	struct move *move = ctx;
	int err = switch_phase(move->switch_agent, phase, json_incref(facts));

	if (err)
		log_warn(move->options.log, move->record.vm, "ferryd, phase %s: %s", phase,
			strerror(-err));
	json_decref(move->pending_facts);
	move->pending_facts = NULL;
	move->pending_phase[0] = '\0';
	if (err && err != -EREMOTEIO) { /* ferryd is away: it is told later */
		snprintf(move->pending_phase, sizeof(move->pending_phase), "%s", phase);
		move->pending_facts = json_incref(facts);
		move->pending_ns = vmagent_now_ns();
	}
	json_decref(facts);
	return err;
}

static int world_carry(void *ctx, enum carry_order order)
{
	struct move *move = ctx;

	switch (order) {
	case CARRY_OPEN:
		return carry_open(move->carry);
	case CARRY_FINAL_PASS:
		carry_final(move->carry, true);
		return 0;
	case CARRY_RUNNING:
		carry_final(move->carry, false);
		return 0;
	case CARRY_CLOSE:
		carry_cut(move->carry);
		return 0;
	}
	return -EINVAL;
}

static void world_carry_rate(void *ctx, uint64_t bytes_per_s, bool hold)
{
	struct move *move = ctx;
	uint64_t cap = move->options.agent->rate_bytes_per_s;

	if (cap != 0 && (bytes_per_s == 0 || cap < bytes_per_s))
		bytes_per_s = cap;
	carry_rate(move->carry, bytes_per_s, hold);
}

static void world_carried(void *ctx, uint64_t *memory_bytes, uint64_t *wire_bytes)
{
	struct move *move = ctx;

	*memory_bytes = *wire_bytes = 0;
	if (move->carry != NULL)
		carry_count(move->carry, memory_bytes, wire_bytes);
}

static const char *world_carry_uri(void *ctx)
{
	struct move *move = ctx;

	return move->carry_uri;
}

static void world_alarm(void *ctx, const char *text)
{
	struct move *move = ctx;

	log_err(move->options.log, move->record.vm, "move %s: ALARM: %s", move->record.id, text);
}

const struct handover_world move_world = {
	.now_ns = world_now,
	.next = move_next,
	.qmp = world_qmp,
	.qemu_start = move_qemu_start,
	.qemu_stop = move_qemu_stop,
	.record = world_record,
	.peer_say = world_peer_say,
	.switch_phase = world_switch_phase,
	.carry = world_carry,
	.carry_rate = world_carry_rate,
	.carried = world_carried,
	.carry_uri = world_carry_uri,
	.alarm = world_alarm,
};
