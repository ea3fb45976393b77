/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The runtime store: what role each vport has here, since which epoch, and who owned it last; one
 * small JSON file per vport below RUN_DIR/vports, on tmpfs: it outlives the process, not the host
 * (a rebooted host runs no VM). Written to a temporary file, synced, renamed, directory synced,
 * before a role takes effect.
 *
 * Threads: any; one lock, never held while calling elsewhere. A file that cannot be read leaves an
 * entry with `suspect` set and no role: its vport starts PASSIVE and asks everybody before it
 * serves.
 */
#ifndef CTRL_MIGRATE_STORE_H
#define CTRL_MIGRATE_STORE_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "dataplane/role.h"

struct store;

struct store_entry {
	char name[64];
	char uuid[37];
	enum role role;
	uint64_t epoch;
	char owner[64]; /* FROZEN, MOVED, CLAIM: the host that has it or gets it; empty: nobody
			   known */
	struct in6_addr vtep; /* of that host; zero: not known */
	char move_id[37]; /* the move under way or the last one */
	bool moved_in; /* made by a move, in no config: `description` makes it again */
	bool suspect; /* the file was damaged */
	char *description; /* owned by the store; NULL: none */
};

/* Makes the directory. `told` gets a line for each damaged file. -errno: of a system call. */
int store_open(
	const char *dir, void (*told)(void *arg, const char *text), void *arg, struct store **out);
void store_close(struct store *store);

/* A copy without description; false: nothing known. */
bool store_get(struct store *store, const char *name, struct store_entry *entry);
/* The description, copied; NULL: none. */
char *store_description(struct store *store, const char *name);
/* Durable when it returns 0. change() edits a copy of the entry (zeroed but for its name if new).
 */
int store_change(struct store *store, const char *name,
	void (*change)(struct store_entry *entry, void *arg), void *arg);
/* With its description; NULL removes it. */
int store_describe(struct store *store, const char *name, const char *description);
int store_remove(struct store *store, const char *name);
/* Copies, in no order; stops when cb returns non-zero. cb may call the store. */
int store_foreach(
	struct store *store, int (*cb)(const struct store_entry *entry, void *arg), void *arg);

#endif
