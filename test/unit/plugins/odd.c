/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Plugins that are wrong in one way each, built once per ODD_* macro for test_plugin_host.c.
 * Without a macro: right, but it refuses or says nonsense when the configuration tells it to.
 */
#include "dataplane/plugin.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#ifndef ODD_ABI
#define ODD_ABI PLUGIN_ABI_VERSION
#endif
#ifndef ODD_NAME
#define ODD_NAME "odd"
#endif
#ifndef ODD_CREATE
#define ODD_CREATE 0
#endif
#ifndef ODD_AFTER
#define ODD_AFTER NULL
#endif
#ifndef ODD_VERSION
#define ODD_VERSION 2
#endif
#ifndef ODD_MIN_VERSION
#define ODD_MIN_VERSION ODD_VERSION
#endif

enum odd_save {
	ODD_SAVES, /* eight bytes, as it reads them */
	ODD_SAVE_FAILS,
	ODD_SAVE_ENDLESS, /* and does not look at what put() says */
	ODD_SAVE_SHORT,
};

struct odd {
	int verdict; /* what admit says */
	uint8_t meter;
	int proto; /* translates to this one, for no reason; 0: does not */
	int save; /* enum odd_save */
	int admitted, abandoned, closed;
};

static int odd_create(const struct plugin_host *host, void **instance)
{
	(void)host;
	if (ODD_CREATE != 0)
		return ODD_CREATE;
	*instance = calloc(1, sizeof(struct odd));
	((struct odd *)*instance)->meter = PLUGIN_METER_NONE;
	return *instance ? 0 : -ENOMEM;
}

static void odd_destroy(void *instance)
{
	free(instance);
}

static int odd_configure(
	void *instance, const struct plugin_value *config, bool apply, struct plugin_error *error)
{
	struct odd *odd = instance;

	for (uint32_t i = 0; config && i < config->count; i++) {
		const struct plugin_value *value = &config->item[i];

		if (strcmp(value->key, "verdict") == 0 && apply)
			odd->verdict = atoi(value->text);
		else if (strcmp(value->key, "meter") == 0 && apply)
			odd->meter = (uint8_t)atoi(value->text);
		else if (strcmp(value->key, "proto") == 0 && apply)
			odd->proto = atoi(value->text);
		else if (strcmp(value->key, "save") == 0 && apply)
			odd->save = atoi(value->text);
		else if (strcmp(value->key, "verdict") != 0 && strcmp(value->key, "meter") != 0 &&
			 strcmp(value->key, "proto") != 0 && strcmp(value->key, "save") != 0) {
			snprintf(error->text, sizeof(error->text), "%s: unknown key", value->key);
			error->line = value->line;
			error->column = value->column;
			return -EINVAL;
		}
	}
	return 0;
}

static enum plugin_verdict odd_admit(
	void *instance, const struct plugin_request *request, struct plugin_answer *answer)
{
	struct odd *odd = instance;

	odd->admitted += !request->recheck && !request->dry;
	answer->meter[PLUGIN_EGRESS] = odd->meter;
	if (odd->proto) {
		answer->translate = true;
		answer->outside = request->tuple;
		answer->outside.local_port++;
		answer->outside.proto = (uint8_t)odd->proto;
	}
	return (enum plugin_verdict)odd->verdict;
}

static void odd_abandoned(void *instance, const struct plugin_request *request)
{
	(void)request;
	((struct odd *)instance)->abandoned++;
}

static void odd_closed(
	void *instance, const struct plugin_session *session, enum plugin_close_reason reason)
{
	(void)session;
	(void)reason;
	((struct odd *)instance)->closed++;
}

static int odd_show(
	void *instance, const struct plugin_vport *vport, void *data, struct plugin_sink *sink)
{
	const struct odd *odd = instance;
	char text[64];

	(void)vport;
	(void)data;
	snprintf(text, sizeof(text), "%d admitted, %d abandoned, %d closed", odd->admitted,
		odd->abandoned, odd->closed);
	return sink->put(sink, text, strlen(text));
}

static int odd_section_save(
	void *instance, const struct plugin_vport *vport, void *data, struct plugin_sink *sink)
{
	const struct odd *odd = instance;
	static const char bytes[4096] = "eight by";

	(void)vport;
	(void)data;
	switch (odd->save) {
	case ODD_SAVE_FAILS:
		return -EIO;
	case ODD_SAVE_ENDLESS:
		for (int i = 0; i < 100000; i++)
			sink->put(sink, bytes, sizeof(bytes));
		return 0;
	case ODD_SAVE_SHORT:
		return sink->put(sink, bytes, 5);
	default:
		return sink->put(sink, bytes, 8);
	}
}

static int odd_section_load(void *instance, const struct plugin_vport *vport, void *data,
	const struct plugin_section *section, struct plugin_error *error)
{
	(void)instance;
	(void)vport;
	(void)data;
	if (section->len_bytes == 8 && memcmp(section->bytes, "eight by", 8) == 0)
		return 0;
	snprintf(error->text, sizeof(error->text), "%zu bytes of state", section->len_bytes);
	return -EBADMSG;
}

static void odd_drop(void *instance, void *prepared)
{
	(void)instance;
	(void)prepared;
}

#ifdef ODD_BARE
__attribute__((visibility("default"))) extern const struct plugin_descriptor ferry_plugin;
const struct plugin_descriptor ferry_plugin = {.abi = ODD_ABI,
	.name = ODD_NAME,
	.version = "0",
	.create = odd_create,
	.destroy = odd_destroy};
#elif !defined(ODD_NO_DESCRIPTOR)
__attribute__((visibility("default"))) extern const struct plugin_descriptor ferry_plugin;
const struct plugin_descriptor ferry_plugin = {
	.abi = ODD_ABI,
	.name = ODD_NAME,
	.version = "0",
	.after = ODD_AFTER,
	.state_version = ODD_VERSION,
	.state_min_version = ODD_MIN_VERSION,
	.create = odd_create,
	.destroy = odd_destroy,
	.configure = odd_configure,
#ifdef ODD_STEPS
	.drop = odd_drop,
#endif
	.admit = odd_admit,
	.abandoned = odd_abandoned,
	.closed = odd_closed,
	.show = odd_show,
#ifdef ODD_SECTION
	.section_save = odd_section_save,
	.section_load = odd_section_load,
#endif
};
#endif
