/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A service to copy: at most `limit` connections of one remote address to one vport. It shows all a
 *service needs: a configuration, a verdict, state per session and per vport that moves with the VM,
 *and show().
 *
 *	plugins: [{name: sample, config: {limit: 100}}]
 */
#include "dataplane/plugin.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SLOTS 1024 /* remotes are counted by hash: two in one slot share the limit */

struct sample { /* one engine's; no globals */
	const struct plugin_host *host;
	_Atomic uint32_t limit;
};

struct sample_vport { /* one vport's */
	_Atomic uint64_t refused; /* moves with the vport */
	_Atomic uint32_t living[SLOTS]; /* follows the sessions */
};

static int take_limit(
	const struct plugin_value *config, uint32_t *limit, struct plugin_error *error)
{
	for (uint32_t i = 0; config && i < config->count; i++) {
		const struct plugin_value *value = &config->item[i];
		char *end = NULL;
		unsigned long number = 0;

		if (value->key && strcmp(value->key, "limit") == 0 && value->kind == PLUGIN_SCALAR)
			number = strtoul(value->text, &end, 10);
		if (end && *end == '\0' && number > 0 && number <= UINT32_MAX) {
			*limit = (uint32_t)number;
			continue;
		}
		snprintf(error->text, sizeof(error->text), "%s: expected limit: a number from 1 on",
			value->key ? value->key : "config");
		error->line = value->line;
		error->column = value->column;
		return -EINVAL;
	}
	return 0;
}

static int sample_configure(
	void *instance, const struct plugin_value *config, bool apply, struct plugin_error *error)
{
	struct sample *sample = instance;
	uint32_t limit = UINT32_MAX;
	int rc = take_limit(config, &limit, error);

	if (rc == 0 && apply)
		atomic_store(&sample->limit, limit);
	return rc;
}

static int sample_vport_add(void *instance, const struct plugin_vport *vport,
	const struct plugin_value *settings, void **data, struct plugin_error *error)
{
	*data = calloc(1, sizeof(struct sample_vport));
	return *data ? 0 : -ENOMEM;
}

static void sample_vport_del(void *instance, const struct plugin_vport *vport, void *data)
{
	const struct plugin_host *host = ((struct sample *)instance)->host;

	host->defer_free(host->engine, data); /* a worker may still look at it */
}

/* ---- sessions: workers from here on ---- */

static uint16_t slot_of(const struct plugin_tuple *tuple)
{
	uint64_t w[2];

	memcpy(w, &tuple->remote, sizeof(w));
	return (uint16_t)((w[0] ^ w[1]) * 0x9e3779b97f4a7c15ULL >> 54);
}

static enum plugin_verdict sample_admit(
	void *instance, const struct plugin_request *request, struct plugin_answer *answer)
{
	struct sample *sample = instance;
	struct sample_vport *v = request->data;
	uint32_t limit = atomic_load_explicit(&sample->limit, memory_order_relaxed);
	uint16_t slot = slot_of(&request->tuple);

	if (request->recheck) /* counted already */
		return PLUGIN_ALLOW;
	if (request->dry) /* only asked: count nothing */
		return atomic_load(&v->living[slot]) < limit ? PLUGIN_ALLOW : PLUGIN_DENY;
	if (atomic_fetch_add(&v->living[slot], 1) >= limit) {
		atomic_fetch_sub(&v->living[slot], 1);
		atomic_fetch_add(&v->refused, 1);
		return PLUGIN_DENY;
	}
	answer->state[0] = (uint8_t)(slot >> 8); /* moves with the session */
	answer->state[1] = (uint8_t)slot;
	answer->state_len = 2;
	return PLUGIN_ALLOW;
}

/* The state comes from this host or from another: never trust it with an index. */
static _Atomic uint32_t *living(void *data, const uint8_t *state, uint8_t len)
{
	struct sample_vport *v = data;

	return len == 2 ? &v->living[(state[0] << 8 | state[1]) % SLOTS] : NULL;
}

static void sample_abandoned(void *instance, const struct plugin_request *request)
{
	if (request->state)
		atomic_fetch_sub(living(request->data, request->state, request->state_len), 1);
}

static void sample_closed(
	void *instance, const struct plugin_session *session, enum plugin_close_reason reason)
{
	_Atomic uint32_t *count =
		living(session->data, session->plugin_state, session->plugin_state_len);

	if (count)
		atomic_fetch_sub(count, 1);
}

/* It lived elsewhere and lives here now, be it over the limit. */
static enum plugin_verdict sample_adopt(
	void *instance, const struct plugin_session *session, uint16_t state_version)
{
	_Atomic uint32_t *count =
		living(session->data, session->plugin_state, session->plugin_state_len);

	if (count)
		atomic_fetch_add(count, 1);
	return PLUGIN_ALLOW;
}

/* ---- what moves with the vport: control thread ---- */

static int sample_section_save(
	void *instance, const struct plugin_vport *vport, void *data, struct plugin_sink *sink)
{
	uint64_t refused = atomic_load(&((struct sample_vport *)data)->refused);
	uint8_t bytes[8];

	for (int i = 0; i < 8; i++)
		bytes[i] = (uint8_t)(refused >> (56 - 8 * i)); /* big-endian, never a struct */
	return sink->put(sink, bytes, sizeof(bytes));
}

static int sample_section_load(void *instance, const struct plugin_vport *vport, void *data,
	const struct plugin_section *section, struct plugin_error *error)
{
	uint64_t refused = 0;

	if (section->len_bytes != 8) {
		snprintf(error->text, sizeof(error->text), "refused: expected 8 bytes, found %zu",
			section->len_bytes);
		return -EBADMSG;
	}
	for (int i = 0; i < 8; i++)
		refused = refused << 8 | section->bytes[i];
	atomic_store(&((struct sample_vport *)data)->refused, refused);
	return 0;
}

static int sample_show(
	void *instance, const struct plugin_vport *vport, void *data, struct plugin_sink *sink)
{
	const struct sample *sample = instance;
	struct sample_vport *v = data;
	char text[96];
	int len;

	if (!vport)
		len = snprintf(text, sizeof(text), "{\"limit\": %u}", atomic_load(&sample->limit));
	else
		len = snprintf(text, sizeof(text), "{\"refused\": %llu}",
			(unsigned long long)atomic_load(&v->refused));
	return sink->put(sink, text, (size_t)len);
}

static int sample_create(const struct plugin_host *host, void **instance)
{
	struct sample *sample = calloc(1, sizeof(*sample));

	if (!sample)
		return -ENOMEM;
	sample->host = host;
	atomic_store(&sample->limit, UINT32_MAX);
	*instance = sample;
	return 0;
}

static void sample_destroy(void *instance)
{
	free(instance);
}

FERRY_PLUGIN(.name = "sample", .version = "1.0", .summary = "connections per remote, limited",
	.state_version = 1, .state_min_version = 1, .state_optional = true, .create = sample_create,
	.destroy = sample_destroy, .configure = sample_configure, .vport_add = sample_vport_add,
	.vport_del = sample_vport_del, .admit = sample_admit, .abandoned = sample_abandoned,
	.closed = sample_closed, .adopt = sample_adopt, .section_save = sample_section_save,
	.section_load = sample_section_load, .show = sample_show);
