/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the two ends of a move say to each other, as frames of the channel; README.md has every
 * message byte by byte. Version 1 never changes: new fields go to the end of a message (a reader
 * ignores what it does not know there), new messages get new types. Pure functions over buffers,
 * hostile input included.
 *
 * A frame's `stream` is the number of the vport within the move, its `section` whose state it is.
 */
#ifndef CTRL_MIGRATE_STREAM_H
#define CTRL_MIGRATE_STREAM_H

#include "ctrl/channel/frame.h"
#include "ctrl/channel/wire.h"
#include "ctrl/vswitch/vswitch.h"

#define STREAM_VERSION 1
#define STREAM_PORTS_MAX 16
#define STREAM_REASON_MAX 256

/* Sections: who owns the state in the frame. */
#define STREAM_SECTION_MOVE 0
#define STREAM_SECTION_SESSIONS 1
#define STREAM_SECTION_FIRST 16 /* + number in the offer: a plugin's */

/* name on the wire, sender (S, D or both) */
#define STREAM_TYPES(X) \
	X(OFFER, 0x0100) /* S: what is to move */ \
	X(ACCEPT, 0x0101) /* D */ \
	X(PORT, 0x0102) /* S: one vport's description */ \
	X(PORT_READY, 0x0103) /* D */ \
	X(SECTION, 0x0104) /* S: a plugin's state of a vport */ \
	X(RECORDS, 0x0105) /* S: sessions */ \
	X(DEATHS, 0x0106) /* S: tombstones */ \
	X(COLOUR, 0x0107) /* S: a walk of everything begins or ends */ \
	X(ROUND, 0x0108) /* S: end of a round */ \
	X(ROUND_DONE, 0x0109) /* D: applied */ \
	X(READY, 0x010a) /* S: may freeze from now on */ \
	X(READY_DONE, 0x010b) /* D: so may we */ \
	X(FINAL, 0x010c) /* S: frozen, all is sent: count and digest */ \
	X(VERIFIED, 0x010d) /* D */ \
	X(AGAIN, 0x010e) /* D: counts differ, walk once more */ \
	X(COMMIT, 0x010f) /* D: owner since this epoch */ \
	X(COMMIT_DONE, 0x0110) /* S */ \
	X(THAWED, 0x0111) /* S: runs here again */ \
	X(THAW_DONE, 0x0112) /* D: what was held has gone back */ \
	X(ASK_RINGS, 0x0113) /* D: my rings are up, are yours? */ \
	X(RINGS, 0x0114) /* S */ \
	X(ABORT, 0x0115) /* S: drop all you made */ \
	X(ABORTED, 0x0116) /* D: not running and will not start, or owner already */ \
	X(FAILED, 0x0117) /* D: cannot go on, why */ \
	X(KEEPALIVE, 0x0118) /* both; optional */ \
	X(FILE, 0x0119) /* head of a session file; never in a move */

enum stream_type {
#define STREAM_TYPE_ENUM(name, value) STREAM_##name = value,
	STREAM_TYPES(STREAM_TYPE_ENUM)
#undef STREAM_TYPE_ENUM
};

extern const uint16_t stream_types[];
extern const unsigned stream_types_count;
const char *stream_type_name(uint16_t type);

enum stream_offer_flag { STREAM_OFFER_CLAIM = 1 << 0, STREAM_OFFER_RESUME = 1 << 1 };

struct stream_port {
	char name[VSWITCH_NAME_MAX], uuid[37];
	uint8_t mac[6];
	uint32_t vni;
	uint64_t epoch, sessions, hold_bytes, features;
	uint16_t queues;
};

struct stream_offer {
	uint8_t id[16];
	char vm[VSWITCH_NAME_MAX];
	char caller_id[VSWITCH_NAME_MAX]; /* what the VM-side agents call the move */
	uint8_t mode, flags;
	uint32_t n_ports, n_sections;
	struct stream_port port[STREAM_PORTS_MAX];
	struct vswitch_section section[VSWITCH_SECTIONS_MAX];
};
void stream_put_offer(struct wire_writer *w, const struct stream_offer *offer);
int stream_get_offer(const struct frame *frame, struct stream_offer *offer);

enum stream_port_state {
	STREAM_PORT_NEW,
	STREAM_PORT_KNOWN, /* prepared, has to be filled again */
	STREAM_PORT_VERIFIED, /* final is here */
	STREAM_PORT_OWNED,
};
struct stream_accept {
	uint32_t n_ports, n_sections;
	uint8_t state[STREAM_PORTS_MAX]; /* enum stream_port_state */
	uint64_t epoch[STREAM_PORTS_MAX]; /* of OWNED */
	uint8_t taken[VSWITCH_SECTIONS_MAX];
};
void stream_put_accept(struct wire_writer *w, const struct stream_accept *accept);
int stream_get_accept(const struct frame *frame, struct stream_accept *accept);

struct stream_final {
	uint64_t serial, count, digest, epoch;
};
void stream_put_final(struct wire_writer *w, const struct stream_final *final);
int stream_get_final(const struct frame *frame, struct stream_final *final);

struct stream_verified {
	uint64_t serial, count, digest;
	uint64_t installed, refused, conflict;
	bool ok;
};
void stream_put_verified(struct wire_writer *w, const struct stream_verified *verified);
int stream_get_verified(const struct frame *frame, struct stream_verified *verified);

#define STREAM_MOMENTS_MAX 16
struct stream_commit {
	uint64_t epoch;
	bool degraded;
	uint32_t moments;
	/* The destination's, in the order of moments.c: 1 + ns since the first of them; 0: none. */
	uint64_t moment_ns[STREAM_MOMENTS_MAX];
};
void stream_put_commit(struct wire_writer *w, const struct stream_commit *commit);
int stream_get_commit(const struct frame *frame, struct stream_commit *commit);

void stream_put_death(struct wire_writer *w, const struct journal_tombstone *dead);
/* False: malformed. */
bool stream_get_death(struct wire_reader *r, struct journal_tombstone *dead);
#define STREAM_DEATH_MAX 64

/* Head of a session file (session_file.h). */
struct stream_file {
	char host[VSWITCH_NAME_MAX], vport[VSWITCH_NAME_MAX], uuid[37];
	uint32_t vni;
	uint64_t saved_s; /* wall clock */
	uint32_t n_sections;
	struct vswitch_section section[VSWITCH_SECTIONS_MAX];
};
void stream_put_file(struct wire_writer *w, const struct stream_file *file);
int stream_get_file(const struct frame *frame, struct stream_file *file);

#endif
