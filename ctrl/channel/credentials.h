/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Our certificate, key and CAs as files, and the TLS context made of them. Looks at the files each
 * time it is asked and reads them anew when one changed. Not locked; the host's lock covers it.
 */
#ifndef CTRL_CHANNEL_CREDENTIALS_H
#define CTRL_CHANNEL_CREDENTIALS_H

#include <openssl/ssl.h>

#include "ctrl/channel/certificate.h"
#include "ctrl/channel/reason.h"

struct credentials;

/* What a connection takes along: its own reference to the context, and ours for messages. */
struct credentials_use {
	SSL_CTX *context; /* to be freed with SSL_CTX_free() */
	struct certificate_info own;
	struct certificate_info ca; /* of all CAs, the one that ends first */
};

int credentials_new(const char *certificate_path, const char *key_path, const char *ca_path,
	struct credentials **credentials);
void credentials_free(struct credentials *credentials);

/* The newest usable set, checked against the clock: 0, or -errno with OWN_FILES, OWN_EXPIRED or
 * OWN_NOT_YET. use->context is a reference of the caller's. */
int credentials_get(struct credentials *credentials, int64_t wall_s, struct credentials_use *use,
	struct channel_error *error);

/* As credentials_get() without checking dates: false if there never was a usable set. */
bool credentials_peek(struct credentials *credentials, struct credentials_use *use);

/* Empty, or why the files as they are now can't be used. */
const char *credentials_problem(const struct credentials *credentials);
uint64_t credentials_reloads(const struct credentials *credentials);

#endif
