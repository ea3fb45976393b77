/* SPDX-License-Identifier: BSD-3-Clause */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "config/arena.h"

#define CHUNK_BYTES 16384

struct chunk {
	struct chunk *next;
	size_t used, size; /* bytes of data[] */
	_Alignas(16) unsigned char data[];
};

/* Texts go into chunks of their own: they need no alignment, and most are a few bytes. */
struct config_arena {
	struct chunk *objects, *texts;
};

struct config_arena *config_arena_new(void)
{
	return calloc(1, sizeof(struct config_arena));
}

static void chunks_free(struct chunk *chunk)
{
	while (chunk != NULL) {
		struct chunk *next = chunk->next;

		free(chunk);
		chunk = next;
	}
}

void config_arena_free(struct config_arena *arena)
{
	if (arena == NULL)
		return;
	chunks_free(arena->objects);
	chunks_free(arena->texts);
	free(arena);
}

static void *chunks_take(struct chunk **chunks, size_t size_bytes)
{
	struct chunk *chunk = *chunks;

	if (chunk == NULL || chunk->size - chunk->used < size_bytes) {
		size_t size = size_bytes > CHUNK_BYTES / 4 ? size_bytes : CHUNK_BYTES;

		if (size_bytes > SIZE_MAX / 2)
			return NULL;
		chunk = calloc(1, sizeof(*chunk) + size);
		if (chunk == NULL)
			return NULL;
		chunk->size = size;
		/* A large block is full at once: keep what is left of the first one in use. */
		if (*chunks != NULL && size == size_bytes) {
			chunk->next = (*chunks)->next;
			(*chunks)->next = chunk;
		} else {
			chunk->next = *chunks;
			*chunks = chunk;
		}
	}
	chunk->used += size_bytes;
	return chunk->data + chunk->used - size_bytes;
}

void *config_arena_alloc(struct config_arena *arena, size_t size_bytes)
{
	return chunks_take(&arena->objects, (size_bytes + 15) & ~(size_t)15);
}

char *config_arena_text(struct config_arena *arena, const char *text, size_t len_bytes)
{
	char *copy = chunks_take(&arena->texts, len_bytes + 1);

	if (copy != NULL)
		memcpy(copy, text, len_bytes);
	return copy;
}
