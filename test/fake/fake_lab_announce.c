/* SPDX-License-Identifier: BSD-3-Clause */
/* A move that a host says it has begun, and that a test speaks for. */
#include <assert.h>
#include <stdio.h>

#include "ctrl/migrate/mover_impl.h"
#include "test/fake/fake_lab.h"

struct move *fake_lab_announce(
	struct fake_lab *lab, uint32_t from, uint32_t to, const uint8_t *move_id)
{
	struct mover *mover = lab->host[from].mover;
	struct move *move = move_new(mover, move_id);

	assert(move);
	move->source = true;
	snprintf(move->peer, sizeof(move->peer), "h%u", to);
	pthread_mutex_lock(&mover->lock);
	mover_enter(mover, move);
	pthread_mutex_unlock(&mover->lock);
	return move;
}

void fake_lab_forget(struct fake_lab *lab, uint32_t from, struct move *announced)
{
	struct mover *mover = lab->host[from].mover;

	pthread_mutex_lock(&mover->lock);
	announced->done = true;
	mover->counts.running--;
	mover->counts.aborted++;
	pthread_mutex_unlock(&mover->lock);
}
