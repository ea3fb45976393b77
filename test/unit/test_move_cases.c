/* SPDX-License-Identifier: BSD-3-Clause */
/* Trouble that others had in the field, by its id, on whole moves: packets and places. */
#include "test/unit/move_fixture.h"

/* ---- B02 ---- */

static void B02_a_vport_that_moves_is_neither_deleted_nor_made_anew(void **state)
{
	static const char *const without = VPORT_L;
	static const char *const anew =
		"  - {name: v, vm: vm1, vpc: shop, mac: '" V_MAC "', ips: [" V ", 'fd00::5'],\n"
		"     uuid: 00000000-0000-4000-8000-000000000005, port: {path: "
		"/tmp/v2.sock}}\n" VPORT_L;
	const struct vport *v = fake_lab_vport(&lab, 0, "v");
	struct mover_view view;
	char id[37], error[512];

	(void)state;
	moves_until_ready(id);
	for (int i = 0; i < 2; i++) {
		lab.vports[0] = i ? anew : without;
		error[0] = '\0';
		assert_int_equal(fake_lab_reload(&lab, 0, error, sizeof(error)), -EBUSY);
		assert_non_null(strstr(error, "abort the move first"));
		assert_ptr_equal(fake_lab_vport(&lab, 0, "v"), v);
		to_v(2, "w", W, (uint32_t)i + 1);
		assert_int_equal(got.at[0][i + 1], 1);
	}
	assert_int_equal(mover_vport_free(lab.host[0].mover, "v", error, sizeof(error)), -EBUSY);
	assert_int_equal(mover_vport_free(lab.host[1].mover, "v", error, sizeof(error)), -EBUSY);
	assert_int_equal(mover_vport_discard(lab.host[1].mover, "v", error, sizeof(error)), -EBUSY);
	assert_int_equal(mover_abort(lab.host[0].mover, id, error, sizeof(error)), 0);
	fake_lab_over(&lab, 0, id, &view);
	assert_int_equal(mover_vport_free(lab.host[0].mover, "v", error, sizeof(error)), 0);
	lab.vports[0] = without;
	assert_int_equal(fake_lab_reload(&lab, 0, error, sizeof(error)), 0);
	assert_null(fake_lab_vport(&lab, 0, "v"));
}

static void a_vport_that_came_with_a_move_is_deleted_by_its_name(void **state)
{
	char error[256];

	(void)state;
	assert_int_equal(
		mover_vport_discard(lab.host[0].mover, "v", error, sizeof(error)), -ENOENT);
	fake_lab_migrate(&lab, 0, 1, "v");
	assert_int_equal(mover_vport_discard(lab.host[1].mover, "v", error, sizeof(error)), 0);
	assert_null(fake_lab_vport(&lab, 1, "v"));
	/* And it does not come back with the next life of the host. */
	fake_lab_stop(&lab, 1);
	fake_lab_start(&lab, 1);
	assert_null(fake_lab_vport(&lab, 1, "v"));
}

/* ---- a move that stands says for what ---- */

static void waits_for(uint32_t host, const char *id, const char *text)
{
	struct mover_view view;

	assert_int_equal(mover_view(lab.host[host].mover, id, &view), 0);
	if (!strstr(view.waits_for, text))
		fail_msg("h%u waits for: \"%s\"", host, view.waits_for);
}

static void a_move_that_stands_says_what_it_waits_for(void **state)
{
	struct mover_view view;
	char id[37], error[256];

	(void)state;
	moves_until_ready(id);
	waits_for(0, id, "the VM to stop here");
	waits_for(1, id, "the VM to stop on h0");
	fake_lab_rings(&lab, 0, "v", false);
	assert_true(fake_lab_phase(&lab, 0, id, MOVER_VERIFIED, 5000));
	waits_for(0, id, "the VM to start on h1, or here again");
	waits_for(1, id, "the VM to start here");
	fake_lab_stop(&lab, 1);
	fake_lab_run_ms(&lab, 300);
	waits_for(0, id, "the connection with h1");
	/* Nobody there to say that it does not run: it is not ours to decide. */
	assert_int_equal(mover_abort(lab.host[0].mover, id, error, sizeof(error)), 0);
	fake_lab_over(&lab, 0, id, &view);
	assert_int_equal(fake_lab_role(&lab, 0, "v"), ROLE_FROZEN);
	if (!strstr(view.reason, "vport v stays frozen until h1 says"))
		fail_msg("reason: %s", view.reason);
	assert_string_equal(view.waits_for, "");
	fake_lab_rings(&lab, 0, "v", true);
	assert_int_equal(fake_lab_role(&lab, 0, "v"), ROLE_OWNER);
}

/* ---- B05 ---- */

/* A copy of what is for V, as a fabric floods it: from W's host straight to h1. */
static void flooded(uint32_t id)
{
	struct fake_packet p = datagram(false, W, &id, sizeof(id));
	const struct fake_vxlan outer = {.src = "192.0.2.3", .dst = "192.0.2.2", .vni = 100};
	uint8_t inner[FAKE_FRAME_MAX], frame[FAKE_FRAME_MAX];
	size_t len = fake_packet_build(&p, inner, sizeof(inner));
	struct rte_mbuf *m;

	len = fake_vxlan_build(&outer, inner, len, frame, sizeof(frame));
	m = fake_frame_mbuf(frame, len, engine_pool(lab.host[1].engine));
	assert_int_equal(port_ring_inject(lab.host[1].uplink, m), 0);
	fake_lab_run(&lab);
}

static void B05_each_packet_comes_once_and_no_flooded_copy_at_all(void **state)
{
	struct fake_packet broadcast = {.src_mac = V_MAC,
		.dst_mac = "ff:ff:ff:ff:ff:ff",
		.src = V,
		.dst = "10.0.0.255",
		.dport = 67};
	struct port_stats stats;
	uint32_t twice = 0, missing = 0;
	char id[37];

	(void)state;
	moves_until_ready(id);
	fake_lab_send(&lab, 0, "v", &broadcast);
	for (uint32_t i = 1; i <= 1000; i++) {
		if (i == 300)
			fake_lab_rings(&lab, 0, "v", false);
		if (i > 300 && i <= 332)
			flooded(2000 + i);
		if (i == 400)
			assert_true(fake_lab_phase(&lab, 1, id, MOVER_VERIFIED, 5000));
		if (i == 500)
			fake_lab_rings(&lab, 1, "v", true);
		to_v(2, "w", W, i);
	}
	commits(id);
	fake_lab_run_ms(&lab, 20);
	collect(0, "v");
	collect(1, "v");
	for (uint32_t i = 1; i <= 1000; i++) {
		twice += got.at[0][i] + got.at[1][i] > 1;
		missing += got.at[0][i] + got.at[1][i] == 0;
	}
	assert_int_equal(twice, 0);
	assert_int_equal(missing, 0);
	for (uint32_t i = 2300; i <= 2332; i++)
		assert_int_equal(got.at[1][i], 0);
	engine_vport_stats(fake_lab_vport(&lab, 1, "v"), &stats);
	assert_int_equal(stats.in_drop[DROP_STALE], 32);
	assert_int_equal(got.own[0] + got.own[1], 0);
}

/* ---- B06 ---- */

static int place_look(const struct location *location, void *arg)
{
	const struct in6_addr v = fake_addr(V);

	if (addr_equal(&location->addr, &v))
		*(const void **)arg = atomic_load(&location->tunnel);
	return 0;
}

/* Where h2 sends to V: a tunnel. */
static const void *place_of_v(void)
{
	const void *tunnel = NULL;

	engine_location_foreach(lab.host[2].engine, place_look, &tunnel);
	return tunnel;
}

static void B06_the_new_host_is_silent_until_the_vm_runs_there(void **state)
{
	const void *place = place_of_v(), *now;
	uint32_t changes = 0;
	char id[37];

	(void)state;
	moves_until_ready(id);
	for (uint32_t i = 1; i <= 200; i++) {
		uint32_t in_vain = 1;
		struct fake_packet p = datagram(true, W, &in_vain, sizeof(in_vain));

		if (i == 60)
			fake_lab_rings(&lab, 0, "v", false);
		if (i == 80)
			assert_true(fake_lab_phase(&lab, 1, id, MOVER_VERIFIED, 5000));
		/* A queue that is not active yet, and what it brings. */
		if (i > 20 && i <= 100 && i % 8 == 0)
			fake_lab_send(&lab, 1, "v", &p);
		if (i == 100) {
			assert_int_equal(wire.of_v[1], 0);
			wire.of_v[0] = 0;
			fake_lab_rings(&lab, 1, "v", true);
		}
		to_v(2, "w", W, i);
		now = place_of_v();
		changes += place != now;
		place = now;
	}
	commits(id);
	assert_int_equal(wire.of_v[0], 0);
	assert_true(wire.of_v[1] > 0);
	now = place_of_v();
	changes += place != now;
	assert_int_equal(changes, 1);
}

/* ---- B08 ---- */

static void B08_a_neighbour_at_the_source_reaches_the_vm_all_the_time(void **state)
{
	uint32_t before, id_back = 1;
	struct fake_packet back = datagram(true, L, &id_back, sizeof(id_back));
	char id[37];

	(void)state;
	moves_until_ready(id);
	for (uint32_t i = 1; i <= 600; i++) {
		if (i == 200)
			fake_lab_rings(&lab, 0, "v", false);
		if (i == 300)
			assert_true(fake_lab_phase(&lab, 1, id, MOVER_VERIFIED, 5000));
		if (i == 400)
			fake_lab_rings(&lab, 1, "v", true);
		to_v(0, "l", L, i);
	}
	commits(id);
	fake_lab_run_ms(&lab, 20);
	collect(1, "v");
	for (uint32_t i = 1; i <= 600; i++)
		assert_int_equal(got.at[0][i] + got.at[1][i], 1);
	/* None of them in V's old queue after it stopped, and the way is the tunnel. */
	assert_int_equal(got.count[0], 199);
	before = wire.data[0];
	to_v(0, "l", L, 601);
	assert_int_equal(wire.data[0], before + 1);
	assert_int_equal(got.at[1][601], 1);
	collect(0, "l");
	before = got.count[0];
	fake_lab_send(&lab, 1, "v", &back);
	collect(0, "l");
	assert_int_equal(got.count[0], before + 1);
}

static void B08_a_neighbour_at_the_destination_has_the_short_way_afterwards(void **state)
{
	uint32_t before;
	char error[256];

	(void)state;
	/* L moves there first. */
	fake_lab_migrate(&lab, 0, 1, "l");
	to_v(1, "l", L, 1);
	assert_int_equal(got.at[0][1], 1);
	fake_lab_migrate(&lab, 0, 1, "v");
	before = wire.data[1];
	to_v(1, "l", L, 2);
	assert_int_equal(got.at[1][2], 1);
	assert_int_equal(wire.data[1], before);
	assert_int_equal(mover_vport_free(lab.host[1].mover, "l", error, sizeof(error)), 0);
}

/* ---- B16 ---- */

static void tcp(uint32_t v_host, bool from_v, uint8_t flags, uint32_t seq, uint32_t ack)
{
	struct fake_packet p = {.src_mac = from_v ? V_MAC : W_MAC,
		.dst_mac = from_v ? W_MAC : V_MAC,
		.src = from_v ? V : W,
		.dst = from_v ? W : V,
		.proto = IPPROTO_TCP,
		.tcp_flags = flags,
		.seq = seq,
		.ack = ack,
		.window = 64240,
		.sport = from_v ? 80 : 40000,
		.dport = from_v ? 40000 : 80,
		.payload_len = flags == (RTE_TCP_ACK_FLAG | RTE_TCP_PSH_FLAG) ? 10 : 0};

	fake_lab_send(&lab, from_v ? v_host : 2, from_v ? "v" : "w", &p);
	if (fake_lab_drain(&lab, from_v ? 2 : v_host, from_v ? "w" : "v") != 1)
		fail_msg("a segment with seq %u did not arrive", seq);
}

static void B16_a_fresh_syn_takes_over_a_half_open_session_that_came(void **state)
{
	const uint8_t syn = RTE_TCP_SYN_FLAG, ack = RTE_TCP_ACK_FLAG, push = RTE_TCP_PSH_FLAG;
	char *dump, *at;

	(void)state;
	tcp(0, false, syn, 100, 0);
	tcp(0, true, syn | ack, 900, 101);
	fake_lab_migrate(&lab, 0, 1, "v");
	fake_lab_drain(&lab, 1, "v");
	fake_lab_drain(&lab, 2, "w");
	tcp(1, false, syn, 7000, 0);
	tcp(1, true, syn | ack, 5000, 7001);
	tcp(1, false, ack, 7001, 5001);
	tcp(1, false, ack | push, 7001, 5001);
	tcp(1, true, ack | push, 5001, 7011);
	dump = fake_lab_dump(&lab, 1, "v");
	/* The one session has the new numbers: 5011 and 7011 are the next that V and W send. */
	at = strstr(dump, "\n40000 80 ");
	assert_non_null(at);
	assert_null(strstr(at + 1, "\n40000 80 "));
	*strchr(at + 1, '\n') = '\0';
	assert_non_null(strstr(at, "00001393"));
	assert_non_null(strstr(at, "00001b63"));
	free(dump);
}

/* ---- B20 ---- */

static void B20_a_full_size_packet_is_relayed_without_a_second_tunnel(void **state)
{
	uint32_t number = 9;
	struct fake_packet p = datagram(false, W, &number, 1472);
	char id[37];

	(void)state;
	moves_until_ready(id);
	fake_lab_rings(&lab, 0, "v", false);
	assert_true(fake_lab_phase(&lab, 1, id, MOVER_VERIFIED, 5000));
	memset(&wire, 0, sizeof(wire));
	{
		static uint8_t full[1472];

		memcpy(full, &number, sizeof(number));
		p.payload = full;
		fake_lab_send(&lab, 2, "w", &p);
	}
	/* h2 to h0, and h0 to h1: as long as it was, one hop older, from h0. */
	assert_int_equal(wire.data[2], 1);
	assert_int_equal(wire.data[0], 1);
	assert_int_equal(wire.longest, 14 + 20 + 8 + 8 + 14 + 1500);
	assert_int_equal(wire.ttl, 63);
	fake_lab_rings(&lab, 1, "v", true);
	commits(id);
	fake_lab_run_ms(&lab, 20);
	collect(1, "v");
	assert_int_equal(got.at[1][9], 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(B02_a_vport_that_moves_is_neither_deleted_nor_made_anew),
		CASE(a_vport_that_came_with_a_move_is_deleted_by_its_name),
		CASE(a_move_that_stands_says_what_it_waits_for),
		CASE(B05_each_packet_comes_once_and_no_flooded_copy_at_all),
		CASE(B06_the_new_host_is_silent_until_the_vm_runs_there),
		CASE(B08_a_neighbour_at_the_source_reaches_the_vm_all_the_time),
		CASE(B08_a_neighbour_at_the_destination_has_the_short_way_afterwards),
		CASE(B16_a_fresh_syn_takes_over_a_half_open_session_that_came),
		CASE(B20_a_full_size_packet_is_relayed_without_a_second_tunnel),
	};

	return cmocka_run_group_tests(tests, move_setup, NULL);
}
