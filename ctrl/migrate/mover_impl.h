/* SPDX-License-Identifier: BSD-3-Clause */
/* What stands behind struct mover; for files of this folder. */
#ifndef CTRL_MIGRATE_MOVER_IMPL_H
#define CTRL_MIGRATE_MOVER_IMPL_H

#include <pthread.h>

#include "ctrl/channel/listener.h"
#include "ctrl/migrate/migrate.h"
#include "ctrl/migrate/store.h"
#include "ctrl/vswitch/vswitch.h"

#define MOVER_HISTORY_MAX 64
#define MOVER_PEERS_MAX 1024
/* A host is asked for a move that lost its connection so much later. */
#define MOVER_LOST_ASK_NS 1000000000ULL

struct exchange;

/* A peer of the config, copied. */
struct mover_peer {
	char name[64];
	struct in6_addr vtep[2];
	uint32_t n_vteps;
	uint16_t port; /* 0: not a Ferry host */
	struct config_range *vnis; /* none: every VNI */
	uint32_t n_vnis;
};

struct mover {
	struct mover_options options;
	char name[64];
	char run_dir[256];
	struct channel_world world;
	struct channel_host *channel_host;
	struct channel_listener *listener;
	struct bandwidth *bandwidth;
	struct store *store;
	struct setup *setup;
	struct vswitch_ferry *ferry;
	struct vswitch vswitch;
	_Atomic bool attached; /* callbacks may use vswitch */
	pthread_mutex_t lock; /* all below; never held while calling the switch or a channel */
	pthread_cond_t changed; /* a move's serial, a peer's state */
	struct config_migrate limits;
	bool insecure;
	struct mover_peer *peers;
	uint32_t n_peers;
	struct in6_addr own_vtep[2];
	struct move *moves; /* running and, up to MOVER_HISTORY_MAX, ended ones */
	struct mover_counts counts;
	uint32_t claims_waiting;
	struct exchange *exchange; /* peer.c */
	struct mover_use *uses;
};

/* A vport that something works on in slices: it must not go meanwhile. */
struct mover_use {
	struct mover_use *next;
	char vport[VSWITCH_NAME_MAX];
	const char *what; /* "its sessions are being saved" */
};
void mover_use(struct mover *mover, struct mover_use *use);
void mover_unuse(struct mover *mover, struct mover_use *use);

void mover_log(struct mover *mover, enum plugin_log_level level, const char *object,
	const char *format, ...) __attribute__((format(printf, 4, 5)));

/* Under mover->lock. */
struct move *mover_find(struct mover *mover, const char *id); /* the move's or the caller's id */
struct move *mover_of_vport(struct mover *mover, const char *vport); /* running, else NULL */
/* Copies; false: unknown. */
bool mover_peer_get(struct mover *mover, const char *name, struct mover_peer *peer);
bool mover_peer_at(struct mover *mover, uint32_t index, struct mover_peer *peer);
/* May this peer speak for the VNI? */
bool mover_peer_vni(struct mover *mover, const char *name, uint32_t vni);
bool mover_peer_by_vtep(struct mover *mover, const struct in6_addr *vtep, char *name, size_t size);
/* Which of a peer's VTEPs we can reach. */
bool mover_peer_vtep(struct mover *mover, const char *name, struct in6_addr *vtep);

bool mover_insecure(const struct config *config);
void mover_peers_free(struct mover *mover);
int mover_role_restore(
	struct mover *mover, struct vswitch_port *port, const struct store_entry *entry);
void mover_claims_again(struct mover *mover);

struct move *move_new(struct mover *mover, const uint8_t id[16]);
int move_launch(struct move *move, const struct move_step *steps);
/* Enter it into the list; lets old history go. Under the lock. */
void mover_enter(struct mover *mover, struct move *move);
void move_free(struct move *move);

/* A vport that another host claims: move it there at once. */
int mover_give(
	struct mover *mover, const char *vport, const char *host, char *error, size_t error_len);

/* All peers that can be reached have heard what was to be told up to this number. */
void mover_told(struct mover *mover, uint64_t serial);

/* store helpers */
void mover_store_owner(struct mover *mover, const char *vport, const char *owner,
	const struct in6_addr *vtep, const char *move_id);

/* dest.c: an accepted connection of purpose MOVE; takes the channel. */
void dest_serve(void *mover, struct channel *channel);

/* ---- peer.c ---- */

int exchange_start(struct mover *mover);
int exchange_peers(struct mover *mover); /* links to those listed now, and to no others */
void exchange_stop(struct mover *mover);
void exchange_free(struct mover *mover); /* after the listener has ended */
void exchange_serve(struct mover *mover, struct channel *channel); /* purpose PEER; takes it */
/* This host has become an owner: tell everybody at once. mover_told() gets the number when all that
 * can be reached have heard it. */
uint64_t exchange_tell(struct mover *mover);
void exchange_told(struct mover *mover); /* have they? */
/* A relayed packet's sender, by its VTEP, does not know. */
void exchange_correct(struct mover *mover, uint32_t vni, const struct in6_addr *addr,
	const struct in6_addr *vtep);
/* What was heard of a vport's owner while a move had it counts now. */
void exchange_look_again(struct mover *mover, const char *vport);
/* Somebody else than `host` says that it has owned an address of the port since a later epoch. */
bool exchange_owned_later(struct mover *mover, struct vswitch_port *port, const char *host,
	uint64_t epoch, char owner[64]);
/* Ask this peer now about moves that come from it (move->announced). */
void exchange_ask_move(struct mover *mover, const char *peer);
/* Has this peer said, since the move's connection was lost, that it does not know the move? */
bool exchange_move_unknown(struct mover *mover, const char *peer, const char *move_id);
/* A vport has entered CLAIM; ask for it. False: nobody is known to own it. */
bool exchange_claim(struct mover *mover, const char *vport);

#endif
