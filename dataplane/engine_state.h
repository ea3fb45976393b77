/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef FERRY_ENGINE_STATE_H
#define FERRY_ENGINE_STATE_H
/*
 * What stands behind `struct engine`; for files of dataplane/ only. Written under engine->mutex
 * unless a field says otherwise; what workers read is atomic or swapped whole and freed after a
 * grace period.
 */
#include <pthread.h>
#include <stdatomic.h>

#include "dataplane/engine.h"
#include "dataplane/frag.h"
#include "dataplane/icmp.h"
#include "dataplane/neigh.h"
#include "dataplane/rcu.h"
#include "dataplane/session_slab.h"
#include "dataplane/session_table.h"
#include "dataplane/vport.h"
#include "dataplane/vxlan.h"

#define ENGINE_PLUGINS_MAX VPORT_PLUGINS_MAX
#define ENGINE_NAME_MAX 8
#define VPC_SUBNETS_MAX 8
#define PEERS_MAX 1024

struct rte_rib6;
struct rte_ring;
struct worker;

/* One VPC; replaced whole on change. */
struct vpc {
	uint32_t vni;
	char name[VPORT_NAME_MAX];
	struct rte_ether_addr gateway_mac;
	bool flood_broadcast, flood_multicast, anchor;
	uint16_t subnets;
	uint8_t gateway4, gateway6; /* index of the first gateway of a family */
	struct in6_addr gateway[VPC_SUBNETS_MAX], subnet[VPC_SUBNETS_MAX];
	uint8_t subnet_plen[VPC_SUBNETS_MAX];
	uint32_t route_count;
	struct route_spec *routes;
	struct rte_rib6 *rib; /* prefix -> index in routes */
	struct location **route_location; /* by index, of remote routes; owned */
};

/* Who speaks for the network to a VM of this VPC: the gateway of its family. */
static inline struct icmp_origin vpc_origin(const struct vpc *vpc, bool ipv6)
{
	return (struct icmp_origin){.addr = vpc->gateway[ipv6 ? vpc->gateway6 : vpc->gateway4],
		.mac = vpc->gateway_mac};
}

/* All VPCs, sorted by VNI; swapped whole. */
struct vpc_set {
	uint32_t count;
	struct vpc *vpc[];
};

/* A remote VTEP that may send to us. Freed a grace period after it left engine->peer[]. */
struct peer {
	uint16_t id; /* 1.. */
	struct in6_addr vtep;
	struct tunnel *tunnel;
	uint32_t vni_count; /* 0: all */
	bool second; /* floods go to another VTEP of its host */
	uint32_t *vni;
};

struct uplink {
	struct port *port;
	struct uplink_params params;
	struct neigh_table *neigh;
	struct port_stats *stats; /* by worker; last: control */
};

/* Is it the MAC that the anchor of shared addresses is known by in this VPC? */
static inline bool vpc_anchor_mac(
	const struct vpc *vpc, const struct uplink *uplink, const struct rte_ether_addr *mac)
{
	return vpc && vpc->anchor && rte_is_same_ether_addr(mac, &uplink->params.mac);
}

struct engine_plugin {
	const struct plugin_descriptor *descriptor;
	void *instance;
	void *handle; /* dlopen */
	struct plugin_host host;
	pthread_mutex_t mutex; /* one control call at a time; before the engine's */
};

/* Memory that waits for its grace period before free(). */
struct engine_deferred {
	struct engine_deferred *next;
	void (*release)(void *memory);
	void *memory;
};

struct engine {
	/* read per burst */
	struct clock_source clock;
	_Atomic(struct session_timeouts *) timeouts;
	_Atomic(struct vpc_set *) vpcs;
	_Atomic(struct peer *) peer[PEERS_MAX]; /* by id; 0 is nobody */
	_Atomic uint32_t peer_gen; /* bumped when a peer changes: caches are stale */
	struct session_table table;
	struct rcu rcu;
	struct uplink *uplink; /* NULL: none; set before workers start */
	uint16_t worker_count;
	bool pickup, rst_unknown, check_outer_sum;
	enum engine_policy_change policy_change;
	_Atomic(struct vport *) vport[VPORT_MAX]; /* by id */
	struct vport *leaving; /* out of its slot, its sessions still lead to it; under the mutex */
	/* admission */
	struct location_table *locations;
	struct frag_store *frags;
	struct rte_ring *announcements; /* mbufs for worker 0: port = vport id, hash.usr = VNI */
	struct icmp_limit icmp_limit;
	struct slab_pool slab_pool;
	struct rte_mempool *ext_pool;
	struct rte_mempool *pool;
	struct engine_plugin plugin[ENGINE_PLUGINS_MAX];
	uint16_t plugin_count;
	/* control */
	pthread_mutex_t mutex;
	pthread_mutex_t
		vport_mutex; /* vports come, change and go one at a time; before any other */
	struct engine_params params;
	char name[ENGINE_NAME_MAX + 1];
	struct worker *worker[VPORT_WORKERS_MAX];
	bool running;
	struct tunnel **tunnels;
	uint32_t tunnel_count;
	uint32_t vpc_serial; /* makes names of routing tables unique */
	rte_spinlock_t deferred_lock;
	struct engine_deferred *deferred_open, *deferred_wait;
	uint64_t deferred_token;
};

/* Free `memory` by `release` one grace period from now; never waits. Any thread. */
void engine_defer(struct engine *engine, void *memory, void (*release)(void *));

/* The VPC of a VNI, or NULL. RCU reader or under the mutex. */
struct vpc *engine_vpc_find(const struct engine *engine, uint32_t vni);
/* Is it one of our own VTEP addresses? There is an uplink. */
bool engine_is_vtep(const struct engine *engine, const struct in6_addr *addr);
/* The peer of an outer source that may use this VNI, or NULL. */
struct peer *engine_peer_find(
	const struct engine *engine, const struct in6_addr *vtep, uint32_t vni);
/* Get or make the tunnel to a VTEP (one more reference); under the mutex. NULL: no uplink/no
 * memory. */
struct tunnel *engine_tunnel_get(struct engine *engine, const struct in6_addr *vtep);
void engine_tunnel_put(struct engine *engine, struct tunnel *tunnel);
/* Rebuild what each worker polls; under the mutex. */
int engine_poll_sets(struct engine *engine);
/* Workers that sleep are to look again: something was made for them to do. Never waits; any thread,
 * after that is visible. */
void engine_wake(const struct engine *engine);

void engine_log(const struct engine *engine, enum plugin_log_level level, const char *object,
	const char *format, ...) __attribute__((format(printf, 4, 5)));

#endif
