/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What ferryd's commands work on: the ctx of every noun but `log`. Loop thread only. Owned by
 * ctrl/ferryd.c.
 */
#ifndef CTRL_CMD_DAEMON_H
#define CTRL_CMD_DAEMON_H

#include <stddef.h>
#include <stdint.h>

#include "config/config.h"
#include "ctrl/cmd/cmd.h"
#include "ctrl/vswitch/setup.h"
#include "dataplane/engine.h"

struct log;
struct mover;

struct daemon {
	struct setup *setup;
	struct engine *engine; /* setup's */
	struct config *config; /* in force; owned */
	const char *config_path;
	const char *control_path;
	struct loop *loop;
	struct log *log;
	struct mover *mover; /* NULL: no moves */
	uint64_t started_ns; /* engine time */
	uint64_t reloads;
	char reload_error[512]; /* of the last reload; empty: it went well */
	struct clock_warp *warp; /* NULL: the clock is real */
};

/* Load the file again and go over to it. 0, or -errno with reload_error set and nothing changed. */
int daemon_reload(struct daemon *daemon, const char *path);

/* Between a file's name and what setup says of its config, which may begin with line and column. */
const char *daemon_fault_joint(const char *fault);

/* vport/add and vport/del: the config in force with one vport more (its YAML) or less (its name).
 * ctrl/cmd/edit.c */
int daemon_edit_vport(struct cmd *cmd, const char *text, bool add);

extern const struct cmd_noun cmd_noun_config, cmd_noun_drop, cmd_noun_flow, cmd_noun_host,
	cmd_noun_location, cmd_noun_plugin, cmd_noun_session, cmd_noun_time, cmd_noun_trace,
	cmd_noun_vport, cmd_noun_worker;

#endif
