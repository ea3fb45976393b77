/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Carries one of QEMU's migration streams between QEMU's unix socket and a channel, both ways.
 *
 * An end of stream is passed on only after all that came before it has been taken, and is never
 * made up: QEMU S sees the end of the return path exactly when QEMU D ended it, and a broken path
 * is a broken socket to both. One thread per direction; the caller's is one of them.
 */
#ifndef FERRY_VMAGENT_PUMP_H
#define FERRY_VMAGENT_PUMP_H

#include <stdatomic.h>
#include <stdint.h>

#include "ctrl/channel/channel.h"

#define PUMP_CHUNK_BYTES (256u << 10)

/* Frame types of purpose "memory" (README.md, "Between agents"). */
enum vmagent_frame {
	VMAGENT_FRAME_WORD = FRAME_TYPE_FIRST_FREE, /* peer.h */
	VMAGENT_FRAME_DATA, /* bytes of the stream */
	VMAGENT_FRAME_ZSTD, /* the same as one zstd frame of at most PUMP_CHUNK_BYTES unpacked */
	VMAGENT_FRAME_END, /* nothing more in this direction */
};

extern const uint16_t vmagent_frame_types[4];

struct pump_options {
	int qemu_fd; /* the caller's, made non-blocking */
	struct channel *channel; /* the caller's; opened with `cancel` */
	struct channel_cancel *cancel; /* of this channel; set by the pump when one way breaks */
	int zstd_level; /* 0: do not pack what QEMU sends */
	_Atomic uint64_t *memory_bytes; /* from and to QEMU, both directions */
	_Atomic uint64_t *wire_bytes;
};

/* 0: both directions ended in order. -ECANCELED, or what broke first. Blocks until then. */
int pump_run(const struct pump_options *options);

#endif
