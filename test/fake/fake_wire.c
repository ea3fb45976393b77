/* SPDX-License-Identifier: BSD-3-Clause */
#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "test/fake/fake_wire_impl.h"

#define WINDOW_BYTES (256 << 10)

static struct fake_direction *direction_out(const struct fake_end *end)
{
	return &end->wire->directions[end->side];
}

static struct fake_direction *direction_in(const struct fake_end *end)
{
	return &end->wire->directions[!end->side];
}

static bool other_end_is_closed(const struct fake_end *end)
{
	return end->wire->ends[!end->side].closed;
}

unsigned fake_end_ready(const struct fake_end *end)
{
	const struct fake_direction *in = direction_in(end), *out = direction_out(end);
	const struct fake_segment *first = STAILQ_FIRST(&in->segments);
	bool over = end->wire->reset || in->ended || other_end_is_closed(end);
	unsigned ready = 0;

	if (first == NULL ? over : first->due_ns <= end->wire->world->now_ns)
		ready |= CHANNEL_IO_READ;
	if (end->wire->reset || other_end_is_closed(end) ||
		out->queued_bytes < end->wire->window_bytes)
		ready |= CHANNEL_IO_WRITE;
	return ready;
}

uint64_t fake_end_due_ns(const struct fake_end *end)
{
	const struct fake_segment *first = STAILQ_FIRST(&direction_in(end)->segments);

	return first == NULL ? UINT64_MAX : first->due_ns;
}

static void direction_put(const struct fake_wire *wire, struct fake_direction *d,
	const uint8_t *bytes, size_t len_bytes)
{
	struct fake_segment *segment;

	if (len_bytes == 0 || d->swallow)
		return;
	segment = malloc(sizeof(*segment) + len_bytes);
	assert(segment != NULL);
	*segment = (struct fake_segment){
		.due_ns = wire->world->now_ns + d->delay_ns, .len_bytes = len_bytes};
	memcpy(segment->bytes, bytes, len_bytes);
	STAILQ_INSERT_TAIL(&d->segments, segment, entry);
	d->queued_bytes += len_bytes;
}

/* Keeps what was sent, for duplicates and replays. */
static void direction_remember(struct fake_direction *d, const uint8_t *bytes, size_t len_bytes)
{
	for (size_t i = 0; i < len_bytes; i++) {
		d->recent[(d->sent_bytes + i) % FAKE_RECENT_BYTES] = bytes[i];
		if (d->sent_bytes + i < FAKE_RECORD_BYTES)
			d->record[d->sent_bytes + i] = bytes[i];
	}
	d->sent_bytes += len_bytes;
}

static void direction_repeat(
	const struct fake_wire *wire, struct fake_direction *d, uint64_t n_bytes)
{
	uint8_t again[FAKE_RECENT_BYTES];

	if (n_bytes > d->sent_bytes)
		n_bytes = d->sent_bytes;
	if (n_bytes > FAKE_RECENT_BYTES)
		n_bytes = FAKE_RECENT_BYTES;
	for (uint64_t i = 0; i < n_bytes; i++)
		again[i] = d->recent[(d->sent_bytes - n_bytes + i) % FAKE_RECENT_BYTES];
	direction_put(wire, d, again, (size_t)n_bytes);
}

/* Takes the fault that strikes first before byte `end`, if there is one. */
static bool fault_take(struct fake_direction *d, uint64_t end, struct fake_fault *fault)
{
	unsigned first = d->n_faults;

	for (unsigned i = 0; i < d->n_faults; i++) {
		if (d->faults[i].at_byte < end &&
			(first == d->n_faults || d->faults[i].at_byte < d->faults[first].at_byte))
			first = i;
	}
	if (first == d->n_faults)
		return false;
	*fault = d->faults[first];
	memmove(&d->faults[first], &d->faults[first + 1],
		(d->n_faults - first - 1) * sizeof(d->faults[0]));
	d->n_faults--;
	return true;
}

/* The fault strikes at the next byte, of which *flip tells how it changes. */
static void fault_strike(struct fake_wire *wire, struct fake_direction *d,
	const struct fake_fault *fault, uint8_t *flip)
{
	switch (fault->kind) {
	case FAKE_FAULT_CUT:
		wire->reset = true;
		d->swallow = true;
		break;
	case FAKE_FAULT_END:
		d->ended = true;
		d->swallow = true;
		break;
	case FAKE_FAULT_STALL:
		d->swallow = true;
		break;
	case FAKE_FAULT_DROP:
		d->drop_bytes = fault->value;
		break;
	case FAKE_FAULT_DELAY:
		d->delay_ns = fault->value;
		break;
	case FAKE_FAULT_FLIP:
		*flip ^= (uint8_t)(1u << (fault->value & 7));
		break;
	case FAKE_FAULT_DUPLICATE:
		direction_repeat(wire, d, fault->value);
		break;
	case FAKE_FAULT_SPLIT:
		d->split_bytes = (size_t)fault->value;
		break;
	default:
		assert(!"unknown fault");
	}
}

/* Bytes without a fault among them, except that some may have to vanish. */
static void direction_pass(const struct fake_wire *wire, struct fake_direction *d,
	const uint8_t *bytes, size_t len_bytes)
{
	size_t dropped = d->drop_bytes < len_bytes ? (size_t)d->drop_bytes : len_bytes;

	d->drop_bytes -= dropped;
	direction_put(wire, d, bytes + dropped, len_bytes - dropped);
	direction_remember(d, bytes, len_bytes);
}

static void direction_send(
	struct fake_wire *wire, struct fake_direction *d, const uint8_t *bytes, size_t len_bytes)
{
	struct fake_fault fault;
	uint8_t flip, changed;
	size_t before;

	while (len_bytes > 0 && fault_take(d, d->sent_bytes + len_bytes, &fault)) {
		before =
			fault.at_byte > d->sent_bytes ? (size_t)(fault.at_byte - d->sent_bytes) : 0;
		direction_pass(wire, d, bytes, before);
		bytes += before;
		len_bytes -= before;
		flip = 0;
		fault_strike(wire, d, &fault, &flip);
		if (flip == 0)
			continue;
		changed = *bytes ^ flip;
		direction_pass(wire, d, &changed, 1);
		bytes++;
		len_bytes--;
	}
	direction_pass(wire, d, bytes, len_bytes);
}

static ssize_t end_send(void *ctx, const void *buf, size_t len_bytes)
{
	struct fake_end *end = ctx;
	struct fake_wire *wire = end->wire;
	struct fake_direction *out = direction_out(end);
	ssize_t n = (ssize_t)len_bytes;

	pthread_mutex_lock(&wire->world->lock);
	if (wire->reset || other_end_is_closed(end))
		n = wire->reset ? -ECONNRESET : -EPIPE;
	else if (out->queued_bytes >= wire->window_bytes)
		n = -EAGAIN;
	else if (len_bytes > wire->window_bytes - out->queued_bytes)
		n = (ssize_t)(wire->window_bytes - out->queued_bytes);
	if (n > 0)
		direction_send(wire, out, buf, (size_t)n);
	pthread_cond_broadcast(&wire->world->changed);
	pthread_mutex_unlock(&wire->world->lock);
	return n;
}

/* How much one read may get. */
static size_t direction_read_size(struct fake_direction *in, size_t room_bytes)
{
	size_t most = room_bytes;

	if (in->split_bytes > 0) {
		in->split_seed = in->split_seed * 1103515245u + 12345u;
		most = 1 + (in->split_seed >> 16) % in->split_bytes;
	}
	return most < room_bytes ? most : room_bytes;
}

static size_t direction_read(
	struct fake_direction *in, uint64_t now_ns, uint8_t *to, size_t room_bytes)
{
	size_t most = direction_read_size(in, room_bytes), n, done = 0;
	struct fake_segment *segment;

	while (done < most && (segment = STAILQ_FIRST(&in->segments)) != NULL &&
		segment->due_ns <= now_ns) {
		n = segment->len_bytes - segment->at;
		if (n > most - done)
			n = most - done;
		memcpy(to + done, segment->bytes + segment->at, n);
		done += n;
		segment->at += n;
		in->queued_bytes -= n;
		if (segment->at == segment->len_bytes) {
			STAILQ_REMOVE_HEAD(&in->segments, entry);
			free(segment);
		}
	}
	return done;
}

static ssize_t end_recv(void *ctx, void *buf, size_t len_bytes)
{
	struct fake_end *end = ctx;
	struct fake_wire *wire = end->wire;
	struct fake_direction *in = direction_in(end);
	ssize_t n;

	pthread_mutex_lock(&wire->world->lock);
	n = (ssize_t)direction_read(in, wire->world->now_ns, buf, len_bytes);
	if (n == 0 && !STAILQ_EMPTY(&in->segments))
		n = -EAGAIN;
	else if (n == 0 && wire->reset)
		n = -ECONNRESET;
	else if (n == 0 && !in->ended && !other_end_is_closed(end))
		n = -EAGAIN;
	pthread_cond_broadcast(&wire->world->changed);
	pthread_mutex_unlock(&wire->world->lock);
	return n;
}

static int end_wait(
	void *ctx, unsigned want, uint64_t deadline_ns, const struct channel_cancel *cancel)
{
	struct fake_end *end = ctx;
	const struct fake_waiter how = {
		.end = end, .want = want, .deadline_ns = deadline_ns, .cancel = cancel};

	return fake_world_wait(end->wire->world, &how);
}

static void end_finish(void *ctx)
{
	struct fake_end *end = ctx;

	pthread_mutex_lock(&end->wire->world->lock);
	if (!direction_out(end)->swallow)
		direction_out(end)->ended = true;
	pthread_cond_broadcast(&end->wire->world->changed);
	pthread_mutex_unlock(&end->wire->world->lock);
}

static int end_fd(void *ctx)
{
	return -1;
}

static void direction_clear(struct fake_direction *d)
{
	struct fake_segment *segment;

	while ((segment = STAILQ_FIRST(&d->segments)) != NULL) {
		STAILQ_REMOVE_HEAD(&d->segments, entry);
		free(segment);
	}
	free(d->record);
}

void fake_wire_put(struct fake_wire *wire)
{
	bool last;

	pthread_mutex_lock(&wire->world->lock);
	last = --wire->references == 0;
	pthread_mutex_unlock(&wire->world->lock);
	if (!last)
		return;
	direction_clear(&wire->directions[FAKE_CLIENT]);
	direction_clear(&wire->directions[FAKE_SERVER]);
	free(wire);
}

static void end_close(void *ctx)
{
	struct fake_end *end = ctx;

	pthread_mutex_lock(&end->wire->world->lock);
	assert(!end->closed);
	end->closed = true;
	pthread_cond_broadcast(&end->wire->world->changed);
	pthread_mutex_unlock(&end->wire->world->lock);
	fake_wire_put(end->wire);
}

static const struct channel_io_ops end_ops = {
	.recv = end_recv,
	.send = end_send,
	.wait = end_wait,
	.finish = end_finish,
	.fd = end_fd,
	.close = end_close,
};

static void direction_init(struct fake_direction *d)
{
	STAILQ_INIT(&d->segments);
	d->split_seed = 1;
	d->record = malloc(FAKE_RECORD_BYTES);
	assert(d->record != NULL);
}

struct fake_wire *fake_wire_pair(struct fake_world *world, const struct fake_ends *ends,
	struct channel_io *client, struct channel_io *server)
{
	struct fake_wire *wire = calloc(1, sizeof(*wire));

	assert(wire != NULL);
	wire->world = world;
	wire->references = 3;
	wire->window_bytes = WINDOW_BYTES;
	for (int side = 0; side < 2; side++) {
		wire->ends[side] = (struct fake_end){.wire = wire, .side = side};
		direction_init(&wire->directions[side]);
	}
	*client = (struct channel_io){.ops = &end_ops,
		.ctx = &wire->ends[FAKE_CLIENT],
		.address = ends->server,
		.has_address = true,
		.is_local = ends->is_local};
	*server = (struct channel_io){.ops = &end_ops,
		.ctx = &wire->ends[FAKE_SERVER],
		.address = ends->client,
		.has_address = true,
		.is_local = ends->is_local};
	return wire;
}

struct fake_wire *fake_wire_hold(struct fake_wire *wire)
{
	pthread_mutex_lock(&wire->world->lock);
	wire->references++;
	pthread_mutex_unlock(&wire->world->lock);
	return wire;
}

void fake_wire_fault(struct fake_wire *wire, const struct fake_fault *fault)
{
	struct fake_direction *d = &wire->directions[fault->from];

	pthread_mutex_lock(&wire->world->lock);
	assert(d->n_faults < FAKE_FAULTS_MAX);
	d->faults[d->n_faults++] = *fault;
	pthread_mutex_unlock(&wire->world->lock);
}

void fake_wire_set_window(struct fake_wire *wire, size_t window_bytes)
{
	pthread_mutex_lock(&wire->world->lock);
	wire->window_bytes = window_bytes;
	pthread_mutex_unlock(&wire->world->lock);
}

uint64_t fake_wire_sent(struct fake_wire *wire, enum fake_side from)
{
	uint64_t sent_bytes;

	pthread_mutex_lock(&wire->world->lock);
	sent_bytes = wire->directions[from].sent_bytes;
	pthread_mutex_unlock(&wire->world->lock);
	return sent_bytes;
}

size_t fake_wire_recorded(struct fake_wire *wire, enum fake_side from, void *out, size_t out_bytes)
{
	const struct fake_direction *d = &wire->directions[from];
	size_t n;

	pthread_mutex_lock(&wire->world->lock);
	n = d->sent_bytes < FAKE_RECORD_BYTES ? (size_t)d->sent_bytes : FAKE_RECORD_BYTES;
	if (n > out_bytes)
		n = out_bytes;
	memcpy(out, d->record, n);
	pthread_mutex_unlock(&wire->world->lock);
	return n;
}
