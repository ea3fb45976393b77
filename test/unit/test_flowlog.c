/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The flowlog plugin in whole engines: what a collector receives, byte for byte, and what a file
 * holds.
 */
#include <arpa/inet.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "dataplane/session_import.h"
#include "dataplane/session_record.h"
#include "dataplane/session_walk.h"
#include "dataplane/vport.h"
#include "test/fake/fake_eal.h"
#include "test/fake/fake_host.h"
#include "test/fake/fake_plugin_host.h"
#include "test/fake/fake_value.h"

#define VNI 100
#define V_MAC "02:00:00:00:00:05"
#define W_MAC "02:00:00:00:00:09"

static const struct fake_vxlan from_p = {
	.src = "192.0.2.3", .dst = "192.0.2.1", .vni = VNI, .dst_mac = "02:00:00:00:01:01"};

struct pair {
	struct fake_host s, d;
	struct vport *v, *v_d;
	struct fake_plugin_host sink;
	int collector;
	uint16_t port;
	char file[64];
};

static struct vport *host_start(struct fake_host *host, const char *name)
{
	struct fake_host_options options = {
		.name = name, .vtep = "192.0.2.1", .plugin = FLOWLOG_SO, .sessions = 16384};

	fake_host_start(host, &options);
	fake_host_vpc(host, VNI);
	fake_host_peer(host, "192.0.2.3");
	fake_host_location(host, VNI, "10.0.0.9", "192.0.2.3", W_MAC);
	return fake_host_vport(host, "v", VNI, V_MAC, "10.0.0.5");
}

static int configure(struct fake_host *host, const char *text, char *error, size_t len)
{
	struct plugin_value *value = fake_value(text);
	struct engine_plugin_config config = {.plugin = "flowlog", .value = value, .apply = true};
	int rc = engine_plugin_configure(host->engine, &config, error, len);

	fake_value_free(value);
	return rc;
}

/* `more`: further keys, each with a comma before it. */
static void to_collector(struct pair *p, struct fake_host *host, const char *more)
{
	char text[256], error[256] = "";

	snprintf(text, sizeof(text), "{collector: 127.0.0.1:%u, domain: 77%s}", p->port, more);
	if (configure(host, text, error, sizeof(error)) != 0)
		fail_msg("%s", error);
}

static void to_file(struct pair *p, struct fake_host *host, const char *more)
{
	char text[256], error[256] = "";

	snprintf(text, sizeof(text), "{file: %s%s}", p->file, more);
	if (configure(host, text, error, sizeof(error)) != 0)
		fail_msg("%s", error);
}

static int start(void **state)
{
	static struct pair p;
	struct sockaddr_in addr = {
		.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t len = sizeof(addr);
	int fd;

	memset(&p, 0, sizeof(p));
	p.v = host_start(&p.s, "s");
	p.v_d = host_start(&p.d, "d");
	fake_plugin_host_init(&p.sink, "sink", 1);
	p.collector = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK, 0);
	assert_int_equal(bind(p.collector, (struct sockaddr *)&addr, sizeof(addr)), 0);
	assert_int_equal(getsockname(p.collector, (struct sockaddr *)&addr, &len), 0);
	p.port = ntohs(addr.sin_port);
	snprintf(p.file, sizeof(p.file), "/tmp/ferry-flowlog-XXXXXX");
	fd = mkstemp(p.file);
	assert_true(fd >= 0);
	close(fd);
	*state = &p;
	return 0;
}

static int stop(void **state)
{
	struct pair *p = *state;

	fake_host_stop(&p->s);
	fake_host_stop(&p->d);
	close(p->collector);
	unlink(p->file);
	return 0;
}

static void sends(struct fake_host *host, struct vport *v, uint16_t port)
{
	struct fake_packet udp = {.src_mac = V_MAC,
		.dst_mac = W_MAC,
		.src = "10.0.0.5",
		.dst = "10.0.0.9",
		.sport = port,
		.dport = 53,
		.payload_len = 58};

	fake_host_send(host, v->port, &udp);
	fake_host_drain(host->uplink);
}

static void answers(struct fake_host *host, struct vport *v, uint16_t port)
{
	struct fake_packet udp = {.src_mac = W_MAC,
		.dst_mac = V_MAC,
		.src = "10.0.0.9",
		.dst = "10.0.0.5",
		.sport = 53,
		.dport = port,
		.payload_len = 158};

	fake_host_send_vxlan(host, &from_p, &udp);
	assert_int_equal(fake_host_drain(v->port), 1);
}

static void ticks(struct fake_host *host, unsigned int seconds)
{
	for (unsigned int i = 0; i < seconds * 10; i++) {
		host->now_ns += 100000000ULL;
		fake_host_run(host);
		engine_tick(host->engine);
	}
	fake_host_drain(host->uplink);
}

static uint64_t get(const uint8_t *at, int bytes)
{
	uint64_t value = 0;

	for (int i = 0; i < bytes; i++)
		value = value << 8 | at[i];
	return value;
}

/* The next message with its header checked; the place of its first set. */
static const uint8_t *receives(struct pair *p, uint8_t *message, size_t *len, uint32_t sequence)
{
	ssize_t n = recv(p->collector, message, 2048, 0);

	assert_true(n > 16);
	*len = (size_t)n;
	assert_int_equal(get(message, 2), 10);
	assert_int_equal(get(message + 2, 2), n);
	assert_in_range(get(message + 4, 4), time(NULL) - 60, time(NULL) + 1);
	assert_int_equal(get(message + 8, 4), sequence);
	assert_int_equal(get(message + 12, 4), 77);
	return message + 16;
}

/* A template's fields as RFC 7011 writes them; returns what follows. */
static const uint8_t *assert_template(
	const uint8_t *at, uint16_t id, const uint16_t (*fields)[2], size_t count)
{
	assert_int_equal(get(at, 2), id);
	assert_int_equal(get(at + 2, 2), count);
	at += 4;
	for (size_t i = 0; i < count; i++) {
		assert_int_equal(get(at, 2), fields[i][0]);
		assert_int_equal(get(at + 2, 2), fields[i][1]);
		at += 4;
		if (!(fields[i][0] & 0x8000))
			continue;
		assert_int_equal(get(at, 4), 29305);
		at += 4;
	}
	return at;
}

/* From IANA's list: the IPv4 template of an end; 15 of them are a start. */
static const uint16_t fields4[][2] = {{148, 8}, {323, 8}, {233, 1}, {4, 1}, {61, 1}, {351, 8},
	{8, 4}, {12, 4}, {7, 2}, {11, 2}, {225, 4}, {226, 4}, {227, 2}, {228, 2}, {82, 65535},
	{136, 1}, {152, 8}, {153, 8}, {85, 8}, {86, 8}, {0x8055, 8}, {0x8056, 8}};
static const uint16_t fields6[][2] = {{148, 8}, {323, 8}, {233, 1}, {4, 1}, {61, 1}, {351, 8},
	{27, 16}, {28, 16}, {7, 2}, {11, 2}, {281, 16}, {282, 16}, {227, 2}, {228, 2}, {82, 65535},
	{136, 1}, {152, 8}, {153, 8}, {85, 8}, {86, 8}, {0x8055, 8}, {0x8056, 8}};

/* V's session from port 5000, up to the vport's name; returns what follows. */
static const uint8_t *assert_record(const uint8_t *at, uint64_t id, uint8_t event)
{
	static const uint8_t ends[] = {10, 0, 0, 5, 10, 0, 0, 9, 0x13, 0x88, 0, 53, 10, 0, 0, 5, 10,
		0, 0, 9, 0x13, 0x88, 0, 53, 1, 'v'};
	uint64_t now_ms = (uint64_t)time(NULL) * 1000;

	assert_int_equal(get(at, 8), id);
	assert_in_range(get(at + 8, 8), now_ms - 60000, now_ms + 1000);
	assert_int_equal(at[16], event);
	assert_int_equal(at[17], IPPROTO_UDP);
	assert_int_equal(at[18], 0);
	assert_int_equal(get(at + 19, 8), 1ULL << 56 | VNI);
	assert_memory_equal(at + 27, ends, sizeof(ends));
	return at + 27 + sizeof(ends);
}

static void a_collector_hears_of_a_sessions_start_and_end(void **state)
{
	struct pair *p = *state;
	uint8_t message[2048];
	const uint8_t *at;
	uint64_t id;
	size_t len;

	to_collector(p, &p->s, "");
	sends(&p->s, p->v, 5000);
	ticks(&p->s, 1);
	at = receives(p, message, &len, 0);
	assert_int_equal(get(at, 2), 2);
	len -= 16 + get(at + 2, 2);
	at = assert_template(at + 4, 256, fields4, 15);
	at = assert_template(at, 257, fields6, 15);
	at = assert_template(at, 258, fields4, 22);
	at = assert_template(at, 259, fields6, 22);
	assert_int_equal(get(at, 2), 256);
	assert_int_equal(get(at + 2, 2), len);
	id = get(at + 4, 8);
	assert_ptr_equal(assert_record(at + 4, id, 1), at + len);

	sends(&p->s, p->v, 5000);
	answers(&p->s, p->v, 5000);
	ticks(&p->s, 400);
	at = receives(p, message, &len, 1);
	/* The templates were sent long ago. */
	assert_int_equal(get(at, 2), 2);
	at += get(at + 2, 2);
	assert_int_equal(get(at, 2), 258);
	at = assert_record(at + 4, id, 2);
	assert_int_equal(at[0], 1); /* idle */
	assert_true(get(at + 1, 8) < get(at + 9, 8));
	assert_int_equal(get(at + 17, 8), 2 * (28 + 58));
	assert_int_equal(get(at + 25, 8), 2);
	assert_int_equal(get(at + 33, 8), 28 + 158);
	assert_int_equal(get(at + 41, 8), 1);
	assert_ptr_equal(at + 49, message + len);
	assert_true(recv(p->collector, message, sizeof(message), 0) < 0);
}

/* Lines with `word`; *last: the last of them. */
static unsigned int lines(const char *file, const char *word, char *last, size_t size)
{
	FILE *f = fopen(file, "r");
	char line[1024];
	unsigned int count = 0;

	assert_non_null(f);
	while (fgets(line, sizeof(line), f))
		if (strstr(line, word)) {
			count++;
			snprintf(last, size, "%s", line);
		}
	fclose(f);
	return count;
}

static void a_file_holds_a_line_per_event(void **state)
{
	struct pair *p = *state;
	char line[1024];

	to_file(p, &p->s, ", events: [start, change, end]");
	sends(&p->s, p->v, 5000);
	answers(&p->s, p->v, 5000);
	ticks(&p->s, 400);
	assert_int_equal(lines(p->file, "\"event\": \"start\"", line, sizeof(line)), 1);
	assert_true(lines(p->file, "\"event\": \"change\"", line, sizeof(line)) >= 1);
	assert_int_equal(lines(p->file, "\"event\": \"end\"", line, sizeof(line)), 1);
	assert_non_null(strstr(line, "\"vport\": \"v\""));
	assert_non_null(strstr(line, "\"source\": \"10.0.0.5\", \"source_port\": 5000, "
				     "\"destination\": \"10.0.0.9\", \"destination_port\": 53"));
	assert_non_null(strstr(line, "\"reason\": \"idle\""));
	assert_non_null(strstr(line, "\"packets\": [1, 1], \"bytes\": [86, 186]"));
}

static void moves(struct pair *p)
{
	static const uint16_t versions[VPORT_PLUGINS_MAX];
	struct import_context context = {
		.vport = p->v_d, .state_versions = versions, .by_operator = true};
	struct session *living[SLAB_CHUNK_SESSIONS];
	struct session_record record;
	enum drop_reason reason;
	struct session_walk walk;
	uint32_t count = 0;
	bool end = false;

	session_walk_begin(&walk, p->v, 0);
	while (!end && count == 0)
		count = session_walk_next(&walk, living, &end);
	assert_int_equal(count, 1);
	session_walk_read(living[0], &record);
	session_walk_end(&walk);
	assert_int_equal(session_import(&context, &record, &reason), IMPORT_INSTALLED);
	assert_int_equal(session_import_purge(p->v, true), 1);
}

static void a_session_that_moved_is_told_once_with_all_it_counted(void **state)
{
	struct pair *p = *state;
	char started[1024], line[1024], id[64], *at;

	to_file(p, &p->s, "");
	to_file(p, &p->d, "");
	sends(&p->s, p->v, 5000);
	answers(&p->s, p->v, 5000);
	moves(p);
	sends(&p->d, p->v_d, 5000);
	ticks(&p->s, 1);
	ticks(&p->d, 400);
	assert_int_equal(lines(p->file, "\"event\": \"start\"", started, sizeof(started)), 1);
	assert_int_equal(lines(p->file, "\"event\": \"end\"", line, sizeof(line)), 1);
	assert_non_null(strstr(line, "\"packets\": [2, 1], \"bytes\": [172, 186]"));
	at = strstr(started, "\"id\": ");
	assert_non_null(at);
	snprintf(id, sizeof(id), "%.*s", (int)strcspn(at, ","), at);
	assert_non_null(strstr(line, id));
}

static int show_of(const struct plugin_descriptor *d, void *instance, void *arg)
{
	struct pair *p = arg;
	struct plugin_sink *sink = fake_plugin_sink(&p->sink);

	return d->show(instance, NULL, NULL, sink);
}

static unsigned long shown(struct pair *p, const char *key)
{
	char text[64], *at;

	assert_int_equal(engine_plugin_foreach(p->s.engine, show_of, p), 0);
	p->sink.text[p->sink.text_len] = '\0';
	snprintf(text, sizeof(text), "\"%s\": ", key);
	at = strstr(p->sink.text, text);
	assert_non_null(at);
	return strtoul(at + strlen(text), NULL, 10);
}

static void a_full_ring_loses_records_and_no_packets(void **state)
{
	struct pair *p = *state;
	struct port_stats stats;
	char line[1024];

	to_file(p, &p->s, ", events: [start], rate: 10");
	for (uint16_t i = 0; i < 3000; i++)
		sends(&p->s, p->v, (uint16_t)(5000 + i));
	session_import_purge(p->v, false);
	for (uint16_t i = 0; i < 3000; i++)
		sends(&p->s, p->v, (uint16_t)(5000 + i));
	engine_vport_stats(p->v, &stats);
	assert_int_equal(stats.delivered, 6000);
	assert_int_equal(shown(p, "recorded") + shown(p, "lost"), 6000);
	assert_true(shown(p, "lost") >= 6000 - 4096);
	ticks(&p->s, 3);
	/* A second's worth at once, then ten a second. */
	assert_in_range(lines(p->file, "start", line, sizeof(line)), 30, 41);
}

static void a_sample_is_a_part_of_the_sessions_and_all_of_their_records(void **state)
{
	struct pair *p = *state;
	char line[1024];
	unsigned int starts;

	to_file(p, &p->s, ", sample: 4");
	for (uint16_t i = 0; i < 400; i++)
		sends(&p->s, p->v, (uint16_t)(5000 + i));
	session_import_purge(p->v, false);
	ticks(&p->s, 2);
	starts = lines(p->file, "\"event\": \"start\"", line, sizeof(line));
	assert_in_range(starts, 60, 140);
	assert_int_equal(lines(p->file, "\"event\": \"end\"", line, sizeof(line)), starts);
	assert_non_null(strstr(line, "\"reason\": \"operator\""));
}

static void a_collector_that_cannot_be_reached_costs_a_counter(void **state)
{
	struct pair *p = *state;
	char error[256];

	/* No socket may send there unasked. */
	assert_int_equal(
		configure(&p->s, "{collector: 255.255.255.255:9}", error, sizeof(error)), 0);
	sends(&p->s, p->v, 5000);
	ticks(&p->s, 1);
	assert_int_equal(shown(p, "unsent"), 1);
	assert_int_equal(shown(p, "sent"), 0);
}

static void what_cannot_be_is_refused_and_named(void **state)
{
	static const struct {
		const char *config, *says;
	} cases[] = {
		{"{collector: example}", "collector: expected"},
		{"{collector: 127.0.0.1:0}", "collector: expected"},
		{"{file: flows.json}", "file: expected"},
		{"{file: /nowhere/flows.json}", "file: /nowhere/flows.json: "},
		{"{sample: 0}", "sample: expected"},
		{"{rate: many}", "rate: expected"},
		{"{events: [birth]}", "events: expected"},
		{"{colour: red}", "colour: unknown key"},
	};
	struct pair *p = *state;

	for (size_t i = 0; i < RTE_DIM(cases); i++) {
		char error[256] = "";

		assert_int_not_equal(configure(&p->s, cases[i].config, error, sizeof(error)), 0);
		if (!strstr(error, cases[i].says))
			fail_msg("%s: not \"%s\"", error, cases[i].says);
	}
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, start, stop)
	const struct CMUnitTest tests[] = {
		T(a_collector_hears_of_a_sessions_start_and_end),
		T(a_file_holds_a_line_per_event),
		T(a_session_that_moved_is_told_once_with_all_it_counted),
		T(a_full_ring_loses_records_and_no_packets),
		T(a_sample_is_a_part_of_the_sessions_and_all_of_their_records),
		T(a_collector_that_cannot_be_reached_costs_a_counter),
		T(what_cannot_be_is_refused_and_named),
	};

	if (fake_eal_start() != 0)
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
