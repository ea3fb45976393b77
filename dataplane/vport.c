/* SPDX-License-Identifier: BSD-3-Clause */
#include "dataplane/vport.h"

#define VPORT_CLOCK_START_NS 1000000000ULL /* vport time 0 would mean "not stopped" */

void vport_clock_stop(struct vport *v, uint64_t now_ns)
{
	if (atomic_load(&v->clock.stopped_ns) == 0)
		atomic_store(&v->clock.stopped_ns, now_ns - atomic_load(&v->clock.offset_ns));
}

void vport_clock_run(struct vport *v, uint64_t now_ns)
{
	uint64_t stopped = atomic_load(&v->clock.stopped_ns);

	if (stopped == 0)
		return;
	atomic_store(&v->clock.offset_ns, now_ns - stopped);
	atomic_store(&v->clock.stopped_ns, 0);
}

void vport_clock_init(struct vport *v, uint64_t now_ns)
{
	atomic_store(&v->clock.offset_ns, now_ns - VPORT_CLOCK_START_NS);
	atomic_store(&v->clock.stopped_ns, 0);
}

bool vport_owns(const struct vport *v, const struct in6_addr *addr)
{
	const struct vport_addresses *own =
		atomic_load_explicit(&v->addresses, memory_order_acquire);

	for (uint16_t i = 0; i < own->ip_count; i++)
		if (addr_equal(&own->ip[i], addr))
			return true;
	for (uint16_t i = 0; i < own->allowed_count; i++)
		if (addr_in_prefix(addr, &own->allowed[i], own->allowed_plen[i]))
			return true;
	return false;
}
