/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef FERRY_PAGES_H
#define FERRY_PAGES_H
/*
 * Memory of some size that is walked at random: zero, in huge pages where the kernel gives them,
 * faulted in now and not under a worker or in a VM's pause.
 */
#include <stddef.h>

#define PAGES_ALIGN (2u << 20) /* bytes */

/* At least `bytes`, aligned to PAGES_ALIGN; NULL: not so much memory. Any thread. */
void *pages_map(size_t bytes);
/* With the same number of bytes; NULL is fine. */
void pages_unmap(void *pages, size_t bytes);

#endif
