/* SPDX-License-Identifier: BSD-3-Clause */
#include "ctrl/replay/summary.h"

#include <stdio.h>

#include "ctrl/cmd/session_row.h"
#include "ctrl/cmd/text.h"
#include "dataplane/session_walk.h"
#include "dataplane/vport.h"

static void show_captures(const struct summary *s, struct out *out)
{
	out_table(out, "captures");
	for (unsigned int i = 0; i < s->options->n_inputs; i++) {
		const struct capture_summary *c = &s->captures[i];

		out_row(out);
		out_str(out, "file", s->options->inputs[i].path);
		out_str(out, "port", s->options->inputs[i].port);
		out_str(out, "format", c->format);
		out_str(out, "link", c->link);
		out_u64(out, "frames", c->frames);
		out_u64(out, "replayed", play_capture_frames(s->play, i));
		out_u64(out, "snapped", c->snapped);
		out_u64(out, "odd_times", c->odd_times);
		if (c->cut_offset)
			out_u64(out, "cut_at", c->cut_offset);
		else
			out_str(out, "cut_at", NULL);
	}
	out_table_end(out);
}

static void show_replay(const struct summary *s, struct out *out)
{
	struct timeline_stats line;
	struct play_counts counts;

	timeline_stats(s->timeline, &line);
	play_counts(s->play, &counts);
	out_object(out, "replay");
	out_u64(out, "frames", counts.frames);
	out_u64(out, "loops", s->options->loops);
	out_ns(out, "span_ns", line.span_ns);
	out_ns(out, "longest_gap_ns", line.longest_gap_ns);
	out_u64(out, "gaps_shortened", line.gaps_shortened);
	out_ns(out, "shortened_by_ns", line.shortened_ns);
	out_u64(out, "times_backwards", line.backwards);
	out_u64(out, "snapped_padded", counts.padded);
	out_u64(out, "snapped_skipped", counts.skipped);
	out_u64(out, "from_no_port", counts.homeless);
	out_u64(out, "next_hops_answered", counts.resolved);
	if (s->setup[1]) {
		out_u64(out, "carried_between_hosts", counts.carried);
		out_ns(out, "waited_for_vm_ns", counts.moved_ns);
	}
	out_object_end(out);
}

/* ---- ports: files, counters, drops ---- */

static void show_files(const struct summary *s, struct out *out)
{
	struct play_port_view view;

	out_table(out, "ports");
	for (unsigned int i = 0; play_port_view(s->play, i, &view); i++) {
		out_row(out);
		out_str(out, "port", view.name);
		out_u64(out, "frames_in", view.in);
		out_u64(out, "frames_out", view.out);
	}
	out_table_end(out);
}

/* Every port of an engine by name; "local" is what goes between its vports. */
struct each_port {
	void (*show)(struct out *out, const char *name, const struct port_stats *stats);
	struct out *out;
	const char *suffix; /* to tell two hosts apart */
};

static void each_named(
	const struct each_port *each, const char *name, const struct port_stats *stats)
{
	char text[VPORT_NAME_MAX + 8];

	snprintf(text, sizeof(text), "%s%s", name, each->suffix);
	each->show(each->out, text, stats);
}

static int each_vport(struct vport *v, void *arg)
{
	struct port_stats stats;

	engine_vport_stats(v, &stats);
	each_named(arg, v->name, &stats);
	return 0;
}

static void each_port(const struct summary *s, struct out *out,
	void (*show)(struct out *out, const char *name, const struct port_stats *stats))
{
	for (unsigned int host = 0; host < PLAY_HOSTS && s->setup[host]; host++) {
		struct engine *engine = setup_engine(s->setup[host]);
		struct each_port each = {
			.show = show, .out = out, .suffix = host == 0 ? "" : "@new"};
		struct port_stats stats;

		if (engine_uplink_stats(engine, &stats))
			each_named(&each, "uplink", &stats);
		engine_local_stats(engine, &stats);
		each_named(&each, "local", &stats);
		engine_vport_foreach(engine, each_vport, &each);
	}
}

static void show_drops_of(struct out *out, const char *name, const struct port_stats *stats)
{
	text_drop_rows(out, name, "from", stats->drop);
	text_drop_rows(out, name, "towards", stats->in_drop);
}

static void show_counters(const struct summary *s, struct out *out)
{
	out_table(out, "drops");
	each_port(s, out, show_drops_of);
	out_table_end(out);
	if (!s->options->json)
		return;
	out_object(out, "counters");
	each_port(s, out, text_port_stats);
	out_object_end(out);
}

/* ---- sessions ---- */

struct each_session {
	const struct summary *summary;
	struct out *out;
	int reader;
	struct engine *engine;
	uint64_t by_state[SESSION_STATE_COUNT], count;
};

static void session_one(struct each_session *each, const struct vport *v, const struct session *s)
{
	struct session_record record;

	session_walk_read(s, &record);
	/* Its time is over; ageing has not come by yet. */
	if (record.life_ms == 0)
		return;
	each->count++;
	each->by_state[record.state & SESSION_STATE_MASK]++;
	if (each->summary->options->json)
		session_row_full(each->out, v->name, &record);
	else
		session_row_brief(each->out, v->name, &record);
}

static int sessions_of(struct vport *v, void *arg)
{
	struct session *living[SLAB_CHUNK_SESSIONS];
	struct each_session *each = arg;
	struct session_walk walk;
	bool end = false;

	/* What a vport has left behind where it no longer serves is on its way out. */
	if (role_duty(vport_role(v)) != ROLE_DUTY_FORWARD)
		return 0;
	session_walk_begin(&walk, v, 0);
	while (!end) {
		uint32_t count;

		engine_reader_online(each->engine, each->reader);
		count = session_walk_next(&walk, living, &end);
		for (uint32_t i = 0; i < count; i++)
			session_one(each, v, living[i]);
		engine_reader_offline(each->engine, each->reader);
	}
	session_walk_end(&walk);
	return 0;
}

static void show_sessions(const struct summary *s, struct out *out)
{
	struct each_session each = {.summary = s, .out = out};

	out_table(out, "sessions");
	for (unsigned int host = 0; host < PLAY_HOSTS && s->setup[host]; host++) {
		each.engine = setup_engine(s->setup[host]);
		each.reader = engine_reader_register(each.engine);
		if (each.reader < 0)
			continue;
		engine_vport_foreach(each.engine, sessions_of, &each);
		engine_reader_unregister(each.engine, each.reader);
	}
	out_table_end(out);
	out_u64(out, "session_count", each.count);
	out_object(out, "session_states");
	for (int i = 1; i < SESSION_STATE_COUNT; i++)
		if (each.by_state[i])
			out_u64(out, session_state_name((enum session_state)i), each.by_state[i]);
	out_object_end(out);
}

void summary_show(const struct summary *s, struct out *out)
{
	show_captures(s, out);
	show_replay(s, out);
	show_files(s, out);
	show_counters(s, out);
	show_sessions(s, out);
	if (s->move)
		move_show(s->move, out);
}
