/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef FERRY_FAKE_PLUGIN_HOST_H
#define FERRY_FAKE_PLUGIN_HOST_H
/*
 * The engine as a plugin sees it, without an engine: for unit tests that link a plugin's sources
 * and call its descriptor. What is deferred is released at once, so that a use after it shows under
 * the sanitizers.
 */
#include "dataplane/plugin.h"

#define FAKE_PLUGIN_VPORTS 8

struct fake_plugin_host {
	struct plugin_host host;
	unsigned int changed[FAKE_PLUGIN_VPORTS]; /* calls of policy_changed by vport id */
	char log[256]; /* last line */
	char text[65536]; /* what a sink got */
	size_t text_len;
	struct plugin_sink sink;
};

void fake_plugin_host_init(struct fake_plugin_host *host, const char *name, uint16_t workers);

/* An empty sink, and the text in it. */
struct plugin_sink *fake_plugin_sink(struct fake_plugin_host *host);

#endif
