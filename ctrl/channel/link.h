/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The byte stream under a channel: TLS 1.3 over a pipe, or the pipe itself. Made empty by
 * link_init(), opened once, freed once. One thread may receive while another sends: the TLS state
 * has a lock that is never held while waiting.
 */
#ifndef CTRL_CHANNEL_LINK_H
#define CTRL_CHANNEL_LINK_H

#include <pthread.h>

#include <openssl/ssl.h>

#include "ctrl/channel/credentials.h"
#include "ctrl/channel/io.h"

struct link_verify {
	int code; /* X509_V_ERR_*, X509_V_OK if the peer's chain is good or was not seen */
	int depth;
	struct certificate_info of; /* the certificate that failed */
};

struct link {
	struct channel_io io;
	pthread_mutex_t lock; /* of ssl */
	SSL *ssl; /* NULL: plain */
	BIO_METHOD *method;
	struct certificate_info own; /* what we showed */
	struct link_verify verify;
	uint64_t keyed_bytes; /* sent under the present key */
	bool recv_wants_write; /* TLS has to answer something before it can go on */
};

struct link_handshake {
	struct credentials_use credentials;
	bool is_client;
	int64_t wall_s; /* the time certificates are judged at */
	uint64_t deadline_ns;
	const struct channel_world *world;
	const struct channel_cancel *cancel;
};

/* Takes over the io. */
void link_init(struct link *link, const struct channel_io *io);
void link_fini(struct link *link);

/* Runs the TLS handshake and checks the peer's chain (not its name). 0 or -errno with *error, which
 * says which side, subject and date. */
int link_handshake(
	struct link *link, const struct link_handshake *how, struct channel_error *error);

/* Do not block: bytes, 0 at the end of the stream (recv), -EAGAIN or another -errno. A send that
 * gave -EAGAIN must be asked again with the same bytes first. */
ssize_t link_recv(struct link *link, void *buf, size_t len_bytes);
ssize_t link_send(struct link *link, const void *buf, size_t len_bytes);

/* After -EAGAIN of a recv or send: 0 to try again, -ETIMEDOUT, -ECANCELED. */
int link_wait_recv(struct link *link, uint64_t deadline_ns, const struct channel_cancel *cancel);
int link_wait_send(struct link *link, uint64_t deadline_ns, const struct channel_cancel *cancel);

/* Says orderly that nothing more will be sent. */
void link_finish(struct link *link);

/* The peer's certificate, borrowed; NULL on a plain link. */
X509 *link_peer_certificate(const struct link *link);

/* In link_error.c: the words for a failed handshake or for an alert read later. code is what
 * OpenSSL has to say (0: nothing), ret the -errno of the pipe (0: end of stream). */
int link_error(const struct link *link, unsigned long code, int ret, struct channel_error *error);

#endif
