/* SPDX-License-Identifier: BSD-3-Clause */
/* Moves as people and programs see them. Any thread; takes the mover's lock. */
#ifndef CTRL_MIGRATE_REPORT_H
#define CTRL_MIGRATE_REPORT_H

#include <stdbool.h>

#include "ctrl/cmd/out.h"

struct mover;

/* id: the move's or the caller's. */
void report_move(struct out *out, struct mover *mover, const char *id, bool *found);
void report_list(struct out *out, struct mover *mover, bool running_only);

#endif
