/* SPDX-License-Identifier: BSD-3-Clause */
#include "ctrl/cmd/suggest.h"

#include <string.h>

#define WORD_MAX 63 /* longer ones are no typing errors */

static unsigned int least(unsigned int a, unsigned int b)
{
	return a < b ? a : b;
}

/* Optimal string alignment distance. Both words have at most WORD_MAX letters. */
static unsigned int distance(const char *a, size_t len_a, const char *b, size_t len_b)
{
	unsigned int rows[3][WORD_MAX + 1];
	unsigned int *before = rows[0], *last = rows[1], *row = rows[2], *spare;

	for (size_t j = 0; j <= len_b; j++)
		last[j] = (unsigned int)j;
	for (size_t i = 1; i <= len_a; i++) {
		row[0] = (unsigned int)i;
		for (size_t j = 1; j <= len_b; j++) {
			unsigned int change = last[j - 1] + (a[i - 1] != b[j - 1]);

			row[j] = least(change, least(last[j], row[j - 1]) + 1);
			if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
				row[j] = least(row[j], before[j - 2] + 1);
		}
		spare = before;
		before = last;
		last = row;
		row = spare;
	}
	return last[len_b];
}

const char *suggest(const char *wrong, suggest_words *words, void *ctx)
{
	size_t len = strlen(wrong), len_word, n_begin = 0;
	unsigned int best = (unsigned int)len / 3 + 1, d;
	const char *nearest = NULL, *begins = NULL, *word;

	if (len == 0 || len > WORD_MAX)
		return NULL;
	for (size_t i = 0; (word = words(ctx, i)) != NULL; i++) {
		len_word = strlen(word);
		if (len_word > WORD_MAX)
			continue;
		if (strncmp(word, wrong, len) == 0) {
			begins = word;
			n_begin++;
		}
		d = distance(wrong, len, word, len_word);
		if (d < best) {
			best = d;
			nearest = word;
		}
	}
	return n_begin == 1 ? begins : nearest;
}
