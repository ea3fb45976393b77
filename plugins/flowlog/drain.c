/* SPDX-License-Identifier: BSD-3-Clause */
#include <time.h>

#include <rte_cycles.h>
#include <rte_ring_elem.h>

#include "plugins/flowlog/flowlog.h"

#define BATCH 32

const char *flow_event_name(uint8_t event)
{
	static const char *const names[FLOW_EVENTS] = {
		[FLOW_START] = "start", [FLOW_CHANGE] = "change", [FLOW_END] = "end"};

	return event < FLOW_EVENTS ? names[event] : "?";
}

const char *flow_reason_name(uint8_t reason)
{
	static const char *const names[] = {
		[PLUGIN_CLOSE_IDLE] = "idle",
		[PLUGIN_CLOSE_END] = "end",
		[PLUGIN_CLOSE_POLICY] = "policy",
		[PLUGIN_CLOSE_EVICTED] = "evicted",
		[PLUGIN_CLOSE_OPERATOR] = "operator",
		[PLUGIN_CLOSE_REPLACED] = "replaced",
	};

	return reason < sizeof(names) / sizeof(names[0]) ? names[reason] : "?";
}

/* Workers stamp records with the TSC; the wall clock is read here, once per drain. */
struct wall {
	uint64_t ms, cycles;
};

static struct wall wall_now(void)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	return (struct wall){.ms = (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000,
		.cycles = rte_rdtsc()};
}

static uint64_t wall_of(const struct wall *wall, uint64_t cycles)
{
	uint64_t ago = wall->cycles > cycles ? wall->cycles - cycles : 0;

	return wall->ms - (uint64_t)((double)ago * 1000 / (double)rte_get_tsc_hz());
}

/* At most `count` records of one ring. */
static uint32_t drain_ring(
	struct flowlog *log, struct rte_ring *ring, const struct wall *wall, uint32_t count)
{
	struct flow_record records[BATCH];
	uint32_t done = 0, n;

	while (done < count) {
		n = rte_ring_dequeue_burst_elem(ring, records, sizeof(records[0]),
			count - done < BATCH ? count - done : BATCH, NULL);
		if (n == 0)
			break;
		for (uint32_t i = 0; i < n; i++) {
			uint64_t when_ms = wall_of(wall, records[i].cycles);

			ipfix_add(log, &records[i], when_ms);
			json_add(log, &records[i], when_ms);
		}
		done += n;
	}
	return done;
}

/* All rings in turn, a batch each, so that a busy worker starves nobody. */
static uint32_t drain(struct flowlog *log, uint32_t count)
{
	const struct wall wall = wall_now();
	uint32_t done = 0, before;

	do {
		before = done;
		for (uint32_t i = 0; i <= log->host->workers && done < count; i++)
			done += drain_ring(log, log->worker[i].ring, &wall,
				count - done < BATCH ? count - done : BATCH);
	} while (done > before && done < count);
	ipfix_send(log);
	json_write(log);
	return done;
}

/* A second's worth of records may go at once; what is left waits in the rings. */
void flow_tick(void *instance, uint64_t now_ns)
{
	struct flowlog *log = instance;
	uint64_t each_ns = NS_PER_S / log->config.rate;

	if (log->last_ns && now_ns > log->last_ns)
		log->tokens_ns += now_ns - log->last_ns;
	if (!log->last_ns || log->tokens_ns > NS_PER_S)
		log->tokens_ns = NS_PER_S;
	log->last_ns = now_ns;
	log->tokens_ns -= each_ns * drain(log, (uint32_t)(log->tokens_ns / each_ns));
}

void flow_flush(struct flowlog *log)
{
	drain(log, UINT32_MAX);
}
