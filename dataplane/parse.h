/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef FERRY_PARSE_H
#define FERRY_PARSE_H
/*
 * The parse stage: Ethernet, IPv4/IPv6 with extension headers, TCP/UDP/SCTP/ICMP, and the packet
 * quoted in an ICMP error. Fills offsets, protocol, flags, payload length and the session key for
 * p->dir. Hostile input: every length is checked against the mbuf before it is read. The bytes of
 * the frame never change; where its headers lie in several segments they are gathered in the first
 * one.
 *
 * Choices:
 *  - VLAN tags (802.1Q, 802.1ad, priority tags too) are dropped as BAD_ETHER: a VPC is one untagged
 *    segment, RFC 7348 6.1 says that inner tags should be discarded, and a key without the tag
 * would let tagged frames use untagged sessions. So is every EtherType but IP, ARP and RARP.
 *  - IPv4 source routes and IPv6 routing headers with segments left are refused (RFC 7126, 5095):
 * the address in the header would not be the one the policy is about.
 *  - At most PARSE_EXTENSIONS_MAX IPv6 extension headers of PARSE_EXTENSIONS_BYTES; jumbograms
 * refused.
 *  - IPv4 header checksums are verified; L4 checksums are the receiver's (a wrong one stays wrong).
 *  - An atomic IPv6 fragment is a whole packet (RFC 6946). ESP and AH are protocols without ports.
 *  - A fragmented ICMP error is BAD_L4 (errors fit in 576 and 1280 bytes). So is one that is not
 * for the sender of the packet it quotes: it would get to that one by way of somebody else's
 * address.
 */
#include "dataplane/pkt.h"

#define PARSE_EXTENSIONS_MAX 8
#define PARSE_EXTENSIONS_BYTES 512

/*
 * p->mbuf, p->dir and p->flags (0 or what the caller knows, e.g. PKT_FROM_UPLINK) are set by the
 * caller; parse adds flags and sets p->drop and all else it finds; `vni` enters the key. A later
 * fragment gets a key without ports and PKT_LATER_FRAGMENT; frag.h finds its ports. PKT_NOT_IP
 * frames have no key.
 */
void parse_packet(struct pkt *p, uint32_t vni);

/* The same for a burst from one vport. True: some could not be parsed and carry a drop reason. */
bool parse_egress(struct pkt **pkts, uint16_t count, uint32_t vni);
/* And from the uplink, each of a VPC of its own. */
bool parse_ingress(struct pkt **pkts, uint16_t count, const uint32_t *vni);

/* Readable tuple of a parsed packet (not for PKT_NOT_IP). */
void parse_tuple(const struct pkt *p, struct session_tuple *tuple);

/* The addresses of the packet's own IP header, an error's too (not for PKT_NOT_IP). */
void parse_addresses(const struct pkt *p, struct in6_addr *source, struct in6_addr *destination);

/* IP addresses of the packet as local and remote of its direction (quoted ones for an ICMP error).
 */
void parse_addresses6(const struct pkt *p, struct session_addresses6 *a6);

/* Offset of the Fragment header of a parsed IPv6 packet; 0 when it has none. */
uint16_t parse_fragment6_off(const struct pkt *p);

#endif
