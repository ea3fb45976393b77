/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Two hosts in a nutshell: for each an agent that runs the real hand-over, a QEMU, a ferryd and a
 * disk, all under one clock that nobody waits for. Agents are coroutines; every call of an agent
 * into its world is counted, so that a test can let anything go wrong at each single call.
 *
 * The hosts watch themselves: `violation` names the first moment at which two VMs ran, or at which
 * the VM ran in a place whose record forbids it.
 */
#ifndef TEST_FAKE_HOSTS_H
#define TEST_FAKE_HOSTS_H

#include <stdbool.h>
#include <stdint.h>

#include "ctrl/vmagent/handover.h"

enum fault {
	FAULT_NONE,
	FAULT_AGENT_DIES_BEFORE, /* instead of the call; another agent comes 100 ms later */
	FAULT_AGENT_DIES_AFTER, /* the call has had its effect */
	FAULT_QEMU_DIES, /* this side's */
	FAULT_LINK_BLINKS, /* both connections break, new ones stand 500 ms later */
	FAULT_LINK_DIES, /* for ever */
	FAULT_FERRYD_FAILS, /* this side's gives the move up */
	FAULT_DISK_FAILS, /* records cannot be written for 3 s */
	FAULT_ABORT,
	FAULTS,
};

struct hosts_plan {
	enum fault fault;
	enum handover_side side; /* whose call it happens at */
	unsigned int call; /* 1 = the first */
	bool shut_lost; /* a break while QEMU S waits for D's last word reaches QEMU S first */
	bool no_pause; /* without pause-before-switchover */
	bool was_paused; /* the VM stands still already before the move */
	bool cont_refused; /* QEMU D cannot start the VM */
	bool never_verified; /* ferryd D finds the sessions wanting */
	bool no_stop_flag; /* QEMU D was not started with -S */
	bool stalls; /* the final pass never ends */
	bool events_lost; /* no MIGRATION events: only queries tell */
	bool stopped_by_user; /* somebody stops the VM while the memory is copied */
	bool strange_status; /* QEMU says a word nobody knows before it goes on */
	bool behind; /* sessions fall behind for 300 ms in the middle of the copy */
	bool ferryd_goes; /* S's, when its vCPUs have stopped; it does not come back */
	bool operator_comes; /* after 15 s, looks where the VM runs and resolves on both sides */
	const char *end_status; /* QEMU S ends with this after pre-switchover, NULL: completed */
};

struct hosts_result {
	const char *violation;
	enum handover_outcome source, dest; /* OUTCOME_NONE: still waiting */
	bool source_runs, dest_runs;
	bool source_dead, dest_dead; /* the QEMU processes */
	bool source_recorded; /* S has something on disk about the move */
	unsigned int alarms;
	unsigned int holds, releases; /* of QEMU, by its max-bandwidth */
	bool held_in_pause; /* our own brake was on while the vCPUs stood */
	unsigned int source_calls, dest_calls;
	uint64_t took_ms;
	char source_reason[HANDOVER_REASON_MAX];
	json_t *source_report; /* the test's */
	char phases[256]; /* told to both ferryds, "S:start D:incoming ..." */
};

void hosts_run(const struct hosts_plan *plan, struct hosts_result *result);

#endif
