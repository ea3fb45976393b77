/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * main() of a fuzz target where libFuzzer is not at hand: run NAME CORPUS_DIR. Feeds every file of
 * the corpus, then mutations of them for RUN_NS, from a fixed seed: a failure comes back. Speaks
 * TAP. When the target dies its input is left in crash-NAME.
 */
#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define INPUT_MAX 65536
#define CORPUS_MAX 4096
#define RUN_NS INT64_C(2000000000)
#define RUN_INPUTS_MAX 2000000

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
void __sanitizer_set_death_callback(void (*callback)(void)) __attribute__((weak));

struct input {
	uint8_t *data;
	size_t size;
};

/* For the handlers of a dying process, which take no argument. */
static struct input current;
static char crash_path[300];

static void run_keep(void)
{
	int fd = open(crash_path, O_WRONLY | O_CREAT | O_TRUNC, 0644);

	if (fd < 0 || write(fd, current.data, current.size) < 0)
		return;
	close(fd);
}

static void run_died(int number)
{
	run_keep();
	signal(number, SIG_DFL);
	raise(number);
}

static void run_one(const uint8_t *data, size_t size)
{
	/* A block of exactly this size, so that a read past its end is seen. */
	current.data = malloc(size ? size : 1);
	current.size = size;
	memcpy(current.data, data, size);
	LLVMFuzzerTestOneInput(current.data, size);
	free(current.data);
}

static uint64_t run_random(uint64_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return *state;
}

/* One small change in place; the size may change. */
static size_t run_mutate(uint8_t *data, size_t size, uint64_t *state)
{
	static const uint8_t edges[] = {0, 1, 0x7f, 0x80, 0xff, 0x20, '\n', '{', '"', ':'};
	uint64_t r = run_random(state);
	size_t at = size ? (r >> 8) % size : 0, n = 1 + (r >> 40) % 16;

	if (!size || (r % 8 == 0 && size + n <= INPUT_MAX)) {
		memmove(data + at + n, data + at, size - at);
		memset(data + at, edges[(r >> 32) % sizeof(edges)], n);
		return size + n;
	}
	if (r % 8 == 1 && n < size - at) {
		memmove(data + at, data + at + n, size - at - n);
		return size - n;
	}
	if (r % 8 == 2)
		return at;
	if (r % 8 == 3 && at + n < size)
		memmove(data + at, data + (r >> 20) % (size - n), n);
	else if (r % 8 < 6)
		data[at] = edges[(r >> 32) % sizeof(edges)];
	else
		data[at] ^= (uint8_t)(1 << (r >> 32) % 8);
	return size;
}

static size_t run_load(const char *dir, struct input *corpus)
{
	uint8_t *buffer = malloc(INPUT_MAX);
	DIR *files = opendir(dir);
	struct dirent *entry;
	size_t count = 0;
	char path[1024];
	FILE *file;

	while (files && (entry = readdir(files)) && count < CORPUS_MAX) {
		snprintf(path, sizeof(path), "%s/%s", dir, entry->d_name);
		file = entry->d_name[0] == '.' ? NULL : fopen(path, "rb");
		if (!file)
			continue;
		corpus[count].size = fread(buffer, 1, INPUT_MAX, file);
		corpus[count].data = malloc(corpus[count].size + 1);
		memcpy(corpus[count].data, buffer, corpus[count].size);
		count++;
		fclose(file);
	}
	if (files)
		closedir(files);
	free(buffer);
	return count;
}

static int64_t run_now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * INT64_C(1000000000) + now.tv_nsec;
}

static size_t run_mutations(const struct input *corpus, size_t count)
{
	uint8_t *buffer = calloc(1, 2 * INPUT_MAX);
	int64_t end_ns = run_now_ns() + RUN_NS;
	uint64_t state = 0x9e3779b97f4a7c15;
	size_t done, size, changes;

	for (done = 0; done < RUN_INPUTS_MAX && run_now_ns() < end_ns; done++) {
		const struct input *from = &corpus[run_random(&state) % count];

		memcpy(buffer, from->data, from->size);
		size = from->size;
		for (changes = 1 + run_random(&state) % 8; changes; changes--)
			size = run_mutate(buffer, size, &state);
		run_one(buffer, size);
	}
	free(buffer);
	return done;
}

int main(int argc, char **argv)
{
	static const int deadly[] = {SIGSEGV, SIGBUS, SIGABRT, SIGFPE, SIGILL};
	struct input *corpus = calloc(CORPUS_MAX, sizeof(*corpus));
	size_t count, i;

	if (argc != 3)
		return 2;
	snprintf(crash_path, sizeof(crash_path), "crash-%s", argv[1]);
	if (__sanitizer_set_death_callback)
		__sanitizer_set_death_callback(run_keep);
	for (i = 0; !__sanitizer_set_death_callback && i < sizeof(deadly) / sizeof(deadly[0]); i++)
		signal(deadly[i], run_died);
	count = run_load(argv[2], corpus);
	if (!count) {
		printf("not ok 1 - %s holds no input\n", argv[2]);
		return 1;
	}
	run_one((const uint8_t *)"", 0);
	for (i = 0; i < count; i++)
		run_one(corpus[i].data, corpus[i].size);
	printf("ok 1 - the corpus passes # %zu inputs\n", count);
	fflush(stdout);
	printf("ok 2 - mutations of it pass # %zu inputs\n", run_mutations(corpus, count));
	for (i = 0; i < count; i++)
		free(corpus[i].data);
	free(corpus);
	return 0;
}
