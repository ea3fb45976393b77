/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The plugin chain at work: admission, re-check, adoption, close. Answers are checked here, so that
 * a plugin that returns nonsense costs a named drop and no more.
 */
#include "dataplane/plugin_chain.h"

#include <stdarg.h>
#include <stdio.h>
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
	answer->outside.vni = 0;
	answer->dscp = -1;
	answer->meter[0] = answer->meter[1] = PLUGIN_METER_NONE;
	answer->mirror_vport = -1;
	answer->report = false;
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
	const char *name;
} verdict_drops[] = {
	[PLUGIN_ALLOW] = {DROP_NONE, false, "allow"},
	[PLUGIN_DENY] = {DROP_DENIED, false, "deny"},
	[PLUGIN_REJECT] = {DROP_DENIED, true, "reject"},
	[PLUGIN_NO_NAT_PORT] = {DROP_NO_NAT_PORT, false, "no NAT port"},
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

/* From here on the chain sees what the VM will see. */
static void tuple_inside(const struct plugin_tuple *inside, struct plugin_tuple *tuple)
{
	tuple->local = inside->local;
	tuple->remote = inside->remote;
	tuple->vni = inside->vni;
	tuple->local_port = inside->local_port;
	tuple->remote_port = inside->remote_port;
}

/* Which actions a plugin has added to, or changed in, what the ones before it said. */
static uint8_t answer_adds(const struct plugin_answer *before, const struct plugin_answer *now)
{
	struct session_actions action;
	uint8_t adds;

	actions_from_answer(&action, now);
	adds = action.set;
	if (now->translate == before->translate)
		adds &= (uint8_t)~SESSION_ACT_TRANSLATE;
	if (now->dscp == before->dscp)
		adds &= (uint8_t)~SESSION_ACT_DSCP;
	if (memcmp(now->meter, before->meter, sizeof(now->meter)) == 0)
		adds &= (uint8_t)~SESSION_ACT_METER;
	if (now->mirror_vport == before->mirror_vport)
		adds &= (uint8_t)~SESSION_ACT_MIRROR;
	if (now->report == before->report)
		adds &= (uint8_t)~SESSION_ACT_REPORT;
	return adds;
}

/* One plugin's turn; false: the chain ends here. */
static bool chain_step(const struct vport *v, uint16_t i, struct plugin_request *request,
	struct plugin_answer *answer, struct chain_result *result)
{
	const struct engine_plugin *plugin = &v->engine->plugin[i];
	struct plugin_answer before;
	enum plugin_verdict verdict;

	if (unlikely(request->dry))
		before = *answer;
	request->data = v->plugin_data[i];
	answer->state_len = 0;
	answer->rule = answer->group = 0;
	verdict = plugin->descriptor->admit(plugin->instance, request, answer);
	result->verdict_by = i;
	result->step[i] = (struct chain_step){.rule = answer->rule,
		.group = answer->group,
		.verdict = (uint8_t)verdict,
		.asked = true,
		.adds = unlikely(request->dry) ? answer_adds(&before, answer) : 0};
	if ((unsigned int)verdict >= RTE_DIM(verdict_drops) || !answer_is_sane(v, answer) ||
		!result_keep_state(result, (uint8_t)i, answer)) {
		/* It said something, and may have reserved something: as if it had refused. */
		result->reason = DROP_PLUGIN;
		return false;
	}
	result->reason = verdict_drops[verdict].reason;
	result->reject = verdict_drops[verdict].reject;
	if (request->public_side && answer->translate && !request->recheck)
		tuple_inside(&answer->outside, &request->tuple);
	return result->reason == DROP_NONE;
}

/* The state that plugin i put into a chain's result, as far as it was asked. */
static const uint8_t *result_state(const struct chain_result *result, uint16_t i, uint8_t *len)
{
	unsigned int at = 0;

	while (at < result->ext_bytes && result->ext[at] != i)
		at += 2u + result->ext[at + 1];
	*len = at < result->ext_bytes ? result->ext[at + 1] : 0;
	return *len ? &result->ext[at + 2] : NULL;
}

/* Ask one after the other until one does not allow. s: the living session of a recheck. */
static void chain_ask(const struct vport *v, const struct session *s,
	struct plugin_request *request, struct plugin_answer *answer, struct chain_result *result)
{
	const struct engine *engine = v->engine;
	bool goes_on = true;

	memset(result, 0, offsetof(struct chain_result, ext));
	result->policy_gen = atomic_load_explicit(&v->policy_gen, memory_order_acquire);
	answer_clear(answer);
	for (uint16_t i = 0; i < engine->plugin_count && goes_on; i++) {
		result->asked = i + 1;
		result->step[i].asked = false;
		if (!engine->plugin[i].descriptor->admit)
			continue;
		request->state = NULL;
		if (s)
			request->state = session_ext_state(s->ext, (uint8_t)i, &request->state_len);
		goes_on = chain_step(v, i, request, answer, result);
	}
	if (goes_on)
		actions_from_answer(&result->action, answer);
}

static void question_request(const struct chain_question *question, struct plugin_request *request)
{
	*request = (struct plugin_request){
		.vport = &question->vport->plugin_view,
		.dir = (enum plugin_dir)question->p->dir,
		.dry = question->dry,
		.public_side = question->public_side,
		.worker = question->worker,
		.now_ns = question->now_ns,
	};
	tuple_to_plugin(question->tuple, &request->tuple);
	request_from_packet(request, question->p);
}

void plugin_chain_admit(const struct chain_question *question, struct chain_result *result)
{
	struct plugin_request request;
	struct plugin_answer answer;

	question_request(question, &request);
	chain_ask(question->vport, NULL, &request, &answer, result);
	/* Nobody took a packet that came to a public identity. */
	if (result->reason == DROP_NONE && question->public_side && !answer.translate)
		result->reason = DROP_DENIED;
	if (result->reason != DROP_NONE) {
		plugin_chain_abandon(question, result);
		return;
	}
	result->translate = answer.translate;
	if (!answer.translate)
		return;
	result->inside = *question->tuple;
	tuple_from_plugin(&answer.outside, &result->outside);
	if (question->public_side) {
		result->inside = result->outside;
		result->outside = *question->tuple;
	}
}

void plugin_chain_abandon(const struct chain_question *question, const struct chain_result *result)
{
	const struct vport *v = question->vport;
	struct plugin_request request;
	bool filled = false;

	for (uint16_t i = 0; i < result->asked && !question->dry; i++) {
		const struct engine_plugin *plugin = &v->engine->plugin[i];

		if (!plugin->descriptor->abandoned || !result->step[i].asked ||
			result->step[i].verdict != PLUGIN_ALLOW)
			continue;
		if (!filled)
			question_request(question, &request);
		filled = true;
		request.data = v->plugin_data[i];
		request.state = result_state(result, i, &request.state_len);
		plugin->descriptor->abandoned(plugin->instance, &request);
	}
}

/* The opener of an ICMP session is a query: an echo, unless the session remembers another. */
static void icmp_opener(const struct session *s, struct plugin_tuple *tuple)
{
	uint32_t opener = SESSION_GET(s->syn_seq);

	if (tuple->proto != IPPROTO_ICMP && tuple->proto != IPPROTO_ICMPV6)
		return;
	if (opener == 0)
		opener = SESSION_ICMP_ECHO(s->is_ipv6);
	tuple->icmp_type = (uint8_t)(opener >> 8);
	tuple->icmp_code = (uint8_t)opener;
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
		.session_id = SESSION_GET(s->birth_id),
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
	icmp_opener(s, &view->tuple);
	view->outside = view->tuple;
	if (s->has_key2) {
		session_key_unpack(session_key2(s), session_key2_a6(s), &tuple);
		tuple_to_plugin(&tuple, &view->outside);
	}
}

/* Judge s as it would be judged if it were new; *view is what plugins are told of it. */
static void session_ask(const struct session *s, struct plugin_request *request,
	struct plugin_session *view, struct chain_result *result)
{
	struct plugin_answer answer;

	session_view(s, request->now_ns, view);
	request->vport = view->vport;
	request->tuple = view->tuple;
	request->dir = view->dir;
	request->public_side = view->translated && view->dir == PLUGIN_INGRESS;
	request->recheck = true;
	request->session_id = view->session_id;
	request->outside = view->translated ? &view->outside : NULL;
	chain_ask(s->vport, s, request, &answer, result);
}

static enum drop_reason session_rejudge(
	struct session *s, struct plugin_request *request, struct plugin_session *view)
{
	uint8_t keep = SESSION_GET(s->action.set) & (SESSION_ACT_TRANSLATE | SESSION_ACT_ROUTED);
	struct chain_result result;

	session_ask(s, request, view, &result);
	SESSION_SET(s->policy_gen, result.policy_gen);
	if (result.reason != DROP_NONE)
		return result.reason;
	/* Translation and the routed hop are the connection itself; the rest may change. */
	result.action.set = (uint8_t)((result.action.set & ~SESSION_ACT_TRANSLATE) | keep);
	session_actions_set(s, &result.action);
	return DROP_NONE;
}

enum drop_reason plugin_chain_recheck(struct session *s, uint16_t worker, uint64_t now_ns)
{
	struct plugin_request request = {.worker = worker, .now_ns = now_ns};
	struct plugin_session view;

	return session_rejudge(s, &request, &view);
}

void plugin_chain_explain(const struct session *s, uint64_t now_ns, struct chain_result *result)
{
	struct plugin_request request = {
		.worker = s->vport->engine->worker_count, .now_ns = now_ns, .dry = true};
	struct plugin_session view;

	session_ask(s, &request, &view, result);
}

static void put_text(char *text, size_t len, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

/* Append, as far as there is room. */
static void put_text(char *text, size_t len, const char *format, ...)
{
	size_t used = strlen(text);
	va_list args;

	va_start(args, format);
	vsnprintf(text + used, len - used, format, args);
	va_end(args);
}

int plugin_chain_step_text(const struct vport *v, const struct chain_result *result, uint16_t i,
	char *text, size_t len)
{
	static const struct {
		uint8_t act;
		const char *word;
	} words[] = {{SESSION_ACT_TRANSLATE, "translates"}, {SESSION_ACT_DSCP, "marks"},
		{SESSION_ACT_METER, "meters"}, {SESSION_ACT_MIRROR, "mirrors"},
		{SESSION_ACT_REPORT, "reports"}};
	const struct chain_step *step = &result->step[i];
	const struct vport_addresses *own =
		atomic_load_explicit(&v->addresses, memory_order_acquire);
	const char *verdict =
		step->verdict < RTE_DIM(verdict_drops) ? verdict_drops[step->verdict].name : "?";

	if (i >= result->asked || !step->asked || len == 0)
		return 0;
	text[0] = '\0';
	put_text(text, len, "%s: %s", v->engine->plugin[i].descriptor->name, verdict);
	if (step->rule)
		put_text(text, len, ", rule %u", step->rule);
	if (step->rule && step->group && step->group <= own->group_count)
		put_text(text, len, " of group %s", own->group[step->group - 1]);
	for (size_t w = 0; w < RTE_DIM(words); w++)
		if (step->adds & words[w].act)
			put_text(text, len, ", %s", words[w].word);
	return (int)strlen(text);
}

/* What a plugin is told of a session; filled once, then each plugin's own parts. */
static void view_for(struct plugin_session *view, const struct session *s, uint16_t i)
{
	view->data = s->vport->plugin_data[i];
	view->plugin_state = session_ext_state(s->ext, (uint8_t)i, &view->plugin_state_len);
}

/* Tell the first `count` plugins that the session is over. */
static void chain_closed(
	const struct session *s, uint16_t count, uint16_t worker, enum plugin_close_reason reason)
{
	const struct engine *engine = s->vport->engine;
	struct plugin_session view;
	bool filled = false;

	for (uint16_t i = 0; i < count; i++) {
		const struct engine_plugin *plugin = &engine->plugin[i];

		if (!plugin->descriptor->closed)
			continue;
		if (!filled)
			session_view(s, vport_clock_ns(s->vport, engine_now_ns(engine)), &view);
		filled = true;
		view.worker = worker;
		view_for(&view, s, i);
		plugin->descriptor->closed(plugin->instance, &view, reason);
	}
}

void plugin_chain_closed(struct session *s, uint16_t worker, enum plugin_close_reason reason)
{
	if (s->verdict_by != CHAIN_NOBODY)
		chain_closed(s, s->vport->engine->plugin_count, worker, reason);
}

void plugin_chain_opened(struct session *s, uint16_t worker)
{
	const struct engine *engine = s->vport->engine;
	struct plugin_session view;
	bool filled = false;

	for (uint16_t i = 0; i < engine->plugin_count; i++) {
		const struct engine_plugin *plugin = &engine->plugin[i];

		if (!plugin->descriptor->opened)
			continue;
		if (!filled)
			session_view(s, vport_clock_ns(s->vport, engine_now_ns(engine)), &view);
		filled = true;
		view.worker = worker;
		view_for(&view, s, i);
		plugin->descriptor->opened(plugin->instance, &view);
	}
}

void plugin_chain_state_changed(struct session *s, uint16_t worker)
{
	const struct engine *engine = s->vport->engine;
	struct plugin_session view;

	session_view(s, vport_clock_ns(s->vport, engine_now_ns(engine)), &view);
	view.worker = worker;
	for (uint16_t i = 0; i < engine->plugin_count; i++) {
		const struct engine_plugin *plugin = &engine->plugin[i];

		if (!plugin->descriptor->state_changed)
			continue;
		view_for(&view, s, i);
		plugin->descriptor->state_changed(plugin->instance, &view);
	}
}

static enum drop_reason adopt_one(
	const struct session *s, uint16_t i, uint16_t version, struct plugin_session *view)
{
	const struct engine_plugin *plugin = &s->vport->engine->plugin[i];
	enum plugin_verdict verdict;

	if (!plugin->descriptor->adopt)
		return DROP_NONE;
	view_for(view, s, i);
	verdict = plugin->descriptor->adopt(plugin->instance, view, version);
	return (unsigned int)verdict < RTE_DIM(verdict_drops) ? verdict_drops[verdict].reason
							      : DROP_PLUGIN;
}

enum drop_reason plugin_chain_adopt(
	struct session *s, const uint16_t *state_versions, uint64_t now_ns)
{
	struct engine *engine = s->vport->engine;
	uint16_t control = engine->worker_count;
	struct plugin_request request = {.worker = control, .now_ns = now_ns, .arrives = true};
	struct plugin_session view;
	enum drop_reason reason = session_rejudge(s, &request, &view);

	if (reason != DROP_NONE &&
		!(reason == DROP_DENIED && engine->policy_change == ENGINE_POLICY_FINISH))
		return reason;
	if (engine->plugin_count == 0) {
		s->verdict_by = 0;
		return DROP_NONE;
	}
	reason = DROP_NONE;
	view.worker = control;
	for (uint16_t i = 0; i < engine->plugin_count && reason == DROP_NONE; i++) {
		reason = adopt_one(s, i, state_versions[i], &view);
		if (reason != DROP_NONE)
			chain_closed(s, i, control, PLUGIN_CLOSE_POLICY);
	}
	if (reason == DROP_NONE)
		s->verdict_by = (uint16_t)(engine->plugin_count - 1);
	return reason;
}
