/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef TEST_UNIT_MOVE_FIXTURE_H
#define TEST_UNIT_MOVE_FIXTURE_H
/*
 * Three hosts for whole moves: V (and L, its neighbour) on h0, which moves to h1; W on h2. A
 * datagram has a number; who got which is written down, and what hosts sent to each other.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <rte_byteorder.h>

#include "dataplane/session_import.h"
#include "dataplane/session_walk.h"
#include "dataplane/vport.h"
#include "test/fake/fake_eal.h"
#include "test/fake/fake_lab.h"

#define V_MAC "02:00:00:00:00:05"
#define L_MAC "02:00:00:00:00:08"
#define W_MAC "02:00:00:00:00:09"
#define V "10.0.0.5"
#define L "10.0.0.8"
#define W "10.0.0.9"
#define ID_MAX 4000
#define VPORT_L \
	"  - {name: l, vpc: shop, mac: '" L_MAC "', ips: [" L "], port: {path: /tmp/l.sock}}\n"
#define VPORT_W \
	"  - {name: w, vpc: shop, mac: '" W_MAC "', ips: [" W "], port: {path: /tmp/w.sock}}\n"

static struct fake_lab lab;

/* What came out of vports: by host, which datagrams, and frames that V itself had sent. */
static struct {
	uint8_t at[FAKE_LAB_HOSTS][ID_MAX];
	uint32_t count[FAKE_LAB_HOSTS];
	uint32_t own[FAKE_LAB_HOSTS];
} got;

/* What hosts sent to each other. */
static struct {
	uint32_t of_v[FAKE_LAB_HOSTS]; /* with V's MAC or address as the sender */
	uint32_t data[FAKE_LAB_HOSTS]; /* numbered datagrams */
	size_t longest; /* of them */
	uint8_t ttl; /* outer, of the last */
} wire;

static inline bool tap(void *arg, uint32_t from, const uint8_t *frame, size_t len)
{
	static const uint8_t v_mac[6] = {2, 0, 0, 0, 0, 5}, v_ip[4] = {10, 0, 0, 5};
	const uint8_t *inner = frame + 50;

	(void)arg;
	if (len < 64 + 28 || frame[12] != 8 || frame[13] != 0 || frame[23] != 17)
		return true;
	/* Inner source; sender of an inner ARP. */
	if (memcmp(inner + 6, v_mac, 6) == 0 ||
		(inner[12] == 8 && inner[13] == 6 && memcmp(inner + 28, v_ip, 4) == 0))
		wire.of_v[from]++;
	if (inner[12] == 8 && inner[13] == 0 && inner[23] == 17) {
		wire.data[from]++;
		wire.longest = RTE_MAX(wire.longest, len);
		wire.ttl = frame[22];
	}
	return true;
}

/* Everything that has come out of a vport. */
static inline void collect(uint32_t host, const char *name)
{
	static const uint8_t v_mac[6] = {2, 0, 0, 0, 0, 5};
	struct vport *v = lab.host[host].up ? fake_lab_vport(&lab, host, name) : NULL;
	uint8_t frame[FAKE_FRAME_MAX];
	size_t len;

	while (v && (len = fake_host_receive(v->port, frame, sizeof(frame))) > 0) {
		uint32_t id;

		got.own[host] += memcmp(frame + 6, v_mac, 6) == 0 && strcmp(name, "v") == 0;
		if (len < 46 || frame[12] != 8 || frame[13] != 0 || frame[23] != 17)
			continue;
		memcpy(&id, frame + 42, sizeof(id));
		assert_true(id < ID_MAX);
		got.at[host][id]++;
		got.count[host]++;
	}
}

static struct fake_packet datagram(bool from_v, const char *other, uint32_t *id, uint16_t len)
{
	const char *mac = strcmp(other, L) == 0 ? L_MAC : W_MAC;

	return (struct fake_packet){.src_mac = from_v ? V_MAC : mac,
		.dst_mac = from_v ? mac : V_MAC,
		.src = from_v ? V : other,
		.dst = from_v ? other : V,
		.sport = 7,
		.dport = 7000,
		.dont_fragment = true,
		.payload = id,
		.payload_len = len};
}

/* To V, from the host where the sender is. */
static inline void to_v(uint32_t host, const char *vport, const char *src, uint32_t id)
{
	struct fake_packet p = datagram(false, src, &id, sizeof(id));

	fake_lab_send(&lab, host, vport, &p);
	collect(0, "v");
	collect(1, "v");
}

static inline bool w_reaches_v(void *arg)
{
	(void)arg;
	to_v(2, "w", W, 0);
	return got.count[0] > 0;
}

static inline int hosts_start_with(uint32_t sessions)
{
	memset(&got, 0, sizeof(got));
	memset(&wire, 0, sizeof(wire));
	fake_lab_new(&lab, 3);
	lab.sessions = sessions;
	lab.quiet = true;
	lab.tap = tap;
	lab.migrate = "announce_repeats: 1, announce_interval_ms: 20";
	lab.vports[0] = FAKE_LAB_VM VPORT_L;
	lab.vports[2] = VPORT_W;
	for (uint32_t i = 0; i < 3; i++)
		fake_lab_start(&lab, i);
	fake_lab_rings(&lab, 0, "v", true);
	fake_lab_rings(&lab, 0, "l", true);
	fake_lab_rings(&lab, 2, "w", true);
	assert_true(fake_lab_until(&lab, w_reaches_v, NULL, 10000));
	fake_lab_run_ms(&lab, 20);
	collect(0, "v");
	memset(&got, 0, sizeof(got));
	memset(&wire, 0, sizeof(wire));
	return 0;
}

static inline int hosts_start(void **state)
{
	(void)state;
	return hosts_start_with(0);
}

static inline int lab_end(void **state)
{
	(void)state;
	fake_lab_free(&lab);
	return 0;
}

static inline void moves_until_ready(char *id)
{
	fake_lab_move(&lab, 0, 1, "v", id);
	assert_true(fake_lab_phase(&lab, 0, id, MOVER_READY, 5000));
}

static inline void commits(const char *id)
{
	struct mover_view view;

	fake_lab_over(&lab, 0, id, &view);
	assert_int_equal(view.phase, MOVER_COMMITTED);
	fake_lab_over(&lab, 1, id, &view);
	assert_int_equal(view.phase, MOVER_COMMITTED);
}

static inline void v_sends_udp(uint32_t host, uint16_t sport)
{
	uint32_t id = 1;
	struct fake_packet p = datagram(true, W, &id, sizeof(id));

	p.sport = sport;
	fake_lab_send(&lab, host, "v", &p);
	fake_lab_drain(&lab, 2, "w");
}

static inline int move_setup(void **state)
{
	(void)state;
	return fake_eal_start_mb(768);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, hosts_start, lab_end)

#endif
