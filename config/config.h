/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * ferry.yaml: one file becomes one plain struct, or one error that says where and why.
 *
 * Any thread may call any of these; they share no state. Nothing here knows the engine: a loaded
 * config is data, checked against itself (references, identities, ranges) but not against the host.
 * To reload, load the new file beside the old struct, compare with config_diff(), apply, free the
 * old one: a file that does not load has changed nothing.
 */
#ifndef CONFIG_CONFIG_H
#define CONFIG_CONFIG_H

#include <stddef.h>
#include <stdio.h>

#include "config/tree.h"
#include "config/types.h"

/* Limits on what is read; a file beyond one of them is an error, found early and in little
 * memory. YAML aliases, anchors, tags and second documents are refused. */
#define CONFIG_FILE_BYTES_MAX (8u << 20)
#define CONFIG_DEPTH_MAX 64
#define CONFIG_VALUES_MAX 250000
#define CONFIG_KEY_BYTES_MAX 128
#define CONFIG_SCALAR_BYTES_MAX 65536

struct config_error {
	int code; /* negative errno: -EINVAL, -E2BIG, -ENOENT, -EACCES, ... */
	uint32_t line, column; /* from 1; 0 when the file could not be read at all */
	char file[256];
	char path[192]; /* the key, as in "vports[2].mac"; "" for the file as a whole */
	char text[512]; /* what was expected, what was found */
};

/* Load a file, or a text that calls itself `name` in errors (NULL: "text"). 0 and a config that
 * the caller frees with config_free(); or -errno with `err` filled (it may be NULL) and `out`
 * untouched. */
int config_load(const char *path, struct config **out, struct config_error *err);
int config_load_text(const char *text, size_t len_bytes, const char *name, struct config **out,
	struct config_error *err);
void config_free(struct config *config);

/* "file:line:column: path: expected ..., found ...", as snprintf() would. */
int config_error_format(const struct config_error *err, char *buffer, size_t size_bytes);

/* Write the config as YAML, with every default, that loads to an equal config; also after a tool
 * that speaks YAML 1.1 read and rewrote it. 0 or -errno of the stream. */
int config_show(const struct config *config, FILE *out);
/* The same without what is as it would be anyway: what another version, with other options, can
 * read as long as none of those is used. */
int config_show_brief(const struct config *config, FILE *out);

/* Write the reference of all options as Markdown (config/REFERENCE.md). 0 or -errno. */
int config_reference(FILE *out);

/* Find an object by its name (or VNI); NULL when there is none. Linear. */
const struct config_vport *config_vport_find(const struct config *config, const char *name);
const struct config_vpc *config_vpc_find(const struct config *config, const char *name);
const struct config_vpc *config_vpc_find_vni(const struct config *config, uint32_t vni);
const struct config_group *config_group_find(const struct config *config, const char *name);
const struct config_peer *config_peer_find(const struct config *config, const char *name);
const struct config_plugin *config_plugin_find(const struct config *config, const char *name);

/* What differs between two configs. */
enum config_object {
	CONFIG_OBJECT_HOST,
	CONFIG_OBJECT_DPDK,
	CONFIG_OBJECT_ENGINE,
	CONFIG_OBJECT_UPLINK,
	CONFIG_OBJECT_TLS,
	CONFIG_OBJECT_TIMEOUTS,
	CONFIG_OBJECT_MIGRATE,
	CONFIG_OBJECT_VMAGENT,
	CONFIG_OBJECT_LOG,
	CONFIG_OBJECT_PEER, /* from here on: lists, `before` and `after` point at one entry */
	CONFIG_OBJECT_VPC,
	CONFIG_OBJECT_GROUP,
	CONFIG_OBJECT_PLUGIN,
	CONFIG_OBJECT_EXTERNAL_NETWORK,
	CONFIG_OBJECT_VPORT,
	CONFIG_OBJECT_NAT_LEASE,
	CONFIG_OBJECT_LOCATION,
};

/* What it takes to apply a change of an option, by the options table; the worst one counts. */
enum config_effect {
	CONFIG_EFFECT_LIVE, /* at once, nothing else is touched */
	CONFIG_EFFECT_RECREATE, /* the object is taken down and made again */
	CONFIG_EFFECT_RESTART, /* only by a restart of the program */
};

struct config_change {
	enum config_object object;
	enum config_effect effect; /* CONFIG_EFFECT_LIVE for added and removed entries */
	const char *name; /* the entry's name or identity; the section's name elsewhere */
	const void *before; /* struct config_vport * and so on; NULL: added */
	const void *after; /* NULL: removed */
	uint64_t fields; /* changed options; ask config_change_has() */
};

struct config_diff {
	struct config_change *changes;
	uint32_t n_changes;
	struct config_arena *arena; /* owns the above; for config_diff_free() */
};

/*
 * Compare. Entries are the same object when their name is the same; VPCs: their VNI; locations:
 * VNI, address and ports; leases: network, address, ports and protocol. A vport's `vpc` changed
 * when the VNI behind it did, a plugin's `name` also when its place in the list did.
 *
 * The changes come in an order in which they can be applied one by one: removed locations, leases
 * and vports (they give names and addresses free); then whatever changed or was added, in the order
 * of enum config_object (a group before the vport that names it); last removed networks, plugins,
 * groups, VPCs and peers. The result points into both configs and must not outlive them.
 * 0 or -ENOMEM.
 */
int config_diff(const struct config *before, const struct config *after, struct config_diff *out);
void config_diff_free(struct config_diff *diff);

/* Did the option `key` of the object (first level, as "mac" or "port") change? */
bool config_change_has(const struct config_change *change, const char *key);

/* The changed options as text, "mac, port". As snprintf(). */
int config_change_fields(const struct config_change *change, char *buffer, size_t size_bytes);

/* True when all of it is equal. */
bool config_equal(const struct config *a, const struct config *b);

#endif
