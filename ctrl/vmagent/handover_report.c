/* SPDX-License-Identifier: BSD-3-Clause */
/* What a move has to say about itself: steps with times and bytes, the pause, the outcome. */
#include "ctrl/vmagent/handover.h"

static const char *const outcome_names[] = {
	[OUTCOME_NONE] = "under way",
	[OUTCOME_MOVED] = "moved",
	[OUTCOME_KEPT] = "kept",
	[OUTCOME_REFUSED] = "refused",
	[OUTCOME_LOST] = "lost",
	[OUTCOME_DROPPED] = "dropped",
};

const char *handover_outcome_name(enum handover_outcome outcome)
{
	return outcome_names[outcome];
}

const char *handover_step_name(const struct handover *handover)
{
	return handover->n_stamps ? handover->stamps[handover->n_stamps - 1].step : "start";
}

static double ms(uint64_t ns)
{
	return ns / 1e6;
}

static json_t *report_steps(const struct handover *handover, uint64_t now)
{
	uint64_t begin = handover->n_stamps ? handover->stamps[0].from_ns : now;
	const struct handover_stamp *stamp;
	json_t *steps = json_array();
	uint64_t end;
	unsigned int i;

	for (i = 0; i < handover->n_stamps; i++) {
		stamp = &handover->stamps[i];
		end = stamp->to_ns ? stamp->to_ns : now;
		json_array_append_new(steps,
			json_pack("{s:s, s:f, s:f, s:I, s:I}", "step", stamp->step, "start_ms",
				ms(stamp->from_ns - begin), "took_ms", ms(end - stamp->from_ns),
				"memory_bytes", (json_int_t)stamp->memory_bytes, "wire_bytes",
				(json_int_t)stamp->wire_bytes));
	}
	return steps;
}

json_t *handover_report(const struct handover *handover)
{
	uint64_t now = handover->world->now_ns(handover->ctx);
	uint64_t until = handover->done_ns ? handover->done_ns : now;
	uint64_t memory_bytes, wire_bytes, paused_ns = handover->paused_ns;

	handover->world->carried(handover->ctx, &memory_bytes, &wire_bytes);
	/* S hears of the resume at D one way later than it happens: an upper bound of the pause. */
	if (handover->side == HANDOVER_SOURCE && handover->stopped_ns &&
		until > handover->stopped_ns)
		paused_ns += until - handover->stopped_ns;
	return json_pack(
		"{s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:f, s:b, s:b, s:I, s:I, s:I, s:I, s:o}",
		"id", handover->id, "vm", handover->vm, "side",
		handover->side == HANDOVER_SOURCE ? "source" : "destination", "outcome",
		outcome_names[handover->outcome], "reason", handover->reason, "step",
		handover_step_name(handover), "mark", handover_mark_name(handover->mark), "qemu",
		qmp_status_name(handover->status), "pause_ms", ms(paused_ns), "holding",
		(int)handover->holding, "peer_up", (int)handover->peer_up, "memory_bytes",
		(json_int_t)memory_bytes, "wire_bytes", (json_int_t)wire_bytes, "ram_total_bytes",
		(json_int_t)handover->ram_total_bytes, "ram_remaining_bytes",
		(json_int_t)handover->ram_remaining_bytes, "steps", report_steps(handover, now));
}
