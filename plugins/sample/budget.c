/* SPDX-License-Identifier: BSD-3-Clause */
/* A VM may open `limit` connections in its life, whichever hosts it lives on: the count moves. */
#include "dataplane/plugin.h"

#include <endian.h>
#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

struct budget { /* one engine's; no globals */
	const struct plugin_host *host;
	_Atomic uint64_t limit;
};

static int budget_create(const struct plugin_host *host, void **instance)
{
	struct budget *budget = *instance = calloc(1, sizeof(*budget));

	if (!budget)
		return -ENOMEM;
	budget->host = host;
	return 0;
}

/* config: {limit: 100} */
static int budget_configure(
	void *instance, const struct plugin_value *config, bool apply, struct plugin_error *error)
{
	const struct plugin_value *value = config && config->count == 1 ? config->item : NULL;
	char *end = NULL;
	uint64_t limit = value && value->text ? strtoull(value->text, &end, 10) : 0;

	if (!value || strcmp(value->key, "limit") != 0 || limit == 0 || *end) {
		strcpy(error->text, "limit: expected a number from 1 on");
		return -EINVAL;
	}
	if (apply)
		atomic_store(&((struct budget *)instance)->limit, limit);
	return 0;
}

/* What is kept of a vport: how many it has opened. */
static int budget_vport_add(void *instance, const struct plugin_vport *vport,
	const struct plugin_value *settings, void **data, struct plugin_error *error)
{
	*data = calloc(1, sizeof(_Atomic uint64_t));
	return *data ? 0 : -ENOMEM;
}

static void budget_vport_del(void *instance, const struct plugin_vport *vport, void *data)
{
	const struct plugin_host *host = ((struct budget *)instance)->host;

	host->defer_free(host->engine, data); /* a worker may still look at it */
}

/* A worker asks, once per connection; later packets cost nothing. */
static enum plugin_verdict budget_admit(
	void *instance, const struct plugin_request *request, struct plugin_answer *answer)
{
	uint64_t limit = atomic_load(&((struct budget *)instance)->limit);

	if (request->recheck || request->dir != PLUGIN_EGRESS)
		return PLUGIN_ALLOW;
	return atomic_load((_Atomic uint64_t *)request->data) < limit ? PLUGIN_ALLOW : PLUGIN_DENY;
}

static void budget_opened(void *instance, const struct plugin_session *session)
{
	if (session->dir == PLUGIN_EGRESS)
		atomic_fetch_add((_Atomic uint64_t *)session->data, 1);
}

/* The state that moves: eight bytes, big-endian. */
static int budget_save(
	void *instance, const struct plugin_vport *vport, void *data, struct plugin_sink *sink)
{
	uint64_t wire = htobe64(atomic_load((_Atomic uint64_t *)data));

	return sink->put(sink, &wire, sizeof(wire));
}

static int budget_load(void *instance, const struct plugin_vport *vport, void *data,
	const struct plugin_section *section, struct plugin_error *error)
{
	uint64_t wire;

	if (section->len_bytes != sizeof(wire)) /* it may be hostile */
		return -EBADMSG;
	memcpy(&wire, section->bytes, sizeof(wire));
	atomic_store((_Atomic uint64_t *)data, be64toh(wire));
	return 0;
}

FERRY_PLUGIN(.name = "budget", .version = "1.0", .summary = "connections of a VM's life, limited",
	.state_version = 1, .state_min_version = 1, .create = budget_create, .destroy = free,
	.configure = budget_configure, .vport_add = budget_vport_add, .vport_del = budget_vport_del,
	.admit = budget_admit, .opened = budget_opened, .section_save = budget_save,
	.section_load = budget_load);
