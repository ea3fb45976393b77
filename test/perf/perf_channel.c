/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * How fast a channel carries session records, and memory, over loopback with TLS 1.3: one thread
 * packs and sends, one receives and reads every record. The receiver checks that all arrived.
 *
 *   perf_channel [--seconds S] [--plain]
 *
 * "One core" is by the CPU time of the thread, so it holds on a machine that has other things to
 * do. A record is what a moved session looks like: 90 bytes in the mean, with addresses and ports
 * that differ from their neighbours', timers and counters as varints, and NAT for some.
 */
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "ctrl/channel/listener.h"
#include "ctrl/channel/wire.h"
#include "test/fake/fake_channel.h"

#define RECORD_MAX_BYTES 128
#define NS_PER_S 1000000000ull

static const uint16_t types[] = {0x0100, 0x0101};
static const struct frame_kind records_kind = {.type = 0x0100, .mandatory = true};
static const struct frame_kind memory_kind = {.type = 0x0101, .mandatory = true};

struct run {
	const char *name;
	bool plain, lz4, memory;
	size_t frame_bytes;
	uint64_t for_ns;
	/* results */
	uint64_t sent, received, received_bytes;
	uint64_t wall_ns, send_cpu_ns, receive_cpu_ns;
	uint64_t wire_bytes, raw_bytes;
	bool failed;
};

static uint64_t clock_ns(clockid_t clock)
{
	struct timespec ts;

	clock_gettime(clock, &ts);
	return (uint64_t)ts.tv_sec * NS_PER_S + (uint64_t)ts.tv_nsec;
}

static uint64_t scatter(uint64_t x)
{
	x ^= x >> 31;
	x *= 0x9e3779b97f4a7c15ull;
	return x ^ x >> 29;
}

static size_t record_pack(uint8_t *to, uint64_t i)
{
	uint64_t noise = scatter(i + 1);
	struct wire_writer w;

	wire_writer_init(&w, to, RECORD_MAX_BYTES);
	wire_put_u8(&w, 0); /* length, below */
	wire_put_u64(&w, i);
	wire_put_u8(&w, 6);
	wire_put_u32(&w, 0x0a000005); /* the VM's own address */
	wire_put_u32(&w, 0x0a000000 | (uint32_t)(noise & 0xffff));
	wire_put_u16(&w, (uint16_t)(i & 1 ? 443 : 80));
	wire_put_u16(&w, (uint16_t)(32768 + noise % 28000));
	wire_put_u16(&w, 0x0404); /* state of both directions */
	wire_put_varint(&w, 86400000 - noise % 10000000); /* lifetime left, ms */
	for (unsigned direction = 0; direction < 2; direction++) {
		wire_put_u32(&w, (uint32_t)scatter(noise + direction));
		wire_put_u32(&w, (uint32_t)scatter(noise + direction) + 29200);
		wire_put_u32(&w, 65535);
		wire_put_u8(&w, 7);
		wire_put_varint(&w, noise % 5000);
		wire_put_varint(&w, noise % 5000 * 700);
		wire_put_varint(&w, i % 97);
	}
	wire_put_u64(&w, noise); /* birth id */
	wire_put_varint(&w, i % 7 + 1);
	if (i % 2 == 0) {
		wire_put_u32(&w, 0xcb007107);
		wire_put_u16(&w, (uint16_t)(1024 + i % 64000));
		wire_put_u32(&w, 17);
	}
	wire_put_u64(&w, 0); /* plugin value */
	to[0] = (uint8_t)(wire_writer_len(&w) - 1);
	return wire_writer_len(&w);
}

static void receive_records(struct run *run, const struct frame *frame)
{
	struct wire_reader r, record;

	wire_reader_init(&r, frame->payload, frame->payload_bytes);
	while (wire_reader_left(&r) > 0) {
		record = wire_get_nested(&r, wire_get_u8(&r));
		if (wire_get_u64(&record) != run->received++)
			run->failed = true;
	}
}

static void serve(void *ctx, struct channel *channel)
{
	struct run *run = ctx;
	uint64_t cpu_ns = clock_ns(CLOCK_THREAD_CPUTIME_ID);
	struct frame frame;
	int ret;

	while ((ret = channel_recv(channel, &frame, channel_deadline_ns(channel, 10000))) == 0) {
		run->received_bytes += frame.payload_bytes;
		if (run->memory)
			run->received++;
		else
			receive_records(run, &frame);
	}
	run->receive_cpu_ns = clock_ns(CLOCK_THREAD_CPUTIME_ID) - cpu_ns;
	run->failed |= ret != -ESHUTDOWN;
	/* So that the sender's clock stops when all was read. */
	channel_finish(channel, channel_deadline_ns(channel, 10000));
	channel_close(channel);
}

static int send_one(struct channel *channel, struct run *run, uint64_t deadline_ns)
{
	const struct frame_kind *kind = run->memory ? &memory_kind : &records_kind;
	size_t len_bytes = run->memory ? run->frame_bytes : RECORD_MAX_BYTES;
	uint8_t *room;
	int ret = channel_reserve(channel, kind, len_bytes, deadline_ns, &room);

	if (ret < 0)
		return ret;
	if (!run->memory)
		len_bytes = record_pack(room, run->sent);
	else
		memset(room, (int)run->sent, 64); /* pages come from elsewhere by read() */
	channel_commit(channel, len_bytes);
	run->sent++;
	return 0;
}

static int send_all(struct channel *channel, struct run *run)
{
	uint64_t start_ns = channel_now_ns(channel), cpu_ns = clock_ns(CLOCK_THREAD_CPUTIME_ID);
	uint64_t deadline_ns = channel_deadline_ns(channel, 60000);
	struct channel_stats stats;
	struct frame frame;
	int ret = 0;

	while (ret == 0 &&
		(run->sent % 1024 != 0 || channel_now_ns(channel) - start_ns < run->for_ns))
		ret = send_one(channel, run, deadline_ns);
	if (ret == 0)
		ret = channel_finish(channel, deadline_ns);
	run->send_cpu_ns = clock_ns(CLOCK_THREAD_CPUTIME_ID) - cpu_ns;
	if (ret == 0 && channel_recv(channel, &frame, deadline_ns) != -ESHUTDOWN)
		ret = -EIO;
	run->wall_ns = channel_now_ns(channel) - start_ns;
	channel_stats(channel, &stats);
	run->wire_bytes = stats.sent_bytes;
	run->raw_bytes = stats.sent_raw_bytes;
	return ret;
}

static void report(const struct run *run)
{
	double s = (double)run->wall_ns / NS_PER_S;

	printf("%-26s %7.3f M%s/s %7.1f MB/s, wire %7.1f; one core: send %6.1f MB/s, receive "
	       "%6.1f MB/s",
		run->name, (double)run->received / s / 1e6, run->memory ? "frames" : "records",
		(double)run->raw_bytes / s / 1e6, (double)run->wire_bytes / s / 1e6,
		(double)run->raw_bytes * 1e3 / (double)run->send_cpu_ns,
		(double)run->raw_bytes * 1e3 / (double)run->receive_cpu_ns);
	if (!run->memory)
		printf(", send %.1f M/s, receive %.1f M/s, %.1f B/record",
			(double)run->sent * 1e3 / (double)run->send_cpu_ns,
			(double)run->sent * 1e3 / (double)run->receive_cpu_ns,
			(double)run->raw_bytes / (double)run->received);
	printf("\n");
}

static struct channel_host *host_new(const struct fake_ca *ca, const char *name, bool plain)
{
	struct channel_host *host = fake_channel_host(plain ? NULL : ca, name, NULL);
	const struct in6_addr local = fake_address("127.0.0.1");
	const struct channel_peer peers[] = {
		{.name = "source", .addresses = &local, .n_addresses = 1},
		{.name = "dest", .addresses = &local, .n_addresses = 1},
	};

	channel_host_set_peers(host, peers, 2);
	return host;
}

static int run_one(const struct fake_ca *ca, struct run *run)
{
	const struct channel_options options = {
		.types = types, .n_types = 2, .frame_bytes = run->frame_bytes, .lz4 = run->lz4};
	struct channel_host *source = host_new(ca, "source", run->plain);
	struct channel_host *dest = host_new(ca, "dest", run->plain);
	struct channel_listener_config config = {
		.endpoint.address = fake_address("127.0.0.1"),
		.accept = {.plain = run->plain,
			.options = options,
			.purposes = CHANNEL_PURPOSE_BIT(CHANNEL_PURPOSE_MOVE)},
		.serve = serve,
		.ctx = run,
	};
	struct channel_dial dial = {.peer = "dest",
		.plain = run->plain,
		.options = options,
		.purpose = CHANNEL_PURPOSE_MOVE};
	struct channel_listener *listener;
	struct channel_error error = {};
	struct channel *channel = NULL;
	int ret = channel_listener_start(dest, &config, &listener, &error);

	if (ret == 0) {
		dial.port = channel_listener_port(listener);
		ret = channel_connect(source, &dial, &channel, &error);
		if (ret == 0)
			ret = send_all(channel, run);
		channel_close(channel);
		channel_listener_stop(listener);
	}
	channel_host_free(source);
	channel_host_free(dest);
	if (ret < 0 || run->failed || run->received != run->sent) {
		fprintf(stderr, "%s: failed: %s %s\n", run->name, strerror(-ret), error.text);
		return -1;
	}
	report(run);
	return 0;
}

int main(int argc, char **argv)
{
	double seconds = 2;
	bool plain = false;
	struct fake_ca ca;
	int ret = 0;

	for (int i = 1; i < argc; i++) {
		if (strcmp(argv[i], "--seconds") == 0 && i + 1 < argc)
			seconds = atof(argv[++i]);
		else if (strcmp(argv[i], "--plain") == 0)
			plain = true;
	}
	const uint64_t for_ns = (uint64_t)(seconds * NS_PER_S);
	struct run runs[] = {
		{.name = "records", .plain = plain, .for_ns = for_ns},
		{.name = "records, LZ4", .plain = plain, .for_ns = for_ns, .lz4 = true},
		{.name = "memory, frames of 256 KiB",
			.plain = plain,
			.for_ns = for_ns,
			.memory = true,
			.frame_bytes = 256 << 10},
	};

	fake_ca_new(&ca);
	fake_ca_issue(&ca, "source");
	fake_ca_issue(&ca, "dest");
	for (size_t i = 0; i < sizeof(runs) / sizeof(runs[0]); i++)
		ret |= run_one(&ca, &runs[i]);
	fake_ca_free(&ca);
	return ret < 0;
}
