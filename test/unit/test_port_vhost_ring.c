/* SPDX-License-Identifier: BSD-3-Clause */
/* Ring state over stops, reboots and moves. Case names are those of the field-case collection. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "test/fake/fake_vhost_rig.h"

#define PACKETS 300

static uint64_t faults(const struct fake_guest *guest)
{
	uint64_t n = 0;

	for (uint16_t i = 0; i < 2 * guest->params.pairs; i++)
		n += guest->ring[i].faults;
	return n;
}

/* The id of a used entry, by its free-running index. */
static uint32_t used_entry(const struct fake_guest *guest, uint16_t ring, uint16_t index)
{
	const struct fake_ring *r = &guest->ring[ring];
	uint32_t id;

	memcpy(&id, guest->memory + r->used + 4 + 8u * (index % r->size), sizeof(id));
	return id;
}

static void c04_rings_go_on_at_the_index_the_front_end_names_across_the_wrap(void **state)
{
	struct vhost_rig rig;

	(void)state;
	vhost_rig_open(&rig, 1, true);
	vhost_rig_boot(&rig, &(struct fake_guest_params){.pairs = 1, .size = 256, .base = 65530});
	fake_worker_start(&rig.worker, rig.port);
	vhost_rig_ping(&rig, 0);
	assert_int_equal(used_entry(rig.guest, 1, 65530), 0); /* first descriptor given */
	assert_int_equal(used_entry(rig.guest, 0, 65530), 0);
	for (int i = 1; i < PACKETS; i++)
		vhost_rig_ping(&rig, 0);
	assert_int_equal(faults(rig.guest), 0);
	assert_int_equal(fake_front_stop(&rig.front, rig.guest, 1), 0);
	assert_int_equal(rig.guest->ring[0].base, (uint16_t)(65530 + PACKETS));
	assert_int_equal(rig.guest->ring[1].base, (uint16_t)(65530 + PACKETS));
	assert_int_equal(fake_guest_used(rig.guest, 0), (uint16_t)(65530 + PACKETS));
	vhost_rig_close(&rig);
}

static void c04_descriptors_in_flight_are_taken_again_and_reported(void **state)
{
	struct vhost_rig rig;
	struct fake_udp_frame in;
	struct port_info info;

	(void)state;
	vhost_rig_open(&rig, 1, true);
	vhost_rig_boot(&rig, &(struct fake_guest_params){
				     .pairs = 1, .size = 256, .base = 65530, .in_flight = 2});
	port_info(rig.port, &info);
	assert_int_equal(info.ring_resyncs, 2); /* both rings */
	fake_worker_start(&rig.worker, rig.port);
	for (int i = 0; i < 2; i++) /* the two that were in flight, echoed */
		assert_int_equal(fake_guest_receive_wait(rig.guest, 0, &in, sizeof(in), 1000), 60);
	for (int i = 0; i < PACKETS; i++)
		vhost_rig_ping(&rig, 0);
	assert_int_equal(fake_count(&rig.worker.received), PACKETS + 2);
	assert_int_equal(faults(rig.guest), 0);
	assert_int_equal(fake_front_stop(&rig.front, rig.guest, 1), 0);
	assert_int_equal(rig.guest->ring[1].base, (uint16_t)(65530 + PACKETS));
	vhost_rig_close(&rig);
}

/* Sends each flow on its pair (flow % pairs), collects the echoes; per pair how many came. */
static void send_flows(struct vhost_rig *rig, uint16_t pairs, uint16_t flows, unsigned int *got)
{
	struct fake_udp_frame frame;
	uint64_t end = fake_port_now_us() + 2000000;
	unsigned int total = 0;

	memset(got, 0, pairs * sizeof(*got));
	for (uint16_t flow = 0; flow < flows; flow++) {
		size_t len = fake_udp_frame(&frame, flow, flow, 60);

		assert_int_equal(fake_guest_send(rig->guest, flow % pairs, &frame, len, NULL), 0);
	}
	while (total < flows && fake_port_now_us() < end) {
		for (uint16_t q = 0; q < pairs; q++) {
			while (fake_guest_receive(rig->guest, q, &frame, sizeof(frame), NULL) > 0) {
				got[q]++;
				total++;
			}
		}
		usleep(100);
	}
	assert_int_equal(total, flows);
}

static void c06_all_pairs_get_traffic_and_all_are_polled(void **state)
{
	unsigned int got[4], again[4];
	struct vhost_rig rig;

	(void)state;
	vhost_rig_open(&rig, 4, true);
	vhost_rig_boot(&rig, &(struct fake_guest_params){.pairs = 4, .size = 256});
	fake_worker_start(&rig.worker, rig.port);
	assert_int_equal(rig.front.queue_pairs, 4);
	send_flows(&rig, 4, 64, got);
	for (int q = 0; q < 4; q++) {
		assert_in_range(got[q], 1, 63);
		assert_int_equal(fake_count(&rig.worker.queue_received[q]), 16);
	}
	send_flows(&rig, 4, 64, again); /* a flow stays on its ring */
	assert_memory_equal(got, again, sizeof(got));
	vhost_rig_close(&rig);
}

static void c06_a_guest_reboots_through_a_firmware_with_one_pair(void **state)
{
	unsigned int got[4];
	struct vhost_rig rig;

	(void)state;
	vhost_rig_open(&rig, 4, true);
	vhost_rig_boot(&rig, &(struct fake_guest_params){.pairs = 4, .size = 256});
	fake_worker_start(&rig.worker, rig.port);
	for (int i = 0; i < 3; i++) {
		send_flows(&rig, 4, 64, got);
		assert_int_equal(fake_front_stop(&rig.front, rig.guest, 4), 0);
		fake_guest_reset(rig.guest);
		rig.front.wanted &= ~FAKE_F_MQ;
		assert_int_equal(fake_front_negotiate(&rig.front, rig.guest), 0);
		vhost_rig_start(&rig, 1);
		vhost_rig_ping(&rig, 7);
		assert_int_equal(port_rx_queues(rig.port), 1);
		assert_int_equal(fake_front_stop(&rig.front, rig.guest, 1), 0);
		fake_guest_reset(rig.guest);
		rig.front.wanted |= FAKE_F_MQ;
		assert_int_equal(fake_front_negotiate(&rig.front, rig.guest), 0);
		vhost_rig_start(&rig, 4);
		while (port_rx_queues(rig.port) < 4)
			usleep(100);
	}
	send_flows(&rig, 4, 64, got);
	for (int q = 0; q < 4; q++)
		assert_true(got[q] > 0);
	vhost_rig_close(&rig);
}

static void c06_switching_pairs_off_and_on_under_traffic_loses_nothing(void **state)
{
	unsigned int got[4];
	struct vhost_rig rig;

	(void)state;
	vhost_rig_open(&rig, 4, true);
	vhost_rig_boot(&rig, &(struct fake_guest_params){.pairs = 4, .size = 256});
	fake_worker_start(&rig.worker, rig.port);
	for (int i = 0; i < 20; i++) {
		bool on = i & 1;
		uint64_t features;

		for (uint16_t ring = 2; ring < 8; ring++)
			assert_int_equal(fake_front_enable(&rig.front, ring, on), 0);
		/* An answer: the enables before it are done. */
		assert_int_equal(fake_front_get(&rig.front, FAKE_GET_FEATURES, &features), 0);
		send_flows(&rig, on ? 4 : 1, 64, got);
		if (!on)
			assert_int_equal(port_rx_queues(rig.port), 1);
		assert_true(port_rings_up(rig.port));
	}
	assert_int_equal(fake_count(&rig.worker.received), fake_count(&rig.worker.sent));
	assert_int_equal(fake_count(&rig.worker.downs), 0);
	vhost_rig_close(&rig);
}

static void a_guest_moves_between_two_ports_and_back(void **state)
{
	struct vhost_rig rig[2];

	(void)state;
	vhost_rig_open(&rig[0], 1, true);
	vhost_rig_open(&rig[1], 1, false);
	for (int i = 0; i < 2; i++)
		fake_worker_start(&rig[i].worker, rig[i].port);
	vhost_rig_boot(&rig[0], &(struct fake_guest_params){.pairs = 1, .size = 64});
	rig[1].guest = rig[0].guest;
	vhost_rig_connect(&rig[1]);
	for (int i = 0; i < 20; i++) {
		struct vhost_rig *from = &rig[i & 1], *to = &rig[!(i & 1)];

		vhost_rig_ping(from, (uint16_t)i);
		assert_int_equal(fake_front_stop(&from->front, from->guest, 1), 0);
		assert_false(port_rings_up(from->port));
		vhost_rig_start(to, 1);
	}
	assert_int_equal(faults(rig[0].guest), 0);
	rig[1].guest = NULL;
	vhost_rig_close(&rig[0]);
	vhost_rig_close(&rig[1]);
}

static void the_dirty_log_names_all_pages_the_port_wrote(void **state)
{
	struct vhost_rig source, target;
	size_t pages;

	(void)state;
	vhost_rig_open(&source, 1, true);
	vhost_rig_open(&target, 1, true);
	fake_worker_start(&source.worker, source.port);
	fake_worker_start(&target.worker, target.port);
	vhost_rig_boot(&source, &(struct fake_guest_params){.pairs = 1, .size = 64});
	fake_guest_track(source.guest);
	assert_int_equal(fake_front_log_start(&source.front, source.guest, 1), 0);
	for (uint16_t i = 0; i < 5; i++)
		vhost_rig_ping(&source, i);
	target.guest = fake_guest_clone(source.guest);
	memset(source.guest->touched, 0, source.guest->size_bytes / FAKE_GUEST_PAGE);
	memset(source.front.log, 0, source.front.log_bytes);
	for (uint16_t i = 0; i < 100; i++)
		vhost_rig_ping(&source, i);
	assert_int_equal(fake_front_stop(&source.front, source.guest, 1), 0);
	pages = fake_guest_copy_dirty(target.guest, source.guest, source.front.log);
	assert_in_range(pages, 4, source.guest->size_bytes / FAKE_GUEST_PAGE);
	assert_memory_equal(target.guest->memory, source.guest->memory, source.guest->size_bytes);
	vhost_rig_connect(&target);
	vhost_rig_start(&target, 1);
	for (uint16_t i = 0; i < 100; i++)
		vhost_rig_ping(&target, i);
	assert_int_equal(faults(target.guest), 0);
	vhost_rig_close(&source);
	vhost_rig_close(&target);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(c04_rings_go_on_at_the_index_the_front_end_names_across_the_wrap),
		cmocka_unit_test(c04_descriptors_in_flight_are_taken_again_and_reported),
		cmocka_unit_test(c06_all_pairs_get_traffic_and_all_are_polled),
		cmocka_unit_test(c06_a_guest_reboots_through_a_firmware_with_one_pair),
		cmocka_unit_test(c06_switching_pairs_off_and_on_under_traffic_loses_nothing),
		cmocka_unit_test(a_guest_moves_between_two_ports_and_back),
		cmocka_unit_test(the_dirty_log_names_all_pages_the_port_wrote),
	};

	return cmocka_run_group_tests(tests, fake_port_setup, NULL);
}
