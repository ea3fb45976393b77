/* SPDX-License-Identifier: BSD-3-Clause */
/* The inside of the agent, for agent*.c only. */
#ifndef FERRY_VMAGENT_AGENT_IMPL_H
#define FERRY_VMAGENT_AGENT_IMPL_H

#include <pthread.h>
#include <sys/queue.h>

#include "ctrl/vmagent/agent.h"
#include "ctrl/vmagent/move.h"

#define AGENT_MOVES_MAX 16
#define AGENT_HISTORY_MAX 64
#define AGENT_CHILDREN_MAX 4096 /* VMs that this agent has started and that run */

struct agent_entry {
	STAILQ_ENTRY(agent_entry) next;
	struct move *move;
	unsigned int users; /* threads that use `move` without the lock */
};

struct agent {
	const struct vmagent_options *options;
	struct channel_host *channels;
	struct log_module *log;
	int state_fd; /* the state directory is ours while it is open */

	pthread_mutex_t lock; /* over all that follows */
	STAILQ_HEAD(, agent_entry) moves;
	unsigned int n_moves;
	json_t *history;
	pid_t children[AGENT_CHILDREN_MAX]; /* of ended moves: hooks, and QEMUs they became */
	unsigned int n_children;
	unsigned int serial; /* of ids made here */
	bool stopping;
	struct channel_listener *listener;
};

/* All with the lock held. */
struct agent_entry *agent_find(struct agent *agent, const char *id);
struct agent_entry *agent_find_vm(struct agent *agent, const char *vm);
/* record, policy, zstd_level and leave of `wanted` count. */
int agent_add(struct agent *agent, const struct move_options *wanted, struct agent_entry **out);
void agent_reap(struct agent *agent);

/* agent_door.c */
int agent_door_open(struct agent *agent, char *why, size_t why_size);
void agent_door_close(struct agent *agent);

#endif
