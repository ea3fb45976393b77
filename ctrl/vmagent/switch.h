/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The local ferryd as a move sees it: three verbs of its control socket (README.md, "Verbs").
 *
 * One switch per move. switch_phase() is called by the move's thread and returns within a second;
 * a watcher thread of the switch's own asks `migrate/agent-wait` and hands every view it gets to
 * `heard`; a ferryd that is gone is asked again until it answers. Without a ferryd (path NULL or
 * "") every move counts as ready and verified.
 */
#ifndef FERRY_VMAGENT_SWITCH_H
#define FERRY_VMAGENT_SWITCH_H

#include <jansson.h>

#include "ctrl/vmagent/handover.h"

struct switch_agent;

struct switch_options {
	const char *path; /* control socket of ferryd, NULL: none */
	const char *id, *vm, *peer; /* the move; peer = name of the other host */
	enum handover_side side;
	void (*heard)(void *ctx, const struct switch_view *view); /* from any thread */
	void *ctx;
};

int switch_open(const struct switch_options *options, struct switch_agent **out);
void switch_close(struct switch_agent *agent);
/* Takes facts over. 0; -EREMOTEIO: ferryd refuses; else it cannot be asked. */
int switch_phase(struct switch_agent *agent, const char *phase, json_t *facts);
/* Reads a view from ferryd's answer. Public for the tests. -EPROTO. */
int switch_view_parse(const char *text, struct switch_view *view);

#endif
