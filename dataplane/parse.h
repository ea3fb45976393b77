/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef FERRY_PARSE_H
#define FERRY_PARSE_H
/*
 * The parse stage: Ethernet, IPv4/IPv6 with extension headers, TCP/UDP/SCTP/ICMP, and the packet quoted in
 * an ICMP error. Fills offsets, protocol, flags, payload length and the session key for p->dir. Hostile
 * input: every length is checked against the mbuf before it is read; multi-segment mbufs are linearised
 * up to the L4 header. Never writes to the packet.
 */
#include "dataplane/pkt.h"

/*
 * p->mbuf and p->dir are set by the caller; `vni` enters the key. A later fragment gets a key without
 * ports and PKT_LATER_FRAGMENT; frag.h finds its ports. PKT_NOT_IP frames have no key.
 */
void parse_packet(struct pkt *p, uint32_t vni);

/* The same for a burst; packets that cannot be parsed carry a drop reason afterwards. */
void parse_burst(struct pkt **pkts, uint16_t count, uint32_t vni);

/* Readable tuple of a parsed packet (not for PKT_NOT_IP). */
void parse_tuple(const struct pkt *p, struct session_tuple *tuple);

/* IP addresses of the packet as local and remote of its direction (quoted ones for an ICMP error). */
void parse_addresses6(const struct pkt *p, struct session_addresses6 *a6);

#endif
