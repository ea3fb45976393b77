/* SPDX-License-Identifier: BSD-3-Clause */
/* The door from the engine's side: what it refuses to load and why, and that nonsense costs a named
 * drop and no more. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "dataplane/engine_state.h"
#include "dataplane/vport.h"
#include "test/fake/fake_eal.h"
#include "test/fake/fake_host.h"
#include "test/fake/fake_plugin_host.h"
#include "test/fake/fake_value.h"

#define ODD(name) ODD_DIR "/" name ".so"
#define VNI 100

struct world {
	struct fake_host s;
	struct fake_plugin_host sink; /* for what plugins say */
	struct vport *v;
	char error[ENGINE_ERROR_MAX];
};

static int start(void **state)
{
	struct world *w = calloc(1, sizeof(*w));
	struct fake_host_options options = {.name = "s", .vtep = "192.0.2.1"};

	if (!w)
		return -1;
	fake_host_start(&w->s, &options);
	fake_plugin_host_init(&w->sink, "s", 1);
	*state = w;
	return 0;
}

static int stop(void **state)
{
	struct world *w = *state;

	fake_host_stop(&w->s);
	free(w);
	return 0;
}

static int load(struct world *w, const char *path)
{
	w->error[0] = '\0';
	return engine_plugin_load(w->s.engine, path, w->error, sizeof(w->error));
}

static int configure(struct world *w, const char *plugin, const char *text)
{
	struct plugin_value *value = fake_value(text);
	const struct engine_plugin_config config = {
		.plugin = plugin, .value = value, .apply = true};
	int rc = engine_plugin_configure(w->s.engine, &config, w->error, sizeof(w->error));

	fake_value_free(value);
	return rc;
}

static void net(struct world *w)
{
	fake_host_vpc(&w->s, VNI);
	fake_host_peer(&w->s, "192.0.2.3");
	fake_host_location(&w->s, VNI, "10.0.0.9", "192.0.2.3", "02:00:00:00:00:09");
	w->v = fake_host_vport(&w->s, "v", VNI, "02:00:00:00:00:05", "10.0.0.5");
}

/* A datagram of the VM from this port; how many left. */
static uint32_t send_from(struct world *w, uint16_t port, const char *to)
{
	struct fake_packet p = {.src_mac = "02:00:00:00:00:05",
		.dst_mac = "02:00:00:00:00:09",
		.src = "10.0.0.5",
		.dst = to,
		.sport = port,
		.dport = 53};

	fake_host_send(&w->s, w->v->port, &p);
	return fake_host_drain(w->s.uplink);
}

static uint64_t dropped(struct world *w, enum drop_reason reason)
{
	struct port_stats s;

	engine_vport_stats(w->v, &s);
	return s.drop[reason];
}

struct looking {
	struct world *w;
	const char *name;
};

static int show_one(const struct plugin_descriptor *d, void *instance, void *arg)
{
	struct looking *looking = arg;

	if (strcmp(d->name, looking->name) != 0)
		return 0;
	return d->show(instance, NULL, NULL, fake_plugin_sink(&looking->w->sink)) == 0;
}

static const char *says(struct world *w, const char *name)
{
	struct looking looking = {.w = w, .name = name};

	assert_int_equal(engine_plugin_foreach(w->s.engine, show_one, &looking), 1);
	return w->sink.text;
}

static void what_cannot_be_loaded_is_refused_with_its_reason(void **state)
{
	static const struct {
		const char *path, *error;
		int rc;
	} rows[] = {
		{ODD("odd_abi"), "built for ABI version 77, this Ferry has 2", -EPROTO},
		{ODD("odd_name"), "bad name in its descriptor", -EINVAL},
		{ODD("odd_nothing"), "exports no ferry_plugin", -EINVAL},
		{ODD("odd_create"), "create: Operation not permitted", -EPERM},
		{ODD("odd_steps"), "only some of prepare, build, take and drop", -EINVAL},
		{ODD("odd_version"), "state_min_version is above state_version", -EINVAL},
		{ODD("odd_missing"), "cannot open shared object file", -ENOENT},
	};
	struct world *w = *state;

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		assert_int_equal(load(w, rows[i].path), rows[i].rc);
		assert_int_equal(strncmp(w->error, "plugin ", 7), 0);
		if (!strstr(w->error, rows[i].error))
			fail_msg("%s", w->error);
		/* Which one: by path, or by its name once that is known. */
		if (!strstr(w->error, rows[i].path) && !strstr(w->error, "plugin odd:"))
			fail_msg("%s", w->error);
	}
	assert_int_equal(load(w, ODD("odd")), 0);
	assert_int_equal(load(w, ODD("odd")), -EEXIST);
	assert_non_null(strstr(w->error, "odd is loaded already"));
}

static void one_that_must_come_first_is_refused_when_it_comes_later(void **state)
{
	struct world *w = *state;

	assert_int_equal(load(w, ODD("odd_after")), 0);
	assert_int_equal(load(w, ODD("odd")), -EINVAL);
	assert_string_equal(w->error, "plugin odd: must come before first");
}

static void a_bad_configuration_names_plugin_key_and_place(void **state)
{
	struct world *w = *state;

	assert_int_equal(load(w, ODD("odd")), 0);
	assert_int_equal(configure(w, "odd", "{\n  colour: red}"), -EINVAL);
	assert_string_equal(w->error, "2:11: plugin odd: colour: unknown key");
	assert_int_equal(configure(w, "even", "{}"), -ENOENT);
	assert_string_equal(w->error, "plugin even: is not loaded");
}

static void nonsense_is_a_named_drop_and_no_more(void **state)
{
	struct world *w = *state;

	assert_int_equal(load(w, ODD("odd")), 0);
	net(w);
	assert_int_equal(send_from(w, 1, "10.0.0.9"), 1);
	assert_int_equal(configure(w, "odd", "{verdict: 99}"), 0);
	assert_int_equal(send_from(w, 2, "10.0.0.9"), 0);
	assert_int_equal(dropped(w, DROP_PLUGIN), 1);
	assert_int_equal(configure(w, "odd", "{verdict: 0, meter: 3}"), 0);
	assert_int_equal(send_from(w, 3, "10.0.0.9"), 0);
	assert_int_equal(dropped(w, DROP_PLUGIN), 2);
	assert_int_equal(configure(w, "odd", "{verdict: 3, meter: 255}"), 0);
	assert_int_equal(send_from(w, 4, "10.0.0.9"), 0);
	assert_int_equal(dropped(w, DROP_NO_NAT_PORT), 1);
	assert_int_equal(configure(w, "odd", "{verdict: 0, proto: 6}"), 0);
	assert_int_equal(send_from(w, 5, "10.0.0.9"), 0);
	assert_int_equal(dropped(w, DROP_PLUGIN), 3);
	/* The session from before lives. */
	assert_int_equal(send_from(w, 1, "10.0.0.9"), 1);
}

static void who_allowed_a_session_hears_of_its_end_or_that_it_never_was(void **state)
{
	struct world *w = *state;

	assert_int_equal(load(w, ODD("odd")), 0);
	assert_int_equal(load(w, ODD("odd_second")), 0);
	net(w);
	/* Born. */
	assert_int_equal(send_from(w, 1, "10.0.0.9"), 1);
	assert_string_equal(says(w, "odd"), "1 admitted, 0 abandoned, 0 closed");
	/* Refused by the second: only the first had allowed it. */
	assert_int_equal(configure(w, "second", "{verdict: 1}"), 0);
	assert_int_equal(send_from(w, 2, "10.0.0.9"), 0);
	assert_int_equal(dropped(w, DROP_DENIED), 1);
	assert_string_equal(says(w, "odd"), "2 admitted, 1 abandoned, 0 closed");
	assert_string_equal(says(w, "second"), "2 admitted, 0 abandoned, 0 closed");
	/* Nowhere to go: both had. */
	assert_int_equal(configure(w, "second", "{verdict: 0}"), 0);
	assert_int_equal(send_from(w, 3, "10.0.0.77"), 0);
	assert_string_equal(says(w, "odd"), "3 admitted, 2 abandoned, 0 closed");
	assert_string_equal(says(w, "second"), "3 admitted, 1 abandoned, 0 closed");
	/* Dead. */
	engine_vport_del(w->s.engine, w->v);
	assert_string_equal(says(w, "odd"), "3 admitted, 2 abandoned, 1 closed");
	assert_string_equal(says(w, "second"), "3 admitted, 1 abandoned, 1 closed");
}

/* create and destroy are all it has. */
static void one_without_hooks_hinders_nobody(void **state)
{
	const struct plugin_section section = {.version = 0};
	struct world *w = *state;

	assert_int_equal(load(w, ODD("odd_bare")), 0);
	assert_int_equal(load(w, ODD("odd_second")), 0);
	assert_int_equal(configure(w, "odd", "{anything: 1}"), 0);
	net(w);
	assert_int_equal(send_from(w, 1, "10.0.0.9"), 1);
	assert_string_equal(says(w, "second"), "1 admitted, 0 abandoned, 0 closed");
	assert_int_equal(engine_section_save(w->v, "odd", fake_plugin_sink(&w->sink)), 0);
	assert_int_equal(
		engine_section_load(w->v, "odd", &section, w->error, sizeof(w->error)), -EPROTO);
	engine_sections_forget(w->v);
	engine_tick(w->s.engine);
	assert_int_equal(engine_vport_del(w->s.engine, w->v), 0);
	assert_string_equal(says(w, "second"), "1 admitted, 0 abandoned, 1 closed");
}

static struct world *changing; /* a plugin's hook has no other way to it */

static void network_changes(
	void *instance, const struct plugin_session *session, enum plugin_close_reason reason)
{
	struct world *w = changing;

	(void)instance, (void)session, (void)reason;
	fake_host_vpc(&w->s, VNI);
	assert_ptr_equal(atomic_load(&w->v->vpc), engine_vpc_find(w->s.engine, VNI));
	changing = NULL;
}

/* Its sessions lead workers to it until the last of them has ended. */
static void a_vport_that_goes_hears_of_its_network_to_its_end(void **state)
{
	const struct plugin_descriptor *own;
	struct plugin_descriptor listens;
	struct engine_plugin *plugin;
	struct world *w = *state;

	assert_int_equal(load(w, ODD("odd_second")), 0);
	net(w);
	assert_int_equal(send_from(w, 1, "10.0.0.9"), 1);
	plugin = &w->s.engine->plugin[0];
	own = plugin->descriptor;
	listens = *own;
	listens.closed = network_changes;
	plugin->descriptor = &listens;
	changing = w;
	assert_int_equal(engine_vport_del(w->s.engine, w->v), 0);
	plugin->descriptor = own;
	assert_null(changing);
}

static void a_section_of_a_version_it_does_not_read_is_refused(void **state)
{
	const struct plugin_section section = {.version = 9};
	struct world *w = *state;

	assert_int_equal(load(w, ODD("odd")), 0);
	net(w);
	assert_int_equal(
		engine_section_load(w->v, "odd", &section, w->error, sizeof(w->error)), -EPROTO);
	assert_string_equal(w->error, "plugin odd: state of version 9, this one reads none");
	assert_int_equal(
		engine_section_load(w->v, "even", &section, w->error, sizeof(w->error)), -ENOENT);
	assert_string_equal(w->error, "plugin even: is not loaded");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, start, stop)
		T(what_cannot_be_loaded_is_refused_with_its_reason),
		T(one_that_must_come_first_is_refused_when_it_comes_later),
		T(a_bad_configuration_names_plugin_key_and_place),
		T(nonsense_is_a_named_drop_and_no_more),
		T(who_allowed_a_session_hears_of_its_end_or_that_it_never_was),
		T(one_without_hooks_hinders_nobody),
		T(a_vport_that_goes_hears_of_its_network_to_its_end),
		T(a_section_of_a_version_it_does_not_read_is_refused),
	};

	if (fake_eal_start() != 0)
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
