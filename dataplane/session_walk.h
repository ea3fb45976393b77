/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef FERRY_SESSION_WALK_H
#define FERRY_SESSION_WALK_H
/*
 * Go through a vport's sessions, by its slabs: cost by its own sessions, no lock held, no worker
 * stopped. Sessions born behind the cursor are missed (the journal has them); one that dies
 * meanwhile may still be seen.
 *
 * Any thread that is no worker. Pointers are valid while the caller is an online RCU reader
 * (engine_reader_*() below) and since the last walk_next(); copy what you need with
 * session_record_read().
 */
#include <stdbool.h>
#include <stdint.h>

#include "dataplane/session_slab.h"

struct engine;

/* A reader of this engine: register once per thread, online only while reading. -EUSERS. */
int engine_reader_register(struct engine *engine);
void engine_reader_unregister(struct engine *engine, int reader);
void engine_reader_online(struct engine *engine, int reader);
void engine_reader_offline(struct engine *engine, int reader);

struct session_walk {
	struct vport *vport;
	uint16_t slab, slabs;
	struct slab_chunk *chunk;
	uint32_t min_round; /* only sessions changed in this journal round or later; 0: all */
};

void session_walk_begin(struct session_walk *walk, struct vport *vport, uint32_t min_round);
/*
 * The next living sessions, up to SLAB_CHUNK_SESSIONS into out (room for as many). 0 and *end set
 * at the end; 0 without *end: an empty slice, go on.
 */
uint32_t session_walk_next(struct session_walk *walk, struct session **out, bool *end);
void session_walk_end(struct session_walk *walk);

/* Readable state of a session through its vport: time and timeouts are looked up here. */
struct session_record;
void session_walk_read(const struct session *s, struct session_record *record);
/* The same, for many: the engine's clock is read once. */
void session_walk_read_at(const struct session *s, uint64_t now_ns, struct session_record *record);

/* It will be asked for soon. */
void session_walk_prefetch(const struct engine *engine, const struct session_tuple *tuple);
/* Find one by its VM-side (or network-side) tuple; online reader. NULL: none. */
struct session *session_walk_find(struct engine *engine, const struct session_tuple *tuple);

#endif
