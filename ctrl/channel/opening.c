/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The steps from a pipe to a channel that open.c calls in order. Whoever refuses says why before it
 * hangs up, and waits a moment so that the words arrive.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>

#include "ctrl/channel/host_impl.h"
#include "ctrl/channel/opening.h"

/* How long, and for how many bytes, a refused peer may take to hear of it. */
#define LINGER_MS 300
#define LINGER_BYTES (64 << 10)

int opening_check_plain(const struct opening *o, const struct channel_io *io)
{
	if (!o->plain)
		return 0;
	if (!channel_host_is_insecure(o->host))
		return channel_error_set(o->error, CHANNEL_REASON_INSECURE,
			"plain transport is refused: the config does not say insecure");
	if (!io->is_local)
		return channel_error_set(o->error, CHANNEL_REASON_INSECURE,
			"plain transport is refused: only unix sockets and loopback may have it");
	if (!io->has_address && !io->is_own_user)
		return channel_error_set(o->error, CHANNEL_REASON_ADDRESS,
			"the other end of the unix socket runs as another user");
	return 0;
}

int opening_tls(struct opening *o, bool *stands)
{
	const struct channel_world *world = channel_host_world(o->host);
	struct link_handshake how = {
		.is_client = o->is_client,
		.wall_s = channel_world_wall_s(world),
		.deadline_ns = o->deadline_ns,
		.world = world,
		.cancel = o->cancel,
	};
	int ret;

	*stands = o->plain;
	if (o->plain)
		return 0;
	ret = channel_host_credentials(o->host, &how.credentials, o->error);
	if (ret < 0)
		return ret;
	ret = link_handshake(&o->channel->link, &how, o->error);
	SSL_CTX_free(how.credentials.context);
	if (ret < 0)
		return ret;
	*stands = true;
	/* Only now, so that the peer sees our certificate and can say what is wrong with it. */
	return credentials_check_dates(&how.credentials, how.wall_s, o->error);
}

/* Is there a peer with this name (if asked), from this address (if it has one), with this
 * certificate (if it showed one)? */
static int check_peer(struct opening *o, const char *name)
{
	const struct channel_io *io = &o->channel->link.io;
	X509 *certificate = link_peer_certificate(&o->channel->link);
	/* We connected where the config told us to: then the address is not in question. */
	const struct peers_claim claim = {
		.address = io->has_address && !o->is_client ? &io->address : NULL,
		.certificate = certificate,
		.name = name,
	};
	struct certificate_info info;
	char names[160];

	if (channel_host_find(o->host, &claim, NULL))
		return 0;
	if (certificate == NULL || (name != NULL && !o->is_client))
		return channel_error_set(o->error, CHANNEL_REASON_HOST_NAME,
			"the peer calls itself %s, which is no peer with this %s", name,
			certificate == NULL ? "address" : "certificate and address");
	certificate_info_get(certificate, &info);
	certificate_names(certificate, names, sizeof(names));
	return channel_error_set(o->error, CHANNEL_REASON_PEER_NAME,
		"the peer's certificate (%s) has no name allowed for %s; it has %s", info.subject,
		name != NULL ? name : "a peer at this address", names[0] ? names : "none");
}

static void hello_ours(struct opening *o)
{
	struct channel_hello *said = &o->ours.said;
	uint64_t random = 0;

	said->protocol_min = CHANNEL_PROTOCOL_MIN;
	said->protocol_max = CHANNEL_PROTOCOL_MAX;
	strcpy(said->host, channel_host_name(o->host));
	memcpy(said->boot_id, channel_host_boot_id(o->host), sizeof(said->boot_id));
	/* 48 bits: never met again, and far from the end. */
	if (getrandom(&random, 6, 0) != 6)
		random = channel_now_ns(o->channel) & ((1ull << 48) - 1);
	o->ours.first_sequence = random;
}

static int open_failed(struct opening *o, int ret, const char *when)
{
	if (channel_failed(o->channel) < 0) {
		*o->error = o->channel->error;
		return channel_reason_errno(o->error->reason);
	}
	if (ret == -ETIMEDOUT)
		return channel_error_set(o->error, CHANNEL_REASON_HANDSHAKE_TIMEOUT,
			"%s not finished in time", when);
	return ret;
}

static int hello_send(struct opening *o)
{
	uint8_t payload[HELLO_MAX_BYTES];
	size_t len_bytes = hello_pack(&o->ours, payload);
	int ret =
		channel_send_own(o->channel, FRAME_TYPE_HELLO, payload, len_bytes, o->deadline_ns);

	return ret < 0 ? open_failed(o, ret, "hello") : 0;
}

static int hello_recv(struct opening *o)
{
	char words[CHANNEL_ERROR_TEXT_BYTES];
	struct frame frame;
	int ret = channel_recv_any(o->channel, &frame, o->deadline_ns);

	if (ret < 0)
		return open_failed(o, ret, "hello");
	if (frame.kind.type == FRAME_TYPE_REFUSE &&
		hello_refuse_unpack(frame.payload, frame.payload_bytes, words, sizeof(words)) == 0)
		return channel_error_set(
			o->error, CHANNEL_REASON_PEER_REFUSED, "the peer refused: %.330s", words);
	if (frame.kind.type != FRAME_TYPE_HELLO ||
		hello_unpack(frame.payload, frame.payload_bytes, &o->theirs) < 0)
		return channel_error_set(o->error, CHANNEL_REASON_HELLO,
			"the peer's first frame is not a valid hello");
	return 0;
}

static int check_protocol(struct opening *o)
{
	const struct channel_hello *a = &o->ours.said, *b = &o->theirs.said;
	uint16_t low = a->protocol_min > b->protocol_min ? a->protocol_min : b->protocol_min;
	uint16_t high = a->protocol_max < b->protocol_max ? a->protocol_max : b->protocol_max;

	if (low > high)
		return channel_error_set(o->error, CHANNEL_REASON_PROTOCOL,
			"we speak protocol %u to %u, the peer %u to %u", a->protocol_min,
			a->protocol_max, b->protocol_min, b->protocol_max);
	o->channel->protocol = high;
	return 0;
}

static int admit(struct opening *o, const struct channel_accept *accept)
{
	const struct channel_hello *said = &o->theirs.said;
	char reason[200] = "";
	int ret;

	if (said->purpose > 31 || !(accept->purposes & CHANNEL_PURPOSE_BIT(said->purpose)))
		return channel_error_set(o->error, CHANNEL_REASON_PURPOSE,
			"purpose %u is not served here", (unsigned)said->purpose);
	if (accept->admit == NULL)
		return 0;
	ret = accept->admit(accept->ctx, said, reason, sizeof(reason));
	if (ret < 0)
		return channel_error_set(o->error, CHANNEL_REASON_ADMISSION, "%s",
			reason[0] != '\0' ? reason : strerror(-ret));
	return 0;
}

int opening_accept_hello(struct opening *o, const struct channel_accept *accept)
{
	int ret = o->plain ? 0 : check_peer(o, NULL);

	hello_ours(o);
	if (ret == 0)
		ret = hello_recv(o);
	if (ret == 0)
		ret = check_protocol(o);
	if (ret == 0)
		ret = check_peer(o, o->theirs.said.host);
	if (ret == 0)
		ret = admit(o, accept);
	if (ret < 0)
		return ret;
	o->ours.said.purpose = o->theirs.said.purpose;
	memcpy(o->ours.said.move_id, o->theirs.said.move_id, sizeof(o->ours.said.move_id));
	o->ours.said.index = o->theirs.said.index;
	o->ours.said.features = accept->features;
	return hello_send(o);
}

int opening_connect_hello(struct opening *o, const struct channel_dial *dial)
{
	int ret = check_peer(o, dial->peer);

	if (ret < 0)
		return ret;
	hello_ours(o);
	o->ours.said.purpose = dial->purpose;
	o->ours.said.features = dial->features;
	o->ours.said.index = dial->index;
	memcpy(o->ours.said.move_id, dial->move_id, sizeof(dial->move_id));
	ret = hello_send(o);
	if (ret == 0)
		ret = hello_recv(o);
	if (ret == 0)
		ret = check_protocol(o);
	if (ret == 0 && strcmp(o->theirs.said.host, dial->peer) != 0)
		ret = channel_error_set(o->error, CHANNEL_REASON_HOST_NAME,
			"the peer calls itself %s, not %s", o->theirs.said.host, dial->peer);
	return ret;
}

/* Waits a little until the peer has hung up: closing before it read all would turn our last words
 * into a reset. */
static void linger(struct opening *o)
{
	const struct channel_io *io = &o->channel->link.io;
	const struct channel_world *world = channel_host_world(o->host);
	uint64_t deadline_ns = channel_world_deadline_ns(world, LINGER_MS);
	size_t seen_bytes = 0;
	uint8_t sink[1024];
	ssize_t n;

	io->ops->finish(io->ctx);
	while (seen_bytes < LINGER_BYTES && channel_world_now_ns(world) < deadline_ns) {
		n = io->ops->recv(io->ctx, sink, sizeof(sink));
		if (n == -EAGAIN)
			n = io->ops->wait(io->ctx, CHANNEL_IO_READ, deadline_ns, o->cancel);
		else if (n == 0)
			break;
		else if (n > 0)
			seen_bytes += (size_t)n;
		if (n < 0)
			break;
	}
}

static bool peer_wants_to_know(enum channel_reason reason)
{
	switch (reason) {
	case CHANNEL_REASON_PEER_REFUSED:
	case CHANNEL_REASON_ADDRESS:
	case CHANNEL_REASON_INSECURE:
	case CHANNEL_REASON_MEMORY:
	case CHANNEL_REASON_RESET:
	case CHANNEL_REASON_CANCELLED:
	case CHANNEL_REASON_HANDSHAKE_TIMEOUT:
		return false;
	default:
		return true;
	}
}

/* The end of an opening that failed: words to the peer if TLS stands, a moment for them, close. */
void opening_refuse(struct opening *o, bool tls_stands)
{
	uint8_t payload[HELLO_MAX_BYTES];
	size_t len_bytes;

	if (channel_failed(o->channel) == 0)
		channel_host_count(o->host, o->error->reason);
	if (peer_wants_to_know(o->error->reason)) {
		if (tls_stands) {
			len_bytes = hello_refuse_pack(o->error, payload);
			channel_send_own(o->channel, FRAME_TYPE_REFUSE, payload, len_bytes,
				channel_deadline_ns(o->channel, LINGER_MS));
		}
		linger(o);
	}
	channel_close(o->channel);
}
