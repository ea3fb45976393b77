/* SPDX-License-Identifier: BSD-3-Clause */
#include "ctrl/vmagent/qmp.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "ctrl/vmagent/qmp_parse.h"

#define QMP_SEND_MS 2000
#define CONNECT_PAUSE_US 5000
/* Events that nobody here acts on are passed over, so many in a row before the caller has its turn.
 */
#define QMP_PASS_MAX 1000
/* No QEMU says so much between a command and its reply. */
#define QMP_QUEUE_MAX 65536

struct qmp_item {
	STAILQ_ENTRY(qmp_item) next;
	struct qmp_message message;
	json_t *owner; /* keeps message.data alive */
};

struct qmp {
	int fd;
	int pidfd; /* -1 when the peer's process is unknown */
	pid_t pid;
	int broken; /* -errno after which nothing more can be read */
	uint64_t next_id;
	struct qmp_parser parser;
	STAILQ_HEAD(, qmp_item) queue;
	unsigned int n_queued;
	struct qmp_item *given; /* the one the caller looks at */
	char error[256];
	char chunk[65536];
	size_t chunk_at;
	size_t chunk_len;
};

uint64_t vmagent_now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000u + now.tv_nsec;
}

static int wait_ms(uint64_t deadline_ns)
{
	uint64_t now = vmagent_now_ns();

	if (deadline_ns == QMP_FOREVER)
		return -1;
	if (deadline_ns <= now)
		return 0;
	if ((deadline_ns - now) / 1000000 >= 3600000)
		return 3600000;
	return (deadline_ns - now + 999999) / 1000000;
}

static void item_free(struct qmp_item *item)
{
	if (item == NULL)
		return;
	json_decref(item->owner);
	free(item);
}

/* The next whole JSON object, waiting until the deadline. */
static int qmp_read(struct qmp *qmp, uint64_t deadline_ns, json_t **value)
{
	struct pollfd poll_fd = {.fd = qmp->fd, .events = POLLIN};
	size_t used;
	ssize_t got;
	int err;

	while (qmp->broken == 0) {
		while (qmp->chunk_at < qmp->chunk_len) {
			err = qmp_parser_feed(&qmp->parser, qmp->chunk + qmp->chunk_at,
				qmp->chunk_len - qmp->chunk_at, &used, value);
			qmp->chunk_at += used;
			if (err < 0)
				return qmp->broken = err;
			if (*value != NULL)
				return 0;
		}
		if (poll(&poll_fd, 1, wait_ms(deadline_ns)) == 0)
			return -ETIMEDOUT;
		got = recv(qmp->fd, qmp->chunk, sizeof(qmp->chunk), MSG_DONTWAIT);
		if (got == 0)
			return qmp->broken = -ECONNRESET;
		if (got < 0 && errno != EAGAIN && errno != EINTR)
			return qmp->broken = -ECONNRESET;
		qmp->chunk_at = 0;
		qmp->chunk_len = got > 0 ? got : 0;
	}
	return qmp->broken;
}

static struct qmp_item *item_from_json(json_t *value)
{
	struct qmp_item *item = calloc(1, sizeof(*item));
	const char *event = json_string_value(json_object_get(value, "event"));
	json_t *stamp = json_object_get(value, "timestamp");

	if (item == NULL)
		return NULL;
	item->owner = value;
	item->message.heard_ns = vmagent_now_ns();
	if (event == NULL) {
		item->message.kind = QMP_MESSAGE_REPLY;
		item->message.id = json_integer_value(json_object_get(value, "id"));
		item->message.data = json_object_get(value, "return");
		return item;
	}
	item->message.kind = QMP_MESSAGE_EVENT;
	snprintf(item->message.event, sizeof(item->message.event), "%s", event);
	item->message.data = json_object_get(value, "data");
	item->message.stamped_us =
		(uint64_t)json_integer_value(json_object_get(stamp, "seconds")) * 1000000 +
		(uint64_t)json_integer_value(json_object_get(stamp, "microseconds"));
	return item;
}

/* A guest can make QEMU speak of its clock, its disks and more, as often as it likes. */
static bool event_matters(json_t *value)
{
	static const char *const names[] = {"MIGRATION", "STOP", "RESUME"};
	const char *event = json_string_value(json_object_get(value, "event"));
	size_t i;

	for (i = 0; event != NULL && i < sizeof(names) / sizeof(names[0]); i++)
		if (strcmp(event, names[i]) == 0)
			return true;
	return event == NULL;
}

/* Reads one object and queues it if it matters. */
static int qmp_pump(struct qmp *qmp, uint64_t deadline_ns)
{
	struct qmp_item *item;
	json_t *value;
	int err;

	err = qmp_read(qmp, deadline_ns, &value);
	if (err)
		return err;
	if (!event_matters(value)) {
		json_decref(value);
		return 0;
	}
	if (qmp->n_queued >= QMP_QUEUE_MAX) {
		json_decref(value);
		return qmp->broken = -EMSGSIZE;
	}
	item = item_from_json(value);
	if (item == NULL) {
		json_decref(value);
		return -ENOMEM;
	}
	STAILQ_INSERT_TAIL(&qmp->queue, item, next);
	qmp->n_queued++;
	return 0;
}

int qmp_send(struct qmp *qmp, const char *command, json_t *args, uint64_t *id)
{
	struct timeval limit = {.tv_sec = QMP_SEND_MS / 1000};
	json_t *request = json_pack("{s:s, s:I, s:o*}", "execute", command, "id",
		(json_int_t)++qmp->next_id, "arguments", args);
	char *text = request ? json_dumps(request, JSON_COMPACT) : NULL;
	size_t len = text ? strlen(text) : 0, sent = 0;
	ssize_t put;
	int err = text ? 0 : -ENOMEM;

	json_decref(request);
	setsockopt(qmp->fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit));
	while (err == 0 && sent < len) {
		put = send(qmp->fd, text + sent, len - sent, MSG_NOSIGNAL);
		if (put > 0)
			sent += put;
		else if (errno == EAGAIN)
			err = qmp->broken = -ETIMEDOUT; /* half a command is out: unusable */
		else if (errno != EINTR)
			err = -ECONNRESET;
	}
	free(text);
	if (err == 0)
		*id = qmp->next_id;
	return err;
}

/* The queued reply to `id`, taken out of the queue. */
static struct qmp_item *queue_take_reply(struct qmp *qmp, uint64_t id)
{
	struct qmp_item *item;

	STAILQ_FOREACH (item, &qmp->queue, next)
		if (item->message.kind == QMP_MESSAGE_REPLY && item->message.id == id)
			break;
	if (item == NULL)
		return NULL;
	STAILQ_REMOVE(&qmp->queue, item, qmp_item, next);
	qmp->n_queued--;
	return item;
}

static int reply_result(struct qmp *qmp, struct qmp_item *item, json_t **reply)
{
	json_t *error = json_object_get(item->owner, "error");
	const char *text = json_string_value(json_object_get(error, "desc"));
	int err = 0;

	if (item->message.data == NULL) {
		snprintf(qmp->error, sizeof(qmp->error), "%s", text ? text : "no reason given");
		err = -EREMOTEIO;
	} else if (reply != NULL) {
		*reply = json_incref(item->message.data);
	}
	item_free(item);
	return err;
}

int qmp_call(
	struct qmp *qmp, const char *command, json_t *args, uint64_t deadline_ns, json_t **reply)
{
	struct qmp_item *item;
	uint64_t id;
	int err;

	err = qmp_send(qmp, command, args, &id);
	if (err)
		return err;
	do {
		err = qmp_pump(qmp, deadline_ns);
		if (err)
			return err;
		item = queue_take_reply(qmp, id);
		if (item != NULL)
			return reply_result(qmp, item, reply);
	} while (vmagent_now_ns() < deadline_ns); /* it may speak without end, of other things */
	return -ETIMEDOUT;
}

int qmp_next(struct qmp *qmp, uint64_t deadline_ns, struct qmp_message *message)
{
	unsigned int passed = 0;
	int err;

	item_free(qmp->given);
	qmp->given = NULL;
	while (STAILQ_EMPTY(&qmp->queue)) {
		if (passed++ >= QMP_PASS_MAX && vmagent_now_ns() >= deadline_ns)
			return -ETIMEDOUT;
		err = qmp_pump(qmp, deadline_ns);
		if (err)
			return err;
	}
	qmp->given = STAILQ_FIRST(&qmp->queue);
	STAILQ_REMOVE_HEAD(&qmp->queue, next);
	qmp->n_queued--;
	*message = qmp->given->message;
	return 0;
}

/* SO_PEERCRED of a unix socket names whoever called listen(): QEMU itself. */
static void qmp_learn_process(struct qmp *qmp)
{
	struct ucred cred = {0};
	socklen_t len = sizeof(cred);

	if (getsockopt(qmp->fd, SOL_SOCKET, SO_PEERCRED, &cred, &len) || cred.pid <= 0 ||
		cred.pid == getpid())
		return;
	qmp->pid = cred.pid;
	qmp->pidfd = syscall(SYS_pidfd_open, cred.pid, 0);
}

static int qmp_greet(struct qmp *qmp, uint64_t deadline_ns)
{
	json_t *greeting;
	int err;

	err = qmp_read(qmp, deadline_ns, &greeting);
	if (err)
		return err;
	if (!json_is_object(json_object_get(greeting, "QMP")))
		err = -EPROTO;
	json_decref(greeting);
	return err ? err : qmp_call(qmp, "qmp_capabilities", NULL, deadline_ns, NULL);
}

int qmp_open(int fd, uint64_t deadline_ns, struct qmp **out)
{
	struct qmp *qmp = calloc(1, sizeof(*qmp));
	int err;

	if (qmp == NULL) {
		close(fd);
		return -ENOMEM;
	}
	qmp->fd = fd;
	qmp->pidfd = -1;
	STAILQ_INIT(&qmp->queue);
	qmp_parser_init(&qmp->parser, QMP_OBJECT_MAX_BYTES);
	qmp_learn_process(qmp);
	err = qmp_greet(qmp, deadline_ns);
	if (err) {
		qmp_close(qmp);
		return err;
	}
	*out = qmp;
	return 0;
}

/* A QEMU that accepts nobody has a full backlog soon, at which a plain connect() waits for ever. */
static int connect_until(int fd, const char *path, uint64_t deadline_ns)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};

	strcpy(address.sun_path, path);
	while (connect(fd, (struct sockaddr *)&address, sizeof(address))) {
		if (errno != EAGAIN && errno != EINTR)
			return -errno;
		if (vmagent_now_ns() >= deadline_ns)
			return -ETIMEDOUT;
		usleep(CONNECT_PAUSE_US);
	}
	return 0;
}

int qmp_connect(const char *path, uint64_t deadline_ns, struct qmp **out)
{
	int fd, err;

	if (strlen(path) >= sizeof(((struct sockaddr_un *)NULL)->sun_path))
		return -ENAMETOOLONG;
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return -errno;
	err = connect_until(fd, path, deadline_ns);
	if (err) {
		close(fd);
		return err;
	}
	fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) & ~O_NONBLOCK);
	return qmp_open(fd, deadline_ns, out);
}

void qmp_close(struct qmp *qmp)
{
	struct qmp_item *item;

	if (qmp == NULL)
		return;
	while ((item = STAILQ_FIRST(&qmp->queue)) != NULL) {
		STAILQ_REMOVE_HEAD(&qmp->queue, next);
		item_free(item);
	}
	item_free(qmp->given);
	qmp_parser_fini(&qmp->parser);
	if (qmp->pidfd >= 0)
		close(qmp->pidfd);
	close(qmp->fd);
	free(qmp);
}

int qmp_fd(const struct qmp *qmp)
{
	return qmp->fd;
}

bool qmp_pending(const struct qmp *qmp)
{
	return !STAILQ_EMPTY(&qmp->queue) || qmp->chunk_at < qmp->chunk_len;
}

bool qmp_process_alive(const struct qmp *qmp)
{
	struct pollfd poll_fd = {.fd = qmp->pidfd, .events = POLLIN};

	return qmp->pidfd < 0 || poll(&poll_fd, 1, 0) == 0;
}

pid_t qmp_pid(const struct qmp *qmp)
{
	return qmp->pid;
}

const char *qmp_error(const struct qmp *qmp)
{
	return qmp->error;
}
