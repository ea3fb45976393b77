/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Split virtqueues after the VIRTIO 1.1 specification, section 2.6, driver's side. Indexes run
 * free and wrap at 2^16. The driver writes memory through guest_at(), which also keeps the record
 * of touched pages.
 */
#include "test/fake/fake_vhost_guest.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>

#define DESC_NEXT 1
#define DESC_WRITE 2
#define USED_NO_NOTIFY 1
#define F_EVENT_IDX (UINT64_C(1) << 29)

struct ring_desc {
	uint64_t address;
	uint32_t len;
	uint16_t flags, next;
};

struct ring_used_entry {
	uint32_t id, len;
};

struct frame_header {
	uint8_t flags, gso_type;
	uint16_t hdr_len, gso_size, csum_start, csum_offset, buffers;
};

static size_t align(size_t value, size_t to)
{
	return (value + to - 1) / to * to;
}

/* For writing by the driver. */
static void *guest_at(struct fake_guest *guest, uint64_t address, size_t len)
{
	for (uint64_t page = address / FAKE_GUEST_PAGE;
		guest->touched && page <= (address + len - 1) / FAKE_GUEST_PAGE; page++)
		guest->touched[page] = 1;
	return guest->memory + address;
}

static const void *guest_peek(const struct fake_guest *guest, uint64_t address)
{
	return guest->memory + address;
}

static void guest_put16(struct fake_guest *guest, uint64_t address, uint16_t value)
{
	__atomic_store_n((uint16_t *)guest_at(guest, address, 2), value, __ATOMIC_RELEASE);
}

static uint16_t guest_get16(const struct fake_guest *guest, uint64_t address)
{
	return __atomic_load_n((const uint16_t *)guest_peek(guest, address), __ATOMIC_ACQUIRE);
}

/* Places a ring and its buffers; the end. */
static uint64_t ring_place(struct fake_ring *ring, uint16_t size, uint64_t at)
{
	ring->size = size;
	ring->desc = align(at, FAKE_GUEST_PAGE);
	ring->avail = align(ring->desc + 16u * size, 16);
	ring->used = align(ring->avail + 6 + 2u * size, FAKE_GUEST_PAGE);
	ring->buffers = align(ring->used + 6 + 8u * size, FAKE_GUEST_PAGE);
	return ring->buffers + (uint64_t)size * FAKE_GUEST_BUFFER;
}

static struct ring_desc *ring_desc_at(
	struct fake_guest *guest, const struct fake_ring *ring, uint16_t id)
{
	return guest_at(guest, ring->desc + 16u * id, 16);
}

static void ring_publish(struct fake_guest *guest, struct fake_ring *ring, uint16_t head)
{
	guest_put16(guest, ring->avail + 4 + 2u * (ring->avail_next % ring->size), head);
	ring->avail_next++;
	guest_put16(guest, ring->avail + 2, ring->avail_next);
}

static void ring_kick(struct fake_guest *guest, struct fake_ring *ring, uint16_t old)
{
	uint16_t now = ring->avail_next;
	bool wanted;

	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	if (guest->features & F_EVENT_IDX) {
		uint16_t event = guest_get16(guest, ring->used + 4 + 8u * ring->size);

		wanted = (uint16_t)(now - event - 1) < (uint16_t)(now - old);
	} else {
		wanted = !(guest_get16(guest, ring->used) & USED_NO_NOTIFY);
	}
	if (wanted && ring->kick >= 0) {
		ring->kicks++;
		eventfd_write(ring->kick, 1);
	}
}

/* Give a buffer for a received frame to the device. */
static void ring_offer(struct fake_guest *guest, struct fake_ring *ring, uint16_t id)
{
	struct ring_desc *d = ring_desc_at(guest, ring, id);

	*d = (struct ring_desc){.address = ring->buffers + (uint64_t)id * FAKE_GUEST_BUFFER,
		.len = FAKE_GUEST_BUFFER,
		.flags = DESC_WRITE};
	ring->out[id] = 1;
	ring_publish(guest, ring, id);
}

/*
 * All indexes at `base`. With `in_flight` the last so many avail entries before base name
 * descriptors that the device has taken and not given back.
 */
static void ring_reset(struct fake_guest *guest, struct fake_ring *ring, uint16_t base,
	uint16_t in_flight, bool to_guest)
{
	memset(guest_at(guest, ring->desc, 16u * ring->size), 0, 16u * ring->size);
	memset(guest_at(guest, ring->used, 6 + 8u * ring->size), 0, 6 + 8u * ring->size);
	memset(ring->out, 0, ring->size);
	ring->base = base;
	ring->used_seen = base - in_flight;
	ring->avail_next = base - in_flight;
	guest_put16(guest, ring->avail, 0);
	guest_put16(guest, ring->avail + 2, ring->avail_next);
	guest_put16(guest, ring->used + 2, ring->used_seen);
	/* used_event: tell about the next used entry */
	guest_put16(guest, ring->avail + 4 + 2u * ring->size, ring->used_seen);
	ring->free_count = 0;
	for (uint16_t i = ring->size; i-- > 0;)
		ring->free[ring->free_count++] = i;
	while (to_guest && ring->free_count)
		ring_offer(guest, ring, ring->free[--ring->free_count]);
	for (uint16_t i = 0; !to_guest && i < in_flight; i++) {
		uint16_t id = ring->free[--ring->free_count];

		*ring_desc_at(guest, ring, id) = (struct ring_desc){
			.address = ring->buffers + (uint64_t)id * FAKE_GUEST_BUFFER, .len = 72};
		ring->out[id] = 1;
		ring_publish(guest, ring, id);
	}
}

static void guest_reset(struct fake_guest *guest, uint16_t base, uint16_t in_flight)
{
	for (uint16_t i = 0; i < 2 * guest->params.pairs; i++)
		ring_reset(guest, &guest->ring[i], base, in_flight, !(i & 1));
}

void fake_guest_reset(struct fake_guest *guest)
{
	guest_reset(guest, 0, 0);
}

static int guest_map(struct fake_guest *guest)
{
	uint64_t end = 0;

	for (uint16_t i = 0; i < 2 * guest->params.pairs; i++)
		end = ring_place(&guest->ring[i], guest->params.size, end);
	guest->size_bytes = align(end, FAKE_GUEST_PAGE);
	guest->memfd = memfd_create("fake-guest", MFD_CLOEXEC);
	if (guest->memfd < 0 || ftruncate(guest->memfd, (off_t)guest->size_bytes))
		return -errno;
	guest->memory =
		mmap(NULL, guest->size_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, guest->memfd, 0);
	if (guest->memory == MAP_FAILED) {
		guest->memory = NULL;
		return -errno;
	}
	for (uint16_t i = 0; i < 2 * guest->params.pairs; i++) {
		guest->ring[i].free = calloc(guest->params.size, sizeof(uint16_t));
		guest->ring[i].out = calloc(guest->params.size, 1);
		if (!guest->ring[i].free || !guest->ring[i].out)
			return -ENOMEM;
	}
	return 0;
}

struct fake_guest *fake_guest_new(const struct fake_guest_params *params)
{
	struct fake_guest *guest = calloc(1, sizeof(*guest));

	if (!guest)
		return NULL;
	guest->params = *params;
	guest->memfd = -1;
	for (uint16_t i = 0; i < 2 * FAKE_GUEST_PAIRS_MAX; i++)
		guest->ring[i].kick = guest->ring[i].call = -1;
	if (guest_map(guest)) {
		fake_guest_free(guest);
		return NULL;
	}
	guest_reset(guest, params->base, params->in_flight);
	return guest;
}

void fake_guest_disconnect(struct fake_guest *guest, uint16_t ring)
{
	struct fake_ring *r = &guest->ring[ring];

	if (r->kick >= 0)
		close(r->kick);
	if (r->call >= 0)
		close(r->call);
	r->kick = r->call = -1;
}

void fake_guest_free(struct fake_guest *guest)
{
	if (!guest)
		return;
	for (uint16_t i = 0; i < 2 * guest->params.pairs; i++) {
		fake_guest_disconnect(guest, i);
		free(guest->ring[i].free);
		free(guest->ring[i].out);
	}
	if (guest->memory)
		munmap(guest->memory, guest->size_bytes);
	if (guest->memfd >= 0)
		close(guest->memfd);
	free(guest->touched);
	free(guest);
}

/* The next used entry's descriptor, or -1 if there is none. A wrong one is counted and skipped. */
static int ring_take_used(struct fake_guest *guest, struct fake_ring *ring, uint32_t *len)
{
	while (guest_get16(guest, ring->used + 2) != ring->used_seen) {
		struct ring_used_entry entry;

		memcpy(&entry,
			guest_peek(guest, ring->used + 4 + 8u * (ring->used_seen % ring->size)),
			sizeof(entry));
		ring->used_seen++;
		guest_put16(guest, ring->avail + 4 + 2u * ring->size, ring->used_seen);
		if (entry.id < ring->size && ring->out[entry.id]) {
			ring->out[entry.id] = 0;
			*len = entry.len;
			return (int)entry.id;
		}
		ring->faults++;
	}
	return -1;
}

unsigned int fake_guest_reclaim(struct fake_guest *guest, uint16_t pair)
{
	struct fake_ring *ring = &guest->ring[2 * pair + 1];
	unsigned int n = 0;
	uint32_t len;
	int id;

	while ((id = ring_take_used(guest, ring, &len)) >= 0) {
		const struct ring_desc *d = ring_desc_at(guest, ring, (uint16_t)id);

		ring->free[ring->free_count++] = (uint16_t)id;
		for (; d->flags & DESC_NEXT; d = ring_desc_at(guest, ring, d->next))
			ring->free[ring->free_count++] = d->next;
		n++;
	}
	return n;
}

/* Fills a chain of buffers with header and frame; its head. */
static uint16_t ring_fill(struct fake_guest *guest, struct fake_ring *ring, const uint8_t *data,
	size_t len, const struct frame_header *header)
{
	uint16_t head = ring->free[--ring->free_count], id = head;
	size_t room = FAKE_GUEST_BUFFER - sizeof(*header), off = sizeof(*header);

	memcpy(guest_at(guest, ring->buffers + (uint64_t)id * FAKE_GUEST_BUFFER, off), header, off);
	for (;;) {
		struct ring_desc *d = ring_desc_at(guest, ring, id);
		uint64_t buffer = ring->buffers + (uint64_t)id * FAKE_GUEST_BUFFER;
		size_t some = len < room ? len : room;

		memcpy(guest_at(guest, buffer + off, some + !some), data, some);
		*d = (struct ring_desc){.address = buffer, .len = (uint32_t)(off + some)};
		data += some;
		len -= some;
		if (!len)
			return head;
		off = 0;
		room = FAKE_GUEST_BUFFER;
		id = ring->free[--ring->free_count];
		d->flags = DESC_NEXT;
		d->next = id;
	}
}

int fake_guest_send(struct fake_guest *guest, uint16_t pair, const void *frame, size_t len,
	const struct fake_frame_info *info)
{
	struct fake_ring *ring = &guest->ring[2 * pair + 1];
	struct frame_header header = {0};
	size_t needed = (sizeof(header) + len + FAKE_GUEST_BUFFER - 1) / FAKE_GUEST_BUFFER;
	uint16_t head, old = ring->avail_next;

	if (ring->free_count < needed)
		fake_guest_reclaim(guest, pair);
	if (ring->free_count < needed)
		return -ENOSPC;
	if (info) {
		header.flags = info->flags;
		header.gso_type = info->gso_type;
		header.csum_start = info->csum_start;
		header.csum_offset = info->csum_offset;
	}
	head = ring_fill(guest, ring, frame, len, &header);
	ring->out[head] = 1;
	ring_publish(guest, ring, head);
	ring_kick(guest, ring, old);
	return 0;
}

/* Where a received frame goes. */
struct frame_room {
	uint8_t *bytes;
	size_t used, max;
};

/* One buffer's bytes after `skip` to the frame; the buffer back to the device. */
static void ring_drain(struct fake_guest *guest, struct fake_ring *ring,
	struct ring_used_entry entry, size_t skip, struct frame_room *room)
{
	size_t some = entry.len > skip ? entry.len - skip : 0;

	if (some > room->max - room->used)
		some = room->max - room->used;
	memcpy(room->bytes + room->used,
		(const uint8_t *)guest_peek(
			guest, ring->buffers + (uint64_t)entry.id * FAKE_GUEST_BUFFER) +
			skip,
		some);
	room->used += some;
	ring_offer(guest, ring, (uint16_t)entry.id);
}

int fake_guest_receive(struct fake_guest *guest, uint16_t pair, void *frame, size_t max,
	struct fake_frame_info *info)
{
	struct fake_ring *ring = &guest->ring[2 * pair];
	uint16_t old = ring->avail_next;
	struct frame_header header;
	uint32_t len;
	struct frame_room room = {frame, 0, max};
	int id = ring_take_used(guest, ring, &len);

	if (id < 0)
		return -EAGAIN;
	memcpy(&header, guest_peek(guest, ring->buffers + (uint64_t)id * FAKE_GUEST_BUFFER),
		sizeof(header));
	if (info)
		*info = (struct fake_frame_info){
			header.flags, header.gso_type, header.csum_start, header.csum_offset};
	ring_drain(guest, ring, (struct ring_used_entry){(uint32_t)id, len}, sizeof(header), &room);
	for (uint16_t i = 1; i < header.buffers; i++) {
		id = ring_take_used(guest, ring, &len);
		if (id < 0)
			return -EBADMSG;
		ring_drain(guest, ring, (struct ring_used_entry){(uint32_t)id, len}, 0, &room);
	}
	ring_kick(guest, ring, old);
	return (int)room.used;
}

int fake_guest_receive_wait(
	struct fake_guest *guest, uint16_t pair, void *frame, size_t max, int timeout_ms)
{
	struct pollfd pfd = {.fd = guest->ring[2 * pair].call, .events = POLLIN};
	eventfd_t value;
	int ret;

	while ((ret = fake_guest_receive(guest, pair, frame, max, NULL)) == -EAGAIN) {
		if (poll(&pfd, 1, timeout_ms) != 1)
			return -ETIMEDOUT;
		eventfd_read(pfd.fd, &value);
	}
	return ret;
}

uint16_t fake_guest_used(const struct fake_guest *guest, uint16_t ring)
{
	return guest_get16(guest, guest->ring[ring].used + 2);
}

void fake_guest_track(struct fake_guest *guest)
{
	free(guest->touched);
	guest->touched = calloc(guest->size_bytes / FAKE_GUEST_PAGE, 1);
}

static void guest_copy_driver(struct fake_guest *to, const struct fake_guest *from)
{
	for (uint16_t i = 0; i < 2 * from->params.pairs; i++) {
		const struct fake_ring *source = &from->ring[i];
		struct fake_ring *ring = &to->ring[i];

		ring->avail_next = source->avail_next;
		ring->used_seen = source->used_seen;
		ring->base = source->base;
		ring->free_count = source->free_count;
		memcpy(ring->free, source->free, source->size * sizeof(uint16_t));
		memcpy(ring->out, source->out, source->size);
	}
	to->features = from->features;
}

struct fake_guest *fake_guest_clone(const struct fake_guest *guest)
{
	struct fake_guest *copy = fake_guest_new(&guest->params);

	if (!copy)
		return NULL;
	memcpy(copy->memory, guest->memory, guest->size_bytes);
	guest_copy_driver(copy, guest);
	return copy;
}

size_t fake_guest_copy_dirty(
	struct fake_guest *to, const struct fake_guest *from, const uint8_t *log)
{
	size_t copied = 0;

	for (size_t page = 0; page < from->size_bytes / FAKE_GUEST_PAGE; page++) {
		bool logged = log && (log[page / 8] & 1u << page % 8);
		size_t at = page * FAKE_GUEST_PAGE;

		if (!logged && !(from->touched && from->touched[page]))
			continue;
		memcpy(to->memory + at, from->memory + at, FAKE_GUEST_PAGE);
		copied++;
	}
	guest_copy_driver(to, from);
	return copied;
}
