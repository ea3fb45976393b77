/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The plugin chain at work: admission, re-check, adoption, close. Answers are checked here, so that a plugin that
 * returns nonsense costs a named drop and no more.
 */
#include "dataplane/plugin_chain.h"

#include <string.h>

#include <rte_icmp.h>
#include <rte_ip.h>

#include "dataplane/session_ext.h"

static void tuple_to_plugin(const struct session_tuple *from, struct plugin_tuple *to)
{
	*to = (struct plugin_tuple){.local = from->local,
		.remote = from->remote,
		.vni = from->vni,
		.local_port = rte_be_to_cpu_16(from->local_port),
		.remote_port = rte_be_to_cpu_16(from->remote_port),
		.proto = from->proto};
}

static void tuple_from_plugin(const struct plugin_tuple *from, struct session_tuple *to)
{
	*to = (struct session_tuple){.local = from->local,
		.remote = from->remote,
		.vni = from->vni,
		.local_port = rte_cpu_to_be_16(from->local_port),
		.remote_port = rte_cpu_to_be_16(from->remote_port),
		.proto = from->proto};
}

static void request_from_packet(struct plugin_request *request, const struct pkt *p)
{
	if (p->flags & PKT_IPV6) {
		const struct rte_ipv6_hdr *ip = pkt_l3(p);

		request->tuple.dscp = (uint8_t)(rte_be_to_cpu_32(ip->vtc_flow) >> 22 & 0x3f);
	} else {
		const struct rte_ipv4_hdr *ip = pkt_l3(p);

		request->tuple.dscp = ip->type_of_service >> 2;
	}
	if (p->proto == IPPROTO_ICMP || p->proto == IPPROTO_ICMPV6) {
		const uint8_t *icmp = pkt_l4(p);

		request->tuple.icmp_type = icmp[0];
		request->tuple.icmp_code = icmp[1];
	}
}

static void answer_clear(struct plugin_answer *answer)
{
	answer->translate = false;
	answer->dscp = -1;
	answer->meter[0] = answer->meter[1] = PLUGIN_METER_NONE;
	answer->mirror_vport = -1;
	answer->report = false;
	answer->state_len = 0;
	answer->rule = answer->group = 0;
}

/* Does the answer make sense for this vport? */
static bool answer_is_sane(const struct vport *v, const struct plugin_answer *answer)
{
	for (int dir = 0; dir < 2; dir++) {
		uint8_t number = answer->meter[dir];

		if (number != PLUGIN_METER_NONE &&
			(number >= VPORT_METERS || !v->meter[number].used))
			return false;
	}
	return answer->dscp <= 63 && answer->mirror_vport < VPORT_MAX &&
	       answer->state_len <= PLUGIN_STATE_MAX && answer->outside.vni < 1u << 24;
}

static void actions_from_answer(struct session_actions *action, const struct plugin_answer *answer)
{
	*action = (struct session_actions){.meter = {answer->meter[0], answer->meter[1]}};
	if (answer->translate)
		action->set |= SESSION_ACT_TRANSLATE;
	if (answer->dscp >= 0) {
		action->set |= SESSION_ACT_DSCP;
		action->dscp = (uint8_t)answer->dscp;
	}
	if (answer->meter[0] != PLUGIN_METER_NONE || answer->meter[1] != PLUGIN_METER_NONE)
		action->set |= SESSION_ACT_METER;
	if (answer->mirror_vport >= 0) {
		action->set |= SESSION_ACT_MIRROR;
		action->mirror = (uint16_t)answer->mirror_vport;
	}
	if (answer->report)
		action->set |= SESSION_ACT_REPORT;
}

static const struct {
	enum drop_reason reason;
	bool reject;
} verdict_drops[] = {
	[PLUGIN_ALLOW] = {DROP_NONE, false},
	[PLUGIN_DENY] = {DROP_DENIED, false},
	[PLUGIN_REJECT] = {DROP_DENIED, true},
	[PLUGIN_NO_NAT_PORT] = {DROP_NO_NAT_PORT, false},
};

/* Append a plugin's per-session state to the result. */
static bool result_keep_state(
	struct chain_result *result, uint8_t plugin, const struct plugin_answer *answer)
{
	if (answer->state_len == 0)
		return true;
	if (result->ext_bytes + 2u + answer->state_len > sizeof(result->ext))
		return false;
	result->ext[result->ext_bytes++] = plugin;
	result->ext[result->ext_bytes++] = answer->state_len;
	memcpy(&result->ext[result->ext_bytes], answer->state, answer->state_len);
	result->ext_bytes = (uint8_t)(result->ext_bytes + answer->state_len);
	return true;
}

/* Ask one after the other until one does not allow. Fills result but for the tuples. */
static void chain_ask(const struct vport *v, struct plugin_request *request,
	struct plugin_answer *answer, struct chain_result *result)
{
	const struct engine *engine = v->engine;

	answer_clear(answer);
	for (uint16_t i = 0; i < engine->plugin_count; i++) {
		const struct engine_plugin *plugin = &engine->plugin[i];
		enum plugin_verdict verdict;

		if (!plugin->descriptor->admit)
			continue;
		request->data = v->plugin_data[i];
		answer->state_len = 0;
		verdict = plugin->descriptor->admit(plugin->instance, request, answer);
		result->verdict_by = i;
		result->rule = answer->rule;
		result->group = answer->group;
		if ((unsigned int)verdict >= RTE_DIM(verdict_drops) || !answer_is_sane(v, answer) ||
			!result_keep_state(result, (uint8_t)i, answer)) {
			result->reason = DROP_PLUGIN;
			return;
		}
		result->reason = verdict_drops[verdict].reason;
		result->reject = verdict_drops[verdict].reject;
		if (result->reason != DROP_NONE)
			return;
	}
	actions_from_answer(&result->action, answer);
}

void plugin_chain_admit(const struct chain_question *question, struct chain_result *result)
{
	struct vport *v = question->vport;
	struct plugin_request request = {
		.vport = &v->plugin_view,
		.dir = (enum plugin_dir)question->p->dir,
		.recheck = question->dry,
		.public_side = question->public_side,
		.now_ns = question->now_ns,
	};
	struct plugin_answer answer;

	memset(result, 0, offsetof(struct chain_result, ext));
	tuple_to_plugin(question->tuple, &request.tuple);
	request_from_packet(&request, question->p);
	chain_ask(v, &request, &answer, result);
	if (result->reason != DROP_NONE)
		return;
	result->translate = answer.translate;
	if (!answer.translate) {
		/* Nobody took a packet that came to a public identity. */
		if (question->public_side)
			result->reason = DROP_DENIED;
		return;
	}
	result->inside = *question->tuple;
	tuple_from_plugin(&answer.outside, &result->outside);
	if (question->public_side) {
		result->inside = result->outside;
		result->outside = *question->tuple;
	}
}

static void session_view(const struct session *s, uint64_t now_ns, struct plugin_session *view)
{
	struct session_tuple tuple;
	uint64_t word = atomic_load_explicit(&s->state, memory_order_relaxed);
	uint32_t now_ms = (uint32_t)(now_ns / 1000000);

	*view = (struct plugin_session){
		.vport = &s->vport->plugin_view,
		.translated = s->has_key2,
		.dir = word & SESSION_FIRST_INGRESS ? PLUGIN_INGRESS : PLUGIN_EGRESS,
		.session_id = s->birth_id,
		.now_ns = now_ns,
		.opened_ns = now_ns - (uint64_t)(now_ms - s->opened_ms) * 1000000,
		.last_ns = now_ns - (uint64_t)(now_ms - SESSION_GET(s->last_ms)) * 1000000,
		.state = session_state_name(word & SESSION_STATE_MASK),
	};
	for (int dir = 0; dir < 2; dir++) {
		view->packets[dir] = SESSION_GET(s->half[dir].packets);
		view->bytes[dir] = SESSION_GET(s->half[dir].bytes);
	}
	session_key_unpack(&s->key, s->is_ipv6 ? &s->a6 : NULL, &tuple);
	tuple_to_plugin(&tuple, &view->tuple);
	view->outside = view->tuple;
	if (s->has_key2) {
		session_key_unpack(session_key2(s), session_key2_a6(s), &tuple);
		tuple_to_plugin(&tuple, &view->outside);
	}
}

enum drop_reason plugin_chain_recheck(struct session *s, uint64_t now_ns)
{
	struct vport *v = s->vport;
	uint32_t gen = atomic_load_explicit(&v->policy_gen, memory_order_acquire);
	struct plugin_request request = {
		.vport = &v->plugin_view,
		.recheck = true,
		.now_ns = now_ns,
		.session_id = s->birth_id,
	};
	struct chain_result result;
	struct plugin_answer answer;
	struct plugin_session view;
	uint8_t keep = s->action.set & (SESSION_ACT_TRANSLATE | SESSION_ACT_ROUTED);

	memset(&result, 0, offsetof(struct chain_result, ext));
	session_view(s, now_ns, &view);
	request.tuple = view.tuple;
	request.dir = view.dir;
	chain_ask(v, &request, &answer, &result);
	s->policy_gen = gen;
	if (result.reason != DROP_NONE)
		return result.reason;
	/* Translation and the routed hop are the connection itself; the rest may change. */
	result.action.set = (uint8_t)((result.action.set & ~SESSION_ACT_TRANSLATE) | keep);
	s->action = result.action;
	return DROP_NONE;
}

enum drop_reason plugin_chain_adopt(
	struct session *s, const uint16_t *state_versions, uint64_t now_ns)
{
	struct engine *engine = s->vport->engine;
	enum drop_reason reason = plugin_chain_recheck(s, now_ns);
	struct plugin_session view;

	if (reason != DROP_NONE)
		return reason;
	session_view(s, now_ns, &view);
	for (uint16_t i = 0; i < engine->plugin_count; i++) {
		const struct engine_plugin *plugin = &engine->plugin[i];
		enum plugin_verdict verdict;

		if (!plugin->descriptor->adopt)
			continue;
		view.data = s->vport->plugin_data[i];
		view.plugin_state = session_ext_state(s->ext, (uint8_t)i, &view.plugin_state_len);
		verdict = plugin->descriptor->adopt(plugin->instance, &view, state_versions[i]);
		if (verdict != PLUGIN_ALLOW)
			return (unsigned int)verdict < RTE_DIM(verdict_drops)
				       ? verdict_drops[verdict].reason
				       : DROP_PLUGIN;
	}
	return DROP_NONE;
}

void plugin_chain_closed(struct engine *engine, struct session *s, enum plugin_close_reason reason)
{
	struct plugin_session view;
	bool filled = false;

	for (uint16_t i = 0; i < engine->plugin_count; i++) {
		const struct engine_plugin *plugin = &engine->plugin[i];

		if (!plugin->descriptor->closed)
			continue;
		if (!filled)
			session_view(s, vport_clock_ns(s->vport, engine_now_ns(engine)), &view);
		filled = true;
		view.data = s->vport->plugin_data[i];
		view.plugin_state = session_ext_state(s->ext, (uint8_t)i, &view.plugin_state_len);
		plugin->descriptor->closed(plugin->instance, &view, reason);
	}
}

void plugin_chain_state_changed(struct engine *engine, struct session *s)
{
	struct plugin_session view;

	session_view(s, vport_clock_ns(s->vport, engine_now_ns(engine)), &view);
	for (uint16_t i = 0; i < engine->plugin_count; i++) {
		const struct engine_plugin *plugin = &engine->plugin[i];

		if (!plugin->descriptor->state_changed)
			continue;
		view.data = s->vport->plugin_data[i];
		view.plugin_state = session_ext_state(s->ext, (uint8_t)i, &view.plugin_state_len);
		plugin->descriptor->state_changed(plugin->instance, &view);
	}
}
