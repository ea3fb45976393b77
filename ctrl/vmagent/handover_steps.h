/* SPDX-License-Identifier: BSD-3-Clause */
/* What both sides' step tables are made of. Inside ctrl/vmagent/handover*.c only. */
#ifndef FERRY_VMAGENT_HANDOVER_STEPS_H
#define FERRY_VMAGENT_HANDOVER_STEPS_H

#include <errno.h>
#include <stddef.h>

#include "ctrl/vmagent/handover.h"

#define HANDOVER_TICK_NS 100000000ull

/* deadline: index of a uint32_t in handover_policy, as DEADLINE(field); 0 = none */
#define DEADLINE(field) (offsetof(struct handover_policy, field) + 1)

struct handover_step {
	const char *name;
	int (*enter)(struct handover *handover);
	bool (*until)(const struct handover *handover);
	void (*tick)(struct handover *handover); /* after each input and at least each 100 ms */
	unsigned int troubles;
	size_t deadline;
	bool only_alarms; /* past the deadline the operator is told, and the wait goes on */
};

/* Runs steps[from..n). 0, or -errno with handover->reason set; -ESHUTDOWN: leave as it is. */
int handover_steps_run(struct handover *handover, const struct handover_step *steps, unsigned int n,
	unsigned int from);
/* Waits until met() or the deadline. 0, -ETIMEDOUT, -ESHUTDOWN. Troubles do not end it. */
int handover_await(struct handover *handover, bool (*met)(const struct handover *handover),
	uint32_t timeout_ms);

/* Records first, then says it; reason is the handover's. */
int handover_declare(struct handover *handover, enum handover_mark mark);
/* Repeats until the record is on disk, with alarms; says nothing. 0 or -ESHUTDOWN. */
int handover_record_surely(struct handover *handover, enum handover_mark mark);

/* In an operator's words. */
const char *handover_qmp_error(int err);
int handover_qmp(struct handover *handover, const char *command, json_t *args, json_t **reply);
/* Sets the capabilities (names with true or false) in one command. */
int handover_set_capabilities(struct handover *handover, json_t *wanted);
/* Reads status and run state from QEMU into the facts. */
int handover_learn(struct handover *handover);
void handover_start_stamp(struct handover *handover, const char *step);
__attribute__((format(printf, 3, 4))) int handover_fail(
	struct handover *handover, int err, const char *format, ...);
bool handover_status_final(const struct handover *handover);

#endif
