/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Two channel hosts, "source" at 192.0.2.1 and "dest" at 192.0.2.2, in a fake world, and channels
 * between them; plain, or with TLS and certificates made by scripts/test-ca.
 */
#ifndef TEST_FAKE_FAKE_CHANNEL_H
#define TEST_FAKE_FAKE_CHANNEL_H

#include "ctrl/channel/channel.h"
#include "test/fake/fake_wire.h"

#define FAKE_CHANNEL_PORT 4790

/* A directory of certificates, removed with its content by fake_ca_free(). */
struct fake_ca {
	char dir[64];
};

void fake_ca_new(struct fake_ca *ca);
/* Makes or replaces a host's certificate; spec as test-ca takes it: "dest,ip=192.0.2.2". */
void fake_ca_issue(const struct fake_ca *ca, const char *spec);
/* "DIR/NAME" in a buffer of the caller's. */
const char *fake_ca_path(const struct fake_ca *ca, const char *name, char *out, size_t out_bytes);
void fake_ca_free(struct fake_ca *ca);

/* A host with the certificate NAME.pem of ca (NULL: none, insecure) and both hosts as peers. */
struct channel_host *fake_channel_host(
	const struct fake_ca *ca, const char *name, const struct channel_world *world);

struct fake_channel {
	struct fake_world *world;
	struct channel_host *source, *dest;
	/* Set before open if the defaults (move, one type 0x0100, plain as the hosts) won't do. */
	struct channel_dial dial;
	struct channel_accept accept;
	struct fake_fault faults[8];
	unsigned n_faults;
	struct in6_addr from; /* where source says it is */
	/* after open */
	struct fake_wire *wire; /* NULL if it did not come to a connect */
	struct channel *client, *server;
	struct channel_error client_error, server_error;
	int client_ret, server_ret;
	/* the inside */
	struct channel_io server_io;
	unsigned long thread;
	bool started;
};

/* ca NULL: plain. Certificates "source" and "dest" must have been issued. */
void fake_channel_new(struct fake_channel *pair, const struct fake_ca *ca);
/* Connects source to dest; results of both ends are in the struct. The calling thread counts in the
 * world from new to free. Returns client_ret. */
int fake_channel_open(struct fake_channel *pair);
/* Closes the channels; open may be called again. */
void fake_channel_close(struct fake_channel *pair);
void fake_channel_free(struct fake_channel *pair);

extern const struct frame_kind fake_channel_kind; /* type 0x0100, mandatory */

#endif
