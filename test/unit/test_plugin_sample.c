/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The sample in two engines, and its state on the way from one to the other by the calls that a
 * move uses. The plugin is that of the tree, or the one $FERRY_SAMPLE names
 * (test/unit/plugin_outside.sh builds one elsewhere).
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "dataplane/session_import.h"
#include "dataplane/session_walk.h"
#include "dataplane/vport.h"
#include "test/fake/fake_eal.h"
#include "test/fake/fake_host.h"
#include "test/fake/fake_plugin_host.h"
#include "test/fake/fake_value.h"

#define VNI 100

struct world {
	struct fake_host s, d;
	struct vport *at_s, *at_d;
	struct fake_plugin_host sink;
	char error[ENGINE_ERROR_MAX];
};

static void configure(struct world *w, struct fake_host *host, const char *text)
{
	struct plugin_value *value = fake_value(text);
	const struct engine_plugin_config config = {
		.plugin = "sample", .value = value, .apply = true};

	if (engine_plugin_configure(host->engine, &config, w->error, sizeof(w->error)) != 0)
		fail_msg("%s", w->error);
	fake_value_free(value);
}

static void host_start(struct world *w, struct fake_host *host, const char *name, const char *vtep)
{
	const char *outside = getenv("FERRY_SAMPLE");
	struct fake_host_options options = {
		.name = name, .vtep = vtep, .plugin = outside ? outside : SAMPLE_SO};

	fake_host_start(host, &options);
	configure(w, host, "{limit: 2}");
	fake_host_vpc(host, VNI);
	fake_host_peer(host, "192.0.2.3");
	fake_host_location(host, VNI, "10.0.0.9", "192.0.2.3", "02:00:00:00:00:09");
	fake_host_location(host, VNI, "10.0.0.10", "192.0.2.3", "02:00:00:00:00:0a");
}

static struct vport *passive_vport(struct world *w)
{
	struct in6_addr ip = fake_addr("10.0.0.5");
	struct vport_spec spec = {.name = "v",
		.vni = VNI,
		.ips = &ip,
		.ip_count = 1,
		.port = {.kind = PORT_RING, .queues = 1},
		.role = ROLE_PASSIVE};
	struct vport *v = NULL;

	spec.port.paused = true;
	rte_ether_unformat_addr("02:00:00:00:00:05", &spec.mac);
	if (engine_vport_add(w->d.engine, &spec, &v, w->error, sizeof(w->error)) != 0)
		fail_msg("%s", w->error);
	return v;
}

static int start(void **state)
{
	struct world *w = calloc(1, sizeof(*w));

	if (!w)
		return -1;
	fake_plugin_host_init(&w->sink, "s", 1);
	host_start(w, &w->s, "s", "192.0.2.1");
	host_start(w, &w->d, "d", "192.0.2.2");
	w->at_s = fake_host_vport(&w->s, "v", VNI, "02:00:00:00:00:05", "10.0.0.5");
	w->at_d = passive_vport(w);
	*state = w;
	return 0;
}

static int stop(void **state)
{
	struct world *w = *state;

	fake_host_stop(&w->s);
	fake_host_stop(&w->d);
	free(w);
	return 0;
}

static uint32_t send_from(struct fake_host *host, struct vport *v, uint16_t port, const char *to)
{
	struct fake_packet p = {.src_mac = "02:00:00:00:00:05",
		.dst_mac = "02:00:00:00:00:09",
		.src = "10.0.0.5",
		.dst = to,
		.sport = port,
		.dport = 53};

	fake_host_send(host, v->port, &p);
	return fake_host_drain(host->uplink);
}

struct looking {
	struct world *w;
	struct vport *v;
};

static int show_one(const struct plugin_descriptor *d, void *instance, void *arg)
{
	struct looking *looking = arg;

	return d->show(instance, &looking->v->plugin_view, looking->v->plugin_data[0],
		fake_plugin_sink(&looking->w->sink));
}

static const char *says(struct world *w, struct fake_host *host, struct vport *v)
{
	struct looking looking = {.w = w, .v = v};

	assert_int_equal(engine_plugin_foreach(host->engine, show_one, &looking), 0);
	return w->sink.text;
}

static void connections_of_one_remote_are_limited(void **state)
{
	struct world *w = *state;
	struct port_stats stats;

	assert_int_equal(send_from(&w->s, w->at_s, 1, "10.0.0.9"), 1);
	assert_int_equal(send_from(&w->s, w->at_s, 2, "10.0.0.9"), 1);
	assert_int_equal(send_from(&w->s, w->at_s, 3, "10.0.0.9"), 0);
	assert_int_equal(send_from(&w->s, w->at_s, 1, "10.0.0.9"), 1);
	assert_int_equal(send_from(&w->s, w->at_s, 3, "10.0.0.10"), 1);
	engine_vport_stats(w->at_s, &stats);
	assert_int_equal(stats.drop[DROP_DENIED], 1);
	assert_string_equal(says(w, &w->s, w->at_s), "{\"refused\": 1}");
	/* One idles out, another may come. */
	for (int i = 0; i < 400; i++) {
		w->s.now_ns += 100000000;
		fake_host_run(&w->s);
	}
	fake_host_peer(&w->s, "192.0.2.3"); /* its neighbour has to answer again */
	fake_host_drain(w->s.uplink);
	assert_int_equal(send_from(&w->s, w->at_s, 3, "10.0.0.9"), 1);
}

static void move_sessions(struct world *w)
{
	const uint16_t versions[VPORT_PLUGINS_MAX] = {1};
	struct import_context context = {.vport = w->at_d, .state_versions = versions};
	struct session *living[SLAB_CHUNK_SESSIONS];
	struct session_walk walk;
	bool end = false;

	session_walk_begin(&walk, w->at_s, 0);
	while (!end) {
		uint32_t count = session_walk_next(&walk, living, &end);

		for (uint32_t i = 0; i < count; i++) {
			struct session_record record;
			enum drop_reason reason;

			session_walk_read(living[i], &record);
			assert_int_equal(
				session_import(&context, &record, &reason), IMPORT_INSTALLED);
		}
	}
	session_walk_end(&walk);
}

static void its_state_moves_with_the_vm(void **state)
{
	struct world *w = *state;
	struct plugin_section section = {.version = 1};

	send_from(&w->s, w->at_s, 1, "10.0.0.9");
	send_from(&w->s, w->at_s, 2, "10.0.0.9");
	assert_int_equal(send_from(&w->s, w->at_s, 3, "10.0.0.9"), 0);
	move_sessions(w);
	assert_int_equal(engine_section_save(w->at_s, "sample", fake_plugin_sink(&w->sink)), 0);
	section.bytes = (const uint8_t *)w->sink.text;
	section.len_bytes = w->sink.text_len;
	if (engine_section_load(w->at_d, "sample", &section, w->error, sizeof(w->error)) != 0)
		fail_msg("%s", w->error);
	assert_string_equal(says(w, &w->d, w->at_d), "{\"refused\": 1}");
	/* At the destination the two connections go on and still count. */
	engine_vport_facts(w->at_d, &(struct role_facts){.move_in = true, .final_loaded = true});
	assert_int_equal(port_resume(w->at_d->port), 0);
	assert_int_equal(vport_role(w->at_d), ROLE_OWNER);
	assert_int_equal(send_from(&w->d, w->at_d, 1, "10.0.0.9"), 1);
	assert_int_equal(send_from(&w->d, w->at_d, 3, "10.0.0.9"), 0);
	assert_string_equal(says(w, &w->d, w->at_d), "{\"refused\": 2}");
}

static void hostile_state_is_refused_or_harmless(void **state)
{
	const uint16_t versions[VPORT_PLUGINS_MAX] = {1};
	struct world *w = *state;
	struct plugin_section section = {
		.version = 1, .bytes = (const uint8_t *)"short", .len_bytes = 5};
	struct import_context context = {.vport = w->at_d, .state_versions = versions};
	struct session_record record = {.tuple = {.local = fake_addr("10.0.0.5"),
						.remote = fake_addr("10.0.0.9"),
						.vni = VNI,
						.proto = IPPROTO_UDP},
		.birth_id = 5,
		.state = SESSION_UDP_NEW,
		.action = {.meter = {PLUGIN_METER_NONE, PLUGIN_METER_NONE}},
		.ext_bytes = 4,
		.ext = {0, 2, 0xff, 0xff}};
	enum drop_reason reason;

	assert_int_equal(
		engine_section_load(w->at_d, "sample", &section, w->error, sizeof(w->error)),
		-EBADMSG);
	assert_string_equal(w->error, "plugin sample: refused: expected 8 bytes, found 5");
	section.version = 2;
	assert_int_equal(
		engine_section_load(w->at_d, "sample", &section, w->error, sizeof(w->error)),
		-EPROTO);
	assert_string_equal(w->error, "plugin sample: state of version 2, this one reads 1 to 1");
	assert_int_equal(session_import(&context, &record, &reason), IMPORT_INSTALLED);
	assert_int_equal(session_import_purge(w->at_d, false), 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, start, stop)
		T(connections_of_one_remote_are_limited),
		T(its_state_moves_with_the_vm),
		T(hostile_state_is_refused_or_harmless),
	};

	if (fake_eal_start() != 0)
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
