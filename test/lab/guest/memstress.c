/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Dirties a set amount of memory per second, page after page, round and round: what a migration of
 * the VM has to keep up with. Each page must hold what the round before wrote: one that a
 * migration left behind is counted.
 */
#include <getopt.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

#include "test/lab/guest/program.h"

#define PAGE_BYTES 4096
#define SLICE_NS (10 * NS_PER_MS)

static const char usage[] = "usage: memstress --mib SIZE --rate-mib PER_SECOND [--seconds N] "
			    "[--json FILE]\n"
			    "  without --seconds until INT or TERM\n";

struct memstress {
	uint64_t bytes, rate_bytes, seconds;
	const char *json;
	char *memory;
	uint64_t dirtied_bytes, elapsed_ns, report_ns;
	uint64_t at, round; /* the next page; how often all have been written */
	uint64_t wrong;
};

static void memstress_report(const struct memstress *m)
{
	FILE *report = program_report_begin(m->json);

	if (!report)
		return;
	fprintf(report,
		"{\"mib\": %lu, \"dirtied_mib\": %lu, \"seconds\": %.3f, \"wrong_pages\": %lu}\n",
		m->bytes >> 20, m->dirtied_bytes >> 20, (double)m->elapsed_ns / NS_PER_S, m->wrong);
	program_report_end(report, m->json);
}

static void memstress_page(struct memstress *m)
{
	uint64_t *page = (uint64_t *)(m->memory + m->at), *tail = page + PAGE_BYTES / 8 - 1;

	m->wrong += *page != m->round || *tail != m->round;
	*page = *tail = m->round + 1;
	m->at += PAGE_BYTES;
	if (m->at == m->bytes) {
		m->at = 0;
		m->round++;
	}
	m->dirtied_bytes += PAGE_BYTES;
}

/* Every slice brings the dirtied amount to what is due by now, but never owes more than a second:
 * after a pause of the VM it goes on, it does not catch up. */
static void memstress_run(struct memstress *m)
{
	const struct timespec slice = {.tv_nsec = SLICE_NS};
	uint64_t start_ns = program_now_ns(), now_ns, owed = 0, last_ns = start_ns;
	uint64_t due_bytes;

	do {
		nanosleep(&slice, NULL);
		now_ns = program_now_ns();
		due_bytes = (now_ns - last_ns) / 1000 * m->rate_bytes / 1000000;
		last_ns = now_ns;
		owed += due_bytes < m->rate_bytes ? due_bytes : m->rate_bytes;
		for (; owed >= PAGE_BYTES; owed -= PAGE_BYTES)
			memstress_page(m);
		m->elapsed_ns = now_ns - start_ns;
		if (now_ns >= m->report_ns) {
			memstress_report(m);
			m->report_ns = now_ns + NS_PER_S;
		}
	} while (!program_stopped() && (!m->seconds || m->elapsed_ns < m->seconds * NS_PER_S));
}

static void memstress_options(int argc, char **argv, struct memstress *m)
{
	static const struct option options[] = {{"mib", 1, NULL, 'm'}, {"rate-mib", 1, NULL, 'r'},
		{"seconds", 1, NULL, 's'}, {"json", 1, NULL, 'j'}, {0}};
	int option;

	while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
		switch (option) {
		case 'm':
			m->bytes = program_number("--mib", optarg, 1, 1 << 20) << 20;
			break;
		case 'r':
			m->rate_bytes = program_number("--rate-mib", optarg, 0, 1 << 20) << 20;
			break;
		case 's':
			m->seconds = program_number("--seconds", optarg, 1, 86400);
			break;
		case 'j':
			m->json = optarg;
			break;
		default:
			m->bytes = 0;
			return;
		}
	}
}

int main(int argc, char **argv)
{
	struct memstress m = {0};

	memstress_options(argc, argv, &m);
	if (!m.bytes || optind != argc) {
		fputs(usage, stderr);
		return 2;
	}
	m.memory = mmap(NULL, m.bytes, PROT_READ | PROT_WRITE,
		MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
	if (m.memory == MAP_FAILED) {
		perror("memstress: memory");
		return 1;
	}
	program_catch_stop();
	memstress_run(&m);
	memstress_report(&m);
	munmap(m.memory, m.bytes);
	return 0;
}
