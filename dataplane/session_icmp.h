/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef FERRY_SESSION_ICMP_H
#define FERRY_SESSION_ICMP_H
/*
 * ICMP and ICMPv6: what may open a session, and the packet that an error quotes. Echo sessions
 * themselves need only session_generic.h.
 */
#include "dataplane/session_track.h"

/* Echo requests open; answers and the rest of ICMP belong to something or nothing. */
enum drop_reason session_icmp_may_open(const struct track_policy *policy, const struct pkt *p);

/*
 * The first 8 bytes of L4 that the error p quotes, behind the quoted IP header and its extensions.
 * False: not that much is quoted.
 */
bool session_icmp_quoted_l4(const struct pkt *p, uint8_t l4[8]);

#endif
