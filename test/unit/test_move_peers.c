/* SPDX-License-Identifier: BSD-3-Clause */
/* The peer list changes while hosts run: who is told, and who is heard. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "ctrl/migrate/peer_impl.h"
#include "dataplane/vport.h"
#include "test/fake/fake_eal.h"
#include "test/fake/fake_lab.h"

static struct fake_lab lab;

/* Host 0 owns a VM and knows `hosts` hosts, itself one of them; the others know all. */
static void start(uint32_t hosts)
{
	fake_lab_new(&lab, 2);
	lab.quiet = true;
	lab.vports[0] = FAKE_LAB_VM;
	lab.hosts = hosts;
	fake_lab_start(&lab, 0);
	lab.hosts = 2;
	fake_lab_start(&lab, 1);
	fake_lab_rings(&lab, 0, "v", true);
	fake_lab_run_ms(&lab, 50);
}

static uint32_t links(uint32_t host)
{
	struct exchange *peers = lab.host[host].mover->exchange;
	uint32_t n = 0;

	pthread_mutex_lock(&peers->lock);
	for (struct peer_link *link = peers->links; link; link = link->next)
		n++;
	pthread_mutex_unlock(&peers->lock);
	return n;
}

/* Host 1 has heard where the VM is. */
static bool knows(void *arg)
{
	struct exchange *peers = lab.host[1].mover->exchange;
	bool known = false;

	(void)arg;
	pthread_mutex_lock(&peers->lock);
	for (uint32_t i = 0; i < PEER_KNOWN_BUCKETS; i++)
		for (struct peer_known *k = peers->known[i]; k; k = k->next)
			known = known || strcmp(k->host, "h0") == 0;
	pthread_mutex_unlock(&peers->lock);
	return known;
}

static void reload_host_0(void)
{
	char error[512] = "";

	if (fake_lab_reload(&lab, 0, error, sizeof(error)) != 0)
		fail_msg("%s", error);
}

static void a_peer_that_a_reload_brings_is_told_at_once(void **state)
{
	(void)state;
	start(1);
	assert_int_equal(links(0), 0);
	assert_false(knows(NULL));
	reload_host_0();
	assert_int_equal(links(0), 1);
	assert_true(fake_lab_until(&lab, knows, NULL, 5000));
	fake_lab_migrate(&lab, 0, 1, "v");
	fake_lab_free(&lab);
}

/* Its link to host 0 has been closed from there. */
static bool cut_off(void *arg)
{
	struct exchange *peers = lab.host[1].mover->exchange;
	bool up = false;

	(void)arg;
	pthread_mutex_lock(&peers->lock);
	for (struct peer_link *link = peers->links; link; link = link->next)
		up = up || atomic_load(&link->up);
	pthread_mutex_unlock(&peers->lock);
	return !up;
}

static void a_peer_that_a_reload_takes_away_is_heard_no_more(void **state)
{
	(void)state;
	start(2);
	assert_true(fake_lab_until(&lab, knows, NULL, 5000));
	assert_int_equal(links(0), 1);
	lab.hosts = 1;
	reload_host_0();
	lab.hosts = 2;
	assert_int_equal(links(0), 0);
	assert_true(fake_lab_until(&lab, cut_off, NULL, 8000));
	fake_lab_free(&lab);
}

static struct vswitch_identity identity(uint32_t n)
{
	struct vswitch_identity id = {.vni = 100 + n % 7, .addr = fake_addr("fd00::")};

	memcpy(&id.addr.s6_addr[12], &n, sizeof(n));
	return id;
}

static void what_peers_own_is_kept_and_found_up_to_a_limit(void **state)
{
	struct exchange *peers = calloc(1, sizeof(*peers));
	char host[16];

	(void)state;
	for (uint32_t round = 1; round <= 2; round++)
		for (uint32_t n = 0; n < PEER_KNOWN_MAX; n++) {
			struct vswitch_identity id = identity(n);

			snprintf(host, sizeof(host), "h%u", n % 1000);
			assert_true(peer_known_set(peers, host, &id, round));
		}
	assert_int_equal(peers->known_count, PEER_KNOWN_MAX);
	for (uint32_t n = 0; n < PEER_KNOWN_MAX + 10; n++) {
		struct vswitch_identity id = identity(n);
		const struct peer_known *known = peer_known_find(peers, &id);

		if (n >= PEER_KNOWN_MAX) {
			assert_null(known);
			assert_false(peer_known_set(peers, "h0", &id, 1));
			continue;
		}
		snprintf(host, sizeof(host), "h%u", n % 1000);
		assert_string_equal(known->host, host);
		assert_int_equal(known->epoch, 2);
	}
	peer_known_free(peers);
	free(peers);
}

/* A datagram from L at host 1 to V; true when it came out of V's port at `host`. */
static bool l_reaches_v(uint32_t host)
{
	const struct fake_packet p = {.src_mac = "02:00:00:00:00:08",
		.dst_mac = "02:00:00:00:00:05",
		.src = "10.0.0.8",
		.dst = "10.0.0.5",
		.sport = 7,
		.dport = 7000,
		.payload = "x",
		.payload_len = 1};

	fake_lab_drain(&lab, host, "v");
	fake_lab_send(&lab, 1, "l", &p);
	return fake_lab_drain(&lab, host, "v") == 1;
}

/* Both have V in their file: at host 1 it waits for a move that nobody has begun. */
static void a_neighbour_reaches_a_vm_whose_own_vport_waits_beside_it(void **state)
{
	(void)state;
	fake_lab_new(&lab, 2);
	lab.quiet = true;
	lab.vports[0] = FAKE_LAB_VM;
	lab.vports[1] = FAKE_LAB_VM
		"  - {name: l, vpc: shop, mac: '02:00:00:00:00:08', ips: [10.0.0.8], port: {path: "
		"/tmp/l.sock}}\n";
	fake_lab_start(&lab, 0);
	fake_lab_start(&lab, 1);
	fake_lab_rings(&lab, 0, "v", true);
	fake_lab_rings(&lab, 1, "l", true);
	assert_true(fake_lab_until(&lab, knows, NULL, 5000));
	fake_lab_run_ms(&lab, 50);
	assert_int_equal(fake_lab_role(&lab, 1, "v"), ROLE_PASSIVE);
	assert_true(l_reaches_v(0));
	fake_lab_migrate(&lab, 0, 1, "v");
	assert_true(l_reaches_v(1));
	fake_lab_migrate(&lab, 1, 0, "v");
	assert_true(l_reaches_v(0));
	fake_lab_free(&lab);
}

static int setup(void **state)
{
	(void)state;
	return fake_eal_start_mb(512);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_peers_own_is_kept_and_found_up_to_a_limit),
		cmocka_unit_test(a_peer_that_a_reload_brings_is_told_at_once),
		cmocka_unit_test(a_peer_that_a_reload_takes_away_is_heard_no_more),
		cmocka_unit_test(a_neighbour_reaches_a_vm_whose_own_vport_waits_beside_it),
	};

	return cmocka_run_group_tests(tests, setup, NULL);
}
