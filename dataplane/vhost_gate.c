/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The library reads header and payload without poll and writes answers the same way, on one
 * thread for all ports. So it gets a message only when it is whole, and at most GATE_OWED_MAX
 * answers are asked for at a time, which its socket buffer holds: neither call can block. A front
 * end that leaves a message half sent, or its answers unread, for GATE_STUCK_MS is cut off,
 * alone.
 *
 * The price is one more thread in the way of each message (two wake-ups per question and answer).
 */
#include "dataplane/vhost_gate.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define GATE_STUCK_MS 2000
#define GATE_OWED_MAX 16
#define GATE_STEPS_MAX 64 /* messages in one go; others want their turn */

enum gate_step { GATE_MOVED, GATE_WAIT, GATE_CUT };

void vhost_gate_init(struct vhost_gate *gate, int front, int back)
{
	memset(gate, 0, sizeof(*gate));
	gate->front = front;
	gate->back = back;
}

static void gate_drop_fds(struct vhost_gate *gate)
{
	for (int i = 0; i < gate->fd_count; i++)
		close(gate->fds[i]);
	gate->fd_count = 0;
}

void vhost_gate_close_front(struct vhost_gate *gate)
{
	gate_drop_fds(gate);
	if (gate->front >= 0)
		close(gate->front);
	gate->front = -1;
}

void vhost_gate_close_back(struct vhost_gate *gate)
{
	if (gate->back >= 0)
		close(gate->back);
	gate->back = -1;
}

/* Bytes a message needs beyond those it has: the header first, then what the header says. */
static uint32_t message_lacks(const struct vhost_message *msg, uint32_t bytes)
{
	uint32_t whole = VHOST_HEADER_BYTES + (bytes < VHOST_HEADER_BYTES ? 0 : msg->size);

	return whole - bytes;
}

/* Keeps the descriptors; false: too many, or part of them lost. All are kept or closed. */
static bool gate_keep_fds(struct vhost_gate *gate, struct msghdr *msg)
{
	bool ok = !(msg->msg_flags & MSG_CTRUNC);

	for (struct cmsghdr *c = CMSG_FIRSTHDR(msg); c; c = CMSG_NXTHDR(msg, c)) {
		const int *fds = (const int *)(const void *)CMSG_DATA(c);
		size_t n = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);

		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
			continue;
		for (size_t i = 0; i < n; i++) {
			if (gate->fd_count < VHOST_FDS_MAX) {
				gate->fds[gate->fd_count++] = fds[i];
			} else {
				close(fds[i]);
				ok = false;
			}
		}
	}
	return ok;
}

static enum gate_step gate_receive(struct vhost_gate *gate)
{
	union {
		struct cmsghdr align;
		char room[CMSG_SPACE(VHOST_FDS_MAX * sizeof(int))];
	} control;
	struct iovec iov = {.iov_base = (uint8_t *)&gate->in + gate->in_bytes,
		.iov_len = message_lacks(&gate->in, gate->in_bytes)};
	struct msghdr msg = {.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = &control,
		.msg_controllen = sizeof(control)};
	ssize_t n = recvmsg(gate->front, &msg, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);

	if (n < 0)
		return errno == EAGAIN || errno == EINTR ? GATE_WAIT : GATE_CUT;
	if (n == 0 || !gate_keep_fds(gate, &msg))
		return GATE_CUT;
	gate->in_bytes += (uint32_t)n;
	return GATE_MOVED;
}

/* One whole message to the library; its descriptors are the library's then. */
static enum gate_step gate_forward(struct vhost_gate *gate)
{
	union {
		struct cmsghdr align;
		char room[CMSG_SPACE(VHOST_FDS_MAX * sizeof(int))];
	} control;
	struct iovec iov = {.iov_base = &gate->in, .iov_len = gate->in_bytes};
	struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};
	size_t fd_bytes = sizeof(int) * (size_t)gate->fd_count;

	if (gate->fd_count) {
		memset(&control, 0, sizeof(control));
		msg.msg_control = &control;
		msg.msg_controllen = CMSG_SPACE(fd_bytes);
		control.align.cmsg_level = SOL_SOCKET;
		control.align.cmsg_type = SCM_RIGHTS;
		control.align.cmsg_len = CMSG_LEN(fd_bytes);
		memcpy(CMSG_DATA(&control.align), gate->fds, fd_bytes);
	}
	if (sendmsg(gate->back, &msg, MSG_DONTWAIT | MSG_NOSIGNAL) < 0)
		return errno == EAGAIN || errno == EINTR ? GATE_WAIT : GATE_CUT;
	gate->owed += vhost_guard_answered(&gate->in);
	gate_drop_fds(gate);
	gate->in_bytes = 0;
	gate->in_whole = false;
	gate->stuck_ms = 0;
	return GATE_MOVED;
}

static enum gate_step gate_in(struct vhost_gate *gate, const char **reason)
{
	enum gate_step step;

	if (gate->in_whole)
		return gate_forward(gate);
	if (gate->owed >= GATE_OWED_MAX)
		return GATE_WAIT;
	step = gate_receive(gate);
	if (step != GATE_MOVED || gate->in_bytes < VHOST_HEADER_BYTES)
		return step;
	*reason = "message longer than any";
	if (gate->in.size > VHOST_PAYLOAD_MAX)
		return GATE_CUT;
	*reason = NULL;
	if (message_lacks(&gate->in, gate->in_bytes))
		return GATE_MOVED;
	*reason = "message refused";
	if (!vhost_guard_allows(&gate->guard, &gate->in, gate->fds, gate->fd_count))
		return GATE_CUT;
	*reason = NULL;
	gate->in_whole = true;
	return GATE_MOVED;
}

/* Answers carry no descriptors: none of the features with such are offered. */
static enum gate_step gate_out_receive(struct vhost_gate *gate)
{
	uint32_t lacks = message_lacks(&gate->out, gate->out_bytes);
	ssize_t n = recv(gate->back, (uint8_t *)&gate->out + gate->out_bytes, lacks, MSG_DONTWAIT);

	if (n < 0)
		return errno == EAGAIN || errno == EINTR ? GATE_WAIT : GATE_CUT;
	gate->out_bytes += (uint32_t)n;
	if (n == 0 || (gate->out_bytes >= VHOST_HEADER_BYTES && gate->out.size > VHOST_PAYLOAD_MAX))
		return GATE_CUT;
	return GATE_MOVED;
}

static enum gate_step gate_out(struct vhost_gate *gate)
{
	ssize_t n;

	if (gate->out_bytes < VHOST_HEADER_BYTES || message_lacks(&gate->out, gate->out_bytes))
		return gate_out_receive(gate);
	if (!gate->out_sent)
		vhost_guard_answer(&gate->guard, &gate->out);
	n = send(gate->front, (uint8_t *)&gate->out + gate->out_sent,
		gate->out_bytes - gate->out_sent, MSG_DONTWAIT | MSG_NOSIGNAL);
	if (n < 0)
		return errno == EAGAIN || errno == EINTR ? GATE_WAIT : GATE_CUT;
	gate->out_sent += (uint32_t)n;
	if (gate->out_sent == gate->out_bytes) {
		gate->out_bytes = gate->out_sent = 0;
		gate->stuck_ms = 0;
		gate->owed -= gate->owed > 0;
	}
	return GATE_MOVED;
}

/*
 * Half a message from the front end, or an answer it does not take. A message that waits for the
 * library is not its fault.
 */
static bool gate_stuck(const struct vhost_gate *gate)
{
	return (gate->in_bytes && !gate->in_whole) || gate->out_bytes;
}

bool vhost_gate_run(struct vhost_gate *gate, uint64_t now_ms, const char **reason)
{
	enum gate_step in = GATE_MOVED, out = GATE_MOVED;

	*reason = NULL;
	for (int i = 0; i < GATE_STEPS_MAX && (in == GATE_MOVED || out == GATE_MOVED); i++) {
		/* Answers first: the last ones still go out when the front end said goodbye. */
		out = gate_out(gate);
		in = out == GATE_CUT ? GATE_CUT : gate_in(gate, reason);
		if (in == GATE_CUT || out == GATE_CUT)
			return false;
	}
	gate->more = in == GATE_MOVED || out == GATE_MOVED;
	if (!gate_stuck(gate))
		gate->stuck_ms = 0;
	else if (!gate->stuck_ms)
		gate->stuck_ms = now_ms;
	if (gate->stuck_ms && now_ms - gate->stuck_ms >= GATE_STUCK_MS) {
		*reason = "half a message, or answers not read";
		return false;
	}
	return true;
}

short vhost_gate_front_events(const struct vhost_gate *gate)
{
	bool reads = !gate->in_whole && gate->owed < GATE_OWED_MAX;

	return (reads ? POLLIN : 0) | (gate->out_bytes ? POLLOUT : 0);
}

short vhost_gate_back_events(const struct vhost_gate *gate)
{
	bool reads =
		gate->out_bytes < VHOST_HEADER_BYTES || message_lacks(&gate->out, gate->out_bytes);

	return (reads ? POLLIN : 0) | (gate->in_whole ? POLLOUT : 0);
}

uint64_t vhost_gate_deadline_ms(const struct vhost_gate *gate)
{
	if (gate->more)
		return 1;
	return gate->stuck_ms ? gate->stuck_ms + GATE_STUCK_MS : 0;
}
