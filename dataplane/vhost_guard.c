/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The library checks form (sizes, number of descriptors, ring index below 256). Left to us is what its
 * handlers believe a front end:
 *
 *   GET_QUEUE_NUM   answers 128; we answer what the port serves
 *   ring messages   a ring beyond what we offered would never be served
 *   SET_MEM_TABLE, SET_LOG_BASE   a mapping beyond the end of its file kills the process (SIGBUS) at the
 *                   first touch. A file that shrinks later still can: see the README
 *   SET_VRING_NUM   after SET_VRING_ADDR, a larger ring would reach beyond the checked addresses
 *   SET_VRING_CALL  workers write to it: nothing but an event descriptor, and it must not block
 *   any             a front end that does not read its answers would hold the events thread
 *
 * A refused message closes the connection: NEED_REPLY is cleared, or the library would only answer.
 */
#include "dataplane/vhost_guard.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>
#include <linux/sockios.h>

#define GUARD_FDS_MAX 8
#define GUARD_REGIONS_MAX 8
#define GUARD_UNREAD_MAX 65536 /* bytes of answers not read */
#define GUARD_NEED_REPLY (1u << 3)
#define GUARD_RING_MASK 0xff /* of kick and call messages */
#define GUARD_NO_FD (1u << 8)

enum guard_request {
	GUARD_RESET_OWNER = 4,
	GUARD_SET_MEM_TABLE = 5,
	GUARD_SET_LOG_BASE = 6,
	GUARD_SET_VRING_NUM = 8,
	GUARD_SET_VRING_ADDR = 9,
	GUARD_SET_VRING_BASE = 10,
	GUARD_GET_VRING_BASE = 11,
	GUARD_SET_VRING_KICK = 12,
	GUARD_SET_VRING_CALL = 13,
	GUARD_SET_VRING_ERR = 14,
	GUARD_GET_QUEUE_NUM = 17,
	GUARD_SET_VRING_ENABLE = 18,
};

/* The vhost-user specification's layout, and behind it the library's descriptors. */
struct guard_region {
	uint64_t guest_address, size, user_address, mmap_offset;
};

struct guard_message {
	uint32_t request, flags, size;
	union {
		uint64_t u64;
		struct {
			uint32_t index, num;
		} ring;
		struct {
			uint32_t count, padding;
			struct guard_region regions[GUARD_REGIONS_MAX]; /* unaligned */
		} memory;
		struct {
			uint64_t size, offset;
		} log;
		uint8_t room[632]; /* the library's largest payload decides where the fds are */
	} payload;
} __attribute__((packed));

struct guard_context {
	struct guard_message msg;
	int fds[GUARD_FDS_MAX]; /* unused ones are -1 */
	int fd_num;
} __attribute__((packed));

/* The layout is the library's promise to handlers like this one, but in no header: see that it holds. */
static bool guard_layout_ok(const struct guard_context *c)
{
	if (c->fd_num < 0 || c->fd_num > GUARD_FDS_MAX)
		return false;
	for (int i = c->fd_num; i < GUARD_FDS_MAX; i++)
		if (c->fds[i] != -1)
			return false;
	return true;
}

/* Whether `size` bytes from `offset` lie in the file. Huge pages and memfds answer fstat() too. */
static bool guard_file_holds(int fd, uint64_t offset, uint64_t size)
{
	struct stat st;
	uint64_t end;

	if (fstat(fd, &st) || __builtin_add_overflow(offset, size, &end))
		return false;
	return S_ISREG(st.st_mode) && end <= (uint64_t)st.st_size;
}

static bool guard_memory_ok(const struct guard_context *c)
{
	uint32_t count = c->msg.payload.memory.count;

	if (count > GUARD_REGIONS_MAX || count != (uint32_t)c->fd_num)
		return false;
	for (uint32_t i = 0; i < count; i++) {
		struct guard_region region;

		memcpy(&region, &c->msg.payload.memory.regions[i], sizeof(region));
		if (!guard_file_holds(c->fds[i], region.mmap_offset, region.size))
			return false;
	}
	return true;
}

static bool guard_log_ok(const struct guard_context *c)
{
	return c->fd_num == 1 &&
	       guard_file_holds(c->fds[0], c->msg.payload.log.offset, c->msg.payload.log.size);
}

/* Sets O_NONBLOCK on the front end's own description; its event descriptors are so already. */
static bool guard_event_fd_ok(int fd)
{
	char link[32], target[32] = "";
	int flags = fcntl(fd, F_GETFL);

	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	if (flags < 0 || readlink(link, target, sizeof(target) - 1) < 0 ||
		strcmp(target, "anon_inode:[eventfd]"))
		return false;
	return (flags & O_NONBLOCK) || !fcntl(fd, F_SETFL, flags | O_NONBLOCK);
}

static bool guard_call_ok(const struct guard_context *c)
{
	if (c->msg.payload.u64 & GUARD_NO_FD)
		return true;
	return c->fd_num == 1 && guard_event_fd_ok(c->fds[0]);
}

/* Ring index of a message; -1: it has none. */
static int64_t guard_ring(const struct guard_message *msg)
{
	switch (msg->request) {
	case GUARD_SET_VRING_NUM:
	case GUARD_SET_VRING_ADDR:
	case GUARD_SET_VRING_BASE:
	case GUARD_GET_VRING_BASE:
	case GUARD_SET_VRING_ENABLE:
		return msg->payload.ring.index;
	case GUARD_SET_VRING_KICK:
	case GUARD_SET_VRING_CALL:
	case GUARD_SET_VRING_ERR:
		return msg->payload.u64 & GUARD_RING_MASK;
	default:
		return -1;
	}
}

static bool guard_ok(struct guard_context *c, struct vhost_guard *guard)
{
	int64_t ring = guard_ring(&c->msg);
	uint32_t bit = ring >= 0 && ring < 32 ? UINT32_C(1) << ring : 0;

	if (ring >= guard->rings)
		return false;
	switch (c->msg.request) {
	case GUARD_SET_MEM_TABLE:
		return guard_memory_ok(c);
	case GUARD_SET_LOG_BASE:
		return guard_log_ok(c);
	case GUARD_SET_VRING_CALL:
	case GUARD_SET_VRING_KICK:
		return guard_call_ok(c);
	case GUARD_SET_VRING_NUM:
		return !(guard->addressed & bit);
	case GUARD_SET_VRING_ADDR:
		guard->addressed |= bit;
		return true;
	case GUARD_SET_VRING_BASE:
		guard->based |= bit;
		guard->base[ring] = c->msg.payload.ring.num;
		return true;
	case GUARD_GET_VRING_BASE:
		guard->addressed &= ~bit;
		guard->based &= ~bit;
		return true;
	case GUARD_RESET_OWNER:
		guard->addressed = guard->based = 0;
		return true;
	default:
		return true;
	}
}

static bool guard_reads_answers(const struct vhost_guard *guard)
{
	int unread = 0;

	return ioctl(guard->fd, SIOCOUTQ, &unread) || unread < GUARD_UNREAD_MAX;
}

unsigned int vhost_guard_resyncs(const struct vhost_guard *guard, int vid)
{
	uint16_t avail, used;
	unsigned int n = 0;

	for (uint16_t ring = 0; ring < guard->rings; ring++) {
		if ((guard->based & UINT32_C(1) << ring) &&
			!rte_vhost_get_vring_base(vid, ring, &avail, &used))
			n += avail != guard->base[ring];
	}
	return n;
}

enum rte_vhost_msg_result vhost_guard_check(struct vhost_guard *guard, void *msg)
{
	struct guard_context *c = msg;

	if (!guard_layout_ok(c))
		return RTE_VHOST_MSG_RESULT_ERR;
	if (!guard_ok(c, guard) || !guard_reads_answers(guard)) {
		for (int i = 0; i < c->fd_num; i++)
			if (c->fds[i] >= 0)
				close(c->fds[i]);
		c->fd_num = 0;
		c->msg.flags &= ~GUARD_NEED_REPLY;
		return RTE_VHOST_MSG_RESULT_ERR;
	}
	if (c->msg.request == GUARD_GET_QUEUE_NUM && c->fd_num == 0) {
		c->msg.payload.u64 = guard->rings / 2;
		c->msg.size = sizeof(uint64_t);
		return RTE_VHOST_MSG_RESULT_REPLY;
	}
	return RTE_VHOST_MSG_RESULT_NOT_HANDLED;
}
