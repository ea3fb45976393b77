/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What all channels of one process share: who we are, our certificate, who the peers are, the
 * counters. One per engine; there are no globals.
 *
 * Made by the control thread. All functions may be called by any thread, except
 * channel_host_free(), which needs all channels and listeners of the host to be gone.
 *
 * The files of the certificate are looked at again before each new connection: if one changed, all
 * three are read anew. Running connections keep what they began with. A set that does not fit
 * together (a rotation caught in the middle) leaves the old one in use until it does;
 * channel_host_status() says so.
 */
#ifndef CTRL_CHANNEL_HOST_H
#define CTRL_CHANNEL_HOST_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>

#include "ctrl/channel/io.h"
#include "ctrl/channel/reason.h"

#define CHANNEL_NAME_BYTES 64 /* host names in hellos and config, with the zero */
#define CHANNEL_CERTIFICATE_WARN_DAYS 14 /* unless it is set otherwise */

struct channel_host;

/* A peer as the config has it. */
struct channel_peer {
	const char *name; /* host name it must give in its hello */
	uint16_t port; /* to connect to; 0: none */
	/* Where it may come from; the first is where we connect to. */
	const struct in6_addr *addresses;
	unsigned n_addresses;
	/* What its certificate may be called: a DNS name ("host-b.example.net"), a URI
	 * ("spiffe://example.net/host-b"), an IP address ("192.0.2.7") among the subject
	 * alternative names, or the common name if it has none of these. Exact match, no wild
	 * cards. None given: the peer's name. */
	const char *const *certificate_names;
	unsigned n_certificate_names;
};

struct channel_host_config {
	const char *name; /* our host name */
	uint8_t boot_id[16]; /* of this life of the process */
	/* PEM files; all three NULL: no TLS, which needs insecure. */
	const char *certificate_path; /* with its chain, ours first */
	const char *key_path;
	const char *ca_path; /* all CAs we trust */
	/* Allows plain transport on unix sockets and loopback for those who ask for it. */
	bool insecure;
	unsigned handshake_ms; /* connect to end of hello; 0: 5000 */
	const struct channel_world *world; /* NULL: the real one; borrowed */
};

/* 0 or -errno with *error. The files need not be there yet: each connection says what is wrong.
 * Copies the config. */
int channel_host_new(const struct channel_host_config *config, struct channel_host **host,
	struct channel_error *error);
void channel_host_free(struct channel_host *host);

/* Replaces the peer list (copied). Running connections are not touched. */
int channel_host_set_peers(
	struct channel_host *host, const struct channel_peer *peers, unsigned n_peers);

/* New paths after a config reload; used from the next connection on. */
int channel_host_set_files(struct channel_host *host, const char *certificate_path,
	const char *key_path, const char *ca_path, bool insecure);

/* How long before a certificate ends the status warns. */
void channel_host_set_warn_days(struct channel_host *host, unsigned days);

const struct channel_world *channel_host_world(const struct channel_host *host);

struct channel_host_status {
	bool insecure;
	bool has_certificate;
	char subject[160];
	char ca_subject[160]; /* the CA that ends first */
	int64_t not_before_s; /* seconds since 1970 */
	int64_t not_after_s;
	int64_t ca_not_after_s;
	int days_left; /* whole days until ours or the CA ends; negative: over */
	bool warn; /* fewer days are left than asked for, or it is not usable */
	char problem[CHANNEL_ERROR_TEXT_BYTES]; /* empty, or what an operator must mend */
	uint64_t reloads; /* times the files were read anew with success */
	uint64_t connects; /* channels opened by us */
	uint64_t accepts; /* channels opened by peers */
	uint64_t frames_skipped; /* optional frames of unknown types */
	uint64_t by_reason[CHANNEL_REASON_COUNT]; /* failures */
};

/* Looks at the files too, so that a bad certificate shows before a move needs it. */
void channel_host_status(struct channel_host *host, struct channel_host_status *status);

/* Counts a failure. Channels and listeners do so themselves. */
void channel_host_count(struct channel_host *host, enum channel_reason reason);

#endif
