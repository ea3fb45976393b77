/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A host forgets a move: what it holds after many moves is what it held after the first hundred
 * (the history is full by then). Heap, descriptors, packets and session slabs of two whole hosts in
 * one process, a VM going to and fro by TLS.
 *
 *	perf_leak [MOVES]	default 1000
 */
#include <dirent.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <rte_mempool.h>

#include "dataplane/vport.h"
#include "test/fake/fake_channel.h"
#include "test/fake/fake_eal.h"
#include "test/fake/fake_lab.h"

#define WARM 100
#define SESSIONS 200
#define HEAP_SLACK 65536 /* buffers of threads that happen to be at work */
#define FILES_SLACK 8 /* and their connections */

struct holds {
	size_t heap;
	unsigned int files, packets_free, chunks_free[2], sessions;
};

static struct fake_lab lab;

static unsigned int files_open(void)
{
	DIR *dir = opendir("/proc/self/fd");
	unsigned int n = 0;

	while (dir && readdir(dir))
		n++;
	if (dir)
		closedir(dir);
	return n;
}

static struct holds held(void)
{
	struct mallinfo2 heap;
	struct holds now = {.files = files_open()};

	/* What ended a moment ago is let go of by then. */
	fake_lab_run_ms(&lab, 500);
	heap = mallinfo2();
	now.heap = heap.uordblks + heap.hblkhd;
	for (int i = 0; i < 2; i++) {
		struct engine_memory memory;

		engine_memory(lab.host[i].engine, &memory);
		now.chunks_free[i] = (unsigned int)memory.chunks_free;
		now.sessions += (unsigned int)memory.sessions;
		now.packets_free += rte_mempool_avail_count(engine_pool(lab.host[i].engine));
	}
	return now;
}

static void print(const char *when, const struct holds *h)
{
	printf("%s: heap %zu bytes, %u files, %u packets free, chunks free %u and %u, %u "
	       "sessions\n",
		when, h->heap, h->files, h->packets_free, h->chunks_free[0], h->chunks_free[1],
		h->sessions);
}

int main(int argc, char **argv)
{
	int moves = argc > 1 ? atoi(argv[1]) : 1000;
	struct holds before = {0}, after;
	struct fake_ca ca;

	/* One heap, so that all of it is counted. */
	mallopt(M_ARENA_MAX, 1);
	if (moves <= WARM || moves % 2 || fake_eal_start_mb(512) != 0)
		return 2;
	fake_lab_new(&lab, 2);
	fake_ca_new(&ca);
	fake_ca_issue(&ca, "h0");
	fake_ca_issue(&ca, "h1");
	lab.tls_dir = ca.dir;
	lab.quiet = true;
	lab.vports[0] = FAKE_LAB_VM;
	lab.migrate = "announce_repeats: 1, announce_interval_ms: 1";
	fake_lab_start(&lab, 0);
	fake_lab_start(&lab, 1);
	fake_lab_rings(&lab, 0, "v", true);
	fake_lab_run_ms(&lab, 50);
	fake_lab_sessions(&lab, 0, "v", 1, SESSIONS);
	for (int i = 0; i < moves; i++) {
		fake_lab_migrate(&lab, (uint32_t)i % 2, (uint32_t)(i + 1) % 2, "v");
		if (i + 1 == WARM) {
			before = held();
			print("after 100 moves", &before);
		}
	}
	after = held();
	print("after the last", &after);
	fake_lab_free(&lab);
	fake_ca_free(&ca);
	return after.heap > before.heap + HEAP_SLACK || after.files > before.files + FILES_SLACK ||
	       after.packets_free + 64 < before.packets_free ||
	       memcmp(after.chunks_free, before.chunks_free, sizeof(after.chunks_free)) != 0 ||
	       after.sessions != before.sessions;
}
