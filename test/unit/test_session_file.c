/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A session file on the disk: in which order it gets there, and what is left when the disk says no.
 * fsync() and rename() of this program are the test's own.
 */
#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cmocka.h>

#include "ctrl/migrate/session_file.h"

static char dir[64], path[128];
static char did[64]; /* f: a file was made safe, d: a directory, r: a file was renamed */
static int fsync_fails; /* errno of the next one; 0: it works */

static void note(char what)
{
	size_t n = strlen(did);

	assert_true(n + 1 < sizeof(did));
	did[n] = what;
	did[n + 1] = '\0';
}

int fsync(int fd)
{
	struct stat st;

	assert_int_equal(fstat(fd, &st), 0);
	note(S_ISDIR(st.st_mode) ? 'd' : 'f');
	if (!fsync_fails)
		return (int)syscall(SYS_fsync, fd);
	errno = fsync_fails;
	return -1;
}

int rename(const char *from, const char *to)
{
	note('r');
	return (int)syscall(SYS_rename, from, to);
}

static int begin(void **state)
{
	(void)state;
	strcpy(dir, "/tmp/ferry-file.XXXXXX");
	assert_non_null(mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/v", dir);
	did[0] = '\0';
	fsync_fails = 0;
	return 0;
}

static int end(void **state)
{
	(void)state;
	unlink(path);
	return rmdir(dir); /* fails if anything is left */
}

static int saves(uint64_t saved_s, uint32_t records, char *error, size_t error_len)
{
	struct stream_file head = {.host = "a", .vport = "v", .vni = 100, .saved_s = saved_s};
	struct session_record record = {.tuple = {.vni = 100, .proto = 17}, .birth_id = 1};
	struct session_file file;
	int rc = session_file_create(&file, path, &head);

	record.tuple.local.s6_addr[15] = 1;
	record.tuple.remote.s6_addr[15] = 2;
	for (uint32_t i = 0; i < records && rc == 0; i++) {
		record.birth_id++;
		record.tuple.local_port++;
		rc = session_file_record(&file, &record);
	}
	if (rc == 0)
		rc = session_file_end(&file);
	if (rc == 0)
		rc = session_file_publish(&file);
	snprintf(error, error_len, "%s", file.error);
	session_file_close(&file);
	return rc;
}

static uint64_t saved_at(void)
{
	struct stream_file head = {0};
	struct session_file file;

	assert_int_equal(session_file_open(&file, path, &head), 0);
	session_file_close(&file);
	return head.saved_s;
}

static void a_file_is_on_the_disk_before_it_has_its_name_and_then_the_name_is(void **state)
{
	char error[700];

	(void)state;
	assert_int_equal(saves(1, 10, error, sizeof(error)), 0);
	assert_string_equal(did, "frd");
	assert_int_equal(saved_at(), 1);
}

static void a_disk_that_fails_leaves_the_file_of_before(void **state)
{
	char error[700];

	(void)state;
	assert_int_equal(saves(1, 10, error, sizeof(error)), 0);
	did[0] = '\0';
	fsync_fails = EIO;
	assert_int_equal(saves(2, 10, error, sizeof(error)), -EIO);
	assert_string_equal(did, "f");
	assert_non_null(strstr(error, path));
	assert_non_null(strstr(error, "Input/output error"));
	assert_int_equal(saved_at(), 1);
}

static void a_file_that_outgrows_its_room_leaves_the_file_of_before(void **state)
{
	struct rlimit was, small;
	char error[700];
	int rc;

	(void)state;
	assert_int_equal(saves(1, 10, error, sizeof(error)), 0);
	signal(SIGXFSZ, SIG_IGN);
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &was), 0);
	small = (struct rlimit){.rlim_cur = 65536, .rlim_max = was.rlim_max};
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
	rc = saves(2, 20000, error, sizeof(error));
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &was), 0);
	assert_int_equal(rc, -EFBIG);
	assert_non_null(strstr(error, "File too large"));
	assert_int_equal(saved_at(), 1);
}

static void a_directory_that_is_not_there_is_named(void **state)
{
	char error[700];

	(void)state;
	snprintf(path, sizeof(path), "%s/nowhere/v", dir);
	assert_int_equal(saves(1, 1, error, sizeof(error)), -ENOENT);
	assert_non_null(strstr(error, path));
}

int main(void)
{
#define FILE_TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)
	const struct CMUnitTest tests[] = {
		FILE_TEST(a_file_is_on_the_disk_before_it_has_its_name_and_then_the_name_is),
		FILE_TEST(a_disk_that_fails_leaves_the_file_of_before),
		FILE_TEST(a_file_that_outgrows_its_room_leaves_the_file_of_before),
		FILE_TEST(a_directory_that_is_not_there_is_named),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
