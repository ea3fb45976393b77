/* SPDX-License-Identifier: BSD-3-Clause */
/* What session/save, load and apply share. Loop thread. */
#ifndef CTRL_MIGRATE_CMD_SESSION_H
#define CTRL_MIGRATE_CMD_SESSION_H

#include "ctrl/cmd/cmd.h"
#include "ctrl/migrate/intake.h"
#include "ctrl/migrate/mover_impl.h"

/* A vport whose sessions a command works on. */
struct session_work {
	struct mover *mover; /* NULL: ended */
	struct mover_use use;
	struct vswitch_port *port;
	struct vswitch_port_info info;
	struct vswitch_import *import;
};

/* 0, or the return of cmd_fail. `what` says why the vport cannot go meanwhile. */
int session_work_begin(
	struct cmd *cmd, const char *vport, const char *what, struct session_work *work);
/* May its sessions be changed here? */
int session_work_writes(struct cmd *cmd, const struct session_work *work);
void session_work_end(struct session_work *work);
/* What was not installed, and why. */
void session_work_show(struct out *out, const struct move_sessions *sessions);

/* cmd_session_apply.c */
int session_apply(struct cmd *cmd);

#endif
