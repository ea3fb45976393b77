/* SPDX-License-Identifier: BSD-3-Clause */
/* What the source*.c files share: the source's side of one move, on the move's thread. */
#ifndef CTRL_MIGRATE_SOURCE_IMPL_H
#define CTRL_MIGRATE_SOURCE_IMPL_H

#include "ctrl/migrate/mover_impl.h"

#define RETRY_NS 200000000ULL

static inline const struct vswitch *vswitch_of(const struct move *move)
{
	return &move->mover->vswitch;
}

static inline enum role port_role(const struct move_port *p)
{
	return (enum role)atomic_load(&p->role);
}

static inline bool port_frozen(const struct move_port *p)
{
	return port_role(p) == ROLE_FROZEN;
}

/* ---- source.c ---- */

bool source_all_committed(const struct move *move);
bool source_any_frozen(const struct move *move);
void source_facts(struct move *move, struct move_port *p);
void source_port_look(struct move *move, struct move_port *p); /* role and rings as they are */
void source_admit_undo(struct move *move);

/* ---- source_connect.c: steps and frames ---- */

int source_connect(struct move *move);
int source_prepare(struct move *move);
void source_prepare_undo(struct move *move);
int source_on_accept(struct move *move, const struct frame *frame);
int source_on_commit(struct move *move, struct move_port *p, const struct frame *frame);

/* ---- source_cutover.c: steps and frames ---- */

int source_follow(struct move *move);
void source_follow_undo(struct move *move);
int source_final_step(struct move *move);
int source_commit(struct move *move);
int source_moved(struct move *move);
int source_on_verified(struct move *move, struct move_port *p, const struct frame *frame);
void source_take_back_end(struct move *move, struct move_port *p);

#endif
