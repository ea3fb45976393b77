/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * All moves of this host, and the door by which other agents come in. Any thread.
 *
 * A move is started here (source) or by another agent's first word (destination). An ended move
 * leaves its report in a short history and its record on disk, which answers the other side's
 * questions from then on.
 */
#ifndef FERRY_VMAGENT_AGENT_H
#define FERRY_VMAGENT_AGENT_H

#include <jansson.h>

#include "ctrl/channel/listener.h"
#include "ctrl/log.h"
#include "ctrl/vmagent/options.h"

struct agent;

struct agent_request {
	const char *vm, *host;
	const char *id; /* the caller's, for a repeated start; NULL: one is made */
	int multifd_channels, zstd_level, downtime_limit_ms; /* -1: as configured */
	bool leave; /* do not end the source's QEMU after the move */
};

struct agent_setup {
	const struct vmagent_options *options;
	struct channel_host *channels;
	struct log_module *log;
};

/* Takes up what the records say is unfinished, then listens. What `setup` points at outlives it.
 * why gets a sentence on failure. */
int agent_create(const struct agent_setup *setup, struct agent **out, char *why, size_t why_size);
/* Moves under way are left as they are; the next agent takes them up. */
void agent_destroy(struct agent *agent);

/*
 * Starts a move, or finds the one of that id. id gets its name (HANDOVER_ID_MAX bytes).
 * -EBUSY: a move of it is under way; -EINVAL: not a usable name; -EEXIST: the id belongs to another
 * VM's move, or to one to another host; -EPROTO: its record cannot be read; -EHOSTUNREACH: no such
 * peer.
 */
int agent_start(struct agent *agent, const struct agent_request *request, char *id);
/* A child of this process has ended, perhaps the QEMU that a start hook became. */
void agent_child_ended(struct agent *agent);
/* By id, or by VM for its move under way. -ENOENT. */
int agent_abort(struct agent *agent, const char *name, const char *reason);
int agent_resolve(struct agent *agent, const char *name, bool run);
/* New reference or NULL: the report of a move under way or ended. */
json_t *agent_report(struct agent *agent, const char *name);
/* New reference: reports, oldest first. */
json_t *agent_reports(struct agent *agent);
/* New reference: the VMs with a QMP socket here, each with its move under way or null. */
json_t *agent_vms(struct agent *agent);

#endif
