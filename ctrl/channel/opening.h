/* SPDX-License-Identifier: BSD-3-Clause */
/* A channel on its way from a pipe to the end of the hellos, for open.c. */
#ifndef CTRL_CHANNEL_OPENING_H
#define CTRL_CHANNEL_OPENING_H

#include "ctrl/channel/channel_impl.h"

struct opening {
	struct channel_host *host;
	struct channel *channel;
	const struct channel_cancel *cancel;
	uint64_t deadline_ns;
	bool is_client;
	bool plain;
	struct hello ours;
	struct hello theirs;
	struct channel_error *error; /* never NULL */
};

/* Each returns 0, or -errno with o->error filled. */
int opening_check_plain(const struct opening *o, const struct channel_io *io);
/* *stands: the peer can be told in words. */
int opening_tls(struct opening *o, bool *stands);
int opening_accept_hello(struct opening *o, const struct channel_accept *accept);
int opening_connect_hello(struct opening *o, const struct channel_dial *dial);

/* The end of an opening that failed: counted, told to the peer (in words if TLS stands), closed. */
void opening_refuse(struct opening *o, bool tls_stands);

/* "192.0.2.7" or "a unix socket"; INET6_ADDRSTRLEN is enough. */
void channel_io_text(const struct channel_io *io, char *out, size_t out_bytes);

#endif
