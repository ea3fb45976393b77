/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The host as a whole: status, stats (counters of every port), memory.
 */
#include "ctrl/cmd/daemon.h"
#include "ctrl/cmd/text.h"
#include "ctrl/log.h"
#include "dataplane/vport.h"

static int count_vports(struct vport *v, void *arg)
{
	uint32_t *by_role = arg;

	by_role[vport_role(v)]++;
	return 0;
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
	out_bool(out, "insecure", d->config->tls.insecure);
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
		(double)(memory.session_bytes + memory.table_bytes) /
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
