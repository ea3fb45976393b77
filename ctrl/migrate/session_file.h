/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A session file: the stream of a move in a file. Frames of ctrl/channel with sequences from 0: one
 * FILE, RECORDS, one FINAL (README.md, byte by byte). Written beside its name and renamed when
 * whole and on the disk, so that there is never half a file; a reader that comes to the end without
 * the FINAL says so. Errors come with a line for people. One thread.
 */
#ifndef CTRL_MIGRATE_SESSION_FILE_H
#define CTRL_MIGRATE_SESSION_FILE_H

#include "ctrl/channel/frame.h"
#include "ctrl/migrate/stream.h"

#define SESSION_FILE_FRAME_BYTES (64u << 10) /* of payload, as written */

struct session_file {
	int fd;
	bool writing;
	char path[512], beside[544]; /* beside: what is being written */
	uint8_t *payload; /* writing: of the next RECORDS; reading: a whole frame */
	size_t used_bytes;
	uint64_t at, records_at; /* reading: offset of the next frame, of the first RECORDS */
	struct frame_parser parser;
	uint64_t sequence;
	uint64_t records, digest; /* so far */
	char error[640];
};

/* Both: -errno with file->error; the file must be closed in any case. */
int session_file_create(
	struct session_file *file, const char *path, const struct stream_file *head);
/* A regular file; *head is its FILE frame. */
int session_file_open(struct session_file *file, const char *path, struct stream_file *head);

int session_file_record(struct session_file *file, const struct session_record *record);
int session_file_end(struct session_file *file); /* the FINAL: all is written */
/* On the disk, and then its name: after a crash there is all of it or what was there before. Waits
 * for the disk; any one thread. */
int session_file_publish(struct session_file *file);

/* The next RECORDS, counted and checked; *frame stays until the next call. 1, or 0 after a FINAL
 * that agrees with what was read. */
int session_file_next(struct session_file *file, struct frame *frame);
/* Back to the first RECORDS. */
void session_file_rewind(struct session_file *file);

/* What was not committed is deleted. */
void session_file_close(struct session_file *file);

#endif
