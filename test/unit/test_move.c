/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Moves between real engines with real movers over loopback, driven by the VMs' rings as QEMU would.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "dataplane/hold.h"
#include "dataplane/vport.h"
#include "test/fake/fake_eal.h"
#include "test/fake/fake_lab.h"

static struct fake_lab lab;

static int two_hosts(void **state)
{
	(void)state;
	fake_lab_new(&lab, 2);
	lab.vports[0] = FAKE_LAB_VM;
	fake_lab_start(&lab, 0);
	fake_lab_start(&lab, 1);
	fake_lab_rings(&lab, 0, "v", true);
	fake_lab_run_ms(&lab, 50);
	return 0;
}

static int lab_end(void **state)
{
	(void)state;
	fake_lab_free(&lab);
	return 0;
}

static void a_vm_changes_hosts_with_every_session(void **state)
{
	char *before, *after;

	(void)state;
	assert_int_equal(fake_lab_role(&lab, 0, "v"), ROLE_OWNER);
	fake_lab_sessions(&lab, 0, "v", 1, 5000);
	before = fake_lab_dump(&lab, 0, "v");
	fake_lab_migrate(&lab, 0, 1, "v");
	after = fake_lab_dump(&lab, 1, "v");
	assert_string_equal(after, before);
	assert_int_equal(fake_lab_role(&lab, 0, "v"), ROLE_MOVED);
	assert_int_equal(fake_lab_role(&lab, 1, "v"), ROLE_OWNER);
	assert_int_equal(atomic_load(&fake_lab_vport(&lab, 0, "v")->sessions), 0);
	free(before);
	free(after);
}

static int setup(void **state)
{
	(void)state;
	return fake_eal_start_mb(512);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
			a_vm_changes_hosts_with_every_session, two_hosts, lab_end),
	};

	return cmocka_run_group_tests(tests, setup, NULL);
}
