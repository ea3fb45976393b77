/* SPDX-License-Identifier: BSD-3-Clause */
#include "dataplane/session_generic.h"

#include "dataplane/session_track_fast.h"

/* What an answer makes of each state. */
static const uint8_t answered[SESSION_STATE_COUNT] = {
	[SESSION_UDP_NEW] = SESSION_UDP_STREAM,
	[SESSION_ICMP_NEW] = SESSION_ICMP_REPLIED,
	[SESSION_GENERIC_NEW] = SESSION_GENERIC_STREAM,
};

void session_generic_open(struct session *s, const struct pkt *p, enum session_state fresh)
{
	uint64_t lead = p->dir == PKT_INGRESS ? SESSION_FIRST_INGRESS | SESSION_LEAD_INGRESS : 0;

	SESSION_SET(s->half[p->dir].flags, SESSION_HALF_SEEN);
	atomic_store_explicit(&s->state, fresh | lead, memory_order_release);
}

/* Is the packet an answer that moves the state on? Then *next is the new state word. */
static bool answers(uint64_t word, const struct pkt *p, uint64_t *next)
{
	uint64_t state = word & SESSION_STATE_MASK;
	bool by_opener = !(word & SESSION_FIRST_INGRESS) == (p->dir == PKT_EGRESS);

	if (by_opener || state >= SESSION_STATE_COUNT || answered[state] == SESSION_NONE)
		return false;
	*next = (word & ~SESSION_STATE_MASK) | answered[state] | SESSION_ASSURED;
	return true;
}

enum drop_reason session_generic_packet(
	struct session *s, const struct pkt *p, uint32_t now_ms, bool *changed)
{
	uint64_t word = atomic_load_explicit(&s->state, memory_order_relaxed), next = word;
	bool moves;

	do {
		if (word & SESSION_DEAD)
			return DROP_SESSION_CLOSED;
		moves = answers(word, p, &next);
	} while (moves && !atomic_compare_exchange_weak_explicit(&s->state, &word, next,
				  memory_order_relaxed, memory_order_relaxed));
	if (moves)
		*changed = true;
	track_count(s, p, p->dir);
	track_refresh(s, now_ms);
	return DROP_NONE;
}
