/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef CTRL_MIGRATE_CMD_WATCH_H
#define CTRL_MIGRATE_CMD_WATCH_H
/*
 * Commands that answer as a move goes on: migrate/watch for people, migrate/agent-wait for the VM's
 * agent. Loop thread only; each waits on a timer of its own and holds up nobody.
 */
#include "ctrl/cmd/cmd.h"

int migrate_watch(struct cmd *cmd); /* ID */
int migrate_agent_wait(struct cmd *cmd); /* ID SERIAL TIMEOUT_MS */

/* The view of a move as the agent reads it (ctrl/vmagent/README.md). */
int migrate_agent_view(struct cmd *cmd);

#endif
