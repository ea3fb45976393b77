/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * All moves of a host: what ferryd, ferry-replay and tests hold. Everything else in this folder
 * stands behind it.
 *
 * Life: mover_create() (reads the runtime store) -> setup_create() with the callbacks below and
 * mover_birth() -> mover_attach() (listener, peers, restored relays) -> moves -> mover_detach() ->
 * setup_destroy() -> mover_destroy(). A mover that goes away says nothing to anybody: roles stand
 * in the store, and the next life goes on from there.
 *
 * Threads: calls from any thread unless said otherwise; none of them waits for a peer.
 */
#ifndef CTRL_MIGRATE_MOVER_H
#define CTRL_MIGRATE_MOVER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "config/config.h"
#include "ctrl/channel/io.h"
#include "ctrl/cmd/cmd.h"
#include "ctrl/vswitch/setup.h"
#include "dataplane/engine.h"

struct channel_host;
struct mover;
struct out;

enum mover_mode { MOVER_RINGS, MOVER_AGENT, MOVER_EXPLICIT };

struct mover_options {
	const struct config *config; /* copied as far as needed; see mover_reload() */
	const char *host_name; /* NULL: config's, or the kernel's */
	const char *run_dir; /* NULL: config's; the store is RUN_DIR/vports */
	const struct channel_world *world; /* NULL: the real one */
	struct loop *loop; /* for commands that answer later; NULL: they answer as they are */
	/* One line, any thread; NULL: nobody listens. */
	void (*log)(void *arg, enum plugin_log_level level, const char *object, const char *text);
	void *log_arg;
};

int mover_create(
	const struct mover_options *options, struct mover **out, char *error, size_t error_len);
/* The engine is there (workers may run or not). Listens if the config says so. */
int mover_attach(struct mover *mover, struct setup *setup, char *error, size_t error_len);
/* Ends all threads; before setup_destroy(). */
void mover_detach(struct mover *mover);
void mover_destroy(struct mover *mover);
/* Peers, certificates, limits of another config; moves under way keep theirs. */
int mover_reload(struct mover *mover, const struct config *config, char *error, size_t error_len);

/* For setup_options.birth, with the mover as birth_arg; mover_vport_free() is for .vport_free. */
void mover_birth(void *mover, const struct config_vport *vport, struct setup_birth *birth);

/* The mover's part of struct engine_callbacks, each with the mover as first argument. */
int mover_role_store(void *mover, const struct vport *vport, enum role role, uint64_t epoch);
void mover_role_changed(
	void *mover, struct vport *vport, enum role from, enum role to, uint32_t effects);
void mover_rings_heard(void *mover, struct vport *vport, bool up);
void mover_rings(void *mover, struct vport *vport, bool up);
void mover_relayed_from(
	void *mover, uint32_t vni, const struct in6_addr *addr, const struct in6_addr *vtep);

/* May this vport be deleted or made anew by an operator now? -EBUSY with the reason while a move
 * owns it, or its sessions are saved or loaded. */
int mover_vport_free(void *mover, const char *vport, char *error, size_t error_len);
/* Delete a vport that a move made and that is in no config. -ENOENT: it is none of these. */
int mover_vport_discard(struct mover *mover, const char *vport, char *error, size_t error_len);
/* The store's word on a vport: true when a move brought or took it (config/show marks it). */
struct mover_vport {
	enum role role;
	uint64_t epoch;
	char owner[64]; /* host; empty: this one or unknown */
	bool moved_in; /* made by a move, in no config */
};
bool mover_vport_known(struct mover *mover, const char *vport, struct mover_vport *known);

/* ---- moves ---- */

struct mover_request {
	const char *vport; /* any vport of the VM, or the VM's key */
	const char *host; /* a peer */
	const char
		*caller_id; /* NULL: one is made; a repeated start with it returns the same move */
	enum mover_mode mode;
	bool claim; /* the mover's own: its VM runs there already, and that host asks for it */
};
/* id: 37 bytes. -EBUSY, -ENOENT, ... with the reason. A known caller's id: 0 and its id. */
int mover_start(struct mover *mover, const struct mover_request *request, char *id, char *error,
	size_t error_len);
int mover_abort(struct mover *mover, const char *id, char *error, size_t error_len);
/* Explicit mode and VMs without rings. At S: freeze now; at D: the VM runs here. */
int mover_commit(struct mover *mover, const char *id, char *error, size_t error_len);

enum mover_phase {
	MOVER_PREPARING,
	MOVER_READY,
	MOVER_FINAL, /* S: frozen, final on its way; D: it is here */
	MOVER_VERIFIED,
	MOVER_COMMITTED,
	MOVER_FAILED,
};
const char *mover_phase_name(enum mover_phase phase);

struct mover_view {
	char id[37], vm[64], peer[64], step[24], reason[256];
	char waits_for[128]; /* what has to happen elsewhere; empty: it is at work, or over */
	bool source, done, behind;
	bool late; /* its step takes longer than it should, and goes on */
	enum mover_phase phase;
	uint64_t serial; /* grows with each change of anything above */
	uint64_t events; /* so far */
	uint64_t started_ns; /* by mover_now_ns() */
	uint64_t credit_bytes_per_s; /* S: what its VM's memory may take now; 0: no cap */
};
/* id: the move's or the caller's. -ENOENT. */
int mover_view(struct mover *mover, const char *id, struct mover_view *view);
/* Wait (real time) until the view's serial differs or timeout_ms have passed. */
int mover_wait(struct mover *mover, const char *id, uint64_t serial, uint32_t timeout_ms,
	struct mover_view *view);

/* What happened in a move, in order. The last is the end. */
enum mover_event_kind {
	MOVER_EVENT_STEP, /* one begins */
	MOVER_EVENT_WALK, /* all sessions of a vport have been sent, or are here */
	MOVER_EVENT_ROUND, /* of changes, taken by the destination */
	MOVER_EVENT_PHASE,
	MOVER_EVENT_BEHIND, /* or not any more */
	MOVER_EVENT_LOST, /* the connection */
	MOVER_EVENT_LATE, /* a step has taken longer than it may; reason says which */
	MOVER_EVENT_END,
};
const char *mover_event_name(enum mover_event_kind kind);

struct mover_event {
	uint64_t number; /* from 1 */
	uint64_t at_ns; /* since the move was started */
	enum mover_event_kind kind;
	const char *step;
	enum mover_phase phase;
	bool behind;
	char port[64]; /* and what follows: of WALK and ROUND */
	uint64_t round, changed, sessions;
	char reason[256];
};
/* The first that is still remembered behind number `after`. -EAGAIN: there is none yet; -ENOENT. */
int mover_event_next(
	struct mover *mover, const char *id, uint64_t after, struct mover_event *event);

/*
 * What the VM's agent says (ctrl/vmagent/README.md): phases of the VM, with facts as JSON for the
 * report. A phase that is not known, or of a move that is not known, is ignored.
 */
void mover_agent_phase(struct mover *mover, const char *id, const char *phase, const char *facts);

uint64_t mover_now_ns(const struct mover *mover);
struct loop *mover_loop(const struct mover *mover);
struct engine *mover_engine(const struct mover *mover);

/* Why a move that came in was refused. */
enum mover_refusal {
	MOVER_REFUSED_MALFORMED,
	MOVER_REFUSED_UNANNOUNCED, /* the host that speaks has not started it, or cannot be asked */
	MOVER_REFUSED_VNI, /* not that host's to speak for */
	MOVER_REFUSED_VTEP,
	MOVER_REFUSED_SECTIONS, /* a plugin is missing or too old */
	MOVER_REFUSED_ROOM,
	MOVER_REFUSED_PORT, /* cannot be made, clashes, or does not fit the guest */
	MOVER_REFUSED_OWNED, /* a third host says that it owns the VM */
	MOVER_REFUSED_BUSY,
	MOVER_REFUSED_COUNT,
};
const char *mover_refusal_name(enum mover_refusal refusal);

/* What metrics show. */
struct mover_counts {
	uint64_t started, committed, failed, aborted;
	uint64_t alarms;
	uint64_t refused[MOVER_REFUSED_COUNT];
	uint32_t running, claims;
};
void mover_counts(struct mover *mover, struct mover_counts *counts);

struct channel_host_status;
/* Certificate, peers' connections, and what was refused, by reason. */
void mover_channels(struct mover *mover, struct channel_host_status *status);

/* Commands; ctx: the mover. */
extern const struct cmd_noun cmd_noun_migrate;
extern const struct cmd_noun cmd_noun_relay;
extern const struct cmd_noun cmd_noun_session_file; /* session/save, load, apply */

#endif
