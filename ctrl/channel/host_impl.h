/* SPDX-License-Identifier: BSD-3-Clause */
/* What opening a channel needs of the host. */
#ifndef CTRL_CHANNEL_HOST_IMPL_H
#define CTRL_CHANNEL_HOST_IMPL_H

#include "ctrl/channel/credentials.h"
#include "ctrl/channel/host.h"
#include "ctrl/channel/peers.h"

/* A copy, so that the list may change meanwhile. */
struct host_peer {
	char name[CHANNEL_NAME_BYTES];
	struct in6_addr address; /* unspecified if the peer has none */
	uint16_t port;
};

/* True and *peer (which may be NULL) if the list has one for which the claim holds. */
bool channel_host_find(
	struct channel_host *host, const struct peers_claim *claim, struct host_peer *peer);

/* As credentials_get(), or OWN_FILES if no files are configured. */
int channel_host_credentials(
	struct channel_host *host, struct credentials_use *use, struct channel_error *error);

bool channel_host_is_insecure(struct channel_host *host);
unsigned channel_host_handshake_ms(const struct channel_host *host);
const char *channel_host_name(const struct channel_host *host);
const uint8_t *channel_host_boot_id(const struct channel_host *host);

enum host_event { HOST_CONNECTED, HOST_ACCEPTED, HOST_EVENTS };
void channel_host_note(struct channel_host *host, enum host_event event);
void channel_host_note_skipped(struct channel_host *host);

#endif
