/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * From one config to the next without holding up the loop. What takes long (reading, checking,
 * compiling rules) is done by a thread of the reloader's own; the loop only applies the difference.
 * One goes after the other, in the order in which they were asked for: each is made from the config
 * that the one before left in force. Commands are answered when theirs is over.
 *
 * All calls: the loop's thread.
 */
#ifndef CTRL_CMD_RELOAD_H
#define CTRL_CMD_RELOAD_H

#include "ctrl/cmd/daemon.h"

#define RELOADS_WAITING_MAX 32 /* beyond the one under way */

enum reload_kind {
	RELOAD_FILE, /* go over to the file `what` */
	RELOAD_CHECK, /* say what is wrong with the file `what`; nothing changes */
	RELOAD_VPORT_ADD, /* the config in force and one vport more: its YAML */
	RELOAD_VPORT_DEL, /* the config in force without the vport of this name */
};

struct reloader_options {
	struct daemon *daemon;
	/* Another config is in force; from is freed afterwards. */
	void (*applied)(void *arg, const struct config *from, const struct config *to);
	/* A reload that no command waits for is over. error NULL: it went well. */
	void (*told)(void *arg, const char *error);
	void *arg;
};

struct reloader;

int reloader_create(const struct reloader_options *options, struct reloader **out);
/* cmd NULL: nobody waits for the answer; what waits already for the same is enough then. Else what
 * the command returns. */
int reloader_ask(
	struct reloader *reloader, enum reload_kind kind, const char *what, struct cmd *cmd);
/* Waits for the thread. What was not applied is not, and its commands are told; before the setup
 * goes. NULL allowed. */
void reloader_stop(struct reloader *reloader);
/* After the loop: it may hold a closure of this. NULL allowed. */
void reloader_free(struct reloader *reloader);

#endif
