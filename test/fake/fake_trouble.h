/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef FERRY_FAKE_TROUBLE_H
#define FERRY_FAKE_TROUBLE_H
/*
 * Trouble between two hosts of a fake_lab, at a chosen step of a chosen side of their move: the
 * wire breaks in one of several ways, or a host dies. It strikes once, at the first look at the
 * clock that the move's own thread takes in that step (with its connection made, for faults of the
 * wire), so always at the same place.
 *
 * Each host gets a world whose clock is the real one plus what is warped, and whose connections can
 * be broken, all of those that it dialled at once: those of the move and those between peers.
 */
#include "ctrl/channel/io.h"
#include "test/fake/fake_lab.h"

enum fake_trouble_kind {
	FAKE_TROUBLE_NONE,
	FAKE_TROUBLE_CUT, /* connections are reset */
	FAKE_TROUBLE_END, /* both ends see an orderly end */
	FAKE_TROUBLE_STALL, /* whatever is said vanishes; silence limits pass by warping */
	FAKE_TROUBLE_KILL_SOURCE,
	FAKE_TROUBLE_KILL_DEST,
	FAKE_TROUBLE_KINDS
};
const char *fake_trouble_name(enum fake_trouble_kind kind);

struct fake_trouble;

/* Hosts 0 (source) and 1 (destination) of the lab get their worlds; before they are started. */
struct fake_trouble *fake_trouble_new(struct fake_lab *lab);
/* After the lab has ended. */
void fake_trouble_free(struct fake_trouble *trouble);
/* Arm it: strike when the move `id` (at the side meant) is in `step`. */
void fake_trouble_arm(struct fake_trouble *trouble, enum fake_trouble_kind kind, bool at_source,
	const char *step, const char *id);
/* Has it struck? A thread may wait for fake_trouble_go() then (hosts that are to die). */
bool fake_trouble_struck(struct fake_trouble *trouble);
/* The host that is to die has been told to stop: let its thread go. */
void fake_trouble_go(struct fake_trouble *trouble);
/* That host's clock is so far ahead; before it is started. */
void fake_trouble_ahead(struct fake_trouble *trouble, uint32_t host, uint64_t ahead_ns);
void fake_trouble_warp(struct fake_trouble *trouble, uint64_t by_ns);

#endif
