/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef FERRY_ROLE_H
#define FERRY_ROLE_H
/*
 * Who serves a VM's traffic: one role per vport and host, one table (role x event). The VM is the
 * token, its rings tell where it is. Pure: no time, no I/O, no memory; the caller (role_apply in
 * engine) stores the result before it takes effect.
 */
#include <stdbool.h>
#include <stdint.h>

enum role {
	ROLE_PASSIVE, /* prepared: sends nothing, answers nothing, holds */
	ROLE_OWNER,
	ROLE_FROZEN, /* was OWNER, rings down, the destination is ready: final under way */
	ROLE_MOVED, /* lives elsewhere: late packets are relayed */
	ROLE_CLAIM, /* rings up without a move: asks the last known owner */
	ROLE_FENCED, /* two copies of the VM: serves nothing, alarm */
	ROLE_COUNT,
};

enum role_event {
	ROLE_RINGS_UP,
	ROLE_RINGS_DOWN,
	ROLE_COMMIT, /* S: the destination owns it, with epoch */
	/* S: the destination answered "not running and will not start"; D: it gives a port back */
	ROLE_ABORTED,
	ROLE_READY, /* S: the destination became ready while our rings were already down */
	ROLE_FINAL_LOADED, /* D: all state is here and verified */
	ROLE_SOURCE_LOST, /* D: source unreachable or failed before final for activate_ms */
	ROLE_SOURCE_RUNNING, /* D: the source says that its rings are up */
	ROLE_CLAIM_GRANTED, /* the last owner handed over, or none is known */
	ROLE_CLAIM_REFUSED, /* the last owner runs */
	ROLE_CLAIM_TIMEOUT, /* unreachable for claim_ms */
	ROLE_CLAIMED_AWAY, /* another host claims what we hold with rings down */
	ROLE_PREPARE, /* a move to us begins (take-back of a MOVED vport, or a new one) */
	ROLE_COMMANDED, /* D: its manager says that the VM runs here (a guest without rings) */
	ROLE_OPERATOR_OWN, /* an operator decides: serve here */
	ROLE_EVENT_COUNT,
};

/* What is true at the moment of the event; levels, re-read at each decision. */
struct role_facts {
	bool rings_up;
	bool move_out; /* S: a move of this vport is prepared at the destination */
	bool move_ready; /* S: and it is ready */
	bool move_in; /* D: an incoming move exists */
	bool final_loaded;
	bool source_lost;
	bool source_running;
	bool owner_known; /* CLAIM: some host is known as last owner */
};

enum role_effect {
	ROLE_EFFECT_NONE,
	ROLE_EFFECT_EPOCH = 1 << 0, /* take max(known + 1, wall-clock ms) */
	ROLE_EFFECT_DEGRADED = 1 << 1, /* sessions liberal until both windows resync */
	ROLE_EFFECT_ALARM = 1 << 2,
	ROLE_EFFECT_PARK = 1 << 3, /* S parks in its own hold until the destination is ready */
	ROLE_EFFECT_ASK = 1 << 4, /* ask the last known owner */
	ROLE_EFFECT_FOLLOW = 1 << 5, /* the move goes back to follow */
	ROLE_EFFECT_STAY = 1 << 6, /* nothing changes */
};

struct role_step {
	enum role next;
	uint32_t effects; /* enum role_effect */
};

/* The table. Events that mean nothing in a role give {role, ROLE_EFFECT_STAY}. */
struct role_step role_next(enum role role, enum role_event event, const struct role_facts *facts);

const char *role_name(enum role role);
const char *role_event_name(enum role_event event);

/* What a worker does with packets of a vport in this role. */
enum role_duty {
	ROLE_DUTY_FORWARD,
	ROLE_DUTY_HOLD, /* PASSIVE */
	ROLE_DUTY_RELAY, /* FROZEN, MOVED */
	ROLE_DUTY_DROP, /* FENCED */
	ROLE_DUTY_ASK, /* CLAIM: hold until decided */
};
extern const uint8_t role_duties[ROLE_COUNT]; /* enum role_duty */

static inline enum role_duty role_duty(enum role role)
{
	return (enum role_duty)role_duties[role];
}

#endif
