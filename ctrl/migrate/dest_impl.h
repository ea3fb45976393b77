/* SPDX-License-Identifier: BSD-3-Clause */
/* What the dest*.c files share: the destination's side of one move, on the move's thread. */
#ifndef CTRL_MIGRATE_DEST_IMPL_H
#define CTRL_MIGRATE_DEST_IMPL_H

#include "ctrl/migrate/mover_impl.h"

#define TICK_NS 100000000ULL

static inline const struct vswitch *vswitch_of(const struct move *move)
{
	return &move->mover->vswitch;
}

static inline enum role port_role(const struct move_port *p)
{
	return (enum role)atomic_load(&p->role);
}

static inline bool port_waits(const struct move_port *p)
{
	return port_role(p) == ROLE_PASSIVE || port_role(p) == ROLE_CLAIM;
}

/* ---- dest.c ---- */

void dest_facts(struct move *move, struct move_port *p, bool source_lost);
void dest_port_look(struct move *move, struct move_port *p); /* role, rings, epoch as they are */
bool dest_all_owned(const struct move *move);
/* The source is told why; returns rc. */
int dest_refuse(struct move *move, int rc, enum mover_refusal refusal, const char *reason);

/* ---- dest_accept.c ---- */

int dest_accept(struct move *move);
int dest_on_offer(struct move *move, const struct frame *frame);
/* A connection of the same move that another thread took; the old one is dead then. */
bool dest_channel_take(struct move *move);

/* ---- dest_prepare.c ---- */

int dest_on_port(struct move *move, struct move_port *p, const struct frame *frame);
void dest_port_empty(struct move_port *p);
void dest_undo(struct move *move);

/* ---- dest_activate.c ---- */

int dest_activate(struct move *move);
int dest_done(struct move *move);
/* All of a port's state is here. Its rings may be up already. */
void dest_port_loaded(struct move *move, struct move_port *p);
/* Ports that have become ours, and those whose VM is here before their state. */
int dest_look(struct move *move);

#endif
