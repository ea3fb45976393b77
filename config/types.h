/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What ferry.yaml says, as plain structs. The meaning, unit, range and default of every field
 * stand in its row of the options table (options_*.c) and so in REFERENCE.md.
 *
 * Everything a struct points at belongs to the struct config it came from and dies with it in
 * config_free(); nothing is written after config_load() returned. Text that was not given is NULL,
 * an address or MAC that was not given is all zero, a number that was not given is its default.
 */
#ifndef CONFIG_TYPES_H
#define CONFIG_TYPES_H

#include <stdbool.h>
#include <stdint.h>
#include <netinet/in.h>

#include "config/tree.h"

#define CONFIG_SOCKET_PATH_MAX 107 /* characters, by sockaddr_un (unix(7)) */
#define CONFIG_VNI_MAX 0xffffffu /* RFC 7348: 24 bits */

/* IPv4 is v4-mapped (::ffff:a.b.c.d) and its length counts from there: 10.0.0.0/8 has len 104.
 * As a network its host bits are zero; as an interface address they are the host's. */
struct config_prefix {
	struct in6_addr addr;
	uint8_t len; /* 0..128 */
};

struct config_endpoint {
	struct in6_addr addr;
	uint16_t port; /* host order; 0 = not given */
};

/* Both ends belong to it. Ports and VNIs. */
struct config_range {
	uint32_t first, last;
};

struct config_host {
	const char *name; /* NULL: the kernel's host name */
	const char *run_dir;
	uint8_t gateway_mac
		[6]; /* source of routed frames to other hosts; zero: made from the VTEP */
	struct config_endpoint metrics; /* for HTTP; port 0: nowhere */
	struct {
		const char *socket; /* NULL: RUN_DIR/ferryd.sock */
		uint32_t mode; /* file mode bits */
		const char *group; /* NULL: left as it is */
	} control;
};

struct config_dpdk {
	uint32_t memory_mb; /* 0: what EAL takes by itself */
	bool no_huge;
	bool in_memory;
	bool no_pci;
	const char *file_prefix; /* NULL: ferry-HOST */
	const char *lcores; /* EAL's -l; NULL: EAL's choice */
	const char **args; /* more EAL arguments, as they are */
	uint32_t n_args;
};

enum config_polling { CONFIG_POLLING_ADAPTIVE, CONFIG_POLLING_BUSY };
enum config_policy_change { CONFIG_POLICY_CUT, CONFIG_POLICY_FINISH };

struct config_engine {
	uint32_t workers;
	uint32_t *cores; /* worker i is pinned to cores[i]; none: not pinned */
	uint32_t n_cores;
	enum config_polling polling;
	uint32_t sessions; /* capacity of the session table */
	uint32_t session_extensions; /* 0: an eighth of them */
	uint32_t session_quota_percent; /* of `sessions`, for a vport that names no quota */
	uint32_t locations; /* capacity of the location table */
	uint32_t mbufs;
	uint32_t mbuf_bytes; /* data room without headroom */
	uint32_t fragments; /* datagrams followed at once */
	bool pickup; /* sessions may start in mid-stream */
	enum config_policy_change policy_change;
	bool rst_for_unknown;
	bool check_outer_checksum;
	uint32_t icmp_per_s; /* errors the engine sends, per vport */
};

struct config_uplink {
	const char *device; /* DPDK device string; exactly one of the two when there is an uplink */
	const char *interface; /* kernel interface, driven through af_packet */
	uint32_t queues;
	struct config_prefix *ips; /* VTEP addresses with host bits; at most one per family */
	uint32_t n_ips;
	struct in6_addr *gateways; /* at most one per family */
	uint32_t n_gateways;
	uint8_t mac[6]; /* zero: the device's own */
	uint32_t mtu;
	uint32_t vxlan_port;
};

struct config_peer {
	const struct config_tree *node;
	const char *name;
	struct in6_addr *vteps;
	uint32_t n_vteps;
	struct config_endpoint address; /* of its ferryd for moves; port 0: not a Ferry host */
	struct config_endpoint vmagent; /* of its ferry-vmagent; port 0: none */
	const char **tls_names; /* names its certificate may carry; none: `name` */
	uint32_t n_tls_names;
	struct config_range *vnis; /* what it may speak for; none: every VNI */
	uint32_t n_vnis;
};

struct config_tls {
	const char *ca, *cert, *key; /* PEM files */
	bool insecure; /* plain transport on unix sockets and loopback */
	uint32_t warn_days; /* before a certificate ends */
};

struct config_route {
	const struct config_tree *node;
	struct config_prefix prefix;
	struct in6_addr via; /* next hop in the VPC; exactly one of via and vtep */
	struct in6_addr vtep;
	uint8_t mac[6]; /* inner destination towards vtep; zero: the peer's gateway MAC */
};

struct config_vpc {
	const struct config_tree *node;
	const char *name;
	uint32_t vni;
	struct config_prefix *subnets;
	uint32_t n_subnets;
	struct in6_addr *gateway_ips;
	uint32_t n_gateway_ips;
	uint8_t gateway_mac[6];
	struct config_route *routes;
	uint32_t n_routes;
	struct {
		bool broadcast, multicast;
	} flood;
};

enum config_vhost_mode { CONFIG_VHOST_CLIENT, CONFIG_VHOST_SERVER };

struct config_port {
	const char *path; /* vhost-user socket; exactly one of path and device */
	const char *device; /* DPDK device string */
	enum config_vhost_mode mode; /* of Ferry's end */
	uint32_t queues; /* pairs */
	uint64_t features; /* virtio feature bits that may be offered; 0: all that Ferry knows */
	bool paused; /* a device is born with its rings down */
	uint32_t socket_mode; /* file mode bits, server mode */
	const char *socket_group;
};

struct config_address_pair {
	const struct config_tree *node;
	struct config_prefix ip;
	uint8_t mac[6]; /* zero: the vport's */
};

enum config_tcp { CONFIG_TCP_STRICT, CONFIG_TCP_LIBERAL };

struct config_vport {
	const struct config_tree *node;
	const char *name;
	const char *
		uuid; /* of this life of the vport, 36 characters lower case; NULL: made at start */
	const char *vm; /* key that joins the vports of one VM; NULL: the vport's name */
	const char *vpc;
	uint32_t vni; /* of that VPC; set by the loader */
	uint8_t mac[6];
	uint32_t mtu; /* 0: what the uplink carries */
	struct in6_addr *ips;
	uint32_t n_ips;
	struct config_address_pair *allowed_address_pairs;
	uint32_t n_allowed_address_pairs;
	struct config_port port;
	const char **groups;
	uint32_t n_groups;
	enum config_tcp tcp; /* liberal also when one of its groups says so */
	uint32_t sessions; /* quota; 0: engine.session_quota_percent */
	uint64_t hold_bytes; /* 0: migrate.hold_bytes */
	const struct config_tree *plugins; /* map: plugin name -> its settings; NULL: none */
};

struct config_location {
	const struct config_tree *node;
	const char *vpc; /* NULL when only the VNI was given */
	uint32_t vni; /* always set after loading */
	struct in6_addr ip;
	struct config_range ports; /* of a NAT lease; 0..0: the whole address */
	struct in6_addr vtep;
	uint8_t mac[6]; /* zero: not known */
	uint64_t epoch;
	const char **groups; /* security groups that it is in, for rules with remote_group */
	uint32_t n_groups;
};

enum config_direction { CONFIG_INGRESS, CONFIG_EGRESS };
enum config_action { CONFIG_ALLOW, CONFIG_DENY };
enum config_family { CONFIG_FAMILY_ANY, CONFIG_FAMILY_IPV4, CONFIG_FAMILY_IPV6 };

struct config_rule {
	const struct config_tree *node;
	enum config_direction direction;
	enum config_family family;
	uint32_t protocol; /* IP protocol number; 0: any */
	struct config_range *ports; /* destination ports; none: all */
	uint32_t n_ports;
	int32_t icmp_type, icmp_code; /* -1: any */
	bool has_remote;
	struct config_prefix remote; /* when has_remote */
	const char *remote_group; /* NULL: none */
	uint32_t priority; /* the higher wins; deny wins among equals */
	enum config_action action;
};

struct config_group {
	const struct config_tree *node;
	const char *name;
	bool liberal_tcp;
	struct config_rule *rules;
	uint32_t n_rules;
};

struct config_plugin {
	const struct config_tree *node;
	const char *name; /* always set after loading */
	const char *path; /* NULL: NAME.so in the plugin directory */
	const struct config_tree *config; /* NULL: none */
};

struct config_external_network {
	const struct config_tree *node;
	const char *name;
	uint32_t vni;
	struct in6_addr gateway_vtep;
	uint8_t gateway_mac[6];
	const char *anchor; /* host that answers for shared addresses; NULL: this one */
};

enum config_nat_kind { CONFIG_NAT_FLOATING, CONFIG_NAT_SNAT, CONFIG_NAT_DNAT };

struct config_nat_lease {
	const struct config_tree *node;
	const char *vport;
	const char *network;
	enum config_nat_kind kind;
	struct in6_addr address; /* public */
	struct config_range ports; /* 0..0 for floating: the whole address */
	uint32_t protocol; /* dnat: 0 = TCP and UDP */
	struct in6_addr inside; /* zero: the vport's first address of that family */
	uint32_t inside_port; /* dnat: of the first port of the range; 0: the same ports */
};

/* Milliseconds. */
struct config_timeouts {
	struct {
		uint64_t syn_sent, syn_recv, established, fin_wait, close_wait, last_ack, time_wait,
			close;
	} tcp;
	struct {
		uint64_t new, stream;
	} udp;
	struct {
		uint64_t new, replied;
	} icmp;
	struct {
		uint64_t init, init_ack, cookie, established, shutdown, closed;
	} sctp;
	struct {
		uint64_t new, stream;
	} generic;
};

enum config_hold_from { CONFIG_HOLD_SOURCE, CONFIG_HOLD_ANY };

struct config_migrate {
	struct config_endpoint listen; /* port 0: no moves from elsewhere */
	uint32_t max_moves; /* at once, both directions together */
	uint32_t bandwidth_mbit; /* 0: no cap */
	uint32_t connect_ms, activate_ms, claim_ms, pause_max_ms;
	uint64_t hold_bytes; /* per vport */
	uint64_t hold_total_bytes;
	uint32_t hold_age_ms;
	enum config_hold_from hold_from;
	uint32_t announce_repeats, announce_interval_ms;
};

struct config_vmagent {
	const char *socket; /* of the agent itself; NULL: RUN_DIR/vmagent.sock */
	const char *ferryd; /* control socket of its ferryd; NULL: host.control.socket */
	struct config_endpoint listen; /* port 0: no memory from elsewhere */
	const char *qmp; /* path of a VM's QMP socket, "{vm}" is replaced by its key */
	const char **hook; /* argv that starts the receiving QEMU; none: one waits already */
	uint32_t n_hook;
	uint32_t hook_ms;
	bool zstd;
	uint32_t zstd_level;
	uint32_t multifd; /* channels; 0: off */
	uint32_t bandwidth_mbit; /* 0: what ferryd grants */
	uint32_t downtime_ms;
	bool auto_converge;
	bool pre_switchover;
};

enum config_log_level { CONFIG_LOG_ERROR, CONFIG_LOG_WARN, CONFIG_LOG_INFO, CONFIG_LOG_DEBUG };

struct config_log {
	enum config_log_level level;
	const char *target; /* "stderr", "syslog" or a path */
	uint32_t rate_per_s; /* lines of one kind */
};

struct config {
	struct config_host host;
	struct config_dpdk dpdk;
	struct config_engine engine;
	struct config_uplink uplink;
	struct config_peer *peers;
	uint32_t n_peers;
	struct config_tls tls;
	struct config_vpc *vpcs;
	uint32_t n_vpcs;
	struct config_vport *vports;
	uint32_t n_vports;
	struct config_location *locations;
	uint32_t n_locations;
	struct config_group *groups;
	uint32_t n_groups;
	struct config_plugin *plugins; /* just `acl` when the file has no such section */
	uint32_t n_plugins;
	struct config_external_network *external_networks;
	uint32_t n_external_networks;
	struct config_nat_lease *nat_leases;
	uint32_t n_nat_leases;
	struct config_timeouts timeouts;
	struct config_migrate migrate;
	struct config_vmagent vmagent;
	struct config_log log;

	const struct config_tree *tree; /* the whole file */
	struct config_arena *arena; /* owns all of the above; for config_free() */
};

#endif
