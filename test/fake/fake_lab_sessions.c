/* SPDX-License-Identifier: BSD-3-Clause */
/* A lab's sessions: made in numbers, and written out to be compared. */
#include <arpa/inet.h>
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "dataplane/session_import.h"
#include "dataplane/session_walk.h"
#include "dataplane/vport.h"
#include "test/fake/fake_lab.h"

static int by_text(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

static char *record_line(const struct session_record *record)
{
	struct session_record copy = *record;
	uint8_t bytes[SESSION_RECORD_MAX];
	char *line = malloc(SESSION_RECORD_MAX * 2 + 80), *at = line;
	int len;

	copy.life_ms = copy.age_ms = 0;
	copy.version = 0;
	memset(&copy.action, 0, sizeof(copy.action));
	len = session_record_pack(&copy, bytes, sizeof(bytes), NULL);
	assert(line && len > 0);
	at += sprintf(at, "%u %u %llu ", ntohs(record->tuple.remote_port),
		ntohs(record->tuple.local_port), (unsigned long long)record->birth_id);
	for (int i = 0; i < len; i++)
		at += sprintf(at, "%02x", bytes[i]);
	return line;
}

char *fake_lab_dump(struct fake_lab *lab, uint32_t host, const char *vport)
{
	struct engine *engine = lab->host[host].engine;
	struct vport *v = fake_lab_vport(lab, host, vport);
	struct session *living[SLAB_CHUNK_SESSIONS];
	struct session_record record;
	struct session_walk walk;
	uint32_t count = 0, room = 0;
	char **lines = NULL, *text = NULL;
	bool end = false;
	size_t len = 0;
	FILE *f;
	int reader = engine_reader_register(engine);

	assert(v && reader >= 0);
	session_walk_begin(&walk, v, 0);
	while (!end) {
		uint32_t n;

		engine_reader_online(engine, reader);
		n = session_walk_next(&walk, living, &end);
		for (uint32_t i = 0; i < n; i++) {
			session_walk_read(living[i], &record);
			if (count == room) {
				room = room ? room * 2 : 1024;
				lines = realloc(lines, room * sizeof(*lines));
				assert(lines);
			}
			lines[count++] = record_line(&record);
		}
		engine_reader_offline(engine, reader);
	}
	session_walk_end(&walk);
	engine_reader_unregister(engine, reader);
	if (count)
		qsort(lines, count, sizeof(*lines), by_text);
	f = open_memstream(&text, &len);
	fprintf(f, "%u sessions\n", count);
	for (uint32_t i = 0; i < count; i++) {
		fprintf(f, "%s\n", lines[i]);
		free(lines[i]);
	}
	free(lines);
	fclose(f);
	return text;
}

void fake_lab_sessions(
	struct fake_lab *lab, uint32_t host, const char *vport, uint32_t first, uint32_t count)
{
	struct engine *engine = lab->host[host].engine;
	struct vport *v = fake_lab_vport(lab, host, vport);
	const uint16_t versions[VPORT_PLUGINS_MAX] = {0};
	struct import_context context = {
		.vport = v, .state_versions = versions, .by_operator = true};
	int reader = engine_reader_register(engine);
	enum drop_reason reason;

	assert(v && reader >= 0);
	engine_reader_online(engine, reader);
	for (uint32_t i = first; i < first + count; i++) {
		struct session_record record = {
			.tuple = {.local = fake_addr("10.0.0.5"),
				.remote = fake_addr("10.0.0.9"),
				.vni = v->vni,
				.local_port = htons(80),
				.remote_port = htons((uint16_t)i),
				.proto = IPPROTO_TCP},
			.birth_id = atomic_fetch_add(&v->next_birth_id, 1),
			.state = SESSION_TCP_ESTABLISHED | SESSION_ASSURED | SESSION_FIRST_INGRESS,
			.life_ms = 1000000,
			.half = {{.packets = 3,
					 .bytes = 1500 + i,
					 .seq_end = 1000 + i,
					 .seq_limit = 70000 + i,
					 .window_max = 65535,
					 .scale = 7,
					 .flags = SESSION_HALF_SEEN},
				{.packets = 4,
					.bytes = 300,
					.seq_end = 9000 + i,
					.seq_limit = 80000 + i,
					.window_max = 65535,
					.scale = 9,
					.flags = SESSION_HALF_SEEN}},
		};
		enum import_outcome outcome;

		/* More than 64 k: the next remote host. */
		record.tuple.remote.s6_addr[15] = (uint8_t)(9 + (i >> 16));
		outcome = session_import(&context, &record, &reason);
		if (outcome != IMPORT_INSTALLED) {
			fprintf(stderr, "# %s, reason %d\n", import_outcome_name(outcome), reason);
			assert(!"a session");
		}
		if (i % 1024 == 0) {
			engine_reader_offline(engine, reader);
			engine_reader_online(engine, reader);
		}
	}
	engine_reader_offline(engine, reader);
	engine_reader_unregister(engine, reader);
}
