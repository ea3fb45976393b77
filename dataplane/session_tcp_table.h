/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef FERRY_SESSION_TCP_TABLE_H
#define FERRY_SESSION_TCP_TABLE_H
/*
 * TCP as seen from the middle: what a segment of a class, sent by the side that leads the state or
 * by the other, makes of the state. Only segments whose numbers are good get this far
 * (session_tcp.c); what "good" asks of each class is said there. The only reader is session_tcp.c.
 *
 * Lead: who opened (SYN_SENT, SYN_SENT2, ESTABLISHED), whose ACK completes the handshake
 * (SYN_RECV), who sent the first FIN (the rest).
 */
#include <rte_tcp.h>

#include "dataplane/session_state.h"

enum tcp_class {
	TCP_CLASS_SYN,
	TCP_CLASS_SYN_ACK,
	TCP_CLASS_ACK,
	TCP_CLASS_FIN,
	TCP_CLASS_RST,
	TCP_CLASS_COUNT,
	TCP_CLASS_BAD = TCP_CLASS_COUNT,
};

/* Class by FIN 1, SYN 2, RST 4 and ACK 8. The rest of the flags says nothing about state. */
#define TCP_CLASS_INDEX(flags) (((flags)&7) | ((flags)&RTE_TCP_ACK_FLAG) >> 1)
static const uint8_t tcp_class_of_flags[16] = {
	TCP_CLASS_BAD, /* none */
	TCP_CLASS_BAD, /* FIN without ACK: RFC 9293 3.10.7.4, fifth */
	TCP_CLASS_SYN,
	TCP_CLASS_BAD, /* SYN FIN */
	TCP_CLASS_RST,
	TCP_CLASS_BAD, /* RST FIN */
	TCP_CLASS_BAD, /* RST SYN */
	TCP_CLASS_BAD,
	TCP_CLASS_ACK,
	TCP_CLASS_FIN,
	TCP_CLASS_SYN_ACK,
	TCP_CLASS_BAD, /* SYN FIN ACK */
	TCP_CLASS_RST,
	TCP_CLASS_BAD,
	TCP_CLASS_BAD,
	TCP_CLASS_BAD,
};

/* An edge: the next state and what else happens. */
#define TCP_EDGE_STATE 0x0f
#define TCP_EDGE_SELF 0x10 /* the sender leads the next state */
#define TCP_EDGE_OTHER 0x20 /* its receiver does */
#define TCP_EDGE_ACKS_FIN 0x40 /* only if the segment acknowledges the other's FIN, else stay */
#define TCP_EDGE_PASS 0x80 /* for the receiver to judge: state and numbers stay */
#define TCP_EDGE_INVALID 0xff

#define __ TCP_EDGE_INVALID
#define ig TCP_EDGE_PASS
#define SS SESSION_TCP_SYN_SENT
#define S2 SESSION_TCP_SYN_SENT2
#define SR SESSION_TCP_SYN_RECV
#define sr (SESSION_TCP_SYN_RECV | TCP_EDGE_OTHER)
#define ES SESSION_TCP_ESTABLISHED
#define FW SESSION_TCP_FIN_WAIT
#define fw (SESSION_TCP_FIN_WAIT | TCP_EDGE_SELF)
#define CW SESSION_TCP_CLOSE_WAIT
#define cw (SESSION_TCP_CLOSE_WAIT | TCP_EDGE_ACKS_FIN)
#define LA SESSION_TCP_LAST_ACK
#define TW SESSION_TCP_TIME_WAIT
#define tw (SESSION_TCP_TIME_WAIT | TCP_EDGE_ACKS_FIN)
#define CL SESSION_TCP_CLOSE

/*
 * Lower case: with a condition or a new lead.
 * SYN on anything but a beginning passes: a retransmission, or RFC 5961 4 (challenge ACK), or an
 * end that has lost its state; the numbers stay. SYN-ACK again never moves a state on. ACK of a
 * stranger in SYN_SENT is the challenge of a half-open peer, or the first answer of a 5-way
 * handshake.
 */
static const uint8_t tcp_edges[2][TCP_CLASS_COUNT][SESSION_TCP_CLOSE + 1] = {
	{
		/* by the lead */
		/* in state       none SS  SR  S2  ES  FW  CW  LA  TW  CL */
		[TCP_CLASS_SYN] = {SS, ig, ig, ig, ig, ig, ig, ig, ig, ig},
		[TCP_CLASS_SYN_ACK] = {__, __, ES, sr, ig, ig, ig, ig, ig, ig},
		[TCP_CLASS_ACK] = {ES, __, ES, sr, ES, FW, CW, tw, TW, CL},
		[TCP_CLASS_FIN] = {fw, __, fw, __, fw, FW, CW, tw, TW, CL},
		[TCP_CLASS_RST] = {__, CL, CL, CL, CL, CL, CL, CL, CL, CL},
	},
	{
		/* by the other */
		[TCP_CLASS_SYN] = {__, S2, ig, ig, ig, ig, ig, ig, ig, ig},
		[TCP_CLASS_SYN_ACK] = {__, SR, ig, sr, ig, ig, ig, ig, ig, ig},
		[TCP_CLASS_ACK] = {__, ig, SR, sr, ES, cw, CW, LA, TW, CL},
		[TCP_CLASS_FIN] = {__, __, SR, __, fw, LA, LA, LA, TW, CL},
		[TCP_CLASS_RST] = {__, CL, CL, CL, CL, CL, CL, CL, CL, CL},
	},
};

#undef __
#undef ig
#undef SS
#undef S2
#undef SR
#undef sr
#undef ES
#undef FW
#undef fw
#undef CW
#undef cw
#undef LA
#undef TW
#undef tw
#undef CL

#endif
