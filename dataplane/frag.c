/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The fragment store. A datagram is found by a small chained hash and ages in order of creation
 * (its life is fixed, so a list does). Per datagram it keeps the place of each piece, to see
 * overlaps and the end, and the frames parked until the fate of the first is known.
 *
 * Life of a datagram:
 *   made by any of its pieces -> FRAG_WAIT_FIRST (pieces are parked)
 *   first piece               -> WAIT_VERDICT (pieces are parked; the first is with the worker)
 *   frag_verdict()            -> ALLOWED or DENIED (parked pieces are released and come in again)
 *   overlap, oversize         -> BROKEN (parked pieces dropped, later ones too)
 *   IPv4 first without its whole L4 header -> ASSEMBLE (all are parked, the last one brings the
 * whole) It is freed when all its bytes have passed, at the end of its life, or by frag_flush().
 *
 * Threads: any worker and the housekeeper; one spinlock for all.
 */
#include "dataplane/frag.h"

#include <rte_ip.h>

#include "dataplane/frag_store.h"
#include "dataplane/parse.h"

#define ETH_LEN ((uint16_t)sizeof(struct rte_ether_hdr))
#define EXPIRE_SLICE 64 /* datagrams per hold of the lock */
#define ADOPTED_FLAGS (PKT_ICMP_QUERY) /* of the first piece, told of the later ones */

/* Where a fragment lies in its datagram. */
struct place {
	uint32_t begin, len;
	bool more;
};

/* The datagram a packet belongs to, and the place of the packet in it. */
static void read_fragment(const struct pkt *p, struct frag_key *key, struct place *place)
{
	const uint8_t *l3 = pkt_l3(p);
	uint16_t field;

	memset(key, 0, sizeof(*key));
	key->kind = p->dir | (p->flags & PKT_IPV6 ? FRAG_KEY_IPV6 : 0);
	key->vni_proto = session_key_vni(&p->key) << 8;
	if (p->flags & PKT_IPV6) {
		uint16_t off = parse_fragment6_off(p);
		const uint8_t *h = pkt_at(p, off);

		memcpy(key->addresses, l3 + offsetof(struct rte_ipv6_hdr, src_addr), 32);
		memcpy(&key->id, h + 4, sizeof(key->id));
		field = (uint16_t)(h[2] << 8 | h[3]);
		place->begin = field & 0xfff8;
		place->more = field & 1;
		place->len = sizeof(struct rte_ipv6_hdr) + (uint32_t)(l3[4] << 8 | l3[5]) -
			     (off + 8u - p->l3_off);
	} else {
		const struct rte_ipv4_hdr *ip = (const struct rte_ipv4_hdr *)l3;

		memcpy(key->addresses, &ip->src_addr, 8);
		key->id = ip->packet_id;
		key->vni_proto |= ip->next_proto_id;
		field = rte_be_to_cpu_16(ip->fragment_offset);
		place->begin = (field & RTE_IPV4_HDR_OFFSET_MASK) * 8u;
		place->more = field & RTE_IPV4_HDR_MF_FLAG;
		place->len = rte_be_to_cpu_16(ip->total_length) - (ip->version_ihl & 0xf) * 4u;
	}
}

static enum drop_reason break_datagram(
	struct frag_store *store, struct frag_datagram *d, enum drop_reason reason)
{
	d->state = FRAG_BROKEN;
	d->broken = reason;
	frag_drop_parked(store, d, reason);
	return reason;
}

static struct frag_piece *overlapped(struct frag_datagram *d, const struct place *at)
{
	for (uint16_t i = 0; i < d->pieces; i++) {
		struct frag_piece *old = &d->piece[i];

		if (at->begin < (uint32_t)old->begin + old->len && at->begin + at->len > old->begin)
			return old;
	}
	return NULL;
}

static bool is_same(const struct frag_piece *piece, const struct place *at)
{
	return piece->begin == at->begin && piece->len == at->len;
}

/*
 * Enter a piece. *out: its entry (new, or a released one that came in again). DROP_NONE, or why it
 * or the whole datagram may not go on.
 */
static enum drop_reason add_piece(struct frag_store *store, struct frag_datagram *d,
	const struct place *at, struct frag_piece **out)
{
	struct frag_piece *old = overlapped(d, at);
	uint32_t end = at->begin + at->len;

	if (old != NULL) {
		if (!is_same(old, at))
			return break_datagram(store, d, DROP_FRAG_OVERLAP);
		if (!old->released)
			return DROP_FRAG_OVERLAP;
		old->released = false;
		d->waiting--;
		*out = old;
		return DROP_NONE;
	}
	if (end > FRAG_DATAGRAM_MAX || d->pieces == FRAG_PIECES_MAX)
		return break_datagram(store, d, DROP_FRAG_LIMIT);
	if (d->end != 0 ? !at->more || end > d->end : !at->more && d->top > end)
		return break_datagram(store, d, DROP_FRAG_OVERLAP);
	if (!at->more)
		d->end = end;
	d->top = RTE_MAX(d->top, end);
	d->seen += at->len;
	*out = &d->piece[d->pieces++];
	**out = (struct frag_piece){.begin = (uint16_t)at->begin, .len = (uint16_t)at->len};
	return DROP_NONE;
}

static bool is_whole(const struct frag_datagram *d)
{
	return d->end != 0 && d->seen == d->end;
}

/* Take the piece that begins at byte `at` out of the store. */
static struct rte_mbuf *take_piece(
	struct frag_store *store, struct frag_datagram *d, uint32_t at, uint32_t *len)
{
	for (uint16_t i = 0; i < d->pieces; i++) {
		if (d->piece[i].begin == at) {
			*len = d->piece[i].len;
			return frag_unpark(store, d, &d->piece[i]);
		}
	}
	return NULL;
}

static struct rte_ipv4_hdr *header4(const struct rte_mbuf *m)
{
	return rte_pktmbuf_mtod_offset(m, struct rte_ipv4_hdr *, ETH_LEN);
}

/*
 * All pieces of a datagram with a split header are there: chain them to one packet, which is parsed
 * like any other, and forget the datagram. Only IPv4 gets here.
 */
static enum drop_reason assemble(struct frag_store *store, struct frag_datagram *d, struct pkt *p)
{
	uint32_t vni = d->key.vni_proto >> 8, end = d->end, at, len;
	struct rte_mbuf *whole = take_piece(store, d, 0, &at);
	struct rte_ipv4_hdr *ip = header4(whole);
	uint32_t ihl = rte_ipv4_hdr_len(ip);

	pkt_truncate(whole, ETH_LEN + ihl + at);
	frag_report(store, d, DROP_CONSUMED, d->pieces - 1u);
	for (; at < end; at += len) {
		struct rte_mbuf *m = take_piece(store, d, at, &len);

		rte_pktmbuf_adj(m, (uint16_t)(ETH_LEN + rte_ipv4_hdr_len(header4(m))));
		pkt_truncate(m, len);
		rte_pktmbuf_chain(whole, m);
	}
	frag_datagram_free(store, d);
	ip->total_length = rte_cpu_to_be_16((uint16_t)(ihl + end));
	ip->fragment_offset = 0;
	ip->hdr_checksum = 0;
	ip->hdr_checksum = (rte_be16_t)~rte_raw_cksum(ip, ihl);
	p->mbuf = whole;
	p->flags &= ~(PKT_FRAGMENT | PKT_LATER_FRAGMENT | PKT_SPLIT_HEADER);
	parse_packet(p, vni);
	return (enum drop_reason)p->drop;
}

static enum drop_reason park(
	struct frag_store *store, struct frag_datagram *d, struct frag_piece *piece, struct pkt *p)
{
	bool done = d->state == FRAG_ASSEMBLE && is_whole(d);

	/* The whole may be too long for one header: 64 KiB with the options of its first piece. */
	if ((done && d->end > FRAG_DATAGRAM_MAX - 60) || !frag_park(store, d, piece, p))
		return break_datagram(store, d, DROP_FRAG_LIMIT);
	return done ? assemble(store, d, p) : DROP_NONE;
}

static enum drop_reason first_piece(
	struct frag_store *store, struct frag_datagram *d, struct frag_piece *piece, struct pkt *p)
{
	if (p->flags & PKT_SPLIT_HEADER) {
		d->state = FRAG_ASSEMBLE;
		return park(store, d, piece, p);
	}
	d->state = FRAG_WAIT_VERDICT;
	d->session = p->key;
	d->hash = p->hash;
	d->flags = p->flags & ADOPTED_FLAGS;
	d->proto = p->proto;
	p->frag = (uint32_t)d->serial << 16 | (uint32_t)(d - store->datagrams);
	return DROP_NONE;
}

/* Nothing more of a judged datagram will come. */
static void free_if_done(struct frag_store *store, struct frag_datagram *d)
{
	if (is_whole(d) && d->waiting == 0)
		frag_datagram_free(store, d);
}

static enum drop_reason later_piece(
	struct frag_store *store, struct frag_datagram *d, struct frag_piece *piece, struct pkt *p)
{
	enum drop_reason reason = DROP_FRAG_DENIED;

	if (d->state != FRAG_ALLOWED && d->state != FRAG_DENIED)
		return park(store, d, piece, p);
	if (d->state == FRAG_ALLOWED) {
		p->key = d->session;
		p->hash = d->hash;
		p->proto = d->proto;
		p->flags |= d->flags;
		reason = DROP_NONE;
	}
	free_if_done(store, d);
	return reason;
}

static enum drop_reason input(struct frag_store *store, struct pkt *p, uint32_t now_ms)
{
	struct frag_key key;
	struct place at;
	struct frag_datagram *d;
	struct frag_piece *piece;
	enum drop_reason reason;

	read_fragment(p, &key, &at);
	d = frag_datagram_find(store, &key);
	if (d == NULL)
		d = frag_datagram_make(store, p, &key, now_ms);
	if (d == NULL)
		return DROP_FRAG_LIMIT;
	if (d->state == FRAG_BROKEN)
		return d->broken;
	if ((d->state == FRAG_ALLOWED || d->state == FRAG_DENIED) && at.begin == 0 &&
		d->waiting == 0 && overlapped(d, &at) && is_same(overlapped(d, &at), &at))
		frag_datagram_restart(store, d, now_ms);
	reason = add_piece(store, d, &at, &piece);
	if (reason != DROP_NONE)
		return reason;
	return at.begin == 0 ? first_piece(store, d, piece, p) : later_piece(store, d, piece, p);
}

enum drop_reason frag_input(struct frag_store *store, struct pkt *p, uint32_t now_ms)
{
	enum drop_reason reason;

	rte_spinlock_lock(&store->lock);
	reason = input(store, p, now_ms);
	rte_spinlock_unlock(&store->lock);
	p->drop = (uint8_t)reason;
	return reason;
}

static uint16_t release(
	struct frag_store *store, struct frag_datagram *d, struct rte_mbuf **out, uint16_t max)
{
	uint16_t count = 0;

	for (uint16_t i = 0; i < d->pieces && count < max; i++) {
		struct rte_mbuf *m = frag_unpark(store, d, &d->piece[i]);

		if (m == NULL)
			continue;
		d->piece[i].released = true;
		d->waiting++;
		out[count++] = m;
	}
	return count;
}

uint16_t frag_verdict(struct frag_store *store, const struct pkt *first, enum drop_reason verdict,
	struct rte_mbuf **out, uint16_t max)
{
	struct frag_datagram *d = &store->datagrams[first->frag & 0xffff];
	uint16_t count = 0;

	rte_spinlock_lock(&store->lock);
	if (d->serial == first->frag >> 16) {
		if (d->state == FRAG_WAIT_VERDICT)
			d->state = verdict == DROP_NONE ? FRAG_ALLOWED : FRAG_DENIED;
		if (d->state == FRAG_ALLOWED || d->state == FRAG_DENIED) {
			count = release(store, d, out, max);
			free_if_done(store, d);
		}
	}
	rte_spinlock_unlock(&store->lock);
	return count;
}

static uint32_t expire_slice(struct frag_store *store, uint32_t now_ms, bool *more)
{
	struct frag_datagram *d;
	uint32_t packets = 0;

	for (int i = 0; i < EXPIRE_SLICE; i++) {
		d = TAILQ_FIRST(&store->ages);
		*more = d != NULL && now_ms - d->born_ms >= FRAG_LIFE_MS;
		if (!*more)
			return packets;
		packets += frag_drop_parked(store, d,
			d->state == FRAG_WAIT_FIRST ? DROP_FRAG_NO_FIRST : DROP_FRAG_TIMEOUT);
		frag_datagram_free(store, d);
	}
	return packets;
}

uint32_t frag_expire(struct frag_store *store, uint32_t now_ms)
{
	uint32_t packets = 0;
	bool more = true;

	while (more) {
		rte_spinlock_lock(&store->lock);
		packets += expire_slice(store, now_ms, &more);
		rte_spinlock_unlock(&store->lock);
	}
	return packets;
}

uint32_t frag_flush(struct frag_store *store, const struct vport *vport, uint32_t vni,
	const struct in6_addr *local)
{
	struct frag_datagram *d, *next;
	uint32_t packets = 0;

	rte_spinlock_lock(&store->lock);
	for (d = TAILQ_FIRST(&store->ages); d != NULL; d = next) {
		next = TAILQ_NEXT(d, age);
		if (!frag_datagram_of(d, vport, vni, local))
			continue;
		packets += frag_drop_parked(store, d, DROP_FRAG_TIMEOUT);
		frag_datagram_free(store, d);
	}
	rte_spinlock_unlock(&store->lock);
	return packets;
}

void frag_stats(struct frag_store *store, struct frag_stats *stats)
{
	rte_spinlock_lock(&store->lock);
	*stats = store->stats;
	rte_spinlock_unlock(&store->lock);
}
