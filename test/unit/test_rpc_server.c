/* SPDX-License-Identifier: BSD-3-Clause */
/* Server, loop and client together over real sockets: the loop in a thread, clients in others. */
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "ctrl/rpc/client.h"
#include "ctrl/rpc/server.h"

struct fixture {
	char dir[64], path[96];
	struct loop *loop;
	struct rpc_server *server;
	pthread_t thread;
	struct rpc_reply *hanging;
	atomic_uint gone;
};

static void on_gone(void *ctx)
{
	struct fixture *fixture = ctx;

	rpc_reply_finish(fixture->hanging);
	atomic_fetch_add(&fixture->gone, 1);
}

/* "hang": never. "big N": N bytes. Else the number of arguments. */
static void handle(void *ctx, const struct rpc_request *request, struct rpc_reply *reply)
{
	struct fixture *fixture = ctx;
	char text[4096];

	if (strcmp(request->method, "hang") == 0) {
		fixture->hanging = reply;
		rpc_reply_on_gone(reply, on_gone, fixture);
		return;
	}
	if (strcmp(request->method, "big") == 0) {
		memset(text, 'x', sizeof(text));
		for (long left = atol(request->args[0]); left > 0; left -= sizeof(text))
			rpc_reply_append(reply, text, sizeof(text));
	} else {
		snprintf(text, sizeof(text), "%zu", request->n_args);
		rpc_reply_append(reply, text, strlen(text));
	}
	rpc_reply_finish(reply);
}

static void *run(void *loop)
{
	loop_run(loop);
	return NULL;
}

static void serve(struct fixture *fixture, const struct rpc_limits *limits)
{
	char why[200] = "";

	memset(fixture, 0, sizeof(*fixture));
	strcpy(fixture->dir, "/tmp/test_rpc_XXXXXX");
	assert_non_null(mkdtemp(fixture->dir));
	snprintf(fixture->path, sizeof(fixture->path), "%s/s", fixture->dir);
	assert_int_equal(loop_create(&fixture->loop), 0);
	assert_int_equal(rpc_server_create(&(struct rpc_server_options){.loop = fixture->loop,
						   .listen = {.path = fixture->path},
						   .handler = handle,
						   .ctx = fixture,
						   .limits = *limits},
				 &fixture->server, why, sizeof(why)),
		0);
	assert_int_equal(pthread_create(&fixture->thread, NULL, run, fixture->loop), 0);
}

static void end(struct fixture *fixture, struct rpc_server_stats *stats)
{
	loop_stop(fixture->loop);
	pthread_join(fixture->thread, NULL);
	if (stats)
		rpc_server_stats(fixture->server, stats);
	rpc_server_destroy(fixture->server);
	loop_destroy(fixture->loop);
	assert_int_not_equal(access(fixture->path, F_OK), 0);
	assert_int_equal(rmdir(fixture->dir), 0);
}

static int call(
	struct rpc_client *client, const char *method, const char *arg, char *text, size_t size)
{
	struct rpc_answer answer;
	int ret = rpc_client_call(client,
		&(struct rpc_call){
			.method = method, .args = &arg, .n_args = arg ? 1 : 0, .timeout_ms = 5000},
		&answer);

	if (ret == 0) {
		snprintf(text, size, "%s", answer.text);
		rpc_answer_free(&answer);
	}
	return ret;
}

static void a_client_calls_many_times_on_one_connection(void **state)
{
	struct rpc_server_stats stats;
	struct rpc_client *client;
	struct fixture fixture;
	char text[8];

	serve(&fixture, &(struct rpc_limits){0});
	assert_int_equal(rpc_client_connect(fixture.path, 1000, &client), 0);
	for (int i = 0; i < 100; i++) {
		assert_int_equal(call(client, "count", i % 2 ? "x" : NULL, text, sizeof(text)), 0);
		assert_string_equal(text, i % 2 ? "1\n" : "0\n");
	}
	rpc_client_close(client);
	end(&fixture, &stats);
	assert_int_equal(stats.requests, 100);
	assert_int_equal(stats.accepted, 1);
}

static void large_requests_and_answers_arrive_whole(void **state)
{
	struct rpc_client *client;
	struct rpc_answer answer;
	struct fixture fixture;
	char *arg = malloc(1000001), text[8];

	memset(arg, 'a', 1000000);
	arg[1000000] = '\0';
	serve(&fixture, &(struct rpc_limits){0});
	assert_int_equal(rpc_client_connect(fixture.path, 1000, &client), 0);
	assert_int_equal(call(client, "count", arg, text, sizeof(text)), 0);
	strcpy(arg, "20000000");
	assert_int_equal(rpc_client_call(client,
				 &(struct rpc_call){.method = "big",
					 .args = (const char *const *)&arg,
					 .n_args = 1,
					 .timeout_ms = 10000},
				 &answer),
		0);
	assert_true(answer.len_bytes > 20000000);
	assert_int_equal(strspn(answer.text, "x"), answer.len_bytes - 1);
	rpc_answer_free(&answer);
	rpc_client_close(client);
	end(&fixture, NULL);
	free(arg);
}

static void a_call_ends_at_its_timeout_and_the_server_notices(void **state)
{
	struct rpc_client *client;
	struct rpc_answer answer;
	struct fixture fixture;

	serve(&fixture, &(struct rpc_limits){0});
	assert_int_equal(rpc_client_connect(fixture.path, 1000, &client), 0);
	assert_int_equal(rpc_client_call(client,
				 &(struct rpc_call){.method = "hang", .timeout_ms = 50}, &answer),
		-ETIMEDOUT);
	rpc_client_close(client);
	for (int i = 0; i < 500 && !atomic_load(&fixture.gone); i++)
		usleep(10000);
	assert_int_equal(atomic_load(&fixture.gone), 1);
	end(&fixture, NULL);
}

static void *cancel_soon(void *client)
{
	usleep(50000);
	rpc_client_cancel(client);
	return NULL;
}

static void a_call_is_cancelled_by_another_thread(void **state)
{
	struct rpc_client *client;
	struct rpc_answer answer;
	struct fixture fixture;
	pthread_t thread;

	serve(&fixture, &(struct rpc_limits){0});
	assert_int_equal(rpc_client_connect(fixture.path, 1000, &client), 0);
	pthread_create(&thread, NULL, cancel_soon, client);
	assert_int_equal(
		rpc_client_call(client, &(struct rpc_call){.method = "hang"}, &answer), -ECANCELED);
	pthread_join(thread, NULL);
	rpc_client_close(client);
	end(&fixture, NULL);
}

static void the_longest_idle_connection_makes_room_for_a_new_one(void **state)
{
	struct rpc_server_stats stats;
	struct rpc_client *clients[3];
	struct rpc_answer answer;
	struct fixture fixture;
	char text[8];

	serve(&fixture, &(struct rpc_limits){.connections = 2});
	for (int i = 0; i < 3; i++) {
		assert_int_equal(rpc_client_connect(fixture.path, 1000, &clients[i]), 0);
		assert_int_equal(call(clients[i], "count", NULL, text, sizeof(text)), 0);
	}
	assert_int_equal(
		rpc_client_call(clients[0],
			&(struct rpc_call){.method = "count", .timeout_ms = 5000}, &answer),
		-ECONNRESET);
	assert_int_equal(call(clients[1], "count", NULL, text, sizeof(text)), 0);
	for (int i = 0; i < 3; i++)
		rpc_client_close(clients[i]);
	end(&fixture, &stats);
	assert_int_equal(stats.accepted, 3);
	assert_int_equal(stats.refused, 0);
}

static void without_an_idle_one_a_new_connection_is_refused_with_a_reason(void **state)
{
	struct rpc_server_stats stats;
	struct rpc_client *busy, *late;
	struct rpc_answer answer;
	struct fixture fixture;

	serve(&fixture, &(struct rpc_limits){.connections = 1});
	assert_int_equal(rpc_client_connect(fixture.path, 1000, &busy), 0);
	assert_int_equal(rpc_client_call(busy,
				 &(struct rpc_call){.method = "hang", .timeout_ms = 100}, &answer),
		-ETIMEDOUT);
	assert_int_equal(rpc_client_connect(fixture.path, 1000, &late), 0);
	assert_int_equal(
		rpc_client_call(
			late, &(struct rpc_call){.method = "count", .timeout_ms = 5000}, &answer),
		0);
	assert_true(answer.failed);
	assert_string_equal(answer.text, "too many connections\n");
	rpc_answer_free(&answer);
	rpc_client_close(late);
	rpc_client_close(busy);
	end(&fixture, &stats);
	assert_int_equal(stats.refused, 1);
}

static void a_client_that_takes_nothing_is_dropped(void **state)
{
	static const char request[] = "{\"id\":0,\"method\":\"big\",\"params\":[\"10000000\"]}";
	struct rpc_server_stats stats;
	struct pollfd hang_up = {0};
	struct fixture fixture;
	int fd;

	serve(&fixture, &(struct rpc_limits){.drain_ms = 100});
	assert_int_equal(unix_connect(fixture.path, 1000, &fd), 0);
	assert_int_equal(send(fd, request, sizeof(request) - 1, 0), sizeof(request) - 1);
	hang_up.fd = fd;
	/* The hang-up is seen without taking anything. */
	assert_int_equal(poll(&hang_up, 1, 10000), 1);
	assert_true(hang_up.revents & POLLHUP);
	close(fd);
	end(&fixture, &stats);
	assert_int_equal(stats.dropped_output, 1);
}

static void a_client_that_shuts_down_its_side_is_answered(void **state)
{
	static const char request[] = "{\"id\":0,\"method\":\"count\",\"params\":[]}";
	struct fixture fixture;
	char text[100] = "";
	int fd;

	serve(&fixture, &(struct rpc_limits){0});
	assert_int_equal(unix_connect(fixture.path, 1000, &fd), 0);
	assert_int_equal(send(fd, request, sizeof(request) - 1, 0), sizeof(request) - 1);
	shutdown(fd, SHUT_WR);
	for (int i = 0; i < 500 && recv(fd, text, sizeof(text) - 1, 0) < 0; i++)
		usleep(10000);
	assert_string_equal(text, "{\"id\":0,\"result\":\"0\\n\",\"error\":null}");
	close(fd);
	end(&fixture, NULL);
}

static void replies_outlive_the_server(void **state)
{
	struct rpc_client *client;
	struct rpc_answer answer;
	struct fixture fixture;

	serve(&fixture, &(struct rpc_limits){0});
	assert_int_equal(rpc_client_connect(fixture.path, 1000, &client), 0);
	assert_int_equal(rpc_client_call(client,
				 &(struct rpc_call){.method = "hang", .timeout_ms = 100}, &answer),
		-ETIMEDOUT);
	end(&fixture, NULL);
	assert_int_equal(atomic_load(&fixture.gone), 1);
	rpc_client_close(client);
}

struct counter {
	struct loop *loop;
	unsigned int ran, wrong;
	unsigned int last[4];
};

struct posted {
	struct counter *counter;
	unsigned int thread, number;
};

static void count(void *ctx)
{
	struct posted *posted = ctx;
	struct counter *counter = posted->counter;

	if (posted->number != counter->last[posted->thread] + 1)
		counter->wrong++;
	counter->last[posted->thread] = posted->number;
	if (++counter->ran == 4000)
		loop_stop(counter->loop);
	free(posted);
}

struct poster {
	struct counter *counter;
	unsigned int thread;
};

static void *post_many(void *ctx)
{
	struct poster *poster = ctx;

	for (unsigned int i = 1; i <= 1000; i++) {
		struct posted *posted = malloc(sizeof(*posted));

		*posted = (struct posted){poster->counter, poster->thread, i};
		assert_int_equal(loop_post(poster->counter->loop, count, posted), 0);
	}
	return NULL;
}

static void closures_of_many_threads_run_once_and_in_order(void **state)
{
	struct counter counter = {0};
	struct poster posters[4];
	pthread_t threads[4];

	assert_int_equal(loop_create(&counter.loop), 0);
	for (unsigned int i = 0; i < 4; i++) {
		posters[i] = (struct poster){&counter, i};
		pthread_create(&threads[i], NULL, post_many, &posters[i]);
	}
	assert_int_equal(loop_run(counter.loop), 0);
	for (int i = 0; i < 4; i++)
		pthread_join(threads[i], NULL);
	loop_destroy(counter.loop);
	assert_int_equal(counter.ran, 4000);
	assert_int_equal(counter.wrong, 0);
}

static void set(void *flag)
{
	*(bool *)flag = true;
}

static void what_is_posted_before_the_end_is_run_at_the_end(void **state)
{
	struct loop *loop;
	bool ran = false;

	assert_int_equal(loop_create(&loop), 0);
	assert_int_equal(loop_post(loop, set, &ran), 0);
	assert_false(ran);
	loop_destroy(loop);
	assert_true(ran);
}

static void another_ones_socket_file_is_not_removed(void **state)
{
	struct unix_listener first, second;
	char why[200], path[] = "/tmp/test_rpc_own_XXXXXX", socket[64];

	assert_non_null(mkdtemp(path));
	snprintf(socket, sizeof(socket), "%s/s", path);
	assert_int_equal(unix_listen(&(struct unix_listen_options){.path = socket}, &first, why,
				 sizeof(why)),
		0);
	assert_int_equal(unlink(socket), 0);
	assert_int_equal(unix_listen(&(struct unix_listen_options){.path = socket}, &second, why,
				 sizeof(why)),
		0);
	unix_listener_close(&first);
	assert_int_equal(access(socket, F_OK), 0);
	unix_listener_close(&second);
	assert_int_not_equal(access(socket, F_OK), 0);
	rmdir(path);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_client_calls_many_times_on_one_connection),
		cmocka_unit_test(large_requests_and_answers_arrive_whole),
		cmocka_unit_test(a_call_ends_at_its_timeout_and_the_server_notices),
		cmocka_unit_test(a_call_is_cancelled_by_another_thread),
		cmocka_unit_test(the_longest_idle_connection_makes_room_for_a_new_one),
		cmocka_unit_test(without_an_idle_one_a_new_connection_is_refused_with_a_reason),
		cmocka_unit_test(a_client_that_takes_nothing_is_dropped),
		cmocka_unit_test(a_client_that_shuts_down_its_side_is_answered),
		cmocka_unit_test(replies_outlive_the_server),
		cmocka_unit_test(closures_of_many_threads_run_once_and_in_order),
		cmocka_unit_test(what_is_posted_before_the_end_is_run_at_the_end),
		cmocka_unit_test(another_ones_socket_file_is_not_removed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
