/* SPDX-License-Identifier: BSD-3-Clause */
#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "plugins/flowlog/flowlog.h"

/* What is left when the disk is full is lost: lines stay whole. */
void json_write(struct flowlog *log)
{
	size_t done = 0;

	while (log->file >= 0 && done < log->text_len) {
		ssize_t n = write(log->file, log->text + done, log->text_len - done);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			break;
		done += (size_t)n;
	}
	if (done == log->text_len)
		log->written += log->text_records;
	else
		log->unwritten += log->text_records;
	log->text_len = 0;
	log->text_records = 0;
}

static int put_end(char *text, size_t room, const char *key, const struct flow_end *end)
{
	char addr[INET6_ADDRSTRLEN];

	if (IN6_IS_ADDR_V4MAPPED(&end->addr))
		inet_ntop(AF_INET, &end->addr.s6_addr[12], addr, sizeof(addr));
	else
		inet_ntop(AF_INET6, &end->addr, addr, sizeof(addr));
	return snprintf(text, room, "\"%s\": \"%s\", \"%s_port\": %u, ", key, addr, key, end->port);
}

/* Names come from a file or a stream: nothing in them ends a string. */
static void plain(const char *from, char *to, size_t room)
{
	size_t i;

	for (i = 0; i + 1 < room && from[i]; i++)
		to[i] = from[i] == '"' || from[i] == '\\' || (unsigned char)from[i] < ' ' ? '_'
											  : from[i];
	to[i] = '\0';
}

static bool same_end(const struct flow_end *a, const struct flow_end *b)
{
	return a->port == b->port && memcmp(&a->addr, &b->addr, sizeof(a->addr)) == 0;
}

void json_add(struct flowlog *log, const struct flow_record *r, uint64_t when_ms)
{
	char name[FLOW_NAME_MAX], *text;
	size_t room = FLOW_LINE_MAX, at = 0;

	if (log->file < 0)
		return;
	if (log->text_len + FLOW_LINE_MAX > FLOW_TEXT_MAX)
		json_write(log);
	text = log->text + log->text_len;
	plain(r->vport, name, sizeof(name));
	at += (size_t)snprintf(text, room,
		"{\"time_ms\": %llu, \"event\": \"%s\", \"vport\": \"%s\", \"id\": %llu, "
		"\"vni\": %u, \"protocol\": %u, \"opened_by\": \"%s\", ",
		(unsigned long long)when_ms, flow_event_name(r->event), name,
		(unsigned long long)r->session_id, r->vni[0], r->proto,
		r->dir == PLUGIN_EGRESS ? "vm" : "network");
	at += (size_t)put_end(text + at, room - at, "source", &r->from[0]);
	at += (size_t)put_end(text + at, room - at, "destination", &r->to[0]);
	if (!same_end(&r->from[0], &r->from[1]))
		at += (size_t)put_end(text + at, room - at, "nat_source", &r->from[1]);
	if (!same_end(&r->to[0], &r->to[1]))
		at += (size_t)put_end(text + at, room - at, "nat_destination", &r->to[1]);
	if (r->event == FLOW_END)
		at += (size_t)snprintf(text + at, room - at,
			"\"reason\": \"%s\", \"age_ms\": %llu, \"packets\": [%llu, %llu], "
			"\"bytes\": [%llu, %llu], ",
			flow_reason_name(r->reason), (unsigned long long)r->age_ms,
			(unsigned long long)r->packets[0], (unsigned long long)r->packets[1],
			(unsigned long long)r->bytes[0], (unsigned long long)r->bytes[1]);
	at += (size_t)snprintf(text + at, room - at, "\"state\": \"%s\"}\n", r->state);
	log->text_len += at;
	log->text_records++;
}
