/* SPDX-License-Identifier: BSD-3-Clause */
/* The host, its underlay and its peers. */
#include <errno.h>
#include <string.h>

#include "config/check.h"

#define RUN_DIR_MAX (CONFIG_SOCKET_PATH_MAX - 16) /* room for "/vmagent.sock" and the like */

/* Sections that were not given have defaults only, which need no place: any tree will do. */
static const struct config_tree *section(const struct config_check *check, const char *key)
{
	const struct config_tree *node = config_tree_get(check->loader->tree, key);

	return node != NULL ? node : check->loader->tree;
}

static int check_engine(struct config_check *check)
{
	const struct config_engine *engine = &check->config->engine;
	const struct config_tree *node = section(check, "engine");

	if (engine->n_cores != 0 && engine->n_cores != engine->workers)
		return config_fail_key(check->loader, node, "cores",
			"expected one core for each of %u workers, found %u", engine->workers,
			engine->n_cores);
	for (uint32_t i = 0; i < engine->n_cores; i++)
		for (uint32_t j = 0; j < i; j++)
			if (engine->cores[i] == engine->cores[j])
				return config_fail_entry(check->loader,
					config_tree_get(node, "cores"), i,
					"expected each core once, found %u again",
					engine->cores[i]);
	return 0;
}

int config_check_host(struct config_check *check)
{
	const struct config *config = check->config;
	struct config_loader *loader = check->loader;
	const char *target = config->log.target;
	size_t before = config_path_key(loader, "host");
	int rc;

	if (config->host.run_dir[0] != '/' || strlen(config->host.run_dir) > RUN_DIR_MAX)
		return config_fail_key(loader, section(check, "host"), "run_dir",
			"expected an absolute path of at most %d bytes, found one of %zu%s",
			RUN_DIR_MAX, strlen(config->host.run_dir),
			config->host.run_dir[0] != '/' ? " that does not start with /" : "");
	config_path_back(loader, before);
	config_path_key(loader, "engine");
	rc = check_engine(check);
	if (rc != 0)
		return rc;
	config_path_back(loader, before);
	config_path_key(loader, "log");
	if (target[0] != '/' && strcmp(target, "stderr") != 0 && strcmp(target, "syslog") != 0)
		return config_fail_key(loader, section(check, "log"), "target",
			"expected stderr, syslog or an absolute path, found \"%.80s\"", target);
	config_path_back(loader, before);
	return 0;
}

static int check_uplink_addresses(struct config_check *check, const struct config_tree *node)
{
	const struct config_uplink *uplink = &check->config->uplink;
	bool in_reach;

	if (uplink->n_ips == 2 && config_same_family(&uplink->ips[0].addr, &uplink->ips[1].addr))
		return config_fail_entry(check->loader, config_tree_get(node, "ips"), 1,
			"expected one address per family, found a second one");
	if (uplink->n_gateways == 2 &&
		config_same_family(&uplink->gateways[0], &uplink->gateways[1]))
		return config_fail_entry(check->loader, config_tree_get(node, "gateways"), 1,
			"expected one gateway per family, found a second one");
	for (uint32_t i = 0; i < uplink->n_gateways; i++) {
		in_reach = false;
		for (uint32_t j = 0; j < uplink->n_ips && !in_reach; j++) {
			struct config_prefix network = uplink->ips[j];

			in_reach = config_prefix_has(&network, &uplink->gateways[i]);
		}
		if (!in_reach)
			return config_fail_entry(check->loader, config_tree_get(node, "gateways"),
				i, "expected a gateway in a network of `ips`, found one outside");
	}
	return 0;
}

int config_check_uplink(struct config_check *check)
{
	const struct config_uplink *uplink = &check->config->uplink;
	const struct config_tree *node = section(check, "uplink");
	struct config_loader *loader = check->loader;
	size_t before = config_path_key(loader, "uplink");
	int rc;

	if (uplink->device != NULL && uplink->interface != NULL)
		return config_fail_key(loader, node, "interface",
			"expected one of `device` and `interface`, found both");
	if ((uplink->device != NULL || uplink->interface != NULL) != (uplink->n_ips != 0))
		return config_fail(loader, node,
			"expected a device or interface together with `ips`, found only %s",
			uplink->n_ips != 0 ? "`ips`" : "the device");
	rc = check_uplink_addresses(check, node);
	if (rc == 0)
		config_path_back(loader, before);
	return rc;
}

static bool endpoint_is_loopback(const struct config_endpoint *endpoint)
{
	return config_is_ipv4(&endpoint->addr) ? endpoint->addr.s6_addr[12] == 127
					       : IN6_IS_ADDR_LOOPBACK(&endpoint->addr);
}

/* A door without TLS is open on loopback only, and only when the file says so. */
static int check_listen(
	struct config_check *check, const char *name, const struct config_endpoint *listen)
{
	const struct config_tls *tls = &check->config->tls;
	size_t before = config_path_key(check->loader, name);

	if (listen->port != 0 && tls->cert == NULL &&
		!(tls->insecure && endpoint_is_loopback(listen)))
		return config_fail_key(check->loader, section(check, name), "listen",
			"expected `tls` with ca, cert and key for this, found none (without TLS "
			"only loopback, with `tls.insecure: true`)");
	config_path_back(check->loader, before);
	return 0;
}

int config_check_tls(struct config_check *check)
{
	const struct config_tls *tls = &check->config->tls;
	int given = (tls->ca != NULL) + (tls->cert != NULL) + (tls->key != NULL);
	int rc;

	if (given != 0 && given != 3) {
		config_path_key(check->loader, "tls");
		return config_fail(check->loader, section(check, "tls"),
			"expected all of ca, cert and key, found %d of them", given);
	}
	rc = check_listen(check, "migrate", &check->config->migrate.listen);
	return rc != 0 ? rc : check_listen(check, "vmagent", &check->config->vmagent.listen);
}

static int check_peer_vteps(
	struct config_check *check, const struct config_peer *peer, struct config_index *vteps)
{
	const struct config_tree *list = config_tree_get(peer->node, "vteps");
	const struct config_uplink *uplink = &check->config->uplink;

	for (uint32_t i = 0; i < peer->n_vteps; i++) {
		char text[CONFIG_VALUE_TEXT_MAX];
		struct config_claim claim = {.what = "an address of one host", .object = peer};
		int rc;

		value_address_show(NULL, &peer->vteps[i], text);
		for (uint32_t j = 0; j < uplink->n_ips; j++)
			if (IN6_ARE_ADDR_EQUAL(&uplink->ips[j].addr, &peer->vteps[i]))
				return config_fail_entry(check->loader, list, i,
					"expected another host's address, found %s of this one",
					text);
		claim.key = config_keep(check->loader, "%s", text);
		rc = config_index_add_entry(check->loader, vteps, &claim, list, i);
		if (rc != 0)
			return rc;
	}
	return 0;
}

int config_check_peers(struct config_check *check)
{
	const struct config *config = check->config;
	struct config_index vteps = {0};
	int rc = 0;

	for (uint32_t i = 0; i < config->n_peers && rc == 0; i++) {
		const struct config_peer *peer = &config->peers[i];
		size_t before = config_path_object(check->loader, "peers", i);
		struct config_claim claim = {
			"a name", peer->name, config_tree_get(peer->node, "name"), peer};

		if (config->host.name != NULL && strcmp(config->host.name, peer->name) == 0)
			rc = config_fail_key(check->loader, peer->node, "name",
				"expected the name of another host, found this one's");
		if (rc == 0)
			rc = config_index_add(check->loader, &check->peer_names, &claim);
		if (rc == 0)
			rc = check_peer_vteps(check, peer, &vteps);
		if (rc == 0)
			config_path_back(check->loader, before);
	}
	config_index_clear(&vteps);
	return rc;
}
