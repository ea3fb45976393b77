/* SPDX-License-Identifier: BSD-3-Clause */
/* Options of the underlay, of other hosts and of VPCs. */
#include "config/options.h"

#define NAME_MAX_LEN 63

static const struct config_option uplink[] = {
	OPTION(config_uplink, device, TEXT, .effect = CONFIG_EFFECT_RESTART,
		.help = "DPDK device: `0000:3b:00.0`, `net_af_packet0,iface=eth1`, ..."),
	OPTION(config_uplink, interface, TEXT, .effect = CONFIG_EFFECT_RESTART,
		.help = "Kernel interface instead of `device`, driven through af_packet."),
	OPTION(config_uplink, queues, UINT, .fallback = "1", .min = 1, .max = 16,
		.effect = CONFIG_EFFECT_RESTART, .help = "Receive queues."),
	OPTION_LIST(config_uplink, ips, INTERFACE, .entries_max = 2,
		.effect = CONFIG_EFFECT_RESTART,
		.help = "Addresses of this host's VTEP with their prefix length; one per family."),
	OPTION_LIST(config_uplink, gateways, ADDRESS, .entries_max = 2,
		.effect = CONFIG_EFFECT_RESTART,
		.help = "Next hops towards other networks; one per family, in reach of `ips`."),
	OPTION(config_uplink, mac, MAC, .effect = CONFIG_EFFECT_RESTART,
		.help = "MAC of the VTEP. Unset: the device's."),
	OPTION(config_uplink, mtu, UINT, .fallback = "1550", .unit = "bytes", .min = 1330,
		.max = 9600, .effect = CONFIG_EFFECT_RESTART,
		.help = "MTU of the underlay. VMs with 1500 need 1550 (IPv4) or 1570 (IPv6)."),
	OPTION(config_uplink, vxlan_port, UINT, .fallback = "4789", .min = 1, .max = 65535,
		.effect = CONFIG_EFFECT_RESTART, .help = "UDP port of VXLAN (RFC 7348)."),
};

const struct config_section config_section_uplink = SECTION(struct config_uplink, uplink,
	.help = "The way out: a device with this host's tunnel end point. A host without "
		"`device` and `interface` only switches between its own vports.");

static const struct config_option peer[] = {
	OPTION(config_peer, name, NAME, .max = NAME_MAX_LEN, .required = true,
		.help = "Name of the other host, as its own `host.name` says."),
	OPTION_LIST(config_peer, vteps, ADDRESS, .required = true, .entries_max = 8,
		.effect = CONFIG_EFFECT_RECREATE,
		.help = "Tunnel end points of the host. Packets from others are dropped."),
	OPTION(config_peer, address, ENDPOINT,
		.help = "Where its `ferryd` takes moves. Unset: not a Ferry host."),
	OPTION(config_peer, vmagent, ENDPOINT,
		.help = "Where its `ferry-vmagent` takes VM memory. Unset: it has none."),
	OPTION_LIST(config_peer, tls_names, TEXT, .entries_max = 16,
		.help = "Names its certificate may carry: DNS name, URI or IP address of the "
			"subject alternative names. Unset: its `name`."),
	OPTION_LIST(config_peer, vnis, RANGE, .min = 1, .max = CONFIG_VNI_MAX, .entries_max = 256,
		.help = "VNIs it may speak for. Unset: all."),
};

const struct config_section config_section_peer = SECTION(struct config_peer, peer,
	.has_node = true, .help = "Other hosts: Ferry hosts, and any VTEP that packets come from.");

static const struct config_option tls[] = {
	OPTION(config_tls, ca, TEXT,
		.help = "PEM file with the CAs that certificates of peers must come from."),
	OPTION(config_tls, cert, TEXT,
		.help = "PEM file with this host's certificate and its chain. Read again when it "
			"changes."),
	OPTION(config_tls, key, TEXT, .help = "PEM file with the private key."),
	OPTION(config_tls, insecure, BOOL, .fallback = "false",
		.help = "Allow moves without TLS on unix sockets and loopback. Only for tests."),
	OPTION(config_tls, warn_days, UINT, .fallback = "14", .unit = "days", .max = 365,
		.help = "Warn that long before a certificate ends."),
};

const struct config_section config_section_tls = SECTION(struct config_tls, tls,
	.help = "How this host and its peers prove who they are (TLS 1.3, both ways).");

static const struct config_option route[] = {
	OPTION(config_route, prefix, PREFIX, .required = true, .help = "Destinations."),
	OPTION(config_route, via, ADDRESS,
		.help = "Next hop: an address of the VPC. Exactly one of `via` and `vtep`."),
	OPTION(config_route, vtep, ADDRESS, .help = "Next hop: the host with this VTEP."),
	OPTION(config_route, mac, MAC,
		.help = "Inner destination MAC towards `vtep`. Unset: the virtual gateway's."),
};

static const struct config_section section_route =
	SECTION(struct config_route, route, .has_node = true, .help = "Ways out of the VPC.");

static const struct config_option flood[] = {
	OPTION_IN(config_vpc, flood, broadcast, BOOL, .fallback = "false",
		.help = "Copy broadcasts (DHCP, ...) to all of the VPC."),
	OPTION_IN(config_vpc, flood, multicast, BOOL, .fallback = "false",
		.help = "Copy multicasts (router advertisements, mDNS, ...) to all of the VPC."),
};

static const struct config_section section_flood = SECTION(((struct config_vpc *)0)->flood, flood,
	.help = "What is not meant for one receiver is dropped, except where it is allowed here. "
		"ARP and neighbour discovery are answered from what is known, never flooded.");

static const struct config_option vpc[] = {
	OPTION(config_vpc, name, NAME, .max = NAME_MAX_LEN, .required = true,
		.help = "Name of the VPC."),
	OPTION(config_vpc, vni, UINT, .required = true, .min = 1, .max = CONFIG_VNI_MAX,
		.help = "Its number on the wire; its identity."),
	OPTION_LIST(config_vpc, subnets, PREFIX, .entries_max = 8,
		.help = "Its networks. When given, addresses of vports lie in one of them."),
	OPTION_LIST(config_vpc, gateway_ips, ADDRESS, .entries_max = 8,
		.help = "Addresses of the virtual gateway, in its subnets."),
	OPTION(config_vpc, gateway_mac, MAC, .fallback = "02:66:65:72:72:79",
		.help = "MAC of the virtual gateway towards VMs; the same on all hosts."),
	OPTION_LIST(config_vpc, routes, SECTION, .section = &section_route),
	OPTION_INLINE(flood, &section_flood),
};

const struct config_section config_section_vpc =
	SECTION(struct config_vpc, vpc, .has_node = true, .help = "Virtual networks.");

static const struct config_option location[] = {
	OPTION(config_location, vpc, NAME, .max = NAME_MAX_LEN, .help = "VPC by name; or `vni`."),
	OPTION(config_location, vni, UINT, .min = 1, .max = CONFIG_VNI_MAX,
		.help = "VPC or external network by number."),
	OPTION(config_location, ip, ADDRESS, .required = true, .help = "Whose place it is."),
	OPTION(config_location, ports, RANGE, .min = 1, .max = 65535,
		.help = "Only these ports of a shared public address. Unset: the whole address."),
	OPTION(config_location, vtep, ADDRESS, .required = true, .help = "Host that has it."),
	OPTION(config_location, mac, MAC, .help = "Its MAC. Unset: the gateway answers for it."),
	OPTION_LIST(config_location, groups, NAME, .max = NAME_MAX_LEN, .entries_max = 16,
		.help = "Security groups that it is in, for rules with `remote_group`."),
	OPTION(config_location, epoch, LONG, .fallback = "0", .max = INT64_MAX,
		.help = "Age of this knowledge: a higher epoch learned from a peer wins."),
};

const struct config_section config_section_location = SECTION(struct config_location, location,
	.has_node = true, .help = "Where identities of other hosts are.");

static const struct config_option external_network[] = {
	OPTION(config_external_network, name, NAME, .max = NAME_MAX_LEN, .required = true,
		.help = "Name of the network."),
	OPTION(config_external_network, vni, UINT, .required = true, .min = 1,
		.max = CONFIG_VNI_MAX, .help = "Its number on the wire."),
	OPTION(config_external_network, gateway_vtep, ADDRESS, .required = true,
		.help = "VTEP of the gateway to the outside."),
	OPTION(config_external_network, gateway_mac, MAC,
		.help = "Inner MAC of that gateway. Unset: the virtual gateway's, which every "
			"Ferry host takes."),
	OPTION(config_external_network, anchor, NAME, .max = NAME_MAX_LEN,
		.help = "Host that answers ARP and ND for shared addresses and hands packets on by "
			"port range; the same on all hosts. Unset: this one."),
};

const struct config_section config_section_external_network =
	SECTION(struct config_external_network, external_network, .has_node = true,
		.help = "Networks that public addresses live on.");

static const char *const kind[] = {"floating", "snat", "dnat", NULL};

static const struct config_option nat_lease[] = {
	OPTION(config_nat_lease, vport, NAME, .max = NAME_MAX_LEN, .required = true,
		.effect = CONFIG_EFFECT_RECREATE, .help = "Who holds the lease."),
	OPTION(config_nat_lease, network, NAME, .max = NAME_MAX_LEN, .required = true,
		.effect = CONFIG_EFFECT_RECREATE, .help = "External network of the address."),
	OPTION(config_nat_lease, kind, CHOICE, .words = kind, .required = true,
		.effect = CONFIG_EFFECT_RECREATE,
		.help = "`floating`: an address of its own, both ways; `snat`: a share of an "
			"address for outgoing sessions; `dnat`: ports forwarded to the vport."),
	OPTION(config_nat_lease, address, ADDRESS, .required = true,
		.effect = CONFIG_EFFECT_RECREATE, .help = "Public address."),
	OPTION(config_nat_lease, ports, RANGE, .min = 1, .max = 65535,
		.effect = CONFIG_EFFECT_RECREATE, .help = "Public ports, for `snat` and `dnat`."),
	OPTION(config_nat_lease, protocol, PROTOCOL, .fallback = "any",
		.effect = CONFIG_EFFECT_RECREATE,
		.help = "For `dnat`: `tcp`, `udp` or `any` of both."),
	OPTION(config_nat_lease, inside, ADDRESS, .effect = CONFIG_EFFECT_RECREATE,
		.help = "Address of the vport. Unset: its first one of that family."),
	OPTION(config_nat_lease, inside_port, UINT, .fallback = "0", .max = 65535,
		.effect = CONFIG_EFFECT_RECREATE,
		.help = "For `dnat`: port behind the first public one. 0: the same."),
};

const struct config_section config_section_nat_lease = SECTION(struct config_nat_lease, nat_lease,
	.has_node = true, .help = "Public addresses and ports that vports hold; they move along.");
