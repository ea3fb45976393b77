/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef FERRY_SESSION_STATE_H
#define FERRY_SESSION_STATE_H
/*
 * The states of all protocols in one list, so that a timeout, a name, a class and the stream format
 * are one row each. Values travel in session records: append only, never renumber. Defaults in
 * seconds; TCP after RFC 5382 (established >= 2 h 4 min) and RFC 9293, UDP RFC 4787, ICMP RFC 5508,
 * SCTP RFC 9260/kernel conntrack. Class: half-open entries are evicted first.
 */
#include <stdbool.h>
#include <stdint.h>

enum session_class { SESSION_HALF_OPEN, SESSION_LIVE, SESSION_CLOSING };

#define SESSION_STATES(X) \
	X(0, NONE, "none", 0, HALF_OPEN) \
	X(1, TCP_SYN_SENT, "tcp-syn-sent", 30, HALF_OPEN) \
	X(2, TCP_SYN_RECV, "tcp-syn-recv", 30, HALF_OPEN) \
	X(3, TCP_SYN_SENT2, "tcp-simultaneous-open", 30, HALF_OPEN) \
	X(4, TCP_ESTABLISHED, "tcp-established", 432000, LIVE) \
	X(5, TCP_FIN_WAIT, "tcp-fin-wait", 3600, \
		CLOSING) /* one side closed, the other may send */ \
	X(6, TCP_CLOSE_WAIT, "tcp-close-wait", 3600, CLOSING) /* its FIN is acknowledged */ \
	X(7, TCP_LAST_ACK, "tcp-last-ack", 30, CLOSING) \
	X(8, TCP_TIME_WAIT, "tcp-time-wait", 120, CLOSING) \
	X(9, TCP_CLOSE, "tcp-close", 10, CLOSING) \
	X(10, UDP_NEW, "udp-new", 30, HALF_OPEN) \
	X(11, UDP_STREAM, "udp-stream", 300, LIVE) \
	X(12, ICMP_NEW, "icmp-new", 30, HALF_OPEN) \
	X(13, ICMP_REPLIED, "icmp-replied", 60, LIVE) \
	X(14, SCTP_INIT, "sctp-init", 30, HALF_OPEN) \
	X(15, SCTP_INIT_ACK, "sctp-init-ack", 30, HALF_OPEN) \
	X(16, SCTP_COOKIE, "sctp-cookie", 30, HALF_OPEN) \
	X(17, SCTP_ESTABLISHED, "sctp-established", 432000, LIVE) \
	X(18, SCTP_SHUTDOWN, "sctp-shutdown", 30, CLOSING) \
	X(19, SCTP_CLOSED, "sctp-closed", 10, CLOSING) \
	X(20, GENERIC_NEW, "generic-new", 60, HALF_OPEN) \
	X(21, GENERIC_STREAM, "generic-stream", 600, LIVE)

#define SESSION_STATE_ENUM(value, id, name, seconds, class) SESSION_##id = value,
enum session_state { SESSION_STATES(SESSION_STATE_ENUM) SESSION_STATE_COUNT };
#undef SESSION_STATE_ENUM

const char *session_state_name(enum session_state state);
enum session_class session_state_class(enum session_state state);

/* Idle life per state, in ms of the vport's clock. Read by workers, replaced whole by config (RCU).
 */
struct session_timeouts {
	uint32_t idle_ms[SESSION_STATE_COUNT];
	uint32_t least_ms; /* of them all; session_timeouts_seal() */
};

/* All are set: the engine does this with its copy. */
void session_timeouts_seal(struct session_timeouts *timeouts);
void session_timeouts_default(struct session_timeouts *timeouts);

#endif
