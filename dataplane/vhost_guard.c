/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the library's handlers (22.11) leave open:
 *
 *   descriptors     leaked when they come with a ring index beyond 255 or with SET_INFLIGHT_FD:
 *                   their number must be right before it gets them
 *   SET_FEATURES    all ports share one set; this port may offer less
 *   ring messages   a ring beyond what we offered would never be served
 *   SET_MEM_TABLE, SET_LOG_BASE   a mapping beyond the end of its file kills the process (SIGBUS)
 *                                 at the first touch. A file that shrinks later still can
 *   SET_VRING_NUM   after SET_VRING_ADDR, a larger ring would reach beyond the checked addresses
 *   SET_VRING_CALL  workers write to it: nothing but an event descriptor, and it must not block
 *   messages of features we do not offer (slave channel, IOTLB, config, inflight, post-copy)
 */
#include "dataplane/vhost_guard.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <rte_common.h>
#include <rte_vhost.h>

#define GUARD_NEED_REPLY (1u << 3)
#define GUARD_RING_MASK 0xff /* of kick, call and err messages */
#define GUARD_NO_FD (1u << 8)
#define GUARD_REGION_BYTES 32

enum guard_request {
	GUARD_GET_FEATURES = 1,
	GUARD_SET_FEATURES = 2,
	GUARD_SET_OWNER = 3,
	GUARD_RESET_OWNER = 4,
	GUARD_SET_MEM_TABLE = 5,
	GUARD_SET_LOG_BASE = 6,
	GUARD_SET_LOG_FD = 7,
	GUARD_SET_VRING_NUM = 8,
	GUARD_SET_VRING_ADDR = 9,
	GUARD_SET_VRING_BASE = 10,
	GUARD_GET_VRING_BASE = 11,
	GUARD_SET_VRING_KICK = 12,
	GUARD_SET_VRING_CALL = 13,
	GUARD_SET_VRING_ERR = 14,
	GUARD_GET_PROTOCOL_FEATURES = 15,
	GUARD_SET_PROTOCOL_FEATURES = 16,
	GUARD_GET_QUEUE_NUM = 17,
	GUARD_SET_VRING_ENABLE = 18,
	GUARD_SEND_RARP = 19,
	GUARD_NET_SET_MTU = 20,
	GUARD_SET_STATUS = 39,
	GUARD_GET_STATUS = 40,
};

enum guard_fds {
	FDS_NONE,
	FDS_ONE,
	FDS_EVENT /* one, unless the message says none */,
	FDS_REGIONS
};
enum guard_ring { RING_NONE, RING_WORD /* ring, value */, RING_BYTE /* in an event message */ };

/* Messages that may come; all others are refused. */
static const struct guard_rule {
	bool known, answered;
	uint8_t size_min;
	uint8_t fds; /* enum guard_fds */
	uint8_t ring; /* enum guard_ring */
} guard_rules[] = {
	[GUARD_GET_FEATURES] = {true, true, 0, FDS_NONE, RING_NONE},
	[GUARD_SET_FEATURES] = {true, false, 8, FDS_NONE, RING_NONE},
	[GUARD_SET_OWNER] = {true, false, 0, FDS_NONE, RING_NONE},
	[GUARD_RESET_OWNER] = {true, false, 0, FDS_NONE, RING_NONE},
	[GUARD_SET_MEM_TABLE] = {true, false, 8, FDS_REGIONS, RING_NONE},
	[GUARD_SET_LOG_BASE] = {true, true, 16, FDS_ONE, RING_NONE},
	[GUARD_SET_LOG_FD] = {true, false, 0, FDS_ONE, RING_NONE},
	[GUARD_SET_VRING_NUM] = {true, false, 8, FDS_NONE, RING_WORD},
	[GUARD_SET_VRING_ADDR] = {true, false, 40, FDS_NONE, RING_WORD},
	[GUARD_SET_VRING_BASE] = {true, false, 8, FDS_NONE, RING_WORD},
	[GUARD_GET_VRING_BASE] = {true, true, 8, FDS_NONE, RING_WORD},
	[GUARD_SET_VRING_KICK] = {true, false, 8, FDS_EVENT, RING_BYTE},
	[GUARD_SET_VRING_CALL] = {true, false, 8, FDS_EVENT, RING_BYTE},
	[GUARD_SET_VRING_ERR] = {true, false, 8, FDS_EVENT, RING_BYTE},
	[GUARD_GET_PROTOCOL_FEATURES] = {true, true, 0, FDS_NONE, RING_NONE},
	[GUARD_SET_PROTOCOL_FEATURES] = {true, false, 8, FDS_NONE, RING_NONE},
	[GUARD_GET_QUEUE_NUM] = {true, true, 0, FDS_NONE, RING_NONE},
	[GUARD_SET_VRING_ENABLE] = {true, false, 8, FDS_NONE, RING_WORD},
	[GUARD_SEND_RARP] = {true, false, 8, FDS_NONE, RING_NONE},
	[GUARD_NET_SET_MTU] = {true, false, 8, FDS_NONE, RING_NONE},
	[GUARD_SET_STATUS] = {true, false, 8, FDS_NONE, RING_NONE},
	[GUARD_GET_STATUS] = {true, true, 0, FDS_NONE, RING_NONE},
};

void vhost_guard_init(struct vhost_guard *guard, uint64_t features, uint16_t pairs)
{
	*guard = (struct vhost_guard){.features = features, .rings = 2 * pairs};
}

static const struct guard_rule *guard_rule(const struct vhost_message *msg)
{
	static const struct guard_rule unknown = {.known = false};

	return msg->request < RTE_DIM(guard_rules) ? &guard_rules[msg->request] : &unknown;
}

static uint32_t guard_u32(const struct vhost_message *msg, size_t at)
{
	uint32_t value;

	memcpy(&value, &msg->payload[at], sizeof(value));
	return value;
}

static uint64_t guard_u64(const struct vhost_message *msg, size_t at)
{
	uint64_t value;

	memcpy(&value, &msg->payload[at], sizeof(value));
	return value;
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

/* Payload: count, padding, then per region guest address, size, user address, mmap offset. */
static bool guard_memory_ok(const struct vhost_message *msg, const int *fds, int count)
{
	if (guard_u32(msg, 0) != (uint32_t)count ||
		msg->size < 8 + (uint32_t)count * GUARD_REGION_BYTES)
		return false;
	for (int i = 0; i < count; i++) {
		size_t region = 8 + (size_t)i * GUARD_REGION_BYTES;

		if (!guard_file_holds(
			    fds[i], guard_u64(msg, region + 24), guard_u64(msg, region + 8)))
			return false;
	}
	return true;
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

static bool guard_fds_ok(
	const struct guard_rule *rule, const struct vhost_message *msg, const int *fds, int count)
{
	switch (rule->fds) {
	case FDS_ONE:
		return count == 1;
	case FDS_EVENT:
		if (guard_u64(msg, 0) & GUARD_NO_FD)
			return count == 0;
		return count == 1 && guard_event_fd_ok(fds[0]);
	case FDS_REGIONS:
		return guard_memory_ok(msg, fds, count);
	default:
		return count == 0;
	}
}

static bool guard_ring_ok(struct vhost_guard *guard, const struct vhost_message *msg, uint32_t ring)
{
	uint32_t bit = UINT32_C(1) << (ring % VHOST_RINGS_MAX);

	if (ring >= guard->rings)
		return false;
	switch (msg->request) {
	case GUARD_SET_VRING_NUM:
		return !(guard->addressed & bit);
	case GUARD_SET_VRING_ADDR:
		guard->addressed |= bit;
		return true;
	case GUARD_SET_VRING_BASE:
		__atomic_store_n(&guard->base[ring], (uint16_t)guard_u32(msg, 4), __ATOMIC_RELAXED);
		__atomic_or_fetch(&guard->based, bit, __ATOMIC_RELEASE);
		return true;
	case GUARD_GET_VRING_BASE:
		guard->addressed &= ~bit;
		__atomic_and_fetch(&guard->based, ~bit, __ATOMIC_RELEASE);
		return true;
	default:
		return true;
	}
}

bool vhost_guard_allows(
	struct vhost_guard *guard, const struct vhost_message *msg, const int *fds, int count)
{
	const struct guard_rule *rule = guard_rule(msg);

	if (!rule->known || msg->size < rule->size_min || !guard_fds_ok(rule, msg, fds, count))
		return false;
	if (rule->ring == RING_WORD)
		return guard_ring_ok(guard, msg, guard_u32(msg, 0));
	if (rule->ring == RING_BYTE)
		return guard_ring_ok(guard, msg, guard_u64(msg, 0) & GUARD_RING_MASK);
	if (msg->request == GUARD_SET_LOG_BASE)
		return guard_file_holds(fds[0], guard_u64(msg, 8), guard_u64(msg, 0));
	if (msg->request == GUARD_SET_FEATURES)
		return !(guard_u64(msg, 0) & ~guard->features);
	if (msg->request == GUARD_RESET_OWNER)
		guard->addressed = 0;
	return true;
}

bool vhost_guard_answered(const struct vhost_message *msg)
{
	return guard_rule(msg)->answered || (msg->flags & GUARD_NEED_REPLY);
}

void vhost_guard_answer(const struct vhost_guard *guard, struct vhost_message *answer)
{
	uint64_t value;

	if (answer->size != sizeof(value))
		return;
	memcpy(&value, answer->payload, sizeof(value));
	if (answer->request == GUARD_GET_QUEUE_NUM)
		value = guard->rings / 2;
	if (answer->request == GUARD_GET_FEATURES)
		value &= guard->features;
	memcpy(answer->payload, &value, sizeof(value));
}

unsigned int vhost_guard_resyncs(const struct vhost_guard *guard, int vid)
{
	uint32_t based = __atomic_load_n(&guard->based, __ATOMIC_ACQUIRE);
	uint16_t avail, used;
	unsigned int n = 0;

	for (uint16_t ring = 0; ring < guard->rings; ring++) {
		if ((based & UINT32_C(1) << ring) &&
			!rte_vhost_get_vring_base(vid, ring, &avail, &used))
			n += avail != __atomic_load_n(&guard->base[ring], __ATOMIC_RELAXED);
	}
	return n;
}
