/* SPDX-License-Identifier: BSD-3-Clause */
/* Options of the sections host, dpdk, engine and log. */
#include "config/options.h"

#define NAME_MAX_LEN 63

static const struct config_option control[] = {
	OPTION_IN(config_host, control, socket, SOCKET, .effect = CONFIG_EFFECT_RESTART,
		.help = "Control socket, for `ferryctl` and `ovs-appctl -t`. Unset: "
			"`ferryd.sock` in `host.run_dir`."),
	OPTION_IN(config_host, control, mode, MODE, .fallback = "0660",
		.effect = CONFIG_EFFECT_RESTART, .help = "File mode of the control socket."),
	OPTION_IN(config_host, control, group, TEXT, .effect = CONFIG_EFFECT_RESTART,
		.help = "Group that owns the control socket. Unset: the group of `ferryd`."),
};

static const struct config_section section_control =
	SECTION(((struct config_host *)0)->control, control, .help = "Where commands come in.");

static const struct config_option host[] = {
	OPTION(config_host, name, NAME, .max = NAME_MAX_LEN, .effect = CONFIG_EFFECT_RESTART,
		.help = "Name of this host, as its peers call it. Unset: the kernel's host name."),
	OPTION(config_host, run_dir, TEXT, .fallback = "/run/ferry",
		.effect = CONFIG_EFFECT_RESTART,
		.help = "Directory for sockets and the runtime store. Must be gone after a reboot "
			"(tmpfs)."),
	OPTION(config_host, gateway_mac, MAC, .effect = CONFIG_EFFECT_RESTART,
		.help = "Source MAC of routed frames to other hosts; must differ on every host. "
			"Unset: made from the VTEP address."),
	OPTION(config_host, metrics, ENDPOINT, .effect = CONFIG_EFFECT_RESTART,
		.help = "Where monitoring reads `/metrics` by HTTP, in the clear and whoever asks: "
			"loopback or a management network. Unset: nowhere (the command `metrics` "
			"says the same)."),
	OPTION_INLINE(control, &section_control),
};

const struct config_section config_section_host =
	SECTION(struct config_host, host, .help = "The host itself.");

static const struct config_option dpdk[] = {
	OPTION(config_dpdk, memory_mb, UINT, .fallback = "512", .unit = "MiB", .max = 1048576,
		.effect = CONFIG_EFFECT_RESTART,
		.help = "Memory that DPDK reserves. 0: what it takes by itself."),
	OPTION(config_dpdk, no_huge, BOOL, .fallback = "false", .effect = CONFIG_EFFECT_RESTART,
		.help = "Use plain pages instead of huge pages."),
	OPTION(config_dpdk, in_memory, BOOL, .fallback = "true", .effect = CONFIG_EFFECT_RESTART,
		.help = "Leave no files behind, not even after a crash."),
	OPTION(config_dpdk, no_pci, BOOL, .fallback = "false", .effect = CONFIG_EFFECT_RESTART,
		.help = "Do not look for NICs on the PCI bus."),
	OPTION(config_dpdk, file_prefix, NAME, .max = NAME_MAX_LEN, .effect = CONFIG_EFFECT_RESTART,
		.help = "Keeps DPDK programs of one host apart. Unset: `ferry-` and the host's "
			"name."),
	OPTION(config_dpdk, lcores, TEXT, .effect = CONFIG_EFFECT_RESTART,
		.help = "Cores that DPDK may use, as its `-l` takes them. Unset: all."),
	OPTION_LIST(config_dpdk, args, TEXT, .entries_max = 64, .effect = CONFIG_EFFECT_RESTART,
		.help = "More arguments for DPDK, one per entry."),
};

const struct config_section config_section_dpdk =
	SECTION(struct config_dpdk, dpdk, .help = "How DPDK starts.");

static const char *const polling[] = {"adaptive", "busy", NULL};
static const char *const policy_change[] = {"cut", "finish", NULL};

static const struct config_option engine[] = {
	OPTION(config_engine, workers, UINT, .fallback = "1", .min = 1, .max = 16,
		.effect = CONFIG_EFFECT_RESTART, .help = "Threads that move packets."),
	OPTION_LIST(config_engine, cores, UINT, .max = 1023, .entries_max = 16,
		.effect = CONFIG_EFFECT_RESTART,
		.help = "Core of each worker; as many as workers. Unset: not pinned."),
	OPTION(config_engine, polling, CHOICE, .words = polling, .fallback = "adaptive",
		.effect = CONFIG_EFFECT_RESTART,
		.help = "`adaptive` sleeps when there is nothing to do and wakes in less than "
			"100 us (ports that cannot wake it, as rings, pcap, null, memif and NICs "
			"without receive interrupts: 1 ms, once nothing came for 0.1 s); `busy` "
			"never sleeps."),
	OPTION(config_engine, sessions, UINT, .fallback = "1048576", .min = 1024, .max = 268435456,
		.effect = CONFIG_EFFECT_RESTART, .help = "Sessions the host can hold."),
	OPTION(config_engine, session_extensions, UINT, .fallback = "0", .max = 268435456,
		.effect = CONFIG_EFFECT_RESTART,
		.help = "Sessions that can carry state of plugins, or a translation between IPv6 "
			"addresses. 0: an eighth of `sessions`."),
	OPTION(config_engine, session_quota_percent, UINT, .fallback = "20", .unit = "%", .min = 1,
		.max = 100,
		.help = "Share of `engine.sessions` for a vport that names no quota of its own."),
	OPTION(config_engine, locations, UINT, .fallback = "65536", .min = 1024, .max = 16777216,
		.effect = CONFIG_EFFECT_RESTART, .help = "Locations the host can hold."),
	OPTION(config_engine, mbufs, UINT, .fallback = "16384", .min = 1024, .max = 16777216,
		.effect = CONFIG_EFFECT_RESTART, .help = "Packet buffers."),
	OPTION(config_engine, mbuf_bytes, UINT, .fallback = "2176", .unit = "bytes", .min = 1664,
		.max = 16384, .effect = CONFIG_EFFECT_RESTART,
		.help = "Data room of a packet buffer, without headroom."),
	OPTION(config_engine, fragments, UINT, .fallback = "4096", .min = 16, .max = 65535,
		.effect = CONFIG_EFFECT_RESTART,
		.help = "Fragmented datagrams that are followed at once."),
	OPTION(config_engine, pickup, BOOL, .fallback = "false", .effect = CONFIG_EFFECT_RESTART,
		.help = "Let TCP and SCTP sessions start in mid-stream, without their handshake."),
	OPTION(config_engine, policy_change, CHOICE, .words = policy_change, .fallback = "cut",
		.effect = CONFIG_EFFECT_RESTART,
		.help = "What becomes of a living session that a change of policy forbids: `cut` "
			"it at once, or let it `finish`."),
	OPTION(config_engine, rst_for_unknown, BOOL, .fallback = "false",
		.effect = CONFIG_EFFECT_RESTART,
		.help = "Answer TCP packets of unknown sessions with a reset instead of silence."),
	OPTION(config_engine, check_outer_checksum, BOOL, .fallback = "false",
		.effect = CONFIG_EFFECT_RESTART,
		.help = "Verify the outer UDP checksum of received VXLAN packets that carry one."),
	OPTION(config_engine, icmp_per_s, UINT, .fallback = "100", .unit = "packets/s",
		.max = 1000000, .effect = CONFIG_EFFECT_RESTART,
		.help = "Errors (fragmentation needed, packet too big, time exceeded) that Ferry "
			"sends. 0: none."),
};

const struct config_section config_section_engine =
	SECTION(struct config_engine, engine, .help = "The dataplane.");

static const char *const level[] = {"error", "warn", "info", "debug", NULL};

static const struct config_option log_options[] = {
	OPTION(config_log, level, CHOICE, .words = level, .fallback = "info",
		.help = "What is worth a line; `log/set` changes it while running."),
	OPTION(config_log, target, TEXT, .fallback = "stderr", .effect = CONFIG_EFFECT_RESTART,
		.help = "`stderr`, `syslog` or the absolute path of a file."),
	OPTION(config_log, rate_per_s, UINT, .fallback = "1", .unit = "lines/s", .min = 1,
		.max = 1000, .help = "Lines of one kind about one object; the others are counted."),
};

const struct config_section config_section_log =
	SECTION(struct config_log, log_options, .help = "What is written for people, and where.");
