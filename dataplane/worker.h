/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef FERRY_WORKER_H
#define FERRY_WORKER_H
/*
 * A worker: one thread (or the caller, see engine_poll) that takes bursts from its queues through
 * the stages of worker.c. Everything here belongs to that thread; others read the counters. For
 * files of dataplane/ only.
 */
#include <pthread.h>
#include <stdatomic.h>

#include <rte_branch_prediction.h>

#include "dataplane/engine_state.h"
#include "dataplane/pkt.h"

#define WORKER_OUT 64 /* mbufs gathered per destination before they are sent */
#define WORKER_BACKLOG 512 /* frames waiting for their second pass */

/* A burst on its way through the stages: kept packets first in pkt[], in order. */
struct burst {
	uint16_t count;
	uint16_t aside_count;
	uint16_t tracked; /* so many of the first were tracked with their session at hand */
	uint8_t actions; /* enum session_action of all kept packets' sessions together */
	struct pkt *pkt[PKT_BURST];
	struct pkt *aside[PKT_BURST]; /* for hold and relay: not tracked, not counted in sessions */
	struct pkt store[PKT_BURST];
};

/* Frames gathered for one vport; sent when full and at the end of a round. */
struct out_queue {
	uint16_t count;
	bool dirty; /* is in worker->dirty */
	struct rte_mbuf *mbuf[WORKER_OUT];
};

/* A frame that goes through the stages again: delivered to a local vport, or let go by frag or
 * hold. */
struct backlog_entry {
	struct rte_mbuf *mbuf;
	struct vport *vport; /* EGRESS: sender; INGRESS: NULL, to be found */
	struct port_stats *charge; /* who received it first; NULL: "local" does now */
	uint32_t vni;
	uint16_t peer;
	uint16_t flags; /* enum pkt_flag to keep */
	uint8_t dir;
	uint8_t outer_ttl;
};

struct poll_entry {
	struct vport *vport; /* NULL: the uplink */
	struct port *port;
	uint16_t queue;
};

/* What a worker polls; swapped whole. */
struct poll_set {
	uint32_t count;
	struct poll_entry entry[];
};

#define PEER_CACHE 64

/* An outer header of a peer to us. */
struct outer_seen {
	struct in6_addr source, destination;
	uint32_t vni;
	uint32_t gen; /* engine->peer_gen it was judged under */
	uint16_t peer; /* 0: none */
};

/*
 * What the packet path asks of a vport, found once for a run of its packets. Good for a burst: all
 * of it changes under a grace period.
 */
struct vport_view {
	const struct vport *vport; /* NULL: none */
	struct session_journal *journal;
	uint32_t now_ms; /* of its clock */
	uint32_t policy_gen;
	bool serves; /* forwards, and nothing waits in its hold */
};

struct worker {
	struct engine *engine;
	uint16_t id;
	int core;
	int rcu_reader;
	int wake_fd; /* written by engine_wake(): something changed */
	_Atomic bool stop;
	_Atomic(struct poll_set *) polls;
	/* per round */
	uint64_t now_ns;
	bool pending; /* there is more to do without a packet: of a hold, of ended sessions */
	struct port_stats local_stats; /* frames between local vports */
	const struct session_timeouts *timeouts;
	struct vport_view view;
	struct port_stats *stats; /* of the port the burst came from */
	struct burst burst;
	struct out_queue uplink;
	struct out_queue *out; /* by vport id */
	uint16_t dirty[VPORT_MAX];
	uint16_t dirty_count;
	struct backlog_entry backlog[WORKER_BACKLOG];
	uint16_t backlog_count;
	struct {
		struct in6_addr vtep;
		uint32_t vni;
		uint32_t gen; /* engine->peer_gen it was found under */
		uint16_t peer;
	} peer_cache[PEER_CACHE];
	struct outer_seen outer_last;
	uint32_t age_vport; /* next vport to age */
	bool reaping; /* it has ended sessions to give back */
	uint64_t next_age_ns, next_tick_ns, next_relay_note_ns;
	/* written here, read by show */
	_Atomic uint64_t rounds, rounds_idle, sleeps, packets, busy_ns;
	pthread_t thread;
} __rte_cache_aligned;

/* ---- the stages, in the order of worker.c ---- */

/* session: find each packet's session; sets aside what hold or relay must take. session_stage.c */
void stage_session(struct worker *w, struct burst *b);
/* miss: locate the other side, ask the plugins, open a session. admit.c; p->drop on refusal. */
void admit_packet(struct worker *w, struct pkt *p);
/* track: state and windows. */
void stage_track(struct worker *w, struct burst *b);
/* act: translation, marks, meters, mirrors. action.c */
void stage_act(struct worker *w, struct burst *b);
/* Rewrite between the session's two keys, quoted packets of ICMP errors included. translate.c */
enum drop_reason translate_packet(struct pkt *p);
/* What an SCTP sender names as its own addresses, when its own changes. translate_sctp.c */
enum drop_reason translate_sctp_names(
	struct pkt *p, const struct in6_addr *from, const struct in6_addr *to);
/* As the vport knows it: undo that. */
void translate_back(struct pkt *p);
/* deliver: vport, uplink, hold, relay. deliver.c */
void stage_deliver(struct worker *w, struct burst *b);

/* Free and count the dropped packets of a burst; keeps the others in order. */
void burst_sweep(struct worker *w, struct burst *b);
/* The outer source of a packet from the uplink; NULL when the peer has just gone. */
static inline struct peer *pkt_peer(const struct worker *w, const struct pkt *p)
{
	return atomic_load_explicit(&w->engine->peer[p->peer], memory_order_acquire);
}

static inline void worker_view_take(struct worker *w, const struct vport *v)
{
	w->view = (struct vport_view){.vport = v,
		.journal = atomic_load_explicit(&v->journal, memory_order_acquire),
		.now_ms = vport_clock_ms(v, w->now_ns),
		.policy_gen = atomic_load_explicit(&v->policy_gen, memory_order_relaxed),
		.serves = role_duty(vport_role(v)) == ROLE_DUTY_FORWARD &&
			  !atomic_load_explicit(&v->hold_draining, memory_order_relaxed)};
}

static __rte_always_inline const struct vport_view *worker_view(
	struct worker *w, const struct vport *v)
{
	if (unlikely(w->view.vport != v))
		worker_view_take(w, v);
	return &w->view;
}

/* Count one drop for the port the burst came from, for a vport or the uplink. */
static inline void worker_count_drop(struct worker *w, enum drop_reason reason)
{
	port_count(&w->stats->drop[reason], 1);
}

/* Queue for a port; flushes when full. Takes the mbuf. deliver.c */
void deliver_uplink(struct worker *w, struct rte_mbuf *m);
void deliver_vport(struct worker *w, struct vport *v, struct rte_mbuf *m);
/* Send what has gathered. */
void deliver_flush(struct worker *w);
/* Put an inner frame into the tunnel of a location or VTEP; takes the mbuf. */
void deliver_tunnel(
	struct worker *w, struct pkt *p, const struct tunnel *tunnel, uint32_t vni, uint8_t ttl);
/* A frame that answers p goes back to where p came from; takes m. */
void deliver_back(struct worker *w, const struct pkt *p, struct rte_mbuf *m);
/* A frame that a passive vport held, back to the host it came from. */
void deliver_return(struct worker *w, struct vport *v, struct rte_mbuf *m, uint32_t vni);
/* A copy to another vport, straight to its port. */
void deliver_mirror(struct worker *w, const struct pkt *p, uint16_t vport_id);
/* An ingress packet for an identity that lives elsewhere: to its tunnel, TTL rules of a relay. */
enum drop_reason deliver_elsewhere(struct worker *w, struct pkt *p, struct location *location);
/* Take a frame through the stages again after this burst; false (and freed, counted) when full. */
bool worker_backlog(struct worker *w, const struct backlog_entry *entry);
/* Take them all through the stages. */
void worker_backlog_run(struct worker *w);

/*
 * A vport that has become owner lets its hold go through the full path, in order; one that has
 * given its VM away lets it go after the VM. Says in w->pending that there is more. worker_hold.c
 */
void worker_drain(struct worker *w, struct vport *v);
/* What a passive vport held goes back to its source, which runs the VM again. */
void worker_return(struct worker *w, struct vport *v);

/* Has the VPC a location, a subnet or a route for addr? Worker or mutator. locate.c */
bool locate_reachable(const struct engine *engine, uint32_t vni, const struct in6_addr *addr);
/* Where packets to network->remote leave to, by identity or route. locate.c */
enum drop_reason locate_destination(struct worker *w, const struct vport *v,
	const struct session_tuple *network, struct location **out);
/* The same for a session that has no location yet. */
enum drop_reason locate_session(struct worker *w, struct session *s);
/* The location of tuple->local: an identity, or a VM here that a route leads to. NULL: none. */
struct location *locate_owner(const struct engine *engine, const struct session_tuple *tuple);
/*
 * The vport of an ingress packet's destination, or a reason. An identity that lives elsewhere: the
 * packet goes there (p->mbuf becomes NULL, CONSUMED is returned).
 */
enum drop_reason locate_vport(struct worker *w, struct pkt *p);

/* Came by the MAC of this host as the anchor of a shared address, whose port is `location`'s. */
bool locate_anchored(const struct worker *w, const struct pkt *p, const struct location *location);

/* ARP, ND and announcements from vports and from the tunnel. proxy.c; takes the packet or leaves
 * it. */
bool proxy_input(struct worker *w, struct pkt *p);
/* Is it one of the VPC's virtual gateway's addresses? gateway.c */
bool gateway_owns(const struct vpc *vpc, const struct in6_addr *addr);
/* Is it a ping of the virtual gateway from its vport? */
bool gateway_asked(const struct pkt *p);
/* Then it is answered and taken, or p->drop says why not. */
bool gateway_input(struct worker *w, struct pkt *p);
/* An error for a vport, judged good: what it tells of the path's MTU leaves room for the tunnel. */
void gateway_related(const struct worker *w, struct pkt *p);
/* Broadcast and multicast by the VPC's settings. flood.c; takes the packet. */
void flood_packet(struct worker *w, struct pkt *p);
/* Copies of m to local vports of the VNI and, when `from` is one, to the VNI's peers. m stays. */
void flood_frame(struct worker *w, const struct vport *from, uint32_t vni, struct rte_mbuf *m);
/* Send what engine_announce() has queued; worker 0. announce.c */
void announce_run(struct worker *w);

/* ---- sessions of an engine ---- */

struct session_origin {
	struct session_tuple tuple; /* VM side */
	struct session_tuple outside; /* network side, used when translate */
	bool translate;
	struct location *location;
	struct session_actions action;
	uint64_t birth_id; /* 0: the vport's next */
	uint16_t verdict_by; /* CHAIN_NOBODY: plugins are told later */
	uint32_t policy_gen; /* the vport's, when its plugins were asked */
	const uint8_t *ext_state; /* tagged plugin values */
	uint8_t ext_bytes;
	/* state, halves and times, from a packet or a record */
	void (*fill)(struct session *s, void *arg);
	void *fill_arg;
};

/*
 * The one constructor: memory, keys, location reference. The session is entered in the table
 * dead-free and visible on return; origin->fill is called before. slab: worker id or the engine's
 * worker_count for control threads. Reasons: QUOTA, TABLE_FULL; -EEXIST as *existing.
 */
enum drop_reason session_open(struct vport *v, uint16_t slab, const struct session_origin *origin,
	struct session **out, struct session **existing);
/*
 * End a session: keys leave the table, plugins hear, the journal buries it. Safe from any thread;
 * only one caller wins, the others get false. slab: as above (for the journal).
 */
bool session_kill(struct session *s, uint16_t slab, enum plugin_close_reason reason);
/* All of a vport, by a control thread: what is being opened meanwhile stays. */
uint32_t session_kill_all(struct vport *v, enum plugin_close_reason reason);
/* Where its remote was, it is no more: the next egress packet looks anew. Worker. */
void session_location_lost(struct session *s, struct location *was);
/* Age a slice of one vport's slab of this worker: up to `chunks` chunks, and give back a slice of
 * what is over. True: come back soon, there is more of that. */
bool session_age(struct worker *w, struct vport *v, uint32_t chunks);
/* Make room at the quota: kill one half-open session of the vport. */
bool session_evict(struct vport *v, uint16_t slab);

void *worker_main(void *arg);
uint32_t worker_round(struct worker *w);

#endif
