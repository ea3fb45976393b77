/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef FERRY_SESSION_GENERIC_H
#define FERRY_SESSION_GENERIC_H
/*
 * Protocols whose whole state is "the other side has answered": UDP (RFC 4787), ICMP echo (RFC
 * 5508), and any other. Entry points as in session_track.h; the first state names the protocol.
 */
#include "dataplane/session_track.h"

void session_generic_open(struct session *s, const struct pkt *p, enum session_state fresh);
enum drop_reason session_generic_packet(
	struct session *s, const struct pkt *p, uint32_t now_ms, bool *changed);

#endif
