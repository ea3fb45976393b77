/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What ferryd's commands work on: the ctx of every noun but `log`. Loop thread only; of a reload,
 * its thread reads what does not change. Owned by ctrl/ferryd.c.
 */
#ifndef CTRL_CMD_DAEMON_H
#define CTRL_CMD_DAEMON_H

#include <ctype.h>
#include <stddef.h>
#include <stdint.h>

#include "config/config.h"
#include "ctrl/cmd/cmd.h"
#include "ctrl/vswitch/setup.h"
#include "dataplane/engine.h"

struct log;
struct mover;
struct reloader;

struct daemon {
	struct setup *setup;
	struct engine *engine; /* setup's */
	struct config *config; /* in force; owned */
	const char *config_path;
	const char *control_path;
	struct loop *loop;
	struct log *log;
	struct mover *mover; /* NULL: no moves */
	struct reloader *reloader;
	uint64_t started_ns; /* engine time */
	uint64_t reloads;
	char reload_error[1024]; /* of the last reload; empty: it went well */
	struct clock_warp *warp; /* NULL: the clock is real */
};

/* Between a file's name and what setup says of its config, which may begin with line and column. */
static inline const char *daemon_fault_joint(const char *fault)
{
	return isdigit((unsigned char)fault[0]) ? ":" : ": ";
}

/* A config as text, with one vport more (`add`, its YAML in one line) or less (`del`, its name). To
 * be freed; NULL: no memory. ctrl/cmd/edit.c; any thread */
char *daemon_config_edited(const struct config *config, const char *add, const char *del);

extern const struct cmd_noun cmd_noun_config, cmd_noun_drop, cmd_noun_flow, cmd_noun_host,
	cmd_noun_location, cmd_noun_plugin, cmd_noun_session, cmd_noun_time, cmd_noun_trace,
	cmd_noun_vport, cmd_noun_worker;

#endif
