/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef FERRY_PLUGIN_CHAIN_H
#define FERRY_PLUGIN_CHAIN_H
/*
 * The engine's side of the plugin door: asks the chain, checks the answers, tells of closes. Workers. For files of
 * dataplane/ only; loading and configuration are in plugin_host.c.
 */
#include "dataplane/engine_state.h"
#include "dataplane/plugin.h"
#include "dataplane/worker.h"

struct chain_result {
	enum drop_reason reason; /* DROP_NONE: allowed */
	bool reject; /* answer the sender */
	uint16_t verdict_by; /* plugin that decided, or the last one asked */
	uint32_t rule, group;
	bool translate;
	struct session_tuple outside; /* when translate: the network's view */
	struct session_tuple inside; /* when translate: the VM's view */
	struct session_actions action;
	uint8_t ext_bytes;
	uint8_t ext[140];
};

/* A first packet of vport's, as asked. */
struct chain_question {
	struct vport *vport;
	const struct session_tuple *tuple; /* as the packet says */
	const struct pkt *p;
	uint64_t now_ns; /* the vport's clock */
	bool public_side; /* as in plugin_request */
	bool dry; /* trace: plugins keep nothing (they are asked as in a re-check) */
};

void plugin_chain_admit(const struct chain_question *question, struct chain_result *result);

/* Judge a living session again; DROP_NONE: it may live, its actions and policy_gen are renewed. */
enum drop_reason plugin_chain_recheck(struct session *s, uint64_t now_ns);
/* An imported session: recheck plus each plugin's adopt(). */
enum drop_reason plugin_chain_adopt(
	struct session *s, const uint16_t *state_versions, uint64_t now_ns);

void plugin_chain_closed(struct engine *engine, struct session *s, enum plugin_close_reason reason);
void plugin_chain_state_changed(struct engine *engine, struct session *s);

#endif
