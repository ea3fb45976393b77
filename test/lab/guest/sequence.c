/* SPDX-License-Identifier: BSD-3-Clause */
#include "test/lab/guest/sequence.h"

#include <stdlib.h>
#include <string.h>

void sequence_init(struct sequence *s)
{
	memset(s, 0, sizeof(*s));
}

void sequence_free(struct sequence *s)
{
	free(s->seen);
	sequence_init(s);
}

static bool sequence_grow(struct sequence *s, uint64_t number)
{
	uint64_t capacity = s->capacity ? s->capacity : 4096;
	uint64_t *seen;

	while (capacity <= number)
		capacity *= 2;
	if (capacity == s->capacity)
		return true;
	seen = realloc(s->seen, capacity / 8);
	if (!seen)
		return false;
	memset((char *)seen + s->capacity / 8, 0, (capacity - s->capacity) / 8);
	s->seen = seen;
	s->capacity = capacity;
	return true;
}

static void sequence_gap(struct sequence *s, uint64_t number, uint64_t now_ns)
{
	if (!s->next || now_ns - s->last_ns <= s->longest_gap_ns)
		return;
	s->longest_gap_ns = now_ns - s->last_ns;
	s->gap_start_ns = s->last_ns;
	s->gap_number = number;
}

bool sequence_add(struct sequence *s, uint64_t number, uint64_t now_ns)
{
	uint64_t bit = UINT64_C(1) << (number % 64);

	if (number >= SEQUENCE_MAX || !sequence_grow(s, number))
		return false;
	sequence_gap(s, number, now_ns);
	if (s->seen[number / 64] & bit) {
		s->duplicated++;
	} else {
		s->seen[number / 64] |= bit;
		s->received++;
		s->reordered += number < s->next;
	}
	if (number >= s->next)
		s->next = number + 1;
	s->last_ns = now_ns;
	return true;
}

void sequence_end(struct sequence *s, uint64_t now_ns)
{
	sequence_gap(s, s->next, now_ns);
}

uint64_t sequence_lost(const struct sequence *s, uint64_t sent)
{
	uint64_t limit = sent < s->capacity ? sent : s->capacity, number, lost = sent - limit;

	for (number = 0; number < limit; number++)
		lost += !(s->seen[number / 64] >> (number % 64) & 1);
	return lost;
}
