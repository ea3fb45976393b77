/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef FERRY_ENGINE_H
#define FERRY_ENGINE_H
/*
 * The engine: everything that runs on worker cores, and the calls that change what they read. No
 * globals: two engines live in one process (replay with a move, tests). EAL must run before
 * engine_create().
 *
 * Threads, for every call below unless it says otherwise:
 *   [M]  mutator: any thread that is no worker; takes the engine mutex itself; may be called from
 * several threads at once. The mutex is never held over a grace period. [G]  as [M], and waits for
 * one grace period (bounded by one burst) after the mutex is released. [R]  reader: any thread but
 * a worker; takes the mutex for a bounded time. [A]  any thread, no lock. An [M] or [G] call from
 * an event or role callback is allowed only where that callback says so. Errors: -errno, nothing
 * changed on failure; `error` (may be NULL) gets one line for people.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <rte_mempool.h>

#include "dataplane/clock.h"
#include "dataplane/location.h"
#include "dataplane/plugin.h"
#include "dataplane/port.h"
#include "dataplane/role.h"
#include "dataplane/session_state.h"
#include "dataplane/stats.h"

#define ENGINE_ERROR_MAX 256

struct engine;
struct vport;

enum engine_polling { ENGINE_POLL_ADAPTIVE, ENGINE_POLL_BUSY };
enum engine_policy_change { ENGINE_POLICY_CUT, ENGINE_POLICY_FINISH };

/*
 * What the engine tells its owner. Called on the thread where it happened, which may be a worker or
 * the vhost events thread: must return at once (post to a loop). role_store runs under the engine
 * mutex and must have stored the role durably when it returns (the change is refused when it
 * fails).
 */
struct engine_callbacks {
	void (*log)(void *arg, enum plugin_log_level level, const char *object, const char *text);
	int (*role_store)(void *arg, const struct vport *vport, enum role role, uint64_t epoch);
	void (*role_changed)(
		void *arg, struct vport *vport, enum role from, enum role to, uint32_t effects);
	/* A vport's rings: as soon as it is heard, and when it has taken effect. */
	void (*rings_heard)(void *arg, struct vport *vport, bool up);
	void (*rings)(void *arg, struct vport *vport, bool up);
	/* A host still sends to an identity that has moved away (rate-limited): it does not know.
	 */
	void (*relayed_from)(
		void *arg, uint32_t vni, const struct in6_addr *addr, const struct in6_addr *vtep);
	void *arg;
};

struct engine_params {
	const char *name; /* unique in the process, <= 8 characters: names pools and hashes */
	struct clock_source clock;
	struct engine_callbacks callbacks;
	uint16_t workers; /* 1..VPORT_WORKERS_MAX */
	const int *cores; /* one per worker, or NULL: not pinned */
	enum engine_polling polling;
	uint32_t sessions; /* table capacity */
	uint32_t session_exts; /* those with plugin state; default an eighth of sessions */
	uint32_t locations; /* capacity, default 65536 */
	uint32_t mbufs; /* packet pool, default 16384 */
	uint16_t mbuf_bytes; /* data room, default 2176 + headroom */
	bool pickup; /* TCP/SCTP mid-stream pick-up */
	bool rst_unknown; /* answer packets of unknown TCP sessions with RST */
	enum engine_policy_change policy_change;
	struct session_timeouts timeouts;
	uint32_t icmp_per_second; /* errors made by Ferry, default 100 */
	bool check_outer_sum;
	uint32_t fragments; /* datagrams followed at once, default 4096 */
};

int engine_create(
	const struct engine_params *params, struct engine **out, char *error, size_t error_len);
/* Stops workers, removes everything, frees. No other call may be under way. */
void engine_destroy(struct engine *engine);

/* Start/stop worker threads. */
int engine_start(struct engine *engine);
void engine_stop(struct engine *engine);
/*
 * Worker-as-caller: run one round of every worker's duties on this thread; returns packets handled.
 * Not together with engine_start(). Mutators may be called between rounds by the same thread.
 */
uint32_t engine_poll(struct engine *engine);

/* [A] Wait for a grace period. Not from a worker. */
void engine_grace(struct engine *engine);
/* [A] */
uint64_t engine_now_ns(const struct engine *engine);
struct rte_mempool *engine_pool(struct engine *engine);
uint16_t engine_workers(const struct engine *engine);

/* ---- underlay ---- */

struct uplink_params {
	struct port_params port; /* name "uplink" */
	struct in6_addr vtep[2]; /* own: v4 and/or v6; all-zero: none */
	uint8_t plen[2]; /* on-link prefix length, mapped */
	struct in6_addr gateway[2]; /* all-zero: none */
	struct rte_ether_addr mac; /* zero: the device's */
	struct rte_ether_addr
		gateway_mac; /* of routed frames to other hosts; zero: made from vtep */
	uint16_t udp_port; /* 0: 4789 */
	uint16_t mtu; /* of the underlay's IP, e.g. 1550 */
};
int engine_uplink_open(struct engine *engine, const struct uplink_params *params, char *error,
	size_t error_len); /* [M], once, before workers start */
/* [A] worker counters summed; false: no uplink. */
bool engine_uplink_stats(struct engine *engine, struct port_stats *sum);
/* [A] Frames between vports of this host. */
void engine_local_stats(struct engine *engine, struct port_stats *sum);
struct port *engine_uplink_port(struct engine *engine);
struct neigh_table *engine_neigh(struct engine *engine);

/* ---- VPCs ---- */

struct route_spec {
	struct in6_addr prefix;
	uint8_t plen;
	struct in6_addr next_hop; /* a VTEP when `remote`, else an identity of the VPC */
	struct rte_ether_addr
		mac; /* inner destination behind a remote next hop; zero: the gateway's */
	bool remote;
};
struct vpc_spec {
	const char *name;
	uint32_t vni;
	struct in6_addr gateway[8]; /* virtual gateway addresses, one per subnet */
	struct in6_addr subnet[8];
	uint8_t subnet_plen[8];
	uint16_t subnets;
	struct rte_ether_addr gateway_mac;
	const struct route_spec *routes;
	uint32_t route_count;
	/* What is not for one receiver: to local vports and peers of the VNI, else dropped. */
	bool flood_broadcast, flood_multicast;
	/*
	 * Of an external network: this host answers ARP and ND for its shared addresses (those
	 * known by port range), with the uplink's MAC, and hands on what comes for them.
	 */
	bool anchor;
};
int engine_vpc_set(struct engine *engine, const struct vpc_spec *spec, char *error,
	size_t error_len); /* [G] make or change */
int engine_vpc_del(struct engine *engine, uint32_t vni); /* [G] -EBUSY while vports use it */

/* A remote VTEP we accept packets from and flood to. */
struct peer_spec {
	struct in6_addr vtep;
	const uint32_t *vnis;
	uint32_t vni_count; /* 0: of every VPC */
	bool second; /* of a host whose first VTEP gets the floods: it must not get them twice */
};
int engine_peer_set(struct engine *engine, const struct peer_spec *spec); /* [G] */
int engine_peer_del(struct engine *engine, const struct in6_addr *vtep); /* [G] */

/* [M] Where an identity lives. Living sessions follow at once. -ESTALE: an older epoch. */
int engine_location_set(struct engine *engine, const struct location_spec *spec);
int engine_location_del(struct engine *engine, uint32_t vni, const struct in6_addr *addr,
	uint16_t port_first); /* [G] */
/* [R] Stops when cb returns non-zero and returns that. */
int engine_location_foreach(
	struct engine *engine, int (*cb)(const struct location *, void *), void *arg);

/* ---- vports ---- */

struct vport_spec {
	const char *name, *uuid, *vm;
	uint32_t vni;
	struct rte_ether_addr mac;
	const struct in6_addr *ips;
	uint16_t ip_count;
	const struct in6_addr *allowed; /* prefixes */
	const uint8_t *allowed_plen;
	const struct rte_ether_addr *allowed_mac; /* NULL, or zero for one: the vport's */
	uint16_t allowed_count;
	const char *const *groups;
	uint16_t group_count;
	bool tcp_liberal;
	uint32_t quota; /* sessions; 0: a fifth of the table */
	uint32_t hold_bytes; /* default 4 MiB */
	uint64_t hold_age_ns; /* default 2 s */
	bool hold_any; /* hold frames of any source, not only the relay's */
	uint16_t mtu; /* default 1500 */
	struct port_params port; /* listener is set by the engine */
	const struct plugin_value *plugins; /* map: plugin name -> settings */
	enum role role; /* at birth: PASSIVE or (no history) CLAIM/OWNER */
	uint64_t epoch;
};
int engine_vport_add(struct engine *engine, const struct vport_spec *spec, struct vport **out,
	char *error, size_t error_len); /* [G] */
/* What can change without a new port: ips, allowed, groups, quota, tcp_liberal, plugins. */
int engine_vport_change(struct engine *engine, struct vport *vport, const struct vport_spec *spec,
	char *error, size_t error_len); /* [G] */
int engine_vport_del(struct engine *engine, struct vport *vport); /* [G] */
struct vport *engine_vport_find(struct engine *engine, const char *name); /* [R] name or uuid */
int engine_vport_foreach(
	struct engine *engine, int (*cb)(struct vport *, void *), void *arg); /* [R] */
/* [A] By id, 0..1023, for walks that go on later; NULL: none. Valid while nobody deletes vports. */
struct vport *engine_vport_at(struct engine *engine, unsigned int id);
/* [A] Counters summed over workers. */
void engine_vport_stats(const struct vport *vport, struct port_stats *sum);

/* ---- roles (role.h); the mover's levers ---- */

/*
 * [M], also from rings callbacks: what the mover knows about this vport; read at each decision.
 */
void engine_vport_facts(struct vport *vport, const struct role_facts *facts);
/*
 * [G], also from rings callbacks: feed an event to the role table. The new role is stored through
 * role_store, takes effect, and a grace period passes before the call returns: nothing is dequeued
 * under the old role. epoch: of the commit or claim, 0 elsewhere. Returns 0, or -ESTALE for a lower
 * epoch, or role_store's error.
 */
int engine_role_event(struct vport *vport, enum role_event event, uint64_t epoch);

/* [M] The owner's epoch, when a move or a peer tells of it: the next owner's is higher. */
void engine_epoch_heard(struct vport *vport, uint64_t epoch);
/* [G] A vport made again after a restart takes the role the store knows; nothing is stored or told.
 */
int engine_role_restore(struct vport *vport, enum role role, uint64_t epoch);

/* [M] PASSIVE: open the hold. FROZEN/MOVED: where late packets go. relay_from: S, exempt from D's
 * checks. */
int engine_hold_open(struct vport *vport);
/*
 * [M] Of an OWNER: what comes for the VM waits in the hold (on), then goes on in order (off): while
 * its rings are down and its destination is not ready, and while a destination gives back what it
 * held.
 */
int engine_hold_park(struct vport *vport, bool on);
/* [M] Of a PASSIVE one: the hold goes back to relay_from, in order; packets still in it. */
uint32_t engine_hold_return(struct vport *vport);
int engine_relay_to(struct vport *vport, const struct in6_addr *vtep);
int engine_relay_from(struct vport *vport, const struct in6_addr *vtep);
/* [M] Announce every identity that is this vport's alone: GARP, NA, RARP into the VPC and to local
 * vports. */
int engine_announce(struct vport *vport);

struct hold_stats;
void engine_hold_stats(const struct vport *vport, struct hold_stats *stats); /* [A] */

/* ---- plugins ---- */

int engine_plugin_load(struct engine *engine, const char *path, char *error,
	size_t error_len); /* [M] before vports */
struct engine_plugin_config {
	const char *plugin;
	const struct plugin_value *value; /* map; NULL: nothing configured */
	bool apply; /* false: only check */
};
int engine_plugin_configure(struct engine *engine, const struct engine_plugin_config *config,
	char *error, size_t error_len); /* [M] */
/*
 * [M] The same in two steps: prepare does all that may fail or takes long, beside other calls; take
 * puts it into force, and may come again when another was taken since. `value` stays until drop,
 * and drop comes after the vports that were changed with it. Plugins without a long part only check
 * in prepare.
 */
struct engine_plugin_prepared {
	const char *plugin;
	const struct plugin_value *value;
	void *prepared; /* the plugin's */
};
int engine_plugin_prepare(struct engine *engine, struct engine_plugin_prepared *prepared,
	char *error, size_t error_len); /* plugin and value are set by the caller */
int engine_plugin_take(struct engine *engine, const struct engine_plugin_prepared *prepared,
	char *error, size_t error_len);
void engine_plugin_drop(struct engine *engine, struct engine_plugin_prepared *prepared);
/* [M] Would plugins take these settings (map: plugin name -> settings; NULL: none) of a vport? */
int engine_plugin_vport_check(
	struct engine *engine, const struct plugin_value *settings, char *error, size_t error_len);
int engine_plugin_foreach(struct engine *engine,
	int (*cb)(const struct plugin_descriptor *, void *instance, void *), void *arg); /* [R] */
/*
 * [M] A plugin's state of a vport: into a sink, and from what a sink was given elsewhere. -ENOENT:
 * no such plugin; -EPROTO: a version that it does not read.
 */
int engine_section_save(struct vport *vport, const char *plugin, struct plugin_sink *sink);
int engine_section_load(struct vport *vport, const char *plugin,
	const struct plugin_section *section, char *error, size_t error_len);
/* [M] The move that brought sections was given up: all plugins let go of what came with them. */
void engine_sections_forget(struct vport *vport);
/* [M] about each 100 ms from a control thread: plugins' tick, deferred frees. */
void engine_tick(struct engine *engine);

/* ---- policy and time ---- */

void engine_timeouts_set(struct engine *engine, const struct session_timeouts *timeouts); /* [G] */
/* [M] Sessions of one (or all: NULL) vports are judged again at their next packet. */
void engine_policy_changed(struct engine *engine, struct vport *vport);

struct engine_memory {
	uint64_t session_bytes, table_bytes, ext_bytes, location_bytes, mbuf_bytes;
	uint32_t sessions, sessions_max, chunks_free;
	uint64_t keys;
};
void engine_memory(struct engine *engine, struct engine_memory *memory); /* [R] */

struct worker_info {
	int core;
	uint64_t rounds, rounds_idle, sleeps, packets;
	uint64_t busy_ns, now_ns;
};
int engine_worker_info(struct engine *engine, uint16_t worker, struct worker_info *info); /* [A] */

#endif
