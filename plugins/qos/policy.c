/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "plugins/qos/qos.h"

#define RATE_MAX 10000000000000ULL /* 10 Tbit/s */
#define BURST_MAX 4000000000ULL
#define BURST_MIN 9216 /* a jumbo frame must pass at all */

int qos_fail(struct plugin_error *error, const struct plugin_value *value, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(error->text, sizeof(error->text), format, args);
	va_end(args);
	error->line = value ? value->line : 0;
	error->column = value ? value->column : 0;
	return -EINVAL;
}

/* A number with k, M or G behind it. */
static bool take_amount(const struct plugin_value *value, uint64_t max, uint64_t *out)
{
	uint64_t unit = 1;
	char *end;

	if (value->kind != PLUGIN_SCALAR || *value->text < '0' || *value->text > '9')
		return false;
	errno = 0;
	*out = strtoull(value->text, &end, 10);
	if (*end == 'k')
		unit = 1000;
	else if (*end == 'M')
		unit = 1000000;
	else if (*end == 'G')
		unit = 1000000000;
	if (unit > 1)
		end++;
	if (errno != 0 || *end != '\0' || *out > max / unit)
		return false;
	*out *= unit;
	return true;
}

static int meter_key(const struct plugin_value *value, const char *where,
	struct plugin_meter *meter, struct plugin_error *error)
{
	struct {
		const char *key;
		uint64_t max, min, unit, *out;
	} keys[] = {
		{"committed", RATE_MAX, 8, 8, &meter->cir_bytes_s},
		{"excess", RATE_MAX, 0, 8, &meter->eir_bytes_s},
		{"burst", BURST_MAX, BURST_MIN, 1, &meter->cbs_bytes},
		{"excess_burst", BURST_MAX, BURST_MIN, 1, &meter->ebs_bytes},
	};

	for (size_t i = 0; value->key && i < sizeof(keys) / sizeof(keys[0]); i++) {
		uint64_t number;

		if (strcmp(value->key, keys[i].key) != 0)
			continue;
		if (!take_amount(value, keys[i].max, &number) || number < keys[i].min)
			return qos_fail(error, value, "%s: %s: expected %llu to %llu %s", where,
				value->key, (unsigned long long)keys[i].min,
				(unsigned long long)keys[i].max,
				keys[i].unit == 8 ? "bit/s" : "bytes");
		*keys[i].out = number / keys[i].unit;
		return 0;
	}
	return qos_fail(error, value, "%s: %s: unknown key", where, value->key ? value->key : "?");
}

/* Bursts that are not written: 10 ms of the rate. */
static int take_meter(
	const struct plugin_value *value, struct plugin_meter *meter, struct plugin_error *error)
{
	int rc = 0;

	if (value->kind != PLUGIN_MAP)
		return qos_fail(error, value, "%s: expected a map", value->key);
	for (uint32_t i = 0; i < value->count && rc == 0; i++)
		rc = meter_key(&value->item[i], value->key, meter, error);
	if (rc != 0)
		return rc;
	if (meter->cir_bytes_s == 0)
		return qos_fail(error, value, "%s: committed: expected a rate", value->key);
	if (meter->cbs_bytes == 0)
		meter->cbs_bytes = meter->cir_bytes_s / 100 + BURST_MIN;
	if (meter->ebs_bytes == 0 && meter->eir_bytes_s)
		meter->ebs_bytes = meter->eir_bytes_s / 100 + BURST_MIN;
	return 0;
}

static bool take_ports(const struct plugin_value *value, struct qos_mark *mark)
{
	unsigned int first, last;
	int end = 0;

	if (value->kind != PLUGIN_SCALAR)
		return false;
	if (sscanf(value->text, "%5u-%5u%n", &first, &last, &end) != 2 || value->text[end]) {
		end = 0;
		if (sscanf(value->text, "%5u%n", &first, &end) != 1 || value->text[end])
			return false;
		last = first;
	}
	if (first == 0 || last < first || last > UINT16_MAX)
		return false;
	mark->first = (uint16_t)first;
	mark->last = (uint16_t)last;
	return true;
}

static bool take_protocol(const struct plugin_value *value, struct qos_mark *mark)
{
	static const struct {
		const char *name;
		uint8_t proto;
	} names[] = {{"any", 0}, {"tcp", IPPROTO_TCP}, {"udp", IPPROTO_UDP}, {"sctp", IPPROTO_SCTP},
		{"icmp", IPPROTO_ICMP}, {"icmpv6", IPPROTO_ICMPV6}};

	for (size_t i = 0; value->kind == PLUGIN_SCALAR && i < sizeof(names) / sizeof(names[0]);
		i++)
		if (strcmp(value->text, names[i].name) == 0) {
			mark->proto = names[i].proto;
			return true;
		}
	return false;
}

static bool mark_key(const struct plugin_value *value, struct qos_mark *mark)
{
	const char *key = value->key ? value->key : "";
	uint64_t number;

	if (strcmp(key, "protocol") == 0)
		return take_protocol(value, mark);
	if (strcmp(key, "ports") == 0)
		return take_ports(value, mark);
	if (strcmp(key, "dscp") != 0 || !take_amount(value, 63, &number))
		return false;
	mark->dscp = (int8_t)number;
	return true;
}

static int take_marks(
	const struct plugin_value *list, struct qos_policy *policy, struct plugin_error *error)
{
	if (list->kind != PLUGIN_LIST || list->count > QOS_MARKS_MAX)
		return qos_fail(error, list, "mark: expected a list of at most %d", QOS_MARKS_MAX);
	for (uint32_t i = 0; i < list->count; i++) {
		const struct plugin_value *map = &list->item[i];
		struct qos_mark *mark = &policy->mark[policy->mark_count++];

		mark->dscp = -1;
		for (uint32_t n = 0; map->kind == PLUGIN_MAP && n < map->count; n++)
			if (!mark_key(&map->item[n], mark))
				return qos_fail(error, &map->item[n],
					"mark: %s: expected protocol, ports or dscp (0-63)",
					map->item[n].key ? map->item[n].key : "?");
		if (mark->dscp < 0)
			return qos_fail(error, map, "mark: dscp: expected 0-63");
	}
	return 0;
}

int qos_policy_parse(
	const struct plugin_value *settings, struct qos_policy **out, struct plugin_error *error)
{
	struct qos_policy *policy = calloc(1, sizeof(*policy));
	int rc = 0;

	if (!policy)
		return -ENOMEM;
	for (uint32_t i = 0; settings && i < settings->count && rc == 0; i++) {
		const struct plugin_value *value = &settings->item[i];
		const char *key = value->key ? value->key : "?";

		if (strcmp(key, "egress") == 0)
			rc = take_meter(value, &policy->meter[PLUGIN_EGRESS], error);
		else if (strcmp(key, "ingress") == 0)
			rc = take_meter(value, &policy->meter[PLUGIN_INGRESS], error);
		else if (strcmp(key, "mark") == 0)
			rc = take_marks(value, policy, error);
		else
			rc = qos_fail(error, value, "%s: unknown key", key);
	}
	if (rc != 0)
		free(policy);
	else
		*out = policy;
	return rc;
}

/* ---- trees that stay ---- */

static void value_clear(struct plugin_value *value)
{
	for (uint32_t i = 0; value->kind != PLUGIN_SCALAR && i < value->count; i++)
		value_clear((struct plugin_value *)(uintptr_t)&value->item[i]);
	free((void *)(uintptr_t)value->item);
	free((void *)(uintptr_t)value->key);
	free((void *)(uintptr_t)value->text);
}

static bool value_fill(const struct plugin_value *from, struct plugin_value *to)
{
	struct plugin_value *items = calloc(from->count + 1, sizeof(*items));
	bool good = items != NULL;

	*to = (struct plugin_value){.kind = from->kind, .line = from->line, .column = from->column};
	to->item = items;
	if (from->key)
		good &= (to->key = strdup(from->key)) != NULL;
	if (from->text)
		good &= (to->text = strdup(from->text)) != NULL;
	for (uint32_t i = 0; good && from->kind != PLUGIN_SCALAR && i < from->count; i++) {
		good = value_fill(&from->item[i], &items[i]);
		to->count++;
	}
	return good;
}

struct plugin_value *qos_value_copy(const struct plugin_value *value)
{
	struct plugin_value *copy = calloc(1, sizeof(*copy));

	if (copy && value_fill(value, copy))
		return copy;
	qos_value_free(copy);
	return NULL;
}

void qos_value_free(struct plugin_value *value)
{
	if (value)
		value_clear(value);
	free(value);
}
