/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The store with the loop of a worker around it: parse, frag_input, verdict on the first, and what
 * the verdict lets go through the same again.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <arpa/inet.h>
#include <cmocka.h>
#include <string.h>

#include <rte_ip.h>

#include "dataplane/addr.h"
#include "dataplane/frag.h"
#include "dataplane/parse.h"
#include "test/fake/fake_capture.h"
#include "test/fake/fake_eal.h"
#include "test/fake/fake_packet.h"

#define VNI 100
#define PIECES_MAX 100

static struct rte_mempool *pool;

struct world {
	struct frag_store *store;
	uint32_t now_ms;
	enum drop_reason policy; /* verdict on first fragments */
	struct vport *vport;
	uint32_t drops[DROP_COUNT]; /* by the worker */
	uint32_t given_up[DROP_COUNT]; /* by the store */
	uint32_t forwarded;
	uint32_t forwarded_off[PIECES_MAX]; /* fragment offsets, in order */
	struct session_key keys[PIECES_MAX];
	uint32_t assembled; /* forwarded whole */
	uint32_t assembled_len;
	uint8_t assembled_flags;
};

static void count_given_up(void *arg, const struct frag_drop *drop)
{
	((struct world *)arg)->given_up[drop->reason] += drop->packets;
}

static void world_open(struct world *w, uint32_t datagrams, uint32_t bytes, uint32_t per_vport)
{
	struct frag_params params = {.datagrams = datagrams,
		.bytes = bytes,
		.per_vport_datagrams = per_vport,
		.dropped = count_given_up,
		.arg = w};

	memset(w, 0, sizeof(*w));
	w->store = frag_create(&params);
	assert_non_null(w->store);
}

static void world_close(struct world *w)
{
	frag_free(w->store);
	assert_int_equal(rte_mempool_avail_count(pool), pool->size);
}

static uint32_t fragment_offset(const struct pkt *p)
{
	if (p->flags & PKT_IPV6) {
		const uint8_t *h = pkt_at(p, parse_fragment6_off(p));

		return (uint32_t)(h[2] << 8 | h[3]) & 0xfff8;
	}
	return (rte_be_to_cpu_16(((struct rte_ipv4_hdr *)pkt_l3(p))->fragment_offset) & 0x1fff) *
	       8u;
}

static void forward(struct world *w, struct pkt *p)
{
	if (p->flags & PKT_FRAGMENT) {
		assert_true(w->forwarded < PIECES_MAX);
		w->keys[w->forwarded] = p->key;
		w->forwarded_off[w->forwarded++] = fragment_offset(p);
	} else {
		w->assembled++;
		w->assembled_len = p->mbuf->pkt_len;
		w->assembled_flags = p->tcp_flags;
	}
	rte_pktmbuf_free(p->mbuf);
}

static void feed_mbuf(struct world *w, struct rte_mbuf *m, enum pkt_dir dir)
{
	struct pkt p = {.mbuf = m, .dir = dir, .vport = w->vport};
	struct rte_mbuf *out[4];
	uint16_t count;
	bool first;

	parse_packet(&p, VNI);
	first = (p.flags & (PKT_FRAGMENT | PKT_LATER_FRAGMENT)) == PKT_FRAGMENT;
	if (p.drop == DROP_NONE && p.flags & PKT_FRAGMENT)
		frag_input(w->store, &p, w->now_ms);
	if (p.drop != DROP_NONE) {
		w->drops[p.drop]++;
		rte_pktmbuf_free(p.mbuf);
		return;
	}
	if (p.mbuf == NULL)
		return;
	if (!first || !(p.flags & PKT_FRAGMENT)) {
		forward(w, &p);
		return;
	}
	if (w->policy == DROP_NONE) {
		forward(w, &p);
	} else {
		w->drops[w->policy]++;
		rte_pktmbuf_free(p.mbuf);
	}
	do {
		count = frag_verdict(w->store, &p, w->policy, out, RTE_DIM(out));
		for (uint16_t i = 0; i < count; i++)
			feed_mbuf(w, out[i], dir);
	} while (count == RTE_DIM(out));
}

static void feed(struct world *w, const uint8_t *frame, size_t len)
{
	struct rte_mbuf *m = fake_frame_mbuf(frame, len, pool);

	assert_non_null(m);
	feed_mbuf(w, m, PKT_INGRESS);
}

/* A datagram and the pieces cut from it. */
struct datagram {
	uint8_t whole[FAKE_FRAME_MAX];
	size_t len;
	uint32_t id;
};

static void datagram_make(struct datagram *d, const char *src, const char *dst, uint16_t payload)
{
	struct fake_packet udp = {.src = src,
		.dst = dst,
		.sport = 4000,
		.dport = 53,
		.ip_id = 7,
		.payload_len = payload};

	d->id = 7;
	d->len = fake_packet_build(&udp, d->whole, sizeof(d->whole));
}

static void feed_piece(struct world *w, const struct datagram *d, uint16_t off, uint16_t len)
{
	static uint8_t frame[FAKE_FRAME_MAX];
	size_t n = fake_packet_fragment(d->whole, d->len, off, len, d->id, frame, sizeof(frame));

	assert_true(n > 0);
	feed(w, frame, n);
}

static void assert_empty(struct world *w)
{
	struct frag_stats stats;

	frag_stats(w->store, &stats);
	assert_int_equal(stats.datagrams, 0);
	assert_int_equal(stats.packets, 0);
	assert_int_equal(stats.bytes, 0);
	assert_int_equal(rte_mempool_avail_count(pool), pool->size);
}

static const char *const families[2][2] = {
	{"198.51.100.10", "10.0.0.5"}, {"2001:db8::10", "2001:db8::5"}};
static const uint8_t orders[][3] = {
	{0, 1, 2}, {2, 1, 0}, {1, 0, 2}, {0, 2, 1}, {1, 2, 0}, {2, 0, 1}};

static void test_three_fragments_pass_in_every_order_when_the_first_is_allowed_a17(void **state)
{
	static struct datagram d;

	for (size_t i = 0; i < 2 * RTE_DIM(orders); i++) {
		struct world w;
		const uint8_t *order = orders[i / 2];

		world_open(&w, 8, 1 << 20, 8);
		datagram_make(&d, families[i & 1][0], families[i & 1][1], 4000);
		for (int k = 0; k < 3; k++)
			feed_piece(&w, &d, order[k] * 1400, 1400);
		assert_int_equal(w.forwarded, 3);
		for (int k = 0; k < 3; k++) {
			assert_int_equal(w.keys[k].local_port, htons(53));
			assert_int_equal(w.keys[k].remote_port, htons(4000));
		}
		assert_int_equal(w.forwarded_off[0], 0); /* the first is judged before others go */
		assert_empty(&w);
		world_close(&w);
	}
}

static void test_no_fragment_passes_when_the_first_is_denied_a17(void **state)
{
	static struct datagram d;

	for (size_t i = 0; i < 2 * RTE_DIM(orders); i++) {
		struct world w;

		world_open(&w, 8, 1 << 20, 8);
		w.policy = DROP_DENIED;
		datagram_make(&d, families[i & 1][0], families[i & 1][1], 4000);
		for (int k = 0; k < 3; k++)
			feed_piece(&w, &d, orders[i / 2][k] * 1400, 1400);
		assert_int_equal(w.forwarded, 0);
		assert_int_equal(w.drops[DROP_DENIED], 1);
		assert_int_equal(w.drops[DROP_FRAG_DENIED], 2);
		assert_empty(&w);
		world_close(&w);
	}
}

static void test_twenty_pings_of_20000_bytes_pass_a17(void **state)
{
	static uint8_t frame[FAKE_FRAME_MAX];
	struct world w;

	world_open(&w, 64, 1 << 20, 64);
	for (uint16_t ping = 0; ping < 20; ping++) {
		/* 8 bytes of ICMP and 20000 of data in 14 pieces, each built as its own packet */
		for (int k = 13; k >= 0; k--) {
			struct fake_packet piece = {.proto = IPPROTO_ICMP,
				.icmp_type = 8,
				.icmp_id = 9,
				.ip_id = ping,
				.payload_len = (uint16_t)((k < 13 ? 1480 : 768) - 8)};
			size_t len = fake_packet_build(&piece, frame, sizeof(frame));
			uint16_t field = (uint16_t)((k < 13 ? 0x2000 : 0) | k * 1480 / 8);
			struct rte_ipv4_hdr *ip = (struct rte_ipv4_hdr *)(frame + 14);

			ip->fragment_offset = rte_cpu_to_be_16(field);
			ip->hdr_checksum = 0;
			ip->hdr_checksum = rte_ipv4_cksum(ip);
			feed(&w, frame, len);
		}
		assert_int_equal(w.forwarded, 14);
		assert_int_equal(
			w.keys[13].remote_port, htons(9)); /* the identifier of the asker */
		w.forwarded = 0;
	}
	assert_empty(&w);
	world_close(&w);
}

static void test_a_lone_first_fragment_costs_nothing_after_its_life_a17(void **state)
{
	static struct datagram d;
	struct world w;
	struct frag_stats stats;

	world_open(&w, 8, 1 << 20, 8);
	w.now_ms = 0xfffffff0; /* the clock wraps in between */
	datagram_make(&d, families[0][0], families[0][1], 4000);
	feed_piece(&w, &d, 0, 1400);
	frag_stats(w.store, &stats);
	assert_int_equal(stats.datagrams, 1);
	assert_int_equal(frag_expire(w.store, w.now_ms + FRAG_LIFE_MS - 1), 0);
	frag_stats(w.store, &stats);
	assert_int_equal(stats.datagrams, 1);
	assert_int_equal(frag_expire(w.store, w.now_ms + FRAG_LIFE_MS), 0);
	assert_empty(&w);
	world_close(&w);
}

static void test_later_fragments_whose_first_never_came_are_counted_as_such(void **state)
{
	static struct datagram d;
	struct world w;
	struct frag_stats stats;

	world_open(&w, 8, 1 << 20, 8);
	datagram_make(&d, families[1][0], families[1][1], 4000);
	feed_piece(&w, &d, 1400, 1400);
	feed_piece(&w, &d, 2800, 1400);
	frag_stats(w.store, &stats);
	assert_int_equal(stats.packets, 2);
	assert_true(stats.bytes > 2 * 1400);
	assert_int_equal(frag_expire(w.store, FRAG_LIFE_MS), 2);
	assert_int_equal(w.given_up[DROP_FRAG_NO_FIRST], 2);
	assert_empty(&w);
	world_close(&w);
}

static void test_many_expired_datagrams_go_at_once(void **state)
{
	static struct datagram d;
	struct world w;

	world_open(&w, 500, 4 << 20, 500);
	datagram_make(&d, families[1][0], families[1][1], 4000);
	for (d.id = 0; d.id < 300; d.id++)
		feed_piece(&w, &d, 1400, 1400);
	assert_int_equal(frag_expire(w.store, FRAG_LIFE_MS), 300);
	assert_empty(&w);
	world_close(&w);
}

static void test_an_overlap_drops_what_is_parked_and_all_that_follows_a17(void **state)
{
	static struct datagram d;

	for (int six = 0; six < 2; six++) {
		struct world w;

		world_open(&w, 8, 1 << 20, 8);
		datagram_make(&d, families[six][0], families[six][1], 4000);
		feed_piece(&w, &d, 1400, 1400);
		feed_piece(&w, &d, 2792, 800); /* 8 bytes over the end of the former */
		assert_int_equal(w.drops[DROP_FRAG_OVERLAP], 1);
		assert_int_equal(w.given_up[DROP_FRAG_OVERLAP], 1);
		feed_piece(&w, &d, 0, 1400);
		assert_int_equal(w.drops[DROP_FRAG_OVERLAP], 2);
		assert_int_equal(w.forwarded, 0);
		assert_int_equal(frag_expire(w.store, FRAG_LIFE_MS), 0);
		assert_empty(&w);
		world_close(&w);
	}
}

static void test_a_piece_beyond_the_end_or_a_second_end_is_an_overlap(void **state)
{
	static struct datagram d, shorter;
	struct world w;

	world_open(&w, 8, 1 << 20, 8);
	datagram_make(&d, families[0][0], families[0][1], 4000);
	datagram_make(&shorter, families[0][0], families[0][1], 1992);
	feed_piece(&w, &shorter, 1400, 600); /* says the datagram ends at 2000 */
	feed_piece(&w, &d, 2800, 400);
	assert_int_equal(w.drops[DROP_FRAG_OVERLAP], 1);
	w.drops[DROP_FRAG_OVERLAP] = 0;
	d.whole[19] = shorter.whole[19] = 8; /* another id, the other order */
	feed_piece(&w, &d, 2800, 400);
	feed_piece(&w, &shorter, 1400, 600);
	assert_int_equal(w.drops[DROP_FRAG_OVERLAP], 1);
	world_close(&w);
}

static void test_an_exact_duplicate_is_dropped_alone(void **state)
{
	static struct datagram d;
	struct world w;

	world_open(&w, 8, 1 << 20, 8);
	datagram_make(&d, families[0][0], families[0][1], 4000);
	feed_piece(&w, &d, 1400, 1400);
	feed_piece(&w, &d, 1400, 1400);
	assert_int_equal(w.drops[DROP_FRAG_OVERLAP], 1);
	feed_piece(&w, &d, 0, 1400);
	feed_piece(&w, &d, 1400, 1400);
	assert_int_equal(w.drops[DROP_FRAG_OVERLAP], 2);
	feed_piece(&w, &d, 2800, 1400);
	assert_int_equal(w.forwarded, 3);
	assert_empty(&w);
	world_close(&w);
}

/* 16 bits of id wrap within the life of a datagram that lost its end. */
static void test_an_id_used_again_is_a_new_datagram(void **state)
{
	static struct datagram d;
	struct world w;

	world_open(&w, 8, 1 << 20, 8);
	datagram_make(&d, families[0][0], families[0][1], 4000);
	feed_piece(&w, &d, 0, 1400);
	feed_piece(&w, &d, 1400, 1400);
	w.now_ms = 20000;
	for (int k = 0; k < 3; k++)
		feed_piece(&w, &d, (uint16_t)(k * 1400), 1400);
	assert_int_equal(w.forwarded, 5);
	assert_empty(&w);
	world_close(&w);
}

static void test_a_datagram_of_one_direction_is_not_that_of_the_other(void **state)
{
	static struct datagram d;
	static uint8_t frame[FAKE_FRAME_MAX];
	struct world w;
	size_t n;

	world_open(&w, 8, 1 << 20, 8);
	datagram_make(&d, families[0][0], families[0][1], 4000);
	feed_piece(&w, &d, 0, 1400); /* two VMs of one host: the same packet leaves and arrives */
	n = fake_packet_fragment(d.whole, d.len, 0, 1400, d.id, frame, sizeof(frame));
	feed_mbuf(&w, fake_frame_mbuf(frame, n, pool), PKT_EGRESS);
	assert_int_equal(w.forwarded, 2);
	world_close(&w);
}

static void test_capture_24_a_syn_in_three_fragments_becomes_one_packet_a17(void **state)
{
	struct fake_capture c;

	if (!fake_capture_load(&c, "24-tcp-syn-in-fragments.pcap"))
		skip();
	assert_int_equal(c.count, 3);
	for (size_t i = 0; i < 1 + RTE_DIM(orders); i++) {
		struct world w;

		world_open(&w, 8, 1 << 20, 8);
		for (int k = 0; k < 3; k++) {
			struct fake_frame *f = &c.frame[i ? orders[i - 1][k] : k];
			uint8_t untagged[64];

			if (i == 0) { /* as it is: behind a VLAN tag */
				feed(&w, f->bytes, f->len);
				continue;
			}
			memcpy(untagged, f->bytes, 12);
			memcpy(untagged + 12, f->bytes + 16, f->len - 16);
			feed(&w, untagged, f->len - 4);
		}
		if (i == 0) {
			assert_int_equal(w.drops[DROP_BAD_ETHER], 3);
		} else {
			assert_int_equal(w.assembled, 1);
			assert_int_equal(w.given_up[DROP_CONSUMED], 2);
			assert_int_equal(w.assembled_len, 14 + 20 + 24);
			assert_int_equal(w.assembled_flags, RTE_TCP_SYN_FLAG);
			assert_int_equal(w.forwarded, 0);
		}
		assert_empty(&w);
		world_close(&w);
	}
	fake_capture_free(&c);
}

static void test_capture_23_an_oversize_ipv6_datagram_ends_in_a_limit_a17(void **state)
{
	struct fake_capture c;
	struct world w;

	if (!fake_capture_load(&c, "23-ipv6-frags-oversize.pcap"))
		skip();
	world_open(&w, 8, 1 << 20, 8);
	for (size_t i = 0; i < c.count; i++)
		feed(&w, c.frame[i].bytes, c.frame[i].len);
	assert_true(w.drops[DROP_FRAG_LIMIT] > 0);
	assert_true(w.forwarded > 40);
	assert_int_equal(w.drops[DROP_BAD_IP] + w.drops[DROP_SHORT] + w.drops[DROP_BAD_L4], 0);
	frag_expire(w.store, FRAG_LIFE_MS);
	assert_empty(&w);
	world_close(&w);
	fake_capture_free(&c);
}

static void test_more_pieces_than_the_bound_end_the_datagram(void **state)
{
	static struct datagram d;
	struct world w;

	world_open(&w, 8, 4 << 20, 8);
	datagram_make(&d, families[0][0], families[0][1], 4000);
	for (uint16_t k = 1; k <= FRAG_PIECES_MAX + 1; k++)
		feed_piece(&w, &d, k * 16, 16);
	assert_int_equal(w.drops[DROP_FRAG_LIMIT], 1);
	assert_int_equal(w.given_up[DROP_FRAG_LIMIT], FRAG_PIECES_MAX);
	world_close(&w);
}

static void test_one_vport_cannot_take_the_store_from_others(void **state)
{
	static struct datagram d;
	struct world w;
	struct frag_stats stats;

	world_open(&w, 16, 1 << 20, 4);
	w.vport = (struct vport *)0x1000;
	datagram_make(&d, families[1][0], families[1][1], 4000);
	for (d.id = 0; d.id < 10; d.id++)
		feed_piece(&w, &d, 1400, 1400);
	assert_int_equal(w.drops[DROP_FRAG_LIMIT], 6);
	w.vport = (struct vport *)0x2000;
	feed_piece(&w, &d, 1400, 1400);
	assert_int_equal(w.drops[DROP_FRAG_LIMIT], 6);
	frag_stats(w.store, &stats);
	assert_int_equal(stats.datagrams, 5);
	world_close(&w);
}

static void test_parked_bytes_of_one_vport_are_a_part_of_all(void **state)
{
	static struct datagram d;
	struct world w;
	struct frag_stats stats;

	world_open(&w, 64, 100 * RTE_MBUF_DEFAULT_BUF_SIZE, 64);
	w.vport = (struct vport *)0x1000;
	datagram_make(&d, families[1][0], families[1][1], 4000);
	for (d.id = 0; d.id < 50; d.id++)
		feed_piece(&w, &d, 1400, 1400);
	frag_stats(w.store, &stats);
	assert_int_equal(stats.packets, 25);
	w.vport = (struct vport *)0x2000;
	feed_piece(&w, &d, 1400, 1400);
	frag_stats(w.store, &stats);
	assert_int_equal(stats.packets, 26);
	world_close(&w);
}

static void test_a_flush_forgets_one_address_or_vport_only(void **state)
{
	static struct datagram d;
	struct world w;
	struct frag_stats stats;
	struct in6_addr local = addr_from_v4(inet_addr("10.0.0.5")), six;

	inet_pton(AF_INET6, "2001:db8::5", &six);
	world_open(&w, 16, 1 << 20, 16);
	datagram_make(&d, families[0][0], families[0][1], 4000);
	feed_piece(&w, &d, 1400, 1400);
	datagram_make(&d, families[1][0], families[1][1], 4000);
	feed_piece(&w, &d, 1400, 1400);
	datagram_make(&d, families[0][0], "10.0.0.6", 4000);
	w.vport = (struct vport *)0x1000;
	feed_piece(&w, &d, 1400, 1400);
	assert_int_equal(frag_flush(w.store, NULL, VNI + 1, &local), 0);
	assert_int_equal(frag_flush(w.store, NULL, VNI, &local), 1);
	assert_int_equal(frag_flush(w.store, NULL, VNI, &local), 0);
	assert_int_equal(frag_flush(w.store, (struct vport *)0x1000, VNI, &local), 1);
	assert_int_equal(frag_flush(w.store, NULL, VNI, &six), 1);
	frag_stats(w.store, &stats);
	assert_int_equal(stats.datagrams, 0);
	assert_int_equal(w.given_up[DROP_FRAG_TIMEOUT], 3);
	world_close(&w);
}

static void test_a_verdict_on_a_datagram_that_is_gone_is_ignored(void **state)
{
	static struct datagram d;
	static uint8_t frame[FAKE_FRAME_MAX];
	struct world w;
	struct rte_mbuf *out[4];
	struct pkt p;
	size_t n;

	world_open(&w, 1, 1 << 20, 8);
	datagram_make(&d, families[0][0], families[0][1], 4000);
	n = fake_packet_fragment(d.whole, d.len, 0, 1400, d.id, frame, sizeof(frame));
	p = (struct pkt){.mbuf = fake_frame_mbuf(frame, n, pool), .dir = PKT_INGRESS};
	parse_packet(&p, VNI);
	assert_int_equal(frag_input(w.store, &p, 0), DROP_NONE);
	frag_expire(w.store, FRAG_LIFE_MS);
	datagram_make(&d, families[1][0], families[1][1], 4000);
	feed_piece(&w, &d, 1400, 1400); /* the same slot, another datagram */
	assert_int_equal(frag_verdict(w.store, &p, DROP_NONE, out, 4), 0);
	rte_pktmbuf_free(p.mbuf);
	world_close(&w);
}

static int setup(void **state)
{
	if (fake_eal_start() != 0)
		return -1;
	pool = rte_pktmbuf_pool_create("frag", 511, 0, 0, RTE_MBUF_DEFAULT_BUF_SIZE, SOCKET_ID_ANY);
	return pool ? 0 : -1;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(
			test_three_fragments_pass_in_every_order_when_the_first_is_allowed_a17),
		cmocka_unit_test(test_no_fragment_passes_when_the_first_is_denied_a17),
		cmocka_unit_test(test_twenty_pings_of_20000_bytes_pass_a17),
		cmocka_unit_test(test_a_lone_first_fragment_costs_nothing_after_its_life_a17),
		cmocka_unit_test(test_later_fragments_whose_first_never_came_are_counted_as_such),
		cmocka_unit_test(test_many_expired_datagrams_go_at_once),
		cmocka_unit_test(test_an_overlap_drops_what_is_parked_and_all_that_follows_a17),
		cmocka_unit_test(test_a_piece_beyond_the_end_or_a_second_end_is_an_overlap),
		cmocka_unit_test(test_an_exact_duplicate_is_dropped_alone),
		cmocka_unit_test(test_an_id_used_again_is_a_new_datagram),
		cmocka_unit_test(test_a_datagram_of_one_direction_is_not_that_of_the_other),
		cmocka_unit_test(test_capture_24_a_syn_in_three_fragments_becomes_one_packet_a17),
		cmocka_unit_test(test_capture_23_an_oversize_ipv6_datagram_ends_in_a_limit_a17),
		cmocka_unit_test(test_more_pieces_than_the_bound_end_the_datagram),
		cmocka_unit_test(test_one_vport_cannot_take_the_store_from_others),
		cmocka_unit_test(test_parked_bytes_of_one_vport_are_a_part_of_all),
		cmocka_unit_test(test_a_flush_forgets_one_address_or_vport_only),
		cmocka_unit_test(test_a_verdict_on_a_datagram_that_is_gone_is_ignored),
	};

	return cmocka_run_group_tests(tests, setup, NULL);
}
