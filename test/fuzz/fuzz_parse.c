/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Packets from hostile guests and peers: parse, tunnel, checksums, ICMP and the fragment store,
 * with a worker's loop around them. An input is a series of records: a control byte, a length (16
 * bits, big endian) and that many bytes of frame (fewer at the end).
 *
 * Beside not crashing it must hold that: offsets lie within the frame; a packet in two segments is
 * parsed as one in a single segment is (and so the fast path as the general one); what
 * is finished has a right checksum; what Ferry answers parses; the store gives all memory back.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "dataplane/csum.h"
#include "dataplane/frag.h"
#include "dataplane/icmp.h"
#include "dataplane/neigh_frame.h"
#include "dataplane/parse.h"
#include "dataplane/vxlan.h"
#include "test/fake/fake_eal.h"

#define FRAME_MAX 1800
#define VNI 100
#define POOL_SIZE 511

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum control {
	CONTROL_EGRESS = 1 << 0,
	CONTROL_TUNNEL = 1 << 1, /* take an outer header off first */
	CONTROL_DENY = 1 << 2, /* first fragments are denied */
	CONTROL_LATER = 1 << 3, /* 10 s pass before this record */
};

static struct rte_mempool *pool;

static void check_at(bool holds, const char *what)
{
	if (!holds) {
		fprintf(stderr, "broken promise: %s\n", what);
		abort();
	}
}
#define check(expression) check_at(expression, #expression)

/* A frame alone in a block of its own, so that ASan sees a read past its end. */
struct lone {
	struct rte_mbuf mbuf[2];
	uint8_t *block[2];
	struct pkt pkt;
};

static void lone_segment(struct rte_mbuf *m, uint8_t *block, uint16_t room, uint16_t len)
{
	*m = (struct rte_mbuf){.buf_addr = block,
		.buf_len = room,
		.data_len = len,
		.pkt_len = len,
		.nb_segs = 1,
		.refcnt = 2}; /* never freed by the product */
}

/* In one segment, or its first `cut` bytes in one and the rest in another. */
static struct pkt *lone_parse(
	struct lone *l, const uint8_t *frame, uint16_t len, uint16_t cut, uint8_t dir)
{
	uint16_t first = cut ? RTE_MIN(cut, len) : len;

	l->block[0] = malloc(len ? len : 1);
	memcpy(l->block[0], frame, first);
	lone_segment(&l->mbuf[0], l->block[0], len, first);
	l->block[1] = NULL;
	if (first < len) {
		l->block[1] = malloc(len - first);
		memcpy(l->block[1], frame + first, len - first);
		lone_segment(&l->mbuf[1], l->block[1], len - first, len - first);
		l->mbuf[0].refcnt = 1; /* only a segment of one's own is written to */
		l->mbuf[0].next = &l->mbuf[1];
		l->mbuf[0].nb_segs = 2;
		l->mbuf[0].pkt_len = len;
	}
	l->pkt = (struct pkt){.mbuf = &l->mbuf[0], .dir = dir};
	parse_packet(&l->pkt, VNI);
	return &l->pkt;
}

static void lone_free(struct lone *l)
{
	free(l->block[0]);
	free(l->block[1]);
}

static void check_parsed(const struct pkt *p)
{
	check(p->drop < DROP_COUNT);
	if (p->drop != DROP_NONE || p->flags & PKT_NOT_IP)
		return;
	check(p->l3_off == 14 && p->l4_off >= 34);
	check(p->l4_off + p->payload_len <= p->mbuf->pkt_len);
	check(!(p->flags & PKT_LATER_FRAGMENT) || p->flags & PKT_FRAGMENT);
	check(!(p->flags & PKT_ICMP_ERROR) || !(p->flags & PKT_FRAGMENT));
	if (p->proto == IPPROTO_TCP && !(p->flags & (PKT_LATER_FRAGMENT | PKT_SPLIT_HEADER)))
		check(p->l4_off + (((const uint8_t *)pkt_l4(p))[12] >> 4) * 4 <= p->mbuf->data_len);
}

static void check_same(const struct pkt *a, const struct pkt *b)
{
	check(a->drop == b->drop);
	if (a->drop != DROP_NONE)
		return;
	check(a->flags == b->flags && session_key_equal(&a->key, &b->key) && a->hash == b->hash);
	if (a->flags & PKT_NOT_IP)
		return;
	check(a->l4_off == b->l4_off && a->proto == b->proto && a->tcp_flags == b->tcp_flags);
	check(a->payload_len == b->payload_len);
}

/* An answer is a packet like others; its own checksum is right. */
static void check_answer(struct rte_mbuf *m)
{
	struct pkt p = {.mbuf = m};

	if (m == NULL)
		return;
	parse_packet(&p, VNI);
	check(p.drop == DROP_NONE);
	rte_pktmbuf_free(m);
}

static void answers(const struct pkt *p)
{
	struct icmp_origin origin = {.addr = {{{0xfd, [15] = 1}}}};

	if (p->flags & PKT_NOT_IP)
		return;
	if (!(p->flags & PKT_IPV6))
		origin.addr = addr_from_v4(RTE_BE32(0x0a000001));
	for (int what = ICMP_ANSWER_TOO_BIG; what <= ICMP_ANSWER_HOST_UNREACH; what++)
		check_answer(icmp_error(p, (enum icmp_answer)what, 1400, &origin, pool));
	if (p->proto == IPPROTO_TCP)
		check_answer(icmp_tcp_reset(p, pool));
}

/* Rewrite the quoted packet to another tuple and look for it there. */
static void rewrites(struct pkt *p)
{
	struct pkt again = {.mbuf = p->mbuf, .dir = p->dir};
	struct session_tuple to, found;

	if (!(p->flags & PKT_ICMP_ERROR))
		return;
	parse_tuple(p, &to);
	to.local.s6_addr[15] ^= 5;
	to.remote.s6_addr[14] ^= 6;
	to.local_port ^= to.local_port ? 0x0700 : 0;
	if (icmp_quoted_rewrite(p, &to) != 0)
		return;
	parse_packet(&again, VNI);
	if (again.drop == DROP_NONE) { /* not when the new identifier is zero, or so */
		parse_tuple(&again, &found);
		check(addr_equal(&found.local, &to.local) && addr_equal(&found.remote, &to.remote));
		check(found.local_port == to.local_port || again.flags & PKT_LATER_FRAGMENT);
	}
	icmp_mtu_clamp(p, 1300);
}

static void finishes(struct pkt *p)
{
	bool is_ipv6 = p->flags & PKT_IPV6;
	uint32_t len = p->payload_len + sizeof(struct rte_udp_hdr);

	p->mbuf->ol_flags = RTE_MBUF_F_RX_L4_CKSUM_NONE;
	csum_finish(p);
	if (p->proto == IPPROTO_UDP && !(p->flags & (PKT_FRAGMENT | PKT_NOT_IP)))
		check(csum_mbuf(p->mbuf, p->l4_off, len,
			      csum_pseudo(pkt_l3(p), is_ipv6, IPPROTO_UDP, len)) == 0);
}

static void one_packet(const uint8_t *frame, uint16_t len, uint8_t dir)
{
	static const uint16_t cuts[] = {1, 13, 14, 33, 40, 53, 60, 100};
	struct neigh_message message;
	struct lone whole, cut;

	lone_parse(&whole, frame, len, 0, dir);
	check_parsed(&whole.pkt);
	neigh_frame_read(&whole.mbuf[0], &message);
	for (size_t i = 0; i < RTE_DIM(cuts); i++) {
		lone_parse(&cut, frame, len, cuts[i], dir);
		check_parsed(&cut.pkt);
		check_same(&cut.pkt, &whole.pkt);
		lone_free(&cut);
	}
	if (whole.pkt.drop == DROP_NONE) {
		answers(&whole.pkt);
		finishes(&whole.pkt);
		rewrites(&whole.pkt);
	}
	lone_free(&whole);
}

/* Frames of an uplink: what is inside, or nothing. */
static uint16_t tunnelled(const uint8_t **frame, uint16_t len)
{
	struct vxlan_outer outer;
	struct lone l;
	enum drop_reason reason;

	lone_parse(&l, *frame, len, 0, PKT_INGRESS);
	reason = vxlan_parse(&l.mbuf[0], VXLAN_PORT, true, &outer);
	if (reason == DROP_NONE) {
		check(outer.inner_len >= 14 && outer.inner_off + outer.inner_len <= len);
		vxlan_decap(&l.mbuf[0], &outer);
		check(l.mbuf[0].pkt_len == outer.inner_len);
		*frame += outer.inner_off;
	}
	lone_free(&l);
	return reason == DROP_NONE ? outer.inner_len : 0;
}

static void through_store(
	struct frag_store *store, struct rte_mbuf *m, uint8_t control, uint32_t now_ms)
{
	struct rte_mbuf *out[8];
	struct pkt p = {.mbuf = m, .dir = control & CONTROL_EGRESS ? PKT_EGRESS : PKT_INGRESS};
	bool first;
	uint16_t count;

	parse_packet(&p, VNI);
	first = (p.flags & (PKT_FRAGMENT | PKT_LATER_FRAGMENT)) == PKT_FRAGMENT;
	if (p.drop == DROP_NONE && p.flags & PKT_FRAGMENT)
		frag_input(store, &p, now_ms);
	if (p.mbuf == NULL)
		return;
	if (p.drop == DROP_NONE)
		check_parsed(&p);
	rte_pktmbuf_free(p.mbuf);
	if (p.drop != DROP_NONE || !first || !(p.flags & PKT_FRAGMENT))
		return;
	do {
		count = frag_verdict(store, &p, control & CONTROL_DENY ? DROP_DENIED : DROP_NONE,
			out, RTE_DIM(out));
		for (uint16_t i = 0; i < count; i++)
			through_store(store, out[i], control, now_ms);
	} while (count == RTE_DIM(out));
}

static void one_record(struct frag_store *store, const uint8_t *frame, uint16_t len,
	uint8_t control, uint32_t now_ms)
{
	struct rte_mbuf *m;

	if (control & CONTROL_TUNNEL)
		len = tunnelled(&frame, len);
	one_packet(frame, len, control & CONTROL_EGRESS ? PKT_EGRESS : PKT_INGRESS);
	m = rte_pktmbuf_alloc(pool);
	if (m == NULL)
		return;
	memcpy(rte_pktmbuf_append(m, len), frame, len);
	through_store(store, m, control, now_ms);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct frag_params params = {.datagrams = 16, .bytes = 1 << 19, .per_vport_datagrams = 8};
	struct frag_store *store;
	struct frag_stats stats;
	uint32_t now_ms = 0;

	if (pool == NULL) {
		check(fake_eal_start() == 0);
		pool = fake_eal_pool("fuzz", POOL_SIZE);
		check(pool != NULL);
	}
	store = frag_create(&params);
	check(store != NULL);
	for (int i = 0; i < 200 && size >= 3; i++) {
		uint8_t control = data[0];
		size_t len = (size_t)data[1] << 8 | data[2];

		data += 3;
		size -= 3;
		len = RTE_MIN(len, size);
		len = RTE_MIN(len, (size_t)FRAME_MAX);
		now_ms += control & CONTROL_LATER ? 10000 : 1;
		frag_expire(store, now_ms);
		one_record(store, data, (uint16_t)len, control, now_ms);
		data += len;
		size -= len;
	}
	frag_expire(store, now_ms + FRAG_LIFE_MS);
	frag_stats(store, &stats);
	check(stats.datagrams == 0 && stats.packets == 0 && stats.bytes == 0);
	frag_free(store);
	check(rte_mempool_avail_count(pool) == POOL_SIZE);
	return 0;
}
