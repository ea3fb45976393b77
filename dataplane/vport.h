/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef FERRY_VPORT_H
#define FERRY_VPORT_H
/*
 * A VM's port inside the dataplane. Made, changed and freed under the engine mutex (engine.h);
 * workers read line 0 per packet and follow the pointers at admission. Fields that change while
 * workers run are atomics or pointers replaced whole (RCU).
 */
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include <rte_ether.h>
#include <rte_meter.h>
#include <rte_spinlock.h>

#include "dataplane/addr.h"
#include "dataplane/drop.h"
#include "dataplane/plugin.h"
#include "dataplane/port.h"
#include "dataplane/role.h"
#include "dataplane/session_slab.h"
#include "dataplane/session_track.h"
#include "dataplane/stats.h"

#define VPORT_MAX 1024
#define VPORT_NAME_MAX 64
#define VPORT_IPS_MAX 32
#define VPORT_GROUPS_MAX 16
#define VPORT_METERS 8
#define VPORT_PLUGINS_MAX 16
#define VPORT_WORKERS_MAX 16

struct engine;
struct hold;
struct session_journal;
struct vpc;

/* The clock of a vport: stands still while the vport is passive or frozen. */
struct vport_clock {
	_Atomic uint64_t stopped_ns; /* != 0: stands still at this vport time */
	_Atomic uint64_t offset_ns; /* engine time - vport time */
};

/* Runs on the vport's clock, in the cycles that rte_meter wants. */
struct vport_meter {
	rte_spinlock_t lock;
	bool used;
	uint64_t cycles_per_ns; /* times 2^32 */
	struct plugin_meter config;
	struct rte_meter_trtcm_rfc4115_profile profile;
	struct rte_meter_trtcm_rfc4115 state;
	uint64_t seen_ns; /* the vport's clock when time last passed here */
};

/* What the vport may send from and receive for. */
struct vport_addresses {
	uint16_t ip_count, allowed_count;
	struct in6_addr ip[VPORT_IPS_MAX]; /* own: located, announced */
	struct in6_addr allowed[VPORT_IPS_MAX]; /* allowed-address pairs, prefixes */
	uint8_t allowed_plen[VPORT_IPS_MAX]; /* mapped */
	struct rte_ether_addr allowed_mac[VPORT_IPS_MAX];
	char group[VPORT_GROUPS_MAX][VPORT_NAME_MAX];
	const char *group_name[VPORT_GROUPS_MAX];
	uint16_t group_count;
};

/* A public identity that a plugin gave the vport; list under the engine mutex. */
struct vport_identity {
	struct vport_identity *next;
	struct plugin_identity id;
};

/* How a guest takes what waited for it in the hold (worker_hold.c). Engine time. */
struct drain_pace {
	uint64_t took_ns; /* of the last take from the hold */
	uint64_t room_ns; /* since when its rings have had this room */
	uint16_t room;
	uint16_t capacity; /* buffers it keeps in its rings; 0: not known yet */
};

struct vport {
	/* line 0: read per packet */
	_Atomic uint8_t role; /* enum role */
	_Atomic bool pair_macs; /* an allowed-address pair has a MAC of its own */
	uint16_t id;
	uint32_t vni;
	struct rte_ether_addr mac;
	uint16_t mtu;
	_Atomic uint32_t policy_gen;
	struct track_policy track;
	_Atomic(struct session_journal *) journal; /* NULL: no move follows */
	struct vport_clock clock;
	_Atomic(struct port *) port; /* NULL until it is open */
	/* line 1: admission and slow path */
	_Atomic(struct vpc *) vpc __rte_cache_aligned;
	_Atomic(struct hold *) hold;
	_Atomic(struct tunnel *) relay_to; /* FROZEN, MOVED: the new host */
	_Atomic(struct tunnel *) relay_from; /* PASSIVE, OWNER after a move: the source's VTEP */
	_Atomic uint64_t epoch;
	_Atomic uint32_t sessions; /* living */
	_Atomic uint32_t quota;
	_Atomic bool gone; /* it is being deleted: no session is born any more */
	_Atomic uint64_t next_birth_id;
	_Atomic uint64_t activated_ns; /* engine time of the last change to OWNER */
	struct drain_pace pace; /* by the worker that drains, and at activation */
	_Atomic bool hold_draining; /* later arrivals queue behind the hold */
	_Atomic bool parking; /* OWNER: the hold fills and waits; written by the mover */
	_Atomic bool
		leaving; /* a move out is prepared: what stopped rings leave waits in the hold */
	_Atomic bool returning; /* PASSIVE: the hold goes back to relay_from; cleared when empty */
	struct engine *engine;
	struct session_slab slab[VPORT_WORKERS_MAX + 1]; /* last: control threads and imports */
	struct port_stats *stats; /* by worker; last: control */
	struct vport_meter meter[VPORT_METERS];
	void *plugin_data[VPORT_PLUGINS_MAX]; /* by plugin index */
	struct plugin_vport plugin_view;
	struct vport_identity *identities;
	struct role_facts facts; /* what the mover says; under the engine mutex */
	uint32_t hold_bytes;
	uint64_t hold_age_ns;
	uint16_t queues;
	_Atomic bool hold_any;
	_Atomic(struct vport_addresses *) addresses; /* replaced whole */
	char name[VPORT_NAME_MAX];
	char uuid[37];
	char vm[VPORT_NAME_MAX];
};

static inline uint64_t vport_clock_ns(const struct vport *v, uint64_t now_ns)
{
	uint64_t stopped = atomic_load_explicit(&v->clock.stopped_ns, memory_order_relaxed);

	if (stopped)
		return stopped;
	return now_ns - atomic_load_explicit(&v->clock.offset_ns, memory_order_relaxed);
}

/* Never before what the meter has seen: workers read the time at different moments. */
static inline uint64_t vport_meter_time(
	const struct vport_meter *meter, const struct vport *v, uint64_t now_ns)
{
	uint64_t seen = RTE_MAX(meter->state.time_tc, meter->state.time_te);
	uint64_t now =
		(uint64_t)(((unsigned __int128)vport_clock_ns(v, now_ns) * meter->cycles_per_ns) >>
			   32);

	return RTE_MAX(now, seen);
}

static inline uint32_t vport_clock_ms(const struct vport *v, uint64_t now_ns)
{
	return (uint32_t)(vport_clock_ns(v, now_ns) / 1000000);
}

void vport_clock_init(struct vport *v, uint64_t now_ns);
/* Both idempotent, under the engine mutex. Vport time goes on from where it stood. */
void vport_clock_stop(struct vport *v, uint64_t now_ns);
void vport_clock_run(struct vport *v, uint64_t now_ns);

/* May the vport send from (or receive for) this address: its own ips and allowed-address pairs. */
bool vport_owns(const struct vport *v, const struct in6_addr *addr);
/* May it speak as this address from this MAC? DROP_NONE, or which of the two is not its own. */
enum drop_reason vport_speaks(
	const struct vport *v, const struct rte_ether_addr *mac, const struct in6_addr *addr);
/* Is it the vport's MAC, or that of one of its pairs? */
bool vport_has_mac(const struct vport *v, const struct rte_ether_addr *mac);
/* The MAC the VM uses with an address of its own. */
struct rte_ether_addr vport_mac_of(const struct vport *v, const struct in6_addr *addr);

static inline enum role vport_role(const struct vport *v)
{
	return (enum role)atomic_load_explicit(&v->role, memory_order_acquire);
}

#endif
