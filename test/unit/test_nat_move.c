/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Leases and their sessions from one host to another; what must not go with a vport;
 * configurations that cannot be.
 */
#include "dataplane/session_import.h"
#include "dataplane/session_record.h"
#include "dataplane/session_walk.h"
#include "test/fake/fake_plugin_host.h"
#include "test/unit/nat_fixture.h"

struct pair {
	struct fake_host s, d;
	struct vport *v, *l, *v_d;
	struct fake_plugin_host sink;
};

static int start(void **state)
{
	static struct pair p;

	memset(&p, 0, sizeof(p));
	nat_host_start(&p.s, "s", 1);
	nat_host_start(&p.d, "d", 1);
	p.v = fake_host_vport(&p.s, "v", VNI, V_MAC, "10.0.0.5,fd00::5");
	p.l = fake_host_vport(&p.s, "l", VNI, L_MAC, "10.0.0.8");
	p.v_d = fake_host_vport(&p.d, "v", VNI, V_MAC, "10.0.0.5,fd00::5");
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

static int section_moves(struct pair *p, char *error, size_t len)
{
	struct plugin_section section = {.version = 1};

	assert_int_equal(engine_section_save(p->v, "nat", fake_plugin_sink(&p->sink)), 0);
	section.bytes = (const uint8_t *)p->sink.text;
	section.len_bytes = p->sink.text_len;
	return engine_section_load(p->v_d, "nat", &section, error, len);
}

/* The only session of v, imported at D. */
static enum import_outcome session_moves(struct pair *p, enum drop_reason *reason)
{
	static const uint16_t versions[VPORT_PLUGINS_MAX];
	struct import_context context = {
		.vport = p->v_d, .state_versions = versions, .by_operator = true};
	struct session *living[SLAB_CHUNK_SESSIONS];
	struct session_record record;
	struct session_walk walk;
	uint32_t count = 0;
	bool end = false;

	session_walk_begin(&walk, p->v, 0);
	while (!end && count == 0)
		count = session_walk_next(&walk, living, &end);
	assert_int_equal(count, 1);
	session_walk_read(living[0], &record);
	session_walk_end(&walk);
	return session_import(&context, &record, reason);
}

static void data_passes_at_d(struct pair *p, uint16_t outside_port)
{
	struct fake_packet answer = {.src_mac = EXT_MAC,
		.dst_mac = V_MAC,
		.src = C,
		.dst = N,
		.proto = IPPROTO_TCP,
		.tcp_flags = RTE_TCP_SYN_FLAG | RTE_TCP_ACK_FLAG,
		.seq = 7,
		.ack = 1001,
		.window = 65535,
		.sport = 443,
		.dport = outside_port};

	fake_host_send_vxlan(&p->d, &from_outside, &answer);
	answer.dst = "10.0.0.5";
	answer.dport = 40000;
	assert_arrives(&p->d, p->v_d, answer);
}

static void a_connection_keeps_its_public_port_when_its_vm_moves(void **state)
{
	struct pair *p = *state;
	enum drop_reason reason;
	char error[256] = "";
	uint16_t port;

	nat_leases(&p->s, LEASES(SNAT("v", "1024-2047")));
	port = opens(&p->s, p->v, 40000, C);
	/* The session is there before its lease is. */
	assert_int_equal(session_moves(p, &reason), IMPORT_INSTALLED);
	assert_int_equal(section_moves(p, error, sizeof(error)), 0);
	data_passes_at_d(p, port);
	/* New ones take other ports of the same lease, towards the same peer. */
	for (uint16_t i = 1; i < 50; i++) {
		uint16_t other = opens(&p->d, p->v_d, (uint16_t)(40000 + i), C);

		assert_in_range(other, 1024, 2047);
		assert_int_not_equal(other, port);
	}
}

static void a_section_may_come_twice(void **state)
{
	struct pair *p = *state;
	char error[256] = "", first[256];

	nat_leases(&p->s, LEASES(SNAT("v", "1024-2047")));
	opens(&p->s, p->v, 40000, C);
	assert_int_equal(section_moves(p, error, sizeof(error)), 0);
	assert_true(p->sink.text_len < sizeof(first));
	memcpy(first, p->sink.text, p->sink.text_len);
	assert_int_equal(section_moves(p, error, sizeof(error)), 0);
	assert_int_equal(engine_section_save(p->v_d, "nat", fake_plugin_sink(&p->sink)), 0);
	assert_memory_equal(p->sink.text, first, p->sink.text_len);
}

static void a_lease_that_d_gave_to_another_is_refused_by_name(void **state)
{
	struct pair *p = *state;
	char error[256] = "";

	nat_leases(&p->s, LEASES(SNAT("v", "1024-2047")));
	nat_leases(&p->d, LEASES(SNAT("x", "1500-1600")));
	opens(&p->s, p->v, 40000, C);
	assert_int_not_equal(section_moves(p, error, sizeof(error)), 0);
	assert_non_null(strstr(error, "203.0.113.7:1024-2047 of v is granted to x here"));
	/* D's own goes on. */
	nat_leases(&p->d, LEASES(SNAT("v", "1500-1600")));
	assert_in_range(opens(&p->d, p->v_d, 40000, C), 1500, 1600);
}

static void a_session_on_anothers_port_is_refused(void **state)
{
	struct pair *p = *state;
	enum drop_reason reason = DROP_NONE;

	nat_leases(&p->s, LEASES(SNAT("v", "1024-1033")));
	nat_leases(&p->d, LEASES(SNAT("x", "1000-1100")));
	opens(&p->s, p->v, 40000, C);
	assert_int_equal(session_moves(p, &reason), IMPORT_REFUSED);
	assert_int_equal(reason, DROP_NO_NAT_PORT);
	assert_int_equal(atomic_load(&p->v_d->sessions), 0);
}

static void hostile_sections_are_refused_and_change_nothing(void **state)
{
	struct pair *p = *state;
	struct plugin_section section = {.version = 1};
	uint8_t bytes[256];
	char error[256];

	nat_leases(&p->s, LEASES(SNAT("v", "1024-2047")));
	assert_int_equal(engine_section_save(p->v, "nat", fake_plugin_sink(&p->sink)), 0);
	section.bytes = bytes;
	section.len_bytes = p->sink.text_len;
	for (size_t cut = 0; cut < p->sink.text_len; cut++) {
		memcpy(bytes, p->sink.text, p->sink.text_len);
		section.len_bytes = cut;
		assert_int_not_equal(
			engine_section_load(p->v_d, "nat", &section, error, sizeof(error)), 0);
	}
	section.len_bytes = p->sink.text_len;
	/* Kind, and the order of the ports. */
	for (int i = 0; i < 2; i++) {
		memcpy(bytes, p->sink.text, p->sink.text_len);
		bytes[i ? 24 : 2] = 0xff;
		assert_int_not_equal(
			engine_section_load(p->v_d, "nat", &section, error, sizeof(error)), 0);
	}
	assert_int_equal(opens(&p->d, p->v_d, 40000, C), 0);
}

/* B01: what goes with a vport is its own. */
static void the_end_of_a_vport_leaves_anothers_connections_alone(void **state)
{
	struct pair *p = *state;
	uint16_t port;
	struct fake_packet answer = {.src_mac = EXT_MAC,
		.dst_mac = V_MAC,
		.src = C,
		.dst = N,
		.proto = IPPROTO_TCP,
		.tcp_flags = RTE_TCP_SYN_FLAG | RTE_TCP_ACK_FLAG,
		.seq = 7,
		.ack = 1001,
		.window = 65535,
		.sport = 443};

	nat_leases(&p->s, LEASES(SNAT("v", "1024-2047") ", " SNAT("l", "2048-3071")));
	port = opens(&p->s, p->v, 40000, C);
	assert_int_equal(engine_vport_del(p->s.engine, p->l), 0);
	answer.dport = port;
	fake_host_send_vxlan(&p->s, &from_outside, &answer);
	answer.dst = "10.0.0.5";
	answer.dport = 40000;
	assert_arrives(&p->s, p->v, answer);
	assert_in_range(opens(&p->s, p->v, 40001, C), 1024, 2047);
}

static void a_lease_taken_away_ends_its_connections_at_their_next_packet(void **state)
{
	struct pair *p = *state;
	struct fake_packet syn = {.src_mac = V_MAC,
		.dst_mac = GATEWAY_MAC,
		.src = "10.0.0.5",
		.dst = C,
		.proto = IPPROTO_TCP,
		.tcp_flags = RTE_TCP_SYN_FLAG,
		.seq = 1000,
		.window = 65535,
		.sport = 40000,
		.dport = 443};

	nat_leases(&p->s, LEASES(SNAT("v", "1024-2047")));
	opens(&p->s, p->v, 40000, C);
	nat_leases(&p->s, "{" NETWORKS "}");
	fake_host_send(&p->s, p->v->port, &syn);
	assert_int_equal(fake_host_drain(p->s.uplink), 0);
	assert_int_equal(drops_of(p->v, DROP_SESSION_CLOSED), 1);
}

static void what_cannot_be_is_refused_and_named(void **state)
{
	static const struct {
		const char *config, *says;
	} cases[] = {
		{LEASES(SNAT("v", "1024-2047") ", " SNAT("l", "2047-3000")),
			"ports: 203.0.113.7:2047-3000 of l overlaps a lease of v"},
		{LEASES("{vport: v, network: no, kind: snat, address: " N ", ports: 1-2}"),
			"network: "},
		{LEASES("{vport: v, network: net, kind: hairpin, address: " N "}"), "kind: "},
		{LEASES("{vport: v, network: net, kind: snat, address: 1.2.3, ports: 1-2}"),
			"address: "},
		{LEASES(SNAT("v", "2000-1000")), "ports: "},
		{LEASES(SNAT("v", "0-1000")), "ports: "},
		{LEASES("{vport: v, network: net, kind: floating, address: " N ", ports: 1}"),
			"ports: "},
		{LEASES("{vport: v, network: net, kind: dnat, address: " N
			", ports: 1-9, inside_port: 65530}"),
			"inside: "},
		{LEASES("{vport: l, network: net, kind: floating, address: 2001:db8::1}"),
			"no address of the family"},
		{"{nat_lease: []}", "nat_lease: unknown key"},
	};
	struct pair *p = *state;

	nat_leases(&p->s, LEASES(SNAT("v", "1024-2047")));
	for (size_t i = 0; i < RTE_DIM(cases); i++) {
		char error[256] = "";

		assert_int_not_equal(
			nat_configure(&p->s, cases[i].config, error, sizeof(error)), 0);
		if (!strstr(error, cases[i].says))
			fail_msg("%s: not \"%s\"", error, cases[i].says);
	}
	assert_in_range(opens(&p->s, p->v, 40000, C), 1024, 2047);
}

static void a_lease_goes_from_one_vport_to_another_in_one_step(void **state)
{
	struct pair *p = *state;

	nat_leases(&p->s, LEASES(SNAT("l", "1024-2047")));
	assert_int_equal(opens(&p->s, p->v, 40000, C), 0);
	nat_leases(&p->s, LEASES(SNAT("v", "1024-2047")));
	assert_in_range(opens(&p->s, p->v, 40000, C), 1024, 2047);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, start, stop)
	const struct CMUnitTest tests[] = {
		T(a_connection_keeps_its_public_port_when_its_vm_moves),
		T(a_section_may_come_twice),
		T(a_lease_that_d_gave_to_another_is_refused_by_name),
		T(a_session_on_anothers_port_is_refused),
		T(hostile_sections_are_refused_and_change_nothing),
		T(the_end_of_a_vport_leaves_anothers_connections_alone),
		T(a_lease_taken_away_ends_its_connections_at_their_next_packet),
		T(what_cannot_be_is_refused_and_named),
		T(a_lease_goes_from_one_vport_to_another_in_one_step),
	};

	if (fake_eal_start() != 0)
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
