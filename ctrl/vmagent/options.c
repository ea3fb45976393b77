/* SPDX-License-Identifier: BSD-3-Clause */
#include "ctrl/vmagent/options.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include "config/config.h"

/* What the configuration does not name. */
#define HOLD_REMAINING_BYTES (64u << 20)
#define SESSIONS_MS 60000
#define PREPARE_MORE_MS 6000 /* D has its answer by then, if it is only slow */
#define CANCEL_MS 2000
#define ALARM_MS 10000

char *options_expand(const char *text, const struct options_mark *marks, size_t n_marks)
{
	char *expanded = NULL;
	size_t size = 0, i;
	FILE *stream = open_memstream(&expanded, &size);

	if (stream == NULL)
		return NULL;
	while (*text != '\0') {
		for (i = 0; i < n_marks; i++)
			if (strncmp(text, marks[i].mark, strlen(marks[i].mark)) == 0)
				break;
		if (i == n_marks) {
			fputc(*text++, stream);
		} else {
			fputs(marks[i].value, stream);
			text += strlen(marks[i].mark);
		}
	}
	if (fclose(stream) == 0)
		return expanded;
	free(expanded);
	return NULL;
}

static void fill_policy(const struct config *config, struct handover_policy *policy)
{
	*policy = (struct handover_policy){
		.pause_before_switchover = config->vmagent.pre_switchover,
		.auto_converge = config->vmagent.auto_converge,
		.multifd_channels = config->vmagent.multifd,
		.downtime_limit_ms = config->vmagent.downtime_ms,
		.hold_remaining_bytes = HOLD_REMAINING_BYTES,
		.accept_ms = config->vmagent.hook_ms,
		.prepare_ms = config->vmagent.hook_ms + PREPARE_MORE_MS,
		.sessions_ms = SESSIONS_MS,
		.pause_max_ms = config->migrate.pause_max_ms,
		.cancel_ms = CANCEL_MS,
		.alarm_ms = ALARM_MS,
	};
}

static int fill_hook(const struct config *config, struct vmagent_options *options)
{
	const char **hook;
	uint32_t i;

	options->hook = NULL;
	if (config->vmagent.n_hook == 0)
		return 0;
	hook = calloc(config->vmagent.n_hook + 1, sizeof(*hook));
	if (hook == NULL)
		return -ENOMEM;
	for (i = 0; i < config->vmagent.n_hook; i++)
		hook[i] = config->vmagent.hook[i];
	options->hook = hook;
	return 0;
}

/* A path, or a default under the run directory; -ENAMETOOLONG. */
static int fill_path(
	char *path, size_t size, const char *given, const char *run_dir, const char *name)
{
	int len = given ? snprintf(path, size, "%s", given)
			: snprintf(path, size, "%s/%s", run_dir, name);

	return len < (int)size ? 0 : -ENAMETOOLONG;
}

static int fill_paths(
	const struct config *config, const char *state_dir, struct vmagent_options *options)
{
	const char *run_dir = config->host.run_dir, *system = getenv("STATE_DIRECTORY");
	const char *ferryd =
		config->vmagent.ferryd ? config->vmagent.ferryd : config->host.control.socket;
	int err;

	if (state_dir == NULL && system != NULL)
		err = fill_path(
			options->state_dir, sizeof(options->state_dir), NULL, system, "moves");
	else
		err = fill_path(options->state_dir, sizeof(options->state_dir), state_dir, run_dir,
			"moves");
	if (err == 0)
		err = fill_path(
			options->run_dir, sizeof(options->run_dir), NULL, run_dir, "vmagent");
	if (err == 0)
		err = fill_path(options->socket, sizeof(options->socket), config->vmagent.socket,
			run_dir, "vmagent.sock");
	if (err == 0)
		err = fill_path(
			options->ferryd, sizeof(options->ferryd), ferryd, run_dir, "ferryd.sock");
	return err;
}

int options_fill(const struct config *config, const char *state_dir,
	struct vmagent_options *options, char *why, size_t why_size)
{
	int err;

	*options = (struct vmagent_options){
		.qmp = config->vmagent.qmp,
		.peers = config->peers,
		.n_peers = config->n_peers,
		.listen = {.address = config->vmagent.listen.addr,
			.port = config->vmagent.listen.port},
		.plain = config->tls.insecure && config->tls.cert == NULL,
		.zstd_level = config->vmagent.zstd ? (int)config->vmagent.zstd_level : 0,
		.rate_bytes_per_s = config->vmagent.bandwidth_mbit * 125000ull,
		.peer_ms = config->migrate.connect_ms,
	};
	if (config->host.name != NULL)
		snprintf(options->host, sizeof(options->host), "%s", config->host.name);
	else if (gethostname(options->host, sizeof(options->host) - 1))
		return -errno;
	if (options->qmp == NULL) {
		snprintf(why, why_size, "vmagent.qmp is not given: where does QEMU listen?");
		return -EINVAL;
	}
	fill_policy(config, &options->policy);
	err = fill_paths(config, state_dir, options);
	if (err == 0)
		err = fill_hook(config, options);
	if (err)
		snprintf(why, why_size, "run or state directory: %s", strerror(-err));
	return err;
}

void options_free(struct vmagent_options *options)
{
	free((void *)options->hook);
	options->hook = NULL;
}

bool options_know_peer(const struct vmagent_options *options, const char *name)
{
	unsigned int i;

	for (i = 0; i < options->n_peers; i++)
		if (options->peers[i].vmagent.port != 0 &&
			strcmp(options->peers[i].name, name) == 0)
			return true;
	return false;
}

static int set_peers(const struct config *config, struct channel_host *channels)
{
	struct channel_peer *peers = calloc(config->n_peers + 1, sizeof(*peers));
	const struct config_peer *from;
	uint32_t i, n = 0;
	int err;

	if (peers == NULL)
		return -ENOMEM;
	for (i = 0; i < config->n_peers; i++) {
		from = &config->peers[i];
		if (from->vmagent.port == 0)
			continue;
		peers[n++] = (struct channel_peer){
			.name = from->name,
			.port = from->vmagent.port,
			.addresses = &from->vmagent.addr,
			.n_addresses = 1,
			.certificate_names = (const char *const *)from->tls_names,
			.n_certificate_names = from->n_tls_names,
		};
	}
	err = channel_host_set_peers(channels, peers, n);
	free(peers);
	return err;
}

int options_open_channels(const struct config *config, const char *name,
	struct channel_host **channels, char *why, size_t why_size)
{
	struct channel_host_config host = {
		.name = name,
		.certificate_path = config->tls.cert,
		.key_path = config->tls.key,
		.ca_path = config->tls.ca,
		.insecure = config->tls.insecure,
	};
	struct channel_error error = {0};
	int err;

	if (getrandom(host.boot_id, sizeof(host.boot_id), 0) != sizeof(host.boot_id))
		return -EIO;
	err = channel_host_new(&host, channels, &error);
	if (err) {
		snprintf(why, why_size, "%s", error.text);
		return err;
	}
	err = set_peers(config, *channels);
	if (err) {
		snprintf(why, why_size, "peers: %s", strerror(-err));
		channel_host_free(*channels);
	}
	return err;
}
