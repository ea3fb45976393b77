/* SPDX-License-Identifier: BSD-3-Clause */
/* Plugins, security groups and vports. */
#include <errno.h>
#include <string.h>

#include "config/check.h"

/* "dir/name.so" -> "name" */
static int name_plugin(struct config_loader *loader, struct config_plugin *plugin)
{
	const char *base = strrchr(plugin->path, '/');
	size_t len;

	base = base != NULL ? base + 1 : plugin->path;
	len = strlen(base);
	if (len > 3 && strcmp(base + len - 3, ".so") == 0)
		len -= 3;
	plugin->name = config_arena_text(loader->arena, base, len);
	return plugin->name != NULL ? 0 : config_no_memory(loader);
}

static int check_plugin(struct config_check *check, struct config_plugin *plugin)
{
	struct config_claim claim = {.what = "a plugin", .object = plugin};
	const char *key = plugin->name != NULL ? "name" : "path";
	int rc = 0;

	if (plugin->name == NULL && plugin->path == NULL)
		return config_fail(check->loader, plugin->node,
			"expected one of `name` and `path`, found neither");
	if (plugin->name == NULL)
		rc = name_plugin(check->loader, plugin);
	if (rc != 0)
		return rc;
	/* As dataplane/plugin.h has it, for it names sections of the stream too. */
	if (plugin->name[0] < 'a' || plugin->name[0] > 'z' ||
		plugin->name[strspn(plugin->name, "abcdefghijklmnopqrstuvwxyz0123456789-")] != '\0')
		return config_fail_key(check->loader, plugin->node, key,
			"expected lower case letters, digits and -, found \"%.40s\"", plugin->name);
	claim.key = plugin->name;
	claim.at = config_tree_get(plugin->node, key);
	if (claim.at == NULL)
		claim.at = plugin->node; /* the plugin that is there without being written */
	return config_index_add(check->loader, &check->plugin_names, &claim);
}

int config_check_plugins(struct config_check *check)
{
	struct config *config = check->config;
	int rc = 0;

	for (uint32_t i = 0; i < config->n_plugins && rc == 0; i++) {
		size_t before = config_path_object(check->loader, "plugins", i);

		rc = check_plugin(check, &config->plugins[i]);
		if (rc == 0)
			config_path_back(check->loader, before);
	}
	return rc;
}

static bool rule_has_ports(const struct config_rule *rule)
{
	return rule->protocol == IPPROTO_TCP || rule->protocol == IPPROTO_UDP ||
	       rule->protocol == IPPROTO_SCTP;
}

static bool rule_has_icmp(const struct config_rule *rule)
{
	return rule->protocol == IPPROTO_ICMP || rule->protocol == IPPROTO_ICMPV6;
}

/* The family that a rule cannot do without; CONFIG_FAMILY_ANY: either. */
static int check_rule_family(struct config_loader *loader, const struct config_rule *rule)
{
	enum config_family needed = CONFIG_FAMILY_ANY;

	if (rule->protocol == IPPROTO_ICMP)
		needed = CONFIG_FAMILY_IPV4;
	if (rule->protocol == IPPROTO_ICMPV6)
		needed = CONFIG_FAMILY_IPV6;
	if (rule->family != CONFIG_FAMILY_ANY && needed != CONFIG_FAMILY_ANY &&
		rule->family != needed)
		return config_fail_key(loader, rule->node, "family",
			"expected the family of the protocol, found the other");
	if (rule->family != CONFIG_FAMILY_ANY)
		needed = rule->family;
	if (rule->has_remote && needed != CONFIG_FAMILY_ANY &&
		config_is_ipv4(&rule->remote.addr) != (needed == CONFIG_FAMILY_IPV4))
		return config_fail_key(loader, rule->node, "remote",
			"expected a prefix of the rule's family, found one of the other");
	return 0;
}

static int check_rule(struct config_check *check, const struct config_rule *rule)
{
	struct config_loader *loader = check->loader;

	if (rule->n_ports != 0 && !rule_has_ports(rule))
		return config_fail_key(loader, rule->node, "ports",
			"expected ports only for tcp, udp and sctp, found them for another "
			"protocol");
	if (rule->icmp_type >= 0 && !rule_has_icmp(rule))
		return config_fail_key(loader, rule->node, "icmp_type",
			"expected a type only for icmp and icmpv6, found it for another protocol");
	if (rule->icmp_code >= 0 && rule->icmp_type < 0)
		return config_fail_key(loader, rule->node, "icmp_code",
			"expected a code only together with icmp_type, found it alone");
	if (rule->has_remote && rule->remote_group != NULL)
		return config_fail_key(loader, rule->node, "remote_group",
			"expected one of `remote` and `remote_group`, found both");
	if (rule->remote_group != NULL &&
		config_index_find(&check->group_names, rule->remote_group) == NULL)
		return config_fail_key(loader, rule->node, "remote_group",
			"expected the name of a group, found \"%s\"", rule->remote_group);
	return check_rule_family(loader, rule);
}

static int check_rules(struct config_check *check, const struct config_group *group)
{
	int rc = 0;

	for (uint32_t i = 0; i < group->n_rules && rc == 0; i++) {
		size_t before = config_path_object(check->loader, "rules", i);

		rc = check_rule(check, &group->rules[i]);
		if (rc == 0)
			config_path_back(check->loader, before);
	}
	return rc;
}

int config_check_groups(struct config_check *check)
{
	const struct config *config = check->config;
	int rc = 0;

	/* All names first: groups may name each other. */
	for (uint32_t i = 0; i < config->n_groups && rc == 0; i++) {
		const struct config_group *group = &config->groups[i];
		size_t before = config_path_object(check->loader, "groups", i);
		struct config_claim claim = {
			"a name", group->name, config_tree_get(group->node, "name"), group};

		rc = config_index_add(check->loader, &check->group_names, &claim);
		if (rc == 0)
			config_path_back(check->loader, before);
	}
	for (uint32_t i = 0; i < config->n_groups && rc == 0; i++) {
		size_t before = config_path_object(check->loader, "groups", i);

		rc = check_rules(check, &config->groups[i]);
		if (rc == 0)
			config_path_back(check->loader, before);
	}
	return rc;
}

/* What no two vports may share. */
struct vport_indexes {
	struct config_index uuids, sockets, macs, ips;
};

static int claim(struct config_check *check, struct config_index *index, const char *what,
	const char *key, const struct config_tree *at)
{
	struct config_claim one = {what, key, at, at};

	return config_index_add(check->loader, index, &one);
}

static int check_vport_port(
	struct config_check *check, const struct config_vport *vport, struct vport_indexes *indexes)
{
	const struct config_port *port = &vport->port;
	const struct config_tree *node = config_tree_get(vport->node, "port");
	struct config_loader *loader = check->loader;
	size_t before = config_path_key(loader, "port");
	const char *key = port->path != NULL ? "path" : "device";
	int rc;

	if ((port->path != NULL) == (port->device != NULL))
		return config_fail(loader, node,
			"expected exactly one of `path` and `device`, found %s",
			port->path != NULL ? "both" : "neither");
	if (port->device != NULL && port->features != 0)
		return config_fail_key(loader, node, "features",
			"expected features only for a vhost-user `path`, found them for a device");
	if (port->path != NULL && port->paused)
		return config_fail_key(loader, node, "paused",
			"expected it only for a `device`, found it for a vhost-user path");
	rc = claim(check, &indexes->sockets, "a socket or device",
		port->path != NULL ? port->path : port->device, config_tree_get(node, key));
	if (rc == 0)
		config_path_back(loader, before);
	return rc;
}

static int check_vport_ip(struct config_check *check, const struct config_vport *vport,
	const struct config_vpc *vpc, uint32_t number)
{
	const struct config_tree *list = config_tree_get(vport->node, "ips");
	const struct in6_addr *ip = &vport->ips[number];
	bool inside = vpc->n_subnets == 0;

	for (uint32_t i = 0; i < vpc->n_subnets && !inside; i++)
		inside = config_prefix_has(&vpc->subnets[i], ip);
	if (!inside)
		return config_fail_entry(check->loader, list, number,
			"expected an address in a subnet of VPC \"%s\", found one outside",
			vpc->name);
	for (uint32_t i = 0; i < vpc->n_gateway_ips; i++)
		if (IN6_ARE_ADDR_EQUAL(&vpc->gateway_ips[i], ip))
			return config_fail_entry(check->loader, list, number,
				"expected an address of the VM's own, found the gateway of VPC "
				"\"%s\"",
				vpc->name);
	return 0;
}

static int check_vport_addresses(
	struct config_check *check, const struct config_vport *vport, struct vport_indexes *indexes)
{
	const struct config_vpc *vpc = config_index_find(&check->vpc_names, vport->vpc);
	struct config_loader *loader = check->loader;
	char text[CONFIG_VALUE_TEXT_MAX];
	int rc;

	if (memcmp(vport->mac, vpc->gateway_mac, sizeof(vport->mac)) == 0)
		return config_fail_key(loader, vport->node, "mac",
			"expected a MAC of the VM's own, found the gateway's of VPC \"%s\"",
			vpc->name);
	value_mac_show(NULL, vport->mac, text);
	rc = claim(check, &indexes->macs, "a MAC in a VPC",
		config_keep(loader, "%s in %s", text, vpc->name),
		config_tree_get(vport->node, "mac"));
	for (uint32_t i = 0; i < vport->n_ips && rc == 0; i++) {
		value_address_show(NULL, &vport->ips[i], text);
		struct config_claim ip = {"an address in a VPC",
			config_keep(loader, "%s in %s", text, vpc->name), NULL, vport};

		rc = check_vport_ip(check, vport, vpc, i);
		if (rc == 0)
			rc = config_index_add_entry(
				loader, &indexes->ips, &ip, config_tree_get(vport->node, "ips"), i);
	}
	return rc;
}

static int check_vport_names(struct config_check *check, const struct config_vport *vport)
{
	const struct config_tree *groups = config_tree_get(vport->node, "groups");
	struct config_loader *loader = check->loader;

	for (uint32_t i = 0; i < vport->n_groups; i++) {
		if (config_index_find(&check->group_names, vport->groups[i]) == NULL)
			return config_fail_entry(loader, groups, i,
				"expected the name of a group, found \"%s\"", vport->groups[i]);
		for (uint32_t j = 0; j < i; j++)
			if (strcmp(vport->groups[i], vport->groups[j]) == 0)
				return config_fail_entry(loader, groups, i,
					"expected each group once, found \"%s\" again",
					vport->groups[i]);
	}
	/* Groups that nobody enforces would be worse than an error. */
	if (vport->n_groups != 0 && config_index_find(&check->plugin_names, "acl") == NULL)
		return config_fail_key(loader, vport->node, "groups",
			"expected the plugin \"acl\" under `plugins` for groups, found none");
	if (vport->plugins == NULL)
		return 0;
	CONFIG_TREE_FOREACH(entry, vport->plugins)
	if (config_index_find(&check->plugin_names, entry->key) == NULL) {
		config_path_key(loader, "plugins");
		return config_fail_at(loader, -EINVAL, entry->key_line, entry->key_column,
			"expected the name of a plugin, found \"%.60s\"", entry->key);
	}
	return 0;
}

static int check_vport(
	struct config_check *check, struct config_vport *vport, struct vport_indexes *indexes)
{
	struct config_claim name = {
		"a name", vport->name, config_tree_get(vport->node, "name"), vport};
	const struct config_vpc *vpc = config_index_find(&check->vpc_names, vport->vpc);
	int rc = config_index_add(check->loader, &check->vport_names, &name);

	if (rc != 0)
		return rc;
	if (vpc == NULL)
		return config_fail_key(check->loader, vport->node, "vpc",
			"expected the name of a VPC, found \"%s\"", vport->vpc);
	vport->vni = vpc->vni;
	if (vport->sessions > check->config->engine.sessions)
		return config_fail_key(check->loader, vport->node, "sessions",
			"expected at most %u, all that engine.sessions has, found %u",
			check->config->engine.sessions, vport->sessions);
	if (vport->uuid != NULL)
		rc = claim(check, &indexes->uuids, "a UUID", vport->uuid,
			config_tree_get(vport->node, "uuid"));
	if (rc == 0)
		rc = check_vport_port(check, vport, indexes);
	if (rc == 0)
		rc = check_vport_addresses(check, vport, indexes);
	return rc != 0 ? rc : check_vport_names(check, vport);
}

int config_check_vports(struct config_check *check)
{
	struct config *config = check->config;
	struct vport_indexes indexes = {0};
	int rc = 0;

	for (uint32_t i = 0; i < config->n_vports && rc == 0; i++) {
		size_t before = config_path_object(check->loader, "vports", i);

		rc = check_vport(check, &config->vports[i], &indexes);
		if (rc == 0)
			config_path_back(check->loader, before);
	}
	config_index_clear(&indexes.uuids);
	config_index_clear(&indexes.sockets);
	config_index_clear(&indexes.macs);
	config_index_clear(&indexes.ips);
	return rc;
}
