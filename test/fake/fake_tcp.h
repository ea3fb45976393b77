/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef FERRY_FAKE_TCP_H
#define FERRY_FAKE_TCP_H
/*
 * One end of a TCP connection, written from RFC 9293 for tests and independent of the tracker:
 * handshake (also crossed, and with data on the SYN), sliding window with scale, retransmission by
 * timer and by duplicate acks, reassembly, probes of a closed window, keepalives, half-close,
 * challenge ACKs, RST. No payload: bytes are counted only. What it sends goes to `emit`; time is
 * the caller's.
 */
#include <stdbool.h>
#include <stdint.h>

#define FAKE_TCP_HOLES 64

struct fake_segment {
	uint8_t flags; /* RTE_TCP_*_FLAG */
	uint32_t seq, ack;
	uint16_t len;
	uint16_t window; /* as in the header */
	int scale; /* option of a SYN, -1: none */
};

enum fake_tcp_state {
	FAKE_TCP_CLOSED,
	FAKE_TCP_LISTEN,
	FAKE_TCP_SYN_SENT,
	FAKE_TCP_SYN_RECEIVED,
	FAKE_TCP_OPEN, /* all states with both SYNs acknowledged */
	FAKE_TCP_TIME_WAIT,
};

struct fake_tcp {
	/* set by the caller before fake_tcp_open() */
	void (*emit)(void *context, const struct fake_segment *g);
	void *context;
	uint32_t random; /* state of its generator, not 0 */
	uint32_t iss;
	uint32_t to_send; /* bytes of the stream */
	uint32_t buffer; /* receive buffer, at most 65535 << scale */
	int scale; /* offered, -1: none */
	uint16_t mss;
	uint16_t syn_data; /* bytes on the SYN, at most to_send and mss */
	bool accepts_syn_data;
	bool keeps_open; /* sends no FIN before it has received the other's */

	enum fake_tcp_state state;
	bool reset; /* ended by RST */
	uint32_t una, next; /* SND.UNA; highest sent + 1 */
	uint32_t peer_window, wl1; /* SND.WND, SND.WL1 */
	uint8_t peer_shift, own_shift;
	bool fin_sent, fin_received;
	bool closed_first; /* its FIN was no answer: it waits at the end */
	uint32_t rcv_next, rcv_edge; /* rcv_edge: right edge announced, never moves back */
	uint32_t unread;
	uint32_t hole_from[FAKE_TCP_HOLES], hole_to[FAKE_TCP_HOLES]; /* received out of order */
	int holes;
	bool hole_fin;
	uint32_t hole_fin_at;
	uint32_t timer_ms, rto_ms; /* 0: not running */
	uint32_t ack_ms;
	int duplicates;
};

/* Passive: waits in LISTEN. Active: sends its SYN. */
void fake_tcp_listen(struct fake_tcp *t);
void fake_tcp_open(struct fake_tcp *t, uint32_t now_ms);
void fake_tcp_input(struct fake_tcp *t, const struct fake_segment *g, uint32_t now_ms);
/* Timers, the application reading some of its buffer, whatever may be sent. */
void fake_tcp_tick(struct fake_tcp *t, uint32_t now_ms);
/* RST and forget. */
void fake_tcp_abort(struct fake_tcp *t);

/* Stream is sent and acknowledged, FINs of both sides too. */
bool fake_tcp_is_done(const struct fake_tcp *t);

#endif
