/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Where the time of a cutover went. Each side stamps what it sees on its own clock. With the commit
 * the destination tells its moments; they are brought onto the source's clock by its word that it
 * has verified, which took half of the shortest round trip. So one report names every part of the
 * outage, and the parts add up to it.
 */
#include "ctrl/migrate/mover_impl.h"

#include <rte_common.h>

/* In the order in which the commit names them; only added to. */
static const enum move_moment told[] = {
	MOMENT_FINAL_HERE,
	MOMENT_VERIFIED,
	MOMENT_LOADED,
	MOMENT_CONNECTED,
	MOMENT_RINGS_UP,
	MOMENT_ACTIVE,
	MOMENT_ANNOUNCED,
};
#define TOLD_COUNT (sizeof(told) / sizeof(told[0]))
_Static_assert(TOLD_COUNT <= STREAM_MOMENTS_MAX, "room in the commit");

void moments_tell(const struct move_port *p, struct stream_commit *commit)
{
	uint64_t first_ns = UINT64_MAX;

	for (size_t i = 0; i < TOLD_COUNT; i++)
		if (p->stamp[told[i]])
			first_ns = RTE_MIN(first_ns, p->stamp[told[i]]);
	commit->moments = TOLD_COUNT;
	for (size_t i = 0; i < TOLD_COUNT; i++)
		commit->moment_ns[i] = p->stamp[told[i]] ? p->stamp[told[i]] - first_ns + 1 : 0;
}

void moments_take(struct move_port *p, const struct stream_commit *commit)
{
	const uint64_t *at = commit->moment_ns;
	uint64_t sent_ns = p->stamp[MOMENT_FINAL_SENT], heard_ns = p->stamp[MOMENT_VERIFIED];
	uint64_t verified_ns, way_ns = p->move->round_trip_ns / 2;

	if (commit->moments < 2 || !at[0] || at[1] < at[0] || !sent_ns || heard_ns < sent_ns)
		return; /* no final of this connection to set the clocks by */
	verified_ns = heard_ns - RTE_MIN(way_ns, (heard_ns - sent_ns) / 2);
	for (size_t i = 0; i < RTE_MIN(TOLD_COUNT, (size_t)commit->moments); i++)
		if (at[i] && verified_ns + at[i] > at[1])
			p->stamp[told[i]] = verified_ns + at[i] - at[1];
}

/* ---- the report ---- */

static double to_ms(uint64_t ns)
{
	return (double)ns / 1e6;
}

/* What ends where, in order; a part begins where the one before it ended. */
static const struct part {
	const char *name;
	enum move_moment end;
	bool after; /* the VM is served already */
} parts[] = {
	{"freeze_ms", MOMENT_FROZEN, false},
	{"last_increment_ms", MOMENT_FINAL_SENT, false},
	{"transfer_ms", MOMENT_FINAL_HERE, false},
	{"verify_ms", MOMENT_VERIFIED, false},
	{"memory_ms", MOMENT_LOADED, false},
	{"vhost_reconnect_ms", MOMENT_CONNECTED, false},
	{"vm_start_ms", MOMENT_RINGS_UP, false},
	{"activate_ms", MOMENT_ACTIVE, false},
	{"announce_ms", MOMENT_ANNOUNCED, true},
	{"peer_update_ms", MOMENT_PEERS_TOLD, true},
};

/* Of the outage, what was not the VM's own pause: D's rings were up, or could have been. */
static uint64_t added_ns(const struct move_port *p)
{
	uint64_t up = p->stamp[MOMENT_RINGS_UP], loaded = p->stamp[MOMENT_LOADED];
	uint64_t verified = p->stamp[MOMENT_VERIFIED], active = p->stamp[MOMENT_ACTIVE];
	uint64_t added = up && active > up ? active - up : 0;

	/* The VM's agent waits for the verified sessions before it lets the VM run. */
	if (loaded && loaded < verified && verified < up)
		added += verified - RTE_MAX(loaded, p->stamp[MOMENT_RINGS_DOWN]);
	return added;
}

void moments_report(struct out *out, const struct move_port *p)
{
	uint64_t from = p->stamp[p->move->source ? MOMENT_RINGS_DOWN : MOMENT_FINAL_HERE];
	uint64_t up = p->stamp[MOMENT_RINGS_UP], active = p->stamp[MOMENT_ACTIVE], at = from;

	if (!from || active < from)
		return;
	out_object(out, "outage");
	for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
		uint64_t end = p->stamp[parts[i].end];

		if (end < from || (end <= at && !parts[i].after && parts[i].end != MOMENT_ACTIVE))
			continue;
		out_real(out, parts[i].name, to_ms(end > at ? end - at : 0), 3);
		at = RTE_MAX(at, end);
	}
	if (p->move->source) {
		out_real(out, "total_ms", to_ms(active - from), 3);
		out_real(out, "vm_pause_ms", to_ms(up > from ? up - from : 0), 3);
		out_real(out, "added_ms", to_ms(added_ns(p)), 3);
	}
	out_object_end(out);
}
