/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What an agent must not forget: one small file per move, on disk when record_save() returns
 * (written beside, fsynced, renamed, directory fsynced). A restarted agent reads them all.
 */
#ifndef FERRY_VMAGENT_RECORD_H
#define FERRY_VMAGENT_RECORD_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "ctrl/vmagent/handover.h"

struct record {
	char id[HANDOVER_ID_MAX];
	char vm[HANDOVER_ID_MAX];
	char peer[HANDOVER_ID_MAX]; /* name of the other host */
	enum handover_side side;
	enum handover_mark mark;
	bool was_running;
	bool ended; /* nothing is left to do; kept for the other side's questions */
	pid_t qemu_pid;
	uint64_t qemu_start; /* start time of that process, to know it from a later one */
	uint8_t multifd_channels;
	uint64_t saved_at_s; /* seconds since 1970 */
	char reason[HANDOVER_REASON_MAX];
};

/* Names that may become file names: letters, digits, '-', '_', '.', not starting with '.'. */
bool record_name_valid(const char *name);
int record_save(const char *directory, struct record *record);
/* -ENOENT: there is none; -EPROTO: no record, or one of a later version. */
int record_load(const char *directory, const char *id, struct record *record);
/* Record and report. */
int record_remove(const char *directory, const char *id);
/* The report of an ended move, kept beside its record; not fsynced. Load: new reference or NULL. */
int record_report_save(const char *directory, const char *id, json_t *report);
json_t *record_report_load(const char *directory, const char *id);
/* Calls back for each record: its id, and what it says or NULL when it cannot be read; -errno when
 * the directory cannot be. */
int record_each(const char *directory,
	void (*each)(void *ctx, const char *id, const struct record *record), void *ctx);
/* The directory is this process's alone until the descriptor returned is closed. -EWOULDBLOCK:
 * another one's. */
int record_claim(const char *directory);

/* Start time of a process in clock ticks since boot, 0: there is none. */
uint64_t record_process_start(pid_t pid);

#endif
