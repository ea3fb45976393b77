/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * IPFIX (RFC 7011) over UDP. Four templates: sessions that go on, and sessions that ended, each for
 * IPv4 and IPv6. Only the latter have counters, so that a collector that sums cannot count twice.
 * Forward is the direction of who opened the session; back is by RFC 5103. What a template holds is
 * a table: template and records are written from it.
 */
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

#include "plugins/flowlog/flowlog.h"

#define HEADER_BYTES 16
#define SET_HEADER_BYTES 4
#define TEMPLATE_SET 2
#define TEMPLATE_FIRST 256 /* + 1: IPv6; + 2: ended */
#define TEMPLATES 4
#define REVERSE 0x8000
#define REVERSE_PEN 29305
#define VARIABLE 65535
#define RECORD_MAX 320
#define SEGMENT_VXLAN 1ULL /* layer2SegmentId: type in the upper 8 bits */

enum value {
	V_ID,
	V_TIME,
	V_EVENT,
	V_PROTO,
	V_DIR,
	V_VNI,
	V_FROM,
	V_TO,
	V_FROM_PORT,
	V_TO_PORT,
	V_NAT_FROM,
	V_NAT_TO,
	V_NAT_FROM_PORT,
	V_NAT_TO_PORT,
	V_VPORT,
	V_REASON,
	V_FIRST,
	V_LAST,
	V_BYTES,
	V_PACKETS,
	V_BACK_BYTES,
	V_BACK_PACKETS,
};

static const struct field {
	uint16_t id[2]; /* IPv4, IPv6 */
	uint16_t len[2];
	enum value value;
	bool ended_only;
} fields[] = {
	{{148, 148}, {8, 8}, V_ID, false}, /* flowId */
	{{323, 323}, {8, 8}, V_TIME, false}, /* observationTimeMilliseconds */
	{{233, 233}, {1, 1}, V_EVENT, false}, /* firewallEvent */
	{{4, 4}, {1, 1}, V_PROTO, false}, /* protocolIdentifier */
	{{61, 61}, {1, 1}, V_DIR, false}, /* flowDirection */
	{{351, 351}, {8, 8}, V_VNI, false}, /* layer2SegmentId */
	{{8, 27}, {4, 16}, V_FROM, false}, /* sourceIPv4Address, sourceIPv6Address */
	{{12, 28}, {4, 16}, V_TO, false}, /* destinationIPv4Address, ... */
	{{7, 7}, {2, 2}, V_FROM_PORT, false}, /* sourceTransportPort */
	{{11, 11}, {2, 2}, V_TO_PORT, false}, /* destinationTransportPort */
	{{225, 281}, {4, 16}, V_NAT_FROM, false}, /* postNATSourceIPv4Address, ... */
	{{226, 282}, {4, 16}, V_NAT_TO, false}, /* postNATDestinationIPv4Address, ... */
	{{227, 227}, {2, 2}, V_NAT_FROM_PORT, false}, /* postNAPTSourceTransportPort */
	{{228, 228}, {2, 2}, V_NAT_TO_PORT, false}, /* postNAPTDestinationTransportPort */
	{{82, 82}, {VARIABLE, VARIABLE}, V_VPORT, false}, /* interfaceName */
	{{136, 136}, {1, 1}, V_REASON, true}, /* flowEndReason */
	{{152, 152}, {8, 8}, V_FIRST, true}, /* flowStartMilliseconds */
	{{153, 153}, {8, 8}, V_LAST, true}, /* flowEndMilliseconds */
	{{85, 85}, {8, 8}, V_BYTES, true}, /* octetTotalCount */
	{{86, 86}, {8, 8}, V_PACKETS, true}, /* packetTotalCount */
	{{85 | REVERSE, 85 | REVERSE}, {8, 8}, V_BACK_BYTES, true},
	{{86 | REVERSE, 86 | REVERSE}, {8, 8}, V_BACK_PACKETS, true},
};
#define FIELDS (sizeof(fields) / sizeof(fields[0]))

static uint8_t *put(uint8_t *at, uint64_t value, int bytes)
{
	for (int i = 0; i < bytes; i++)
		*at++ = (uint8_t)(value >> 8 * (bytes - 1 - i));
	return at;
}

/* ---- messages and sets ---- */

static void message_begin(struct ipfix *m)
{
	m->len = HEADER_BYTES;
	m->set_at = 0;
	m->records = 0;
	m->templates = false;
}

static void set_close(struct ipfix *m)
{
	if (m->set_at)
		put(m->message + m->set_at + 2, m->len - m->set_at, 2);
	m->set_at = 0;
}

static void set_open(struct ipfix *m, uint16_t id)
{
	if (m->set_at && m->set_id == id)
		return;
	set_close(m);
	m->set_at = m->len;
	m->set_id = id;
	put(m->message + m->len, id, 2);
	m->len += SET_HEADER_BYTES;
}

static void put_templates(struct ipfix *m)
{
	set_open(m, TEMPLATE_SET);
	for (uint16_t number = 0; number < TEMPLATES; number++) {
		uint8_t *count_at = put(m->message + m->len, TEMPLATE_FIRST + number, 2);
		uint8_t *at = count_at + 2;
		uint16_t count = 0;

		for (size_t i = 0; i < FIELDS; i++) {
			if (fields[i].ended_only && !(number & 2))
				continue;
			at = put(at, fields[i].id[number & 1], 2);
			at = put(at, fields[i].len[number & 1], 2);
			if (fields[i].id[0] & REVERSE)
				at = put(at, REVERSE_PEN, 4);
			count++;
		}
		put(count_at, count, 2);
		m->len = (size_t)(at - m->message);
	}
	set_close(m);
	m->templates = true;
}

void ipfix_send(struct flowlog *log)
{
	struct ipfix *m = &log->ipfix;
	uint64_t now_s = (uint64_t)time(NULL);
	ssize_t sent = -1;

	if (m->records == 0) {
		message_begin(m);
		return;
	}
	set_close(m);
	put(m->message, 10, 2);
	put(m->message + 2, m->len, 2);
	put(m->message + 4, now_s, 4);
	put(m->message + 8, m->sequence, 4);
	put(m->message + 12, log->config.domain, 4);
	if (log->socket >= 0)
		sent = sendto(log->socket, m->message, m->len, MSG_DONTWAIT | MSG_NOSIGNAL,
			(const struct sockaddr *)&log->config.collector, log->config.collector_len);
	if (sent == (ssize_t)m->len) {
		log->sent += m->records;
		m->sequence += m->records;
		if (m->templates)
			m->templates_ns = log->last_ns;
	} else {
		log->unsent += m->records;
	}
	message_begin(m);
}

/* ---- records ---- */

static uint8_t event_code(uint8_t event)
{
	static const uint8_t codes[FLOW_EVENTS] = {
		[FLOW_START] = 1, [FLOW_CHANGE] = 5, [FLOW_END] = 2};

	return codes[event];
}

static uint8_t reason_code(uint8_t reason)
{
	switch (reason) {
	case PLUGIN_CLOSE_IDLE:
		return 1;
	case PLUGIN_CLOSE_END:
	case PLUGIN_CLOSE_REPLACED:
		return 3;
	case PLUGIN_CLOSE_EVICTED:
		return 5;
	default:
		return 4; /* forced */
	}
}

static uint64_t number_of(enum value value, const struct flow_record *r, uint64_t when_ms)
{
	switch (value) {
	case V_ID:
		return r->session_id;
	case V_TIME:
		return when_ms;
	case V_EVENT:
		return event_code(r->event);
	case V_PROTO:
		return r->proto;
	case V_DIR:
		return r->dir; /* into the switch (0) is what the VM opened */
	case V_VNI:
		return SEGMENT_VXLAN << 56 | r->vni[0];
	case V_FROM_PORT:
		return r->from[0].port;
	case V_TO_PORT:
		return r->to[0].port;
	case V_NAT_FROM_PORT:
		return r->from[1].port;
	case V_NAT_TO_PORT:
		return r->to[1].port;
	case V_REASON:
		return reason_code(r->reason);
	case V_FIRST:
		return when_ms - r->age_ms;
	case V_LAST:
		return when_ms - r->idle_ms;
	case V_BYTES:
		return r->bytes[0];
	case V_PACKETS:
		return r->packets[0];
	case V_BACK_BYTES:
		return r->bytes[1];
	case V_BACK_PACKETS:
		return r->packets[1];
	default:
		return 0;
	}
}

static const struct in6_addr *addr_of(enum value value, const struct flow_record *r)
{
	switch (value) {
	case V_FROM:
		return &r->from[0].addr;
	case V_TO:
		return &r->to[0].addr;
	case V_NAT_FROM:
		return &r->from[1].addr;
	case V_NAT_TO:
		return &r->to[1].addr;
	default:
		return NULL;
	}
}

static size_t record_write(const struct flow_record *r, uint64_t when_ms, bool ipv6, uint8_t *out)
{
	uint8_t *at = out;

	for (size_t i = 0; i < FIELDS; i++) {
		const struct field *field = &fields[i];
		const struct in6_addr *addr = addr_of(field->value, r);
		uint16_t len = field->len[ipv6];

		if (field->ended_only && r->event != FLOW_END)
			continue;
		if (len == VARIABLE) {
			len = (uint16_t)strnlen(r->vport, sizeof(r->vport) - 1);
			at = put(at, len, 1);
			memcpy(at, r->vport, len);
			at += len;
		} else if (addr) {
			memcpy(at, &addr->s6_addr[16 - len], len);
			at += len;
		} else {
			at = put(at, number_of(field->value, r, when_ms), len);
		}
	}
	return (size_t)(at - out);
}

void ipfix_add(struct flowlog *log, const struct flow_record *r, uint64_t when_ms)
{
	struct ipfix *m = &log->ipfix;
	bool ipv6 = !IN6_IS_ADDR_V4MAPPED(&r->from[0].addr);
	uint8_t bytes[RECORD_MAX];
	size_t len;

	if (log->socket < 0)
		return;
	len = record_write(r, when_ms, ipv6, bytes);
	if (m->len + SET_HEADER_BYTES + len > sizeof(m->message))
		ipfix_send(log);
	if (m->records == 0) {
		message_begin(m);
		if (m->templates_ns == 0 || log->last_ns - m->templates_ns >=
						    (uint64_t)log->config.template_s * 1000000000)
			put_templates(m);
	}
	set_open(m, (uint16_t)(TEMPLATE_FIRST + ipv6 + (r->event == FLOW_END ? 2 : 0)));
	memcpy(m->message + m->len, bytes, len);
	m->len += len;
	m->records++;
}
