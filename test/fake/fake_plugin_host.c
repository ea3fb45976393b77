/* SPDX-License-Identifier: BSD-3-Clause */
#include "test/fake/fake_plugin_host.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void fake_log(void *arg, enum plugin_log_level level, const char *format, ...)
{
	struct fake_plugin_host *host = arg;
	va_list args;

	(void)level;
	va_start(args, format);
	vsnprintf(host->log, sizeof(host->log), format, args);
	va_end(args);
}

static void fake_defer(void *arg, void *memory, void (*release)(void *))
{
	(void)arg;
	if (memory)
		release(memory);
}

static void fake_defer_free(void *arg, void *memory)
{
	fake_defer(arg, memory, free);
}

static void fake_policy_changed(void *arg, const struct plugin_vport *vport)
{
	struct fake_plugin_host *host = arg;

	for (int i = 0; i < FAKE_PLUGIN_VPORTS; i++)
		if (!vport || vport->id == i)
			host->changed[i]++;
}

static int fake_put(struct plugin_sink *sink, const void *data, size_t len_bytes)
{
	struct fake_plugin_host *host = sink->arg;

	if (host->text_len + len_bytes >= sizeof(host->text))
		return -ENOMEM;
	memcpy(host->text + host->text_len, data, len_bytes);
	host->text_len += len_bytes;
	host->text[host->text_len] = '\0';
	return 0;
}

void fake_plugin_host_init(struct fake_plugin_host *host, const char *name, uint16_t workers)
{
	memset(host, 0, sizeof(*host));
	host->host = (struct plugin_host){.engine = host,
		.engine_name = name,
		.workers = workers,
		.log = fake_log,
		.defer_free = fake_defer_free,
		.defer = fake_defer,
		.policy_changed = fake_policy_changed};
	host->sink = (struct plugin_sink){.put = fake_put, .arg = host};
}

struct plugin_sink *fake_plugin_sink(struct fake_plugin_host *host)
{
	host->text_len = 0;
	host->text[0] = '\0';
	return &host->sink;
}
