/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "ctrl/migrate/mover_impl.h"

#define SEND_MS 10000
#define KEEPALIVE_NS 1000000000ULL
#define SILENCE_NS 6000000000ULL
#define POLL_MS 100
#define FDLESS_NS 500000ULL /* a wire without a descriptor is looked at so often */

uint64_t move_now_ns(const struct move *move)
{
	return channel_world_now_ns(&move->mover->world);
}

void move_wake(struct move *move)
{
	uint64_t one = 1;

	atomic_store(&move->kicked, true);
	if (write(move->wake_fd, &one, sizeof(one)) < 0)
		return; /* full: awake anyway */
}

void move_channel_drop(struct move *move)
{
	struct channel_stats stats;

	if (!move->channel)
		return;
	channel_stats(move->channel, &stats);
	move->bytes_sent += stats.sent_bytes;
	move->bytes_received += stats.received_bytes;
	channel_close(move->channel);
	move->channel = NULL;
}

struct wire_writer move_writer(struct move *move)
{
	struct wire_writer w;

	wire_writer_init(&w, move->payload, FRAME_PAYLOAD_MAX_BYTES);
	return w;
}

int move_send(struct move *move, uint16_t type, uint16_t section, uint32_t port,
	const struct wire_writer *w)
{
	struct frame_kind kind = {.type = type,
		.section = section,
		.stream = port,
		.mandatory = type != STREAM_KEEPALIVE};

	if (!move->channel)
		return MOVE_LOST;
	if (w && !wire_writer_ok(w))
		return -EMSGSIZE;
	move->said_ns = move_now_ns(move);
	if (channel_send(move->channel, &kind, move->payload, w ? wire_writer_len(w) : 0,
		    channel_deadline_ns(move->channel, SEND_MS)) != 0)
		return MOVE_LOST;
	return 0;
}

int move_send_text(struct move *move, uint16_t type, const char *text)
{
	struct wire_writer w = move_writer(move);

	wire_put_string(&w, text);
	return move_send(move, type, STREAM_SECTION_MOVE, 0, &w);
}

/* One frame if it is there. 1: taken. */
static int link_take(struct move *move, int *handled)
{
	struct frame frame;
	int rc = channel_recv(move->channel, &frame, 0);

	if (rc == -ETIMEDOUT)
		return 0;
	if (rc != 0)
		return MOVE_LOST;
	move->heard_ns = move_now_ns(move);
	*handled = 1;
	if (frame.kind.type == STREAM_KEEPALIVE)
		return 0;
	return move->source ? source_frame(move, &frame) : dest_frame(move, &frame);
}

static void wake_clear(struct move *move)
{
	uint64_t count;

	if (read(move->wake_fd, &count, sizeof(count)) < 0)
		return;
}

static void link_sleep(struct move *move, uint64_t now_ns, uint64_t until_ns)
{
	int fd = move->channel ? channel_fd(move->channel) : -1;
	uint64_t left_ns = until_ns > now_ns ? until_ns - now_ns : 0;
	struct pollfd fds[2] = {
		{.fd = move->wake_fd, .events = POLLIN}, {.fd = fd, .events = POLLIN}};
	struct timespec timeout;

	if (move->channel && fd < 0) {
		channel_pause(move->channel, now_ns + (left_ns < FDLESS_NS ? left_ns : FDLESS_NS));
		return;
	}
	if (left_ns > POLL_MS * 1000000ULL)
		left_ns = POLL_MS * 1000000ULL;
	timeout.tv_sec = 0;
	timeout.tv_nsec = (long)left_ns;
	ppoll(fds, 2, &timeout, NULL);
	if (fds[0].revents)
		wake_clear(move);
}

/* The other side must be heard from time to time, and hear us. */
static int link_alive(struct move *move, uint64_t now_ns)
{
	/* While we were at work nobody listened: that is no silence of theirs. */
	if (now_ns - move->listened_ns > KEEPALIVE_NS)
		move->heard_ns = now_ns;
	move->listened_ns = now_ns;
	if (now_ns - move->said_ns > KEEPALIVE_NS)
		return move_send(move, STREAM_KEEPALIVE, 0, 0, NULL);
	return 0;
}

int move_pump(struct move *move, uint64_t until_ns)
{
	int handled = 0, rc;

	if (move->channel && !channel_has_input(move->channel) &&
		channel_flush(move->channel, channel_deadline_ns(move->channel, SEND_MS)) != 0)
		return MOVE_LOST;
	for (;;) {
		uint64_t now_ns = move_now_ns(move);

		if (atomic_load(&move->stop))
			return -ESHUTDOWN;
		if (atomic_load(&move->abort) && !move->undone)
			return -ECANCELED;
		rc = move_limit_look(move);
		if (rc != 0)
			return rc;
		if (move->channel) {
			rc = link_alive(move, now_ns);
			if (rc == 0)
				rc = link_take(move, &handled);
			if (rc != 0 || handled)
				return rc;
			if (now_ns - move->heard_ns > SILENCE_NS)
				return MOVE_LOST;
		}
		if (atomic_exchange(&move->kicked, false) || now_ns >= until_ns)
			return 0;
		link_sleep(move, now_ns, until_ns);
	}
}
