/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * G01: what a scrape of both hosts shows through moves. G06: where did the time go? 300 ms are put,
 * by warping the clocks, into one part of a cutover after the other; the report of that move must
 * name the part, and the parts must add up to the gap that a packet to the VM sees. The
 * destination's clock is an hour ahead of the source's. A try in which the machine itself stood
 * still for long says nothing and is made again.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>
#include <jansson.h>

#include "ctrl/migrate/mover_impl.h"
#include "ctrl/migrate/report.h"
#include "dataplane/vport.h"
#include "test/fake/fake_eal.h"
#include "test/fake/fake_trouble.h"

#define INJECT_MS 300
#define OFF_MS 20 /* what a part may differ by */
#define GAP_MS 5 /* the total from the gap */
#define AHEAD_NS 3600000000000ULL
#define TRIES 8

enum place {
	FREEZE,
	LAST_INCREMENT,
	TRANSFER,
	MEMORY,
	RECONNECT,
	QMP_ANSWER,
	ACTIVATE,
	ANNOUNCE,
	PEER_UPDATE,
	PLACES
};

static const struct {
	const char *name;
	bool at_source; /* its report says it */
} part[PLACES] = {
	[FREEZE] = {"freeze_ms", true},
	[LAST_INCREMENT] = {"last_increment_ms", true},
	[TRANSFER] = {"transfer_ms", true},
	[MEMORY] = {"memory_ms", true},
	[RECONNECT] = {"vhost_reconnect_ms", true},
	[QMP_ANSWER] = {"vm_start_ms", true},
	[ACTIVATE] = {"activate_ms", true},
	[ANNOUNCE] = {"announce_ms", true},
	[PEER_UPDATE] = {"peer_update_ms", false},
};

static struct fake_lab lab;
static struct fake_trouble *trouble;
static enum place place;
static _Atomic bool armed; /* the time goes into `place`, once */
static struct vswitch_ops ops[2];
static const struct vswitch_ops *real_ops;
static _Atomic uint64_t connected_ns; /* at the destination, on its clock; 0: no VMM */

static uint64_t clock_ns(uint32_t host)
{
	return channel_world_now_ns(lab.world[host]);
}

static void put(enum place here)
{
	if (place == here && atomic_exchange(&armed, false))
		fake_trouble_warp(trouble, INJECT_MS * 1000000ULL);
}

/* ---- the places that are within ---- */

static int put_store(void *mover, const struct vport *vport, enum role role, uint64_t epoch)
{
	if (role == ROLE_FROZEN)
		put(FREEZE);
	if (role == ROLE_OWNER && mover == lab.host[1].mover)
		put(ACTIVATE);
	return mover_role_store(mover, vport, role, epoch);
}

static void put_round(struct vswitch_export *export, bool *deaths_lost)
{
	if (fake_lab_role(&lab, 0, "v") == ROLE_FROZEN)
		put(LAST_INCREMENT);
	real_ops->export_round(export, deaths_lost);
}

/* The last increment is installed; all of it is on its way when that takes long. */
static void put_import(struct vswitch_import *import)
{
	const struct move *move = lab.host[0].mover->moves;

	if (place == TRANSFER && atomic_load(&armed) &&
		fake_lab_role(&lab, 0, "v") == ROLE_FROZEN) {
		while (!*(const volatile bool *)&move->port[0].final_sent)
			usleep(100);
		put(TRANSFER);
	}
	real_ops->import_begin(import);
}

static void put_info(void *ctx, struct vswitch_port *port, struct vswitch_port_info *info)
{
	uint64_t at_ns = atomic_load(&connected_ns);

	real_ops->info(ctx, port, info);
	if (at_ns)
		info->connected_ns = clock_ns(1) - at_ns;
}

static int put_announce(void *ctx, struct vswitch_port *port)
{
	put(ANNOUNCE);
	return real_ops->announce(ctx, port);
}

/* A link asks for them when it tells what its host owns. */
static uint32_t put_identities(
	void *ctx, struct vswitch_port *port, struct vswitch_identity *out, uint32_t max)
{
	char name[16] = "";

	pthread_getname_np(pthread_self(), name, sizeof(name));
	if (strcmp(name, "ferry-peer") == 0 && fake_lab_role(&lab, 1, "v") == ROLE_OWNER)
		put(PEER_UPDATE);
	return real_ops->identities(ctx, port, out, max);
}

/* ---- the scene ---- */

static void scene(void)
{
	static const char vports[] = FAKE_LAB_VM
		"  - {name: w, vpc: shop, mac: '02:00:00:00:00:08', ips: [10.0.0.8], port: {path: "
		"/tmp/w.sock}}\n";

	fake_lab_new(&lab, 2);
	lab.quiet = true;
	lab.vports[0] = vports;
	lab.migrate = "announce_repeats: 1, announce_interval_ms: 1";
	lab.role_store = put_store;
	trouble = fake_trouble_new(&lab);
	fake_trouble_ahead(trouble, 1, AHEAD_NS);
	fake_lab_start(&lab, 0);
	fake_lab_start(&lab, 1);
	real_ops = lab.host[0].mover->vswitch.ops;
	for (int i = 0; i < 2; i++) {
		ops[i] = *real_ops;
		lab.host[i].mover->vswitch.ops = &ops[i];
	}
	ops[0].export_round = put_round;
	ops[1].import_begin = put_import;
	ops[1].info = put_info;
	ops[1].announce = put_announce;
	ops[1].identities = put_identities;
	fake_lab_rings(&lab, 0, "v", true);
	fake_lab_rings(&lab, 0, "w", true);
	fake_lab_run_ms(&lab, 50);
}

static void scene_end(void)
{
	fake_lab_free(&lab);
	fake_trouble_free(trouble);
	atomic_store(&connected_ns, 0);
	atomic_store(&armed, false);
}

static void say_to_v(uint16_t port)
{
	struct fake_packet packet = {.src_mac = "02:00:00:00:00:08",
		.dst_mac = "02:00:00:00:00:05",
		.src = "10.0.0.8",
		.dst = "10.0.0.5",
		.sport = port,
		.dport = 7,
		.payload_len = 32};

	fake_lab_send(&lab, 0, "w", &packet);
}

static bool v_hears(void *arg)
{
	(void)arg;
	return fake_lab_drain(&lab, 1, "v") > 0;
}

/* ---- the reports ---- */

struct text {
	char *bytes;
	size_t len;
};

static void text_take(void *ctx, const char *bytes, size_t len)
{
	struct text *text = ctx;

	text->bytes = realloc(text->bytes, text->len + len + 1);
	memcpy(text->bytes + text->len, bytes, len);
	text->len += len;
	text->bytes[text->len] = '\0';
}

/* "outage" of v as that host's report has it; the caller's. */
static json_t *outage_of(uint32_t host, const char *id)
{
	struct text text = {0};
	struct out *out = out_open(OUT_JSON, text_take, &text);
	json_t *root, *outage;
	bool found;

	report_move(out, lab.host[host].mover, id, &found);
	out_close(out);
	assert_true(found);
	root = json_loads(text.bytes, 0, NULL);
	free(text.bytes);
	outage = json_object_get(json_object_get(json_object_get(root, "ports"), "v"), "outage");
	json_incref(outage);
	json_decref(root);
	return outage;
}

static double number(json_t *outage, const char *name)
{
	return json_number_value(json_object_get(outage, name));
}

static bool near(double a, double b, double by)
{
	return a > b - by && a < b + by;
}

/* ---- a move ---- */

struct heard {
	uint32_t host;
	const char *id;
};

static bool peers_told(void *arg)
{
	struct heard *heard = arg;
	json_t *outage = outage_of(heard->host, heard->id);
	bool told = json_object_get(outage, "peer_update_ms") != NULL;

	json_decref(outage);
	return told;
}

/* Until the packet that came in the pause is out at its new host; the gap on the source's clock. */
static double cutover(const char *id)
{
	uint64_t down_ns;

	say_to_v(1000); /* a session, of the last increment */
	atomic_store(&armed, true);
	down_ns = clock_ns(0);
	fake_lab_rings(&lab, 0, "v", false);
	say_to_v(1001);
	assert_true(fake_lab_phase(&lab, 0, id, MOVER_VERIFIED, 10000));
	put(MEMORY);
	mover_agent_phase(lab.host[1].mover, id, "loaded", "");
	put(RECONNECT);
	atomic_store(&connected_ns, clock_ns(1));
	put(QMP_ANSWER);
	fake_lab_rings(&lab, 1, "v", true);
	assert_true(fake_lab_until(&lab, v_hears, NULL, 10000));
	return (double)(clock_ns(0) - down_ns) / 1e6;
}

/* All parts but the one meant are short: the machine did not stand still. */
static bool calm(json_t *outage, enum place meant)
{
	for (enum place i = 0; i < PLACES; i++)
		if (i != meant && number(outage, part[i].name) > OFF_MS)
			return false;
	return true;
}

static void parts_add_up(json_t *outage)
{
	double sum = number(outage, "verify_ms");

	for (enum place i = 0; i < ANNOUNCE; i++)
		sum += number(outage, part[i].name);
	assert_true(near(sum, number(outage, "total_ms"), 0.1));
}

static void outage_print(const char *what, double gap, json_t *source, json_t *destination)
{
	char *here = json_dumps(source, JSON_REAL_PRECISION(4));
	char *there = json_dumps(destination, JSON_REAL_PRECISION(4));

	print_message("%s: gap %.1f ms, source %s, destination %s\n", what, gap, here, there);
	free(here);
	free(there);
}

/* False: not calm. */
static bool told_of(enum place where)
{
	struct mover_view view;
	struct heard heard = {.host = 1};
	json_t *source, *destination;
	char id[37];
	double gap;
	bool told;

	place = where;
	scene();
	fake_lab_move(&lab, 0, 1, "v", id);
	heard.id = id;
	assert_true(fake_lab_phase(&lab, 0, id, MOVER_READY, 10000));
	gap = cutover(id);
	fake_lab_over(&lab, 0, id, &view);
	assert_int_equal(view.phase, MOVER_COMMITTED);
	fake_lab_over(&lab, 1, id, &view);
	assert_true(fake_lab_until(&lab, peers_told, &heard, 5000));
	assert_false(atomic_load(&armed));
	source = outage_of(0, id);
	destination = outage_of(1, id);
	told = calm(source, where) && calm(destination, where) &&
	       near(number(part[where].at_source ? source : destination, part[where].name),
		       INJECT_MS, OFF_MS) &&
	       (where >= ANNOUNCE || near(gap, number(source, "total_ms"), GAP_MS));
	parts_add_up(source);
	if (!told)
		outage_print(part[where].name, gap, source, destination);
	/* Only what comes before the VM is served makes it wait. */
	assert_true(
		!told || (number(source, "total_ms") < INJECT_MS - OFF_MS) == (where >= ANNOUNCE));
	json_decref(source);
	json_decref(destination);
	scene_end();
	return told;
}

static void g06_the_report_names_the_part_in_which_the_time_went(void **state)
{
	(void)state;
	for (enum place where = 0; where < PLACES; where++) {
		int tries = 0;

		while (!told_of(where))
			assert_true(++tries < TRIES);
	}
}

/* ---- a word ahead of the rings ---- */

static void driver_info(void *ctx, struct vswitch_port *port, struct vswitch_port_info *info)
{
	real_ops->info(ctx, port, info);
	info->features = UINT64_C(1) << 32;
}

static bool owned_there(void *arg)
{
	(void)arg;
	return fake_lab_role(&lab, 1, "v") == ROLE_OWNER;
}

/* Verified at host 1, whose agent says that the VM runs; its rings are not up. */
static void said_to_run(char *id)
{
	place = PLACES;
	scene();
	ops[0].info = driver_info;
	fake_lab_move(&lab, 0, 1, "v", id);
	assert_true(fake_lab_phase(&lab, 0, id, MOVER_READY, 10000));
	fake_lab_rings(&lab, 0, "v", false);
	assert_true(fake_lab_phase(&lab, 0, id, MOVER_VERIFIED, 10000));
	mover_agent_phase(lab.host[1].mover, id, "running", "");
	fake_lab_run_ms(&lab, 250);
	assert_int_equal(fake_lab_role(&lab, 1, "v"), ROLE_PASSIVE);
}

static void the_word_that_a_vm_runs_waits_for_its_rings(void **state)
{
	struct mover_view view;
	char id[37];

	(void)state;
	said_to_run(id);
	fake_lab_rings(&lab, 1, "v", true);
	assert_true(owned_there(NULL));
	fake_lab_over(&lab, 0, id, &view);
	assert_int_equal(view.phase, MOVER_COMMITTED);
	scene_end();
}

static void without_rings_it_counts_after_a_while(void **state)
{
	struct mover_view view;
	char id[37];

	(void)state;
	said_to_run(id);
	fake_trouble_warp(trouble, 2500000000ULL);
	assert_true(fake_lab_until(&lab, owned_there, NULL, 3000));
	fake_lab_over(&lab, 0, id, &view);
	assert_int_equal(view.phase, MOVER_COMMITTED);
	scene_end();
}

/* ---- G01 ---- */

struct seen {
	struct mover_counts moves;
	struct port_stats uplink, vport;
};

/* What a scrape of each host shows now, against the one before. */
static void scrape(struct seen seen[2])
{
	for (uint32_t i = 0; i < 2; i++) {
		struct seen now = {0}, *was = &seen[i];
		struct vport *v = fake_lab_vport(&lab, i, "v");

		mover_counts(lab.host[i].mover, &now.moves);
		engine_uplink_stats(lab.host[i].engine, &now.uplink);
		if (v)
			engine_vport_stats(v, &now.vport);
		assert_true(now.moves.started >= was->moves.started);
		assert_true(now.moves.committed >= was->moves.committed);
		assert_true(now.moves.failed >= was->moves.failed);
		assert_true(now.moves.aborted >= was->moves.aborted);
		assert_int_equal(now.moves.started, now.moves.running + now.moves.committed +
							    now.moves.failed + now.moves.aborted);
		assert_true(now.uplink.rx_packets >= was->uplink.rx_packets);
		assert_true(now.uplink.tx_packets >= was->uplink.tx_packets);
		assert_true(now.vport.rx_packets >= was->vport.rx_packets);
		assert_true(now.vport.tx_bytes >= was->vport.tx_bytes);
		*was = now;
	}
}

static void moves_scraped(struct seen seen[2], uint32_t from)
{
	struct mover_view view;
	char id[37];

	fake_lab_move(&lab, from, 1 - from, "v", id);
	scrape(seen);
	assert_true(fake_lab_phase(&lab, from, id, MOVER_READY, 10000));
	scrape(seen);
	fake_lab_rings(&lab, from, "v", false);
	assert_true(fake_lab_phase(&lab, from, id, MOVER_VERIFIED, 10000));
	scrape(seen);
	fake_lab_rings(&lab, 1 - from, "v", true);
	fake_lab_over(&lab, from, id, &view);
	fake_lab_over(&lab, 1 - from, id, &view);
	say_to_v(2000);
	scrape(seen);
}

static void g01_counters_never_go_back_and_moves_add_up(void **state)
{
	struct seen seen[2] = {0};
	struct mover_view view;
	char id[37], error[256];

	(void)state;
	place = PLACES; /* nothing is delayed */
	scene();
	scrape(seen);
	moves_scraped(seen, 0);
	moves_scraped(seen, 1);
	fake_lab_move(&lab, 0, 1, "v", id);
	assert_true(fake_lab_phase(&lab, 0, id, MOVER_READY, 10000));
	assert_int_equal(mover_abort(lab.host[0].mover, id, error, sizeof(error)), 0);
	fake_lab_over(&lab, 0, id, &view);
	scrape(seen);
	moves_scraped(seen, 0);
	assert_int_equal(seen[0].moves.committed, 3);
	assert_int_equal(seen[0].moves.aborted, 1);
	assert_int_equal(seen[0].moves.running, 0);
	assert_int_equal(seen[1].moves.running, 0);
	scene_end();
}

static int setup(void **state)
{
	(void)state;
	return fake_eal_start_mb(512);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_word_that_a_vm_runs_waits_for_its_rings),
		cmocka_unit_test(without_rings_it_counts_after_a_while),
		cmocka_unit_test(g01_counters_never_go_back_and_moves_add_up),
		cmocka_unit_test(g06_the_report_names_the_part_in_which_the_time_went),
	};

	return cmocka_run_group_tests(tests, setup, NULL);
}
