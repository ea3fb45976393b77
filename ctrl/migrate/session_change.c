/* SPDX-License-Identifier: BSD-3-Clause */
#include "ctrl/migrate/session_change.h"

#include <ctype.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <rte_byteorder.h>

#include "ctrl/cmd/text.h"
#include "dataplane/addr.h"
#include "dataplane/plugin.h"
#include "dataplane/session_track.h"

static const char *const op_names[] = {
	[SESSION_OP_ADD] = "add",
	[SESSION_OP_UPDATE] = "update",
	[SESSION_OP_DELETE] = "delete",
};

const char *session_op_name(enum session_op op)
{
	return op_names[op];
}

/* Where reading stands; the first fault stays. */
struct reading {
	char *why;
	size_t why_len;
	bool failed;
};

static void fault(struct reading *r, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void fault(struct reading *r, const char *format, ...)
{
	va_list args;

	if (r->failed)
		return;
	r->failed = true;
	va_start(args, format);
	vsnprintf(r->why, r->why_len, format, args);
	va_end(args);
}

static const char *text_of(struct reading *r, const json_t *json, const char *key)
{
	const json_t *value = json_object_get(json, key);

	if (!value || json_is_null(value))
		return NULL;
	if (!json_is_string(value))
		fault(r, "\"%s\" is a string", key);
	return json_string_value(value);
}

/* False: not given. */
static bool number_of(
	struct reading *r, const json_t *json, const char *key, uint64_t max, uint64_t *number)
{
	const json_t *value = json_object_get(json, key);

	if (!value)
		return false;
	if (!json_is_integer(value) || json_integer_value(value) < 0 ||
		(uint64_t)json_integer_value(value) > max) {
		fault(r, "\"%s\" is a whole number up to %llu", key, (unsigned long long)max);
		return false;
	}
	*number = (uint64_t)json_integer_value(value);
	return true;
}

static void keys_check(
	struct reading *r, const json_t *json, const char *what, const char *const *known)
{
	const char *key;
	json_t *value;

	json_object_foreach ((json_t *)(uintptr_t)json, key, value) {
		const char *const *at = known;

		while (*at && strcmp(*at, key) != 0)
			at++;
		if (!*at)
			fault(r, "%s has no field \"%s\"", what, key);
	}
}

/* ---- which session ---- */

static struct in6_addr addr_of(struct reading *r, const json_t *json, const char *key)
{
	const char *text = text_of(r, json, key);
	struct in6_addr addr = IN6ADDR_ANY_INIT;

	if (!text)
		fault(r, "\"%s\" is missing", key);
	else if (text_parse_addr(text, &addr) != 0)
		fault(r, "\"%s\": \"%s\" is no IP address", key, text);
	return addr;
}

static rte_be16_t port_of(struct reading *r, const json_t *json, const char *key, uint8_t proto)
{
	bool needed = proto == IPPROTO_TCP || proto == IPPROTO_UDP || proto == IPPROTO_SCTP;
	uint64_t number = 0;

	if (!number_of(r, json, key, UINT16_MAX, &number) && needed)
		fault(r, "\"%s\" is missing", key);
	return rte_cpu_to_be_16((uint16_t)number);
}

static void tuple_read(struct reading *r, const json_t *json, struct session_tuple *tuple)
{
	const char *proto = text_of(r, json, "proto");

	if (!proto || text_parse_proto(proto, &tuple->proto) != 0)
		fault(r, "\"proto\" is tcp, udp, icmp, icmpv6, sctp or a number as text");
	tuple->local = addr_of(r, json, "local");
	tuple->remote = addr_of(r, json, "remote");
	tuple->local_port = port_of(r, json, "local_port", tuple->proto);
	tuple->remote_port = port_of(r, json, "remote_port", tuple->proto);
	if (addr_is_v4(&tuple->local) != addr_is_v4(&tuple->remote))
		fault(r, "\"local\" and \"remote\" are of one IP version");
}

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c = (char)tolower((unsigned char)c);
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static void record_read(struct reading *r, const char *hex, struct session_record *record)
{
	uint8_t bytes[SESSION_RECORD_MAX];
	size_t len = 0;

	for (; *hex; hex++) {
		if (*hex == ' ')
			continue;
		if (len == sizeof(bytes) || hex_digit(hex[0]) < 0 || hex_digit(hex[1]) < 0) {
			fault(r, "\"record\" is a session record in hex");
			return;
		}
		bytes[len++] = (uint8_t)(hex_digit(hex[0]) << 4 | hex_digit(hex[1]));
		hex++;
	}
	if (session_record_unpack(bytes, len, record, NULL) != (int)len)
		fault(r, "\"record\" is malformed");
}

static void op_read(struct reading *r, const json_t *json, enum session_op *op)
{
	const char *text = text_of(r, json, "op");

	for (int i = 0; text && i < 3; i++)
		if (strcmp(text, op_names[i]) == 0) {
			*op = (enum session_op)i;
			return;
		}
	fault(r, "\"op\" is add, update or delete");
}

/* Rows of session/dump say where they come from. */
static void place_check(struct reading *r, const json_t *json, const struct vswitch_port_info *port)
{
	const char *named = text_of(r, json, "vport");
	uint64_t number;

	if (named && strcmp(named, port->name) != 0)
		fault(r, "it is of vport \"%s\"", named);
	if (number_of(r, json, "vni", 0xffffff, &number) && number != port->vni)
		fault(r, "it is of VNI %llu", (unsigned long long)number);
}

int session_change_read(const json_t *json, const struct vswitch_port_info *port,
	struct session_change *change, char *why, size_t why_len)
{
	static const char *const known[] = {"op", "record", "id", "vport", "vni", "proto", "local",
		"local_port", "remote", "remote_port", "state", "opened_by", "life_ms", "age_ms",
		"out", "in", "outside", "imported", "verdict_by", "decided", NULL};
	struct reading r = {.why = why, .why_len = why_len};
	const char *record;

	memset(change, 0, sizeof(*change));
	change->fields = json;
	if (!json_is_object(json)) {
		fault(&r, "a change is an object");
		return -EINVAL;
	}
	keys_check(&r, json, "a change", known);
	op_read(&r, json, &change->op);
	place_check(&r, json, port);
	number_of(&r, json, "id", INT64_MAX, &change->id);
	record = text_of(&r, json, "record");
	change->whole = record && change->op != SESSION_OP_DELETE;
	if (record)
		record_read(&r, record, &change->record);
	else
		tuple_read(&r, json, &change->record.tuple);
	change->tuple = change->record.tuple;
	if (!record)
		change->tuple.vni = port->vni;
	if (!record && text_of(&r, json, "outside") && change->op == SESSION_OP_ADD)
		fault(&r,
			"a translated session is added by its \"record\" (session/dump --record)");
	return r.failed ? -EINVAL : 0;
}

/* ---- what it says of it ---- */

static void half_fill(struct reading *r, const json_t *json, const char *key,
	struct session_half *half, bool fresh)
{
	static const char *const known[] = {
		"packets", "bytes", "seq_end", "seq_limit", "window_max", "scale", NULL};
	const json_t *from = json_object_get(json, key), *scale;
	uint64_t number;

	if (fresh) {
		half->scale = SESSION_SCALE_UNKNOWN;
		half->flags = SESSION_HALF_LIBERAL;
	}
	if (!from)
		return;
	if (!json_is_object(from)) {
		fault(r, "\"%s\" is an object", key);
		return;
	}
	keys_check(r, from, key, known);
	number_of(r, from, "packets", INT64_MAX, &half->packets);
	number_of(r, from, "bytes", INT64_MAX, &half->bytes);
	if (number_of(r, from, "seq_limit", UINT32_MAX, &number))
		half->seq_limit = (uint32_t)number;
	if (number_of(r, from, "window_max", UINT32_MAX, &number))
		half->window_max = (uint32_t)number;
	if (number_of(r, from, "seq_end", UINT32_MAX, &number)) {
		half->seq_end = (uint32_t)number;
		half->flags = (uint8_t)((half->flags | SESSION_HALF_SEEN) & ~SESSION_HALF_LIBERAL);
	}
	scale = json_object_get(from, "scale");
	if (json_is_string(scale) && strcmp(json_string_value(scale), "unknown") == 0)
		half->scale = SESSION_SCALE_UNKNOWN;
	else if (number_of(r, from, "scale", 14, &number))
		half->scale = (uint8_t)number;
}

static void state_fill(struct reading *r, const json_t *json, struct session_record *record)
{
	const char *text = text_of(r, json, "state");
	uint64_t state = SESSION_NONE;

	for (int i = 1; text && i < SESSION_STATE_COUNT; i++)
		if (strcmp(text, session_state_name((enum session_state)i)) == 0)
			state = (uint64_t)i;
	if (text && !track_state_valid(record->tuple.proto, (enum session_state)state))
		fault(r, "\"%s\" is no state of that protocol", text);
	if (!text)
		return;
	record->state = (record->state & ~SESSION_STATE_MASK) | state;
	if (session_state_class((enum session_state)state) != SESSION_HALF_OPEN)
		record->state |= SESSION_ASSURED;
}

static void opener_fill(struct reading *r, const json_t *json, struct session_record *record)
{
	const char *text = text_of(r, json, "opened_by");
	const uint64_t ingress = SESSION_FIRST_INGRESS | SESSION_LEAD_INGRESS;

	if (text && strcmp(text, "local") != 0 && strcmp(text, "remote") != 0)
		fault(r, "\"opened_by\" is local or remote");
	if (text)
		record->state = (record->state & ~ingress) | (*text == 'r' ? ingress : 0);
}

int session_change_fill(const struct session_change *change, struct session_record *record,
	char *why, size_t why_len)
{
	struct reading r = {.why = why, .why_len = why_len};
	const json_t *json = change->fields;
	bool fresh = change->op == SESSION_OP_ADD;
	bool numbers = change->tuple.proto == IPPROTO_TCP || change->tuple.proto == IPPROTO_SCTP;
	uint64_t number;

	if (change->whole) {
		*record = change->record;
		return 0;
	}
	if (fresh) {
		memset(record, 0, sizeof(*record));
		record->tuple = change->tuple;
		record->life_ms = UINT32_MAX; /* as long as its state may be idle */
		record->action.meter[0] = record->action.meter[1] = PLUGIN_METER_NONE;
		if (!text_of(&r, json, "state"))
			fault(&r, "\"state\" is missing");
		opener_fill(&r, json, record);
	}
	state_fill(&r, json, record);
	half_fill(&r, json, "out", &record->half[PKT_EGRESS], fresh && numbers);
	half_fill(&r, json, "in", &record->half[PKT_INGRESS], fresh && numbers);
	if (number_of(&r, json, "life_ms", UINT32_MAX, &number))
		record->life_ms = (uint32_t)number;
	if (number_of(&r, json, "age_ms", UINT32_MAX, &number))
		record->age_ms = (uint32_t)number;
	return r.failed ? -EINVAL : 0;
}
