/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef FERRY_PORT_FLOW_H
#define FERRY_PORT_FLOW_H
/*
 * Which ring a frame goes to when a port has several: frames of one flow share a hash. Workers.
 */
#include <stdint.h>

#include <rte_mbuf.h>

/*
 * mbuf->hash.rss if it is set, else over addresses, protocol and ports as far as the first
 * segment has them.
 */
uint32_t port_flow_hash(const struct rte_mbuf *m);

#endif
