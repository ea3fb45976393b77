/* SPDX-License-Identifier: BSD-3-Clause */
#include "ctrl/vmagent/qmp_parse.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

void qmp_parser_init(struct qmp_parser *parser, size_t limit_bytes)
{
	*parser = (struct qmp_parser){.limit_bytes = limit_bytes};
}

void qmp_parser_fini(struct qmp_parser *parser)
{
	free(parser->bytes);
	*parser = (struct qmp_parser){0};
}

static int parser_append(struct qmp_parser *parser, const char *bytes, size_t len_bytes)
{
	size_t need = parser->len_bytes + len_bytes;
	size_t room = parser->room_bytes ? parser->room_bytes : 4096;
	char *grown;

	if (need > parser->limit_bytes)
		return -EMSGSIZE;
	while (room < need)
		room *= 2;
	if (room != parser->room_bytes) {
		grown = realloc(parser->bytes, room);
		if (grown == NULL)
			return -ENOMEM;
		parser->bytes = grown;
		parser->room_bytes = room;
	}
	memcpy(parser->bytes + parser->len_bytes, bytes, len_bytes);
	parser->len_bytes = need;
	return 0;
}

/* Follows one byte; true when it closes the object. Brackets inside strings do not count. */
static bool parser_follow(struct qmp_parser *parser, char byte)
{
	if (parser->in_string) {
		if (parser->escaped)
			parser->escaped = false;
		else if (byte == '\\')
			parser->escaped = true;
		else if (byte == '"')
			parser->in_string = false;
		return false;
	}
	if (byte == '"')
		parser->in_string = true;
	else if (byte == '{' || byte == '[')
		parser->depth++;
	else if (byte == '}' || byte == ']')
		return --parser->depth == 0;
	return false;
}

static int parser_finish(struct qmp_parser *parser, json_t **value)
{
	json_t *object = json_loadb(parser->bytes, parser->len_bytes, 0, NULL);

	parser->len_bytes = 0;
	if (!json_is_object(object)) {
		json_decref(object);
		return -EPROTO;
	}
	*value = object;
	return 0;
}

int qmp_parser_feed(struct qmp_parser *parser, const char *bytes, size_t len_bytes, size_t *used,
	json_t **value)
{
	size_t start = 0, at;
	int err;

	*value = NULL;
	while (parser->depth == 0 && start < len_bytes && strchr(" \t\r\n", bytes[start]) != NULL &&
		bytes[start] != '\0')
		start++;
	*used = start;
	if (start == len_bytes)
		return 0;
	if (parser->depth == 0 && bytes[start] != '{')
		return -EPROTO;

	for (at = start; at < len_bytes; at++)
		if (parser_follow(parser, bytes[at]))
			break;
	if (at == len_bytes) {
		*used = len_bytes;
		return parser_append(parser, bytes + start, len_bytes - start);
	}
	*used = at + 1;
	err = parser_append(parser, bytes + start, at + 1 - start);
	return err ? err : parser_finish(parser, value);
}

static const struct {
	const char *word;
	enum qmp_status status;
} status_words[] = {
	{"none", QMP_STATUS_NONE},
	{"setup", QMP_STATUS_SETUP},
	{"active", QMP_STATUS_ACTIVE},
	{"wait-unplug", QMP_STATUS_SETUP},
	{"postcopy-active", QMP_STATUS_POSTCOPY},
	{"postcopy-paused", QMP_STATUS_POSTCOPY},
	{"postcopy-recover-setup", QMP_STATUS_POSTCOPY},
	{"postcopy-recover", QMP_STATUS_POSTCOPY},
	{"pre-switchover", QMP_STATUS_PRE_SWITCHOVER},
	{"device", QMP_STATUS_DEVICE},
	{"completed", QMP_STATUS_COMPLETED},
	{"cancelling", QMP_STATUS_CANCELLING},
	{"cancelled", QMP_STATUS_CANCELLED},
	{"failing", QMP_STATUS_CANCELLING},
	{"failed", QMP_STATUS_FAILED},
};

enum qmp_status qmp_status_parse(const char *word)
{
	size_t i;

	if (word == NULL)
		return QMP_STATUS_NONE;
	for (i = 0; i < sizeof(status_words) / sizeof(status_words[0]); i++)
		if (strcmp(word, status_words[i].word) == 0)
			return status_words[i].status;
	return QMP_STATUS_UNKNOWN;
}

const char *qmp_status_name(enum qmp_status status)
{
	size_t i;

	for (i = 0; i < sizeof(status_words) / sizeof(status_words[0]); i++)
		if (status_words[i].status == status)
			return status_words[i].word;
	return "unknown";
}

bool qmp_status_final(enum qmp_status status)
{
	return status == QMP_STATUS_COMPLETED || status == QMP_STATUS_CANCELLED ||
	       status == QMP_STATUS_FAILED;
}
