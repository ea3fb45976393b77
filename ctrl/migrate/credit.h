/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef CTRL_MIGRATE_CREDIT_H
#define CTRL_MIGRATE_CREDIT_H
/*
 * How much the memory of a VM may take while its sessions are followed. ferryd moves the sessions,
 * the VM's agent its memory; the agent is told a rate, and asks again all the time.
 *
 * Under a cap for both (migrate.bandwidth_mbit) memory gets what sessions leave, shared among the
 * moves. When sessions get through slowly it is told half as much, time after time; when they get
 * through again it is told more, up to all of it. Without a cap there is no rate to halve: the
 * first is CREDIT_FIRST, and beyond CREDIT_FREE there is none again.
 *
 * Pure: no clock of its own, no lock.
 */
#include <stdbool.h>
#include <stdint.h>

#define CREDIT_FIRST_BYTES_PER_S (128ULL << 20)
#define CREDIT_FREE_BYTES_PER_S (4ULL << 30)
#define CREDIT_LEAST_BYTES_PER_S (1ULL << 20) /* a VM's memory never stands still by this */
#define CREDIT_STEP_NS 100000000ULL

struct credit {
	uint64_t rate; /* bytes/s; 0: no cap, also at the beginning */
	uint64_t at_ns; /* of the last step; 0: none yet */
	uint64_t sessions_bytes, sessions_rate; /* taken by then; bytes/s of the last step */
};

struct credit_world {
	uint64_t cap_bytes_per_s; /* 0: none */
	uint64_t sessions_bytes; /* taken by sessions, since ever */
	uint32_t sharers; /* moves whose memory is copied, this one too */
	bool slow; /* sessions get through slowly */
};

/* The rate to be told now, in bytes/s; 0: no cap. It changes every CREDIT_STEP_NS at most. */
uint64_t credit_step(struct credit *credit, const struct credit_world *world, uint64_t now_ns);

/* Is that worth telling? */
bool credit_differs(uint64_t told, uint64_t now);

#endif
