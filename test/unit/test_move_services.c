/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Plugins and whole moves: which of them a destination must have; a rate that goes on; a session
 * that is told of once. Hosts h0 and h1 with real movers; W (10.0.0.9) is behind 192.0.2.9.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "dataplane/neigh.h"
#include "dataplane/vport.h"
#include "test/fake/fake_eal.h"
#include "test/fake/fake_lab.h"

#define V_MAC "02:00:00:00:00:05"
#define W_MAC "02:00:00:00:00:09"
#define VNI 100
#define RATE_BYTES_S 1000000u
#define BURST_BYTES 10000u
#define FRAME_BYTES 1000u
/* 8 Mbit/s */
#define VM_RATED \
	"  - {name: v, vm: vm1, vpc: shop, mac: '02:00:00:00:00:05', ips: [10.0.0.5, " \
	"'fd00::5'],\n" \
	"     uuid: 00000000-0000-4000-8000-000000000005, port: {path: /tmp/v.sock},\n" \
	"     plugins: {qos: {egress: {committed: 8M, burst: 10k}}}}\n"

static struct fake_lab lab;
static uint32_t frames_to_w;

static bool tap(void *arg, uint32_t from, const uint8_t *frame, size_t len)
{
	(void)arg;
	(void)from;
	/* IPv4 to 192.0.2.9; announcements (inner ARP, RARP, ND) do not count. */
	frames_to_w += len >= 50 + FRAME_BYTES && frame[12] == 8 && frame[33] == 9;
	return true;
}

static void w_is_known(uint32_t host)
{
	struct peer_spec peer = {.vtep = fake_addr("192.0.2.9")};
	struct location_spec spec = {.addr = fake_addr("10.0.0.9"),
		.vtep = peer.vtep,
		.vni = VNI,
		.kind = LOCATION_REMOTE,
		.source = LOCATION_CONFIG};
	struct rte_ether_addr mac;

	rte_ether_unformat_addr(W_MAC, &spec.mac);
	rte_ether_unformat_addr("02:00:00:00:99:99", &mac);
	assert_int_equal(engine_peer_set(lab.host[host].engine, &peer), 0);
	assert_int_equal(neigh_fix(engine_neigh(lab.host[host].engine), &peer.vtep, &mac), 0);
	assert_int_equal(engine_location_set(lab.host[host].engine, &spec), 0);
}

static void hosts(const char *plugins0, const char *plugins1, const char *vport)
{
	lab.vports[0] = vport;
	lab.plugin_dir = PLUGIN_DIR;
	lab.plugins[0] = plugins0;
	lab.plugins[1] = plugins1;
	lab.tap = tap;
	lab.quiet = true;
	frames_to_w = 0;
	for (uint32_t i = 0; i < 2; i++) {
		fake_lab_start(&lab, i);
		w_is_known(i);
	}
	fake_lab_rings(&lab, 0, "v", true);
	fake_lab_run_ms(&lab, 50);
}

static int lab_begin(void **state)
{
	(void)state;
	fake_lab_new(&lab, 2);
	return 0;
}

static int lab_end(void **state)
{
	(void)state;
	fake_lab_free(&lab);
	return 0;
}

/* ---- which plugins D must have ---- */

static void assert_refused(const char *reason)
{
	struct mover_view view;
	char id[37];

	fake_lab_move(&lab, 0, 1, "v", id);
	fake_lab_over(&lab, 0, id, &view);
	assert_int_equal(view.phase, MOVER_FAILED);
	if (!strstr(view.reason, reason))
		fail_msg("reason: %s", view.reason);
	/* Before anything was copied or made. */
	assert_null(fake_lab_vport(&lab, 1, "v"));
	assert_int_equal(fake_lab_role(&lab, 0, "v"), ROLE_OWNER);
}

static void a_plugin_that_d_has_not_is_refused_before_the_copy(void **state)
{
	(void)state;
	hosts("[{name: nat}]", "[]", FAKE_LAB_VM);
	fake_lab_sessions(&lab, 0, "v", 1, 100);
	assert_refused("plugin nat is not loaded here");
}

static void a_plugin_that_is_older_at_d_is_refused_before_the_copy(void **state)
{
	(void)state;
	hosts("[{name: odd, path: " ODD_DIR "/odd.so}]",
		"[{name: odd, path: " ODD_DIR "/odd_old.so}]", FAKE_LAB_VM);
	fake_lab_sessions(&lab, 0, "v", 1, 100);
	assert_refused("plugin odd: its state has version 2, this host reads 1 to 1");
}

/* What a plugin saves is nonsense: said by name before anything is copied, and the VM goes on. */
static void a_plugin_that_cannot_save_stops_the_move_by_its_name(void **state)
{
	static const struct {
		const char *save, *reason;
	} cases[] = {
		{"1", "plugin odd: its state of v cannot be saved: Input/output error"},
		{"2", "plugin odd: its state of v cannot be saved: Message too long"},
		{"3", "plugin odd: 5 bytes of state"},
	};
	char plugins[128];

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		fake_lab_free(&lab);
		fake_lab_new(&lab, 2);
		snprintf(plugins, sizeof(plugins),
			"[{name: odd, path: " ODD_DIR "/odd_section.so, config: {save: %s}}]",
			cases[i].save);
		hosts(plugins, "[{name: odd, path: " ODD_DIR "/odd_section.so}]", FAKE_LAB_VM);
		fake_lab_sessions(&lab, 0, "v", 1, 100);
		assert_refused(cases[i].reason);
	}
}

static void a_plugin_that_may_be_missing_is_left_behind(void **state)
{
	char *before, *after;

	(void)state;
	hosts("[{name: flowlog}, {name: qos}]", "[]", VM_RATED);
	fake_lab_sessions(&lab, 0, "v", 1, 100);
	before = fake_lab_dump(&lab, 0, "v");
	fake_lab_migrate(&lab, 0, 1, "v");
	after = fake_lab_dump(&lab, 1, "v");
	assert_string_equal(after, before);
	free(before);
	free(after);
}

/* V sends `count` frames of 1000 bytes to a port of W, at this very moment; how many left. */
static uint32_t sends_to(uint32_t host, uint16_t port, uint32_t count)
{
	struct fake_packet udp = {.src_mac = V_MAC,
		.dst_mac = W_MAC,
		.src = "10.0.0.5",
		.dst = "10.0.0.9",
		.sport = 5000,
		.dport = port,
		.payload_len = FRAME_BYTES - 42};
	uint32_t before = frames_to_w;

	for (uint32_t i = 0; i < count; i++)
		fake_lab_send(&lab, host, "v", &udp);
	return frames_to_w - before;
}

static void a_group_that_only_s_knows_goes_along(void **state)
{
	(void)state;
	lab.extra[0] = "groups:\n"
		       "  - {name: quiet, rules: [{direction: egress, protocol: udp, ports: 54, "
		       "action: deny}]}\n";
	hosts("[{name: acl}]", "[{name: acl}]",
		"  - {name: v, vm: vm1, vpc: shop, mac: '02:00:00:00:00:05', ips: [10.0.0.5],\n"
		"     uuid: 00000000-0000-4000-8000-000000000005, port: {path: /tmp/v.sock},\n"
		"     groups: [quiet]}\n");
	assert_int_equal(sends_to(0, 53, 1), 1);
	assert_int_equal(sends_to(0, 54, 1), 0);
	fake_lab_migrate(&lab, 0, 1, "v");
	assert_int_equal(sends_to(1, 53, 1), 1);
	assert_int_equal(sends_to(1, 54, 1), 0);
	assert_int_equal(sends_to(1, 55, 1), 1);
}

/* ---- qos ---- */

static uint32_t sends(uint32_t host, uint32_t count)
{
	return sends_to(host, 53, count);
}

/* Twice its rate for so long, 2 frames a millisecond. */
static uint32_t sends_for_ms(uint32_t host, uint32_t time_ms)
{
	uint32_t sent = 0;

	for (uint32_t i = 0; i < time_ms; i++) {
		lab.now_ns += 1000000;
		sent += sends(host, 2);
	}
	return sent;
}

/* The pause is half a second on the engines' clock. */
static void moves_with_a_pause(void)
{
	struct mover_view view;
	char id[37];

	fake_lab_move(&lab, 0, 1, "v", id);
	assert_true(fake_lab_phase(&lab, 0, id, MOVER_READY, 60000));
	fake_lab_rings(&lab, 0, "v", false);
	assert_true(fake_lab_phase(&lab, 0, id, MOVER_VERIFIED, 60000));
	lab.now_ns += 500000000;
	fake_lab_run(&lab);
	fake_lab_rings(&lab, 1, "v", true);
	fake_lab_over(&lab, 0, id, &view);
	assert_int_equal(view.phase, MOVER_COMMITTED);
	fake_lab_over(&lab, 1, id, &view);
	assert_int_equal(view.phase, MOVER_COMMITTED);
}

static void a_rate_holds_across_a_move_within_five_percent(void **state)
{
	const uint32_t should = (BURST_BYTES + RATE_BYTES_S * 2) / FRAME_BYTES;
	uint32_t before, after;

	(void)state;
	hosts("[{name: qos}]", "[{name: qos}]", VM_RATED);
	lab.frozen = true;
	before = sends_for_ms(0, 1000);
	moves_with_a_pause();
	after = sends_for_ms(1, 1000);
	print_message("# %u frames before, %u after, %u should be\n", before, after, should);
	assert_in_range(before + after, should - should / 20, should + should / 20);
	/* Without a burst: its own rate, from the first moment. */
	assert_in_range(after, RATE_BYTES_S / FRAME_BYTES * 95 / 100,
		RATE_BYTES_S / FRAME_BYTES * 105 / 100);
}

static void a_move_gives_an_empty_bucket_no_burst(void **state)
{
	(void)state;
	hosts("[{name: qos}]", "[{name: qos}]", VM_RATED);
	lab.frozen = true;
	assert_int_equal(sends(0, 30), BURST_BYTES / FRAME_BYTES);
	moves_with_a_pause();
	assert_int_equal(sends(1, 30), 0);
}

static void a_move_takes_none_from_a_full_one(void **state)
{
	(void)state;
	hosts("[{name: qos}]", "[{name: qos}]", VM_RATED);
	lab.frozen = true;
	assert_int_equal(sends(0, 4), 4);
	moves_with_a_pause();
	assert_int_equal(sends(1, 30), BURST_BYTES / FRAME_BYTES - 4);
}

/* ---- flowlog ---- */

static unsigned int lines(const char *file, const char *word, char *last, size_t size)
{
	FILE *f = fopen(file, "r");
	char line[1024];
	unsigned int count = 0;

	while (f && fgets(line, sizeof(line), f))
		if (strstr(line, word)) {
			count++;
			snprintf(last, size, "%s", line);
		}
	if (f)
		fclose(f);
	return count;
}

static void warp_s(unsigned int seconds)
{
	for (unsigned int i = 0; i < seconds * 10; i++) {
		lab.now_ns += 100000000;
		fake_lab_run(&lab);
	}
}

static void a_session_that_moves_keeps_its_id_and_is_counted_once(void **state)
{
	char plugins[2][256], file[2][96], started[1024], ended[1024], id[64], *at;

	(void)state;
	for (int i = 0; i < 2; i++) {
		snprintf(file[i], sizeof(file[i]), "%s/flows%d", lab.dir, i);
		snprintf(plugins[i], sizeof(plugins[i]), "[{name: flowlog, config: {file: %s}}]",
			file[i]);
	}
	hosts(plugins[0], plugins[1], FAKE_LAB_VM);
	assert_int_equal(sends(0, 3), 3);
	fake_lab_migrate(&lab, 0, 1, "v");
	assert_int_equal(sends(1, 4), 4);
	warp_s(400);
	assert_int_equal(lines(file[0], "\"event\": \"start\"", started, sizeof(started)), 1);
	assert_int_equal(lines(file[0], "\"event\": \"end\"", ended, sizeof(ended)), 0);
	assert_int_equal(lines(file[1], "\"event\": \"start\"", ended, sizeof(ended)), 0);
	assert_int_equal(lines(file[1], "\"event\": \"end\"", ended, sizeof(ended)), 1);
	at = strstr(started, "\"id\": ");
	assert_non_null(at);
	snprintf(id, sizeof(id), "%.*s,", (int)strcspn(at, ","), at);
	assert_non_null(strstr(ended, id));
	/* Of IP, both hosts' together. */
	if (!strstr(ended, "\"packets\": [7, 0], \"bytes\": [6902, 0]"))
		fail_msg("%s", ended);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, lab_begin, lab_end)
	const struct CMUnitTest tests[] = {
		T(a_plugin_that_d_has_not_is_refused_before_the_copy),
		T(a_plugin_that_is_older_at_d_is_refused_before_the_copy),
		T(a_plugin_that_cannot_save_stops_the_move_by_its_name),
		T(a_plugin_that_may_be_missing_is_left_behind),
		T(a_group_that_only_s_knows_goes_along),
		T(a_rate_holds_across_a_move_within_five_percent),
		T(a_move_gives_an_empty_bucket_no_burst),
		T(a_move_takes_none_from_a_full_one),
		T(a_session_that_moves_keeps_its_id_and_is_counted_once),
	};

	if (fake_eal_start() != 0)
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
