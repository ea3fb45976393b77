/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The host as a whole: status, stats (counters of every port), memory.
 */
#include <time.h>

#include "ctrl/channel/host.h"
#include "ctrl/cmd/daemon.h"
#include "ctrl/cmd/text.h"
#include "ctrl/log.h"
#include "ctrl/migrate/mover.h"
#include "dataplane/vport.h"

static int count_vports(struct vport *v, void *arg)
{
	uint32_t *by_role = arg;

	by_role[vport_role(v)]++;
	return 0;
}

static void out_date(struct out *out, const char *key, int64_t at_s)
{
	time_t when = (time_t)at_s;
	char text[32] = "";
	struct tm parts;

	if (gmtime_r(&when, &parts))
		strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%SZ", &parts);
	out_str(out, key, text);
}

static void status_certificate(struct out *out, const struct channel_host_status *status)
{
	out_object(out, "certificate");
	out_str(out, "subject", status->has_certificate ? status->subject : NULL);
	if (status->has_certificate) {
		out_date(out, "until", status->not_after_s);
		out_date(out, "ca_until", status->ca_not_after_s);
		out_i64(out, "days_left", status->days_left);
	}
	out_bool(out, "warn", status->warn);
	out_str(out, "problem", status->problem[0] ? status->problem : NULL);
	out_object_end(out);
}

/* Links between hosts: who we are to them, and what was refused or broke, by reason. */
static void status_channels(struct out *out, struct mover *mover)
{
	struct channel_host_status status;

	mover_channels(mover, &status);
	out_bool(out, "insecure", status.insecure);
	status_certificate(out, &status);
	out_object(out, "channels");
	out_u64(out, "connected", status.connects);
	out_u64(out, "accepted", status.accepts);
	out_object(out, "failed");
	for (int i = 1; i < CHANNEL_REASON_COUNT; i++)
		if (status.by_reason[i])
			out_u64(out, channel_reason_name((enum channel_reason)i),
				status.by_reason[i]);
	out_object_end(out);
	out_object_end(out);
}

static int host_status(struct cmd *cmd)
{
	struct daemon *d = cmd->ctx;
	struct out *out = cmd_out(cmd);
	uint32_t by_role[ROLE_COUNT] = {0};
	struct engine_memory memory;
	struct log_stats log;

	engine_vport_foreach(d->engine, count_vports, by_role);
	engine_memory(d->engine, &memory);
	log_stats(d->log, &log);
	out_str(out, "version", FERRY_VERSION);
	out_str(out, "host", d->config->host.name);
	out_str(out, "config", d->config_path);
	out_ns(out, "uptime_ns", engine_now_ns(d->engine) - d->started_ns);
	out_u64(out, "workers", engine_workers(d->engine));
	out_object(out, "vports");
	for (int role = 0; role < ROLE_COUNT; role++)
		if (by_role[role])
			out_u64(out, role_name((enum role)role), by_role[role]);
	out_object_end(out);
	out_u64(out, "sessions", memory.sessions);
	out_u64(out, "sessions_max", memory.sessions_max);
	out_u64(out, "reloads", d->reloads);
	out_str(out, "last_reload_error", d->reload_error[0] ? d->reload_error : NULL);
	out_u64(out, "log_lines_lost", log.lost);
	if (d->mover)
		status_channels(out, d->mover);
	return 0;
}

static int stats_vport(struct vport *v, void *arg)
{
	struct port_stats stats;

	engine_vport_stats(v, &stats);
	text_port_stats(arg, v->name, &stats);
	return 0;
}

static int host_stats(struct cmd *cmd)
{
	struct daemon *d = cmd->ctx;
	struct out *out = cmd_out(cmd);
	struct port_stats stats;

	out_object(out, "ports");
	if (engine_uplink_stats(d->engine, &stats))
		text_port_stats(out, "uplink", &stats);
	engine_local_stats(d->engine, &stats);
	text_port_stats(out, "local", &stats);
	engine_vport_foreach(d->engine, stats_vport, out);
	out_object_end(out);
	return 0;
}

static int host_memory(struct cmd *cmd)
{
	struct daemon *d = cmd->ctx;
	struct out *out = cmd_out(cmd);
	struct engine_memory memory;

	engine_memory(d->engine, &memory);
	out_u64(out, "session_bytes", memory.session_bytes);
	out_u64(out, "table_bytes", memory.table_bytes);
	out_u64(out, "extension_bytes", memory.ext_bytes);
	out_u64(out, "packet_bytes", memory.mbuf_bytes);
	out_u64(out, "sessions", memory.sessions);
	out_u64(out, "sessions_max", memory.sessions_max);
	out_u64(out, "keys", memory.keys);
	out_u64(out, "chunks_free", memory.chunks_free);
	out_real(out, "bytes_per_session_max",
		(double)(memory.session_bytes + memory.table_bytes + memory.ext_bytes) /
			(double)(memory.sessions_max ? memory.sessions_max : 1),
		1);
	return 0;
}

static const struct cmd_row rows[] = {
	{"memory", "", 0, 0, NULL, CMD_JSON, host_memory,
		"Show what sessions and packets may take."},
	{"stats", "", 0, 0, NULL, CMD_JSON, host_stats, "Show the counters of every port."},
	{"status", "", 0, 0, NULL, CMD_JSON, host_status, "Show how this ferryd is doing."},
};

CMD_NOUN(host, rows);
