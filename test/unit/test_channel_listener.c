/* SPDX-License-Identifier: BSD-3-Clause */
/* Channels over real sockets: the listener, its limits, and what can go wrong in connecting. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "ctrl/channel/listener.h"
#include "test/fake/fake_channel.h"

static struct fake_ca ca;
static const uint16_t types[] = {0x0100};

struct setup {
	struct channel_host *source, *dest;
	struct channel_listener *listener;
	struct channel_listener_config config;
	char certificate[2][160], key[2][160], authority[160];
	pthread_mutex_t lock;
	struct channel_error last_refusal;
	unsigned refusals, served;
};

static int issue_all(void **state)
{
	fake_ca_new(&ca);
	fake_ca_issue(&ca, "source");
	fake_ca_issue(&ca, "dest");
	return 0;
}

static int remove_all(void **state)
{
	fake_ca_free(&ca);
	return 0;
}

/* Sends back whatever comes, until the peer ends. */
static void serve_echo(void *ctx, struct channel *channel)
{
	struct setup *setup = ctx;
	struct frame frame;

	while (channel_recv(channel, &frame, UINT64_MAX - 1) == 0)
		channel_send(
			channel, &frame.kind, frame.payload, frame.payload_bytes, UINT64_MAX - 1);
	channel_close(channel);
	pthread_mutex_lock(&setup->lock);
	setup->served++;
	pthread_mutex_unlock(&setup->lock);
}

static void note_refusal(void *ctx, const struct channel_error *error)
{
	struct setup *setup = ctx;

	pthread_mutex_lock(&setup->lock);
	setup->last_refusal = *error;
	setup->refusals++;
	pthread_mutex_unlock(&setup->lock);
}

/* Waits, in real time but not long, until that many were refused. */
static void wait_refusals(struct setup *setup, unsigned n)
{
	const struct timespec pause = {.tv_nsec = 1000000};
	unsigned seen = 0;

	for (int i = 0; i < 5000 && seen < n; i++) {
		pthread_mutex_lock(&setup->lock);
		seen = setup->refusals;
		pthread_mutex_unlock(&setup->lock);
		nanosleep(&pause, NULL);
	}
	assert_int_equal(seen, n);
}

static struct channel_host *host_new(const char *name, bool insecure, unsigned handshake_ms)
{
	const struct in6_addr local = fake_address("127.0.0.1");
	const struct channel_peer peers[] = {
		{.name = "source", .addresses = &local, .n_addresses = 1},
		{.name = "dest", .addresses = &local, .n_addresses = 1},
	};
	char certificate[160], key[160], authority[160], file[32];
	struct channel_host_config config = {
		.name = name, .insecure = insecure, .handshake_ms = handshake_ms};
	struct channel_host *host;

	snprintf(file, sizeof(file), "%s.pem", name);
	config.certificate_path = fake_ca_path(&ca, file, certificate, sizeof(certificate));
	snprintf(file, sizeof(file), "%s.key", name);
	config.key_path = fake_ca_path(&ca, file, key, sizeof(key));
	config.ca_path = fake_ca_path(&ca, "ca.pem", authority, sizeof(authority));
	assert_int_equal(channel_host_new(&config, &host, NULL), 0);
	assert_int_equal(channel_host_set_peers(host, peers, 2), 0);
	return host;
}

static void setup_new(struct setup *setup, bool insecure, unsigned handshake_ms)
{
	*setup = (struct setup){};
	pthread_mutex_init(&setup->lock, NULL);
	setup->source = host_new("source", insecure, 0);
	setup->dest = host_new("dest", insecure, handshake_ms);
	setup->config = (struct channel_listener_config){
		.endpoint.address = fake_address("127.0.0.1"),
		.accept.purposes = CHANNEL_PURPOSE_BIT(CHANNEL_PURPOSE_MOVE),
		.accept.options = {.types = types, .n_types = 1},
		.serve = serve_echo,
		.refused = note_refusal,
		.ctx = setup,
	};
}

static void setup_listen(struct setup *setup)
{
	struct channel_error error;

	if (channel_listener_start(setup->dest, &setup->config, &setup->listener, &error) < 0)
		fail_msg("%s", error.text);
}

static void setup_free(struct setup *setup)
{
	channel_listener_stop(setup->listener);
	channel_host_free(setup->source);
	channel_host_free(setup->dest);
	pthread_mutex_destroy(&setup->lock);
}

static int dial(struct setup *setup, struct channel **channel, struct channel_error *error)
{
	const struct channel_dial how = {
		.peer = "dest",
		.port = channel_listener_port(setup->listener),
		.plain = setup->config.accept.plain,
		.unix_path = setup->config.endpoint.unix_path,
		.purpose = CHANNEL_PURPOSE_MOVE,
		.options = {.types = types, .n_types = 1},
	};

	return channel_connect(setup->source, &how, channel, error);
}

static void assert_echo(struct channel *channel)
{
	struct frame frame;

	assert_int_equal(channel_send(channel, &fake_channel_kind, "echo", 4,
				 channel_deadline_ns(channel, 5000)),
		0);
	assert_int_equal(channel_recv(channel, &frame, channel_deadline_ns(channel, 5000)), 0);
	assert_int_equal(frame.payload_bytes, 4);
	assert_memory_equal(frame.payload, "echo", 4);
}

static void dial_and_echo(struct setup *setup)
{
	struct channel_error error;
	struct channel *channel;

	if (dial(setup, &channel, &error) < 0)
		fail_msg("%s", error.text);
	assert_echo(channel);
	channel_close(channel);
}

/* A raw connection to the listener from a loopback address. */
static int knock(const struct setup *setup, const char *from)
{
	struct channel_endpoint source = {.address = fake_address(from)};
	struct channel_endpoint to = {.address = fake_address("127.0.0.1"),
		.port = channel_listener_port(setup->listener)};
	struct sockaddr_storage address;
	socklen_t address_bytes;
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	assert_true(fd >= 0);
	channel_endpoint_sockaddr(&source, &address, &address_bytes);
	assert_int_equal(bind(fd, (struct sockaddr *)&address, address_bytes), 0);
	channel_endpoint_sockaddr(&to, &address, &address_bytes);
	assert_int_equal(connect(fd, (struct sockaddr *)&address, address_bytes), 0);
	return fd;
}

static void channels_run_over_tls_and_the_owner_can_poll(void **state)
{
	struct channel_listener_status status;
	struct channel *channel;
	struct pollfd wait = {.events = POLLIN};
	struct setup setup;
	struct frame frame;

	setup_new(&setup, false, 0);
	setup_listen(&setup);
	assert_int_equal(dial(&setup, &channel, NULL), 0);
	assert_false(channel_is_plain(channel));
	assert_int_equal(channel_recv(channel, &frame, 0), -ETIMEDOUT);
	assert_false(channel_has_input(channel));
	assert_int_equal(channel_send(channel, &fake_channel_kind, "x", 1, UINT64_MAX - 1), 0);
	wait.fd = channel_fd(channel);
	assert_int_equal(poll(&wait, 1, 5000), 1);
	assert_int_equal(channel_recv(channel, &frame, 0), 0);
	channel_listener_status(setup.listener, &status);
	assert_int_equal(status.open, 1);
	assert_int_equal(status.pending, 0);
	channel_close(channel);
	setup_free(&setup);
	assert_int_equal(setup.served, 1);
}

static void nobody_listening_and_unknown_peers_are_told_apart(void **state)
{
	struct channel_dial how = {.peer = "dest", .purpose = CHANNEL_PURPOSE_MOVE};
	struct channel_error error;
	struct channel *channel;
	struct setup setup;

	setup_new(&setup, false, 0);
	setup_listen(&setup);
	how.port = channel_listener_port(setup.listener);
	channel_listener_stop(setup.listener);
	setup.listener = NULL;
	assert_int_equal(channel_connect(setup.source, &how, &channel, &error), -ECONNREFUSED);
	assert_int_equal(error.reason, CHANNEL_REASON_CONNECT_REFUSED);
	how.peer = "nobody";
	assert_int_equal(channel_connect(setup.source, &how, &channel, &error), -ENOENT);
	assert_string_equal(error.text, "to nobody: it is not in the peer list");
	how.peer = "dest";
	how.port = 0;
	assert_int_equal(channel_connect(setup.source, &how, &channel, &error), -ENOENT);
	setup_free(&setup);
}

static void half_a_handshake_blocks_nobody_and_ends_at_its_deadline(void **state)
{
	struct setup setup;
	char byte;
	int fds[4];

	setup_new(&setup, false, 300);
	setup_listen(&setup);
	for (int i = 0; i < 4; i++)
		fds[i] = knock(&setup, "127.0.0.1");
	assert_int_equal(send(fds[1], "\x16\x03\x01\x02", 4, 0), 4); /* a TLS record begins */
	dial_and_echo(&setup);
	wait_refusals(&setup, 4);
	assert_int_equal(setup.last_refusal.reason, CHANNEL_REASON_HANDSHAKE_TIMEOUT);
	for (int i = 0; i < 4; i++) {
		assert_true(recv(fds[i], &byte, 1, 0) <= 0);
		close(fds[i]);
	}
	dial_and_echo(&setup);
	setup_free(&setup);
}

static void f07_handshakes_are_limited_by_source_and_in_all(void **state)
{
	const struct in6_addr addresses[] = {
		fake_address("127.0.0.1"), fake_address("127.0.0.2"), fake_address("127.0.0.3")};
	const struct channel_peer peer = {
		.name = "source", .addresses = addresses, .n_addresses = 3};
	struct channel_host_status status;
	struct setup setup;
	int fds[6];

	setup_new(&setup, false, 20000);
	setup.config.max_per_source = 2;
	setup.config.max_pending = 4;
	channel_host_set_peers(setup.dest, &peer, 1);
	setup_listen(&setup);
	fds[0] = knock(&setup, "127.0.0.2");
	fds[1] = knock(&setup, "127.0.0.2");
	fds[2] = knock(&setup, "127.0.0.2"); /* one too many */
	wait_refusals(&setup, 1);
	assert_int_equal(setup.last_refusal.reason, CHANNEL_REASON_LIMIT_SOURCE);
	dial_and_echo(&setup); /* another source is not touched */
	fds[3] = knock(&setup, "127.0.0.3");
	fds[4] = knock(&setup, "127.0.0.3");
	fds[5] = knock(&setup, "127.0.0.1"); /* the fifth in all */
	wait_refusals(&setup, 2);
	assert_int_equal(setup.last_refusal.reason, CHANNEL_REASON_LIMIT_PENDING);
	channel_host_status(setup.dest, &status);
	assert_int_equal(status.by_reason[CHANNEL_REASON_LIMIT_SOURCE], 1);
	assert_int_equal(status.by_reason[CHANNEL_REASON_LIMIT_PENDING], 1);
	/* Stop does not wait for the 20 s of those that hang. */
	setup_free(&setup);
	for (int i = 0; i < 6; i++)
		close(fds[i]);
}

static void f07_an_unlisted_address_costs_no_thread_and_hears_nothing(void **state)
{
	struct setup setup;
	char byte;
	int fd;

	setup_new(&setup, false, 0);
	setup_listen(&setup);
	fd = knock(&setup, "127.0.0.9");
	wait_refusals(&setup, 1);
	assert_int_equal(setup.last_refusal.reason, CHANNEL_REASON_ADDRESS);
	assert_non_null(strstr(setup.last_refusal.text, "from 127.0.0.9"));
	assert_true(recv(fd, &byte, 1, 0) <= 0);
	close(fd);
	setup_free(&setup);
}

static void f07_garbage_and_older_tls_are_refused_by_their_names(void **state)
{
	static const struct {
		const char *bytes;
		size_t n;
		enum channel_reason reason;
	} cases[] = {
		{"GET / HTTP/1.1\r\nHost: dest\r\n\r\n", 30, CHANNEL_REASON_NOT_TLS},
		{"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff", 12, CHANNEL_REASON_NOT_TLS},
		/* A ClientHello of TLS 1.2 that offers one suite and no extension. */
		{"\x16\x03\x01\x00\x2d\x01\x00\x00\x29\x03\x03"
		 "0123456789abcdef0123456789abcdef\x00\x00\x02\xc0\x2f\x01\x00",
			50, CHANNEL_REASON_TLS_VERSION},
	};
	struct setup setup;
	int fd;

	setup_new(&setup, false, 2000);
	setup_listen(&setup);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		fd = knock(&setup, "127.0.0.1");
		assert_int_equal(send(fd, cases[i].bytes, cases[i].n, 0), cases[i].n);
		wait_refusals(&setup, (unsigned)i + 1);
		assert_string_equal(channel_reason_name(setup.last_refusal.reason),
			channel_reason_name(cases[i].reason));
		close(fd);
	}
	dial_and_echo(&setup);
	setup_free(&setup);
}

static void a_plain_listener_needs_insecure(void **state)
{
	struct channel_listener_status status;
	struct channel_error error;
	struct setup setup;

	setup_new(&setup, false, 0);
	setup.config.accept.plain = true;
	assert_int_equal(
		channel_listener_start(setup.dest, &setup.config, &setup.listener, &error), -EPERM);
	assert_int_equal(error.reason, CHANNEL_REASON_INSECURE);
	setup_free(&setup);

	setup_new(&setup, true, 0);
	setup.config.accept.plain = true;
	setup_listen(&setup);
	channel_listener_status(setup.listener, &status);
	assert_true(status.plain);
	dial_and_echo(&setup);
	setup_free(&setup);
}

static void unix_sockets_carry_plain_and_tls(void **state)
{
	struct setup setup;
	char path[160];

	for (int plain = 0; plain < 2; plain++) {
		setup_new(&setup, plain, 0);
		setup.config.accept.plain = plain;
		setup.config.endpoint.unix_path = fake_ca_path(&ca, "sock", path, sizeof(path));
		setup_listen(&setup);
		dial_and_echo(&setup);
		setup_free(&setup);
		assert_int_equal(access(path, F_OK), -1);
	}
}

static void open_channels_are_limited_and_stop_ends_them(void **state)
{
	struct channel *first, *second;
	struct channel_error error;
	struct setup setup;
	struct frame frame;

	setup_new(&setup, false, 0);
	setup.config.max_open = 1;
	setup_listen(&setup);
	assert_int_equal(dial(&setup, &first, NULL), 0);
	assert_echo(first);
	assert_int_equal(dial(&setup, &second, &error), -EACCES);
	assert_non_null(strstr(error.text, "1 channels are open already"));
	wait_refusals(&setup, 1);
	assert_echo(first);
	channel_listener_stop(setup.listener);
	setup.listener = NULL;
	assert_int_equal(
		channel_recv(first, &frame, channel_deadline_ns(first, 5000)), -ECONNRESET);
	channel_close(first);
	setup_free(&setup);
}

static void ipv6_is_the_same(void **state)
{
	const struct in6_addr local = fake_address("::1");
	const struct channel_peer peers[] = {
		{.name = "source", .addresses = &local, .n_addresses = 1},
		{.name = "dest", .addresses = &local, .n_addresses = 1},
	};
	struct channel_error error;
	struct setup setup;

	setup_new(&setup, false, 0);
	channel_host_set_peers(setup.source, peers, 2);
	channel_host_set_peers(setup.dest, peers, 2);
	setup.config.endpoint.address = local;
	if (channel_listener_start(setup.dest, &setup.config, &setup.listener, &error) < 0) {
		setup_free(&setup);
		print_message("no IPv6 loopback here: %s\n", error.text);
		skip();
	}
	dial_and_echo(&setup);
	setup_free(&setup);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(channels_run_over_tls_and_the_owner_can_poll),
		cmocka_unit_test(nobody_listening_and_unknown_peers_are_told_apart),
		cmocka_unit_test(half_a_handshake_blocks_nobody_and_ends_at_its_deadline),
		cmocka_unit_test(f07_handshakes_are_limited_by_source_and_in_all),
		cmocka_unit_test(f07_an_unlisted_address_costs_no_thread_and_hears_nothing),
		cmocka_unit_test(f07_garbage_and_older_tls_are_refused_by_their_names),
		cmocka_unit_test(a_plain_listener_needs_insecure),
		cmocka_unit_test(unix_sockets_carry_plain_and_tls),
		cmocka_unit_test(open_channels_are_limited_and_stop_ends_them),
		cmocka_unit_test(ipv6_is_the_same),
	};

	return cmocka_run_group_tests(tests, issue_all, remove_all);
}
