/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef FERRY_FAKE_PACKET_H
#define FERRY_FAKE_PACKET_H
/*
 * Frames for tests, built from a description in which zero means "the usual": Ethernet with VLAN
 *tags, IPv4 and IPv6 with options and extension headers, TCP, UDP, SCTP, ICMP echo and errors;
 *whole, in fragments, padded, cut, with wrong checksums, raw or inside VXLAN. Nothing of the
 *product's parser is used here, so that a test of the parser has something to compare with. Needs
 *no EAL but for fake_packet_mbuf().
 *
 *	struct fake_packet syn = {.src = "198.51.100.10", .dst = "10.0.0.5", .sport = 40000, .dport
 *= 80, .proto = IPPROTO_TCP, .tcp_flags = RTE_TCP_SYN_FLAG, .seq = 100, .mss = 1460}; uint8_t
 *frame[FAKE_FRAME_MAX]; size_t len = fake_packet_build(&syn, frame, sizeof(frame));
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <rte_ether.h>
#include <rte_mbuf.h>
#include <rte_tcp.h>

#include "dataplane/pkt.h"

#define FAKE_FRAME_MAX 9728
#define FAKE_VLANS_MAX 4

/* Window scale option: 0 stays "no option". */
#define FAKE_WSCALE(shift) ((uint8_t)(0x80 | (shift)))

struct fake_packet {
	/* Ethernet. MACs as text ("02:00:00:00:00:05"); NULL: 02:00:00:00:00:01 ->
	 * 02:00:00:00:00:02 */
	const char *src_mac, *dst_mac;
	uint16_t vlan[FAKE_VLANS_MAX]; /* tags, outermost first, until the first 0; TPID 0x8100 */
	uint16_t ethertype; /* 0: by the address family */
	uint16_t pad_to; /* zero bytes until the frame is this long */
	uint16_t cut_to; /* at last: only this much of the frame (0: all) */

	/* IP: text decides the family; NULL: 198.51.100.10 -> 10.0.0.5 */
	const char *src, *dst;
	uint8_t ttl; /* 0: 64 */
	uint8_t tos;
	uint16_t ip_id; /* IPv4 */
	bool dont_fragment;
	const void *ip_options; /* IPv4, multiple of 4 */
	uint8_t ip_options_len;
	const void *ext; /* IPv6 extension headers as bytes, each with its next header filled in */
	uint16_t ext_len;
	uint8_t ext_first; /* protocol number of the first of them */
	uint16_t ip_len; /* claimed total (IPv6: payload) length, 0: true */
	bool bad_ip_csum;

	/* L4 */
	uint8_t proto; /* 0: IPPROTO_UDP */
	uint16_t sport, dport;
	bool bad_l4_csum, zero_l4_csum;
	/* TCP */
	uint8_t tcp_flags; /* RTE_TCP_*_FLAG */
	uint32_t seq, ack;
	uint16_t window;
	uint16_t mss; /* 0: no option */
	uint8_t wscale; /* FAKE_WSCALE(n) or 0 */
	bool sack_ok;
	uint32_t sack[2]; /* one block, left and right edge; 0, 0: none */
	const void *tcp_options; /* raw, after those above, padded with NOP */
	uint8_t tcp_options_len;
	/* ICMP; echo when icmp_type is an echo type of the family */
	uint8_t icmp_type, icmp_code;
	uint16_t icmp_id, icmp_seq;
	uint32_t icmp_mtu; /* in an error */
	const struct fake_packet *quoted; /* of an error: IP packet quoted, ... */
	uint16_t quoted_len; /* ... this many bytes of it; 0: IP header + 8 */
	/* SCTP: chunks are the payload */
	uint32_t sctp_tag;

	const void *payload; /* NULL: payload_len bytes of a pattern */
	uint16_t payload_len;
};

/* Write the frame; returns its length. Asserts that it fits and that addresses are valid. */
size_t fake_packet_build(const struct fake_packet *f, uint8_t *frame, size_t size);

/*
 * Fragment of a whole frame without VLAN tags: bytes [offset, offset + len) of its IP payload,
 * `offset` a multiple of 8; MF is set unless it reaches the payload's end. IPv6: a fragment header
 * is put after the fixed header; `id` is its identification (IPv4: the frame's own).
 */
struct fake_fragment {
	const uint8_t *whole;
	size_t whole_len;
	uint16_t offset, len;
	uint32_t id;
};

/* Returns the frame's length, 0 past the end of the payload. */
size_t fake_fragment_build(const struct fake_fragment *f, uint8_t *out, size_t size);

#define fake_packet_fragment(w, w_len, from, length, number, out, size) \
	fake_fragment_build(&(struct fake_fragment){.whole = w, \
				    .whole_len = w_len, \
				    .offset = from, \
				    .len = length, \
				    .id = number}, \
		out, size)

/* Outer header of a VXLAN frame; zero means: port 4789, flags 0x08, source port 49152, UDP checksum
 * (0 on IPv4, true on IPv6 or when asked for). */
struct fake_vxlan {
	const char *src_mac, *dst_mac, *src, *dst; /* addresses: NULL: 192.0.2.3 -> 192.0.2.1 */
	uint32_t vni;
	uint16_t sport, dport;
	uint8_t ttl;
	uint8_t flags; /* first byte; 0xff bits other than I are reserved */
	bool no_flags; /* really zero */
	uint32_t reserved; /* 24 bits after the flags; last byte of the header: bits 24-31 */
	bool checksum, bad_l4_csum, zero_l4_csum;
};
size_t fake_vxlan_build(const struct fake_vxlan *v, const uint8_t *inner, size_t inner_len,
	uint8_t *frame, size_t size);

/* INIT and INIT-ACK chunk with the given tag, for .payload; returns its length (20). */
size_t fake_sctp_init(uint8_t *chunk, uint8_t type, uint32_t tag);
/* Any other chunk: header and `len` bytes of zeros, padded to 4. */
size_t fake_sctp_chunk(uint8_t *chunk, uint8_t type, uint8_t flags, uint16_t len);

/* The frame in a fresh mbuf (EAL is up); NULL when the pool is empty. */
struct rte_mbuf *fake_packet_mbuf(const struct fake_packet *f, struct rte_mempool *pool);
struct rte_mbuf *fake_frame_mbuf(const uint8_t *frame, size_t len, struct rte_mempool *pool);

/* A packet as the stages behind parse see it, with its mbuf beside it: no EAL, no pool. */
struct fake_pkt {
	struct pkt pkt;
	struct rte_mbuf mbuf;
	uint8_t room[RTE_PKTMBUF_HEADROOM + FAKE_FRAME_MAX];
};

/* The frame in f's mbuf; of f->pkt only mbuf and dir are set: what the caller of parse does. */
struct pkt *fake_pkt_raw(struct fake_pkt *f, const uint8_t *frame, size_t len, enum pkt_dir dir);

/* Build the frame into f->room and fill f->pkt (VNI 100) as parse would. */
struct pkt *fake_pkt_make(struct fake_pkt *f, const struct fake_packet *spec, enum pkt_dir dir);
/* The same for a frame at hand, e.g. of a capture. Asserts that it is IP and not malformed. */
struct pkt *fake_pkt_wrap(struct fake_pkt *f, const uint8_t *frame, size_t len, enum pkt_dir dir);

#endif
