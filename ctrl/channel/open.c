/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * channel_connect() and channel_accept(), downward: may it be plain, is the address one of ours,
 * TLS, is the certificate's name one of ours, hello. Until both hellos are read no more than
 * HELLO_MAX_BYTES and what TLS needs are held for a connection.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "ctrl/channel/host_impl.h"
#include "ctrl/channel/opening.h"

/* "from 192.0.2.7: " in front of what went wrong. */
static void error_say_where(struct channel_error *error, const char *where)
{
	const struct channel_error what = *error;

	channel_error_set(error, what.reason, "%s: %s", where, what.text);
}

void channel_io_text(const struct channel_io *io, char *out, size_t out_bytes)
{
	if (!io->has_address)
		snprintf(out, out_bytes, "a unix socket");
	else if (IN6_IS_ADDR_V4MAPPED(&io->address))
		inet_ntop(AF_INET, &io->address.s6_addr[12], out, (socklen_t)out_bytes);
	else
		inet_ntop(AF_INET6, &io->address, out, (socklen_t)out_bytes);
}

static int open_done(struct opening *o, const struct channel_options *options)
{
	o->channel->hello = o->theirs.said;
	if (channel_begin(o->channel, options, o->theirs.first_sequence, o->ours.first_sequence) <
		0)
		return channel_error_set(
			o->error, CHANNEL_REASON_LENGTH, "channel options out of range");
	channel_host_note(o->host, o->is_client ? HOST_CONNECTED : HOST_ACCEPTED);
	return 0;
}

static int check_source(struct opening *o, const struct channel_io *io)
{
	const struct peers_claim claim = {.address = &io->address};

	if (!io->has_address || channel_host_find(o->host, &claim, NULL))
		return 0;
	return channel_error_set(
		o->error, CHANNEL_REASON_ADDRESS, "the address is not in the peer list");
}

int channel_accept(struct channel_host *host, struct channel_io *io,
	const struct channel_accept *accept, struct channel **channel, struct channel_error *error)
{
	struct channel_error scratch;
	struct opening o = {
		.host = host,
		.channel = channel_new(host, io, accept->options.cancel),
		.cancel = accept->options.cancel,
		.deadline_ns = accept->deadline_ns,
		.plain = accept->plain,
		.error = error != NULL ? error : &scratch,
	};
	char where[INET6_ADDRSTRLEN + 8] = "from ";
	bool tls_stands = false;
	int ret;

	if (o.channel == NULL)
		return channel_error_set(error, CHANNEL_REASON_MEMORY, "no memory for a channel");
	if (o.deadline_ns == 0)
		o.deadline_ns = channel_deadline_ns(o.channel, channel_host_handshake_ms(host));
	channel_io_text(io, where + 5, sizeof(where) - 5);
	ret = opening_check_plain(&o, io);
	if (ret == 0)
		ret = check_source(&o, io);
	if (ret == 0)
		ret = opening_tls(&o, &tls_stands);
	if (ret == 0)
		ret = opening_accept_hello(&o, accept);
	if (ret == 0)
		ret = open_done(&o, &accept->options);
	if (ret < 0) {
		opening_refuse(&o, tls_stands);
		error_say_where(o.error, where);
		return ret;
	}
	*channel = o.channel;
	return 0;
}

static int connect_failed(struct opening *o, int ret)
{
	switch (ret) {
	case -ECONNREFUSED:
		return channel_error_set(o->error, CHANNEL_REASON_CONNECT_REFUSED,
			"connection refused: nobody listens there");
	case -ETIMEDOUT:
		return channel_error_set(
			o->error, CHANNEL_REASON_CONNECT_TIMEOUT, "no answer in time");
	case -ECANCELED:
		return channel_error_set(
			o->error, CHANNEL_REASON_CANCELLED, "cancelled while connecting");
	default:
		return channel_error_set(
			o->error, CHANNEL_REASON_UNREACHABLE, "cannot connect: %s", strerror(-ret));
	}
}

/* Where to, from the peer list. Text for messages in where. */
static int dial_find(struct opening *o, const struct channel_dial *dial,
	struct channel_endpoint *to, char *where, size_t where_bytes)
{
	const struct peers_claim claim = {.name = dial->peer};
	struct channel_io shown = {.has_address = true};
	char address[INET6_ADDRSTRLEN];
	struct host_peer peer;

	snprintf(where, where_bytes, "to %s", dial->peer);
	if (!channel_host_find(o->host, &claim, &peer))
		return channel_error_set(
			o->error, CHANNEL_REASON_UNKNOWN_PEER, "it is not in the peer list");
	to->unix_path = dial->unix_path;
	if (dial->unix_path != NULL) {
		snprintf(where, where_bytes, "to %s at %s", dial->peer, dial->unix_path);
		return 0;
	}
	to->address = shown.address = peer.address;
	to->port = dial->port != 0 ? dial->port : peer.port;
	if (IN6_IS_ADDR_UNSPECIFIED(&to->address) || to->port == 0)
		return channel_error_set(o->error, CHANNEL_REASON_UNKNOWN_PEER,
			"the peer list has no address or port for it");
	channel_io_text(&shown, address, sizeof(address));
	snprintf(where, where_bytes, "to %s at %s port %u", dial->peer, address, to->port);
	return 0;
}

static int dial_pipe(struct opening *o, const struct channel_endpoint *to, struct channel_io *io)
{
	const struct channel_world *world = channel_host_world(o->host);
	struct credentials_use use;
	int ret;

	/* A certificate that nobody would take is found out without bothering the peer. */
	if (!o->plain) {
		ret = channel_host_credentials(o->host, &use, o->error);
		if (ret < 0)
			return ret;
		SSL_CTX_free(use.context);
		ret = credentials_check_dates(&use, channel_world_wall_s(world), o->error);
		if (ret < 0)
			return ret;
	}
	ret = world->ops->connect(world->ctx, to, o->deadline_ns, o->cancel, io);
	if (ret < 0)
		return connect_failed(o, ret);
	ret = opening_check_plain(o, io);
	if (ret < 0)
		io->ops->close(io->ctx);
	return ret;
}

/* The pipe stands: everything up to the hellos. Owns io. */
static int connect_over(
	struct opening *o, const struct channel_dial *dial, const struct channel_io *io)
{
	bool tls_stands = false;
	int ret;

	o->channel = channel_new(o->host, io, o->cancel);
	if (o->channel == NULL)
		return channel_error_set(
			o->error, CHANNEL_REASON_MEMORY, "no memory for a channel");
	ret = opening_tls(o, &tls_stands);
	if (ret == 0)
		ret = opening_connect_hello(o, dial);
	if (ret == 0)
		ret = open_done(o, &dial->options);
	if (ret < 0)
		opening_refuse(o, tls_stands);
	return ret;
}

int channel_connect(struct channel_host *host, const struct channel_dial *dial,
	struct channel **channel, struct channel_error *error)
{
	const struct channel_world *world = channel_host_world(host);
	struct channel_error scratch;
	struct channel_endpoint to = {};
	struct channel_io io;
	struct opening o = {
		.host = host,
		.cancel = dial->options.cancel,
		.deadline_ns = dial->deadline_ns,
		.is_client = true,
		.plain = dial->plain,
		.error = error != NULL ? error : &scratch,
	};
	char where[CHANNEL_NAME_BYTES + INET6_ADDRSTRLEN + 64];
	int ret;

	if (o.deadline_ns == 0)
		o.deadline_ns = channel_world_deadline_ns(world, channel_host_handshake_ms(host));
	ret = dial_find(&o, dial, &to, where, sizeof(where));
	if (ret == 0)
		ret = dial_pipe(&o, &to, &io);
	if (ret < 0)
		channel_host_count(host, o.error->reason);
	else
		ret = connect_over(&o, dial, &io);
	if (ret < 0) {
		error_say_where(o.error, where);
		return ret;
	}
	*channel = o.channel;
	return 0;
}
