/* SPDX-License-Identifier: BSD-3-Clause */
#include "test/fake/fake_eal.h"

#include <sched.h>
#include <stdio.h>
#include <unistd.h>

#include <rte_eal.h>
#include <rte_errno.h>
#include <rte_mbuf.h>

int fake_eal_start(void)
{
	return fake_eal_start_mb(128);
}

int fake_eal_start_mb(unsigned int memory_mb)
{
	char prefix[48], memory[16];
	char *argv[] = {"test", "--no-huge", "--no-shconf", "-m", memory, "--no-pci", "--lcores",
		"0", "--no-telemetry", "--log-level", "error", prefix, NULL};
	cpu_set_t cpus;

	snprintf(memory, sizeof(memory), "%u", memory_mb);
	snprintf(prefix, sizeof(prefix), "--file-prefix=ferry-test-%d", (int)getpid());
	CPU_ZERO(&cpus);
	sched_getaffinity(0, sizeof(cpus), &cpus);
	if (rte_eal_init((int)RTE_DIM(argv) - 1, argv) < 0) {
		fprintf(stderr, "EAL does not start: %s\n", rte_strerror(rte_errno));
		return -1;
	}
	/* EAL pins this thread, and all that it starts later would share the core with it. */
	sched_setaffinity(0, sizeof(cpus), &cpus);
	return 0;
}

struct rte_mempool *fake_eal_pool(const char *name, unsigned int count)
{
	return rte_pktmbuf_pool_create(name, count, 0, 0, RTE_MBUF_DEFAULT_BUF_SIZE, SOCKET_ID_ANY);
}
