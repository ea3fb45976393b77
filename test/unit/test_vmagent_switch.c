/* SPDX-License-Identifier: BSD-3-Clause */
/* The agent's side of the verbs between agent and ferryd, and the records on disk. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "ctrl/vmagent/record.h"
#include "ctrl/vmagent/switch.h"

#define CLIENTS 8

/* A ferryd of three verbs: answers with the present view, waits for another one. */
struct ferryd {
	char path[64];
	int fd, clients[CLIENTS];
	pthread_t acceptor, servers[CLIENTS];
	unsigned int n_clients;
	pthread_mutex_t lock;
	pthread_cond_t changed;
	char view[256]; /* without serial; "" = does not know the move */
	unsigned long long serial;
	bool stopping;
	char calls[1024];
};

struct listener {
	pthread_mutex_t lock;
	pthread_cond_t changed;
	struct switch_view view;
	unsigned int n_views;
};

static void set_view(struct ferryd *ferryd, const char *view)
{
	pthread_mutex_lock(&ferryd->lock);
	snprintf(ferryd->view, sizeof(ferryd->view), "%s", view);
	ferryd->serial++;
	pthread_cond_broadcast(&ferryd->changed);
	pthread_mutex_unlock(&ferryd->lock);
}

/* With the lock held. */
static json_t *reply_to(struct ferryd *ferryd, json_t *request)
{
	const char *method = json_string_value(json_object_get(request, "method"));
	json_t *params = json_object_get(request, "params"), *param;
	size_t len = strlen(ferryd->calls), i;
	char text[300];

	if (strcmp(method, "migrate/agent-wait") == 0) {
		param = json_array_get(params, 1);
		while (strtoull(json_string_value(param), NULL, 10) == ferryd->serial &&
			!ferryd->stopping)
			pthread_cond_wait(&ferryd->changed, &ferryd->lock);
	} else {
		len += snprintf(ferryd->calls + len, sizeof(ferryd->calls) - len, "%s", method);
		json_array_foreach (params, i, param)
			len += snprintf(ferryd->calls + len, sizeof(ferryd->calls) - len, " %s",
				json_string_value(param));
		snprintf(ferryd->calls + len, sizeof(ferryd->calls) - len, "\n");
	}
	if (ferryd->view[0] == '\0')
		return json_pack("{s:i, s:n, s:s}", "id", 0, "result", "error", "no such move");
	snprintf(text, sizeof(text), "{%s, \"serial\": %llu}", ferryd->view, ferryd->serial);
	return json_pack(
		"{s:O, s:s, s:n}", "id", json_object_get(request, "id"), "result", text, "error");
}

static void *server_main(void *arg)
{
	void **args = arg;
	struct ferryd *ferryd = args[0];
	int fd = (int)(intptr_t)args[1];
	json_t *request, *reply;
	ssize_t sent;
	char *text;

	free(args);
	while ((request = json_loadfd(fd, JSON_DISABLE_EOF_CHECK, NULL)) != NULL) {
		pthread_mutex_lock(&ferryd->lock);
		reply = reply_to(ferryd, request);
		pthread_mutex_unlock(&ferryd->lock);
		text = json_dumps(reply, 0);
		sent = send(fd, text, strlen(text), MSG_NOSIGNAL);
		free(text);
		json_decref(reply);
		json_decref(request);
		if (sent < 0)
			break;
	}
	return NULL;
}

static void *acceptor_main(void *arg)
{
	struct ferryd *ferryd = arg;
	void **args;
	int fd;

	while ((fd = accept(ferryd->fd, NULL, NULL)) >= 0 && ferryd->n_clients < CLIENTS) {
		args = calloc(2, sizeof(*args));
		args[0] = ferryd;
		args[1] = (void *)(intptr_t)fd;
		ferryd->clients[ferryd->n_clients] = fd;
		pthread_create(&ferryd->servers[ferryd->n_clients++], NULL, server_main, args);
	}
	return NULL;
}

static void ferryd_start(struct ferryd *ferryd, const char *view)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};

	*ferryd = (struct ferryd){.serial = 1};
	pthread_mutex_init(&ferryd->lock, NULL);
	pthread_cond_init(&ferryd->changed, NULL);
	snprintf(ferryd->view, sizeof(ferryd->view), "%s", view);
	snprintf(ferryd->path, sizeof(ferryd->path), "/tmp/ferry-test-%d.sock", getpid());
	unlink(ferryd->path);
	strcpy(address.sun_path, ferryd->path);
	ferryd->fd = socket(AF_UNIX, SOCK_STREAM, 0);
	assert_int_equal(bind(ferryd->fd, (struct sockaddr *)&address, sizeof(address)), 0);
	assert_int_equal(listen(ferryd->fd, CLIENTS), 0);
	assert_int_equal(pthread_create(&ferryd->acceptor, NULL, acceptor_main, ferryd), 0);
}

static void ferryd_stop(struct ferryd *ferryd)
{
	unsigned int i;

	unlink(ferryd->path);
	shutdown(ferryd->fd, SHUT_RDWR);
	pthread_join(ferryd->acceptor, NULL);
	pthread_mutex_lock(&ferryd->lock);
	ferryd->stopping = true;
	pthread_cond_broadcast(&ferryd->changed);
	pthread_mutex_unlock(&ferryd->lock);
	for (i = 0; i < ferryd->n_clients; i++) {
		shutdown(ferryd->clients[i], SHUT_RDWR);
		pthread_join(ferryd->servers[i], NULL);
		close(ferryd->clients[i]);
	}
	close(ferryd->fd);
}

static void heard(void *ctx, const struct switch_view *view)
{
	struct listener *listener = ctx;

	pthread_mutex_lock(&listener->lock);
	listener->view = *view;
	listener->n_views++;
	pthread_cond_broadcast(&listener->changed);
	pthread_mutex_unlock(&listener->lock);
}

static void expect_state(struct listener *listener, enum switch_state state)
{
	struct timespec until;

	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec += 5;
	pthread_mutex_lock(&listener->lock);
	while (listener->n_views == 0 || listener->view.state != state)
		assert_int_equal(
			pthread_cond_timedwait(&listener->changed, &listener->lock, &until), 0);
	pthread_mutex_unlock(&listener->lock);
}

static void expect_away(struct listener *listener, bool away)
{
	struct timespec until;

	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec += 5;
	pthread_mutex_lock(&listener->lock);
	while (listener->view.away != away)
		assert_int_equal(
			pthread_cond_timedwait(&listener->changed, &listener->lock, &until), 0);
	pthread_mutex_unlock(&listener->lock);
}

static struct switch_agent *open_switch(
	struct listener *listener, const char *path, enum handover_side side)
{
	struct switch_options options = {.path = path,
		.id = "m1",
		.vm = "vm1",
		.peer = "host-b",
		.side = side,
		.heard = heard,
		.ctx = listener};
	struct switch_agent *agent;

	*listener = (struct listener){0};
	pthread_mutex_init(&listener->lock, NULL);
	pthread_cond_init(&listener->changed, NULL);
	assert_int_equal(switch_open(&options, &agent), 0);
	return agent;
}

static void a_view_is_read_whole_or_not_at_all(void **state)
{
	struct switch_view view;

	assert_int_equal(switch_view_parse("{\"state\": \"ready\", \"behind\": true, "
					   "\"credit_bytes_per_s\": 5000000000, \"reason\": \"r\"}",
				 &view),
		0);
	assert_int_equal(view.state, SWITCH_READY);
	assert_true(view.behind);
	assert_int_equal(view.credit_bytes_per_s, 5000000000);
	assert_string_equal(view.reason, "r");
	assert_int_equal(switch_view_parse("{\"state\": \"dancing\"}", &view), -EPROTO);
	assert_int_equal(switch_view_parse("ok", &view), -EPROTO);
	assert_int_equal(switch_view_parse("[]", &view), -EPROTO);
}

static void phases_are_told_and_views_heard(void **state)
{
	struct listener listener;
	struct ferryd ferryd;
	struct switch_agent *agent;

	ferryd_start(&ferryd, "\"state\": \"preparing\"");
	agent = open_switch(&listener, ferryd.path, HANDOVER_SOURCE);
	assert_int_equal(switch_phase(agent, "start", NULL), 0);
	expect_state(&listener, SWITCH_PREPARING);
	set_view(&ferryd, "\"state\": \"ready\"");
	expect_state(&listener, SWITCH_READY);
	assert_int_equal(switch_phase(agent, "stopped", json_pack("{s:i}", "at_ns", 7)), 0);
	assert_string_equal(ferryd.calls, "migrate/agent-start m1 vm1 host-b source\n"
					  "migrate/agent-phase m1 stopped {\"at_ns\":7}\n");
	set_view(&ferryd, "\"state\": \"failed\", \"reason\": \"full\"");
	expect_state(&listener, SWITCH_FAILED);
	assert_string_equal(listener.view.reason, "full");
	switch_close(agent);
	ferryd_stop(&ferryd);
}

static void a_ferryd_that_comes_back_is_asked_again(void **state)
{
	struct listener listener;
	struct ferryd ferryd;
	struct switch_agent *agent;

	ferryd_start(&ferryd, "\"state\": \"preparing\"");
	agent = open_switch(&listener, ferryd.path, HANDOVER_DEST);
	assert_int_equal(switch_phase(agent, "incoming", NULL), 0);
	ferryd_stop(&ferryd);
	expect_away(&listener, true);
	assert_int_equal(listener.view.state, SWITCH_PREPARING);
	assert_true(listener.view.behind);
	assert_true(switch_phase(agent, "loaded", NULL) < 0);
	ferryd_start(&ferryd, "\"state\": \"verified\"");
	expect_state(&listener, SWITCH_VERIFIED);
	expect_away(&listener, false);
	assert_int_equal(switch_phase(agent, "loaded", NULL), 0);
	switch_close(agent);
	ferryd_stop(&ferryd);
}

static void a_ferryd_that_does_not_know_the_move_has_failed(void **state)
{
	struct listener listener;
	struct ferryd ferryd;
	struct switch_agent *agent;

	ferryd_start(&ferryd, "\"state\": \"ready\"");
	agent = open_switch(&listener, ferryd.path, HANDOVER_SOURCE);
	assert_int_equal(switch_phase(agent, "start", NULL), 0);
	set_view(&ferryd, "");
	expect_state(&listener, SWITCH_FAILED);
	assert_int_equal(switch_phase(agent, "copy", NULL), -EREMOTEIO);
	switch_close(agent);
	ferryd_stop(&ferryd);
}

static void without_a_ferryd_nothing_stands_in_the_way(void **state)
{
	struct listener listener;
	struct switch_agent *agent = open_switch(&listener, "", HANDOVER_SOURCE);

	assert_int_equal(listener.view.state, SWITCH_READY);
	assert_int_equal(switch_phase(agent, "start", NULL), 0);
	switch_close(agent);
	agent = open_switch(&listener, NULL, HANDOVER_DEST);
	assert_int_equal(listener.view.state, SWITCH_VERIFIED);
	switch_close(agent);
}

static void count_record(void *ctx, const char *id, const struct record *record)
{
	unsigned int *n = ctx;

	(*n)++;
}

static void a_record_is_read_as_it_was_saved(void **state)
{
	char directory[] = "/tmp/ferry-test-XXXXXX";
	struct record saved = {.id = "vm1-1",
		.vm = "vm1",
		.peer = "host-b",
		.side = HANDOVER_DEST,
		.mark = MARK_RUN,
		.was_running = true,
		.qemu_pid = 4711,
		.qemu_start = 123456789012,
		.multifd_channels = 4,
		.reason = "a \"reason\""};
	struct record read;
	unsigned int n = 0;

	assert_non_null(mkdtemp(directory));
	assert_int_equal(record_load(directory, "vm1-1", &read), -ENOENT);
	assert_int_equal(record_save(directory, &saved), 0);
	assert_int_equal(record_load(directory, "vm1-1", &read), 0);
	assert_string_equal(read.id, saved.id);
	assert_string_equal(read.vm, saved.vm);
	assert_string_equal(read.peer, saved.peer);
	assert_string_equal(read.reason, saved.reason);
	assert_int_equal(read.side, saved.side);
	assert_int_equal(read.mark, saved.mark);
	assert_true(read.was_running);
	assert_false(read.ended);
	assert_int_equal(read.qemu_pid, saved.qemu_pid);
	assert_int_equal(read.qemu_start, saved.qemu_start);
	assert_int_equal(read.multifd_channels, 4);
	assert_int_equal(record_each(directory, count_record, &n), 0);
	assert_int_equal(n, 1);
	assert_int_equal(record_remove(directory, "vm1-1"), 0);
	assert_int_equal(rmdir(directory), 0);
	assert_true(record_save(directory, &saved) < 0);
}

static void names_that_lead_out_of_the_directory_are_refused(void **state)
{
	struct record record;

	assert_true(record_name_valid("vm-1_a.b"));
	assert_false(record_name_valid(""));
	assert_false(record_name_valid("../vm1"));
	assert_false(record_name_valid(".vm1"));
	assert_false(record_name_valid("a/b"));
	assert_int_equal(record_load("/tmp", "../etc/passwd", &record), -EINVAL);
}

static void a_process_is_known_by_its_start(void **state)
{
	assert_true(record_process_start(getpid()) != 0);
	assert_true(record_process_start(getpid()) == record_process_start(getpid()));
	assert_int_equal(record_process_start(0x7ffffff0), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_view_is_read_whole_or_not_at_all),
		cmocka_unit_test(phases_are_told_and_views_heard),
		cmocka_unit_test(a_ferryd_that_comes_back_is_asked_again),
		cmocka_unit_test(a_ferryd_that_does_not_know_the_move_has_failed),
		cmocka_unit_test(without_a_ferryd_nothing_stands_in_the_way),
		cmocka_unit_test(a_record_is_read_as_it_was_saved),
		cmocka_unit_test(names_that_lead_out_of_the_directory_are_refused),
		cmocka_unit_test(a_process_is_known_by_its_start),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
