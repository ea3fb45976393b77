/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Ports on DPDK devices. What needs a network interface makes a tap of its own and is skipped
 * where that is not allowed.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>
#include <linux/if_tun.h>

#include <rte_ethdev.h>
#include <rte_mbuf.h>

#include "test/fake/fake_port.h"

static char error[160];

static int open_device(const char *device, uint16_t queues, struct port **port)
{
	const struct port_params params = {.name = "eth",
		.kind = PORT_ETH,
		.device = device,
		.promiscuous = true,
		.queues = queues,
		.tx_queues = 2,
		.mtu = 1500,
		.pool = fake_port_pool()};

	error[0] = '\0';
	return port_open(&params, port, error, sizeof(error));
}

static struct rte_mbuf *frame(uint8_t fill, uint16_t len)
{
	struct rte_mbuf *m = rte_pktmbuf_alloc(fake_port_pool());

	assert_non_null(m);
	memset(rte_pktmbuf_append(m, len), fill, len);
	return m;
}

/* Waits for frames of this length. */
static struct rte_mbuf *receive(struct port *port, uint16_t len)
{
	uint64_t end = fake_port_now_us() + 2000000;
	struct rte_mbuf *m;

	while (fake_port_now_us() < end) {
		if (!port_rx(port, 0, &m, 1)) {
			usleep(100);
			continue;
		}
		if (rte_pktmbuf_pkt_len(m) == len)
			return m;
		rte_pktmbuf_free(m);
	}
	return NULL;
}

static void a_ring_device_carries_frames(void **state)
{
	struct rte_mbuf *m = frame(7, 100);
	struct port_info info;
	struct port *port;

	(void)state;
	assert_int_equal(open_device("net_ring0", 1, &port), 0);
	assert_true(port_rings_up(port));
	assert_int_equal(port_tx(port, 0, &m, 1), 1);
	m = receive(port, 100);
	assert_non_null(m);
	rte_pktmbuf_free(m);
	port_info(port, &info);
	assert_int_equal(info.queues_rx, 1);
	assert_string_equal(info.peer, "net_ring0");
	assert_int_equal(port_rx_fd(port, 0), -1);
	port_close(port);
	assert_int_equal(rte_eth_dev_count_total(), 0);
}

static void one_name_serves_two_engines(void **state)
{
	struct port *a, *b;
	struct port_info info;
	struct rte_mbuf *m = frame(1, 64);

	(void)state;
	assert_int_equal(open_device("net_ring0", 1, &a), 0);
	assert_int_equal(open_device("net_ring0", 1, &b), 0);
	port_info(b, &info);
	assert_string_equal(info.peer, "net_ring0_1");
	assert_int_equal(port_tx(a, 0, &m, 1), 1);
	assert_int_equal(port_rx(b, 0, &m, 1), 0);
	port_close(a);
	assert_int_equal(open_device("net_ring0", 1, &a), 0); /* free again */
	port_info(a, &info);
	assert_string_equal(info.peer, "net_ring0");
	port_close(a);
	port_close(b);
	assert_int_equal(rte_eth_dev_count_total(), 0);
}

static void a_wrong_device_leaves_a_line_and_nothing_else(void **state)
{
	static const char *const wrong[] = {"", "net_nonesuch0", "net_af_packet0,iface=nonesuch0",
		"net_pcap0,rx_pcap=/nonesuch", "0000:ff:1f.7", "crypto_null0"};
	struct port *port = NULL;

	(void)state;
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		assert_true(open_device(wrong[i], 1, &port) < 0);
		assert_non_null(strstr(error, wrong[i]));
		assert_null(port);
		assert_int_equal(rte_eth_dev_count_total(), 0);
	}
}

static void null_and_pcap_devices_open_as_they_are(void **state)
{
	static const uint8_t capture[] = {/* header */ 0xd4, 0xc3, 0xb2, 0xa1, 2, 0, 4, 0, 0, 0, 0,
		0, 0, 0, 0, 0, 0, 0, 1, 0, 1, 0, 0, 0,
		/* one frame of 14 bytes */ 0, 0, 0, 0, 0, 0, 0, 0, 14, 0, 0, 0, 14, 0, 0, 0, 1, 2,
		3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14};
	char path[64], device[160];
	struct rte_mbuf *m;
	struct port *port;
	int fd;

	(void)state;
	snprintf(path, sizeof(path), "/tmp/ferry-test-%d.pcap", getpid());
	fd = open(path, O_CREAT | O_WRONLY | O_TRUNC, 0600);
	assert_int_equal(write(fd, capture, sizeof(capture)), sizeof(capture));
	close(fd);
	snprintf(device, sizeof(device), "net_pcap0,rx_pcap=%s", path);
	assert_int_equal(open_device(device, 4, &port), 0);
	m = receive(port, 14);
	assert_non_null(m);
	assert_int_equal(rte_pktmbuf_mtod(m, uint8_t *)[13], 14);
	rte_pktmbuf_free(m);
	port_close(port);
	unlink(path);
	assert_int_equal(open_device("net_null0,no-rx=1", 1, &port), 0);
	assert_int_equal(port_rx(port, 0, &m, 1), 0);
	m = frame(0, 60);
	assert_int_equal(port_tx(port, 0, &m, 1), 1);
	port_close(port);
}

static unsigned int events;

static void count_event(void *arg, struct port *port, enum port_event event)
{
	(void)arg;
	assert_int_equal(port_rings_up(port), event == PORT_RINGS_UP);
	events++;
}

static void a_port_born_paused_forgets_what_came_before_it_was_resumed(void **state)
{
	struct port_params params = {.name = "eth",
		.kind = PORT_ETH,
		.device = "net_null0,size=77",
		.paused = true,
		.queues = 1,
		.tx_queues = 1,
		.pool = fake_port_pool(),
		.listener = {.event = count_event}};
	struct rte_mbuf *m;
	struct port *port;

	(void)state;
	assert_int_equal(port_open(&params, &port, error, sizeof(error)), 0);
	assert_false(port_rings_up(port));
	assert_int_equal(port_rx_queues(port), 0);
	assert_int_equal(port_rx(port, 0, &m, 1), 0);
	m = frame(0, 60);
	assert_int_equal(port_tx(port, 0, &m, 1), 0);
	rte_pktmbuf_free(m);
	assert_int_equal(events, 0);
	assert_int_equal(port_resume(port), 0);
	assert_int_equal(port_resume(port), 0); /* a level: no second event */
	assert_int_equal(events, 1);
	assert_int_equal(port_rx(port, 0, &m, 1), 1);
	rte_pktmbuf_free(m);
	assert_int_equal(port_pause(port), 0);
	assert_int_equal(events, 2);
	assert_int_equal(port_rx(port, 0, &m, 1), 0);
	port_close(port);
}

/* Frames written here come out of the interface; -1 where taps are not allowed. */
static int tap_make(const char *name)
{
	struct ifreq request = {.ifr_flags = IFF_TAP | IFF_NO_PI};
	int fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC | O_NONBLOCK);
	int control = socket(AF_INET, SOCK_DGRAM, 0);

	snprintf(request.ifr_name, sizeof(request.ifr_name), "%s", name);
	if (fd < 0 || ioctl(fd, TUNSETIFF, &request)) {
		close(fd);
		close(control);
		return -1;
	}
	request.ifr_flags = IFF_UP;
	assert_int_equal(ioctl(control, SIOCSIFFLAGS, &request), 0);
	close(control);
	return fd;
}

/* The interface speaks too (router solicitations): only frames of this length count. */
static bool fd_has_frame(int fd, uint16_t len)
{
	uint8_t bytes[2048];
	uint64_t end = fake_port_now_us() + 2000000;

	while (fake_port_now_us() < end) {
		if (read(fd, bytes, sizeof(bytes)) == len)
			return true;
		usleep(100);
	}
	return false;
}

/* The worker's rule for sleep: when poll() says so, a frame is there. */
static struct rte_mbuf *sleep_for(struct port *port, uint16_t len)
{
	struct pollfd pfd = {.fd = port_rx_fd(port, 0), .events = POLLIN};
	uint64_t end = fake_port_now_us() + 2000000;
	struct rte_mbuf *m;

	assert_true(pfd.fd >= 0);
	while (fake_port_now_us() < end) {
		port_rx_notify(port, 0, true);
		if (!port_rx(port, 0, &m, 1)) {
			poll(&pfd, 1, 1000);
			port_rx_notify(port, 0, false);
			continue;
		}
		if (rte_pktmbuf_pkt_len(m) == len)
			return m;
		rte_pktmbuf_free(m);
	}
	return NULL;
}

static void af_packet_carries_frames_and_wakes_a_sleeper(void **state)
{
	uint8_t bytes[333] = {2, 0, 0, 0, 0, 5};
	char name[IFNAMSIZ], device[64];
	struct port_info info;
	struct rte_mbuf *m;
	struct port *port;
	int tap, fds = fake_port_open_fds();

	(void)state;
	snprintf(name, sizeof(name), "fport%d", getpid() % 100000);
	tap = tap_make(name);
	if (tap < 0)
		skip();
	snprintf(device, sizeof(device), "net_af_packet0,iface=%s", name);
	assert_int_equal(open_device(device, 1, &port), 0);
	port_info(port, &info);
	assert_string_equal(info.ifname, name);
	m = frame(9, 222);
	assert_int_equal(port_tx(port, 0, &m, 1), 1);
	assert_true(fd_has_frame(tap, 222));
	assert_int_equal(write(tap, bytes, sizeof(bytes)), sizeof(bytes));
	m = sleep_for(port, sizeof(bytes));
	assert_non_null(m);
	rte_pktmbuf_free(m);
	port_close(port);
	close(tap);
	assert_int_equal(fake_port_open_fds(), fds);
}

/* Ethernet, IP (4 or 6) and what follows, as far as a filter looks. */
static size_t ip_frame(uint8_t *bytes, uint16_t ethertype, uint8_t proto, uint16_t port)
{
	size_t l4 = ethertype == 0x86dd ? 54 : 34;

	memset(bytes, 0, 100);
	bytes[12] = ethertype >> 8;
	bytes[13] = ethertype & 0xff;
	bytes[14] = ethertype == 0x86dd ? 0x60 : 0x45;
	bytes[17] = ethertype == 0x86dd ? 0 : 86;
	bytes[ethertype == 0x86dd ? 20 : 23] = proto;
	bytes[l4 + 2] = port >> 8;
	bytes[l4 + 3] = port & 0xff;
	return 100;
}

static void an_uplink_on_a_shared_interface_takes_tunnels_and_neighbours_alone(void **state)
{
	static const struct {
		uint16_t ethertype;
		uint8_t proto;
		uint16_t port;
		bool taken;
	} rows[] = {{0x0800, IPPROTO_UDP, 4789, true}, {0x0800, IPPROTO_UDP, 4790, false},
		{0x0800, IPPROTO_TCP, 4789, false}, {0x0800, IPPROTO_ICMP, 0, true},
		{0x0806, 0, 0, true}, {0x86dd, IPPROTO_UDP, 4789, true},
		{0x86dd, IPPROTO_UDP, 53, false}, {0x86dd, IPPROTO_TCP, 4789, false},
		{0x86dd, IPPROTO_ICMPV6, 0, true}, {0x88cc, 0, 0, false}};
	struct port_params params = {.name = "uplink",
		.kind = PORT_ETH,
		.only_udp_port = 4789,
		.queues = 1,
		.tx_queues = 1,
		.mtu = 1500,
		.pool = fake_port_pool()};
	char name[IFNAMSIZ], device[64];
	uint8_t bytes[128];
	struct rte_mbuf *m;
	struct port *port;
	uint32_t taken = 0;
	int tap;

	(void)state;
	snprintf(name, sizeof(name), "ffil%d", getpid() % 100000);
	tap = tap_make(name);
	if (tap < 0)
		skip();
	snprintf(device, sizeof(device), "net_af_packet0,iface=%s", name);
	params.device = device;
	assert_int_equal(port_open(&params, &port, error, sizeof(error)), 0);
	for (size_t i = 0; i < RTE_DIM(rows); i++) {
		/* Which one it is, in the last byte. */
		size_t len = ip_frame(bytes, rows[i].ethertype, rows[i].proto, rows[i].port);

		bytes[len - 1] = (uint8_t)(i + 1);
		assert_int_equal(write(tap, bytes, len), len);
	}
	while ((m = receive(port, 100)) != NULL) {
		taken |= UINT32_C(1) << (*rte_pktmbuf_mtod_offset(m, uint8_t *, 99) - 1);
		rte_pktmbuf_free(m);
		if (taken >> 8)
			break; /* the last one that is taken */
	}
	for (size_t i = 0; i < RTE_DIM(rows); i++)
		assert_int_equal(taken >> i & 1, rows[i].taken);
	port_close(port);
	close(tap);
}

static void frames_that_overran_the_device_are_counted(void **state)
{
	char name[IFNAMSIZ], device[96];
	uint8_t bytes[100] = {2, 0, 0, 0, 0, 5};
	struct rte_mbuf *m;
	struct port *port;
	uint32_t received = 0;
	int tap;

	(void)state;
	snprintf(name, sizeof(name), "fmis%d", getpid() % 100000);
	tap = tap_make(name);
	if (tap < 0)
		skip();
	snprintf(device, sizeof(device), "net_af_packet0,iface=%s,framecnt=32", name);
	assert_int_equal(open_device(device, 1, &port), 0);
	assert_int_equal(port_rx_missed(port), 0);
	for (int i = 0; i < 100; i++)
		assert_int_equal(write(tap, bytes, sizeof(bytes)), sizeof(bytes));
	while (port_rx(port, 0, &m, 1) == 1) {
		received += rte_pktmbuf_pkt_len(m) == sizeof(bytes);
		rte_pktmbuf_free(m);
	}
	assert_true(received > 0 && received < 100);
	assert_true(port_rx_missed(port) >= 100 - received);
	/* The kernel tells once, the port goes on telling. */
	assert_true(port_rx_missed(port) >= 100 - received);
	port_close(port);
	close(tap);
}

static void tap_carries_frames_and_wakes_a_sleeper(void **state)
{
	char name[IFNAMSIZ], device[64], other[96];
	struct port *port, *peer;
	struct rte_mbuf *m;

	(void)state;
	if (access("/dev/net/tun", W_OK))
		skip();
	snprintf(name, sizeof(name), "ftap%d", getpid() % 100000);
	snprintf(device, sizeof(device), "net_tap0,iface=%s", name);
	if (open_device(device, 1, &port))
		fail_msg("%s", error);
	snprintf(other, sizeof(other), "net_af_packet0,iface=%s", name);
	assert_int_equal(open_device(other, 1, &peer), 0);
	m = frame(3, 246);
	assert_int_equal(port_tx(port, 0, &m, 1), 1);
	m = sleep_for(peer, 246);
	assert_non_null(m);
	rte_pktmbuf_free(m);
	m = frame(4, 135);
	assert_int_equal(port_tx(peer, 0, &m, 1), 1);
	m = sleep_for(port, 135);
	assert_non_null(m);
	rte_pktmbuf_free(m);
	port_close(peer);
	port_close(port);
	assert_int_equal(if_nametoindex(name), 0);
}

struct opener {
	pthread_t thread;
	int failures;
};

static void *open_and_close(void *arg)
{
	struct opener *opener = arg;
	struct port_params params = {.name = "eth",
		.kind = PORT_ETH,
		.device = "net_ring0",
		.queues = 1,
		.tx_queues = 1,
		.pool = fake_port_pool()};
	char line[160];

	for (int i = 0; i < 5; i++) {
		struct port *port;

		if (port_open(&params, &port, line, sizeof(line)))
			opener->failures++;
		else
			port_close(port);
	}
	return NULL;
}

static void engines_open_and_close_devices_at_the_same_time(void **state)
{
	struct opener openers[4] = {0};

	(void)state;
	for (int i = 0; i < 4; i++)
		assert_int_equal(
			pthread_create(&openers[i].thread, NULL, open_and_close, &openers[i]), 0);
	for (int i = 0; i < 4; i++) {
		pthread_join(openers[i].thread, NULL);
		assert_int_equal(openers[i].failures, 0);
	}
	assert_int_equal(rte_eth_dev_count_total(), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_ring_device_carries_frames),
		cmocka_unit_test(one_name_serves_two_engines),
		cmocka_unit_test(a_wrong_device_leaves_a_line_and_nothing_else),
		cmocka_unit_test(null_and_pcap_devices_open_as_they_are),
		cmocka_unit_test(a_port_born_paused_forgets_what_came_before_it_was_resumed),
		cmocka_unit_test(af_packet_carries_frames_and_wakes_a_sleeper),
		cmocka_unit_test(
			an_uplink_on_a_shared_interface_takes_tunnels_and_neighbours_alone),
		cmocka_unit_test(frames_that_overran_the_device_are_counted),
		cmocka_unit_test(tap_carries_frames_and_wakes_a_sleeper),
		cmocka_unit_test(engines_open_and_close_devices_at_the_same_time),
	};

	return cmocka_run_group_tests(tests, fake_port_setup, NULL);
}
