/* SPDX-License-Identifier: BSD-3-Clause */
/* What a wrong ferry.yaml is answered: every kind of error, at its exact place. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "test/unit/config_case.h"

struct wrong {
	const char *text;
	unsigned line, column;
	const char *path;
	const char *expected;
};

static void refuse_all(const struct wrong *cases, size_t count)
{
	for (size_t i = 0; i < count; i++)
		case_refuse(cases[i].text, cases[i].line, cases[i].column, cases[i].path,
			cases[i].expected);
}
#define REFUSE_ALL(CASES) refuse_all(CASES, sizeof(CASES) / sizeof(CASES[0]))

static void broken_yaml_is_refused(void **state)
{
	static const struct wrong cases[] = {
		{"", 1, 1, "", "expected a map of sections, found an empty file"},
		{"# only a comment\n", 1, 1, "", "found an empty file"},
		{"---\n", 2, 1, "", "expected a map of sections, found nothing"},
		{"- a\n", 1, 1, "", "expected a map of sections, found a list"},
		{"just text\n", 1, 1, "", "expected a map of sections, found \"just text\""},
		{"host:\n\tname: a\n", 2, 1, "", "expected spaces, found a tab"},
		{"host: {name: a\n", 2, 1, "", "expected valid YAML, found an error"},
		{"host: [1, 2}\n", 1, 12, "", "expected valid YAML"},
		{"host: {name: a}\n---\nlog: {}\n", 2, 1, "",
			"expected one document, found a second one"},
		{"host: &x {name: a}\n", 1, 7, "", "found an anchor or alias"},
		{"host: {name: a}\nlog: *x\n", 2, 6, "", "found an anchor or alias"},
		{"host: !!map {name: a}\n", 1, 7, "", "found a tag"},
		{"host: {name: !env A}\n", 1, 14, "", "found a tag"},
		{"? [a]\n: b\n", 1, 3, "", "expected a key, found a list"},
		{"? {a: b}\n: b\n", 1, 3, "", "expected a key, found a map"},
		{"host: {name: \"a\\0b\"}\n", 1, 14, "", "found a zero byte"},
		{"host:\n  name: a\xff\n", 2, 10, "", "found byte 0xff"},
		{"host: {name: a\x01}\n", 1, 15, "", "found byte 0x01"},
		{"host:\n  name: \"\xc3\xa9\xe2\x82\xac\xff\"\n", 2, 12, "", "found byte 0xff"},
	};

	REFUSE_ALL(cases);
}

static void unknown_keys_are_refused_with_the_closest_known_one(void **state)
{
	static const struct wrong cases[] = {
		{"hots: {}\n", 1, 1, "", "found \"hots\" (did you mean \"host\"?)"},
		{"engine:\n  workers: 1\n  woker: 2\n", 3, 3, "engine",
			"found \"woker\" (did you mean \"workers\"?)"},
		{"xyzzy: 1\n", 1, 1, "", "expected a known key, found \"xyzzy\""},
		{"vpcs:\n  - name: a\n    vni: 1\n    subnet: [10.0.0.0/8]\n", 4, 5, "vpcs[0]",
			"did you mean \"subnets\"?"},
		{"timeouts: {tcp: {sny_sent: 3}}\n", 1, 18, "timeouts.tcp",
			"did you mean \"syn_sent\"?"},
		{"<<: {a: b}\n", 1, 1, "", "found \"<<\""},
	};

	REFUSE_ALL(cases);
}

static void a_key_given_twice_is_refused_at_its_second_place(void **state)
{
	static const struct wrong cases[] = {
		{"host: {}\nlog: {}\nhost: {}\n", 3, 1, "",
			"expected each key once, found \"host\" again (first in line 1)"},
		{"engine: {mbufs: 1, workers: 1, \"mbufs\": 2}\n", 1, 32, "",
			"found \"mbufs\" again"},
		{"plugins: [{name: acl, config: {a: {x: 1,\n x: 2}}}]\n", 2, 2, "",
			"found \"x\" again"},
	};

	REFUSE_ALL(cases);
}

static void wrong_types_and_ranges_are_refused(void **state)
{
	static const struct wrong cases[] = {
		{"host: [a]\n", 1, 7, "host", "expected a map, found a list"},
		{"host: a\n", 1, 7, "host", "expected a map, found \"a\""},
		{"vpcs: {name: a}\n", 1, 7, "vpcs", "expected a list, found a map"},
		{"vpcs: a\n", 1, 7, "vpcs", "expected a list, found \"a\""},
		{"vpcs: [a]\n", 1, 8, "vpcs[0]", "expected a map, found \"a\""},
		{"vpcs: [~]\n", 1, 8, "vpcs[0]", "expected a map, found nothing"},
		{"host: {name: {a: b}}\n", 1, 14, "host.name",
			"expected a value (name), found a map"},
		{"host:\n  name:\n", 2, 8, "host.name", "found nothing"},
		{"host: {name: ~}\n", 1, 14, "host.name", "found nothing"},
		{"host: {name: \"\"}\n", 1, 14, "host.name", "found the text \"\""},
		{"host: {name: -a}\n", 1, 14, "host.name", "expected a name of 1 to 63"},
		{"engine: {workers: 0}\n", 1, 19, "engine.workers",
			"expected a number from 1 to 16, found the number 0"},
		{"engine: {workers: 17}\n", 1, 19, "engine.workers", "found the number 17"},
		{"engine: {workers: 99999999999999999999999}\n", 1, 19, "engine.workers",
			"expected a number"},
		{"engine: {workers: -1}\n", 1, 19, "engine.workers", "found \"-1\""},
		{"engine: {workers: 0x4}\n", 1, 19, "engine.workers", "found \"0x4\""},
		{"engine: {workers: 010}\n", 1, 19, "engine.workers",
			"expected a number without leading zeros"},
		{"engine: {workers: 1.0}\n", 1, 19, "engine.workers", "found \"1.0\""},
		{"engine: {workers: \"2\"}\n", 1, 19, "engine.workers", "found the text \"2\""},
		{"engine: {pickup: maybe}\n", 1, 18, "engine.pickup",
			"expected true or false, found \"maybe\""},
		{"engine: {pickup: \"true\"}\n", 1, 18, "engine.pickup", "found the text \"true\""},
		{"engine: {polling: busyy}\n", 1, 19, "engine.polling",
			"expected one of adaptive, busy (did you mean \"busy\"?), found \"busyy\""},
		{"engine: {workers: 2, cores: [1, a]}\n", 1, 33, "engine.cores[1]",
			"expected a number from 0 to 1023, found \"a\""},
		{"host: {control: {mode: 432}}\n", 1, 24, "host.control.mode",
			"expected a file mode in four octal digits like \"0660\""},
		{"timeouts: {udp: {new: 5w}}\n", 1, 23, "timeouts.udp.new",
			"expected a duration from 1s to 30d"},
		{"timeouts: {udp: {new: 0}}\n", 1, 23, "timeouts.udp.new", "found the number 0"},
		{"timeouts: {udp: {new: 999999999999d}}\n", 1, 23, "timeouts.udp.new",
			"expected a duration"},
		{"migrate: {hold_bytes: 3T}\n", 1, 23, "migrate.hold_bytes",
			"expected a size from 64K to 2G"},
		{"migrate: {hold_bytes: 18446744073709551617}\n", 1, 23, "migrate.hold_bytes",
			"expected a size"},
		{"vmagent: {socket: vm.sock}\n", 1, 19, "vmagent.socket",
			"expected an absolute path"},
		{"plugins: [{name: acl, config: 7}]\n", 1, 31, "plugins[0].config",
			"expected a map, found the number 7"},
		{"vports: [{name: v, uuid: 6ba7b810}]\n", 1, 26, "vports[0].uuid",
			"expected a UUID"},
		{"vports: [{name: v, port: {features: 4}}]\n", 1, 10, "vports[0].vpc",
			"expected a value for \"vpc\", found none"},
	};

	REFUSE_ALL(cases);
}

static void wrong_addresses_are_refused_and_the_trap_of_yaml_1_1_is_named_D06(void **state)
{
	static const struct wrong cases[] = {
		{"uplink: {mac: 52:54:00:12:34}\n", 1, 15, "uplink.mac",
			"expected a MAC address like 52:54:00:12:34:56, found \"52:54:00:12:34\""},
		{"{\"uplink\": {\"mac\": 40992926496}}\n", 1, 20, "uplink.mac",
			"YAML 1.1 tools turn unquoted digits with colons into a number"},
		{"uplink: {mac: 01:00:5e:00:00:01}\n", 1, 15, "uplink.mac",
			"expected a unicast MAC address"},
		{"uplink: {mac: 00:00:00:00:00:00}\n", 1, 15, "uplink.mac",
			"expected a unicast MAC"},
		{"uplink: {gateways: [192.0.2.256]}\n", 1, 21, "uplink.gateways[0]",
			"expected an address like 192.0.2.1 or 2001:db8::1"},
		{"uplink: {gateways: [224.0.0.1]}\n", 1, 21, "uplink.gateways[0]",
			"expected a unicast address"},
		{"uplink: {gateways: [ff02::1]}\n", 1, 21, "uplink.gateways[0]", "unicast"},
		{"uplink: {gateways: [0.0.0.0]}\n", 1, 21, "uplink.gateways[0]", "unicast"},
		{"uplink: {gateways: ['::']}\n", 1, 21, "uplink.gateways[0]", "unicast"},
		{"uplink: {gateways: ['::ffff:10.0.0.1']}\n", 1, 21, "uplink.gateways[0]",
			"expected an address"},
		{"uplink: {gateways: [1211110]}\n", 1, 21, "uplink.gateways[0]",
			"put it in quotes"},
		{"uplink: {ips: [192.0.2.1]}\n", 1, 16, "uplink.ips[0]",
			"expected an address with its prefix length"},
		{"uplink: {ips: [192.0.2.1/33]}\n", 1, 16, "uplink.ips[0]",
			"found \"192.0.2.1/33\""},
		{"uplink: {ips: [192.0.2.1/024]}\n", 1, 16, "uplink.ips[0]", "prefix length"},
		{"uplink: {ips: [1.1.1.1/24, 1.1.1.2/24, 1.1.1.3/24]}\n", 1, 15, "uplink.ips",
			"expected at most 2 entries, found 3"},
		{"vpcs: [{name: a, vni: 1, subnets: [10.0.0.5/24]}]\n", 1, 36, "vpcs[0].subnets[0]",
			"expected a prefix without host bits, as 10.0.0.0/24"},
		{"vpcs: [{name: a, vni: 1, subnets: [fd00::1/64]}]\n", 1, 36, "vpcs[0].subnets[0]",
			"as fd00::/64"},
		{"vpcs: [{name: a, vni: 16777216}]\n", 1, 23, "vpcs[0].vni",
			"expected a number from 1 to 16777215"},
		{"migrate: {listen: 192.0.2.1}\n", 1, 19, "migrate.listen",
			"expected an address and port like 192.0.2.1:6790 or [2001:db8::1]:6790"},
		{"migrate: {listen: 2001:db8::1:6790}\n", 1, 19, "migrate.listen",
			"expected an address and port"},
		{"migrate: {listen: 192.0.2.1:0}\n", 1, 19, "migrate.listen", "address and port"},
		{"migrate: {listen: 192.0.2.1:65536}\n", 1, 19, "migrate.listen",
			"address and port"},
		{"peers: [{name: p, vteps: 192.0.2.2, vnis: [9-5]}]\n", 1, 44, "peers[0].vnis[0]",
			"expected a number or range like 80 or 8000-8100 within 1-16777215"},
		{"groups: [{name: g, rules: [{direction: egress, protocol: tpc}]}]\n", 1, 58,
			"groups[0].rules[0].protocol", "expected any, tcp, udp"},
		{"groups: [{name: g, rules: [{direction: egress, ports: 65536}]}]\n", 1, 55,
			"groups[0].rules[0].ports[0]", "within 0-65535"},
	};

	REFUSE_ALL(cases);
}

static void parts_that_exclude_each_other_are_refused(void **state)
{
	static const struct wrong cases[] = {
		{"engine: {workers: 2, cores: [1]}\n", 1, 29, "engine.cores",
			"expected one core for each of 2 workers, found 1"},
		{"engine: {workers: 2, cores: [1, 1]}\n", 1, 33, "engine.cores[1]",
			"expected each core once, found 1 again"},
		{"host: {run_dir: run}\n", 1, 17, "host.run_dir", "that does not start with /"},
		{"log: {target: nowhere}\n", 1, 15, "log.target", "found \"nowhere\""},
		{"uplink: {device: d, interface: i, ips: 192.0.2.1/24}\n", 1, 32,
			"uplink.interface", "expected one of `device` and `interface`, found both"},
		{"uplink: {device: d}\n", 1, 9, "uplink", "found only the device"},
		{"uplink: {ips: 192.0.2.1/24}\n", 1, 9, "uplink", "found only `ips`"},
		{"uplink: {device: d, ips: [192.0.2.1/24, 192.0.2.2/24]}\n", 1, 41, "uplink.ips[1]",
			"expected one address per family"},
		{"uplink: {device: d, ips: [192.0.2.1/24], gateways: [192.0.3.1]}\n", 1, 53,
			"uplink.gateways[0]", "expected a gateway in a network of `ips`"},
		{"tls: {cert: a, key: b}\n", 1, 6, "tls",
			"expected all of ca, cert and key, found 2 of them"},
		{"migrate: {listen: 127.0.0.1:1}\n", 1, 19, "migrate.listen", "expected `tls`"},
		{"migrate: {listen: 192.0.2.1:1}\ntls: {insecure: true}\n", 1, 19, "migrate.listen",
			"expected `tls`"},
		{"vmagent: {listen: 192.0.2.1:1}\n", 1, 19, "vmagent.listen", "expected `tls`"},
		{"vpcs: [{name: a, vni: 1, routes: [{prefix: 10.0.0.0/8}]}]\n", 1, 35,
			"vpcs[0].routes[0]",
			"expected exactly one of `via` and `vtep`, found neither"},
		{"vpcs: [{name: a, vni: 1, routes: [{prefix: 10.0.0.0/8, via: fd00::1}]}]\n", 1, 61,
			"vpcs[0].routes[0].via", "expected a next hop of the prefix's family"},
		{"vpcs: [{name: a, vni: 1, gateway_ips: 10.0.0.1}]\n", 1, 39,
			"vpcs[0].gateway_ips[0]", "expected an address in a subnet of the VPC"},
		{"plugins: [{config: {a: b}}]\n", 1, 11, "plugins[0]",
			"expected one of `name` and `path`, found neither"},
		{"plugins: [{name: Acl}]\n", 1, 18, "plugins[0].name",
			"expected lower case letters"},
		{"locations: [{ip: 10.0.0.1, vtep: 192.0.2.1}]\n", 1, 13, "locations[0]",
			"expected one of `vpc` and `vni`, found neither"},
		{"vpcs: [{name: a, vni: 1}]\nlocations: [{vpc: a, vni: 2, ip: 10.0.0.1, vtep: "
		 "192.0.2.1}]\n",
			2, 27, "locations[0].vni", "expected 1, the VNI of VPC \"a\", found 2"},
	};

	REFUSE_ALL(cases);
}

#define RULE(TEXT) "groups: [{name: g, rules: [{direction: egress, " TEXT "}]}]\n"

static void rules_that_cannot_match_are_refused(void **state)
{
	static const struct wrong cases[] = {
		{RULE("ports: 80"), 1, 55, "groups[0].rules[0].ports",
			"expected ports only for tcp"},
		{RULE("protocol: icmp, ports: 80"), 1, 71, "groups[0].rules[0].ports",
			"ports only"},
		{RULE("icmp_type: 8"), 1, 59, "groups[0].rules[0].icmp_type", "type only for icmp"},
		{RULE("protocol: icmp, icmp_code: 0"), 1, 75, "groups[0].rules[0].icmp_code",
			"expected a code only together with icmp_type"},
		{RULE("icmp_type: 256"), 1, 59, "groups[0].rules[0].icmp_type",
			"expected a number from -1 to 255"},
		{RULE("icmp_type: -2"), 1, 59, "groups[0].rules[0].icmp_type", "found \"-2\""},
		{RULE("remote: 10.0.0.0/8, remote_group: g"), 1, 82,
			"groups[0].rules[0].remote_group",
			"expected one of `remote` and `remote_group`, found both"},
		{RULE("remote_group: h"), 1, 62, "groups[0].rules[0].remote_group",
			"expected the name of a group, found \"h\""},
		{RULE("family: ipv6, remote: 10.0.0.0/8"), 1, 70, "groups[0].rules[0].remote",
			"expected a prefix of the rule's family"},
		{RULE("protocol: icmpv6, family: ipv4"), 1, 74, "groups[0].rules[0].family",
			"expected the family of the protocol"},
		{RULE("protocol: icmpv6, remote: 10.0.0.0/8"), 1, 74, "groups[0].rules[0].remote",
			"of the rule's family"},
	};

	REFUSE_ALL(cases);
}

#define VPC "vpcs: [{name: a, vni: 1, subnets: 10.0.0.0/8, gateway_ips: 10.0.0.254}]\n"
#define ONE "  - {name: v, vpc: a, mac: 02:00:00:00:00:01, ips: [10.0.0.1], port: {path: /v}}\n"
#define VPORT VPC "vports:\n" ONE

static void names_that_lead_nowhere_are_refused(void **state)
{
	static const struct wrong cases[] = {
		{"vports:\n" ONE, 2, 20, "vports[0].vpc",
			"expected the name of a VPC, found \"a\""},
		{VPC "vports:\n  - {name: v, vpc: a, mac: 02:00:00:00:00:01, ips: 10.0.0.1,\n"
		     "     port: {path: /v}, groups: [g]}\n",
			4, 33, "vports[0].groups[0]", "expected the name of a group, found \"g\""},
		{VPC "vports:\n  - {name: v, vpc: a, mac: 02:00:00:00:00:01, ips: 10.0.0.1,\n"
		     "     port: {path: /v}, plugins: {qos: {x: 1}}}\n",
			4, 34, "vports[0].plugins", "expected the name of a plugin, found \"qos\""},
		{VPC "groups: [{name: g}]\nplugins: []\nvports:\n"
		     "  - {name: v, vpc: a, mac: 02:00:00:00:00:01, ips: 10.0.0.1,\n"
		     "     port: {path: /v}, groups: [g]}\n",
			6, 32, "vports[0].groups", "expected the plugin \"acl\""},
		{"locations: [{vpc: a, ip: 10.0.0.1, vtep: 192.0.2.1}]\n", 1, 19,
			"locations[0].vpc", "expected the name of a VPC"},
		{"host: {name: h}\nexternal_networks: [{name: n, vni: 1, gateway_vtep: 192.0.2.1,\n"
		 "  anchor: x}]\n",
			3, 11, "external_networks[0].anchor", "expected this host or a peer"},
		{"plugins: [{name: nat}]\nnat_leases: [{vport: v, network: n, kind: floating,\n"
		 "  address: 203.0.113.7}]\n",
			2, 22, "nat_leases[0].vport", "expected the name of a vport, found \"v\""},
		{"plugins: [{name: nat}]\n" VPORT
		 "nat_leases: [{vport: v, network: n, kind: floating, address: 203.0.113.7}]\n",
			5, 34, "nat_leases[0].network", "expected the name of an external network"},
	};

	REFUSE_ALL(cases);
}

static void vports_that_contradict_themselves_are_refused(void **state)
{
#define V(TEXT) VPC "vports:\n  - {name: v, vpc: a, " TEXT "}\n"
	static const struct wrong cases[] = {
		{V("mac: 02:00:00:00:00:01, ips: 10.0.0.1"), 3, 5, "vports[0].port",
			"expected a value for \"port\", found none"},
		{V("mac: 02:00:00:00:00:01, ips: [], port: {path: /v}"), 3, 52, "vports[0].ips",
			"expected a value for \"ips\", found none"},
		{V("mac: 02:00:00:00:00:01, ips: 10.0.0.1, port: {mode: server}"), 3, 68,
			"vports[0].port",
			"expected exactly one of `path` and `device`, found neither"},
		{V("mac: 02:00:00:00:00:01, ips: 10.0.0.1, port: {path: /v, device: d}"), 3, 68,
			"vports[0].port", "found both"},
		{V("mac: 02:00:00:00:00:01, ips: 10.0.0.1, port: {device: d, features: 0x1}"), 3,
			90, "vports[0].port.features", "only for a vhost-user `path`"},
		{V("mac: 02:00:00:00:00:01, ips: 11.0.0.1, port: {path: /v}"), 3, 52,
			"vports[0].ips[0]", "expected an address in a subnet of VPC \"a\""},
		{V("mac: 02:00:00:00:00:01, ips: [10.0.0.254], port: {path: /v}"), 3, 53,
			"vports[0].ips[0]", "found the gateway of VPC \"a\""},
		{V("mac: 02:66:65:72:72:79, ips: 10.0.0.1, port: {path: /v}"), 3, 28,
			"vports[0].mac", "found the gateway's of VPC \"a\""},
		{V("mac: 02:00:00:00:00:01, ips: 10.0.0.1, port: {path: /v}, sessions: 2000000"), 3,
			90, "vports[0].sessions", "expected at most 1048576"},
	};

	REFUSE_ALL(cases);
}

static void identities_used_twice_are_refused_at_their_second_place(void **state)
{
#define TWO(TEXT) VPORT "  - {" TEXT "}\n"
	static const struct wrong cases[] = {
		{TWO("name: v, vpc: a, mac: 02:00:00:00:00:02, ips: 10.0.0.2, port: {path: /w}"), 4,
			12, "vports[1].name",
			"expected a name used once, found \"v\" again (first in line 3)"},
		{TWO("name: w, vpc: a, mac: 02:00:00:00:00:01, ips: 10.0.0.2, port: {path: /w}"), 4,
			28, "vports[1].mac", "found \"02:00:00:00:00:01 in a\" again"},
		{TWO("name: w, vpc: a, mac: 02:00:00:00:00:02, ips: [10.0.0.2, 10.0.0.1],"
		     " port: {path: /w}"),
			4, 63, "vports[1].ips[1]",
			"found \"10.0.0.1 in a\" again (first in line 3)"},
		{TWO("name: w, vpc: a, mac: 02:00:00:00:00:02, ips: 10.0.0.2, port: {path: /v}"), 4,
			75, "vports[1].port.path", "found \"/v\" again"},
		{"vpcs: [{name: a, vni: 1}, {name: b, vni: 1}]\n", 1, 42, "vpcs[1].vni",
			"found \"1\" again"},
		{"vpcs: [{name: a, vni: 1}, {name: a, vni: 2}]\n", 1, 34, "vpcs[1].name",
			"found \"a\" again"},
		{"vpcs: [{name: a, vni: 1}]\n"
		 "external_networks: [{name: n, vni: 1, gateway_vtep: 192.0.2.1}]\n",
			2, 36, "external_networks[0].vni", "found \"1\" again"},
		{"vpcs: [{name: a, vni: 1, routes: [{prefix: 0.0.0.0/0, via: 10.0.0.1},\n"
		 "  {prefix: 0.0.0.0/0, via: 10.0.0.2}]}]\n",
			2, 12, "vpcs[0].routes[1].prefix", "found \"0.0.0.0/0\" again"},
		{"groups: [{name: g}, {name: g}]\n", 1, 28, "groups[1].name", "again"},
		{"plugins: [{name: acl}, {path: /x/acl.so}]\n", 1, 31, "plugins[1].path", "again"},
		{"peers: [{name: p, vteps: 192.0.2.2}, {name: p, vteps: 192.0.2.3}]\n", 1, 45,
			"peers[1].name", "again"},
		{"peers: [{name: p, vteps: 192.0.2.2}, {name: q, vteps: [192.0.2.2]}]\n", 1, 56,
			"peers[1].vteps[0]", "found \"192.0.2.2\" again"},
		{"host: {name: p}\npeers: [{name: p, vteps: 192.0.2.2}]\n", 2, 16, "peers[0].name",
			"expected the name of another host"},
		{"uplink: {device: d, ips: 192.0.2.2/24}\npeers: [{name: p, vteps: 192.0.2.2}]\n",
			2, 26, "peers[0].vteps[0]", "found 192.0.2.2 of this one"},
		{"locations:\n  - {vni: 1, ip: 10.0.0.1, vtep: 192.0.2.2}\n"
		 "  - {vni: 1, ip: 10.0.0.1, vtep: 192.0.2.3}\n",
			3, 5, "locations[1]", "found 10.0.0.1 in VNI 1 again (first in line 2)"},
		{"locations:\n  - {vni: 1, ip: 10.0.0.1, vtep: 192.0.2.2, ports: 20-30}\n"
		 "  - {vni: 1, ip: 10.0.0.1, vtep: 192.0.2.3, ports: 10-20}\n",
			3, 5, "locations[1]", "again"},
	};

	REFUSE_ALL(cases);
}

#define NAT \
	"plugins: [{name: nat}]\n" \
	"external_networks: [{name: n, vni: 9, gateway_vtep: 192.0.2.9}]\n" VPORT "nat_leases:\n"
#define LEASE(TEXT) "  - {vport: v, network: n, address: 203.0.113.7, " TEXT "}\n"

static void leases_that_overlap_or_make_no_sense_are_refused(void **state)
{
	static const struct wrong cases[] = {
		{NAT LEASE("kind: snat, ports: 1024-2047") LEASE("kind: snat, ports: 2047-3000"), 8,
			5, "nat_leases[1]", "found 203.0.113.7 in n again (first in line 7)"},
		{NAT LEASE("kind: snat, ports: 1024-2047") LEASE("kind: floating"), 8, 5,
			"nat_leases[1]", "again"},
		{NAT LEASE("kind: dnat, protocol: tcp, ports: 80")
				LEASE("kind: dnat, ports: 80, inside_port: 8080"),
			8, 5, "nat_leases[1]", "again"},
		{NAT LEASE("kind: floating, ports: 80"), 7, 73, "nat_leases[0].ports",
			"not for floating, found ports"},
		{NAT LEASE("kind: snat"), 7, 5, "nat_leases[0].ports", "found none"},
		{NAT LEASE("kind: snat, ports: 80, protocol: tcp"), 7, 83, "nat_leases[0].protocol",
			"expected it only for dnat"},
		{NAT LEASE("kind: dnat, ports: 80, protocol: icmp"), 7, 83,
			"nat_leases[0].protocol", "expected any, tcp or udp"},
		{NAT LEASE("kind: dnat, ports: 80-90, inside_port: 65530"), 7, 89,
			"nat_leases[0].inside_port", "with room for the whole range"},
		{NAT LEASE("kind: floating, inside: 10.0.0.9"), 7, 74, "nat_leases[0].inside",
			"expected an address of vport \"v\""},
		{NAT "  - {vport: v, network: n, address: 'fd00::1', kind: floating}\n", 7, 37,
			"nat_leases[0].address", "expected a family that vport \"v\" has"},
	};

	REFUSE_ALL(cases);
	config_free(case_load(NAT LEASE("kind: dnat, protocol: tcp, ports: 53")
			LEASE("kind: dnat, protocol: udp, ports: 50-60")));
}

/* Root may read everything, so a child without rights looks. */
static int load_as_nobody(const char *path)
{
	struct config *config = NULL;
	struct config_error err;
	int status = 0;
	pid_t child = fork();

	if (child == 0) {
		if (geteuid() == 0 && setuid(65534) != 0)
			_exit(255);
		_exit(-config_load(path, &config, &err));
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFEXITED(status));
	return WEXITSTATUS(status);
}

static void files_that_cannot_be_read_say_why_D04(void **state)
{
	char dir[] = "/tmp/ferry-config-XXXXXX", path[64];
	struct config *config = NULL;
	struct config_error err;
	int fd;

	assert_non_null(mkdtemp(dir));
	assert_int_equal(chmod(dir, 0755), 0);
	snprintf(path, sizeof(path), "%s/absent.yaml", dir);
	assert_int_equal(config_load(path, &config, &err), -ENOENT);
	assert_string_equal(err.text, "cannot open the file: No such file or directory");
	assert_int_equal(err.line, 0);
	assert_string_equal(err.file, path);
	assert_int_equal(config_load(dir, &config, &err), -EISDIR);
	assert_string_equal(err.text, "expected a regular file, found a directory");
	assert_int_equal(mkfifo(path, 0600), 0);
	assert_int_equal(config_load(path, &config, &err), -EINVAL);
	assert_non_null(strstr(err.text, "found something else"));
	unlink(path);
	fd = open(path, O_WRONLY | O_CREAT, 0);
	close(fd);
	assert_int_equal(load_as_nobody(path), EACCES);
	unlink(path);
	fd = open(path, O_WRONLY | O_CREAT, 0600);
	assert_int_equal(ftruncate(fd, CONFIG_FILE_BYTES_MAX + 1), 0);
	close(fd);
	assert_int_equal(config_load(path, &config, NULL), -EFBIG);
	unlink(path);
	rmdir(dir);
	assert_null(config);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(broken_yaml_is_refused),
		cmocka_unit_test(unknown_keys_are_refused_with_the_closest_known_one),
		cmocka_unit_test(a_key_given_twice_is_refused_at_its_second_place),
		cmocka_unit_test(wrong_types_and_ranges_are_refused),
		cmocka_unit_test(wrong_addresses_are_refused_and_the_trap_of_yaml_1_1_is_named_D06),
		cmocka_unit_test(parts_that_exclude_each_other_are_refused),
		cmocka_unit_test(rules_that_cannot_match_are_refused),
		cmocka_unit_test(names_that_lead_nowhere_are_refused),
		cmocka_unit_test(vports_that_contradict_themselves_are_refused),
		cmocka_unit_test(identities_used_twice_are_refused_at_their_second_place),
		cmocka_unit_test(leases_that_overlap_or_make_no_sense_are_refused),
		cmocka_unit_test(files_that_cannot_be_read_say_why_D04),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
