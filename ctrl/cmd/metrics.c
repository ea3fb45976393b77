/* SPDX-License-Identifier: BSD-3-Clause */
#include "ctrl/cmd/metrics.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <event2/buffer.h>

#include "ctrl/channel/host.h"
#include "ctrl/migrate/mover.h"
#include "dataplane/drop.h"
#include "dataplane/vport.h"

struct writer {
	struct evbuffer *to;
	bool failed;
};

static void put(struct writer *w, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void put(struct writer *w, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	if (evbuffer_add_vprintf(w->to, format, args) < 0)
		w->failed = true;
	va_end(args);
}

static void head(struct writer *w, const char *name, const char *type, const char *help)
{
	put(w, "# HELP ferry_%s %s\n# TYPE ferry_%s %s\n", name, help, name, type);
}

static void one(
	struct writer *w, const char *name, const char *type, const char *help, int64_t value)
{
	head(w, name, type, help);
	put(w, "ferry_%s %" PRId64 "\n", name, value);
}

/* ---- ports ---- */

static const struct port_counter {
	const char *name, *help;
	size_t offset;
} port_counters[] = {
#define PORT_COUNTER(field, metric, text) \
	{ \
		metric, text, offsetof(struct port_stats, field) \
	}
	PORT_COUNTER(rx_packets, "port_rx_packets_total", "Frames that came from the port."),
	PORT_COUNTER(rx_bytes, "port_rx_bytes_total", "Bytes that came from the port."),
	PORT_COUNTER(rx_missed, "port_rx_missed_total", "Frames that found its ring full."),
	PORT_COUNTER(tx_packets, "port_tx_packets_total", "Frames given to the port."),
	PORT_COUNTER(tx_bytes, "port_tx_bytes_total", "Bytes given to the port."),
	PORT_COUNTER(relayed, "port_relayed_total", "Frames of it sent on to where it moved."),
	PORT_COUNTER(parked, "port_parked_total", "Frames held for it."),
	PORT_COUNTER(sessions_opened, "port_sessions_opened_total", "Sessions begun."),
	PORT_COUNTER(sessions_closed, "port_sessions_closed_total", "Sessions ended."),
};

/* A port as one scrape sees it: all its series are of one moment. */
struct port_view {
	char labels[192];
	struct port_stats stats;
};

struct ports {
	struct port_view *view;
	uint32_t count, room;
};

static struct port_view *ports_add(struct ports *ports)
{
	if (ports->count == ports->room) {
		uint32_t room = ports->room ? ports->room * 2 : 64;
		struct port_view *view = realloc(ports->view, room * sizeof(*view));

		if (!view)
			return NULL;
		ports->view = view;
		ports->room = room;
	}
	return &ports->view[ports->count++];
}

/* Names are of letters, digits and ".-_": nothing to escape. */
static int port_collect(struct vport *v, void *arg)
{
	enum role role = vport_role(v);
	struct port_view *view;

	if (role == ROLE_PASSIVE || role == ROLE_MOVED)
		return 0;
	view = ports_add(arg);
	if (!view)
		return -ENOMEM;
	snprintf(view->labels, sizeof(view->labels), "port=\"%s\",vm=\"%s\"", v->name, v->vm);
	engine_vport_stats(v, &view->stats);
	return 0;
}

static int ports_collect(struct engine *engine, struct ports *ports)
{
	struct port_view *view = ports_add(ports);

	if (!view)
		return -ENOMEM;
	strcpy(view->labels, "port=\"local\",vm=\"\"");
	engine_local_stats(engine, &view->stats);
	view = ports_add(ports);
	if (!view)
		return -ENOMEM;
	strcpy(view->labels, "port=\"uplink\",vm=\"\"");
	if (!engine_uplink_stats(engine, &view->stats))
		ports->count--;
	return engine_vport_foreach(engine, port_collect, ports);
}

static void port_drops(struct writer *w, const struct port_view *view)
{
	for (int i = 1; i < DROP_COUNT; i++) {
		uint64_t from = view->stats.drop[i], towards = view->stats.in_drop[i];

		/* A reason has a series from its first packet on. */
		if (from)
			put(w,
				"ferry_port_drops_total{%s,reason=\"%s\",side=\"from\"} %" PRIu64
				"\n",
				view->labels, drop_name((enum drop_reason)i), from);
		if (towards)
			put(w,
				"ferry_port_drops_total{%s,reason=\"%s\",side=\"towards\"} %" PRIu64
				"\n",
				view->labels, drop_name((enum drop_reason)i), towards);
	}
}

static void ports_write(struct writer *w, const struct ports *ports)
{
	for (size_t c = 0; c < sizeof(port_counters) / sizeof(port_counters[0]); c++) {
		const struct port_counter *counter = &port_counters[c];

		head(w, counter->name, "counter", counter->help);
		for (uint32_t i = 0; i < ports->count; i++) {
			uint64_t value;

			memcpy(&value, (const char *)&ports->view[i].stats + counter->offset,
				sizeof(value));
			put(w, "ferry_%s{%s} %" PRIu64 "\n", counter->name, ports->view[i].labels,
				value);
		}
	}
	head(w, "port_drops_total", "counter", "Frames dropped, by reason.");
	for (uint32_t i = 0; i < ports->count; i++)
		port_drops(w, &ports->view[i]);
}

static int count_role(struct vport *v, void *arg)
{
	((uint32_t *)arg)[vport_role(v)]++;
	return 0;
}

static void host_write(struct writer *w, struct daemon *d)
{
	uint32_t by_role[ROLE_COUNT] = {0};
	struct engine_memory memory;

	engine_memory(d->engine, &memory);
	engine_vport_foreach(d->engine, count_role, by_role);
	head(w, "build_info", "gauge", "Always 1; its version is a label.");
	put(w, "ferry_build_info{version=\"%s\"} 1\n", FERRY_VERSION);
	one(w, "sessions", "gauge", "Living sessions.", memory.sessions);
	one(w, "sessions_max", "gauge", "Sessions that there is room for.", memory.sessions_max);
	head(w, "vports", "gauge", "Vports by role.");
	for (int i = 0; i < ROLE_COUNT; i++)
		put(w, "ferry_vports{role=\"%s\"} %u\n", role_name((enum role)i), by_role[i]);
}

/* ---- moves ---- */

static void moves_write(struct writer *w, struct mover *mover)
{
	struct mover_counts counts;

	mover_counts(mover, &counts);
	one(w, "moves_started_total", "counter", "Moves begun, out and in.",
		(int64_t)counts.started);
	head(w, "moves", "gauge", "Moves by state; all of them are those that were begun.");
	put(w, "ferry_moves{state=\"running\"} %u\n", counts.running);
	put(w, "ferry_moves{state=\"committed\"} %" PRIu64 "\n", counts.committed);
	put(w, "ferry_moves{state=\"failed\"} %" PRIu64 "\n", counts.failed);
	put(w, "ferry_moves{state=\"aborted\"} %" PRIu64 "\n", counts.aborted);
	one(w, "claims_waiting", "gauge", "VMs that appeared without a move.", counts.claims);
	one(w, "move_alarms_total", "counter", "Steps of moves that took longer than they may.",
		(int64_t)counts.alarms);
	head(w, "moves_refused_total", "counter", "Moves from other hosts, by what forbade them.");
	for (int i = 0; i < MOVER_REFUSED_COUNT; i++)
		put(w, "ferry_moves_refused_total{reason=\"%s\"} %" PRIu64 "\n",
			mover_refusal_name((enum mover_refusal)i), counts.refused[i]);
}

static void channels_write(struct writer *w, struct mover *mover)
{
	struct channel_host_status status;

	mover_channels(mover, &status);
	head(w, "channel_failures_total", "counter", "Links to hosts that failed, by reason.");
	for (int i = 1; i < CHANNEL_REASON_COUNT; i++)
		put(w, "ferry_channel_failures_total{reason=\"%s\"} %" PRIu64 "\n",
			channel_reason_name((enum channel_reason)i), status.by_reason[i]);
	one(w, "insecure", "gauge", "1: links may be plain.", status.insecure);
	if (status.has_certificate)
		one(w, "certificate_days_left", "gauge", "Until ours or the CA's ends.",
			status.days_left);
}

int metrics_write(struct daemon *daemon, struct evbuffer *to)
{
	struct writer w = {.to = to};
	struct ports ports = {0};
	int rc = ports_collect(daemon->engine, &ports);

	if (rc == 0) {
		host_write(&w, daemon);
		ports_write(&w, &ports);
		if (daemon->mover) {
			moves_write(&w, daemon->mover);
			channels_write(&w, daemon->mover);
		}
	}
	free(ports.view);
	return rc == 0 && w.failed ? -ENOMEM : rc;
}

static int metrics(struct cmd *cmd)
{
	struct evbuffer *text = evbuffer_new();
	int rc = text ? metrics_write(cmd->ctx, text) : -ENOMEM;
	char *line;

	while (rc == 0 && (line = evbuffer_readln(text, NULL, EVBUFFER_EOL_LF)) != NULL) {
		out_note(cmd_out(cmd), "%s", line);
		free(line);
	}
	if (text)
		evbuffer_free(text);
	return rc;
}

static const struct cmd_row rows[] = {
	{"metrics", "", 0, 0, NULL, 0, metrics,
		"Show counters and gauges in the text format of Prometheus."},
};

CMD_NOUN(metrics, rows);
