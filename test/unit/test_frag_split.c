/* SPDX-License-Identifier: BSD-3-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <arpa/inet.h>
#include <cmocka.h>
#include <string.h>

#include "dataplane/frag.h"
#include "dataplane/parse.h"
#include "test/fake/fake_eal.h"
#include "test/fake/fake_packet.h"

static struct rte_mempool *pool;

static uint16_t sum_of(const uint8_t *bytes, size_t len)
{
	uint32_t sum = 0;

	for (size_t i = 0; i < len; i += 2)
		sum += (uint32_t)(bytes[i] << 8 | bytes[i + 1]);
	sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)((sum & 0xffff) + (sum >> 16));
}

/* Put the pieces' payload together by hand and compare. */
static void assert_pieces(struct rte_mbuf **piece, uint16_t count, const uint8_t *whole, size_t len)
{
	static uint8_t bytes[FAKE_FRAME_MAX], room[FAKE_FRAME_MAX];
	size_t seen = 0, ihl = (whole[14] & 15) * 4u, payload = len - 14 - ihl;

	for (uint16_t i = 0; i < count; i++) {
		const uint8_t *b = rte_pktmbuf_read(piece[i], 0, piece[i]->pkt_len, room);
		size_t total = (size_t)(b[16] << 8 | b[17]), h = (b[14] & 15) * 4u;
		size_t off = ((size_t)(b[20] << 8 | b[21]) & 0x1fff) * 8;

		assert_int_equal(piece[i]->pkt_len, 14 + total);
		assert_true(total <= 600);
		assert_memory_equal(b, whole, 14);
		assert_int_equal(sum_of(b + 14, h), 0xffff);
		assert_int_equal(!!(b[20] & 0x20), off + total - h < payload);
		memcpy(bytes + off, b + 14 + h, total - h);
		seen += total - h;
		rte_pktmbuf_free(piece[i]);
	}
	assert_int_equal(seen, payload);
	assert_memory_equal(bytes, whole + 14 + ihl, payload);
}

static void test_a_split_packet_comes_together_again(void **state)
{
	static uint8_t whole[FAKE_FRAME_MAX];
	static const uint8_t alert[4] = {148, 4, 0, 0};
	struct rte_mbuf *piece[8];

	for (int options = 0; options < 2; options++) {
		struct fake_packet udp = {.payload_len = 1400,
			.ip_options = options ? alert : NULL,
			.ip_options_len = options ? 4 : 0};
		size_t len = fake_packet_build(&udp, whole, sizeof(whole));
		struct rte_mbuf *m = fake_frame_mbuf(whole, len, pool);
		uint16_t count;

		memset(rte_pktmbuf_append(m, 6), 0xee, 6); /* padding is not split */
		count = frag_split(m, 600, pool, piece, RTE_DIM(piece));
		assert_int_equal(count, 3);
		assert_pieces(piece, count, whole, len);
		assert_int_equal(rte_mempool_avail_count(pool), pool->size);
	}
}

static void test_what_may_not_be_split_is_left_whole(void **state)
{
	static uint8_t whole[FAKE_FRAME_MAX];
	struct fake_packet df = {.payload_len = 1400, .dont_fragment = true};
	struct fake_packet six = {.src = "2001:db8::1", .dst = "2001:db8::2", .payload_len = 1400};
	struct fake_packet plain = {.payload_len = 1400};
	struct fake_packet *refused[] = {&df, &six, &plain};
	struct rte_mbuf *piece[8];

	for (int i = 0; i < 3; i++) {
		size_t len = fake_packet_build(refused[i], whole, sizeof(whole));
		struct rte_mbuf *m = fake_frame_mbuf(whole, len, pool);

		assert_int_equal(frag_split(m, 600, pool, piece, i == 2 ? 2 : 8), 0);
		assert_int_equal(m->pkt_len, len);
		assert_memory_equal(rte_pktmbuf_mtod(m, void *), whole, len);
		rte_pktmbuf_free(m);
	}
	assert_int_equal(rte_mempool_avail_count(pool), pool->size);
}

static void test_an_assembled_packet_equals_the_one_that_was_cut(void **state)
{
	static uint8_t whole[FAKE_FRAME_MAX], frame[FAKE_FRAME_MAX], got[FAKE_FRAME_MAX];
	struct fake_packet tcp = {.proto = IPPROTO_TCP, .mss = 1460, .payload_len = 41};
	size_t len = fake_packet_build(&tcp, whole, sizeof(whole));
	struct frag_params params = {.datagrams = 4, .bytes = 1 << 20, .per_vport_datagrams = 4};
	struct frag_store *store = frag_create(&params);
	struct pkt p = {0};

	for (int k = 5; k >= 0; k--) { /* 16 bytes each, 65 of L4, each padded to 60 */
		size_t n = fake_packet_fragment(
			whole, len, (uint16_t)(k * 16), 16, 0, frame, sizeof(frame));

		if (n == 0)
			continue;
		memset(frame + n, 0xee, sizeof(frame) - n);
		n = RTE_MAX(n, 60u);
		p = (struct pkt){.mbuf = fake_frame_mbuf(frame, n, pool), .dir = PKT_INGRESS};
		parse_packet(&p, 1);
		assert_int_equal(p.drop, DROP_NONE);
		assert_int_equal(frag_input(store, &p, 0), DROP_NONE);
		assert_true(k == 0 || p.mbuf == NULL);
	}
	assert_non_null(p.mbuf);
	assert_int_equal(p.mbuf->pkt_len, len);
	assert_memory_equal(rte_pktmbuf_read(p.mbuf, 0, (uint32_t)len, got), whole, len);
	assert_int_equal(p.flags, 0);
	assert_int_equal(p.payload_len, 41);
	assert_int_equal(p.key.local_port, htons(tcp.dport));
	rte_pktmbuf_free(p.mbuf);
	frag_free(store);
	assert_int_equal(rte_mempool_avail_count(pool), pool->size);
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
		cmocka_unit_test(test_an_assembled_packet_equals_the_one_that_was_cut),
		cmocka_unit_test(test_a_split_packet_comes_together_again),
		cmocka_unit_test(test_what_may_not_be_split_is_left_whole),
	};

	return cmocka_run_group_tests(tests, setup, NULL);
}
