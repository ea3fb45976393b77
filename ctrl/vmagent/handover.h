/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The two-phase hand-over of one VM: who may run it, decided so that a lost link, a dead process
 * or a lost event never makes two VMs, and never none without somebody being told.
 *
 *   S runs until it has durably recorded GAVE.  D runs only after it heard GAVE, ferryd at D has
 *   verified the sessions, and D has durably recorded RUN.  D may record REFUSED as long as it
 *   knows that the VM has not run there: before RUN, or when QEMU answered `cont` with a refusal.
 *   Only REFUSED lets S run again after GAVE.  KEPT is S's promise never to give.
 *   Who knows none of these leaves the VM paused and raises the alarm; an operator resolves.
 *
 * Each side is a table of steps and one driver. A step has an entry function, a condition to wait
 * for, the troubles that end it and a deadline. The driver alone writes the step, the facts and the
 * times. All of the world (QEMU, the other agent, ferryd, disk, clock) is behind handover_world, so
 * that the tests run the real tables with a fake world and no time passing.
 *
 * One thread per hand-over; nothing here locks.
 */
#ifndef FERRY_VMAGENT_HANDOVER_H
#define FERRY_VMAGENT_HANDOVER_H

#include <stdbool.h>
#include <stdint.h>
#include <jansson.h>

#include "ctrl/vmagent/qmp_parse.h"

#define HANDOVER_ID_MAX 64
#define HANDOVER_REASON_MAX 200
#define HANDOVER_STEPS_MAX 8

enum handover_side { HANDOVER_SOURCE, HANDOVER_DEST };

/* What a side stands for: said to the other agent, and recorded where `durable` is noted. */
enum handover_mark {
	MARK_SILENT, /* nothing heard yet */
	MARK_UNKNOWN, /* "I have no trace of this move" */
	/* source */
	MARK_PREPARE, /* durable: get a receiving QEMU ready */
	MARK_COPY, /* durable: QEMU has been told to migrate, or is about to be */
	MARK_GAVE, /* durable: will not run the VM any more unless the other REFUSED */
	MARK_KEPT, /* durable: runs the VM and never gives it in this move */
	MARK_DONE, /* durable: heard RUNNING */
	/* destination */
	MARK_INCOMING, /* durable: a receiving QEMU is being made */
	MARK_PREPARED, /* it waits for memory */
	MARK_LOADED, /* it has the whole VM and is paused */
	MARK_REFUSED, /* durable: has not run and will not run the VM */
	MARK_RUN, /* durable: about to run the VM, or running it */
	MARK_RUNNING, /* durable: QEMU said that the VM runs */
};

const char *handover_mark_name(enum handover_mark mark);
enum handover_mark handover_mark_parse(const char *name); /* MARK_SILENT when it is none */

/* ferryd's view of the move (README.md, "Verbs"). */
enum switch_state {
	SWITCH_PREPARING,
	SWITCH_READY, /* sessions are copied and followed */
	SWITCH_FINAL, /* S: frozen, final sent */
	SWITCH_VERIFIED, /* D: final loaded, counts and digest equal */
	SWITCH_COMMITTED, /* owner changed */
	SWITCH_FAILED,
};

struct switch_view {
	enum switch_state state;
	bool behind; /* the copy of sessions cannot follow: hold QEMU */
	bool away; /* ferryd does not answer; the rest is what it said last, but `behind` */
	uint64_t credit_bytes_per_s; /* for memory; 0 = no cap */
	char reason[HANDOVER_REASON_MAX];
};

enum handover_input_kind {
	INPUT_QMP_STATUS, /* status, from an event or an answer; ram bytes when known */
	INPUT_VCPUS, /* vcpus_run */
	INPUT_QEMU_DEAD, /* the process has ended */
	INPUT_QEMU_SILENT, /* it lives, and has not answered for longer than a VM may be paused */
	INPUT_PEER, /* mark, reason */
	INPUT_PEER_UP,
	INPUT_PEER_LOST, /* gone for longer than peer_ms */
	INPUT_SWITCH, /* view */
	INPUT_CARRY_LOST, /* the path of the memory broke */
	INPUT_ABORT, /* an operator or an orchestrator wants it undone; reason */
	INPUT_RESOLVE_RUN, /* an operator answers for it: the VM runs here */
	INPUT_RESOLVE_DROP,
	INPUT_SHUTDOWN, /* the agent ends; leave everything as it is */
};

struct handover_input {
	enum handover_input_kind kind;
	enum qmp_status status;
	enum handover_mark mark;
	bool vcpus_run;
	uint64_t heard_ns;
	uint64_t ram_remaining_bytes;
	uint64_t ram_total_bytes;
	struct switch_view view;
	char reason[HANDOVER_REASON_MAX];
};

/* Troubles that can end a step; each step names those that do. */
enum handover_trouble {
	TROUBLE_ABORT = 1 << 0,
	TROUBLE_PEER_LOST = 1 << 1,
	TROUBLE_PEER_REFUSED = 1 << 2, /* D refused, or S kept */
	TROUBLE_PEER_UNKNOWN = 1 << 3,
	TROUBLE_SWITCH = 1 << 4,
	TROUBLE_QEMU_FAILED = 1 << 5, /* migration failed or was cancelled */
	TROUBLE_QEMU_DEAD = 1 << 6,
	TROUBLE_CARRY = 1 << 7,
	TROUBLE_QEMU_SILENT = 1 << 8,
};

enum carry_order {
	CARRY_OPEN,
	CARRY_FINAL_PASS, /* no cap, no back-pressure of ours any more */
	CARRY_RUNNING, /* vCPUs run again: cap and hold count as before */
	CARRY_CLOSE, /* cut: QEMU sees a broken stream */
};

struct handover_policy {
	bool pause_before_switchover;
	bool auto_converge;
	uint8_t multifd_channels; /* 0: off */
	uint32_t downtime_limit_ms;
	uint64_t hold_remaining_bytes; /* back-pressure only while more is unsent */
	uint32_t accept_ms; /* D: until the receiving QEMU answers */
	uint32_t prepare_ms; /* S: until D has one that waits, or has said why not */
	uint32_t sessions_ms; /* until ferryd says ready */
	uint32_t copy_ms; /* 0: as long as it takes */
	uint32_t pause_max_ms; /* from the stop of the vCPUs until the VM was given */
	uint32_t cancel_ms; /* per way of cancelling */
	uint32_t alarm_ms; /* paused and nobody knows: alarm again this often */
};

/*
 * The world. Functions return 0 or -errno and have deadlines of their own, except next.
 * `qmp` takes `args` over; -EREMOTEIO when QEMU refuses, with its words in error (of 128 bytes).
 */
struct handover_world {
	uint64_t (*now_ns)(void *ctx);
	int (*next)(void *ctx, uint64_t deadline_ns, struct handover_input *input);
	int (*qmp)(void *ctx, const char *command, json_t *args, json_t **reply, char *error);
	int (*qemu_start)(void *ctx, char *error); /* D: a fresh receiving QEMU, QMP connected */
	void (*qemu_stop)(void *ctx); /* D refused, S done: end that process */
	int (*record)(
		void *ctx, enum handover_mark mark, const char *reason); /* on disk at return */
	int (*peer_say)(void *ctx, enum handover_mark mark, const char *reason);
	int (*switch_phase)(void *ctx, const char *phase, json_t *facts); /* takes facts over */
	int (*carry)(void *ctx, enum carry_order order);
	void (*carry_rate)(void *ctx, uint64_t bytes_per_s, bool hold);
	void (*carried)(void *ctx, uint64_t *memory_bytes, uint64_t *wire_bytes);
	const char *(*carry_uri)(void *ctx);
	void (*alarm)(void *ctx, const char *text);
};

enum handover_outcome {
	OUTCOME_NONE, /* still going on, or left by a shutdown */
	OUTCOME_MOVED,
	OUTCOME_KEPT, /* S runs the VM */
	OUTCOME_REFUSED, /* D will not run it */
	OUTCOME_LOST, /* the VM's process died; nobody runs it */
	OUTCOME_DROPPED, /* S: an operator said that it is not to run here */
};

struct handover_stamp {
	const char *step;
	uint64_t from_ns, to_ns; /* to_ns 0 while in it */
	uint64_t memory_bytes, wire_bytes; /* carried until its end */
};

struct handover {
	/* given */
	enum handover_side side;
	char id[HANDOVER_ID_MAX];
	char vm[HANDOVER_ID_MAX];
	struct handover_policy policy;
	const struct handover_world *world;
	void *ctx;
	bool was_running; /* S: found at admission; D: told by S before it starts */

	/* facts: written by the driver when an input comes, read by steps */
	enum qmp_status status;
	bool vcpus_run;
	bool qemu_dead;
	bool qemu_silent;
	bool peer_up, peer_lost;
	enum handover_mark peer;
	char peer_reason[HANDOVER_REASON_MAX];
	struct switch_view view;
	bool carry_lost;
	bool aborted;
	bool resolved_run, resolved_drop;
	uint64_t ram_remaining_bytes, ram_total_bytes;
	char abort_reason[HANDOVER_REASON_MAX];
	uint64_t stopped_ns; /* when the vCPUs stopped; 0 while they run */
	uint64_t paused_ns; /* pauses that ended */
	uint64_t resumed_ns;
	uint64_t done_ns;

	/* progress: written by the driver */
	enum handover_mark mark; /* last one recorded or said */
	bool started; /* S: QEMU may be migrating */
	bool holding;
	bool paused_reported;
	uint64_t looked_at_ns; /* the stop that was looked into */
	unsigned int step;
	uint64_t step_ns, alarmed_ns;
	struct handover_stamp stamps[HANDOVER_STEPS_MAX + 1];
	unsigned int n_stamps;
	enum handover_outcome outcome;
	char reason[HANDOVER_REASON_MAX];
};

/* `mark` is what the durable record says: MARK_SILENT for a new move. Returns the outcome. */
enum handover_outcome handover_run_source(struct handover *handover, enum handover_mark mark);
enum handover_outcome handover_run_dest(struct handover *handover, enum handover_mark mark);

const char *handover_outcome_name(enum handover_outcome outcome);
const char *handover_step_name(const struct handover *handover);
/* New reference. Steps with times, bytes, pause, outcome; any time, by the move's thread. */
json_t *handover_report(const struct handover *handover);

#endif
