/* SPDX-License-Identifier: BSD-3-Clause */
/* How front ends and ports find each other. Case names are those of the field-case collection. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <rte_malloc.h>
#include <rte_mbuf.h>

#include "dataplane/vhost_library.h"

#include "test/fake/fake_vhost_rig.h"

#define C03_ROUNDS 100
#define C03_LIMIT_US 50000

/* Opens a port at a path; the error line stays for the test to look at. */
static char error[160];

static int open_at(const char *path, bool server, struct fake_worker *worker, struct port **port)
{
	struct port_params params = {.name = "vm",
		.kind = PORT_VHOST,
		.server = server,
		.path = path,
		.queues = 1,
		.mode = 0620,
		.pool = fake_port_pool()};

	if (worker)
		params.listener = fake_worker_listener(worker);
	error[0] = '\0';
	return port_open(&params, port, error, sizeof(error));
}

static void c03_traffic_is_back_soon_after_the_front_end_listens_again(void **state)
{
	struct vhost_rig rig;
	uint64_t cpu_us, wall_us, worst_us = 0;
	int late = 0;

	(void)state;
	vhost_rig_open(&rig, 1, false);
	vhost_rig_boot(&rig, &(struct fake_guest_params){.pairs = 1, .size = 64});
	fake_worker_start(&rig.worker, rig.port);
	cpu_us = fake_port_cpu_us();
	wall_us = fake_port_now_us();
	for (int i = 0; i < C03_ROUNDS; i++) {
		uint64_t listen_us, took_us;

		vhost_rig_ping(&rig, (uint16_t)i);
		fake_front_close(&rig.front);
		close(rig.listener);
		unlink(rig.path);
		assert_true(fake_port_wait(rig.port, false, 1000));
		usleep(20000);
		fake_guest_reset(rig.guest);
		listen_us = fake_port_now_us();
		rig.listener = fake_front_listen(rig.path);
		vhost_rig_connect(&rig);
		vhost_rig_start(&rig, 1);
		vhost_rig_ping(&rig, (uint16_t)i);
		took_us = fake_port_now_us() - listen_us;
		late += took_us > C03_LIMIT_US;
		worst_us = took_us > worst_us ? took_us : worst_us;
	}
	cpu_us = fake_port_cpu_us() - cpu_us;
	wall_us = fake_port_now_us() - wall_us;
	print_message("C03: %d of %d late, worst %ju us; process CPU %ju of %ju us\n", late,
		C03_ROUNDS, (uintmax_t)worst_us, (uintmax_t)cpu_us, (uintmax_t)wall_us);
	assert_true(late <= C03_ROUNDS / 100);
	vhost_rig_close(&rig);
}

static void c03_a_missing_socket_costs_little_and_is_told_once(void **state)
{
	struct fake_worker worker;
	struct port_info info;
	struct port *port;
	uint64_t cpu_us;
	char path[64];

	(void)state;
	snprintf(path, sizeof(path), "/tmp/ferry-test-%d-missing", getpid());
	fake_worker_init(&worker);
	assert_int_equal(open_at(path, false, &worker, &port), 0);
	cpu_us = fake_port_cpu_us();
	sleep(3);
	cpu_us = fake_port_cpu_us() - cpu_us;
	assert_true(cpu_us < 3000000 / 10);
	assert_int_equal(fake_count(&worker.statuses), 1);
	port_info(port, &info);
	assert_non_null(strstr(info.last_error, "No such file"));
	port_close(port);
	fake_worker_destroy(&worker);
}

static void c07_the_features_offered_are_the_same_after_each_restart(void **state)
{
	struct fake_guest *guest =
		fake_guest_new(&(struct fake_guest_params){.pairs = 1, .size = 16});
	struct fake_front front;
	uint64_t features, again;
	struct port *port;
	char path[64];
	int listener;

	(void)state;
	fake_front_init(&front);
	snprintf(path, sizeof(path), "/tmp/ferry-test-%d-restart", getpid());
	listener = fake_front_listen(path);
	for (int i = 0; i < 50; i++) {
		assert_int_equal(open_at(path, false, NULL, &port), 0);
		assert_int_equal(fake_front_accept(&front, listener, 1000), 0);
		assert_int_equal(fake_front_negotiate(&front, guest), 0);
		assert_int_equal(front.offered, PORT_FEATURES);
		features = i ? features : front.features;
		assert_int_equal(front.features, features);
		/* And once more, as a front end does whose guest resets. */
		assert_int_equal(fake_front_negotiate(&front, guest), 0);
		assert_int_equal(fake_front_get(&front, FAKE_GET_FEATURES, &again), 0);
		assert_int_equal(again, PORT_FEATURES);
		port_close(port);
		assert_true(fake_front_hung_up(&front, 1000));
		fake_front_close(&front);
	}
	close(listener);
	unlink(path);
	fake_guest_free(guest);
}

static unsigned int allocations(void)
{
	struct rte_malloc_socket_stats stats;

	assert_int_equal(rte_malloc_get_socket_stats(0, &stats), 0);
	return stats.alloc_count;
}

/* EAL may end then: a VMM that hangs up at the same moment leaves nothing half freed behind. */
static void after_its_close_the_library_holds_no_memory_of_devices(void **state)
{
	unsigned int before = allocations();
	struct vhost_rig rig;

	(void)state;
	vhost_rig_open(&rig, 1, false);
	vhost_rig_boot(&rig, &(struct fake_guest_params){.pairs = 1, .size = 256});
	vhost_rig_close(&rig);
	vhost_library_close();
	assert_int_equal(allocations(), before);
}

static void c10_a_path_of_107_bytes_works_and_of_108_is_refused_with_the_limit(void **state)
{
	struct fake_front front;
	struct port *port;
	char path[128];
	uint64_t value;

	(void)state;
	memset(path, 'x', sizeof(path));
	memcpy(path, "/tmp/", 5);
	path[108] = '\0';
	assert_int_equal(open_at(path, true, NULL, &port), -ENAMETOOLONG);
	assert_non_null(strstr(error, "107"));
	path[107] = '\0';
	assert_int_equal(open_at(path, true, NULL, &port), 0);
	fake_front_init(&front);
	assert_int_equal(fake_front_connect(&front, path, 1000), 0);
	assert_int_equal(fake_front_get(&front, FAKE_GET_FEATURES, &value), 0);
	assert_int_equal(value, PORT_FEATURES);
	fake_front_close(&front);
	port_close(port);
	assert_int_equal(access(path, F_OK), -1);
}

static void c10_a_stale_socket_is_replaced_a_live_one_and_a_file_are_refused(void **state)
{
	struct pollfd pfd = {.events = POLLIN};
	struct port *port;
	struct stat st;
	char path[64];

	(void)state;
	snprintf(path, sizeof(path), "/tmp/ferry-test-%d-stale", getpid());
	pfd.fd = fake_front_listen(path);
	assert_int_equal(open_at(path, true, NULL, &port), -EADDRINUSE);
	assert_non_null(strstr(error, "another program listens"));
	assert_int_equal(poll(&pfd, 1, 0), 0); /* which has not noticed */
	close(pfd.fd); /* now stale */
	assert_int_equal(open_at(path, true, NULL, &port), 0);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0620);
	port_close(port);
	close(open(path, O_CREAT | O_WRONLY, 0600));
	assert_int_equal(open_at(path, true, NULL, &port), -EEXIST);
	assert_non_null(strstr(error, "is no socket"));
	assert_int_equal(unlink(path), 0);
}

static void ask_port(void *arg, struct port *port, enum port_event event)
{
	struct port_info info;

	if (event != PORT_STATUS)
		return;
	port_info(port, &info);
	__atomic_fetch_add((int *)arg, info.last_error[0] != '\0', __ATOMIC_RELAXED);
}

/* Its first connect fails on the events thread, perhaps before port_open() has returned. */
static void a_port_can_be_asked_from_an_event_while_it_opens(void **state)
{
	int told = 0;
	struct port_params params = {.name = "asked",
		.kind = PORT_VHOST,
		.path = "/nonexistent/asked.sock",
		.queues = 1,
		.pool = fake_port_pool(),
		.listener = {.event = ask_port, .arg = &told}};

	(void)state;
	for (int i = 0; i < 300; i++) {
		struct port *port;

		uint64_t deadline_us = fake_port_now_us() + 1000000;

		assert_int_equal(port_open(&params, &port, NULL, 0), 0);
		while (__atomic_load_n(&told, __ATOMIC_RELAXED) <= i &&
			fake_port_now_us() < deadline_us)
			sched_yield();
		port_close(port);
	}
	assert_int_equal(__atomic_load_n(&told, __ATOMIC_RELAXED), 300);
}

static void two_ports_cannot_have_one_path(void **state)
{
	struct port *port, *other;
	char path[64];

	(void)state;
	snprintf(path, sizeof(path), "/tmp/ferry-test-%d-twice", getpid());
	assert_int_equal(open_at(path, false, NULL, &port), 0);
	assert_int_equal(open_at(path, false, NULL, &other), -EEXIST);
	port_close(port);
	assert_int_equal(open_at(path, false, NULL, &port), 0);
	port_close(port);
}

static void c10_each_change_of_a_connect_error_is_told_once(void **state)
{
	struct fake_worker worker;
	struct fake_front front;
	struct port_info info;
	struct port *port;
	char path[64];
	int listener;

	(void)state;
	snprintf(path, sizeof(path), "/tmp/ferry-test-%d-error", getpid());
	fake_worker_init(&worker);
	fake_front_init(&front);
	assert_int_equal(open_at(path, false, &worker, &port), 0);
	usleep(100000);
	assert_int_equal(fake_count(&worker.statuses), 1); /* no such file */
	close(fake_front_listen(path)); /* the file is there, nobody listens */
	usleep(100000);
	assert_int_equal(fake_count(&worker.statuses), 2);
	port_info(port, &info);
	assert_non_null(strstr(info.last_error, "refused"));
	listener = fake_front_listen(path);
	assert_int_equal(fake_front_accept(&front, listener, 1000), 0);
	usleep(20000);
	port_info(port, &info);
	assert_string_equal(info.last_error, "");
	assert_in_range(fake_count(&worker.statuses), 3, 4); /* 4: seen between unlink and bind */
	port_close(port);
	fake_front_close(&front);
	close(listener);
	unlink(path);
	fake_worker_destroy(&worker);
}

static void a_second_front_end_waits_until_the_first_is_gone(void **state)
{
	struct vhost_rig rig;
	struct fake_front second;
	uint64_t value;

	(void)state;
	vhost_rig_open(&rig, 1, true);
	vhost_rig_boot(&rig, &(struct fake_guest_params){.pairs = 1, .size = 64});
	fake_worker_start(&rig.worker, rig.port);
	fake_front_init(&second);
	assert_int_equal(fake_front_connect(&second, rig.path, 1000), 0);
	assert_int_equal(fake_front_send(&second, FAKE_GET_FEATURES, 0, NULL, 0), 0);
	assert_int_equal(fake_front_reply(&second, FAKE_GET_FEATURES, &value, sizeof(value), 50),
		-ETIMEDOUT);
	vhost_rig_ping(&rig, 0);
	fake_front_close(&rig.front);
	assert_int_equal(
		fake_front_reply(&second, FAKE_GET_FEATURES, &value, sizeof(value), 1000), 8);
	fake_front_close(&second);
	vhost_rig_close(&rig);
}

/* DPDK's own virtio driver as a front end we did not write, in this process, in both directions. */
static void virtio_user(bool port_listens)
{
	struct port_params params = {.name = "nic",
		.kind = PORT_ETH,
		.queues = 1,
		.tx_queues = 1,
		.pool = fake_port_pool()};
	char device[160], path[64];
	struct fake_worker worker;
	struct port *port, *nic;
	struct rte_mbuf *m;
	uint32_t got = 0;

	snprintf(path, sizeof(path), "/tmp/ferry-test-%d-virtio", getpid());
	fake_worker_init(&worker);
	assert_int_equal(open_at(path, port_listens, &worker, &port), 0);
	snprintf(device, sizeof(device), "net_virtio_user0,path=%s,server=%d", path, !port_listens);
	params.device = device;
	if (port_open(&params, &nic, error, sizeof(error)))
		fail_msg("%s", error);
	assert_true(fake_port_wait(port, true, 3000));
	fake_worker_start(&worker, port);
	for (int i = 0; i < 20000 && got < 200; i++) {
		m = rte_pktmbuf_alloc(fake_port_pool());
		memset(rte_pktmbuf_append(m, 100), 5, 100);
		if (got + 50 < (uint32_t)i || port_tx(nic, 0, &m, 1) == 0)
			rte_pktmbuf_free(m);
		while (port_rx(nic, 0, &m, 1)) {
			assert_int_equal(rte_pktmbuf_pkt_len(m), 100);
			rte_pktmbuf_free(m);
			got++;
		}
		usleep(100);
	}
	assert_int_equal(got, 200);
	fake_worker_stop(&worker);
	port_close(nic);
	assert_true(fake_port_wait(port, false, 3000));
	port_close(port);
	fake_worker_destroy(&worker);
}

static void the_virtio_driver_of_dpdk_connects_to_a_listening_port(void **state)
{
	(void)state;
	virtio_user(true);
}

static void a_port_connects_to_the_virtio_driver_of_dpdk(void **state)
{
	(void)state;
	virtio_user(false);
}

static void nothing_is_left_behind(void **state)
{
	struct vhost_rig rig;
	int fds;

	(void)state;
	vhost_rig_open(&rig, 1, true); /* the library keeps a few once it runs */
	vhost_rig_close(&rig);
	fds = fake_port_open_fds();
	for (int i = 0; i < 20; i++) {
		vhost_rig_open(&rig, 1, i & 1);
		vhost_rig_boot(&rig, &(struct fake_guest_params){.pairs = 1, .size = 16});
		vhost_rig_close(&rig);
	}
	assert_int_equal(fake_port_open_fds(), fds + 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(c03_traffic_is_back_soon_after_the_front_end_listens_again),
		cmocka_unit_test(c03_a_missing_socket_costs_little_and_is_told_once),
		cmocka_unit_test(c07_the_features_offered_are_the_same_after_each_restart),
		cmocka_unit_test(
			c10_a_path_of_107_bytes_works_and_of_108_is_refused_with_the_limit),
		cmocka_unit_test(c10_a_stale_socket_is_replaced_a_live_one_and_a_file_are_refused),
		cmocka_unit_test(c10_each_change_of_a_connect_error_is_told_once),
		cmocka_unit_test(a_port_can_be_asked_from_an_event_while_it_opens),
		cmocka_unit_test(two_ports_cannot_have_one_path),
		cmocka_unit_test(a_second_front_end_waits_until_the_first_is_gone),
		cmocka_unit_test(the_virtio_driver_of_dpdk_connects_to_a_listening_port),
		cmocka_unit_test(a_port_connects_to_the_virtio_driver_of_dpdk),
		cmocka_unit_test(nothing_is_left_behind),
		cmocka_unit_test(after_its_close_the_library_holds_no_memory_of_devices), /* last */
	};

	return cmocka_run_group_tests(tests, fake_port_setup, NULL);
}
