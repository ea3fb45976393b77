/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef FERRY_STATS_H
#define FERRY_STATS_H
/*
 * Counters of one (worker, vport) or (worker, uplink) pair: written by that worker only, by
 * port_count(); readers add them up. They never decrease while the object lives. For a port: rx =
 * sum(drops of what it received) + what was delivered from it; see G03 in the replay tests.
 */
#include <stdint.h>

#include <rte_common.h>

#include "dataplane/drop.h"

struct port_stats {
	uint64_t rx_packets, rx_bytes; /* taken from the port */
	uint64_t rx_missed; /* lost before they were taken, by the device's word; 0 but in sums */
	uint64_t tx_packets, tx_bytes; /* given to the port */
	uint64_t tx_dropped[2]; /* not taken by the port: rings or link down; queue full */
	uint64_t delivered; /* of rx: left Ferry by some port */
	uint64_t consumed; /* of rx: taken by Ferry itself */
	uint64_t parked; /* of rx: into a hold or the fragment store, ever */
	uint64_t unparked; /* back from there */
	uint64_t relayed; /* sent on to the vport's new host */
	uint64_t sessions_opened, sessions_closed;
	uint64_t drop[DROP_COUNT]; /* of rx */
	uint64_t in_relayed; /* a vport's: sent after it, whoever received them */
	uint64_t in_drop[DROP_COUNT]; /* a vport's: on the way to it, whoever received them */
} __rte_cache_aligned;

/* One writer: no atomic addition, only stores that no reader sees torn. */
static inline void port_count(uint64_t *counter, uint64_t more)
{
	__atomic_store_n(
		counter, __atomic_load_n(counter, __ATOMIC_RELAXED) + more, __ATOMIC_RELAXED);
}

static inline void port_stats_add(struct port_stats *sum, const struct port_stats *one)
{
	uint64_t *to = (uint64_t *)sum;
	const uint64_t *from = (const uint64_t *)one;

	for (unsigned int i = 0; i < sizeof(*sum) / sizeof(*to); i++)
		to[i] += __atomic_load_n(&from[i], __ATOMIC_RELAXED);
}

#endif
