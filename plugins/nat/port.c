/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Which port of a lease a new session gets. The first choice depends on the inside end alone, so
 * that one socket keeps one public port for all its peers as long as nobody else has it towards one
 * of them (RFC 4787 REQ-1 where possible). Then the rest of the range follows in an order that also
 * depends on the peer; UDP asks for ports of its own parity first (REQ-4). A range of up to
 * NAT_TRIES ports is searched whole; of a larger one that many are looked at: when all are taken
 * towards that peer, more than 99 % of the range is.
 */
#include <string.h>

#include "plugins/nat/nat.h"

/* Ports base, base + step, ...: count of them. */
struct series {
	uint32_t base, step, count;
};

static uint64_t mix(uint64_t h, const void *bytes, size_t len)
{
	const uint8_t *at = bytes;

	for (size_t i = 0; i < len; i++)
		h = (h ^ at[i]) * 0x100000001b3ULL;
	return h ^ h >> 29;
}

static uint32_t common_divisor(uint32_t a, uint32_t b)
{
	while (b) {
		uint32_t rest = a % b;

		a = b;
		b = rest;
	}
	return a;
}

/* From one to the next, so that all are met once. */
static uint32_t stride_of(uint64_t h, uint32_t count)
{
	uint32_t stride = count > 2 ? 1 + (uint32_t)(h % (count - 1)) : 1;

	while (common_divisor(stride, count) != 1)
		stride = stride % count + 1;
	return stride;
}

static bool series_take(const struct plugin_host *host, const struct series *series,
	struct plugin_tuple *outside, const uint64_t h[2], unsigned int *tries)
{
	uint32_t at, stride = 0;

	if (series->count == 0)
		return false;
	at = (uint32_t)(h[0] % series->count);
	for (uint32_t i = 0; i<series->count && * tries> 0; i++) {
		outside->local_port = (uint16_t)(series->base + at * series->step);
		(*tries)--;
		if (host->outside_free(host->engine, outside))
			return true;
		if (stride == 0)
			stride = stride_of(h[1], series->count);
		at = (at + stride) % series->count;
	}
	return false;
}

bool nat_port_take(const struct plugin_host *host, const struct nat_lease *lease,
	struct plugin_tuple *outside, unsigned int *tries)
{
	uint16_t inside_port = outside->local_port;
	uint32_t count = lease->last - lease->first + 1u;
	uint32_t other = (lease->first ^ inside_port) & 1;
	const struct series all = {lease->first, 1, count};
	const struct series same = {lease->first + other, 2, (count + 1 - other) / 2};
	const struct series odd = {lease->first + 1 - other, 2, (count + other) / 2};
	uint64_t h[2];

	h[0] = mix(0xcbf29ce484222325ULL, &outside->proto, sizeof(outside->proto));
	h[0] = mix(h[0], &inside_port, sizeof(inside_port));
	/* The caller left the VM's address in place. */
	h[0] = mix(h[0], &outside->local, sizeof(outside->local));
	h[1] = mix(h[0], &outside->remote, sizeof(outside->remote));
	h[1] = mix(h[1], &outside->remote_port, sizeof(outside->remote_port));
	outside->local = lease->address;
	outside->vni = lease->vni;
	if (outside->proto != IPPROTO_UDP)
		return series_take(host, &all, outside, h, tries);
	return series_take(host, &same, outside, h, tries) ||
	       series_take(host, &odd, outside, h, tries);
}
