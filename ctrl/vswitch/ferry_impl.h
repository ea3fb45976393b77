/* SPDX-License-Identifier: BSD-3-Clause */
/* What the ferry*.c files share: our own engine behind struct vswitch_ops. */
#ifndef CTRL_VSWITCH_FERRY_IMPL_H
#define CTRL_VSWITCH_FERRY_IMPL_H

#include <pthread.h>

#include "config/config.h"
#include "ctrl/vswitch/setup_impl.h"
#include "ctrl/vswitch/vswitch.h"
#include "dataplane/vport.h"

/* A vport that came with a move and is in no config: what made it. */
struct ferry_guest {
	struct ferry_guest *next;
	struct config *config; /* of its description */
	char name[VSWITCH_NAME_MAX];
};

struct vswitch_ferry {
	struct setup *setup;
	struct engine *engine;
	struct config *blank; /* every default: what a description starts from */
	pthread_mutex_t lock; /* guests; also one prepare or discard at a time */
	struct ferry_guest *guests;
};

static inline struct vport *ferry_vport(struct vswitch_port *port)
{
	return (struct vport *)port;
}

static inline struct vswitch_port *ferry_port(struct vport *vport)
{
	return (struct vswitch_port *)vport;
}

/* Plugins see the file's config and what guests add; after a reload too. Under the lock. */
int ferry_configure(struct vswitch_ferry *ferry, char *error, size_t error_len);
/* What a vport gets here whose description leaves it open. Under the lock. */
void ferry_guest_limits(const struct config *own, struct vswitch_room *room);
int ferry_describe(void *ctx, struct vswitch_port *port, struct wire_writer *w);
int ferry_prepare(
	void *ctx, const uint8_t *description, size_t len_bytes, struct vswitch_prepared *out);
int ferry_discard(void *ctx, struct vswitch_port *port);

int ferry_export_open(
	void *ctx, struct vswitch_port *port, bool follow, struct vswitch_export **out);
void ferry_export_close(struct vswitch_export *x);
void ferry_export_rewind(struct vswitch_export *x);
uint32_t ferry_export_walk(struct vswitch_export *x, struct session_record *out, bool *end);
void ferry_export_round(struct vswitch_export *x, bool *deaths_lost);
uint32_t ferry_export_changed(struct vswitch_export *x, struct session_record *out, bool *end);
uint32_t ferry_export_dead(struct vswitch_export *x, struct journal_tombstone *out, uint32_t max);
void ferry_export_round_done(struct vswitch_export *x);
uint32_t ferry_export_look(struct vswitch_export *x, struct session_record *out, bool *end);
int ferry_import_open(void *ctx, struct vswitch_port *port, const uint16_t *state_versions,
	bool by_operator, struct vswitch_import **out);
void ferry_import_close(struct vswitch_import *m);
void ferry_import_begin(struct vswitch_import *m);
void ferry_import_end(struct vswitch_import *m);
void ferry_import_soon(const struct vswitch_import *m, const struct session_record *record);
enum import_outcome ferry_import_record(struct vswitch_import *m,
	const struct session_record *record, enum drop_reason *reason, bool *as_sent);
bool ferry_import_dead(struct vswitch_import *m, const struct journal_tombstone *dead);
bool ferry_import_find(
	struct vswitch_import *m, const struct session_tuple *tuple, struct session_record *record);
uint32_t ferry_import_sweep(
	struct vswitch_import *m, bool (*keep)(void *arg, uint64_t birth_id), void *arg);

#endif
