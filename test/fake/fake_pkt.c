/* SPDX-License-Identifier: BSD-3-Clause */
#include "test/fake/fake_packet.h"

#include <assert.h>
#include <string.h>

#define FAKE_VNI 100

/* Where things are in a frame: what parse finds out, found again by the shortest code. */
struct layout {
	uint16_t l3_off, l4_off, l4_len;
	uint8_t proto;
	bool six, fragment, later;
};

static uint16_t load16(const uint8_t *at)
{
	return (uint16_t)(at[0] << 8 | at[1]);
}

static void layout_ipv4(struct layout *l, const uint8_t *ip)
{
	uint16_t frag = load16(ip + 6);
	uint16_t header_len = (ip[0] & 0xf) * 4;

	l->l4_off = l->l3_off + header_len;
	l->l4_len = load16(ip + 2) - header_len;
	l->proto = ip[9];
	l->fragment = frag & 0x3fff;
	l->later = frag & 0x1fff;
}

static void layout_ipv6(struct layout *l, const uint8_t *ip)
{
	uint16_t off = 40, end = 40 + load16(ip + 4);
	uint8_t next = ip[6];

	while (next == IPPROTO_HOPOPTS || next == IPPROTO_ROUTING || next == IPPROTO_DSTOPTS ||
		next == IPPROTO_FRAGMENT) {
		uint16_t len = next == IPPROTO_FRAGMENT ? 8 : (ip[off + 1] + 1) * 8;

		if (next == IPPROTO_FRAGMENT) {
			l->fragment = load16(ip + off + 2) & 0xfff9;
			l->later = load16(ip + off + 2) & 0xfff8;
		}
		next = ip[off];
		off += len;
	}
	l->six = true;
	l->l4_off = l->l3_off + off;
	l->l4_len = end - off;
	l->proto = next;
}

static void find_layout(struct layout *l, const uint8_t *frame, uint16_t l3_off)
{
	memset(l, 0, sizeof(*l));
	l->l3_off = l3_off;
	if (frame[l3_off] >> 4 == 4)
		layout_ipv4(l, frame + l3_off);
	else
		layout_ipv6(l, frame + l3_off);
}

static bool is_icmp_error(const struct layout *l, uint8_t type)
{
	if (l->proto == IPPROTO_ICMP)
		return type == 3 || type == 4 || type == 5 || type == 11 || type == 12;
	return l->proto == IPPROTO_ICMPV6 && type < 128;
}

static bool is_echo(const struct layout *l, uint8_t type, uint8_t v4, uint8_t v6)
{
	return (l->proto == IPPROTO_ICMP && type == v4) ||
	       (l->proto == IPPROTO_ICMPV6 && type == v6);
}

/* Ports as the key wants them: [0] of the sender, [1] of the receiver. */
static void find_ports(const struct layout *l, const uint8_t *l4, rte_be16_t port[2])
{
	port[0] = port[1] = 0;
	if (l->later)
		return;
	if (l->proto == IPPROTO_TCP || l->proto == IPPROTO_UDP || l->proto == IPPROTO_SCTP)
		memcpy(port, l4, 4);
	else if (is_echo(l, l4[0], 8, 128))
		memcpy(&port[0], l4 + 4, 2);
	else if (is_echo(l, l4[0], 0, 129))
		memcpy(&port[1], l4 + 4, 2);
}

static void fill_key(struct pkt *p, const struct layout *l, const uint8_t *frame, enum pkt_dir dir)
{
	const uint8_t *ip = frame + l->l3_off;
	int sender = dir == PKT_EGRESS ? 0 : 1; /* which of (local, remote) the sender is */
	struct in6_addr a6[2];
	rte_be16_t port[2];
	rte_be32_t a4[2];

	find_ports(l, frame + l->l4_off, port);
	p->key.vni_proto = FAKE_VNI << 8 | l->proto;
	p->key.local_port = port[sender];
	p->key.remote_port = port[!sender];
	if (l->six) {
		memcpy(a6, ip + 8, sizeof(a6));
		p->key.addresses = session_key_fold6(&a6[sender], &a6[!sender]);
		return;
	}
	memcpy(a4, ip + 12, sizeof(a4));
	p->key.local = a4[sender];
	p->key.remote = a4[!sender];
}

static uint16_t l4_header_len(const struct layout *l, const uint8_t *l4)
{
	switch (l->proto) {
	case IPPROTO_TCP:
		return (l4[12] >> 4) * 4;
	case IPPROTO_SCTP:
		return 12;
	case IPPROTO_UDP:
	case IPPROTO_ICMP:
	case IPPROTO_ICMPV6:
		return 8;
	default:
		return 0;
	}
}

struct pkt *fake_pkt_raw(struct fake_pkt *f, const uint8_t *frame, size_t len, enum pkt_dir dir)
{
	uint8_t *data = f->room + RTE_PKTMBUF_HEADROOM;

	assert(len <= FAKE_FRAME_MAX);
	memset(&f->mbuf, 0, sizeof(f->mbuf));
	f->mbuf.buf_addr = f->room;
	f->mbuf.buf_len = UINT16_MAX < sizeof(f->room) ? UINT16_MAX : (uint16_t)sizeof(f->room);
	f->mbuf.data_off = RTE_PKTMBUF_HEADROOM;
	f->mbuf.refcnt = 1;
	f->mbuf.nb_segs = 1;
	f->mbuf.pkt_len = f->mbuf.data_len = (uint16_t)len;
	if (frame != data)
		memcpy(data, frame, len);
	f->pkt = (struct pkt){.mbuf = &f->mbuf, .dir = dir};
	return &f->pkt;
}

struct pkt *fake_pkt_wrap(struct fake_pkt *f, const uint8_t *frame, size_t len, enum pkt_dir dir)
{
	struct pkt *p = &f->pkt;
	struct layout l, quoted;
	uint16_t l3_off = 14;
	uint8_t *data = f->room + RTE_PKTMBUF_HEADROOM;

	fake_pkt_raw(f, frame, len, dir);
	while (load16(data + l3_off - 2) == RTE_ETHER_TYPE_VLAN)
		l3_off += 4;
	find_layout(&l, data, l3_off);
	assert(l.l4_off + l.l4_len <= len);
	*p = (struct pkt){.mbuf = &f->mbuf,
		.dir = dir,
		.l3_off = l3_off,
		.l4_off = l.l4_off,
		.proto = l.proto,
		.ip_len = l.l4_off + l.l4_len - l3_off};
	p->flags = (l.six ? PKT_IPV6 : 0) | (l.fragment ? PKT_FRAGMENT : 0) |
		   (l.later ? PKT_LATER_FRAGMENT : 0);
	p->payload_len = l.later ? l.l4_len : l.l4_len - l4_header_len(&l, data + l.l4_off);
	if (!l.later && l.proto == IPPROTO_TCP)
		p->tcp_flags = data[l.l4_off + 13];
	if (!l.later && is_echo(&l, data[l.l4_off], 8, 128))
		p->flags |= PKT_ICMP_QUERY;
	if (!l.later && is_icmp_error(&l, data[l.l4_off])) {
		p->flags |= PKT_ICMP_ERROR;
		find_layout(&quoted, data, l.l4_off + 8);
		fill_key(p, &quoted, data, dir == PKT_EGRESS ? PKT_INGRESS : PKT_EGRESS);
	} else {
		fill_key(p, &l, data, dir);
	}
	p->hash = session_key_hash(&p->key);
	return p;
}

struct pkt *fake_pkt_make(struct fake_pkt *f, const struct fake_packet *spec, enum pkt_dir dir)
{
	uint8_t *data = f->room + RTE_PKTMBUF_HEADROOM;

	return fake_pkt_wrap(f, data, fake_packet_build(spec, data, FAKE_FRAME_MAX), dir);
}

struct rte_mbuf *fake_frame_mbuf(const uint8_t *frame, size_t len, struct rte_mempool *pool)
{
	struct rte_mbuf *m = rte_pktmbuf_alloc(pool);
	char *at;

	if (!m)
		return NULL;
	at = rte_pktmbuf_append(m, (uint16_t)len);
	assert(at);
	memcpy(at, frame, len);
	return m;
}

struct rte_mbuf *fake_packet_mbuf(const struct fake_packet *f, struct rte_mempool *pool)
{
	uint8_t frame[FAKE_FRAME_MAX];

	return fake_frame_mbuf(frame, fake_packet_build(f, frame, sizeof(frame)), pool);
}
