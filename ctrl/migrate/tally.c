/* SPDX-License-Identifier: BSD-3-Clause */
#include "ctrl/migrate/tally.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "dataplane/pages.h"

#define LANES 16u
#define ROOM_MIN 1024u
#define GONE UINT64_MAX /* deleted: a probe goes on past it */

static uint32_t first_place(const struct tally *tally, uint64_t id)
{
	uint64_t group = (id / LANES) * 0x9e3779b97f4a7c15ULL;

	return ((uint32_t)(group >> 32) & (tally->room / LANES - 1)) * LANES +
	       (uint32_t)(id % LANES);
}

static uint32_t next_place(const struct tally *tally, uint32_t at)
{
	return (at + LANES) & (tally->room - 1);
}

static size_t room_bytes(uint32_t room)
{
	return room * (sizeof(struct tally_entry) + 1);
}

static bool room_is_large(uint32_t room)
{
	return room_bytes(room) >= PAGES_ALIGN / 2;
}

static int tally_room(struct tally *tally, uint32_t room)
{
	struct tally_entry *entry =
		room_is_large(room) ? pages_map(room_bytes(room)) : calloc(1, room_bytes(room));

	if (!entry)
		return -ENOMEM;
	tally->entry = entry;
	tally->mark = (uint8_t *)&entry[room];
	tally->room = room;
	tally->used = 0;
	return 0;
}

static void room_free(const struct tally *tally)
{
	if (room_is_large(tally->room))
		pages_unmap(tally->entry, room_bytes(tally->room));
	else
		free(tally->entry);
}

int tally_init(struct tally *tally, uint32_t expected)
{
	uint32_t room = ROOM_MIN;

	memset(tally, 0, sizeof(*tally));
	while (room < (1u << 30) && room / 8 * 5 < expected)
		room *= 2;
	return tally_room(tally, room);
}

void tally_fini(struct tally *tally)
{
	room_free(tally);
	memset(tally, 0, sizeof(*tally));
}

/* Its place, or UINT32_MAX. */
static uint32_t place_of(const struct tally *tally, uint64_t id)
{
	uint32_t at = first_place(tally, id);

	for (uint32_t i = 0; i < tally->room / LANES; i++) {
		if (tally->entry[at].id == id)
			return at;
		if (tally->entry[at].id == 0)
			break;
		at = next_place(tally, at);
	}
	return UINT32_MAX;
}

/* Its place, or the first free or deleted one of its lane; UINT32_MAX when there is none. */
static uint32_t place_for(const struct tally *tally, uint64_t id)
{
	uint32_t at = first_place(tally, id), open = UINT32_MAX;

	for (uint32_t i = 0; i < tally->room / LANES; i++) {
		if (tally->entry[at].id == id)
			return at;
		if (open == UINT32_MAX && (tally->entry[at].id == 0 || tally->entry[at].id == GONE))
			open = at;
		if (tally->entry[at].id == 0)
			break;
		at = next_place(tally, at);
	}
	return open;
}

void tally_prefetch(const struct tally *tally, uint64_t id)
{
	uint32_t at = first_place(tally, id);

	__builtin_prefetch(&tally->entry[at], 1);
	__builtin_prefetch(&tally->mark[at], 1);
}

static int tally_grow(struct tally *tally, uint32_t room)
{
	struct tally old = *tally;
	int rc;

	if (room > 1u << 30)
		return -ENOMEM;
	rc = tally_room(tally, room);
	if (rc != 0)
		return rc;
	for (uint32_t i = 0; i < old.room; i++) {
		uint32_t at;

		if (old.entry[i].id == 0 || old.entry[i].id == GONE)
			continue;
		/* Never full: what shares a lane now shared one before, with fewer places. */
		at = place_for(tally, old.entry[i].id);
		tally->entry[at] = old.entry[i];
		tally->mark[at] = old.mark[i];
		tally->used++;
	}
	room_free(&old);
	return 0;
}

/* A place for a new id: what was deleted is swept out, or the room doubles. */
static int tally_place(struct tally *tally, uint64_t id, uint32_t *at)
{
	int rc = 0;

	if (tally->used >= tally->room / 8 * 5)
		rc = tally_grow(
			tally, tally->count > tally->room / 4 ? tally->room * 2 : tally->room);
	while (rc == 0 && (*at = place_for(tally, id)) == UINT32_MAX)
		rc = tally_grow(tally, tally->room * 2);
	return rc;
}

int tally_put(struct tally *tally, uint64_t id, uint64_t hash, enum tally_mark mark)
{
	uint32_t at;

	if (id == 0 || id == GONE)
		return -EINVAL;
	at = place_for(tally, id);
	if (at != UINT32_MAX && tally->entry[at].id == id) {
		tally->digest -= tally->entry[at].hash;
	} else {
		int rc = at == UINT32_MAX || tally->used >= tally->room / 8 * 5
				 ? tally_place(tally, id, &at)
				 : 0;

		if (rc != 0)
			return rc;
		tally->used += tally->entry[at].id == 0;
		tally->entry[at].id = id;
		tally->count++;
	}
	tally->entry[at].hash = hash;
	tally->mark[at] = (uint8_t)(mark | tally->colour << 4);
	tally->digest += hash;
	return 0;
}

static void remove_at(struct tally *tally, uint32_t at)
{
	tally->digest -= tally->entry[at].hash;
	tally->entry[at].id = GONE;
	tally->count--;
}

bool tally_remove(struct tally *tally, uint64_t id)
{
	uint32_t at = id == 0 || id == GONE ? UINT32_MAX : place_of(tally, id);

	if (at == UINT32_MAX)
		return false;
	remove_at(tally, at);
	return true;
}

bool tally_find(const struct tally *tally, uint64_t id, uint64_t *hash)
{
	uint32_t at = id == 0 || id == GONE ? UINT32_MAX : place_of(tally, id);

	if (at == UINT32_MAX)
		return false;
	*hash = tally->entry[at].hash;
	return true;
}

void tally_recolour(struct tally *tally)
{
	tally->colour = (tally->colour + 1) & 0xf;
}

bool tally_current(const struct tally *tally, uint64_t id)
{
	uint32_t at = id == 0 || id == GONE ? UINT32_MAX : place_of(tally, id);

	return at != UINT32_MAX && tally->mark[at] >> 4 == tally->colour;
}

uint32_t tally_sweep(struct tally *tally)
{
	uint32_t swept = 0;

	for (uint32_t i = 0; i < tally->room; i++)
		if (tally->entry[i].id != 0 && tally->entry[i].id != GONE &&
			tally->mark[i] >> 4 != tally->colour) {
			remove_at(tally, i);
			swept++;
		}
	return swept;
}

uint32_t tally_marked(const struct tally *tally, enum tally_mark mark)
{
	uint32_t count = 0;

	for (uint32_t i = 0; i < tally->room; i++)
		count += tally->entry[i].id != 0 && tally->entry[i].id != GONE &&
			 (tally->mark[i] & 0xf) == mark;
	return count;
}
