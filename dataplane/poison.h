/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef FERRY_POISON_H
#define FERRY_POISON_H
/*
 * AddressSanitizer does not see inside memory that we map ourselves: freed sessions are poisoned by
 * hand. No cost in other builds.
 */
#include <stddef.h>

#ifdef __SANITIZE_ADDRESS__
#include <sanitizer/asan_interface.h>
#define poison(address, bytes) __asan_poison_memory_region((address), (bytes))
#define unpoison(address, bytes) __asan_unpoison_memory_region((address), (bytes))
#else
#define poison(address, bytes) ((void)(address), (void)(bytes))
#define unpoison(address, bytes) ((void)(address), (void)(bytes))
#endif

#endif
