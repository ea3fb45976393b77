/* SPDX-License-Identifier: BSD-3-Clause */
/* What ferry-vmagent runs with, filled from the configuration. */
#ifndef FERRY_VMAGENT_OPTIONS_H
#define FERRY_VMAGENT_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "ctrl/channel/host.h"
#include "ctrl/channel/io.h"
#include "ctrl/vmagent/handover.h"

struct config;
struct config_peer;

struct vmagent_options {
	char host[CHANNEL_NAME_BYTES]; /* this host's name, as other agents know it */
	char state_dir[96]; /* records */
	char run_dir[64]; /* sockets of the memory path */
	char socket[108]; /* ours */
	char ferryd[108]; /* its control socket; "": none */
	const char *qmp; /* QEMU's QMP socket; {vm} stands for the VM */
	/* argv that starts a receiving QEMU (-S -incoming defer), NULL-ended; NULL: one waits
	 * at `qmp` already. {vm}, {move} and {qmp} are replaced. */
	const char *const *hook;
	const struct config_peer *peers; /* n_peers of them */
	unsigned int n_peers;
	struct channel_endpoint listen; /* for other agents; port 0 and no path: nobody comes in */
	bool plain; /* no TLS between agents: loopback and unix sockets only */
	struct handover_policy policy;
	int zstd_level; /* 0: memory is not packed */
	uint64_t rate_bytes_per_s; /* cap beside the one of ferryd; 0: none */
	uint32_t peer_ms; /* the other agent counts as lost after so long */
};

/* state_dir NULL: $STATE_DIRECTORY, else one under the run directory. What options point at is
 * the config's or lives in *hook, which options_free() frees. 0, or -errno and a sentence. */
int options_fill(const struct config *config, const char *state_dir,
	struct vmagent_options *options, char *why, size_t why_size);
void options_free(struct vmagent_options *options);
/* A host of that name takes VM memory. */
bool options_know_peer(const struct vmagent_options *options, const char *name);
/* Peers and certificate of the config for the channels of this agent. */
int options_open_channels(const struct config *config, const char *host,
	struct channel_host **channels, char *why, size_t why_size);

/* Replaces {name} marks in a text; the result is the caller's. */
struct options_mark {
	const char *mark, *value;
};
char *options_expand(const char *text, const struct options_mark *marks, size_t n_marks);

#endif
