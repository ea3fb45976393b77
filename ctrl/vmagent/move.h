/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * One move of one VM at this host: a thread that runs the hand-over in the real world.
 *
 * All functions may be called from any thread. The thread waits in one place only (move_next.c),
 * for QEMU, the other agent, ferryd, the memory path and the operator alike.
 */
#ifndef FERRY_VMAGENT_MOVE_H
#define FERRY_VMAGENT_MOVE_H

#include <jansson.h>

#include "ctrl/channel/channel.h"
#include "ctrl/log.h"
#include "ctrl/vmagent/options.h"
#include "ctrl/vmagent/peer.h"
#include "ctrl/vmagent/record.h"

struct move;

struct move_options {
	const struct vmagent_options *agent; /* outlives the move */
	struct channel_host *channels;
	struct log_module *log;
	/* id, vm, peer, side and, after a restart, what was recorded; MARK_SILENT: a new move */
	struct record record;
	struct handover_policy policy;
	int zstd_level;
	bool leave; /* S: do not end QEMU here when the VM has moved away */
	struct channel *peer; /* D: where the first word came from; taken over on success */
};

int move_start(const struct move_options *options, struct move **out);
void move_abort(struct move *move, const char *reason);
void move_resolve(struct move *move, bool run);
/* A control channel from the other agent; taken over. */
void move_attach(struct move *move, struct channel *peer);
/* D: a memory channel; taken over, returns when it has ended. */
int move_take_memory(struct move *move, unsigned int stream, struct channel *channel);
/* Leaves QEMU and the records as they are; the thread ends soon. */
void move_shutdown(struct move *move);
bool move_ended(const struct move *move);
/* Its outcome stands, and another move of the VM may begin. */
bool move_settled(const struct move *move);
/* Of an ended move: the start hook's process, or what it became, to be waited for; 0: none. */
pid_t move_child(const struct move *move);
/* New reference: the report as last published, at most 100 ms old while the move goes on. */
json_t *move_report(struct move *move);
const struct record *move_identity(const struct move *move); /* id, vm, peer, side only */
/* Shuts down if need be, waits for the thread and frees. */
void move_destroy(struct move *move);

#endif
