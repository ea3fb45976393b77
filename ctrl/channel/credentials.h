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
	char problem[CHANNEL_ERROR_TEXT_BYTES]; /* why newer files are not used; or empty */
};

int credentials_new(const char *certificate_path, const char *key_path, const char *ca_path,
	struct credentials **credentials);
void credentials_free(struct credentials *credentials);

/* The newest usable set, whatever its dates: 0, or -errno with OWN_FILES (or MEMORY) if there never
 * was one. use->context is a reference of the caller's. error may be NULL. */
int credentials_get(
	struct credentials *credentials, struct credentials_use *use, struct channel_error *error);

/* Does our own certificate hold now? 0, or -errno with OWN_EXPIRED or OWN_NOT_YET. */
int credentials_check_dates(
	const struct credentials_use *use, int64_t wall_s, struct channel_error *error);

/* Why the last credentials_get() found the files unusable; or empty. */
const char *credentials_problem(const struct credentials *credentials);
uint64_t credentials_reloads(const struct credentials *credentials);

#endif
