/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef FERRY_VHOST_GUARD_H
#define FERRY_VHOST_GUARD_H
/*
 * Judges each vhost-user message of a front end before the library sees it: what may not come, or
 * would let one front end hurt others, is refused and ends its connection. See the table in
 * vhost_guard.c. One per connection; the links' thread only, except for resyncs.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define VHOST_FDS_MAX 8 /* regions of memory */
#define VHOST_HEADER_BYTES 12
#define VHOST_PAYLOAD_MAX 632 /* the library's */
#define VHOST_RINGS_MAX 32

/* The layout of the specification, host byte order. */
struct vhost_message {
	uint32_t request, flags, size; /* of the payload */
	uint8_t payload[VHOST_PAYLOAD_MAX];
};

struct vhost_guard {
	uint64_t features; /* virtio features offered */
	uint16_t rings; /* rings offered */
	uint32_t addressed; /* rings whose addresses were checked against their size */
	uint32_t based; /* atomic; rings that got a base since they last stopped */
	uint16_t base[VHOST_RINGS_MAX]; /* of SET_VRING_BASE */
};

void vhost_guard_init(struct vhost_guard *guard, uint64_t features, uint16_t pairs);
bool vhost_guard_allows(
	struct vhost_guard *guard, const struct vhost_message *msg, const int *fds, int count);
/* Whether the library answers this message. */
bool vhost_guard_answered(const struct vhost_message *msg);
/* The library answers with 128 queue pairs and PORT_FEATURES; the port may offer less. */
void vhost_guard_answer(const struct vhost_guard *guard, struct vhost_message *answer);

/*
 * Device up, events thread: rings that go on elsewhere than the front end said, because their
 * used index says otherwise. The library then takes frames in flight once more.
 */
unsigned int vhost_guard_resyncs(const struct vhost_guard *guard, int vid);

#endif
