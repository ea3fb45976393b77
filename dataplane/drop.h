/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef FERRY_DROP_H
#define FERRY_DROP_H
/*
 * Every way a packet may end without being delivered has one name, written once here. A stage sets
 * pkt->drop; the worker counts it for the vport (or the uplink) and frees the mbuf. The sum of
 * drops and deliveries of a port equals what it received.
 */
#define DROP_REASONS(X) \
	X(NONE, "none", "kept") \
	/* parse */ \
	X(SHORT, "short", "frame ends inside a header it claims to have") \
	X(BAD_ETHER, "bad-ether", "VLAN tag (RFC 7348 6.1) or an EtherType not carried") \
	X(BAD_IP, "bad-ip", "bad IP version, header length, total length or header checksum") \
	X(BAD_L4, "bad-l4", "bad TCP, UDP, SCTP or ICMP header") \
	X(BAD_CSUM, "bad-checksum", "wrong L4 checksum where the receiver must check it") \
	X(IP_OPTIONS, "ip-options", "source-routed or otherwise refused IP options") \
	X(OVERSIZE, "oversize", "longer than the receiving port's MTU and may not be fragmented") \
	X(FRAG_OVERLAP, "fragment-overlap", "overlapping fragments (RFC 5722)") \
	X(FRAG_NO_FIRST, "fragment-no-first", "later fragment whose first was never seen") \
	X(FRAG_LIMIT, "fragment-limit", "fragment store full or datagram oversize") \
	X(FRAG_TIMEOUT, "fragment-timeout", "rest of the datagram did not come") \
	X(FRAG_DENIED, "fragment-denied", "later fragment of a datagram whose first was dropped") \
	/* uplink */ \
	X(NOT_OURS, "not-ours", "uplink frame for another MAC, IP or UDP port") \
	X(BAD_VXLAN, "bad-vxlan", "VXLAN header without the I flag") \
	X(OUTER_FRAG, "outer-fragment", "fragmented outer packet") \
	X(OUTER_CSUM, "outer-checksum", "wrong or forbidden outer UDP checksum") \
	X(OUTER_TTL, "outer-ttl", "relay hop limit used up") \
	X(UNKNOWN_VNI, "unknown-vni", "VNI of no VPC here") \
	X(UNKNOWN_VTEP, "unknown-vtep", "outer source is no peer of this VPC") \
	X(NO_NEIGH, "no-neighbour", "next hop's MAC is not resolved yet") \
	/* locate, admit */ \
	X(SPOOF_MAC, "spoofed-mac", "source MAC is not the vport's") \
	X(SPOOF_IP, "spoofed-ip", "source IP is not the vport's") \
	X(WRONG_MAC, "wrong-mac", "destination MAC is neither the vport's nor the gateway's") \
	X(NO_ROUTE, "no-route", "no location and no route for the destination") \
	X(TTL, "ttl", "TTL used up at the virtual gateway") \
	X(MULTICAST, "multicast", "broadcast or multicast that the config does not flood") \
	X(DENIED, "denied", "a plugin's verdict, most often a security group") \
	X(NO_SESSION, "no-session-midstream", "not the start of a connection and no session") \
	X(RELATED_NONE, "icmp-no-session", "ICMP error that quotes no known session") \
	X(QUOTA, "session-quota", "the vport's session quota is used up") \
	X(TABLE_FULL, "session-table-full", "the session table is full") \
	X(NO_NAT_PORT, "no-nat-port", "no free port in the NAT lease") \
	X(PLUGIN, "plugin-error", "a plugin answered nonsense") \
	/* track, act */ \
	X(TCP_WINDOW, "tcp-out-of-window", "sequence or ack outside the window") \
	X(TCP_FLAGS, "tcp-invalid", "flags not valid in the session's state") \
	X(TCP_RST, "tcp-bad-rst", "RST outside the window (RFC 5961)") \
	X(SCTP_TAG, "sctp-bad-tag", "verification tag of no association") \
	X(SESSION_CLOSED, "session-closed", "session ended by policy or operator") \
	X(METER, "rate-limit", "over the vport's or session's rate") \
	/* role, hold, relay */ \
	X(PASSIVE, "passive", "a vport that is not owner may not send") \
	X(STALE, "stale-at-activation", "flooded or aged copy parked before activation") \
	X(HOLD_FULL, "hold-full", "oldest packet gave way: hold budget used up") \
	X(RELAY_LOOP, "relay-loop", "would go back to where it came from") \
	X(FENCED, "fenced", "vport is fenced: two copies of a VM") \
	/* deliver */ \
	X(PORT_DOWN, "port-down", "the receiving port has no rings or no link") \
	X(TX_FULL, "tx-full", "the receiving port's queue is full") \
	X(NO_MBUF, "no-mbuf", "packet pool empty") \
	X(ICMP_LIMIT, "icmp-limit", "answer suppressed by the ICMP rate limit") \
	X(UNSUPPORTED, "unsupported", "offload or protocol that Ferry does not carry") \
	/* answered by Ferry itself: consumed, not lost */ \
	X(CONSUMED, "consumed", "taken by Ferry itself (ARP, ND, announcements)")

#define DROP_ENUM(id, name, text) DROP_##id,
enum drop_reason { DROP_REASONS(DROP_ENUM) DROP_COUNT };
#undef DROP_ENUM

/* Stable names for counters and JSON ("tcp-out-of-window"), and one sentence for people. */
const char *drop_name(enum drop_reason reason);
const char *drop_text(enum drop_reason reason);

#endif
