/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A daemon without an engine: loop, log, control socket, the frame's commands, and a noun that does
 * what commands can do. For tests of the socket with real clients.
 *
 *	daemon SOCKET LOCK LOG [drain_ms=N] [message_ms=N] [connections=N] [mode=OCTAL] [group=NAME]
 *
 * Exit codes: 2 usage, 3 the lock is held, 4 the socket could not be made.
 */
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "ctrl/cmd/cmd.h"
#include "ctrl/log.h"
#include "ctrl/rpc/server.h"

static int test_args(struct cmd *cmd)
{
	struct out *out = cmd_out(cmd);

	out_list(out, "args");
	for (size_t i = 0; i < cmd->n_args; i++)
		out_str(out, NULL, cmd->args[i]);
	out_list_end(out);
	out_str(out, "note", cmd_option(cmd, "note"));
	return 0;
}

static int test_fail(struct cmd *cmd)
{
	return cmd_fail(cmd, "failed as asked: %s", cmd->args[0]);
}

struct rows {
	uint64_t next, n, fail_at;
};

static int rows_step(struct cmd *cmd)
{
	struct rows *rows = cmd->state;
	struct out *out = cmd_out(cmd);

	for (int i = 0; i < 500 && rows->next < rows->n; i++, rows->next++) {
		if (rows->next == rows->fail_at)
			return cmd_fail(
				cmd, "lost the table at row %llu", (unsigned long long)rows->next);
		out_row(out);
		out_u64(out, "row", rows->next);
		out_fmt(out, "name", "row number %llu", (unsigned long long)rows->next);
		out_str(out, "text", "a text of some length, so that a million of them are many");
	}
	return rows->next < rows->n ? CMD_MORE : 0;
}

static void rows_end(struct cmd *cmd)
{
	free(cmd->state);
}

static int test_rows(struct cmd *cmd)
{
	struct rows *rows = calloc(1, sizeof(*rows));
	const char *fail_at = cmd_option(cmd, "fail-at");

	if (!rows)
		return -ENOMEM;
	rows->fail_at = UINT64_MAX;
	if (cmd_number(cmd, "rows", cmd->args[0], 100000000, &rows->n) < 0 ||
		(fail_at && cmd_number(cmd, "fail-at", fail_at, UINT64_MAX, &rows->fail_at) < 0)) {
		free(rows);
		return -EINVAL;
	}
	cmd->state = rows;
	out_table(cmd_out(cmd), "rows");
	return cmd_stream(cmd, rows_step, rows_end);
}

static void *late_thread(void *ctx)
{
	struct cmd *cmd = ctx;

	usleep((useconds_t)(uintptr_t)cmd->state * 1000);
	cmd_post_finish(cmd, 0, "late, from another thread");
	return NULL;
}

static int test_late(struct cmd *cmd)
{
	pthread_t thread;
	uint64_t time_ms;

	if (cmd_number(cmd, "milliseconds", cmd->args[0], 60000, &time_ms) < 0)
		return -EINVAL;
	cmd->state = (void *)(uintptr_t)time_ms;
	if (pthread_create(&thread, NULL, late_thread, cmd) != 0)
		return -EAGAIN;
	pthread_detach(thread);
	return cmd_defer(cmd, NULL);
}

static void hang_gone(struct cmd *cmd)
{
	cmd_finish(cmd, -ECANCELED);
}

static int test_hang(struct cmd *cmd)
{
	return cmd_defer(cmd, hang_gone);
}

static int test_progress(struct cmd *cmd)
{
	static uint64_t done;

	out_progress(cmd_out(cmd), "progress", done < 10 ? ++done : done, 10);
	return 0;
}

static int test_flood(struct cmd *cmd)
{
	for (int i = 0; i < 1000; i++)
		log_limited(cmd->ctx, LOG_LEVEL_WARN, "port0", "frame larger than the MTU", NULL);
	return 0;
}

static const struct cmd_row rows[] = {
	{"test/args", "[WORD]... [--note=TEXT]", 0, -1, "note=", CMD_JSON, test_args,
		"Show the arguments."},
	{"test/fail", "WHY", 1, 1, NULL, 0, test_fail, "Fail."},
	{"test/flood", "", 0, 0, NULL, 0, test_flood, "Log a thousand lines of one kind."},
	{"test/hang", "", 0, 0, NULL, 0, test_hang, "Never answer."},
	{"test/late", "MILLISECONDS", 1, 1, NULL, 0, test_late, "Answer later, by a thread."},
	{"test/progress", "", 0, 0, NULL, CMD_JSON, test_progress, "A tenth more each time."},
	{"test/rows", "N [--fail-at=ROW]", 1, 1, "fail-at=", CMD_JSON, test_rows,
		"Stream a table."},
};

CMD_NOUN(test, rows);

struct settings {
	struct rpc_limits limits;
	unsigned int mode;
	char group[64];
};

static int settings_parse(struct settings *settings, char **words)
{
	for (; *words; words++) {
		if (sscanf(*words, "drain_ms=%u", &settings->limits.drain_ms) != 1 &&
			sscanf(*words, "message_ms=%u", &settings->limits.message_ms) != 1 &&
			sscanf(*words, "connections=%u", &settings->limits.connections) != 1 &&
			sscanf(*words, "mode=%o", &settings->mode) != 1 &&
			sscanf(*words, "group=%63s", settings->group) != 1)
			return -EINVAL;
	}
	return 0;
}

static int serve(char **argv, const struct settings *settings, struct log *log)
{
	struct cmd_registry *registry;
	struct rpc_server *server;
	struct loop *loop;
	char why[256];
	int ret = 4;

	if (loop_create(&loop) < 0)
		return 1;
	if (cmd_registry_create(
		    &(struct cmd_registry_options){"testd", FERRY_VERSION, loop}, &registry) < 0)
		return 1;
	cmd_registry_add(registry, &cmd_noun_log, log);
	cmd_registry_add(registry, &cmd_noun_test, log_module(log, "test"));
	if (rpc_server_create(&(struct rpc_server_options){.loop = loop,
				      .listen = {.path = argv[1],
					      .mode = settings->mode,
					      .group = settings->group[0] ? settings->group : NULL},
				      .handler = cmd_registry_handle,
				      .ctx = registry,
				      .limits = settings->limits,
				      .log = log_module(log, "rpc")},
		    &server, why, sizeof(why)) == 0) {
		ret = loop_run(loop) < 0;
		rpc_server_destroy(server);
	} else {
		fprintf(stderr, "%s\n", why);
	}
	loop_destroy(loop);
	cmd_registry_destroy(registry);
	return ret;
}

int main(int argc, char **argv)
{
	struct settings settings = {0};
	struct log *log;
	int fd, ret;

	if (argc < 4 || settings_parse(&settings, argv + 4) < 0)
		return 2;
	ret = unix_lock(argv[2], &fd);
	if (ret < 0) {
		fprintf(stderr, "%s: %s\n", argv[2], strerror(-ret));
		return 3;
	}
	if (log_open(&(struct log_options){"testd", LOG_TO_FILE, argv[3]}, &log) < 0)
		return 1;
	ret = serve(argv, &settings, log);
	log_close(log);
	close(fd);
	return ret;
}
