/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * One move, one side of it. Both sides' steps are listed as data (move_source_steps,
 * move_dest_steps); a driver (driver.c) walks the list in a thread of the move's own, is the only
 * writer of the step, stamps times, and knows what to do when a step fails: undo backwards, or go
 * back to an earlier step when only the connection was lost.
 *
 * Threads. The move's thread runs the steps, plain blocking calls under deadlines. The engine's
 * callbacks (vhost events thread, workers) only set flags of a port and wake the move. Commands
 * read under mover->lock and set `abort`, `commit`. Fields say who writes them.
 */
#ifndef CTRL_MIGRATE_MIGRATE_H
#define CTRL_MIGRATE_MIGRATE_H

#include <pthread.h>
#include <stdatomic.h>

#include "ctrl/channel/channel.h"
#include "ctrl/migrate/credit.h"
#include "ctrl/migrate/intake.h"
#include "ctrl/migrate/mover.h"
#include "ctrl/migrate/stream.h"

#define MOVE_TIMELINE_MAX 64
#define MOVE_EVENTS_MAX 64
#define MOVE_PORTS_MAX STREAM_PORTS_MAX

/* What a step returns beside 0 (go on) and -errno (fail). */
enum move_verdict {
	MOVE_GOTO = 1, /* to move->go_to */
	MOVE_LOST = 2, /* the connection is lost: step->on_lost, or fail */
	MOVE_DONE = 3, /* nothing more to do: the rest is skipped */
};

/* What a step that takes longer than its limit leads to. */
enum move_late {
	LATE_FAIL, /* the move fails, as long as that is safe on this side; else as below */
	LATE_ALARM, /* it is said, and the step goes on: only the VM or the other side can end it */
};

struct move;

struct move_step {
	const char *name;
	int (*run)(struct move *move);
	void (*undo)(
		struct move *move); /* what this step made; called backwards from the failed one */
	const char
		*on_lost; /* the step to begin again at when the connection is lost; NULL: fail */
	/* How long it may take, or in `follow` be without an answer. 0: no limit, or its own. */
	uint32_t limit_ms;
	bool limit_is_pause; /* pause_max_ms of the configuration instead */
	enum move_late late;
};
extern const struct move_step move_source_steps[];
extern const struct move_step move_dest_steps[];

/* Moments of a cutover, per port, on the move's clock; 0: did not happen, or is not known here. */
enum move_moment {
	MOMENT_RINGS_DOWN, /* S */
	MOMENT_FROZEN, /* S */
	MOMENT_FINAL_SENT, /* S */
	MOMENT_FINAL_HERE, /* D; S knows it, and the others of D, from the commit */
	MOMENT_VERIFIED, /* D; S until the commit: heard */
	MOMENT_LOADED, /* D: the VM's agent says that its memory is there */
	MOMENT_CONNECTED, /* D: its VMM, the last time */
	MOMENT_RINGS_UP, /* D */
	MOMENT_ACTIVE, /* D */
	MOMENT_ANNOUNCED, /* D */
	MOMENT_COMMITTED, /* S: heard; D: sent */
	MOMENT_PEERS_TOLD, /* D: all that can be reached have said that they know */
	MOMENT_COUNT,
};

struct move_port {
	struct move *move;
	uint32_t index;
	struct vswitch_port *port; /* NULL: not made yet, or gone */
	char name[VSWITCH_NAME_MAX];
	struct stream_port offered;
	struct tally tally;
	struct vswitch_export *export;
	struct vswitch_import *import;
	/* set by the engine's callbacks, any thread */
	_Atomic uint8_t role; /* as last heard */
	_Atomic bool rings_up;
	_Atomic uint64_t rings_down_ns, rings_up_ns, frozen_ns, active_ns; /* move's clock; last */
	_Atomic bool degraded;
	/* the move's thread */
	bool adopted, prepared, tallied;
	char notes[512]; /* D: shared objects that differ here */
	bool walked; /* D has all once */
	bool sweeps; /* D: there are sessions of before the running walk */
	uint64_t round, round_done; /* sent, applied */
	uint64_t changed; /* in the last round */
	uint64_t round_sent_ns, round_took_ns;
	bool final_sent, verified, committed;
	uint64_t final_serial;
	uint64_t epoch; /* of the new owner */
	bool final_loaded, announced, asked, told, again; /* D */
	bool dest_verified; /* S: said at a reconnect */
	bool parked; /* S */
	bool was_frozen; /* S: by a move that this ferryd knows nothing of; D may run the VM */
	bool taking_back;
	uint64_t take_back_until_ns;
	struct move_sessions sessions;
	uint64_t told_serial; /* D: of exchange_tell(); under mover->lock */
	struct vswitch_counts before, after;
	uint64_t stamp[MOMENT_COUNT];
};

struct move_event {
	uint64_t at_ns; /* since the start */
	enum mover_event_kind kind;
	const char *step;
	enum mover_phase phase;
	bool behind;
	const struct move_port *port;
	uint64_t round, changed, sessions;
};

/* D: has the source's own ferryd said that it started this move? */
enum move_announced { ANNOUNCED_UNASKED, ANNOUNCED_ASKED, ANNOUNCED_YES, ANNOUNCED_NO };

struct move_time {
	const char *step;
	uint64_t start_ns, end_ns; /* move's clock */
	bool failed;
};

struct move {
	struct move *next; /* mover->moves, newest first; under mover->lock */
	struct mover *mover;
	char id[37], caller_id[64], vm[64];
	uint8_t id_bytes[16];
	char peer[64];
	struct in6_addr peer_vtep;
	bool source, claim;
	enum mover_mode mode;
	pthread_t thread;
	bool has_thread;
	struct channel *channel; /* the move's thread */
	struct channel_cancel cancel; /* set when the mover goes */
	int wake_fd;
	_Atomic bool kicked, stop, abort, commit, agent_stopped;
	char abort_reason[STREAM_REASON_MAX]; /* before `abort` is set, under mover->lock */
	struct channel *handed; /* D: a new connection of the same move; under mover->lock */
	/* under mover->lock, written by the move's thread */
	const struct move_step *steps;
	uint32_t step;
	enum mover_phase phase;
	bool done, behind;
	bool late; /* the step has taken longer than its limit, and goes on */
	char reason[STREAM_REASON_MAX];
	uint64_t serial;
	struct move_time timeline[MOVE_TIMELINE_MAX];
	uint32_t timeline_count;
	struct move_event events[MOVE_EVENTS_MAX]; /* the last ones, a ring */
	uint64_t event_count;
	uint64_t started_ns, ended_ns;
	int64_t started_wall_s;
	uint64_t credit_bytes_per_s; /* S: for the VM's memory; 0: no cap */
	/* the move's thread */
	const char *go_to;
	struct credit credit; /* S */
	uint64_t limit_from_ns, limit_ns; /* of the step; limit 0: none (any more) */
	uint32_t n_ports;
	struct move_port port[MOVE_PORTS_MAX];
	struct section_map sections; /* of the offer; S: only those */
	bool section_taken[VSWITCH_SECTIONS_MAX]; /* S */
	struct stream_offer offer; /* D: the last one */
	bool offered; /* D: on this connection */
	_Atomic uint8_t announced; /* enum move_announced; the peer's link answers */
	uint64_t asked_ns;
	bool accepted, ready, ready_asked, undone, peer_done, resumed;
	bool past_freeze; /* some port has been frozen: only the other side's word ends it */
	uint64_t heard_ns, said_ns, listened_ns;
	uint64_t round_trip_ns; /* S: the shortest of a round and its answer; 0: none yet */
	uint64_t lost_asked_ns; /* D: by the peer's link, under mover->lock */
	_Atomic uint64_t lost_ns; /* D: connection lost since; the move thread writes */
	uint32_t reconnects;
	uint64_t bytes_sent, bytes_received; /* of closed channels */
	_Atomic uint64_t commit_ns; /* D: when it was said that the VM runs here */
	_Atomic uint64_t loaded_ns; /* D: its agent said so */
	uint64_t reserved_sessions, reserved_hold_bytes; /* D; under mover->lock */
	char facts[1024]; /* what the VM's agent reported, JSON */
	uint8_t *payload; /* FRAME_PAYLOAD_MAX_BYTES, for building messages */
};

/* ---- driver.c ---- */

/* Runs the steps on this thread until they end; sets done. */
void move_drive(struct move *move, const struct move_step *steps);
void move_fail(struct move *move, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* What else there is to say of it. */
void move_reason_add(struct move *move, const char *format, ...)
	__attribute__((format(printf, 2, 3)));
void move_phase(struct move *move, enum mover_phase phase);
void move_changed(struct move *move); /* serial + 1, waiters woken */
const char *move_step_name(const struct move *move);
/* Has the step taken too long? Whoever waits asks. 0, or -ETIME: the move is to fail. */
int move_limit_look(struct move *move);
void move_limit_again(struct move *move); /* it got on */

/* ---- events.c ---- */

/* Under the lock; now_ns: move_now_ns() of before. */
struct move_event *move_event_add(struct move *move, enum mover_event_kind kind, uint64_t now_ns);
void move_event_sessions(struct move_port *p, enum mover_event_kind kind, uint64_t round,
	uint64_t changed, uint64_t sessions);
void move_event_round(struct move_port *p, uint64_t round, uint64_t changed);

/* ---- link.c: what both sides do with their connection ---- */

uint64_t move_now_ns(const struct move *move);
void move_wake(struct move *move); /* any thread */
/*
 * Wait until `until_ns` for a frame, a wake-up or the time; one frame is given to the side's
 * handler. 0, or -ECANCELED (abort asked), -ESHUTDOWN (mover goes), MOVE_LOST, or what the handler
 * returned.
 */
int move_pump(struct move *move, uint64_t until_ns);
int move_send(struct move *move, uint16_t type, uint16_t section, uint32_t port,
	const struct wire_writer *w); /* w NULL: empty. 0 or MOVE_LOST */
struct wire_writer move_writer(struct move *move);
int move_send_text(struct move *move, uint16_t type, const char *text);
void move_channel_drop(struct move *move);
int move_on_frame(struct move *move, const struct frame *frame);
int source_frame(struct move *move, const struct frame *frame);
int dest_frame(struct move *move, const struct frame *frame);

/* ---- source_sessions.c ---- */

int source_bulk(struct move *move, struct move_port *p); /* in a new colour */
int source_round(struct move *move, struct move_port *p);
int source_sections(struct move *move, struct move_port *p);
int source_final(struct move *move, struct move_port *p);
void source_compare(struct move *move, struct move_port *p);

/* ---- moments.c ---- */

void moments_tell(const struct move_port *p, struct stream_commit *commit); /* D */
void moments_take(struct move_port *p, const struct stream_commit *commit); /* S */
void moments_report(struct out *out, const struct move_port *p); /* "outage" */

/* ---- dest_sessions.c ---- */

int dest_records(struct move *move, struct move_port *p, const struct frame *frame);
int dest_deaths(struct move *move, struct move_port *p, const struct frame *frame);
int dest_colour(struct move *move, struct move_port *p, const struct frame *frame);
int dest_verify(struct move *move, struct move_port *p, const struct frame *frame);

static inline struct move_port *move_port_of(struct move *move, uint32_t index)
{
	return index < move->n_ports ? &move->port[index] : NULL;
}

#endif
