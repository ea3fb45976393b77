/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Memory that is given back all at once: whatever a config points at lives in one arena. Not for
 * several threads at a time.
 */
#ifndef CONFIG_ARENA_H
#define CONFIG_ARENA_H

#include <stddef.h>

struct config_arena;

struct config_arena *config_arena_new(void);
void config_arena_free(struct config_arena *arena);

/* Zeroed, fit for any object; NULL when memory is out. */
void *config_arena_alloc(struct config_arena *arena, size_t size_bytes);

/* A copy with a zero behind it; NULL when memory is out. */
char *config_arena_text(struct config_arena *arena, const char *text, size_t len_bytes);

#endif
