/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Files that are made to cost: each fails in less than 100 ms of processor time and 16 MiB of
 * memory. Each is loaded by a child of its own, whose peak tells the memory.
 */
#include <errno.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "test/unit/config_case.h"

#define TIME_MS_MAX 100
#define MEMORY_KB_MAX (16 << 10)

struct cost {
	int code;
	long time_ms, memory_kb;
	char text[512];
};

static long peak_kb(void)
{
	struct rusage usage;

	getrusage(RUSAGE_SELF, &usage);
	return usage.ru_maxrss;
}

static long cpu_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
	return now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static void measure(int fd, const char *path)
{
	struct config *config = NULL;
	struct config_error err;
	long memory = peak_kb(), start = cpu_ms();
	struct cost cost = {.code = config_load(path, &config, &err)};

	cost.time_ms = cpu_ms() - start;
	cost.memory_kb = peak_kb() - memory;
	memcpy(cost.text, err.text, sizeof(cost.text));
	config_free(config);
	_exit(write(fd, &cost, sizeof(cost)) != sizeof(cost));
}

/* Load what is in `file` in a child. A fresh one, so that its peak is its own. */
static struct cost load_cost(const char *path)
{
	struct cost cost;
	int fds[2], status;
	pid_t child;

	assert_int_equal(pipe(fds), 0);
	child = fork();
	if (child == 0)
		measure(fds[1], path);
	close(fds[1]);
	assert_int_equal(read(fds[0], &cost, sizeof(cost)), sizeof(cost));
	close(fds[0]);
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
	return cost;
}

/* Sanitizers and their quarantine have costs of their own. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
static const bool costs_count = false;
#else
static const bool costs_count = true;
#endif

/* A file of head, `count` times part, tail. */
struct bomb {
	const char *head, *part;
	size_t count;
	const char *tail;
	int code;
	const char *expected;
};

static void assert_cheap_failure(const struct bomb *bomb)
{
	char path[] = "/tmp/ferry-config-XXXXXX";
	FILE *file = fdopen(mkstemp(path), "w");
	struct cost cost;

	fputs(bomb->head, file);
	for (size_t i = 0; i < bomb->count; i++)
		fputs(bomb->part, file);
	fputs(bomb->tail, file);
	fclose(file);
	cost = load_cost(path);
	unlink(path);
	assert_int_equal(cost.code, bomb->code);
	if (strstr(cost.text, bomb->expected) == NULL)
		fail_msg("found \"%s\", expected \"%s\"", cost.text, bomb->expected);
	if (costs_count && (cost.time_ms >= TIME_MS_MAX || cost.memory_kb >= MEMORY_KB_MAX))
		fail_msg("\"%s\" took %ld ms and %ld kB", cost.text, cost.time_ms, cost.memory_kb);
}

static void aliases_that_multiply_fail_at_once_F06(void **state)
{
	static const struct bomb bomb = {"a: &a [x,x,x,x,x,x,x,x,x]\n"
					 "b: &b [*a,*a,*a,*a,*a,*a,*a,*a,*a]\n"
					 "c: &c [*b,*b,*b,*b,*b,*b,*b,*b,*b]\n"
					 "d: &d [*c,*c,*c,*c,*c,*c,*c,*c,*c]\n"
					 "e: &e [*d,*d,*d,*d,*d,*d,*d,*d,*d]\n"
					 "f: &f [*e,*e,*e,*e,*e,*e,*e,*e,*e]\n"
					 "g: &g [*f,*f,*f,*f,*f,*f,*f,*f,*f]\n"
					 "h: &h [*g,*g,*g,*g,*g,*g,*g,*g,*g]\n"
					 "i: &i [*h,*h,*h,*h,*h,*h,*h,*h,*h]\n",
		"", 0, "", -EINVAL, "anchor or alias"};

	assert_cheap_failure(&bomb);
}

static void nesting_without_end_fails_at_once_F06(void **state)
{
	static const struct bomb bombs[] = {
		{"", "[", 20000, "", -E2BIG, "expected at most 64 levels"},
		{"", "{a: ", 20000, "", -E2BIG, "expected at most 64 levels"},
		{"", "- ", 20000, "x\n", -E2BIG, "expected at most 64 levels"},
		{"", "? ", 20000, "x\n", -EINVAL, "expected a key, found a map"},
		{"", "[{a: ", 20000, "", -E2BIG, "expected at most 64 levels"},
	};

	for (size_t i = 0; i < sizeof(bombs) / sizeof(bombs[0]); i++)
		assert_cheap_failure(&bombs[i]);
}

static void values_and_keys_without_end_fail_at_once_F06(void **state)
{
	static const struct bomb bombs[] = {
		{"host: {name: ", "0123456789", 5 << 20, "}\n", -EFBIG, "at most 8388608 bytes"},
		{"host: {name: \"", "0123456789", 800000, "\"}\n", -E2BIG, "at most 65536 bytes"},
		{"host: {name: ", "01234567 ", 800000, "}\n", -E2BIG, "at most 65536 bytes"},
		{"a: |\n", "  0123456\n", 800000, "", -E2BIG, "at most 65536 bytes"},
		{"host: {name: ", "0123456789", 7000, "}\n", -E2BIG,
			"expected a value of at most 65536 bytes, found 70000"},
		{"? ", "0123456789", 100000, "\n: x\n", -E2BIG, "at most 65536 bytes"},
		{"? \"", "0123456789", 13, "\"\n: x\n", -E2BIG,
			"expected a key of at most 128 bytes, found 130"},
		{"#", "0123456789", 800000, "\n", -E2BIG, "at most 65536 bytes"},
		{"a: !<", "0123456789", 800000, "> x\n", -E2BIG, "at most 65536 bytes"},
		{"a: &", "0123456789", 800000, " x\n", -E2BIG, "at most 65536 bytes"},
		{"a: ", " ", 8000000, "x\n", -E2BIG, "at most 65536 bytes"},
	};

	for (size_t i = 0; i < sizeof(bombs) / sizeof(bombs[0]); i++)
		assert_cheap_failure(&bombs[i]);
}

/* These are as large as a real file may be, so only their memory is bounded. */
static void more_values_than_a_real_file_has_fail_in_bounded_memory_F06(void **state)
{
	static const struct bomb bombs[] = {
		{"a: [", "x,", 4000000, "x]\n", -E2BIG, "expected at most 250000 values"},
		{"a: [", "[],", 2500000, "x]\n", -E2BIG, "expected at most 250000 values"},
	};

	for (size_t i = 0; i < sizeof(bombs) / sizeof(bombs[0]); i++) {
		struct bomb bomb = bombs[i];
		char path[] = "/tmp/ferry-config-XXXXXX";
		FILE *file = fdopen(mkstemp(path), "w");
		struct cost cost;

		fputs(bomb.head, file);
		for (size_t n = 0; n < bomb.count; n++)
			fputs(bomb.part, file);
		fputs(bomb.tail, file);
		fclose(file);
		cost = load_cost(path);
		unlink(path);
		assert_int_equal(cost.code, bomb.code);
		assert_non_null(strstr(cost.text, bomb.expected));
		if (costs_count && cost.memory_kb >= MEMORY_KB_MAX)
			fail_msg("took %ld kB", cost.memory_kb);
	}
}

/* As a cloud may have it: the largest host, all in one file. */
static void a_large_but_honest_file_loads(void **state)
{
	char *text = NULL;
	size_t len = 0;
	FILE *file = open_memstream(&text, &len);
	struct config *config = NULL;

	fputs("vpcs: [{name: a, vni: 1}]\nlocations:\n", file);
	for (unsigned i = 0; i < 30000; i++)
		fprintf(file, "  - {vni: 2, ip: 10.%u.%u.1, vtep: 192.0.2.1, epoch: %u}\n", i >> 8,
			i & 255, i);
	fputs("vports:\n", file);
	for (unsigned i = 0; i < 1024; i++)
		fprintf(file,
			"  - {name: v%u, vpc: a, mac: 02:00:00:00:%02x:%02x, ips: 10.1.%u.%u,"
			" port: {path: /v%u}, groups: [g]}\n",
			i, i >> 8, i & 255, i >> 8, i & 255, i);
	fputs("groups:\n  - name: g\n    rules:\n", file);
	for (unsigned i = 0; i < 5000; i++)
		fprintf(file, "      - {direction: ingress, protocol: tcp, ports: %u}\n", i);
	fclose(file);
	assert_int_equal(config_load_text(text, len, NULL, &config, NULL), 0);
	assert_int_equal(config->n_locations, 30000);
	assert_int_equal(config->n_vports, 1024);
	assert_int_equal(config->groups[0].n_rules, 5000);
	config_free(config);
	free(text);
}

/* A map where every key must be compared with every other. */
static void many_keys_in_one_map_are_compared_in_time(void **state)
{
	char *text = NULL;
	size_t len = 0;
	FILE *file = open_memstream(&text, &len);
	struct config *config = NULL;
	struct config_error err;
	long start = cpu_ms();

	fputs("plugins: [{name: acl, config: {", file);
	for (unsigned i = 0; i < 200000; i++)
		fprintf(file, "k%u: 1, ", i);
	fputs("k7: 2}}]\n", file);
	fclose(file);
	assert_int_equal(config_load_text(text, len, NULL, &config, &err), -EINVAL);
	assert_non_null(strstr(err.text, "found \"k7\" again"));
	if (costs_count)
		assert_true(cpu_ms() - start < 5000);
	free(text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(aliases_that_multiply_fail_at_once_F06),
		cmocka_unit_test(nesting_without_end_fails_at_once_F06),
		cmocka_unit_test(values_and_keys_without_end_fail_at_once_F06),
		cmocka_unit_test(more_values_than_a_real_file_has_fail_in_bounded_memory_F06),
		cmocka_unit_test(a_large_but_honest_file_loads),
		cmocka_unit_test(many_keys_in_one_map_are_compared_in_time),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
