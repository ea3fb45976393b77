/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef TEST_UNIT_GUARD_FIXTURE_H
#define TEST_UNIT_GUARD_FIXTURE_H
/* Two whole hosts with TLS and a CA of their own: V moves from h0 to h1. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "ctrl/migrate/mover_impl.h"
#include "dataplane/vport.h"
#include "test/fake/fake_channel.h"
#include "test/fake/fake_eal.h"
#include "test/fake/fake_lab.h"

#define SESSIONS 100

#define OWN_VPORT \
	"  - {name: own, vpc: shop, mac: '02:00:00:00:00:07', ips: [10.0.0.7], port: {path: " \
	"/tmp/own.sock},\n     uuid: 00000000-0000-4000-8000-000000000007}\n"
#define W_VPORT \
	"  - {name: w, vpc: shop, mac: '02:00:00:00:00:08', ips: [10.0.0.8], port: {path: " \
	"/tmp/w.sock},\n     uuid: 00000000-0000-4000-8000-000000000008}\n"

static struct fake_lab lab;
static struct fake_ca ca;
static char *before; /* sessions of v at the source */

static inline int hosts_start(void **state)
{
	(void)state;
	fake_ca_issue(&ca, "h0");
	fake_ca_issue(&ca, "h1");
	fake_lab_new(&lab, 2);
	lab.quiet = true;
	lab.tls_dir = ca.dir;
	lab.vports[0] = FAKE_LAB_VM OWN_VPORT W_VPORT;
	lab.vports[1] = OWN_VPORT;
	lab.migrate = "announce_repeats: 1, announce_interval_ms: 1";
	fake_lab_start(&lab, 0);
	fake_lab_start(&lab, 1);
	fake_lab_rings(&lab, 0, "v", true);
	fake_lab_rings(&lab, 1, "own", true);
	fake_lab_run_ms(&lab, 20);
	fake_lab_sessions(&lab, 0, "v", 1, SESSIONS);
	before = fake_lab_dump(&lab, 0, "v");
	return 0;
}

static inline int hosts_end(void **state)
{
	(void)state;
	fake_lab_free(&lab);
	free(before);
	return 0;
}

static inline struct channel_host_status status_of(uint32_t host)
{
	struct channel_host_status status;

	mover_channels(lab.host[host].mover, &status);
	return status;
}

static inline void v_is_whole_at(uint32_t host)
{
	char *after = fake_lab_dump(&lab, host, "v");

	assert_string_equal(after, before);
	free(after);
}

static inline int setup(void **state)
{
	(void)state;
	fake_ca_new(&ca);
	return fake_eal_start_mb(512);
}

static inline int teardown(void **state)
{
	(void)state;
	fake_ca_free(&ca);
	return 0;
}

#define GUARD_TEST(name, start) cmocka_unit_test_setup_teardown(name, start, hosts_end)

#endif
