/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef FERRY_QOS_H
#define FERRY_QOS_H
/* Shared by policy.c (as written -> struct qos_policy) and qos.c (the descriptor). */
#include <stdatomic.h>

#include "dataplane/plugin.h"

#define QOS_METERS 2 /* by enum plugin_dir; also the engine's numbers */
#define QOS_MARKS_MAX 64

struct qos_mark {
	uint16_t first, last; /* of the side that was called; 0, 0: all */
	uint8_t proto; /* 0: any */
	int8_t dscp;
};

/* What workers read. */
struct qos_policy {
	struct plugin_meter meter[QOS_METERS]; /* cir 0: none */
	uint32_t mark_count;
	struct qos_mark mark[QOS_MARKS_MAX];
};

struct qos_vport {
	const struct plugin_vport *view;
	_Atomic(struct qos_policy *) policy;
	bool own; /* has settings; else the default's */
	struct qos_vport *next;
};

struct qos {
	const struct plugin_host *host;
	struct qos_vport *vports;
	struct plugin_value *fallback; /* as written, for vports without settings; or NULL */
};

int qos_fail(struct plugin_error *error, const struct plugin_value *value, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
/* settings NULL: nothing is metered or marked. Free *out with free(). 0 or -errno. */
int qos_policy_parse(
	const struct plugin_value *settings, struct qos_policy **out, struct plugin_error *error);
/* A tree that stays; NULL: no memory. */
struct plugin_value *qos_value_copy(const struct plugin_value *value);
void qos_value_free(struct plugin_value *value);

#endif
