/* SPDX-License-Identifier: BSD-3-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <arpa/inet.h>
#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <rte_ip.h>

#include "dataplane/neigh.h"
#include "dataplane/neigh_frame.h"
#include "test/fake/fake_eal.h"
#include "test/fake/fake_packet.h"

#define SECOND 1000000000ull

static struct rte_mempool *pool;
static const struct rte_ether_addr own_mac = {{2, 0, 0, 0, 0, 1}}, peer_mac = {{2, 0, 0, 0, 0, 2}};

static struct in6_addr address(const char *text)
{
	struct in6_addr a;

	if (inet_pton(AF_INET6, text, &a) != 1)
		a = addr_from_v4(inet_addr(text));
	return a;
}

static const char *const own_text[2] = {"192.0.2.1", "2001:db8:ffff::1"};
static const char *const peer_text[2] = {"192.0.2.2", "2001:db8:ffff::a:b2"};

static struct neigh_table *table_make(uint32_t capacity)
{
	struct neigh_params params = {.own = {address(own_text[0]), address(own_text[1])},
		.mac = own_mac,
		.pool = pool,
		.capacity = capacity};
	struct neigh_table *table = neigh_create(&params);

	assert_non_null(table);
	return table;
}

static void table_close(struct neigh_table *table)
{
	neigh_free(table);
	assert_int_equal(rte_mempool_avail_count(pool), pool->size);
}

static void tunnel_make(struct tunnel *t, int six, const char *next_hop)
{
	struct in6_addr own = address(own_text[six]), peer = address(next_hop);

	memset(t, 0, sizeof(*t));
	tunnel_init(t, &own, &peer, &own_mac, VXLAN_PORT);
	t->next_hop = peer;
}

/* Give a frame in; the answer, or NULL. The reason must be `want`. */
static struct rte_mbuf *give(
	struct neigh_table *table, struct rte_mbuf *m, uint64_t now, enum drop_reason want)
{
	struct rte_mbuf *reply = NULL;
	enum drop_reason reason = DROP_NONE;
	uint16_t count = neigh_input(table, m, now, &reply, &reason);

	assert_int_equal(reason, want);
	assert_int_equal(count, reply != NULL);
	return reply;
}

static struct rte_mbuf *peer_says(int six, bool reply, const struct rte_ether_addr *mac)
{
	struct neigh_end peer = {.addr = address(peer_text[six]), .mac = *mac};
	struct neigh_end own = {.addr = address(own_text[six]), .mac = own_mac};

	return reply ? neigh_frame_reply(&peer, &own, pool)
		     : neigh_frame_request(&peer, &own, pool);
}

static struct rte_mbuf *ask_once(struct neigh_table *table, uint64_t now)
{
	struct rte_mbuf *out[4];
	uint16_t count = neigh_tick(table, now, out, 4);

	assert_true(count <= 1);
	return count ? out[0] : NULL;
}

/* Bytes written by hand from RFC 826. */
static void test_an_arp_request_is_as_the_rfc_draws_it(void **state)
{
	static const uint8_t want[42] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2, 0, 0, 0, 0, 1, 8, 6,
		0, 1, 8, 0, 6, 4, 0, 1, 2, 0, 0, 0, 0, 1, 192, 0, 2, 1, 0, 0, 0, 0, 0, 0, 192, 0, 2,
		2};
	struct neigh_table *table = table_make(4);
	struct tunnel t;
	struct rte_mbuf *m;

	tunnel_make(&t, 0, peer_text[0]);
	assert_int_equal(neigh_attach(table, &t), 0);
	m = ask_once(table, SECOND);
	assert_non_null(m);
	assert_int_equal(m->pkt_len, sizeof(want));
	assert_memory_equal(rte_pktmbuf_mtod(m, void *), want, sizeof(want));
	rte_pktmbuf_free(m);
	neigh_detach(table, &t);
	table_close(table);
}

/* Bytes written by hand from RFC 4861; the checksum was computed with scapy. */
static void test_a_solicitation_is_as_the_rfc_draws_it(void **state)
{
	static const uint8_t want[86] = {0x33, 0x33, 0xff, 0x0a, 0x00, 0xb2, 2, 0, 0, 0, 0, 1, 0x86,
		0xdd, 0x60, 0, 0, 0, 0, 32, 58, 255, 0x20, 0x01, 0x0d, 0xb8, 0xff, 0xff, 0, 0, 0, 0,
		0, 0, 0, 0, 0, 1, 0xff, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0xff, 0x0a, 0x00, 0xb2,
		135, 0, 0x1a, 0xb3, 0, 0, 0, 0, 0x20, 0x01, 0x0d, 0xb8, 0xff, 0xff, 0, 0, 0, 0, 0,
		0, 0, 0x0a, 0x00, 0xb2, 1, 1, 2, 0, 0, 0, 0, 1};
	struct neigh_table *table = table_make(4);
	struct tunnel t;
	struct rte_mbuf *m;

	tunnel_make(&t, 1, peer_text[1]);
	assert_int_equal(neigh_attach(table, &t), 0);
	m = ask_once(table, SECOND);
	assert_non_null(m);
	assert_int_equal(m->pkt_len, sizeof(want));
	assert_memory_equal(rte_pktmbuf_mtod(m, void *), want, sizeof(want));
	rte_pktmbuf_free(m);
	neigh_detach(table, &t);
	table_close(table);
}

static void test_an_answer_resolves_all_tunnels_of_the_next_hop(void **state)
{
	for (int six = 0; six < 2; six++) {
		struct neigh_table *table = table_make(4);
		struct tunnel a, b, late;

		tunnel_make(&a, six, peer_text[six]);
		tunnel_make(&b, six, peer_text[six]);
		tunnel_make(&late, six, peer_text[six]);
		assert_int_equal(neigh_attach(table, &a), 0);
		assert_int_equal(neigh_attach(table, &b), 0);
		rte_pktmbuf_free(ask_once(table, SECOND));
		assert_null(ask_once(table, SECOND + SECOND / 2));
		assert_false(atomic_load(&a.resolved));
		assert_null(give(table, peer_says(six, true, &peer_mac), SECOND, DROP_CONSUMED));
		assert_true(atomic_load(&a.resolved) && atomic_load(&b.resolved));
		assert_memory_equal(a.header, &peer_mac, 6);
		assert_memory_equal(b.header, &peer_mac, 6);
		assert_int_equal(neigh_attach(table, &late), 0);
		assert_memory_equal(late.header, &peer_mac, 6);
		assert_true(atomic_load(&late.resolved));
		neigh_detach(table, &a);
		neigh_detach(table, &b);
		neigh_detach(table, &late);
		table_close(table);
	}
}

static void test_nobody_is_learnt_who_was_not_asked_for(void **state)
{
	struct neigh_table *table = table_make(4);
	struct neigh_entry_info info[4];

	for (int six = 0; six < 2; six++)
		assert_null(give(table, peer_says(six, true, &peer_mac), 1, DROP_NOT_OURS));
	assert_int_equal(neigh_list(table, 1, info, 4), 0);
	table_close(table);
}

static void test_a_request_for_our_address_is_answered_to_the_asker(void **state)
{
	for (int six = 0; six < 2; six++) {
		struct neigh_table *table = table_make(4);
		struct rte_mbuf *reply =
			give(table, peer_says(six, false, &peer_mac), 1, DROP_CONSUMED);
		struct in6_addr own = address(own_text[six]);
		struct neigh_message said;

		assert_non_null(reply);
		assert_memory_equal(rte_pktmbuf_mtod(reply, void *), &peer_mac, 6);
		neigh_frame_read(reply, &said);
		assert_int_equal(said.kind, NEIGH_REPLY);
		assert_true(addr_equal(&said.sender, &own));
		assert_memory_equal(&said.mac, &own_mac, 6);
		rte_pktmbuf_free(reply);
		table_close(table);
	}
}

static void test_requests_for_others_are_not_ours(void **state)
{
	struct neigh_table *table = table_make(4);
	struct neigh_end peer = {.addr = address(peer_text[0]), .mac = peer_mac};
	struct neigh_end other = {.addr = address("192.0.2.77")};

	assert_null(give(table, neigh_frame_request(&peer, &other, pool), 1, DROP_NOT_OURS));
	table_close(table);
}

static void test_a_probe_for_our_ipv6_address_is_answered_to_all_nodes(void **state)
{
	struct neigh_table *table = table_make(4);
	struct neigh_end nobody = {.mac = peer_mac}, own = {.addr = address(own_text[1])};
	struct rte_mbuf *reply =
		give(table, neigh_frame_request(&nobody, &own, pool), 1, DROP_CONSUMED);

	assert_non_null(reply);
	assert_memory_equal(rte_pktmbuf_mtod(reply, void *), "\x33\x33\0\0\0\1", 6);
	rte_pktmbuf_free(reply);
	table_close(table);
}

static void test_a_silent_next_hop_is_probed_then_asked_for_then_unknown(void **state)
{
	struct neigh_table *table = table_make(4);
	struct tunnel t;
	uint64_t now = SECOND;
	int unicast = 0, broadcast = 0;

	tunnel_make(&t, 0, peer_text[0]);
	assert_int_equal(neigh_attach(table, &t), 0);
	rte_pktmbuf_free(ask_once(table, now));
	assert_null(give(table, peer_says(0, true, &peer_mac), now, DROP_CONSUMED));
	assert_null(ask_once(table, now + NEIGH_REACHABLE_MS * 1000000ull - 1));
	now += NEIGH_REACHABLE_MS * 1000000ull;
	while (atomic_load(&t.resolved)) {
		struct rte_mbuf *m = ask_once(table, now);

		if (m && atomic_load(&t.resolved)) {
			unicast += rte_pktmbuf_mtod(m, uint8_t *)[0] == 2;
			broadcast += rte_pktmbuf_mtod(m, uint8_t *)[0] == 0xff;
		}
		rte_pktmbuf_free(m);
		now += SECOND / 10;
	}
	assert_int_equal(unicast, 3);
	assert_int_equal(broadcast, 3);
	assert_in_range(now, 36 * SECOND, 39 * SECOND);
	rte_pktmbuf_free(give(table, peer_says(0, false, &peer_mac), now, DROP_CONSUMED));
	assert_true(atomic_load(&t.resolved)); /* its own request is a sign of life */
	neigh_detach(table, &t);
	table_close(table);
}

static void test_a_new_mac_is_taken_unless_an_advertisement_may_not_override(void **state)
{
	const struct rte_ether_addr other = {{2, 0, 0, 0, 0, 3}}, group = {{3, 0, 0, 0, 0, 3}};
	struct neigh_table *table = table_make(4);
	struct tunnel t;
	struct rte_mbuf *m;
	uint8_t *nd;
	uint16_t sum;

	tunnel_make(&t, 1, peer_text[1]);
	assert_int_equal(neigh_attach(table, &t), 0);
	give(table, peer_says(1, true, &peer_mac), 1, DROP_CONSUMED);
	m = peer_says(1, true, &other);
	nd = rte_pktmbuf_mtod_offset(m, uint8_t *, 54);
	nd[4] = 0x40; /* solicited, no override: 0x2000 less in the sum */
	memcpy(&sum, nd + 2, 2);
	sum = rte_cpu_to_be_16((uint16_t)(rte_be_to_cpu_16(sum) + 0x2000));
	memcpy(nd + 2, &sum, 2);
	give(table, m, 2, DROP_CONSUMED);
	assert_memory_equal(t.header, &peer_mac, 6);
	give(table, peer_says(1, true, &group), 2, DROP_CONSUMED);
	assert_memory_equal(t.header, &peer_mac, 6);
	give(table, peer_says(1, true, &other), 2, DROP_CONSUMED);
	assert_memory_equal(t.header, &other, 6);
	neigh_detach(table, &t);
	table_close(table);
}

static void test_malformed_and_off_link_messages_are_not_ours(void **state)
{
	struct neigh_table *table = table_make(4);
	struct tunnel t;

	tunnel_make(&t, 1, peer_text[1]);
	assert_int_equal(neigh_attach(table, &t), 0);
	for (int i = 0; i < 5; i++) {
		struct rte_mbuf *m = peer_says(1, true, &peer_mac);
		uint8_t *d = rte_pktmbuf_mtod(m, uint8_t *);

		switch (i) {
		case 0:
			d[21] = 254; /* came through a router */
			break;
		case 1:
			d[56] ^= 1; /* checksum */
			break;
		case 2:
			d[79] = 0; /* option without length */
			break;
		case 3:
			d[79] = 2; /* option beyond the end */
			break;
		case 4:
			rte_pktmbuf_trim(m, 1);
			break;
		}
		give(table, m, 1, DROP_NOT_OURS);
	}
	assert_false(atomic_load(&t.resolved));
	neigh_detach(table, &t);
	table_close(table);
}

static void test_an_echo_to_our_address_is_answered(void **state)
{
	for (int six = 0; six < 2; six++) {
		static uint8_t want[FAKE_FRAME_MAX];
		struct neigh_table *table = table_make(4);
		struct fake_packet ping = {.src_mac = "02:00:00:00:00:02",
			.dst_mac = "02:00:00:00:00:01",
			.src = peer_text[six],
			.dst = own_text[six],
			.ttl = 3,
			.proto = six ? IPPROTO_ICMPV6 : IPPROTO_ICMP,
			.icmp_type = six ? 128 : 8,
			.icmp_id = 5,
			.icmp_seq = 6,
			.payload_len = 57};
		struct fake_packet pong = ping;
		size_t len;
		struct rte_mbuf *reply =
			give(table, fake_packet_mbuf(&ping, pool), 1, DROP_CONSUMED);

		pong.src_mac = ping.dst_mac;
		pong.dst_mac = ping.src_mac;
		pong.src = ping.dst;
		pong.dst = ping.src;
		pong.ttl = 64;
		pong.icmp_type = six ? 129 : 0;
		len = fake_packet_build(&pong, want, sizeof(want));
		assert_non_null(reply);
		assert_int_equal(reply->pkt_len, len);
		assert_memory_equal(rte_pktmbuf_mtod(reply, void *), want, len);
		rte_pktmbuf_free(reply);
		ping.dst = six ? "2001:db8:ffff::9" : "192.0.2.9";
		assert_null(give(table, fake_packet_mbuf(&ping, pool), 1, DROP_NOT_OURS));
		table_close(table);
	}
}

static void test_a_full_table_refuses_and_forgets_what_is_detached(void **state)
{
	struct neigh_table *table = table_make(2);
	struct neigh_entry_info info[4];
	struct tunnel t[3];

	for (int i = 0; i < 3; i++) {
		char text[32];

		snprintf(text, sizeof(text), "192.0.2.%d", 10 + i);
		tunnel_make(&t[i], 0, text);
		assert_int_equal(neigh_attach(table, &t[i]), i == 2 ? -ENOSPC : 0);
	}
	neigh_detach(table, &t[0]);
	assert_int_equal(neigh_attach(table, &t[2]), 0);
	assert_int_equal(neigh_list(table, 1, info, 4), 2);
	neigh_detach(table, &t[1]);
	neigh_detach(table, &t[2]);
	assert_int_equal(neigh_list(table, 1, info, 4), 0);
	table_close(table);
}

static void test_every_entry_gets_its_turn_when_few_may_be_asked_at_once(void **state)
{
	static struct tunnel t[64];
	struct neigh_table *table = table_make(64);
	uint32_t asked = 0;

	for (int i = 0; i < 64; i++) {
		char text[32];

		snprintf(text, sizeof(text), "192.0.2.%d", 10 + i);
		tunnel_make(&t[i], 0, text);
		assert_int_equal(neigh_attach(table, &t[i]), 0);
	}
	for (int tick = 0; tick < 16; tick++) {
		struct rte_mbuf *out[4];
		uint16_t count = neigh_tick(table, SECOND, out, 4);

		asked += count;
		rte_pktmbuf_free_bulk(out, count);
	}
	assert_int_equal(asked, 64);
	for (int i = 0; i < 64; i++)
		neigh_detach(table, &t[i]);
	table_close(table);
}

static void test_a_family_without_an_own_address_is_refused(void **state)
{
	struct neigh_params params = {.own = {address(own_text[0])}, .mac = own_mac, .pool = pool};
	struct neigh_table *table = neigh_create(&params);
	struct tunnel t;

	tunnel_make(&t, 1, peer_text[1]);
	assert_int_equal(neigh_attach(table, &t), -EAFNOSUPPORT);
	table_close(table);
}

static int setup(void **state)
{
	if (fake_eal_start() != 0)
		return -1;
	pool = rte_pktmbuf_pool_create(
		"neigh", 255, 0, 0, RTE_MBUF_DEFAULT_BUF_SIZE, SOCKET_ID_ANY);
	return pool ? 0 : -1;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_an_arp_request_is_as_the_rfc_draws_it),
		cmocka_unit_test(test_a_solicitation_is_as_the_rfc_draws_it),
		cmocka_unit_test(test_an_answer_resolves_all_tunnels_of_the_next_hop),
		cmocka_unit_test(test_nobody_is_learnt_who_was_not_asked_for),
		cmocka_unit_test(test_a_request_for_our_address_is_answered_to_the_asker),
		cmocka_unit_test(test_requests_for_others_are_not_ours),
		cmocka_unit_test(test_a_probe_for_our_ipv6_address_is_answered_to_all_nodes),
		cmocka_unit_test(test_a_silent_next_hop_is_probed_then_asked_for_then_unknown),
		cmocka_unit_test(test_a_new_mac_is_taken_unless_an_advertisement_may_not_override),
		cmocka_unit_test(test_malformed_and_off_link_messages_are_not_ours),
		cmocka_unit_test(test_an_echo_to_our_address_is_answered),
		cmocka_unit_test(test_a_full_table_refuses_and_forgets_what_is_detached),
		cmocka_unit_test(test_every_entry_gets_its_turn_when_few_may_be_asked_at_once),
		cmocka_unit_test(test_a_family_without_an_own_address_is_refused),
	};

	return cmocka_run_group_tests(tests, setup, NULL);
}
