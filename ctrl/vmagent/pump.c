/* SPDX-License-Identifier: BSD-3-Clause */
#include "ctrl/vmagent/pump.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <zstd.h>

/* A wait is ended by the cancel, never by the clock; channels want a deadline all the same. */
#define FOR_EVER_MS (24 * 3600 * 1000ull)

const uint16_t vmagent_frame_types[4] = {
	VMAGENT_FRAME_WORD, VMAGENT_FRAME_DATA, VMAGENT_FRAME_ZSTD, VMAGENT_FRAME_END};

struct pump {
	const struct pump_options *options;
	atomic_int broken; /* the first -errno */
};

static void pump_break(struct pump *pump, int err)
{
	int none = 0;

	atomic_compare_exchange_strong(&pump->broken, &none, err);
	channel_cancel_set(pump->options->cancel);
}

static int qemu_wait(const struct pump *pump, short events)
{
	struct pollfd fds[2] = {{.fd = pump->options->qemu_fd, .events = events},
		{.fd = pump->options->cancel->fd, .events = POLLIN}};

	poll(fds, 2, -1);
	return fds[1].revents ? -ECANCELED : 0;
}

/* Bytes from QEMU, waiting; 0: it ended its stream. */
static ssize_t qemu_read(struct pump *pump, void *bytes, size_t room_bytes)
{
	ssize_t got;
	int err;

	for (;;) {
		got = read(pump->options->qemu_fd, bytes, room_bytes);
		if (got >= 0)
			return got;
		if (errno != EAGAIN && errno != EINTR)
			return -errno;
		err = qemu_wait(pump, POLLIN);
		if (err)
			return err;
	}
}

static int qemu_write(struct pump *pump, const uint8_t *bytes, size_t len_bytes)
{
	ssize_t put;
	int err;

	while (len_bytes > 0) {
		put = send(pump->options->qemu_fd, bytes, len_bytes, MSG_NOSIGNAL);
		if (put > 0) {
			bytes += put;
			len_bytes -= put;
			continue;
		}
		if (errno != EAGAIN && errno != EINTR)
			return -errno;
		err = qemu_wait(pump, POLLOUT);
		if (err)
			return err;
	}
	return 0;
}

static uint64_t for_ever(const struct pump *pump)
{
	return channel_deadline_ns(pump->options->channel, FOR_EVER_MS);
}

static int out_end(struct pump *pump)
{
	const struct frame_kind end = {.type = VMAGENT_FRAME_END, .mandatory = true};

	return channel_send(pump->options->channel, &end, NULL, 0, for_ever(pump));
}

/* Reads straight into the frame that goes out. */
static int out_plain(struct pump *pump)
{
	const struct frame_kind data = {.type = VMAGENT_FRAME_DATA, .mandatory = true};
	struct channel *channel = pump->options->channel;
	uint8_t *room;
	ssize_t got;
	int err;

	for (;;) {
		err = channel_reserve(channel, &data, PUMP_CHUNK_BYTES, for_ever(pump), &room);
		if (err)
			return err;
		got = qemu_read(pump, room, PUMP_CHUNK_BYTES);
		if (got <= 0)
			return got < 0 ? got : out_end(pump);
		channel_commit(channel, got);
		*pump->options->memory_bytes += got;
		*pump->options->wire_bytes += got;
		err = channel_flush(channel, for_ever(pump));
		if (err)
			return err;
	}
}

struct packer {
	ZSTD_CCtx *zstd;
	uint8_t plain[PUMP_CHUNK_BYTES], packed[PUMP_CHUNK_BYTES];
};

static int out_packed(struct pump *pump, struct packer *packer)
{
	struct frame_kind kind = {.mandatory = true};
	size_t packed;
	ssize_t got;
	int err;

	for (;;) {
		got = qemu_read(pump, packer->plain, PUMP_CHUNK_BYTES);
		if (got <= 0)
			return got < 0 ? got : out_end(pump);
		packed = ZSTD_compressCCtx(packer->zstd, packer->packed, PUMP_CHUNK_BYTES,
			packer->plain, got, pump->options->zstd_level);
		kind.type = VMAGENT_FRAME_ZSTD;
		if (ZSTD_isError(packed) || packed > (size_t)got - got / 8) {
			kind.type = VMAGENT_FRAME_DATA;
			packed = got;
		}
		*pump->options->memory_bytes += got;
		*pump->options->wire_bytes += packed;
		err = channel_send(pump->options->channel, &kind,
			kind.type == VMAGENT_FRAME_DATA ? packer->plain : packer->packed, packed,
			for_ever(pump));
		if (err)
			return err;
	}
}

static int out_run(struct pump *pump)
{
	struct packer *packer;
	int err = -ENOMEM;

	if (pump->options->zstd_level == 0)
		return out_plain(pump);
	packer = malloc(sizeof(*packer));
	if (packer == NULL)
		return -ENOMEM;
	packer->zstd = ZSTD_createCCtx();
	if (packer->zstd != NULL)
		err = out_packed(pump, packer);
	ZSTD_freeCCtx(packer->zstd);
	free(packer);
	return err;
}

struct unpacker {
	ZSTD_DCtx *zstd;
	uint8_t plain[PUMP_CHUNK_BYTES];
};

static int in_give(struct pump *pump, struct unpacker *unpacker, const struct frame *frame)
{
	const uint8_t *bytes = frame->payload;
	size_t len_bytes = frame->payload_bytes;
	int err;

	*pump->options->wire_bytes += len_bytes;
	if (frame->kind.type == VMAGENT_FRAME_ZSTD) {
		len_bytes = ZSTD_decompressDCtx(unpacker->zstd, unpacker->plain, PUMP_CHUNK_BYTES,
			frame->payload, frame->payload_bytes);
		if (ZSTD_isError(len_bytes))
			return -EBADMSG;
		bytes = unpacker->plain;
	}
	err = qemu_write(pump, bytes, len_bytes);
	if (err == 0)
		*pump->options->memory_bytes += len_bytes;
	return err;
}

static int in_loop(struct pump *pump, struct unpacker *unpacker)
{
	struct frame frame;
	int err;

	for (;;) {
		err = channel_recv(pump->options->channel, &frame, for_ever(pump));
		if (err)
			return err;
		switch (frame.kind.type) {
		case VMAGENT_FRAME_DATA:
		case VMAGENT_FRAME_ZSTD:
			err = in_give(pump, unpacker, &frame);
			if (err)
				return err;
			break;
		case VMAGENT_FRAME_END:
			shutdown(pump->options->qemu_fd, SHUT_WR);
			return 0;
		default:
			return -EPROTO;
		}
	}
}

static void *in_main(void *arg)
{
	struct pump *pump = arg;
	struct unpacker *unpacker = malloc(sizeof(*unpacker));
	int err = -ENOMEM;

	if (unpacker != NULL) {
		unpacker->zstd = ZSTD_createDCtx();
		if (unpacker->zstd != NULL)
			err = in_loop(pump, unpacker);
		ZSTD_freeDCtx(unpacker->zstd);
	}
	free(unpacker);
	if (err)
		pump_break(pump, err);
	return NULL;
}

int pump_run(const struct pump_options *options)
{
	struct pump pump = {.options = options};
	pthread_t in;
	int err;

	fcntl(options->qemu_fd, F_SETFL, fcntl(options->qemu_fd, F_GETFL) | O_NONBLOCK);
	err = -pthread_create(&in, NULL, in_main, &pump);
	if (err)
		return err;
	err = out_run(&pump);
	if (err)
		pump_break(&pump, err);
	pthread_join(in, NULL);
	return pump.broken;
}
