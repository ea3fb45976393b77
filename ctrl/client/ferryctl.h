/* SPDX-License-Identifier: BSD-3-Clause */
/* What the files of ferryctl share: the settings of one run, its exit codes, and who prints. */
#ifndef CTRL_CLIENT_FERRYCTL_H
#define CTRL_CLIENT_FERRYCTL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "ctrl/rpc/client.h"

enum exit_code {
	EXIT_OK = 0,
	EXIT_FAILED = 1, /* the daemon answered with an error */
	EXIT_USAGE = 2, /* wrong options, or no such command */
	EXIT_CONNECT = 3, /* no daemon to talk to */
	EXIT_TIMEOUT = 4, /* the daemon does not answer */
	EXIT_BROKEN = 5, /* the connection ended within an answer, or brought no JSON-RPC */
	EXIT_OUTPUT = 6, /* the answer could not be written */
	EXIT_INTERNAL = 7, /* out of memory and the like */
};

struct settings {
	char socket[512];
	unsigned int timeout_ms; /* 0: none */
	bool json;
	unsigned int watch_ms; /* 0: once */
};

/* A connection with the time left for this run. */
struct session {
	const struct settings *settings;
	struct rpc_client *client;
	uint64_t deadline_ms; /* for the first answer; UINT64_MAX: none */
};

/* --- session.c --- */

/* Says on stderr what went wrong and returns an exit code. */
int session_open(const struct settings *settings, struct session *session);
void session_close(struct session *session);

/* One call; what it brings goes to the answer, or to the sink. EXIT_OK, or says what went wrong
 * (not the daemon's error, which is in the answer). */
int session_call(struct session *session, struct rpc_call *call, struct rpc_answer *answer);

/* Calls and prints the result on stdout as it comes, the error on stderr. */
int session_print(struct session *session, const char *method, char **args, size_t n_args);

/* Again and again until it fails or is interrupted. */
int session_watch(struct session *session, const char *method, char **args, size_t n_args);

/* --- names.c --- */

/* The commands of the daemon, from its list-commands. */
struct names {
	char *text;
	struct name {
		const char *name, *usage;
	} * names;
	size_t n_names;
};

/* Cuts the text, which becomes the names' own. 0 or -ENOMEM. */
int names_parse(char *text, struct names *names);
void names_free(struct names *names);

/*
 * The command that the words begin with ("vport show vm1": "vport/show"). NULL when none does; else
 * how many words it took.
 */
const struct name *names_find(
	const struct names *names, char **words, size_t n_words, size_t *n_taken);

/* Says on stderr that there is no such command, and what there is. */
void names_explain(const struct names *names, char **words, size_t n_words);

/* What may follow the words, of which the last is only begun: one a line on stdout. */
void names_complete(const struct names *names, char **words, size_t n_words);

/* --- help.c --- */

extern const char ferryctl_help[], ferryctl_completion_bash[];

#endif
