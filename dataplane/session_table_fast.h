/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef FERRY_SESSION_TABLE_FAST_H
#define FERRY_SESSION_TABLE_FAST_H
/*
 * The session table for the packet path: a burst asks in three steps, so that its loads overlap:
 * session_table_prefetch() for each packet, then session_table_candidate(), then
 * session_table_confirm(). The candidate is the first slot of the home bucket that carries the
 * hash's tag; a key that lies elsewhere (full bucket, equal tags, second key) is for
 * session_table_find(). Also what session_table.c itself needs of buckets and slots.
 */
#include <rte_branch_prediction.h>
#include <rte_ip.h>
#include <rte_prefetch.h>

#include "dataplane/session_table.h"

#define TABLE_MATCH_MASK ((1u << 2 * TABLE_SLOTS) - 1)
#define SLOT_WHICH 1ULL

static __rte_always_inline uint16_t table_tag(uint32_t hash)
{
	uint16_t tag = (uint16_t)hash;

	return tag + !tag; /* 0: empty slot */
}

static __rte_always_inline uint32_t table_home(const struct session_table *table, uint32_t hash)
{
	return (uint32_t)((uint64_t)hash * table->buckets >> 32);
}

static __rte_always_inline struct session *slot_session(uint64_t slot)
{
	return (struct session *)(uintptr_t)(slot & ~SLOT_WHICH);
}

/* Which of a bucket's slots carry the tag: bits 2 i and 2 i + 1 for slot i. */
#if defined(__SSE2__) && !defined(__SANITIZE_THREAD__)
#include <emmintrin.h>

static __rte_always_inline uint32_t table_match(const struct table_bucket *b, uint16_t tag)
{
	/* Each tag is read whole; what a slot holds is read after it. */
	const __m128i tags = _mm_load_si128((const __m128i *)(const void *)b->tag);
	const __m128i equal = _mm_cmpeq_epi16(tags, _mm_set1_epi16((short)tag));

	atomic_thread_fence(memory_order_acquire);
	return (uint32_t)_mm_movemask_epi8(equal) & TABLE_MATCH_MASK;
}
#else
static __rte_always_inline uint32_t table_match(const struct table_bucket *b, uint16_t tag)
{
	uint32_t mask = 0;

	for (unsigned int i = 0; i < TABLE_SLOTS; i++)
		if (atomic_load_explicit(&b->tag[i], memory_order_acquire) == tag)
			mask |= 3u << 2 * i;
	return mask;
}
#endif

/* The slot of the lowest bit of a match that is not 0. */
static __rte_always_inline uint64_t table_first(const struct table_bucket *b, uint32_t match)
{
	return atomic_load_explicit(&b->slot[__builtin_ctz(match) / 2], memory_order_acquire);
}

static __rte_always_inline void session_table_prefetch(
	const struct session_table *table, uint32_t hash)
{
	rte_prefetch0(&table->bucket[table_home(table, hash)]);
}

/* Unchecked; 0 when there is none. Its lines are on their way when this returns. */
static __rte_always_inline uint64_t session_table_candidate(
	const struct session_table *table, uint32_t hash)
{
	const struct table_bucket *b = &table->bucket[table_home(table, hash)];
	uint32_t match = table_match(b, table_tag(hash));
	uint64_t value;

	if (unlikely(match == 0))
		return 0;
	value = table_first(b, match);
	rte_prefetch0(slot_session(value));
	rte_prefetch0(&slot_session(value)->half);
	return value;
}

/* May a key of this hash lie behind its home bucket? */
static inline bool session_table_passed_by(const struct session_table *table, uint32_t hash)
{
	return atomic_load_explicit(
		       &table->bucket[table_home(table, hash)].overflow, memory_order_acquire) != 0;
}

/* IPv6: are the packet's own addresses (not those quoted in an ICMP error) the session's? */
static inline bool session_addresses6_match(
	const struct session *s, const struct pkt *p, enum pkt_dir dir)
{
	const struct rte_ipv6_hdr *ip = pkt_l3(p);
	const uint8_t *local = dir == PKT_EGRESS ? ip->src_addr : ip->dst_addr;
	const uint8_t *remote = dir == PKT_EGRESS ? ip->dst_addr : ip->src_addr;

	return memcmp(&s->a6.local, local, sizeof(s->a6.local)) == 0 &&
	       memcmp(&s->a6.remote, remote, sizeof(s->a6.remote)) == 0;
}

/* The living session of a packet that is no ICMP error by its first key; NULL: not this one. */
static __rte_always_inline struct session *session_table_confirm(
	uint64_t candidate, const struct pkt *p, enum pkt_dir dir)
{
	struct session *s = slot_session(candidate);

	if (unlikely(!s || candidate & SLOT_WHICH || !session_key_equal(&s->key, &p->key) ||
		     atomic_load_explicit(&s->state, memory_order_acquire) & SESSION_DEAD))
		return NULL;
	if (p->flags & PKT_IPV6)
		return s->is_ipv6 && session_addresses6_match(s, p, dir) ? s : NULL;
	return likely(!s->is_ipv6) ? s : NULL;
}

#endif
