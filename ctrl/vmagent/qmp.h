/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * QMP client: one connection to one QEMU (docs/interop/qmp-spec of QEMU).
 *
 * Used by one thread at a time (the move's). Commands carry ids, so a reply that comes after its
 * command was given up is dropped and never taken for another's. Events heard while a command
 * waits are queued in order and come out of qmp_next(); nothing is lost between a command and its
 * reply. Of events only MIGRATION, STOP and RESUME are heard. When the connection closes, what was
 * heard before is still delivered first.
 * Deadlines are CLOCK_MONOTONIC in ns (vmagent_now_ns()); QMP_FOREVER waits without end.
 */
#ifndef FERRY_VMAGENT_QMP_H
#define FERRY_VMAGENT_QMP_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include <jansson.h>

#define QMP_FOREVER UINT64_MAX

struct qmp;

enum qmp_message_kind {
	QMP_MESSAGE_EVENT,
	QMP_MESSAGE_REPLY, /* of a qmp_send(); `id` says which */
};

struct qmp_message {
	enum qmp_message_kind kind;
	char event[40];
	uint64_t id;
	json_t *data; /* event: its data; reply: its return value, NULL when refused; borrowed until
			 the next call */
	uint64_t heard_ns; /* CLOCK_MONOTONIC */
	uint64_t stamped_us; /* QEMU's own time stamp, microseconds since 1970; 0 in replies */
};

uint64_t vmagent_now_ns(void);

/* Connects to a unix socket and enters command mode. -ECONNREFUSED or -ENOENT: nobody there. */
int qmp_connect(const char *path, uint64_t deadline_ns, struct qmp **out);
/* Takes over a connected socket (closed on failure too) and enters command mode. */
int qmp_open(int fd, uint64_t deadline_ns, struct qmp **out);
void qmp_close(struct qmp *qmp);

int qmp_fd(const struct qmp *qmp);
/* A message is queued already: qmp_next() would not wait. */
bool qmp_pending(const struct qmp *qmp);
/* False once QEMU's process has ended; true while in doubt. */
bool qmp_process_alive(const struct qmp *qmp);
/* The process that listens on the QMP socket, or 0 when unknown. */
pid_t qmp_pid(const struct qmp *qmp);
/* QEMU's words for the last -EREMOTEIO. */
const char *qmp_error(const struct qmp *qmp);

/*
 * Runs a command and waits for its reply. `args` may be NULL; the reference is taken over. *reply
 * (may be NULL) becomes the caller's. -EREMOTEIO: QEMU refused (qmp_error()); -ETIMEDOUT;
 * -ECONNRESET: connection gone; -EPROTO: not QMP.
 */
int qmp_call(
	struct qmp *qmp, const char *command, json_t *args, uint64_t deadline_ns, json_t **reply);
/* Sends without waiting; the reply comes out of qmp_next() with this id. */
int qmp_send(struct qmp *qmp, const char *command, json_t *args, uint64_t *id);
/* The next event or awaited reply. -ETIMEDOUT, -ECONNRESET, -EPROTO. */
int qmp_next(struct qmp *qmp, uint64_t deadline_ns, struct qmp_message *message);

#endif
