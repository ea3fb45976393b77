/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The peer list, copied from the config: who may come from where and under which certificate.
 * Not locked; the host's lock covers it.
 */
#ifndef CTRL_CHANNEL_PEERS_H
#define CTRL_CHANNEL_PEERS_H

#include <openssl/x509.h>

#include "ctrl/channel/host.h"

struct peers;

/* Who the other end claims to be; members that are NULL are not asked. */
struct peers_claim {
	const struct in6_addr *address;
	X509 *certificate;
	const char *name;
};

/* -EINVAL for a peer without a name, with a name that is too long, or that is there twice. */
int peers_new(const struct channel_peer *list, unsigned n, struct peers **peers);
void peers_free(struct peers *peers);

/* The first peer for which every part of the claim holds, or NULL. */
const struct channel_peer *peers_find(const struct peers *peers, const struct peers_claim *claim);

#endif
