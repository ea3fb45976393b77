/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * QMP bytes become JSON values: the pure half of the QMP client.
 *
 * QEMU writes one JSON object after the other with nothing but white space between them; a read
 * may end anywhere, also inside a string or an escape, and may hold several objects. The parser
 * finds where each object ends and hands it to jansson whole. It knows no socket and no clock.
 */
#ifndef FERRY_VMAGENT_QMP_PARSE_H
#define FERRY_VMAGENT_QMP_PARSE_H

#include <stdbool.h>
#include <stddef.h>
#include <jansson.h>

/* A larger object than this ends the connection: QEMU's largest honest replies are ~2 MiB. */
#define QMP_OBJECT_MAX_BYTES (16u << 20)

struct qmp_parser {
	char *bytes; /* the object being collected */
	size_t len_bytes;
	size_t room_bytes;
	size_t limit_bytes;
	unsigned int depth;
	bool in_string;
	bool escaped;
};

void qmp_parser_init(struct qmp_parser *parser, size_t limit_bytes);
void qmp_parser_fini(struct qmp_parser *parser);

/*
 * Takes bytes until one object is complete or the input is used up. *used says how many were
 * taken; *value is the object (the caller's) or NULL when more bytes are needed.
 * -EPROTO: not JSON objects; -EMSGSIZE: over the limit; -ENOMEM. After an error the parser is of
 * no further use: the place in the stream is lost.
 */
int qmp_parser_feed(struct qmp_parser *parser, const char *bytes, size_t len_bytes, size_t *used,
	json_t **value);

/* What QEMU says about a migration, as one word (MigrationStatus of QEMU's qapi/migration.json). */
enum qmp_status {
	QMP_STATUS_NONE,
	QMP_STATUS_SETUP,
	QMP_STATUS_ACTIVE,
	QMP_STATUS_POSTCOPY, /* postcopy-active, -paused, -recover */
	QMP_STATUS_PRE_SWITCHOVER,
	QMP_STATUS_DEVICE,
	QMP_STATUS_COMPLETED,
	QMP_STATUS_CANCELLING,
	QMP_STATUS_CANCELLED,
	QMP_STATUS_FAILED,
	QMP_STATUS_UNKNOWN, /* a word this table does not have: no decision may rest on it */
};

enum qmp_status qmp_status_parse(const char *word);
const char *qmp_status_name(enum qmp_status status);
/* True for completed, cancelled and failed: nothing follows but a new migration. */
bool qmp_status_final(enum qmp_status status);

#endif
