/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Front ends that do it wrong, by mistake or on purpose: the engine goes on, other ports do not
 * notice. Case names are those of the field-case collection.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include <rte_mbuf.h>

#include "test/fake/fake_vhost_rig.h"

#define HEADER 12

static const struct fake_guest_params small = {.pairs = 1, .size = 64};

struct log_area {
	uint64_t size, offset;
};

struct ring_state {
	uint32_t index, num;
};

/* A guest that pings its port all the time. */
struct traffic {
	struct vhost_rig *rig;
	pthread_t thread;
	bool stop; /* atomic */
	uint64_t answered; /* atomic */
};

static void *traffic_run(void *arg)
{
	struct traffic *t = arg;
	struct fake_udp_frame out, in;

	for (uint32_t i = 0; !__atomic_load_n(&t->stop, __ATOMIC_ACQUIRE); i++) {
		size_t len = fake_udp_frame(&out, 0, i, 60);

		if (fake_guest_send(t->rig->guest, 0, &out, len, NULL))
			continue;
		if (fake_guest_receive_wait(t->rig->guest, 0, &in, sizeof(in), 500) > 0)
			__atomic_add_fetch(&t->answered, 1, __ATOMIC_RELEASE);
	}
	return NULL;
}

static void traffic_start(struct traffic *t, struct vhost_rig *rig)
{
	*t = (struct traffic){.rig = rig};
	fake_worker_start(&rig->worker, rig->port);
	assert_int_equal(pthread_create(&t->thread, NULL, traffic_run, t), 0);
}

/* Fails unless traffic goes on now. */
static void traffic_goes(struct traffic *t)
{
	uint64_t end = fake_port_now_us() + 500000;
	uint64_t before = __atomic_load_n(&t->answered, __ATOMIC_ACQUIRE);

	while (__atomic_load_n(&t->answered, __ATOMIC_ACQUIRE) < before + 3) {
		assert_true(fake_port_now_us() < end);
		usleep(500);
	}
}

static void traffic_stop(struct traffic *t)
{
	__atomic_store_n(&t->stop, true, __ATOMIC_RELEASE);
	pthread_join(t->thread, NULL);
}

/* How long the port's front end waits for an answer. */
static uint64_t answer_us(struct fake_front *front)
{
	uint64_t start = fake_port_now_us(), value;

	assert_int_equal(fake_front_get(front, FAKE_GET_FEATURES, &value), 0);
	return fake_port_now_us() - start;
}

static int log_memory(size_t bytes)
{
	int fd = memfd_create("log", MFD_CLOEXEC);

	assert_int_equal(ftruncate(fd, (off_t)bytes), 0);
	return fd;
}

static void c01_the_dirty_log_message_is_answered_under_traffic(void **state)
{
	const struct log_area area = {1 << 20, 4096};
	struct vhost_rig rig;
	struct traffic traffic;
	uint64_t start;
	uint8_t answer[16];
	int fd = log_memory(area.size + area.offset);

	(void)state;
	vhost_rig_open(&rig, 1, true);
	vhost_rig_boot(&rig, &small);
	traffic_start(&traffic, &rig);
	for (int i = 0; i < 20; i++) {
		start = fake_port_now_us();
		assert_int_equal(fake_front_send_message(
					 &rig.front, &(struct fake_message){FAKE_SET_LOG_BASE,
							     &area, sizeof(area), &fd, 1}),
			0);
		assert_true(fake_front_reply(&rig.front, FAKE_SET_LOG_BASE, answer, sizeof(answer),
				    100) >= 0);
		assert_true(fake_port_now_us() - start < 100000);
	}
	traffic_goes(&traffic);
	traffic_stop(&traffic);
	close(fd);
	vhost_rig_close(&rig);
}

static void c01_a_wrong_dirty_log_closes_the_connection_and_nothing_else(void **state)
{
	static const struct {
		struct log_area area;
		bool with_fd;
	} wrong[] = {
		{{1 << 20, 4096}, true}, /* ends beyond the file */
		{{4096, 1 << 21}, true}, /* begins beyond it */
		{{UINT64_MAX, 4096}, true},
		{{4096, UINT64_MAX - 4096}, true},
		{{4096, 0}, false},
	};
	struct vhost_rig rig, other;
	struct traffic traffic;
	int fd = log_memory(1 << 20);

	(void)state;
	vhost_rig_open(&other, 1, true);
	vhost_rig_boot(&other, &small);
	traffic_start(&traffic, &other);
	vhost_rig_open(&rig, 1, true);
	rig.guest = fake_guest_new(&small);
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		vhost_rig_connect(&rig);
		vhost_rig_start(&rig, 1);
		assert_int_equal(fake_front_send_message(&rig.front,
					 &(struct fake_message){FAKE_SET_LOG_BASE, &wrong[i].area,
						 sizeof(wrong[i].area), &fd, wrong[i].with_fd}),
			0);
		assert_true(fake_front_hung_up(&rig.front, 100));
		fake_front_close(&rig.front);
		fake_guest_reset(rig.guest);
		traffic_goes(&traffic);
	}
	traffic_stop(&traffic);
	close(fd);
	vhost_rig_close(&other);
	vhost_rig_close(&rig);
}

static void c01_without_the_feature_the_front_end_is_not_left_waiting(void **state)
{
	const struct log_area area = {4096, 0};
	struct vhost_rig rig;
	uint8_t answer[16];
	int fd = log_memory(4096), ret;

	(void)state;
	vhost_rig_open(&rig, 1, true);
	rig.front.protocol_wanted &= ~FAKE_P_LOG_SHMFD;
	vhost_rig_boot(&rig, &small);
	fake_front_send_message(
		&rig.front, &(struct fake_message){FAKE_SET_LOG_BASE, &area, sizeof(area), &fd, 1});
	ret = fake_front_reply(&rig.front, FAKE_SET_LOG_BASE, answer, sizeof(answer), 100);
	assert_true(ret >= 0 || ret == -ECONNRESET);
	close(fd);
	vhost_rig_close(&rig);
}

/* What a front end sends, and then nothing. */
static const struct {
	const char *what;
	uint32_t request, size;
	size_t bytes;
} halves[] = {
	{"8 of 12 header bytes", FAKE_GET_FEATURES, 0, 8},
	{"a header without its payload", FAKE_SET_FEATURES, 8, HEADER},
	{"a part of a payload", FAKE_SET_VRING_ADDR, 40, HEADER + 11},
	{"a payload longer than any", FAKE_SET_FEATURES, 1 << 30, HEADER},
};

static void d01_half_a_message_ends_its_own_connection_and_holds_no_other(void **state)
{
	struct vhost_rig bad, good;
	struct traffic traffic;
	uint64_t worst_us = 0;

	(void)state;
	vhost_rig_open(&good, 1, true);
	vhost_rig_boot(&good, &small);
	traffic_start(&traffic, &good);
	vhost_rig_open(&bad, 1, true);
	for (size_t i = 0; i < sizeof(halves) / sizeof(halves[0]); i++) {
		uint32_t message[32] = {halves[i].request, FAKE_VERSION, halves[i].size};
		uint64_t start = fake_port_now_us(), took_us;

		assert_int_equal(fake_front_connect(&bad.front, bad.path, 1000), 0);
		fake_front_send_raw(&bad.front, message, halves[i].bytes, NULL, 0);
		for (int asked = 0; asked < 20; asked++, usleep(2000)) {
			took_us = answer_us(&good.front);
			worst_us = took_us > worst_us ? took_us : worst_us;
		}
		traffic_goes(&traffic);
		assert_true(fake_front_hung_up(&bad.front, 3000));
		assert_true(fake_port_now_us() - start < 2500000);
		fake_front_close(&bad.front);
	}
	print_message("D01: another port's front end waited %ju us at most\n", (uintmax_t)worst_us);
	assert_true(worst_us < 100000);
	traffic_stop(&traffic);
	vhost_rig_close(&good);
	vhost_rig_close(&bad);
}

static void d01_a_front_end_that_reads_no_answers_is_cut_off(void **state)
{
	const uint32_t ask[3] = {FAKE_GET_FEATURES, FAKE_VERSION, 0};
	struct vhost_rig bad, good;
	struct traffic traffic;
	uint64_t end = fake_port_now_us() + 5000000;

	(void)state;
	vhost_rig_open(&good, 1, true);
	vhost_rig_boot(&good, &small);
	traffic_start(&traffic, &good);
	vhost_rig_open(&bad, 1, true);
	assert_int_equal(fake_front_connect(&bad.front, bad.path, 1000), 0);
	while (send(bad.front.fd, ask, sizeof(ask), MSG_NOSIGNAL | MSG_DONTWAIT) > 0 ||
		errno == EAGAIN) {
		assert_true(fake_port_now_us() < end);
		usleep(100);
	}
	assert_int_equal(errno, EPIPE);
	assert_true(answer_us(&good.front) < 100000);
	traffic_goes(&traffic);
	traffic_stop(&traffic);
	vhost_rig_close(&good);
	vhost_rig_close(&bad);
}

static void a_ring_the_port_does_not_have_is_refused(void **state)
{
	const struct ring_state enable = {2, 1}, far = {255, 1};
	const struct ring_state *wrong[] = {&enable, &far};
	struct vhost_rig rig;

	(void)state;
	vhost_rig_open(&rig, 1, true);
	rig.guest = fake_guest_new(&small);
	for (int i = 0; i < 2; i++) {
		vhost_rig_connect(&rig);
		fake_front_send(&rig.front, FAKE_SET_VRING_ENABLE, 0, wrong[i], 8);
		assert_true(fake_front_hung_up(&rig.front, 1000));
		fake_front_close(&rig.front);
	}
	vhost_rig_close(&rig);
}

static void memory_beyond_its_file_is_refused(void **state)
{
	struct vhost_rig rig;

	(void)state;
	vhost_rig_open(&rig, 1, true);
	rig.guest = fake_guest_new(&small);
	vhost_rig_connect(&rig);
	assert_int_equal(ftruncate(rig.guest->memfd, FAKE_GUEST_PAGE), 0);
	fake_front_memory(&rig.front, rig.guest);
	assert_true(fake_front_hung_up(&rig.front, 1000));
	vhost_rig_close(&rig);
}

static void a_ring_that_grows_after_its_address_was_checked_is_refused(void **state)
{
	const struct ring_state num = {0, 32768};
	struct vhost_rig rig;

	(void)state;
	vhost_rig_open(&rig, 1, true);
	vhost_rig_boot(&rig, &small);
	fake_worker_start(&rig.worker, rig.port);
	vhost_rig_ping(&rig, 0);
	fake_front_send(&rig.front, FAKE_SET_VRING_NUM, 0, &num, sizeof(num));
	assert_true(fake_front_hung_up(&rig.front, 1000));
	vhost_rig_close(&rig);
}

static void a_call_descriptor_that_may_block_workers_is_refused(void **state)
{
	struct vhost_rig rig;
	uint64_t ring = 0;
	int pipes[2];

	(void)state;
	assert_int_equal(pipe(pipes), 0);
	vhost_rig_open(&rig, 1, true);
	vhost_rig_boot(&rig, &small);
	fake_front_send_message(&rig.front,
		&(struct fake_message){FAKE_SET_VRING_CALL, &ring, sizeof(ring), &pipes[1], 1});
	assert_true(fake_front_hung_up(&rig.front, 1000));
	close(pipes[0]);
	close(pipes[1]);
	vhost_rig_close(&rig);
}

/* The guest's avail index, as far ahead as it likes. */
static void claim(struct fake_guest *guest, uint16_t ring, uint16_t entries)
{
	uint16_t index = (uint16_t)(fake_guest_used(guest, ring) + entries);

	memcpy(guest->memory + guest->ring[ring].avail + 2, &index, sizeof(index));
}

static void a_guest_that_claims_more_than_its_ring_holds_overruns_nothing(void **state)
{
	struct rte_mbuf *mbufs[32];
	struct port_info info;
	struct vhost_rig rig;
	uint16_t n;

	(void)state;
	vhost_rig_open(&rig, 1, true);
	vhost_rig_boot(&rig, &(struct fake_guest_params){.pairs = 1, .size = 16});
	claim(rig.guest, 0, 16);
	for (int i = 0; i < 32; i++) {
		mbufs[i] = rte_pktmbuf_alloc(fake_port_pool());
		rte_pktmbuf_append(mbufs[i], 60);
	}
	assert_int_equal(port_tx(rig.port, 0, mbufs, 1), 1);
	claim(rig.guest, 0, 17);
	assert_int_equal(port_tx(rig.port, 0, &mbufs[1], 31), 0);
	rte_pktmbuf_free_bulk(&mbufs[1], 31);
	port_info(rig.port, &info);
	assert_int_equal(info.rings_broken, 1);
	claim(rig.guest, 1, 40000);
	n = port_rx(rig.port, 0, mbufs, 32);
	assert_true(n <= 16);
	rte_pktmbuf_free_bulk(mbufs, n);
	/* Set up again, all is well. */
	assert_int_equal(fake_front_stop(&rig.front, rig.guest, 1), 0);
	fake_guest_reset(rig.guest);
	rig.guest->ring[0].base = rig.guest->ring[1].base = 0;
	vhost_rig_start(&rig, 1);
	fake_worker_start(&rig.worker, rig.port);
	vhost_rig_ping(&rig, 1);
	vhost_rig_close(&rig);
}

#define F01_FDS 8
#define F01_MESSAGES 10000

static void f01_extra_descriptors_stay_in_no_process(void **state)
{
	uint8_t payload[40] = {0};
	int fds[F01_FDS], before;
	struct vhost_rig rig, other;
	unsigned int sent = 0;

	(void)state;
	for (int i = 0; i < F01_FDS; i++)
		fds[i] = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	vhost_rig_open(&other, 1, true);
	vhost_rig_boot(&other, &small);
	fake_worker_start(&other.worker, other.port);
	vhost_rig_open(&rig, 1, true);
	before = fake_port_open_fds();
	for (uint32_t request = 1; request < FAKE_REQUEST_MAX; request++) {
		assert_int_equal(fake_front_connect(&rig.front, rig.path, 1000), 0);
		for (int i = 0; i < F01_MESSAGES / 32; i++)
			sent += !fake_front_send_message(&rig.front,
				&(struct fake_message){request, payload,
					request == FAKE_GET_FEATURES ? 0 : 8, fds, F01_FDS});
		assert_true(fake_front_hung_up(&rig.front, 1000));
		fake_front_close(&rig.front);
		vhost_rig_ping(&other, (uint16_t)request);
	}
	for (int i = 0; i < 100 && fake_port_open_fds() != before; i++)
		usleep(10000);
	assert_int_equal(fake_port_open_fds(), before);
	print_message("F01: %u messages with %d descriptors each\n", sent, F01_FDS);
	for (int i = 0; i < F01_FDS; i++)
		close(fds[i]);
	vhost_rig_close(&other);
	vhost_rig_close(&rig);
}

static void f01_allowed_descriptors_replace_each_other(void **state)
{
	static const enum fake_request requests[] = {
		FAKE_SET_VRING_CALL, FAKE_SET_VRING_KICK, FAKE_SET_VRING_ERR};
	int fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC), before;
	uint64_t ring = 0, value;
	struct vhost_rig rig;

	(void)state;
	vhost_rig_open(&rig, 1, true);
	vhost_rig_boot(&rig, &small);
	before = fake_port_open_fds();
	for (int i = 0; i < F01_MESSAGES; i++) {
		assert_int_equal(
			fake_front_send_message(&rig.front, &(struct fake_message){requests[i % 3],
								    &ring, sizeof(ring), &fd, 1}),
			0);
		if (i % 100 == 0) {
			assert_int_equal(fake_front_get(&rig.front, FAKE_GET_FEATURES, &value), 0);
			assert_int_equal(fake_front_memory(&rig.front, rig.guest), 0);
		}
	}
	assert_int_equal(fake_front_get(&rig.front, FAKE_GET_FEATURES, &value), 0);
	assert_int_equal(fake_port_open_fds(), before);
	close(fd);
	vhost_rig_close(&rig);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(c01_the_dirty_log_message_is_answered_under_traffic),
		cmocka_unit_test(c01_a_wrong_dirty_log_closes_the_connection_and_nothing_else),
		cmocka_unit_test(c01_without_the_feature_the_front_end_is_not_left_waiting),
		cmocka_unit_test(d01_half_a_message_ends_its_own_connection_and_holds_no_other),
		cmocka_unit_test(d01_a_front_end_that_reads_no_answers_is_cut_off),
		cmocka_unit_test(a_ring_the_port_does_not_have_is_refused),
		cmocka_unit_test(memory_beyond_its_file_is_refused),
		cmocka_unit_test(a_ring_that_grows_after_its_address_was_checked_is_refused),
		cmocka_unit_test(a_call_descriptor_that_may_block_workers_is_refused),
		cmocka_unit_test(a_guest_that_claims_more_than_its_ring_holds_overruns_nothing),
		cmocka_unit_test(f01_extra_descriptors_stay_in_no_process),
		cmocka_unit_test(f01_allowed_descriptors_replace_each_other),
	};

	return cmocka_run_group_tests(tests, fake_port_setup, NULL);
}
