/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef FERRY_SESSION_H
#define FERRY_SESSION_H
/*
 * A session: one connection of one vport, both directions. Three cache lines for IPv4 (the
 * addresses are the key); line 0 is read for each packet, line 1 is written by it, line 2 is for
 * admission, NAT and the mover. IPv6 uses the union in line 2 for its addresses and an extension
 * for a second key.
 *
 * Life: made by session_open() (the one constructor, for a packet or a record) in a slab of its
 * vport, entered in the table under one or two keys; killed by session_kill() (state gets the DEAD
 * bit, keys leave the table, the plugins hear of it); its memory is reused one grace period later.
 *
 * Who writes what: `state` by compare-and-swap on transitions only, any worker; a half by the
 * worker that forwards that direction (two workers may race on one direction when a flow changes
 * queues: the values are monotone, plain stores, and a torn mix heals with the next packet); all
 * else by the constructor before the session is visible, or under the slab's lock.
 */
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <rte_common.h>

#include "dataplane/pkt.h"
#include "dataplane/session_key.h"
#include "dataplane/session_state.h"

#define SESSION_SCALE_UNKNOWN 0xff /* no SYN seen: the tracker assumes 14 (RFC 7323 2.3) */
#define SESSION_TIME_WRAP_MS (1u << 31)
#define SESSION_ICMP_ECHO(is_ipv6) \
	((is_ipv6) ? 128u << 8 : 8u << 8) /* type and code of an echo \
								      */

struct location;
struct vport;
struct session_ext;

/*
 * One direction, named by its sender; all of it comes from what that side sent, so a worker writes
 * only the half of the packet at hand (handshakes excepted). Sequence numbers as in "Real Stateful
 * TCP Packet Filtering" (van Rooij). Fields are shared between workers: SESSION_GET and
 * SESSION_SET. SCTP: seq_end is the verification tag that this side must send (0: not known),
 * seq_limit the one it will send once a set-up under way is complete (0: none).
 */
struct session_half {
	uint64_t packets;
	uint64_t bytes; /* of IP, header included */
	uint32_t seq_end; /* highest sequence number + length sent by this side */
	uint32_t seq_limit; /* what this side allows the other: its highest ack + window */
	uint32_t window_max; /* largest window this side has advertised, scaled, at least 1 */
	uint8_t scale; /* window scale of this side's advertisements, 0-14 or UNKNOWN */
	uint8_t flags; /* enum session_half_flag */
	uint16_t ack_low; /* low 16 bits of this side's last ack: the sequence it expects next */
};

enum session_half_flag {
	SESSION_HALF_SEEN = 1 << 0, /* this side has sent: seq_* are valid */
	SESSION_HALF_STRAY_SYN = 1 << 1, /* sent a SYN (session.syn_seq) on a living session */
	SESSION_HALF_SCALE_OK = 1 << 2, /* offered a scale in its SYN */
	SESSION_HALF_FIN = 1 << 3, /* sent FIN at seq_end - 1 */
	SESSION_HALF_LIBERAL =
		1 << 4, /* numbers not known until this side is heard: no window check */
	SESSION_HALF_SYN_DATA = 1 << 5, /* SYN carried data (RFC 7413): its ack may leave it out */
	SESSION_HALF_RST = 1 << 6, /* sent the inexact RST that SESSION_RST_WATCH is about */
};

#define SESSION_GET(field) __atomic_load_n(&(field), __ATOMIC_RELAXED)
#define SESSION_SET(field, value) __atomic_store_n(&(field), (value), __ATOMIC_RELAXED)

/* The state word: changed by compare-and-swap only. */
#define SESSION_STATE_MASK 0xffULL
#define SESSION_DEAD (1ULL << 8) /* out of the table; memory waits for grace */
#define SESSION_ASSURED (1ULL << 9) /* answered: not evicted for half-open ones */
#define SESSION_FIRST_INGRESS (1ULL << 10) /* opened by the remote side */
#define SESSION_LIBERAL (1ULL << 11) /* no window checks for this session */
/* Opened, or followed again, mid-stream: a side may have sent more than was seen of it. */
#define SESSION_PICKUP (1ULL << 12)
#define SESSION_IMPORTED (1ULL << 13) /* came with a move */
/*
 * The side (clear: egress, set: ingress) that leads the state at hand: who opened it; in
 * TCP_SYN_RECV whose ACK completes the handshake; from TCP_FIN_WAIT on who sent the first FIN.
 */
#define SESSION_LEAD_INGRESS (1ULL << 14)
/* A RST in the window, yet not exact (RFC 5961): as idle as TCP_CLOSE may be, the session is over.
 */
#define SESSION_RST_WATCH (1ULL << 15)

/* What act does to each packet of the session, chosen by plugins at admission. */
enum session_action {
	SESSION_ACT_TRANSLATE =
		1 << 0, /* rewrite between key (vport side) and key2 (network side) */
	SESSION_ACT_DSCP = 1 << 1,
	SESSION_ACT_METER = 1 << 2,
	SESSION_ACT_MIRROR = 1 << 3,
	SESSION_ACT_ROUTED = 1 << 4, /* egress through the virtual gateway: MACs and TTL change */
	SESSION_ACT_REPORT = 1 << 5, /* a plugin wants to hear of state changes */
};

/* One word: read and replaced whole, since a re-check may change it while workers read. */
struct session_actions {
	uint8_t set; /* enum session_action */
	uint8_t dscp; /* 0-63 */
	uint8_t meter[2]; /* by enum pkt_dir: index in vport->meter[], 0xff = none */
	uint16_t mirror; /* vport id that gets copies */
	uint16_t spare;
} __rte_aligned(8);

struct session {
	/* line 0: read per packet */
	struct session_key key;
	_Atomic uint64_t state;
	struct vport *vport;
	struct location *location; /* of the remote side; NULL: relocate on next egress packet */
	struct session_actions action;
	uint32_t last_ms; /* vport clock of the last packet; stored only when it changes */
	uint32_t policy_gen; /* vport->policy_gen this session was last judged under */
	uint32_t round; /* journal round of the last change */
	uint8_t is_ipv6;
	uint8_t has_key2;
	uint16_t slot; /* index in its slab chunk */
	/* line 1: written per packet */
	struct session_half half[2] __rte_cache_aligned; /* by enum pkt_dir */
	/* line 2 */
	union {
		struct session_key key2; /* IPv4: network side of a translated session */
		struct session_addresses6 a6;
	};
	union {
		/* Serial of its vport's life; of a dead session it may be anything. */
		uint64_t birth_id;
		struct session *limbo_next; /* retired: waits for its grace period */
	};
	uint32_t version; /* of the last record made or taken */
	uint32_t opened_ms; /* vport clock */
	/* TCP: sequence number of a stray SYN, see session_half_flag. ICMP: type << 8 | code of the
	 * opener, 0 for the usual one, SESSION_ICMP_ECHO. */
	uint32_t syn_seq;
	uint16_t verdict_by; /* plugin index that admitted it; CHAIN_NOBODY: plugins know nothing of
				it */
	uint16_t spare;
	struct session_ext *ext; /* plugin state, IPv6 second key; owned by the session */
} __rte_cache_aligned;

_Static_assert(sizeof(struct session) == 3 * RTE_CACHE_LINE_SIZE, "three lines");
_Static_assert(offsetof(struct session, half) == RTE_CACHE_LINE_SIZE, "line 1");

/* Of the remote side, or NULL; another worker may put one there, or take a dead one away. */
static inline struct location *session_location(const struct session *s)
{
	return __atomic_load_n(&s->location, __ATOMIC_ACQUIRE);
}

static inline struct session_actions session_actions(const struct session *s)
{
	struct session_actions actions;

	__atomic_load(&s->action, &actions, __ATOMIC_RELAXED);
	return actions;
}

static inline void session_actions_set(struct session *s, const struct session_actions *actions)
{
	struct session_actions copy = *actions;

	__atomic_store(&s->action, &copy, __ATOMIC_RELAXED);
}

static inline enum session_state session_state(const struct session *s)
{
	return (enum session_state)(
		atomic_load_explicit(&s->state, memory_order_relaxed) & SESSION_STATE_MASK);
}

/*
 * The state whose idle time counts: the session's own, but that of a closed one under a RST watch,
 * and that of the association which a new SCTP set-up has not replaced yet (anyone can send an
 * INIT).
 */
static inline enum session_state session_idle_state(const struct session *s)
{
	uint64_t word = atomic_load_explicit(&s->state, memory_order_relaxed);
	enum session_state state = (enum session_state)(word & SESSION_STATE_MASK);

	if (word & SESSION_RST_WATCH)
		return SESSION_TCP_CLOSE;
	if ((word & SESSION_ASSURED) &&
		(state == SESSION_SCTP_INIT || state == SESSION_SCTP_INIT_ACK))
		return SESSION_SCTP_ESTABLISHED;
	return state;
}

/* Has the session outlived its idle time? now_ms: the vport's clock. */
static inline bool session_expired(
	const struct session *s, const struct session_timeouts *timeouts, uint32_t now_ms)
{
	return now_ms - SESSION_GET(s->last_ms) > timeouts->idle_ms[session_idle_state(s)];
}

#endif
