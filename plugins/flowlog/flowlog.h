/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef FERRY_FLOWLOG_H
#define FERRY_FLOWLOG_H
/*
 * What the files of this plugin share, in the order a record goes through them:
 *
 *	flowlog.c  the descriptor; a session's event becomes a struct flow_record in a ring
 *	drain.c    rings -> the ways out, at most `rate` records a second; control thread
 *	ipfix.c    a way out: IPFIX messages by RFC 7011 over UDP
 *	json.c     a way out: one JSON object per line in a file
 *	config.c   as written -> struct flow_config
 *
 * A worker never waits: its ring is its own, and a record that finds it full is lost and counted.
 */
#include <stdatomic.h>
#include <sys/socket.h>

#include <rte_ring.h>

#include "dataplane/plugin.h"

#define FLOW_NAME_MAX 64
#define FLOW_STATE_MAX 16
#define FLOW_RING 4096 /* records of one worker */
#define FLOW_MESSAGE_MAX 1400 /* bytes of an IPFIX message: no fragments */
#define FLOW_PATH_MAX 256

enum flow_event { FLOW_START, FLOW_CHANGE, FLOW_END, FLOW_EVENTS };

struct flow_end {
	struct in6_addr addr;
	uint16_t port;
};

/* [0]: before, [1]: after translation, in the direction of who opened the session. */
struct flow_record {
	uint64_t session_id;
	uint64_t cycles; /* when, on the TSC */
	uint64_t age_ms, idle_ms; /* of the session */
	uint64_t packets[2], bytes[2]; /* of who opened it, and back */
	struct flow_end from[2], to[2];
	uint32_t vni[2];
	uint8_t event, proto;
	uint8_t dir; /* enum plugin_dir: who opened it */
	uint8_t reason; /* END: enum plugin_close_reason */
	char state[FLOW_STATE_MAX];
	char vport[FLOW_NAME_MAX];
};
_Static_assert(sizeof(struct flow_record) % 4 == 0, "what a ring takes");

struct flow_config {
	struct sockaddr_storage collector; /* ss_family 0: none */
	socklen_t collector_len;
	char file[FLOW_PATH_MAX]; /* "": none */
	uint32_t sample; /* one session of so many */
	uint32_t rate; /* records per second */
	uint32_t events; /* 1 << enum flow_event */
	uint32_t domain; /* observation domain */
	uint32_t template_s; /* templates again after so many seconds */
};

struct flow_counters {
	_Atomic uint64_t recorded, lost; /* lost: the ring was full */
	struct rte_ring *ring;
} __attribute__((aligned(64)));

/* An IPFIX message in the making. */
struct ipfix {
	uint8_t message[FLOW_MESSAGE_MAX];
	size_t len, set_at; /* set_at 0: no set is open */
	uint16_t set_id;
	uint32_t records; /* in the message */
	uint32_t sequence; /* records sent before it */
	uint64_t templates_ns; /* when they were last sent; 0: never */
	bool templates; /* the message has them */
};

struct flowlog {
	const struct plugin_host *host;
	_Atomic uint32_t sample, events; /* of config, for workers */
	struct flow_counters *worker; /* workers + 1 */
	/* Control thread: */
	struct flow_config config;
	int socket, file; /* -1: none */
	struct ipfix ipfix;
	char *text; /* JSON lines that are not written yet */
	size_t text_len;
	uint32_t text_records;
	uint64_t tokens_ns; /* time that records may still be sent for */
	uint64_t last_ns;
	uint64_t sent, unsent, written, unwritten; /* records */
};

#define FLOW_TEXT_MAX 65536
#define FLOW_LINE_MAX 1024

/* ---- config.c ---- */
int flow_config_parse(
	const struct plugin_value *value, struct flow_config *config, struct plugin_error *error);
int flow_fail(struct plugin_error *error, const struct plugin_value *value, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

/* ---- drain.c ---- */
void flow_tick(void *instance, uint64_t now_ns);
/* Send what is in the rings and in the making, whatever the rate. */
void flow_flush(struct flowlog *log);
const char *flow_event_name(uint8_t event);
const char *flow_reason_name(uint8_t reason);

/* ---- ipfix.c: `when_ms` is the record's wall-clock time ---- */
void ipfix_add(struct flowlog *log, const struct flow_record *record, uint64_t when_ms);
void ipfix_send(struct flowlog *log);

/* ---- json.c ---- */
void json_add(struct flowlog *log, const struct flow_record *record, uint64_t when_ms);
void json_write(struct flowlog *log);

#endif
