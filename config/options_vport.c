/* SPDX-License-Identifier: BSD-3-Clause */
/* Options of vports, of security groups and of plugins. */
#include "config/options.h"

#define NAME_MAX_LEN 63
#define PLUGIN_NAME_MAX_LEN 31

static const struct config_option address_pair[] = {
	OPTION(config_address_pair, ip, PREFIX, .required = true,
		.help = "Address (with /32 or /128) or network."),
	OPTION(config_address_pair, mac, MAC, .help = "MAC used with it. Unset: the vport's."),
};

static const struct config_section section_address_pair =
	SECTION(struct config_address_pair, address_pair, .has_node = true,
		.help = "What the VM may send from, and is sent to, beyond its own addresses.");

static const char *const mode[] = {"client", "server", NULL};

static const struct config_option port[] = {
	OPTION(config_port, path, SOCKET, .effect = CONFIG_EFFECT_RECREATE,
		.help = "vhost-user socket, at most 107 bytes. Exactly one of `path` and "
			"`device`."),
	OPTION(config_port, device, TEXT, .effect = CONFIG_EFFECT_RECREATE,
		.help = "DPDK device instead: `net_tap0`, `net_af_packet1,iface=veth0`, ..."),
	OPTION(config_port, mode, CHOICE, .words = mode, .fallback = "client",
		.effect = CONFIG_EFFECT_RECREATE,
		.help = "Ferry's end of `path`: `client` connects (and again after each restart "
			"of either side), `server` listens."),
	OPTION(config_port, queues, UINT, .fallback = "1", .min = 1, .max = 16,
		.effect = CONFIG_EFFECT_RECREATE, .help = "Queue pairs."),
	OPTION(config_port, features, MASK, .effect = CONFIG_EFFECT_RECREATE,
		.help = "Virtio features that may be offered, as a mask; equal on all hosts a VM "
			"moves between. Unset: all that Ferry knows."),
	OPTION(config_port, paused, BOOL, .fallback = "false", .effect = CONFIG_EFFECT_RECREATE,
		.help = "A `device` is born with its rings down: the place that a VM without VMM "
			"moves to, started by `vport/resume`."),
	OPTION(config_port, socket_mode, MODE, .fallback = "0660", .effect = CONFIG_EFFECT_RECREATE,
		.help = "File mode of a `server` socket."),
	OPTION(config_port, socket_group, TEXT, .effect = CONFIG_EFFECT_RECREATE,
		.help = "Group that owns a `server` socket. Unset: the group of `ferryd`."),
};

static const struct config_section section_port =
	SECTION(struct config_port, port, .help = "What the VM is plugged into.");

static const char *const tcp[] = {"strict", "liberal", NULL};

static const struct config_option vport[] = {
	OPTION(config_vport, name, NAME, .max = NAME_MAX_LEN, .required = true,
		.effect = CONFIG_EFFECT_RECREATE, .help = "Name of the vport; equal on all hosts."),
	OPTION(config_vport, uuid, UUID, .effect = CONFIG_EFFECT_RECREATE,
		.help = "Of this life of the vport; a move looks for it beside the name. Unset: "
			"none."),
	OPTION(config_vport, vm, NAME, .max = NAME_MAX_LEN, .effect = CONFIG_EFFECT_RECREATE,
		.help = "VM that has the vport; vports of one VM move together. Unset: its name."),
	OPTION(config_vport, vpc, NAME, .max = NAME_MAX_LEN, .required = true,
		.effect = CONFIG_EFFECT_RECREATE, .help = "VPC it belongs to."),
	OPTION(config_vport, mac, MAC, .required = true, .effect = CONFIG_EFFECT_RECREATE,
		.help = "MAC of the VM. No other is let out."),
	OPTION(config_vport, mtu, UINT, .fallback = "0", .unit = "bytes", .max = 9600,
		.effect = CONFIG_EFFECT_RECREATE,
		.help = "Largest IP packet to the VM; longer ones are dropped. 0: 1500."),
	OPTION_LIST(config_vport, ips, ADDRESS, .required = true, .entries_max = 32,
		.help = "Addresses of the VM, IPv4 and IPv6."),
	OPTION_LIST(config_vport, allowed_address_pairs, SECTION, .entries_max = 32,
		.section = &section_address_pair),
	OPTION_SECTION(config_vport, port, &section_port, .required = true,
		.effect = CONFIG_EFFECT_RECREATE),
	OPTION_LIST(config_vport, groups, NAME, .max = NAME_MAX_LEN, .entries_max = 16,
		.help = "Security groups. Without one, nothing comes in and everything may go "
			"out."),
	OPTION(config_vport, tcp, CHOICE, .words = tcp, .fallback = "strict",
		.help = "`strict` drops TCP packets outside the window; `liberal` does not. Also "
			"liberal when one of its groups is."),
	OPTION(config_vport, sessions, UINT, .fallback = "0", .max = 268435456,
		.help = "Sessions it may hold. 0: `engine.session_quota_percent` of all."),
	OPTION(config_vport, hold_bytes, SIZE, .fallback = "0B", .unit = "bytes", .max = 1LL << 31,
		.help = "Packets parked while the VM arrives here. 0: `migrate.hold_bytes`."),
	OPTION(config_vport, plugins, TREE,
		.help = "Settings for plugins: the plugin's name, and below it what the plugin "
			"documents."),
};

const struct config_section config_section_vport =
	SECTION(struct config_vport, vport, .has_node = true, .help = "The VMs' ports.");

static const char *const direction[] = {"ingress", "egress", NULL};
static const char *const family[] = {"any", "ipv4", "ipv6", NULL};
static const char *const action[] = {"allow", "deny", NULL};

static const struct config_option rule[] = {
	OPTION(config_rule, direction, CHOICE, .words = direction, .required = true,
		.help = "As the VM sees it: `ingress` comes in, `egress` goes out."),
	OPTION(config_rule, family, CHOICE, .words = family, .fallback = "any",
		.help = "IP version."),
	OPTION(config_rule, protocol, PROTOCOL, .fallback = "any", .help = "IP protocol."),
	OPTION_LIST(config_rule, ports, RANGE, .max = 65535, .entries_max = 64,
		.help = "Destination ports, for tcp, udp and sctp. Unset: all."),
	OPTION(config_rule, icmp_type, INT, .fallback = "-1", .min = -1, .max = 255,
		.help = "For icmp and icmpv6. -1: any."),
	OPTION(config_rule, icmp_code, INT, .fallback = "-1", .min = -1, .max = 255,
		.help = "Goes with a type. -1: any."),
	OPTION(config_rule, remote, PREFIX,
		.given_offset = offsetof(struct config_rule, has_remote),
		.help = "The other side's network. Unset: anyone."),
	OPTION(config_rule, remote_group, NAME, .max = NAME_MAX_LEN,
		.help = "The other side is a vport of this group. Not together with `remote`."),
	OPTION(config_rule, priority, UINT, .fallback = "0", .max = 65535,
		.help = "The highest matching rule decides; among equals, `deny`."),
	OPTION(config_rule, action, CHOICE, .words = action, .fallback = "allow",
		.help = "What happens to a new session that matches."),
};

static const struct config_section section_rule =
	SECTION(struct config_rule, rule, .has_node = true, .help = "Rules, in any order.");

static const struct config_option group[] = {
	OPTION(config_group, name, NAME, .max = NAME_MAX_LEN, .required = true,
		.help = "Name of the group."),
	OPTION(config_group, liberal_tcp, BOOL, .fallback = "false",
		.help = "Do not check TCP windows of its members."),
	OPTION_LIST(config_group, rules, SECTION, .section = &section_rule),
};

const struct config_section config_section_group = SECTION(struct config_group, group,
	.has_node = true,
	.help = "Security groups: who may open sessions to and from vports. Later packets of a "
		"session, and ICMP errors about it, need no rule.");

static const struct config_option plugin[] = {
	OPTION(config_plugin, name, NAME, .max = PLUGIN_NAME_MAX_LEN,
		.effect = CONFIG_EFFECT_RESTART,
		.help = "Name of the plugin. Unset: the file name of `path` without `.so`."),
	OPTION(config_plugin, path, TEXT, .effect = CONFIG_EFFECT_RESTART,
		.help = "Shared object. Unset: `NAME.so` in the plugin directory."),
	OPTION(config_plugin, config, TREE, .help = "What the plugin documents."),
};

const struct config_section config_section_plugin =
	SECTION(struct config_plugin, plugin, .has_node = true,
		.help = "Packet services, in the order they are asked. Without this section: `acl` "
			"alone. An empty list means none: then nothing is filtered.");
