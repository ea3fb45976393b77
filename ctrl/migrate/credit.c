/* SPDX-License-Identifier: BSD-3-Clause */
#include "ctrl/migrate/credit.h"

static uint64_t least(uint64_t ceiling)
{
	/* Of a small cap an eighth: sessions must be able to have the rest. */
	return ceiling && ceiling / 8 < CREDIT_LEAST_BYTES_PER_S ? ceiling / 8 + 1
								 : CREDIT_LEAST_BYTES_PER_S;
}

/* All that memory may have; 0: no cap. */
static uint64_t ceiling_of(const struct credit *credit, const struct credit_world *world)
{
	uint64_t cap = world->cap_bytes_per_s, left;

	if (cap == 0)
		return 0;
	left = credit->sessions_rate < cap ? cap - credit->sessions_rate : 0;
	left /= world->sharers ? world->sharers : 1;
	return left > least(cap) ? left : least(cap);
}

static uint64_t less(uint64_t rate, uint64_t ceiling)
{
	uint64_t from = rate ? rate : (ceiling ? ceiling : 2 * CREDIT_FIRST_BYTES_PER_S);

	return from / 2 > least(ceiling) ? from / 2 : least(ceiling);
}

static uint64_t more(uint64_t rate, uint64_t ceiling)
{
	uint64_t up = rate + rate / 4;

	if (rate == 0)
		return ceiling;
	if (ceiling == 0)
		return up > CREDIT_FREE_BYTES_PER_S ? 0 : up;
	return up < ceiling ? up : ceiling;
}

static void sessions_measure(
	struct credit *credit, const struct credit_world *world, uint64_t took_ns)
{
	double bytes = (double)(world->sessions_bytes - credit->sessions_bytes);

	credit->sessions_rate = (uint64_t)(bytes * 1e9 / (double)took_ns);
}

uint64_t credit_step(struct credit *credit, const struct credit_world *world, uint64_t now_ns)
{
	uint64_t ceiling;

	if (credit->at_ns && now_ns - credit->at_ns < CREDIT_STEP_NS)
		return credit->rate;
	if (credit->at_ns)
		sessions_measure(credit, world, now_ns - credit->at_ns);
	credit->sessions_bytes = world->sessions_bytes;
	credit->at_ns = now_ns;
	ceiling = ceiling_of(credit, world);
	credit->rate = world->slow ? less(credit->rate, ceiling) : more(credit->rate, ceiling);
	return credit->rate;
}

bool credit_differs(uint64_t told, uint64_t now)
{
	uint64_t away = told > now ? told - now : now - told;

	return (told == 0) != (now == 0) || away > told / 8;
}
