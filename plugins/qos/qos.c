/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Rates and marks. A vport may have a rate per direction, run by the engine as a two-rate
 * three-color meter (RFC 4115; what is red is dropped), and rules that give its sessions a DSCP.
 * Settings of a vport:
 *
 *	plugins: {qos: {egress: {committed: 100M, burst: 64k, excess: 20M, excess_burst: 32k},
 *ingress: {...}, mark: [{protocol: udp, ports: 5060-5061, dscp: 46}, {dscp: 10}]}}
 *
 * committed and excess are bits per second, bursts are bytes; k, M and G are powers of ten. The
 * first mark that fits the session decides. The same settings in the plugin's own `config:
 * {default: ...}` are for vports without any.
 *
 * What moves is the tokens that are left, in bytes: the destination goes on where the source stood,
 * under its own rates. A vport's meters run on its clock, which stands still from freeze to
 * activation.
 *
 * Threads: plugin.h. Workers read qos_vport.policy, which is replaced whole.
 */
#include "plugins/qos/qos.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- workers ---- */

static bool mark_fits(const struct qos_mark *mark, const struct plugin_request *request)
{
	/* The server's port: of whoever did not open the session. */
	uint16_t port = request->dir == PLUGIN_EGRESS ? request->tuple.remote_port
						      : request->tuple.local_port;

	if (mark->proto && mark->proto != request->tuple.proto)
		return false;
	return mark->last == 0 || (port >= mark->first && port <= mark->last);
}

static enum plugin_verdict qos_admit(
	void *instance, const struct plugin_request *request, struct plugin_answer *answer)
{
	struct qos_vport *v = request->data;
	const struct qos_policy *policy = atomic_load_explicit(&v->policy, memory_order_acquire);

	(void)instance;
	for (uint8_t dir = 0; dir < QOS_METERS; dir++)
		if (policy->meter[dir].cir_bytes_s)
			answer->meter[dir] = dir;
	for (uint32_t i = 0; i < policy->mark_count; i++)
		if (mark_fits(&policy->mark[i], request)) {
			answer->dscp = policy->mark[i].dscp;
			answer->rule = i + 1;
			break;
		}
	return PLUGIN_ALLOW;
}

/* ---- control ---- */

/* Meters first: a worker that sees the policy finds them. */
static int vport_take(struct qos *qos, struct qos_vport *v, const struct plugin_value *settings,
	struct plugin_error *error)
{
	struct qos_policy *policy, *old;
	int rc = qos_policy_parse(settings ? settings : qos->fallback, &policy, error);

	if (rc != 0)
		return rc;
	for (uint8_t dir = 0; dir < QOS_METERS && rc == 0; dir++)
		if (policy->meter[dir].cir_bytes_s)
			rc = qos->host->meter_set(
				qos->host->engine, v->view, dir, &policy->meter[dir]);
	if (rc != 0) {
		free(policy);
		snprintf(error->text, sizeof(error->text), "qos: %s: rate cannot be metered: %s",
			v->view->name, strerror(-rc));
		return rc;
	}
	old = atomic_exchange(&v->policy, policy);
	if (!old)
		return 0;
	qos->host->defer_free(qos->host->engine, old);
	qos->host->policy_changed(qos->host->engine, v->view);
	return 0;
}

static int qos_vport_check(
	void *instance, const struct plugin_value *settings, struct plugin_error *error)
{
	struct qos_policy *policy;
	int rc;

	(void)instance;
	rc = qos_policy_parse(settings, &policy, error);
	if (rc == 0)
		free(policy);
	return rc;
}

static int qos_vport_add(void *instance, const struct plugin_vport *view,
	const struct plugin_value *settings, void **data, struct plugin_error *error)
{
	struct qos *qos = instance;
	struct qos_vport *v = calloc(1, sizeof(*v));
	int rc;

	if (!v)
		return -ENOMEM;
	v->view = view;
	v->own = settings != NULL;
	rc = vport_take(qos, v, settings, error);
	if (rc != 0) {
		free(v);
		return rc;
	}
	v->next = qos->vports;
	qos->vports = v;
	*data = v;
	return 0;
}

static int qos_vport_change(void *instance, const struct plugin_vport *view,
	const struct plugin_value *settings, void **data, struct plugin_error *error)
{
	struct qos_vport *v = *data;
	int rc = vport_take(instance, v, settings, error);

	(void)view;
	if (rc == 0)
		v->own = settings != NULL;
	return rc;
}

static void vport_release(void *memory)
{
	struct qos_vport *v = memory;

	free(atomic_load(&v->policy));
	free(v);
}

static void qos_vport_del(void *instance, const struct plugin_vport *view, void *data)
{
	struct qos *qos = instance;
	struct qos_vport **at = &qos->vports;

	(void)view;
	while (*at != data)
		at = &(*at)->next;
	*at = (*at)->next;
	qos->host->defer(qos->host->engine, data, vport_release);
}

/* A vport that is no longer metered keeps its meters, unused. */
static int qos_configure(
	void *instance, const struct plugin_value *config, bool apply, struct plugin_error *error)
{
	struct qos *qos = instance;
	struct plugin_value *fallback = NULL, *old = qos->fallback;
	struct qos_policy *policy;
	int rc = 0;

	for (uint32_t i = 0; config && i < config->count && rc == 0; i++) {
		const struct plugin_value *value = &config->item[i];

		if (!value->key || strcmp(value->key, "default") != 0)
			return qos_fail(
				error, value, "%s: unknown key", value->key ? value->key : "?");
		rc = qos_policy_parse(value, &policy, error);
		if (rc != 0)
			return rc;
		free(policy);
		qos_value_free(fallback);
		fallback = apply ? qos_value_copy(value) : NULL;
		if (apply && !fallback)
			return -ENOMEM;
	}
	if (!apply)
		return 0;
	qos->fallback = fallback;
	for (struct qos_vport *v = qos->vports; v && rc == 0; v = v->next)
		if (!v->own)
			rc = vport_take(qos, v, NULL, error);
	qos_value_free(old);
	return rc;
}

/* ---- what moves: {present (1), committed, excess (8 each)} per direction ---- */

#define LEVEL_BYTES 17

static void put64(uint8_t *at, uint64_t value)
{
	for (int i = 0; i < 8; i++)
		at[i] = (uint8_t)(value >> (56 - 8 * i));
}

static uint64_t get64(const uint8_t *at)
{
	uint64_t value = 0;

	for (int i = 0; i < 8; i++)
		value = value << 8 | at[i];
	return value;
}

static int qos_section_save(
	void *instance, const struct plugin_vport *view, void *data, struct plugin_sink *sink)
{
	const struct qos *qos = instance;
	struct qos_vport *v = data;
	const struct qos_policy *policy = atomic_load(&v->policy);
	uint8_t bytes[QOS_METERS * LEVEL_BYTES] = {0};

	for (uint8_t dir = 0; dir < QOS_METERS; dir++) {
		uint8_t *at = &bytes[dir * LEVEL_BYTES];
		struct plugin_meter_level level;

		if (!policy->meter[dir].cir_bytes_s ||
			qos->host->meter_level(qos->host->engine, view, dir, &level) != 0)
			continue;
		at[0] = 1;
		put64(at + 1, level.committed_bytes);
		put64(at + 9, level.excess_bytes);
	}
	return sink->put(sink, bytes, sizeof(bytes));
}

/* More than a bucket holds is cut by the engine: a stranger cannot give itself a burst. */
static int qos_section_load(void *instance, const struct plugin_vport *view, void *data,
	const struct plugin_section *section, struct plugin_error *error)
{
	const struct qos *qos = instance;
	struct qos_vport *v = data;
	const struct qos_policy *policy = atomic_load(&v->policy);

	if (section->len_bytes != QOS_METERS * LEVEL_BYTES) {
		qos_fail(error, NULL, "tokens: a section of %zu bytes", section->len_bytes);
		return -EBADMSG;
	}
	for (uint8_t dir = 0; dir < QOS_METERS; dir++) {
		const uint8_t *at = &section->bytes[dir * LEVEL_BYTES];
		struct plugin_meter_level level = {get64(at + 1), get64(at + 9)};

		if (at[0] == 1 && policy->meter[dir].cir_bytes_s)
			qos->host->meter_level_set(qos->host->engine, view, dir, &level);
	}
	return 0;
}

static int qos_show(
	void *instance, const struct plugin_vport *view, void *data, struct plugin_sink *sink)
{
	static const char *const names[QOS_METERS] = {"egress", "ingress"};
	const struct qos *qos = instance;
	struct qos_vport *v = data;
	const struct qos_policy *policy;
	int rc;

	if (!view)
		return sink->put(sink, "{}", 2);
	policy = atomic_load(&v->policy);
	rc = sink->put(sink, "{", 1);
	for (uint8_t dir = 0; dir < QOS_METERS && rc == 0; dir++) {
		const struct plugin_meter *meter = &policy->meter[dir];
		struct plugin_meter_level level = {0};
		char text[200];
		int len;

		if (!meter->cir_bytes_s)
			continue;
		qos->host->meter_level(qos->host->engine, view, dir, &level);
		len = snprintf(text, sizeof(text),
			"\"%s\": {\"committed_bit_s\": %llu, \"excess_bit_s\": %llu, "
			"\"tokens\": %llu, \"excess_tokens\": %llu}, ",
			names[dir], (unsigned long long)meter->cir_bytes_s * 8,
			(unsigned long long)meter->eir_bytes_s * 8,
			(unsigned long long)level.committed_bytes,
			(unsigned long long)level.excess_bytes);
		rc = sink->put(sink, text, (size_t)len);
	}
	if (rc == 0) {
		char text[32];
		int len = snprintf(text, sizeof(text), "\"marks\": %u}", policy->mark_count);

		rc = sink->put(sink, text, (size_t)len);
	}
	return rc;
}

static int qos_create(const struct plugin_host *host, void **instance)
{
	struct qos *qos = calloc(1, sizeof(*qos));

	if (!qos)
		return -ENOMEM;
	qos->host = host;
	*instance = qos;
	return 0;
}

static void qos_destroy(void *instance)
{
	struct qos *qos = instance;

	qos_value_free(qos->fallback);
	free(qos);
}

FERRY_PLUGIN(.name = "qos", .version = "1.0", .summary = "rates and marks", .state_version = 1,
	.state_min_version = 1, .state_optional = true, .create = qos_create,
	.destroy = qos_destroy, .configure = qos_configure, .vport_check = qos_vport_check,
	.vport_add = qos_vport_add, .vport_change = qos_vport_change, .vport_del = qos_vport_del,
	.admit = qos_admit, .section_save = qos_section_save, .section_load = qos_section_load,
	.show = qos_show);
