/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the steps of one load share, read downward in load.c: source -> parse -> decode -> check.
 * Private to config/.
 */
#ifndef CONFIG_LOADER_H
#define CONFIG_LOADER_H

#include "config/arena.h"
#include "config/config.h"

struct config_loader {
	struct config_arena *arena;
	struct config_error *err; /* never NULL */
	const char *file; /* as it is named in errors */
	const struct config_tree *tree; /* once parsed */
	char path[192]; /* of the key at hand */
	size_t path_len;
};

/* Record an error and return its code. The first form points at a place, the others at a tree's
 * value or key and say "expected EXPECTED, found ..." themselves. */
int config_fail_at(struct config_loader *loader, int code, uint32_t line, uint32_t column,
	const char *format, ...) __attribute__((format(printf, 5, 6)));
int config_fail(struct config_loader *loader, const struct config_tree *at, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
int config_expected(struct config_loader *loader, const struct config_tree *at, const char *format,
	...) __attribute__((format(printf, 3, 4)));
int config_no_memory(struct config_loader *loader);

/* "the number 12", "\"abc\"", "a list", "nothing" ... */
const char *config_found(const struct config_tree *tree, char *buffer, size_t size_bytes);

/* Text for people: cut, with dots for what cannot be printed. */
const char *config_printable(const char *text, char *buffer, size_t size_bytes);

/* Append ".key" or "[index]" to the path; returns the length to go back to. */
size_t config_path_key(struct config_loader *loader, const char *key);
size_t config_path_index(struct config_loader *loader, uint32_t index);
void config_path_back(struct config_loader *loader, size_t len);

/* Where bytes come from: a file or a text. */
struct config_source {
	int fd; /* -1: a text */
	const char *text;
	size_t len_bytes, offset;
	size_t read_bytes, since_event_bytes;
	int error; /* -errno: why reading stopped */
};

/* Parse the source into a tree of the arena. An empty document gives a null scalar. */
int config_parse(
	struct config_loader *loader, struct config_source *source, const struct config_tree **out);

/* A place in the source, found again by reading it once more; for errors only. */
struct config_place {
	size_t byte, character; /* from 0: what to look for, SIZE_MAX: not this one */
	uint32_t line, column; /* found */
	int value; /* the byte there, -1 at the end */
};
void config_source_find(struct config_source *source, struct config_place *place);
int config_source_open(
	struct config_loader *loader, const char *path, struct config_source *source);

/* Read the next bytes for the parser. 0 at the end; -1 with source->error set. */
long config_source_read(struct config_source *source, unsigned char *buffer, size_t size_bytes);

/* The closest of `count` names, or NULL when none is close. */
const char *config_suggest(const char *word, const char *(*name)(const void *arg, unsigned index),
	const void *arg, unsigned count);

int config_decode(
	struct config_loader *loader, const struct config_tree *tree, struct config *config);
int config_check(struct config_loader *loader, struct config *config);

#endif
