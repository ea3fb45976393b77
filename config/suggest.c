/* SPDX-License-Identifier: BSD-3-Clause */
#include <string.h>

#include "config/loader.h"

#define WORD_MAX 40

static unsigned smallest(unsigned a, unsigned b, unsigned c)
{
	a = a < b ? a : b;
	return a < c ? a : c;
}

/* Letters to insert, remove or replace; two neighbours swapped count as one (Damerau). */
static unsigned distance(const char *a, size_t len_a, const char *b, size_t len_b)
{
	unsigned row[3][WORD_MAX + 1];
	unsigned *older = row[0], *old = row[1], *now = row[2];

	for (size_t j = 0; j <= len_b; j++)
		old[j] = j;
	for (size_t i = 1; i <= len_a; i++) {
		unsigned *spare = older;

		now[0] = i;
		for (size_t j = 1; j <= len_b; j++) {
			now[j] = smallest(
				old[j] + 1, now[j - 1] + 1, old[j - 1] + (a[i - 1] != b[j - 1]));
			if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] &&
				older[j - 2] + 1 < now[j])
				now[j] = older[j - 2] + 1;
		}
		older = old;
		old = now;
		now = spare;
	}
	return old[len_b];
}

const char *config_suggest(const char *word, const char *(*name)(const void *arg, unsigned index),
	const void *arg, unsigned count)
{
	size_t len = strlen(word);
	unsigned best = len / 3 + 1;
	const char *found = NULL;

	if (len > WORD_MAX)
		return NULL;
	for (unsigned i = 0; i < count; i++) {
		const char *candidate = name(arg, i);
		size_t candidate_len = candidate != NULL ? strlen(candidate) : WORD_MAX + 1;
		unsigned away;

		if (candidate_len > WORD_MAX)
			continue;
		away = distance(word, len, candidate, candidate_len);
		if (away < best || (away == best && found == NULL)) {
			best = away;
			found = candidate;
		}
	}
	return found;
}
