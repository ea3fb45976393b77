/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A vhost port and a guest: frames, rings, checksums, sleep. The front end is
 * test/fake/fake_vhost_front.c.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "test/fake/fake_vhost_rig.h"

static void rig_open(struct vhost_rig *rig, uint16_t pairs)
{
	vhost_rig_open(rig, pairs, true);
}

static void rig_guest(struct vhost_rig *rig, uint16_t pairs, uint16_t size)
{
	vhost_rig_boot(rig, &(struct fake_guest_params){.pairs = pairs, .size = size});
}

static void frames_go_both_ways_whole_and_in_order(void **state)
{
	struct fake_udp_frame out, in;
	struct vhost_rig rig;
	struct port_info info;

	(void)state;
	rig_open(&rig, 1);
	rig_guest(&rig, 1, 256);
	fake_worker_start(&rig.worker, rig.port);
	for (uint32_t i = 0; i < 2000; i++) {
		size_t len = fake_udp_frame(&out, 0, i, 4 + i % 1400);

		assert_int_equal(fake_guest_send(rig.guest, 0, &out, len, NULL), 0);
		assert_int_equal(fake_guest_receive_wait(rig.guest, 0, &in, sizeof(in), 1000), len);
		assert_memory_equal(&in, &out, len);
	}
	port_info(rig.port, &info);
	assert_true(info.rings_up);
	assert_int_equal(info.queues_rx, 1);
	assert_int_equal(info.features, rig.front.features);
	assert_int_equal(info.features_offered, PORT_FEATURES);
	assert_int_equal(rig.guest->ring[0].faults + rig.guest->ring[1].faults, 0);
	vhost_rig_close(&rig);
}

static void frames_longer_than_a_buffer_are_merged(void **state)
{
	uint8_t out[9000], in[9100];
	struct vhost_rig rig;

	(void)state;
	rig_open(&rig, 1);
	rig_guest(&rig, 1, 64);
	fake_worker_start(&rig.worker, rig.port);
	for (size_t i = 0; i < sizeof(out); i++)
		out[i] = (uint8_t)(i * 31);
	assert_int_equal(fake_guest_send(rig.guest, 0, out, sizeof(out), NULL), 0);
	assert_int_equal(fake_guest_receive_wait(rig.guest, 0, in, sizeof(in), 1000), sizeof(out));
	assert_memory_equal(in, out, sizeof(out));
	vhost_rig_close(&rig);
}

static void rings_down_is_told_before_the_front_end_gets_its_answer(void **state)
{
	struct fake_udp_frame out;
	struct vhost_rig rig;

	(void)state;
	rig_open(&rig, 1);
	rig_guest(&rig, 1, 256);
	fake_worker_start(&rig.worker, rig.port);
	for (int round = 1; round <= 5; round++) {
		size_t len = fake_udp_frame(&out, 0, 0, 60);

		assert_int_equal(fake_front_stop(&rig.front, rig.guest, 1), 0);
		assert_false(port_rings_up(rig.port));
		assert_int_equal(fake_count(&rig.worker.downs), round);
		uint64_t received = fake_count(&rig.worker.received);
		/* Left in the guest's memory until the rings are up again. */
		assert_int_equal(fake_guest_send(rig.guest, 0, &out, len, NULL), 0);
		usleep(2000);
		assert_int_equal(fake_count(&rig.worker.received), received);
		assert_int_equal(port_rx_queues(rig.port), 0);
		assert_int_equal(fake_front_start(&rig.front, rig.guest, 1), 0);
		assert_true(fake_port_wait(rig.port, true, 1000));
		assert_true(fake_guest_receive_wait(rig.guest, 0, &out, sizeof(out), 1000) > 0);
	}
	assert_int_equal(fake_count(&rig.worker.ups), 6);
	vhost_rig_close(&rig);
}

static void an_unfinished_checksum_keeps_its_mark(void **state)
{
	struct fake_frame_info info = {.flags = 1, .csum_start = 34, .csum_offset = 6}, got;
	struct fake_udp_frame out, in;
	struct rte_mbuf *m;
	struct vhost_rig rig;
	size_t len = fake_udp_frame(&out, 0, 1, 100);

	(void)state;
	rig_open(&rig, 1);
	rig.front.wanted |= FAKE_F_CSUM | FAKE_F_GUEST_CSUM;
	rig_guest(&rig, 1, 64);
	out.udp.dgram_cksum = rte_ipv4_phdr_cksum(&out.ip, 0);
	assert_int_equal(fake_guest_send(rig.guest, 0, &out, len, &info), 0);
	assert_int_equal(port_rx(rig.port, 0, &m, 1), 1);
	assert_int_equal(m->ol_flags & RTE_MBUF_F_TX_L4_MASK, RTE_MBUF_F_TX_UDP_CKSUM);
	assert_true(m->ol_flags & RTE_MBUF_F_TX_IPV4);
	assert_int_equal(m->l2_len, 14);
	assert_int_equal(m->l3_len, 20);
	assert_int_equal(port_tx(rig.port, 0, &m, 1), 1);
	assert_int_equal(fake_guest_receive(rig.guest, 0, &in, sizeof(in), &got), len);
	assert_int_equal(got.flags, 1);
	assert_int_equal(got.csum_start, 34);
	assert_int_equal(got.csum_offset, 6);
	assert_int_equal(in.udp.dgram_cksum, out.udp.dgram_cksum);
	vhost_rig_close(&rig);
}

static void a_full_ring_gives_the_rest_back(void **state)
{
	struct rte_mbuf *mbufs[64];
	struct fake_udp_frame out;
	struct vhost_rig rig;

	(void)state;
	rig_open(&rig, 2);
	rig_guest(&rig, 2, 16);
	for (int i = 0; i < 64; i++) {
		size_t len = fake_udp_frame(&out, (uint16_t)i, (uint32_t)i, 60);

		mbufs[i] = rte_pktmbuf_alloc(fake_port_pool());
		memcpy(rte_pktmbuf_append(mbufs[i], (uint16_t)len), &out, len);
	}
	unsigned int before = rte_mempool_avail_count(fake_port_pool());
	uint16_t sent = port_tx(rig.port, 0, mbufs, 64);

	assert_in_range(sent, 17, 32); /* two rings of 16 */
	assert_int_equal(rte_mempool_avail_count(fake_port_pool()), before + sent);
	rte_pktmbuf_free_bulk(&mbufs[sent], 64 - sent);
	assert_int_equal(rte_mempool_avail_count(fake_port_pool()), before + 64);
	vhost_rig_close(&rig);
}

static void a_sleeping_worker_is_woken_and_a_polling_one_is_not_signalled(void **state)
{
	struct pollfd pfd = {.events = POLLIN};
	struct rte_mbuf *m[32];
	struct fake_udp_frame out;
	struct vhost_rig rig;
	size_t len = fake_udp_frame(&out, 0, 0, 60);
	uint64_t kicks;

	(void)state;
	rig_open(&rig, 1);
	rig_guest(&rig, 1, 256);
	assert_int_equal(port_rx(rig.port, 0, m, 32), 0);
	kicks = rig.guest->ring[1].kicks;
	for (int i = 0; i < 10; i++)
		assert_int_equal(fake_guest_send(rig.guest, 0, &out, len, NULL), 0);
	assert_int_equal(rig.guest->ring[1].kicks, kicks);
	for (int i = 0; i < 10; i++) {
		uint16_t n = port_rx(rig.port, 0, m, 32);

		rte_pktmbuf_free_bulk(m, n);
		port_rx_notify(rig.port, 0, true);
		assert_int_equal(port_rx(rig.port, 0, m, 32), 0);
		pfd.fd = port_rx_fd(rig.port, 0);
		assert_true(pfd.fd >= 0);
		assert_int_equal(poll(&pfd, 1, 0), 0);
		assert_int_equal(fake_guest_send(rig.guest, 0, &out, len, NULL), 0);
		assert_int_equal(poll(&pfd, 1, 1000), 1);
		port_rx_notify(rig.port, 0, false);
		assert_int_equal(poll(&pfd, 1, 0), 0);
	}
	assert_int_equal(rig.guest->ring[1].kicks, kicks + 10);
	vhost_rig_close(&rig);
	assert_int_equal(pfd.fd >= 0, 1);
}

static void the_same_holds_with_event_indexes(void **state)
{
	struct vhost_rig rig;
	struct fake_udp_frame out, in;

	(void)state;
	rig_open(&rig, 1);
	rig.front.wanted |= FAKE_F_EVENT_IDX;
	rig_guest(&rig, 1, 64);
	fake_worker_start(&rig.worker, rig.port);
	for (uint32_t i = 0; i < 300; i++) {
		size_t len = fake_udp_frame(&out, 0, i, 60);

		assert_int_equal(fake_guest_send(rig.guest, 0, &out, len, NULL), 0);
		assert_int_equal(fake_guest_receive_wait(rig.guest, 0, &in, sizeof(in), 1000), len);
		assert_int_equal(in.number, i);
	}
	vhost_rig_close(&rig);
}

static void a_bad_feature_mask_is_refused_by_name(void **state)
{
	struct port_params params = {.name = "vm",
		.kind = PORT_VHOST,
		.server = true,
		.path = "/tmp/ferry-test-mask",
		.queues = 1,
		.pool = fake_port_pool(),
		.feature_mask = PORT_FEATURES | UINT64_C(1) << 11};
	char error[128] = "";
	struct port *port = NULL;
	int fds = fake_port_open_fds();

	(void)state;
	assert_int_equal(port_open(&params, &port, error, sizeof(error)), -EINVAL);
	assert_non_null(strstr(error, "0x800"));
	assert_null(port);
	assert_int_equal(fake_port_open_fds(), fds);
}

static void a_vhost_port_is_not_paused_by_command(void **state)
{
	struct vhost_rig rig;

	(void)state;
	rig_open(&rig, 1);
	assert_int_equal(port_pause(rig.port), -EOPNOTSUPP);
	vhost_rig_close(&rig);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(frames_go_both_ways_whole_and_in_order),
		cmocka_unit_test(frames_longer_than_a_buffer_are_merged),
		cmocka_unit_test(rings_down_is_told_before_the_front_end_gets_its_answer),
		cmocka_unit_test(an_unfinished_checksum_keeps_its_mark),
		cmocka_unit_test(a_full_ring_gives_the_rest_back),
		cmocka_unit_test(a_sleeping_worker_is_woken_and_a_polling_one_is_not_signalled),
		cmocka_unit_test(the_same_holds_with_event_indexes),
		cmocka_unit_test(a_bad_feature_mask_is_refused_by_name),
		cmocka_unit_test(a_vhost_port_is_not_paused_by_command),
	};

	return cmocka_run_group_tests(tests, fake_port_setup, NULL);
}
