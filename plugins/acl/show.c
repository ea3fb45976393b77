/* SPDX-License-Identifier: BSD-3-Clause */
#include "plugins/acl/acl.h"

#include <inttypes.h>
#include <stdio.h>

static int put(struct plugin_sink *sink, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

static int put(struct plugin_sink *sink, const char *format, ...)
{
	char text[256];
	va_list args;
	int len;

	va_start(args, format);
	len = vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	return sink->put(sink, text, len < (int)sizeof(text) ? (size_t)len : sizeof(text) - 1);
}

/* "name": {"rules": 3, "hits": [12, 0, 7]} */
static void put_group(struct plugin_sink *sink, const struct acl_group *group)
{
	put(sink, "\"%s\": {\"rules\": %u, \"hits\": [", group->name, group->rule_count);
	for (uint32_t i = 0; i < group->rule_count; i++)
		put(sink, "%s%" PRIu64, i ? ", " : "", acl_group_hits(group, i));
	put(sink, "]}");
}

static uint64_t unruled(const struct acl *acl, enum plugin_dir dir)
{
	uint64_t sum = 0;

	for (uint32_t w = 0; w <= acl->host->workers; w++)
		sum += atomic_load_explicit(&acl->unruled[w * 2 + dir], memory_order_relaxed);
	return sum;
}

static int show_instance(const struct acl *acl, struct plugin_sink *sink)
{
	uint32_t sets = 0, rules = 0;

	for (const struct acl_set *set = acl->sets; set; set = set->next) {
		sets++;
		rules += set->rule_count;
	}
	put(sink,
		"{\"sets\": %u, \"classifier_rules\": %u, \"members\": %u, \"classes\": %u, "
		"\"ingress_denied_by_default\": %" PRIu64
		", \"egress_allowed_by_default\": %" PRIu64 ", \"groups\": {",
		sets, rules, atomic_load(&acl->members)->count, acl->classes.class_count - 1,
		unruled(acl, PLUGIN_INGRESS), unruled(acl, PLUGIN_EGRESS));
	for (uint32_t i = 0; i < acl->policy->count; i++) {
		put(sink, "%s", i ? ", " : "");
		put_group(sink, acl->policy->group[i]);
	}
	return put(sink, "}}");
}

int acl_show(void *instance, const struct plugin_vport *view, void *data, struct plugin_sink *sink)
{
	const struct acl_vport *v = data;
	const struct acl_binding *binding;

	if (!view || !v)
		return show_instance(instance, sink);
	binding = atomic_load(&v->binding);
	put(sink, "{\"classifier_rules\": %u, \"shared_with\": %u, \"groups\": {",
		binding->set->rule_count, binding->set->refs - 1);
	for (uint16_t i = 0; i < binding->set->group_count; i++) {
		put(sink, "%s", i ? ", " : "");
		put_group(sink, binding->set->group[i]);
	}
	return put(sink, "}}");
}
