/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef FERRY_SESSION_TABLE_MATCH_H
#define FERRY_SESSION_TABLE_MATCH_H
/* Which of a bucket's slots carry a tag: bit i for slot i. Private to session_table.c. */
#include <stdint.h>

#include "dataplane/session_table.h"

#define TABLE_SLOT_MASK ((1u << TABLE_SLOTS) - 1)

#ifdef __AVX2__
#include <immintrin.h>

static inline uint32_t table_match(const struct table_bucket *b, uint16_t tag)
{
	const __m256i want = _mm256_set1_epi64x(tag);
	/* Each 8-byte lane is read whole; the slot is read again, atomically, before it is used. */
	__m256i low = _mm256_load_si256((const __m256i *)(const void *)&b->slot[0]);
	__m256i high = _mm256_load_si256((const __m256i *)(const void *)&b->slot[4]);
	__m256i low_eq = _mm256_cmpeq_epi64(_mm256_srli_epi64(low, 48), want);
	__m256i high_eq = _mm256_cmpeq_epi64(_mm256_srli_epi64(high, 48), want);
	uint32_t mask = (uint32_t)_mm256_movemask_pd(_mm256_castsi256_pd(low_eq)) |
			(uint32_t)_mm256_movemask_pd(_mm256_castsi256_pd(high_eq)) << 4;

	return mask & TABLE_SLOT_MASK;
}
#else
static inline uint32_t table_match(const struct table_bucket *b, uint16_t tag)
{
	uint32_t mask = 0;

	for (unsigned int i = 0; i < TABLE_SLOTS; i++)
		mask |= (uint32_t)(atomic_load_explicit(&b->slot[i], memory_order_relaxed) >> 48 ==
				   tag)
			<< i;
	return mask;
}
#endif

#endif
