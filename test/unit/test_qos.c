/* SPDX-License-Identifier: BSD-3-Clause */
/* The qos plugin in whole engines, on a clock that the test sets. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "dataplane/vport.h"
#include "test/fake/fake_eal.h"
#include "test/fake/fake_host.h"
#include "test/fake/fake_plugin_host.h"
#include "test/fake/fake_value.h"

#define VNI 100
#define V_MAC "02:00:00:00:00:05"
#define W_MAC "02:00:00:00:00:09"
#define FRAME 1000 /* bytes, Ethernet header included */

struct pair {
	struct fake_host s, d;
	struct vport *v, *v_d;
	struct fake_plugin_host sink;
};

static void host_start(struct fake_host *host, const char *name)
{
	struct fake_host_options options = {.name = name, .vtep = "192.0.2.1", .plugin = QOS_SO};

	fake_host_start(host, &options);
	fake_host_vpc(host, VNI);
	fake_host_peer(host, "192.0.2.3");
	fake_host_location(host, VNI, "10.0.0.9", "192.0.2.3", W_MAC);
}

static int configure(struct fake_host *host, const char *text, char *error, size_t len)
{
	struct plugin_value *value = fake_value(text);
	struct engine_plugin_config config = {.plugin = "qos", .value = value, .apply = true};
	int rc = engine_plugin_configure(host->engine, &config, error, len);

	fake_value_free(value);
	return rc;
}

static void settings(struct fake_host *host, const char *text)
{
	char error[256] = "";

	if (configure(host, text, error, sizeof(error)) != 0)
		fail_msg("%s", error);
}

static int start(void **state)
{
	static struct pair p;

	memset(&p, 0, sizeof(p));
	host_start(&p.s, "s");
	host_start(&p.d, "d");
	fake_plugin_host_init(&p.sink, "sink", 1);
	*state = &p;
	return 0;
}

static int stop(void **state)
{
	struct pair *p = *state;

	fake_host_stop(&p->s);
	fake_host_stop(&p->d);
	return 0;
}

static struct vport *vport(struct fake_host *host)
{
	return fake_host_vport(host, "v", VNI, V_MAC, "10.0.0.5");
}

static const struct fake_packet frame_out = {.src_mac = V_MAC,
	.dst_mac = W_MAC,
	.src = "10.0.0.5",
	.dst = "10.0.0.9",
	.sport = 5000,
	.dport = 5060,
	.payload_len = FRAME - 42};

/* Bytes that leave when the VM sends `mbit` for `ms`. */
static uint64_t sends(struct fake_host *host, struct vport *v, unsigned int mbit, unsigned int ms)
{
	uint64_t gap_ns = (uint64_t)FRAME * 8 * 1000 / mbit, passed = 0;

	for (uint64_t t = 0; t < (uint64_t)ms * 1000000; t += gap_ns) {
		fake_host_send(host, v->port, &frame_out);
		passed += (uint64_t)fake_host_drain(host->uplink) * FRAME;
		host->now_ns += gap_ns;
	}
	return passed;
}

#define RATE "{default: {egress: {committed: 8M, burst: 20000}}}"

static void a_vport_sends_its_rate_and_one_burst(void **state)
{
	struct pair *p = *state;
	uint64_t passed;
	struct port_stats stats;

	settings(&p->s, RATE);
	p->v = vport(&p->s);
	passed = sends(&p->s, p->v, 40, 1000);
	/* 8 Mbit/s are 1000 bytes each millisecond. */
	assert_in_range(passed, 1020000 - 10000, 1020000 + 10000);
	engine_vport_stats(p->v, &stats);
	assert_int_equal(stats.drop[DROP_METER], 5000 - passed / FRAME);
}

static void excess_is_a_rate_of_its_own(void **state)
{
	struct pair *p = *state;

	settings(&p->s, "{default: {egress: {committed: 8M, burst: 20000, excess: 4M, "
			"excess_burst: 10000}}}");
	p->v = vport(&p->s);
	assert_in_range(sends(&p->s, p->v, 40, 1000), 1530000 - 15000, 1530000 + 15000);
}

static void moves(struct pair *p)
{
	struct plugin_section section = {.version = 1};
	char error[256];

	assert_int_equal(engine_section_save(p->v, "qos", fake_plugin_sink(&p->sink)), 0);
	section.bytes = (const uint8_t *)p->sink.text;
	section.len_bytes = p->sink.text_len;
	assert_int_equal(engine_section_load(p->v_d, "qos", &section, error, sizeof(error)), 0);
}

static void a_move_gives_no_burst(void **state)
{
	struct pair *p = *state;
	uint64_t passed;

	settings(&p->s, RATE);
	settings(&p->d, RATE);
	p->v = vport(&p->s);
	p->v_d = vport(&p->d);
	passed = sends(&p->s, p->v, 40, 500);
	moves(p);
	passed += sends(&p->d, p->v_d, 40, 500);
	assert_in_range(passed, 1020000 - 10000, 1020000 + 10000);
}

static void a_move_takes_no_burst(void **state)
{
	struct pair *p = *state;

	settings(&p->s, RATE);
	settings(&p->d, RATE);
	p->v = vport(&p->s);
	p->v_d = vport(&p->d);
	/* The bucket at D is empty; the VM brings a full one. */
	sends(&p->d, p->v_d, 40, 100);
	moves(p);
	assert_in_range(sends(&p->d, p->v_d, 40, 100), 120000 - 2000, 120000 + 2000);
}

static void a_stranger_cannot_bring_a_bigger_burst(void **state)
{
	struct pair *p = *state;
	struct plugin_section section = {.version = 1};
	uint8_t bytes[34];
	char error[256];

	settings(&p->d, RATE);
	p->v_d = vport(&p->d);
	memset(bytes, 0xff, sizeof(bytes));
	bytes[0] = bytes[17] = 1;
	section.bytes = bytes;
	section.len_bytes = sizeof(bytes);
	assert_int_equal(engine_section_load(p->v_d, "qos", &section, error, sizeof(error)), 0);
	assert_in_range(sends(&p->d, p->v_d, 40, 100), 120000 - 2000, 120000 + 2000);
	section.len_bytes--;
	assert_int_not_equal(engine_section_load(p->v_d, "qos", &section, error, sizeof(error)), 0);
}

static void a_change_of_rates_gives_no_burst(void **state)
{
	struct pair *p = *state;

	settings(&p->s, RATE);
	p->v = vport(&p->s);
	sends(&p->s, p->v, 40, 100);
	settings(&p->s, "{default: {egress: {committed: 16M, burst: 20000}}}");
	assert_in_range(sends(&p->s, p->v, 40, 100), 200000 - 3000, 200000 + 3000);
}

static void a_session_gets_the_mark_of_its_port(void **state)
{
	struct pair *p = *state;
	struct fake_packet want = frame_out, other = frame_out;
	uint8_t frame[FAKE_FRAME_MAX], inner[FAKE_FRAME_MAX];
	size_t len;

	settings(&p->s,
		"{default: {mark: [{protocol: udp, ports: 5060-5061, dscp: 46}, {dscp: 10}]}}");
	p->v = vport(&p->s);
	fake_host_send(&p->s, p->v->port, &frame_out);
	want.tos = 46 << 2;
	assert_true(fake_host_receive(p->s.uplink, frame, sizeof(frame)) > 0);
	len = fake_packet_build(&want, inner, sizeof(inner));
	assert_memory_equal(frame + 50, inner, len);
	other.dport = 80;
	other.tos = 1; /* ECN stays */
	fake_host_send(&p->s, p->v->port, &other);
	other.tos = 10 << 2 | 1;
	assert_true(fake_host_receive(p->s.uplink, frame, sizeof(frame)) > 0);
	len = fake_packet_build(&other, inner, sizeof(inner));
	assert_memory_equal(frame + 50, inner, len);
}

static void what_cannot_be_is_refused_and_named(void **state)
{
	static const struct {
		const char *config, *says;
	} cases[] = {
		{"{rate: 5}", "rate: unknown key"},
		{"{default: {egress: {committed: 8X}}}", "egress: committed: expected"},
		{"{default: {egress: {committed: 8M, burst: 100}}}", "egress: burst: expected"},
		{"{default: {ingress: {excess: 8M}}}", "ingress: committed: expected a rate"},
		{"{default: {mark: [{dscp: 64}]}}", "mark: dscp"},
		{"{default: {mark: [{ports: 70000, dscp: 1}]}}", "mark: ports"},
		{"{default: {mark: [{protocol: udp}]}}", "mark: dscp: expected"},
		{"{default: {colour: red}}", "colour: unknown key"},
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
		T(a_vport_sends_its_rate_and_one_burst),
		T(excess_is_a_rate_of_its_own),
		T(a_move_gives_no_burst),
		T(a_move_takes_no_burst),
		T(a_stranger_cannot_bring_a_bigger_burst),
		T(a_change_of_rates_gives_no_burst),
		T(a_session_gets_the_mark_of_its_port),
		T(what_cannot_be_is_refused_and_named),
	};

	if (fake_eal_start() != 0)
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
