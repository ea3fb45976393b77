/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef CTRL_CMD_METRICS_H
#define CTRL_CMD_METRICS_H
/*
 * What monitoring reads, in the text format of Prometheus: by the command `metrics`, and by HTTP
 * where `host.metrics` says so. No line has a time of its own. Loop thread.
 *
 * Rules that dashboards rely on: a counter never goes back on one host while its ferryd runs; a
 * vport has series only where it serves (not where it waits, nor where it has moved away); its
 * counters are this host's, from 0 where it comes to; the moves of all states together are
 * ferry_moves_started_total.
 */
#include <stddef.h>

#include "config/types.h"
#include "ctrl/cmd/daemon.h"

struct evbuffer;
struct metrics_http;

/* 0 or -ENOMEM. */
int metrics_write(struct daemon *daemon, struct evbuffer *to);

/* Answers GET /metrics there. daemon is borrowed. 0, or -errno with a sentence. */
int metrics_http_start(struct daemon *daemon, const struct config_endpoint *at,
	struct metrics_http **http, char *error, size_t error_len);
void metrics_http_stop(struct metrics_http *http); /* NULL allowed; before its loop ends */

extern const struct cmd_noun cmd_noun_metrics;

#endif
