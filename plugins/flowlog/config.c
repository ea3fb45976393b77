/* SPDX-License-Identifier: BSD-3-Clause */
#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "plugins/flowlog/flowlog.h"

int flow_fail(struct plugin_error *error, const struct plugin_value *value, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(error->text, sizeof(error->text), format, args);
	va_end(args);
	error->line = value ? value->line : 0;
	error->column = value ? value->column : 0;
	return -EINVAL;
}

static bool take_number(const char *text, uint32_t min, uint32_t max, uint32_t *out)
{
	unsigned long number;
	char *end;

	if (*text < '0' || *text > '9')
		return false;
	errno = 0;
	number = strtoul(text, &end, 10);
	if (errno != 0 || *end != '\0' || number < min || number > max)
		return false;
	*out = (uint32_t)number;
	return true;
}

/* ADDRESS:PORT, [ADDRESS]:PORT */
static bool take_collector(const char *text, struct flow_config *config)
{
	struct sockaddr_in *v4 = (struct sockaddr_in *)&config->collector;
	struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)&config->collector;
	const char *colon = strrchr(text, ':');
	char host[INET6_ADDRSTRLEN + 2];
	uint32_t port;
	size_t len;

	if (!colon || (size_t)(colon - text) >= sizeof(host) ||
		!take_number(colon + 1, 1, UINT16_MAX, &port))
		return false;
	len = (size_t)(colon - text);
	memcpy(host, text, len);
	host[len] = '\0';
	memset(&config->collector, 0, sizeof(config->collector));
	if (inet_pton(AF_INET, host, &v4->sin_addr) == 1) {
		v4->sin_family = AF_INET;
		v4->sin_port = htons((uint16_t)port);
		config->collector_len = sizeof(*v4);
		return true;
	}
	if (len < 2 || host[0] != '[' || host[len - 1] != ']')
		return false;
	host[len - 1] = '\0';
	if (inet_pton(AF_INET6, host + 1, &v6->sin6_addr) != 1)
		return false;
	v6->sin6_family = AF_INET6;
	v6->sin6_port = htons((uint16_t)port);
	config->collector_len = sizeof(*v6);
	return true;
}

static bool take_file(const char *text, struct flow_config *config)
{
	if (text[0] != '/' || strlen(text) >= sizeof(config->file))
		return false;
	snprintf(config->file, sizeof(config->file), "%s", text);
	return true;
}

static bool take_events(const struct plugin_value *list, struct flow_config *config)
{
	config->events = 0;
	for (uint32_t i = 0; list->kind == PLUGIN_LIST && i < list->count; i++) {
		uint8_t event = 0;

		while (event < FLOW_EVENTS && list->item[i].kind == PLUGIN_SCALAR &&
			strcmp(list->item[i].text, flow_event_name(event)) != 0)
			event++;
		if (list->item[i].kind != PLUGIN_SCALAR || event == FLOW_EVENTS)
			return false;
		config->events |= 1u << event;
	}
	return config->events != 0;
}

static int take_key(
	const struct plugin_value *value, struct flow_config *config, struct plugin_error *error)
{
	struct {
		const char *key;
		uint32_t min, max, *out;
	} numbers[] = {
		{"sample", 1, 1000000, &config->sample},
		{"rate", 1, 10000000, &config->rate},
		{"domain", 0, UINT32_MAX, &config->domain},
		{"template_seconds", 1, 86400, &config->template_s},
	};
	const char *key = value->key ? value->key : "?";
	const char *text = value->kind == PLUGIN_SCALAR ? value->text : "";

	for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++)
		if (strcmp(key, numbers[i].key) == 0)
			return take_number(text, numbers[i].min, numbers[i].max, numbers[i].out)
				       ? 0
				       : flow_fail(error, value, "%s: expected %u to %u", key,
						 numbers[i].min, numbers[i].max);
	if (strcmp(key, "collector") == 0)
		return take_collector(text, config)
			       ? 0
			       : flow_fail(error, value, "collector: expected ADDRESS:PORT");
	if (strcmp(key, "file") == 0)
		return take_file(text, config)
			       ? 0
			       : flow_fail(error, value, "file: expected an absolute path");
	if (strcmp(key, "events") == 0)
		return take_events(value, config)
			       ? 0
			       : flow_fail(error, value,
					 "events: expected a list of start, change, end");
	return flow_fail(error, value, "%s: unknown key", key);
}

int flow_config_parse(
	const struct plugin_value *value, struct flow_config *config, struct plugin_error *error)
{
	struct flow_config out = {.sample = 1,
		.rate = 10000,
		.events = 1u << FLOW_START | 1u << FLOW_END,
		.template_s = 60};
	int rc = 0;

	for (uint32_t i = 0; value && i < value->count && rc == 0; i++)
		rc = take_key(&value->item[i], &out, error);
	if (rc == 0)
		*config = out;
	return rc;
}
