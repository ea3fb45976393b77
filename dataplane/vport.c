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

static bool owns_ip(const struct vport_addresses *own, const struct in6_addr *addr)
{
	for (uint16_t i = 0; i < own->ip_count; i++)
		if (addr_equal(&own->ip[i], addr))
			return true;
	return false;
}

static bool pair_has(const struct vport_addresses *own, uint16_t pair, const struct in6_addr *addr)
{
	return addr_in_prefix(addr, &own->allowed[pair], own->allowed_plen[pair]);
}

bool vport_owns(const struct vport *v, const struct in6_addr *addr)
{
	const struct vport_addresses *own =
		atomic_load_explicit(&v->addresses, memory_order_acquire);

	if (owns_ip(own, addr))
		return true;
	for (uint16_t i = 0; i < own->allowed_count; i++)
		if (pair_has(own, i, addr))
			return true;
	return false;
}

bool vport_has_mac(const struct vport *v, const struct rte_ether_addr *mac)
{
	const struct vport_addresses *own;

	if (rte_is_same_ether_addr(mac, &v->mac))
		return true;
	if (!atomic_load_explicit(&v->pair_macs, memory_order_relaxed))
		return false;
	own = atomic_load_explicit(&v->addresses, memory_order_acquire);
	for (uint16_t i = 0; i < own->allowed_count; i++)
		if (rte_is_same_ether_addr(mac, &own->allowed_mac[i]))
			return true;
	return false;
}

enum drop_reason vport_speaks(
	const struct vport *v, const struct rte_ether_addr *mac, const struct in6_addr *addr)
{
	const struct vport_addresses *own =
		atomic_load_explicit(&v->addresses, memory_order_acquire);

	if (!vport_has_mac(v, mac))
		return DROP_SPOOF_MAC;
	if (rte_is_same_ether_addr(mac, &v->mac) && owns_ip(own, addr))
		return DROP_NONE;
	for (uint16_t i = 0; i < own->allowed_count; i++)
		if (rte_is_same_ether_addr(mac, &own->allowed_mac[i]) && pair_has(own, i, addr))
			return DROP_NONE;
	return DROP_SPOOF_IP;
}

struct rte_ether_addr vport_mac_of(const struct vport *v, const struct in6_addr *addr)
{
	const struct vport_addresses *own =
		atomic_load_explicit(&v->addresses, memory_order_acquire);

	if (!owns_ip(own, addr))
		for (uint16_t i = 0; i < own->allowed_count; i++)
			if (pair_has(own, i, addr))
				return own->allowed_mac[i];
	return v->mac;
}
