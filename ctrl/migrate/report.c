/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What a move did and when: for migrate/report, from its own side. Moments are on this host's
 * clock, in milliseconds since the move's start.
 */
#include "ctrl/migrate/report.h"

#include <string.h>

#include "ctrl/migrate/mover_impl.h"
#include "dataplane/drop.h"

#define BAR_WIDTH 40

static double ms_since(const struct move *move, uint64_t at_ns)
{
	return at_ns > move->started_ns ? (double)(at_ns - move->started_ns) / 1e6 : 0;
}

static void report_steps(struct out *out, const struct move *move)
{
	uint64_t end = move->ended_ns ? move->ended_ns : move_now_ns(move);
	uint64_t total = end > move->started_ns ? end - move->started_ns : 1;

	out_table(out, "steps");
	for (uint32_t i = 0; i < move->timeline_count; i++) {
		const struct move_time *time = &move->timeline[i];
		uint64_t until = time->end_ns ? time->end_ns : end;
		char bar[BAR_WIDTH + 1];
		uint64_t from = (time->start_ns - move->started_ns) * BAR_WIDTH / total;
		uint64_t to = (until - move->started_ns) * BAR_WIDTH / total;

		memset(bar, '.', BAR_WIDTH);
		bar[BAR_WIDTH] = '\0';
		for (uint64_t n = from; n <= to && n < BAR_WIDTH; n++)
			bar[n] = '#';
		out_row(out);
		out_str(out, "step", time->step);
		out_real(out, "at_ms", ms_since(move, time->start_ns), 3);
		out_real(out, "took_ms", (double)(until - time->start_ns) / 1e6, 3);
		out_str(out, "timeline", bar);
		out_str(out, "result", time->failed ? "failed" : "done");
	}
	out_table_end(out);
}

static void report_sessions(struct out *out, const struct move_sessions *sessions)
{
	out_object(out, "sessions");
	out_u64(out, "count", sessions->count);
	out_u64(out, "bulk", sessions->bulk);
	out_u64(out, "delta", sessions->delta);
	out_u64(out, "final", sessions->final);
	out_u64(out, "deaths", sessions->deaths);
	out_u64(out, "installed", sessions->installed);
	out_u64(out, "updated", sessions->updated);
	out_u64(out, "old", sessions->old);
	out_u64(out, "refused", sessions->refused);
	out_u64(out, "conflicting", sessions->conflict);
	out_u64(out, "foreign", sessions->foreign);
	out_object(out, "reasons");
	for (int i = 1; i < DROP_COUNT; i++)
		if (sessions->by_reason[i])
			out_u64(out, drop_name((enum drop_reason)i), sessions->by_reason[i]);
	out_object_end(out);
	out_bool(out, "digest_ok", sessions->digest_ok);
	if (sessions->compared)
		out_u64(out, "missed", sessions->missed);
	out_object_end(out);
}

static void report_packets(struct out *out, const struct move_port *p)
{
	out_object(out, "packets");
	out_u64(out, "relayed", p->after.relayed - p->before.relayed);
	out_u64(out, "held", p->after.held - p->before.held);
	out_u64(out, "drained", p->after.drained - p->before.drained);
	out_u64(out, "dropped", p->after.dropped_hold - p->before.dropped_hold);
	out_u64(out, "stale", p->after.stale - p->before.stale);
	out_object_end(out);
}

static void report_moments(struct out *out, const struct move *move, const struct move_port *p)
{
	static const char *const names[MOMENT_COUNT] = {
		[MOMENT_RINGS_DOWN] = "rings_down_ms",
		[MOMENT_FROZEN] = "frozen_ms",
		[MOMENT_FINAL_SENT] = "final_sent_ms",
		[MOMENT_FINAL_HERE] = "final_here_ms",
		[MOMENT_VERIFIED] = "verified_ms",
		[MOMENT_LOADED] = "loaded_ms",
		[MOMENT_CONNECTED] = "connected_ms",
		[MOMENT_RINGS_UP] = "rings_up_ms",
		[MOMENT_ACTIVE] = "active_ms",
		[MOMENT_ANNOUNCED] = "announced_ms",
		[MOMENT_COMMITTED] = "committed_ms",
		[MOMENT_PEERS_TOLD] = "peers_told_ms",
	};

	out_object(out, "moments");
	for (int i = 0; i < MOMENT_COUNT; i++)
		if (p->stamp[i])
			out_real(out, names[i], ms_since(move, p->stamp[i]), 3);
	out_object_end(out);
}

static void report_port(struct out *out, const struct move *move, const struct move_port *p)
{
	out_object(out, p->name);
	out_str(out, "role", role_name((enum role)atomic_load(&p->role)));
	out_u64(out, "epoch", p->epoch);
	out_bool(out, "degraded", atomic_load(&p->degraded));
	out_str(out, "differs", p->notes[0] ? p->notes : NULL);
	report_moments(out, move, p);
	moments_report(out, p);
	report_sessions(out, &p->sessions);
	report_packets(out, p);
	out_object_end(out);
}

void report_move(struct out *out, struct mover *mover, const char *id, bool *found)
{
	struct move *move;

	pthread_mutex_lock(&mover->lock);
	move = mover_find(mover, id);
	*found = move != NULL;
	if (move) {
		uint64_t end = move->ended_ns ? move->ended_ns : move_now_ns(move);

		out_str(out, "id", move->id);
		out_str(out, "caller_id", move->caller_id[0] ? move->caller_id : NULL);
		out_str(out, "vm", move->vm);
		out_str(out, "side", move->source ? "source" : "destination");
		out_str(out, "peer", move->peer);
		out_str(out, "phase", mover_phase_name(move->phase));
		out_bool(out, "done", move->done);
		out_str(out, "reason", move->reason[0] ? move->reason : NULL);
		out_real(out, "total_ms", ms_since(move, end), 3);
		out_u64(out, "reconnects", move->reconnects);
		out_u64(out, "bytes_sent", move->bytes_sent);
		out_u64(out, "bytes_received", move->bytes_received);
		out_str(out, "agent", move->facts[0] ? move->facts : NULL);
		report_steps(out, move);
		out_object(out, "ports");
		for (uint32_t i = 0; i < move->n_ports; i++)
			report_port(out, move, &move->port[i]);
		out_object_end(out);
	}
	pthread_mutex_unlock(&mover->lock);
}

void report_list(struct out *out, struct mover *mover, bool running_only)
{
	out_table(out, "moves");
	pthread_mutex_lock(&mover->lock);
	for (const struct move *move = mover->moves; move; move = move->next) {
		uint64_t end = move->ended_ns ? move->ended_ns : move_now_ns(move);

		if (running_only && move->done)
			continue;
		out_row(out);
		out_str(out, "id", move->id);
		out_str(out, "vm", move->vm);
		out_str(out, "side", move->source ? "source" : "destination");
		out_str(out, "peer", move->peer);
		out_str(out, "phase", mover_phase_name(move->phase));
		out_str(out, "step", move->done ? "-" : move_step_name(move));
		out_real(out, "total_ms", ms_since(move, end), 1);
		out_str(out, "reason", move->reason[0] ? move->reason : NULL);
	}
	pthread_mutex_unlock(&mover->lock);
	out_table_end(out);
}
