/* SPDX-License-Identifier: BSD-3-Clause */
/* The two-phase hand-over of both sides, whole, in a world where everything may go wrong. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "test/fake/fake_hosts.h"

static struct hosts_result run(const struct hosts_plan *plan)
{
	struct hosts_result result;

	hosts_run(plan, &result);
	assert_null(result.violation);
	return result;
}

static void expect_moved(const struct hosts_plan *plan)
{
	struct hosts_result result = run(plan);

	assert_int_equal(result.source, OUTCOME_MOVED);
	assert_int_equal(result.dest, OUTCOME_MOVED);
	assert_false(result.source_runs);
	assert_true(result.dest_runs);
	assert_true(result.source_dead);
	json_decref(result.source_report);
}

static struct hosts_result expect_kept(const struct hosts_plan *plan)
{
	struct hosts_result result = run(plan);

	assert_int_equal(result.source, OUTCOME_KEPT);
	assert_true(result.source_runs);
	assert_false(result.dest_runs);
	assert_true(result.dest_dead);
	json_decref(result.source_report);
	return result;
}

static void a_move_takes_the_vm_to_the_other_host(void **state)
{
	expect_moved(&(struct hosts_plan){0});
}

static void ferryd_hears_each_phase_once_and_in_order(void **state)
{
	struct hosts_result result = run(&(struct hosts_plan){0});

	assert_string_equal(result.phases,
		"D:incoming S:start S:copy S:stopped D:loaded S:gave D:running S:moved ");
	json_decref(result.source_report);
}

/* C12 (2) */
static void c12_completed_without_pre_switchover_is_a_move(void **state)
{
	expect_moved(&(struct hosts_plan){.no_pause = true});
}

/* C12 (5) */
static void c12_failed_after_pre_switchover_keeps_the_vm(void **state)
{
	struct hosts_result result = expect_kept(&(struct hosts_plan){.end_status = "failed"});

	assert_non_null(strstr(result.source_reason, "QEMU gave the migration up"));
}

/* C12 (6) */
static void c12_an_unknown_status_word_decides_nothing_and_is_told(void **state)
{
	struct hosts_plan plan = {.strange_status = true};
	struct hosts_result result;

	expect_moved(&plan);
	result = run(&plan);
	assert_int_equal(result.alarms, 1);
	json_decref(result.source_report);
	plan.end_status = "teleporting";
	expect_kept(&plan); /* after pause_max */
}

static void lost_events_are_made_good_by_questions(void **state)
{
	expect_moved(&(struct hosts_plan){.events_lost = true});
	expect_moved(&(struct hosts_plan){.events_lost = true, .no_pause = true});
}

static void a_vm_that_stood_still_stands_still_at_the_destination(void **state)
{
	struct hosts_result result = run(&(struct hosts_plan){.was_paused = true});

	assert_int_equal(result.source, OUTCOME_MOVED);
	assert_false(result.source_runs || result.dest_runs);
	assert_false(result.dest_dead);
	json_decref(result.source_report);
}

static void a_vm_stopped_by_somebody_during_the_copy_is_not_set_going(void **state)
{
	struct hosts_result result = run(&(struct hosts_plan){.stopped_by_user = true});

	assert_int_equal(result.source, OUTCOME_MOVED);
	assert_false(result.source_runs || result.dest_runs);
	json_decref(result.source_report);
}

static void a_stalled_final_pass_is_cut_after_pause_max(void **state)
{
	struct hosts_result result = expect_kept(&(struct hosts_plan){.stalls = true});

	assert_non_null(strstr(result.source_reason, "2000 ms after its VM was paused"));
}

static void qemu_is_held_while_sessions_are_behind_and_not_in_the_pause(void **state)
{
	struct hosts_result result = run(&(struct hosts_plan){.behind = true});
	json_t *copy = json_array_get(json_object_get(result.source_report, "steps"), 3);

	assert_int_equal(result.source, OUTCOME_MOVED);
	assert_int_equal(result.holds, 1);
	assert_int_equal(result.releases, 1);
	assert_false(result.held_in_pause);
	assert_true(json_real_value(json_object_get(copy, "took_ms")) > 320);
	json_decref(result.source_report);
}

static void a_vm_is_not_switched_over_while_its_ferryd_is_away(void **state)
{
	struct hosts_result result = expect_kept(&(struct hosts_plan){.ferryd_goes = true});

	assert_string_equal(
		result.source_reason, "gate: ferryd is away, the VM would come without a link");
}

/* B13 on the VM's side */
static void b13_a_destination_that_cannot_verify_gives_the_vm_back(void **state)
{
	struct hosts_result result = expect_kept(&(struct hosts_plan){.never_verified = true});

	assert_int_equal(result.dest, OUTCOME_REFUSED);
}

static void b13_a_destination_that_cannot_run_the_vm_gives_it_back(void **state)
{
	struct hosts_result result = expect_kept(&(struct hosts_plan){.cont_refused = true});

	assert_int_equal(result.dest, OUTCOME_REFUSED);
}

static void a_receiving_qemu_without_stop_flag_is_ended_and_told(void **state)
{
	struct hosts_result result = expect_kept(&(struct hosts_plan){.no_stop_flag = true});

	assert_true(result.alarms > 0);
}

static void the_report_has_the_steps_and_the_pause(void **state)
{
	struct hosts_result result = run(&(struct hosts_plan){0});
	static const char *const names[] = {
		"admit", "prepare", "sessions", "copy", "gate", "finish", "offer", "give", "done"};
	json_t *steps = json_object_get(result.source_report, "steps"), *step;
	double end_ms = 0;
	size_t i;

	assert_int_equal(json_array_size(steps), 9);
	json_array_foreach (steps, i, step) {
		assert_string_equal(json_string_value(json_object_get(step, "step")), names[i]);
		assert_true(json_real_value(json_object_get(step, "start_ms")) - end_ms < 0.001);
		end_ms = json_real_value(json_object_get(step, "start_ms")) +
			 json_real_value(json_object_get(step, "took_ms"));
	}
	/* loaded 5 ms after the gate, verified 2 ms later, two words on the way: 1 ms each */
	assert_true(json_real_value(json_object_get(result.source_report, "pause_ms")) > 7);
	assert_true(json_real_value(json_object_get(result.source_report, "pause_ms")) < 12);
	json_decref(result.source_report);
}

static const char *const fault_names[FAULTS] = {"none", "agent dies before", "agent dies after",
	"QEMU dies", "link blinks", "link dies", "ferryd fails", "disk fails", "abort"};

static void complain(const struct hosts_plan *plan, const struct hosts_result *result)
{
	print_error("%s at call %u of %s%s%s: S %s%s, D %s%s, %u alarms: %s (%s)\n",
		fault_names[plan->fault], plan->call, plan->side == HANDOVER_SOURCE ? "S" : "D",
		plan->shut_lost ? ", last word lost" : "", plan->no_pause ? ", no gate" : "",
		handover_outcome_name(result->source), result->source_runs ? " runs" : "",
		handover_outcome_name(result->dest), result->dest_runs ? " runs" : "",
		result->alarms, result->violation ? result->violation : "wrong end",
		result->source_reason);
}

/* A killed QEMU may have been the VM; it must not have been if the other one has it still. */
static bool well_ended_without_qemu(
	const struct hosts_plan *plan, const struct hosts_result *result)
{
	bool taken = result->dest == OUTCOME_MOVED || result->dest == OUTCOME_LOST;

	if (plan->side == HANDOVER_SOURCE)
		return result->source_dead || result->source_runs;
	return taken ? result->dest_dead || result->dest_runs : result->source_runs;
}

/*
 * What must hold after any single fault:
 * - never two VMs, never one where the records forbid it (the hosts watch that);
 * - at the end one VM runs, except: its QEMU was killed, or the link is gone for ever and then
 *   somebody was told;
 * - S's hand-over has ended, or has never begun as far as its disk knows.
 */
static bool well_ended(const struct hosts_plan *plan, const struct hosts_result *result)
{
	bool runs = result->source_runs || result->dest_runs;
	bool ended = result->source != OUTCOME_NONE || !result->source_recorded;

	if (result->violation != NULL)
		return false;
	if (plan->fault == FAULT_LINK_DIES)
		return runs || result->alarms > 0;
	if (plan->fault == FAULT_QEMU_DIES)
		return well_ended_without_qemu(plan, result);
	return runs && ended;
}

static void any_single_fault_at_any_call_leaves_one_vm(void **state)
{
	struct hosts_result result, plain;
	struct hosts_plan plan;
	unsigned int variant, calls, wrong = 0, runs = 0;

	for (variant = 0; variant < 4; variant++) {
		plan = (struct hosts_plan){.shut_lost = variant & 1, .no_pause = variant & 2};
		plain = run(&plan);
		json_decref(plain.source_report);
		for (plan.side = HANDOVER_SOURCE; plan.side <= HANDOVER_DEST; plan.side++) {
			calls = plan.side == HANDOVER_SOURCE ? plain.source_calls
							     : plain.dest_calls;
			for (plan.fault = FAULT_NONE + 1; plan.fault < FAULTS; plan.fault++) {
				for (plan.call = 1; plan.call <= calls; plan.call++, runs++) {
					hosts_run(&plan, &result);
					json_decref(result.source_report);
					if (well_ended(&plan, &result))
						continue;
					complain(&plan, &result);
					wrong++;
				}
			}
		}
	}
	print_message("%u runs\n", runs);
	assert_true(runs > 500);
	assert_int_equal(wrong, 0);
}

static void an_operator_ends_what_a_link_lost_for_ever_left_open(void **state)
{
	struct hosts_plan plan = {.fault = FAULT_LINK_DIES, .operator_comes = true};
	struct hosts_result result;
	unsigned int calls[2], kept = 0, dropped = 0;

	result = run(&plan);
	json_decref(result.source_report);
	calls[HANDOVER_SOURCE] = result.source_calls;
	calls[HANDOVER_DEST] = result.dest_calls;
	for (plan.side = HANDOVER_SOURCE; plan.side <= HANDOVER_DEST; plan.side++) {
		for (plan.call = 1; plan.call <= calls[plan.side]; plan.call++) {
			result = run(&plan);
			json_decref(result.source_report);
			if (result.source_runs == result.dest_runs || result.source == OUTCOME_NONE)
				complain(&plan, &result);
			assert_true(result.source_runs != result.dest_runs);
			assert_int_not_equal(result.source, OUTCOME_NONE);
			kept += result.source == OUTCOME_KEPT && result.alarms > 0;
			dropped += result.source == OUTCOME_DROPPED;
		}
	}
	/* the word GAVE was lost; the word RUNNING was lost */
	assert_true(kept > 0);
	assert_true(dropped > 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_move_takes_the_vm_to_the_other_host),
		cmocka_unit_test(ferryd_hears_each_phase_once_and_in_order),
		cmocka_unit_test(c12_completed_without_pre_switchover_is_a_move),
		cmocka_unit_test(c12_failed_after_pre_switchover_keeps_the_vm),
		cmocka_unit_test(c12_an_unknown_status_word_decides_nothing_and_is_told),
		cmocka_unit_test(lost_events_are_made_good_by_questions),
		cmocka_unit_test(a_vm_that_stood_still_stands_still_at_the_destination),
		cmocka_unit_test(a_vm_stopped_by_somebody_during_the_copy_is_not_set_going),
		cmocka_unit_test(a_stalled_final_pass_is_cut_after_pause_max),
		cmocka_unit_test(qemu_is_held_while_sessions_are_behind_and_not_in_the_pause),
		cmocka_unit_test(a_vm_is_not_switched_over_while_its_ferryd_is_away),
		cmocka_unit_test(b13_a_destination_that_cannot_verify_gives_the_vm_back),
		cmocka_unit_test(b13_a_destination_that_cannot_run_the_vm_gives_it_back),
		cmocka_unit_test(a_receiving_qemu_without_stop_flag_is_ended_and_told),
		cmocka_unit_test(the_report_has_the_steps_and_the_pause),
		cmocka_unit_test(an_operator_ends_what_a_link_lost_for_ever_left_open),
		cmocka_unit_test(any_single_fault_at_any_call_leaves_one_vm),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
