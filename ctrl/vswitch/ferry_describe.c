/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What makes a vport elsewhere: the part of the configuration that it stands on (the vport, its
 * VPC, the groups it names and those they name, the locations of its VPC, its leases and their
 * networks), as the text of a config. The destination loads it with all the checks of a file, and
 * takes from it what it does not have itself.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ctrl/vswitch/ferry_impl.h"

#define GROUPS_MAX 256

/* ---- describe ---- */

static bool group_listed(const struct config_group *list, uint32_t count, const char *name)
{
	for (uint32_t i = 0; i < count; i++)
		if (strcmp(list[i].name, name) == 0)
			return true;
	return false;
}

static void group_want(struct config *part, const struct config *from, const char *name)
{
	const struct config_group *group = config_group_find(from, name);

	if (group && part->n_groups < GROUPS_MAX &&
		!group_listed(part->groups, part->n_groups, name))
		part->groups[part->n_groups++] = *group;
}

static void part_groups(
	struct config *part, const struct config *from, const struct config_vport *vport)
{
	for (uint32_t i = 0; i < vport->n_groups; i++)
		group_want(part, from, vport->groups[i]);
	for (uint32_t i = 0; i < part->n_groups; i++)
		for (uint32_t r = 0; r < part->groups[i].n_rules; r++)
			if (part->groups[i].rules[r].remote_group)
				group_want(part, from, part->groups[i].rules[r].remote_group);
}

static void part_leases(
	struct config *part, const struct config *from, const struct config_vport *vport)
{
	for (uint32_t i = 0; i < from->n_nat_leases; i++)
		if (strcmp(from->nat_leases[i].vport, vport->name) == 0)
			part->nat_leases[part->n_nat_leases++] = from->nat_leases[i];
	for (uint32_t i = 0; i < from->n_external_networks; i++) {
		const struct config_external_network *network = &from->external_networks[i];

		for (uint32_t l = 0; l < part->n_nat_leases; l++)
			if (strcmp(part->nat_leases[l].network, network->name) == 0) {
				part->external_networks[part->n_external_networks++] = *network;
				break;
			}
	}
}

/* A config with the vport alone; its arrays are in `room`, freed as one. */
struct part_room {
	struct config config;
	struct config_vport vport;
	struct config_group group[GROUPS_MAX];
	struct config_plugin plugin[VPORT_PLUGINS_MAX];
};

static void part_free(struct part_room *room)
{
	if (!room)
		return;
	free(room->config.nat_leases);
	free(room->config.external_networks);
	free(room->config.locations);
	free(room);
}

static struct part_room *part_make(
	const struct config *blank, const struct config *from, const struct vport *v)
{
	const struct config_vport *vport = config_vport_find(from, v->name);
	const struct config_vpc *vpc = vport ? config_vpc_find(from, vport->vpc) : NULL;
	struct part_room *room = calloc(1, sizeof(*room));
	struct config *part;

	if (!room || !vpc) {
		free(room);
		return NULL;
	}
	part = &room->config;
	*part = *blank;
	room->vport = *vport;
	room->vport.uuid = v->uuid[0] ? v->uuid : NULL;
	part->vports = &room->vport;
	part->n_vports = 1;
	part->vpcs = (struct config_vpc *)(uintptr_t)vpc;
	part->n_vpcs = 1;
	part->groups = room->group;
	part->locations = calloc(from->n_locations + 1u, sizeof(*part->locations));
	part->nat_leases = calloc(from->n_nat_leases + 1u, sizeof(*part->nat_leases));
	part->external_networks =
		calloc(from->n_external_networks + 1u, sizeof(*part->external_networks));
	if (!part->locations || !part->nat_leases || !part->external_networks) {
		part_free(room);
		return NULL;
	}
	part_groups(part, from, vport);
	part_leases(part, from, vport);
	/* By name, so that groups and leases have whom they are for; how each is configured is D's
	 * own affair. */
	part->plugins = room->plugin;
	part->n_plugins = 0;
	for (uint32_t i = 0; i < from->n_plugins && i < VPORT_PLUGINS_MAX; i++)
		room->plugin[part->n_plugins++].name = from->plugins[i].name;
	for (uint32_t i = 0; i < from->n_locations; i++)
		if (from->locations[i].vni == vpc->vni)
			part->locations[part->n_locations++] = from->locations[i];
	return room;
}

/* The config that knows the vport: the file's, or the one it came with. Under the lock. */
static const struct config *config_of(const struct vswitch_ferry *ferry, const struct vport *v)
{
	const struct config *config = setup_config(ferry->setup);

	if (config_vport_find(config, v->name))
		return config;
	for (const struct ferry_guest *guest = ferry->guests; guest; guest = guest->next)
		if (strcmp(guest->name, v->name) == 0)
			return guest->config;
	return NULL;
}

static int part_write(const struct config *part, struct wire_writer *w)
{
	char *text = NULL;
	size_t len_bytes = 0;
	FILE *file = open_memstream(&text, &len_bytes);
	int rc;

	if (!file)
		return -ENOMEM;
	rc = config_show_brief(part, file);
	if (fclose(file) != 0)
		rc = -ENOMEM;
	if (rc == 0)
		wire_put_bytes(w, text, len_bytes);
	free(text);
	return rc;
}

int ferry_describe(void *ctx, struct vswitch_port *port, struct wire_writer *w)
{
	struct vswitch_ferry *ferry = ctx;
	const struct vport *v = ferry_vport(port);
	const struct config *config;
	struct part_room *part;
	int rc;

	pthread_mutex_lock(&ferry->lock);
	config = config_of(ferry, v);
	part = config ? part_make(ferry->blank, config, v) : NULL;
	rc = part ? part_write(&part->config, w) : -ENOENT;
	if (rc == 0 && !wire_writer_ok(w)) {
		/* Too many locations: the destination has its own. */
		wire_writer_init(w, w->start, w->room_bytes);
		part->config.n_locations = 0;
		rc = part_write(&part->config, w);
	}
	part_free(part);
	pthread_mutex_unlock(&ferry->lock);
	return rc == 0 && !wire_writer_ok(w) ? -E2BIG : rc;
}

/* ---- prepare ---- */

static bool same_addresses(const struct vport *v, const struct config_vport *vport)
{
	const struct vport_addresses *own = atomic_load(&v->addresses);

	if (own->ip_count != vport->n_ips)
		return false;
	for (uint16_t i = 0; i < own->ip_count; i++)
		if (!vport_owns(v, &vport->ips[i]))
			return false;
	return memcmp(&v->mac, vport->mac, sizeof(vport->mac)) == 0;
}

/* The port of that name, if it may become the one that comes. */
static int vport_adopt(
	struct vport *v, const struct config_vport *vport, char *error, size_t error_len)
{
	if (v->uuid[0] && vport->uuid && strcmp(v->uuid, vport->uuid) != 0) {
		snprintf(error, error_len, "vport %s: another one of this name is here (uuid %s)",
			v->name, v->uuid);
		return -EEXIST;
	}
	if (!same_addresses(v, vport)) {
		snprintf(error, error_len, "vport %s: is here with another MAC or other addresses",
			v->name);
		return -EEXIST;
	}
	if (vport_role(v) == ROLE_MOVED || vport_role(v) == ROLE_CLAIM) {
		int rc = engine_role_event(v, ROLE_PREPARE, 0);

		if (rc != 0)
			return rc;
	}
	/* A claim is answered by the sessions of the last owner. */
	if (vport_role(v) != ROLE_PASSIVE && vport_role(v) != ROLE_CLAIM) {
		snprintf(error, error_len, "vport %s: is here and %s", v->name,
			role_name(vport_role(v)));
		return -EEXIST;
	}
	if (vport->uuid && !v->uuid[0])
		memcpy(v->uuid, vport->uuid, sizeof(v->uuid));
	session_import_purge(v, true);
	return 0;
}

/* ---- what the guests add to the plugins' configuration ---- */

struct merge {
	struct config config;
	struct config_vport *vports;
	struct config_group *groups;
	struct config_nat_lease *leases;
	struct config_external_network *networks;
};

static void merge_free(struct merge *merge)
{
	free(merge->vports);
	free(merge->groups);
	free(merge->leases);
	free(merge->networks);
}

static bool lease_listed(const struct config *config, const struct config_nat_lease *lease)
{
	for (uint32_t i = 0; i < config->n_nat_leases; i++) {
		const struct config_nat_lease *known = &config->nat_leases[i];

		if (memcmp(&known->address, &lease->address, sizeof(lease->address)) == 0 &&
			known->ports.first == lease->ports.first &&
			known->protocol == lease->protocol &&
			strcmp(known->network, lease->network) == 0)
			return true;
	}
	return false;
}

static bool network_listed(const struct config *config, const char *name)
{
	for (uint32_t i = 0; i < config->n_external_networks; i++)
		if (strcmp(config->external_networks[i].name, name) == 0)
			return true;
	return false;
}

static void merge_guest(struct config *into, const struct config *guest)
{
	for (uint32_t i = 0; i < guest->n_vports; i++)
		if (!config_vport_find(into, guest->vports[i].name))
			into->vports[into->n_vports++] = guest->vports[i];
	for (uint32_t i = 0; i < guest->n_groups; i++)
		if (!group_listed(into->groups, into->n_groups, guest->groups[i].name))
			into->groups[into->n_groups++] = guest->groups[i];
	for (uint32_t i = 0; i < guest->n_nat_leases; i++)
		if (!lease_listed(into, &guest->nat_leases[i]))
			into->nat_leases[into->n_nat_leases++] = guest->nat_leases[i];
	for (uint32_t i = 0; i < guest->n_external_networks; i++)
		if (!network_listed(into, guest->external_networks[i].name))
			into->external_networks[into->n_external_networks++] =
				guest->external_networks[i];
}

#define GROW(array, from, count, more) \
	do { \
		(array) = calloc((count) + (more) + 1u, sizeof(*(array))); \
		if ((array) && (count) > 0) \
			memcpy((array), (from), (count) * sizeof(*(array))); \
	} while (0)

/* The file's config and what the guests need beyond it. Under the lock. */
static int merge_make(const struct vswitch_ferry *ferry, struct merge *merge)
{
	const struct config *config = setup_config(ferry->setup);
	uint32_t vports = 0, groups = 0, leases = 0, networks = 0;

	for (const struct ferry_guest *g = ferry->guests; g; g = g->next) {
		vports += g->config->n_vports;
		groups += g->config->n_groups;
		leases += g->config->n_nat_leases;
		networks += g->config->n_external_networks;
	}
	merge->config = *config;
	GROW(merge->vports, config->vports, config->n_vports, vports);
	GROW(merge->groups, config->groups, config->n_groups, groups);
	GROW(merge->leases, config->nat_leases, config->n_nat_leases, leases);
	GROW(merge->networks, config->external_networks, config->n_external_networks, networks);
	if (!merge->vports || !merge->groups || !merge->leases || !merge->networks) {
		merge_free(merge);
		return -ENOMEM;
	}
	merge->config.vports = merge->vports;
	merge->config.groups = merge->groups;
	merge->config.nat_leases = merge->leases;
	merge->config.external_networks = merge->networks;
	for (const struct ferry_guest *g = ferry->guests; g; g = g->next)
		merge_guest(&merge->config, g->config);
	return 0;
}

/* In force; what it was made from stays until the vports that it is for are there. */
struct configured {
	struct merge merge;
	struct setup_plugins *plugins;
};

static void configured_end(const struct vswitch_ferry *ferry, struct configured *configured)
{
	setup_plugins_drop(ferry->setup, configured->plugins);
	merge_free(&configured->merge);
}

static int configured_begin(
	struct vswitch_ferry *ferry, struct configured *configured, char *error, size_t error_len)
{
	int rc = merge_make(ferry, &configured->merge);

	configured->plugins = NULL;
	if (rc != 0)
		return rc;
	rc = setup_plugins_prepare(
		ferry->setup, &configured->merge.config, &configured->plugins, error, error_len);
	if (rc == 0)
		rc = setup_plugins_take(ferry->setup, configured->plugins, error, error_len);
	if (rc != 0)
		configured_end(ferry, configured);
	return rc;
}

int ferry_configure(struct vswitch_ferry *ferry, char *error, size_t error_len)
{
	struct configured configured;
	int rc = configured_begin(ferry, &configured, error, error_len);

	if (rc == 0)
		configured_end(ferry, &configured);
	return rc;
}

/* ---- guests ---- */

static void guest_remove(struct vswitch_ferry *ferry, const char *name)
{
	for (struct ferry_guest **at = &ferry->guests; *at; at = &(*at)->next)
		if (strcmp((*at)->name, name) == 0) {
			struct ferry_guest *gone = *at;

			*at = gone->next;
			config_free(gone->config);
			free(gone);
			return;
		}
}

/* What the vport stands on and this host does not have. */
static int guest_ground(
	struct vswitch_ferry *ferry, const struct config *part, char *error, size_t error_len)
{
	const struct config *own = setup_config(ferry->setup);
	int rc = 0;

	for (uint32_t i = 0; i < part->n_vpcs && rc == 0; i++)
		if (!config_vpc_find_vni(own, part->vpcs[i].vni))
			rc = setup_vpc_apply(ferry->setup, part, &part->vpcs[i], error, error_len);
	for (uint32_t i = 0; i < part->n_external_networks && rc == 0; i++)
		if (!network_listed(own, part->external_networks[i].name))
			rc = setup_external_apply(
				ferry->setup, own, &part->external_networks[i], error, error_len);
	for (uint32_t i = 0; i < part->n_locations && rc == 0; i++) {
		/* A VTEP of a family that we have no address of does not stop the move. */
		setup_location_apply(ferry->setup, &part->locations[i], error, error_len);
		error[0] = '\0';
	}
	return rc;
}

void ferry_guest_limits(const struct config *own, struct vswitch_room *room)
{
	room->quota = (uint64_t)own->engine.sessions * own->engine.session_quota_percent / 100;
	room->hold_bytes = own->migrate.hold_bytes;
}

/* What a description leaves open is for this host to say, not for the defaults. */
static void guest_defaults(const struct config *own, struct config *part)
{
	part->engine.sessions = own->engine.sessions;
	part->engine.session_quota_percent = own->engine.session_quota_percent;
	part->migrate.hold_bytes = own->migrate.hold_bytes;
	part->migrate.hold_age_ms = own->migrate.hold_age_ms;
	part->migrate.hold_from = own->migrate.hold_from;
}

/* Its vport, passive, under plugins that know what it brings. */
static int guest_vport(struct vswitch_ferry *ferry, const struct config *part, struct vport **out,
	char *error, size_t len)
{
	struct setup_vport made = {.config = part, .vport = &part->vports[0]};
	struct configured configured;
	int rc = configured_begin(ferry, &configured, error, len);

	if (rc != 0)
		return rc;
	rc = setup_vport_fill(ferry->setup, &made, error, len);
	if (rc == 0) {
		made.spec.role = ROLE_PASSIVE;
		made.spec.port.paused = made.spec.port.kind != PORT_VHOST;
		rc = engine_vport_add(ferry->engine, &made.spec, out, error, len);
	}
	setup_vport_clear(&made);
	configured_end(ferry, &configured);
	return rc;
}

static int guest_add(struct vswitch_ferry *ferry, struct config *part, struct vport **out,
	char *error, size_t len)
{
	struct ferry_guest *guest = calloc(1, sizeof(*guest));
	char ignored[256];
	int rc;

	if (!guest)
		return -ENOMEM;
	snprintf(guest->name, sizeof(guest->name), "%s", part->vports[0].name);
	guest->config = part;
	guest_defaults(setup_config(ferry->setup), part);
	rc = guest_ground(ferry, part, error, len);
	if (rc != 0) {
		free(guest);
		return rc;
	}
	guest->next = ferry->guests;
	ferry->guests = guest;
	rc = guest_vport(ferry, part, out, error, len);
	if (rc != 0) {
		/* The caller frees the config. */
		guest->config = NULL;
		guest_remove(ferry, guest->name);
		ferry_configure(ferry, ignored, sizeof(ignored));
	}
	return rc;
}

/* Shared objects that this host has in another form: ours stay, and somebody should know. */
static void notes_take(const struct config *own, const struct config *part, char *notes, size_t len)
{
	struct config_diff diff;
	size_t n = 0;

	notes[0] = '\0';
	if (config_diff(own, part, &diff) != 0)
		return;
	for (uint32_t i = 0; i < diff.n_changes && n < len; i++) {
		const struct config_change *change = &diff.changes[i];
		char fields[128];

		if (!change->before || !change->after ||
			(change->object != CONFIG_OBJECT_GROUP &&
				change->object != CONFIG_OBJECT_VPC &&
				change->object != CONFIG_OBJECT_EXTERNAL_NETWORK))
			continue;
		config_change_fields(change, fields, sizeof(fields));
		n += (size_t)snprintf(notes + n, len - n, "%s%s: %s differs", n ? "; " : "",
			change->name, fields);
	}
	config_diff_free(&diff);
}

int ferry_prepare(
	void *ctx, const uint8_t *description, size_t len_bytes, struct vswitch_prepared *out)
{
	struct vswitch_ferry *ferry = ctx;
	struct config_error fault;
	struct config *part;
	struct vport *v;
	int rc = config_load_text((const char *)description, len_bytes, "move", &part, &fault);

	if (rc != 0) {
		config_error_format(&fault, out->error, sizeof(out->error));
		return -EBADMSG;
	}
	if (part->n_vports != 1) {
		snprintf(out->error, sizeof(out->error), "a description holds one vport");
		config_free(part);
		return -EBADMSG;
	}
	pthread_mutex_lock(&ferry->lock);
	v = engine_vport_find(ferry->engine, part->vports[0].name);
	out->adopted = v != NULL;
	notes_take(setup_config(ferry->setup), part, out->notes, sizeof(out->notes));
	if (v)
		rc = vport_adopt(v, &part->vports[0], out->error, sizeof(out->error));
	else
		rc = guest_add(ferry, part, &v, out->error, sizeof(out->error));
	pthread_mutex_unlock(&ferry->lock);
	if (out->adopted || rc != 0)
		config_free(part);
	if (rc == 0)
		out->port = ferry_port(v);
	return rc;
}

int ferry_discard(void *ctx, struct vswitch_port *port)
{
	struct vswitch_ferry *ferry = ctx;
	struct vport *v = ferry_vport(port);
	char name[VSWITCH_NAME_MAX], error[256];

	pthread_mutex_lock(&ferry->lock);
	snprintf(name, sizeof(name), "%s", v->name);
	if (config_vport_find(setup_config(ferry->setup), name)) {
		session_import_purge(v, true);
	} else {
		engine_vport_del(ferry->engine, v);
		guest_remove(ferry, name);
		ferry_configure(ferry, error, sizeof(error));
	}
	pthread_mutex_unlock(&ferry->lock);
	return 0;
}
