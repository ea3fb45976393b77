/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef FERRY_SESSION_SCTP_H
#define FERRY_SESSION_SCTP_H
/*
 * SCTP (RFC 9260): an association is told by its verification tags; who does not know them changes
 * nothing. Entry points as in session_track.h.
 */
#include "dataplane/session_track.h"

enum drop_reason session_sctp_may_open(const struct track_policy *policy, const struct pkt *p);
bool session_sctp_reopens(const struct session *s, const struct pkt *p);
bool session_sctp_rejudges(const struct session *s, const struct pkt *p);
void session_sctp_open(struct session *s, const struct pkt *p);
enum drop_reason session_sctp_packet(
	struct session *s, const struct pkt *p, uint32_t now_ms, bool *changed);
/* tag: verification tag of the quoted packet, which went against the direction of the error. */
enum drop_reason session_sctp_related(const struct session *s, uint8_t error_dir, uint32_t tag);

#endif
