/* SPDX-License-Identifier: BSD-3-Clause */
/* Options of session life times, of moves and of the VM-side agent. */
#include "config/options.h"

#define DAY_MS 86400000LL

/* Idle life of a session in a state; the field is GROUP.STATE of struct config_timeouts. */
#define TIMEOUT(GROUP, STATE, DEFAULT, HELP) \
	OPTION_IN(config_timeouts, GROUP, STATE, DURATION, .fallback = DEFAULT, .min = 1000, \
		.max = 30 * DAY_MS, .help = HELP)
#define TIMEOUT_SECTION(GROUP, HELP) \
	static const struct config_section section_##GROUP = \
		SECTION(((struct config_timeouts *)0)->GROUP, GROUP, .help = HELP)

static const struct config_option tcp[] = {
	TIMEOUT(tcp, syn_sent, "30s", "A SYN without an answer."),
	TIMEOUT(tcp, syn_recv, "30s", "Half-open: SYN and SYN-ACK, no ACK yet."),
	TIMEOUT(tcp, established, "5d", "Open; RFC 5382 asks for 2 h 4 min at least."),
	TIMEOUT(tcp, fin_wait, "1h", "One side has closed, its FIN is on the way."),
	TIMEOUT(tcp, close_wait, "1h",
		"Half-closed: one FIN is acknowledged, the other side may "
		"still send."),
	TIMEOUT(tcp, last_ack, "30s", "Both sides have closed, the last ACK is to come."),
	TIMEOUT(tcp, time_wait, "2m", "Closed; late packets may come."),
	TIMEOUT(tcp, close, "10s", "Reset."),
};
TIMEOUT_SECTION(tcp, "TCP, by state.");

static const struct config_option udp[] = {
	TIMEOUT(udp, new, "30s", "No answer yet."),
	TIMEOUT(udp, stream, "5m", "Answered."),
};
TIMEOUT_SECTION(udp, "UDP.");

static const struct config_option icmp[] = {
	TIMEOUT(icmp, new, "30s", "Echo without an answer."),
	TIMEOUT(icmp, replied, "1m", "Answered echo; RFC 5508 asks for 60 s at least."),
};
TIMEOUT_SECTION(icmp, "ICMP and ICMPv6 echo.");

static const struct config_option sctp[] = {
	TIMEOUT(sctp, init, "30s", "INIT sent."),
	TIMEOUT(sctp, init_ack, "30s", "INIT answered."),
	TIMEOUT(sctp, cookie, "30s", "COOKIE-ECHO sent."),
	TIMEOUT(sctp, established, "5d", "Open."),
	TIMEOUT(sctp, shutdown, "30s", "Being closed."),
	TIMEOUT(sctp, closed, "10s", "Closed or aborted."),
};
TIMEOUT_SECTION(sctp, "SCTP, by state.");

static const struct config_option generic[] = {
	TIMEOUT(generic, new, "1m", "No answer yet."),
	TIMEOUT(generic, stream, "10m", "Answered."),
};
TIMEOUT_SECTION(generic, "Every other protocol.");

static const struct config_option timeouts[] = {
	OPTION_INLINE(tcp, &section_tcp),
	OPTION_INLINE(udp, &section_udp),
	OPTION_INLINE(icmp, &section_icmp),
	OPTION_INLINE(sctp, &section_sctp),
	OPTION_INLINE(generic, &section_generic),
};

const struct config_section config_section_timeouts = SECTION(
	struct config_timeouts, timeouts, .help = "How long a session lives without a packet.");

static const char *const hold_from[] = {"source", "any", NULL};

static const struct config_option migrate[] = {
	OPTION(config_migrate, listen, ENDPOINT, .effect = CONFIG_EFFECT_RESTART,
		.help = "Where moves from other hosts come in. Unset: nowhere."),
	OPTION(config_migrate, max_moves, UINT, .fallback = "4", .min = 1, .max = 64,
		.help = "Moves at once, in and out together; more are refused."),
	OPTION(config_migrate, bandwidth_mbit, UINT, .fallback = "0", .unit = "Mbit/s",
		.max = 1000000, .help = "Cap for sessions and VM memory together. 0: none."),
	OPTION(config_migrate, connect_ms, UINT, .fallback = "5000", .unit = "ms", .min = 100,
		.max = 60000, .help = "To reach and greet the other host."),
	OPTION(config_migrate, activate_ms, UINT, .fallback = "2000", .unit = "ms", .min = 10,
		.max = 60000,
		.help = "The VM runs here, but the source cannot be asked for the last changes: "
			"serve without them after this."),
	OPTION(config_migrate, claim_ms, UINT, .fallback = "2000", .unit = "ms", .min = 10,
		.max = 60000,
		.help = "A VM appears without a move and its last owner does not answer: serve "
			"it after this, with an alarm."),
	OPTION(config_migrate, pause_max_ms, UINT, .fallback = "3000", .unit = "ms", .min = 10,
		.max = 600000,
		.help = "A VM stopped before its sessions were ready: the move is cancelled after "
			"this."),
	OPTION(config_migrate, hold_bytes, SIZE, .fallback = "16M", .unit = "bytes", .min = 65536,
		.max = 1LL << 31,
		.help = "Packets parked per vport while its VM arrives; then the oldest go."),
	OPTION(config_migrate, hold_total_bytes, SIZE, .fallback = "256M", .unit = "bytes",
		.min = 65536, .max = 1LL << 36,
		.help = "Of all vports that arrive at once together; a move beyond it is "
			"refused."),
	OPTION(config_migrate, hold_age_ms, UINT, .fallback = "2000", .unit = "ms", .min = 10,
		.max = 60000, .help = "Parked packets older than this are dropped."),
	OPTION(config_migrate, hold_from, CHOICE, .words = hold_from, .fallback = "source",
		.help = "Whose packets are parked: those the `source` relays (all others are "
			"copies and stale), or of `any` host."),
	OPTION(config_migrate, announce_repeats, UINT, .fallback = "5", .min = 1, .max = 100,
		.help = "Times the new place is announced (GARP, NA, RARP)."),
	OPTION(config_migrate, announce_interval_ms, UINT, .fallback = "100", .unit = "ms",
		.min = 1, .max = 10000, .help = "Time between two announcements."),
};

const struct config_section config_section_migrate =
	SECTION(struct config_migrate, migrate, .help = "Moves of VMs between hosts.");

static const struct config_option vmagent[] = {
	OPTION(config_vmagent, socket, SOCKET, .effect = CONFIG_EFFECT_RESTART,
		.help = "Control socket of the agent. Unset: `vmagent.sock` in `host.run_dir`."),
	OPTION(config_vmagent, ferryd, SOCKET, .effect = CONFIG_EFFECT_RESTART,
		.help = "Control socket of its `ferryd`. Unset: `host.control.socket`."),
	OPTION(config_vmagent, listen, ENDPOINT, .effect = CONFIG_EFFECT_RESTART,
		.help = "Where VM memory from other agents comes in. Unset: nowhere."),
	OPTION(config_vmagent, qmp, SOCKET, .fallback = "/run/ferry/{vm}.qmp",
		.help = "QMP socket of a VM; `{vm}` stands for the `vm` of its vports."),
	OPTION_LIST(config_vmagent, hook, TEXT, .entries_max = 64,
		.help = "Program and arguments that start the receiving QEMU, run without a "
			"shell; `{vm}` is replaced. Unset: one waits already."),
	OPTION(config_vmagent, hook_ms, UINT, .fallback = "10000", .unit = "ms", .min = 100,
		.max = 600000, .help = "Time for the hook, until QMP answers."),
	OPTION(config_vmagent, zstd, BOOL, .fallback = "false", .help = "Compress VM memory."),
	OPTION(config_vmagent, zstd_level, UINT, .fallback = "1", .min = 1, .max = 19,
		.help = "How hard."),
	OPTION(config_vmagent, multifd, UINT, .fallback = "0", .max = 16,
		.help = "Channels for VM memory beside the main one. 0: off."),
	OPTION(config_vmagent, bandwidth_mbit, UINT, .fallback = "0", .unit = "Mbit/s",
		.max = 1000000, .help = "Cap for VM memory. 0: what `ferryd` grants."),
	OPTION(config_vmagent, downtime_ms, UINT, .fallback = "300", .unit = "ms", .max = 60000,
		.help = "QEMU's `downtime-limit`."),
	OPTION(config_vmagent, auto_converge, BOOL, .fallback = "false",
		.help = "Let QEMU slow a VM down whose memory changes too fast."),
	OPTION(config_vmagent, pre_switchover, BOOL, .fallback = "true",
		.help = "Wait in QEMU's `pre-switchover`: the last chance to cancel, for about "
			"1 ms and a round trip of VM pause."),
};

const struct config_section config_section_vmagent =
	SECTION(struct config_vmagent, vmagent, .help = "The agent that carries VM memory.");
