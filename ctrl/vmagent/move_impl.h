/* SPDX-License-Identifier: BSD-3-Clause */
/* The inside of a move, for move*.c only. */
#ifndef FERRY_VMAGENT_MOVE_IMPL_H
#define FERRY_VMAGENT_MOVE_IMPL_H

#include <pthread.h>
#include <sys/queue.h>

#include "ctrl/vmagent/carry.h"
#include "ctrl/vmagent/move.h"
#include "ctrl/vmagent/qmp.h"
#include "ctrl/vmagent/switch.h"

#define MOVE_QMP_MS 2000
#define MOVE_SAY_MS 1000

/* A note to the move's thread: an input, or a new connection to the other agent. */
struct move_note {
	STAILQ_ENTRY(move_note) next;
	struct handover_input input;
	struct channel *peer; /* not NULL: this is a connection */
};

struct move {
	struct move_options options;
	struct handover handover; /* the thread's own */
	pthread_t thread;

	pthread_mutex_t lock; /* over the inbox, the report and the flags */
	STAILQ_HEAD(, move_note) inbox;
	int wake_fd;
	json_t *report;
	bool ended;
	bool settled; /* its outcome is recorded, QEMU is left alone */
	_Atomic bool stopping;
	unsigned int carry_users; /* threads in move_take_memory */
	pthread_cond_t carry_idle;

	/* the thread's own from here on */
	struct record record;
	struct qmp *qmp;
	uint64_t qmp_lost_ns; /* 0: connected */
	bool qmp_expected; /* there should be a QEMU */
	bool qmp_unasked; /* connected again, the run state not asked for yet */
	bool dead_told;
	bool spawned; /* by our start hook */
	pid_t child; /* what the start hook left running, or 0 */
	uint64_t query_id, queried_ns; /* id 0: no question is out */
	bool silence_told;
	struct channel *peer;
	uint64_t peer_lost_ns; /* 0: connected */
	uint64_t attached_ns; /* when the control channel was last made; 0: never */
	bool peer_lost_told;
	uint64_t heard_ns, said_ns; /* the last word each way */
	bool dialling;
	struct channel_cancel dial_cancel; /* set when the move ends */
	char dial_error[HANDOVER_REASON_MAX]; /* under the lock: why the last one failed */
	pthread_t dialler;
	struct switch_agent *switch_agent;
	char pending_phase[24]; /* ferryd could not be told */
	json_t *pending_facts;
	uint64_t pending_ns;
	struct carry *carry;
	char *qmp_path;
	char carry_path[108];
	char carry_uri[128];
	uint64_t published_ns;
};

extern const struct handover_world move_world;

/* move_next.c */
int move_next(void *ctx, uint64_t deadline_ns, struct handover_input *input);
void move_post(struct move *move, const struct handover_input *input, struct channel *peer);
void move_publish(struct move *move);
void move_qmp_lost(struct move *move);
/* Connects again, if QEMU answers soon. */
int move_qmp_again(struct move *move);

/* move_peer.c */
int move_dial(struct move *move, unsigned int index, const struct channel_options *options,
	struct channel **channel);
void move_peer_attached(struct move *move, struct channel *peer);
void move_peer_dropped(struct move *move);
void move_peer_say(struct move *move);
void move_dial_start(struct move *move);
void move_dial_join(struct move *move);

/* move_qemu.c */
int move_qemu_start(void *ctx, char *error);
void move_qemu_stop(void *ctx);
void move_qemu_remember(struct move *move);
/* Why QMP cannot be reached, in an operator's words. */
const char *move_reach_error(int err);

#endif
