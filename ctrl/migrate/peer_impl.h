/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The peers' exchange (peer.c, peer_link.c, peer_serve.c). Each host dials each Ferry peer and asks
 * on that connection; the other side answers. One lock for claims, doubts and what is known; never
 * held while calling the switch, the store's disk or a channel.
 */
#ifndef CTRL_MIGRATE_PEER_IMPL_H
#define CTRL_MIGRATE_PEER_IMPL_H

#include "ctrl/migrate/mover_impl.h"

#define PEER_TYPES(X) \
	X(OWNED, 0x0200) /* all identities the asker owns, with epochs */ \
	X(OK, 0x0201) \
	X(LOCATED, 0x0202) /* one identity that was the asker's is at another host */ \
	X(CLAIM, 0x0203) /* a vport's rings came up at the asker without a move */ \
	X(CLAIM_ANSWER, 0x0204) \
	X(ASK_MOVE, 0x0205) /* do you know this move? */ \
	X(MOVE, 0x0206) \
	X(ASK_OWNER, 0x0207) /* who owns this identity? */ \
	X(OWNER, 0x0208) \
	X(PING, 0x0209)

enum peer_type {
#define PEER_TYPE_ENUM(name, value) PEER_##name = value,
	PEER_TYPES(PEER_TYPE_ENUM)
#undef PEER_TYPE_ENUM
};

enum claim_verdict {
	CLAIM_UNKNOWN, /* not known here */
	CLAIM_FREE, /* was here, nobody serves it: take it */
	CLAIM_COMING, /* its rings are down here: its sessions are on their way */
	CLAIM_RUNNING, /* its rings are up here */
	CLAIM_ELSEWHERE, /* gone to the host named */
};

#define PEER_KNOWN_MAX (1u << 18) /* identities of all peers together */
#define PEER_KNOWN_BUCKETS 32768u

/* What a peer says it owns. */
struct peer_known {
	struct peer_known *next;
	struct vswitch_identity id;
	uint64_t epoch;
	char host[64];
};

/* A local vport in CLAIM. */
struct peer_claim {
	struct peer_claim *next;
	char vport[64], owner[64]; /* owner empty: all are asked */
	uint64_t since_ns, answered_ns;
	uint32_t asked, unknown;
	bool coming, over;
};

/* X says that it owns what we think is Y's: Y is asked. */
struct peer_doubt {
	struct peer_doubt *next;
	struct vswitch_identity id;
	uint64_t epoch, since_ns;
	char host[64], owner[64];
	bool settled;
};

/* A sender that does not know where an identity went. */
struct peer_note {
	struct vswitch_identity id;
	char at[64];
	uint64_t epoch;
};
#define PEER_NOTES_MAX 64

struct peer_link {
	struct peer_link *next;
	struct mover *mover;
	char name[64];
	pthread_t thread;
	struct channel_cancel cancel;
	struct channel *channel; /* its thread */
	_Atomic bool stop, up, tell, asks;
	uint64_t told; /* of exchange->told, heard there; peers->lock */
	uint64_t down_ns; /* since when it cannot be reached; peers->lock */
	struct peer_note note[PEER_NOTES_MAX]; /* peers->lock */
	uint32_t notes;
	char unknown_move[37]; /* the last one it did not know; peers->lock */
	uint8_t *buffer;
};

struct exchange {
	pthread_mutex_t lock;
	pthread_cond_t wake; /* links look at what is to be asked */
	struct peer_link *links;
	struct peer_known *known[PEER_KNOWN_BUCKETS]; /* peer_known.c */
	uint32_t known_count, known_seed;
	struct peer_claim *claims;
	struct peer_doubt *doubts;
	uint64_t told; /* times that everybody was to be told; lock */
};

extern const uint16_t peer_types[];
extern const unsigned peer_types_count;

void *peer_link_main(void *link);
/* X said that it owns this; from peer_serve.c. */
void peer_believe(
	struct mover *mover, const char *host, const struct vswitch_identity *id, uint64_t epoch);
void peer_take(struct mover *mover, const char *host, const struct vswitch_identity *id,
	uint64_t epoch); /* no more doubt */
void peer_claim_result(
	struct mover *mover, const char *vport, enum role_event event, const char *why);
void put_identity(struct wire_writer *w, const struct vswitch_identity *id);
void get_identity(struct wire_reader *r, struct vswitch_identity *id);
/* A local vport that has this identity, or NULL. */
struct vswitch_port *peer_local(struct mover *mover, const struct vswitch_identity *id);

/* ---- peer_known.c, under peers->lock ---- */

bool peer_same_identity(const struct vswitch_identity *a, const struct vswitch_identity *b);
/* NULL: nobody has said so. */
struct peer_known *peer_known_find(const struct exchange *peers, const struct vswitch_identity *id);
/* False: there are PEER_KNOWN_MAX of them, or no memory; nothing is kept. */
bool peer_known_set(struct exchange *peers, const char *host, const struct vswitch_identity *id,
	uint64_t epoch);
void peer_known_free(struct exchange *peers);

#endif
