/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The vhost-user specification of QEMU, front end's side. Messages go out in one sendmsg() each,
 * as real front ends do. Descriptors made here for rings live in the guest's rings until stop or
 * close.
 */
#include "test/fake/fake_vhost_front.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#define MESSAGE_MAX 4096
#define STATUS_DRIVER_OK 0x0f /* acknowledged, driver, features ok, driver ok */
#define ADDRESS_LOGGED 1

struct header {
	uint32_t request, flags, size;
};

struct ring_state {
	uint32_t index, num;
};

struct ring_address {
	uint32_t index, flags;
	uint64_t desc, used, avail, log;
};

struct memory_table {
	uint32_t count, padding;
	uint64_t guest_address, size, user_address, mmap_offset;
};

struct log_area {
	uint64_t size, offset;
};

static int64_t now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

void fake_front_init(struct fake_front *front)
{
	*front = (struct fake_front){
		.fd = -1, .wanted = FAKE_F_DEFAULT, .protocol_wanted = FAKE_P_DEFAULT};
}

static int front_address(struct sockaddr_un *addr, const char *path)
{
	memset(addr, 0, sizeof(*addr));
	addr->sun_family = AF_UNIX;
	if (strlen(path) >= sizeof(addr->sun_path))
		return -ENAMETOOLONG;
	memcpy(addr->sun_path, path, strlen(path));
	return 0;
}

int fake_front_connect(struct fake_front *front, const char *path, int timeout_ms)
{
	const struct timespec pause = {.tv_nsec = 1000000};
	int64_t end = now_ms() + timeout_ms;
	struct sockaddr_un addr;
	int ret = front_address(&addr, path);

	if (ret)
		return ret;
	front->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	while (front->fd >= 0 && connect(front->fd, (struct sockaddr *)&addr, sizeof(addr))) {
		if (now_ms() >= end) {
			ret = -errno;
			fake_front_close(front);
			return ret;
		}
		nanosleep(&pause, NULL);
	}
	return front->fd < 0 ? -errno : 0;
}

int fake_front_listen(const char *path)
{
	struct sockaddr_un addr;
	int ret = front_address(&addr, path);
	int fd;

	if (ret)
		return ret;
	unlink(path);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd >= 0 && (bind(fd, (struct sockaddr *)&addr, sizeof(addr)) || listen(fd, 1))) {
		ret = -errno;
		close(fd);
		return ret;
	}
	return fd < 0 ? -errno : fd;
}

int fake_front_accept(struct fake_front *front, int listener, int timeout_ms)
{
	struct pollfd pfd = {.fd = listener, .events = POLLIN};

	if (poll(&pfd, 1, timeout_ms) != 1)
		return -ETIMEDOUT;
	front->fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
	return front->fd < 0 ? -errno : 0;
}

void fake_front_close(struct fake_front *front)
{
	if (front->fd >= 0)
		close(front->fd);
	front->fd = -1;
	if (front->log)
		munmap(front->log, front->log_bytes);
	front->log = NULL;
}

int fake_front_send_raw(
	struct fake_front *front, const void *bytes, size_t len, const int *fds, int count)
{
	union {
		struct cmsghdr align;
		char room[CMSG_SPACE(sizeof(int) * FAKE_FRONT_FDS_MAX)];
	} control;
	struct iovec iov = {.iov_base = (void *)(uintptr_t)bytes, .iov_len = len};
	struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};
	struct cmsghdr *c;
	ssize_t n;

	if (count > 0) {
		memset(&control, 0, sizeof(control));
		msg.msg_control = &control;
		msg.msg_controllen = CMSG_SPACE(sizeof(int) * (size_t)count);
		c = CMSG_FIRSTHDR(&msg);
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(sizeof(int) * (size_t)count);
		memcpy(CMSG_DATA(c), fds, sizeof(int) * (size_t)count);
	}
	n = sendmsg(front->fd, &msg, MSG_NOSIGNAL);
	return n == (ssize_t)len ? 0 : n < 0 ? -errno : -EMSGSIZE;
}

static int front_send(struct fake_front *front, uint32_t flags, const struct fake_message *m)
{
	const struct header header = {m->request, FAKE_VERSION | flags, m->len};
	uint8_t bytes[MESSAGE_MAX];

	memcpy(bytes, &header, sizeof(header));
	if (m->len)
		memcpy(bytes + sizeof(header), m->payload, m->len);
	return fake_front_send_raw(front, bytes, sizeof(header) + m->len, m->fds, m->count);
}

int fake_front_send(struct fake_front *front, enum fake_request request, uint32_t flags,
	const void *payload, uint32_t len)
{
	return front_send(front, flags,
		&(struct fake_message){.request = request, .payload = payload, .len = len});
}

int fake_front_send_message(struct fake_front *front, const struct fake_message *message)
{
	return front_send(front, 0, message);
}

/* Exactly `len` bytes. */
static int front_read(struct fake_front *front, void *to, size_t len, int64_t end_ms)
{
	struct pollfd pfd = {.fd = front->fd, .events = POLLIN};
	size_t got = 0;

	while (got < len) {
		int64_t left = end_ms - now_ms();
		ssize_t n;

		if (poll(&pfd, 1, left > 0 ? (int)left : 0) != 1)
			return -ETIMEDOUT;
		n = recv(front->fd, (uint8_t *)to + got, len - got, 0);
		if (n <= 0)
			return -ECONNRESET;
		got += (size_t)n;
	}
	return 0;
}

int fake_front_reply(struct fake_front *front, enum fake_request request, void *payload,
	uint32_t max, int timeout_ms)
{
	int64_t end = now_ms() + timeout_ms;
	struct header header;
	int ret = front_read(front, &header, sizeof(header), end);

	if (ret)
		return ret;
	if (header.request != request || header.size > max)
		return -EBADMSG;
	ret = front_read(front, payload, header.size, end);
	return ret ? ret : (int)header.size;
}

int fake_front_get(struct fake_front *front, enum fake_request request, uint64_t *value)
{
	int ret = fake_front_send(front, request, 0, NULL, 0);

	if (!ret)
		ret = fake_front_reply(
			front, request, value, sizeof(*value), FAKE_FRONT_TIMEOUT_MS);
	return ret < 0 ? ret : ret == sizeof(*value) ? 0 : -EBADMSG;
}

static int front_set(struct fake_front *front, enum fake_request request, uint64_t value)
{
	return fake_front_send(front, request, 0, &value, sizeof(value));
}

int fake_front_negotiate(struct fake_front *front, struct fake_guest *guest)
{
	uint64_t protocol = 0;
	int ret = fake_front_get(front, FAKE_GET_FEATURES, &front->offered);

	if (ret)
		return ret;
	front->features = front->wanted & front->offered;
	guest->features = front->features;
	front->protocol = 0;
	if (front->features & FAKE_F_PROTOCOL) {
		ret = fake_front_get(front, FAKE_GET_PROTOCOL_FEATURES, &protocol);
		front->protocol = protocol & front->protocol_wanted;
		if (!ret)
			ret = front_set(front, FAKE_SET_PROTOCOL_FEATURES, front->protocol);
	}
	front->queue_pairs = 1;
	if (!ret && (front->protocol & FAKE_P_MQ))
		ret = fake_front_get(front, FAKE_GET_QUEUE_NUM, &front->queue_pairs);
	if (!ret)
		ret = fake_front_send(front, FAKE_SET_OWNER, 0, NULL, 0);
	return ret ? ret : front_set(front, FAKE_SET_FEATURES, front->features & ~FAKE_F_LOG_ALL);
}

int fake_front_memory(struct fake_front *front, const struct fake_guest *guest)
{
	const struct memory_table table = {.count = 1,
		.size = guest->size_bytes,
		.user_address = (uint64_t)(uintptr_t)guest->memory};

	return fake_front_send_message(front, &(struct fake_message){FAKE_SET_MEM_TABLE, &table,
						      sizeof(table), &guest->memfd, 1});
}

int fake_front_ring_address(
	struct fake_front *front, const struct fake_guest *guest, uint16_t ring, bool logged)
{
	const struct fake_ring *r = &guest->ring[ring];
	uint64_t user = (uint64_t)(uintptr_t)guest->memory;
	const struct ring_address address = {.index = ring,
		.flags = logged ? ADDRESS_LOGGED : 0,
		.desc = user + r->desc,
		.used = user + r->used,
		.avail = user + r->avail,
		.log = r->used};

	return fake_front_send(front, FAKE_SET_VRING_ADDR, 0, &address, sizeof(address));
}

static int front_event(struct fake_front *front, enum fake_request request, uint16_t ring, int *fd)
{
	uint64_t value = ring;

	if (*fd < 0)
		*fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	return fake_front_send_message(
		front, &(struct fake_message){request, &value, sizeof(value), fd, 1});
}

static int front_start_ring(struct fake_front *front, struct fake_guest *guest, uint16_t ring)
{
	struct fake_ring *r = &guest->ring[ring];
	const struct ring_state num = {ring, r->size}, base = {ring, r->base};
	int ret = fake_front_send(front, FAKE_SET_VRING_NUM, 0, &num, sizeof(num));

	if (!ret)
		ret = fake_front_send(front, FAKE_SET_VRING_BASE, 0, &base, sizeof(base));
	if (!ret)
		ret = fake_front_ring_address(front, guest, ring, front->log != NULL);
	if (!ret)
		ret = front_event(front, FAKE_SET_VRING_KICK, ring, &r->kick);
	return ret ? ret : front_event(front, FAKE_SET_VRING_CALL, ring, &r->call);
}

int fake_front_enable(struct fake_front *front, uint16_t ring, bool on)
{
	const struct ring_state state = {ring, on};

	return fake_front_send(front, FAKE_SET_VRING_ENABLE, 0, &state, sizeof(state));
}

int fake_front_start(struct fake_front *front, struct fake_guest *guest, uint16_t pairs)
{
	int ret = fake_front_memory(front, guest);

	for (uint16_t i = 0; !ret && i < 2 * pairs; i++)
		ret = front_start_ring(front, guest, i);
	for (uint16_t i = 0; !ret && (front->features & FAKE_F_PROTOCOL) && i < 2 * pairs; i++)
		ret = fake_front_enable(front, i, true);
	if (!ret && (front->protocol & FAKE_P_STATUS))
		ret = front_set(front, FAKE_SET_STATUS, STATUS_DRIVER_OK);
	return ret;
}

int fake_front_stop(struct fake_front *front, struct fake_guest *guest, uint16_t pairs)
{
	int ret = 0;

	for (uint16_t i = 0; i < 2 * pairs && ret >= 0; i++) {
		struct ring_state state = {i, 0};

		ret = fake_front_send(front, FAKE_GET_VRING_BASE, 0, &state, sizeof(state));
		if (!ret)
			ret = fake_front_reply(front, FAKE_GET_VRING_BASE, &state, sizeof(state),
				FAKE_FRONT_TIMEOUT_MS);
		if (ret == sizeof(state))
			guest->ring[i].base = (uint16_t)state.num;
	}
	for (uint16_t i = 0; i < 2 * pairs; i++)
		fake_guest_disconnect(guest, i);
	return ret < 0 ? ret : 0;
}

int fake_front_log_start(struct fake_front *front, const struct fake_guest *guest, uint16_t pairs)
{
	struct log_area area = {.size = (guest->size_bytes / FAKE_GUEST_PAGE + 7) / 8};
	uint8_t answer[16];
	int fd = memfd_create("fake-log", MFD_CLOEXEC);
	int ret = fd < 0 || ftruncate(fd, (off_t)area.size) ? -errno : 0;

	if (!ret) {
		front->log = mmap(NULL, area.size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
		front->log_bytes = area.size;
		ret = fake_front_send_message(front,
			&(struct fake_message){FAKE_SET_LOG_BASE, &area, sizeof(area), &fd, 1});
	}
	if (!ret)
		ret = fake_front_reply(
			front, FAKE_SET_LOG_BASE, answer, sizeof(answer), FAKE_FRONT_TIMEOUT_MS);
	if (fd >= 0)
		close(fd);
	if (ret >= 0)
		ret = front_set(front, FAKE_SET_FEATURES, front->features | FAKE_F_LOG_ALL);
	for (uint16_t i = 0; !ret && i < 2 * pairs; i++)
		ret = fake_front_ring_address(front, guest, i, true);
	return ret;
}

bool fake_front_hung_up(struct fake_front *front, int timeout_ms)
{
	int64_t end = now_ms() + timeout_ms;
	uint8_t byte;
	int ret;

	do
		ret = front_read(front, &byte, 1, end);
	while (!ret);
	return ret == -ECONNRESET;
}
