/* SPDX-License-Identifier: BSD-3-Clause */
#include "dataplane/pages.h"

#include <stdint.h>
#include <string.h>
#include <sys/mman.h>

#include <rte_common.h>

static size_t pages_bytes(size_t bytes)
{
	return RTE_ALIGN_CEIL(bytes, (size_t)PAGES_ALIGN);
}

void *pages_map(size_t bytes)
{
	size_t whole = pages_bytes(bytes);
	uint8_t *map, *pages;

	map = mmap(NULL, whole + PAGES_ALIGN, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
		-1, 0);
	if (map == MAP_FAILED)
		return NULL;
	pages = RTE_PTR_ALIGN_CEIL(map, PAGES_ALIGN);
	if (pages != map)
		munmap(map, (size_t)(pages - map));
	munmap(pages + whole, (size_t)(map + PAGES_ALIGN - pages));
	madvise(pages, whole, MADV_HUGEPAGE);
	if (madvise(pages, whole, MADV_POPULATE_WRITE) != 0)
		memset(pages, 0, whole);
	return pages;
}

void pages_unmap(void *pages, size_t bytes)
{
	if (pages)
		munmap(pages, pages_bytes(bytes));
}
