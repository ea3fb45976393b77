/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * One object of the config becomes one of the engine: peers, VPCs, external networks, locations,
 * vports, uplink, timeouts.
 */
#include <errno.h>
#include <grp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "ctrl/vswitch/setup_impl.h"

#define OVERHEAD_ROOM 50 /* default underlay MTU: an inner 1500 fits over IPv4 */
#define VNIS_MAX 4096

static struct rte_ether_addr mac_of(const uint8_t *mac)
{
	struct rte_ether_addr addr;

	memcpy(&addr, mac, sizeof(addr));
	return addr;
}

void setup_timeouts(const struct config *config, struct session_timeouts *timeouts)
{
	const struct config_timeouts *from = &config->timeouts;
	const struct {
		enum session_state state;
		uint64_t ms;
	} rows[] = {
		{SESSION_TCP_SYN_SENT, from->tcp.syn_sent},
		{SESSION_TCP_SYN_RECV, from->tcp.syn_recv},
		{SESSION_TCP_SYN_SENT2, from->tcp.syn_recv},
		{SESSION_TCP_ESTABLISHED, from->tcp.established},
		{SESSION_TCP_FIN_WAIT, from->tcp.fin_wait},
		{SESSION_TCP_CLOSE_WAIT, from->tcp.close_wait},
		{SESSION_TCP_LAST_ACK, from->tcp.last_ack},
		{SESSION_TCP_TIME_WAIT, from->tcp.time_wait},
		{SESSION_TCP_CLOSE, from->tcp.close},
		{SESSION_UDP_NEW, from->udp.new},
		{SESSION_UDP_STREAM, from->udp.stream},
		{SESSION_ICMP_NEW, from->icmp.new},
		{SESSION_ICMP_REPLIED, from->icmp.replied},
		{SESSION_SCTP_INIT, from->sctp.init},
		{SESSION_SCTP_INIT_ACK, from->sctp.init_ack},
		{SESSION_SCTP_COOKIE, from->sctp.cookie},
		{SESSION_SCTP_ESTABLISHED, from->sctp.established},
		{SESSION_SCTP_SHUTDOWN, from->sctp.shutdown},
		{SESSION_SCTP_CLOSED, from->sctp.closed},
		{SESSION_GENERIC_NEW, from->generic.new},
		{SESSION_GENERIC_STREAM, from->generic.stream},
	};

	session_timeouts_default(timeouts);
	for (size_t i = 0; i < RTE_DIM(rows); i++)
		timeouts->idle_ms[rows[i].state] =
			(uint32_t)RTE_MIN(rows[i].ms, (uint64_t)INT32_MAX);
}

/*
 * A kernel interface. The driver's own rings have 512 frames, half of what a worker may miss of a
 * few hundred kpps while the scheduler runs somebody else; a frame has its headers in front of it.
 */
static void interface_device(const char *interface, uint16_t mtu, char *device, size_t len)
{
	uint32_t frame = 2048;

	while (frame < mtu + 128u)
		frame *= 2;
	snprintf(device, len, "net_af_packet0,iface=%s,blocksz=%u,framesz=%u,framecnt=4096",
		interface, 32768u, frame);
}

bool setup_uplink_spec(const struct setup *setup, const struct config *config,
	struct uplink_params *params, char *device, size_t device_len)
{
	const struct config_uplink *from = &config->uplink;

	if (!from->device && !from->interface)
		return false;
	memset(params, 0, sizeof(*params));
	params->mtu = from->mtu ? (uint16_t)from->mtu : 1500 + OVERHEAD_ROOM;
	if (from->interface)
		interface_device(from->interface, params->mtu, device, device_len);
	else
		snprintf(device, device_len, "%s", from->device);
	params->port = (struct port_params){.name = "uplink",
		.kind = setup->options.ring_ports ? PORT_RING : PORT_ETH,
		.device = device,
		.only_udp_port = (uint16_t)from->vxlan_port,
		.queues = from->queues ? (uint16_t)from->queues : 1,
		.tx_queues = (uint16_t)config->engine.workers,
		.mtu = params->mtu};
	for (uint32_t i = 0; i < from->n_ips && i < 2; i++) {
		params->vtep[i] = from->ips[i].addr;
		params->plen[i] = from->ips[i].len;
	}
	for (uint32_t i = 0; i < from->n_gateways; i++)
		for (unsigned int family = 0; family < 2; family++)
			if (family < from->n_ips &&
				addr_is_v4(&from->gateways[i]) == addr_is_v4(&params->vtep[family]))
				params->gateway[family] = from->gateways[i];
	params->mac = mac_of(from->mac);
	params->gateway_mac = mac_of(config->host.gateway_mac);
	params->udp_port = (uint16_t)from->vxlan_port;
	return true;
}

/* VNI ranges flattened. *count stays 0 when there is no limit; -E2BIG beyond VNIS_MAX. */
static int peer_vnis(const struct config_peer *peer, uint32_t **vnis, uint32_t *count)
{
	uint32_t *list = calloc(VNIS_MAX, sizeof(*list));

	*vnis = list;
	*count = 0;
	for (uint32_t i = 0; list && i < peer->n_vnis; i++)
		for (uint32_t vni = peer->vnis[i].first; vni <= peer->vnis[i].last; vni++) {
			if (*count == VNIS_MAX)
				return -E2BIG;
			list[(*count)++] = vni;
		}
	return list ? 0 : -ENOMEM;
}

int setup_peer_apply(
	struct setup *setup, const struct config_peer *peer, char *error, size_t error_len)
{
	uint32_t *vnis, count;
	int rc = peer_vnis(peer, &vnis, &count);
	struct peer_spec spec = {.vnis = vnis, .vni_count = count};

	for (uint32_t i = 0; i < peer->n_vteps && rc == 0; i++) {
		spec.vtep = peer->vteps[i];
		rc = engine_peer_set(setup->engine, &spec);
		/* A VTEP of a family we have no address of is not for us. */
		if (rc == -EAFNOSUPPORT)
			rc = 0;
		else
			spec.second = true;
	}
	free(vnis);
	if (rc == -E2BIG)
		snprintf(error, error_len, "peer %s: its vnis name more than %d VNIs", peer->name,
			VNIS_MAX);
	else if (rc != 0)
		snprintf(error, error_len, "peer %s: %s", peer->name, strerror(-rc));
	return rc;
}

int setup_peer_remove(struct setup *setup, const struct config_peer *peer)
{
	for (uint32_t i = 0; i < peer->n_vteps; i++)
		engine_peer_del(setup->engine, &peer->vteps[i]);
	return 0;
}

/* Each subnet's gateway: the gateway address inside it. */
static void vpc_subnets(struct vpc_spec *spec, const struct config_vpc *vpc)
{
	for (uint32_t i = 0; i < vpc->n_subnets && i < RTE_DIM(spec->subnet); i++) {
		spec->subnet[i] = vpc->subnets[i].addr;
		spec->subnet_plen[i] = vpc->subnets[i].len;
		for (uint32_t n = 0; n < vpc->n_gateway_ips; n++)
			if (addr_in_prefix(&vpc->gateway_ips[n], &vpc->subnets[i].addr,
				    vpc->subnets[i].len))
				spec->gateway[i] = vpc->gateway_ips[n];
		spec->subnets++;
	}
}

int setup_vpc_apply(struct setup *setup, const struct config *config, const struct config_vpc *vpc,
	char *error, size_t error_len)
{
	struct vpc_spec spec = {.name = vpc->name,
		.vni = vpc->vni,
		.gateway_mac = mac_of(vpc->gateway_mac),
		.flood_broadcast = vpc->flood.broadcast,
		.flood_multicast = vpc->flood.multicast};
	struct route_spec *routes = calloc(vpc->n_routes ? vpc->n_routes : 1, sizeof(*routes));
	int rc;

	(void)config;
	if (!routes)
		return -ENOMEM;
	vpc_subnets(&spec, vpc);
	for (uint32_t i = 0; i < vpc->n_routes; i++) {
		bool remote = !IN6_IS_ADDR_UNSPECIFIED(&vpc->routes[i].vtep);

		routes[i] = (struct route_spec){.prefix = vpc->routes[i].prefix.addr,
			.plen = vpc->routes[i].prefix.len,
			.next_hop = remote ? vpc->routes[i].vtep : vpc->routes[i].via,
			.mac = mac_of(vpc->routes[i].mac),
			.remote = remote};
	}
	spec.routes = routes;
	spec.route_count = vpc->n_routes;
	rc = engine_vpc_set(setup->engine, &spec, error, error_len);
	free(routes);
	return rc;
}

/* This host, where the file names nobody; but not for a network that only came with a vport. */
static bool is_anchor(const struct config *config, const struct config_external_network *network)
{
	char self[256] = "";

	if (!network->anchor) {
		for (uint32_t i = 0; i < config->n_external_networks; i++)
			if (&config->external_networks[i] == network)
				return true;
		return false;
	}
	if (config->host.name)
		return strcmp(network->anchor, config->host.name) == 0;
	return gethostname(self, sizeof(self) - 1) == 0 && strcmp(network->anchor, self) == 0;
}

/* An external network is a VPC whose default routes lead to its gateway. */
int setup_external_apply(struct setup *setup, const struct config *config,
	const struct config_external_network *network, char *error, size_t error_len)
{
	struct route_spec routes[2] = {
		{.prefix = {.s6_addr = {[10] = 0xff, [11] = 0xff}}, .plen = 96},
		{.plen = 0},
	};
	struct vpc_spec spec = {.name = network->name,
		.vni = network->vni,
		.gateway_mac = mac_of(network->gateway_mac),
		.anchor = is_anchor(config, network),
		.routes = routes,
		.route_count = 2};

	for (int i = 0; i < 2; i++) {
		routes[i].remote = true;
		routes[i].next_hop = network->gateway_vtep;
		routes[i].mac = spec.gateway_mac;
	}
	return engine_vpc_set(setup->engine, &spec, error, error_len);
}

int setup_location_apply(
	struct setup *setup, const struct config_location *location, char *error, size_t error_len)
{
	struct location_spec spec = {.addr = location->ip,
		.vtep = location->vtep,
		.vni = location->vni,
		.port_first = (uint16_t)location->ports.first,
		.port_last = (uint16_t)location->ports.last,
		.mac = mac_of(location->mac),
		.epoch = location->epoch,
		.kind = LOCATION_REMOTE,
		.source = LOCATION_CONFIG};
	int rc = engine_location_set(setup->engine, &spec);

	/* What a move or a vport knows better stands. */
	if (rc == -ESTALE || rc == -EBUSY)
		return 0;
	if (rc != 0)
		snprintf(error, error_len, "location (vni %u): %s", location->vni,
			rc == -EAFNOSUPPORT ? "no own VTEP of its VTEP's family" : strerror(-rc));
	return rc;
}

int setup_location_remove(struct setup *setup, const struct config_location *location)
{
	int rc = engine_location_del(
		setup->engine, location->vni, &location->ip, (uint16_t)location->ports.first);

	return rc == -EBUSY || rc == -ENOENT ? 0 : rc;
}

static int port_spec(const struct setup *setup, const struct config_vport *vport,
	struct port_params *port, char *error, size_t error_len)
{
	const struct config_port *from = &vport->port;
	struct group *group = from->socket_group ? getgrnam(from->socket_group) : NULL;

	if (from->socket_group && !group) {
		snprintf(error, error_len, "vport %s: no group '%s' on this host", vport->name,
			from->socket_group);
		return -ENOENT;
	}
	*port = (struct port_params){.kind = setup->options.ring_ports ? PORT_RING
					     : from->path              ? PORT_VHOST
								       : PORT_ETH,
		.device = from->device,
		.promiscuous = true,
		.paused = from->paused || (setup->options.ring_ports && setup->options.paused),
		.path = from->path,
		.server = from->mode == CONFIG_VHOST_SERVER,
		.feature_mask = from->features,
		.mode = from->socket_mode,
		.group = group ? group->gr_gid : 0,
		.queues = from->queues ? (uint16_t)from->queues : 1};
	return 0;
}

int setup_vport_fill(
	const struct setup *setup, struct setup_vport *made, char *error, size_t error_len)
{
	const struct config *config = made->config;
	const struct config_vport *vport = made->vport;
	const struct config_vpc *vpc = config_vpc_find(config, vport->vpc);
	bool liberal = vport->tcp == CONFIG_TCP_LIBERAL;

	made->plugins = NULL;
	if (!vpc || vport->n_allowed_address_pairs > RTE_DIM(made->allowed)) {
		snprintf(error, error_len, "vport %s: %s", vport->name,
			vpc ? "too many allowed address pairs" : "its vpc does not exist");
		return -EINVAL;
	}
	for (uint32_t i = 0; i < vport->n_allowed_address_pairs; i++) {
		made->allowed[i] = vport->allowed_address_pairs[i].ip.addr;
		made->allowed_plen[i] = vport->allowed_address_pairs[i].ip.len;
		made->allowed_mac[i] = mac_of(vport->allowed_address_pairs[i].mac);
	}
	for (uint32_t i = 0; i < vport->n_groups; i++) {
		const struct config_group *group = config_group_find(config, vport->groups[i]);

		liberal = liberal || (group && group->liberal_tcp);
	}
	made->plugins = setup_value(vport->plugins);
	made->spec = (struct vport_spec){
		.name = vport->name,
		.uuid = vport->uuid,
		.vm = vport->vm ? vport->vm : vport->name,
		.vni = vpc->vni,
		.mac = mac_of(vport->mac),
		.ips = vport->ips,
		.ip_count = (uint16_t)vport->n_ips,
		.allowed = made->allowed,
		.allowed_plen = made->allowed_plen,
		.allowed_mac = made->allowed_mac,
		.allowed_count = (uint16_t)vport->n_allowed_address_pairs,
		.groups = (const char *const *)vport->groups,
		.group_count = (uint16_t)vport->n_groups,
		.tcp_liberal = liberal,
		.quota = vport->sessions ? vport->sessions
					 : (uint32_t)((uint64_t)config->engine.sessions *
						      config->engine.session_quota_percent / 100),
		.hold_bytes = (uint32_t)(vport->hold_bytes ? vport->hold_bytes
							   : config->migrate.hold_bytes),
		.hold_age_ns = (uint64_t)config->migrate.hold_age_ms * 1000000,
		.hold_any = config->migrate.hold_from == CONFIG_HOLD_ANY,
		.mtu = (uint16_t)vport->mtu,
		.plugins = made->plugins,
		.role = ROLE_OWNER,
	};
	return port_spec(setup, vport, &made->spec.port, error, error_len);
}

void setup_vport_clear(struct setup_vport *made)
{
	setup_value_free(made->plugins);
	made->plugins = NULL;
}

int setup_vport_check(const struct setup *setup, const struct config *config,
	const struct config_vport *vport, char *error, size_t error_len)
{
	struct setup_vport made = {.config = config, .vport = vport};
	int rc = setup_vport_fill(setup, &made, error, error_len);

	if (rc == 0)
		rc = engine_plugin_vport_check(setup->engine, made.plugins, error, error_len);
	setup_vport_clear(&made);
	return rc;
}

int setup_vport_apply(struct setup *setup, const struct config *config,
	const struct config_vport *vport, char *error, size_t error_len)
{
	struct setup_birth birth = {.role = ROLE_OWNER};
	struct setup_vport wanted = {.config = config, .vport = vport};
	struct vport *made = engine_vport_find(setup->engine, vport->name);
	int rc;

	if (setup->options.birth)
		setup->options.birth(setup->options.birth_arg, vport, &birth);
	if (birth.skip)
		return 0;
	rc = setup_vport_fill(setup, &wanted, error, error_len);
	if (rc == 0 && made) {
		rc = engine_vport_change(setup->engine, made, &wanted.spec, error, error_len);
	} else if (rc == 0) {
		wanted.spec.role = birth.role;
		wanted.spec.epoch = birth.epoch;
		rc = engine_vport_add(setup->engine, &wanted.spec, &made, error, error_len);
	}
	setup_vport_clear(&wanted);
	return rc;
}
