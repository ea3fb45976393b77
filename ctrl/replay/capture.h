/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * One capture file, read frame by frame as Ethernet with nanoseconds. libpcap knows the formats
 * (all four magics of pcap, and pcapng, by content); what it would pass over in silence is an error
 * here.
 *
 * Threads: one. Text of an error names frame and offset, not the file.
 */
#ifndef CTRL_REPLAY_CAPTURE_H
#define CTRL_REPLAY_CAPTURE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CAPTURE_ERROR_MAX 256
#define CAPTURE_FRAME_MAX 262144 /* libpcap's own limit */

struct capture;

struct capture_frame {
	uint64_t time_ns; /* since 1970 */
	uint32_t number; /* from 1 */
	uint32_t len_bytes; /* in data */
	uint32_t missing_bytes; /* snapped: on the wire, but not in the file */
	const uint8_t *data; /* until the next call */
	bool made_link; /* cooked or without link layer: MACs that nobody knows are zero */
	bool odd_time; /* a fraction of a second of one second or more, taken as it stands */
};

/* 0, or -errno with one line. */
int capture_open(const char *path, struct capture **out, char *error, size_t error_len);
void capture_close(struct capture *capture);

/*
 * 1: a frame; 0: the end; -ENODATA: the file ends within a record (*error says where); -EBADMSG:
 * the file is broken there. error has room for CAPTURE_ERROR_MAX.
 */
int capture_next(struct capture *capture, struct capture_frame *frame, char *error);

const char *capture_format(const struct capture *capture); /* "pcap", "pcap-ns", "pcapng" */
const char *capture_link(const struct capture *capture); /* libpcap's name of the link type */
/* Where the record that capture_next() has just met begins. */
uint64_t capture_offset(const struct capture *capture);

/* The whole file, before anything of it is replayed. */
struct capture_summary {
	uint64_t frames, snapped, odd_times;
	uint64_t first_ns; /* of the first frame */
	uint64_t cut_offset; /* 0: the file is whole */
	char format[16], link[32];
	char cut[CAPTURE_ERROR_MAX]; /* what a cut file lacks */
};
/* 0 (also for a cut file), or -errno with one line: no capture, nothing in it, broken, link type
 * refused. */
int capture_scan(const char *path, struct capture_summary *summary, char *error, size_t error_len);

/* pcapng only: -EBADMSG when a block is of a type that might hold packets and is not known here. */
int capture_blocks_check(const char *path, char *error, size_t error_len);

#endif
