/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

#include "ctrl/log.h"

struct fixture {
	char path[64];
	struct log *log;
	struct log_module *module;
	_Atomic uint64_t now_ms; /* the log's thread reads it too */
};

static uint64_t fixture_now(void *ctx)
{
	return *(_Atomic uint64_t *)ctx;
}

static void open_with(struct fixture *fixture, struct log_options options)
{
	options.program = "test";
	options.now_ms = fixture_now;
	options.now_ctx = (void *)&fixture->now_ms;
	fixture->now_ms = 5000;
	assert_int_equal(log_open(&options, &fixture->log), 0);
	fixture->module = log_module(fixture->log, "rpc");
}

static void open_file(struct fixture *fixture)
{
	int fd;

	strcpy(fixture->path, "/tmp/test_log_XXXXXX");
	fd = mkstemp(fixture->path);
	assert_true(fd >= 0);
	close(fd);
	open_with(fixture, (struct log_options){.target = LOG_TO_FILE, .path = fixture->path});
}

/* The lines without their stamps. */
static const char *lines(struct fixture *fixture)
{
	static char text[65536];
	char line[2048];
	FILE *file;

	assert_true(log_flush(fixture->log, 5000));
	text[0] = '\0';
	file = fopen(fixture->path, "r");
	assert_non_null(file);
	while (fgets(line, sizeof(line), file)) {
		assert_true(strlen(line) > 25 && line[23] == 'Z');
		strcat(text, line + 25);
	}
	fclose(file);
	return text;
}

static void close_file(struct fixture *fixture)
{
	log_close(fixture->log);
	unlink(fixture->path);
}

static void lines_say_level_module_and_object(void **state)
{
	struct fixture fixture;

	open_file(&fixture);
	log_warn(fixture.module, "vm1", "moved %d times", 3);
	log_info(fixture.module, NULL, "started");
	assert_string_equal(lines(&fixture), "warn  rpc: vm1: moved 3 times\n"
					     "info  rpc: started\n");
	close_file(&fixture);
}

static void levels_are_per_module(void **state)
{
	struct fixture fixture;
	struct log_module *other;

	open_file(&fixture);
	other = log_module(fixture.log, "move");
	log_debug(fixture.module, NULL, "not yet");
	assert_int_equal(log_set_level(fixture.log, "rpc", LOG_LEVEL_DEBUG), 0);
	assert_int_equal(log_set_level(fixture.log, "nosuch", LOG_LEVEL_DEBUG), -ENOENT);
	log_debug(fixture.module, NULL, "now");
	log_debug(other, NULL, "still not");
	assert_int_equal(log_set_level(fixture.log, NULL, LOG_LEVEL_OFF), 0);
	log_err(other, NULL, "off");
	log_err(log_module(fixture.log, "late"), NULL, "off too");
	assert_string_equal(lines(&fixture), "debug rpc: now\n");
	assert_ptr_equal(log_module(fixture.log, "rpc"), fixture.module);
	close_file(&fixture);
}

static void what_others_send_cannot_forge_lines(void **state)
{
	struct fixture fixture;

	open_file(&fixture);
	log_warn(fixture.module, "vm\n1", "a\r\033[31mb\nerr   rpc: forged");
	assert_string_equal(lines(&fixture), "warn  rpc: vm?1: a??[31mb?err   rpc: forged\n");
	close_file(&fixture);
}

static void a_long_line_is_cut(void **state)
{
	struct fixture fixture;
	char text[5000];

	memset(text, 'a', sizeof(text));
	text[sizeof(text) - 1] = '\0';
	open_file(&fixture);
	log_warn(fixture.module, text, "%s", text);
	log_warn(fixture.module, NULL, "next");
	assert_non_null(strstr(lines(&fixture), "aaa\nwarn  rpc: next\n"));
	assert_true(strlen(lines(&fixture)) < 1024 + 20);
	close_file(&fixture);
}

static void G04_one_line_a_second_for_each_object_and_reason(void **state)
{
	static const char first[] = "warn  rpc: port1: too big: 0 bytes\n"
				    "warn  rpc: port2: too big\n"
				    "warn  rpc: port1: too small\n";
	struct log_stats stats;
	struct fixture fixture;
	const char *written;
	bool told;

	open_file(&fixture);
	for (int i = 0; i < 1000; i++)
		log_limited(fixture.module, LOG_LEVEL_WARN, "port1", "too big", "%d bytes", i);
	log_limited(fixture.module, LOG_LEVEL_WARN, "port2", "too big", NULL);
	log_limited(fixture.module, LOG_LEVEL_WARN, "port1", "too small", NULL);
	fixture.now_ms += 999;
	log_limited(fixture.module, LOG_LEVEL_WARN, "port1", "too big", "too early");
	fixture.now_ms += 1;
	log_limited(fixture.module, LOG_LEVEL_WARN, "port1", "too big", "again");
	written = lines(&fixture);
	assert_memory_equal(written, first, strlen(first));
	/* The second is over: who sees it first, the next line or the writer, tells the count. */
	told = strcmp(written + strlen(first),
		       "warn  rpc: port1: too big: again (1000 like it suppressed)\n") == 0;
	if (!told)
		assert_string_equal(written + strlen(first),
			"warn  rpc: port1: too big: 1000 more suppressed\n");
	log_stats(fixture.log, &stats);
	assert_int_equal(stats.suppressed, told ? 1000 : 1001);
	assert_int_equal(stats.lost, 0);
	close_file(&fixture);
}

static void G04_the_count_is_told_when_the_flood_ends(void **state)
{
	struct fixture fixture;

	open_file(&fixture);
	for (int i = 0; i < 5; i++)
		log_limited(fixture.module, LOG_LEVEL_WARN, "port1", "too big", NULL);
	lines(&fixture);
	fixture.now_ms += 1000;
	assert_string_equal(lines(&fixture), "warn  rpc: port1: too big\n"
					     "warn  rpc: port1: too big: 4 more suppressed\n");
	close_file(&fixture);
}

static void G04_more_keys_than_fit_are_still_all_accounted_for(void **state)
{
	struct log_stats stats;
	struct fixture fixture;
	char object[32];

	open_with(&fixture,
		(struct log_options){
			.target = LOG_TO_FILE, .path = "/dev/null", .ring_bytes = 8 << 20});
	for (int i = 0; i < 20000; i++) {
		snprintf(object, sizeof(object), "port%d", i);
		log_limited(fixture.module, LOG_LEVEL_WARN, object, "too big", NULL);
		log_limited(fixture.module, LOG_LEVEL_WARN, object, "too big", NULL);
	}
	fixture.now_ms += 1000;
	assert_true(log_flush(fixture.log, 5000));
	log_stats(fixture.log, &stats);
	assert_int_equal(stats.suppressed, 20000);
	assert_int_equal(stats.lost, 0);
	assert_int_equal(stats.written, 40000);
	log_close(fixture.log);
}

static void G04_a_full_disk_loses_lines_and_counts_them(void **state)
{
	struct log_stats stats;
	struct fixture fixture;

	open_with(&fixture, (struct log_options){.target = LOG_TO_FILE, .path = "/dev/full"});
	for (int i = 0; i < 10; i++)
		log_warn(fixture.module, NULL, "line");
	assert_true(log_flush(fixture.log, 5000));
	log_stats(fixture.log, &stats);
	assert_int_equal(stats.lost, 10);
	assert_int_equal(stats.written, 0);
	assert_int_equal(stats.target_error, ENOSPC);
	log_close(fixture.log);
}

static void G04_a_reader_that_stopped_holds_up_nobody(void **state)
{
	char path[] = "/tmp/test_log_pipe_XXXXXX", fifo[64], text[4096];
	struct log_stats stats;
	struct fixture fixture;
	bool told = false;
	int fd;

	assert_non_null(mkdtemp(path));
	snprintf(fifo, sizeof(fifo), "%s/fifo", path);
	assert_int_equal(mkfifo(fifo, 0600), 0);
	fd = open(fifo, O_RDWR | O_NONBLOCK);
	open_with(&fixture,
		(struct log_options){.target = LOG_TO_FILE, .path = fifo, .ring_bytes = 4096});
	/* More than pipe and ring hold together: this returns, or the test hangs. */
	for (int i = 0; i < 3000; i++)
		log_warn(fixture.module, NULL, "a line that nobody reads for now");
	log_stats(fixture.log, &stats);
	assert_true(stats.lost > 100);
	/* The reader goes on: it is told how many are missing. */
	for (int i = 0; i < 500 && !told; i++) {
		ssize_t n = read(fd, text, sizeof(text) - 1);

		text[n > 0 ? n : 0] = '\0';
		told = strstr(text, " lines lost\n") != NULL;
		if (n < 0)
			usleep(10000);
		log_warn(fixture.module, NULL, "next");
	}
	assert_true(told);
	log_close(fixture.log);
	close(fd);
	unlink(fifo);
	rmdir(path);
}

static void a_log_that_cannot_be_written_is_closed_within_its_time(void **state)
{
	char path[] = "/tmp/test_log_pipe_XXXXXX", fifo[64];
	struct fixture fixture;
	int fd;

	assert_non_null(mkdtemp(path));
	snprintf(fifo, sizeof(fifo), "%s/fifo", path);
	assert_int_equal(mkfifo(fifo, 0600), 0);
	fd = open(fifo, O_RDWR | O_NONBLOCK);
	open_with(&fixture, (struct log_options){.target = LOG_TO_FILE, .path = fifo});
	for (int i = 0; i < 3000; i++)
		log_warn(fixture.module, NULL, "a line that nobody ever reads");
	log_close(fixture.log);
	close(fd);
	unlink(fifo);
	rmdir(path);
}

static void a_rotated_file_is_opened_anew(void **state)
{
	struct fixture fixture;
	char old[80];

	open_file(&fixture);
	log_info(fixture.module, NULL, "old");
	lines(&fixture);
	snprintf(old, sizeof(old), "%s.1", fixture.path);
	assert_int_equal(rename(fixture.path, old), 0);
	log_reopen(fixture.log);
	log_info(fixture.module, NULL, "new");
	assert_true(log_flush(fixture.log, 5000));
	assert_string_equal(lines(&fixture), "info  rpc: new\n");
	unlink(old);
	close_file(&fixture);
}

static void syslog_gets_priority_and_program(void **state)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	char path[] = "/tmp/test_log_sys_XXXXXX", text[1024], wanted[64];
	struct fixture fixture;
	ssize_t n;
	int fd;

	assert_non_null(mkdtemp(path));
	snprintf(address.sun_path, sizeof(address.sun_path), "%s/log", path);
	fd = socket(AF_UNIX, SOCK_DGRAM, 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	open_with(
		&fixture, (struct log_options){.target = LOG_TO_SYSLOG, .path = address.sun_path});
	log_err(fixture.module, "vm1", "lost");
	n = recv(fd, text, sizeof(text) - 1, 0);
	assert_true(n > 0);
	text[n] = '\0';
	assert_memory_equal(text, "<27>", 4);
	snprintf(wanted, sizeof(wanted), " test[%d]: err   rpc: vm1: lost", (int)getpid());
	assert_non_null(strstr(text, wanted));
	log_close(fixture.log);
	close(fd);
	unlink(address.sun_path);
	rmdir(path);
}

static void a_missing_directory_is_an_error_at_once(void **state)
{
	struct log *log = NULL;

	assert_int_equal(log_open(&(struct log_options){.program = "test",
					  .target = LOG_TO_FILE,
					  .path = "/nonexistent/log"},
				 &log),
		-ENOENT);
	assert_null(log);
}

static void without_a_log_nothing_happens(void **state)
{
	struct log_module *module = log_module(NULL, "rpc");

	assert_null(module);
	log_err(module, NULL, "nowhere");
	log_limited(module, LOG_LEVEL_ERR, "a", "b", NULL);
	log_debug(module, NULL, "nowhere");
	log_close(NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(lines_say_level_module_and_object),
		cmocka_unit_test(levels_are_per_module),
		cmocka_unit_test(what_others_send_cannot_forge_lines),
		cmocka_unit_test(a_long_line_is_cut),
		cmocka_unit_test(G04_one_line_a_second_for_each_object_and_reason),
		cmocka_unit_test(G04_the_count_is_told_when_the_flood_ends),
		cmocka_unit_test(G04_more_keys_than_fit_are_still_all_accounted_for),
		cmocka_unit_test(G04_a_full_disk_loses_lines_and_counts_them),
		cmocka_unit_test(G04_a_reader_that_stopped_holds_up_nobody),
		cmocka_unit_test(a_log_that_cannot_be_written_is_closed_within_its_time),
		cmocka_unit_test(a_rotated_file_is_opened_anew),
		cmocka_unit_test(syslog_gets_priority_and_program),
		cmocka_unit_test(a_missing_directory_is_an_error_at_once),
		cmocka_unit_test(without_a_log_nothing_happens),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
