/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * test/golden/stream-v1: what a source of version 1 once said to a destination in a whole move,
 * frame by frame, and stream-v1.txt: the sessions that came of it. For ever, a destination takes it
 * and stands with these sessions. In it: IPv4 and IPv6; TCP with scales, half-open, half-closed,
 * picked up; UDP, ICMP, SCTP; translated sessions; plugin state, of sessions and of the vport;
 * sessions born, changed and ended while the move followed; a destination that numbers the plugins
 * otherwise.
 *
 * The files are written once per version, by this program: test_stream_golden --write DIR/stream-vN
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <rte_byteorder.h>

#include "ctrl/channel/channel.h"
#include "ctrl/migrate/stream.h"
#include "dataplane/session_import.h"
#include "dataplane/session_walk.h"
#include "dataplane/vport.h"
#include "test/fake/fake_eal.h"
#include "test/fake/fake_lab.h"

#define FILE_MAX (256u << 10)
#define PLUGINS_S "[{name: nat}, {name: acl}, {name: sample}]"
#define PLUGINS_D "[{name: qos}, {name: nat}, {name: acl}, {name: sample}]"
#define NETWORK \
	"external_networks: [{name: net, vni: 900, gateway_vtep: 192.0.2.9, gateway_mac: " \
	"'02:00:00:00:09:fe'}]\n"
#define SERVICES \
	NETWORK "nat_leases:\n  - {vport: v, network: net, kind: snat, address: 203.0.113.7, " \
		"ports: 45001-45010}\n" \
		"groups:\n  - {name: web, rules: [{direction: ingress, protocol: tcp, ports: " \
		"80}, " \
		"{direction: ingress, protocol: icmp}, {direction: egress}]}\n"
#define VM \
	"  - {name: v, vm: vm1, vpc: shop, mac: '02:00:00:00:00:05', ips: [10.0.0.5, " \
	"'fd00::5'],\n" \
	"     uuid: 00000000-0000-4000-8000-000000000005, port: {path: /tmp/v.sock}, groups: " \
	"[web]}\n"

static struct fake_lab lab;

static void lab_host(uint32_t host, const char *plugins)
{
	lab.plugin_dir = PLUGIN_DIR;
	lab.plugins[host] = plugins;
	fake_lab_start(&lab, host);
}

static char *golden_path(const char *name)
{
	static char path[512];

	snprintf(path, sizeof(path), GOLDEN_DIR "/%s", name);
	return path;
}

static size_t file_read(const char *path, void *bytes, size_t room)
{
	FILE *f = fopen(path, "rb");
	size_t len;

	if (!f)
		fail_msg("%s is not there", path);
	len = fread(bytes, 1, room, f);
	fclose(f);
	assert_true(len > 0 && len < room);
	return len;
}

/* ---- for ever ---- */

/* The other host, as far as a stream needs one. */
static struct channel_host *host_of_source(const struct in6_addr *loopback)
{
	const struct channel_peer peer = {
		.name = "h1", .port = lab.port[1], .addresses = loopback, .n_addresses = 1};
	struct channel_host_config config = {.name = "h0", .boot_id = {1}, .insecure = true};
	struct channel_host *host;
	struct channel_error error;

	assert_int_equal(channel_host_new(&config, &host, &error), 0);
	assert_int_equal(channel_host_set_peers(host, &peer, 1), 0);
	return host;
}

struct script {
	struct frame_parser parser;
	const uint8_t *at, *end;
};

/* The next frame of the golden file, without its number: a connection has its own. */
static void script_say(struct script *script, struct channel *channel)
{
	struct frame frame;
	size_t need;
	long used = frame_parse(
		&script->parser, script->at, (size_t)(script->end - script->at), &frame, &need);

	assert_true(used > 0);
	assert_int_equal(channel_send(channel, &frame.kind, frame.payload, frame.payload_bytes,
				 channel_deadline_ns(channel, 5000)),
		0);
	script->at += used;
}

struct hearing {
	struct channel *channel;
	uint16_t type;
	uint8_t payload[256];
	size_t len_bytes;
};

static bool hears(void *arg)
{
	struct hearing *hearing = arg;
	struct frame frame;

	while (channel_recv(hearing->channel, &frame, 0) == 0) {
		if (frame.kind.type == STREAM_FAILED)
			fail_msg("refused: %.*s", (int)frame.payload_bytes, frame.payload);
		if (frame.kind.type != hearing->type)
			continue;
		assert_true(frame.payload_bytes <= sizeof(hearing->payload));
		memcpy(hearing->payload, frame.payload, frame.payload_bytes);
		hearing->len_bytes = frame.payload_bytes;
		return true;
	}
	return false;
}

static struct frame heard(struct channel *channel, struct hearing *hearing, uint16_t type)
{
	*hearing = (struct hearing){.channel = channel, .type = type};
	assert_true(fake_lab_until(&lab, hears, hearing, 5000));
	return (struct frame){.payload = hearing->payload, .payload_bytes = hearing->len_bytes};
}

/* It is in the OFFER, behind its version. */
static const uint8_t *stream_move_id(const uint8_t *bytes)
{
	return bytes + FRAME_HEADER_BYTES + 1;
}

static struct channel *stream_dial(struct channel_host *host, const uint8_t *bytes)
{
	struct channel_dial dial = {.peer = "h1",
		.plain = true,
		.purpose = CHANNEL_PURPOSE_MOVE,
		.options = {.types = stream_types, .n_types = stream_types_count}};
	struct channel_error error;
	struct channel *channel;

	memcpy(dial.move_id, stream_move_id(bytes), sizeof(dial.move_id));
	if (channel_connect(host, &dial, &channel, &error) != 0)
		fail_msg("%s", error.text);
	return channel;
}

static void the_stream_of_version_1_is_taken_as_it_was_sent(void **state)
{
	static uint8_t bytes[FILE_MAX], expected[FILE_MAX];
	const struct in6_addr loopback = fake_addr("127.0.0.1");
	size_t len = file_read(golden_path("stream-v1"), bytes, sizeof(bytes));
	size_t text_len = file_read(golden_path("stream-v1.txt"), expected, sizeof(expected));
	struct channel_host *host = host_of_source(&loopback);
	struct move *announced = fake_lab_announce(&lab, 0, 1, stream_move_id(bytes));
	struct channel *channel = stream_dial(host, bytes);
	struct stream_verified verified;
	struct hearing hearing;
	struct script script = {.at = bytes, .end = bytes + len};
	struct frame frame;
	char *dump;

	(void)state;
	frame_parser_init(
		&script.parser, FRAME_PAYLOAD_MAX_BYTES, stream_types, stream_types_count);
	script_say(&script, channel);
	heard(channel, &hearing, STREAM_ACCEPT);
	while (script.at < script.end)
		script_say(&script, channel);
	frame_parser_fini(&script.parser);
	frame = heard(channel, &hearing, STREAM_VERIFIED);
	assert_int_equal(stream_get_verified(&frame, &verified), 0);
	assert_true(verified.ok);
	assert_int_equal(verified.refused, 0);
	assert_int_equal(verified.conflict, 0);
	assert_int_equal(fake_lab_role(&lab, 1, "v"), ROLE_PASSIVE);
	dump = fake_lab_dump(&lab, 1, "v");
	expected[text_len] = '\0';
	assert_string_equal(dump, (const char *)expected);
	free(dump);
	/* And the VM comes. */
	fake_lab_rings(&lab, 1, "v", true);
	heard(channel, &hearing, STREAM_COMMIT);
	assert_int_equal(fake_lab_role(&lab, 1, "v"), ROLE_OWNER);
	channel_close(channel);
	channel_host_free(host);
	fake_lab_forget(&lab, 0, announced);
}

/* ---- written once ---- */

struct tape {
	FILE *file;
	struct channel_world world;
	struct channel_io inner;
};
static struct tape tape; /* the thread of the one move */

static ssize_t tape_send(void *ctx, const void *buf, size_t len_bytes)
{
	ssize_t sent = tape.inner.ops->send(ctx, buf, len_bytes);

	if (sent > 0)
		fwrite(buf, 1, (size_t)sent, tape.file);
	return sent;
}

static int tape_connect(void *ctx, const struct channel_endpoint *to, uint64_t deadline_ns,
	const struct channel_cancel *cancel, struct channel_io *io)
{
	static struct channel_io_ops ops;
	char name[16] = "";
	int rc = channel_world_real.ops->connect(ctx, to, deadline_ns, cancel, io);

	pthread_getname_np(pthread_self(), name, sizeof(name));
	if (rc != 0 || strcmp(name, "ferry-move-out") != 0)
		return rc;
	tape.inner = *io;
	ops = *io->ops;
	ops.send = tape_send;
	io->ops = &ops;
	return 0;
}

struct sample {
	const char *local, *remote;
	uint16_t local_port, remote_port;
	uint8_t proto;
	uint64_t state;
	struct session_half half[2];
	uint32_t syn_seq;
};

#define SEEN(end, limit, window, shift) \
	{ \
		7, 4242, end, limit, window, shift, SESSION_HALF_SEEN | SESSION_HALF_SCALE_OK, \
			0x1234 \
	}
#define REMOTE (SESSION_FIRST_INGRESS | SESSION_LEAD_INGRESS)

static const struct sample samples[] = {
	{"10.0.0.5", "10.0.0.9", 80, 40000, IPPROTO_TCP,
		SESSION_TCP_ESTABLISHED | SESSION_ASSURED | REMOTE,
		{SEEN(4000000000u, 70000, 65535, 7), SEEN(17, 90000, 1u << 30, 14)}, 0},
	{"10.0.0.5", "10.0.0.9", 80, 40001, IPPROTO_TCP, SESSION_TCP_SYN_RECV | REMOTE,
		{SEEN(901, 66000, 65535, 0), SEEN(101, 64000, 64240, 7)}, 0},
	{"10.0.0.5", "10.0.0.9", 80, 40002, IPPROTO_TCP,
		SESSION_TCP_FIN_WAIT | SESSION_ASSURED | REMOTE,
		{SEEN(5, 6, 7, SESSION_SCALE_UNKNOWN),
			{1, 40, 9, 10, 11, 3, SESSION_HALF_SEEN | SESSION_HALF_FIN, 9}},
		0x01020304},
	{"10.0.0.5", "10.0.0.9", 33000, 443, IPPROTO_TCP,
		SESSION_TCP_ESTABLISHED | SESSION_ASSURED | SESSION_PICKUP,
		{SEEN(1, 2, 3, SESSION_SCALE_UNKNOWN),
			{.scale = SESSION_SCALE_UNKNOWN, .flags = SESSION_HALF_LIBERAL}},
		0},
	{"fd00::5", "fd00::9", 80, 40003, IPPROTO_TCP,
		SESSION_TCP_ESTABLISHED | SESSION_ASSURED | REMOTE,
		{SEEN(10, 20, 30, 1), SEEN(40, 50, 60, 2)}, 0},
	{"fd00::5", "fd00::9", 5353, 53, IPPROTO_UDP, SESSION_UDP_STREAM | SESSION_ASSURED,
		{{.packets = 1ull << 40, .bytes = 1ull << 50, .scale = SESSION_SCALE_UNKNOWN},
			{.packets = 1, .bytes = 100, .scale = SESSION_SCALE_UNKNOWN}},
		0},
	{"10.0.0.5", "10.0.0.9", 5353, 53, IPPROTO_UDP, SESSION_UDP_NEW,
		{{.packets = 1, .bytes = 100, .scale = SESSION_SCALE_UNKNOWN},
			{.scale = SESSION_SCALE_UNKNOWN}},
		0},
	{"10.0.0.5", "10.0.0.9", 77, 77, IPPROTO_ICMP, SESSION_ICMP_REPLIED | SESSION_ASSURED,
		{{.packets = 2, .bytes = 168, .scale = SESSION_SCALE_UNKNOWN},
			{.packets = 2, .bytes = 168, .scale = SESSION_SCALE_UNKNOWN}},
		0},
	{"10.0.0.5", "10.0.0.9", 3868, 5000, IPPROTO_SCTP,
		SESSION_SCTP_ESTABLISHED | SESSION_ASSURED,
		{SEEN(0xaabbccdd, 0, 0, SESSION_SCALE_UNKNOWN),
			SEEN(0x11223344, 0, 0, SESSION_SCALE_UNKNOWN)},
		0},
	{"10.0.0.5", "10.0.0.9", 0, 0, IPPROTO_GRE, SESSION_GENERIC_STREAM | SESSION_ASSURED,
		{{.packets = 9, .bytes = 900, .scale = SESSION_SCALE_UNKNOWN},
			{.packets = 8, .bytes = 800, .scale = SESSION_SCALE_UNKNOWN}},
		0},
};

/* As an operator does it: one sample more, or (ends) one less. */
static void sample_apply(const struct sample *sample, bool ends)
{
	const uint16_t versions[VPORT_PLUGINS_MAX] = {0};
	struct engine *engine = lab.host[0].engine;
	struct import_context context = {.vport = fake_lab_vport(&lab, 0, "v"),
		.state_versions = versions,
		.by_operator = true};
	struct session_record record = {
		.tuple = {.local = fake_addr(sample->local),
			.remote = fake_addr(sample->remote),
			.local_port = rte_cpu_to_be_16(sample->local_port),
			.remote_port = rte_cpu_to_be_16(sample->remote_port),
			.vni = 100,
			.proto = sample->proto},
		.state = sample->state,
		.half = {sample->half[0], sample->half[1]},
		.syn_seq = sample->syn_seq,
		.life_ms = 3000000,
		.age_ms = 12345};
	int reader = engine_reader_register(engine);
	enum drop_reason reason;
	struct session_record living;

	engine_reader_online(engine, reader);
	if (ends) {
		assert_true(session_import_find(&context, &record.tuple, &living));
		assert_true(session_import_tombstone(&context, living.birth_id, &record.tuple));
	} else {
		enum import_outcome outcome = session_import(&context, &record, &reason);

		if (outcome != IMPORT_INSTALLED)
			fail_msg("%s, %s", import_outcome_name(outcome), drop_name(reason));
	}
	engine_reader_offline(engine, reader);
	engine_reader_unregister(engine, reader);
}

static void v_sends(uint16_t sport, uint8_t proto)
{
	struct fake_packet p = {.src_mac = "02:00:00:00:00:05",
		.dst_mac = "02:00:00:00:00:fe",
		.src = "10.0.0.5",
		.dst = "198.51.100.10",
		.proto = proto,
		.tcp_flags = proto == IPPROTO_TCP ? RTE_TCP_SYN_FLAG : 0,
		.seq = 100,
		.window = 64240,
		.wscale = FAKE_WSCALE(7),
		.sport = sport,
		.dport = 443};

	fake_lab_send(&lab, 0, "v", &p);
}

/* The raw frames behind the HELLO, numbered from 0. */
static void tape_cut(const char *from, const char *to)
{
	static uint8_t bytes[FILE_MAX];
	size_t len = file_read(from, bytes, sizeof(bytes)), at;
	FILE *f = fopen(to, "wb");
	uint64_t sequence = 0;
	struct frame_header h;

	assert_non_null(f);
	assert_int_equal(frame_header_get(bytes, FRAME_PAYLOAD_MAX_BYTES, &h), 0);
	at = FRAME_HEADER_BYTES + h.wire_bytes;
	while (at < len) {
		uint8_t header[FRAME_HEADER_BYTES];

		assert_int_equal(frame_header_get(bytes + at, FRAME_PAYLOAD_MAX_BYTES, &h), 0);
		at += FRAME_HEADER_BYTES;
		/* What belongs to the connection is no part of the stream. */
		if (h.kind.type >= FRAME_TYPE_FIRST_FREE && h.kind.type != STREAM_KEEPALIVE &&
			h.kind.type != STREAM_COMMIT_DONE) {
			h.sequence = sequence++;
			frame_header_put(header, &h);
			fwrite(header, 1, sizeof(header), f);
			fwrite(bytes + at, 1, h.wire_bytes, f);
		}
		at += h.wire_bytes;
	}
	fclose(f);
}

static int golden_write(const char *path)
{
	const struct channel_world_ops real = *channel_world_real.ops;
	struct channel_world_ops taped = real;
	char id[37], raw[512], text[512], *dump;
	struct mover_view view;
	size_t last = sizeof(samples) / sizeof(samples[0]) - 1;
	FILE *f;

	fake_lab_new(&lab, 2);
	snprintf(raw, sizeof(raw), "%s/tape", lab.dir);
	snprintf(text, sizeof(text), "%s.txt", path);
	tape.file = fopen(raw, "wb");
	taped.connect = tape_connect;
	tape.world = (struct channel_world){.ops = &taped, .ctx = channel_world_real.ctx};
	lab.world[0] = &tape.world;
	lab.vports[0] = VM;
	lab.extra[0] = SERVICES;
	lab.extra[1] = NETWORK;
	lab_host(0, PLUGINS_S);
	lab_host(1, PLUGINS_D);
	fake_lab_rings(&lab, 0, "v", true);
	fake_lab_run_ms(&lab, 50);
	for (size_t i = 0; i < last; i++)
		sample_apply(&samples[i], false);
	v_sends(33001, IPPROTO_TCP);
	v_sends(33002, IPPROTO_UDP);
	fake_lab_move(&lab, 0, 1, "v", id);
	assert_true(fake_lab_phase(&lab, 0, id, MOVER_READY, 5000));
	sample_apply(&samples[last], false);
	sample_apply(&samples[1], true);
	v_sends(33002, IPPROTO_UDP);
	fake_lab_run_ms(&lab, 300);
	v_sends(33003, IPPROTO_UDP);
	fake_lab_rings(&lab, 0, "v", false);
	assert_true(fake_lab_phase(&lab, 1, id, MOVER_VERIFIED, 5000));
	dump = fake_lab_dump(&lab, 1, "v"); /* plugins' numbers are the destination's */
	fake_lab_rings(&lab, 1, "v", true);
	fake_lab_over(&lab, 0, id, &view);
	assert_int_equal(view.phase, MOVER_COMMITTED);
	fclose(tape.file);
	tape_cut(raw, path);
	f = fopen(text, "w");
	fputs(dump, f);
	fclose(f);
	free(dump);
	fake_lab_free(&lab);
	return 0;
}

static int destination(void **state)
{
	(void)state;
	fake_lab_new(&lab, 2);
	lab.extra[1] = NETWORK;
	lab.vports[0] = "";
	lab_host(0, "[]");
	lab_host(1, PLUGINS_D);
	return 0;
}

static int lab_end(void **state)
{
	(void)state;
	fake_lab_free(&lab);
	return 0;
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
			the_stream_of_version_1_is_taken_as_it_was_sent, destination, lab_end),
	};

	if (fake_eal_start_mb(512) != 0)
		return 1;
	if (argc == 3 && strcmp(argv[1], "--write") == 0)
		return golden_write(argv[2]);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
