/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The noun in this file: dump, count, flush. Walks go by slabs in slices, so that a million
 * sessions stall neither loop nor workers. (save, load and apply, which speak the stream's records,
 * are in ctrl/migrate/cmd_session*.c.)
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ctrl/cmd/daemon.h"
#include "ctrl/cmd/session_row.h"
#include "ctrl/cmd/text.h"
#include "dataplane/plugin_chain.h"
#include "dataplane/session_import.h"
#include "dataplane/session_walk.h"
#include "dataplane/vport.h"

/* Which sessions a command is about; zero: all. */
struct filter {
	char vport[VPORT_NAME_MAX];
	struct in6_addr addr; /* either side */
	bool has_addr;
	uint8_t proto;
	uint16_t port; /* either side, host order */
	char state[32];
};

/* A walk over the vports, one after the other by id, that survives their coming and going. */
struct walk {
	struct daemon *daemon;
	struct filter filter;
	int reader;
	unsigned int next_id; /* vport to go on with */
	uint64_t limit, seen;
	struct session_walk slabs;
	struct vport *vport; /* being walked, or NULL */
	unsigned int vport_id;
	uint64_t by_state[SESSION_STATE_COUNT];
	uint64_t flushed;
	enum walk_what { WALK_DUMP, WALK_COUNT, WALK_FLUSH } what;
	bool explain, record;
};

static int filter_read(struct cmd *cmd, struct filter *filter)
{
	const char *ip = cmd_option(cmd, "ip"), *proto = cmd_option(cmd, "proto");
	const char *port = cmd_option(cmd, "port"), *state = cmd_option(cmd, "state");
	struct daemon *d = cmd->ctx;
	uint64_t number;
	int rc = 0;

	memset(filter, 0, sizeof(*filter));
	if (cmd->n_args > 0) {
		if (!engine_vport_find(d->engine, cmd->args[0]))
			return cmd_fail(cmd, "no vport named \"%s\"", cmd->args[0]);
		snprintf(filter->vport, sizeof(filter->vport), "%s", cmd->args[0]);
	}
	if (ip) {
		filter->has_addr = true;
		if (text_parse_addr(ip, &filter->addr) != 0)
			return cmd_fail(cmd, "\"%s\" is no IP address", ip);
	}
	if (proto && text_parse_proto(proto, &filter->proto) != 0)
		return cmd_fail(cmd, "\"%s\" is no protocol", proto);
	if (port && rc == 0) {
		rc = cmd_number(cmd, "port", port, 65535, &number);
		filter->port = (uint16_t)number;
	}
	if (state)
		snprintf(filter->state, sizeof(filter->state), "%s", state);
	return rc;
}

static bool filter_takes(const struct filter *f, const struct session_record *r)
{
	rte_be16_t port = rte_cpu_to_be_16(f->port);

	if (f->has_addr && !addr_equal(&f->addr, &r->tuple.local) &&
		!addr_equal(&f->addr, &r->tuple.remote))
		return false;
	if (f->proto && f->proto != r->tuple.proto)
		return false;
	if (f->port && port != r->tuple.local_port && port != r->tuple.remote_port)
		return false;
	return !f->state[0] ||
	       strcmp(f->state, session_state_name(r->state & SESSION_STATE_MASK)) == 0;
}

/* The next vport that the filter wants, or NULL at the end. */
static struct vport *walk_vport(struct walk *walk)
{
	for (; walk->next_id < VPORT_MAX; walk->next_id++) {
		struct vport *v = engine_vport_at(walk->daemon->engine, walk->next_id);

		if (!v ||
			(walk->what == WALK_FLUSH && role_duty(vport_role(v)) != ROLE_DUTY_FORWARD))
			continue;
		if ((walk->filter.vport[0] && strcmp(v->name, walk->filter.vport) != 0 &&
			    strcmp(v->uuid, walk->filter.vport) != 0))
			continue;
		walk->next_id++;
		return v;
	}
	return NULL;
}

/* What each plugin says of the session now. */
static void show_decisions(struct cmd *cmd, const struct session *s)
{
	struct chain_result result;
	char text[128];

	plugin_chain_explain(s, vport_clock_ns(s->vport, engine_now_ns(s->vport->engine)), &result);
	out_list(cmd_out(cmd), "decided");
	for (uint16_t i = 0; i < result.asked; i++)
		if (plugin_chain_step_text(s->vport, &result, i, text, sizeof(text)) > 0)
			out_str(cmd_out(cmd), NULL, text);
	out_list_end(cmd_out(cmd));
}

/* As session/apply takes it. */
static void show_record(struct cmd *cmd, const struct session_record *record)
{
	uint8_t bytes[SESSION_RECORD_MAX];
	char hex[2 * SESSION_RECORD_MAX + 1] = "";
	int len = session_record_pack(record, bytes, sizeof(bytes), NULL);

	for (int i = 0; i < len; i++)
		snprintf(hex + 2 * (size_t)i, 3, "%02x", bytes[i]);
	out_str(cmd_out(cmd), "record", hex);
}

static void walk_take(struct cmd *cmd, struct walk *walk, struct session **living, uint32_t count)
{
	for (uint32_t i = 0; i < count && walk->seen < walk->limit; i++) {
		struct session_record record;

		session_walk_read(living[i], &record);
		if (!filter_takes(&walk->filter, &record))
			continue;
		walk->seen++;
		walk->by_state[record.state & SESSION_STATE_MASK]++;
		if (walk->what == WALK_FLUSH)
			walk->flushed += session_import_kill(walk->vport, living[i]);
		if (walk->what != WALK_DUMP)
			continue;
		if (cmd_is_json(cmd))
			session_row_full(cmd_out(cmd), walk->vport->name, &record);
		else
			session_row_brief(cmd_out(cmd), walk->vport->name, &record);
		if (walk->explain)
			show_decisions(cmd, living[i]);
		if (walk->record)
			show_record(cmd, &record);
	}
}

/*
 * One slice: one chunk. Commands run on the thread that also deletes vports (the loop), so a vport
 * cannot go within a slice; between slices it can, and the walk notices.
 */
static int walk_slice(struct cmd *cmd, struct walk *walk)
{
	struct engine *engine = walk->daemon->engine;
	struct session *living[SLAB_CHUNK_SESSIONS];
	bool end = false;
	uint32_t count;

	if (walk->vport && engine_vport_at(engine, walk->vport_id) != walk->vport)
		walk->vport = NULL;
	if (!walk->vport) {
		walk->vport = walk_vport(walk);
		if (!walk->vport)
			return 0;
		walk->vport_id = walk->vport->id;
		session_walk_begin(&walk->slabs, walk->vport, 0);
	}
	engine_reader_online(engine, walk->reader);
	count = session_walk_next(&walk->slabs, living, &end);
	walk_take(cmd, walk, living, count);
	engine_reader_offline(engine, walk->reader);
	if (end) {
		session_walk_end(&walk->slabs);
		walk->vport = NULL;
	}
	return walk->seen < walk->limit ? CMD_MORE : 0;
}

static int dump_step(struct cmd *cmd)
{
	int rc = CMD_MORE;

	for (int chunks = 0; chunks < 8 && rc == CMD_MORE; chunks++)
		rc = walk_slice(cmd, cmd->state);
	return rc;
}

static void show_counts(struct out *out, const struct walk *walk)
{
	out_u64(out, "sessions", walk->seen);
	out_object(out, "by_state");
	for (int i = 1; i < SESSION_STATE_COUNT; i++)
		if (walk->by_state[i])
			out_u64(out, session_state_name((enum session_state)i), walk->by_state[i]);
	out_object_end(out);
}

static int count_step(struct cmd *cmd)
{
	int rc = dump_step(cmd);

	if (rc == 0)
		show_counts(cmd_out(cmd), cmd->state);
	return rc;
}

static int flush_step(struct cmd *cmd)
{
	int rc = dump_step(cmd);

	if (rc == 0)
		out_u64(cmd_out(cmd), "flushed", ((struct walk *)cmd->state)->flushed);
	return rc;
}

static void walk_end(struct cmd *cmd)
{
	struct walk *walk = cmd->state;
	struct engine *engine = walk->daemon->engine;

	if (walk->vport && engine_vport_at(engine, walk->vport_id) == walk->vport)
		session_walk_end(&walk->slabs);
	engine_reader_unregister(engine, walk->reader);
	free(walk);
}

static int walk_start(struct cmd *cmd, enum walk_what what)
{
	static cmd_fn *const step[] = {
		[WALK_DUMP] = dump_step, [WALK_COUNT] = count_step, [WALK_FLUSH] = flush_step};

	struct walk *walk = calloc(1, sizeof(*walk));
	const char *limit = cmd_option(cmd, "limit");
	struct daemon *d = cmd->ctx;
	int rc;

	if (!walk)
		return -ENOMEM;
	walk->daemon = d;
	walk->limit = UINT64_MAX;
	walk->what = what;
	walk->explain = cmd_option(cmd, "explain");
	walk->record = cmd_option(cmd, "record");
	rc = filter_read(cmd, &walk->filter);
	if (rc == 0 && limit)
		rc = cmd_number(cmd, "limit", limit, UINT64_MAX, &walk->limit);
	if (rc == 0) {
		walk->reader = engine_reader_register(d->engine);
		rc = walk->reader < 0 ? cmd_fail(cmd, "too many dumps at once") : 0;
	}
	if (rc != 0) {
		free(walk);
		return rc;
	}
	cmd->state = walk;
	if (what == WALK_DUMP)
		out_table(cmd_out(cmd), "sessions");
	return cmd_stream(cmd, step[what], walk_end);
}

static int session_dump(struct cmd *cmd)
{
	return walk_start(cmd, WALK_DUMP);
}

static int session_count(struct cmd *cmd)
{
	return walk_start(cmd, WALK_COUNT);
}

/* Sessions of vports that do not serve here belong to somebody else: they are never flushed. */
static int session_flush(struct cmd *cmd)
{
	return walk_start(cmd, WALK_FLUSH);
}

#define FILTER_USAGE "[VPORT] [--ip=IP] [--proto=PROTO] [--port=PORT] [--state=STATE]"
#define FILTER_OPTIONS "ip= proto= port= state="

static const struct cmd_row rows[] = {
	{"session/count", FILTER_USAGE, 0, 1, FILTER_OPTIONS, CMD_JSON, session_count,
		"Count sessions, all or those that match, by state."},
	{"session/dump", FILTER_USAGE " [--limit=N] [--explain] [--record]", 0, 1,
		FILTER_OPTIONS " limit= explain record", CMD_JSON, session_dump,
		"Show sessions, all or those that match.\n"
		"local is the VM's side; out_packets are those the VM sent. JSON has all fields.\n"
		"--explain adds what each plugin says of the session now, with its rule; --record "
		"all of\n"
		"it in hex, for session/apply."},
	{"session/flush", FILTER_USAGE, 0, 1, FILTER_OPTIONS, CMD_JSON, session_flush,
		"End sessions, all or those that match, of vports that serve here."},
};

CMD_NOUN(session, rows);
