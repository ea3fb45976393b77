/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef FAKE_VHOST_GUEST_H
#define FAKE_VHOST_GUEST_H
/*
 * A guest as vhost sees it: memory in a memfd, split rings in it, and the virtio-net driver that
 * works them. It knows nothing of sockets; fake_vhost_front.h is its VMM. It outlives
 * connections, so one guest can be stopped at one back end and started at another, and it can be
 * copied as a migration copies memory.
 *
 * Guest-physical addresses start at 0; the front end's "user addresses" are those of the mapping.
 * One thread per ring direction may send and receive; start, stop and copy need the guest at
 * rest.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define FAKE_GUEST_PAIRS_MAX 16
#define FAKE_GUEST_BUFFER 2048 /* bytes of a buffer, the virtio header included */
#define FAKE_GUEST_HEADER 12 /* of a frame: VERSION_1 or MRG_RXBUF agreed */
#define FAKE_GUEST_PAGE 4096

struct fake_guest_params {
	uint16_t pairs;
	uint16_t size; /* of a ring, a power of two */
	uint16_t base; /* all ring indexes start here */
	uint16_t in_flight; /* used indexes start so many below `base`: taken, not given back */
};

/* One split ring. Even rings take frames to the guest, odd ones from it. */
struct fake_ring {
	uint16_t size;
	uint64_t desc, avail, used; /* guest-physical */
	uint64_t buffers; /* of `size` buffers, one per descriptor */
	uint16_t avail_next; /* the driver's next avail index */
	uint16_t used_seen; /* the driver's next used index to look at */
	uint16_t base; /* the back end's next avail index: SET/GET_VRING_BASE */
	uint16_t free_count;
	uint16_t *free; /* stack of descriptors the driver owns */
	uint8_t *out; /* per descriptor: given to the device */
	uint64_t kicks, faults; /* faults: a used entry that names no descriptor the device has */
	int kick, call; /* event descriptors; -1 while stopped */
};

struct fake_guest {
	struct fake_guest_params params;
	int memfd;
	uint8_t *memory;
	size_t size_bytes;
	uint64_t features; /* agreed; the front end sets them */
	uint8_t *touched; /* per page: written by the driver since fake_guest_track() */
	struct fake_ring ring[2 * FAKE_GUEST_PAIRS_MAX];
};

/* What a frame's virtio header says beside the frame. */
struct fake_frame_info {
	uint8_t flags; /* 1: NEEDS_CSUM, 2: DATA_VALID */
	uint8_t gso_type;
	uint16_t csum_start, csum_offset;
};

struct fake_guest *fake_guest_new(const struct fake_guest_params *params);
void fake_guest_free(struct fake_guest *guest);

/* Closes a ring's event descriptors; the front end makes new ones at its next start. */
void fake_guest_disconnect(struct fake_guest *guest, uint16_t ring);

/* The driver resets its rings to the state of a fresh boot (all indexes 0, all buffers its own). */
void fake_guest_reset(struct fake_guest *guest);

/*
 * A frame out on a pair. 0 or -ENOSPC. Signals the back end if it asked. `info` may be NULL. A
 * frame longer than a buffer takes a chain of descriptors.
 */
int fake_guest_send(struct fake_guest *guest, uint16_t pair, const void *frame, size_t len,
	const struct fake_frame_info *info);
/*
 * Take back descriptors of sent frames; the count. fake_guest_send() does so when it has too few.
 */
unsigned int fake_guest_reclaim(struct fake_guest *guest, uint16_t pair);

/*
 * A frame in: its length, or -EAGAIN. Merged buffers are put together; the buffer goes back to
 * the ring.
 */
int fake_guest_receive(struct fake_guest *guest, uint16_t pair, void *frame, size_t max,
	struct fake_frame_info *info);
/* The same, waiting for the back end's signal. -ETIMEDOUT. */
int fake_guest_receive_wait(
	struct fake_guest *guest, uint16_t pair, void *frame, size_t max, int timeout_ms);

/* Used index of a ring as the back end left it in memory. */
uint16_t fake_guest_used(const struct fake_guest *guest, uint16_t ring);

/* Remember which pages the driver writes from now on (what a VMM's own dirty log sees). */
void fake_guest_track(struct fake_guest *guest);
/*
 * A second guest with a memory of its own, at the same guest-physical addresses: the destination
 * of a migration. Takes the driver's state too; ring descriptors (fds) are not carried.
 */
struct fake_guest *fake_guest_clone(const struct fake_guest *guest);
/*
 * Last pass: copies the pages that `log` (a bit per page, may be NULL) or fake_guest_track()
 * names, and the driver's state. The count of pages.
 */
size_t fake_guest_copy_dirty(
	struct fake_guest *to, const struct fake_guest *from, const uint8_t *log);

#endif
