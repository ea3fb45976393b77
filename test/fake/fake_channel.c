/* SPDX-License-Identifier: BSD-3-Clause */
#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "test/fake/fake_channel.h"

static const uint16_t known_types[] = {0x0100};
const struct frame_kind fake_channel_kind = {.type = 0x0100, .mandatory = true};

/* The script is found from this file, from the build folder, or from the top of the tree. */
static const char *test_ca_path(char *out, size_t out_bytes)
{
	const char *name = strstr(__FILE__, "test/fake/");

	assert(name != NULL);
	snprintf(out, out_bytes, "%.*sscripts/test-ca", (int)(name - __FILE__), __FILE__);
	return access(out, X_OK) == 0 ? out : "scripts/test-ca";
}

static void test_ca_run(const char *dir, const char *spec)
{
	char script[512];
	int status = -1;
	pid_t pid;

	test_ca_path(script, sizeof(script));
	pid = fork();
	assert(pid >= 0);
	if (pid == 0) {
		execl(test_ca_path(script, sizeof(script)), "test-ca", dir, spec, NULL);
		_exit(127);
	}
	assert(waitpid(pid, &status, 0) == pid);
	assert(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

void fake_ca_new(struct fake_ca *ca)
{
	strcpy(ca->dir, "/tmp/ferry-ca.XXXXXX");
	assert(mkdtemp(ca->dir) != NULL);
}

void fake_ca_issue(const struct fake_ca *ca, const char *spec)
{
	test_ca_run(ca->dir, spec);
}

const char *fake_ca_path(const struct fake_ca *ca, const char *name, char *out, size_t out_bytes)
{
	snprintf(out, out_bytes, "%s/%s", ca->dir, name);
	return out;
}

void fake_ca_free(struct fake_ca *ca)
{
	pid_t pid = fork();

	assert(pid >= 0);
	if (pid == 0) {
		execlp("rm", "rm", "-rf", "--", ca->dir, NULL);
		_exit(127);
	}
	assert(waitpid(pid, NULL, 0) == pid);
}

struct channel_host *fake_channel_host(
	const struct fake_ca *ca, const char *name, const struct channel_world *world)
{
	const struct in6_addr addresses[] = {fake_address("192.0.2.1"), fake_address("192.0.2.2")};
	const struct channel_peer peers[] = {
		{.name = "source",
			.port = FAKE_CHANNEL_PORT,
			.addresses = &addresses[0],
			.n_addresses = 1},
		{.name = "dest",
			.port = FAKE_CHANNEL_PORT,
			.addresses = &addresses[1],
			.n_addresses = 1},
	};
	struct channel_host_config config = {.name = name, .world = world, .insecure = ca == NULL};
	char file[64], certificate[160], key[160], authority[160];
	struct channel_host *host;
	struct channel_error error;

	if (ca != NULL) {
		snprintf(file, sizeof(file), "%s.pem", name);
		config.certificate_path = fake_ca_path(ca, file, certificate, sizeof(certificate));
		snprintf(file, sizeof(file), "%s.key", name);
		config.key_path = fake_ca_path(ca, file, key, sizeof(key));
		config.ca_path = fake_ca_path(ca, "ca.pem", authority, sizeof(authority));
	}
	assert(channel_host_new(&config, &host, &error) == 0);
	assert(channel_host_set_peers(host, peers, 2) == 0);
	return host;
}

static void *server_run(void *arg)
{
	struct fake_channel *pair = arg;

	pair->server_ret = channel_accept(
		pair->dest, &pair->server_io, &pair->accept, &pair->server, &pair->server_error);
	fake_world_leave(pair->world);
	return NULL;
}

static int pair_accept(void *ctx, struct fake_wire *wire, const struct channel_io *io)
{
	struct fake_channel *pair = ctx;
	pthread_t thread;

	for (unsigned i = 0; i < pair->n_faults; i++)
		fake_wire_fault(wire, &pair->faults[i]);
	pair->wire = fake_wire_hold(wire);
	pair->server_io = *io;
	pair->server_io.address = pair->from;
	fake_world_join(pair->world);
	assert(pthread_create(&thread, NULL, server_run, pair) == 0);
	pair->thread = thread;
	pair->started = true;
	return 0;
}

void fake_channel_new(struct fake_channel *pair, const struct fake_ca *ca)
{
	const struct in6_addr source = fake_address("192.0.2.1");
	const struct in6_addr dest = fake_address("192.0.2.2");
	const struct channel_options options = {.types = known_types, .n_types = 1};

	*pair = (struct fake_channel){
		.dial = {.peer = "dest",
			.plain = ca == NULL,
			.purpose = CHANNEL_PURPOSE_MOVE,
			.options = options},
		.accept = {.plain = ca == NULL,
			.purposes = CHANNEL_PURPOSE_BIT(CHANNEL_PURPOSE_MOVE),
			.options = options},
		.from = source,
	};
	pair->world = fake_world_new(time(NULL));
	fake_world_join(pair->world);
	pair->source = fake_channel_host(ca, "source", fake_world_host(pair->world, &source));
	pair->dest = fake_channel_host(ca, "dest", fake_world_host(pair->world, &dest));
	assert(fake_world_listen(pair->world, &dest, FAKE_CHANNEL_PORT, pair_accept, pair) == 0);
}

int fake_channel_open(struct fake_channel *pair)
{
	pair->client_ret =
		channel_connect(pair->source, &pair->dial, &pair->client, &pair->client_error);
	if (pair->started) {
		fake_world_leave(pair->world);
		pthread_join(pair->thread, NULL);
		fake_world_join(pair->world);
		pair->started = false;
	}
	return pair->client_ret;
}

void fake_channel_close(struct fake_channel *pair)
{
	channel_close(pair->client);
	channel_close(pair->server);
	pair->client = pair->server = NULL;
	if (pair->wire != NULL)
		fake_wire_put(pair->wire);
	pair->wire = NULL;
}

void fake_channel_free(struct fake_channel *pair)
{
	fake_channel_close(pair);
	channel_host_free(pair->source);
	channel_host_free(pair->dest);
	fake_world_free(pair->world);
}
