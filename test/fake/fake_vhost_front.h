/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef FAKE_VHOST_FRONT_H
#define FAKE_VHOST_FRONT_H
/*
 * A scripted VMM at the front end of vhost-user: the real protocol over a real socket, step by
 * step, so that a test can also do each step wrong. The guest behind it is fake_vhost_guest.h.
 *
 * A usual life: connect or accept, negotiate, start, (log on), stop, close. stop is
 * GET_VRING_BASE for each ring, as QEMU does when it pauses a VM; start again on the same or
 * another front continues there. Functions return 0 or -errno; replies are waited for
 * FAKE_FRONT_TIMEOUT_MS.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "test/fake/fake_vhost_guest.h"

#define FAKE_FRONT_TIMEOUT_MS 2000
#define FAKE_FRONT_FDS_MAX 64

enum fake_request {
	FAKE_GET_FEATURES = 1,
	FAKE_SET_FEATURES = 2,
	FAKE_SET_OWNER = 3,
	FAKE_RESET_OWNER = 4,
	FAKE_SET_MEM_TABLE = 5,
	FAKE_SET_LOG_BASE = 6,
	FAKE_SET_LOG_FD = 7,
	FAKE_SET_VRING_NUM = 8,
	FAKE_SET_VRING_ADDR = 9,
	FAKE_SET_VRING_BASE = 10,
	FAKE_GET_VRING_BASE = 11,
	FAKE_SET_VRING_KICK = 12,
	FAKE_SET_VRING_CALL = 13,
	FAKE_SET_VRING_ERR = 14,
	FAKE_GET_PROTOCOL_FEATURES = 15,
	FAKE_SET_PROTOCOL_FEATURES = 16,
	FAKE_GET_QUEUE_NUM = 17,
	FAKE_SET_VRING_ENABLE = 18,
	FAKE_SEND_RARP = 19,
	FAKE_SET_STATUS = 39,
	FAKE_GET_STATUS = 40,
	FAKE_REQUEST_MAX = 41,
};

#define FAKE_VERSION 1u /* of the message flags */
#define FAKE_NEED_REPLY (1u << 3)

/* Virtio and protocol features by their bits. */
#define FAKE_F_CSUM (UINT64_C(1) << 0)
#define FAKE_F_GUEST_CSUM (UINT64_C(1) << 1)
#define FAKE_F_MRG_RXBUF (UINT64_C(1) << 15)
#define FAKE_F_MQ (UINT64_C(1) << 22)
#define FAKE_F_LOG_ALL (UINT64_C(1) << 26)
#define FAKE_F_INDIRECT (UINT64_C(1) << 28)
#define FAKE_F_EVENT_IDX (UINT64_C(1) << 29)
#define FAKE_F_PROTOCOL (UINT64_C(1) << 30)
#define FAKE_F_VERSION_1 (UINT64_C(1) << 32)
#define FAKE_F_DEFAULT \
	(FAKE_F_MRG_RXBUF | FAKE_F_MQ | FAKE_F_INDIRECT | FAKE_F_PROTOCOL | FAKE_F_VERSION_1)
#define FAKE_P_MQ (UINT64_C(1) << 0)
#define FAKE_P_LOG_SHMFD (UINT64_C(1) << 1)
#define FAKE_P_REPLY_ACK (UINT64_C(1) << 3)
#define FAKE_P_STATUS (UINT64_C(1) << 16)
#define FAKE_P_DEFAULT (FAKE_P_MQ | FAKE_P_LOG_SHMFD | FAKE_P_STATUS)

struct fake_front {
	int fd;
	uint64_t offered, wanted, features; /* virtio: by the back end, by us, agreed */
	uint64_t protocol_wanted, protocol;
	uint64_t queue_pairs; /* what the back end can serve */
	uint8_t *log; /* dirty log, a bit per page of the guest; NULL: off */
	size_t log_bytes;
};

/* Fills in the defaults; not connected. */
void fake_front_init(struct fake_front *front);
/* Tries until somebody listens. */
int fake_front_connect(struct fake_front *front, const char *path, int timeout_ms);
int fake_front_listen(const char *path); /* a listening descriptor, or -errno; replaces the file */
int fake_front_accept(struct fake_front *front, int listener, int timeout_ms);
/* Closes as a dying VMM does: no goodbye. */
void fake_front_close(struct fake_front *front);

/* SET_OWNER, features, protocol features, queue number. The guest learns what is agreed. */
int fake_front_negotiate(struct fake_front *front, struct fake_guest *guest);
/*
 * Memory, and the first `pairs` pairs of rings, enabled; DRIVER_OK. The rings go on at
 * ring->base.
 */
int fake_front_start(struct fake_front *front, struct fake_guest *guest, uint16_t pairs);
/* Stops all rings and takes their base back into the guest. */
int fake_front_stop(struct fake_front *front, struct fake_guest *guest, uint16_t pairs);
int fake_front_enable(struct fake_front *front, uint16_t ring, bool on);
/* Dirty logging as at the start of a migration: log memory, LOG_ALL, ring addresses once more. */
int fake_front_log_start(struct fake_front *front, const struct fake_guest *guest, uint16_t pairs);

/* Pieces, for tests that do it wrong. */
int fake_front_send(struct fake_front *front, enum fake_request request, uint32_t flags,
	const void *payload, uint32_t len);
/* A message with all it may carry. */
struct fake_message {
	enum fake_request request;
	const void *payload;
	uint32_t len;
	const int *fds;
	int count;
};
int fake_front_send_message(struct fake_front *front, const struct fake_message *message);
int fake_front_send_raw(
	struct fake_front *front, const void *bytes, size_t len, const int *fds, int count);
/*
 * The next message from the back end: the length of its payload, -ETIMEDOUT, or -ECONNRESET:
 * closed.
 */
int fake_front_reply(struct fake_front *front, enum fake_request request, void *payload,
	uint32_t max, int timeout_ms);
/* Request without payload, u64 reply. */
int fake_front_get(struct fake_front *front, enum fake_request request, uint64_t *value);
int fake_front_memory(struct fake_front *front, const struct fake_guest *guest);
int fake_front_ring_address(
	struct fake_front *front, const struct fake_guest *guest, uint16_t ring, bool logged);
/* Whether the back end hung up within the time. Swallows what it said before. */
bool fake_front_hung_up(struct fake_front *front, int timeout_ms);

#endif
