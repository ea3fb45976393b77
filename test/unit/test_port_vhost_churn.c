/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Field case C09: ports come and go on several threads while front ends connect, stop half-way
 * and hang up. Meant for the address and thread sanitizers too. FERRY_CHURN_SECONDS sets how long
 * (5).
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "test/fake/fake_vhost_rig.h"

#define SLOTS 4
#define OPERATORS 8
#define FRONTS 4
#define CLOSE_LIMIT_US 2000000

/* A place for a port; even ones listen, odd ones connect. */
struct slot {
	pthread_mutex_t lock; /* what the engine's mutex is to ports */
	char path[64];
	bool server;
	struct port *port;
	struct fake_worker worker;
};

static struct slot slots[SLOTS];
static bool stop; /* atomic */
static uint64_t opens, closes, slowest_us, talks, refused; /* atomic */

static void slot_open(struct slot *slot)
{
	struct port_params params = {.name = "churn",
		.kind = PORT_VHOST,
		.server = slot->server,
		.path = slot->path,
		.queues = 2,
		.pool = fake_port_pool()};
	char error[128];

	params.listener = fake_worker_listener(&slot->worker);
	if (port_open(&params, &slot->port, error, sizeof(error))) {
		/* A front end listens at the path of a server now and then. */
		__atomic_add_fetch(&refused, 1, __ATOMIC_RELAXED);
		slot->port = NULL;
		return;
	}
	fake_worker_start(&slot->worker, slot->port);
	__atomic_add_fetch(&opens, 1, __ATOMIC_RELAXED);
}

static void slot_close(struct slot *slot)
{
	uint64_t start_us = fake_port_now_us(), took_us, slowest;

	fake_worker_stop(&slot->worker);
	port_close(slot->port);
	slot->port = NULL;
	took_us = fake_port_now_us() - start_us;
	slowest = __atomic_load_n(&slowest_us, __ATOMIC_RELAXED);
	while (took_us > slowest && !__atomic_compare_exchange_n(&slowest_us, &slowest, took_us,
					    false, __ATOMIC_RELAXED, __ATOMIC_RELAXED))
		;
	__atomic_add_fetch(&closes, 1, __ATOMIC_RELAXED);
}

static void *operator_run(void *arg)
{
	unsigned int seed = (unsigned int)(uintptr_t)arg;

	while (!__atomic_load_n(&stop, __ATOMIC_ACQUIRE)) {
		struct slot *slot = &slots[rand_r(&seed) % SLOTS];
		struct port_info info;

		pthread_mutex_lock(&slot->lock);
		if (slot->port)
			port_info(slot->port, &info);
		if (slot->port)
			slot_close(slot);
		else
			slot_open(slot);
		pthread_mutex_unlock(&slot->lock);
		usleep((useconds_t)(rand_r(&seed) % 100000));
	}
	return NULL;
}

/* Some of a conversation; where it ends is chance. */
static void front_talk(struct fake_front *front, struct fake_guest *guest, unsigned int *seed)
{
	const uint32_t half[3] = {FAKE_SET_FEATURES, FAKE_VERSION, 8};
	int last = rand_r(seed) % 6;

	fake_guest_reset(guest);
	if (last == 0 || fake_front_negotiate(front, guest))
		return;
	if (last == 1) {
		fake_front_send_raw(front, half, 8 + 4 * (size_t)(rand_r(seed) % 2), NULL, 0);
		return;
	}
	if (last == 2 || fake_front_start(front, guest, 1 + (uint16_t)(rand_r(seed) % 2)))
		return;
	fake_guest_send(guest, 0, half, sizeof(half), NULL);
	if (last == 3)
		return;
	usleep((useconds_t)(rand_r(seed) % 2000));
	if (last == 4)
		fake_front_stop(front, guest, 1);
	__atomic_add_fetch(&talks, 1, __ATOMIC_RELAXED);
}

static void *front_run(void *arg)
{
	unsigned int seed = 1000 + (unsigned int)(uintptr_t)arg;
	struct slot *slot = &slots[(uintptr_t)arg % SLOTS];
	struct fake_guest *guest =
		fake_guest_new(&(struct fake_guest_params){.pairs = 2, .size = 16});
	int listener = slot->server ? -1 : fake_front_listen(slot->path);
	struct fake_front front;

	while (!__atomic_load_n(&stop, __ATOMIC_ACQUIRE)) {
		int ret;

		fake_front_init(&front);
		ret = slot->server ? fake_front_connect(&front, slot->path, 20)
				   : fake_front_accept(&front, listener, 20);
		if (!ret)
			front_talk(&front, guest, &seed);
		fake_front_close(&front);
		fake_guest_disconnect(guest, 0);
		usleep((useconds_t)(rand_r(&seed) % 3000));
	}
	if (listener >= 0)
		close(listener);
	unlink(slot->path);
	fake_guest_free(guest);
	return NULL;
}

static void c09_ports_come_and_go_under_rude_front_ends(void **state)
{
	const char *seconds = getenv("FERRY_CHURN_SECONDS");
	pthread_t threads[OPERATORS + FRONTS];

	(void)state;
	for (int i = 0; i < SLOTS; i++) {
		pthread_mutex_init(&slots[i].lock, NULL);
		fake_worker_init(&slots[i].worker);
		slots[i].server = !(i & 1);
		snprintf(slots[i].path, sizeof(slots[i].path), "/tmp/ferry-churn-%d-%d", getpid(),
			i);
	}
	for (uintptr_t i = 0; i < OPERATORS + FRONTS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL,
					 i < OPERATORS ? operator_run : front_run, (void *)i),
			0);
	sleep(seconds ? (unsigned int)atoi(seconds) : 5);
	__atomic_store_n(&stop, true, __ATOMIC_RELEASE);
	for (int i = 0; i < OPERATORS + FRONTS; i++)
		pthread_join(threads[i], NULL);
	for (int i = 0; i < SLOTS; i++) {
		if (slots[i].port)
			slot_close(&slots[i]);
		fake_worker_destroy(&slots[i].worker);
	}
	print_message("C09: %ju opened, %ju refused, %ju with rings up, slowest close %ju us\n",
		(uintmax_t)opens, (uintmax_t)refused, (uintmax_t)talks, (uintmax_t)slowest_us);
	assert_int_equal(opens, closes);
	assert_true(opens > 50);
	assert_true(talks > 0);
	assert_true(slowest_us < CLOSE_LIMIT_US);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(c09_ports_come_and_go_under_rude_front_ends),
	};

	return cmocka_run_group_tests(tests, fake_port_setup, NULL);
}
