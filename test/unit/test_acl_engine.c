/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Security groups in a whole engine: the plugin as it is installed, packets on ring ports. Field
 * case A06: a SYN that meets a living session does not slip past a policy that has changed since.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "dataplane/plugin_chain.h"
#include "dataplane/session_walk.h"
#include "dataplane/trace.h"
#include "test/fake/fake_eal.h"
#include "test/fake/fake_host.h"
#include "test/fake/fake_value.h"

#define VNI 100
#define V_MAC "02:00:00:00:00:05"
#define L_MAC "02:00:00:00:00:08"
#define C_MAC "02:00:00:00:00:09"
#define V "10.0.0.5"
#define C "10.0.0.9"

#define GROUPS(rules) "{groups: [{name: web, rules: [" rules "]}, {name: other, rules: []}]}"
#define ALLOW_80 GROUPS("{direction: ingress, protocol: tcp, ports: [80]}")
#define DENY_80 GROUPS("{direction: ingress, protocol: tcp, ports: [80], action: deny}")
#define ALLOW_PING GROUPS("{direction: ingress, protocol: icmp, icmp_type: 8}")

static const struct fake_vxlan from_c = {
	.src = "192.0.2.3", .dst = "192.0.2.1", .vni = VNI, .dst_mac = "02:00:00:00:01:01"};

struct world {
	struct fake_host s;
	struct vport *v, *l;
};

static void configure(struct world *w, const char *text)
{
	struct plugin_value *value = fake_value(text);
	const struct engine_plugin_config config = {.plugin = "acl", .value = value, .apply = true};
	char error[ENGINE_ERROR_MAX] = "";

	if (engine_plugin_configure(w->s.engine, &config, error, sizeof(error)) != 0)
		fail_msg("%s", error);
	fake_value_free(value);
}

static struct vport *vport_with_group(
	struct world *w, const char *name, const char *mac, const char *ip, const char *group)
{
	struct in6_addr addr = fake_addr(ip);
	struct vport_spec spec = {.name = name,
		.vni = VNI,
		.ips = &addr,
		.ip_count = 1,
		.groups = &group,
		.group_count = 1,
		.port = {.kind = PORT_RING, .queues = 1},
		.role = ROLE_OWNER};
	char error[ENGINE_ERROR_MAX] = "";
	struct vport *v = NULL;

	rte_ether_unformat_addr(mac, &spec.mac);
	if (engine_vport_add(w->s.engine, &spec, &v, error, sizeof(error)) != 0)
		fail_msg("%s", error);
	return v;
}

static int start_with(void **state, enum engine_policy_change policy_change)
{
	static struct world world;
	struct fake_host_options options = {
		.name = "s", .vtep = "192.0.2.1", .policy_change = policy_change, .plugin = ACL_SO};

	memset(&world, 0, sizeof(world));
	fake_host_start(&world.s, &options);
	configure(&world, ALLOW_80);
	fake_host_vpc(&world.s, VNI);
	fake_host_peer(&world.s, "192.0.2.3");
	fake_host_location(&world.s, VNI, C, "192.0.2.3", C_MAC);
	world.v = vport_with_group(&world, "v", V_MAC, V, "web");
	world.l = vport_with_group(&world, "l", L_MAC, "10.0.0.8", "other");
	*state = &world;
	return 0;
}

static int start_cut(void **state)
{
	return start_with(state, ENGINE_POLICY_CUT);
}

static int start_finish(void **state)
{
	return start_with(state, ENGINE_POLICY_FINISH);
}

static int stop(void **state)
{
	fake_host_stop(&((struct world *)*state)->s);
	return 0;
}

/* C:40000 <-> V:80. How many frames came out at the other side. */
static uint32_t from_client(struct world *w, uint8_t flags, uint32_t seq, uint32_t ack)
{
	struct fake_packet p = {.src_mac = C_MAC,
		.dst_mac = V_MAC,
		.src = C,
		.dst = V,
		.proto = IPPROTO_TCP,
		.sport = 40000,
		.dport = 80,
		.tcp_flags = flags,
		.seq = seq,
		.ack = ack,
		.window = 64000};

	fake_host_send_vxlan(&w->s, &from_c, &p);
	return fake_host_drain(w->v->port);
}

static uint32_t from_vm(struct world *w, uint8_t flags, uint32_t seq, uint32_t ack)
{
	struct fake_packet p = {.src_mac = V_MAC,
		.dst_mac = C_MAC,
		.src = V,
		.dst = C,
		.proto = IPPROTO_TCP,
		.sport = 80,
		.dport = 40000,
		.tcp_flags = flags,
		.seq = seq,
		.ack = ack,
		.window = 64000};

	fake_host_send(&w->s, w->v->port, &p);
	return fake_host_drain(w->s.uplink);
}

#define SYN RTE_TCP_SYN_FLAG
#define ACK RTE_TCP_ACK_FLAG
#define FIN RTE_TCP_FIN_FLAG

static void open_connection(struct world *w)
{
	assert_int_equal(from_client(w, SYN, 100, 0), 1);
	assert_int_equal(from_vm(w, SYN | ACK, 500, 101), 1);
	assert_int_equal(from_client(w, ACK, 101, 501), 1);
}

static uint64_t dropped(struct world *w, enum drop_reason reason)
{
	struct port_stats s;

	engine_uplink_stats(w->s.engine, &s);
	return s.drop[reason];
}

static void a06_a_syn_on_a_closed_session_meets_the_new_policy(void **state)
{
	struct world *w = *state;

	open_connection(w);
	assert_int_equal(from_client(w, FIN | ACK, 101, 501), 1);
	assert_int_equal(from_vm(w, FIN | ACK, 501, 102), 1);
	assert_int_equal(from_client(w, ACK, 102, 502), 1);
	configure(w, DENY_80);
	assert_int_equal(from_client(w, SYN, 90000, 0), 0);
	assert_int_equal(dropped(w, DROP_DENIED), 1);
	configure(w, ALLOW_80);
	assert_int_equal(from_client(w, SYN, 91000, 0), 1);
}

static void a06_policy_cuts_a_living_session_and_its_fresh_syn(void **state)
{
	struct world *w = *state;

	open_connection(w);
	configure(w, DENY_80);
	assert_int_equal(from_client(w, ACK, 101, 501), 0);
	assert_int_equal(dropped(w, DROP_SESSION_CLOSED), 1);
	assert_int_equal(atomic_load(&w->v->sessions), 0);
	assert_int_equal(from_client(w, SYN, 90000, 0), 0);
	assert_int_equal(dropped(w, DROP_DENIED), 1);
}

static void a06_a_session_may_finish_but_its_fresh_syn_is_dropped(void **state)
{
	struct world *w = *state;

	open_connection(w);
	configure(w, DENY_80);
	assert_int_equal(from_client(w, ACK, 101, 501), 1);
	assert_int_equal(from_vm(w, ACK, 501, 101), 1);
	assert_int_equal(from_client(w, SYN, 90000, 0), 0);
	assert_int_equal(dropped(w, DROP_DENIED), 1);
}

static void a_ping_is_judged_again_by_the_type_that_opened_it(void **state)
{
	struct world *w = *state;
	struct fake_packet ping = {.src_mac = C_MAC,
		.dst_mac = V_MAC,
		.src = C,
		.dst = V,
		.proto = IPPROTO_ICMP,
		.icmp_type = 8,
		.icmp_id = 7};

	configure(w, ALLOW_PING);
	fake_host_send_vxlan(&w->s, &from_c, &ping);
	assert_int_equal(fake_host_drain(w->v->port), 1);
	configure(w, GROUPS("{direction: ingress, protocol: icmp, icmp_type: 8, priority: 3}"));
	fake_host_send_vxlan(&w->s, &from_c, &ping);
	assert_int_equal(fake_host_drain(w->v->port), 1);
	configure(w, GROUPS("{direction: ingress, protocol: icmp, icmp_type: 13}"));
	fake_host_send_vxlan(&w->s, &from_c, &ping);
	assert_int_equal(fake_host_drain(w->v->port), 0);
	assert_int_equal(dropped(w, DROP_SESSION_CLOSED), 1);
}

static void a_change_of_one_group_leaves_other_vports_alone(void **state)
{
	struct world *w = *state;
	uint32_t before = atomic_load(&w->l->policy_gen);

	configure(w, DENY_80);
	assert_int_equal(atomic_load(&w->l->policy_gen), before);
}

static void a_session_names_the_rule_that_let_it_in(void **state)
{
	struct world *w = *state;
	struct session_tuple tuple = {.local = fake_addr(V),
		.remote = fake_addr(C),
		.local_port = RTE_BE16(80),
		.remote_port = RTE_BE16(40000),
		.vni = VNI,
		.proto = IPPROTO_TCP};
	struct chain_result result;
	struct session *s;
	char text[128];

	open_connection(w);
	s = session_walk_find(w->s.engine, &tuple);
	assert_non_null(s);
	plugin_chain_explain(s, 0, &result);
	assert_int_equal(result.asked, 1);
	assert_true(plugin_chain_step_text(w->v, &result, 0, text, sizeof(text)) > 0);
	assert_string_equal(text, "acl: allow, rule 1 of group web");
}

static void remember_admit(void *arg, const char *stage, const char *text)
{
	if (strcmp(stage, "admit") == 0 && strncmp(text, "acl", 3) == 0)
		snprintf(arg, 128, "%s", text);
}

/* G03: the trace of a refused packet names stage and rule, and leaves no trace itself. */
static void g03_a_trace_names_the_rule_that_refuses(void **state)
{
	struct world *w = *state;
	struct fake_packet p = {.src_mac = C_MAC,
		.dst_mac = V_MAC,
		.src = C,
		.dst = V,
		.proto = IPPROTO_TCP,
		.sport = 40000,
		.dport = 80,
		.tcp_flags = SYN};
	uint8_t inner[FAKE_FRAME_MAX], whole[FAKE_FRAME_MAX];
	char text[128] = "";
	const struct trace_sink sink = {.line = remember_admit, .arg = text};
	size_t len = fake_packet_build(&p, inner, sizeof(inner));
	int reader = engine_reader_register(w->s.engine);

	configure(w, DENY_80);
	len = fake_vxlan_build(&from_c, inner, len, whole, sizeof(whole));
	engine_reader_online(w->s.engine, reader);
	assert_int_equal(trace_packet(w->s.engine, NULL, whole, len, &sink), 0);
	engine_reader_offline(w->s.engine, reader);
	engine_reader_unregister(w->s.engine, reader);
	assert_string_equal(text, "acl: deny, rule 1 of group web");
	assert_int_equal(dropped(w, DROP_DENIED), 0);
	assert_int_equal(from_client(w, SYN, 1, 0), 0);
	assert_int_equal(dropped(w, DROP_DENIED), 1);
}

static void a_vport_may_not_name_a_group_that_is_not_there(void **state)
{
	struct world *w = *state;
	const char *group = "nobody";
	struct in6_addr addr = fake_addr("10.0.0.44");
	struct vport_spec spec = {.name = "x",
		.vni = VNI,
		.ips = &addr,
		.ip_count = 1,
		.groups = &group,
		.group_count = 1,
		.port = {.kind = PORT_RING, .queues = 1},
		.role = ROLE_OWNER};
	char error[ENGINE_ERROR_MAX] = "";
	struct vport *v;

	rte_ether_unformat_addr("02:00:00:00:00:44", &spec.mac);
	assert_int_not_equal(engine_vport_add(w->s.engine, &spec, &v, error, sizeof(error)), 0);
	assert_string_equal(error, "plugin acl: vport x: groups: no group named nobody");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define T(name, start) cmocka_unit_test_setup_teardown(name, start, stop)
		T(a06_a_syn_on_a_closed_session_meets_the_new_policy, start_cut),
		T(a06_policy_cuts_a_living_session_and_its_fresh_syn, start_cut),
		T(a06_a_session_may_finish_but_its_fresh_syn_is_dropped, start_finish),
		T(a_ping_is_judged_again_by_the_type_that_opened_it, start_cut),
		T(a_change_of_one_group_leaves_other_vports_alone, start_cut),
		T(a_session_names_the_rule_that_let_it_in, start_cut),
		T(g03_a_trace_names_the_rule_that_refuses, start_cut),
		T(a_vport_may_not_name_a_group_that_is_not_there, start_cut),
	};

	if (fake_eal_start() != 0)
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
