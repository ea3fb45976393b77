/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef FERRY_SESSION_EXT_H
#define FERRY_SESSION_EXT_H
/*
 * What few sessions need: the second key of an IPv6 session and plugins' per-session state (tagged
 * values). One object per session, from a pool of the engine; freed with the session's memory.
 * Written by the constructor before the session is visible; plugins may change their own bytes in
 * place.
 */
#include <stdint.h>

#include <rte_mempool.h>

#include "dataplane/session.h"

#define SESSION_EXT_STATE_BYTES 140

struct session_ext {
	struct session_key key2; /* IPv6 only */
	struct session_addresses6 a6_2;
	uint8_t state_bytes; /* used of state[] */
	uint8_t spare[3];
	uint8_t state[SESSION_EXT_STATE_BYTES]; /* {plugin index, length, bytes...}... */
};

_Static_assert(sizeof(struct session_ext) == 192, "three lines");

static inline const struct session_key *session_key2(const struct session *s)
{
	return s->is_ipv6 ? &s->ext->key2 : &s->key2;
}

static inline const struct session_addresses6 *session_key2_a6(const struct session *s)
{
	return s->is_ipv6 ? &s->ext->a6_2 : NULL;
}

/* Plugin state by plugin index: pointer and *len, or NULL. */
uint8_t *session_ext_state(struct session_ext *ext, uint8_t plugin, uint8_t *len);
/* Append or replace (same length only); -ENOSPC when it does not fit. */
int session_ext_put(struct session_ext *ext, uint8_t plugin, const void *state, uint8_t len);

#endif
