/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef FERRY_FAKE_EAL_H
#define FERRY_FAKE_EAL_H
/*
 * DPDK for a test program: no huge pages, no PCI, no files left, one core. Start it once per
 * process, from a group setup function.
 */
#include <rte_mempool.h>

/* 0, or -1 with a line on stderr. */
int fake_eal_start(void);
/* With so much memory (128 MB else). */
int fake_eal_start_mb(unsigned int memory_mb);

/* A pool of `count` mbufs of the usual size; NULL on failure. */
struct rte_mempool *fake_eal_pool(const char *name, unsigned int count);

#endif
