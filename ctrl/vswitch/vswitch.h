/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The seam between the move (ctrl/migrate/) and whatever switches packets: the steps of a move call
 * these operations and nothing else of the switch. ferry.c puts our own engine behind it.
 *
 * Threads: any thread but a worker; several moves at once. An export or import object belongs to
 * one thread. Nothing here waits for more than one grace period. 0 or -errno; `error` gets one line
 * for people.
 */
#ifndef CTRL_VSWITCH_VSWITCH_H
#define CTRL_VSWITCH_VSWITCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "ctrl/channel/wire.h"
#include "dataplane/drop.h"
#include "dataplane/role.h"
#include "dataplane/session_import.h"
#include "dataplane/session_journal.h"
#include "dataplane/session_record.h"

#define VSWITCH_NAME_MAX 64
#define VSWITCH_SECTIONS_MAX 16
#define VSWITCH_IDENTITIES_MAX 64
#define VSWITCH_DESCRIPTION_MAX (256u << 10)

struct vswitch_port; /* one VM's port; valid until it is discarded or deleted */
struct vswitch_export;
struct vswitch_import;

struct vswitch_port_info {
	char name[VSWITCH_NAME_MAX], uuid[37], vm[VSWITCH_NAME_MAX];
	uint8_t mac[6];
	uint32_t vni;
	enum role role;
	uint64_t epoch;
	bool rings_up;
	bool ran; /* its rings have been up here */
	uint32_t sessions;
	uint64_t hold_bytes;
	uint64_t connected_ns; /* so long ago its VMM connected; 0: never, or there is none */
	uint64_t features; /* negotiated with the guest; 0: not known */
	uint64_t features_offered; /* to guests; 0: a port without virtio */
	uint16_t queues;
};

/* What makes traffic a port's: the whole address, or a range of ports of it (a lease). */
struct vswitch_identity {
	uint32_t vni;
	struct in6_addr addr;
	uint16_t port_first, port_last; /* 0, 0: all */
	uint8_t mac[6];
};

/* A part of the state with an owner of its own (a plugin), by name. */
struct vswitch_section {
	char name[VSWITCH_NAME_MAX];
	uint16_t version, min_version;
	bool optional; /* a destination without its owner may skip it */
};

/* A section's bytes of one port. */
struct vswitch_state {
	const char *name;
	uint16_t version;
	const uint8_t *bytes;
	size_t len_bytes;
};

/* What prepare made, and what it has to say. */
struct vswitch_prepared {
	struct vswitch_port *port;
	bool adopted; /* it was there before */
	char notes[512]; /* shared objects that are different here, "; " between; ours stay */
	char error[256]; /* why not */
};

/* Counters of a port that a report shows; since the port was made. */
struct vswitch_counts {
	uint64_t relayed, held, drained, dropped_hold, stale;
};

/* What a port that comes would find here. */
struct vswitch_room {
	uint64_t sessions_free, sessions_max; /* of the whole table */
	uint64_t quota; /* of its own sessions */
	uint64_t hold_bytes;
};

struct vswitch_ops {
	uint64_t (*now_ns)(void *ctx); /* the engine's clock */
	/* A thread that will export or import, before and after. */
	void (*thread_enter)(void *ctx);
	void (*thread_leave)(void *ctx);

	/* ---- ports ---- */
	struct vswitch_port *(*find)(void *ctx, const char *name); /* name or uuid; NULL */
	int (*foreach)(void *ctx, int (*cb)(struct vswitch_port *, void *), void *arg);
	void (*info)(void *ctx, struct vswitch_port *port, struct vswitch_port_info *info);
	uint32_t (*identities)(
		void *ctx, struct vswitch_port *port, struct vswitch_identity *out, uint32_t max);
	void (*counts)(void *ctx, struct vswitch_port *port, struct vswitch_counts *counts);
	/* port NULL: one that is not here yet. */
	void (*room)(void *ctx, struct vswitch_port *port, struct vswitch_room *room);

	/* Everything that makes the port elsewhere: identity, flow table, shared objects by name
	 * and hash. */
	int (*describe)(void *ctx, struct vswitch_port *port, struct wire_writer *w);
	/* Make a described port PASSIVE here, or adopt the one that is known under this name if it
	 * is the same and does not serve. */
	int (*prepare)(void *ctx, const uint8_t *description, size_t len_bytes,
		struct vswitch_prepared *out);
	/* Undo prepare; also deletes a port that has moved away and is in no config. */
	int (*discard)(void *ctx, struct vswitch_port *port);

	/* ---- levers (dataplane/role.h, engine.h) ---- */
	void (*facts)(void *ctx, struct vswitch_port *port, const struct role_facts *facts);
	int (*event)(void *ctx, struct vswitch_port *port, enum role_event event, uint64_t epoch);
	void (*epoch_heard)(void *ctx, struct vswitch_port *port, uint64_t epoch);
	int (*hold)(void *ctx, struct vswitch_port *port);
	/* PASSIVE: what is held goes back to where it came from; *left: still held, ask again. */
	int (*hold_return)(void *ctx, struct vswitch_port *port, uint32_t *left);
	/* OWNER: later arrivals wait in the hold until the end of it. */
	int (*park)(void *ctx, struct vswitch_port *port, bool on);
	int (*relay_to)(void *ctx, struct vswitch_port *port, const struct in6_addr *vtep);
	int (*relay_from)(void *ctx, struct vswitch_port *port, const struct in6_addr *vtep);
	int (*announce)(void *ctx, struct vswitch_port *port);
	/* Where an identity lives: behind this VTEP, since this epoch. -ESTALE: known better. */
	int (*located)(void *ctx, const struct vswitch_identity *identity,
		const struct in6_addr *vtep, uint64_t epoch);

	/* ---- sections ---- */
	uint32_t (*sections)(void *ctx, struct vswitch_section *out, uint32_t max);
	int (*section_save)(void *ctx, struct vswitch_port *port, const char *name,
		struct wire_writer *w); /* nothing written: has none */
	int (*section_load)(void *ctx, struct vswitch_port *port, const struct vswitch_state *state,
		char *error, size_t error_len);
	/* The move was given up, the port stays: what its sections claimed here is free again. */
	void (*sections_forget)(void *ctx, struct vswitch_port *port);

	/* ---- sessions out ---- */
	/* follow: changes are noted from here on (-EBUSY: another export does). */
	int (*export_open)(
		void *ctx, struct vswitch_port *port, bool follow, struct vswitch_export **out);
	void (*export_close)(struct vswitch_export *export);
	/* Walk all sessions (again). */
	void (*export_rewind)(struct vswitch_export *export);
	/* The next ones, each with a new version; at most EXPORT_BATCH. 0 with *end: the end. */
	uint32_t (*export_walk)(
		struct vswitch_export *export, struct session_record *out, bool *end);
	/* Close the running round and go to its beginning. *deaths_lost: walk all, in a new colour.
	 */
	void (*export_round)(struct vswitch_export *export, bool *deaths_lost);
	/* Of the closed round: changed sessions (newest state, once each), then deaths. 0: no more.
	 */
	uint32_t (*export_changed)(
		struct vswitch_export *export, struct session_record *out, bool *end);
	uint32_t (*export_dead)(
		struct vswitch_export *export, struct journal_tombstone *out, uint32_t max);
	/* Done with the closed round; before the next one. */
	void (*export_round_done)(struct vswitch_export *export);
	/* Living sessions as they are: no new version. For comparing and saving; rewind first. */
	uint32_t (*export_look)(
		struct vswitch_export *export, struct session_record *out, bool *end);

	/* ---- sessions in ---- */
	/* state_versions: by number of the local section. by_operator: into a port that serves. */
	int (*import_open)(void *ctx, struct vswitch_port *port, const uint16_t *state_versions,
		bool by_operator, struct vswitch_import **out);
	void (*import_close)(struct vswitch_import *import);
	/* Brackets of a slice of work; at most some thousand records. */
	void (*import_begin)(struct vswitch_import *import);
	void (*import_end)(struct vswitch_import *import);
	/* A hint: this record comes soon. */
	void (*import_soon)(
		const struct vswitch_import *import, const struct session_record *record);
	/* *as_sent (may be NULL): after IMPORT_INSTALLED or IMPORT_UPDATED, what stands here is
	 * the record. */
	enum import_outcome (*import_record)(struct vswitch_import *import,
		const struct session_record *record, enum drop_reason *reason, bool *as_sent);
	bool (*import_dead)(struct vswitch_import *import, const struct journal_tombstone *dead);
	/* The living session of this VM-side tuple. */
	bool (*import_find)(struct vswitch_import *import, const struct session_tuple *tuple,
		struct session_record *record);
	/* Kill what keep() does not want; returns how many. */
	uint32_t (*import_sweep)(struct vswitch_import *import,
		bool (*keep)(void *arg, uint64_t birth_id), void *arg);
	uint32_t (*purge)(void *ctx, struct vswitch_port *port, bool moved);
	void (*resync)(void *ctx, struct vswitch_port *port); /* windows are not trusted */
};

#define VSWITCH_EXPORT_BATCH 84

struct vswitch {
	const struct vswitch_ops *ops;
	void *ctx;
};

/* ---- our own engine (ferry.c) ---- */

struct setup;
struct vswitch_ferry;

/* The setup must outlive it. */
int vswitch_ferry_create(struct setup *setup, struct vswitch_ferry **out);
void vswitch_ferry_destroy(struct vswitch_ferry *ferry);
/* After setup_reload(): what came with moves is put beside the new config. */
int vswitch_ferry_reload(struct vswitch_ferry *ferry, char *error, size_t error_len);
struct vswitch vswitch_ferry_ops(struct vswitch_ferry *ferry);

#endif
