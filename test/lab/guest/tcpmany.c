/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Many TCP connections, each carrying numbered requests and answers, and how many of them broke.
 *
 * Every message is a header (connection, number, length) and a pattern made from these, so that
 * lost, repeated, foreign or changed bytes show. The client sends one request per connection and
 * interval, after the answer to the one before; the server checks number and pattern and sends the
 * message back. A connection breaks by reset, early end, wrong bytes or no answer within the
 * patience; it is never opened again.
 *
 * The client's report is also written every second while it runs. On INT, TERM or after its time it
 * waits for the answers still due, then reports and closes. One thread, epoll, non-blocking
 * sockets.
 */
#include "test/lab/guest/tcpmany.h"

#include <errno.h>
#include <getopt.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>

static const char usage[] =
	"usage: tcpmany client ADDRESS PORT [options]    tcpmany server PORT [options]\n"
	"  --connections N (200)  --interval-ms N (500)  --size BYTES (64 of pattern)\n"
	"  --patience-s N (15: no answer for so long is broken)  --seconds N (until INT or TERM)\n"
	"  --bind ADDRESS  --json FILE\n";

static bool tcpmany_option(struct tcpmany *t, int option, const char *text)
{
	switch (option) {
	case 'n':
		t->connections = program_number("--connections", text, 1, 60000);
		return true;
	case 'i':
		t->interval_ns = program_number("--interval-ms", text, 1, 3600000) * NS_PER_MS;
		return true;
	case 'z':
		t->size = program_number("--size", text, 0, TCPMANY_PATTERN_MAX);
		return true;
	case 'p':
		t->patience_ns = program_number("--patience-s", text, 1, 3600) * NS_PER_S;
		return true;
	case 's':
		t->seconds = program_number("--seconds", text, 1, 86400);
		return true;
	case 'b':
		t->bind_to = text;
		return true;
	case 'j':
		t->json = text;
		return true;
	default:
		return false;
	}
}

static bool tcpmany_options(int argc, char **argv, struct tcpmany *t)
{
	static const struct option options[] = {{"connections", 1, NULL, 'n'},
		{"interval-ms", 1, NULL, 'i'}, {"size", 1, NULL, 'z'}, {"patience-s", 1, NULL, 'p'},
		{"seconds", 1, NULL, 's'}, {"bind", 1, NULL, 'b'}, {"json", 1, NULL, 'j'}, {0}};
	int option;

	while ((option = getopt_long(argc, argv, "", options, NULL)) != -1)
		if (!tcpmany_option(t, option, optarg))
			return false;
	argc -= optind;
	argv += optind;
	t->client = argc == 3 && !strcmp(argv[0], "client");
	if (!t->client && (argc != 2 || strcmp(argv[0], "server")))
		return false;
	t->port = program_number("port", argv[argc - 1], 1, 65535);
	return !t->client || !program_address(argv[1], t->port, &t->peer);
}

int main(int argc, char **argv)
{
	struct tcpmany t = {.connections = 200,
		.size = 64,
		.interval_ns = 500 * NS_PER_MS,
		.patience_ns = 15 * NS_PER_S,
		.bind_to = "any"};
	struct rlimit files = {65536, 65536};
	int rc;

	if (!tcpmany_options(argc, argv, &t)) {
		fputs(usage, stderr);
		return 2;
	}
	setrlimit(RLIMIT_NOFILE, &files);
	program_catch_stop();
	t.epoll = epoll_create1(EPOLL_CLOEXEC);
	rc = t.client ? tcpmany_client(&t) : tcpmany_server(&t);
	if (rc)
		fprintf(stderr, "tcpmany: %s\n", strerror(-rc));
	return rc ? 1 : 0;
}
