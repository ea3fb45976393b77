/* SPDX-License-Identifier: BSD-3-Clause */
#include "test/lab/guest/program.h"

#include <arpa/inet.h>
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static volatile sig_atomic_t stopped;

uint64_t program_now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * NS_PER_S + now.tv_nsec;
}

int program_address(const char *text, uint16_t port, struct sockaddr_in6 *address)
{
	struct sockaddr_in6 found = {.sin6_family = AF_INET6, .sin6_port = htons(port)};
	char mapped[INET6_ADDRSTRLEN + 8];

	snprintf(mapped, sizeof(mapped), "%s%s", strchr(text, ':') ? "" : "::ffff:", text);
	if (strcmp(text, "any") && inet_pton(AF_INET6, mapped, &found.sin6_addr) != 1)
		return -EINVAL;
	*address = found;
	return 0;
}

uint64_t program_number(const char *name, const char *text, uint64_t min, uint64_t max)
{
	char *end;
	uint64_t value;

	errno = 0;
	value = strtoull(text, &end, 10);
	if (errno || end == text || *end || *text == '-' || value < min || value > max) {
		fprintf(stderr, "%s: a number from %lu to %lu, not '%s'\n", name, min, max, text);
		exit(2);
	}
	return value;
}

static void program_stop(int signal)
{
	stopped = 1;
}

void program_catch_stop(void)
{
	struct sigaction action = {.sa_handler = program_stop};

	sigaction(SIGINT, &action, NULL);
	sigaction(SIGTERM, &action, NULL);
	signal(SIGPIPE, SIG_IGN);
}

bool program_stopped(void)
{
	return stopped;
}

static void program_new_name(const char *path, char *name, size_t size)
{
	snprintf(name, size, "%s.new", path);
}

FILE *program_report_begin(const char *path)
{
	char name[512];

	if (!path)
		return stdout;
	program_new_name(path, name, sizeof(name));
	return fopen(name, "w");
}

void program_report_end(FILE *report, const char *path)
{
	char name[512];

	if (!path) {
		fflush(report);
		return;
	}
	fclose(report);
	program_new_name(path, name, sizeof(name));
	rename(name, path);
}
