/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The role table, the heart of who serves a VM: rows of (role, event, condition on the facts) in
 * order of preference; the first row that fits decides. What has no row changes nothing.
 */
#include "dataplane/role.h"

#include <stddef.h>

#define E(name) ROLE_EFFECT_##name

struct role_row {
	enum role role;
	enum role_event event;
	bool (*when)(const struct role_facts *); /* NULL: always */
	enum role next;
	uint32_t effects;
};

static bool rings_up(const struct role_facts *f)
{
	return f->rings_up;
}

static bool rings_down(const struct role_facts *f)
{
	return !f->rings_up;
}

static bool up_and_loaded(const struct role_facts *f)
{
	return f->rings_up && f->move_in && f->final_loaded;
}

static bool loaded(const struct role_facts *f)
{
	return f->move_in && f->final_loaded;
}

static bool up_but_source_runs(const struct role_facts *f)
{
	return f->rings_up && f->source_running;
}

static bool up_and_source_lost(const struct role_facts *f)
{
	return f->rings_up && f->move_in && f->source_lost;
}

static bool up_without_move(const struct role_facts *f)
{
	return f->rings_up && !f->move_in;
}

static bool down_and_ready(const struct role_facts *f)
{
	return !f->rings_up && f->move_out && f->move_ready;
}

static bool down_not_ready(const struct role_facts *f)
{
	return !f->rings_up && f->move_out && !f->move_ready;
}

static bool no_owner_known(const struct role_facts *f)
{
	return f->rings_up && !f->owner_known;
}

static bool owner_known(const struct role_facts *f)
{
	return f->rings_up && f->owner_known;
}

static const struct role_row role_table[] = {
	/* PASSIVE: prepared here, the VM is not here yet. */
	{ROLE_PASSIVE, ROLE_SOURCE_RUNNING, rings_up, ROLE_FENCED, E(ALARM)},
	{ROLE_PASSIVE, ROLE_RINGS_UP, up_but_source_runs, ROLE_FENCED, E(ALARM)},
	{ROLE_PASSIVE, ROLE_RINGS_UP, up_and_loaded, ROLE_OWNER, E(EPOCH)},
	{ROLE_PASSIVE, ROLE_FINAL_LOADED, up_and_loaded, ROLE_OWNER, E(EPOCH)},
	{ROLE_PASSIVE, ROLE_COMMANDED, loaded, ROLE_OWNER, E(EPOCH)},
	{ROLE_PASSIVE, ROLE_RINGS_UP, up_and_source_lost, ROLE_OWNER, E(EPOCH) | E(DEGRADED)},
	{ROLE_PASSIVE, ROLE_SOURCE_LOST, up_and_source_lost, ROLE_OWNER, E(EPOCH) | E(DEGRADED)},
	{ROLE_PASSIVE, ROLE_RINGS_UP, up_without_move, ROLE_CLAIM, E(ASK)},
	{ROLE_PASSIVE, ROLE_ABORTED, rings_down, ROLE_MOVED, E(NONE)},
	{ROLE_PASSIVE, ROLE_OPERATOR_OWN, NULL, ROLE_OWNER, E(EPOCH) | E(ALARM)},

	/* OWNER: rings down means no more than that the VM is down, until a destination is ready.
	 */
	{ROLE_OWNER, ROLE_RINGS_DOWN, down_and_ready, ROLE_FROZEN, E(NONE)},
	{ROLE_OWNER, ROLE_RINGS_DOWN, down_not_ready, ROLE_OWNER, E(PARK)},
	{ROLE_OWNER, ROLE_READY, down_and_ready, ROLE_FROZEN, E(NONE)},
	{ROLE_OWNER, ROLE_CLAIMED_AWAY, rings_down, ROLE_FROZEN, E(NONE)},
	{ROLE_OWNER, ROLE_CLAIMED_AWAY, rings_up, ROLE_OWNER, E(ALARM)},

	/* FROZEN: hears commit, or its own rings, or an abort that the destination confirmed. */
	{ROLE_FROZEN, ROLE_COMMIT, NULL, ROLE_MOVED, E(NONE)},
	{ROLE_FROZEN, ROLE_RINGS_UP, rings_up, ROLE_OWNER, E(EPOCH) | E(FOLLOW)},
	{ROLE_FROZEN, ROLE_ABORTED, NULL, ROLE_OWNER, E(EPOCH)},
	{ROLE_FROZEN, ROLE_OPERATOR_OWN, NULL, ROLE_OWNER, E(EPOCH) | E(ALARM)},

	/* MOVED: lives elsewhere. */
	{ROLE_MOVED, ROLE_RINGS_UP, rings_up, ROLE_CLAIM, E(ASK)},
	{ROLE_MOVED, ROLE_PREPARE, NULL, ROLE_PASSIVE, E(NONE)},
	{ROLE_MOVED, ROLE_OPERATOR_OWN, NULL, ROLE_OWNER, E(EPOCH) | E(ALARM)},

	/* CLAIM: rings are up, and somebody may know better. */
	{ROLE_CLAIM, ROLE_RINGS_UP, no_owner_known, ROLE_OWNER, E(EPOCH)},
	{ROLE_CLAIM, ROLE_RINGS_UP, owner_known, ROLE_CLAIM, E(ASK)},
	{ROLE_CLAIM, ROLE_CLAIM_GRANTED, rings_up, ROLE_OWNER, E(EPOCH)},
	{ROLE_CLAIM, ROLE_CLAIM_REFUSED, NULL, ROLE_FENCED, E(ALARM)},
	{ROLE_CLAIM, ROLE_CLAIM_TIMEOUT, rings_up, ROLE_OWNER, E(EPOCH) | E(ALARM)},
	{ROLE_CLAIM, ROLE_PREPARE, rings_down, ROLE_PASSIVE, E(NONE)},
	{ROLE_CLAIM, ROLE_OPERATOR_OWN, NULL, ROLE_OWNER, E(EPOCH) | E(ALARM)},

	/* FENCED: until the rings go down (then it is an ordinary candidate again) or an operator.
	 */
	{ROLE_FENCED, ROLE_RINGS_DOWN, rings_down, ROLE_CLAIM, E(NONE)},
	{ROLE_FENCED, ROLE_OPERATOR_OWN, NULL, ROLE_OWNER, E(EPOCH) | E(ALARM)},
};

struct role_step role_next(enum role role, enum role_event event, const struct role_facts *facts)
{
	for (size_t i = 0; i < sizeof(role_table) / sizeof(role_table[0]); i++) {
		const struct role_row *row = &role_table[i];

		if (row->role == role && row->event == event && (!row->when || row->when(facts)))
			return (struct role_step){.next = row->next, .effects = row->effects};
	}
	return (struct role_step){.next = role, .effects = ROLE_EFFECT_STAY};
}

const char *role_name(enum role role)
{
	static const char *const names[ROLE_COUNT] = {
		[ROLE_PASSIVE] = "passive",
		[ROLE_OWNER] = "owner",
		[ROLE_FROZEN] = "frozen",
		[ROLE_MOVED] = "moved",
		[ROLE_CLAIM] = "claim",
		[ROLE_FENCED] = "fenced",
	};

	return role < ROLE_COUNT ? names[role] : "unknown";
}

const char *role_event_name(enum role_event event)
{
	static const char *const names[ROLE_EVENT_COUNT] = {
		[ROLE_RINGS_UP] = "rings-up",
		[ROLE_RINGS_DOWN] = "rings-down",
		[ROLE_COMMIT] = "commit",
		[ROLE_ABORTED] = "aborted",
		[ROLE_READY] = "ready",
		[ROLE_FINAL_LOADED] = "final-loaded",
		[ROLE_SOURCE_LOST] = "source-lost",
		[ROLE_SOURCE_RUNNING] = "source-running",
		[ROLE_CLAIM_GRANTED] = "claim-granted",
		[ROLE_CLAIM_REFUSED] = "claim-refused",
		[ROLE_CLAIM_TIMEOUT] = "claim-timeout",
		[ROLE_CLAIMED_AWAY] = "claimed-away",
		[ROLE_PREPARE] = "prepare",
		[ROLE_COMMANDED] = "commanded",
		[ROLE_OPERATOR_OWN] = "operator-own",
	};

	return event < ROLE_EVENT_COUNT ? names[event] : "unknown";
}

const uint8_t role_duties[ROLE_COUNT] = {
	[ROLE_PASSIVE] = ROLE_DUTY_HOLD,
	[ROLE_OWNER] = ROLE_DUTY_FORWARD,
	[ROLE_FROZEN] = ROLE_DUTY_RELAY,
	[ROLE_MOVED] = ROLE_DUTY_RELAY,
	[ROLE_CLAIM] = ROLE_DUTY_ASK,
	[ROLE_FENCED] = ROLE_DUTY_DROP,
};
