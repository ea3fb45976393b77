/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What acl costs a new session: ns per admit at so many rules, each about a prefix and a port; and
 *what an attacker can make of it, who sends what meets the most rules (F03). Also how long a policy
 *takes to compile. No engine, one thread. Best of several runs, so that a busy machine shows less.
 *
 *	perf_acl [rules...]	default: 10 1000 10000
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <rte_common.h>
#include <rte_cycles.h>
#include <rte_eal.h>

#include "test/fake/fake_plugin_host.h"
#include "test/fake/fake_value.h"

#define RUNS 7
#define ADMITS (1u << 16)
#define TUPLES 4096
#define RULE_TEXT 128
#define GROUP_RULES 4096 /* rules are spread over groups of this size */
#define GROUPS_MAX 16

extern const struct plugin_descriptor ferry_plugin;

static struct fake_plugin_host host;
static struct plugin_tuple tuples[TUPLES];
static uint64_t seed = 1;

static uint32_t dice(uint32_t sides)
{
	seed = seed * 6364136223846793005ULL + 1442695040888963407ULL;
	return (uint32_t)(seed >> 33) % sides;
}

/* Prefixes of every length from /17 to /32 and of IPv6, single ports and ranges; every tenth
 * denies. */
static int rule_text(char *out, uint32_t i)
{
	uint32_t plen = 17 + i % 16;
	uint32_t addr = (10u << 24 | dice(1u << 24)) & (uint32_t)(~0ULL << (32 - plen));
	uint32_t port = dice(60000), span = i % 4 == 0 ? dice(1000) : 0;
	const char *action = i % 10 == 0 ? "deny" : "allow";

	if (i % 5 == 4)
		return snprintf(out, RULE_TEXT,
			"{direction: ingress, protocol: tcp, ports: [%u-%u], remote: "
			"fd00:%x:%x::/48, priority: %u, action: %s},",
			port, port + span, dice(65536), dice(65536), i % 100, action);
	return snprintf(out, RULE_TEXT,
		"{direction: ingress, protocol: %s, ports: [%u-%u], remote: %u.%u.%u.%u/%u, "
		"priority: %u, action: %s},",
		i % 3 ? "tcp" : "udp", port, port + span, addr >> 24, addr >> 16 & 255,
		addr >> 8 & 255, addr & 255, plen, i % 100, action);
}

static char *config_text(uint32_t rules, uint32_t *groups)
{
	char *text = malloc((size_t)rules * RULE_TEXT + 4096), *at = text;

	if (!text)
		exit(1);
	*groups = 0;
	at += sprintf(at, "{groups: [");
	for (uint32_t i = 0; i < rules; i++) {
		if (i % GROUP_RULES == 0)
			at += sprintf(at, "%s{name: g%u, rules: [", i ? "]}," : "", (*groups)++);
		at += rule_text(at, i);
	}
	sprintf(at, "]}]}");
	return text;
}

/* quiet: one client again and again; else a different source, port and protocol each time. */
static void make_tuples(bool quiet)
{
	for (unsigned int i = 0; i < TUPLES; i++) {
		struct plugin_tuple *t = &tuples[i];

		memset(t, 0, sizeof(*t));
		t->remote.s6_addr[10] = t->remote.s6_addr[11] = 0xff;
		t->remote.s6_addr[12] = 10;
		t->local_port = quiet ? 80 : (uint16_t)dice(65536);
		t->proto = quiet || dice(2) ? IPPROTO_TCP : IPPROTO_UDP;
		for (int b = 13; b < 16; b++)
			t->remote.s6_addr[b] = quiet ? 1 : (uint8_t)dice(256);
	}
}

static double measure(void *instance, const struct plugin_vport *vport, void *data)
{
	struct plugin_request request = {.vport = vport, .dir = PLUGIN_INGRESS, .data = data};
	struct plugin_answer answer;
	double best = 1e9;

	for (int run = 0; run < RUNS; run++) {
		uint64_t start = rte_rdtsc();

		for (unsigned int i = 0; i < ADMITS; i++) {
			request.tuple = tuples[i % TUPLES];
			ferry_plugin.admit(instance, &request, &answer);
		}
		best = RTE_MIN(best,
			(double)(rte_rdtsc() - start) * 1e9 / (double)rte_get_tsc_hz() / ADMITS);
	}
	return best;
}

static void bench(uint32_t rules)
{
	static const char *const names[GROUPS_MAX] = {"g0", "g1", "g2", "g3", "g4", "g5", "g6",
		"g7", "g8", "g9", "g10", "g11", "g12", "g13", "g14", "g15"};
	struct plugin_vport vport = {.name = "v", .vni = 100, .groups = names};
	struct plugin_error error = {0};
	struct plugin_value *value;
	void *instance, *data;
	double quiet, attack;
	uint64_t start;
	uint32_t groups;
	char *text = config_text(rules, &groups);

	value = fake_value(text);
	free(text);
	vport.group_count = (uint16_t)RTE_MIN(groups, (uint32_t)GROUPS_MAX);
	if (ferry_plugin.create(&host.host, &instance) != 0 ||
		ferry_plugin.configure(instance, value, true, &error) != 0)
		rte_exit(1, "%s\n", error.text);
	start = rte_rdtsc();
	if (ferry_plugin.vport_add(instance, &vport, NULL, &data, &error) != 0)
		rte_exit(1, "%s\n", error.text);
	start = rte_rdtsc() - start;
	make_tuples(true);
	quiet = measure(instance, &vport, data);
	make_tuples(false);
	attack = measure(instance, &vport, data);
	printf("%6u rules: compiled in %7.1f ms; admit %6.1f ns one client, %6.1f ns all sorts\n",
		rules, (double)start * 1e3 / (double)rte_get_tsc_hz(), quiet, attack);
	ferry_plugin.vport_del(instance, &vport, data);
	ferry_plugin.destroy(instance);
	fake_value_free(value);
}

int main(int argc, char **argv)
{
	static const char *const usual[] = {"10", "1000", "10000"};
	char *eal[] = {"perf_acl", "--no-huge", "--no-shconf", "-m", "1024", "--no-pci", "--lcores",
		"0", "--no-telemetry", "--file-prefix=ferry-perf-acl", NULL};

	if (rte_eal_init((int)RTE_DIM(eal) - 1, eal) < 0)
		return 1;
	fake_plugin_host_init(&host, "perf", 1);
	for (int i = 0; i < (argc > 1 ? argc - 1 : (int)RTE_DIM(usual)); i++)
		bench((uint32_t)strtoul(argc > 1 ? argv[i + 1] : usual[i], NULL, 10));
	return 0;
}
