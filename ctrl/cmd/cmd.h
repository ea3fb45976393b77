/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Commands. A command is one function and one row; the rows of a noun are one table in
 * ctrl/cmd/NOUN.c, exported as `const struct cmd_noun cmd_noun_NOUN`. README.md shows how to add
 * one. All of this runs in the loop's thread.
 *
 *	static int vport_show(struct cmd *cmd)
 *	{
 *		struct engine *engine = cmd->ctx;
 *		struct out *out = cmd_out(cmd);
 *
 *		if (cmd->n_args && !known(engine, cmd->args[0]))
 *			return cmd_fail(cmd, "no vport named \"%s\"", cmd->args[0]);
 *		...
 *		return 0;
 *	}
 */
#ifndef CTRL_CMD_CMD_H
#define CTRL_CMD_CMD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "ctrl/cmd/out.h"
#include "ctrl/rpc/loop.h"

struct rpc_reply;
struct rpc_request;

#define CMD_LATER 1 /* what a command returns when the answer is not complete */
#define CMD_MORE 1 /* what a step returns to be called again */

/* A running command: from the call of its function to the end of the answer. */
struct cmd {
	void *ctx; /* as given for its noun */
	/* Without options and the name; valid until the answer is complete. */
	const char *const *args;
	size_t n_args;
	void *state; /* the command's own, for steps and late answers */
};

/* 0: complete. Negative: failed, with the text of cmd_fail, or of the errno. CMD_LATER: what
 * cmd_stream and cmd_defer return. Answers within 100 ms or defers. */
typedef int cmd_fn(struct cmd *cmd);

enum cmd_flags {
	CMD_JSON = 1, /* takes --json: all output goes through cmd_out */
};

struct cmd_row {
	const char *name; /* "noun/verb" */
	const char *usage; /* arguments and options, "[VPORT] [--limit=N]"; --json is added */
	int min_args, max_args; /* options not counted; max -1: any number */
	/* The options it takes, "limit= brief": with '=' when a value must follow. NULL: none. */
	const char *options;
	unsigned int flags;
	cmd_fn *run;
	const char *help; /* one line; further lines are shown by `help NAME` */
};

struct cmd_noun {
	const char *name;
	const struct cmd_row *rows;
	size_t n_rows;
};

#define CMD_NOUN(noun, table) \
	const struct cmd_noun cmd_noun_##noun = {#noun, table, sizeof(table) / sizeof((table)[0])}

/* The output of the command, text or JSON as the caller asked. Ended by the frame. */
struct out *cmd_out(struct cmd *cmd);
bool cmd_is_json(const struct cmd *cmd);

/*
 * For answers that come bit by bit, in place of cmd_out: one line is one object in JSON, and
 * "key=value ..." in text; it is on its way with cmd_line_end. NULL without memory.
 */
struct out *cmd_line(struct cmd *cmd);
void cmd_line_end(struct cmd *cmd);

/* Sets the error text and returns -EINVAL, to be returned. Nothing of cmd_out is shown then, unless
 * it is already on its way. */
int cmd_fail(struct cmd *cmd, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* The value of --name=VALUE, "" for a bare --name, NULL when it was not given. */
const char *cmd_option(const struct cmd *cmd, const char *name);

/* Reads a whole number (decimal or 0x) from text; what names it in the error. 0, or the return of
 * cmd_fail. */
int cmd_number(struct cmd *cmd, const char *what, const char *text, uint64_t max, uint64_t *number);

/*
 * A long answer in slices. step(cmd) is called from the loop whenever the client has room, writes a
 * slice (at most a millisecond of work and about cmd_room bytes) and returns CMD_MORE, 0 when
 * complete, or -errno. end(cmd) is called once, at the end or when the client has gone: frees
 * cmd->state. Returns CMD_LATER.
 */
int cmd_stream(struct cmd *cmd, cmd_fn *step, void (*end)(struct cmd *cmd));
size_t cmd_room(const struct cmd *cmd);

/*
 * The answer comes later. The owner of the work must call cmd_finish exactly once, in the loop's
 * thread (another thread posts a closure that does, or calls cmd_post_finish). gone(cmd), may be
 * NULL, is called when the client hangs up before; cmd_finish is still due. Returns CMD_LATER.
 */
int cmd_defer(struct cmd *cmd, void (*gone)(struct cmd *cmd));
void cmd_finish(struct cmd *cmd, int result);

/* Any thread: ends a deferred command with this text (copied), the result when error is 0, else the
 * error. 0 or -ENOMEM, then the command is still open. */
int cmd_post_finish(struct cmd *cmd, int error, const char *text);

/* --- for the program that puts the commands together --- */

struct cmd_registry;

struct cmd_registry_options {
	const char *program; /* "ferryd" */
	const char *version;
	struct loop *loop;
};

int cmd_registry_create(const struct cmd_registry_options *options, struct cmd_registry **registry);
/* After the server. Deferred commands keep what they need. NULL allowed. */
void cmd_registry_destroy(struct cmd_registry *registry);

/* 0, -EEXIST (a name twice), -EINVAL (a broken row), -ENOMEM. The table is not copied. */
int cmd_registry_add(struct cmd_registry *registry, const struct cmd_noun *noun, void *ctx);

/* The rpc_handler; ctx is the registry. */
void cmd_registry_handle(
	void *registry, const struct rpc_request *request, struct rpc_reply *reply);

/* --- nouns of the frame: need no engine --- */

/* list-commands, help, version, exit: added by cmd_registry_create. `exit` stops the loop. */

/* log/set, log/show, log/reopen; ctx: struct log. */
extern const struct cmd_noun cmd_noun_log;

#endif
