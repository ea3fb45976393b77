/* SPDX-License-Identifier: BSD-3-Clause */
/* What ferry.yaml becomes. */
#include "test/unit/config_case.h"

#define VPORT \
	"vpcs: [{name: a, vni: 100}]\n" \
	"vports:\n" \
	"  - name: v\n" \
	"    vpc: a\n" \
	"    port: {path: /v}\n"

static void assert_address(const struct in6_addr *found, const char *expected)
{
	struct in6_addr wanted = case_address(expected);

	assert_memory_equal(found, &wanted, sizeof(wanted));
}

static void unquoted_macs_ports_and_addresses_keep_their_digits_D06(void **state)
{
	struct config *config = case_load(VPORT
		"    mac: 52:54:00:12:34:56\n"
		"    ips: 10:10:10:10:10:10:10:10\n"
		"    groups: g\n"
		"groups:\n"
		"  - name: g\n"
		"    rules:\n"
		"      - {direction: ingress, protocol: tcp, ports: 22:23}\n"
		"      - {direction: ingress, protocol: tcp, ports: [22:22, 80, 8000-8100]}\n");
	const struct config_rule *rules = config->groups[0].rules;

	assert_memory_equal(config->vports[0].mac, "\x52\x54\x00\x12\x34\x56", 6);
	assert_int_equal(config->vports[0].n_ips, 1);
	assert_address(&config->vports[0].ips[0], "10:10:10:10:10:10:10:10");
	assert_int_equal(rules[0].n_ports, 1);
	assert_int_equal(rules[0].ports[0].first, 22);
	assert_int_equal(rules[0].ports[0].last, 23);
	assert_int_equal(rules[1].n_ports, 3);
	assert_int_equal(rules[1].ports[0].first, 22);
	assert_int_equal(rules[1].ports[0].last, 22);
	assert_int_equal(rules[1].ports[1].last, 80);
	assert_int_equal(rules[1].ports[2].last, 8100);
	config_free(config);

	config = case_load(VPORT "    mac: 00:50:56:55:42:45\n    ips: [fd00::10:20]\n");
	assert_memory_equal(config->vports[0].mac, "\x00\x50\x56\x55\x42\x45", 6);
	assert_address(&config->vports[0].ips[0], "fd00::10:20");
	config_free(config);
}

static void json_is_read_too(void **state)
{
	struct config *config = case_load("{\"vpcs\": [{\"name\": \"a\", \"vni\": 100}],\n"
					  "\"engine\": {\"workers\": 4, \"pickup\": true}}");

	assert_int_equal(config->engine.workers, 4);
	assert_true(config->engine.pickup);
	assert_int_equal(config->vpcs[0].vni, 100);
	config_free(config);
}

static void defaults_hold_where_nothing_is_written(void **state)
{
	static const struct in6_addr none;
	struct config *config = case_load("host:\nvpcs: []\nvports: ~\nengine: {}\n");

	assert_string_equal(config->host.run_dir, "/run/ferry");
	assert_null(config->host.name);
	assert_int_equal(config->host.control.mode, 0660);
	assert_int_equal(config->engine.workers, 1);
	assert_int_equal(config->engine.polling, CONFIG_POLLING_ADAPTIVE);
	assert_int_equal(config->engine.policy_change, CONFIG_POLICY_CUT);
	assert_int_equal(config->engine.session_quota_percent, 20);
	assert_int_equal(config->uplink.vxlan_port, 4789);
	assert_int_equal(config->timeouts.tcp.syn_recv, 30000);
	assert_int_equal(config->timeouts.tcp.established, 432000000);
	assert_int_equal(config->timeouts.tcp.close_wait, 3600000);
	assert_int_equal(config->migrate.hold_age_ms, 2000);
	assert_int_equal(config->migrate.hold_bytes, 16 << 20);
	assert_int_equal(config->migrate.listen.port, 0);
	assert_memory_equal(&config->migrate.listen.addr, &none, sizeof(none));
	assert_int_equal(config->log.level, CONFIG_LOG_INFO);
	assert_true(config->vmagent.pre_switchover);
	assert_int_equal(config->n_vpcs, 0);
	assert_int_equal(config->n_vports, 0);
	config_free(config);
}

static void without_a_list_of_plugins_acl_is_there_and_an_empty_list_means_none(void **state)
{
	struct config *config = case_load("host: {name: h}\n");

	assert_int_equal(config->n_plugins, 1);
	assert_string_equal(config->plugins[0].name, "acl");
	config_free(config);
	config = case_load("plugins: []\n");
	assert_int_equal(config->n_plugins, 0);
	config_free(config);
	config = case_load("plugins: [{path: /opt/x/my-thing.so, config: {a: [1, {b: c}]}}]\n");
	assert_string_equal(config->plugins[0].name, "my-thing");
	assert_string_equal(config->plugins[0].path, "/opt/x/my-thing.so");
	assert_int_equal(config->plugins[0].config->count, 1);
	config_free(config);
}

static void sizes_durations_masks_and_modes_have_units(void **state)
{
	struct config *config = case_load(VPORT "    mac: 02:00:00:00:00:01\n"
						"    ips: [10.0.0.1]\n"
						"    hold_bytes: 512K\n"
						"timeouts: {tcp: {established: 2h, close: 1500ms},"
						" udp: {new: 45}}\n"
						"migrate: {hold_bytes: 1G, hold_total_bytes: 2G}\n"
						"host: {control: {mode: 0600}}\n");

	assert_int_equal(config->vports[0].hold_bytes, 512 << 10);
	assert_int_equal(config->migrate.hold_bytes, 1 << 30);
	assert_int_equal(config->timeouts.tcp.established, 7200000);
	assert_int_equal(config->timeouts.tcp.close, 1500);
	assert_int_equal(config->timeouts.udp.new, 45000);
	assert_int_equal(config->host.control.mode, 0600);
	config_free(config);
	config = case_load(VPORT "    mac: 02:00:00:00:00:01\n    ips: [10.0.0.1]\n"
				 "  - {name: w, vpc: a, mac: 02:00:00:00:00:02, ips: 10.0.0.2,"
				 " port: {path: /w, features: 0x130008000}}\n");
	assert_true(config->vports[1].port.features == 0x130008000);
	assert_int_equal(config->vports[1].vni, 100);
	config_free(config);
}

static void prefixes_count_in_mapped_bits(void **state)
{
	struct config *config = case_load("uplink: {interface: e, ips: [192.0.2.1/24, "
					  "2001:db8::1/64], gateways: 192.0.2.254}\n"
					  "vpcs:\n"
					  "  - name: a\n"
					  "    vni: 1\n"
					  "    subnets: [10.0.0.0/8, fd00::/64]\n"
					  "    routes: [{prefix: 0.0.0.0/0, via: 10.0.0.9}, "
					  "{prefix: \"::/0\", vtep: 192.0.2.9}]\n");
	const struct config_vpc *vpc = &config->vpcs[0];

	assert_address(&vpc->subnets[0].addr, "10.0.0.0");
	assert_int_equal(vpc->subnets[0].len, 104);
	assert_int_equal(vpc->subnets[1].len, 64);
	assert_int_equal(vpc->routes[0].prefix.len, 96);
	assert_address(&vpc->routes[0].prefix.addr, "0.0.0.0");
	assert_int_equal(vpc->routes[1].prefix.len, 0);
	assert_address(&config->uplink.ips[0].addr, "192.0.2.1");
	assert_int_equal(config->uplink.ips[0].len, 120);
	assert_int_equal(config->uplink.ips[1].len, 64);
	config_free(config);
}

static void a_rule_knows_whether_it_has_a_remote(void **state)
{
	struct config *config = case_load("groups:\n  - name: g\n    rules:\n"
					  "      - {direction: egress}\n"
					  "      - {direction: egress, remote: '::/0'}\n");

	assert_false(config->groups[0].rules[0].has_remote);
	assert_true(config->groups[0].rules[1].has_remote);
	assert_int_equal(config->groups[0].rules[1].remote.len, 0);
	assert_int_equal(config->groups[0].rules[1].icmp_type, -1);
	config_free(config);
}

static void endpoints_have_an_address_and_a_port(void **state)
{
	struct config *config = case_load("tls: {insecure: true}\n"
					  "migrate: {listen: '[::1]:6790'}\n"
					  "vmagent: {listen: 127.0.0.1:6791}\n");

	assert_address(&config->migrate.listen.addr, "::1");
	assert_int_equal(config->migrate.listen.port, 6790);
	assert_address(&config->vmagent.listen.addr, "127.0.0.1");
	assert_int_equal(config->vmagent.listen.port, 6791);
	config_free(config);
}

static void locations_get_their_vni_from_the_vpc(void **state)
{
	struct config *config =
		case_load("vpcs: [{name: a, vni: 7}]\n"
			  "locations:\n"
			  "  - {vpc: a, ip: 10.0.0.1, vtep: 192.0.2.2, epoch: 1700000000000}\n"
			  "  - {vni: 8, ip: 203.0.113.7, ports: 1024-2047, vtep: 192.0.2.2}\n"
			  "  - {vni: 8, ip: 203.0.113.7, ports: 2048-4095, vtep: 192.0.2.3}\n"
			  "  - {vni: 8, ip: 203.0.113.7, vtep: 192.0.2.4}\n");

	assert_int_equal(config->locations[0].vni, 7);
	assert_int_equal(config->locations[0].epoch, 1700000000000);
	assert_int_equal(config->locations[1].ports.last, 2047);
	assert_int_equal(config->locations[3].ports.last, 0);
	config_free(config);
}

static void objects_are_found_by_name(void **state)
{
	struct config *config = case_load(VPORT "    mac: 02:00:00:00:00:01\n"
						"    ips: [10.0.0.1]\n"
						"peers: [{name: p, vteps: 192.0.2.2}]\n"
						"groups: [{name: g}]\n");

	assert_ptr_equal(config_vport_find(config, "v"), &config->vports[0]);
	assert_ptr_equal(config_vpc_find(config, "a"), &config->vpcs[0]);
	assert_ptr_equal(config_vpc_find_vni(config, 100), &config->vpcs[0]);
	assert_ptr_equal(config_peer_find(config, "p"), &config->peers[0]);
	assert_ptr_equal(config_group_find(config, "g"), &config->groups[0]);
	assert_ptr_equal(config_plugin_find(config, "acl"), &config->plugins[0]);
	assert_null(config_vport_find(config, "w"));
	assert_null(config_vpc_find_vni(config, 101));
	config_free(config);
}

static void settings_for_plugins_are_a_tree_with_places(void **state)
{
	struct config *config = case_load("plugins:\n"
					  "  - name: acl\n"
					  "    config:\n"
					  "      limit: 10\n"
					  "      names: [a, 'b']\n");
	const struct config_tree *tree = config->plugins[0].config;
	const struct config_tree *names = config_tree_get(tree, "names");

	assert_string_equal(config_tree_text(tree, "limit", "x"), "10");
	assert_string_equal(config_tree_text(tree, "absent", "x"), "x");
	assert_string_equal(config_tree_text(tree, "names", "x"), "x");
	assert_int_equal(names->kind, CONFIG_LIST);
	assert_int_equal(names->count, 2);
	assert_int_equal(names->first->next->line, 5);
	assert_int_equal(names->first->next->column, 18);
	assert_int_equal(names->key_column, 7);
	assert_false(names->first->quoted);
	assert_true(names->first->next->quoted);
	assert_null(config_tree_get(NULL, "a"));
	assert_null(config_tree_get(names, "a"));
	config_free(config);
}

static void socket_paths_may_have_107_bytes_and_no_more_C10(void **state)
{
	char path[160] = "/", text[512];

	memset(path + 1, 'p', 106);
	snprintf(text, sizeof(text), "host: {control: {socket: %s}}\n", path);
	config_free(case_load(text));
	path[107] = 'p';
	snprintf(text, sizeof(text), "host: {control: {socket: %s}}\n", path);
	case_refuse(text, 1, 26, "host.control.socket",
		"expected a socket path of at most 107 bytes, found one of 108");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(unquoted_macs_ports_and_addresses_keep_their_digits_D06),
		cmocka_unit_test(json_is_read_too),
		cmocka_unit_test(defaults_hold_where_nothing_is_written),
		cmocka_unit_test(
			without_a_list_of_plugins_acl_is_there_and_an_empty_list_means_none),
		cmocka_unit_test(sizes_durations_masks_and_modes_have_units),
		cmocka_unit_test(prefixes_count_in_mapped_bits),
		cmocka_unit_test(a_rule_knows_whether_it_has_a_remote),
		cmocka_unit_test(endpoints_have_an_address_and_a_port),
		cmocka_unit_test(locations_get_their_vni_from_the_vpc),
		cmocka_unit_test(objects_are_found_by_name),
		cmocka_unit_test(settings_for_plugins_are_a_tree_with_places),
		cmocka_unit_test(socket_paths_may_have_107_bytes_and_no_more_C10),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
