/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef FERRY_PLUGIN_CHAIN_H
#define FERRY_PLUGIN_CHAIN_H
/*
 * The engine's side of the plugin door: asks the chain, checks the answers, tells of closes.
 * Workers, and readers that ask why. Loading and configuration are in plugin_host.c.
 */
#include "dataplane/engine_state.h"
#include "dataplane/plugin.h"
#include "dataplane/session_ext.h"
#include "dataplane/worker.h"

#define CHAIN_NOBODY UINT16_MAX /* session.verdict_by: no plugin knows of it (yet) */

/* A first packet and what is known about it. */
struct chain_question {
	struct vport *vport;
	const struct session_tuple *tuple; /* as the packet says */
	const struct pkt *p;
	uint64_t now_ns; /* the vport's clock */
	uint16_t worker; /* the engine's worker_count: a control thread */
	bool public_side; /* as in plugin_request */
	bool dry; /* trace: plugins keep nothing, nothing is to be abandoned */
};

/* What one plugin said; by plugin index. */
struct chain_step {
	uint32_t rule, group; /* as in plugin_answer */
	uint8_t verdict; /* enum plugin_verdict, as given */
	uint8_t asked;
	uint8_t adds; /* SESSION_ACT_* that are its own; only when it was asked dry */
};

struct chain_result {
	enum drop_reason reason; /* DROP_NONE: allowed */
	bool reject; /* answer the sender */
	uint16_t verdict_by; /* plugin that decided, or the last one asked (0: there is none) */
	uint16_t asked; /* step[] is valid so far */
	uint32_t policy_gen; /* the vport's, from before the first plugin was asked */
	bool translate;
	struct session_tuple outside; /* when translate: the network's view */
	struct session_tuple inside; /* when translate: the VM's view */
	struct session_actions action;
	uint8_t ext_bytes;
	/* Only what the counts above cover is written. */
	uint8_t ext[SESSION_EXT_STATE_BYTES];
	struct chain_step step[VPORT_PLUGINS_MAX];
};

/* Ask all plugins about a first packet. */
void plugin_chain_admit(const struct chain_question *question, struct chain_result *result);
/* What they allowed did not come to be. `result` is that of the question. */
void plugin_chain_abandon(const struct chain_question *question, const struct chain_result *result);

/* Judge a living session again; DROP_NONE: it may live. Its actions and policy_gen are renewed. */
enum drop_reason plugin_chain_recheck(struct session *s, uint16_t worker, uint64_t now_ns);
/* What would they say of this session now? Changes nothing; any online reader. */
void plugin_chain_explain(const struct session *s, uint64_t now_ns, struct chain_result *result);
/* One plugin's part as people read it: "acl: deny, rule 3 of group web", "qos: allow, marks". 0: it
 * was not asked. */
int plugin_chain_step_text(const struct vport *v, const struct chain_result *result, uint16_t i,
	char *text, size_t len);
/*
 * An imported session (verdict_by CHAIN_NOBODY): recheck, then each plugin's adopt(). Whoever
 * adopted it hears of its end, here too if a later one refuses. A mere denial stands back where
 * policy changes let sessions finish.
 */
enum drop_reason plugin_chain_adopt(
	struct session *s, const uint16_t *state_versions, uint64_t now_ns);

/* A first packet's session is in the table. */
void plugin_chain_opened(struct session *s, uint16_t worker);
void plugin_chain_closed(struct session *s, uint16_t worker, enum plugin_close_reason reason);
void plugin_chain_state_changed(struct session *s, uint16_t worker);

#endif
